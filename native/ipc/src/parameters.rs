//! The parameter slot: a user's process writes a request, the service reads it between events and answers.
//!
//! Two segments, one per direction, so that each has one writer. The request is foreign input: the service copies it,
//! checks its form here, and its meaning (known names, ranges, only tightening) in the engine. A request names all
//! changes that belong together; they are applied together or not at all.
//!
//! ```text
//! <name>.request   written by one client at a time (file lock), read by the service
//! word 0  version          1 more than the last request's
//!      1  ts_requested     ns UTC, for the record
//!      2  slot u16, count u16, zero u32
//!      3  changes, 8 x { name (32 bytes, zero-padded), value in units of 1e-8 }
//!
//! <name>.answer    written by the service, read by anybody
//! word 0  answered_version the request this answers
//!      1  applied_version  the last request that took effect
//!      2  status           1 applied, 2 refused, 3 malformed
//!      3  answered_ns      CLOCK_MONOTONIC
//!      4  reason (64 bytes, zero-padded)
//! ```

mod client;
mod service;

pub use client::ParameterWriter;
pub use service::{MIN_INTERVAL_NS, ParameterInbox, ParameterPoll};

use domain::{Decimal, SlotId, Text, Timestamp};
use thiserror::Error;

use crate::layout::{FIRST_SLOT_WORD, SegmentKind};
use crate::seqlock::{SeqlockError, TableGeometry};

/// Most changes in one request.
pub const MAX_CHANGES: usize = 8;
/// Longest name of a parameter.
pub const MAX_PARAMETER_BYTES: usize = 32;
/// Largest version; a request beyond it is malformed, so that no writer can use up the numbers.
pub const MAX_VERSION: u64 = 1 << 48;

const NAME_WORDS: usize = MAX_PARAMETER_BYTES / 8;
const CHANGE_WORDS: usize = NAME_WORDS + 1;
const FIRST_CHANGE: usize = 3;
const REQUEST_WORDS: usize = FIRST_CHANGE + MAX_CHANGES * CHANGE_WORDS;
const REASON_BYTES: usize = 64;
const ANSWER_WORDS: usize = 4 + REASON_BYTES / 8;

const _: () = assert!(8 * (1 + REQUEST_WORDS as u64) <= SegmentKind::ParameterRequest.slot_bytes());
const _: () = assert!(8 * (1 + ANSWER_WORDS as u64) <= SegmentKind::ParameterAnswer.slot_bytes());

type RequestWords = [u64; REQUEST_WORDS];
type AnswerWords = [u64; ANSWER_WORDS];

/// Text of an answer.
pub type Reason = Text<REASON_BYTES>;

fn geometry(kind: SegmentKind) -> TableGeometry {
    let entry_words = usize::try_from(kind.slot_bytes() / 8).unwrap_or_default();
    TableGeometry {
        first_entry_word: FIRST_SLOT_WORD,
        entry_words,
        capacity: 1,
    }
}

/// What is wrong with a request or an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParameterFault {
    /// Nothing to change, or more than fits.
    #[error("a request carries 1 to {MAX_CHANGES} changes, this one {0}")]
    Count(usize),
    /// A name that no parameter can have.
    #[error("change {0} has no valid name: use 1 to {MAX_PARAMETER_BYTES} characters of a-z, 0-9 and '_'")]
    Name(usize),
    /// The same name twice.
    #[error("change {0} repeats the name of an earlier one")]
    Repeated(usize),
    /// A version that was used, or is out of range.
    #[error("version {found} does not follow {last}")]
    Version {
        /// The version found.
        found: u64,
        /// The last version answered.
        last: u64,
    },
    /// Bits that no field uses are set, or a status is unknown.
    #[error("word {0} holds bits that mean nothing")]
    Word(usize),
    /// The words could not be copied whole, or do not fit the segment.
    #[error(transparent)]
    Seqlock(#[from] SeqlockError),
}

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterChange {
    /// The parameter's key in the strategy file.
    pub name: Text<MAX_PARAMETER_BYTES>,
    /// Its new value.
    pub value: Decimal,
}

/// A well-formed request. Its names and values are still to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterRequest {
    /// Numbers requests; the answer carries it.
    pub version: u64,
    /// When it was made, by the client's clock; for the record.
    pub ts_requested: Timestamp,
    /// The slot whose parameters change.
    pub slot: SlotId,
    changes: [ParameterChange; MAX_CHANGES],
    count: usize,
}

impl ParameterRequest {
    /// What to change, at least one.
    pub fn changes(&self) -> &[ParameterChange] {
        &self.changes[..self.count]
    }

    /// Checks the form of the changes.
    fn new(
        version: u64,
        ts_requested: Timestamp,
        slot: SlotId,
        from: &[ParameterChange],
    ) -> Result<Self, ParameterFault> {
        let count = from.len();
        if !(1..=MAX_CHANGES).contains(&count) {
            return Err(ParameterFault::Count(count));
        }
        let mut changes = [from[0]; MAX_CHANGES];
        changes[..count].copy_from_slice(from);
        for (i, change) in from.iter().enumerate() {
            let name = change.name.as_str();
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            if name.is_empty() || !name.bytes().all(plain) {
                return Err(ParameterFault::Name(i));
            }
            if from[..i].iter().any(|earlier| earlier.name == change.name) {
                return Err(ParameterFault::Repeated(i));
            }
        }
        Ok(Self {
            version,
            ts_requested,
            slot,
            changes,
            count,
        })
    }

