//! The light venue: own orders against a stream of recorded quotes and trades.

use std::collections::VecDeque;
use std::iter::Peekable;

use domain::{CancelRequest, Instrument, MarketEvent, OrderRequest, Price, Quote, Timestamp, Trade};

use crate::desk::{OrderDesk, Request};
use crate::faults::OrderFault;
use crate::fees::FeeSchedule;
use crate::latency::{LatencyModel, Leg};
use crate::quote_book::{Outcomes, QuoteBook};
use crate::venue::{Venue, VenueEvent, VenueEventBody};

/// One recorded public event, in venue time order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicEvent {
    /// Best bid and ask.
    Quote(Quote),
    /// A trade.
    Trade(Trade),
}

impl PublicEvent {
    /// Venue time.
    #[must_use]
    pub const fn ts_event(&self) -> Timestamp {
        match self {
            Self::Quote(quote) => quote.ts_event,
            Self::Trade(trade) => trade.ts_event,
        }
    }
}

/// What a [`QuoteVenue`] is made of.
#[derive(Debug, Clone, Copy)]
pub struct QuoteVenueConfig {
    /// The instrument with its rules.
    pub instrument: Instrument,
    /// The three delays.
    pub latency: LatencyModel,
    /// What the venue takes.
    pub fees: FeeSchedule,
}

/// A venue over recorded public events.
///
/// **Taking**: at the quoted best of the other side, up to what it shows and own orders have not taken; what is
/// taken stays taken while the price stays. The rest of a limit order rests, any other rest expires: nothing
/// is known of the levels behind the best.
///
/// **Resting**: behind all that the level shows; an order behind the best price is placed when its price becomes
/// the best. It fills by trades at its price after what is ahead, by trades that pass it, and when the other
/// side's quote reaches it, each unit of trade or quote once. What is ahead shrinks by trades and by its share of
/// cancellations.
#[derive(Debug)]
pub struct QuoteVenue<I: Iterator<Item = PublicEvent>> {
    events: Peekable<I>,
    book: QuoteBook,
    desk: OrderDesk,
    feed_leg: Leg,
    feed: VecDeque<(Timestamp, PublicEvent)>,
    outcomes: Outcomes,
    delivered: Timestamp,
}

impl<I: Iterator<Item = PublicEvent>> QuoteVenue<I> {
    /// A venue over `events`, which must ascend by `ts_event`.
    pub fn new(config: QuoteVenueConfig, events: I) -> Self {
        Self {
            events: events.peekable(),
            book: QuoteBook::new(),
            desk: OrderDesk::new(config.instrument, config.fees, &config.latency),
            feed_leg: Leg::new(config.latency.feed, config.latency.seed, "latency.feed"),
            feed: VecDeque::new(),
            outcomes: Outcomes::new(),
            delivered: Timestamp::from_nanos(i64::MIN),
        }
    }

    fn venue_next(&mut self) -> Option<Timestamp> {
        let event = self.events.peek().map(PublicEvent::ts_event);
        event.into_iter().chain(self.desk.next_arrival()).min()
    }

    /// The recorded event or our request that is due first; the record goes first at the same instant.
    fn venue_step(&mut self, ts: Timestamp) {
        if let Some(event) = self.events.next_if(|event| event.ts_event() == ts) {
            match &event {
                PublicEvent::Quote(quote) => self.book.on_quote(quote, &mut self.outcomes),
                PublicEvent::Trade(trade) => self.book.on_trade(trade, &mut self.outcomes),
            }
            let arrival = self.feed_leg.arrival(ts);
            self.feed.push_back((arrival, event));
            if !self.outcomes.is_empty() {
                self.report(ts, false);
            }
            return;
        }
        match self.desk.take_arrival() {
            Some((ts, Request::New(request, fault))) => self.take_order(&request, fault, ts),
            Some((ts, Request::Cancel(request))) => match self.desk.find(request.client_order_id) {
                Some(order) => {
                    self.book.cancel(order, &mut self.outcomes);
                    self.report(ts, false);
                }
                None => self.desk.refuse_cancel(&request, ts),
            },
            Some((ts, Request::Query(request))) => self.desk.answer(&request, ts),
            None => {}
        }
    }

    fn take_order(&mut self, request: &OrderRequest, fault: Option<OrderFault>, ts: Timestamp) {
        let reference = self.book.best(request.side.opposite()).unwrap_or(Price::ZERO);
        if !self.desk.admit(request, fault, reference, ts) {
            return;
        }
        self.desk.open(self.book.next_order(), request);
        self.book.submit(request, &mut self.outcomes);
        self.report(ts, fault == Some(OrderFault::LoseAck));
    }

    fn report(&mut self, ts: Timestamp, ack_lost: bool) {
        for (order, outcome) in self.outcomes.drain(..) {
            self.desk.report(order, &outcome, ack_lost, ts);
        }
    }
}

impl<I: Iterator<Item = PublicEvent>> Venue for QuoteVenue<I> {
    fn submit(&mut self, request: &OrderRequest, now: Timestamp) {
        self.desk.send_order(request, now.max(self.delivered));
    }

    fn cancel(&mut self, request: &CancelRequest, now: Timestamp) {
        self.desk.send(Request::Cancel(*request), now.max(self.delivered));
    }

    fn query(&mut self, request: &CancelRequest, now: Timestamp) {
        self.desk.send(Request::Query(*request), now.max(self.delivered));
    }

    #[inline]
    fn next_event(&mut self, until: Timestamp) -> Option<VenueEvent<'_>> {
        loop {
            let feed = self.feed.front().map(|(ts, _)| *ts);
            let report = self.desk.next_report();
            let delivery = feed.into_iter().chain(report).min();
            let venue = self.venue_next();
            // What is already on its way at this instant comes before what the venue does at it.
            let first = delivery
                .into_iter()
                .chain(venue)
                .min()
                .filter(|ts| *ts <= until)?;
            if feed == Some(first) {
                let (ts_received, event) = self.feed.pop_front()?;
                self.delivered = ts_received;
                let event = match event {
                    PublicEvent::Quote(quote) => MarketEvent::Quote(quote),
                    PublicEvent::Trade(trade) => MarketEvent::Trade(trade),
                };
                return Some(VenueEvent {
                    ts_received,
                    body: VenueEventBody::Market(event),
                });
            }
            if report == Some(first) {
                let (ts_received, report) = self.desk.take_report()?;
                self.delivered = ts_received;
                return Some(VenueEvent {
                    ts_received,
                    body: VenueEventBody::Report(report),
                });
            }
            self.venue_step(first);
        }
    }

    fn is_finished(&mut self) -> bool {
        self.feed.is_empty() && self.desk.next_report().is_none() && self.venue_next().is_none()
    }

    fn inject(&mut self, fault: OrderFault) {
        self.desk.inject(fault);
    }
}
