use std::sync::atomic::{AtomicBool, Ordering as StdOrdering};

use proptest::prelude::*;

use super::{SeqlockError, SeqlockReader, SeqlockWriter, TableGeometry};
use crate::atomics::{HeapWords, Ordering};

const GEOMETRY: TableGeometry = TableGeometry {
    first_entry_word: 2,
    entry_words: 5,
    capacity: 3,
};

fn ends() -> (HeapWords, SeqlockWriter<HeapWords>, SeqlockReader<HeapWords>) {
    let words = HeapWords::new(2 + 5 * 3);
    let writer = SeqlockWriter::new(words.clone(), GEOMETRY).unwrap();
    let reader = SeqlockReader::new(words.clone(), GEOMETRY).unwrap();
    (words, writer, reader)
}

#[test]
fn the_latest_value_is_read_and_neighbours_are_untouched() {
    let (_words, mut writer, reader) = ends();
    let mut out = [9; 4];
    assert_eq!(reader.read(1, &mut out), Ok(0));
    writer.write(1, &[1, 2, 3, 4]).unwrap();
    writer.write(1, &[5, 6, 7, 8]).unwrap();
    let sequence = reader.read(1, &mut out).unwrap();
    assert_eq!((out, sequence), ([5, 6, 7, 8], reader.sequence(1).unwrap()));
    assert_eq!(reader.read(0, &mut out), Ok(0));
    assert_eq!(reader.read(2, &mut out), Ok(0));
}

#[test]
fn what_does_not_fit_is_refused() {
    let (words, mut writer, reader) = ends();
    assert_eq!(
        writer.write(3, &[0]),
        Err(SeqlockError::Index { index: 3, entries: 3 })
    );
    assert_eq!(
        writer.write(0, &[0; 5]),
        Err(SeqlockError::Length { len: 5, room: 4 })
    );
    assert_eq!(
        reader.read(3, &mut [0]),
        Err(SeqlockError::Index { index: 3, entries: 3 })
    );
    let large = TableGeometry {
        capacity: 4,
        ..GEOMETRY
    };
    assert!(SeqlockReader::new(words, large).is_err());
}

#[test]
fn an_entry_left_half_written_is_unreadable_until_the_next_writer_settles_it() {
    let (words, mut writer, reader) = ends();
    writer.write(0, &[1, 1, 1, 1]).unwrap();
    let before = reader.sequence(0).unwrap();
    words.word(2).store(before + 1, Ordering::Relaxed);
    words.word(3).store(2, Ordering::Relaxed);
    let mut out = [0; 4];
    assert_eq!(
        reader.read(0, &mut out),
        Err(SeqlockError::Unsettled { index: 0 })
    );
    let mut successor = SeqlockWriter::new(words, GEOMETRY).unwrap();
    successor.write(0, &[3, 3, 3, 3]).unwrap();
    assert!(reader.read(0, &mut out).unwrap() > before);
    assert_eq!(out, [3, 3, 3, 3]);
}

#[test]
fn a_part_replaces_its_words_and_no_others() {
    let (words, mut writer, reader) = ends();
    writer.write(0, &[1, 2, 3, 4]).unwrap();
    assert_eq!(writer.write_part(0, 2, &[7]), Ok(2));
    let mut out = [0; 4];
    reader.read(0, &mut out).unwrap();
    assert_eq!(out, [1, 2, 7, 4]);
    for first in [4, usize::MAX] {
        let refused = writer.write_part(0, first, &[0]);
        assert!(
            matches!(refused, Err(SeqlockError::Length { room: 4, .. })),
            "{first}"
        );
    }
    // What a dead writer left of the others would pass for whole.
    words.word(2).store(9, Ordering::Relaxed);
    assert_eq!(
        writer.write_part(0, 2, &[8]),
        Err(SeqlockError::Unsettled { index: 0 })
    );
    assert!(reader.read(0, &mut out).is_err());
}

#[test]
fn concurrent_reads_are_whole() {
    let (_words, mut writer, reader) = ends();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut out = [0; 4];
            let mut last = 0;
            while !done.load(StdOrdering::Relaxed) {
                if let Some(sequence) = reader.attempt(0, &mut out).unwrap() {
                    assert!(out.iter().all(|word| *word == out[0]), "torn: {out:?}");
                    assert!(sequence >= last);
                    last = sequence;
                }
            }
        });
        for value in 1..200_000 {
            writer.write(0, &[value; 4]).unwrap();
        }
        done.store(true, StdOrdering::Relaxed);
    });
}

proptest! {
    #[test]
    fn versions_grow_from_any_sequence(left in 0u64..u64::MAX - 8, value in any::<u64>()) {
        let (words, mut writer, reader) = ends();
        words.word(2).store(left, Ordering::Relaxed);
        writer.write(0, &[value; 4]).unwrap();
        let mut out = [0; 4];
        let sequence = reader.read(0, &mut out).unwrap();
        prop_assert!(sequence > left && sequence % 2 == 0);
        prop_assert_eq!(out, [value; 4]);
    }
}
