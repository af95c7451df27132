//! The only writer and reader of the durable record; owns its codecs.

pub mod codec;
mod error;
pub mod frame;
mod position;
mod reader;
mod recovery;
mod reserve;
mod segment;
mod sync;
mod tail;
mod window;
mod writer;

pub use codec::{CodecError, ConfigText, Format, RunHeader};
pub use error::{Fault, JournalError};
pub use reader::{Reader, Record, RecordBody, TornTail};
pub use recovery::{Recovered, recover};
pub use sync::{SEGMENTS_UNSYNCED_MAX, SyncLag, Syncer};
pub use writer::{Room, SEGMENT_BYTES_MIN, Writer, WriterOptions};
