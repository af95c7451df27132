//! Streams that stop while their socket stays open, at the simulated venue: the book is not believed any more, the feed
//! sees to a new one, and nothing is told of the old one.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use domain::{
    Bar, BookInvalidReason, BookUpdateKind, InstrumentId, MarketEvent, Nanos, Price, Quantity, Timestamp,
};
use support::{Inbox, post, queue};
use tokio::time::timeout;
use venue_server::{Server, ServerConfig, VenueKind};
use venues::clock::{Clock, Rate, ServerClock};
use venues::retry::Jitter;
use venues::{Instruments, MarketFeed, MarketProtocol, Reference, StalenessBounds, StreamMessage};
use venues::{binance, coinbase, kraken};

const BTC: InstrumentId = InstrumentId(0);
const FIRST_BAR_MS: i64 = 1_632_700_800_000;
const BARS: i64 = 600;
const HISTORY: i64 = 50;

/// How much faster than the wall's time the venue's passes, billionths.
const COMPRESSION: i64 = 300 * 1_000_000_000;

/// Longest wait for anything that comes at all times, wall time.
const PATIENCE: Duration = Duration::from_millis(500);

const WIRES: [VenueKind; 3] = [VenueKind::Binance, VenueKind::Coinbase, VenueKind::Kraken];

/// A market that swings gently around 100.
fn bars() -> Vec<Bar> {
    let cents = |cents: i64| Price::from_units(cents * 1_000_000);
    let bar = |number: i64| {
        let swing = |at: i64| 10_000 + 20 * ((at % 12) - 6).abs();
        let (open, close) = (swing(number), swing(number + 1));
        Bar {
            instrument: BTC,
            ts_open: Timestamp::from_millis(FIRST_BAR_MS + number * 60_000),
            span: Nanos::from_secs(60),
            open: cents(open),
            high: cents(open.max(close) + 7),
            low: cents(open.min(close) - 7),
            close: cents(close),
            volume: Quantity::from_units(40 * 100_000_000),
        }
    };
    (0..BARS).map(bar).collect()
}

/// What strategies are told.
#[derive(Debug, Default)]
struct Seen {
    stands: bool,
    invalid: Vec<BookInvalidReason>,
    snapshots: usize,
    deltas: usize,
}

impl Seen {
    fn take(&mut self, event: &MarketEvent<'_>) {
        match event {
            MarketEvent::Book(update) if update.kind == BookUpdateKind::Snapshot => {
                self.stands = true;
                self.snapshots += 1;
            }
            MarketEvent::Book(_) => {
                assert!(self.stands, "a change of a book that is not believed");
                self.deltas += 1;
            }
            MarketEvent::BookInvalid(invalid) => {
                assert!(self.stands, "given up twice");
                self.stands = false;
                self.invalid.push(invalid.reason);
            }
            _ => {}
        }
    }
}

struct Session {
    server: Server,
    feed: MarketFeed,
    inbox: Inbox,
    data: Box<dyn MarketProtocol>,
    seen: Seen,
}

/// The feed of a wire with the patience of this test.
async fn feed(
    venue: VenueKind,
    port: u16,
    clock: &Arc<ServerClock>,
) -> (MarketFeed, Inbox, Box<dyn MarketProtocol>) {
    let as_clock = Arc::clone(clock) as Arc<dyn Clock>;
    let rate = Rate::Fixed(COMPRESSION);
    let (sink, inbox) = queue(65_536);
    let jitter = Jitter::seeded(1);
    if venue == VenueKind::Binance {
        let mut settings = binance::Settings::new(binance::Endpoints::loopback(port));
        settings.data_timeout = PATIENCE;
        let rest = Arc::new(binance::RestClient::new(settings, None, as_clock).unwrap());
        rest.anchor_clock(clock, rate).await.unwrap();
        let table = Arc::new(Instruments::new(rest.instruments(&["BTCUSDT"]).await.unwrap()).unwrap());
        let feed = binance::market_feed(&rest, &table, jitter, sink).unwrap();
        let ahead_max = clock.service_span(Nanos::from_secs(5));
        return (feed, inbox, Box::new(binance::MarketData::new(table, ahead_max)));
    }
    if venue == VenueKind::Kraken {
        return kraken_feed(port, clock).await;
    }
    let mut settings = coinbase::Settings::new(coinbase::Endpoints::loopback(port));
    settings.heartbeat_timeout = PATIENCE;
    let rest = Arc::new(coinbase::RestClient::new(settings, None, as_clock).unwrap());
    rest.anchor_clock(clock, rate).await.unwrap();
    let table = Arc::new(Instruments::new(rest.instruments(&["BTC-USD"]).await.unwrap()).unwrap());
    let feed = coinbase::market_feed(&rest, &table, jitter, sink).unwrap();
    let ahead_max = clock.service_span(Nanos::from_secs(5));
    (
        feed,
        inbox,
        Box::new(coinbase::AdvancedMarketData::new(table, ahead_max)),
    )
}

