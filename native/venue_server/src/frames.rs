//! Messages on their way to a socket, and what may happen to them there.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::ws::Utf8Bytes;

/// Frame faults that may wait at a time.
const FRAME_FAULTS_MAX: usize = 65_536;

/// What waits for a connection's socket.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub(crate) frame: Frame,
    /// Not before this time: what comes later waits behind it.
    pub(crate) not_before: Option<Instant>,
}

impl Queued {
    pub(crate) fn text(text: Utf8Bytes) -> Self {
        Self::now(Frame::Text(text))
    }

    pub(crate) fn now(frame: Frame) -> Self {
        Self {
            frame,
            not_before: None,
        }
    }
}

/// A message, or the end of the connection.
#[derive(Debug, Clone)]
pub(crate) enum Frame {
    Text(Utf8Bytes),
    Binary(Bytes),
    Close { code: u16, reason: String },
}

impl From<Utf8Bytes> for Frame {
    fn from(text: Utf8Bytes) -> Self {
        Self::Text(text)
    }
}

impl Frame {
    /// The first half of it.
    pub(crate) fn truncated(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(truncated(&text)),
            Self::Binary(bytes) => Self::Binary(bytes.slice(..bytes.len() / 2)),
            close @ Self::Close { .. } => close,
        }
    }

    /// It with another number in it.
    pub(crate) fn corrupted(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(corrupted(&text)),
            Self::Binary(bytes) => {
                let mut changed = bytes.to_vec();
                if let Some(last) = changed.get_mut(BINARY_NUMBER) {
                    *last ^= 1;
                }
                Self::Binary(changed.into())
            }
            close @ Self::Close { .. } => close,
        }
    }
}

/// Where a number stands in each binary message that has one: behind its head and its time.
const BINARY_NUMBER: usize = 16;

/// What a message is about: faults name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    /// Changes of the book.
    Book,
    /// Public trades.
    Trade,
    /// Best prices and tickers.
    Quote,
    /// Heartbeats and states of the venue.
    Status,
    /// Orders and balances of an account.
    Account,
}

impl Class {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::Account as usize + 1;
}

/// What happens to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FrameFault {
    /// It is lost.
    Drop,
    /// It, and all that follows on its connection, is late.
    Delay,
    /// It comes twice.
    Duplicate,
    /// It comes after later messages of its class.
    Reorder,
    /// Only its first half comes.
    Truncate,
    /// One digit of it is another: still JSON, and wrong.
    Corrupt,
}

/// A fault with its measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameTerms {
    pub(crate) fault: FrameFault,
    /// How late a message is that is to be late.
    pub(crate) delay: Duration,
    /// How many later messages come before one that is to be out of order.
    pub(crate) behind: u32,
}

impl From<FrameFault> for FrameTerms {
    fn from(fault: FrameFault) -> Self {
        Self {
            fault,
            delay: Duration::ZERO,
            behind: 1,
        }
    }
}

/// Faults that wait for their messages, first come first served within a class.
#[derive(Debug, Default)]
pub(crate) struct FrameFaults(VecDeque<(Class, FrameTerms)>);

impl FrameFaults {
    /// Queues `count` times the fault; false when too many wait.
    pub(crate) fn add(&mut self, class: Class, terms: FrameTerms, count: u32) -> bool {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if self.0.len().saturating_add(count) > FRAME_FAULTS_MAX {
            return false;
        }
        self.0.extend(std::iter::repeat_n((class, terms), count));
        true
    }

    /// The fault that meets the next message of this class.
    pub(crate) fn take(&mut self, class: Class) -> Option<FrameTerms> {
        let at = self.0.iter().position(|(of, ..)| *of == class)?;
        self.0.remove(at).map(|(_, terms)| terms)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.0.len()
    }
}

/// The first half of a text.
fn truncated(text: &str) -> Utf8Bytes {
    Utf8Bytes::from(text[..text.floor_char_boundary(text.len() / 2)].to_owned())
}

/// A text in which the first number with a decimal point is another; the text itself where it has none.
fn corrupted(text: &str) -> Utf8Bytes {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let begins_value = |at: usize| match bytes[at] {
        b'"' | b'[' | b',' => true,
        // Not the colons of a time.
        b':' => at > 0 && bytes[at - 1] == b'"',
        _ => false,
    };
    // The digit before the point: it matters whatever the number's precision.
    let digit = (2..bytes.len())
        .filter(|&at| bytes[at] == b'.')
        .find_map(|point| {
            let begin = (0..point).rev().find(|&at| !is_digit(at))?;
            (begin + 1 < point && is_digit(point + 1) && begins_value(begin)).then_some(point - 1)
        });
    let mut changed = text.to_owned();
    if let Some(at) = digit {
        let other = if bytes[at] == b'9' {
            '8'
        } else {
            char::from(bytes[at] + 1)
        };
        changed.replace_range(at..=at, other.encode_utf8(&mut [0; 4]));
    }
    Utf8Bytes::from(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_meet_their_class_in_turn() {
        let mut faults = FrameFaults::default();
        assert!(faults.add(Class::Book, FrameFault::Drop.into(), 1));
        assert!(faults.add(Class::Account, FrameFault::Reorder.into(), 1));
        assert!(!faults.add(Class::Book, FrameFault::Drop.into(), u32::MAX));
        assert_eq!(faults.take(Class::Trade), None);
        assert_eq!(faults.take(Class::Account), Some(FrameFault::Reorder.into()));
        assert_eq!(faults.take(Class::Book), Some(FrameFault::Drop.into()));
        assert_eq!(faults.waiting(), 0);
    }

    #[test]
    fn a_corrupt_message_is_json_that_says_something_else() {
        let timed = r#"{"t":"21:05:48.2Z","p":"61.5","q":0.50}"#;
        assert_eq!(corrupted(timed).as_str(), timed.replace("61.5", "62.5"));
        assert_eq!(corrupted(r#"{"p":9.5}"#).as_str(), r#"{"p":8.5}"#);
        assert_eq!(corrupted("{}").as_str(), "{}");
        assert_eq!(truncated(r#"{"u":2}"#).as_str(), r#"{"u"#);
    }
}
