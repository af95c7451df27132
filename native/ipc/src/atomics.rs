//! The atomics everything here is built on, and the one door to shared words.
//!
//! Under `--cfg loom` the same algorithms run on the model checker's atomics, over heap memory.

use std::sync::Arc;

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Lets the algorithms of this crate, and nobody else, take shared words in hand.
///
/// A read-only mapping also yields `&[AtomicU64]`, and a store through it would be a fault; because only this crate
/// can make an `Access`, that stays a matter of reading this crate.
#[derive(Debug)]
pub struct Access(());

impl Access {
    pub(crate) const fn granted() -> Self {
        Self(())
    }
}

/// Memory made of 64-bit atomic words, possibly shared with other processes.
///
/// All access is per word: two processes never hold a Rust reference to anything but an atomic in it, so a peer's
/// writes are races on atomics (defined) and never on plain memory (undefined).
pub trait Words {
    /// How many words there are.
    fn count(&self) -> usize;

    /// `count` words from `first` on.
    ///
    /// # Panics
    /// When the span does not lie inside: callers compute it from private, validated geometry.
    fn span(&self, first: usize, count: usize, access: Access) -> &[AtomicU64];
}

/// [`Words`] that may be stored to.
pub trait WritableWords: Words {}

/// Words on the heap, for tests, for the model checker and for use between threads of one process.
#[derive(Debug, Clone)]
pub struct HeapWords(Arc<[AtomicU64]>);

impl HeapWords {
    /// `count` words of zero.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self((0..count).map(|_| AtomicU64::new(0)).collect())
    }

    /// One word.
    ///
    /// # Panics
    /// When `index` is not below [`Words::count`].
    #[must_use]
    pub fn word(&self, index: usize) -> &AtomicU64 {
        &self.0[index]
    }
}

impl Words for HeapWords {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn span(&self, first: usize, count: usize, _access: Access) -> &[AtomicU64] {
        &self.0[first..][..count]
    }
}

impl WritableWords for HeapWords {}

/// Loads a word so that everything its writer released before it is visible after.
///
/// A relaxed load and a fence, not an acquire load: on a page mapped read-only Rust guarantees relaxed loads only.
#[inline]
pub(crate) fn load_acquire(word: &AtomicU64) -> u64 {
    let value = word.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    value
}
