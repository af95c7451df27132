//! What the matching engine says happened, in order.

use domain::{Liquidity, Price, Quantity, RejectReason, Side, Timestamp, TradeId};

use super::{OrderId, Owner};

/// Why an order ended without being filled or canceled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryReason {
    /// Its time in force ended it, or there was nothing left to take.
    NothingToTake,
    /// It would have traded with an order of its own owner.
    SelfTrade,
}

/// What happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderOutcome {
    /// It was taken.
    Accepted,
    /// It was refused and never stood.
    Rejected(RejectReason),
    /// It traded.
    Filled {
        /// Number of the execution, shared with the public trade where there is one.
        trade_id: TradeId,
        /// Price.
        price: Price,
        /// Quantity of this execution.
        quantity: Quantity,
        /// Maker or taker.
        liquidity: Liquidity,
        /// What is left of the order.
        remaining: Quantity,
    },
    /// Its owner canceled it.
    Canceled {
        /// What was left of it.
        remaining: Quantity,
    },
    /// The venue ended it.
    Expired {
        /// What was left of it.
        remaining: Quantity,
        /// Why.
        reason: ExpiryReason,
    },
    /// A cancel named no open order.
    CancelRejected,
}

/// One thing that happened at the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A public trade.
    Trade {
        /// The venue's number of it: consecutive.
        trade_id: TradeId,
        /// Price.
        price: Price,
        /// Quantity.
        quantity: Quantity,
        /// Who took.
        aggressor: Side,
    },
    /// The total at a price changed; zero removes the level.
    Level {
        /// Side of the book.
        side: Side,
        /// Price.
        price: Price,
        /// Total there now, own orders included.
        quantity: Quantity,
        /// Number of the book after this change: consecutive.
        update_id: u64,
    },
    /// The best prices changed, in price or size.
    Quote(Best),
    /// Something happened to an order.
    Order {
        /// Which.
        order: OrderId,
        /// Whose.
        owner: Owner,
        /// What.
        outcome: OrderOutcome,
    },
}

/// The best prices with their sizes; a side without liquidity is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Best {
    /// Best bid and its total.
    pub bid: Option<(Price, Quantity)>,
    /// Best ask and its total.
    pub ask: Option<(Price, Quantity)>,
    /// Number of the book they were read from.
    pub update_id: u64,
}

/// Collects what happened at one point in venue time; reused, so that it does not allocate once warm.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Venue time of everything below.
    pub ts: Timestamp,
    /// What happened, in order.
    pub outputs: Vec<Output>,
}

impl Outbox {
    /// Empties it for `ts`.
    pub fn begin(&mut self, ts: Timestamp) {
        self.ts = ts;
        self.outputs.clear();
    }

    pub(super) fn push(&mut self, output: Output) {
        self.outputs.push(output);
    }

    pub(super) fn order(&mut self, order: OrderId, owner: Owner, outcome: OrderOutcome) {
        self.push(Output::Order {
            order,
            owner,
            outcome,
        });
    }
}
