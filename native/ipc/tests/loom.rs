//! Models of the ring, the table and the flags: every interleaving, every weakly ordered outcome, on small sizes.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p ipc --release --test loom
//! ```
//!
//! The models that end in `is_caught` run a writer with one step left out and must fail: they show that the others
//! would notice.
#![cfg(loom)]
#![allow(
    clippy::unwrap_used,
    reason = "clippy sees helpers of integration tests as ordinary code"
)]

use ipc::atomic_flags::{AtomicFlags, StopFlags};
use ipc::atomics::{AtomicU64, HeapWords, Ordering, fence};
use ipc::ring_buffer::{RingConsumer, RingGeometry, RingProducer, Start, Step};
use ipc::seqlock::{SeqlockReader, SeqlockWriter, TableGeometry};
use loom::thread;

/// Most preemptions explored per run where all of them would take hours; loom's authors find two or three enough for
/// practically every defect.
const PREEMPTIONS: usize = 3;

/// Explores all interleavings, or those with at most `bound` preemptions.
fn explore(bound: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound;
    builder.check(model);
}

/// Payload words of the model: two are enough to be torn.
const P: usize = 2;

fn ring(capacity: u64) -> (HeapWords, RingGeometry) {
    let slots = usize::try_from(capacity).unwrap();
    (
        HeapWords::new(1 + slots * (P + 1)),
        RingGeometry {
            cursor_word: 0,
            first_slot_word: 1,
            capacity,
        },
    )
}

fn payload(index: u64) -> [u64; P] {
    [10 + index, 20 + index]
}

/// Takes `steps` steps; every record must be whole, in order, and counted, and no step may be a fault.
fn read(mut consumer: RingConsumer<HeapWords, P>, steps: usize) -> RingConsumer<HeapWords, P> {
    let first = consumer.position();
    let (mut received, mut missed) = (0, 0);
    let mut out = [0; P];
    for _ in 0..steps {
        let expected = consumer.position();
        match consumer.step(&mut out).unwrap() {
            Step::Record(index) => {
                assert_eq!(index, expected);
                assert_eq!(out, payload(index), "torn");
                received += 1;
            }
            Step::Lapped { missed: lost } => {
                assert!(lost > 0);
                missed += lost;
            }
            Step::Empty => thread::yield_now(),
        }
        assert_eq!(first + received + missed, consumer.position());
    }
    consumer
}

fn ring_model(bound: Option<usize>, capacity: u64, records: u64, steps: usize, start: Start) {
    explore(bound, move || {
        let (words, geometry) = ring(capacity);
        let mut producer = RingProducer::<_, P>::new(words.clone(), geometry).unwrap();
        let writer = thread::spawn(move || {
            for index in 0..records {
                producer.publish(&payload(index));
            }
        });
        let consumer = read(RingConsumer::new(words, geometry, start).unwrap(), steps);
        writer.join().unwrap();
        // The writer is done: the rest is there, and the reader arrives at the end.
        let consumer = read(consumer, usize::try_from(records).unwrap() + 1);
        assert_eq!(consumer.position(), records);
    });
}

#[test]
fn a_reader_that_keeps_up_gets_whole_records() {
    ring_model(None, 2, 2, 2, Start::First);
}

#[test]
fn a_ring_of_one_slot_is_whole_under_overwriting() {
    ring_model(None, 1, 2, 1, Start::First);
    ring_model(Some(PREEMPTIONS), 1, 3, 3, Start::First);
}

#[test]
fn a_reader_that_is_lapped_gets_whole_records_and_an_exact_count() {
    ring_model(Some(PREEMPTIONS), 2, 4, 3, Start::First);
}

#[test]
fn readers_that_join_late_meet_no_fault() {
    ring_model(Some(PREEMPTIONS), 2, 3, 2, Start::Oldest);
    ring_model(Some(PREEMPTIONS), 2, 3, 2, Start::Newest);
}

#[test]
fn two_readers_do_not_disturb_each_other() {
    explore(Some(PREEMPTIONS), || {
        let (words, geometry) = ring(2);
        let mut producer = RingProducer::<_, P>::new(words.clone(), geometry).unwrap();
        let other = RingConsumer::new(words.clone(), geometry, Start::First).unwrap();
        let reader = thread::spawn(move || drop(read(other, 1)));
        let writer = thread::spawn(move || {
            producer.publish(&payload(0));
        });
        drop(read(RingConsumer::new(words, geometry, Start::First).unwrap(), 1));
        reader.join().unwrap();
        writer.join().unwrap();
    });
}

/// A writer of the ring's protocol with one step left out.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    NoOddSequence,
    NoFence,
    RelaxedEnd,
    LateCursor,
}

fn publish_faulty(words: &HeapWords, index: u64, capacity: u64, fault: Fault) {
    let slot = 1 + usize::try_from(index % capacity).unwrap() * (P + 1);
    let word = |at: usize| -> &AtomicU64 { words.word(at) };
    if fault != Fault::NoOddSequence {
        word(slot).store(
            2 * index + 1,
            if fault == Fault::LateCursor {
                Ordering::Relaxed
            } else {
                Ordering::Release
            },
        );
    }
    if fault != Fault::NoFence {
        fence(Ordering::Release);
    }
    for (i, value) in payload(index).into_iter().enumerate() {
        word(slot + 1 + i).store(value, Ordering::Relaxed);
    }
    let end = if fault == Fault::RelaxedEnd {
        Ordering::Relaxed
    } else {
        Ordering::Release
    };
    word(slot).store(2 * index + 2, end);
    word(0).store(
        index + 1,
        if fault == Fault::LateCursor {
            Ordering::Relaxed
        } else {
            Ordering::Release
        },
    );
}

