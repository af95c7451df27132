//! What the service answers.

use domain::Timestamp;

use crate::command::{CommandId, CommandRef};
use crate::keys::KeyId;
use crate::telemetry::{Fill, Order, Pnl, Position, ServiceStatus, Snapshot};

/// Which request an answer belongs to, as far as it could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// The key and counter that the request claimed.
    pub key: Option<(KeyId, u64)>,
    /// The sender's name for it; known once the signature held and the body could be read.
    pub command_id: Option<CommandId>,
}

impl From<CommandRef> for Origin {
    fn from(reference: CommandRef) -> Self {
        Self {
            key: Some((reference.key_id, reference.counter)),
            command_id: Some(reference.command_id),
        }
    }
}

/// Why nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalReason {
    /// Larger than [`crate::COMMAND_BYTES_MAX`].
    TooLarge,
    /// Not a signed command, or not in its one canonical encoding.
    Malformed,
    /// The key is not trusted.
    UnknownKey,
    /// The signature does not fit key and content.
    BadSignature,
    /// The signed body is not a command this build knows.
    MalformedBody,
    /// A value is out of range.
    InvalidValue,
    /// The key's role may not send this command.
    RoleNotAllowed,
    /// Meant for another service.
    WrongInstance,
    /// Its time has passed.
    Expired,
    /// Valid for longer than [`crate::COMMAND_VALIDITY_MAX`].
    ExpiryTooFar,
    /// The key's counter has been as high before.
    CounterReplayed,
    /// No such slot.
    UnknownSlot,
    /// No such instrument.
    UnknownInstrument,
    /// No such venue.
    UnknownVenue,
    /// No such order.
    UnknownOrder,
    /// No such bundle in the store.
    UnknownBundle,
    /// The bundle's content, signatures, stage, serial or validity was refused.
    BundleRefused,
    /// The slot has no previous bundle.
    NothingToRollBack,
    /// The strategy has no such parameter.
    UnknownParameter,
    /// The parameter's value is out of its range.
    ParameterOutOfRange,
    /// The order broke a limit or a venue rule.
    RiskDenied,
    /// A latched stop is in force.
    Stopped,
    /// Not possible in the state the service is in.
    WrongState,
    /// Too many commands are waiting.
    Busy,
    /// The service is shutting down.
    ShuttingDown,
    /// This build does not carry out the command in this form.
    Unsupported,
}

impl RefusalReason {
    /// Every reason, in the order of its declaration.
    pub const ALL: [Self; 26] = [
        Self::TooLarge,
        Self::Malformed,
        Self::UnknownKey,
        Self::BadSignature,
        Self::MalformedBody,
        Self::InvalidValue,
        Self::RoleNotAllowed,
        Self::WrongInstance,
        Self::Expired,
        Self::ExpiryTooFar,
        Self::CounterReplayed,
        Self::UnknownSlot,
        Self::UnknownInstrument,
        Self::UnknownVenue,
        Self::UnknownOrder,
        Self::UnknownBundle,
        Self::BundleRefused,
        Self::NothingToRollBack,
        Self::UnknownParameter,
        Self::ParameterOutOfRange,
        Self::RiskDenied,
        Self::Stopped,
        Self::WrongState,
        Self::Busy,
        Self::ShuttingDown,
        Self::Unsupported,
    ];

    /// The name that logs, counters and both languages use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::MalformedBody => "malformed_body",
            Self::InvalidValue => "invalid_value",
            Self::RoleNotAllowed => "role_not_allowed",
            Self::WrongInstance => "wrong_instance",
            Self::Expired => "expired",
            Self::ExpiryTooFar => "expiry_too_far",
            Self::CounterReplayed => "counter_replayed",
            Self::UnknownSlot => "unknown_slot",
            Self::UnknownInstrument => "unknown_instrument",
            Self::UnknownVenue => "unknown_venue",
            Self::UnknownOrder => "unknown_order",
            Self::UnknownBundle => "unknown_bundle",
            Self::BundleRefused => "bundle_refused",
            Self::NothingToRollBack => "nothing_to_roll_back",
            Self::UnknownParameter => "unknown_parameter",
            Self::ParameterOutOfRange => "parameter_out_of_range",
            Self::RiskDenied => "risk_denied",
            Self::Stopped => "stopped",
            Self::WrongState => "wrong_state",
            Self::Busy => "busy",
            Self::ShuttingDown => "shutting_down",
            Self::Unsupported => "unsupported",
        }
    }

    /// Whether the receiver found it before the service saw the command: the message was not let through.
    #[must_use]
    pub const fn is_found_by_receiver(self) -> bool {
        match self {
            Self::TooLarge
            | Self::Malformed
            | Self::UnknownKey
            | Self::BadSignature
            | Self::MalformedBody
            | Self::InvalidValue
            | Self::RoleNotAllowed
            | Self::WrongInstance
            | Self::Expired
            | Self::ExpiryTooFar
            | Self::CounterReplayed => true,
            Self::UnknownSlot
            | Self::UnknownInstrument
            | Self::UnknownVenue
            | Self::UnknownOrder
            | Self::UnknownBundle
            | Self::BundleRefused
            | Self::NothingToRollBack
            | Self::UnknownParameter
            | Self::ParameterOutOfRange
            | Self::RiskDenied
            | Self::Stopped
            | Self::WrongState
            | Self::Busy
            | Self::ShuttingDown
            | Self::Unsupported => false,
        }
    }
}

