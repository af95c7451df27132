//! In steady state nothing allocates: neither writing an event and its actions, nor reading them back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rig;

use std::alloc::System;

use journal::{Reader, RecordBody, Room, Writer, WriterOptions};
use rig::{START, actions, event, header, levels};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const EVENTS: u64 = 2_000;

// One test: the counter is the process's.
#[test]
fn neither_writing_nor_reading_allocates() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, mut syncer) =
        Writer::create(dir.path(), WriterOptions::default(), &header(1), START).unwrap();
    let prepared: Vec<_> = (1..=EVENTS).map(|seq| (levels(seq), actions(seq))).collect();
    let region = Region::new(ALLOCATOR);
    for (seq, (levels, actions)) in (1..).zip(&prepared) {
        let event = event(seq, levels);
        writer.append_event(&event, Room::Ordinary).unwrap();
        writer.append_actions(event.ts, actions, Room::Ordinary).unwrap();
        if seq % 100 == 0 {
            syncer.sync().unwrap();
            assert_eq!(writer.lag().records, 0);
        }
    }
    let written = region.change();
    assert_eq!(
        (written.allocations, written.reallocations),
        (0, 0),
        "{written:?}"
    );

    let mut reader = Reader::open(dir.path()).unwrap();
    let (mut events, mut after_warm_up) = (0, None);
    while let Some(record) = reader.next_record().unwrap() {
        if let RecordBody::Event(event) = record.body {
            events = event.seq;
        }
        // By now the buffers have grown to the longest record.
        if events == 1_000 && after_warm_up.is_none() {
            after_warm_up = Some(Region::new(ALLOCATOR));
        }
    }
    let read = after_warm_up.unwrap().change();
    assert_eq!(events, EVENTS);
    assert_eq!((read.allocations, read.reallocations), (0, 0), "{read:?}");
}