fn faulty_model(fault: Fault) {
    explore(Some(PREEMPTIONS), move || {
        let (words, geometry) = ring(1);
        let shared = words.clone();
        let writer = thread::spawn(move || {
            for index in 0..2 {
                publish_faulty(&shared, index, 1, fault);
            }
        });
        drop(read(RingConsumer::new(words, geometry, Start::First).unwrap(), 2));
        writer.join().unwrap();
    });
}

#[test]
fn the_faulty_writer_without_a_fault_is_right() {
    faulty_model(Fault::None);
}

#[test]
#[should_panic(expected = "torn")]
fn a_writer_that_does_not_mark_the_slot_is_caught() {
    faulty_model(Fault::NoOddSequence);
}

#[test]
#[should_panic(expected = "torn")]
fn a_writer_without_its_fence_is_caught() {
    faulty_model(Fault::NoFence);
}

#[test]
#[should_panic(expected = "torn")]
fn a_writer_that_ends_relaxed_is_caught() {
    faulty_model(Fault::RelaxedEnd);
}

#[test]
#[should_panic(expected = "Cursor")]
fn a_writer_whose_cursor_may_lag_behind_the_sequence_is_caught() {
    faulty_model(Fault::LateCursor);
}

#[test]
fn table_entries_are_read_whole() {
    explore(None, || {
        let geometry = TableGeometry {
            first_entry_word: 0,
            entry_words: 3,
            capacity: 1,
        };
        let words = HeapWords::new(3);
        let mut writer = SeqlockWriter::new(words.clone(), geometry).unwrap();
        let reader = SeqlockReader::new(words, geometry).unwrap();
        let writing = thread::spawn(move || {
            for value in 1..=2 {
                assert_eq!(writer.write(0, &[value, 10 * value]), Ok(value));
            }
        });
        let mut last = 0;
        for _ in 0..2 {
            let mut out = [0; 2];
            match reader.attempt(0, &mut out).unwrap() {
                Some(sequence) => {
                    assert_eq!(out, [sequence / 2, 10 * (sequence / 2)], "torn");
                    assert!(sequence >= last);
                    last = sequence;
                }
                None => thread::yield_now(),
            }
        }
        writing.join().unwrap();
        let mut out = [0; 2];
        assert_eq!(reader.attempt(0, &mut out), Ok(Some(4)));
        assert_eq!(out, [2, 20]);
    });
}

#[test]
fn a_part_of_an_entry_is_read_with_the_rest_of_it() {
    explore(None, || {
        let geometry = TableGeometry {
            first_entry_word: 0,
            entry_words: 3,
            capacity: 1,
        };
        let words = HeapWords::new(3);
        let mut writer = SeqlockWriter::new(words.clone(), geometry).unwrap();
        let reader = SeqlockReader::new(words, geometry).unwrap();
        let writing = thread::spawn(move || {
            assert_eq!(writer.write_part(0, 0, &[1]), Ok(1));
            assert_eq!(writer.write_part(0, 1, &[2]), Ok(2));
        });
        let mut out = [0; 2];
        if let Some(sequence) = reader.attempt(0, &mut out).unwrap() {
            let whole = [[0, 0], [1, 0], [1, 2]][usize::try_from(sequence / 2).unwrap()];
            assert_eq!(out, whole, "torn");
        }
        writing.join().unwrap();
        assert_eq!(reader.attempt(0, &mut out), Ok(Some(4)));
        assert_eq!(out, [1, 2]);
    });
}

#[test]
fn a_successor_of_a_writer_that_died_is_read_whole() {
    explore(None, || {
        let geometry = TableGeometry {
            first_entry_word: 0,
            entry_words: 3,
            capacity: 1,
        };
        let words = HeapWords::new(3);
        // Died after its first payload word.
        words.word(0).store(5, Ordering::Relaxed);
        words.word(1).store(7, Ordering::Relaxed);
        let mut writer = SeqlockWriter::new(words.clone(), geometry).unwrap();
        let reader = SeqlockReader::new(words, geometry).unwrap();
        // The reader is the spawned thread: the writer's own load of the sequence would hide the reader's from the
        // model checker, which remembers one access per atomic.
        let reading = thread::spawn(move || {
            let mut out = [0; 2];
            if reader.attempt(0, &mut out).unwrap().is_some() {
                assert_eq!(out, [1, 10], "torn");
            }
            reader
        });
        assert_eq!(writer.write(0, &[1, 10]), Ok(4));
        let reader = reading.join().unwrap();
        let mut out = [0; 2];
        assert_eq!(reader.attempt(0, &mut out), Ok(Some(8)));
        assert_eq!(out, [1, 10]);
    });
}

#[test]
fn flags_raised_at_once_are_all_seen_with_what_came_before_them() {
    explore(None, || {
        let words = HeapWords::new(2);
        let flags = || AtomicFlags::new(words.clone(), 0, 1, 1).unwrap();
        let (raising, watching, reason) = (flags(), flags(), words.clone());
        let other = thread::spawn(move || {
            reason.word(1).store(77, Ordering::Relaxed);
            raising.raise(0, StopFlags::KILLED).unwrap();
        });
        watching.raise(0, StopFlags::PAUSED).unwrap();
        if watching.get(0).unwrap().contains(StopFlags::KILLED) {
            assert_eq!(words.word(1).load(Ordering::Relaxed), 77);
        }
        other.join().unwrap();
        assert_eq!(watching.get(0), Ok(StopFlags::PAUSED | StopFlags::KILLED));
    });
}
