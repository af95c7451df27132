//! The broadcast ring: one writer that never waits, any number of readers that it does not know.
//!
//! The writer overwrites the oldest slot. A reader that falls a whole ring behind is told exactly how many records
//! it missed; it can slow nobody down. The algorithm is generic over the atomics and over the payload's length, so
//! that the model checker runs the very same code on a ring of two short slots.
//!
//! ```text
//! slot of index i:  slots[i mod capacity]
//! sequence word:    2i+1 while the writer fills it, 2i+2 when record i is complete, 0 before the first record
//! writer:           seq = 2i+1 (release); fence(release); payload (relaxed); seq = 2i+2 (release); cursor = i+1 (release)
//! reader of i:      seq (relaxed), fence(acquire)   below 2i+2 -> not yet; above -> lapped; equal -> go on
//!                   payload (relaxed); fence(acquire); seq (relaxed)       unchanged -> record i; else lapped
//! ```
//!
//! The odd store is a release store, one step stronger than the fence alone: a reader that meets a later sequence
//! then also sees the cursor that preceded it, which makes the count of missed records exact and any contradiction
//! between sequence and cursor a proof of a corrupt or hostile writer.

#[cfg(not(loom))]
mod shared;

#[cfg(not(loom))]
pub use crate::shared_memory::Reattached;
#[cfg(not(loom))]
pub use shared::{PollResult, RingReader, RingWriter};

use thiserror::Error;

use crate::atomics::{Access, AtomicU64, Ordering, Words, WritableWords, fence, load_acquire};

/// Record numbers stay below this, so that `2 * index + 2` never wraps: 146 years at 1 G records/s.
const MAX_INDEX: u64 = 1 << 62;

/// After being lapped a reader skips an extra `1 / LAP_MARGIN` of the ring, so that it is not lapped again at once.
const LAP_MARGIN: u64 = 8;

/// Where a ring lies inside its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingGeometry {
    /// Word that holds the number of complete records.
    pub cursor_word: usize,
    /// First word of slot 0.
    pub first_slot_word: usize,
    /// Number of slots, a power of two.
    pub capacity: u64,
}

impl RingGeometry {
    /// First word of the slot of `index`, in a ring whose slots are `slot_words` long.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the masked index is below a capacity that fits in memory"
    )]
    const fn slot_start(&self, index: u64, slot_words: usize) -> usize {
        self.first_slot_word + (index & (self.capacity - 1)) as usize * slot_words
    }

    fn fits(&self, words: usize, slot_words: usize) -> bool {
        let slots = usize::try_from(self.capacity)
            .ok()
            .and_then(|n| n.checked_mul(slot_words));
        let end = slots.and_then(|n| n.checked_add(self.first_slot_word));
        self.capacity.is_power_of_two() && self.cursor_word < words && end.is_some_and(|end| end <= words)
    }

    /// How far behind the cursor a reader that starts over begins.
    const fn reach(&self) -> u64 {
        let margin = self.capacity / LAP_MARGIN;
        self.capacity - if margin == 0 { 1 } else { margin }
    }
}

/// Sequence word of a complete record.
#[inline]
const fn complete(index: u64) -> u64 {
    2 * index + 2
}

/// What only a corrupt or hostile writer can produce. The reader stops; nothing it returned before is affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RingFault {
    /// The geometry does not fit the memory, or the capacity is not a power of two.
    #[error("a ring of {capacity} slots does not fit its {words} words, or {capacity} is not a power of two")]
    Geometry {
        /// Slots asked for.
        capacity: u64,
        /// Words there are.
        words: usize,
    },
    /// A slot's sequence fits neither its last record nor the next one.
    #[error("slot of record {index} carries sequence {found}, which no writer of this ring leaves there")]
    Sequence {
        /// The record looked for.
        index: u64,
        /// The sequence word found.
        found: u64,
    },
    /// The cursor contradicts the sequences, or passes the bound on record numbers.
    #[error("cursor {cursor} contradicts the sequence of the slot of record {index}")]
    Cursor {
        /// The record looked for.
        index: u64,
        /// The cursor found.
        cursor: u64,
    },
}

/// The writing end. `P` is the payload's length in words.
#[derive(Debug)]
pub struct RingProducer<W, const P: usize> {
    words: W,
    geometry: RingGeometry,
    next: u64,
}

impl<W: WritableWords, const P: usize> RingProducer<W, P> {
    const SLOT_WORDS: usize = P + 1;

    /// Over fresh words (all zero): a new writer always begins a new ring.
    ///
    /// # Errors
    /// [`RingFault::Geometry`].
    pub fn new(words: W, geometry: RingGeometry) -> Result<Self, RingFault> {
        if !geometry.fits(words.count(), Self::SLOT_WORDS) {
            return Err(RingFault::Geometry {
                capacity: geometry.capacity,
                words: words.count(),
            });
        }
        Ok(Self {
            words,
            geometry,
            next: 0,
        })
    }

