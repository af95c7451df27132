//! `<receive time, ns since the epoch> <message>`: whoever records from one combined stream writes this.
//!
//! The only lines that are no frames are REST snapshots of Binance, told by how they begin.

use bytes::Bytes;
use domain::Timestamp;

use crate::record::{Entry, RecordKind};

/// How a depth snapshot begins; no message of a stream does.
const SNAPSHOT: &[u8] = br#"{"lastUpdateId""#;

pub(crate) fn is_one(line: &[u8]) -> bool {
    split(line).is_some_and(|(_, message)| matches!(message.first(), Some(b'{' | b'[')))
}

pub(crate) fn read(line: &[u8]) -> Result<Entry, String> {
    let (at, message) = split(line).ok_or("not `<receive time, ns> <message>`")?;
    let body = Bytes::copy_from_slice(message);
    let kind = if message.starts_with(SNAPSHOT) {
        RecordKind::Answer { url: None, body }
    } else {
        RecordKind::Received(body)
    };
    Ok(Entry::new(at, kind))
}

fn split(line: &[u8]) -> Option<(Timestamp, &[u8])> {
    let space = line.iter().position(|&byte| byte == b' ')?;
    let digits = &line[..space];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanos = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((Timestamp::from_nanos(nanos), &line[space + 1..]))
}
