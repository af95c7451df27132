//! Own orders against best bid and ask, and against public trades: no flow, no depth.

use domain::{Liquidity, OrderType, Price, Quantity, RejectReason, Side, TimeInForce, Trade, TradeId};
use domain::{OrderRequest, Quote};

use crate::matching::{ExpiryReason, ORDERS_OPEN_MAX, OrderId, OrderOutcome};

/// Queue position of an order behind the best price: unknown until its price is the best.
const UNKNOWN_AHEAD: i64 = i64::MAX;

/// The best level of one side as last quoted.
#[derive(Debug, Clone, Copy)]
struct Touch {
    price: Price,
    shown: i64,
    /// Of what is shown, consumed by own orders.
    taken: i64,
    /// Traded here since the last quote.
    traded: i64,
}

#[derive(Debug, Clone, Copy)]
struct Resting {
    order: OrderId,
    price: Price,
    remaining: i64,
    ahead: i64,
}

/// One side: the quoted best, and own orders best price first, then first come.
#[derive(Debug)]
struct QuoteSide {
    side: Side,
    touch: Option<Touch>,
    own: Vec<Resting>,
}

/// What happened to an order, in order.
pub(crate) type Outcomes = Vec<(OrderId, OrderOutcome)>;

/// The book of a quote stream.
#[derive(Debug)]
pub(crate) struct QuoteBook {
    bids: QuoteSide,
    asks: QuoteSide,
    next_order: u64,
    next_trade: u64,
}

impl QuoteSide {
    fn new(side: Side) -> Self {
        Self {
            side,
            touch: None,
            own: Vec::new(),
        }
    }

    fn is_better(&self, price: Price, other: Price) -> bool {
        match self.side {
            Side::Buy => price > other,
            Side::Sell => price < other,
        }
    }

    /// A new quote for this side: what own orders took stays taken while the price stays.
    fn update(&mut self, price: Price, quantity: Quantity) {
        let shown = quantity.units();
        let before = self.touch.filter(|touch| touch.price == price);
        self.touch = Some(Touch {
            price,
            shown,
            taken: before.map_or(0, |touch| touch.taken.min(shown)),
            traded: 0,
        });
        if !self.own.is_empty() {
            self.update_queue(price, shown, before);
        }
    }

    /// What is ahead shrinks by its share of cancellations and is never more than what is shown.
    fn update_queue(&mut self, price: Price, shown: i64, before: Option<Touch>) {
        let (canceled, from) = match before {
            Some(touch) => {
                let from = (touch.shown - touch.traded).max(0);
                ((from - shown).max(0), from)
            }
            None => (0, 0),
        };
        for order in self.own.iter_mut().filter(|order| order.price == price) {
            if order.ahead != UNKNOWN_AHEAD && from > 0 {
                let share = i128::from(canceled) * i128::from(order.ahead) / i128::from(from);
                order.ahead -= i64::try_from(share).unwrap_or(0);
            }
            order.ahead = order.ahead.min(shown);
        }
    }

    fn rest(&mut self, order: OrderId, price: Price, remaining: i64) {
        let ahead = match self.touch {
            Some(touch) if self.is_better(price, touch.price) => 0,
            Some(touch) if price == touch.price => touch.shown,
            _ => UNKNOWN_AHEAD,
        };
        let at = self
            .own
            .partition_point(|other| !self.is_better(price, other.price));
        let resting = Resting {
            order,
            price,
            remaining,
            ahead,
        };
        self.own.insert(at, resting);
    }
}

impl QuoteBook {
    pub(crate) fn new() -> Self {
        Self {
            bids: QuoteSide::new(Side::Buy),
            asks: QuoteSide::new(Side::Sell),
            next_order: 1,
            next_trade: 1,
        }
    }

    /// Best price of a side as quoted.
    pub(crate) fn best(&self, side: Side) -> Option<Price> {
        self.side(side).touch.map(|touch| touch.price)
    }

    pub(crate) fn on_quote(&mut self, quote: &Quote, out: &mut Outcomes) {
        self.bids.update(quote.bid, quote.bid_quantity);
        self.asks.update(quote.ask, quote.ask_quantity);
        if !self.bids.own.is_empty() {
            self.quote_through(Side::Buy, out);
        }
        if !self.asks.own.is_empty() {
            self.quote_through(Side::Sell, out);
        }
    }

    /// Own orders that the other side's quote reached fill at their own price, as far as it is not taken.
    fn quote_through(&mut self, side: Side, out: &mut Outcomes) {
        while let (Some(first), Some(touch)) = (
            self.side(side).own.first().copied(),
            self.side(side.opposite()).touch,
        ) {
            let reached = first.price == touch.price || self.side(side).is_better(first.price, touch.price);
            let quantity = first.remaining.min(touch.shown - touch.taken);
            if !reached || quantity <= 0 {
                return;
            }
            if let Some(touch) = &mut self.side_mut(side.opposite()).touch {
                touch.taken += quantity;
            }
            self.fill_maker(side, 0, quantity, out);
        }
    }

    /// A public trade: fills own orders that it passed, then those at its price behind what was ahead.
    pub(crate) fn on_trade(&mut self, trade: &Trade, out: &mut Outcomes) {
        let passive = trade.aggressor.opposite();
        let mut left = trade.quantity.units();
        while let Some(first) = self.side(passive).own.first().copied() {
            if left == 0 || !self.side(passive).is_better(first.price, trade.price) {
                break;
            }
            let quantity = first.remaining.min(left);
            left -= quantity;
            self.fill_maker(passive, 0, quantity, out);
        }
        if !self.side(passive).own.is_empty() {
            self.trade_at(passive, trade.price, left, out);
        }
        if let Some(touch) = &mut self.side_mut(passive).touch
            && touch.price == trade.price
        {
            touch.traded += trade.quantity.units();
        }
    }

