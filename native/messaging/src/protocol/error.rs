//! Why a message or a value cannot be converted.

use domain::InstrumentId;
use thiserror::Error;

/// Why a message or a value cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// Not the message it should be.
    #[error("not a {message} message: {detail}")]
    Malformed {
        /// Which message was expected.
        message: &'static str,
        /// What the decoder said.
        detail: String,
    },
    /// Decodes, but encodes to other bytes: an unknown or repeated field, or a padded number.
    #[error("{message} is not in canonical form: it has a field this build does not know, or one twice")]
    NotCanonical {
        /// Which message.
        message: &'static str,
    },
    /// An enum number that this build does not know, or UNSPECIFIED.
    #[error("{field}: {number} is not a value this build knows")]
    UnknownEnum {
        /// Which field.
        field: &'static str,
        /// Its number.
        number: i32,
    },
    /// A part that must be there is not.
    #[error("{field} is missing")]
    Missing {
        /// Which field.
        field: &'static str,
    },
    /// A value outside what is allowed.
    #[error("{field}: {got} is not allowed; {allowed}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What stood there.
        got: String,
        /// What may stand there.
        allowed: &'static str,
    },
    /// An amount that does not fit in 64 bits of 1e-8.
    #[error("{field}: {amount} does not fit the wire's 64 bits of 1e-8")]
    MoneyOutOfRange {
        /// Which field.
        field: &'static str,
        /// The amount.
        amount: String,
    },
    /// An instrument id that has no name here.
    #[error("instrument id {} has no name in this process", .0.0)]
    UnknownInstrumentId(InstrumentId),
    /// An instrument name that has no id here.
    #[error("instrument {0} is not one of this process")]
    UnknownInstrument(String),
}

impl ProtocolError {
    /// Whether the bytes themselves are wrong, as against a value in a well-formed message.
    pub const fn is_malformed(&self) -> bool {
        matches!(self, Self::Malformed { .. } | Self::NotCanonical { .. })
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "numbers, text and names alike, without a reference at each call"
    )]
    pub(crate) fn invalid(field: &'static str, got: impl ToString, allowed: &'static str) -> Self {
        Self::Invalid {
            field,
            got: got.to_string(),
            allowed,
        }
    }
}
