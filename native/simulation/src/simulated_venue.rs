//! The venue over real bars: market, latency, fees and faults in simulated time.

use std::collections::VecDeque;

use domain::{
    Bar, BookUpdate, BookUpdateKind, CancelRequest, Instrument, Level, MarketEvent, Nanos, OrderRequest,
    Price, Quote, Side, Timestamp, Trade,
};

use crate::depth_feed::DepthFeed;
use crate::desk::{OrderDesk, Request};
use crate::error::SimulationError;
use crate::faults::OrderFault;
use crate::fees::FeeSchedule;
use crate::flow::{FlowConfig, LEVELS_MAX};
use crate::latency::{LatencyModel, Leg};
use crate::market::Market;
use crate::matching::{
    Best, NewOrder, ORDERS_OPEN_MAX, OrderId, OrderOutcome, Outbox, Output, Owner, SelfTradePrevention,
};
use crate::venue::{Venue, VenueEvent, VenueEventBody};

/// Levels of one side in the first snapshot: the crowd's, and one for each own order.
const SNAPSHOT_LEVELS_MAX: usize = LEVELS_MAX as usize + ORDERS_OPEN_MAX;

/// Which public data is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedConfig {
    /// Public trades.
    pub trades: bool,
    /// Best bid and ask, at every change.
    pub quotes: bool,
    /// The book: a snapshot, then deltas.
    pub book: bool,
    /// Book changes are gathered on this grid of venue time; zero sends each change at once.
    pub depth_interval: Nanos,
}

impl FeedConfig {
    /// Everything, with a book every 100 ms as Binance's `@depth@100ms`.
    pub const FULL: Self = Self {
        trades: true,
        quotes: true,
        book: true,
        depth_interval: Nanos(100_000_000),
    };
    /// Trades and quotes only.
    pub const TRADES_AND_QUOTES: Self = Self {
        book: false,
        ..Self::FULL
    };
}

/// What a [`SimulatedVenue`] is made of.
#[derive(Debug, Clone, Copy)]
pub struct VenueConfig {
    /// The instrument with its rules.
    pub instrument: Instrument,
    /// How lively the market is.
    pub flow: FlowConfig,
    /// The three delays.
    pub latency: LatencyModel,
    /// What the venue takes.
    pub fees: FeeSchedule,
    /// Which public data is delivered.
    pub feed: FeedConfig,
}

/// Public data on its way to us; the levels of a book update wait in a queue of their own.
#[derive(Debug, Clone, Copy)]
enum FeedItem {
    Trade(Trade),
    Quote(Quote),
    Book {
        ts_event: Timestamp,
        kind: BookUpdateKind,
        update_id: u64,
        bids: usize,
        asks: usize,
    },
}

/// A venue that plays real bars as a seeded flow of orders and matches ours in it.
#[derive(Debug)]
pub struct SimulatedVenue {
    instrument: Instrument,
    feed_config: FeedConfig,
    market: Market,
    desk: OrderDesk,
    depth: DepthFeed,
    has_snapshot: bool,
    feed_leg: Leg,
    feed: VecDeque<(Timestamp, FeedItem)>,
    levels: VecDeque<Level>,
    bids: Vec<Level>,
    asks: Vec<Level>,
    snapshot: Vec<(Price, domain::Quantity)>,
    outbox: Outbox,
    delivered: Timestamp,
}

impl SimulatedVenue {
    /// A venue over `bars`, which ascend on the grid of their span.
    ///
    /// # Errors
    /// [`SimulationError`] names the first parameter or bar that makes it impossible.
    pub fn new(config: VenueConfig, bars: Vec<Bar>) -> Result<Self, SimulationError> {
        let market = Market::new(&config.instrument, config.flow, bars)?;
        Ok(Self {
            instrument: config.instrument,
            feed_config: config.feed,
            market,
            desk: OrderDesk::new(config.instrument, config.fees, &config.latency),
            depth: DepthFeed::new(config.feed.depth_interval),
            has_snapshot: false,
            feed_leg: Leg::new(config.latency.feed, config.latency.seed, "latency.feed"),
            feed: VecDeque::new(),
            levels: VecDeque::new(),
            bids: Vec::new(),
            asks: Vec::new(),
            snapshot: Vec::new(),
            outbox: Outbox::default(),
            delivered: Timestamp::from_nanos(i64::MIN),
        })
    }

