//! The venue for paper trading: our orders against what a real market told, live or recorded.
//!
//! The market does not know of our orders, so everything that it leaves open is decided against us:
//!
//! - **Resting**: behind all that the level shows. What is ahead shrinks by trades at the price and by nothing else: who
//!   cancels stood behind us. An order fills by what trades at its price after that, or by what trades through it, each
//!   unit once, at its own price. A quote that only touches it fills nothing.
//! - **Taking**: level after level of the book as it is when the order arrives, each at its price, up to what it shows and
//!   own orders have not taken; what was taken stays taken as long as the level is shown.
//! - **Time** is the axis on which events are heard. A request arrives an entry latency after it was sent: behind every
//!   event heard up to that instant, before every later one. The same events and requests give the same reports.
//! - **Money**: an order that the free balance does not cover is refused; fees and roundings are against us.

mod account;
mod book;
mod told;

use std::collections::VecDeque;

use domain::{
    Balance, CancelRequest, Currency, Instrument, InstrumentId, MarketEvent, OrderReport, OrderReportKind,
    OrderRequest, OrderSnapshot, OrderStatus, Price, Quantity, RejectReason, Text, Timestamp, VenueOrderId,
};

use account::{Account, Reserved};
use book::{Outcomes, PaperBook};
use told::Told;

pub use book::PAPER_LEVELS_MAX;
pub use told::{PAPER_FILLS_KEPT, PaperFill};

use crate::desk::{DeskOrder, OrderDesk, Request};
use crate::faults::OrderFault;
use crate::fees::FeeSchedule;
use crate::latency::LatencyModel;
use crate::matching::OrderId;

/// What a [`PaperVenue`] is made of.
#[derive(Debug, Clone)]
pub struct PaperConfig {
    /// What is traded, with the venue's rules; ids count from zero.
    pub instruments: Vec<Instrument>,
    /// Delays of requests and of reports. That of public data is in the data.
    pub latency: LatencyModel,
    /// What the venue takes.
    pub fees: FeeSchedule,
    /// What the account begins with, units of 1e-8.
    pub opening: Vec<(Currency, i128)>,
}

/// What earlier lives of a venue left.
#[derive(Debug, Clone, Default)]
pub struct PaperLeft {
    /// What they made of the opening balances, units of 1e-8.
    pub changes: Vec<(Currency, i128)>,
    /// Orders that had not ended, and what of each had traded: they ended with the life.
    pub orders: Vec<(OrderRequest, Quantity)>,
    /// Numbers of orders and executions count from here: no two lives may share them.
    pub numbers_from: u64,
}

/// What the account is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaperEvent {
    /// Something happened to an order.
    Report(OrderReport),
    /// A balance after a fill.
    Balance(Balance),
}

/// One instrument's book, and the counter for our requests.
#[derive(Debug)]
struct Listed {
    book: PaperBook,
    desk: OrderDesk,
}

/// A venue whose market is told from outside.
#[derive(Debug)]
pub struct PaperVenue {
    instruments: Vec<Instrument>,
    listed: Vec<Listed>,
    account: Account,
    told: Told,
    orders: u64,
    trades: u64,
    outcomes: Outcomes,
    /// Balances that follow a report that was just told.
    following: VecDeque<(Timestamp, Balance)>,
    reached: Timestamp,
}

impl PaperVenue {
    /// Nothing is known of any book yet.
    #[must_use]
    pub fn new(config: &PaperConfig) -> Self {
        let listed = config.instruments.iter().map(|instrument| Listed {
            book: PaperBook::new(),
            desk: OrderDesk::new(*instrument, config.fees, &config.latency),
        });
        let account = Account::new(&config.opening);
        Self {
            instruments: config.instruments.clone(),
            listed: listed.collect(),
            told: Told::new(account.clone()),
            account,
            orders: 0,
            trades: 0,
            outcomes: Outcomes::new(),
            following: VecDeque::new(),
            reached: Timestamp::from_nanos(i64::MIN),
        }
    }

    /// Takes over what earlier lives left.
    pub fn carry(&mut self, left: &PaperLeft) {
        for &(currency, units) in &left.changes {
            self.account.add(currency, units);
            self.told.account_mut().add(currency, units);
        }
        for &(request, filled) in &left.orders {
            self.told.remember(DeskOrder {
                venue_order_id: VenueOrderId(Text::new("0").expect("one digit")),
                request,
                snapshot: OrderSnapshot {
                    status: OrderStatus::Canceled,
                    filled,
                },
            });
        }
        (self.orders, self.trades) = (left.numbers_from, left.numbers_from);
    }

