//! Rings in shared memory: what the service writes and what a user's process reads.

use std::path::Path;

use super::{RingConsumer, RingFault, RingGeometry, RingProducer, Start, Step};
use crate::atomics::{Access, Words, load_acquire};
use crate::error::IpcError;
use crate::layout::{CURSOR_WORD, FIRST_SLOT_WORD, SegmentKind};
use crate::record::{PAYLOAD_WORDS, Payload, ROW_BYTES, Record, write_row};
use crate::shared_memory::{
    AttachedSegment, Attachment, ClientAccess, OwnedSegment, ReadMapping, Reattached, SegmentRegistry,
    SegmentSpec, WriteMapping, attach,
};

/// Most times one poll lets itself be lapped before it returns; what it missed is in the result.
const MAX_LAPS_PER_POLL: usize = 4;

/// Word of the header's `epoch` field.
const EPOCH_WORD: usize = 7;

const fn geometry(capacity: u64) -> RingGeometry {
    RingGeometry {
        cursor_word: CURSOR_WORD,
        first_slot_word: FIRST_SLOT_WORD,
        capacity,
    }
}

/// The writing end of a ring in shared memory.
#[derive(Debug)]
pub struct RingWriter {
    segment: OwnedSegment<WriteMapping>,
    producer: RingProducer<WriteMapping, PAYLOAD_WORDS>,
}

impl RingWriter {
    /// Makes a new ring of `capacity` slots (a power of two, see [`crate::layout::RING_CAPACITY`]). `epoch` is the
    /// service's life and must grow with every restart. Size a ring in time: slots = records/s x the longest stall of
    /// a reader to be survived (seconds for fills and positions).
    ///
    /// # Errors
    /// [`IpcError::Name`], [`IpcError::Capacity`], [`IpcError::Os`].
    pub fn create(name: &str, capacity: u64, epoch: u64) -> Result<Self, IpcError> {
        let spec = SegmentSpec {
            kind: SegmentKind::Ring,
            capacity,
            epoch,
            access: ClientAccess::Read,
        };
        let segment = OwnedSegment::writable(name, spec)?;
        let producer =
            RingProducer::new(segment.words(), geometry(capacity)).map_err(|fault| IpcError::Ring {
                name: name.to_owned(),
                fault,
            })?;
        Ok(Self { segment, producer })
    }

    /// Lets clients have it.
    ///
    /// # Errors
    /// [`IpcError::TooManySegments`], [`IpcError::Os`].
    pub fn offer(&self, registry: &SegmentRegistry) -> Result<(), IpcError> {
        registry.offer(self.segment.name(), self.segment.descriptor())
    }

    /// Writes a record and returns its index. Wait-free; allocates nothing, calls nothing, whatever readers do.
    #[inline]
    pub fn publish(&mut self, record: &Record) -> u64 {
        self.producer.publish(&record.encode())
    }

    /// [`publish`](Self::publish) for words that are already encoded.
    #[inline]
    pub fn publish_words(&mut self, payload: &Payload) -> u64 {
        self.producer.publish(payload)
    }

    /// Number of records written so far.
    pub const fn published(&self) -> u64 {
        self.producer.published()
    }

    /// Tells readers that the writer is at work. Call it at least every
    /// [`STALE_AFTER_NS`](crate::shared_memory::STALE_AFTER_NS), better every few milliseconds; reads one clock.
    pub fn heartbeat(&self) {
        self.segment.heartbeat();
    }

    /// Keeps the ring's pages in memory, so that publishing never faults.
    ///
    /// # Errors
    /// [`IpcError::Os`], usually when RLIMIT_MEMLOCK is too low; the ring works without.
    pub fn lock_in_memory(&self) -> Result<(), IpcError> {
        self.segment.lock_in_memory()
    }
}

impl Drop for RingWriter {
    fn drop(&mut self) {
        self.segment.close();
    }
}

/// What one poll found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollResult {
    /// Rows written to the buffer.
    pub records: usize,
    /// Records lost since the last poll because the writer overtook this reader; exact. The gap also shows in the
    /// rows' indexes.
    pub missed: u64,
    /// Whether the writer was at work when the poll began. When it was not and `records` is 0, nothing more will come:
    /// reattach.
    pub writer_alive: bool,
    /// The writer's life.
    pub epoch: u64,
}

/// The reading end of a ring in shared memory.
#[derive(Debug)]
pub struct RingReader {
    segment: AttachedSegment<ReadMapping>,
    consumer: RingConsumer<ReadMapping, PAYLOAD_WORDS>,
    /// Losses found by a poll that then failed.
    unreported: u64,
}

impl RingReader {
    /// Fetches the ring `name` from the service at `socket` and begins with the oldest records still in it.
    ///
    /// # Errors
    /// Any [`IpcError`] of the exchange or of judging the segment.
    pub fn attach(socket: &Path, name: &str) -> Result<Self, IpcError> {
        Self::attach_at(socket, name, Start::Oldest)
    }

