//! One instrument's book as the venue tells it, and own orders in it, the pessimistic way.

use std::collections::BTreeMap;

use domain::{
    BookUpdate, BookUpdateKind, Ladder, Level, Liquidity, OrderRequest, OrderType, Price, Quantity,
    RejectReason, Side, TimeInForce, Trade, TradeId,
};

use crate::matching::{ExpiryReason, OrderId, OrderOutcome};

/// Levels kept a side; what is behind them is not known.
pub const PAPER_LEVELS_MAX: usize = 8_192;

/// What happened to an order, in order.
pub(super) type Outcomes = Vec<(OrderId, OrderOutcome)>;

#[derive(Debug, Clone, Copy)]
struct Resting {
    order: OrderId,
    price: Price,
    remaining: i64,
    /// What must trade at its price before it does; `None`: its price lies behind all that the book shows.
    ahead: Option<i64>,
}

/// One side: what the venue shows, what own orders took of it, and own orders, best price first, then first come.
#[derive(Debug)]
struct PaperSide {
    side: Side,
    shown: Ladder,
    taken: BTreeMap<Price, i64>,
    own: Vec<Resting>,
}

/// The book of one instrument.
#[derive(Debug)]
pub(super) struct PaperBook {
    bids: PaperSide,
    asks: PaperSide,
    stands: bool,
}

/// How far an order goes through the levels of the other side.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reach {
    /// What of it is there.
    pub(super) there: i64,
    /// Price times quantity of that, units of 1e-16.
    pub(super) cost: i128,
    /// The last price.
    pub(super) last: Option<Price>,
}

impl PaperSide {
    fn new(side: Side) -> Self {
        Self {
            side,
            shown: Ladder::new(side, PAPER_LEVELS_MAX),
            taken: BTreeMap::new(),
            own: Vec::new(),
        }
    }

    fn is_better(&self, price: Price, other: Price) -> bool {
        match self.side {
            Side::Buy => price > other,
            Side::Sell => price < other,
        }
    }

    /// Whether an order of the other side with this limit meets a price of this one.
    fn meets(&self, limit: Option<Price>, price: Price) -> bool {
        limit.is_none_or(|limit| price == limit || self.is_better(price, limit))
    }

    fn update(&mut self, kind: BookUpdateKind, levels: &[Level]) {
        match kind {
            BookUpdateKind::Snapshot => {
                self.shown.replace(levels);
                let shown: BTreeMap<Price, i64> = levels.iter().map(in_units).collect();
                self.taken.retain(|price, _| shown.contains_key(price));
                self.note_shown(shown);
            }
            BookUpdateKind::Delta => {
                self.shown.apply(levels);
                self.note_shown(levels.iter().map(in_units));
            }
        }
        if self.own.iter().any(|own| own.ahead.is_none()) {
            self.place_in_queue();
        }
    }

    /// What was taken of a level stays taken as long as it is shown.
    fn note_shown(&mut self, levels: impl IntoIterator<Item = (Price, i64)>) {
        if self.taken.is_empty() {
            return;
        }
        for (price, quantity) in levels {
            if quantity == 0 {
                self.taken.remove(&price);
            } else if let Some(taken) = self.taken.get_mut(&price) {
                *taken = quantity.min(*taken);
            }
        }
    }

    /// An order whose level comes into sight stands behind all of it.
    fn place_in_queue(&mut self) {
        let Self { side, shown, own, .. } = self;
        for order in own.iter_mut().filter(|order| order.ahead.is_none()) {
            order.ahead = queue(*side, shown, order.price);
        }
    }

    /// Levels that an order of the other side with this limit meets, and what is left of each; none from where on some may
    /// be missing.
    fn reachable(&self, limit: Option<Price>) -> impl Iterator<Item = (Price, i64)> + '_ {
        let met = self
            .shown
            .known()
            .take_while(move |level| self.meets(limit, level.price));
        met.map(|level| {
            let taken = self.taken.get(&level.price).copied().unwrap_or(0);
            (level.price, (level.quantity.units() - taken).max(0))
        })
    }

    fn rest(&mut self, order: OrderId, price: Price, remaining: i64) {
        let at = self
            .own
            .partition_point(|other| !self.is_better(price, other.price));
        let ahead = queue(self.side, &self.shown, price);
        self.own.insert(
            at,
            Resting {
                order,
                price,
                remaining,
                ahead,
            },
        );
    }
}

