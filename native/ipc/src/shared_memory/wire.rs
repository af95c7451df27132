//! The exchange on the socket: one fixed-size question, one fixed-size answer, one descriptor.
//!
//! ```text
//! question, 64 bytes      "PYRTSEG1", name length u32, zero u32, name (48, zero-padded)
//! answer, 1024 bytes      "PYRTSEG1", status u32, text length u32, text (1008, zero-padded)
//! ```

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::error::IpcError;

/// Longest segment name.
pub const MAX_NAME_BYTES: usize = 48;
/// Longest time either side waits for the other in one exchange.
pub const EXCHANGE_TIMEOUT_MS: u64 = 1_000;

pub(super) const QUESTION_BYTES: usize = 16 + MAX_NAME_BYTES;
pub(super) const ANSWER_BYTES: usize = 1024;
const ANSWER_TEXT_BYTES: usize = ANSWER_BYTES - 16;
const MAGIC: [u8; 8] = *b"PYRTSEG1";

/// What the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// The descriptor comes with the answer.
    Granted,
    /// There is no such segment; the text names those there are.
    Unknown,
    /// The question is not in this protocol.
    Malformed,
}

impl Status {
    const fn code(self) -> u32 {
        match self {
            Self::Granted => 1,
            Self::Unknown => 2,
            Self::Malformed => 3,
        }
    }

    const fn from_code(code: u32) -> Option<Self> {
        match code {
            1 => Some(Self::Granted),
            2 => Some(Self::Unknown),
            3 => Some(Self::Malformed),
            _ => None,
        }
    }
}

/// Refuses names that are empty, too long, or could mean something to a path, a shell or a log.
pub(super) fn check_name(name: &str) -> Result<(), IpcError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain) {
        Ok(())
    } else {
        Err(IpcError::Name(name.to_owned()))
    }
}

pub(super) fn question(name: &str) -> Result<[u8; QUESTION_BYTES], IpcError> {
    check_name(name)?;
    let mut bytes = [0; QUESTION_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8] = u8::try_from(name.len()).map_err(|_| IpcError::Name(name.to_owned()))?;
    bytes[16..][..name.len()].copy_from_slice(name.as_bytes());
    Ok(bytes)
}

/// The name asked for; `None` when the bytes are not a question.
pub(super) fn read_question(bytes: &[u8; QUESTION_BYTES]) -> Option<&str> {
    let (head, name) = bytes.split_at(16);
    let len = usize::try_from(u32::from_le_bytes([head[8], head[9], head[10], head[11]])).ok()?;
    if head[..8] != MAGIC || head[12..] != [0; 4] || len > name.len() {
        return None;
    }
    let (name, padding) = name.split_at(len);
    let name = std::str::from_utf8(name).ok()?;
    (check_name(name).is_ok() && padding.iter().all(|byte| *byte == 0)).then_some(name)
}

/// An answer; text beyond its room is cut at a character.
pub(super) fn answer(status: Status, text: &str) -> [u8; ANSWER_BYTES] {
    let text = &text[..text.floor_char_boundary(ANSWER_TEXT_BYTES)];
    let mut bytes = [0; ANSWER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&status.code().to_le_bytes());
    let len = u32::try_from(text.len()).unwrap_or_default();
    bytes[12..16].copy_from_slice(&len.to_le_bytes());
    bytes[16..][..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// Status and text; `None` when the bytes are not an answer.
pub(super) fn read_answer(bytes: &[u8; ANSWER_BYTES]) -> Option<(Status, &str)> {
    let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let len = usize::try_from(number(12)).ok()?;
    let text = bytes[16..].get(..len)?;
    let status = Status::from_code(number(8))?;
    (bytes[..8] == MAGIC).then_some((status, std::str::from_utf8(text).ok()?))
}

/// One exchange's time: every wait shortens what is left, so that a peer sending byte by byte gains nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn start() -> Self {
        Self(Instant::now() + Duration::from_millis(EXCHANGE_TIMEOUT_MS))
    }

    pub(super) fn left(self) -> io::Result<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(left)
        }
    }

    /// Fills `buffer` or fails.
    pub(super) fn read_exact(self, mut stream: &UnixStream, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            stream.set_read_timeout(Some(self.left()?))?;
            match stream.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => buffer = &mut buffer[read..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends all of `buffer` or fails.
    pub(super) fn write_all(self, mut stream: &UnixStream, mut buffer: &[u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            stream.set_write_timeout(Some(self.left()?))?;
            match stream.write(buffer) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => buffer = &buffer[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        ANSWER_BYTES, MAX_NAME_BYTES, QUESTION_BYTES, Status, answer, check_name, question, read_answer,
        read_question,
    };

    #[test]
    fn names_are_plain() {
        let longest = "n".repeat(MAX_NAME_BYTES);
        for name in ["market", "slot-1.fills", "a_b", &longest] {
            assert!(check_name(name).is_ok(), "{name}");
            assert_eq!(read_question(&question(name).unwrap()), Some(name));
        }
        let long = "n".repeat(MAX_NAME_BYTES + 1);
        for name in ["", "Market", "a/b", "a b", "ä", "a\0", &long] {
            assert!(check_name(name).is_err(), "{name}");
            assert!(question(name).is_err(), "{name}");
        }
    }

    #[test]
    fn answers_come_back_and_long_texts_are_cut() {
        for status in [Status::Granted, Status::Unknown, Status::Malformed] {
            assert_eq!(read_answer(&answer(status, "a, b")), Some((status, "a, b")));
        }
        let long = "ä".repeat(ANSWER_BYTES);
        let cut = answer(Status::Unknown, &long);
        assert_eq!(read_answer(&cut).map(|(_, text)| text.len()), Some(1008));
    }

    proptest! {
        #[test]
        fn any_bytes_get_an_answer(junk in proptest::collection::vec(any::<u8>(), ANSWER_BYTES), flip in 0usize..512) {
            let mut bytes = question("market").unwrap();
            bytes[flip / 8] ^= 1 << (flip % 8);
            prop_assert_ne!(read_question(&bytes), Some("market"));
            prop_assert!(read_question(junk.first_chunk::<QUESTION_BYTES>().unwrap()).is_none());
            prop_assert!(read_answer(junk.first_chunk::<ANSWER_BYTES>().unwrap()).is_none());
        }
    }
}
