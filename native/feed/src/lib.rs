//! The only reader and writer of recorded wire sessions; plays them through the venues' protocols and reports.
//!
//! [`recording`] reads a file, whatever its format, as [`Record`]s in order of time. [`check()`] plays files through the
//! shipped parsers, sequencers and books of their venues, and beside them through a second, independent reading that
//! keeps every number as the venue wrote it; its [`Report`] says what was found.

mod check;
mod error;
mod exact;
pub mod faults;
mod oracle;
mod reading;
pub mod recording;
pub mod report;
mod session;
mod survey;
mod table;
mod text_book;
mod text_orders;
mod wire;

pub use check::{OPEN_FILES_MAX, Progress, check};
pub use error::ReadError;
pub use recording::{Format, Record, RecordKind, Recording};
pub use report::Report;
pub use session::ERRORS_KEPT_MAX;
pub use wire::Wire;
