//! The only crate that evaluates models; the place where ONNX Runtime would be linked.
//!
//! [`TreeModel::load`] reads the one graph that the exporter writes and refuses every other, saying what is allowed:
//!
//! ```text
//! features float32 [N, F] -> ai.onnx.ml TreeEnsembleRegressor -> raw_score
//!                         -> Cast(double) -> Sigmoid -> Cast(float) -> p_up float32 [N, 1]
//! ```
//!
//! The raw score has the bits that ONNX Runtime gives on one thread: float32 additions in tree order. [`verify_golden`]
//! holds a model against rows that ONNX Runtime scored, so a build that computes anything else never trades.
//! Nothing is allocated per score and no byte of a file can make the loader panic.

mod error;
mod forest;
mod golden;
mod graph;
pub mod limits;
mod metadata;
mod model;
mod onnx;
mod protobuf;

pub use error::{GoldenMismatch, InferenceError};
pub use golden::{GoldenReport, GoldenRows, verify_golden};
pub use metadata::Metadata;
pub use model::TreeModel;