fn in_units(level: &Level) -> (Price, i64) {
    (level.price, level.quantity.units())
}

/// What stands at a price; `None` behind the last level that is known, or where it may be missing.
fn queue(side: Side, shown: &Ladder, price: Price) -> Option<i64> {
    if !shown.knows(price) {
        return None;
    }
    let is_reached = |other: Price| match side {
        Side::Buy => other <= price,
        Side::Sell => other >= price,
    };
    let level = shown.iter().find(|level| is_reached(level.price))?;
    Some(if level.price == price {
        level.quantity.units()
    } else {
        0
    })
}

impl PaperBook {
    pub(super) fn new() -> Self {
        Self {
            bids: PaperSide::new(Side::Buy),
            asks: PaperSide::new(Side::Sell),
            stands: false,
        }
    }

    /// Best price of a side; `None` while the book is not known.
    pub(super) fn best(&self, side: Side) -> Option<Price> {
        let best = self.side(side).shown.best();
        best.filter(|_| self.stands).map(|level| level.price)
    }

    pub(super) fn on_book(&mut self, update: &BookUpdate<'_>) {
        self.stands |= update.kind == BookUpdateKind::Snapshot;
        self.bids.update(update.kind, update.bids);
        self.asks.update(update.kind, update.asks);
    }

    /// Nothing is known until the next snapshot. Own orders keep their places.
    pub(super) fn on_invalid(&mut self) {
        self.stands = false;
    }

    /// How far an order would go if it came now.
    pub(super) fn reach(&self, request: &OrderRequest) -> Reach {
        let wanted = request.quantity.units();
        let mut reach = Reach::default();
        for (price, there) in self.side(request.side.opposite()).reachable(request.price) {
            if reach.there == wanted {
                break;
            }
            let quantity = there.min(wanted - reach.there);
            reach.there += quantity;
            reach.cost += i128::from(price.units()) * i128::from(quantity);
            reach.last = Some(price);
        }
        reach
    }

    /// A public trade: fills own orders that it went through, then those at its price behind what was ahead.
    pub(super) fn on_trade(&mut self, trade: &Trade, trade_ids: &mut u64, out: &mut Outcomes) {
        let side = trade.aggressor.opposite();
        let mut left = trade.quantity.units();
        while let Some(first) = self.side(side).own.first().copied() {
            if left == 0 || !self.side(side).is_better(first.price, trade.price) {
                break;
            }
            let quantity = first.remaining.min(left);
            left -= quantity;
            self.fill_maker(side, 0, quantity, trade_ids, out);
        }
        self.trade_at(side, trade.price, left, trade_ids, out);
    }

    /// Every unit that trades is used once: by what was ahead, then by own orders in their order.
    fn trade_at(&mut self, side: Side, price: Price, mut left: i64, trade_ids: &mut u64, out: &mut Outcomes) {
        let (mut crowd, mut at) = (0, 0);
        while let Some(order) = self.side(side).own.get(at).copied() {
            if order.price != price {
                at += 1;
                continue;
            }
            let Some(ahead) = order.ahead else {
                at += 1;
                continue;
            };
            let before = (ahead - crowd).max(0).min(left);
            (crowd, left) = (crowd + before, left - before);
            let quantity = order.remaining.min(left);
            left -= quantity;
            if quantity > 0 {
                self.fill_maker(side, at, quantity, trade_ids, out);
            }
            at += usize::from(quantity < order.remaining);
        }
        let own = self.side_mut(side).own.iter_mut();
        for order in own.filter(|order| order.price == price) {
            order.ahead = order.ahead.map(|ahead| (ahead - crowd).max(0));
        }
    }

