//! What stands where a record should, at the end of the last segment: torn by a death, or damaged since?
//!
//! Cutting what is torn loses nothing that was acknowledged; cutting what is damaged would. So only what a dying writer
//! or a power cut can leave counts as torn, and everything else is refused:
//!
//! - a writer killed in the middle of a write leaves the front of one record, and nothing after it;
//! - a power cut may leave blocks that were never written: zeros from a block's edge to the end of the file.
//!
//! That a record claims more bytes than there are proves nothing by itself: its length may have been changed. Hence the
//! search for whole records after it, and for a length with which the record itself is whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::error::Fault;
use crate::frame::{FrameError, HEADER_BYTES, PAYLOAD_MAX_BYTES, TRAILER_BYTES, is_whole, plausible};
use crate::window::read_at_most;

/// Smallest unit that a disk writes whole, bytes.
const BLOCK_BYTES: u64 = 512;

/// Zeros that no record ends with: chain and checksum would both be zero.
const ZEROS_MIN: u64 = TRAILER_BYTES as u64;

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// The end of a segment, from the first byte that is not part of a whole record.
pub(crate) struct Tail<'a> {
    pub(crate) file: &'a File,
    /// Where it begins.
    pub(crate) offset: u64,
    /// Where the file ends.
    pub(crate) end: u64,
    /// The number of the record that should stand there.
    pub(crate) seq: u64,
}