    fn trade_at(&mut self, side: Side, price: Price, mut left: i64, out: &mut Outcomes) {
        let mut crowd = 0;
        let mut at = 0;
        while let Some(order) = self.side(side).own.get(at).copied() {
            if order.price != price {
                break;
            }
            let ahead = order.ahead.saturating_sub(crowd).max(0).min(left);
            crowd += ahead;
            left -= ahead;
            let quantity = order.remaining.min(left);
            left -= quantity;
            let done = quantity == order.remaining;
            if quantity > 0 {
                self.fill_maker(side, at, quantity, out);
            }
            at += usize::from(!done);
        }
        for order in self
            .side_mut(side)
            .own
            .iter_mut()
            .filter(|order| order.price == price)
        {
            if order.ahead != UNKNOWN_AHEAD {
                order.ahead = (order.ahead - crowd).max(0);
            }
        }
    }

    /// The number that the next submitted order gets.
    pub(crate) fn next_order(&self) -> OrderId {
        OrderId(self.next_order)
    }

    pub(crate) fn submit(&mut self, request: &OrderRequest, out: &mut Outcomes) {
        let order = OrderId(self.next_order);
        self.next_order += 1;
        let limit = match request.order_type {
            OrderType::Market => None,
            OrderType::Limit => request.price,
        };
        let passive = request.side.opposite();
        let crosses = |price: Price| match (limit, request.side) {
            (None, _) => true,
            (Some(limit), Side::Buy) => price <= limit,
            (Some(limit), Side::Sell) => price >= limit,
        };
        let touch = self.side(passive).touch.filter(|touch| crosses(touch.price));
        let meets_own = self
            .side(passive)
            .own
            .first()
            .is_some_and(|own| crosses(own.price));
        if self.bids.own.len() + self.asks.own.len() >= ORDERS_OPEN_MAX {
            out.push((order, OrderOutcome::Rejected(RejectReason::RateLimit)));
            return;
        }
        if request.post_only && (touch.is_some() || meets_own) {
            out.push((order, OrderOutcome::Rejected(RejectReason::WouldTake)));
            return;
        }
        out.push((order, OrderOutcome::Accepted));
        let wanted = request.quantity.units();
        let there = touch.map_or(0, |touch| (touch.shown - touch.taken).max(0));
        let kill = request.time_in_force == TimeInForce::Fok && (there < wanted || meets_own);
        let mut remaining = wanted;
        if !kill {
            self.expire_met(passive, limit, touch.map(|touch| touch.price), out);
            let quantity = wanted.min(there);
            if let (Some(touch), true) = (&mut self.side_mut(passive).touch, quantity > 0) {
                touch.taken += quantity;
                let price = touch.price;
                remaining -= quantity;
                let trade_id = self.trade_id();
                out.push((
                    order,
                    filled(trade_id, price, quantity, Liquidity::Taker, remaining),
                ));
            }
        }
        match limit {
            _ if remaining == 0 => {}
            Some(price) if request.time_in_force.rests() => {
                self.side_mut(request.side).rest(order, price, remaining);
            }
            _ => out.push((order, expired(remaining, ExpiryReason::NothingToTake))),
        }
    }

    /// Own orders of the other side that the order would meet are expired: they never trade with each other.
    fn expire_met(&mut self, side: Side, limit: Option<Price>, best: Option<Price>, out: &mut Outcomes) {
        while let Some(first) = self.side(side).own.first().copied() {
            // A market order reaches to the quoted best only.
            let reach = limit.or(best);
            let met = reach
                .is_some_and(|reach| first.price == reach || self.side(side).is_better(first.price, reach));
            if !met {
                return;
            }
            self.side_mut(side).own.remove(0);
            out.push((first.order, expired(first.remaining, ExpiryReason::SelfTrade)));
        }
    }

    pub(crate) fn cancel(&mut self, order: OrderId, out: &mut Outcomes) {
        for side in [Side::Buy, Side::Sell] {
            let own = &mut self.side_mut(side).own;
            if let Some(at) = own.iter().position(|resting| resting.order == order) {
                let remaining = Quantity::from_units(own.remove(at).remaining);
                out.push((order, OrderOutcome::Canceled { remaining }));
                return;
            }
        }
        out.push((order, OrderOutcome::CancelRejected));
    }

    fn fill_maker(&mut self, side: Side, at: usize, quantity: i64, out: &mut Outcomes) {
        let trade_id = self.trade_id();
        let own = &mut self.side_mut(side).own;
        let resting = &mut own[at];
        resting.remaining -= quantity;
        let Resting {
            order,
            price,
            remaining,
            ..
        } = *resting;
        if remaining == 0 {
            own.remove(at);
        }
        out.push((
            order,
            filled(trade_id, price, quantity, Liquidity::Maker, remaining),
        ));
    }

    fn trade_id(&mut self) -> TradeId {
        let id = TradeId(self.next_trade);
        self.next_trade += 1;
        id
    }

    fn side(&self, side: Side) -> &QuoteSide {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut QuoteSide {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}

fn filled(
    trade_id: TradeId,
    price: Price,
    quantity: i64,
    liquidity: Liquidity,
    remaining: i64,
) -> OrderOutcome {
    OrderOutcome::Filled {
        trade_id,
        price,
        quantity: Quantity::from_units(quantity),
        liquidity,
        remaining: Quantity::from_units(remaining),
    }
}

fn expired(remaining: i64, reason: ExpiryReason) -> OrderOutcome {
    OrderOutcome::Expired {
        remaining: Quantity::from_units(remaining),
        reason,
    }
}
