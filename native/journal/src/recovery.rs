//! Recovery: what a writer does before it goes on where an earlier one died.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use domain::Timestamp;

use crate::codec::RunHeader;
use crate::error::JournalError;
use crate::frame::Chain;
use crate::position::Position;
use crate::reader::{Reader, RecordBody, TornTail};
use crate::segment;
use crate::sync::Syncer;
use crate::writer::{Place, Writer, WriterOptions, lock};

/// A journal that was read from record 0 to its end, is whole and on disk, and belongs to this process.
#[derive(Debug)]
pub struct Recovered {
    dir: PathBuf,
    options: WriterOptions,
    header: RunHeader,
    last_ts: Timestamp,
    place: Place,
    torn: Option<TornTail>,
    lock: File,
}

/// Takes over the journal in `dir`: reads and proves all of it, cuts what a death tore off at the end, and forces the
/// rest to disk.
///
/// # Errors
/// [`JournalError::Absent`], [`JournalError::InUse`], [`JournalError::Options`]; [`JournalError::Damaged`],
/// [`JournalError::MissingSegment`] and [`JournalError::Format`], and then nothing was changed; [`JournalError::Io`].
pub fn recover(dir: &Path, options: WriterOptions) -> Result<Recovered, JournalError> {
    options.check()?;
    if segment::numbers(dir)?.is_empty() {
        return Err(JournalError::Absent { dir: dir.to_owned() });
    }
    let lock = lock(dir)?;
    let mut reader = Reader::open(dir)?;
    let (mut header, mut last_ts) = (None, Timestamp::EPOCH);
    while let Some(record) = reader.next_record()? {
        last_ts = record.ts;
        if let RecordBody::Header(begun) = record.body {
            header = Some(begun);
        }
    }
    // The reader refuses a journal whose record 0 is no header.
    let header = *header.ok_or_else(|| JournalError::Absent { dir: dir.to_owned() })?;
    let (number, size) = reader.place();
    if let Some(unbegun) = reader.unbegun() {
        let path = segment::path(dir, unbegun);
        std::fs::remove_file(&path)
            .map_err(|source| JournalError::io("removing a segment that was never begun", &path, source))?;
    }
    let (segment, closed_bytes) = settle(dir, number, size)?;
    Ok(Recovered {
        dir: dir.to_owned(),
        options,
        header,
        last_ts,
        place: Place {
            segment,
            number,
            size,
            position: reader.position(),
            closed_bytes,
        },
        torn: reader.torn(),
        lock,
    })
}

/// Cuts the last segment to `size` and forces all segments to disk: what a killed writer left may still be in memory
/// only. Returns the last segment and the bytes of the others.
fn settle(dir: &Path, last: u32, size: u64) -> Result<(File, u64), JournalError> {
    let path = segment::path(dir, last);
    let failed = |source| JournalError::io("cutting the torn end", &path, source);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .map_err(failed)?;
    if file.metadata().map_err(failed)?.len() != size {
        file.set_len(size).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    let mut closed_bytes = 0;
    for number in 0..last {
        let path = segment::path(dir, number);
        let failed = |source| JournalError::io("forcing a segment to disk", &path, source);
        let closed = File::open(&path).map_err(failed)?;
        closed.sync_all().map_err(failed)?;
        closed_bytes += closed.metadata().map_err(failed)?.len();
    }
    segment::sync_dir(dir).map_err(|source| JournalError::io("forcing the folder to disk", dir, source))?;
    Ok((file, closed_bytes))
}

impl Recovered {
    /// The header of the last life.
    #[must_use]
    pub const fn header(&self) -> &RunHeader {
        &self.header
    }

    /// Engine time of the last record: the next event's is not before it.
    #[must_use]
    pub const fn last_ts(&self) -> Timestamp {
        self.last_ts
    }

    /// Records, all lives together.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.position().seq
    }

    /// Events, all lives together.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.position().event - 1
    }

    /// The chain over all records.
    #[must_use]
    pub const fn chain(&self) -> Chain {
        self.position().chain
    }

    /// What was cut off at the end.
    #[must_use]
    pub const fn torn(&self) -> Option<TornTail> {
        self.torn
    }

    const fn position(&self) -> Position {
        self.place.position
    }

    /// Goes on in the last life: the engine that replayed it takes [`engine::EventBody::Started`] next.
    ///
    /// # Errors
    /// [`JournalError::DiskFull`], [`JournalError::Io`].
    pub fn resume(self) -> Result<(Writer, Syncer), JournalError> {
        Writer::go_on(&self.dir, self.options, self.place, self.lock)
    }

    /// Begins the next life: `header`, with what the last one left in its configuration, is the first record of a new
    /// segment, at the time `ts`, and on disk when this returns.
    ///
    /// # Errors
    /// As [`Recovered::resume`], and [`JournalError::Header`] for a header beyond its bounds.
    pub fn begin_life(self, header: &RunHeader, ts: Timestamp) -> Result<(Writer, Syncer), JournalError> {
        let (mut writer, mut syncer) = self.resume()?;
        writer.begin_life(header, ts)?;
        syncer.sync()?;
        Ok((writer, syncer))
    }
}
