//! Memory mapped from a descriptor: the unsafe code of this crate.

use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::mm::{MapFlags, ProtFlags, mlock, mmap, munmap};

use crate::atomics::{Access, AtomicU64, Words, WritableWords};
use crate::error::IpcError;

/// One mapped region; unmapped when the last handle to it goes.
#[derive(Debug)]
struct Region {
    base: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the region is plain memory that only atomics touch; nothing in it belongs to a thread, and `munmap` may be
// called from any.
#[expect(unsafe_code, reason = "a raw pointer is not Send by itself")]
unsafe impl Send for Region {}

// SAFETY: as above; shared access is access to atomics.
#[expect(unsafe_code, reason = "a raw pointer is not Sync by itself")]
unsafe impl Sync for Region {}

impl Region {
    /// Maps the first `words` words of `fd`, faulting all pages in.
    ///
    /// The caller has checked that the file is at least that long and can never be shorter (`F_SEAL_SHRINK`).
    fn map(fd: BorrowedFd<'_>, words: usize, protection: ProtFlags, name: &str) -> Result<Self, IpcError> {
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: the address is the kernel's choice, so no existing mapping is replaced; the new one is reached
        // through `base` only, and only as atomics.
        #[expect(unsafe_code, reason = "mapping memory")]
        let pointer = unsafe { mmap(std::ptr::null_mut(), words * 8, protection, flags, fd, 0) };
        let pointer = pointer.map_err(|source| IpcError::os("map segment", name, source))?;
        match NonNull::new(pointer.cast()) {
            Some(base) => Ok(Self { base, words }),
            None => Err(IpcError::os(
                "map segment",
                name,
                std::io::ErrorKind::AddrNotAvailable,
            )),
        }
    }

    #[inline]
    fn span(&self, first: usize, count: usize) -> &[AtomicU64] {
        assert!(
            first.checked_add(count).is_some_and(|end| end <= self.words),
            "a span of {count} words from {first} lies outside a mapping of {}",
            self.words
        );
        // SAFETY: inside the mapping, as just asserted; aligned, since the base is a page; alive as long as the borrow
        // of `self`, which alone unmaps it; never shortened, since the file is sealed against it. `AtomicU64` holds
        // any bits, and its interior is mutable, so other processes may write meanwhile. Stores go through writable
        // mappings only (`WritableWords`), loads from read-only ones are relaxed.
        #[expect(unsafe_code, reason = "the one door from the mapping to atomics")]
        unsafe {
            std::slice::from_raw_parts(self.base.as_ptr().add(first), count)
        }
    }

    /// Keeps the pages in memory.
    fn lock(&self, name: &str) -> Result<(), IpcError> {
        // SAFETY: the range is exactly this mapping; locking changes no content.
        #[expect(unsafe_code, reason = "mlock takes a raw range")]
        let locked = unsafe { mlock(self.base.as_ptr().cast(), self.words * 8) };
        locked.map_err(|source| IpcError::os("lock into memory (see RLIMIT_MEMLOCK) segment", name, source))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the range is exactly this mapping, and no borrow of it outlives `self`. An error would mean the
        // range was never mapped; there is nobody left to tell.
        #[expect(unsafe_code, reason = "unmapping memory")]
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.words * 8) };
    }
}

/// Shared memory that this process can only read.
#[derive(Debug, Clone)]
pub struct ReadMapping(Arc<Region>);

impl ReadMapping {
    pub(super) fn map(fd: BorrowedFd<'_>, words: usize, name: &str) -> Result<Self, IpcError> {
        Ok(Self(Arc::new(Region::map(fd, words, ProtFlags::READ, name)?)))
    }
}

impl Words for ReadMapping {
    #[inline]
    fn count(&self) -> usize {
        self.0.words
    }

    #[inline]
    fn span(&self, first: usize, count: usize, _access: Access) -> &[AtomicU64] {
        self.0.span(first, count)
    }
}

/// Shared memory that this process writes.
#[derive(Debug, Clone)]
pub struct WriteMapping(Arc<Region>);

impl WriteMapping {
    pub(super) fn map(fd: BorrowedFd<'_>, words: usize, name: &str) -> Result<Self, IpcError> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        Ok(Self(Arc::new(Region::map(fd, words, protection, name)?)))
    }

    pub(super) fn lock(&self, name: &str) -> Result<(), IpcError> {
        self.0.lock(name)
    }
}

impl Words for WriteMapping {
    #[inline]
    fn count(&self) -> usize {
        self.0.words
    }

    #[inline]
    fn span(&self, first: usize, count: usize, _access: Access) -> &[AtomicU64] {
        self.0.span(first, count)
    }
}

impl WritableWords for WriteMapping {}
