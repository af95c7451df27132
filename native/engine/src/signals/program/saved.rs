//! What a runner remembers, as bytes: a stream goes on with them as if it had never stopped.
//!
//! One walk over the state both writes and reads it: each part shows its words to a visitor, which copies or replaces them.
//!
//! ```text
//! word 0      the program's fingerprint: its operations, columns and units, and the number of this form
//! word 1, 2   the number of the bar that comes next and whether there is one
//! word 3      bars since the stream began
//! word 4...   what each operation remembers, in the order of the operations
//! last word   of all before it: a sum that a changed bit changes (FNV-1a)
//! ```

use thiserror::Error;

use super::Runner;
use super::averages::{self, Averages};
use super::extremes::{ExtremeWindow, HighestWindow};
use super::op::State;
use super::order::OrderWindow;
use super::recursions::{Adaptive, Copies, Cusum, ParabolicStop, Regime};
use super::sums::SumWindow;

/// Number of this form: another order of words, or another meaning of an operation's state, takes the next.
const FORM: u32 = 3;

/// Why saved bytes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SavedError {
    /// Of another program, or of another version of this one.
    #[error("the saved state is of another set of features; begin a new stream")]
    OtherProgram,
    /// Cut off, too long, or damaged.
    #[error("the saved state is damaged: {0} bytes; begin a new stream")]
    Damaged(usize),
}

/// Shown each word of a state.
pub(super) trait Visitor {
    fn word(&mut self, word: &mut u64);

    fn float(&mut self, value: &mut f64) {
        let mut word = value.to_bits();
        self.word(&mut word);
        *value = f64::from_bits(word);
    }

    fn floats(&mut self, values: &mut [f64]) {
        for value in values {
            self.float(value);
        }
    }

    /// A place that is at most `most`.
    fn place(&mut self, place: &mut usize, most: usize);

    fn truth(&mut self, truth: &mut bool) {
        let mut place = usize::from(*truth);
        self.place(&mut place, 1);
        *truth = place == 1;
    }
}

/// Shows all that it remembers.
pub(super) trait Remembers {
    fn visit(&mut self, visitor: &mut dyn Visitor);
}

struct Writer(Vec<u8>);

impl Visitor for Writer {
    fn word(&mut self, word: &mut u64) {
        self.0.extend_from_slice(&word.to_le_bytes());
    }

    fn place(&mut self, place: &mut usize, _: usize) {
        self.word(&mut (*place as u64));
    }
}

struct Reader<'a> {
    words: std::slice::ChunksExact<'a, u8>,
    is_good: bool,
}

impl Visitor for Reader<'_> {
    fn word(&mut self, word: &mut u64) {
        match self.words.next().and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => *word = u64::from_le_bytes(bytes),
            None => self.is_good = false,
        }
    }

    fn place(&mut self, place: &mut usize, most: usize) {
        let mut word = 0;
        self.word(&mut word);
        match usize::try_from(word) {
            Ok(read) if read <= most => *place = read,
            _ => self.is_good = false,
        }
    }
}

impl Runner {
    /// What it remembers. The same bars afterwards give the same bits from [`Self::restore`] on as from this runner.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let mut writer = Writer(Vec::new());
        // Writing changes nothing; the walk is the reader's as well.
        self.clone().visit(&mut writer);
        let sum = sum_of(&writer.0);
        writer.0.extend_from_slice(&sum.to_le_bytes());
        writer.0
    }

    /// Remembers what was saved, in the place of what it remembers.
    ///
    /// # Errors
    /// [`SavedError`]; then nothing has changed.
    pub fn restore(&mut self, saved: &[u8]) -> Result<(), SavedError> {
        let damaged = SavedError::Damaged(saved.len());
        let (words, sum) = saved.split_last_chunk::<8>().ok_or(damaged)?;
        if !saved.len().is_multiple_of(8) || sum_of(words) != u64::from_le_bytes(*sum) {
            return Err(damaged);
        }
        let mut made = self.clone();
        let mut reader = Reader {
            words: words.chunks_exact(8),
            is_good: true,
        };
        let mut fingerprint = 0;
        reader.clone_word(&mut fingerprint);
        if reader.is_good && fingerprint != self.fingerprint {
            return Err(SavedError::OtherProgram);
        }
        made.visit(&mut reader);
        if !reader.is_good || reader.words.next().is_some() {
            return Err(damaged);
        }
        *self = made;
        Ok(())
    }
}

/// FNV-1a over words of eight bytes: one changed bit changes it.
fn sum_of(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8).filter_map(|word| word.try_into().ok());
    words.map(u64::from_le_bytes).fold(FNV_OFFSET, fnv)
}

/// Of a program: its operations, their order, and the columns that they may read.
pub(super) fn fingerprint(program: &super::Program) -> u64 {
    let operations: Vec<_> = program.nodes.iter().map(|node| (node.op, node.args)).collect();
    let text = format!("{FORM} {operations:?} {:?}", program.columns);
    text.bytes().map(u64::from).fold(FNV_OFFSET, fnv)
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

const fn fnv(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3)
}

impl Reader<'_> {
    /// The next word, without going on.
    fn clone_word(&mut self, word: &mut u64) {
        let here = self.words.clone();
        self.word(word);
        self.words = here;
    }
}

