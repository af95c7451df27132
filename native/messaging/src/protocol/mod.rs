//! Domain to wire and back: total, and refusing by name.
//!
//! Every number of an enum that this build does not know, every value out of its range and every missing message
//! is a [`ProtocolError`] that names the field. A command must besides be in its one canonical encoding, so that a
//! field this build does not know cannot be skipped over.

mod acks;
mod commands;
mod envelopes;
mod error;
mod instruments;
mod records;
mod status;
mod values;

pub use acks::{decode_ack, encode_ack};
pub use commands::{decode_command, encode_command};
pub use envelopes::{decode_envelope, encode_envelope};
pub use error::ProtocolError;
pub use instruments::Instruments;

pub(crate) use commands::{SignedParts, decode_signed, encode_signed};
pub(crate) use envelopes::{Heading, encode_telemetry};
