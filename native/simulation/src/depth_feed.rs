//! Gathers changes of the book into diffs on a grid of venue time, as venues publish them.

use domain::{Level, Nanos, Price, Quantity, Side, Timestamp};

/// Levels that changed since the last diff: the last state of each.
#[derive(Debug)]
pub struct DepthFeed {
    interval: Nanos,
    first_update_id: u64,
    last_update_id: u64,
    due: Timestamp,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

/// One diff; bids best first, asks best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthDiff<'a> {
    /// When it was published, venue time.
    pub ts: Timestamp,
    /// Number of the first change in it: one more than the last of the diff before.
    pub first_update_id: u64,
    /// Number of the last change in it.
    pub last_update_id: u64,
    /// Changed bids; quantity zero removes.
    pub bids: &'a [Level],
    /// Changed asks; quantity zero removes.
    pub asks: &'a [Level],
}

impl DepthFeed {
    /// A feed that publishes at most every `interval` of venue time; zero publishes every change at once.
    #[must_use]
    pub fn new(interval: Nanos) -> Self {
        Self {
            interval,
            first_update_id: 0,
            last_update_id: 0,
            due: Timestamp::EPOCH,
            bids: Vec::new(),
            asks: Vec::new(),
        }
    }

    /// Notes that a level changed at `ts`.
    pub fn note(&mut self, ts: Timestamp, side: Side, price: Price, quantity: Quantity, update_id: u64) {
        if self.bids.is_empty() && self.asks.is_empty() {
            self.first_update_id = update_id;
            self.due = if self.interval.0 > 0 {
                ts.floor_to(self.interval).plus(self.interval)
            } else {
                ts
            };
        }
        self.last_update_id = update_id;
        let (levels, found) = match side {
            Side::Buy => {
                let found = self.bids.binary_search_by(|level| price.cmp(&level.price));
                (&mut self.bids, found)
            }
            Side::Sell => {
                let found = self.asks.binary_search_by(|level| level.price.cmp(&price));
                (&mut self.asks, found)
            }
        };
        match found {
            Ok(at) => levels[at].quantity = quantity,
            Err(at) => levels.insert(at, Level { price, quantity }),
        }
    }

    /// When the next diff is due; `None` while nothing changed.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        (!self.bids.is_empty() || !self.asks.is_empty()).then_some(self.due)
    }

    /// The gathered diff, stamped with its due time.
    #[must_use]
    pub fn diff(&self) -> DepthDiff<'_> {
        DepthDiff {
            ts: self.due,
            first_update_id: self.first_update_id,
            last_update_id: self.last_update_id,
            bids: &self.bids,
            asks: &self.asks,
        }
    }

    /// Empties it after the diff was published.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }
}