    /// The best prices at the venue now: what it knows, not what has reached us.
    #[must_use]
    pub fn best(&self) -> Best {
        self.market.best()
    }

    /// The next point in venue time at which something happens there.
    fn venue_next(&mut self) -> Option<Timestamp> {
        let times = [self.depth.due(), self.market.next_ts(), self.desk.next_arrival()];
        times.into_iter().flatten().min()
    }

    /// Lets the venue do what is due first: a diff, then the crowd, then our requests.
    fn venue_step(&mut self, ts: Timestamp) {
        if self.depth.due() == Some(ts) {
            self.send_depth();
            return;
        }
        if self.market.next_ts() == Some(ts) {
            let mut outbox = std::mem::take(&mut self.outbox);
            self.market.step(&mut outbox);
            self.read_outbox(&outbox, false);
            self.outbox = outbox;
            return;
        }
        match self.desk.take_arrival() {
            Some((ts, Request::New(request, fault))) => self.take_order(&request, fault, ts),
            Some((ts, Request::Cancel(request))) => self.take_cancel(&request, ts),
            Some((ts, Request::Query(request))) => self.desk.answer(&request, ts),
            None => {}
        }
    }

    fn take_order(&mut self, request: &OrderRequest, fault: Option<OrderFault>, ts: Timestamp) {
        let best = self.market.best();
        let reference = match request.side {
            Side::Buy => best.ask,
            Side::Sell => best.bid,
        };
        let reference = reference.map_or(Price::ZERO, |(price, _)| price);
        if !self.desk.admit(request, fault, reference, ts) {
            return;
        }
        let order = NewOrder {
            owner: Owner::default(),
            side: request.side,
            order_type: request.order_type,
            price: request.price,
            quantity: request.quantity,
            time_in_force: request.time_in_force,
            post_only: request.post_only,
            self_trade: SelfTradePrevention::default(),
        };
        let mut outbox = std::mem::take(&mut self.outbox);
        let id = self.market.submit(&order, ts, &mut outbox);
        self.desk.open(id, request);
        self.read_outbox(&outbox, fault == Some(OrderFault::LoseAck));
        self.outbox = outbox;
    }

    fn take_cancel(&mut self, request: &CancelRequest, ts: Timestamp) {
        let Some(order) = self.desk.find(request.client_order_id) else {
            self.desk.refuse_cancel(request, ts);
            return;
        };
        let mut outbox = std::mem::take(&mut self.outbox);
        self.market.cancel(order, Owner::default(), ts, &mut outbox);
        self.read_outbox(&outbox, false);
        self.outbox = outbox;
    }

    fn read_outbox(&mut self, outbox: &Outbox, ack_lost: bool) {
        let ts = outbox.ts;
        let instrument = self.instrument.id;
        for output in &outbox.outputs {
            match *output {
                Output::Trade {
                    trade_id,
                    price,
                    quantity,
                    aggressor,
                } => {
                    self.send_depth_at_once();
                    if self.feed_config.trades {
                        self.send(
                            ts,
                            FeedItem::Trade(Trade {
                                instrument,
                                ts_event: ts,
                                trade_id,
                                price,
                                quantity,
                                aggressor,
                            }),
                        );
                    }
                }
                Output::Level {
                    side,
                    price,
                    quantity,
                    update_id,
                } => {
                    if self.feed_config.book {
                        self.depth.note(ts, side, price, quantity, update_id);
                    }
                }
                Output::Quote(best) => self.send_quote(ts, &best),
                Output::Order { order, outcome, .. } => self.report(order, &outcome, ack_lost, ts),
            }
        }
        self.send_depth_at_once();
    }

