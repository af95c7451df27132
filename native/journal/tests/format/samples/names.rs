//! The name of every variant in the golden file.

use domain::MarketEvent;
use engine::{Action, EventBody};
use journal::codec::RecordedAction;

/// The variants of [`EventBody`], as many as there are.
pub const EVENT_NAMES: usize = 21;

pub fn event_name(body: &EventBody<'_>) -> &'static str {
    match body {
        EventBody::Started { .. } => "started",
        EventBody::Market(market) => match market {
            MarketEvent::Book(_) => "book",
            MarketEvent::BookInvalid(_) => "book_invalid",
            MarketEvent::Trade(_) => "trade",
            MarketEvent::Quote(_) => "quote",
            MarketEvent::InstrumentUpdated(_) => "instrument_updated",
            MarketEvent::VenueStatus(_) => "venue_status",
        },
        EventBody::HistoricalBar(_) => "historical_bar",
        EventBody::TradesComplete { .. } => "trades_complete",
        EventBody::OrderReport(_) => "order_report",
        EventBody::Balance { .. } => "balance",
        EventBody::VenuePosition(_) => "venue_position",
        EventBody::Reconciled { .. } => "reconciled",
        EventBody::Timer(_) => "timer",
        EventBody::Command(_) => "command",
        EventBody::BundleActivated(_) => "bundle_activated",
        EventBody::Ending => "ending",
        EventBody::JournalHealth(_) => "journal_health",
        EventBody::SlotCapital { .. } => "slot_capital",
        EventBody::Difference(_) => "difference",
        EventBody::Compared(_) => "compared",
    }
}

/// The variants of [`Action`], as many as there are.
pub const ACTION_NAMES: usize = 17;

pub fn action_name(action: &RecordedAction) -> &'static str {
    match action {
        RecordedAction::Submitted(_) | RecordedAction::Other(Action::Submit(_)) => "submit",
        RecordedAction::Amended(_) | RecordedAction::Other(Action::Amend(_)) => "amend",
        RecordedAction::Other(action) => match action {
            Action::Submit(_) => "submit",
            Action::Amend(_) => "amend",
            Action::Cancel(_) => "cancel",
            Action::QueryOrder(_) => "query_order",
            Action::SetTimer { .. } => "set_timer",
            Action::RequestHistory { .. } => "request_history",
            Action::BarClosed(_) => "bar_closed",
            Action::Signal(_) => "signal",
            Action::Denied { .. } => "denied",
            Action::OrderUpdate(_) => "order_update",
            Action::Fill(_) => "fill",
            Action::Position(_) => "position",
            Action::Control { .. } => "control",
            Action::CommandResult { .. } => "command_result",
            Action::BundleActivated { .. } => "bundle_activated",
            Action::BundleRefused { .. } => "bundle_refused",
            Action::Alert(_) => "alert",
        },
    }
}