impl Tail<'_> {
    /// What is wrong with it; `None` when it is only torn.
    pub(crate) fn judge(&self, error: FrameError) -> io::Result<Option<Fault>> {
        let changed = Fault::Frame(error);
        // Whole, but not the next record of this journal: never torn.
        if matches!(error, FrameError::Chain | FrameError::Kind) {
            return Ok(Some(changed));
        }
        if let Some(later) = self.later_record()? {
            return Ok(Some(Fault::BeforeRecords { error, later }));
        }
        if self.is_unwritten()? {
            return Ok(None);
        }
        if error != FrameError::Short {
            return Ok(Some(changed));
        }
        let Some(head) = self.head()? else {
            return Ok(None);
        };
        match plausible(&head) {
            Some((_, seq)) if seq == self.seq => {}
            _ => return Ok(Some(changed)),
        }
        let fault = self.is_whole_with_another_length()?.then_some(Fault::Length);
        Ok(fault)
    }

    fn left(&self) -> u64 {
        self.end - self.offset
    }

    /// The head of the record, if all of it is there.
    fn head(&self) -> io::Result<Option<[u8; HEADER_BYTES]>> {
        if self.left() < HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut head = [0; HEADER_BYTES];
        self.file.read_exact_at(&mut head, self.offset)?;
        Ok(Some(head))
    }

    /// Where the first whole record after this place stands.
    fn later_record(&self) -> io::Result<Option<u64>> {
        let (mut chunk, mut candidate) = (Vec::new(), Vec::new());
        let mut at = self.offset + 1;
        while at < self.end {
            let want = usize::try_from(self.end - at)
                .unwrap_or(READ_BYTES)
                .min(READ_BYTES);
            chunk.resize(want, 0);
            let read = read_at_most(self.file, &mut chunk, at)?;
            for (place, head) in (at..).zip(chunk[..read].array_windows::<HEADER_BYTES>()) {
                let Some(size) = self.size_of_later(head, place) else {
                    continue;
                };
                candidate.resize(size, 0);
                self.file.read_exact_at(&mut candidate, place)?;
                if is_whole(&candidate) {
                    return Ok(Some(place));
                }
            }
            if read < want || at + read as u64 == self.end {
                break;
            }
            // A head may lie across two chunks.
            at += (read - HEADER_BYTES + 1) as u64;
        }
        Ok(None)
    }

    /// The size of a record that may begin with `head`: one that fits, and whose number fits a record behind this one.
    fn size_of_later(&self, head: &[u8; HEADER_BYTES], place: u64) -> Option<usize> {
        let (size, seq) = plausible(head)?;
        let fits = size as u64 <= self.end - place;
        (fits && seq >= self.seq && seq - self.seq <= self.left()).then_some(size)
    }

    /// Whether the end was never written: zeros from here, or from the edge of a block.
    fn is_unwritten(&self) -> io::Result<bool> {
        let zeros = self.zeros_from()?;
        if zeros == self.offset {
            return Ok(true);
        }
        let edge = zeros.next_multiple_of(BLOCK_BYTES);
        Ok(edge < self.end && self.end - edge >= ZEROS_MIN)
    }

    /// Where the zeros begin that reach to the end of the file, not before this place; the end when there are none.
    fn zeros_from(&self) -> io::Result<u64> {
        let mut chunk = Vec::new();
        let mut zeros = self.end;
        while zeros > self.offset {
            let left = zeros - self.offset;
            let want = usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES);
            chunk.resize(want, 0);
            self.file.read_exact_at(&mut chunk, zeros - want as u64)?;
            let kept = chunk.iter().rposition(|byte| *byte != 0);
            if let Some(last) = kept {
                return Ok(zeros - (want - 1 - last) as u64);
            }
            zeros -= want as u64;
        }
        Ok(zeros)
    }

    /// Whether the bytes are a whole record but for their length: one that ends where the file does, or one whose length
    /// differs in one bit.
    fn is_whole_with_another_length(&self) -> io::Result<bool> {
        const FRAME_BYTES: u64 = (HEADER_BYTES + TRAILER_BYTES) as u64;
        let max = FRAME_BYTES + PAYLOAD_MAX_BYTES as u64;
        let mut bytes = vec![0; usize::try_from(self.left().min(max)).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, self.offset)?;
        let Some(length) = bytes.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes)) else {
            return Ok(false);
        };
        let to_the_end = bytes.len().checked_sub(HEADER_BYTES + TRAILER_BYTES);
        let lengths = (0..u32::BITS)
            .map(|bit| length ^ (1 << bit))
            .chain(to_the_end.and_then(|len| u32::try_from(len).ok()));
        for length in lengths {
            let size = u64::from(length) + FRAME_BYTES;
            let Some(record) = usize::try_from(size).ok().and_then(|size| bytes.get_mut(..size)) else {
                continue;
            };
            record[..4].copy_from_slice(&length.to_le_bytes());
            if is_whole(record) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Kind, decode, encode};

    /// The record with this number, its payload so long and without a zero in it.
    fn record(seq: u64, payload: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let put = |out: &mut Vec<u8>| out.resize(out.len() + payload, 0xa5);
        encode(&mut bytes, &[3; 16], (Kind::Event, seq, 1), put).expect("fits");
        bytes
    }

    /// What is thought of `bytes`, which stand where record 9 should.
    fn judge(bytes: &[u8]) -> Option<Fault> {
        let before = [0xee; 100];
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&[&before, bytes].concat(), 0).expect("written");
        let tail = Tail {
            file: &file,
            offset: 100,
            end: 100 + bytes.len() as u64,
            seq: 9,
        };
        let error = decode(bytes, &[3; 16]).expect_err("no record");
        tail.judge(error).expect("readable")
    }

    const SHORT: Fault = Fault::Frame(FrameError::Short);
    const CHECKSUM: Fault = Fault::Frame(FrameError::Checksum);

    #[test]
    fn the_front_of_the_next_record_is_torn_and_of_another_is_not() {
        let whole = record(9, 200);
        for cut in 1..whole.len() {
            assert_eq!(judge(&whole[..cut]), None, "cut at {cut}");
        }
        let other = record(10, 200);
        for cut in HEADER_BYTES..other.len() {
            assert_eq!(judge(&other[..cut]), Some(SHORT), "cut at {cut}");
        }
        let mut unknown = whole;
        unknown[4] = 9;
        assert_eq!(judge(&unknown[..100]), Some(SHORT));
    }

    #[test]
    fn zeros_are_unwritten_only_from_the_edge_of_a_block() {
        let whole = record(9, 2_000);
        let zeroed = |from: usize, len: usize| {
            let mut bytes = whole[..len].to_vec();
            bytes[from..].fill(0);
            judge(&bytes)
        };
        let edge = 512 - 100;
        assert_eq!(zeroed(edge, whole.len()), None);
        assert_eq!(zeroed(edge + 512, whole.len()), None);
        // Within a block: a disk writes all of it or nothing.
        let small = record(9, 300);
        let mut bytes = small.clone();
        bytes[small.len() - 30..].fill(0);
        assert_eq!(judge(&bytes), Some(CHECKSUM));
        // From an edge, but so few that a whole record may end like this.
        for (payload, fault) in [(412 + 19 - 44, Some(CHECKSUM)), (412 + 20 - 44, None)] {
            let mut bytes = record(9, payload);
            bytes[edge..].fill(0);
            assert_eq!(judge(&bytes), fault, "payload of {payload}");
        }
    }

    #[test]
    fn whole_records_are_found_wherever_they_stand() {
        let later = record(11, 40);
        for before in [
            1,
            2,
            43,
            READ_BYTES - 10,
            READ_BYTES,
            READ_BYTES + 1,
            2 * READ_BYTES - 30,
        ] {
            let mut bytes = record(9, 3 << 20);
            bytes.truncate(before);
            bytes.extend_from_slice(&later);
            bytes.extend_from_slice(&[0xee; 50]);
            let found = judge(&bytes);
            let Some(Fault::BeforeRecords { later, .. }) = found else {
                panic!("after {before} bytes: {found:?}")
            };
            assert_eq!(later, 100 + before as u64);
        }
        // Records of before, and of a number that no later record can have, are payload.
        for seq in [8, 9 + 10_000] {
            let mut bytes = record(9, 1_000);
            bytes.truncate(500);
            bytes.extend_from_slice(&record(seq, 40));
            assert_eq!(judge(&bytes), None, "record {seq}");
        }
    }

    #[test]
    fn a_changed_length_is_not_torn() {
        let whole = record(9, 200);
        for length in [201_u32, 2_000, 3 << 20] {
            let mut bytes = whole.clone();
            bytes[..4].copy_from_slice(&length.to_le_bytes());
            assert_eq!(judge(&bytes), Some(Fault::Length), "length {length}");
        }
        // One bit of it, with the front of another record behind.
        let mut bytes = [&whole[..], &record(10, 90)[..60]].concat();
        bytes[2] ^= 1;
        assert_eq!(judge(&bytes), Some(Fault::Length));
    }
}
