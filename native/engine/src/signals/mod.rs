//! Signals: from bars to features to a model's score.

mod bar_flow;
mod event_bars;
mod features;
mod flow;
mod indicators;
mod model;
pub mod program;
mod slow;
mod spec;

// A word of the model port: who implements it knows this crate only.
pub use bar_flow::BarFlow;
pub use domain::Decimal;
pub use event_bars::{AVERAGED_MAX, BarRule, Closing, EventBar, EventBars, EventRule, Expectation, Measure};
pub use features::{Beside, FeatureEngine, SpecError};
pub use flow::{FLOW, FLOW_INPUTS, Flow};
pub use model::{Model, Score};
pub use slow::{SLOW_NAME_BYTES_MAX, SlowColumn, SlowFact, SlowParameters, SlowRefusal};
pub use spec::{FeatureDef, FeatureKind, FeatureSpec, is_fed, read_expression};
