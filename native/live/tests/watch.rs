//! Venues that are watched beside the one that is traded at: their books stand in the same engine, and what becomes of them is
//! nobody else's trouble.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::net::TcpListener;
use std::time::Duration;

use domain::{InstrumentId, InstrumentStatus, MarketEvent, OrderType, Price, Quantity, Side, Venue};
use engine::{CommandKind, CommandRefusal, EventBody, ManualOrder};
use journal::{Reader, RecordBody};
use live::error::EXIT_CONFIG;
use live::journal_record::FOLDER;
use live::{LiveError, Setup};
use support::programs::{CROSS, SILENT};
use support::venue::{SimulatedVenue, get_text};
use support::wires::Wire;
use support::{BTC, Bench, PATIENCE, SLOT, Seen, watch_lines, write_config};

const OWN: usize = 0;
const FIRST: usize = 1;
const SECOND: usize = 2;

/// Until the books of some instruments stand, or do not.
async fn until_books(bench: &Bench, wanted: &[(usize, bool)]) {
    let seen = async {
        loop {
            let tops = bench.commander.look().await.unwrap().tops;
            if wanted.iter().all(|(at, stands)| tops[*at].is_some() == *stands) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, seen).await;
    assert!(waited.is_ok(), "books {wanted:?}");
}

/// A number of `/metrics` with a venue's label.
fn counted(bench: &Bench, family: &str, venue: Venue) -> u64 {
    let read = bench.service.counters().venues.read();
    let (_, values) = read.into_iter().find(|(one, _)| one.name == family).unwrap();
    values.into_iter().find(|(one, _)| *one == venue).unwrap().1
}

/// Until a venue's streams count as down: its books are given up first.
async fn until_offline(bench: &Bench, venue: Venue) {
    let seen = async {
        while counted(bench, "market_online", venue) != 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, seen).await;
    assert!(waited.is_ok(), "{venue} offline");
}

/// What the record of a run says of an instrument's books: how many updates, and how many times they were given up.
fn recorded(bench_run: &std::path::Path, instrument: InstrumentId) -> (u64, u64) {
    let mut reader = Reader::open(&bench_run.join(FOLDER)).unwrap();
    let (mut updates, mut given_up) = (0, 0);
    while let Some(record) = reader.next_record().unwrap() {
        match record.body {
            RecordBody::Event(event) => match event.body {
                EventBody::Market(MarketEvent::Book(book)) if book.instrument == instrument => updates += 1,
                EventBody::Market(MarketEvent::BookInvalid(book)) if book.instrument == instrument => {
                    given_up += 1;
                }
                _ => {}
            },
            RecordBody::Header(_) | RecordBody::Action => {}
        }
    }
    (updates, given_up)
}

fn by_hand(instrument: InstrumentId, price: Price) -> CommandKind {
    CommandKind::ManualOrder(ManualOrder {
        slot: SLOT,
        instrument,
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Some(price),
        quantity: Quantity::from_units(100_000_000),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watched_venue_that_goes_takes_its_own_books_and_nobody_else_s() {
    let coinbase = SimulatedVenue::start_over(Wire::Coinbase).await;
    let binance = SimulatedVenue::start_over(Wire::Binance).await;
    let watched = [(Wire::Coinbase, coinbase.port()), (Wire::Binance, binance.port())];
    let mut bench = Bench::start_watching(Wire::Kraken, &watched).await;
    bench.until_seen(Seen::Reconciled).await;
    until_books(&bench, &[(OWN, true), (FIRST, true), (SECOND, true)]).await;
    bench.deploy(CROSS).await;

    coinbase.fault(r#"{"kind":"restart","ms":1500}"#).await;
    until_books(&bench, &[(FIRST, false)]).await;
    // The other two stand, all the time, and the strategy trades.
    let given_up = |venue| counted(&bench, "market_books_given_up", venue);
    let before = [given_up(Venue::Kraken), given_up(Venue::Binance)];
    until_offline(&bench, Venue::Coinbase).await;
    bench
        .until("a fill", |seen| matches!(seen, Seen::Fill(_)).then_some(()))
        .await;
    until_books(&bench, &[(OWN, true), (FIRST, true), (SECOND, true)]).await;
    let given_up = |venue| counted(&bench, "market_books_given_up", venue);
    assert_eq!(before, [given_up(Venue::Kraken), given_up(Venue::Binance)]);
    assert!(given_up(Venue::Coinbase) > 0);
    for venue in [Venue::Kraken, Venue::Coinbase, Venue::Binance] {
        assert_eq!(counted(&bench, "market_online", venue), 1, "{venue}");
        assert!(counted(&bench, "market_messages", venue) > 0, "{venue}");
    }
    // What is counted of the market as a whole is that of the own venue.
    assert_eq!(
        bench.service.counters().books_given_up.get(),
        given_up(Venue::Kraken)
    );

    let run = bench.home.path().join("run");
    let (_, home, ended) = bench.end().await;
    assert_eq!((ended.orders_left, ended.compared), (0, true));
    for id in [0, 1, 2].map(InstrumentId) {
        let (updates, given_up) = recorded(&run, id);
        assert!(updates > 10, "{id:?}: {updates} updates");
        assert!(id.0 != 1 || given_up > 0, "{id:?}");
    }
    drop((home, coinbase, binance));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watched_venue_that_is_not_there_is_asked_for_until_it_is() {
    let port = free_port();
    let mut bench = Bench::start_watching(Wire::Kraken, &[(Wire::Coinbase, port)]).await;
    bench.until_seen(Seen::Reconciled).await;
    until_books(&bench, &[(OWN, true), (FIRST, false)]).await;
    assert!(counted(&bench, "market_starts_failed", Venue::Coinbase) > 0);
    bench.deploy(CROSS).await;
    bench
        .until("a fill without it", |seen| {
            matches!(seen, Seen::Fill(_)).then_some(())
        })
        .await;
    let coinbase = SimulatedVenue::start_at(Wire::Coinbase, port).await;
    until_books(&bench, &[(FIRST, true)]).await;

    let run = bench.home.path().join("run");
    let (_, home, ended) = bench.end().await;
    assert!(ended.fault.is_none(), "{ended:?}");
    // What the engine began with, and what it was told then, is in the record.
    let mut reader = Reader::open(&run.join(FOLDER)).unwrap();
    let (mut begun, mut told) = (None, None);
    while let Some(record) = reader.next_record().unwrap() {
        match record.body {
            RecordBody::Header(header) => begun = header.config.instruments.get(FIRST).copied(),
            RecordBody::Event(event) => {
                if let EventBody::Market(MarketEvent::InstrumentUpdated(instrument)) = event.body {
                    told = told.or(Some(instrument));
                }
            }
            RecordBody::Action => {}
        }
    }
    let (begun, told) = (begun.unwrap(), told.unwrap());
    assert!(
        begun.is_untold() && begun.status == InstrumentStatus::Unknown,
        "{begun:?}"
    );
    assert_eq!((told.id, told.venue), (InstrumentId(1), Venue::Coinbase));
    assert_eq!((told.base.as_str(), told.quote.as_str()), ("BTC", "USD"));
    drop((home, coinbase));
}

/// A port where nobody is.
fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watched_venue_that_takes_connections_and_never_answers_holds_up_no_start() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut bench = Bench::start_watching(Wire::Kraken, &[(Wire::Coinbase, port)]).await;
    bench.until_seen(Seen::Reconciled).await;
    until_books(&bench, &[(OWN, true), (FIRST, false)]).await;
    let (ended, _, _) = bench.drain().await;
    assert!(ended.fault.is_none() && ended.compared, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_turns_out_not_to_be_listed_after_the_start_is_an_alert_and_trading_goes_on() {
    let own = SimulatedVenue::start_over(Wire::Kraken).await;
    let port = free_port();
    let lines = Wire::Coinbase.watched(port, "ETH-USD");
    let mut bench = Bench::start_beside(Wire::Kraken, own, &lines, None).await;
    bench.until_seen(Seen::Reconciled).await;
    let before = bench.service.counters().alerts.get();
    let coinbase = SimulatedVenue::start_at(Wire::Coinbase, port).await;
    let told = async {
        while bench.service.counters().alerts.get() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("an alert");
    until_books(&bench, &[(OWN, true), (FIRST, false)]).await;
    bench.deploy(CROSS).await;
    bench
        .until("a fill", |seen| matches!(seen, Seen::Fill(_)).then_some(()))
        .await;
    drop((bench.drain().await, coinbase));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_life_may_watch_something_else() {
    let coinbase = SimulatedVenue::start_over(Wire::Coinbase).await;
    let mut bench = Bench::start_watching(Wire::Kraken, &[(Wire::Coinbase, coinbase.port())]).await;
    bench.until_seen(Seen::Reconciled).await;
    until_books(&bench, &[(OWN, true), (FIRST, true)]).await;
    bench.deploy(SILENT).await;
    let ask = bench.commander.look().await.unwrap().tops[OWN].unwrap().ask;
    let bought = bench.commander.command(by_hand(BTC, ask)).await.unwrap();
    assert_eq!(bought, Ok(()));
    bench
        .until("it holds some", |seen| {
            matches!(seen, Seen::Fill(_)).then_some(())
        })
        .await;
    let binance = SimulatedVenue::start_over(Wire::Binance).await;
    for watched in [
        vec![],
        vec![(Wire::Binance, binance.port()), (Wire::Coinbase, coinbase.port())],
    ] {
        let port = bench.venue.port();
        let path = write_config(bench.home.path(), Wire::Kraken, port, &watch_lines(&watched));
        bench.setup = Setup::load(&path).unwrap();
        bench = bench.restart().await;
        bench.until_seen(Seen::Reconciled).await;
        let stand: Vec<_> = (0..=watched.len()).map(|at| (at, true)).collect();
        until_books(&bench, &stand).await;
        let view = bench.commander.look().await.unwrap();
        assert_eq!(view.tops.len(), 1 + watched.len());
        assert!(view.positions[0].quantity > Quantity::ZERO, "{view:?}");
    }
    let (ended, seen, _) = bench.drain().await;
    assert!(ended.compared, "{ended:?}");
    let alerts: Vec<_> = seen.iter().filter(|one| matches!(one, Seen::Alert(_))).collect();
    assert!(alerts.is_empty(), "{alerts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watched_venue_that_stalls_stops_nobody() {
    let coinbase = SimulatedVenue::start_over(Wire::Coinbase).await;
    let mut bench = Bench::start_watching(Wire::Kraken, &[(Wire::Coinbase, coinbase.port())]).await;
    bench.until_seen(Seen::Reconciled).await;
    until_books(&bench, &[(OWN, true), (FIRST, true)]).await;
    bench.deploy(SILENT).await;
    // Connections stay, heartbeats too are missing.
    coinbase.fault(r#"{"kind":"silence","ms":600000}"#).await;
    until_books(&bench, &[(OWN, true), (FIRST, false)]).await;
    assert_eq!(counted(&bench, "market_books", Venue::Kraken), 1);
    assert_eq!(counted(&bench, "market_online", Venue::Kraken), 1);
    let (ended, _, _) = bench.drain().await;
    assert!(ended.fault.is_none() && ended.compared, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watched_book_whose_changes_stop_is_given_up_and_its_streams_begin_anew() {
    let binance = SimulatedVenue::start_over(Wire::Binance).await;
    let mut bench = Bench::start_watching(Wire::Kraken, &[(Wire::Binance, binance.port())]).await;
    bench.until_seen(Seen::Reconciled).await;
    until_books(&bench, &[(OWN, true), (FIRST, true)]).await;
    let connected = |bench: &Bench| {
        let streams = bench.service.counters().streams.connections();
        let mut named = streams.iter().filter(|one| one.name() == "binance market");
        named.next().unwrap().connected()
    };
    let before = connected(&bench);
    binance
        .fault(r#"{"kind":"silence","class":"book","ms":600000}"#)
        .await;
    until_books(&bench, &[(OWN, true), (FIRST, false)]).await;
    // Subscribed by its address: only another connection begins what has stopped.
    let anew = async {
        while connected(&bench) == before {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, anew).await.is_ok(),
        "a new connection"
    );
    binance.fault(r#"{"kind":"silence","class":"book","ms":0}"#).await;
    until_books(&bench, &[(OWN, true), (FIRST, true)]).await;
    let (ended, _, _) = bench.drain().await;
    assert!(ended.fault.is_none() && ended.compared, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_for_what_is_only_watched_is_refused_with_its_reason() {
    let coinbase = SimulatedVenue::start_over(Wire::Coinbase).await;
    let mut bench = Bench::start_watching(Wire::Kraken, &[(Wire::Coinbase, coinbase.port())]).await;
    bench.until_seen(Seen::Reconciled).await;
    until_books(&bench, &[(OWN, true), (FIRST, true)]).await;
    bench.deploy(SILENT).await;
    let top = bench.commander.look().await.unwrap().tops[FIRST].unwrap();
    let watched = by_hand(InstrumentId(1), top.ask);
    let answer = bench.commander.command(watched).await.unwrap();
    assert_eq!(
        answer.map_err(|refused| refused.refusal),
        Err(CommandRefusal::OtherInstrument)
    );
    let state = coinbase.state().await;
    assert_eq!(state["accounts"][0]["open_orders"].as_array().unwrap().len(), 0);
    let (ended, seen, _) = bench.drain().await;
    assert!(ended.fault.is_none(), "{ended:?}");
    assert!(!seen.iter().any(|seen| matches!(seen, Seen::Sent(_))));
}

/// A service that trades at Kraken and watches Coinbase, which does not start.
async fn refused_start(symbol: &str) -> LiveError {
    let own = SimulatedVenue::start_over(Wire::Kraken).await;
    let coinbase = SimulatedVenue::start_over(Wire::Coinbase).await;
    let home = tempfile::tempdir().unwrap();
    let lines = Wire::Coinbase.watched(coinbase.port(), symbol);
    let setup = Setup::load(&write_config(home.path(), Wire::Kraken, own.port(), &lines)).unwrap();
    let keys = Wire::Kraken.credentials(setup.service.config.venue.gateway);
    support::try_start_with(&setup, None, keys).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instrument_that_a_watched_venue_does_not_list_refuses_the_start() {
    let error = refused_start("ETH-USD").await;
    assert_eq!(error.exit_code(), EXIT_CONFIG);
    let words = error.to_string();
    assert!(
        words.contains("[[watch]] coinbase") && words.contains("does not list ETH-USD"),
        "{words}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_tell_the_venues_apart() {
    let coinbase = SimulatedVenue::start_over(Wire::Coinbase).await;
    let mut bench = Bench::start_watching(Wire::Kraken, &[(Wire::Coinbase, coinbase.port())]).await;
    bench.until_seen(Seen::Reconciled).await;
    until_books(&bench, &[(OWN, true), (FIRST, true)]).await;
    let live = std::fs::read_to_string(bench.home.path().join("run/live.json")).unwrap();
    let live: serde_json::Value = serde_json::from_str(&live).unwrap();
    let page = live["endpoints"]["metrics"].as_str().unwrap();
    let address = page.trim_start_matches("http://").trim_end_matches("/metrics");
    let text = get_text(address.parse().unwrap(), "/metrics").await;
    for line in [
        "py_rt_market_online{venue=\"coinbase\"} 1",
        "py_rt_market_online{venue=\"kraken\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} not in:\n{text}");
    }
    assert!(!text.contains("venue=\"binance\""), "{text}");
    let told = |venue: &str, traded| serde_json::json!({"venue": venue, "traded": traded, "taker_bps": null});
    assert_eq!(
        live["venues"],
        serde_json::json!([told("kraken", true), told("coinbase", false)])
    );
    drop(bench.drain().await);
}
