//! What the ring costs: the writer per record, the reader per record, and one way from thread to thread.
//!
//! Every figure stands beside an anchor measured in the same run: a time-stamp read for the writer, and half a round
//! trip of one bare atomic word for the way across. `cargo bench -p ipc` prints both and their ratios.
#![cfg(not(loom))]
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark reports on standard output"
)]

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::{InstrumentId, Price, Quantity, Quote, Timestamp};
use ipc::atomics::HeapWords;
use ipc::record::{PAYLOAD_WORDS, ROW_BYTES, Record};
use ipc::ring_buffer::{RingConsumer, RingGeometry, RingProducer, RingReader, RingWriter, Start, Step};
use ipc::shared_memory::{SegmentServer, private_directory};

/// Batches of each kind in the comparison, interleaved; their minimum and median are reported.
const BATCHES: usize = 30;
/// Round trips per batch.
const TRIPS: u64 = 5_000;
/// Slots of the rings.
const CAPACITY: u64 = 1 << 12;

fn quote() -> Record {
    let (bid, ask) = (
        Price::from_units(6_183_763_000_000),
        Price::from_units(6_183_764_000_000),
    );
    let size = Quantity::from_units(12_345_678);
    let quote = Quote {
        instrument: InstrumentId(0),
        ts_event: Timestamp::from_nanos(1),
        update_id: 7,
        bid,
        bid_quantity: size,
        ask,
        ask_quantity: size,
    };
    Record::TopOfBook {
        ts_received: Timestamp::from_nanos(2),
        quote,
    }
}

/// A ring in shared memory with its two ends.
fn shared_ring(name: &str) -> (RingWriter, RingReader) {
    let home = tempfile::tempdir().unwrap();
    let run = home.path().join("run");
    private_directory(&run).unwrap();
    let server = SegmentServer::bind(&run.join("x.sock")).unwrap();
    let writer = RingWriter::create(name, CAPACITY, 1).unwrap();
    writer.offer(server.registry()).unwrap();
    let path = server.path().to_owned();
    let reader = std::thread::scope(|scope| {
        let attached = scope.spawn(|| RingReader::attach_at(&path, name, Start::Newest).unwrap());
        server.serve_once(None).unwrap();
        attached.join().unwrap()
    });
    (writer, reader)
}

/// A time-stamp read: what a writer may cost at most.
#[cfg(target_arch = "x86_64")]
fn stamp() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and it only reads a counter.
    #[expect(unsafe_code, reason = "the anchor is one instruction")]
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn stamp() -> Instant {
    Instant::now()
}

fn writer_cost(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("writer");
    group.throughput(Throughput::Elements(1));
    group.bench_function("anchor: one time-stamp read", |bench| bench.iter(stamp));
    let (mut writer, mut reader) = shared_ring("market");
    let record = quote();
    group.bench_function("encode and publish", |bench| {
        bench.iter(|| writer.publish(black_box(&record)));
    });
    let words = record.encode();
    group.bench_function("publish words", |bench| {
        bench.iter(|| writer.publish_words(black_box(&words)));
    });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut rows = vec![0; 256 * ROW_BYTES];
            while !done.load(Ordering::Relaxed) {
                black_box(reader.poll_into(&mut rows).unwrap());
            }
        });
        group.bench_function("publish words, a reader draining", |bench| {
            bench.iter(|| writer.publish_words(black_box(&words)));
        });
        done.store(true, Ordering::Relaxed);
    });
    group.finish();
}

fn reader_cost(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reader");
    let (mut writer, mut reader) = shared_ring("market");
    let words = quote().encode();
    let mut rows = vec![0; usize::try_from(CAPACITY).unwrap() * ROW_BYTES];
    group.throughput(Throughput::Elements(CAPACITY / 2));
    group.bench_function("poll_into, 2048 records at once", |bench| {
        bench.iter_custom(|iterations| {
            let mut spent = std::time::Duration::ZERO;
            for _ in 0..iterations {
                for _ in 0..CAPACITY / 2 {
                    writer.publish_words(&words);
                }
                let started = Instant::now();
                let result = reader.poll_into(&mut rows).unwrap();
                spent += started.elapsed();
                assert_eq!((result.records as u64, result.missed), (CAPACITY / 2, 0));
            }
            spent
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("poll_into, nothing there", |bench| {
        bench.iter(|| reader.poll_into(&mut rows).unwrap());
    });
    group.finish();
}

/// Nanoseconds per one way, from `TRIPS` round trips between this thread and an answering one.
fn one_way<S: Send>(mut echo: impl FnMut(u64) + Send, setup: S, mut trip: impl FnMut(&mut S, u64)) -> f64 {
    let ready = AtomicBool::new(false);
    let mut state = setup;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            ready.store(true, Ordering::Release);
            (1..=TRIPS).for_each(&mut echo);
        });
        while !ready.load(Ordering::Acquire) {
            spin_loop();
        }
        let started = Instant::now();
        (1..=TRIPS).for_each(|i| trip(&mut state, i));
        started.elapsed().as_nanos() as f64 / (2 * TRIPS) as f64
    })
}

