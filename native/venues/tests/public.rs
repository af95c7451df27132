//! Without a key: what a venue tells everybody, by the venue's name alone.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use domain::{Bar, InstrumentId, Nanos, Price, Quantity, Timestamp, Venue};
use support::queue;
use tokio::time::timeout;
use venue_server::{Server, ServerConfig, VenueKind};
use venues::clock::{Clock, Rate, ServerClock};
use venues::retry::Jitter;
use venues::{
    Connector, ConnectorSettings, Endpoints, Instruments, MarketFeed, StalenessBounds, VenueError,
    connect_public,
};

const BTC: InstrumentId = InstrumentId(0);
const FIRST_BAR_MS: i64 = 1_632_700_800_000;
const HISTORY: i64 = 50;
const COMPRESSION: i64 = 300;
const PATIENCE: Duration = Duration::from_secs(10);

fn bars() -> Vec<Bar> {
    let cents = |cents: i64| Price::from_units(cents * 1_000_000);
    let bar = |number: i64| Bar {
        instrument: BTC,
        ts_open: Timestamp::from_millis(FIRST_BAR_MS + number * 60_000),
        span: Nanos::from_secs(60),
        open: cents(10_000),
        high: cents(10_007),
        low: cents(9_993),
        close: cents(10_000),
        volume: Quantity::from_units(40 * 100_000_000),
    };
    (0..600).map(bar).collect()
}

async fn server(kind: VenueKind, symbol: &str) -> Server {
    let mut config = ServerConfig::new(bars(), symbol);
    config.venue = kind;
    config.from = Some(Timestamp::from_millis(FIRST_BAR_MS + HISTORY * 60_000));
    config.wall_span = Nanos(60_000_000_000 / COMPRESSION);
    Server::start(config, Vec::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn market_data_need_no_key_and_orders_do() {
    let venues = [
        (Venue::Binance, VenueKind::Binance, "BTCUSDT", ""),
        (Venue::Kraken, VenueKind::Kraken, "BTC/USD", "/v2"),
        (Venue::Coinbase, VenueKind::Coinbase, "BTC-USD", ""),
    ];
    for (venue, kind, symbol, path) in venues {
        let server = server(kind, symbol).await;
        let address = server.address();
        let endpoints = Endpoints {
            rest: format!("http://{address}"),
            market: format!("ws://{address}{path}"),
            account: format!("ws://{address}"),
        };
        let clock = Arc::new(ServerClock::local());
        let settings = ConnectorSettings::new(venue, endpoints);
        let connector = connect_public(settings, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let reference = connector.reference();
        let rate = Rate::Fixed(COMPRESSION * 1_000_000_000);
        reference.anchor_clock(&clock, rate).await.unwrap();
        let listed = reference.instruments(&[symbol]).await.unwrap();
        let table = Arc::new(Instruments::new(listed).unwrap());
        let instrument = table.get(BTC).unwrap();
        let history = reference
            .bars(instrument, Nanos::from_secs(60), 10, clock.now())
            .await;
        assert_eq!(history.unwrap().len(), 10, "{venue}");
        let stands = timeout(PATIENCE, a_book(&*connector, &table, &clock)).await;
        stands.unwrap_or_else(|_| panic!("{venue}: no book without a key"));
        let refused = connector.gateway(&table).unwrap_err();
        assert!(matches!(refused, VenueError::NoCredentials), "{venue}: {refused}");
    }
}

/// Until a book stands.
async fn a_book(connector: &dyn Connector, table: &Arc<Instruments>, clock: &ServerClock) {
    let (sink, mut inbox) = queue(65_536);
    let feed: MarketFeed = connector
        .market_feed(table, Jitter::seeded(1), Box::new(sink))
        .unwrap();
    let ahead_max = clock.service_span(Nanos::from_secs(5));
    let mut data = connector.market_protocol(table, ahead_max);
    data.set_staleness(StalenessBounds::on(clock));
    let requester = feed.requester();
    while !data.is_synchronized(BTC) {
        let message = inbox.0.recv().await.unwrap();
        // What cannot be read yet is asked for anew.
        let _ = data.on_message(&message, &mut |_| {});
        while let Some(instrument) = data.take_resync_request() {
            requester.request(instrument);
        }
    }
    feed.stop().await;
}

#[test]
fn a_venue_whose_rules_cannot_be_asked_for_is_refused() {
    let endpoints = Endpoints {
        rest: "http://127.0.0.1:1".to_owned(),
        market: "ws://127.0.0.1:1".to_owned(),
        account: "ws://127.0.0.1:1".to_owned(),
    };
    let clock = Arc::new(ServerClock::local()) as Arc<dyn Clock>;
    let settings = ConnectorSettings::new(Venue::IndependentReserve, endpoints);
    assert!(matches!(
        connect_public(settings, clock),
        Err(VenueError::Setting { .. })
    ));
}
