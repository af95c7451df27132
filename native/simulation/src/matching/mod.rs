//! Price-time priority matching of own orders among the crowd's liquidity.

mod book;
mod outbox;
mod tape;

use domain::{Liquidity, OrderType, Price, Quantity, RejectReason, Side, TimeInForce};

use self::book::{BookSide, Resting};
pub use self::outbox::{Best, ExpiryReason, OrderOutcome, Outbox, Output};
pub use self::tape::OFF_TAPE_ID_BASE;
use self::tape::Tape;
use crate::flow::FlowKind;

/// Most open own orders of one venue, all owners together.
pub const ORDERS_OPEN_MAX: usize = 1_024;

/// The venue's number of an order: counts up from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u64);

/// Who owns an order: one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Owner(pub u16);

/// What ends when an order meets one of its own owner. There is no mode in which they trade; the taker decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SelfTradePrevention {
    /// The rest of the taker.
    ExpireTaker,
    /// The resting order.
    #[default]
    ExpireMaker,
    /// Both.
    ExpireBoth,
}

/// An order as the matching engine takes it: already checked against the instrument's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewOrder {
    /// Whose.
    pub owner: Owner,
    /// Direction.
    pub side: Side,
    /// Market or limit.
    pub order_type: OrderType,
    /// Limit price; ignored for a market order.
    pub price: Option<Price>,
    /// Quantity, positive.
    pub quantity: Quantity,
    /// How long it stays; a market order never rests.
    pub time_in_force: TimeInForce,
    /// Refused if it would take.
    pub post_only: bool,
    /// What happens when it meets an order of its owner.
    pub self_trade: SelfTradePrevention,
}

/// An incoming order at work.
struct Taker {
    order: OrderId,
    owner: Owner,
    side: Side,
    limit: Option<Price>,
    remaining: i64,
    self_trade: SelfTradePrevention,
    stopped: Option<ExpiryReason>,
}

/// The matching engine of one instrument.
///
/// **Queue position** is pessimistic: an own order joins the back of all that its level shows, and what is
/// ahead of it shrinks only by trades and by its proportional share of cancellations, rounded against it.
/// One unit of liquidity fills one order: what an own order takes is gone for every other, and a public
/// trade's quantity is shared out along the queue once.
///
/// **The record stays exact.** While a bar is played, own trades stand in the place of recorded ones: an own
/// taker's volume is given up by later trades of the same bar, and where the bar's range or remaining volume
/// does not cover it, the crowd's liquidity is withdrawn before the order reaches it.
///
/// **An order that the market passes** (the crowd trades at a worse price, or quotes at or through the order's) fills
/// at its own price by what came, the best price first, then the first order:
/// - a trade gives at most its quantity, less what other own trades stand for already; only what is left of that serves
///   the queue at the trade's own price, so that no unit fills one order and moves another up;
/// - a quote gives at most what it adds; what was taken is not shown, and only what is added later fills again;
/// - while a bar is played, both give at most the volume that the bar has yet to trade and no own trade stands for:
///   the sizes of the crowd's quotes are made, the volume is recorded.
///
/// What would cross the rest of the order is withdrawn, for good, and the rest stays as the best price: the book is
/// never crossed, and what the record trades beyond the order is printed without a quote. Where the order's price lies
/// outside the bar, or the bar has not opened, its fill is reported to its owner only, with a number from
/// [`OFF_TAPE_ID_BASE`], and uses up volume all the same.
///
/// This errs against us: a real market cannot trade beyond a standing order before it is filled. Not modelled: that
/// others would have followed our price, or that who sold to us would have sold more. An order that stands so is a best
/// price of its own making: who marks a position by the middle of the book marks it by that order.
#[derive(Debug)]
pub struct MatchingEngine {
    lot: i64,
    bids: BookSide,
    asks: BookSide,
    tape: Tape,
    next_order: u64,
    update_id: u64,
    touched: Vec<(Side, Price)>,
    published: Best,
}

impl MatchingEngine {
    /// An empty book.
    #[must_use]
    pub fn new(lot: Quantity) -> Self {
        Self {
            lot: lot.units().max(1),
            bids: BookSide::new(Side::Buy),
            asks: BookSide::new(Side::Sell),
            tape: Tape::new(),
            next_order: 1,
            update_id: 0,
            touched: Vec::new(),
            published: Best::default(),
        }
    }

