//! What others on this machine see of a running service, and the second path to a kill.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use domain::OrderReportKind;
use engine::{CommandKind, ControlLevel, ManualOrder, Scope};
use ipc::atomic_flags::{FlagsReader, StopFlags};
use ipc::record::{ROW_BYTES, RecordKind};
use ipc::ring_buffer::{RingReader, Start};
use serde_json::Value;
use support::programs::{CROSS, SILENT};
use support::{BTC, Bench, SLOT, Seen};

fn live_file(bench: &Bench) -> Value {
    let path = bench.setup.run_folder().join(live::doors::LIVE_FILE);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn endpoint(bench: &Bench, name: &str) -> PathBuf {
    PathBuf::from(live_file(bench)["endpoints"][name].as_str().unwrap())
}

/// One line to the local control socket and its answer.
fn ask(socket: &Path, line: &str) -> Value {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn says_where_its_doors_are_and_what_it_counts() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    let live = live_file(&bench);
    assert_eq!(live["pid"].as_u64(), Some(u64::from(std::process::id())));
    assert_eq!(
        (live["instance"].as_str(), live["epoch"].as_u64()),
        (Some("bench"), Some(u64::from(bench.service.folder().epoch().0)))
    );
    let mode = std::fs::metadata(endpoint(&bench, "control"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    bench
        .until("a bar", |seen| matches!(seen, Seen::Bar(_)).then_some(()))
        .await;
    // The bar is told while its event is still being carried out; it is counted by the end of that event.
    bench
        .until("the bar after it", |seen| {
            matches!(seen, Seen::Bar(_)).then_some(())
        })
        .await;
    let url = live["endpoints"]["metrics"].as_str().unwrap().to_owned();
    let address = url
        .trim_start_matches("http://")
        .trim_end_matches("/metrics")
        .parse()
        .unwrap();
    let page = support::venue::get_text(address, "/metrics").await;
    let value = |name: &str| -> f64 {
        let line = page
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")))
            .unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(value("py_rt_events_total") > 50.0);
    assert!(value("py_rt_bars_total") >= 1.0);
    assert!(value("py_rt_venue_online") == 1.0);
    for stream in ["binance market", "binance account"] {
        let of = |name: &str| value(&format!("py_rt_stream_{name}_total{{stream=\"{stream}\"}}"));
        assert!(of("messages") >= 1.0 && of("bytes") > of("messages"), "{page}");
        assert_eq!(
            (of("connections"), of("reconnects"), of("rotations")),
            (1.0, 0.0, 0.0)
        );
        let overruns = format!("py_rt_stream_losses_total{{stream=\"{stream}\",reason=\"overrun\"}}");
        assert_eq!(value(&overruns), 0.0);
    }
    let path = bench.setup.run_folder().join(live::doors::LIVE_FILE);
    let (_, _, _venue) = bench.drain().await;
    assert!(!path.exists(), "nothing runs there any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shows_market_fills_and_positions_in_shared_memory() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    let socket = endpoint(&bench, "segments");
    let mut market = RingReader::attach_at(&socket, live::rings::MARKET, Start::First).unwrap();
    let mut account = RingReader::attach_at(&socket, live::rings::ACCOUNT, Start::First).unwrap();
    bench.deploy(CROSS).await;
    let fill = bench
        .until("a fill", |seen| match seen {
            Seen::Fill(fill) => Some(*fill),
            _ => None,
        })
        .await;
    // What was seen is recorded before it is shown: a look at the engine comes after both.
    bench.commander.look().await.unwrap();
    let ours = kinds(&mut account);
    assert!(ours.iter().any(|kind| *kind == RecordKind::Fill.code()));
    assert!(ours.iter().any(|kind| *kind == RecordKind::Position.code()));
    assert!(
        ours.iter().all(|kind| *kind >= RecordKind::Signal.code()),
        "{ours:?}"
    );
    let all = kinds(&mut market);
    for kind in [
        RecordKind::TopOfBook,
        RecordKind::Trade,
        RecordKind::Bar,
        RecordKind::Fill,
        RecordKind::Position,
    ] {
        assert!(
            all.contains(&kind.code()),
            "no {kind:?} among {} records",
            all.len()
        );
    }
    assert_eq!(fill.slot, SLOT);
    drop(bench.drain().await);
    assert!(!market.poll_into(&mut [0; ROW_BYTES]).unwrap().writer_alive);
}

/// The kinds of all records that wait.
fn kinds(reader: &mut RingReader) -> Vec<u16> {
    let mut found = Vec::new();
    let mut rows = vec![0; 1_024 * ROW_BYTES];
    loop {
        let polled = reader.poll_into(&mut rows).unwrap();
        assert_eq!(polled.missed, 0);
        for row in rows.chunks_exact(ROW_BYTES).take(polled.records) {
            found.push(u16::from_le_bytes([row[8], row[9]]));
        }
        if polled.records == 0 {
            return found;
        }
    }
}

/// Clients that a kill must not wait for.
const SILENT_CLIENTS: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_who_say_nothing_delay_no_kill() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    let control = endpoint(&bench, "control");
    let answer = tokio::task::block_in_place(|| {
        let mut silent = Vec::new();
        for number in 0..SILENT_CLIENTS {
            let mut client = UnixStream::connect(&control).unwrap();
            if number % 2 == 0 {
                // The front of a line that never ends.
                client.write_all(b"kil").unwrap();
            }
            silent.push(client);
        }
        let answer = ask(&control, "kill");
        // Nobody had to be let go first: the one that came just before still has its time.
        let last = silent.last_mut().unwrap();
        last.set_nonblocking(true).unwrap();
        let still_heard = last.read(&mut [0; 1]).map_err(|error| error.kind());
        assert_eq!(still_heard, Err(std::io::ErrorKind::WouldBlock));
        answer
    });
    assert_eq!(
        (answer["stopped"].as_bool(), answer["latched"].as_bool()),
        (Some(true), Some(true))
    );
    drop(bench.drain().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_by_the_second_path_stops_cancels_and_latches() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    bench.deploy(SILENT).await;
    let view = bench.commander.look().await.unwrap();
    let price = domain::Price::from_units(view.tops[0].unwrap().bid.units() / 100_000_000 * 99_000_000);
    let order = CommandKind::ManualOrder(ManualOrder {
        slot: SLOT,
        instrument: BTC,
        side: domain::Side::Buy,
        order_type: domain::OrderType::Limit,
        price: Some(price),
        quantity: domain::Quantity::from_units(100_000_000),
    });
    assert_eq!(bench.commander.command(order).await.unwrap(), Ok(()));
    let accepted = |seen: &Seen| match seen {
        Seen::Report(report) => matches!(report.kind, OrderReportKind::Accepted(_)).then_some(()),
        _ => None,
    };
    bench.until("it rests", accepted).await;

    let control = endpoint(&bench, "control");
    let flags = FlagsReader::attach(&endpoint(&bench, "segments"), live::stop_latch::SEGMENT).unwrap();
    assert_eq!(flags.get(0).unwrap(), StopFlags::NONE);
    let status = tokio::task::block_in_place(|| ask(&control, "status"));
    assert_eq!(
        (status["stopped"].as_bool(), status["venue_online"].as_bool()),
        (Some(false), Some(true))
    );
    let answer = tokio::task::block_in_place(|| ask(&control, "kill"));
    assert_eq!(
        (answer["stopped"].as_bool(), answer["latched"].as_bool()),
        (Some(true), Some(true))
    );
    assert_eq!(
        bench.service.counters().commands.get(),
        1,
        "a question of state is none"
    );
    bench
        .until_seen(Seen::Control(Scope::All, ControlLevel::Killed))
        .await;
    let canceled = |seen: &Seen| match seen {
        Seen::Report(report) => (report.kind == OrderReportKind::Canceled).then_some(()),
        _ => None,
    };
    bench.until("the order is gone", canceled).await;
    assert!(flags.get(0).unwrap().contains(StopFlags::KILLED));
    let nonsense = tokio::task::block_in_place(|| ask(&control, "sell everything"));
    assert_eq!(nonsense["ok"].as_bool(), Some(false));
    drop(bench.drain().await);
}
