//! A recording through the engine gives what the service decided on it: the service trades against the recording served as
//! a wire, and the replay of what it received is held against its record.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use domain::{BookUpdateKind, MarketEvent};
use engine::{Action, EventBody};
use journal::codec::{RecordedAction, decode_action};
use journal::{Reader, RecordBody};
use live::replay::{ReplayReport, ReplayRequest, replay};
use support::programs::{CROSS, TestPrograms};
use support::venue::SimulatedVenue;
use support::wires::Wire;
use support::{BTC, Bench, Seen};
use venue_server::{RecordedConfig, RecordedServer};

const FIRST_NS: i64 = 1_700_000_040_000_000_000;
const STEP_NS: i64 = 2_000_000_000;
const STEPS_A_BAR: i64 = 30;
/// Half an hour of the market: six seconds at the bench's pace.
const STEPS: i64 = 30 * STEPS_A_BAR;
/// From the venue to the recorder.
const WAY_NS: i64 = 100_000_000;

/// One message of the recording, and by what the record knows it again.
struct Line {
    text: String,
    mark: Mark,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Snapshot,
    Book(u64),
    Trade(u64),
}

/// A market that swings around 100, two seconds from message to message.
fn market() -> Vec<Line> {
    let cents = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
    let mid = |step: i64| 10_000 + 4 * ((step / STEPS_A_BAR) % 8 - 4).abs();
    let levels = |quantity: &str, of: [i64; 3]| {
        of.map(|level| format!(r#"["{}","{quantity}"]"#, cents(level)))
            .join(",")
    };
    let around = |mid: i64, quantity: &str| {
        let bids = levels(quantity, [mid - 1, mid - 2, mid - 3]);
        (bids, levels(quantity, [mid + 1, mid + 2, mid + 3]))
    };
    let (bids, asks) = around(mid(0), "40.0");
    let mut lines = vec![
        Line {
            text: depth(1, 2, 0, &bids, &asks),
            mark: Mark::Book(2),
        },
        Line {
            text: format!(r#"{{"lastUpdateId":2,"bids":[{bids}],"asks":[{asks}]}}"#),
            mark: Mark::Snapshot,
        },
    ];
    let mut update = 2;
    for step in 1..STEPS {
        let (before, now) = (mid(step - 1), mid(step));
        if step % 2 == 0 {
            let side = if now >= before { "false" } else { "true" };
            let at = if side == "false" { now + 1 } else { now - 1 };
            let (ms, number) = ((FIRST_NS + step * STEP_NS) / 1_000_000, step / 2);
            lines.push(Line {
                text: format!(
                    r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{ms},"s":"BTCUSDT","t":{number},"p":"{}","q":"0.5","T":{ms},"m":{side},"M":true}}}}"#,
                    cents(at)
                ),
                mark: Mark::Trade(number.unsigned_abs()),
            });
            continue;
        }
        let (gone_bids, gone_asks) = around(mid(step - 2), "0.0");
        let (bids, asks) = around(now, "40.0");
        let all = |gone: &str, here: &str| format!("{gone},{here}");
        update += 1;
        lines.push(Line {
            text: depth(
                update,
                update,
                step,
                &all(&gone_bids, &bids),
                &all(&gone_asks, &asks),
            ),
            mark: Mark::Book(update),
        });
    }
    lines
}

fn depth(first: u64, last: u64, step: i64, bids: &str, asks: &str) -> String {
    let ms = (FIRST_NS + step * STEP_NS) / 1_000_000;
    format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{ms},"s":"BTCUSDT","U":{first},"u":{last},"b":[{bids}],"a":[{asks}]}}}}"#
    )
}

/// The recording, each message with its time.
fn written(lines: &[Line], time: impl Fn(usize, &Line) -> i64) -> String {
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        writeln!(text, "{} {}", time(at, line), line.text).unwrap();
    }
    text
}

