//! The rings in the project's table: what publishing costs the writer, beside a time-stamp read; one way from thread to
//! thread, beside half a round trip of one bare atomic word. Every round measures all of them.
//!
//! One way needs two cores that nobody else wants: on a busy machine both figures are the scheduler's.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on may panic")]

mod fixtures;
#[path = "../../../benches/rows.rs"]
mod rows;

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use fixtures::{CAPACITY, quote, shared_ring, stamp};
use ipc::atomics::HeapWords;
use ipc::record::{PAYLOAD_WORDS, ROW_BYTES};
use ipc::ring_buffer::{RingConsumer, RingGeometry, RingProducer, RingReader, Start, Step};
use rows::{Figures, Row, Wanted, interleaved, nanos_each};

/// Round trips of one sample; few where it only has to run.
const TRIPS: u64 = 1_000;
const TRIPS_TO_RUN: u64 = 20;

/// Records of one sample of the writer.
const RECORDS: usize = 100_000;

/// Nanoseconds per one way, from round trips between this thread and an answering one.
fn one_way(trips: u64, mut echo: impl FnMut(u64) + Send, mut trip: impl FnMut(u64)) -> f64 {
    let ready = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            ready.store(true, Ordering::Release);
            (1..=trips).for_each(&mut echo);
        });
        while !ready.load(Ordering::Acquire) {
            spin_loop();
        }
        let started = Instant::now();
        (1..=trips).for_each(&mut trip);
        started.elapsed().as_nanos() as f64 / (2 * trips) as f64
    })
}

#[repr(align(128))]
struct Line(AtomicU64);

fn bare_word(trips: u64) -> f64 {
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
    one_way(trips, echo, |i| {
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
fn ring_steps(trips: u64) -> f64 {
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
    one_way(trips, echo, move |_| {
        there.publish(&payload);
        black_box(wait(&mut returning));
    })
}

/// What a user's process does: `poll_into` on shared memory, epoch and liveness checks included.
fn ring_polls(trips: u64) -> f64 {
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
    one_way(trips, echo, move |_| {
        there.publish_words(&payload);
        wait(&mut returning);
    })
}

fn publishing(wanted: Wanted) {
    let (mut writer, _reader) = shared_ring("market");
    let words = quote().encode();
    let mut publish = || {
        nanos_each(RECORDS, || {
            for _ in 0..RECORDS {
                writer.publish_words(black_box(&words));
            }
        })
    };
    let mut stamps = || {
        nanos_each(RECORDS, || {
            for _ in 0..RECORDS {
                black_box(stamp());
            }
        })
    };
    let [publish, stamps] = interleaved(wanted.rounds, &mut [&mut publish, &mut stamps]);
    Row {
        name: "ring_publish",
        unit: "ns per record",
        subject: ("ipc::RingWriter::publish_words", &publish),
        anchor: Some(("one time-stamp read", &stamps)),
        facts: &[],
    }
    .print(wanted);
}

fn across(wanted: Wanted) {
    let trips = if wanted.measured { TRIPS } else { TRIPS_TO_RUN };
    let [steps, polls, word] = interleaved(
        wanted.rounds,
        &mut [&mut || ring_steps(trips), &mut || ring_polls(trips), &mut || {
            bare_word(trips)
        }],
    );
    Row {
        name: "ring_one_way",
        unit: "ns per record",
        subject: ("ipc::RingConsumer::step, thread to thread", &steps),
        anchor: Some(("half a round trip of one atomic word", &word)),
        facts: &[("poll_into_p50_ns", Figures::of(&polls).p50.into())],
    }
    .print(wanted);
}

fn main() {
    let Some(wanted) = Wanted::read() else { return };
    publishing(wanted);
    across(wanted);
}
