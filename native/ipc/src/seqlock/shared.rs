//! Tables of records in shared memory.

use std::path::Path;

use super::{SeqlockError, SeqlockReader, SeqlockWriter, TableGeometry};
use crate::error::IpcError;
use crate::layout::{FIRST_SLOT_WORD, SegmentKind};
use crate::record::{PAYLOAD_WORDS, ROW_BYTES, Record, write_row};
use crate::shared_memory::{
    AttachedSegment, Attachment, ClientAccess, OwnedSegment, ReadMapping, SegmentRegistry, SegmentSpec,
    WriteMapping, attach,
};

fn geometry(capacity: u64) -> TableGeometry {
    // Capacities are bounded by `TABLE_CAPACITY`; one that were not would fail the geometry check.
    let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
    TableGeometry {
        first_entry_word: FIRST_SLOT_WORD,
        entry_words: 1 + PAYLOAD_WORDS,
        capacity,
    }
}

/// The writing end of a table of records.
#[derive(Debug)]
pub struct TableWriter {
    segment: OwnedSegment<WriteMapping>,
    writer: SeqlockWriter<WriteMapping>,
}

impl TableWriter {
    /// Makes a new table of `entries` entries, none of them written. `epoch` is the service's life.
    ///
    /// # Errors
    /// [`IpcError::Name`], [`IpcError::Capacity`], [`IpcError::Os`].
    pub fn create(name: &str, entries: u64, epoch: u64) -> Result<Self, IpcError> {
        let spec = SegmentSpec {
            kind: SegmentKind::Table,
            capacity: entries,
            epoch,
            access: ClientAccess::Read,
        };
        let segment = OwnedSegment::writable(name, spec)?;
        let writer =
            SeqlockWriter::new(segment.words(), geometry(entries)).map_err(|fault| IpcError::Seqlock {
                name: name.to_owned(),
                fault,
            })?;
        Ok(Self { segment, writer })
    }

    /// Lets clients have it.
    ///
    /// # Errors
    /// [`IpcError::TooManySegments`], [`IpcError::Os`].
    pub fn offer(&self, registry: &SegmentRegistry) -> Result<(), IpcError> {
        registry.offer(self.segment.name(), self.segment.descriptor())
    }

    /// Replaces an entry and returns its version. Wait-free, allocates nothing.
    ///
    /// # Errors
    /// [`SeqlockError::Index`].
    #[inline]
    pub fn write(&mut self, index: usize, record: &Record) -> Result<u64, SeqlockError> {
        self.writer.write(index, &record.encode())
    }

    /// Tells readers that the writer is at work.
    pub fn heartbeat(&self) {
        self.segment.heartbeat();
    }
}

impl Drop for TableWriter {
    fn drop(&mut self) {
        self.segment.close();
    }
}

/// A reading end of a table of records.
#[derive(Debug)]
pub struct TableReader {
    segment: AttachedSegment<ReadMapping>,
    reader: SeqlockReader<ReadMapping>,
}

impl TableReader {
    /// Fetches the table `name` from the service at `socket`.
    ///
    /// # Errors
    /// Any [`IpcError`] of the exchange or of judging the segment.
    pub fn attach(socket: &Path, name: &str) -> Result<Self, IpcError> {
        let segment = attach(Attachment {
            socket,
            name,
            kind: SegmentKind::Table,
        })?;
        let reader = SeqlockReader::new(segment.words.clone(), geometry(segment.header.capacity)).map_err(
            |fault| IpcError::Seqlock {
                name: name.to_owned(),
                fault,
            },
        )?;
        Ok(Self { segment, reader })
    }

    /// The latest record of an entry with its version; `None` when it was never written.
    ///
    /// # Errors
    /// [`IpcError::Seqlock`], [`IpcError::Record`].
    pub fn read(&self, index: usize) -> Result<Option<(u64, Record)>, IpcError> {
        let name = || self.segment.name.clone();
        let mut payload = [0; PAYLOAD_WORDS];
        let sequence = self
            .reader
            .read(index, &mut payload)
            .map_err(|fault| IpcError::Seqlock { name: name(), fault })?;
        if sequence == 0 {
            return Ok(None);
        }
        let record = Record::decode(&payload).map_err(|fault| IpcError::Record {
            name: name(),
            index,
            fault,
        })?;
        Ok(Some((sequence / 2, record)))
    }

    /// Copies the entries from 0 on, each whole by itself, as rows of [`ROW_BYTES`] whose first word is the version;
    /// an entry never written is a row of zeros. Returns the number of rows: all entries, or as many as fit.
    ///
    /// # Errors
    /// [`IpcError::Buffer`], [`IpcError::Seqlock`].
    pub fn read_into(&self, rows: &mut [u8]) -> Result<usize, IpcError> {
        let len = rows.len();
        let (rows, rest) = rows.as_chunks_mut::<ROW_BYTES>();
        if rows.is_empty() || !rest.is_empty() {
            return Err(IpcError::Buffer { len, row: ROW_BYTES });
        }
        let count = rows.len().min(self.reader.capacity());
        let mut payload = [0; PAYLOAD_WORDS];
        for (index, row) in rows.iter_mut().take(count).enumerate() {
            let fail = |fault| IpcError::Seqlock {
                name: self.segment.name.clone(),
                fault,
            };
            let sequence = self.reader.read(index, &mut payload).map_err(fail)?;
            write_row(row, sequence / 2, &payload);
        }
        Ok(count)
    }

    /// Number of entries.
    pub const fn entries(&self) -> usize {
        self.reader.capacity()
    }

    /// The writer's life.
    pub const fn epoch(&self) -> u64 {
        self.segment.header.epoch
    }

    /// Whether the writer is at work. When it is not, attach again.
    pub fn writer_alive(&self) -> bool {
        self.segment.liveness.writer_alive(&self.segment.words)
    }
}