/// What a record says of times: of each message when it was taken in, of each order and each fill.
#[derive(Default)]
struct Times {
    received: BTreeMap<Mark, i64>,
    sent: Vec<i64>,
    filled: Vec<i64>,
}

fn times(journal: &Path) -> Times {
    let mut reader = Reader::open(journal).unwrap();
    let (mut times, mut last) = (Times::default(), 0);
    loop {
        let format = reader.format();
        let Some(record) = reader.next_record().unwrap() else {
            return times;
        };
        match record.body {
            RecordBody::Event(event) => {
                last = event.ts.nanos();
                let mark = match event.body {
                    EventBody::Market(MarketEvent::Trade(trade)) if trade.instrument == BTC => {
                        Mark::Trade(trade.trade_id.0)
                    }
                    EventBody::Market(MarketEvent::Book(book)) if book.instrument == BTC => {
                        if book.kind == BookUpdateKind::Snapshot {
                            Mark::Snapshot
                        } else {
                            Mark::Book(book.update_id)
                        }
                    }
                    _ => continue,
                };
                times.received.entry(mark).or_insert(last);
            }
            RecordBody::Action => match decode_action(format, record.payload).unwrap() {
                RecordedAction::Submitted(_) => times.sent.push(last),
                RecordedAction::Other(Action::Fill(fill)) => times.filled.push(fill.ts_event.nanos()),
                RecordedAction::Amended(_) | RecordedAction::Other(_) => {}
            },
            RecordBody::Header(_) => {}
        }
    }
}

