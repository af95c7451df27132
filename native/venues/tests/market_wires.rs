//! Both forms of one market at once, against the simulated venue: the books and trades are the same.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::{
    Bar, InstrumentId, Level, MarketEvent, Nanos, Price, Quantity, Side, Timestamp, Trade, TradeId, Venue,
};
use support::{Inbox, queue};
use tokio::time::timeout;
use venue_server::{ApiKey, Server, ServerConfig, VenueKind};
use venues::clock::{Clock, ServerClock};
use venues::retry::Jitter;
use venues::{
    Connector, ConnectorSettings, Credentials, Endpoints, Instruments, MarketFeed, MarketProtocol,
    MarketWire, Secret, StreamMessage, VenueError,
};

const BTC: InstrumentId = InstrumentId(0);
const BAR: Nanos = Nanos::from_secs(60);
const FIRST_BAR_MS: i64 = 1_632_700_800_000;

const API_KEY: &str = "the-api-key";
/// The example of RFC 8410.
const ED25519: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----";
/// Base64, as Kraken hands it out.
const KRAKEN_SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Books and trades that both forms must have told.
const BOOKS: usize = 100;
const TRADES: usize = 20;

/// A market that swings gently around 100.
fn bars() -> Vec<Bar> {
    let cents = |cents: i64| Price::from_units(cents * 1_000_000);
    let bar = |number: i64| {
        let swing = |at: i64| 10_000 + 20 * ((at % 12) - 6).abs();
        let (open, close) = (swing(number), swing(number + 1));
        Bar {
            instrument: BTC,
            ts_open: Timestamp::from_millis(FIRST_BAR_MS + number * 60_000),
            span: BAR,
            open: cents(open),
            high: cents(open.max(close) + 7),
            low: cents(open.min(close) - 7),
            close: cents(close),
            volume: Quantity::from_units(40 * 100_000_000),
        }
    };
    (0..600).map(bar).collect()
}

async fn served(venue: VenueKind, symbol: &str, secret: &str) -> Server {
    let mut config = ServerConfig::new(bars(), symbol);
    config.venue = venue;
    config.wall_span = Nanos::from_millis(200);
    Server::start(config, vec![ApiKey::new(API_KEY, secret)])
        .await
        .unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned()).unwrap()
}

fn pem(text: &str) -> Secret {
    Secret::pem(text.to_owned()).unwrap()
}

fn connected(
    settings: ConnectorSettings,
    credentials: Credentials,
) -> Result<Box<dyn Connector>, VenueError> {
    let clock: Arc<dyn Clock> = Arc::new(ServerClock::local());
    venues::connect(settings, credentials, clock)
}

/// One form of the market, and what it has told.
struct Line {
    feed: MarketFeed,
    inbox: Inbox,
    protocol: Box<dyn MarketProtocol>,
    /// The best levels of both sides after each change, by what names the change.
    books: BTreeMap<i64, Vec<Level>>,
    trades: BTreeMap<TradeId, Trade>,
    invalid: usize,
    /// What names a change: the venue's number of it, or else its time.
    is_numbered: bool,
}

impl Line {
    async fn open(settings: ConnectorSettings, credentials: Credentials, symbol: &str) -> Self {
        let is_numbered = settings.venue == Venue::Binance;
        let connector = connected(settings, credentials).unwrap();
        let listed = connector.reference().instruments(&[symbol]).await.unwrap();
        let instruments = Arc::new(Instruments::new(listed).unwrap());
        let (sink, inbox) = queue(65_536);
        let feed = connector
            .market_feed(&instruments, Jitter::seeded(1), Box::new(sink))
            .unwrap();
        Self {
            feed,
            inbox,
            protocol: connector.market_protocol(&instruments, Nanos(i64::MAX)),
            books: BTreeMap::new(),
            trades: BTreeMap::new(),
            invalid: 0,
            is_numbered,
        }
    }

    fn take(&mut self, message: &StreamMessage) {
        let (mut named, is_numbered) = (None, self.is_numbered);
        let Self { trades, invalid, .. } = self;
        let read = self.protocol.on_message(message, &mut |event| match event {
            MarketEvent::Book(update) if is_numbered => {
                named = Some(i64::try_from(update.update_id).unwrap());
            }
            MarketEvent::Book(update) => named = Some(update.ts_event.nanos()),
            MarketEvent::BookInvalid(_) => *invalid += 1,
            MarketEvent::Trade(trade) => {
                trades.insert(trade.trade_id, trade);
            }
            _ => {}
        });
        read.unwrap();
        if let Some(named) = named {
            let mut levels = Vec::new();
            for side in [Side::Buy, Side::Sell] {
                self.protocol.top(BTC, side, 10, &mut levels);
            }
            self.books.insert(named, levels);
        }
        while let Some(instrument) = self.protocol.take_resync_request() {
            self.feed.requester().request(instrument);
        }
    }
}

fn common<K: Ord, V>(one: &BTreeMap<K, V>, other: &BTreeMap<K, V>) -> usize {
    one.keys().filter(|key| other.contains_key(key)).count()
}