    fn report(&mut self, order: OrderId, outcome: &OrderOutcome, ack_lost: bool, ts: Timestamp) {
        self.desk.report(order, outcome, ack_lost, ts);
    }

    fn send_quote(&mut self, ts: Timestamp, best: &Best) {
        let (Some((bid, bid_quantity)), Some((ask, ask_quantity))) = (best.bid, best.ask) else {
            return;
        };
        if self.feed_config.quotes {
            self.send(
                ts,
                FeedItem::Quote(Quote {
                    instrument: self.instrument.id,
                    ts_event: ts,
                    update_id: best.update_id,
                    bid,
                    bid_quantity,
                    ask,
                    ask_quantity,
                }),
            );
        }
    }

    fn send(&mut self, ts: Timestamp, item: FeedItem) {
        let arrival = self.feed_leg.arrival(ts);
        self.feed.push_back((arrival, item));
    }

    fn send_depth_at_once(&mut self) {
        if self.feed_config.depth_interval.0 <= 0 && self.depth.due().is_some() {
            self.send_depth();
        }
    }

    /// Puts the gathered changes on the feed; the first time, the whole book.
    fn send_depth(&mut self) {
        let diff = self.depth.diff();
        let (ts_event, update_id) = (diff.ts, diff.last_update_id);
        let kind = if self.has_snapshot {
            BookUpdateKind::Delta
        } else {
            BookUpdateKind::Snapshot
        };
        let (bids, asks) = if self.has_snapshot {
            self.levels.extend(diff.bids.iter().chain(diff.asks));
            (diff.bids.len(), diff.asks.len())
        } else {
            self.has_snapshot = true;
            (self.queue_snapshot(Side::Buy), self.queue_snapshot(Side::Sell))
        };
        self.depth.clear();
        self.send(
            ts_event,
            FeedItem::Book {
                ts_event,
                kind,
                update_id,
                bids,
                asks,
            },
        );
    }

    fn queue_snapshot(&mut self, side: Side) -> usize {
        self.market.depth(side, SNAPSHOT_LEVELS_MAX, &mut self.snapshot);
        let levels = self.snapshot.iter();
        self.levels
            .extend(levels.map(|&(price, quantity)| Level { price, quantity }));
        self.snapshot.len()
    }

    fn deliver_feed(&mut self) -> Option<VenueEvent<'_>> {
        let (ts_received, item) = self.feed.pop_front()?;
        self.delivered = ts_received;
        let event = match item {
            FeedItem::Trade(trade) => MarketEvent::Trade(trade),
            FeedItem::Quote(quote) => MarketEvent::Quote(quote),
            FeedItem::Book {
                ts_event,
                kind,
                update_id,
                bids,
                asks,
            } => {
                self.bids.clear();
                self.bids.extend(self.levels.drain(..bids));
                self.asks.clear();
                self.asks.extend(self.levels.drain(..asks));
                MarketEvent::Book(BookUpdate {
                    instrument: self.instrument.id,
                    ts_event,
                    kind,
                    update_id,
                    bids: &self.bids,
                    asks: &self.asks,
                })
            }
        };
        Some(VenueEvent {
            ts_received,
            body: VenueEventBody::Market(event),
        })
    }

    fn deliver_report(&mut self) -> Option<VenueEvent<'_>> {
        let (ts_received, report) = self.desk.take_report()?;
        self.delivered = ts_received;
        Some(VenueEvent {
            ts_received,
            body: VenueEventBody::Report(report),
        })
    }
}

impl Venue for SimulatedVenue {
    fn submit(&mut self, request: &OrderRequest, now: Timestamp) {
        self.desk.send_order(request, now.max(self.delivered));
    }

    fn cancel(&mut self, request: &CancelRequest, now: Timestamp) {
        self.desk.send(Request::Cancel(*request), now.max(self.delivered));
    }

    fn query(&mut self, request: &CancelRequest, now: Timestamp) {
        self.desk.send(Request::Query(*request), now.max(self.delivered));
    }

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
                return self.deliver_feed();
            }
            if report == Some(first) {
                return self.deliver_report();
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