    fn encode(&self) -> RequestWords {
        let mut words = [0; REQUEST_WORDS];
        words[0] = self.version;
        words[1] = self.ts_requested.nanos().cast_unsigned();
        words[2] = u64::from(self.slot.0) | (self.count as u64) << 16;
        let cells = words[FIRST_CHANGE..].chunks_exact_mut(CHANGE_WORDS);
        for (cell, change) in cells.zip(self.changes()) {
            write_text(&mut cell[..NAME_WORDS], change.name.as_str());
            cell[NAME_WORDS] = change.value.units().cast_unsigned();
        }
        words
    }

    /// Reads any words; `last` is the last version answered.
    fn decode(words: &RequestWords, last: u64) -> Result<Self, ParameterFault> {
        let version = words[0];
        if version <= last || version > MAX_VERSION {
            return Err(ParameterFault::Version { found: version, last });
        }
        let [a, b, c, d, rest @ ..] = words[2].to_le_bytes();
        if rest != [0; 4] {
            return Err(ParameterFault::Word(2));
        }
        let (slot, count) = (
            SlotId(u16::from_le_bytes([a, b])),
            usize::from(u16::from_le_bytes([c, d])),
        );
        if !(1..=MAX_CHANGES).contains(&count) {
            return Err(ParameterFault::Count(count));
        }
        let (used, unused) = words[FIRST_CHANGE..].split_at(count * CHANGE_WORDS);
        if let Some(at) = unused.iter().position(|word| *word != 0) {
            return Err(ParameterFault::Word(FIRST_CHANGE + used.len() + at));
        }
        let mut changes = [ParameterChange {
            name: empty_text(),
            value: Decimal::ZERO,
        }; MAX_CHANGES];
        for (i, (change, cell)) in changes
            .iter_mut()
            .zip(used.chunks_exact(CHANGE_WORDS))
            .enumerate()
        {
            change.name = read_text(&cell[..NAME_WORDS]).ok_or(ParameterFault::Name(i))?;
            change.value = Decimal::from_units(cell[NAME_WORDS].cast_signed());
        }
        Self::new(
            version,
            Timestamp::from_nanos(words[1].cast_signed()),
            slot,
            &changes[..count],
        )
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterStatus {
    /// It took effect.
    Applied,
    /// It was well-formed and is not allowed.
    Refused,
    /// It was not well-formed.
    Malformed,
}

impl ParameterStatus {
    const fn code(self) -> u64 {
        match self {
            Self::Applied => 1,
            Self::Refused => 2,
            Self::Malformed => 3,
        }
    }
}

/// The service's latest answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterAnswer {
    /// The request this answers.
    pub answered_version: u64,
    /// The last request that took effect, 0 when none did.
    pub applied_version: u64,
    /// What became of the request.
    pub status: ParameterStatus,
    /// When it was answered, CLOCK_MONOTONIC.
    pub answered_ns: u64,
    /// Why it was not applied; empty when it was.
    pub reason: Reason,
}

impl ParameterAnswer {
    fn encode(&self) -> AnswerWords {
        let mut words = [0; ANSWER_WORDS];
        words[..4].copy_from_slice(&[
            self.answered_version,
            self.applied_version,
            self.status.code(),
            self.answered_ns,
        ]);
        write_text(&mut words[4..], self.reason.as_str());
        words
    }

    fn decode(words: &AnswerWords) -> Result<Self, ParameterFault> {
        let status = match words[2] {
            1 => ParameterStatus::Applied,
            2 => ParameterStatus::Refused,
            3 => ParameterStatus::Malformed,
            _ => return Err(ParameterFault::Word(2)),
        };
        let reason = read_text(&words[4..]).ok_or(ParameterFault::Word(4))?;
        let [answered_version, applied_version, _, answered_ns, ..] = *words;
        Ok(Self {
            answered_version,
            applied_version,
            status,
            answered_ns,
            reason,
        })
    }
}

/// Writes text into words of zero, in memory order; the caller's types bound its length.
fn write_text(words: &mut [u64], text: &str) {
    for (word, bytes) in words.iter_mut().zip(text.as_bytes().chunks(8)) {
        let mut cell = [0; 8];
        cell[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_le_bytes(cell);
    }
}

/// Reads zero-padded printable text of at most `N` bytes; `None` for anything else.
fn read_text<const N: usize>(words: &[u64]) -> Option<Text<N>> {
    let mut bytes = [0; N];
    for (cell, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *cell = word.to_le_bytes();
    }
    let len = bytes.iter().position(|byte| *byte == 0).unwrap_or(N);
    let (text, padding) = bytes.split_at(len);
    if padding.iter().any(|byte| *byte != 0) {
        return None;
    }
    Text::new(std::str::from_utf8(text).ok()?)
}

fn empty_text<const N: usize>() -> Text<N> {
    Text::new("").expect("the empty text fits any room")
}

#[cfg(test)]
mod tests;