async fn kraken_feed(port: u16, clock: &Arc<ServerClock>) -> (MarketFeed, Inbox, Box<dyn MarketProtocol>) {
    let mut settings = kraken::Settings::new(kraken::Endpoints::loopback(port));
    settings.idle_timeout = PATIENCE;
    let depth = usize::from(settings.book_depth);
    let as_clock = Arc::clone(clock) as Arc<dyn Clock>;
    let rest = Arc::new(kraken::RestClient::new(settings, None, as_clock).unwrap());
    rest.anchor_clock(clock, Rate::Fixed(COMPRESSION)).await.unwrap();
    let table = Arc::new(Instruments::new(rest.instruments(&["BTC/USD"]).await.unwrap()).unwrap());
    let (sink, inbox) = queue(65_536);
    let feed = kraken::market_feed(&rest, &table, Jitter::seeded(1), sink).unwrap();
    let ahead_max = clock.service_span(Nanos::from_secs(5));
    let data = kraken::MarketData::new(table, kraken::WireVersion::V2, depth, ahead_max);
    (feed, inbox, Box::new(data))
}

impl Session {
    async fn start(venue: VenueKind) -> Self {
        let symbol = match venue {
            VenueKind::Binance => "BTCUSDT",
            VenueKind::Coinbase => "BTC-USD",
            VenueKind::Kraken => "BTC/USD",
        };
        let mut config = ServerConfig::new(bars(), symbol);
        config.venue = venue;
        config.from = Some(Timestamp::from_millis(FIRST_BAR_MS + HISTORY * 60_000));
        // A minute of venue time each 200 ms.
        config.wall_span = Nanos::from_millis(200);
        let server = Server::start(config, Vec::new()).await.unwrap();
        let clock = Arc::new(ServerClock::local());
        let (feed, inbox, mut data) = feed(venue, server.address().port(), &clock).await;
        let wall = |ms: i64| clock.service_span(Nanos::from_millis(ms));
        data.set_staleness(StalenessBounds {
            behind_max: wall(500),
            leads_max: wall(20),
            quiet_max: wall(10_000),
            snapshot_max: wall(500),
            snapshot_each: Nanos(0),
        });
        let mut session = Self {
            server,
            feed,
            inbox,
            data,
            seen: Seen::default(),
        };
        session.until("a lively book", |seen, _| seen.deltas > 50).await;
        assert_eq!(session.seen.invalid, []);
        session
    }

    /// Takes in messages until `condition` holds of what was told and of how often the feed has connected.
    async fn until(&mut self, what: &str, condition: impl Fn(&Seen, u64) -> bool) {
        let pump = async {
            while !condition(&self.seen, self.feed.statistics().connected()) {
                let message = self.inbox.0.recv().await.unwrap();
                self.take(&message);
            }
        };
        let done = timeout(Duration::from_secs(20), pump).await;
        assert!(done.is_ok(), "never happened: {what}; seen {:?}", self.seen);
    }

    fn take(&mut self, message: &StreamMessage) {
        let seen = &mut self.seen;
        let _ = self.data.on_message(message, &mut |event| seen.take(&event));
        assert_eq!(self.data.is_synchronized(BTC), self.seen.stands);
        while let Some(instrument) = self.data.take_resync_request() {
            self.feed.requester().request(instrument);
        }
        if self.data.take_reconnect_request() {
            self.feed.requester().reconnect();
        }
    }

    async fn fault(&self, fault: &str) {
        post(self.server.address(), "/admin/faults", fault).await;
    }

    /// The fault is over: the book begins anew and lives. Why it was given up, each time.
    async fn recovers(mut self, over: &str) -> Vec<BookInvalidReason> {
        self.fault(over).await;
        let before = (self.seen.snapshots, self.seen.deltas);
        self.until("the book again", |seen, _| {
            seen.stands && seen.snapshots > before.0 && seen.deltas > before.1 + 50
        })
        .await;
        self.feed.stop().await;
        self.server.stop();
        self.server.wait().await.unwrap();
        self.seen.invalid
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_book_whose_changes_stop_while_the_market_goes_on_is_stale_and_begun_anew() {
    for venue in WIRES {
        let mut session = Session::start(venue).await;
        session
            .fault(r#"{"kind":"silence","class":"book","ms":600000}"#)
            .await;
        session
            .until("a stale book", |seen, _| {
                seen.invalid == [BookInvalidReason::Stale]
            })
            .await;
        // Where it is asked for over the stream first, its snapshot does not come either.
        session
            .until("a new connection", |_, connected| connected >= 2)
            .await;
        let reasons = session
            .recovers(r#"{"kind":"silence","class":"book","ms":0}"#)
            .await;
        let is_stale = |reason: &BookInvalidReason| *reason == BookInvalidReason::Stale;
        assert!(reasons.iter().all(is_stale), "{reasons:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_stays_open_and_brings_nothing_leaves_no_book() {
    for venue in WIRES {
        let mut session = Session::start(venue).await;
        session.fault(r#"{"kind":"silence","ms":600000}"#).await;
        session
            .until("a stale book", |seen, _| {
                seen.invalid == [BookInvalidReason::Stale]
            })
            .await;
        session
            .until("a new connection", |_, connected| connected >= 2)
            .await;
        // What nobody heard is missed after it: by its numbers, or in the book that it would have changed.
        let reasons = session.recovers(r#"{"kind":"silence","ms":0}"#).await;
        let is_known = |reason: &BookInvalidReason| match reason {
            BookInvalidReason::Stale | BookInvalidReason::Gap => true,
            BookInvalidReason::Crossed | BookInvalidReason::Checksum => venue == VenueKind::Kraken,
            _ => false,
        };
        assert!(reasons.iter().all(is_known), "{reasons:?}");
    }
}