    /// The market told this at `ts`. What arrived before that comes first.
    pub fn hear(&mut self, ts: Timestamp, event: &MarketEvent<'_>) {
        self.take_arrivals(ts);
        let instrument = match event {
            MarketEvent::Book(update) => update.instrument,
            MarketEvent::BookInvalid(invalid) => invalid.instrument,
            MarketEvent::Trade(trade) => trade.instrument,
            MarketEvent::InstrumentUpdated(instrument) => instrument.id,
            // The best level stands in the book; a venue that is down tells of each book.
            MarketEvent::Quote(_) | MarketEvent::VenueStatus(_) => return,
        };
        let Some(listed) = self.listed.get_mut(usize::from(instrument.0)) else {
            return;
        };
        match event {
            MarketEvent::Book(update) => listed.book.on_book(update),
            MarketEvent::BookInvalid(_) => listed.book.on_invalid(),
            MarketEvent::Trade(trade) => {
                listed.book.on_trade(trade, &mut self.trades, &mut self.outcomes);
                self.settle(usize::from(instrument.0), ts, false);
            }
            MarketEvent::InstrumentUpdated(fresh) => {
                listed.desk.renew_rules(fresh);
                self.instruments[usize::from(instrument.0)] = *fresh;
            }
            MarketEvent::Quote(_) | MarketEvent::VenueStatus(_) => {}
        }
    }

    /// An order leaves at `ts`.
    pub fn submit(&mut self, request: &OrderRequest, ts: Timestamp) {
        if let Some(listed) = self.of(request.instrument) {
            listed.desk.send_order(request, ts);
        }
    }

    /// A cancel leaves at `ts`.
    pub fn cancel(&mut self, request: &CancelRequest, ts: Timestamp) {
        if let Some(listed) = self.of(request.instrument) {
            listed.desk.send(Request::Cancel(*request), ts);
        }
    }

    /// Cancels at once what is open, without a way there and back; `false`: nothing open by that id.
    pub fn cancel_at_once(&mut self, request: &CancelRequest) -> bool {
        let Some(listed) = self.of(request.instrument) else {
            return false;
        };
        let Some(order) = listed.desk.find(request.client_order_id) else {
            return false;
        };
        listed.book.cancel(order, &mut Outcomes::new());
        listed.desk.end_silently(order);
        self.told.end(request.client_order_id, OrderStatus::Canceled);
        true
    }

    /// The next order of an instrument that is submitted meets `fault`. Several wait in line.
    pub fn inject(&mut self, instrument: InstrumentId, fault: OrderFault) {
        if let Some(listed) = self.of(instrument) {
            listed.desk.inject(fault);
        }
    }

    /// What the account is told next, up to `until` inclusive, with the time at which it comes. Requests that arrive
    /// before `until` are taken in on the way, as far as nothing is told before them.
    pub fn next_event(&mut self, until: Timestamp) -> Option<(Timestamp, PaperEvent)> {
        if let Some((ts, balance)) = self.following.pop_front() {
            return Some((ts, PaperEvent::Balance(balance)));
        }
        loop {
            let report = self
                .earliest(OrderDesk::next_report)
                .filter(|(ts, _)| *ts <= until);
            let arrival = self
                .earliest(OrderDesk::next_arrival)
                .filter(|(ts, _)| *ts < until);
            match (report, arrival) {
                (Some((ts, at)), arrival) if arrival.is_none_or(|(arrival, _)| ts <= arrival) => {
                    return self.tell(at);
                }
                (_, Some((_, at))) => self.take_arrival(at),
                (_, None) => return None,
            }
        }
    }

    /// When the last request was taken in. Events that are heard later must be later.
    #[must_use]
    pub const fn reached(&self) -> Timestamp {
        self.reached
    }

