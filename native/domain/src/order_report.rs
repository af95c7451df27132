//! What a venue reports about our orders and our account.

use crate::ids::{ClientOrderId, InstrumentId, TradeId, VenueOrderId};
use crate::money::{Currency, Money};
use crate::order::{OrderStatus, OrderTerms, Side};
use crate::price::{Price, Quantity};
use crate::time::Timestamp;

/// Whether our order made or took liquidity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Liquidity {
    /// It was resting.
    Maker,
    /// It crossed.
    Taker,
}

/// One execution of one of our orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// The venue's number of the execution: the key that makes booking idempotent.
    pub trade_id: TradeId,
    /// Price.
    pub price: Price,
    /// Base quantity, positive.
    pub quantity: Quantity,
    /// Direction of our order.
    pub side: Side,
    /// What the venue took, in whichever asset it took it.
    pub fee: Money,
    /// Maker or taker.
    pub liquidity: Liquidity,
}

/// Why a venue refused an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// A filter: tick, lot, notional, price range.
    Filter,
    /// Not enough balance.
    InsufficientBalance,
    /// A post-only order would have taken liquidity.
    WouldTake,
    /// The venue's order or request rate.
    RateLimit,
    /// The client order id is in use by a live order: proof that the first one is open.
    DuplicateId,
    /// The signature, key or timestamp was refused.
    Authentication,
    /// The instrument does not trade now.
    NotTrading,
    /// Anything else, definite all the same.
    Other,
}

/// Why a cancel had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CancelRejectReason {
    /// The venue has no such open order: it may have ended already.
    UnknownOrder,
    /// Anything else.
    Other,
}

/// Why an order was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AmendRejectReason {
    /// The venue has no such open order: it may have ended already.
    UnknownOrder,
    /// The venue changes no orders, or none of this kind.
    NotOffered,
    /// Anything else, or the request did not leave: the order is as it was.
    Other,
}

/// What the venue says of an order when asked: for reconciliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderSnapshot {
    /// The order's state at the venue.
    pub status: OrderStatus,
    /// Quantity executed so far.
    pub filled: Quantity,
}

/// What happened to one of our orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderReportKind {
    /// The venue took it.
    Accepted(VenueOrderId),
    /// The venue refused it; definite.
    Rejected(RejectReason),
    /// Never reached the wire: egress refused it (kill latch, epoch, connection down); definite.
    NotSent,
    /// The outcome is unknown: timeout, connection lost, server error after sending.
    OutcomeUnknown,
    /// It traded.
    Filled(Fill),
    /// Canceled; what was filled before stays filled.
    Canceled,
    /// The cancel had no effect.
    CancelRejected(CancelRejectReason),
    /// The venue ended it.
    Expired,
    /// The answer to a query: the order exists in this state.
    Found(OrderSnapshot),
    /// The answer to a query, agreed by open orders, the order itself and the trades list after the
    /// time in which it could still have arrived: it was not placed.
    NotFound,
    /// Its price and quantity are these now.
    Amended(OrderTerms),
    /// It was not changed.
    AmendRejected(AmendRejectReason),
}

/// A report about one of our orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderReport {
    /// Which order.
    pub client_order_id: ClientOrderId,
    /// Its instrument.
    pub instrument: InstrumentId,
    /// Venue time, or the receive time where there is none.
    pub ts_event: Timestamp,
    /// What happened.
    pub kind: OrderReportKind,
}

/// Free and locked balance of one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// The asset.
    pub currency: Currency,
    /// Available for new orders, units of 1e-8.
    pub free: Quantity,
    /// Reserved by open orders, units of 1e-8.
    pub locked: Quantity,
}
