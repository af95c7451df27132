//! What the deciding thread tells the one that speaks to others: small copies, through one bounded queue.
//!
//! The queue's order is the order of what happened, so a picture of the engine that comes out of it stands exactly
//! after all that came out before. Public market data and signals leave room for everything else: when nobody takes anything, they
//! are dropped first, and every drop is counted.

use std::sync::Arc;

use domain::{
    Balance, Bar, BookInvalid, BundleDigest, ClientOrderId, MarketEvent, OrderReportKind, OrderRequest,
    Quote, Timestamp, Trade, Venue, VenueOrderId, VenueStatus,
};
use engine::probe::Probe;
use engine::risk::DenyReason;
use engine::{
    Action, Alert, BookedFill, ControlLevel, Engine, EventBody, OrderUpdate, PositionUpdate, Scope, Signal,
    SlotSnapshot,
};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::dead_man::Alarm;
use crate::monitoring::Counters;
use crate::stops::Causes;
use crate::view::View;

/// Things that may wait to be told.
pub(crate) const TOLD_MAX: usize = 16_384;

/// Room that public market data and signals leave for everything else.
const ROOM_KEPT: usize = TOLD_MAX / 2;

/// One thing, and the engine's time of it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) ts: Timestamp,
    pub(crate) what: What,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum What {
    Trade(Trade),
    Quote(Quote),
    BookInvalid(BookInvalid),
    Bar(Bar),
    Venue(VenueStatus),
    Balance(Venue, Balance),
    /// An order left; the bundle that decided it, unless a person did.
    Sent(OrderRequest, Option<BundleDigest>),
    /// Risk refused an order.
    Denied(OrderRequest, DenyReason, Option<BundleDigest>),
    /// The venue named one of our orders.
    Named(ClientOrderId, VenueOrderId),
    Update(OrderUpdate),
    Fill(BookedFill),
    /// A position, and its slot and account after it.
    Position(PositionUpdate, SlotSnapshot, Equity),
    Signal(Signal, Option<BundleDigest>),
    /// A control changed, and what latched it.
    Control(Scope, ControlLevel, Causes),
    Alert(Alert),
    /// The service itself has something to tell.
    Alarm(Alarm),
    /// A bundle took its slot over.
    Activated(SlotSnapshot),
    /// The whole engine, asked for by the number.
    Picture(u64, Box<View>),
}

/// The account's equity and its highest so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Equity {
    pub(crate) now: domain::Money,
    pub(crate) peak: domain::Money,
}

/// The telling end.
#[derive(Debug)]
pub(crate) struct Teller {
    queue: Producer<Told>,
    counters: Arc<Counters>,
}

impl Teller {
    pub(crate) fn new(counters: Arc<Counters>) -> (Self, Consumer<Told>) {
        let (queue, told) = RingBuffer::new(TOLD_MAX);
        (Self { queue, counters }, told)
    }

    /// Tells of an input of the engine.
    pub(crate) fn tell_event(&mut self, ts: Timestamp, body: &EventBody<'_>) {
        let what = match *body {
            EventBody::Market(MarketEvent::Trade(trade)) => return self.tell_public(ts, What::Trade(trade)),
            EventBody::Market(MarketEvent::Quote(quote)) => return self.tell_public(ts, What::Quote(quote)),
            EventBody::Market(MarketEvent::BookInvalid(invalid)) => What::BookInvalid(invalid),
            EventBody::Market(MarketEvent::VenueStatus(status)) => What::Venue(status),
            EventBody::Balance { venue, balance } => What::Balance(venue, balance),
            EventBody::OrderReport(report) => match report.kind {
                OrderReportKind::Accepted(venue_order_id) => {
                    What::Named(report.client_order_id, venue_order_id)
                }
                _ => return,
            },
            _ => return,
        };
        self.tell(ts, what);
    }

