//! What a segment looks like in memory, and how a stranger's segment is judged.
//!
//! Every segment starts with the same header; what follows are `capacity` slots of `slot_bytes` each. All words are
//! 64-bit little-endian. The cursor and the heartbeat stand on lines of their own, 128 bytes apart, because the CPU
//! fetches lines in pairs.
//!
//! ```text
//! byte    0               8               16              24              32
//!     0   +---------------+---------------+---------------+---------------+
//!         | magic         | layout_hash   | version       | kind          |
//!    32   +---------------+---------------+---------------+---------------+
//!         | slot_bytes    | capacity      | writer_pid    | epoch         |
//!    64   +---------------+---------------+---------------+---------------+
//!         | state         | (zero)                                        |
//!   128   +---------------+-----------------------------------------------+
//!         | cursor        | (zero)            rings: records complete     |
//!   256   +---------------+-----------------------------------------------+
//!         | heartbeat_ns  | (zero)            CLOCK_MONOTONIC             |
//!   384   +---------------+-----------------------------------------------+
//!         | slot 0                                                        |
//!         | slot 1                                                        |
//!         | ...                                                           |
//!         +---------------------------------------------------------------+  384 + capacity * slot_bytes
//!
//! slot of a ring        sequence, 15 payload words (a record)
//! slot of a table       sequence, 15 payload words (a record), one entry per index
//! slot of a cache       sequence, 63 payload words: slot 0 the service's clock, slot i + 1 the market of instrument i
//! slot of a request     sequence, 43 payload words, padding
//! slot of an answer     sequence, 12 payload words, padding
//! slot of flags         bits, padding
//! ```
//!
//! `layout_hash` covers every name, offset and type above, in [`crate::record`] and in [`crate::market_cache`], so that a
//! reader built from other sources refuses the segment instead of misreading it. `version` is for people.

use thiserror::Error;

use crate::market_cache::{CLOCK_FIELDS, CODES, ENTRY_BYTES, FIELDS};
use crate::record::{Field, KINDS, PAYLOAD_WORDS};

/// First word of every segment: `PYRTSHM1` in memory.
pub const MAGIC: u64 = u64::from_le_bytes(*b"PYRTSHM1");
/// Version of the layout, for messages; the hash decides.
pub const LAYOUT_VERSION: u64 = 1;
/// Bytes before slot 0.
pub const HEADER_BYTES: usize = 384;

/// Word of the header's `state` field.
pub(crate) const STATE_WORD: usize = 8;
/// Word of the header's `cursor` field.
pub(crate) const CURSOR_WORD: usize = 16;
/// Word of the header's `heartbeat_ns` field.
pub(crate) const HEARTBEAT_WORD: usize = 32;
/// Word of slot 0.
#[cfg(not(loom))]
pub(crate) const FIRST_SLOT_WORD: usize = HEADER_BYTES / 8;

/// `state`: its writer is at work.
pub(crate) const STATE_OPEN: u64 = 1;
/// `state`: its writer has finished; nothing will follow.
#[cfg(not(loom))]
pub(crate) const STATE_CLOSED: u64 = 2;

/// Largest segment there may be, in bytes.
pub const MAX_SEGMENT_BYTES: u64 = 1 << 28;
/// Fewest and most slots of a ring.
pub const RING_CAPACITY: std::ops::RangeInclusive<u64> = 8..=1 << 20;
/// Fewest and most entries of a table.
pub const TABLE_CAPACITY: std::ops::RangeInclusive<u64> = 1..=1 << 16;
/// Fewest and most slots of a cache: the clock's, and one for each instrument.
pub const CACHE_CAPACITY: std::ops::RangeInclusive<u64> = 2..=1 << 12;
/// Fewest and most entries of flags.
pub const FLAGS_CAPACITY: std::ops::RangeInclusive<u64> = 1..=1 << 10;