/// A request that was not obeyed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which request.
    pub origin: Origin,
    /// Why, for programs.
    pub reason: RefusalReason,
    /// Why, for people.
    pub text: String,
}

impl Refusal {
    /// A refusal by the service of a command that was genuine.
    pub fn of(reference: &CommandRef, reason: RefusalReason, text: impl Into<String>) -> Self {
        Self {
            origin: (*reference).into(),
            reason,
            text: text.into(),
        }
    }
}

/// The answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To [`crate::Query::Status`].
    Status(Box<ServiceStatus>),
    /// To [`crate::Query::Orders`].
    Orders {
        /// Newest first.
        orders: Vec<Order>,
        /// There were more than asked for.
        more: bool,
    },
    /// To [`crate::Query::Positions`].
    Positions(Vec<Position>),
    /// To [`crate::Query::Fills`].
    Fills {
        /// Newest first.
        fills: Vec<Fill>,
        /// There were more than asked for.
        more: bool,
    },
    /// To [`crate::Query::Pnl`].
    Pnl(Vec<Pnl>),
    /// To [`crate::Query::Snapshot`].
    Snapshot(Box<Snapshot>),
}

/// How a command went.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Genuine, allowed, handed on; the result follows.
    Accepted,
    /// Nothing was done.
    Refused {
        /// Why, for programs.
        reason: RefusalReason,
        /// Why, for people.
        text: String,
    },
    /// Done; with the answer when it was a query.
    Applied(Option<Reply>),
    /// Accepted, then it could not be carried out; the text says how far it came.
    Failed {
        /// Why, for programs, where one of them says it.
        reason: Option<RefusalReason>,
        /// How far it came and why not further.
        text: String,
    },
}

/// An acknowledgement.
#[derive(Debug, Clone, PartialEq)]
pub struct Ack {
    /// Of which request.
    pub origin: Origin,
    /// When the service decided.
    pub ts: Timestamp,
    /// How it went.
    pub outcome: Outcome,
}

impl Ack {
    /// Genuine, allowed, handed on.
    pub fn accepted(reference: &CommandRef, ts: Timestamp) -> Self {
        Self::new(reference, ts, Outcome::Accepted)
    }

    /// Done.
    pub fn applied(reference: &CommandRef, ts: Timestamp) -> Self {
        Self::new(reference, ts, Outcome::Applied(None))
    }

    /// The answer to a query.
    pub fn answer(reference: &CommandRef, ts: Timestamp, reply: Reply) -> Self {
        Self::new(reference, ts, Outcome::Applied(Some(reply)))
    }

    /// Accepted, then it could not be carried out.
    pub fn failed(
        reference: &CommandRef,
        ts: Timestamp,
        reason: Option<RefusalReason>,
        text: impl Into<String>,
    ) -> Self {
        let text = text.into();
        Self::new(reference, ts, Outcome::Failed { reason, text })
    }

    /// Nothing was done.
    pub fn refused(refusal: &Refusal, ts: Timestamp) -> Self {
        Self {
            origin: refusal.origin,
            ts,
            outcome: Outcome::Refused {
                reason: refusal.reason,
                text: refusal.text.clone(),
            },
        }
    }

    fn new(reference: &CommandRef, ts: Timestamp, outcome: Outcome) -> Self {
        Self {
            origin: (*reference).into(),
            ts,
            outcome,
        }
    }
}
