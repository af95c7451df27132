//! Latest values: a table of entries, each under its own sequence lock.
//!
//! One writer overwrites entries in place; readers take a copy that is whole or none at all. For state (positions,
//! P&L, parameters) where only the newest value counts; for streams there is the [ring](crate::ring_buffer).
//!
//! ```text
//! entry:   sequence word, payload words, padding up to the stride
//! writer:  seq = odd (release); fence(release); payload (relaxed); seq = next even (release)
//! reader:  seq (relaxed), fence(acquire)  odd -> again; payload (relaxed); fence(acquire); seq unchanged? -> whole
//! version: seq / 2, the number of writes; 0 = never written
//! ```

#[cfg(not(loom))]
mod shared;

#[cfg(not(loom))]
pub use shared::{TableReader, TableWriter};

use thiserror::Error;

use crate::atomics::{Access, AtomicU64, Ordering, Words, WritableWords, fence, load_acquire};

/// Attempts before a reader gives up on an entry that its writer keeps rewriting, or left half written.
pub const READ_ATTEMPTS: usize = 64;

/// Where a table lies inside its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableGeometry {
    /// First word of entry 0.
    pub first_entry_word: usize,
    /// Words from one entry to the next, its sequence word included.
    pub entry_words: usize,
    /// Number of entries.
    pub capacity: usize,
}

impl TableGeometry {
    fn fits(&self, words: usize) -> bool {
        let entries = self.entry_words.checked_mul(self.capacity);
        let end = entries.and_then(|n| n.checked_add(self.first_entry_word));
        self.entry_words >= 2 && self.capacity > 0 && end.is_some_and(|end| end <= words)
    }

    fn checked<W: Words>(self, words: &W) -> Result<Self, SeqlockError> {
        if self.fits(words.count()) {
            Ok(self)
        } else {
            Err(SeqlockError::Geometry {
                entries: self.capacity,
                words: words.count(),
            })
        }
    }

    /// The entry's words, when there is such an entry and a payload of `len` words fits it.
    #[inline]
    fn entry<'a, W: Words>(
        &self,
        words: &'a W,
        index: usize,
        len: usize,
    ) -> Result<&'a [AtomicU64], SeqlockError> {
        if index >= self.capacity {
            return Err(SeqlockError::Index {
                index,
                entries: self.capacity,
            });
        }
        if len >= self.entry_words {
            return Err(SeqlockError::Length {
                len,
                room: self.entry_words - 1,
            });
        }
        let start = self.first_entry_word + index * self.entry_words;
        Ok(words.span(start, len + 1, Access::granted()))
    }
}

/// Why an entry was not read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SeqlockError {
    /// The geometry does not fit the memory.
    #[error("a table of {entries} entries does not fit its {words} words")]
    Geometry {
        /// Entries asked for.
        entries: usize,
        /// Words there are.
        words: usize,
    },
    /// There is no such entry.
    #[error("entry {index} is not in this table: its entries are 0 to {}", entries.saturating_sub(1))]
    Index {
        /// The index asked for.
        index: usize,
        /// Number of entries.
        entries: usize,
    },
    /// The payload does not fit an entry.
    #[error("a payload of {len} words does not fit an entry of {room}")]
    Length {
        /// Words offered or asked for.
        len: usize,
        /// Words an entry holds.
        room: usize,
    },
    /// No whole copy in [`READ_ATTEMPTS`]: the writer is writing without pause, or died while writing.
    #[error(
        "entry {index} was being written at each of {READ_ATTEMPTS} attempts: read again, or see if its writer is alive"
    )]
    Unsettled {
        /// The entry.
        index: usize,
    },
}

/// The writing end of a table; there must be one at a time.
#[derive(Debug)]
pub struct SeqlockWriter<W> {
    words: W,
    geometry: TableGeometry,
}

impl<W: WritableWords> SeqlockWriter<W> {
    /// Over words that are all zero, or that an earlier writer left (even in the middle of a write).
    ///
    /// # Errors
    /// [`SeqlockError::Geometry`].
    pub fn new(words: W, geometry: TableGeometry) -> Result<Self, SeqlockError> {
        let geometry = geometry.checked(&words)?;
        Ok(Self { words, geometry })
    }