/// The fields of the header: name and byte offset.
pub const HEADER_FIELDS: [(&str, usize); 11] = [
    ("magic", 0),
    ("layout_hash", 8),
    ("version", 16),
    ("kind", 24),
    ("slot_bytes", 32),
    ("capacity", 40),
    ("writer_pid", 48),
    ("epoch", 56),
    ("state", 8 * STATE_WORD),
    ("cursor", 8 * CURSOR_WORD),
    ("heartbeat_ns", 8 * HEARTBEAT_WORD),
];

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SegmentKind {
    /// A broadcast ring of records.
    Ring,
    /// A table of latest records.
    Table,
    /// Parameter requests of a client.
    ParameterRequest,
    /// The service's answers to them.
    ParameterAnswer,
    /// The stopping ladder.
    Flags,
    /// The latest market of each instrument.
    MarketCache,
}

impl SegmentKind {
    /// The header's code of it.
    pub const fn code(self) -> u64 {
        match self {
            Self::Ring => 1,
            Self::Table => 2,
            Self::ParameterRequest => 3,
            Self::ParameterAnswer => 4,
            Self::Flags => 5,
            Self::MarketCache => 6,
        }
    }

    /// The one slot size of it, in bytes.
    pub const fn slot_bytes(self) -> u64 {
        match self {
            Self::Ring | Self::Table => 8 * (1 + PAYLOAD_WORDS as u64),
            Self::ParameterRequest => 384,
            Self::ParameterAnswer => 128,
            Self::Flags => 64,
            Self::MarketCache => ENTRY_BYTES as u64,
        }
    }

    /// How many slots it may have.
    pub const fn capacities(self) -> std::ops::RangeInclusive<u64> {
        match self {
            Self::Ring => RING_CAPACITY,
            Self::Table => TABLE_CAPACITY,
            Self::ParameterRequest | Self::ParameterAnswer => 1..=1,
            Self::Flags => FLAGS_CAPACITY,
            Self::MarketCache => CACHE_CAPACITY,
        }
    }

    /// Whether `capacity` slots are allowed; a ring's capacity is a power of two besides.
    pub const fn allows(self, capacity: u64) -> bool {
        let range = self.capacities();
        let inside = *range.start() <= capacity && capacity <= *range.end();
        inside && (!matches!(self, Self::Ring) || capacity.is_power_of_two())
    }

    /// Bytes of a segment of this kind with `capacity` slots.
    pub const fn segment_bytes(self, capacity: u64) -> u64 {
        HEADER_BYTES as u64 + capacity * self.slot_bytes()
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

const fn fold_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(FNV_PRIME);
        i += 1;
    }
    // Ends each part, so that "ab" + "c" and "a" + "bc" differ.
    (hash ^ 0xff).wrapping_mul(FNV_PRIME)
}

const fn fold_number(hash: u64, number: u64) -> u64 {
    fold_bytes(hash, &number.to_le_bytes())
}

const fn fold_records(mut hash: u64) -> u64 {
    let mut kind = 0;
    while kind < KINDS.len() {
        let description = &KINDS[kind];
        hash = fold_number(hash, description.code as u64);
        hash = fold_bytes(hash, description.name.as_bytes());
        hash = fold_fields(hash, description.fields);
        kind += 1;
    }
    hash
}

const fn fold_fields(mut hash: u64, fields: &[Field]) -> u64 {
    let mut field = 0;
    while field < fields.len() {
        let described = &fields[field];
        hash = fold_bytes(hash, described.name.as_bytes());
        hash = fold_number(hash, described.offset as u64);
        hash = fold_bytes(hash, described.numpy.as_bytes());
        hash = fold_bytes(hash, described.unit.as_bytes());
        field += 1;
    }
    hash
}

const fn fold_codes(mut hash: u64) -> u64 {
    let mut field = 0;
    while field < CODES.len() {
        let (name, values) = CODES[field];
        hash = fold_bytes(hash, name.as_bytes());
        let mut code = 0;
        while code < values.len() {
            hash = fold_bytes(hash, values[code].as_bytes());
            code += 1;
        }
        field += 1;
    }
    hash
}

