//! Two real processes: torn records, death in the middle of a write, and who may write.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    reason = "clippy sees helpers of integration tests as ordinary code"
)]

mod checked;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use domain::InstrumentId;
use ipc::IpcError;
use ipc::market_cache::{CacheReading, MarketCacheReader};
use ipc::parameters::{ParameterInbox, ParameterPoll, ParameterWriter};
use ipc::record::ROW_BYTES;
use ipc::ring_buffer::{Reattached, RingReader, Start};
use ipc::shared_memory::{SegmentServer, Served, monotonic_ns, private_directory};
use tempfile::TempDir;

use checked::{is_whole, is_whole_market};

/// Longest any of these tests waits for another process.
const PATIENCE: Duration = Duration::from_mins(1);

/// A private run folder and the socket in it.
fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    private_directory(&home.path().join("run")).unwrap();
    let socket = home.path().join("run/segments.sock");
    (home, socket)
}

/// The other process; killed when the test is done with it.
struct Peer(Child);

impl Peer {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipc_test_peer"));
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn ready(mut self) -> Self {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        self
    }

    fn ring(socket: &Path, capacity: u64, epoch: u64, count: u64) -> Self {
        let numbers = [capacity, epoch, count].map(|number| number.to_string());
        let [capacity, epoch, count] = numbers.each_ref().map(String::as_str);
        Self::start(&["ring", socket.to_str().unwrap(), "market", capacity, epoch, count]).ready()
    }

    fn cache(socket: &Path, epoch: u64) -> Self {
        Self::start(&["cache", socket.to_str().unwrap(), "latest", &epoch.to_string()]).ready()
    }

