//! One order as the order manager keeps it, and as others may see it.

use domain::{OrderRequest, OrderStatus, OrderTerms, Price, Quantity, Side, Timestamp};

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
    /// What it may be already: a change is on its way.
    pub(crate) amend: Option<OrderTerms>,
    /// No answer came to the change: what the venue shows next of the order decides.
    pub(crate) amend_lost: bool,
    /// What takes its place once it is canceled.
    pub(crate) replacement: Option<OrderTerms>,
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
            amend: None,
            amend_lost: false,
            replacement: None,
        }
    }

    /// Base quantity that may still trade: never negative, nothing once it ended.
    pub(crate) fn remaining(&self) -> Quantity {
        let most = self.most();
        if self.view.status.is_terminal() || self.view.filled >= most {
            return Quantity::ZERO;
        }
        Quantity::from_units(most.units() - self.view.filled.units())
    }

    /// The most that it may be asking for, a change that is on its way taken at its worst.
    pub(crate) fn most(&self) -> Quantity {
        let asked = self.view.request.quantity;
        self.amend.map_or(asked, |terms| terms.quantity.max(asked))
    }

    /// The highest price at which a buy may be valued.
    pub(crate) fn dearest(&self) -> Price {
        self.amend
            .map_or(self.value_price, |terms| terms.price.max(self.value_price))
    }

    /// The order as a next life must take it: a change that is on its way at its worst.
    pub(crate) fn worst(&self) -> OrderRequest {
        let request = self.view.request;
        let Some(terms) = self.amend else { return request };
        let price = request.price.map(|price| match request.side {
            Side::Buy => price.max(terms.price),
            Side::Sell => price.min(terms.price),
        });
        OrderRequest {
            price,
            quantity: self.most(),
            ..request
        }
    }

    /// Price and quantity as far as they are certain; `None` for a market order.
    pub(crate) fn terms(&self) -> Option<OrderTerms> {
        let OrderRequest { price, quantity, .. } = self.view.request;
        price.map(|price| OrderTerms { price, quantity })
    }

    /// Whether the two could trade with each other at the venue: opposite sides, prices that meet.
    pub(crate) fn crosses(&self, request: &OrderRequest) -> bool {
        let ours = &self.view.request;
        if ours.instrument != request.instrument || ours.side == request.side {
            return false;
        }
        let meets = |resting: Option<Price>| match (resting, request.price) {
            (Some(resting), Some(new)) => match request.side {
                Side::Buy => new >= resting,
                Side::Sell => new <= resting,
            },
            // A market order meets every price.
            _ => true,
        };
        meets(ours.price) || self.amend.is_some_and(|terms| meets(Some(terms.price)))
    }
}
