//! The only writer and reader of the durable record; owns its codecs.

pub mod frame;
