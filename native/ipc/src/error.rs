//! What can go wrong between processes.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::atomic_flags::FlagsError;
use crate::layout::LayoutFault;
use crate::market_cache::CacheFault;
use crate::parameters::ParameterFault;
use crate::record::RecordError;
use crate::ring_buffer::RingFault;
use crate::seqlock::SeqlockError;
use crate::shared_memory::MAX_NAME_BYTES;

/// Every failure of this crate.
#[derive(Debug, Error)]
pub enum IpcError {
    /// The kernel refused something.
    #[error("cannot {operation} {subject}: {source}")]
    Os {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// On what.
        subject: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A segment's name is not allowed.
    #[error(
        "segment name {0:?} is not allowed: use 1 to {MAX_NAME_BYTES} characters of a-z, 0-9, '.', '_', '-'"
    )]
    Name(String),
    /// A ring or table of this size is not allowed.
    #[error("segment {name} cannot have {capacity} slots: allowed are {allowed}")]
    Capacity {
        /// The segment.
        name: String,
        /// Slots asked for.
        capacity: u64,
        /// What is allowed.
        allowed: String,
    },
    /// The socket's directory could be entered by others.
    #[error("directory {path} {fault}: sockets need a directory owned by this user with mode 0700")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// The socket's path is too long for the kernel.
    #[error("socket path {path} has {len} bytes, allowed are {max}: choose a shorter run folder")]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        len: usize,
        /// The kernel's limit.
        max: usize,
    },
    /// Another process serves on this socket.
    #[error("socket {path} is served by a running process: stop it, or use another run folder")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The process at the other end belongs to another user.
    #[error("the peer runs as user {peer}, only user {own} may share memory with this process")]
    PeerUser {
        /// The peer's user id.
        peer: u32,
        /// Ours.
        own: u32,
    },
    /// The peer did not answer in time.
    #[error("socket {path} did not answer within {timeout_ms} ms: see whether the service is running")]
    Timeout {
        /// The socket.
        path: PathBuf,
        /// The bound.
        timeout_ms: u64,
    },
    /// The peer's answer is not in our protocol.
    #[error("socket {path} answered with {fault}: it is not served by a compatible py_rt service")]
    Protocol {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        fault: &'static str,
    },
    /// The service has no segment of this name.
    #[error("segment {name:?} is not offered at {path}: offered are {offered}")]
    UnknownSegment {
        /// The name asked for.
        name: String,
        /// The socket.
        path: PathBuf,
        /// What the service offers.
        offered: String,
    },
    /// More segments than the bound.
    #[error("segment {name} is one too many: a registry holds {max}")]
    TooManySegments {
        /// The segment that did not fit.
        name: String,
        /// The bound.
        max: usize,
    },
    /// The received memory is not sealed as it must be.
    #[error(
        "segment {name} is not sealed as it must be ({fault}): it is refused, since its owner could pull it away"
    )]
    Seals {
        /// The segment.
        name: String,
        /// Which seals are wrong.
        fault: String,
    },
    /// The received memory is not a segment of the expected kind.
    #[error("segment {name} is refused: {fault}")]
    Layout {
        /// The segment.
        name: String,
        /// What is wrong.
        fault: LayoutFault,
    },
    /// The header of a mapped segment has changed since it was attached.
    #[error(
        "segment {name} changed its epoch from {attached} to {found} in place, which no writer does: attach again"
    )]
    EpochChanged {
        /// The segment.
        name: String,
        /// The epoch at attaching.
        attached: u64,
        /// The epoch found.
        found: u64,
    },
    /// The service offers a segment that is not newer than the one attached.
    #[error(
        "segment {name} was replaced without a newer epoch ({attached} before, {offered} now): it is refused"
    )]
    EpochNotNewer {
        /// The segment.
        name: String,
        /// The epoch at attaching.
        attached: u64,
        /// The epoch offered.
        offered: u64,
    },
    /// A caller's buffer does not hold whole rows.
    #[error(
        "a buffer of {len} bytes does not hold whole rows: its length must be a positive multiple of {row}"
    )]
    Buffer {
        /// The buffer's length.
        len: usize,
        /// Bytes of a row.
        row: usize,
    },
    /// Another client holds the writing end.
    #[error("parameters {name} are being written by another process: only one may at a time")]
    WriterBusy {
        /// The parameter slot.
        name: String,
    },
    /// The ring holds what no writer leaves.
    #[error("ring {name} is corrupt: {fault}")]
    Ring {
        /// The ring.
        name: String,
        /// What was found.
        fault: RingFault,
    },
    /// A table's entry was not read or written.
    #[error("segment {name}: {fault}")]
    Seqlock {
        /// The segment.
        name: String,
        /// Why.
        fault: SeqlockError,
    },
    /// A table's entry holds no record.
    #[error("segment {name} entry {index}: {fault}")]
    Record {
        /// The segment.
        name: String,
        /// The entry.
        index: usize,
        /// Why.
        fault: RecordError,
    },
    /// A cache's entry holds no market.
    #[error("market cache {name} entry {index}: {fault}")]
    Cache {
        /// The segment.
        name: String,
        /// The entry.
        index: usize,
        /// Why.
        fault: CacheFault,
    },
    /// Flags were not read or changed.
    #[error("flags {name}: {fault}")]
    Flags {
        /// The segment.
        name: String,
        /// Why.
        fault: FlagsError,
    },
    /// A parameter request or answer is not valid.
    #[error("parameters {name}: {fault}")]
    Parameters {
        /// The parameter slot.
        name: String,
        /// Why.
        fault: ParameterFault,
    },
}

impl IpcError {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers hand over `path.display()` and text alike"
    )]
    pub(crate) fn os(operation: &'static str, subject: impl ToString, source: impl Into<io::Error>) -> Self {
        Self::Os {
            operation,
            subject: subject.to_string(),
            source: source.into(),
        }
    }
}