#[repr(align(128))]
struct Line(AtomicU64);

fn bare_word() -> f64 {
    let (there, back) = (Line(AtomicU64::new(0)), Line(AtomicU64::new(0)));
    let wait = |word: &Line, value| {
        while word.0.load(Ordering::Acquire) != value {
            spin_loop();
        }
    };
    let echo = |i| {
        wait(&there, i);
        back.0.store(i, Ordering::Release);
    };
    one_way(echo, (), |(), i| {
        there.0.store(i, Ordering::Release);
        wait(&back, i);
    })
}

type Ends = (
    RingProducer<HeapWords, PAYLOAD_WORDS>,
    RingConsumer<HeapWords, PAYLOAD_WORDS>,
);

fn heap_ring() -> Ends {
    let geometry = RingGeometry {
        cursor_word: 0,
        first_slot_word: 32,
        capacity: CAPACITY,
    };
    let words = HeapWords::new(32 + usize::try_from(CAPACITY).unwrap() * (1 + PAYLOAD_WORDS));
    let producer = RingProducer::new(words.clone(), geometry).unwrap();
    (
        producer,
        RingConsumer::new(words, geometry, Start::First).unwrap(),
    )
}

/// The algorithm alone: `step` until the record is there.
fn ring_steps() -> f64 {
    let ((mut there, mut arriving), (mut back, mut returning)) = (heap_ring(), heap_ring());
    let wait = |consumer: &mut RingConsumer<HeapWords, PAYLOAD_WORDS>| {
        let mut payload = [0; PAYLOAD_WORDS];
        while !matches!(consumer.step(&mut payload), Ok(Step::Record(_))) {
            spin_loop();
        }
        payload
    };
    let echo = move |_| {
        let payload = wait(&mut arriving);
        back.publish(&payload);
    };
    let payload = quote().encode();
    one_way(echo, (), move |(), _| {
        there.publish(&payload);
        black_box(wait(&mut returning));
    })
}

/// What a user's process does: `poll_into` on shared memory, epoch and liveness checks included.
fn ring_polls() -> f64 {
    let ((mut there, mut arriving), (mut back, mut returning)) = (shared_ring("there"), shared_ring("back"));
    let wait = |reader: &mut RingReader| {
        let mut row = [0; ROW_BYTES];
        while reader.poll_into(&mut row).unwrap().records == 0 {
            spin_loop();
        }
    };
    let payload = quote().encode();
    let echo = move |_| {
        wait(&mut arriving);
        back.publish_words(&payload);
    };
    one_way(echo, (), move |(), _| {
        there.publish_words(&payload);
        wait(&mut returning);
    })
}

fn across(_: &mut Criterion) {
    let mut measured = [
        ("anchor: bare word", vec![]),
        ("ring, step", vec![]),
        ("ring, poll_into", vec![]),
    ];
    for _ in 0..BATCHES {
        for ((_, batches), measure) in measured.iter_mut().zip([bare_word, ring_steps, ring_polls]) {
            batches.push(measure());
        }
    }
    let mut anchor = None;
    for (name, batches) in &mut measured {
        batches.sort_by(f64::total_cmp);
        let (min, median) = (batches[0], batches[BATCHES / 2]);
        let (anchor_min, anchor_median) = *anchor.get_or_insert((min, median));
        println!(
            "one way, {name:<18} min {min:7.1} ns ({:.2}x)   median {median:7.1} ns ({:.2}x)",
            min / anchor_min,
            median / anchor_median
        );
    }
}

criterion_group!(benches, writer_cost, reader_cost, across);
criterion_main!(benches);
