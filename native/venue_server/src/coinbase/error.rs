//! Coinbase's words for what it refuses.

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::faults::Forced;
use crate::refusal::{Filter, Refusal};
use crate::shared::{json_text, status_only};

/// Why there is no answer of the call's own form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// HTTP 401 with one word.
    Unauthorized,
    /// A status with an error and its message.
    Error {
        status: u16,
        error: String,
        message: String,
    },
    /// Too many requests.
    RateLimited(u64),
    /// A status and nothing more.
    Status(u16),
}

impl Failure {
    pub(super) fn invalid(message: &str) -> Self {
        Self::Error {
            status: 400,
            error: "INVALID_ARGUMENT".to_owned(),
            message: message.to_owned(),
        }
    }

    pub(super) fn not_found(message: &str) -> Self {
        Self::Error {
            status: 404,
            error: "NOT_FOUND".to_owned(),
            message: message.to_owned(),
        }
    }

    pub(super) fn into_response(self) -> Response {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized\n").into_response(),
            Self::Error {
                status,
                error,
                message,
            } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
                let body = json!({ "error": error, "error_details": message, "message": message });
                json_text(status, body.to_string())
            }
            Self::RateLimited(seconds) => {
                let body = json!({
                    "error": "RESOURCE_EXHAUSTED",
                    "error_details": "too many requests",
                    "message": "too many requests",
                });
                let mut response = json_text(StatusCode::TOO_MANY_REQUESTS, body.to_string());
                response.headers_mut().insert(RETRY_AFTER, seconds.into());
                response
            }
            Self::Status(status) => status_only(status),
        }
    }
}

impl From<Forced> for Failure {
    fn from(forced: Forced) -> Self {
        match forced {
            Forced::Error { message, .. } => Self::Error {
                status: 400,
                error: message.clone(),
                message,
            },
            Forced::RateLimited { retry_after_s } => Self::RateLimited(retry_after_s),
            // The venue's edge bans with 403.
            Forced::Banned { .. } => Self::Status(403),
            Forced::Timeout => Self::Error {
                status: 500,
                error: "INTERNAL".to_owned(),
                message: "deadline exceeded; the outcome is not known".to_owned(),
            },
            Forced::Status(status) => Self::Status(status),
        }
    }
}

/// The venue's word for a refused order, and for the same in a preview.
pub(super) fn order_reason(refusal: Refusal) -> (&'static str, &'static str) {
    match refusal {
        Refusal::Filter(Filter::Price) => ("INVALID_PRICE_PRECISION", "PREVIEW_INVALID_PRICE_PRECISION"),
        Refusal::Filter(Filter::PriceRange) => ("INVALID_LIMIT_PRICE", "PREVIEW_INVALID_LIMIT_PRICE"),
        Refusal::Filter(Filter::Quantity) => {
            ("UNKNOWN_FAILURE_REASON", "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL")
        }
        Refusal::Filter(Filter::Notional) => {
            ("UNKNOWN_FAILURE_REASON", "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL")
        }
        Refusal::Balance => ("INSUFFICIENT_FUND", "PREVIEW_INSUFFICIENT_FUND"),
        Refusal::WouldTake => (
            "INVALID_LIMIT_PRICE_POST_ONLY",
            "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY",
        ),
        _ => ("ORDER_ENTRY_DISABLED", "UNKNOWN_PREVIEW_FAILURE_REASON"),
    }
}

/// The answer to an order that was refused.
pub(super) fn refused_order(error: &str, preview: &str, configuration: &Value) -> Value {
    json!({
        "success": false,
        "error_response": {
            "error": error,
            "message": message(error, preview),
            "error_details": "",
            "preview_failure_reason": preview,
            "new_order_failure_reason": "UNKNOWN_FAILURE_REASON",
        },
        "order_configuration": configuration,
    })
}

fn message(error: &str, preview: &str) -> &'static str {
    match (error, preview) {
        ("INSUFFICIENT_FUND", _) => "Insufficient balance in source account",
        ("INVALID_LIMIT_PRICE_POST_ONLY", _) => "Post only limit price would cross the book",
        ("INVALID_PRICE_PRECISION", _) => "Too many decimals in order price",
        ("INVALID_PRODUCT_ID", _) => "Invalid product_id",
        (_, "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL" | "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL") => {
            "Order size too small"
        }
        _ => "",
    }
}