    /// Tells of an output of the engine; `by_hand`: a person's command led to it.
    pub(crate) fn tell_action<P: Probe>(
        &mut self,
        ts: Timestamp,
        action: &Action,
        engine: &Engine<P>,
        by_hand: bool,
    ) {
        let slot = |id| engine.slots().find(|slot| slot.slot == id);
        let bundle = |id| slot(id).and_then(|slot| slot.active).filter(|_| !by_hand);
        let what = match *action {
            Action::Submit(ref order) => {
                let request = *order.get();
                What::Sent(request, bundle(request.client_order_id.slot))
            }
            Action::Denied { request, reason } => {
                What::Denied(request, reason, bundle(request.client_order_id.slot))
            }
            Action::BarClosed(bar) => What::Bar(bar),
            Action::OrderUpdate(update) => What::Update(update),
            Action::Fill(fill) => What::Fill(fill),
            Action::Position(position) => {
                let Some(slot) = slot(position.slot) else { return };
                let equity = Equity {
                    now: engine.equity(),
                    peak: engine.peak_equity(),
                };
                What::Position(position, slot, equity)
            }
            Action::Signal(signal) => {
                let running = slot(signal.slot).and_then(|slot| slot.active);
                return self.tell_signal(ts, &signal, running);
            }
            Action::Control { scope, level } => {
                What::Control(scope, level, Causes::of(engine.latches(), scope, level))
            }
            Action::Alert(alert) => What::Alert(alert),
            Action::BundleActivated { slot: id, .. } => match slot(id) {
                Some(slot) => What::Activated(slot),
                None => return,
            },
            _ => return,
        };
        self.tell(ts, what);
    }

    /// Tells the whole.
    pub(crate) fn tell_picture(&mut self, number: u64, view: Box<View>) {
        self.tell(view.now, What::Picture(number, view));
    }

    /// Bars of trades may close as often as there are trades: their signals leave room as public data do.
    fn tell_signal(&mut self, ts: Timestamp, signal: &Signal, running: Option<BundleDigest>) {
        self.tell_public(ts, What::Signal(*signal, running));
    }

    fn tell_public(&mut self, ts: Timestamp, what: What) {
        if self.queue.slots() > ROOM_KEPT {
            self.tell(ts, what);
        } else {
            self.counters.untold.add_one();
        }
    }

    /// Tells what the service itself has to say.
    pub(crate) fn tell_alarm(&mut self, ts: Timestamp, alarm: Alarm) {
        self.tell(ts, What::Alarm(alarm));
    }

    fn tell(&mut self, ts: Timestamp, what: What) {
        if self.queue.push(Told { ts, what }).is_err() {
            self.counters.untold.add_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{InstrumentId, Price, Quantity, Side, SlotId, TradeId};
    use engine::{Decision, FeatureRow};

    use super::*;

    /// What may come as often as trades do is told [`TOLD_MAX`] times while nobody takes anything: half of it is dropped and
    /// counted, and what comes then still gets through.
    fn assert_leaves_room(mut tell: impl FnMut(&mut Teller)) {
        let counters = Arc::new(Counters::default());
        let (mut teller, mut told) = Teller::new(Arc::clone(&counters));
        for _ in 0..TOLD_MAX {
            tell(&mut teller);
        }
        assert_eq!(counters.untold.get(), (TOLD_MAX - ROOM_KEPT) as u64);
        let status = EventBody::Market(MarketEvent::VenueStatus(VenueStatus {
            venue: Venue::Binance,
            state: domain::VenueState::Online,
        }));
        teller.tell_event(Timestamp::EPOCH, &status);
        assert_eq!(told.slots(), ROOM_KEPT + 1);
        let last = std::iter::from_fn(|| told.pop().ok()).last();
        assert!(matches!(last.unwrap().what, What::Venue(_)));
    }

    #[test]
    fn public_data_leave_room_and_every_drop_is_counted() {
        let trade = EventBody::Market(MarketEvent::Trade(Trade {
            instrument: InstrumentId(0),
            ts_event: Timestamp::EPOCH,
            trade_id: TradeId(1),
            price: Price::from_units(1),
            quantity: Quantity::from_units(1),
            aggressor: Side::Buy,
        }));
        assert_leaves_room(|teller| teller.tell_event(Timestamp::EPOCH, &trade));
    }

    #[test]
    fn signals_leave_room_too() {
        let signal = Signal {
            slot: SlotId(1),
            instrument: InstrumentId(0),
            ts_close: Timestamp::EPOCH,
            features: FeatureRow::new(&[0.5]).unwrap(),
            raw_score: 0.0,
            probability: 0.5,
            decision: Decision::Hold,
        };
        assert_leaves_room(|teller| teller.tell_signal(Timestamp::EPOCH, &signal, None));
    }
}
