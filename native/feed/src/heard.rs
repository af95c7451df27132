//! Who listens to what the protocols make of a recording.

use std::ops::ControlFlow;

use domain::{InstrumentId, Level, MarketEvent, Timestamp};

use crate::wire::Wire;

/// One event, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Which session, counted in order of time from 0.
    pub session: usize,
    /// Its wire.
    pub wire: Wire,
    /// The venue's symbol; empty where the event is of no instrument.
    pub symbol: &'a str,
    /// When the message came that it follows from.
    pub ts_received: Timestamp,
    /// The event.
    pub event: &'a MarketEvent<'a>,
    /// Best bid and ask of the instrument's book after it, as they follow from all events heard so far.
    pub best: [Option<Level>; 2],
}

/// Hears events in the order in which they happened.
pub trait Listener {
    /// What follows happened at this time. `Break` ends the listening.
    fn wait_until(&mut self, _at: Timestamp) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Hears one event.
    fn hear(&mut self, heard: &Heard<'_>);
}

/// Hears nothing.
pub(crate) struct Deaf;

impl Listener for Deaf {
    fn hear(&mut self, _heard: &Heard<'_>) {}
}

/// Of which instrument an event is.
pub(crate) const fn instrument(event: &MarketEvent<'_>) -> Option<InstrumentId> {
    match event {
        MarketEvent::Book(update) => Some(update.instrument),
        MarketEvent::BookInvalid(invalid) => Some(invalid.instrument),
        MarketEvent::Trade(trade) => Some(trade.instrument),
        MarketEvent::Quote(quote) => Some(quote.instrument),
        MarketEvent::InstrumentUpdated(instrument) => Some(instrument.id),
        MarketEvent::VenueStatus(_) => None,
    }
}

/// The word for why a book is invalid.
pub(crate) const fn invalid_word(reason: domain::BookInvalidReason) -> &'static str {
    use domain::BookInvalidReason as Reason;
    match reason {
        Reason::Gap => "gap",
        Reason::Disconnected => "disconnected",
        Reason::Crossed => "crossed",
        Reason::BestLevelMismatch => "best_level_mismatch",
        Reason::Stale => "stale",
        Reason::Malformed => "malformed",
        Reason::Checksum => "checksum",
    }
}

/// The word for who took a trade.
pub(crate) const fn side_word(side: domain::Side) -> &'static str {
    match side {
        domain::Side::Buy => "buy",
        domain::Side::Sell => "sell",
    }
}
