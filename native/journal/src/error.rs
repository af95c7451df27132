//! Why the record cannot be written or read.

use std::io;
use std::path::{Path, PathBuf};

use crate::codec::CodecError;
use crate::frame::FrameError;

/// What is wrong at one place of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bytes are not a record.
    #[error("{0}")]
    Frame(FrameError),
    /// The bytes are not a record, and whole records follow: this is no torn end.
    #[error("{error}, but a whole record follows at byte {later}")]
    BeforeRecords {
        /// What is wrong.
        error: FrameError,
        /// Where the next whole record stands.
        later: u64,
    },
    /// The record's length was changed: with another one it is whole.
    #[error("the record's length was changed")]
    Length,
    /// The segment ends inside a record, and another segment follows.
    #[error("the segment ends inside a record, but another segment follows")]
    CutSegment,
    /// The record stands in another's place.
    #[error("record {0} stands here")]
    Sequence(u64),
    /// The head of the segment is damaged or belongs elsewhere.
    #[error("the segment's head does not continue what stands before it")]
    SegmentHead,
    /// The first record of a journal is not a run header.
    #[error("a run header must stand here")]
    NoHeader,
    /// The payload is not what its kind says.
    #[error("{0}")]
    Payload(#[from] CodecError),
}

/// Why the durable record cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk, the quota or the file size limit is used up. Nothing of the record was kept.
    #[error("{path}: no room for the record ({source}): free some space; until then nothing new may be traded", path = path.display())]
    DiskFull {
        /// The segment.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Forcing data to disk failed. What was written since the last success may be lost, and trying again would hide
    /// that: the process must end and recover.
    #[error("{dir}: forcing the record to disk failed ({source}): stop now, check the disk, then start again", dir = dir.display())]
    SyncFailed {
        /// The journal.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Too many segments wait to be forced to disk: the thread that owns the syncer is gone or stuck.
    #[error("{dir}: {segments} segments wait to be forced to disk: the sync thread does not keep up", dir = dir.display())]
    SyncStalled {
        /// The journal.
        dir: PathBuf,
        /// How many wait.
        segments: usize,
    },
    /// A write failed halfway and could not be undone: the end of the segment is torn.
    #[error("{path}: a failed write could not be undone: stop now and start again, recovery cuts the torn end", path = path.display())]
    Broken {
        /// The segment.
        path: PathBuf,
    },
    /// Any other failure of the system.
    #[error("{path}: {doing}: {source}", path = path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A record is longer than a record may be.
    #[error("a record's payload exceeds {max} bytes", max = crate::frame::PAYLOAD_MAX_BYTES)]
    TooLong,
    /// Events are numbered 1, 2, 3, ... without a gap.
    #[error("event {found} was given, but {expected} is next")]
    EventOrder {
        /// The number that is next.
        expected: u64,
        /// The number of the event.
        found: u64,
    },
    /// An option is too small.
    #[error("{what} is {given}, but must be at least {min}")]
    Options {
        /// Which option.
        what: &'static str,
        /// Its value.
        given: u64,
        /// The least value.
        min: u64,
    },
    /// A run header would not read back.
    #[error("the run header cannot be recorded: {0}")]
    Header(CodecError),
    /// Another process writes this journal.
    #[error("{dir}: another process writes this journal: stop it first, or give this one a folder of its own", dir = dir.display())]
    InUse {
        /// The journal.
        dir: PathBuf,
    },
    /// A journal is there already.
    #[error("{dir}: holds a journal: recover it, or choose another folder", dir = dir.display())]
    Exists {
        /// The journal.
        dir: PathBuf,
    },
    /// There is no journal.
    #[error("{dir}: holds no journal: check the run's folder", dir = dir.display())]
    Absent {
        /// Where one was expected.
        dir: PathBuf,
    },
    /// A segment is missing.
    #[error("{path}: this segment is missing: restore it from a copy", path = path.display())]
    MissingSegment {
        /// Where it should be.
        path: PathBuf,
        /// Its number.
        segment: u32,
    },
    /// The journal is damaged: not a torn end, but something that had been written and is no longer what it was.
    #[error("{path}: damaged at byte {offset} (segment {segment}, record {seq}): {fault}. Nothing was changed: restore the segment from a copy; do not trade on this record", path = path.display())]
    Damaged {
        /// The segment's file.
        path: PathBuf,
        /// The segment's number.
        segment: u32,
        /// Where in the file.
        offset: u64,
        /// Which record should stand there.
        seq: u64,
        /// What is wrong.
        fault: Fault,
    },
    /// The journal was written in a format that this build does not read.
    #[error("{path}: {source}", path = path.display())]
    Format {
        /// The segment.
        path: PathBuf,
        /// Which format.
        source: CodecError,
    },
}

impl JournalError {
    /// A failure of the system, told apart by whether room is what lacks.
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::DiskFull { path, source }
            }
            _ => Self::Io { doing, path, source },
        }
    }

    /// Whether room is what lacks: the process may go on without new orders.
    #[must_use]
    pub const fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }
}
