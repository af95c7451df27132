use proptest::prelude::*;

use super::{RingConsumer, RingFault, RingGeometry, RingProducer, Start, Step, complete};
use crate::atomics::{HeapWords, Ordering};

const P: usize = 3;
const FIRST: usize = 1;

fn ring(capacity: u64) -> (HeapWords, RingGeometry) {
    let words = HeapWords::new(FIRST + usize::try_from(capacity).unwrap() * (P + 1));
    (
        words,
        RingGeometry {
            cursor_word: 0,
            first_slot_word: FIRST,
            capacity,
        },
    )
}

fn ends(capacity: u64, start: Start) -> (HeapWords, RingProducer<HeapWords, P>, RingConsumer<HeapWords, P>) {
    let (words, geometry) = ring(capacity);
    let producer = RingProducer::new(words.clone(), geometry).unwrap();
    let consumer = RingConsumer::new(words.clone(), geometry, start).unwrap();
    (words, producer, consumer)
}

fn payload(index: u64) -> [u64; P] {
    [index, !index, index.wrapping_mul(0x9e37_79b9_7f4a_7c15)]
}

#[test]
fn a_record_comes_out_as_it_went_in() {
    let (_words, mut producer, mut consumer) = ends(4, Start::First);
    let mut out = [0; P];
    assert_eq!(consumer.step(&mut out), Ok(Step::Empty));
    assert_eq!(producer.publish(&payload(0)), 0);
    assert_eq!(consumer.step(&mut out), Ok(Step::Record(0)));
    assert_eq!(out, payload(0));
    assert_eq!(consumer.step(&mut out), Ok(Step::Empty));
}

#[test]
fn a_lapped_reader_learns_exactly_what_it_missed() {
    let (_words, mut producer, mut consumer) = ends(8, Start::First);
    for index in 0..20 {
        producer.publish(&payload(index));
    }
    let mut out = [0; P];
    // 20 written, 8 slots, one slot of margin: records 13..20 are left.
    assert_eq!(consumer.step(&mut out), Ok(Step::Lapped { missed: 13 }));
    for index in 13..20 {
        assert_eq!(consumer.step(&mut out), Ok(Step::Record(index)));
        assert_eq!(out, payload(index));
    }
    assert_eq!(consumer.step(&mut out), Ok(Step::Empty));
}

#[test]
fn a_full_ring_is_still_whole() {
    let (_words, mut producer, mut consumer) = ends(8, Start::First);
    for index in 0..8 {
        producer.publish(&payload(index));
    }
    let mut out = [0; P];
    for index in 0..8 {
        assert_eq!(consumer.step(&mut out), Ok(Step::Record(index)));
    }
}

#[test]
fn late_readers_start_where_they_ask() {
    let (words, mut producer, _) = ends(8, Start::First);
    let geometry = ring(8).1;
    for index in 0..20 {
        producer.publish(&payload(index));
    }
    let position = |start| {
        RingConsumer::<_, P>::new(words.clone(), geometry, start)
            .unwrap()
            .position()
    };
    assert_eq!(position(Start::Oldest), 13);
    assert_eq!(position(Start::Newest), 20);
    assert_eq!(position(Start::First), 0);
}

#[test]
fn a_writer_that_died_while_writing_leaves_nothing_to_read() {
    let (words, mut producer, mut consumer) = ends(4, Start::First);
    let mut out = [0; P];
    for index in 0..5 {
        producer.publish(&payload(index));
        assert_eq!(consumer.step(&mut out), Ok(Step::Record(index)));
    }
    // Record 5 begun (slot 1), two payload words in, then the process is gone.
    let slot = FIRST + (P + 1);
    words.word(slot).store(complete(5) - 1, Ordering::Relaxed);
    words.word(slot + 1).store(5, Ordering::Relaxed);
    for _ in 0..3 {
        assert_eq!(consumer.step(&mut out), Ok(Step::Empty));
    }
    assert_eq!(consumer.position(), 5);
}

