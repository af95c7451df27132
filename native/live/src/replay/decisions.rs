//! What was decided and what came of it, in one life: of a replay, or of a run's record.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{
    BookUpdateKind, ClientOrderId, MarketEvent, OrderRequest, OrderStatus, Quantity, TimeInForce, Timestamp,
};
use engine::{Action, BookedFill, Event, EventBody, JournalHealth, OrderUpdate};
use journal::Room;

use crate::record::{Record, RecordFault, Written};

/// Most orders and most fills that are kept; more are counted.
pub(super) const KEPT_MAX: usize = 100_000;

/// One order that left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decided {
    /// Engine time.
    pub(super) ts: Timestamp,
    /// The latest venue time that the market had told.
    pub(super) market_time: Option<Timestamp>,
    pub(super) request: OrderRequest,
    pub(super) status: OrderStatus,
    pub(super) filled: Quantity,
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
    pub(super) orders: Vec<Decided>,
    pub(super) fills: Vec<BookedFill>,
    /// Orders and fills beyond [`KEPT_MAX`].
    pub(super) dropped: u64,
    /// The first and the latest venue time that the market told.
    pub(super) first_market_time: Option<Timestamp>,
    pub(super) market_time: Option<Timestamp>,
}

impl Decisions {
    pub(super) fn event(&mut self, event: &Event<'_>) {
        self.events += 1;
        if let EventBody::Market(market) = &event.body {
            let told = venue_time(market);
            self.first_market_time = self.first_market_time.or(told);
            self.market_time = self.market_time.max(told);
        }
    }

    pub(super) fn submitted(&mut self, ts: Timestamp, request: &OrderRequest) {
        if self.orders.len() == KEPT_MAX {
            self.dropped += 1;
            return;
        }
        self.orders.push(Decided {
            ts,
            market_time: self.market_time,
            request: *request,
            status: OrderStatus::Submitted,
            filled: Quantity::ZERO,
        });
    }

    pub(super) fn action(&mut self, action: &Action) {
        match action {
            Action::BarClosed(_) => self.bars += 1,
            Action::Signal(_) => self.signals += 1,
            Action::Denied { .. } => self.denied += 1,
            Action::Alert(_) => self.alerts += 1,
            Action::OrderUpdate(update) => self.update(update),
            Action::Fill(_) if self.fills.len() == KEPT_MAX => self.dropped += 1,
            Action::Fill(fill) => self.fills.push(*fill),
            _ => {}
        }
    }

    /// Orders that were decided while the market's time was at most this.
    pub(super) fn until(&self, market_time: Option<Timestamp>) -> Vec<&Decided> {
        let orders = self.orders.iter();
        orders.filter(|order| order.market_time <= market_time).collect()
    }

    pub(super) fn fills_of(&self, order: ClientOrderId) -> Vec<&BookedFill> {
        let fills = self.fills.iter();
        fills.filter(|fill| fill.client_order_id == Some(order)).collect()
    }

    fn update(&mut self, update: &OrderUpdate) {
        let mut orders = self.orders.iter_mut().rev();
        let known = orders.find(|order| order.request.client_order_id == update.client_order_id);
        if let Some(order) = known {
            (order.status, order.filled) = (update.status, update.filled);
        }
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
