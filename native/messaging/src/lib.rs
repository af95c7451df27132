//! The only crate that knows ZeroMQ and Protocol Buffers.
//!
//! Two sockets, both `ipc://` in a directory that only we may enter:
//! - [`CommandServer`] (ROUTER) takes signed commands, refuses what is not genuine, allowed and new, and sends
//!   acknowledgements back;
//! - [`TelemetryPublisher`] (XPUB) publishes what happened, numbered per topic, never blocking and therefore lossy:
//!   who misses something sees the gap in the numbers and asks for a [`telemetry::Snapshot`].
//!
//! The generated messages stay private. Other crates speak in [`Command`], [`Ack`] and [`telemetry`], which are made
//! of domain types; [`protocol`] converts, and refuses by name what the other side must not say.
//!
//! The kernel's word on who is at the other end (`SO_PEERCRED`) cannot be read through a ZeroMQ `ipc://` socket.
//! What guards the commands is the directory's mode and owner ([`SocketDirectory`]) and the signature on each one.

mod ack;
mod command;
mod endpoint;
mod error;
mod keys;
mod limits;
pub mod protocol;
mod publisher;
mod record;
mod role;
mod router;
mod signing;
pub mod telemetry;
mod verify;
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "generated from proto/py_rt/wire/v1, whose comments are the documentation"
)]
mod wire;

pub use ack::{Ack, Origin, Outcome, Refusal, RefusalReason, Reply};
pub use command::{
    Command, CommandId, CommandKind, CommandRef, InstrumentName, ManualOrder, Query, Scope, SlowFact,
};
pub use endpoint::{Context, Endpoint, SocketDirectory};
pub use error::{KeyError, MessagingError};
pub use keys::{KeyId, Keyring, TrustedKey};
pub use limits::{
    ACK_BYTES_MAX, BOOK_LEVELS_MAX, COMMAND_BYTES_MAX, COMMAND_VALIDITY_MAX, FEATURES_MAX, KEYS_MAX,
    PARAMETER_BYTES_MAX, QUERY_LIMIT_MAX, REASON_BYTES_MAX, SLIPPAGE_BPS_MAX, TEXT_BYTES_MAX,
};
pub use protocol::{Instruments, ProtocolError};
pub use publisher::{PublisherConfig, PublisherCounts, TelemetryPublisher};
pub use role::Role;
pub use router::{CommandServer, Delivery, Identity, Incoming, ServerConfig, ServerCounts};
pub use signing::CommandSigner;
pub use verify::{VerifiedCommand, Verifier};