#[test]
fn nonsense_in_a_slot_is_a_fault_and_does_not_move_the_reader() {
    for found in [1, 3, 5, 7, 9] {
        let (words, _producer, mut consumer) = ends(8, Start::First);
        words.word(FIRST).store(found, Ordering::Relaxed);
        let fault = consumer.step(&mut [0; P]);
        match found {
            1 => assert_eq!(
                fault,
                Ok(Step::Empty),
                "the odd sequence of a record being written"
            ),
            _ => assert_eq!(fault, Err(RingFault::Cursor { index: 0, cursor: 0 })),
        }
        assert_eq!(consumer.position(), 0);
    }
    let (words, mut producer, mut consumer) = ends(2, Start::Oldest);
    for index in 0..4 {
        producer.publish(&payload(index));
        assert_eq!(consumer.step(&mut [0; P]), Ok(Step::Record(index)));
    }
    words.word(FIRST).store(2, Ordering::Relaxed);
    assert_eq!(
        consumer.step(&mut [0; P]),
        Err(RingFault::Sequence { index: 4, found: 2 })
    );
}

#[test]
fn a_cursor_out_of_range_is_refused() {
    let (words, geometry) = ring(4);
    words.word(0).store(u64::MAX, Ordering::Relaxed);
    let consumer = RingConsumer::<_, P>::new(words, geometry, Start::Newest);
    assert_eq!(
        consumer.err(),
        Some(RingFault::Cursor {
            index: 0,
            cursor: u64::MAX
        })
    );
}

#[test]
fn geometry_must_fit() {
    let (words, geometry) = ring(4);
    for capacity in [0, 3, 8, 1 << 63] {
        let geometry = RingGeometry { capacity, ..geometry };
        assert!(
            RingProducer::<_, P>::new(words.clone(), geometry).is_err(),
            "{capacity}"
        );
        assert!(
            RingConsumer::<_, P>::new(words.clone(), geometry, Start::First).is_err(),
            "{capacity}"
        );
    }
}

proptest! {
    /// Whatever the interleaving of writes and reads: received + missed = position, and nothing received is wrong.
    #[test]
    fn every_record_is_received_or_counted(
        log_capacity in 0u32..6,
        turns in proptest::collection::vec((0u64..40, 0usize..40), 1..60),
    ) {
        let (_words, mut producer, mut consumer) = ends(1 << log_capacity, Start::First);
        let (mut received, mut missed) = (0, 0);
        let mut out = [0; P];
        for (writes, reads) in turns {
            for _ in 0..writes {
                producer.publish(&payload(producer.published()));
            }
            for _ in 0..reads {
                match consumer.step(&mut out).unwrap() {
                    Step::Record(index) => {
                        prop_assert_eq!(out, payload(index));
                        received += 1;
                    }
                    Step::Lapped { missed: lost } => missed += lost,
                    Step::Empty => prop_assert_eq!(consumer.position(), producer.published()),
                }
                prop_assert_eq!(received + missed, consumer.position());
            }
        }
    }

    /// Any bytes in slots and cursor: a bounded answer, no panic, and never a step backwards.
    #[test]
    fn a_hostile_writer_gets_an_answer_not_a_panic(
        junk in proptest::collection::vec(any::<u64>(), 1 + 4 * (P + 1)),
        small in any::<bool>(),
        start in prop_oneof![Just(Start::Oldest), Just(Start::Newest), Just(Start::First)],
    ) {
        let (words, geometry) = ring(4);
        for (i, value) in junk.iter().enumerate() {
            let value = if small { value % 24 } else { *value };
            words.word(i).store(value, Ordering::Relaxed);
        }
        if let Ok(mut consumer) = RingConsumer::<_, P>::new(words, geometry, start) {
            for _ in 0..16 {
                let before = consumer.position();
                let step = consumer.step(&mut [0; P]);
                let moved = consumer.position().checked_sub(before);
                prop_assert!(moved.is_some());
                prop_assert!(step.is_ok() || moved == Some(0));
            }
        }
    }
}