/// FNV-1a over the layout of a segment of this kind: header fields, slot size, and the records where it holds them.
pub const fn layout_hash(kind: SegmentKind) -> u64 {
    let mut hash = fold_number(FNV_OFFSET, LAYOUT_VERSION);
    let mut field = 0;
    while field < HEADER_FIELDS.len() {
        hash = fold_bytes(hash, HEADER_FIELDS[field].0.as_bytes());
        hash = fold_number(hash, HEADER_FIELDS[field].1 as u64);
        field += 1;
    }
    hash = fold_number(hash, kind.code());
    hash = fold_number(hash, kind.slot_bytes());
    match kind {
        SegmentKind::Ring | SegmentKind::Table => fold_records(hash),
        SegmentKind::ParameterRequest => fold_bytes(hash, REQUEST_WORDS.as_bytes()),
        SegmentKind::ParameterAnswer => fold_bytes(hash, ANSWER_WORDS.as_bytes()),
        SegmentKind::Flags => fold_bytes(hash, FLAG_BITS.as_bytes()),
        SegmentKind::MarketCache => fold_codes(fold_fields(fold_fields(hash, &CLOCK_FIELDS), &FIELDS)),
    }
}

/// The words of [`crate::parameters`] and the bits of [`crate::atomic_flags`], as `layout_hash` sees them: change
/// these with the code.
const REQUEST_WORDS: &str = "version ts_requested slot:u16,count:u16 8*{name:32,value:1e-8}";
const ANSWER_WORDS: &str = "answered_version applied_version status answered_ns reason:64";
const FLAG_BITS: &str = "paused canceling reduce-only flattening killed";

/// Why a segment is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LayoutFault {
    /// Too small for a header, or larger than any segment may be.
    #[error("its size is {found} bytes, allowed are {HEADER_BYTES} to {MAX_SEGMENT_BYTES}")]
    Size {
        /// Bytes found.
        found: u64,
    },
    /// The size is not the one its header implies.
    #[error("its size is {found} bytes, its header implies {implied}")]
    SizeMismatch {
        /// Bytes found.
        found: u64,
        /// Bytes the header implies.
        implied: u64,
    },
    /// The first word is not the magic.
    #[error("its first word is {found:#018x}, not {MAGIC:#018x}: this is not a segment of py_rt")]
    Magic {
        /// The word found.
        found: u64,
    },
    /// Another layout.
    #[error(
        "its layout is version {version} with hash {found:#018x}, this build reads version {LAYOUT_VERSION} with hash \
         {expected:#018x}: install the service and the reader from the same package"
    )]
    Layout {
        /// The version it states.
        version: u64,
        /// The hash it states.
        found: u64,
        /// The hash of this build.
        expected: u64,
    },
    /// Another kind of segment.
    #[error("it is of kind {found}, asked for was {expected:?} (kind {})", expected.code())]
    Kind {
        /// The code found.
        found: u64,
        /// The kind asked for.
        expected: SegmentKind,
    },
    /// A slot size or capacity that its kind does not have.
    #[error("it states {capacity} slots of {slot_bytes} bytes, which {kind:?} does not allow")]
    Slots {
        /// The kind asked for.
        kind: SegmentKind,
        /// Slot size stated.
        slot_bytes: u64,
        /// Capacity stated.
        capacity: u64,
    },
}

/// The header's fixed fields, copied out of the segment once and trusted no further than checked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the segment holds.
    pub kind: SegmentKind,
    /// Number of slots.
    pub capacity: u64,
    /// The writer's process id as the writer sees it; for people.
    pub writer_pid: u64,
    /// The writer's life; grows with every restart.
    pub epoch: u64,
}