    /// SIGKILL: nothing in it runs any more.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What a reader has seen so far.
#[derive(Default)]
struct Tally {
    received: u64,
    missed: u64,
}

impl Tally {
    /// Polls once, checks every row, and returns whether the writer is at work or rows came.
    fn poll(&mut self, reader: &mut RingReader, rows: &mut [u8]) -> bool {
        let result = reader.poll_into(rows).unwrap();
        let mut last = None;
        for row in rows.as_chunks::<ROW_BYTES>().0.iter().take(result.records) {
            let index = u64::from_le_bytes(*row.first_chunk().unwrap());
            assert!(is_whole(row), "record {index} is torn");
            assert!(last < Some(index), "record {index} after {last:?}");
            last = Some(index);
        }
        self.received += result.records as u64;
        self.missed += result.missed;
        assert_eq!(
            self.received + self.missed,
            reader.position(),
            "every record is received or counted"
        );
        result.records > 0 || result.writer_alive
    }
}

#[test]
fn no_record_is_torn_in_many_laps_of_a_ring_written_at_full_speed() {
    const RECORDS: u64 = 4_000_000;
    let (_home, socket) = home();
    // 64 slots against full speed: the reader is overrun without pause, which is where torn copies would show.
    let mut writer = Peer::ring(&socket, 64, 1, RECORDS);
    let mut reader = RingReader::attach_at(&socket, "market", Start::First).unwrap();
    let (mut tally, mut rows) = (Tally::default(), vec![0; 256 * ROW_BYTES]);
    let started = Instant::now();
    while reader.position() < RECORDS {
        tally.poll(&mut reader, &mut rows);
        assert!(
            started.elapsed() < PATIENCE,
            "only {} of {RECORDS} after {PATIENCE:?}",
            reader.position()
        );
    }
    assert_eq!(tally.received + tally.missed, RECORDS);
    assert!(
        tally.received >= 56,
        "at least what was left in the ring at the end"
    );
    // Its standard input ends, so the writer finishes and closes the ring.
    drop(writer.0.stdin.take());
    assert!(writer.0.wait().unwrap().success());
    assert!(!tally.poll(&mut reader, &mut rows));
}

#[test]
fn a_large_ring_loses_nothing() {
    const RECORDS: u64 = 1 << 17;
    let (_home, socket) = home();
    let _writer = Peer::ring(&socket, RECORDS, 1, RECORDS);
    let mut reader = RingReader::attach_at(&socket, "market", Start::First).unwrap();
    let (mut tally, mut rows) = (Tally::default(), vec![0; 4096 * ROW_BYTES]);
    let started = Instant::now();
    while reader.position() < RECORDS {
        tally.poll(&mut reader, &mut rows);
        assert!(started.elapsed() < PATIENCE);
    }
    assert_eq!((tally.received, tally.missed), (RECORDS, 0));
}

#[test]
fn a_writer_killed_while_writing_leaves_whole_records_and_its_successor_is_found() {
    let (_home, socket) = home();
    let mut writer = Peer::ring(&socket, 256, 1, 0);
    let mut reader = RingReader::attach_at(&socket, "market", Start::First).unwrap();
    let mut rows = vec![0; 64 * ROW_BYTES];
    for epoch in 1..=12 {
        let mut tally = Tally::default();
        // Somewhere in its life, a different point each time; it spends nearly all of it inside `publish`.
        while reader.position() < 10_000 * epoch {
            tally.poll(&mut reader, &mut rows);
        }
        assert_eq!(reader.reattach().unwrap(), Reattached::Same);
        writer.kill();
        let started = Instant::now();
        while tally.poll(&mut reader, &mut rows) {
            assert!(started.elapsed() < PATIENCE, "a dead writer is noticed");
        }
        assert!(
            matches!(reader.reattach(), Err(IpcError::Os { .. })),
            "nobody is there to ask"
        );
        assert_eq!(reader.epoch(), epoch);

        // The successor replaces the abandoned socket.
        writer = Peer::ring(&socket, 256, epoch + 1, 0);
        assert_eq!(reader.reattach().unwrap(), Reattached::Newer { epoch: epoch + 1 });
        assert_eq!(reader.position(), 0);
    }
}

#[test]
fn a_cache_written_at_full_speed_is_read_whole_and_its_successor_is_found() {
    const READINGS: u64 = 40_000;
    let (_home, socket) = home();
    let mut writer = Peer::cache(&socket, 1);
    let mut reader = MarketCacheReader::attach(&socket, "latest").unwrap();
    for epoch in 1..=6 {
        let (mut last, mut whole) = (0, 0);
        for _ in 0..READINGS {
            match reader.read(InstrumentId(0)) {
                Ok(CacheReading { version, market }) => {
                    assert!(is_whole_market(&market), "{market:?}");
                    assert!(version >= last);
                    last = version;
                    whole += 1;
                }
                // It is being written without pause.
                Err(IpcError::Seqlock { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert!(whole > 0 && reader.now().unwrap().is_some());
        assert_eq!(reader.reattach().unwrap(), Reattached::Same);
        writer.kill();
        let started = Instant::now();
        while reader.writer_alive() {
            assert!(started.elapsed() < PATIENCE, "a dead writer is noticed");
        }
        assert!(reader.silent_for_ns().unwrap() > 0);
        // What it left is whole, or known to be torn.
        match reader.read(InstrumentId(0)) {
            Ok(reading) => assert!(is_whole_market(&reading.market)),
            Err(error) => assert!(matches!(error, IpcError::Seqlock { .. }), "{error}"),
        }
        assert!(
            matches!(reader.reattach(), Err(IpcError::Os { .. })),
            "nobody is there to ask"
        );
        writer = Peer::cache(&socket, epoch + 1);
        assert_eq!(reader.reattach().unwrap(), Reattached::Newer { epoch: epoch + 1 });
        assert!(reader.writer_alive());
    }
}

#[test]
fn a_ring_that_is_not_newer_is_refused() {
    let (_home, socket) = home();
    let mut writer = Peer::ring(&socket, 256, 5, 1);
    let mut reader = RingReader::attach(&socket, "market").unwrap();
    for epoch in [5, 4] {
        writer.kill();
        writer = Peer::ring(&socket, 256, epoch, 1);
        match reader.reattach() {
            Err(IpcError::EpochNotNewer {
                attached: 5, offered, ..
            }) => assert_eq!(offered, epoch),
            other => panic!("{other:?}"),
        }
        assert_eq!(reader.epoch(), 5);
    }
}

/// Lets the peer attach while this process serves both segments of a parameter slot.
fn hold_parameters(server: &SegmentServer, socket: &Path) -> Peer {
    let peer = Peer::start(&["parameters", socket.to_str().unwrap(), "params"]);
    for name in ["params.request", "params.answer"] {
        match server.serve_once(Some(PATIENCE)).unwrap() {
            Served::Granted { name: granted, pid } => {
                assert_eq!(
                    (granted.as_str(), pid),
                    (name, i32::try_from(peer.0.id()).unwrap())
                );
            }
            other => panic!("{other:?}"),
        }
    }
    peer.ready()
}

/// Attaches from this process, served by a thread of it.
fn attach_here(server: &SegmentServer, socket: &Path, exchanges: usize) -> Result<ParameterWriter, IpcError> {
    std::thread::scope(|scope| {
        let client = scope.spawn(|| ParameterWriter::attach(socket, "params"));
        for _ in 0..exchanges {
            server.serve_once(Some(PATIENCE)).unwrap();
        }
        client.join().unwrap()
    })
}

#[test]
fn parameters_have_one_writer_and_a_killed_one_makes_room() {
    let (_home, socket) = home();
    let server = SegmentServer::bind(&socket).unwrap();
    let mut inbox = ParameterInbox::create("params", 1).unwrap();
    inbox.offer(server.registry()).unwrap();
    let mut peer = hold_parameters(&server, &socket);

    let ParameterPoll::Request(request) = inbox.poll(monotonic_ns()) else {
        panic!("the peer's request")
    };
    assert_eq!(request.version, 1);
    assert_eq!(request.changes()[0].name.as_str(), "entry_threshold");
    inbox.acknowledge(&request, Err("not while paused"), monotonic_ns());

    let busy = attach_here(&server, &socket, 1).unwrap_err();
    assert!(matches!(busy, IpcError::WriterBusy { .. }), "{busy}");
    peer.kill();
    let mut writer = attach_here(&server, &socket, 2).unwrap();
    let answer = writer.answer().unwrap().unwrap();
    assert_eq!((answer.answered_version, answer.applied_version), (1, 0));
    assert_eq!(answer.reason.as_str(), "not while paused");
    let version = writer
        .request(request.slot, request.changes(), request.ts_requested)
        .unwrap();
    assert_eq!(version, 2, "versions go on where the dead writer stopped");

    let later = monotonic_ns() + ipc::parameters::MIN_INTERVAL_NS;
    let ParameterPoll::Request(request) = inbox.poll(later) else {
        panic!("the second request")
    };
    inbox.acknowledge(&request, Ok(()), later);
    let answer = writer.answer().unwrap().unwrap();
    assert_eq!((answer.answered_version, answer.applied_version), (2, 2));
}
