//! Words of a venue that this build does not know: nothing is decided by them, and somebody should hear of it.

use std::sync::atomic::{AtomicU32, Ordering};

use tracing::warn;

/// The field of the log that holds the word: whoever looks for them finds them by it.
pub const UNKNOWN_WORD: &str = "unknown_word";

/// Words told in a life of the process: a venue that changes may send them by the thousand.
const TOLD_MAX: u32 = 1_000;

/// Longest word that is told, characters.
const WORD_CHARS_MAX: usize = 64;

static TOLD: AtomicU32 = AtomicU32::new(0);

/// Tells of a word: `what` is what it should have named.
#[cold]
pub(crate) fn unknown_word(what: &'static str, word: &str) {
    if TOLD.fetch_add(1, Ordering::Relaxed) >= TOLD_MAX {
        TOLD.store(TOLD_MAX, Ordering::Relaxed);
        return;
    }
    let cut: String = word.chars().take(WORD_CHARS_MAX).collect();
    warn!(
        what,
        unknown_word = cut,
        "a word of the venue that this build does not know"
    );
}
