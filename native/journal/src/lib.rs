//! The only writer and reader of the durable record; owns its codecs.

pub mod codec;
pub mod frame;

pub use codec::{CodecError, ConfigText, Format, RunHeader};