    /// When something happens next if the market says nothing; `None`: never.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let report = self.earliest(OrderDesk::next_report);
        let arrival = self.earliest(OrderDesk::next_arrival);
        let due = report.into_iter().chain(arrival).map(|(ts, _)| ts);
        due.chain(self.following.front().map(|(ts, _)| *ts)).min()
    }

    /// Open orders of an instrument, as far as the account has been told of them.
    pub fn open_orders(&self, instrument: InstrumentId) -> impl Iterator<Item = &DeskOrder> {
        let open = self.told.open().iter();
        open.filter(move |order| order.request.instrument == instrument)
    }

    /// Orders that the account has been told of: open ones, then ended ones, the last first.
    pub fn orders(&self) -> impl Iterator<Item = &DeskOrder> {
        self.told.orders()
    }

    /// Whether an order has left and the account has not been told yet what came of it.
    #[must_use]
    pub fn is_on_its_way(&self, order: &CancelRequest) -> bool {
        let listed = self.listed.get(usize::from(order.instrument.0));
        listed.is_some_and(|listed| listed.desk.is_on_its_way(order.client_order_id))
    }

    /// Executions that the account has been told of, oldest first.
    pub fn fills(&self) -> impl Iterator<Item = &PaperFill> {
        self.told.fills().iter()
    }

    /// Every balance that is not zero, as far as the account has been told.
    #[must_use]
    pub fn balances(&self) -> Vec<Balance> {
        self.told.balances(&self.instruments)
    }

    fn of(&mut self, instrument: InstrumentId) -> Option<&mut Listed> {
        self.listed.get_mut(usize::from(instrument.0))
    }

    fn reserved(&self) -> Reserved {
        let mut reserved = Reserved::default();
        for (listed, instrument) in self.listed.iter().zip(&self.instruments) {
            for order in listed.desk.open_orders() {
                reserved.add(instrument, &order);
            }
        }
        reserved
    }

    /// The desk that has something first, and when.
    fn earliest(&self, due: impl Fn(&OrderDesk) -> Option<Timestamp>) -> Option<(Timestamp, usize)> {
        let desks = self.listed.iter().enumerate();
        desks
            .filter_map(|(at, listed)| due(&listed.desk).map(|ts| (ts, at)))
            .min()
    }

    /// Every request that arrives before `ts`, in order.
    fn take_arrivals(&mut self, ts: Timestamp) {
        while let Some((_, at)) = self
            .earliest(OrderDesk::next_arrival)
            .filter(|(due, _)| *due < ts)
        {
            self.take_arrival(at);
        }
    }

    fn take_arrival(&mut self, at: usize) {
        let listed = &mut self.listed[at];
        let arrival = listed.desk.take_arrival();
        self.reached = arrival.map_or(self.reached, |(ts, _)| self.reached.max(ts));
        match arrival {
            Some((ts, Request::New(request, fault))) => self.take_order(at, &request, fault, ts),
            Some((ts, Request::Cancel(request))) => match listed.desk.find(request.client_order_id) {
                Some(order) => {
                    listed.book.cancel(order, &mut self.outcomes);
                    self.settle(at, ts, false);
                }
                None => listed.desk.refuse_cancel(&request, ts),
            },
            Some((ts, Request::Query(request))) => listed.desk.answer(&request, ts),
            None => {}
        }
    }

    fn take_order(&mut self, at: usize, request: &OrderRequest, fault: Option<OrderFault>, ts: Timestamp) {
        let reserved = self.reserved();
        let listed = &mut self.listed[at];
        let best = listed.book.best(request.side.opposite());
        let reach = listed.book.reach(request);
        let is_covered = self
            .account
            .covers(&self.instruments[at], request, &reach, &reserved);
        let uncovered = OrderFault::Reject(RejectReason::InsufficientBalance);
        let fault = fault.or((!is_covered).then_some(uncovered));
        if !listed.desk.admit(request, fault, best.unwrap_or(Price::ZERO), ts) {
            return;
        }
        self.orders += 1;
        let order = OrderId(self.orders);
        listed.desk.open(order, request);
        listed
            .book
            .submit(order, request, &mut self.trades, &mut self.outcomes);
        self.settle(at, ts, fault == Some(OrderFault::LoseAck));
    }

    /// Reports what happened, and books what traded.
    fn settle(&mut self, at: usize, ts: Timestamp, ack_lost: bool) {
        let listed = &mut self.listed[at];
        for (order, outcome) in self.outcomes.drain(..) {
            if let Some(fill) = listed.desk.report(order, &outcome, ack_lost, ts) {
                self.account.book(&self.instruments[at], &fill);
            }
        }
    }

    /// Tells the next report of a desk; after a fill, the balances of both assets.
    fn tell(&mut self, at: usize) -> Option<(Timestamp, PaperEvent)> {
        let (listed, instrument) = (&mut self.listed[at], &self.instruments[at]);
        let (ts, report) = listed.desk.take_report()?;
        let order = listed.desk.order(report.client_order_id);
        self.told
            .take(instrument, report.ts_event, &report.kind, order.as_ref());
        if let OrderReportKind::Filled(_) = report.kind {
            for asset in [instrument.base, instrument.quote] {
                let balance = self.told.balance(asset, &self.instruments);
                self.following.push_back((ts, balance));
            }
        }
        Some((ts, PaperEvent::Report(report)))
    }
}

#[cfg(test)]
mod tests;
