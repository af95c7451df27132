//! Public trades.

use crate::ids::{InstrumentId, TradeId};
use crate::order::Side;
use crate::price::{Price, Quantity};
use crate::time::Timestamp;

/// A public trade at the venue; our own executions are [`crate::Fill`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// When it happened, venue time.
    pub ts_event: Timestamp,
    /// The venue's number of it.
    pub trade_id: TradeId,
    /// Price.
    pub price: Price,
    /// Base quantity.
    pub quantity: Quantity,
    /// Side of the order that took liquidity.
    pub aggressor: Side,
}
