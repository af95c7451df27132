//! What can go wrong between us and a venue.

use domain::{FixedPointError, InstrumentId, Nanos};
use thiserror::Error;

use crate::clock::ClockError;
use crate::secret::SecretError;

/// Why bytes from a venue were refused. The bytes themselves are not repeated: they may be large.
#[derive(Debug, Error)]
pub enum ParseError {
    /// Not JSON, or JSON of another shape.
    #[error("not the expected JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A number that is not exact at 1e-8.
    #[error("field {field:?}: {source}")]
    Number {
        /// Which field.
        field: &'static str,
        /// Why it is not a number of ours.
        #[source]
        source: FixedPointError,
    },
    /// A value outside what the field may hold.
    #[error("field {field:?}: {problem}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What is wrong and what is allowed.
        problem: &'static str,
    },
    /// More elements than the named bound.
    #[error("field {field:?}: more than {max} elements")]
    TooMany {
        /// Which field.
        field: &'static str,
        /// The bound.
        max: usize,
    },
}

/// Why an order could not be turned into bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// A limit order without a price, or a market order with one.
    #[error("a limit order needs a price and a market order has none")]
    Price,
    /// Price or quantity is not positive.
    #[error("price and quantity must be positive")]
    NotPositive,
    /// The order names another instrument than the one given.
    #[error("the order is for another instrument than the one given")]
    Instrument,
    /// A combination that the venue does not have.
    #[error("a post-only order is a limit order that stays until canceled")]
    PostOnly,
    /// A time in force that the venue does not have.
    #[error("the venue has no such time in force")]
    TimeInForce,
}

/// Everything this crate reports as a fault. Outcomes of orders are reports, not errors.
#[derive(Debug, Error)]
pub enum VenueError {
    /// A setting that cannot work.
    #[error("setting {setting}: {problem}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// What is wrong and what is allowed.
        problem: String,
    },
    /// A signed request without an API key.
    #[error("this request is signed and no credentials were given: set the API key and its secret")]
    NoCredentials,
    /// A key could not be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The venue's clock could not be estimated.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The order cannot be put into the venue's words.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// An instrument that is not in the table.
    #[error("instrument {} is not in this session's table", .0.0)]
    UnknownInstrument(InstrumentId),
    /// A symbol that the venue does not list.
    #[error("the venue does not list {symbol}: check the symbols in the service's file")]
    UnknownSymbol {
        /// The venue's string as it was asked for.
        symbol: String,
    },
    /// The venue sent something unreadable.
    #[error("malformed {what}: {source}")]
    Malformed {
        /// Which message or answer.
        what: &'static str,
        /// Where it deviates.
        #[source]
        source: ParseError,
    },
    /// An answer larger than its bound.
    #[error("{request}: answer larger than {max} bytes")]
    TooLarge {
        /// Which request.
        request: &'static str,
        /// The bound, bytes.
        max: usize,
    },
    /// The venue refused a request.
    #[error("{request} refused: HTTP {status}, code {code}: {message}")]
    Refused {
        /// Which request.
        request: &'static str,
        /// HTTP status.
        status: u16,
        /// The venue's own code, zero where it sent none.
        code: i64,
        /// The venue's words, shortened.
        message: String,
    },
    /// Our own rate budget refused a request, or the venue told us to wait.
    #[error("{request} not sent: rate budget used up, free again in {} ms", .retry_after.0 / 1_000_000)]
    RateLimited {
        /// Which request.
        request: &'static str,
        /// Wall time until it may be tried again.
        retry_after: Nanos,
    },
    /// The connection could not be made: the request did not leave.
    #[error("{request} not sent, no connection: {detail}")]
    NotConnected {
        /// Which request.
        request: &'static str,
        /// What the transport said.
        detail: String,
    },
    /// A stop came before the request went onto the connection.
    #[error("{request} not sent: a stop came before it left")]
    Stopped {
        /// Which request.
        request: &'static str,
    },
    /// The connection broke or timed out after the request may have left.
    #[error("{request}: no answer: {detail}")]
    NoAnswer {
        /// Which request.
        request: &'static str,
        /// What the transport said.
        detail: String,
    },
}