    /// Replaces an entry's first `payload.len()` words and returns its new version. Wait-free.
    ///
    /// # Errors
    /// [`SeqlockError::Index`], [`SeqlockError::Length`]: nothing was written.
    #[inline]
    pub fn write(&mut self, index: usize, payload: &[u64]) -> Result<u64, SeqlockError> {
        let entry = self.geometry.entry(&self.words, index, payload.len())?;
        Ok(replace(entry, 0, payload))
    }

    /// Replaces an entry's words from `first` on and leaves the others as they are; readers see both or neither.
    /// Returns the entry's new version. Wait-free.
    ///
    /// # Errors
    /// As [`write`](Self::write), and [`SeqlockError::Unsettled`] for an entry that an earlier writer left half
    /// written: only a whole write makes that readable again.
    #[inline]
    pub fn write_part(&mut self, index: usize, first: usize, payload: &[u64]) -> Result<u64, SeqlockError> {
        let len = first.saturating_add(payload.len());
        let entry = self.geometry.entry(&self.words, index, len)?;
        if entry[0].load(Ordering::Relaxed) % 2 == 1 {
            return Err(SeqlockError::Unsettled { index });
        }
        Ok(replace(entry, first, payload))
    }
}

/// Stores `payload` into an entry's words behind its sequence, from word `first` of them on; the new version.
#[inline]
fn replace(entry: &[AtomicU64], first: usize, payload: &[u64]) -> u64 {
    // The next odd number: a predecessor that died while writing left an odd one, which stays unreadable.
    let writing = entry[0].load(Ordering::Relaxed).wrapping_add(1) | 1;
    entry[0].store(writing, Ordering::Release);
    fence(Ordering::Release);
    for (cell, word) in entry[1 + first..].iter().zip(payload) {
        cell.store(*word, Ordering::Relaxed);
    }
    let settled = writing.wrapping_add(1);
    entry[0].store(settled, Ordering::Release);
    settled / 2
}

/// A reading end of a table.
#[derive(Debug)]
pub struct SeqlockReader<W> {
    words: W,
    geometry: TableGeometry,
}

impl<W: Words> SeqlockReader<W> {
    /// Over any words; what they hold is believed only as far as the sequence proves it.
    ///
    /// # Errors
    /// [`SeqlockError::Geometry`].
    pub fn new(words: W, geometry: TableGeometry) -> Result<Self, SeqlockError> {
        let geometry = geometry.checked(&words)?;
        Ok(Self { words, geometry })
    }

    /// The entry's sequence word alone: cheap to watch for a change, proves nothing.
    ///
    /// # Errors
    /// [`SeqlockError::Index`].
    #[inline]
    pub fn sequence(&self, index: usize) -> Result<u64, SeqlockError> {
        Ok(load_acquire(&self.geometry.entry(&self.words, index, 0)?[0]))
    }

    /// Copies an entry's first `payload.len()` words and returns its sequence; 0 means never written.
    ///
    /// # Errors
    /// [`SeqlockError::Index`], [`SeqlockError::Length`], [`SeqlockError::Unsettled`]; `payload` then holds nothing
    /// of use.
    pub fn read(&self, index: usize, payload: &mut [u64]) -> Result<u64, SeqlockError> {
        for _ in 0..READ_ATTEMPTS {
            if let Some(sequence) = self.attempt(index, payload)? {
                return Ok(sequence);
            }
            std::hint::spin_loop();
        }
        Err(SeqlockError::Unsettled { index })
    }

    /// One attempt of [`read`](Self::read); `None` when the entry was being written.
    ///
    /// # Errors
    /// [`SeqlockError::Index`], [`SeqlockError::Length`].
    #[inline]
    pub fn attempt(&self, index: usize, payload: &mut [u64]) -> Result<Option<u64>, SeqlockError> {
        let entry = self.geometry.entry(&self.words, index, payload.len())?;
        let before = load_acquire(&entry[0]);
        if before % 2 == 1 {
            return Ok(None);
        }
        for (word, cell) in payload.iter_mut().zip(&entry[1..]) {
            *word = cell.load(Ordering::Relaxed);
        }
        fence(Ordering::Acquire);
        let after = entry[0].load(Ordering::Relaxed);
        Ok((after == before).then_some(before))
    }

    /// Number of entries.
    pub const fn capacity(&self) -> usize {
        self.geometry.capacity
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
