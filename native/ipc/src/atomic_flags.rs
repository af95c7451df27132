//! Flags that any thread of the service may raise and any process of the user may watch: the stopping ladder.
//!
//! One word of bits per entry; entry 0 stands for the whole service, the others for whatever the service assigns
//! (slots). Raising is one atomic `or`: two threads that raise different rungs at once lose neither. Lowering is a
//! separate act, so that a latch stays a latch.

#[cfg(not(loom))]
mod shared;

#[cfg(not(loom))]
pub use shared::{FlagsReader, FlagsWriter};

use std::fmt;
use std::ops::BitOr;

use thiserror::Error;

use crate::atomics::{Access, AtomicU64, Ordering, Words, WritableWords, load_acquire};

/// A set of rungs of the stopping ladder.
///
/// ```
/// use ipc::atomic_flags::StopFlags;
/// let flags = StopFlags::PAUSED | StopFlags::REDUCE_ONLY;
/// assert!(flags.contains(StopFlags::PAUSED) && !flags.contains(StopFlags::KILLED));
/// assert_eq!(flags.to_string(), "paused|reduce-only");
/// assert!(flags.names().eq(["paused", "reduce-only"]));
/// assert_eq!(StopFlags::from_bits(1 << 40), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StopFlags(u64);

impl StopFlags {
    /// Nothing is stopped.
    pub const NONE: Self = Self(0);
    /// No new decisions.
    pub const PAUSED: Self = Self(1);
    /// Working orders are being canceled.
    pub const CANCELING: Self = Self(1 << 1);
    /// Only orders that reduce a position.
    pub const REDUCE_ONLY: Self = Self(1 << 2);
    /// The position is being closed.
    pub const FLATTENING: Self = Self(1 << 3);
    /// Nothing leaves; latched until a person re-arms it.
    pub const KILLED: Self = Self(1 << 4);

    const NAMES: [(Self, &'static str); 5] = [
        (Self::PAUSED, "paused"),
        (Self::CANCELING, "canceling"),
        (Self::REDUCE_ONLY, "reduce-only"),
        (Self::FLATTENING, "flattening"),
        (Self::KILLED, "killed"),
    ];
    const ALL: u64 = (1 << 5) - 1;

    /// From raw bits; `None` when a bit has no meaning.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits & !Self::ALL == 0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// The raw bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether every rung of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Names of the rungs in this set, in the ladder's order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let inside = move |(flag, name)| self.contains(flag).then_some(name);
        Self::NAMES.into_iter().filter_map(inside)
    }

    /// Whether no rung is in this set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for StopFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for StopFlags {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return out.write_str("none");
        }
        let mut separator = "";
        for name in self.names() {
            write!(out, "{separator}{name}")?;
            separator = "|";
        }
        Ok(())
    }
}

/// Why flags were not read or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FlagsError {
    /// There is no such entry.
    #[error("flag entry {index} does not exist: the entries are 0 (all) to {}", entries.saturating_sub(1))]
    Index {
        /// The index asked for.
        index: usize,
        /// Number of entries.
        entries: usize,
    },
    /// A bit without meaning is set: the memory was written by something else.
    #[error(
        "flag entry {index} holds {bits:#x}, which has bits that mean nothing: treat the scope as killed"
    )]
    Unknown {
        /// The entry.
        index: usize,
        /// Its bits.
        bits: u64,
    },
}

/// Words of flags, `stride` words apart so that entries do not share a cache line.
#[derive(Debug)]
pub struct AtomicFlags<W> {
    words: W,
    first_word: usize,
    stride: usize,
    entries: usize,
}

impl<W: Words> AtomicFlags<W> {
    /// `entries` entries from `first_word` on; `None` when they do not fit.
    pub fn new(words: W, first_word: usize, stride: usize, entries: usize) -> Option<Self> {
        let end = stride.checked_mul(entries)?.checked_add(first_word)?;
        (stride > 0 && entries > 0 && end <= words.count()).then_some(Self {
            words,
            first_word,
            stride,
            entries,
        })
    }

