//! The shared forms of tables, flags and rings, attached through a socket as a user's process does.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    reason = "clippy sees helpers of integration tests as ordinary code"
)]

use std::path::Path;
use std::time::Duration;

use domain::{InstrumentId, Price, Quantity, Side, Timestamp, Trade, TradeId};
use ipc::IpcError;
use ipc::atomic_flags::{FlagsError, FlagsReader, FlagsWriter, StopFlags};
use ipc::record::{ROW_BYTES, Record};
use ipc::ring_buffer::{RingReader, RingWriter, Start};
use ipc::seqlock::{SeqlockError, TableReader, TableWriter};
use ipc::shared_memory::{SegmentServer, private_directory};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_mins(1);

fn server() -> (TempDir, SegmentServer) {
    let home = tempfile::tempdir().unwrap();
    let run = home.path().join("run");
    private_directory(&run).unwrap();
    let server = SegmentServer::bind(&run.join("segments.sock")).unwrap();
    (home, server)
}

/// Runs `client` against the server, which answers once.
fn served<T: Send>(server: &SegmentServer, client: impl FnOnce(&Path) -> T + Send) -> T {
    std::thread::scope(|scope| {
        let client = scope.spawn(|| client(server.path()));
        server.serve_once(Some(PATIENCE)).unwrap();
        client.join().unwrap()
    })
}

fn trade(number: u64) -> Record {
    let trade = Trade {
        instrument: InstrumentId(1),
        ts_event: Timestamp::from_nanos(5),
        trade_id: TradeId(number),
        price: Price::from_units(7),
        quantity: Quantity::from_units(9),
        aggressor: Side::Buy,
    };
    Record::Trade {
        ts_received: Timestamp::from_nanos(6),
        trade,
    }
}

#[test]
fn a_table_shows_the_latest_record_of_each_entry() {
    let (_home, server) = server();
    let mut writer = TableWriter::create("positions", 4, 3).unwrap();
    writer.offer(server.registry()).unwrap();
    let reader = served(&server, |socket| {
        TableReader::attach(socket, "positions").unwrap()
    });
    assert_eq!((reader.entries(), reader.epoch()), (4, 3));
    assert_eq!(reader.read(2).unwrap(), None);
    for number in 1..=3 {
        assert_eq!(writer.write(2, &trade(number)), Ok(number));
    }
    assert_eq!(reader.read(2).unwrap(), Some((3, trade(3))));
    assert_eq!(
        writer.write(4, &trade(1)),
        Err(SeqlockError::Index { index: 4, entries: 4 })
    );
    assert!(matches!(reader.read(4), Err(IpcError::Seqlock { .. })));

    let mut rows = [1; 8 * ROW_BYTES];
    assert_eq!(reader.read_into(&mut rows).unwrap(), 4);
    let (rows, _) = rows.as_chunks::<ROW_BYTES>();
    assert_eq!(Record::decode_row(&rows[2]), Ok((3, trade(3))));
    assert_eq!(rows[0], [0; ROW_BYTES], "never written");

    assert!(reader.writer_alive());
    drop(writer);
    assert!(!reader.writer_alive());
    assert_eq!(
        reader.read(2).unwrap(),
        Some((3, trade(3))),
        "the last state stays readable"
    );
}

#[test]
fn flags_are_seen_from_outside() {
    let (_home, server) = server();
    let writer = FlagsWriter::create("stops", 3, 1).unwrap();
    writer.offer(server.registry()).unwrap();
    let reader = served(&server, |socket| FlagsReader::attach(socket, "stops").unwrap());
    writer.raise(0, StopFlags::KILLED).unwrap();
    writer.raise(2, StopFlags::PAUSED).unwrap();
    assert_eq!(reader.get(0).unwrap(), StopFlags::KILLED);
    assert_eq!(reader.get(1).unwrap(), StopFlags::NONE);
    assert_eq!(reader.get(2).unwrap(), StopFlags::PAUSED);
    writer.lower(2, StopFlags::PAUSED).unwrap();
    assert_eq!(reader.get(2).unwrap(), StopFlags::NONE);
    assert_eq!(writer.get(3), Err(FlagsError::Index { index: 3, entries: 3 }));
    assert!(matches!(reader.get(3), Err(IpcError::Flags { .. })));
}

#[test]
fn a_segment_of_another_kind_is_refused() {
    let (_home, server) = server();
    let flags = FlagsWriter::create("stops", 3, 1).unwrap();
    flags.offer(server.registry()).unwrap();
    let error = served(&server, |socket| {
        RingReader::attach(socket, "stops").map(drop).unwrap_err()
    });
    assert!(matches!(error, IpcError::Layout { .. }), "{error}");
    assert!(error.to_string().contains("asked for was Ring"), "{error}");
}

#[test]
fn polls_fill_whole_rows_and_leave_the_rest_for_the_next() {
    let (_home, server) = server();
    let mut writer = RingWriter::create("market", 16, 1).unwrap();
    writer.offer(server.registry()).unwrap();
    writer.publish(&trade(0));
    let mut reader = served(&server, |socket| {
        RingReader::attach_at(socket, "market", Start::Newest).unwrap()
    });
    for number in 1..=5 {
        writer.publish(&trade(number));
    }
    assert_eq!(reader.backlog(), 5);
    for len in [0, 1, ROW_BYTES - 1, ROW_BYTES + 1] {
        let refused = reader.poll_into(&mut vec![0; len]);
        assert!(matches!(refused, Err(IpcError::Buffer { .. })), "{len}");
    }
    let mut rows = [0; 2 * ROW_BYTES];
    let mut seen = Vec::new();
    for expected in [2, 2, 1, 0] {
        let result = reader.poll_into(&mut rows).unwrap();
        assert_eq!((result.records, result.missed), (expected, 0));
        seen.extend(
            rows.as_chunks::<ROW_BYTES>().0[..expected]
                .iter()
                .map(|row| Record::decode_row(row).unwrap()),
        );
    }
    assert_eq!(
        seen,
        (1..=5).map(|number| (number, trade(number))).collect::<Vec<_>>()
    );

    // Seventeen more: the ring of sixteen has overtaken the reader, which learns by how much.
    for number in 6..=22 {
        writer.publish(&trade(number));
    }
    drop(writer);
    let mut rows = [0; 32 * ROW_BYTES];
    let result = reader.poll_into(&mut rows).unwrap();
    assert_eq!(result.records as u64 + result.missed, 17);
    assert!(result.missed > 0 && !result.writer_alive);
    assert_eq!(reader.position(), 23);
}

#[test]
fn a_writer_that_does_not_beat_is_stale_for_a_reader_that_says_so() {
    let (_home, server) = server();
    let writer = RingWriter::create("market", 16, 1).unwrap();
    writer.offer(server.registry()).unwrap();
    let mut reader = served(&server, |socket| RingReader::attach(socket, "market").unwrap());
    reader.set_stale_after(0);
    let mut rows = [0; ROW_BYTES];
    assert!(!reader.poll_into(&mut rows).unwrap().writer_alive);
    reader.set_stale_after(u64::MAX);
    writer.heartbeat();
    assert!(reader.poll_into(&mut rows).unwrap().writer_alive);
}
