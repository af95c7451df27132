//! Orders as we ask for them, and the states they pass.

use std::fmt;

use crate::ids::{ClientOrderId, InstrumentId};
use crate::price::{Price, Quantity};
use crate::time::Timestamp;

/// Buy or sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Takes base, pays quote.
    Buy,
    /// Gives base, takes quote.
    Sell,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// `+1` for a buy, `-1` for a sell: the direction of the position's change.
    #[must_use]
    pub const fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        })
    }
}

/// How an order is priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderType {
    /// At the best prices there are, now.
    Market,
    /// At a price or better.
    Limit,
}

/// How long an order stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeInForce {
    /// Until filled or canceled.
    Gtc,
    /// Fill what is possible at once, cancel the rest.
    Ioc,
    /// Fill all at once or nothing.
    Fok,
    /// Until filled, canceled, or this time. Where the venue has no such word, it is canceled then.
    Gtd(Timestamp),
}

impl TimeInForce {
    /// Whether what is not filled at once stays.
    #[must_use]
    pub const fn rests(self) -> bool {
        matches!(self, Self::Gtc | Self::Gtd(_))
    }
}

/// A new order, before the venue has seen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderRequest {
    /// Our identifier; unique for ever.
    pub client_order_id: ClientOrderId,
    /// What to trade.
    pub instrument: InstrumentId,
    /// Direction.
    pub side: Side,
    /// Market or limit.
    pub order_type: OrderType,
    /// Limit price; `None` for a market order.
    pub price: Option<Price>,
    /// Base quantity, positive.
    pub quantity: Quantity,
    /// How long it stays.
    pub time_in_force: TimeInForce,
    /// Refuse to take liquidity: rejected if it would.
    pub post_only: bool,
    /// Only ever reduces the position.
    pub reduce_only: bool,
}

/// A request to cancel one of our orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelRequest {
    /// Which order.
    pub client_order_id: ClientOrderId,
    /// Its instrument.
    pub instrument: InstrumentId,
}

/// A request to change one of our orders where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmendRequest {
    /// Which order.
    pub client_order_id: ClientOrderId,
    /// Its instrument.
    pub instrument: InstrumentId,
    /// What it is to be.
    pub terms: OrderTerms,
}

/// What of a resting order can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderTerms {
    /// Its limit.
    pub price: Price,
    /// Its base quantity in all: what has traded is counted.
    pub quantity: Quantity,
}

/// The state of one of our orders.
///
/// ```text
/// Initialized -> Denied                              (risk refused it; it never left)
/// Initialized -> Submitted -> Accepted -> PartiallyFilled -> Filled
///                         \-> Rejected  \-> PendingCancel -> Canceled | Filled
///                         \-> Unknown   \-> Expired
/// ```
/// `Unknown` is a state, not a no: the order may be live, so it keeps its worst-case exposure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// Made by the strategy, not yet judged.
    Initialized,
    /// Approved and handed to the venue's gateway; no answer yet.
    Submitted,
    /// Resting at the venue.
    Accepted,
    /// Part of it has traded.
    PartiallyFilled,
    /// All of it has traded.
    Filled,
    /// A cancel is on its way.
    PendingCancel,
    /// Canceled, perhaps after partial fills.
    Canceled,
    /// The venue refused it.
    Rejected,
    /// Risk refused it before it left.
    Denied,
    /// The venue ended it (time in force, self-trade prevention).
    Expired,
    /// No definite answer: it may be live.
    Unknown,
}

impl OrderStatus {
    /// Whether the order can never trade again.
    ///
    /// A late fill of a terminal order is still booked: position truth comes first.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Filled | Self::Canceled | Self::Rejected | Self::Denied | Self::Expired
        )
    }
}
