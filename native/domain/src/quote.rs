//! Quotes: best bid and ask.

use crate::ids::InstrumentId;
use crate::price::{Price, Quantity};
use crate::time::Timestamp;

/// The best bid and ask with their sizes, as the venue sent them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Venue time; where the venue sends none, the newest it has said before.
    pub ts_event: Timestamp,
    /// The venue's update number of the book, zero where it sends none.
    pub update_id: u64,
    /// Best bid.
    pub bid: Price,
    /// Quantity at the best bid.
    pub bid_quantity: Quantity,
    /// Best ask.
    pub ask: Price,
    /// Quantity at the best ask.
    pub ask_quantity: Quantity,
}