    /// Writes the next record and returns its index. Wait-free: a fixed number of stores, whatever readers do.
    #[inline]
    pub fn publish(&mut self, payload: &[u64; P]) -> u64 {
        let index = self.next;
        let start = self.geometry.slot_start(index, Self::SLOT_WORDS);
        let slot = self.words.span(start, Self::SLOT_WORDS, Access::granted());
        slot[0].store(complete(index) - 1, Ordering::Release);
        fence(Ordering::Release);
        for (cell, word) in slot[1..].iter().zip(payload) {
            cell.store(*word, Ordering::Relaxed);
        }
        slot[0].store(complete(index), Ordering::Release);
        self.next = index + 1;
        self.cursor().store(self.next, Ordering::Release);
        index
    }

    /// Number of records written so far.
    pub const fn published(&self) -> u64 {
        self.next
    }

    #[inline]
    fn cursor(&self) -> &AtomicU64 {
        &self.words.span(self.geometry.cursor_word, 1, Access::granted())[0]
    }
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With what is still safely in the ring (7/8 of it): a late joiner sees the recent past.
    #[default]
    Oldest,
    /// With the next record to be written.
    Newest,
    /// With the ring's very first record; what was overwritten since counts as missed.
    First,
}

/// What one step of a reader found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The payload buffer holds the record of this index.
    Record(u64),
    /// The next record is not complete yet. Also the state a writer leaves that died while writing.
    Empty,
    /// The writer overtook the reader, which now stands after a gap of `missed` records.
    Lapped {
        /// How many records were lost; exact.
        missed: u64,
    },
}

/// The reading end. Keeps its position and the geometry in private memory and believes no index it reads.
#[derive(Debug)]
pub struct RingConsumer<W, const P: usize> {
    words: W,
    geometry: RingGeometry,
    position: u64,
}

impl<W: Words, const P: usize> RingConsumer<W, P> {
    const SLOT_WORDS: usize = P + 1;

    /// A reader that begins at `start`.
    ///
    /// # Errors
    /// [`RingFault::Geometry`]; [`RingFault::Cursor`] when the cursor is out of range.
    pub fn new(words: W, geometry: RingGeometry, start: Start) -> Result<Self, RingFault> {
        if !geometry.fits(words.count(), Self::SLOT_WORDS) {
            return Err(RingFault::Geometry {
                capacity: geometry.capacity,
                words: words.count(),
            });
        }
        let mut consumer = Self {
            words,
            geometry,
            position: 0,
        };
        let cursor = consumer.cursor();
        if cursor > MAX_INDEX {
            return Err(RingFault::Cursor { index: 0, cursor });
        }
        consumer.position = match start {
            Start::Oldest => cursor.saturating_sub(geometry.reach()),
            Start::Newest => cursor,
            Start::First => 0,
        };
        Ok(consumer)
    }

    /// Takes one step. Bounded: it never retries on its own.
    ///
    /// # Errors
    /// A [`RingFault`]; the position does not move, so the same fault is met again.
    #[inline]
    pub fn step(&mut self, payload: &mut [u64; P]) -> Result<Step, RingFault> {
        let index = self.position;
        let start = self.geometry.slot_start(index, Self::SLOT_WORDS);
        let slot = self.words.span(start, Self::SLOT_WORDS, Access::granted());
        let before = load_acquire(&slot[0]);
        if before != complete(index) {
            return self.unmatched(before);
        }
        for (word, cell) in payload.iter_mut().zip(&slot[1..]) {
            *word = cell.load(Ordering::Relaxed);
        }
        fence(Ordering::Acquire);
        let after = load_acquire(&slot[0]);
        if after != before {
            return self.unmatched(after);
        }
        self.position = index + 1;
        Ok(Step::Record(index))
    }

    /// The slot holds another record than the one wanted: an older one, a newer one, or nonsense.
    #[cold]
    fn unmatched(&mut self, found: u64) -> Result<Step, RingFault> {
        let index = self.position;
        let wanted = complete(index);
        if found > wanted {
            return self.lapped();
        }
        let previous = if index < self.geometry.capacity {
            0
        } else {
            complete(index - self.geometry.capacity)
        };
        if found == wanted - 1 || found == previous {
            Ok(Step::Empty)
        } else {
            Err(RingFault::Sequence { index, found })
        }
    }

    /// Jumps forward to what is safely in the ring. The caller has seen (acquired) a sequence beyond its record, so
    /// the cursor must be at least a whole ring ahead.
    fn lapped(&mut self) -> Result<Step, RingFault> {
        let index = self.position;
        let cursor = self.cursor();
        if cursor > MAX_INDEX || cursor < index + self.geometry.capacity {
            return Err(RingFault::Cursor { index, cursor });
        }
        self.position = cursor - self.geometry.reach();
        Ok(Step::Lapped {
            missed: self.position - index,
        })
    }

    /// Index of the next record this reader wants.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The writer's count of complete records, as it stands in memory: for diagnostics, never for addressing.
    pub fn cursor(&self) -> u64 {
        load_acquire(&self.words.span(self.geometry.cursor_word, 1, Access::granted())[0])
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