    /// [`attach`](Self::attach) with a choice of where to begin.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn attach_at(socket: &Path, name: &str, start: Start) -> Result<Self, IpcError> {
        let segment = attach(Attachment {
            socket,
            name,
            kind: SegmentKind::Ring,
        })?;
        let consumer = consumer(&segment, start)?;
        Ok(Self {
            segment,
            consumer,
            unreported: 0,
        })
    }

    /// Copies as many whole rows of [`ROW_BYTES`] as there are and as fit into `rows`, in order. Never waits.
    ///
    /// # Errors
    /// [`IpcError::Buffer`]; [`IpcError::Ring`] and [`IpcError::EpochChanged`] when the memory holds what no writer
    /// leaves: the reader stays where it is, rows before the damage have been delivered by an earlier call.
    pub fn poll_into(&mut self, rows: &mut [u8]) -> Result<PollResult, IpcError> {
        let len = rows.len();
        let (rows, rest) = rows.as_chunks_mut::<ROW_BYTES>();
        if rows.is_empty() || !rest.is_empty() {
            return Err(IpcError::Buffer { len, row: ROW_BYTES });
        }
        self.check_epoch()?;
        // Asked before the first step: a writer that was gone by then has nothing left to write after the last one.
        let writer_alive = self.writer_alive();
        let mut missed = std::mem::take(&mut self.unreported);
        let (mut records, mut laps) = (0, 0);
        let mut payload = [0; PAYLOAD_WORDS];
        while let Some(row) = rows.get_mut(records) {
            match self.consumer.step(&mut payload) {
                Ok(Step::Record(index)) => {
                    write_row(row, index, &payload);
                    records += 1;
                }
                Ok(Step::Empty) => break,
                Ok(Step::Lapped { missed: lost }) => {
                    missed += lost;
                    laps += 1;
                    if laps == MAX_LAPS_PER_POLL {
                        break;
                    }
                }
                // What was read before the damage is good; the next poll meets the same fault and reports it.
                Err(_) if records > 0 => break,
                Err(fault) => {
                    self.unreported = missed;
                    return Err(self.corrupt(fault));
                }
            }
        }
        Ok(PollResult {
            records,
            missed,
            writer_alive,
            epoch: self.segment.header.epoch,
        })
    }

    /// Whether the writer is at work.
    pub fn writer_alive(&self) -> bool {
        self.segment.liveness.writer_alive(&self.segment.words)
    }

    /// Asks the service again: after a restart it offers a newer ring. Drain this one first; whatever is left in it
    /// is given up. In the newer ring the reader begins at its first record, so what it missed is counted there.
    ///
    /// # Errors
    /// Any [`IpcError`] of attaching; [`IpcError::EpochNotNewer`] when the ring on offer is another one and not newer.
    /// The reader then keeps what it has.
    pub fn reattach(&mut self) -> Result<Reattached, IpcError> {
        let Some(offered) = self.segment.successor()? else {
            return Ok(Reattached::Same);
        };
        let epoch = offered.header.epoch;
        self.consumer = consumer(&offered, Start::First)?;
        self.segment = offered;
        Ok(Reattached::Newer { epoch })
    }

    /// A heartbeat older than this counts as a dead writer; the default is
    /// [`STALE_AFTER_NS`](crate::shared_memory::STALE_AFTER_NS).
    pub fn set_stale_after(&mut self, nanos: u64) {
        self.segment.liveness.set_stale_after(nanos);
    }

    /// The ring's name.
    pub fn name(&self) -> &str {
        &self.segment.name
    }

    /// Number of slots.
    pub const fn capacity(&self) -> u64 {
        self.segment.header.capacity
    }

    /// The writer's life.
    pub const fn epoch(&self) -> u64 {
        self.segment.header.epoch
    }

    /// The writer's process id as it sees it; for messages.
    pub const fn writer_pid(&self) -> u64 {
        self.segment.header.writer_pid
    }

    /// Index of the next record this reader wants.
    pub const fn position(&self) -> u64 {
        self.consumer.position()
    }

    /// How many records wait, by the writer's own count; more than the capacity means some are lost.
    pub fn backlog(&self) -> u64 {
        self.consumer.cursor().saturating_sub(self.consumer.position())
    }

    fn check_epoch(&self) -> Result<(), IpcError> {
        let found = load_acquire(&self.segment.words.span(EPOCH_WORD, 1, Access::granted())[0]);
        let attached = self.segment.header.epoch;
        if found == attached {
            return Ok(());
        }
        Err(IpcError::EpochChanged {
            name: self.segment.name.clone(),
            attached,
            found,
        })
    }

    fn corrupt(&self, fault: RingFault) -> IpcError {
        IpcError::Ring {
            name: self.segment.name.clone(),
            fault,
        }
    }
}

fn consumer(
    segment: &AttachedSegment<ReadMapping>,
    start: Start,
) -> Result<RingConsumer<ReadMapping, PAYLOAD_WORDS>, IpcError> {
    RingConsumer::new(segment.words.clone(), geometry(segment.header.capacity), start).map_err(|fault| {
        IpcError::Ring {
            name: segment.name.clone(),
            fault,
        }
    })
}