    /// Takes an order: matches what it can, rests or ends the remainder.
    pub fn submit(&mut self, new: &NewOrder, out: &mut Outbox) -> OrderId {
        let order = OrderId(self.next_order);
        self.next_order += 1;
        let limit = match new.order_type {
            OrderType::Market => None,
            OrderType::Limit => new.price,
        };
        if let Some(reason) = self.refusal(new, limit) {
            out.order(order, new.owner, OrderOutcome::Rejected(reason));
            return order;
        }
        out.order(order, new.owner, OrderOutcome::Accepted);
        let mut taker = Taker {
            order,
            owner: new.owner,
            side: new.side,
            limit,
            remaining: new.quantity.units(),
            self_trade: new.self_trade,
            stopped: None,
        };
        let rests = limit.is_some() && new.time_in_force.rests();
        if new.time_in_force != TimeInForce::Fok || self.takeable(&taker) >= taker.remaining {
            self.take(&mut taker, rests, out);
        }
        self.settle_remainder(&taker, rests, out);
        self.publish(out);
        order
    }

    /// Cancels an open order of `owner`.
    pub fn cancel(&mut self, order: OrderId, owner: Owner, out: &mut Outbox) {
        for side in [Side::Buy, Side::Sell] {
            let book = self.book_mut(side);
            let found = book
                .own
                .iter()
                .position(|own| own.order == order && own.owner == owner);
            if let Some(at) = found {
                let gone = book.own.remove(at);
                self.touched.push((side, gone.price));
                let remaining = Quantity::from_units(gone.remaining);
                out.order(order, owner, OrderOutcome::Canceled { remaining });
                self.publish(out);
                return;
            }
        }
        out.order(order, owner, OrderOutcome::CancelRejected);
    }

    /// Applies one event of the crowd. Call [`MatchingEngine::publish`] after the last one of an instant.
    pub fn apply(&mut self, event: &FlowKind, out: &mut Outbox) {
        match *event {
            FlowKind::BarOpened { low, high, spare } => self.tape.open_bar(low, high, spare),
            FlowKind::RecordEnded => self.tape.end_record(),
            FlowKind::Add {
                side,
                price,
                quantity,
            } => {
                let taken = self.fill_through(side.opposite(), price, true, quantity.units(), out);
                if taken < quantity.units() && !self.is_passed(side.opposite(), price, true) {
                    self.book_mut(side).add_crowd(price, quantity.units() - taken);
                }
                self.touched.push((side, price));
            }
            FlowKind::Cancel {
                side,
                price,
                quantity,
            } => {
                self.book_mut(side).cancel_crowd(price, quantity.units());
                self.touched.push((side, price));
            }
            FlowKind::Trade {
                price,
                quantity,
                aggressor,
            } => self.crowd_trade(price, quantity.units(), aggressor, out),
        }
    }

    /// Says which levels and best prices changed since the last call.
    pub fn publish(&mut self, out: &mut Outbox) {
        if self.touched.is_empty() {
            return;
        }
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for &(side, price) in &touched {
            self.update_id += 1;
            out.push(Output::Level {
                side,
                price,
                quantity: Quantity::from_units(self.book(side).total(price)),
                update_id: self.update_id,
            });
        }
        touched.clear();
        self.touched = touched;
        let best = self.best();
        if (best.bid, best.ask) != (self.published.bid, self.published.ask) {
            self.published = best;
            out.push(Output::Quote(best));
        }
    }

    /// The best prices now.
    #[must_use]
    pub fn best(&self) -> Best {
        let of = |book: &BookSide| {
            book.best()
                .map(|price| (price, Quantity::from_units(book.total(price))))
        };
        Best {
            bid: of(&self.bids),
            ask: of(&self.asks),
            update_id: self.update_id,
        }
    }

    /// Number of the book: that of its last change.
    #[must_use]
    pub fn update_id(&self) -> u64 {
        self.update_id
    }

    /// The best `limit` levels of a side with their totals, best first, into `out`.
    pub fn depth(&self, side: Side, limit: usize, out: &mut Vec<(Price, Quantity)>) {
        self.book(side).depth(limit, out);
    }

    /// Open own orders, all owners.
    #[must_use]
    pub fn open_orders(&self) -> usize {
        self.bids.own.len() + self.asks.own.len()
    }

