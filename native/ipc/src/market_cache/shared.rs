//! The cache in shared memory.

use std::path::Path;

use domain::{InstrumentId, Level, Timestamp};

use super::codec::{BOOK, INSTRUMENT, TRADE, VENUE, book_words, instrument_words, trade_words, venue_words};
use super::{
    BookHead, CachedInstrument, CachedMarket, CachedTrade, CachedVenue, ClockWords, ENTRY_BYTES, ENTRY_WORDS,
    ServiceClock,
};
use crate::error::IpcError;
use crate::layout::{FIRST_SLOT_WORD, SegmentKind};
use crate::seqlock::{SeqlockError, SeqlockReader, SeqlockWriter, TableGeometry};
use crate::shared_memory::{
    AttachedSegment, Attachment, ClientAccess, OwnedSegment, ReadMapping, Reattached, SegmentRegistry,
    SegmentSpec, WriteMapping, attach, heartbeat_age_ns, monotonic_ns,
};

/// The slot of the service's clock; instruments follow.
const CLOCK_SLOT: usize = 0;

fn geometry(capacity: u64) -> TableGeometry {
    // Capacities are bounded by `CACHE_CAPACITY`; one that were not would fail the geometry check.
    let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
    TableGeometry {
        first_entry_word: FIRST_SLOT_WORD,
        entry_words: 1 + ENTRY_WORDS,
        capacity,
    }
}

const fn slot(instrument: InstrumentId) -> usize {
    CLOCK_SLOT + 1 + instrument.0 as usize
}

/// The writing end of a cache.
#[derive(Debug)]
pub struct MarketCacheWriter {
    segment: OwnedSegment<WriteMapping>,
    writer: SeqlockWriter<WriteMapping>,
}

impl MarketCacheWriter {
    /// Makes a new cache with an entry for each of `instruments`, in the order of their indexes; nothing has been heard
    /// of them yet. `epoch` is the service's life and must grow with every restart.
    ///
    /// # Errors
    /// [`IpcError::Name`], [`IpcError::Capacity`], [`IpcError::Os`].
    pub fn create(name: &str, instruments: &[CachedInstrument], epoch: u64) -> Result<Self, IpcError> {
        let capacity = 1 + instruments.len() as u64;
        let spec = SegmentSpec {
            kind: SegmentKind::MarketCache,
            capacity,
            epoch,
            access: ClientAccess::Read,
        };
        let segment = OwnedSegment::writable(name, spec)?;
        let refused = |fault| IpcError::Seqlock {
            name: name.to_owned(),
            fault,
        };
        let mut writer = SeqlockWriter::new(segment.words(), geometry(capacity)).map_err(refused)?;
        for (at, instrument) in instruments.iter().enumerate() {
            let silent = CachedMarket::silent(*instrument).encode();
            writer.write(CLOCK_SLOT + 1 + at, &silent).map_err(refused)?;
        }
        Ok(Self { segment, writer })
    }

    /// Lets clients have it.
    ///
    /// # Errors
    /// [`IpcError::TooManySegments`], [`IpcError::Os`].
    pub fn offer(&self, registry: &SegmentRegistry) -> Result<(), IpcError> {
        registry.offer(self.segment.name(), self.segment.descriptor())
    }

    /// Shows a book: its first [`LEVELS`](super::LEVELS) of each side, best first, or none of a book that is not to be
    /// believed. Returns the entry's version. This and the other writes are wait-free and allocate nothing.
    ///
    /// # Errors
    /// [`SeqlockError::Index`]: there is no such instrument.
    #[inline]
    pub fn write_book(
        &mut self,
        instrument: InstrumentId,
        head: &BookHead,
        bids: impl IntoIterator<Item = Level>,
        asks: impl IntoIterator<Item = Level>,
    ) -> Result<u64, SeqlockError> {
        let words = book_words(head, bids, asks);
        self.writer.write_part(slot(instrument), BOOK, &words)
    }

    /// Shows the last trade.
    ///
    /// # Errors
    /// As [`write_book`](Self::write_book).
    #[inline]
    pub fn write_trade(
        &mut self,
        instrument: InstrumentId,
        trade: &CachedTrade,
    ) -> Result<u64, SeqlockError> {
        self.writer
            .write_part(slot(instrument), TRADE, &trade_words(trade))
    }

    /// Shows the state of the instrument's venue.
    ///
    /// # Errors
    /// As [`write_book`](Self::write_book).
    pub fn write_venue(&mut self, instrument: InstrumentId, venue: CachedVenue) -> Result<u64, SeqlockError> {
        self.writer
            .write_part(slot(instrument), VENUE, &venue_words(venue))
    }

    /// Shows what the instrument is now.
    ///
    /// # Errors
    /// As [`write_book`](Self::write_book).
    pub fn write_instrument(
        &mut self,
        instrument: InstrumentId,
        now: &CachedInstrument,
    ) -> Result<u64, SeqlockError> {
        self.writer
            .write_part(slot(instrument), INSTRUMENT, &instrument_words(now))
    }

    /// Tells readers that the writer is at work, and what its clock says: service time, and how much of it passes in
    /// wall time, parts per billion. Reads one clock.
    pub fn heartbeat(&mut self, now: Timestamp, rate_ppb: i64) {
        let clock = ServiceClock {
            ts_service: now,
            monotonic_ns: monotonic_ns(),
            rate_ppb,
        };
        // The slot is there: a cache holds two or more.
        let _ = self.writer.write(CLOCK_SLOT, &clock.encode());
        self.segment.heartbeat();
    }

