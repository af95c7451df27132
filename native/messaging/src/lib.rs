//! The only crate that knows ZeroMQ and Protocol Buffers.
