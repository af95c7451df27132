//! Segments: the files of a journal, each with a head that says what it continues.
//!
//! ```text
//! 0        8        10  12       16          24           32         48      52
//! +--------+--------+---+--------+-----------+------------+----------+-------+----------
//! |PYRTJRNL| format | 0 | number | first seq | next event | chain    | crc32c| records ...
//! +--------+--------+---+--------+-----------+------------+----------+-------+----------
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::codec::{CodecError, Format};
use crate::error::JournalError;
use crate::position::Position;

/// Bytes before the first record.
pub(crate) const HEAD_BYTES: usize = 52;

const MAGIC: [u8; 8] = *b"PYRTJRNL";
const SUFFIX: &str = ".segment";
const NUMBER_DIGITS: usize = 8;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) format: Format,
    /// The segment's number, from 0.
    pub(crate) number: u32,
    /// What its first record continues.
    pub(crate) position: Position,
}

/// Why bytes are not a segment's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadError {
    /// Not a head, or a changed one.
    Damaged,
    /// A head of another format.
    Format(CodecError),
}

impl Head {
    pub(crate) fn encode(&self) -> [u8; HEAD_BYTES] {
        let Position { chain, seq, event } = self.position;
        let mut bytes = [0; HEAD_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&self.format.number().to_le_bytes());
        bytes[12..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&seq.to_le_bytes());
        bytes[24..32].copy_from_slice(&event.to_le_bytes());
        bytes[32..48].copy_from_slice(&chain);
        let crc = crc32c::crc32c(&bytes[..48]);
        bytes[48..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HEAD_BYTES]) -> Result<Self, HeadError> {
        let crc = crc32c::crc32c(&bytes[..48]);
        if bytes[..8] != MAGIC || bytes[10..12] != [0, 0] || bytes[48..] != crc.to_le_bytes() {
            return Err(HeadError::Damaged);
        }
        let format = Format::from_number(u16::from_le_bytes(part(bytes, 8))).map_err(HeadError::Format)?;
        Ok(Self {
            format,
            number: u32::from_le_bytes(part(bytes, 12)),
            position: Position {
                seq: u64::from_le_bytes(part(bytes, 16)),
                event: u64::from_le_bytes(part(bytes, 24)),
                chain: part(bytes, 32),
            },
        })
    }
}

fn part<const N: usize>(bytes: &[u8; HEAD_BYTES], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

/// The file of a segment.
pub(crate) fn path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:0NUMBER_DIGITS$}{SUFFIX}"))
}

/// The numbers of the segments in a folder, ascending.
pub(crate) fn numbers(dir: &Path) -> Result<Vec<u32>, JournalError> {
    let failed = |source| JournalError::io("listing the segments", dir, source);
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        numbers.extend(name.to_str().and_then(number));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The number in a segment's name; `None` for another file's name.
fn number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(SUFFIX)?;
    let number = digits.parse().ok()?;
    (format!("{number:0NUMBER_DIGITS$}") == digits).then_some(number)
}

/// The length of a segment whose head was never written, because its writer died first or lost power: nothing, the front
/// of a head, or zeros. `None` for one that was begun.
pub(crate) fn unbegun(dir: &Path, number: u32) -> Result<Option<u64>, JournalError> {
    let path = path(dir, number);
    let failed = |source| JournalError::io("reading a segment's head", &path, source);
    let mut file = File::open(&path).map_err(failed)?;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let most = HEAD_BYTES as u64;
    Read::by_ref(&mut file)
        .take(most)
        .read_to_end(&mut head)
        .map_err(failed)?;
    let mut len = head.len() as u64;
    if len == most {
        if head.iter().any(|byte| *byte != 0) {
            return Ok(None);
        }
        let mut chunk = vec![0; 1 << 16];
        loop {
            match file.read(&mut chunk).map_err(failed)? {
                0 => break,
                read if chunk[..read].iter().any(|byte| *byte != 0) => return Ok(None),
                read => len += read as u64,
            }
        }
    }
    Ok(Some(len))
}

/// Opens an empty file of the journal for writing, readable by its owner only.
pub(crate) fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

/// Forces the names in a folder to disk.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_and_every_flipped_bit_is_refused() {
        let head = Head {
            format: Format::V1,
            number: 3,
            position: Position {
                chain: [9; 16],
                seq: 1 << 40,
                event: 1 << 39,
            },
        };
        let bytes = head.encode();
        assert_eq!(Head::decode(&bytes), Ok(head));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::decode(&bad), Err(HeadError::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn another_format_is_named() {
        let head = Head {
            format: Format::V1,
            number: 0,
            position: Position::START,
        };
        let changed = |at: usize| {
            let mut bytes = head.encode();
            bytes[at] = 2;
            let crc = crc32c::crc32c(&bytes[..48]);
            bytes[48..].copy_from_slice(&crc.to_le_bytes());
            Head::decode(&bytes)
        };
        assert_eq!(changed(8), Err(HeadError::Format(CodecError::Format(2))));
        for reserved in [10, 11] {
            assert_eq!(changed(reserved), Err(HeadError::Damaged));
        }
    }

    #[test]
    fn only_canonical_names_are_segments() {
        assert_eq!(number("00000012.segment"), Some(12));
        assert_eq!(number("123456789.segment"), Some(123_456_789));
        for name in [
            "12.segment",
            "000000012.segment",
            "00000012.segment.bak",
            "reserve",
            "+0000012.segment",
        ] {
            assert_eq!(number(name), None, "{name}");
        }
    }
}