    /// An entry's flags. Everything its raiser did before raising is visible after.
    ///
    /// # Errors
    /// [`FlagsError`]; unknown bits are an error, never ignored.
    #[inline]
    pub fn get(&self, index: usize) -> Result<StopFlags, FlagsError> {
        let bits = load_acquire(self.word(index)?);
        StopFlags::from_bits(bits).ok_or(FlagsError::Unknown { index, bits })
    }

    /// Number of entries.
    pub const fn entries(&self) -> usize {
        self.entries
    }

    #[inline]
    fn word(&self, index: usize) -> Result<&AtomicU64, FlagsError> {
        if index >= self.entries {
            return Err(FlagsError::Index {
                index,
                entries: self.entries,
            });
        }
        Ok(&self
            .words
            .span(self.first_word + index * self.stride, 1, Access::granted())[0])
    }
}

impl<W: WritableWords> AtomicFlags<W> {
    /// Raises flags and returns those that stood before. Any thread may call it.
    ///
    /// # Errors
    /// [`FlagsError::Index`].
    pub fn raise(&self, index: usize, flags: StopFlags) -> Result<StopFlags, FlagsError> {
        Ok(StopFlags(
            self.word(index)?.fetch_or(flags.bits(), Ordering::AcqRel),
        ))
    }

    /// Lowers flags (re-arming) and returns those that stood before.
    ///
    /// # Errors
    /// [`FlagsError::Index`].
    pub fn lower(&self, index: usize, flags: StopFlags) -> Result<StopFlags, FlagsError> {
        Ok(StopFlags(
            self.word(index)?.fetch_and(!flags.bits(), Ordering::AcqRel),
        ))
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::{AtomicFlags, FlagsError, StopFlags};
    use crate::atomics::{HeapWords, Ordering};

    #[test]
    fn raising_adds_and_lowering_takes_only_what_it_names() {
        let flags = AtomicFlags::new(HeapWords::new(24), 8, 8, 2).unwrap();
        assert_eq!(flags.raise(1, StopFlags::PAUSED), Ok(StopFlags::NONE));
        assert_eq!(flags.raise(1, StopFlags::KILLED), Ok(StopFlags::PAUSED));
        assert_eq!(flags.get(1), Ok(StopFlags::PAUSED | StopFlags::KILLED));
        assert_eq!(flags.get(0), Ok(StopFlags::NONE));
        flags.lower(1, StopFlags::PAUSED).unwrap();
        assert_eq!(flags.get(1), Ok(StopFlags::KILLED));
    }

    #[test]
    fn entries_and_bits_are_checked() {
        let words = HeapWords::new(24);
        let flags = AtomicFlags::new(words.clone(), 8, 8, 2).unwrap();
        assert_eq!(flags.get(2), Err(FlagsError::Index { index: 2, entries: 2 }));
        words.word(16).store(1 << 63, Ordering::Relaxed);
        assert_eq!(
            flags.get(1),
            Err(FlagsError::Unknown {
                index: 1,
                bits: 1 << 63
            })
        );
        assert!(AtomicFlags::new(words, 8, 8, 3).is_none());
    }

    #[test]
    fn threads_that_raise_at_once_lose_nothing() {
        for _ in 0..200 {
            let flags = AtomicFlags::new(HeapWords::new(1), 0, 1, 1).unwrap();
            std::thread::scope(|scope| {
                for flag in [StopFlags::PAUSED, StopFlags::REDUCE_ONLY, StopFlags::KILLED] {
                    let flags = &flags;
                    scope.spawn(move || flags.raise(0, flag));
                }
            });
            let all = StopFlags::PAUSED | StopFlags::REDUCE_ONLY | StopFlags::KILLED;
            assert_eq!(flags.get(0), Ok(all));
        }
    }
}