/// Takes in both until they have told enough of the same, and compares it.
async fn same(mut one: Line, mut other: Line) {
    let pump = async {
        while common(&one.books, &other.books) < BOOKS || common(&one.trades, &other.trades) < TRADES {
            tokio::select! {
                Some(message) = one.inbox.0.recv() => one.take(&message),
                Some(message) = other.inbox.0.recv() => other.take(&message),
            }
        }
    };
    let done = timeout(Duration::from_mins(1), pump).await;
    assert!(
        done.is_ok(),
        "books {} and {}, trades {} and {}",
        one.books.len(),
        other.books.len(),
        one.trades.len(),
        other.trades.len()
    );
    for (named, levels) in &one.books {
        let told = other.books.get(named);
        assert!(
            told.is_none_or(|told| told == levels),
            "{named}: {levels:?} and {told:?}"
        );
        assert!(!levels.is_empty());
    }
    for (id, trade) in &one.trades {
        assert!(other.trades.get(id).is_none_or(|told| told == trade));
    }
    assert_eq!((one.invalid, other.invalid), (0, 0));
    one.feed.stop().await;
    other.feed.stop().await;
}

fn binance(server: &Server, path: &str, market_wire: MarketWire) -> ConnectorSettings {
    let address = server.address();
    let endpoints = Endpoints {
        rest: format!("http://{address}"),
        market: format!("ws://{address}{path}"),
        account: format!("ws://{address}/ws-api/v3"),
    };
    ConnectorSettings {
        market_wire,
        ..ConnectorSettings::new(Venue::Binance, endpoints)
    }
}

fn kraken(server: &Server, market_wire: MarketWire) -> ConnectorSettings {
    let address = server.address();
    let socket = format!("ws://{address}/v2");
    let endpoints = Endpoints {
        rest: format!("http://{address}"),
        market: socket.clone(),
        account: socket,
    };
    ConnectorSettings {
        market_wire,
        ..ConnectorSettings::new(Venue::Kraken, endpoints)
    }
}

fn binance_keys(secret: Secret) -> Credentials {
    Credentials::Binance {
        api_key: Secret::new(API_KEY.to_owned()).unwrap(),
        secret,
    }
}

fn kraken_keys() -> Credentials {
    Credentials::Kraken {
        api_key: secret(API_KEY),
        secret: secret(KRAKEN_SECRET),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn binances_binary_streams_tell_the_books_and_trades_of_json() {
    let server = served(VenueKind::Binance, "BTCUSDT", "the-api-secret").await;
    let json = binance(&server, "", MarketWire::Usual);
    let json = Line::open(json, binance_keys(pem(ED25519)), "BTCUSDT").await;
    let binary = binance(&server, "/sbe", MarketWire::Binary);
    let binary = Line::open(binary, binance_keys(pem(ED25519)), "BTCUSDT").await;
    same(json, binary).await;
    server.stop();
    server.wait().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn krakens_orders_make_the_books_of_its_prices() {
    let server = served(VenueKind::Kraken, "BTC/USD", KRAKEN_SECRET).await;
    let prices = kraken(&server, MarketWire::Usual);
    let prices = Line::open(prices, kraken_keys(), "BTC/USD").await;
    let url = format!("ws://{}/v2", server.address());
    let orders = kraken(&server, MarketWire::ByOrder { url });
    let orders = Line::open(orders, kraken_keys(), "BTC/USD").await;
    same(prices, orders).await;
    server.stop();
    server.wait().await.unwrap();
}

#[tokio::test]
async fn what_a_venue_does_not_have_or_a_key_does_not_open_is_refused() {
    let server = served(VenueKind::Binance, "BTCUSDT", "the-api-secret").await;
    let by_order = || MarketWire::ByOrder {
        url: "ws://127.0.0.1:1/v2".to_owned(),
    };
    let refused = |settings, keys| connected(settings, keys).unwrap_err().to_string();
    let at_binance = refused(binance(&server, "", by_order()), binance_keys(pem(ED25519)));
    assert!(
        at_binance.contains("binance tells no single orders"),
        "{at_binance}"
    );
    let at_kraken = refused(kraken(&server, MarketWire::Binary), kraken_keys());
    assert!(at_kraken.contains("kraken has no binary streams"), "{at_kraken}");

    let hmac = binance(&server, "/sbe", MarketWire::Binary);
    let connector = connected(hmac, binance_keys(secret("the-api-secret"))).unwrap();
    let listed = connector.reference().instruments(&["BTCUSDT"]).await.unwrap();
    let instruments = Arc::new(Instruments::new(listed).unwrap());
    let (sink, _inbox) = queue(16);
    let feed = connector.market_feed(&instruments, Jitter::seeded(1), Box::new(sink));
    assert!(feed.unwrap_err().to_string().contains("Ed25519 keys only"));

    let clock: Arc<dyn Clock> = Arc::new(ServerClock::local());
    let public = venues::connect_public(kraken(&server, by_order()), clock).unwrap();
    let (sink, _inbox) = queue(16);
    let feed = public.market_feed(&instruments, Jitter::seeded(1), Box::new(sink));
    assert!(matches!(feed, Err(VenueError::NoCredentials)));
}
