//! Signals: from bars to features to a model's score.

mod model;
mod spec;

pub use model::{Model, Score};
pub use spec::{FeatureDef, FeatureKind, FeatureSpec};
