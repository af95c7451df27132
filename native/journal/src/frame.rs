//! One record's bytes: `len u32 | kind u8 | 0 0 0 | seq u64 | ts i64 | payload | chain [16] | crc32c u32`,
//! little endian. The CRC covers everything before it; the chain covers every record so far.

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 24;
/// Bytes after the payload.
pub const TRAILER_BYTES: usize = 20;
/// Longest payload, bytes.
pub const PAYLOAD_MAX_BYTES: usize = 4 << 20;

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A life of the service begins: record 0, and later lives.
    Header = 1,
    /// An input of the engine.
    Event = 2,
    /// An output of the engine, for comparison.
    Action = 3,
}

/// The running hash over all records: the first 16 bytes of a BLAKE3.
pub type Chain = [u8; 16];

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than the record needs.
    #[error("the record is cut short")]
    Short,
    /// The payload exceeds [`PAYLOAD_MAX_BYTES`].
    #[error("the payload exceeds {PAYLOAD_MAX_BYTES} bytes")]
    TooLong,
    /// The checksum differs.
    #[error("the record's checksum differs")]
    Checksum,
    /// The chain differs: a record before it was changed, lost or added.
    #[error("the record does not continue the chain")]
    Chain,
    /// An unknown kind, or reserved bytes that are not zero.
    #[error("the record's kind is unknown to this version")]
    Kind,
}

/// A record read in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it holds.
    pub kind: Kind,
    /// Its position in the journal.
    pub seq: u64,
    /// Engine time, UTC nanoseconds.
    pub ts: i64,
    /// Its content.
    pub payload: &'a [u8],
    /// The chain after it.
    pub chain: Chain,
    /// Its length in the segment, bytes.
    pub bytes: usize,
}

fn next_chain(previous: &Chain, body: &[u8]) -> Chain {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous).update(body);
    let mut chain = [0; 16];
    chain.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    chain
}

/// Appends a record to `out`, its payload written in place by `payload`, and returns the chain after it.
///
/// # Errors
/// [`FrameError::TooLong`]; `out` is then as it was.
pub fn encode(
    out: &mut Vec<u8>,
    previous: &Chain,
    (kind, seq, ts): (Kind, u64, i64),
    payload: impl FnOnce(&mut Vec<u8>),
) -> Result<Chain, FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind as u8, 0, 0, 0]);
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&ts.to_le_bytes());
    payload(out);
    let len = out.len() - start - HEADER_BYTES;
    let Some(len) = u32::try_from(len).ok().filter(|_| len <= PAYLOAD_MAX_BYTES) else {
        out.truncate(start);
        return Err(FrameError::TooLong);
    };
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    let chain = next_chain(previous, &out[start..]);
    out.extend_from_slice(&chain);
    let crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
    Ok(chain)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], FrameError> {
    let part = bytes.get(at..at + N).ok_or(FrameError::Short)?;
    part.try_into().map_err(|_| FrameError::Short)
}

/// The length of the record that begins with `head`, and its number; `None` for a head that no record has.
pub(crate) fn plausible(head: &[u8; HEADER_BYTES]) -> Option<(usize, u64)> {
    if !matches!(head[4..8], [1..=3, 0, 0, 0]) {
        return None;
    }
    let len = usize::try_from(u32::from_le_bytes(array(head, 0).ok()?)).ok()?;
    let seq = u64::from_le_bytes(array(head, 8).ok()?);
    (len <= PAYLOAD_MAX_BYTES).then_some((HEADER_BYTES + len + TRAILER_BYTES, seq))
}

/// Whether `bytes` end with their own checksum, whatever chain they continue.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER_BYTES + TRAILER_BYTES
        && bytes
            .split_last_chunk::<4>()
            .is_some_and(|(body, crc)| crc32c::crc32c(body).to_le_bytes() == *crc)
}

/// Reads the record at the start of `bytes`.
///
/// # Errors
/// Every [`FrameError`]; nothing is guessed.
pub fn decode<'a>(bytes: &'a [u8], previous: &Chain) -> Result<Frame<'a>, FrameError> {
    let len = usize::try_from(u32::from_le_bytes(array(bytes, 0)?)).map_err(|_| FrameError::TooLong)?;
    if len > PAYLOAD_MAX_BYTES {
        return Err(FrameError::TooLong);
    }
    let end = HEADER_BYTES + len;
    let chain: Chain = array(bytes, end)?;
    if u32::from_le_bytes(array(bytes, end + 16)?) != crc32c::crc32c(&bytes[..end + 16]) {
        return Err(FrameError::Checksum);
    }
    let kind = match array::<4>(bytes, 4)? {
        [1, 0, 0, 0] => Kind::Header,
        [2, 0, 0, 0] => Kind::Event,
        [3, 0, 0, 0] => Kind::Action,
        _ => return Err(FrameError::Kind),
    };
    if next_chain(previous, &bytes[..end]) != chain {
        return Err(FrameError::Chain);
    }
    Ok(Frame {
        kind,
        seq: u64::from_le_bytes(array(bytes, 8)?),
        ts: i64::from_le_bytes(array(bytes, 16)?),
        payload: &bytes[HEADER_BYTES..end],
        chain,
        bytes: end + TRAILER_BYTES,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_and_every_flipped_bit_is_refused() {
        let mut bytes = Vec::new();
        let put = |out: &mut Vec<u8>| out.extend_from_slice(b"payload");
        let chain = encode(&mut bytes, &[0; 16], (Kind::Event, 7, -9), put).expect("fits");
        let frame = decode(&bytes, &[0; 16]).expect("whole");
        assert_eq!(
            (frame.kind, frame.seq, frame.ts, frame.payload),
            (Kind::Event, 7, -9, &b"payload"[..])
        );
        assert_eq!((frame.chain, frame.bytes), (chain, bytes.len()));
        for cut in 0..bytes.len() {
            assert_eq!(
                decode(&bytes[..cut], &[0; 16]),
                Err(FrameError::Short),
                "cut at {cut}"
            );
        }
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad, &[0; 16]).is_err(), "bit {bit}");
        }
        assert_eq!(decode(&bytes, &[1; 16]), Err(FrameError::Chain));
    }

    #[test]
    fn a_payload_beyond_the_bound_leaves_nothing_behind() {
        let mut bytes = vec![1];
        let put = |len: usize| move |out: &mut Vec<u8>| out.resize(out.len() + len, 7);
        let frame = (Kind::Event, 1, 1);
        let refused = encode(&mut bytes, &[0; 16], frame, put(PAYLOAD_MAX_BYTES + 1));
        assert_eq!((refused, bytes), (Err(FrameError::TooLong), vec![1]));
        let mut longest = Vec::new();
        encode(&mut longest, &[0; 16], frame, put(PAYLOAD_MAX_BYTES)).expect("fits");
        assert!(decode(&longest, &[0; 16]).is_ok());
    }
}
