//! One thing in a recording, and what every format's reader needs to tell it.

use std::sync::Arc;

use bytes::Bytes;
use domain::Timestamp;

/// What happened on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordKind {
    /// It was opened, to this address.
    Connected {
        /// The address.
        url: String,
    },
    /// It was lost, or closed by us.
    Disconnected {
        /// Why, in the recorder's word.
        reason: String,
    },
    /// We sent this.
    Sent(Bytes),
    /// This came, byte for byte.
    Received(Bytes),
    /// A REST answer came, over a connection of its own.
    Answer {
        /// What was asked; `None` where the recording does not say.
        url: Option<String>,
        /// Its body, byte for byte.
        body: Bytes,
    },
}

/// One thing in a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it happened at the recorder, by the recorder's clock (which need not count from the epoch).
    pub at: Timestamp,
    /// The recording's own name of the connection; empty where it has only one.
    pub connection: Arc<str>,
    /// The line it stands on, from 1.
    pub line: u64,
    /// What it is.
    pub kind: RecordKind,
}

/// A line as its format's reader gives it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    pub(crate) connection: Option<String>,
    pub(crate) kind: RecordKind,
}

impl Entry {
    pub(crate) fn new(at: Timestamp, kind: RecordKind) -> Self {
        Self {
            at,
            connection: None,
            kind,
        }
    }
}

/// Seconds since the epoch as decimal text, without a float in between; digits beyond nanoseconds are cut off.
pub(crate) fn seconds(text: &str) -> Option<Timestamp> {
    const NANO_DIGITS: usize = 9;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<9}")[..NANO_DIGITS].parse().ok()?;
    let whole: i64 = whole.parse().ok()?;
    let nanos = whole.checked_mul(1_000_000_000)?.checked_add(fraction)?;
    Some(Timestamp::from_nanos(nanos))
}