impl Header {
    /// The first bytes of a fresh segment.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let words = [
            MAGIC,
            layout_hash(self.kind),
            LAYOUT_VERSION,
            self.kind.code(),
            self.kind.slot_bytes(),
            self.capacity,
            self.writer_pid,
            self.epoch,
            STATE_OPEN,
        ];
        for (cell, word) in bytes.chunks_exact_mut(8).zip(words) {
            cell.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Judges the first bytes of a segment of `size` bytes that should be of `kind`.
    ///
    /// # Errors
    /// The first [`LayoutFault`] found.
    pub fn decode(bytes: &[u8; HEADER_BYTES], size: u64, kind: SegmentKind) -> Result<Self, LayoutFault> {
        let mut words = [0; HEADER_BYTES / 8];
        for (word, cell) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*cell);
        }
        let [
            magic,
            hash,
            version,
            code,
            slot_bytes,
            capacity,
            writer_pid,
            epoch,
            ..,
        ] = words;
        if !(HEADER_BYTES as u64..=MAX_SEGMENT_BYTES).contains(&size) {
            return Err(LayoutFault::Size { found: size });
        }
        if magic != MAGIC {
            return Err(LayoutFault::Magic { found: magic });
        }
        if code != kind.code() {
            return Err(LayoutFault::Kind {
                found: code,
                expected: kind,
            });
        }
        let expected = layout_hash(kind);
        if (version, hash) != (LAYOUT_VERSION, expected) {
            return Err(LayoutFault::Layout {
                version,
                found: hash,
                expected,
            });
        }
        if slot_bytes != kind.slot_bytes() || !kind.allows(capacity) {
            return Err(LayoutFault::Slots {
                kind,
                slot_bytes,
                capacity,
            });
        }
        let implied = kind.segment_bytes(capacity);
        if size != implied {
            return Err(LayoutFault::SizeMismatch { found: size, implied });
        }
        Ok(Self {
            kind,
            capacity,
            writer_pid,
            epoch,
        })
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use proptest::prelude::*;

    use super::{
        HEADER_BYTES, HEADER_FIELDS, Header, LayoutFault, MAX_SEGMENT_BYTES, SegmentKind, layout_hash,
    };

    const KINDS: [SegmentKind; 6] = [
        SegmentKind::Ring,
        SegmentKind::Table,
        SegmentKind::ParameterRequest,
        SegmentKind::ParameterAnswer,
        SegmentKind::Flags,
        SegmentKind::MarketCache,
    ];

    fn header(kind: SegmentKind) -> Header {
        Header {
            kind,
            capacity: *kind.capacities().start(),
            writer_pid: 7,
            epoch: 3,
        }
    }

    /// A change of any name, offset or type shows here: raise `LAYOUT_VERSION` with it.
    #[test]
    fn the_layout_changes_only_on_purpose() {
        let hashes = KINDS.map(layout_hash);
        let expected = [
            0x845d_f7ad_4b24_1773,
            0xf05f_ae74_0bc7_e7d8,
            0xd108_39be_01c1_ae3b,
            0x5ff4_75ad_b2c9_fc01,
            0x412d_299e_b632_97d9,
            0xdffc_8b2c_5462_22e9,
        ];
        assert_eq!(hashes, expected, "{hashes:x?}");
    }

    #[test]
    fn a_header_is_read_as_written() {
        for kind in KINDS {
            let header = header(kind);
            let size = kind.segment_bytes(header.capacity);
            assert_eq!(Header::decode(&header.encode(), size, kind), Ok(header));
        }
    }

    #[test]
    fn every_damaged_word_that_decides_is_refused() {
        for kind in KINDS {
            let size = kind.segment_bytes(header(kind).capacity);
            for (name, offset) in HEADER_FIELDS.iter().filter(|(_, offset)| *offset < 48) {
                for bit in 0..64 {
                    let mut bytes = header(kind).encode();
                    bytes[offset + bit / 8] ^= 1 << (bit % 8);
                    assert!(
                        Header::decode(&bytes, size, kind).is_err(),
                        "{kind:?} {name} bit {bit}"
                    );
                }
            }
        }
    }

    #[test]
    fn sizes_are_bounded_and_exact() {
        let bytes = header(SegmentKind::Ring).encode();
        let right = SegmentKind::Ring.segment_bytes(8);
        for size in [
            0,
            HEADER_BYTES as u64 - 1,
            right - 1,
            right + 1,
            MAX_SEGMENT_BYTES + 1,
            u64::MAX,
        ] {
            assert!(Header::decode(&bytes, size, SegmentKind::Ring).is_err(), "{size}");
        }
        let wrong_kind = Header::decode(&bytes, right, SegmentKind::Table);
        assert_eq!(
            wrong_kind,
            Err(LayoutFault::Kind {
                found: 1,
                expected: SegmentKind::Table
            })
        );
        for kind in KINDS {
            assert!(kind.segment_bytes(*kind.capacities().end()) <= MAX_SEGMENT_BYTES);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), HEADER_BYTES), size in any::<u64>()) {
            let bytes = <[u8; HEADER_BYTES]>::try_from(bytes).unwrap();
            for kind in KINDS {
                prop_assert!(Header::decode(&bytes, size, kind).is_err());
            }
        }
    }
}