    fn book(&self, side: Side) -> &BookSide {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn book_mut(&mut self, side: Side) -> &mut BookSide {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn refusal(&self, new: &NewOrder, limit: Option<Price>) -> Option<RejectReason> {
        if self.open_orders() >= ORDERS_OPEN_MAX {
            return Some(RejectReason::RateLimit);
        }
        if new.quantity <= Quantity::ZERO || (new.order_type == OrderType::Limit && limit.is_none()) {
            return Some(RejectReason::Filter);
        }
        let best = self.book(new.side.opposite()).best();
        let would_take = best.is_some_and(|price| crosses(new.side, limit, price));
        (new.post_only && would_take).then_some(RejectReason::WouldTake)
    }

    /// How much an order would get now: what fill-or-kill needs to know. Own orders of its owner end the count.
    fn takeable(&self, taker: &Taker) -> i64 {
        let book = self.book(taker.side.opposite());
        let mut levels = Vec::new();
        book.depth(usize::MAX, &mut levels);
        let (mut total, mut crowd_total) = (0i64, 0i64);
        for (price, _) in levels {
            if !crosses(taker.side, taker.limit, price)
                || book.own_at(price).any(|own| own.owner == taker.owner)
            {
                break;
            }
            let crowd = book
                .crowd_at(price)
                .min(self.tape.cover(price, i64::MAX).saturating_sub(crowd_total));
            crowd_total += crowd;
            let own: i64 = book.own_at(price).map(|own| own.remaining).sum();
            total = total.saturating_add(crowd).saturating_add(own);
        }
        total
    }

    /// Walks the other side in price-time order until the order is done, stopped, or nothing crosses.
    fn take(&mut self, taker: &mut Taker, rests: bool, out: &mut Outbox) {
        // An order that may rest must not leave crossed liquidity standing; others reach for their size only.
        let mut reach = if rests { i64::MAX } else { taker.remaining };
        while taker.remaining > 0 && reach > 0 && taker.stopped.is_none() {
            let Some(price) = self.book(taker.side.opposite()).best() else {
                return;
            };
            if !crosses(taker.side, taker.limit, price) {
                return;
            }
            let book = self.book(taker.side.opposite());
            let first = book.first_own_at(price);
            let crowd = first.map_or_else(|| book.crowd_at(price), |at| book.own[at].ahead);
            match first {
                Some(at) if crowd == 0 => {
                    let before = taker.remaining;
                    self.meet_own(taker, at, out);
                    reach -= before - taker.remaining;
                }
                _ => self.take_crowd(taker, price, crowd, &mut reach, out),
            }
        }
    }

    /// Takes from the crowd what the record covers; what it does not cover is withdrawn.
    fn take_crowd(&mut self, taker: &mut Taker, price: Price, crowd: i64, reach: &mut i64, out: &mut Outbox) {
        let passive = taker.side.opposite();
        let wanted = crowd.min(taker.remaining);
        let taken = self.tape.cover(price, wanted);
        if taken > 0 {
            self.tape.spend(taken);
            self.book_mut(passive).consume_crowd(price, taken);
            self.print_taker(taker, price, taken, out);
        }
        *reach -= taken;
        // The whole queue segment when the order would otherwise rest against it.
        let withdrawn = if taken == wanted {
            0
        } else {
            (crowd - taken).min(*reach)
        };
        if withdrawn > 0 {
            self.book_mut(passive).consume_crowd(price, withdrawn);
        }
        *reach -= withdrawn;
        self.touched.push((passive, price));
    }

    fn print_taker(&mut self, taker: &mut Taker, price: Price, quantity: i64, out: &mut Outbox) {
        let trade_id = self.tape.next_trade_id();
        taker.remaining -= quantity;
        out.push(Output::Trade {
            trade_id,
            price,
            quantity: Quantity::from_units(quantity),
            aggressor: taker.side,
        });
        out.order(
            taker.order,
            taker.owner,
            OrderOutcome::Filled {
                trade_id,
                price,
                quantity: Quantity::from_units(quantity),
                liquidity: Liquidity::Taker,
                remaining: Quantity::from_units(taker.remaining),
            },
        );
    }

    /// The taker meets an own order at the front of the queue.
    fn meet_own(&mut self, taker: &mut Taker, at: usize, out: &mut Outbox) {
        let passive = taker.side.opposite();
        let maker = self.book(passive).own[at];
        if maker.owner == taker.owner {
            if taker.self_trade != SelfTradePrevention::ExpireTaker {
                self.remove_own(passive, at);
                let outcome = OrderOutcome::Expired {
                    remaining: Quantity::from_units(maker.remaining),
                    reason: ExpiryReason::SelfTrade,
                };
                out.order(maker.order, maker.owner, outcome);
            }
            if taker.self_trade != SelfTradePrevention::ExpireMaker {
                taker.stopped = Some(ExpiryReason::SelfTrade);
            }
            return;
        }
        let quantity = maker.remaining.min(taker.remaining);
        let covered = self.tape.cover(maker.price, quantity);
        for (part, printed) in [(covered, true), (quantity - covered, false)] {
            if part > 0 {
                self.fill_maker(passive, at, part, printed, Some(taker), out);
            }
        }
    }

    /// Fills the own order at `at` by `quantity` and prints the trade where the record covers it.
    /// The other party is `taker`, or the crowd.
    fn fill_maker(
        &mut self,
        side: Side,
        at: usize,
        quantity: i64,
        printed: bool,
        taker: Option<&mut Taker>,
        out: &mut Outbox,
    ) {
        let trade_id = if printed {
            self.tape.spend(quantity);
            self.tape.next_trade_id()
        } else {
            self.tape.next_off_tape_id()
        };
        let size = Quantity::from_units(quantity);
        let price = self.book(side).own[at].price;
        if printed {
            out.push(Output::Trade {
                trade_id,
                price,
                quantity: size,
                aggressor: side.opposite(),
            });
        }
        self.report_maker(side, at, quantity, trade_id, out);
        if let Some(taker) = taker {
            taker.remaining -= quantity;
            out.order(
                taker.order,
                taker.owner,
                OrderOutcome::Filled {
                    trade_id,
                    price,
                    quantity: size,
                    liquidity: Liquidity::Taker,
                    remaining: Quantity::from_units(taker.remaining),
                },
            );
        }
    }

    /// Reduces the own order at `at` and tells its owner; removes it when it is done.
    fn report_maker(
        &mut self,
        side: Side,
        at: usize,
        quantity: i64,
        trade_id: domain::TradeId,
        out: &mut Outbox,
    ) {
        let maker = &mut self.book_mut(side).own[at];
        maker.remaining -= quantity;
        let (order, owner, price, remaining) = (maker.order, maker.owner, maker.price, maker.remaining);
        out.order(
            order,
            owner,
            OrderOutcome::Filled {
                trade_id,
                price,
                quantity: Quantity::from_units(quantity),
                liquidity: Liquidity::Maker,
                remaining: Quantity::from_units(remaining),
            },
        );
        self.touched.push((side, price));
        if remaining == 0 {
            self.remove_own(side, at);
        }
    }

    fn remove_own(&mut self, side: Side, at: usize) {
        let gone = self.book_mut(side).own.remove(at);
        self.touched.push((side, gone.price));
    }

    fn settle_remainder(&mut self, taker: &Taker, rests: bool, out: &mut Outbox) {
        if taker.remaining == 0 {
            return;
        }
        match (taker.stopped, taker.limit) {
            (None, Some(price)) if rests => {
                self.book_mut(taker.side).rest(Resting {
                    order: taker.order,
                    owner: taker.owner,
                    price,
                    remaining: taker.remaining,
                    ahead: 0,
                });
                self.touched.push((taker.side, price));
            }
            (stopped, _) => {
                let outcome = OrderOutcome::Expired {
                    remaining: Quantity::from_units(taker.remaining),
                    reason: stopped.unwrap_or(ExpiryReason::NothingToTake),
                };
                out.order(taker.order, taker.owner, outcome);
            }
        }
    }

    /// Whether an own order stands at a better price than `price`, at which the market is; with `inclusive`, or at it.
    fn is_passed(&self, side: Side, price: Price, inclusive: bool) -> bool {
        let book = self.book(side);
        let is_at = |best: Price| book.is_better(best, price) || (inclusive && best == price);
        book.own.first().is_some_and(|best| is_at(best.price))
    }

    /// The market is at `price` on the other side of own orders that are priced better: they fill by what comes, at
    /// most `offered`. With `inclusive`, orders at exactly `price` fill too (a quote reached them). Says how much
    /// they took.
    fn fill_through(
        &mut self,
        side: Side,
        price: Price,
        inclusive: bool,
        offered: i64,
        out: &mut Outbox,
    ) -> i64 {
        let mut taken = 0;
        while self.is_passed(side, price, inclusive) {
            let best = self.book(side).own[0];
            let quantity = best.remaining.min(offered - taken).min(self.tape.room());
            if quantity == 0 {
                break;
            }
            let covered = self.tape.cover(best.price, quantity);
            for (part, printed) in [(covered, true), (quantity - covered, false)] {
                if part > 0 {
                    self.fill_maker(side, 0, part, printed, None, out);
                }
            }
            self.tape.spend_beside(quantity - covered);
            taken += quantity;
        }
        taken
    }

    /// The crowd takes `planned` at `price`, less what own trades took in its place.
    fn crowd_trade(&mut self, price: Price, planned: i64, aggressor: Side, out: &mut Outbox) {
        let passive = aggressor.opposite();
        let offered = self.tape.open_part(planned, self.lot);
        // The taking side itself cannot rest at or through this price, and the passive side not through it.
        let mut passed = self.fill_through(aggressor, price, true, offered, out);
        passed += self.fill_through(passive, price, false, offered - passed, out);
        let left = self.tape.crowd_trade(planned, passed, self.lot);
        let crowd_filled = if self.is_passed(aggressor, price, true) {
            // The crowd that traded here stood beyond what is left of our order: the book never shows it.
            self.publish(out);
            if left > 0 {
                self.print_crowd(price, left, aggressor, out);
            }
            0
        } else {
            let for_queue = if self.is_passed(passive, price, false) {
                0
            } else {
                offered - passed
            };
            self.trade_queue(price, left, for_queue, aggressor, out)
        };
        // The crowd's orders that would have traded without ours leave: the level ends as recorded.
        self.book_mut(passive)
            .shorten_crowd(price, planned - crowd_filled);
        self.touched.push((passive, price));
        self.publish(out);
    }

    /// Prints a trade of `left` at `price`, of which `for_queue` serves those who stand there, own orders and the
    /// crowd ahead of them; the rest has filled own orders elsewhere. Says how much the crowd got by its turn.
    fn trade_queue(
        &mut self,
        price: Price,
        mut left: i64,
        mut for_queue: i64,
        aggressor: Side,
        out: &mut Outbox,
    ) -> i64 {
        let passive = aggressor.opposite();
        let there = self.book(passive).total(price);
        if there < left {
            // Own takers consumed what stood here: the crowd comes back for this trade.
            self.book_mut(passive).add_crowd(price, left - there);
            self.touched.push((passive, price));
        }
        // The quotes that the trade happens at are public before it.
        self.publish(out);
        let mut crowd_filled = 0;
        while for_queue > 0
            && let Some(at) = self.book(passive).first_own_at(price)
        {
            let own = self.book(passive).own[at];
            let turn = if own.ahead > 0 { own.ahead } else { own.remaining };
            let quantity = turn.min(for_queue);
            let trade_id = self.print_crowd(price, quantity, aggressor, out);
            if own.ahead > 0 {
                self.book_mut(passive).consume_crowd(price, quantity);
                crowd_filled += quantity;
            } else {
                self.report_maker(passive, at, quantity, trade_id, out);
            }
            for_queue -= quantity;
            left -= quantity;
        }
        if left > 0 {
            self.print_crowd(price, left, aggressor, out);
        }
        crowd_filled
    }

    /// Prints a trade of the crowd.
    fn print_crowd(
        &mut self,
        price: Price,
        quantity: i64,
        aggressor: Side,
        out: &mut Outbox,
    ) -> domain::TradeId {
        let trade_id = self.tape.next_trade_id();
        out.push(Output::Trade {
            trade_id,
            price,
            quantity: Quantity::from_units(quantity),
            aggressor,
        });
        trade_id
    }
}

/// Whether an order of `side` with `limit` may trade at `price` of the other side.
fn crosses(side: Side, limit: Option<Price>, price: Price) -> bool {
    match (limit, side) {
        (None, _) => true,
        (Some(limit), Side::Buy) => price <= limit,
        (Some(limit), Side::Sell) => price >= limit,
    }
}
