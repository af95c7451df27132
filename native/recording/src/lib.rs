//! The only reader and writer of recorded wire sessions.
//!
//! [`Writer`] appends what happens to files that it never goes back to. [`Recording`] reads a file as [`Record`]s in order
//! of time, whatever its format:
//!
//! | format | a line |
//! |---|---|
//! | [`Format::Stamped`] | `<receive time, ns since the epoch> <message>`; a REST answer stands as it came, in its place |
//! | [`Format::Entries`] | cryptofeed's JSON lines: `{"t":"recv","conn":...,"ts":<s>,"data":"<message as a JSON string>"}`; `t` is also `header`, `http`, `connect`, `send` |
//! | [`Format::Transcript`] | cryptofeed's older text: `wss://... <-> <s>` connected, `wss://... <- <s>: <sent>`, `https://... -> <s>: <answer>`, `<s>: <received>` |
//! | [`Format::Frames`] | `{"rx_ns":<ns>,"frame":<message>}`, with `"dir":"tx"` where it was sent; a line without a frame describes the capture. [`Writer`] writes these |
//!
//! Each may be plain, gzip or zstd. A message is handed on byte for byte as the venue sent it: its numbers' text matters.
//! Memory is bounded: one line is held at a time, and of REST answers that stand before their time no more than
//! [`HELD_BYTES_MAX`].

mod entries;
mod error;
mod format;
mod frames;
mod lines;
mod reader;
mod record;
mod stamped;
mod transcript;
mod writer;

pub use error::ReadError;
pub use format::Format;
pub use lines::LINE_BYTES_MAX;
pub use reader::{CONNECTIONS_MAX, HELD_BYTES_MAX, Recording};
pub use record::{Record, RecordKind};
pub use writer::{Packing, WriteError, Writer, WriterSettings, Written};
