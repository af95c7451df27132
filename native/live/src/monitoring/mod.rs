//! What the service tells about itself: counters, latencies, `/metrics`.

pub mod counters;
pub mod family;
pub mod latency;
pub(crate) mod metrics;
pub mod refusals;
pub mod streams;
pub mod venues;

pub use counters::{Counters, Difference};
pub use latency::{LatencyBoard, Stage, StageSummary};
