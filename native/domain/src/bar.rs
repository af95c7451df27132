//! Bars: what happened in one interval of venue time.

use crate::ids::InstrumentId;
use crate::price::{Price, Quantity};
use crate::time::{Nanos, Timestamp};

/// Open, high, low, close and volume of one interval `[ts_open, ts_open + span)`.
///
/// An interval without a trade is an empty bar: all four prices are the previous close and the
/// volume is zero. Empty bars are the same offline and online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Start of the interval, venue time, on the grid of `span`.
    pub ts_open: Timestamp,
    /// Length of the interval.
    pub span: Nanos,
    /// First trade.
    pub open: Price,
    /// Highest trade.
    pub high: Price,
    /// Lowest trade.
    pub low: Price,
    /// Last trade.
    pub close: Price,
    /// Base quantity traded.
    pub volume: Quantity,
}

impl Bar {
    /// End of the interval (exclusive), venue time.
    #[must_use]
    pub const fn ts_close(&self) -> Timestamp {
        self.ts_open.plus(self.span)
    }

    /// Number of the interval since the epoch: the grid position that anchors recursive features.
    #[must_use]
    pub const fn number(&self) -> i64 {
        if self.span.0 <= 0 {
            0
        } else {
            self.ts_open.nanos().div_euclid(self.span.0)
        }
    }

    /// Whether low <= open, close <= high, all prices are positive and the volume is not negative.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let (low, high) = (self.low, self.high);
        low > Price::ZERO
            && low <= self.open
            && self.open <= high
            && low <= self.close
            && self.close <= high
            && self.volume >= Quantity::ZERO
    }
}
