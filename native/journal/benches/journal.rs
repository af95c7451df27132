//! What recording costs before an event may act: put together, hashed, written; beside it the bare write of the same
//! bytes. And what reading a record back costs. `cargo bench -p journal` measures on the disk of the temporary folder.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on may panic")]

#[path = "../tests/rig/mod.rs"]
mod rig;

use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::{
    BookUpdate, BookUpdateKind, InstrumentId, Level, MarketEvent, Price, Quantity, Quote, Timestamp,
};
use engine::{Event, EventBody};
use journal::codec::{LevelScratch, decode_event, encode_event};
use journal::frame::{Kind, encode};
use journal::{Format, Reader, Room, Writer, WriterOptions};
use rig::{START, actions, header};

/// Records that are read back.
const READ_EVENTS: u64 = 100_000;

fn quote(seq: u64) -> EventBody<'static> {
    EventBody::Market(MarketEvent::Quote(Quote {
        instrument: InstrumentId(0),
        ts_event: Timestamp::from_nanos(1_700_000_000_000_000_000),
        update_id: seq,
        bid: Price::from_units(6_183_763_000_000),
        bid_quantity: Quantity::from_units(120_000_000),
        ask: Price::from_units(6_183_764_000_000),
        ask_quantity: Quantity::from_units(80_000_000),
    }))
}

fn book(levels: &[Level]) -> EventBody<'_> {
    EventBody::Market(MarketEvent::Book(BookUpdate {
        instrument: InstrumentId(0),
        ts_event: Timestamp::from_nanos(1_700_000_000_000_000_000),
        kind: BookUpdateKind::Delta,
        update_id: 7,
        bids: levels,
        asks: levels,
    }))
}

fn levels(count: i64) -> Vec<Level> {
    let level = |at| Level {
        price: Price::from_units(6_183_763_000_000 + at),
        quantity: Quantity::from_units(120_000_000),
    };
    (0..count).map(level).collect()
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal_append");
    group
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_secs(1));
    let ten = levels(10);
    for (name, body) in [("quote", quote(1)), ("book_10x10", book(&ten))] {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, _syncer) =
            Writer::create(dir.path(), WriterOptions::default(), &header(1), START).unwrap();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let seq = writer.next_event();
                let event = Event { seq, ts: START, body };
                writer.append_event(black_box(&event), Room::Ordinary).unwrap();
            });
        });
        let file = tempfile::tempfile().unwrap();
        let mut record = Vec::new();
        encode(&mut record, &[0; 16], (Kind::Event, 1, 1), |out| {
            encode_event(&body, out);
        })
        .unwrap();
        let mut at = 0;
        group.bench_function(format!("{name}/bare_write"), |bencher| {
            bencher.iter(|| {
                file.write_all_at(black_box(&record), at).unwrap();
                at += record.len() as u64;
            });
        });
        record.reserve(1 << 12);
        group.bench_function(format!("{name}/put_together"), |bencher| {
            bencher.iter(|| {
                record.clear();
                encode(&mut record, &[0; 16], (Kind::Event, 1, 1), |out| {
                    encode_event(black_box(&body), out);
                })
                .unwrap()
            });
        });
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _syncer) =
        Writer::create(dir.path(), WriterOptions::default(), &header(1), START).unwrap();
    let two = actions(3);
    group.bench_function("two_actions", |bencher| {
        bencher.iter(|| {
            writer
                .append_actions(START, black_box(&two), Room::Ordinary)
                .unwrap();
        });
    });
    group.finish();
}

fn read(criterion: &mut Criterion) {
    let mut payload = Vec::new();
    encode_event(&quote(1), &mut payload);
    let mut scratch = LevelScratch::default();
    criterion.bench_function("journal_decode/quote", |bencher| {
        bencher.iter(|| {
            let body = decode_event(Format::V1, black_box(&payload), &mut scratch);
            black_box(body.is_ok())
        });
    });
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _syncer) =
        Writer::create(dir.path(), WriterOptions::default(), &header(1), START).unwrap();
    for seq in 1..=READ_EVENTS {
        let event = Event {
            seq,
            ts: START,
            body: quote(seq),
        };
        writer.append_event(&event, Room::Ordinary).unwrap();
    }
    let mut group = criterion.benchmark_group("journal_read");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(READ_EVENTS));
    group.bench_function("100k_quotes", |bencher| {
        bencher.iter(|| {
            let mut reader = Reader::open(dir.path()).unwrap();
            let mut records = 0_u64;
            while let Some(record) = reader.next_record().unwrap() {
                records += u64::from(!black_box(record.payload).is_empty());
            }
            assert_eq!(records, 1 + READ_EVENTS);
        });
    });
    group.finish();
}

criterion_group!(benches, append, read);
criterion_main!(benches);