    /// Takes an order in.
    pub(super) fn submit(
        &mut self,
        order: OrderId,
        request: &OrderRequest,
        trade_ids: &mut u64,
        out: &mut Outcomes,
    ) {
        let limit = match request.order_type {
            OrderType::Market => None,
            OrderType::Limit => request.price,
        };
        if !self.stands {
            out.push((order, OrderOutcome::Rejected(RejectReason::NotTrading)));
            return;
        }
        let reach = self.reach(request);
        let passive = self.side(request.side.opposite());
        // A market order goes as far as it finds something.
        let farthest = limit.or(reach.last);
        let meets_own = farthest.is_some()
            && passive
                .own
                .first()
                .is_some_and(|own| passive.meets(farthest, own.price));
        if request.post_only && (reach.last.is_some() || meets_own) {
            out.push((order, OrderOutcome::Rejected(RejectReason::WouldTake)));
            return;
        }
        out.push((order, OrderOutcome::Accepted));
        let mut remaining = request.quantity.units();
        let is_killed = request.time_in_force == TimeInForce::Fok && (meets_own || reach.there < remaining);
        if !is_killed {
            if meets_own {
                self.expire_met(request.side.opposite(), farthest, out);
            }
            remaining = self.take(order, request, limit, trade_ids, out);
        }
        match limit {
            _ if remaining == 0 => {}
            Some(price) if request.time_in_force.rests() => {
                self.side_mut(request.side).rest(order, price, remaining);
            }
            _ => out.push((order, expired(remaining, ExpiryReason::NothingToTake))),
        }
    }

    /// Takes level after level at its price; what remains.
    fn take(
        &mut self,
        order: OrderId,
        request: &OrderRequest,
        limit: Option<Price>,
        trade_ids: &mut u64,
        out: &mut Outcomes,
    ) -> i64 {
        let mut remaining = request.quantity.units();
        let passive = self.side_mut(request.side.opposite());
        let met: Vec<(Price, i64)> = passive
            .reachable(limit)
            .scan(remaining, |wanted, level| {
                let is_wanted = *wanted > 0;
                *wanted -= level.1;
                is_wanted.then_some(level)
            })
            .collect();
        for (price, there) in met {
            let quantity = there.min(remaining);
            if quantity == 0 {
                continue;
            }
            *passive.taken.entry(price).or_default() += quantity;
            remaining -= quantity;
            out.push((
                order,
                filled(trade_ids, price, quantity, Liquidity::Taker, remaining),
            ));
        }
        remaining
    }

    /// Own orders of the other side that the order would meet are expired: they never trade with each other.
    fn expire_met(&mut self, side: Side, limit: Option<Price>, out: &mut Outcomes) {
        let passive = self.side_mut(side);
        let count = passive
            .own
            .iter()
            .take_while(|own| passive.meets(limit, own.price))
            .count();
        for met in passive.own.drain(..count) {
            out.push((met.order, expired(met.remaining, ExpiryReason::SelfTrade)));
        }
    }

    pub(super) fn cancel(&mut self, order: OrderId, out: &mut Outcomes) {
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

    fn fill_maker(&mut self, side: Side, at: usize, quantity: i64, trade_ids: &mut u64, out: &mut Outcomes) {
        let own = &mut self.side_mut(side).own;
        own[at].remaining -= quantity;
        let Resting {
            order,
            price,
            remaining,
            ..
        } = own[at];
        if remaining == 0 {
            own.remove(at);
        }
        out.push((
            order,
            filled(trade_ids, price, quantity, Liquidity::Maker, remaining),
        ));
    }

    fn side(&self, side: Side) -> &PaperSide {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut PaperSide {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}

fn filled(
    trade_ids: &mut u64,
    price: Price,
    quantity: i64,
    liquidity: Liquidity,
    remaining: i64,
) -> OrderOutcome {
    *trade_ids += 1;
    OrderOutcome::Filled {
        trade_id: TradeId(*trade_ids),
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