impl Remembers for Runner {
    fn visit(&mut self, visitor: &mut dyn Visitor) {
        let mut fingerprint = self.fingerprint;
        visitor.word(&mut fingerprint);
        let mut is_next = self.next.is_some();
        let mut next = self.next.unwrap_or(0).cast_unsigned();
        visitor.word(&mut next);
        visitor.truth(&mut is_next);
        self.next = is_next.then_some(next.cast_signed());
        visitor.word(&mut self.seen);
        for state in &mut self.states {
            state.visit(visitor);
        }
    }
}

impl Remembers for State {
    fn visit(&mut self, visitor: &mut dyn Visitor) {
        match self {
            Self::None => {}
            Self::Lag { ring, at } | Self::Distance { ring, at } | Self::Fractional { ring, at, .. } => {
                visitor.floats(ring);
                visitor.place(at, ring.len() - 1);
            }
            Self::Sums1(window) => window.visit(visitor),
            Self::Sums2(window) => window.visit(visitor),
            Self::Trend(window) => window.visit(visitor),
            Self::Sums4(window) => window.visit(visitor),
            Self::Pair(window) => window.visit(visitor),
            Self::Highest(window) => window.visit(visitor),
            Self::Extreme(window) => window.visit(visitor),
            Self::Order(window) => window.visit(visitor),
            Self::Average(copies) => copies.visit(visitor),
            Self::Adaptive(copies) => copies.visit(visitor),
            Self::ParabolicStop(copies) => copies.visit(visitor),
            Self::Cusum(copies) => copies.visit(visitor),
            Self::Regime(copies) => copies.visit(visitor),
        }
    }
}

impl<const K: usize, const I: usize> Remembers for SumWindow<K, I> {
    fn visit(&mut self, visitor: &mut dyn Visitor) {
        self.tails.iter_mut().for_each(|sums| visitor.floats(sums));
        self.values.iter_mut().for_each(|values| visitor.floats(values));
        visitor.floats(&mut self.head);
        visitor.floats(&mut self.reference);
        let block = self.values[0].len();
        visitor.place(&mut self.at, block);
    }
}

impl Remembers for HighestWindow {
    fn visit(&mut self, visitor: &mut dyn Visitor) {
        visitor.floats(&mut self.tails);
        visitor.floats(&mut self.values);
        visitor.float(&mut self.head);
        visitor.place(&mut self.at, self.values.len());
        visitor.place(&mut self.known, self.length);
    }
}

impl Remembers for ExtremeWindow {
    fn visit(&mut self, visitor: &mut dyn Visitor) {
        for found in &mut self.tails {
            visitor.float(&mut found.value);
            visitor.float(&mut found.place);
        }
        visitor.floats(&mut self.values);
        let mut is_head = self.head.is_some();
        let mut head = self.head.unwrap_or(super::extremes::UNKNOWN);
        visitor.truth(&mut is_head);
        visitor.float(&mut head.value);
        visitor.float(&mut head.place);
        self.head = is_head.then_some(head);
        visitor.place(&mut self.at, self.values.len());
    }
}

impl Remembers for OrderWindow {
    fn visit(&mut self, visitor: &mut dyn Visitor) {
        visitor.floats(&mut self.ring);
        visitor.place(&mut self.at, self.ring.len() - 1);
        self.sort();
    }
}

impl<C: Copy + Remembers> Remembers for Copies<C> {
    fn visit(&mut self, visitor: &mut dyn Visitor) {
        visitor.place(&mut self.left, self.window);
        for copy in [&mut self.first, &mut self.older, &mut self.younger] {
            let mut is_there = copy.is_some();
            visitor.truth(&mut is_there);
            let mut state = copy.unwrap_or(self.fresh);
            state.visit(visitor);
            *copy = is_there.then_some(state);
        }
    }
}

impl Remembers for Averages {
    fn visit(&mut self, visitor: &mut dyn Visitor) {
        visitor.float(&mut self.sum);
        self.copies.visit(visitor);
    }
}

impl Remembers for averages::Copy {
    fn visit(&mut self, visitor: &mut dyn Visitor) {
        // A seed is a window at most.
        count(&mut self.seen, super::WINDOW_MAX, visitor);
        visitor.float(&mut self.value);
        visitor.float(&mut self.base);
        visitor.truth(&mut self.is_grouped);
    }
}

impl Remembers for Adaptive {
    fn visit(&mut self, visitor: &mut dyn Visitor) {
        visitor.float(&mut self.value);
        visitor.float(&mut self.before);
    }
}

impl Remembers for Cusum {
    fn visit(&mut self, visitor: &mut dyn Visitor) {
        visitor.float(&mut self.up);
        visitor.float(&mut self.down);
    }
}

impl Remembers for Regime {
    fn visit(&mut self, visitor: &mut dyn Visitor) {
        visitor.float(&mut self.second);
    }
}

impl Remembers for ParabolicStop {
    fn visit(&mut self, visitor: &mut dyn Visitor) {
        visitor.floats(&mut self.before);
        visitor.truth(&mut self.is_long);
        visitor.float(&mut self.stop);
        visitor.float(&mut self.extreme);
        visitor.float(&mut self.acceleration);
        count(&mut self.seen, 3, visitor);
    }
}

fn count(seen: &mut u32, most: u32, visitor: &mut dyn Visitor) {
    let mut place = *seen as usize;
    visitor.place(&mut place, most as usize);
    *seen = u32::try_from(place).unwrap_or(most);
}