impl VenueError {
    /// Whether only a person can heal it (configuration, keys), so that retrying is pointless.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::Setting { .. }
                | Self::NoCredentials
                | Self::Secret(_)
                | Self::Encode(_)
                | Self::UnknownInstrument(_)
                | Self::UnknownSymbol { .. }
        ) || matches!(self, Self::Refused { code, status, message, .. }
            if *status == UNAUTHORIZED_STATUS || is_authentication(*code, message))
    }

    /// What kind of failure it is, for whoever counts.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Refused { status, message, .. } => {
                let says = |words: &[&str]| words.iter().any(|word| message.starts_with(word));
                if RATE_STATUSES.contains(status) || says(&RATE_WORDS) {
                    FailureClass::RateLimit
                } else if *status >= FAILING_STATUS || says(&FAILING_WORDS) {
                    FailureClass::Unavailable
                } else if self.is_fatal() {
                    FailureClass::Authentication
                } else {
                    FailureClass::Refused
                }
            }
            Self::RateLimited { .. } | Self::Stopped { .. } => FailureClass::NotSent,
            Self::NotConnected { .. } => FailureClass::NotConnected,
            Self::NoAnswer { .. } => FailureClass::NoAnswer,
            Self::Malformed { .. } | Self::TooLarge { .. } => FailureClass::Malformed,
            _ => FailureClass::Other,
        }
    }
}

/// Kinds of failure of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The venue does not accept key or signature.
    Authentication,
    /// The venue's rate of requests is used up.
    RateLimit,
    /// The venue itself fails.
    Unavailable,
    /// Any other refusal of the venue.
    Refused,
    /// It did not leave: our own budget, or a stop.
    NotSent,
    /// No connection could be made.
    NotConnected,
    /// It may have left, and no answer came.
    NoAnswer,
    /// The answer could not be read.
    Malformed,
    /// Something of our own, such as a setting.
    Other,
}

impl FailureClass {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Authentication,
        Self::RateLimit,
        Self::Unavailable,
        Self::Refused,
        Self::NotSent,
        Self::NotConnected,
        Self::NoAnswer,
        Self::Malformed,
        Self::Other,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::RateLimit => "rate_limit",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::NotSent => "not_sent",
            Self::NotConnected => "not_connected",
            Self::NoAnswer => "no_answer",
            Self::Malformed => "malformed",
            Self::Other => "other",
        }
    }
}

/// HTTP statuses that say "too many requests", and of the ban that follows on Binance.
const RATE_STATUSES: [u16; 2] = [429, 418];

/// The same of a venue that has words instead (Kraken).
const RATE_WORDS: [&str; 3] = [
    "EAPI:Rate limit",
    "EOrder:Rate limit",
    "EGeneral:Temporary lockout",
];

/// HTTP: from here on the venue itself fails.
const FAILING_STATUS: u16 = 500;

/// The same of a venue that has words instead (Kraken).
const FAILING_WORDS: [&str; 2] = ["EService:", "EGeneral:Internal error"];

/// The HTTP status that says "this key or signature is not accepted", where a venue has no codes.
const UNAUTHORIZED_STATUS: u16 = 401;

/// Whether a refusal says it by number or in words.
fn is_authentication(code: i64, message: &str) -> bool {
    AUTHENTICATION_CODES.contains(&code) || AUTHENTICATION_WORDS.iter().any(|word| message.starts_with(word))
}

/// Venue codes that say "this key or signature is not accepted".
pub(crate) const AUTHENTICATION_CODES: [i64; 4] = [-1002, -1022, -2014, -2015];

/// The same of a venue that has words instead (Kraken).
const AUTHENTICATION_WORDS: [&str; 3] = [
    "EAPI:Invalid key",
    "EAPI:Invalid signature",
    "EGeneral:Permission denied",
];
