//! What was decided and what came of it, in one life: of a replay, or of a run's record.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{
    AmendRequest, Bar, BookUpdateKind, CancelRequest, ClientOrderId, InstrumentId, MarketEvent, OrderRequest,
    OrderStatus, Quantity, TimeInForce, Timestamp,
};
use engine::{Action, BookedFill, Event, EventBody, JournalHealth, OrderUpdate};
use journal::Room;

use crate::record::{Record, RecordFault, Written};

/// Most actions for the venue and most fills that are kept; more are counted.
pub(super) const KEPT_MAX: usize = 100_000;

/// One action that left for the venue, and its place in the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    /// The latest venue time that the market had told.
    pub(super) market_time: Option<Timestamp>,
    /// When the latest bar of the instrument closed, venue time.
    pub(super) last_bar: Option<Timestamp>,
    pub(super) what: Asked,
}

/// What was asked of the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// A new order, by its place among all.
    Order(usize),
    Amend(AmendRequest),
    Cancel(CancelRequest),
}

/// One order that left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decided {
    /// Engine time.
    pub(super) ts: Timestamp,
    pub(super) request: OrderRequest,
    pub(super) status: OrderStatus,
    pub(super) filled: Quantity,
    /// Places of its fills among all.
    fills: Vec<usize>,
}

impl Decided {
    /// The order as it was asked for.
    pub(super) fn words(&self) -> String {
        let request = &self.request;
        let limit = request
            .price
            .map_or_else(|| "market".to_owned(), |price| price.to_string());
        let mut words = format!(
            "{} {} {} at {limit}",
            request.client_order_id, request.side, request.quantity
        );
        // Writing into a text does not fail.
        let _ = match request.time_in_force {
            TimeInForce::Gtc => Ok(()),
            TimeInForce::Ioc => write!(words, ", ioc"),
            TimeInForce::Fok => write!(words, ", fok"),
            TimeInForce::Gtd(until) => write!(words, ", gtd {} ns", until.nanos()),
        };
        words += if request.post_only { ", post-only" } else { "" };
        words += if request.reduce_only { ", reduce-only" } else { "" };
        words
    }
}

/// All of a life.
#[derive(Debug, Clone, Default)]
pub(super) struct Decisions {
    pub(super) events: u64,
    pub(super) bars: u64,
    pub(super) signals: u64,
    pub(super) denied: u64,
    pub(super) alerts: u64,
    /// Everything that left for the venue, in its order.
    pub(super) sent: Vec<Sent>,
    pub(super) orders: Vec<Decided>,
    pub(super) fills: Vec<BookedFill>,
    /// Actions for the venue, and fills, beyond [`KEPT_MAX`].
    pub(super) dropped: u64,
    /// Actions of a record that this build cannot read.
    pub(super) unreadable: u64,
    /// Where among all the order of each id is.
    places: BTreeMap<ClientOrderId, usize>,
    last_bars: BTreeMap<InstrumentId, Timestamp>,
    /// The first and the latest venue time that the market told.
    pub(super) first_market_time: Option<Timestamp>,
    pub(super) market_time: Option<Timestamp>,
}

impl Decisions {
    pub(super) fn event(&mut self, event: &Event<'_>) {
        self.events += 1;
        match &event.body {
            EventBody::Market(market) => {
                let told = venue_time(market);
                self.first_market_time = self.first_market_time.or(told);
                self.market_time = self.market_time.max(told);
            }
            EventBody::HistoricalBar(bar) => self.bar(bar),
            _ => {}
        }
    }

    pub(super) fn submitted(&mut self, ts: Timestamp, request: &OrderRequest) {
        let place = self.orders.len();
        if !self.send(request.instrument, Asked::Order(place)) {
            return;
        }
        self.places.insert(request.client_order_id, place);
        self.orders.push(Decided {
            ts,
            request: *request,
            status: OrderStatus::Submitted,
            filled: Quantity::ZERO,
            fills: Vec::new(),
        });
    }

    pub(super) fn amended(&mut self, amend: &AmendRequest) {
        self.send(amend.instrument, Asked::Amend(*amend));
    }

