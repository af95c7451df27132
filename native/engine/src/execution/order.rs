//! One order as the order manager keeps it, and as others may see it.

use domain::{OrderRequest, OrderStatus, Price, Quantity, Side, Timestamp};

use super::transition::OrderFacts;
use crate::action::OrderUpdate;

/// One of our orders, for snapshots and reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderView {
    /// What was asked for.
    pub request: OrderRequest,
    /// Its state.
    pub status: OrderStatus,
    /// Base quantity filled.
    pub filled: Quantity,
    /// When it was handed to the gateway, engine time.
    pub submitted_at: Timestamp,
}

impl OrderView {
    /// The update that tells of this state.
    pub(crate) const fn update(&self) -> OrderUpdate {
        OrderUpdate {
            client_order_id: self.request.client_order_id,
            instrument: self.request.instrument,
            status: self.status,
            filled: self.filled,
            quantity: self.request.quantity,
        }
    }
}

/// A live order with what its supervision needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) view: OrderView,
    pub(crate) facts: OrderFacts,
    /// Price at which its unfilled part is valued: its limit, or for a market order the price it met.
    pub(crate) value_price: Price,
    /// Counts up over all orders of an engine; names the order in its timers.
    pub(crate) serial: u32,
    /// When the venue's silence is noticed.
    pub(crate) watch_at: Timestamp,
    /// When its unfilled rest is canceled.
    pub(crate) timeout_at: Option<Timestamp>,
    /// Someone wants it canceled: asked again when it turns out to be alive.
    pub(crate) cancel_wanted: bool,
    pub(crate) cancel_attempts: u8,
    pub(crate) queries: u8,
}

impl Order {
    /// A new order, not yet judged.
    pub(crate) const fn new(request: OrderRequest, value_price: Price, now: Timestamp) -> Self {
        Self {
            view: OrderView {
                request,
                status: OrderStatus::Initialized,
                filled: Quantity::ZERO,
                submitted_at: now,
            },
            facts: OrderFacts {
                acknowledged: false,
                partly_filled: false,
            },
            value_price,
            serial: 0,
            watch_at: now,
            timeout_at: None,
            cancel_wanted: false,
            cancel_attempts: 0,
            queries: 0,
        }
    }

    /// Base quantity that may still trade: never negative, nothing once it ended.
    pub(crate) fn remaining(&self) -> Quantity {
        if self.view.status.is_terminal() || self.view.filled >= self.view.request.quantity {
            return Quantity::ZERO;
        }
        Quantity::from_units(self.view.request.quantity.units() - self.view.filled.units())
    }

    /// Whether the two could trade with each other at the venue: opposite sides, prices that meet.
    pub(crate) fn crosses(&self, request: &OrderRequest) -> bool {
        let ours = &self.view.request;
        if ours.instrument != request.instrument || ours.side == request.side {
            return false;
        }
        match (ours.price, request.price) {
            (Some(resting), Some(new)) => match request.side {
                Side::Buy => new >= resting,
                Side::Sell => new <= resting,
            },
            // A market order meets every price.
            _ => true,
        }
    }
}
