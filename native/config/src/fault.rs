//! What is wrong with a file, and where.

use std::fmt::{self, Write as _};

/// The class of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Not TOML (or not JSON), or too large.
    Syntax,
    /// A key or table that stands twice, or a name that must be unique and is not.
    Duplicate,
    /// A key the file kind does not have.
    UnknownKey,
    /// A required key that is not there.
    MissingKey,
    /// A value of another type.
    WrongType,
    /// `inf` or `nan`.
    NonFinite,
    /// A value of the right type that is not allowed.
    OutOfRange,
    /// Two values that contradict each other.
    Conflict,
}

impl FaultKind {
    /// Its words in a message.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax error",
            Self::Duplicate => "duplicate",
            Self::UnknownKey => "unknown key",
            Self::MissingKey => "missing key",
            Self::WrongType => "wrong type",
            Self::NonFinite => "not a finite number",
            Self::OutOfRange => "not allowed",
            Self::Conflict => "conflict",
        }
    }
}

/// One fault of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, as its reader was told.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Dotted path of the key, elements of a list as `slot[0]`; empty for the file as a whole.
    pub key: String,
    /// Its class.
    pub kind: FaultKind,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub allowed: String,
    /// The nearest key, for an unknown one.
    pub nearest: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = format!("{}:{}:{}: ", self.file, self.line, self.column);
        if !self.key.is_empty() {
            line.push_str(&self.key);
            line.push_str(": ");
        }
        line.push_str(self.kind.as_str());
        for (words, part) in [(": found ", &self.found), ("; allowed: ", &self.allowed)] {
            if !part.is_empty() {
                line.push_str(words);
                line.push_str(part);
            }
        }
        if let Some(nearest) = &self.nearest {
            line.push_str("; did you mean ");
            line.push_str(nearest);
            line.push('?');
        }
        // A key or value may hold a line break; a fault is one line all the same.
        line.chars().try_for_each(|letter| {
            if letter.is_control() {
                write!(out, "{}", letter.escape_default())
            } else {
                out.write_char(letter)
            }
        })
    }
}

/// Every fault of a file, in the order of their places. Never empty. Displays one fault per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub(crate) Vec<Fault>);

impl ConfigErrors {
    /// The faults, first place first.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            if at > 0 {
                out.write_str("\n")?;
            }
            write!(out, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Line and column (characters), from 1, of a byte offset.
pub(crate) fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before[start..].chars().count() + 1)
}
