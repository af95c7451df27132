//! The book: the crowd's quantity at each level, and own orders queued in it.

use domain::{Price, Quantity, Side};

use super::{OrderId, Owner};

/// The crowd's total at a price.
#[derive(Debug, Clone, Copy)]
pub(super) struct CrowdLevel {
    pub(super) price: Price,
    pub(super) quantity: i64,
}

/// An own order in the queue of its level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resting {
    pub(super) order: OrderId,
    pub(super) owner: Owner,
    pub(super) price: Price,
    pub(super) remaining: i64,
    /// The crowd's quantity that is served first: at most the level's total.
    pub(super) ahead: i64,
}

/// One side, worst price first: the best is at the end, where it is cheap to change.
#[derive(Debug)]
pub(super) struct BookSide {
    pub(super) side: Side,
    pub(super) crowd: Vec<CrowdLevel>,
    /// Own orders in the order in which they are served: best price first, then first come.
    pub(super) own: Vec<Resting>,
}

impl BookSide {
    pub(super) fn new(side: Side) -> Self {
        Self {
            side,
            crowd: Vec::new(),
            own: Vec::new(),
        }
    }

    /// Whether `price` is served before `other` on this side.
    pub(super) fn is_better(&self, price: Price, other: Price) -> bool {
        match self.side {
            Side::Buy => price > other,
            Side::Sell => price < other,
        }
    }

    /// Best price of crowd and own orders.
    pub(super) fn best(&self) -> Option<Price> {
        let crowd = self.crowd.last().map(|level| level.price);
        let own = self.own.first().map(|order| order.price);
        match (crowd, own) {
            (Some(one), Some(other)) => Some(if self.is_better(one, other) { one } else { other }),
            (one, other) => one.or(other),
        }
    }

    /// Total at a price, own orders included.
    pub(super) fn total(&self, price: Price) -> i64 {
        self.own_at(price)
            .map(|order| order.remaining)
            .fold(self.crowd_at(price), i64::saturating_add)
    }

    pub(super) fn crowd_at(&self, price: Price) -> i64 {
        self.find(price).map_or(0, |at| self.crowd[at].quantity)
    }

    pub(super) fn own_at(&self, price: Price) -> impl Iterator<Item = &Resting> {
        self.own.iter().filter(move |order| order.price == price)
    }

    /// The first own order at a price.
    pub(super) fn first_own_at(&self, price: Price) -> Option<usize> {
        self.own.iter().position(|order| order.price == price)
    }

    fn find(&self, price: Price) -> Result<usize, usize> {
        match self.side {
            Side::Buy => self.crowd.binary_search_by(|level| level.price.cmp(&price)),
            Side::Sell => self.crowd.binary_search_by(|level| price.cmp(&level.price)),
        }
    }

    /// The crowd adds at the back of the queue.
    pub(super) fn add_crowd(&mut self, price: Price, quantity: i64) {
        match self.find(price) {
            Ok(at) => self.crowd[at].quantity = self.crowd[at].quantity.saturating_add(quantity),
            Err(at) => self.crowd.insert(at, CrowdLevel { price, quantity }),
        }
    }

    /// The crowd cancels: each own order's share ahead shrinks in proportion, rounded against it.
    pub(super) fn cancel_crowd(&mut self, price: Price, quantity: i64) {
        let Ok(at) = self.find(price) else {
            return;
        };
        let level = self.crowd[at].quantity;
        let gone = quantity.min(level);
        for order in self.own.iter_mut().filter(|order| order.price == price) {
            let share = i128::from(gone) * i128::from(order.ahead) / i128::from(level);
            order.ahead -= i64::try_from(share).unwrap_or(0);
        }
        self.set_crowd(at, level - gone);
    }

    /// The crowd's quantity at the front of the queue is consumed by `quantity`, which is there.
    pub(super) fn consume_crowd(&mut self, price: Price, quantity: i64) {
        let Ok(at) = self.find(price) else {
            return;
        };
        let left = self.crowd[at].quantity - quantity;
        for order in self.own.iter_mut().filter(|order| order.price == price) {
            order.ahead = (order.ahead - quantity).max(0);
        }
        self.set_crowd(at, left);
    }

    /// The crowd's quantity at the back of the queue leaves, at most `quantity`.
    pub(super) fn shorten_crowd(&mut self, price: Price, quantity: i64) {
        let Ok(at) = self.find(price) else {
            return;
        };
        let left = (self.crowd[at].quantity - quantity).max(0);
        for order in self.own.iter_mut().filter(|order| order.price == price) {
            order.ahead = order.ahead.min(left);
        }
        self.set_crowd(at, left);
    }

    fn set_crowd(&mut self, at: usize, quantity: i64) {
        if quantity > 0 {
            self.crowd[at].quantity = quantity;
        } else {
            self.crowd.remove(at);
        }
    }

    /// Puts an own order at the back of its level.
    pub(super) fn rest(&mut self, mut order: Resting) {
        order.ahead = self.crowd_at(order.price);
        let at = self
            .own
            .partition_point(|other| !self.is_better(order.price, other.price));
        self.own.insert(at, order);
    }

    /// Best prices first: `(price, total)`, at most `limit`.
    pub(super) fn depth(&self, limit: usize, out: &mut Vec<(Price, Quantity)>) {
        out.clear();
        let (mut crowd, mut own) = (self.crowd.len(), 0);
        while out.len() < limit {
            let crowd_price = crowd.checked_sub(1).map(|at| self.crowd[at].price);
            let own_price = self.own.get(own).map(|order| order.price);
            let price = match (crowd_price, own_price) {
                (Some(one), Some(other)) => {
                    if self.is_better(one, other) {
                        one
                    } else {
                        other
                    }
                }
                (Some(one), None) => one,
                (None, Some(other)) => other,
                (None, None) => return,
            };
            out.push((price, Quantity::from_units(self.total(price))));
            crowd -= usize::from(crowd_price == Some(price));
            while self.own.get(own).is_some_and(|order| order.price == price) {
                own += 1;
            }
        }
    }
}
