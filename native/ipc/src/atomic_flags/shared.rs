//! Flags in shared memory.

use std::path::Path;

use super::{AtomicFlags, FlagsError, StopFlags};
use crate::error::IpcError;
use crate::layout::{FIRST_SLOT_WORD, LayoutFault, SegmentKind};
use crate::shared_memory::{
    AttachedSegment, Attachment, ClientAccess, OwnedSegment, ReadMapping, SegmentRegistry, SegmentSpec,
    WriteMapping, attach,
};

const STRIDE_WORDS: usize = 8;
const _: () = assert!(SegmentKind::Flags.slot_bytes() == 8 * STRIDE_WORDS as u64);

fn over<W: crate::atomics::Words>(words: W, name: &str, entries: u64) -> Result<AtomicFlags<W>, IpcError> {
    let count = usize::try_from(entries).unwrap_or(usize::MAX);
    AtomicFlags::new(words, FIRST_SLOT_WORD, STRIDE_WORDS, count).ok_or_else(|| {
        let (kind, slot_bytes) = (SegmentKind::Flags, SegmentKind::Flags.slot_bytes());
        let fault = LayoutFault::Slots {
            kind,
            slot_bytes,
            capacity: entries,
        };
        IpcError::Layout {
            name: name.to_owned(),
            fault,
        }
    })
}

/// The service's flags. Shared between its threads by reference: every method takes `&self`.
#[derive(Debug)]
pub struct FlagsWriter {
    segment: OwnedSegment<WriteMapping>,
    flags: AtomicFlags<WriteMapping>,
}

impl FlagsWriter {
    /// Makes `entries` entries of flags, none raised. `epoch` is the service's life.
    ///
    /// # Errors
    /// [`IpcError::Name`], [`IpcError::Capacity`], [`IpcError::Os`].
    pub fn create(name: &str, entries: u64, epoch: u64) -> Result<Self, IpcError> {
        let spec = SegmentSpec {
            kind: SegmentKind::Flags,
            capacity: entries,
            epoch,
            access: ClientAccess::Read,
        };
        let segment = OwnedSegment::writable(name, spec)?;
        let flags = over(segment.words(), name, entries)?;
        Ok(Self { segment, flags })
    }

    /// Lets clients have it.
    ///
    /// # Errors
    /// [`IpcError::TooManySegments`], [`IpcError::Os`].
    pub fn offer(&self, registry: &SegmentRegistry) -> Result<(), IpcError> {
        registry.offer(self.segment.name(), self.segment.descriptor())
    }

    /// Raises flags of an entry and returns those that stood before.
    ///
    /// # Errors
    /// [`FlagsError::Index`].
    pub fn raise(&self, index: usize, flags: StopFlags) -> Result<StopFlags, FlagsError> {
        self.flags.raise(index, flags)
    }

    /// Lowers flags of an entry and returns those that stood before.
    ///
    /// # Errors
    /// [`FlagsError::Index`].
    pub fn lower(&self, index: usize, flags: StopFlags) -> Result<StopFlags, FlagsError> {
        self.flags.lower(index, flags)
    }

    /// An entry's flags: one load.
    ///
    /// # Errors
    /// [`FlagsError`].
    #[inline]
    pub fn get(&self, index: usize) -> Result<StopFlags, FlagsError> {
        self.flags.get(index)
    }

    /// Tells readers that the writer is at work.
    pub fn heartbeat(&self) {
        self.segment.heartbeat();
    }
}

impl Drop for FlagsWriter {
    fn drop(&mut self) {
        self.segment.close();
    }
}

/// The flags as another process sees them.
#[derive(Debug)]
pub struct FlagsReader {
    segment: AttachedSegment<ReadMapping>,
    flags: AtomicFlags<ReadMapping>,
}

impl FlagsReader {
    /// Fetches the flags `name` from the service at `socket`.
    ///
    /// # Errors
    /// Any [`IpcError`] of the exchange or of judging the segment.
    pub fn attach(socket: &Path, name: &str) -> Result<Self, IpcError> {
        let segment = attach(Attachment {
            socket,
            name,
            kind: SegmentKind::Flags,
        })?;
        let flags = over(segment.words.clone(), name, segment.header.capacity)?;
        Ok(Self { segment, flags })
    }

    /// An entry's flags.
    ///
    /// # Errors
    /// [`IpcError::Flags`].
    pub fn get(&self, index: usize) -> Result<StopFlags, IpcError> {
        self.flags.get(index).map_err(|fault| IpcError::Flags {
            name: self.segment.name.clone(),
            fault,
        })
    }

    /// Number of entries.
    pub const fn entries(&self) -> usize {
        self.flags.entries()
    }

    /// The writer's life.
    pub const fn epoch(&self) -> u64 {
        self.segment.header.epoch
    }

    /// Whether the writer is at work. When it is not, the flags are those of its last moment.
    pub fn writer_alive(&self) -> bool {
        self.segment.liveness.writer_alive(&self.segment.words)
    }
}
