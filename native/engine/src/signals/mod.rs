//! Signals: from bars to features to a model's score.

mod features;
mod indicators;
mod model;
mod spec;

pub use features::{FeatureEngine, SpecError};
pub use model::{Model, Score};
pub use spec::{FeatureDef, FeatureKind, FeatureSpec};
