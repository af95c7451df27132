//! What a venue can tell about a market: a closed set.

use crate::ids::InstrumentId;
use crate::instrument::Instrument;
use crate::price::{Price, Quantity};
use crate::quote::Quote;
use crate::time::Timestamp;
use crate::trade::Trade;
use crate::venue::Venue;

/// One price level. A quantity of zero in an update removes the level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Price.
    pub price: Price,
    /// Total quantity resting there.
    pub quantity: Quantity,
}

/// Whether an update replaces the book or changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookUpdateKind {
    /// The levels are the whole known book. A side whose farthest level has a quantity of zero is known up to it only: from
    /// its price on levels may be missing, also when changes tell of some.
    Snapshot,
    /// The levels replace those of the same price; quantity zero removes.
    Delta,
}

/// An update of an L2 book that the venue's sequencer has proven to be the next one.
///
/// Borrows its levels from the parser's buffer, so that the hot path does not allocate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookUpdate<'a> {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Venue time.
    pub ts_event: Timestamp,
    /// Snapshot or delta.
    pub kind: BookUpdateKind,
    /// The venue's number of the book after this update.
    pub update_id: u64,
    /// Changed bids.
    pub bids: &'a [Level],
    /// Changed asks.
    pub asks: &'a [Level],
}

/// Why a book must not be traded on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookInvalidReason {
    /// An update is missing.
    Gap,
    /// The connection is gone.
    Disconnected,
    /// Best bid at or above best ask.
    Crossed,
    /// The best level disagrees with an independent stream.
    BestLevelMismatch,
    /// Nothing has been heard for too long.
    Stale,
    /// A message could not be parsed.
    Malformed,
    /// The venue's checksum of the book is not ours.
    Checksum,
}

/// A book became invalid: nothing trades on it until the next snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookInvalid {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Why.
    pub reason: BookInvalidReason,
}

/// The state of a venue as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VenueState {
    /// Market data and order entry are up.
    Online,
    /// Not connected, or in maintenance: no new orders.
    Offline,
}

/// A venue changed state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VenueStatus {
    /// Which venue.
    pub venue: Venue,
    /// Its state now.
    pub state: VenueState,
}

/// Everything a venue can tell about markets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarketEvent<'a> {
    /// The order book changed.
    Book(BookUpdate<'a>),
    /// The order book cannot be trusted any more.
    BookInvalid(BookInvalid),
    /// A public trade.
    Trade(Trade),
    /// Best bid and ask.
    Quote(Quote),
    /// Order rules or status of an instrument were loaded or changed.
    InstrumentUpdated(Instrument),
    /// The venue went up or down.
    VenueStatus(VenueStatus),
}
