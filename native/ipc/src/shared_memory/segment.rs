//! Making and judging segments.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    FallocateFlags, MemfdFlags, Mode, SealFlags, fallocate, fchmod, fcntl_add_seals, fcntl_get_seals, fstat,
    ftruncate, memfd_create,
};
use rustix::io::{Errno, pread, pwrite};

use super::liveness::monotonic_ns;
use super::mapping::{ReadMapping, WriteMapping};
use super::wire::check_name;
use crate::atomics::{Access, Ordering, Words};
use crate::error::IpcError;
use crate::layout::{
    HEADER_BYTES, HEARTBEAT_WORD, Header, LayoutFault, STATE_CLOSED, STATE_WORD, SegmentKind,
};

/// What clients may do with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientAccess {
    /// Map it for reading.
    Read,
    /// Map it for writing: parameter requests.
    Write,
}

impl ClientAccess {
    /// The seals a segment must carry.
    fn seals(self) -> SealFlags {
        let always = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        match self {
            Self::Read => always | SealFlags::FUTURE_WRITE,
            Self::Write => always,
        }
    }
}

/// What to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentSpec {
    pub(crate) kind: SegmentKind,
    pub(crate) capacity: u64,
    pub(crate) epoch: u64,
    pub(crate) access: ClientAccess,
}

/// A segment this process made. `M` is its own mapping of it.
#[derive(Debug)]
pub(crate) struct OwnedSegment<M> {
    name: String,
    fd: OwnedFd,
    words: M,
}

impl OwnedSegment<WriteMapping> {
    /// A segment that this process writes and clients read.
    pub(crate) fn writable(name: &str, spec: SegmentSpec) -> Result<Self, IpcError> {
        let (fd, words) = allocate(name, spec)?;
        let words = WriteMapping::map(fd.as_fd(), words, name)?;
        let segment = Self {
            name: name.to_owned(),
            fd,
            words,
        };
        segment.heartbeat();
        // After mapping: the seal forbids new writable mappings and leaves this one.
        seal(name, segment.fd.as_fd(), spec.access)?;
        Ok(segment)
    }

    /// Tells readers that the writer is at work.
    pub(crate) fn heartbeat(&self) {
        self.words.span(HEARTBEAT_WORD, 1, Access::granted())[0].store(monotonic_ns(), Ordering::Release);
    }

    /// Keeps the segment's pages in memory.
    pub(crate) fn lock_in_memory(&self) -> Result<(), IpcError> {
        self.words.lock(&self.name)
    }

    /// Tells readers that nothing will follow.
    pub(crate) fn close(&self) {
        self.words.span(STATE_WORD, 1, Access::granted())[0].store(STATE_CLOSED, Ordering::Release);
    }
}

impl OwnedSegment<ReadMapping> {
    /// A segment that a client writes and this process reads.
    pub(crate) fn readable(name: &str, spec: SegmentSpec) -> Result<Self, IpcError> {
        let (fd, words) = allocate(name, spec)?;
        seal(name, fd.as_fd(), spec.access)?;
        let words = ReadMapping::map(fd.as_fd(), words, name)?;
        Ok(Self {
            name: name.to_owned(),
            fd,
            words,
        })
    }
}

impl<M: Clone> OwnedSegment<M> {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn words(&self) -> M {
        self.words.clone()
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Makes the file: size, pages, header. Returns it with its length in words.
fn allocate(name: &str, spec: SegmentSpec) -> Result<(OwnedFd, usize), IpcError> {
    check_name(name)?;
    let SegmentSpec {
        kind,
        capacity,
        epoch,
        ..
    } = spec;
    if !kind.allows(capacity) {
        let range = kind.capacities();
        let power = if kind == SegmentKind::Ring {
            ", a power of two"
        } else {
            ""
        };
        let allowed = format!("{} to {}{power}", range.start(), range.end());
        return Err(IpcError::Capacity {
            name: name.to_owned(),
            capacity,
            allowed,
        });
    }
    let size = kind.segment_bytes(capacity);
    let fail = |operation| move |source: Errno| IpcError::os(operation, name, source);
    let fd = memory_file(name).map_err(fail("create segment"))?;
    fchmod(&fd, Mode::RUSR | Mode::WUSR).map_err(fail("restrict segment"))?;
    ftruncate(&fd, size).map_err(fail("size segment"))?;
    fallocate(&fd, FallocateFlags::empty(), 0, size).map_err(fail("reserve memory for segment"))?;
    let header = Header {
        kind,
        capacity,
        writer_pid: u64::from(std::process::id()),
        epoch,
    };
    let written = pwrite(&fd, &header.encode(), 0).map_err(fail("write the header of segment"))?;
    if written != HEADER_BYTES {
        return Err(IpcError::os(
            "write the header of segment",
            name,
            std::io::ErrorKind::WriteZero,
        ));
    }
    Ok((fd, words_of(size)))
}

/// An unnamed file in memory, without the execute bit where the kernel (6.3) knows how to seal it off.
fn memory_file(name: &str) -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create(name, flags),
        made => made,
    }
}

fn seal(name: &str, fd: BorrowedFd<'_>, access: ClientAccess) -> Result<(), IpcError> {
    fcntl_add_seals(fd, access.seals()).map_err(|source| IpcError::os("seal segment", name, source))
}

/// Words of a segment of `size` bytes, which is bounded by `MAX_SEGMENT_BYTES`.
const fn words_of(size: u64) -> usize {
    (size / 8) as usize
}

/// A segment that has been judged and may be mapped.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) header: Header,
    pub(super) words: usize,
    pub(super) identity: (u64, u64),
}

/// Judges a received descriptor: seals, size, header. Nothing is mapped here.
pub(super) fn judge(
    name: &str,
    fd: BorrowedFd<'_>,
    kind: SegmentKind,
    access: ClientAccess,
) -> Result<Judged, IpcError> {
    let seals = fcntl_get_seals(fd).map_err(|source| {
        let fault = format!("it is not a memory file: {source}");
        IpcError::Seals {
            name: name.to_owned(),
            fault,
        }
    })?;
    let wanted = access.seals();
    let judged =
        SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL | SealFlags::FUTURE_WRITE | SealFlags::WRITE;
    if seals & judged != wanted {
        let fault = format!("it carries {:?}, needed are exactly {wanted:?}", seals & judged);
        return Err(IpcError::Seals {
            name: name.to_owned(),
            fault,
        });
    }
    let refuse = |fault| IpcError::Layout {
        name: name.to_owned(),
        fault,
    };
    let stat = fstat(fd).map_err(|source| IpcError::os("examine segment", name, source))?;
    let size = u64::try_from(stat.st_size).map_err(|_| refuse(LayoutFault::Size { found: u64::MAX }))?;
    let mut bytes = [0; HEADER_BYTES];
    let read = pread(fd, &mut bytes, 0)
        .map_err(|source| IpcError::os("read the header of segment", name, source))?;
    if read != HEADER_BYTES {
        return Err(refuse(LayoutFault::Size { found: size }));
    }
    let header = Header::decode(&bytes, size, kind).map_err(refuse)?;
    Ok(Judged {
        header,
        words: words_of(size),
        identity: (stat.st_dev, stat.st_ino),
    })
}
