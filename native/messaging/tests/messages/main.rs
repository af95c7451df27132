//! The crate from outside: every message through its encoding, every way a command can be wrong, and both sockets
//! with ZeroMQ's own clients at the other end.

mod golden;
mod peers;
mod protocol;
mod publisher;
mod router;
mod samples;
mod strategies;
mod verify;
