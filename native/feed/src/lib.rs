//! Records venues' wires, and plays recorded sessions through the venues' protocols and reports.
//!
//! [`record`](record::record) writes a venue's market streams down as they come. [`check()`] plays recorded files through
//! the shipped parsers, sequencers and books of their venues, and beside them through a second, independent reading that
//! keeps every number as the venue wrote it; its [`Report`] says what was found.

mod check;
mod exact;
pub mod export;
pub mod faults;
mod heard;
pub mod meter;
mod oracle;
pub mod playback;
mod reading;
pub mod record;
pub mod replay;
pub mod report;
mod session;
mod survey;
mod table;
mod text_book;
mod text_orders;
mod wire;

pub use check::{OPEN_FILES_MAX, Progress, check, listen};
pub use heard::{Heard, Listener};
pub use recording::ReadError;
pub use report::Report;
pub use session::ERRORS_KEPT_MAX;
pub use wire::Wire;
