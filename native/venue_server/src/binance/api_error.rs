//! The venue's error codes, as Binance spot documents them.

use domain::Nanos;
use serde_json::{Value, json};

use crate::refusal::{Filter, Refusal};
use crate::venue::Mode;

/// An error answer: HTTP status, code and message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: i32,
    pub(crate) message: String,
    /// Seconds after which to try again, for rate limits.
    pub(crate) retry_after: Option<u64>,
}

impl ApiError {
    pub(crate) fn new(status: u16, code: i32, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    fn bad(code: i32, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    pub(crate) fn body(&self) -> Value {
        json!({ "code": self.code, "msg": self.message })
    }

    pub(crate) fn too_many_requests(limit: u64, retry_after: u64) -> Self {
        let message =
            format!("Too much request weight used; current limit is {limit} request weight per 1 MINUTE.");
        Self {
            retry_after: Some(retry_after),
            ..Self::new(429, -1003, message)
        }
    }

    pub(crate) fn banned(retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(
                418,
                -1003,
                "Way too much request weight used; IP banned until the window is over. Please use WebSocket Streams \
                 for live updates to avoid bans.",
            )
        }
    }

    pub(crate) fn too_many_orders(limit: u64) -> Self {
        Self {
            retry_after: Some(10),
            ..Self::new(
                429,
                -1015,
                format!("Too many new orders; current limit is {limit} orders per 10 SECOND."),
            )
        }
    }

    pub(crate) fn outside_window() -> Self {
        Self::bad(-1021, "Timestamp for this request is outside of the recvWindow.")
    }

    pub(crate) fn ahead_of_server() -> Self {
        Self::bad(
            -1021,
            "Timestamp for this request was 1000ms ahead of the server's time.",
        )
    }

    pub(crate) fn signature() -> Self {
        Self::bad(-1022, "Signature for this request is not valid.")
    }

    pub(crate) fn not_amended(message: &str) -> Self {
        Self::bad(-2038, message)
    }

    pub(crate) fn illegal(name: &str) -> Self {
        Self::bad(-1100, format!("Illegal characters found in parameter '{name}'."))
    }

    pub(crate) fn duplicate(name: &str) -> Self {
        Self::bad(
            -1101,
            format!("Duplicate values for parameter '{name}' detected."),
        )
    }

    pub(crate) fn missing(name: &str) -> Self {
        Self::bad(
            -1102,
            format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."),
        )
    }

    pub(crate) fn either(one: &str, other: &str) -> Self {
        Self::bad(
            -1102,
            format!("Param '{one}' or '{other}' must be sent, but both were empty/null!"),
        )
    }

    pub(crate) fn not_required(name: &str) -> Self {
        Self::bad(-1106, format!("Parameter '{name}' sent when not required."))
    }

    pub(crate) fn precision() -> Self {
        Self::bad(-1111, "Precision is over the maximum defined for this asset.")
    }

    pub(crate) fn time_in_force() -> Self {
        Self::bad(-1115, "Invalid timeInForce.")
    }

    pub(crate) fn order_type() -> Self {
        Self::bad(-1116, "Invalid orderType.")
    }

    pub(crate) fn side() -> Self {
        Self::bad(-1117, "Invalid side.")
    }

    pub(crate) fn interval() -> Self {
        Self::bad(-1120, "Invalid interval.")
    }

    pub(crate) fn symbol() -> Self {
        Self::bad(-1121, "Invalid symbol.")
    }

    pub(crate) fn window_too_large() -> Self {
        Self::bad(-1131, "recvWindow must be less than 60000.")
    }

    pub(crate) fn filter(name: &str) -> Self {
        Self::bad(-1013, format!("Filter failure: {name}"))
    }

    pub(crate) fn rejected(message: &str) -> Self {
        Self::bad(-2010, message)
    }

    pub(crate) fn balance() -> Self {
        Self::rejected("Account has insufficient balance for requested action.")
    }

    pub(crate) fn duplicate_order() -> Self {
        Self::rejected("Duplicate order sent.")
    }

    pub(crate) fn would_take() -> Self {
        Self::rejected("Order would immediately match and take.")
    }

    pub(crate) fn unknown_order() -> Self {
        Self::bad(-2011, "Unknown order sent.")
    }

    pub(crate) fn no_such_order() -> Self {
        Self::bad(-2013, "Order does not exist.")
    }

    pub(crate) fn key_format() -> Self {
        Self::new(401, -2014, "API-key format invalid.")
    }

    pub(crate) fn key_unknown() -> Self {
        Self::new(401, -2015, "Invalid API-key, IP, or permissions for action.")
    }

    pub(crate) fn logon_unsupported() -> Self {
        Self::bad(-4056, "HMAC_SHA256 API key is not supported.")
    }

    pub(crate) fn no_such_method(name: &str) -> Self {
        Self::bad(-1020, format!("This operation is not supported: {name}."))
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, -1020, "This operation is not supported.")
    }

    /// The outcome is unknown: the request may or may not have been executed.
    pub(crate) fn timeout() -> Self {
        Self::new(
            504,
            -1007,
            "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
        )
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Filter(Filter::Price) => Self::filter("PRICE_FILTER"),
            Refusal::Filter(Filter::PriceRange) => Self::filter("PERCENT_PRICE_BY_SIDE"),
            Refusal::Filter(Filter::Quantity) => Self::filter("LOT_SIZE"),
            Refusal::Filter(Filter::Notional) => Self::filter("NOTIONAL"),
            Refusal::OpenOrders => Self::filter("MAX_NUM_ORDERS"),
            Refusal::VenueOrders => Self::filter("EXCHANGE_MAX_NUM_ORDERS"),
            Refusal::DuplicateId => Self::duplicate_order(),
            Refusal::Balance => Self::balance(),
            Refusal::WouldTake => Self::would_take(),
            Refusal::UnknownOrder => Self::unknown_order(),
            Refusal::RequestRate { limit, retry_after_s } => Self::too_many_requests(limit, retry_after_s),
            Refusal::OrderRate { limit } => Self::too_many_orders(limit),
            Refusal::Mode(Mode::Maintenance) => Self::new(503, -1016, "This service is no longer available."),
            Refusal::Mode(_) => Self::bad(-1013, "Market is closed."),
            Refusal::Disabled => Self::rejected("This action is disabled on this account."),
        }
    }
}

/// The venue accepts a timestamp at most this far ahead of its own time (wall time).
pub(crate) const AHEAD_MAX: Nanos = Nanos(1_000_000_000);
/// Longest `recvWindow` in milliseconds.
pub(crate) const RECV_WINDOW_MAX_MS: i64 = 60_000;
/// `recvWindow` where none is sent, in milliseconds.
pub(crate) const RECV_WINDOW_DEFAULT_MS: i64 = 5_000;