/// The times in a list of a report.
fn told(report: &serde_json::Value, list: &str) -> Vec<i64> {
    let told = report[list].as_array().unwrap().iter();
    told.map(|one| one["ts_ns"].as_i64().unwrap()).collect()
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

async fn replayed(bench: &live::Setup, files: &[PathBuf], run: Option<&Path>) -> ReplayReport {
    let programs = TestPrograms { limits: bench.limits };
    let request = ReplayRequest {
        setup: bench,
        files,
        bundle: CROSS,
        run,
    };
    replay(&request, &programs, &mut |_| {}).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_replay_of_what_the_service_received_decides_what_the_service_decided() {
    Box::pin(decides_the_same(&[])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_a_run_watched_beside_changes_no_decision_of_its_replay() {
    let kraken = SimulatedVenue::start_over(Wire::Kraken).await;
    let watched_events = Box::pin(decides_the_same(&[(Wire::Kraken, kraken.port())])).await;
    assert!(
        watched_events > 10,
        "{watched_events} events of the watched venue"
    );
}

/// How many events of instruments beside the traded one the run has recorded.
fn watched_events(journal: &Path) -> u64 {
    let mut reader = Reader::open(journal).unwrap();
    let mut count = 0;
    while let Some(record) = reader.next_record().unwrap() {
        if let RecordBody::Event(event) = record.body
            && let EventBody::Market(MarketEvent::Book(book)) = event.body
            && book.instrument != BTC
        {
            count += 1;
        }
    }
    count
}

async fn decides_the_same(watched: &[(Wire, u16)]) -> u64 {
    let lines = market();
    let folder = tempfile::tempdir().unwrap();
    let recording = file(
        folder.path(),
        "recording",
        &written(&lines, |at, _| {
            FIRST_NS + (i64::try_from(at).unwrap() - 1) * STEP_NS + WAY_NS
        }),
    );
    let server = RecordedServer::start(RecordedConfig {
        files: vec![recording.clone()],
        speed: Some(300.0),
        port: 0,
        exit_when_done: false,
    })
    .await
    .unwrap();
    let mut bench = Bench::start_simulated_watching(server.address(), watched).await;
    bench.until_ready().await;
    bench.deploy(CROSS).await;
    let last = lines.iter().rev().find_map(|line| match line.mark {
        Mark::Book(update) => Some(update),
        _ => None,
    });
    bench
        .until("the end of the recording", |seen| match seen {
            Seen::Book {
                instrument: BTC,
                update_id,
                ..
            } => (Some(*update_id) == last).then_some(()),
            _ => None,
        })
        .await;
    let run = bench.home.path().join("run");
    let (setup, home, ended) = bench.end().await;
    assert!(ended.fault.is_none(), "{ended:?}");

    // As the service received it: the same decisions and fills, at the same times.
    let was = times(&run.join("journal"));
    assert!(was.sent.len() >= 3 && was.filled.len() >= 3, "it traded");
    let mut known = *was.received.values().min().unwrap();
    let stamps = lines.iter().map(|line| {
        known = was.received.get(&line.mark).copied().unwrap_or(known).max(known);
        known
    });
    let stamps: Vec<i64> = stamps.collect();
    let as_received = file(folder.path(), "as_received", &written(&lines, |at, _| stamps[at]));
    let report = replayed(&setup, &[as_received], Some(&run)).await;
    assert!(report.is_same(), "{}", report.text());
    let json = report.json();
    assert_eq!(json["run"]["identical"], true);
    let is_begun =
        |all: Vec<i64>, by: &[i64]| all[..by.len().min(all.len())] == by[..by.len().min(all.len())];
    assert!(is_begun(told(&json, "orders"), &was.sent), "{}", report.text());
    assert!(is_begun(told(&json, "fills"), &was.filled), "{}", report.text());

    // As it was recorded: the same orders, ends and fills, at the times of another receiver.
    let report = replayed(&setup, std::slice::from_ref(&recording), Some(&run)).await;
    assert!(report.is_same(), "{}", report.text());

    // By itself, with the steps that the recording shows: orders and fills, and the same each time.
    let alone = replayed(&setup, std::slice::from_ref(&recording), None).await;
    let again = replayed(&setup, &[recording], None).await;
    assert!(
        !alone.json()["fills"].as_array().unwrap().is_empty(),
        "{}",
        alone.text()
    );
    assert_eq!(alone.json(), again.json());
    assert_eq!(alone.json()["run"], serde_json::Value::Null);
    let watched = watched_events(&run.join("journal"));
    drop((home, server));
    watched
}

/// A recording of the shared data; `None`, with a line that says so, where it is absent.
fn shared(path: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("PY_RT_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let found = Some(shared.join(path)).filter(|path| path.is_file());
    if found.is_none() {
        println!("SKIPPED: no recorded data at {path}: set PY_RT_SHARED_DATA");
    }
    found
}

#[tokio::test]
async fn a_recording_of_every_venue_that_takes_orders_can_be_replayed() {
    // The recording of Kraken holds a book without trades: nothing closes a bar.
    let recordings = [
        (
            "binance",
            "BTCUSDT",
            "USDT",
            "ws_binance_spot_btcusdt_20240808/btcusdt_20240808.gz",
            true,
        ),
        (
            "kraken",
            "BTC/USD",
            "USD",
            "ws_kraken_v2_btcusd_d10_20260816/kraken_v2_btcusd_d10_20260816_first6s.ndjson",
            false,
        ),
        (
            "coinbase",
            "BTC-USD",
            "USD",
            "ws_coinbase_advanced_20260809/COINBASE_first12s.jsonl.zst",
            true,
        ),
    ];
    for (venue, symbol, currency, path, trades) in recordings {
        let Some(recording) = shared(path) else { return };
        let home = tempfile::tempdir().unwrap();
        let setup = support::setup_of(home.path(), venue, symbol, currency);
        let first = replayed(&setup, std::slice::from_ref(&recording), None).await;
        let again = replayed(&setup, &[recording], None).await;
        let json = first.json();
        assert_eq!(json, again.json(), "{venue}");
        assert!(json["wire"].as_str().unwrap().starts_with(venue));
        assert!(json["events"].as_u64() > Some(0), "{venue}: {}", first.text());
        assert_eq!(
            json["bars"].as_u64() > Some(0),
            trades,
            "{venue}: {}",
            first.text()
        );
    }
}
