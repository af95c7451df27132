//! How the engine's inputs and outputs are written: explicit, little endian, closed, one encoding per value.
//!
//! Nothing here is derived from the memory layout or the order of declarations: every enum has its tags and every
//! struct the order of its fields in this module, and a new field or variant elsewhere does not compile until it has
//! its place here. Tags count from 1, so that zeroed bytes are never a value. Decoding refuses what encoding does not
//! write (unknown tags, bytes left over, lists beyond their bound), so equal bytes mean equal values and the reverse.
//!
//! A change of what is written gets a new [`Format`]; the tests under `tests/format` pin the bytes of each.

mod action;
mod bytes;
mod command;
mod config;
mod describe;
mod event;
mod header;
mod orders;
mod values;

pub use action::{RecordedAction, decode_action, encode_action};
pub use describe::describe;
pub use event::{LevelScratch, decode_event, encode_event};
pub use header::{ConfigText, RunHeader, TEXT_BYTES_MAX, TEXTS_MAX, decode_header, encode_header};

/// A version of the record's payloads. A journal has one, and says so in every segment and in its first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum Format {
    /// The first.
    V1 = 1,
}

impl Format {
    /// What this build writes.
    pub const CURRENT: Self = Self::V1;

    /// Its number in files.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The format of a number.
    ///
    /// # Errors
    /// [`CodecError::Format`] for a number that this build does not read.
    pub const fn from_number(number: u16) -> Result<Self, CodecError> {
        match number {
            1 => Ok(Self::V1),
            _ => Err(CodecError::Format(number)),
        }
    }
}

/// Why a payload is not what its record's kind says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The payload ends inside a value.
    #[error("the payload ends inside a value")]
    Short,
    /// The payload goes on after its value.
    #[error("{0} bytes follow the end of the value")]
    Trailing(usize),
    /// A tag that stands for nothing.
    #[error("tag {tag} is no {what} that this build knows")]
    Tag {
        /// What the tag should name.
        what: &'static str,
        /// The tag.
        tag: u8,
    },
    /// A text that its type does not admit.
    #[error("{0}: the text is too long or has characters that are not allowed")]
    Text(&'static str),
    /// A number that no number is written as.
    #[error("the bits {0:#018x} are no finite number, or minus zero")]
    Number(u64),
    /// A list or text is longer than its bound.
    #[error("{what}: {count} given, at most {max} fit")]
    TooMany {
        /// Which list.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many fit.
        max: usize,
    },
    /// Written in a format of another build.
    #[error(
        "format {0}, but this build reads format {current} only: use the build that wrote it",
        current = Format::CURRENT.number()
    )]
    Format(u16),
}