    pub(super) fn action(&mut self, action: &Action) {
        match action {
            Action::BarClosed(bar) => {
                self.bars += 1;
                self.bar(bar);
            }
            Action::Signal(_) => self.signals += 1,
            Action::Denied { .. } => self.denied += 1,
            Action::Alert(_) => self.alerts += 1,
            Action::Cancel(cancel) => {
                self.send(cancel.instrument, Asked::Cancel(*cancel));
            }
            Action::OrderUpdate(update) => self.update(update),
            Action::Fill(fill) => self.fill(fill),
            _ => {}
        }
    }

    /// What left while the market's time was at most this: that never goes back.
    pub(super) fn until(&self, market_time: Option<Timestamp>) -> &[Sent] {
        let end = self.sent.partition_point(|sent| sent.market_time <= market_time);
        &self.sent[..end]
    }

    pub(super) fn fills_of<'a>(&'a self, order: &'a Decided) -> impl Iterator<Item = &'a BookedFill> {
        order.fills.iter().map(|place| &self.fills[*place])
    }

    /// Whether there was room to keep it.
    fn send(&mut self, instrument: InstrumentId, what: Asked) -> bool {
        let has_room = self.sent.len() < KEPT_MAX;
        if has_room {
            self.sent.push(Sent {
                market_time: self.market_time,
                last_bar: self.last_bars.get(&instrument).copied(),
                what,
            });
        } else {
            self.dropped += 1;
        }
        has_room
    }

    fn bar(&mut self, bar: &Bar) {
        let last = self.last_bars.entry(bar.instrument).or_insert(bar.ts_close());
        *last = bar.ts_close().max(*last);
    }

    fn fill(&mut self, fill: &BookedFill) {
        if self.fills.len() == KEPT_MAX {
            self.dropped += 1;
            return;
        }
        let place = self.fills.len();
        self.fills.push(*fill);
        if let Some(order) = fill.client_order_id.and_then(|id| self.order_mut(id)) {
            order.fills.push(place);
        }
    }

    fn update(&mut self, update: &OrderUpdate) {
        if let Some(order) = self.order_mut(update.client_order_id) {
            (order.status, order.filled) = (update.status, update.filled);
        }
    }

    fn order_mut(&mut self, id: ClientOrderId) -> Option<&mut Decided> {
        self.orders.get_mut(*self.places.get(&id)?)
    }
}

/// When the market says it happened.
pub(super) const fn venue_time(event: &MarketEvent<'_>) -> Option<Timestamp> {
    match event {
        MarketEvent::Trade(trade) => Some(trade.ts_event),
        MarketEvent::Quote(quote) => Some(quote.ts_event),
        MarketEvent::Book(update) => match update.kind {
            BookUpdateKind::Delta => Some(update.ts_event),
            // Where a venue's snapshot has no time it has the receiver's.
            BookUpdateKind::Snapshot => None,
        },
        MarketEvent::BookInvalid(_) | MarketEvent::InstrumentUpdated(_) | MarketEvent::VenueStatus(_) => None,
    }
}

/// A record that keeps decisions and no more. Copies are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Decisions>>);

impl Kept {
    pub(super) fn decisions(&self) -> MutexGuard<'_, Decisions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record for Kept {
    fn next_event(&self) -> u64 {
        self.decisions().events + 1
    }

    fn event(&mut self, event: &Event<'_>, _: Room) -> Result<(), RecordFault> {
        self.decisions().event(event);
        Ok(())
    }

    fn actions(&mut self, ts: Timestamp, actions: &[Action], _: Room) -> Result<(), RecordFault> {
        let mut decisions = self.decisions();
        for action in actions {
            match action {
                Action::Submit(order) => decisions.submitted(ts, order.get()),
                Action::Amend(amend) => decisions.amended(amend.get()),
                other => decisions.action(other),
            }
        }
        Ok(())
    }

    fn health(&self) -> JournalHealth {
        JournalHealth::Healthy
    }

    fn written(&self) -> Written {
        Written::default()
    }

    fn finish(self: Box<Self>) -> Result<(), RecordFault> {
        Ok(())
    }
}