    /// Keeps the cache's pages in memory, so that writing never faults.
    ///
    /// # Errors
    /// [`IpcError::Os`], usually when RLIMIT_MEMLOCK is too low; the cache works without.
    pub fn lock_in_memory(&self) -> Result<(), IpcError> {
        self.segment.lock_in_memory()
    }
}

impl Drop for MarketCacheWriter {
    fn drop(&mut self) {
        self.segment.close();
    }
}

/// A whole entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheReading {
    /// Grows with every change of the entry.
    pub version: u64,
    /// What it held at one moment.
    pub market: CachedMarket,
}

impl CacheReading {
    /// The row of it, as [`FIELDS`](super::FIELDS) describes.
    #[must_use]
    pub fn row(&self) -> [u8; ENTRY_BYTES] {
        let mut row = [0; ENTRY_BYTES];
        let (cells, _) = row.as_chunks_mut::<8>();
        cells[0] = self.version.to_le_bytes();
        for (cell, word) in cells[1..].iter_mut().zip(self.market.encode()) {
            *cell = word.to_le_bytes();
        }
        row
    }
}

/// A reading end of a cache.
#[derive(Debug)]
pub struct MarketCacheReader {
    segment: AttachedSegment<ReadMapping>,
    reader: SeqlockReader<ReadMapping>,
}

impl MarketCacheReader {
    /// Fetches the cache `name` from the service at `socket`.
    ///
    /// # Errors
    /// Any [`IpcError`] of the exchange or of judging the segment.
    pub fn attach(socket: &Path, name: &str) -> Result<Self, IpcError> {
        Self::over(attach(Attachment {
            socket,
            name,
            kind: SegmentKind::MarketCache,
        })?)
    }

    fn over(segment: AttachedSegment<ReadMapping>) -> Result<Self, IpcError> {
        let reader = SeqlockReader::new(segment.words.clone(), geometry(segment.header.capacity)).map_err(
            |fault| IpcError::Seqlock {
                name: segment.name.clone(),
                fault,
            },
        )?;
        Ok(Self { segment, reader })
    }

    /// What is known of an instrument, whole and of one moment.
    ///
    /// # Errors
    /// [`IpcError::Seqlock`] for an instrument that does not exist, and for an entry of which there was no whole copy;
    /// [`IpcError::Cache`] for one that holds what no service leaves.
    pub fn read(&self, instrument: InstrumentId) -> Result<CacheReading, IpcError> {
        let mut words = [0; ENTRY_WORDS];
        let sequence = self.slot(slot(instrument), &mut words)?;
        let market = CachedMarket::decode(&words).map_err(|fault| IpcError::Cache {
            name: self.segment.name.clone(),
            index: usize::from(instrument.0),
            fault,
        })?;
        Ok(CacheReading {
            version: sequence / 2,
            market,
        })
    }

    /// The service's clock; `None` before its first heartbeat.
    ///
    /// # Errors
    /// [`IpcError::Seqlock`]: there was no whole copy.
    pub fn clock(&self) -> Result<Option<ServiceClock>, IpcError> {
        let mut words = ClockWords::default();
        let sequence = self.slot(CLOCK_SLOT, &mut words)?;
        Ok((sequence > 0).then(|| ServiceClock::decode(words)))
    }

    /// Service time now, also when the service is gone: its clock went on. `None` before its first heartbeat.
    ///
    /// # Errors
    /// As [`clock`](Self::clock).
    pub fn now(&self) -> Result<Option<Timestamp>, IpcError> {
        // The machine's clock is read last: what passes between the two is counted.
        let clock = self.clock()?;
        Ok(clock.map(|clock| clock.at(monotonic_ns())))
    }

    fn slot(&self, at: usize, words: &mut [u64]) -> Result<u64, IpcError> {
        self.reader.read(at, words).map_err(|fault| IpcError::Seqlock {
            name: self.segment.name.clone(),
            fault,
        })
    }

    /// Asks the service again: after a restart it offers a newer cache, which this reader then reads.
    ///
    /// # Errors
    /// Any [`IpcError`] of attaching; [`IpcError::EpochNotNewer`] when the cache on offer is another one and not newer.
    /// The reader then keeps what it has.
    pub fn reattach(&mut self) -> Result<Reattached, IpcError> {
        let Some(offered) = self.segment.successor()? else {
            return Ok(Reattached::Same);
        };
        let epoch = offered.header.epoch;
        *self = Self::over(offered)?;
        Ok(Reattached::Newer { epoch })
    }

    /// Number of instruments.
    pub const fn instruments(&self) -> usize {
        self.reader.capacity() - 1 - CLOCK_SLOT
    }

    /// The writer's life.
    pub const fn epoch(&self) -> u64 {
        self.segment.header.epoch
    }

    /// Whether the writer is at work. When it is not, reattach.
    pub fn writer_alive(&self) -> bool {
        self.segment.liveness.writer_alive(&self.segment.words)
    }

    /// Wall time since the writer's last sign of life, nanoseconds; `None` when it says one of the future.
    pub fn silent_for_ns(&self) -> Option<u64> {
        heartbeat_age_ns(&self.segment.words)
    }
}
