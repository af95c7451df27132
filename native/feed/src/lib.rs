//! The only reader and writer of recorded wire sessions; plays them through the venues' protocols and reports.
//!
//! [`recording`] reads a file, whatever its format, as [`Record`]s in order of time.

mod error;
pub mod recording;

pub use error::ReadError;
pub use recording::{Format, Record, RecordKind, Recording};
