//! Kraken's words for what it refuses.

use crate::faults::Forced;
use crate::refusal::{Filter, Refusal};
use crate::venue::Mode;

/// An error string, or an HTTP status and nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    Text(String),
    Status(u16),
}

impl Failure {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// `EGeneral:Invalid arguments` with what is wrong.
    pub(crate) fn arguments(what: &str) -> Self {
        Self::Text(format!("EGeneral:Invalid arguments:{what}"))
    }

    pub(crate) fn unknown_pair() -> Self {
        Self::text("EQuery:Unknown asset pair")
    }

    pub(crate) fn unknown_order() -> Self {
        Self::text("EOrder:Unknown order")
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::text(match refusal {
            Refusal::Filter(Filter::Price) => "EOrder:Tick size check failed",
            Refusal::Filter(Filter::PriceRange) => "EOrder:Invalid price",
            Refusal::Filter(Filter::Quantity) => "EOrder:Order minimum not met",
            Refusal::Filter(Filter::Notional) => "EOrder:Cost minimum not met",
            Refusal::OpenOrders | Refusal::VenueOrders => "EOrder:Orders limit exceeded",
            Refusal::DuplicateId => "EGeneral:Invalid arguments:cl_ord_id not unique",
            Refusal::Balance => "EOrder:Insufficient funds",
            Refusal::WouldTake => "EOrder:Post only order",
            Refusal::UnknownOrder => "EOrder:Unknown order",
            Refusal::RequestRate { .. } => "EAPI:Rate limit exceeded",
            Refusal::OrderRate { .. } => "EOrder:Rate limit exceeded",
            Refusal::Mode(Mode::CancelOnly) => "EService:Market in cancel_only mode",
            Refusal::Mode(Mode::PostOnly) => "EService:Market in post_only mode",
            Refusal::Mode(_) => "EService:Unavailable",
            Refusal::Disabled => "EGeneral:Permission denied",
        })
    }
}

impl From<Forced> for Failure {
    fn from(forced: Forced) -> Self {
        match forced {
            Forced::Error { message, .. } => Self::Text(message),
            Forced::RateLimited { .. } => Self::text("EAPI:Rate limit exceeded"),
            Forced::Banned { .. } => Self::text("EGeneral:Temporary lockout"),
            Forced::Timeout => Self::text("EService:Timeout"),
            Forced::Status(status) => Self::Status(status),
        }
    }
}
