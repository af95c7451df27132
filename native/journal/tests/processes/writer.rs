//! The other process: writes a journal until it is killed, or until the disk is full.

#![allow(
    clippy::unwrap_used,
    reason = "part of a test: what fails shall end the process"
)]

#[path = "../rig/mod.rs"]
mod rig;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use domain::Timestamp;
use journal::{JournalError, Room, Syncer, Writer, WriterOptions, recover};
use rig::{START, actions, event, header, levels};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["endless", dir] => endless(dir.as_ref()),
        ["full", dir] => full(dir.as_ref()),
        _ => std::process::exit(2),
    }
}

fn say(bytes: &[u8]) {
    let mut out = std::io::stdout();
    out.write_all(bytes).unwrap();
    out.flush().unwrap();
}

/// Begins the next life and writes on. Whenever an event and its actions are recorded, its number goes to the standard
/// output: from then on it may not be lost.
fn endless(dir: &Path) {
    let options = WriterOptions {
        segment_bytes_max: 1 << 17,
        reserve_bytes: 8_192,
    };
    let (mut writer, syncer) = match recover(dir, options) {
        Ok(recovered) => {
            let next = header(recovered.header().epoch().0 + 1);
            let ts = Timestamp::from_nanos(recovered.last_ts().nanos());
            recovered.begin_life(&next, ts).unwrap()
        }
        Err(JournalError::Absent { .. }) => Writer::create(dir, options, &header(1), START).unwrap(),
        Err(error) => panic!("{error}"),
    };
    std::thread::spawn(move || force(syncer));
    loop {
        let seq = rig::append(&mut writer, Room::Ordinary).unwrap();
        say(&seq.to_le_bytes());
    }
}

/// Ends with the process, or by a failed sync, which the writer then sees.
fn force(mut syncer: Syncer) {
    loop {
        syncer.sync().unwrap();
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Records the next event and its actions; an event without its actions gets them at any price.
fn append(writer: &mut Writer, room: Room) -> Result<(), JournalError> {
    let seq = writer.next_event();
    let levels = levels(seq);
    let event = event(seq, &levels);
    writer.append_event(&event, room)?;
    let written = writer.append_actions(event.ts, &actions(seq), room);
    match written {
        Err(error) if error.is_disk_full() && room == Room::Ordinary => {
            writer.append_actions(event.ts, &actions(seq), Room::Reserve)
        }
        other => other,
    }
}

/// Appends until the disk is full; returns how many went in.
fn fill(writer: &mut Writer, room: Room) -> u64 {
    let before = writer.records();
    loop {
        let records = writer.records();
        match append(writer, room) {
            Ok(()) => {}
            Err(error) => {
                assert!(error.is_disk_full(), "{error}");
                assert!(writer.is_full());
                return records - before;
            }
        }
    }
}

/// Fills the disk, then the reserve, then goes back to ordinary segments: the limit is one of file sizes.
fn full(dir: &Path) {
    let options = WriterOptions {
        segment_bytes_max: 1 << 23,
        reserve_bytes: 1 << 17,
    };
    let (mut writer, mut syncer) = Writer::create(dir, options, &header(1), START).unwrap();
    assert!(writer.is_reserve_held());
    fill(&mut writer, Room::Ordinary);
    for _ in 0..3 {
        let refused = append(&mut writer, Room::Ordinary).unwrap_err();
        assert!(refused.is_disk_full());
    }
    // What stops trading fits.
    let first = writer.next_event();
    for _ in 0..20 {
        append(&mut writer, Room::Reserve).unwrap();
    }
    assert!(writer.is_full());
    assert!(append(&mut writer, Room::Ordinary).unwrap_err().is_disk_full());
    let in_reserve = 20 + fill(&mut writer, Room::Reserve);
    assert!(in_reserve > 100);
    syncer.sync().unwrap();
    // Room again.
    writer.leave_reserve().unwrap();
    assert!(!writer.is_full() && writer.is_reserve_held());
    for _ in 0..10 {
        append(&mut writer, Room::Ordinary).unwrap();
    }
    assert_eq!(syncer.sync().unwrap().records, 0);
    let events = writer.next_event() - 1;
    say(format!("{} {events} {first}\n", writer.records()).as_bytes());
}
