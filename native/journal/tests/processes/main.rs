//! Two real processes: a writer killed at any moment, and one whose disk is full.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

#[path = "../rig/mod.rs"]
mod rig;

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use journal::{Reader, WriterOptions, recover};
use rig::read;

/// Times the writer is killed.
const KILLS: u64 = 40;

fn writer(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_journal_test_writer"))
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets the writer acknowledge so many events, kills it, and returns the last one that it acknowledged.
fn kill_after(dir: &Path, acknowledged: u64) -> u64 {
    let mut child = writer(&["endless", dir.to_str().unwrap()]);
    let mut pipe = child.stdout.take().unwrap();
    let mut last = 0;
    let mut number = [0; 8];
    for _ in 0..acknowledged {
        pipe.read_exact(&mut number).unwrap();
        last = u64::from_le_bytes(number);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it still said before it died.
    let mut rest = Vec::new();
    pipe.read_to_end(&mut rest).unwrap();
    if let Some((whole, _)) = rest.as_chunks::<8>().0.split_last() {
        last = u64::from_le_bytes(*whole);
    }
    last
}

#[test]
fn a_killed_writer_loses_nothing_that_it_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    let (mut before, mut torn, mut random) = (0, 0, 1_u64);
    for round in 1..=KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let acknowledged = kill_after(&dir, 1 + (random >> 33) % 500);
        // Every record is proven to be the one that was written.
        let (content, tail) = read(&dir).unwrap_or_else(|error| panic!("round {round}: {error}"));
        torn += u64::from(tail.is_some());
        assert!(
            acknowledged > before && content.events >= acknowledged,
            "round {round}"
        );
        // Every earlier death may have come between an event and its actions.
        assert!(
            content.actions + 2 * (round - 1) >= 2 * (acknowledged / 3),
            "round {round}"
        );
        assert_eq!(content.headers, round);
        // An event may have come in after the last acknowledgement, but not two.
        assert!(content.events <= acknowledged + 1, "round {round}");
        before = content.events;
    }
    println!("{KILLS} kills, {before} events, {torn} torn tails, 0 acknowledged records lost");
}

#[test]
fn a_full_disk_leaves_room_for_what_stops_trading() {
    let dir = tempfile::tempdir().unwrap();
    // A limit on the size of files fails writes as a full disk does, in the middle of a record too.
    let script = r#"trap "" XFSZ; ulimit -f 640; exec "$0" full "$1""#;
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_journal_test_writer")])
        .arg(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaint}");
    let numbers: Vec<u64> = said
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect();
    let [records, events, first_in_reserve] = numbers[..] else {
        panic!("{said}")
    };
    // What was refused left no trace, what was accepted is there.
    let (content, torn) = read(dir.path()).unwrap();
    assert_eq!((content.records, content.events, torn), (records, events, None));
    assert_eq!(content.actions, 2 * (events / 3));
    assert_eq!(segment_of(dir.path(), first_in_reserve), 1);
    assert_eq!(content.last.0, 2);
    let recovered = recover(dir.path(), WriterOptions::default()).unwrap();
    assert_eq!(recovered.records(), records);
}

/// The segment in which an event stands.
fn segment_of(dir: &Path, event: u64) -> u32 {
    let mut reader = Reader::open(dir).unwrap();
    while let Some(record) = reader.next_record().unwrap() {
        if matches!(record.body, journal::RecordBody::Event(found) if found.seq == event) {
            return record.segment;
        }
    }
    panic!("event {event} is not there")
}
