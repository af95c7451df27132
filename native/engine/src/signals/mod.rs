//! Signals: from bars to features to a model's score.

mod features;
mod indicators;
mod model;
pub mod program;
mod spec;

// A word of the model port: who implements it knows this crate only.
pub use domain::Decimal;
pub use features::{FeatureEngine, SpecError};
pub use model::{Model, Score};
pub use spec::{FeatureDef, FeatureKind, FeatureSpec, read_expression};
