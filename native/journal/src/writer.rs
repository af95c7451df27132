//! The writer: what `append` has returned for is in the kernel's hands, whatever becomes of the process.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::Timestamp;
use engine::{Action, Event};

use crate::codec::{Format, RunHeader, decode_header, encode_action, encode_event, encode_header};
use crate::error::JournalError;
use crate::frame::{Chain, FrameError, HEADER_BYTES, Kind};
use crate::position::Position;
use crate::reserve::Reserve;
use crate::segment::{self, HEAD_BYTES, Head};
use crate::sync::{Shared, SyncLag, Syncer};

/// Least size of a segment and of the reserve, bytes.
pub const SEGMENT_BYTES_MIN: u64 = 4_096;

/// First size of the buffer in which records are put together, bytes: a full-depth book snapshot fits.
const BUFFER_BYTES: usize = 1 << 20;

/// Bounds of what a writer uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterOptions {
    /// A segment that would grow beyond this is closed and the next one begun. One write larger than this gets a segment
    /// of its own.
    pub segment_bytes_max: u64,
    /// Room kept back for a full disk.
    pub reserve_bytes: u64,
}

impl Default for WriterOptions {
    /// 256 MiB, and 4 MiB in reserve: some 20,000 records of orders.
    fn default() -> Self {
        Self {
            segment_bytes_max: 256 << 20,
            reserve_bytes: 4 << 20,
        }
    }
}

impl WriterOptions {
    pub(crate) fn check(&self) -> Result<(), JournalError> {
        let given = [
            ("segment_bytes_max", self.segment_bytes_max),
            ("reserve_bytes", self.reserve_bytes),
        ];
        match given.into_iter().find(|(_, given)| *given < SEGMENT_BYTES_MIN) {
            Some((what, given)) => Err(JournalError::Options {
                what,
                given,
                min: SEGMENT_BYTES_MIN,
            }),
            None => Ok(()),
        }
    }
}

/// What a record may use when the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Nothing: a full disk refuses it. For market data and whatever leads to new orders.
    Ordinary,
    /// The reserve: for kills, cancels and other stops, for reports about orders, for the health of the journal, and for
    /// the actions that follow from these.
    Reserve,
}

/// The only writer of a journal. One thread owns it; [`Syncer`] is its companion on another. Dropping it forces nothing to
/// disk: a last [`Syncer::sync`] after the last record does.
///
/// A record that `append` refused is not in the journal, not even in part: the event must then not reach the engine.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    options: WriterOptions,
    segment: File,
    number: u32,
    /// Bytes of the segment.
    size: u64,
    /// Behind what is written.
    position: Position,
    /// Behind what waits in the buffer.
    next: Position,
    /// Bytes of all segments before this one.
    closed_bytes: u64,
    buffer: Vec<u8>,
    reserve: Option<Reserve>,
    /// The segment lies in what was the reserve.
    on_reserve: bool,
    full: bool,
    /// A write failed and could not be undone.
    broken: bool,
    shared: Arc<Shared>,
    /// Held for as long as the writer lives; the kernel lets go of it when the process dies.
    _lock: File,
}

/// Where a writer goes on.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) segment: File,
    pub(crate) number: u32,
    pub(crate) size: u64,
    pub(crate) position: Position,
    pub(crate) closed_bytes: u64,
}

impl Writer {
    /// Begins a journal in `dir`, which is made if it is not there. The header is record 0, at the time `ts`, and is on
    /// disk when this returns.
    ///
    /// # Errors
    /// [`JournalError::Exists`], [`JournalError::InUse`], [`JournalError::Options`], [`JournalError::Header`] for a
    /// header beyond its bounds, [`JournalError::DiskFull`], [`JournalError::Io`].
    pub fn create(
        dir: &Path,
        options: WriterOptions,
        header: &RunHeader,
        ts: Timestamp,
    ) -> Result<(Self, Syncer), JournalError> {
        options.check()?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|source| JournalError::io("making the folder", dir, source))?;
        let lock = lock(dir)?;
        if !segment::numbers(dir)?.is_empty() {
            return Err(JournalError::Exists { dir: dir.to_owned() });
        }
        let mut position = Position::START;
        let mut bytes = head(0, position).to_vec();
        put_header(&mut bytes, &mut position, header, ts)?;
        let place = Place {
            segment: place_whole(dir, 0, &bytes)?,
            number: 0,
            size: byte_count(bytes.len()),
            position,
            closed_bytes: 0,
        };
        Self::go_on(dir, options, place, lock)
    }

    /// A writer that goes on where a journal, all of it on disk, ends.
    pub(crate) fn go_on(
        dir: &Path,
        options: WriterOptions,
        place: Place,
        lock: File,
    ) -> Result<(Self, Syncer), JournalError> {
        let shared = Arc::new(Shared::new(dir, place.position.seq));
        let handed = place
            .segment
            .try_clone()
            .map_err(|source| JournalError::io("handing the segment over", dir, source))?;
        shared.begin_segment(handed);
        let writer = Self {
            dir: dir.to_owned(),
            options,
            segment: place.segment,
            number: place.number,
            size: place.size,
            position: place.position,
            next: place.position,
            closed_bytes: place.closed_bytes,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            reserve: Some(Reserve::make(dir, options.reserve_bytes)?),
            on_reserve: false,
            full: false,
            broken: false,
            shared: Arc::clone(&shared),
            _lock: lock,
        };
        Ok((writer, Syncer::new(shared)))
    }

    /// Records one event, and what waits before it, with one write. It must be done before the engine sees the event.
    ///
    /// # Errors
    /// [`JournalError::EventOrder`] unless the event's number is [`Writer::next_event`]; [`JournalError::DiskFull`]:
    /// nothing was recorded, the number is free again; [`JournalError::TooLong`]; [`JournalError::SyncFailed`],
    /// [`JournalError::SyncStalled`], [`JournalError::Broken`] and [`JournalError::Io`] are the end: stop trading.
    pub fn append_event(&mut self, event: &Event<'_>, room: Room) -> Result<(), JournalError> {
        if event.seq != self.next.event {
            return Err(JournalError::EventOrder {
                expected: self.next.event,
                found: event.seq,
            });
        }
        self.put(Kind::Event, event.ts, |out| encode_event(&event.body, out))?;
        self.commit(room)
    }

    /// Records what the engine made of the last event, all of it with one write; `ts` is that event's. It must be done
    /// before any of the actions leaves. No actions, no write.
    ///
    /// # Errors
    /// As [`Writer::append_event`]; all or none is recorded.
    pub fn append_actions(
        &mut self,
        ts: Timestamp,
        actions: &[Action],
        room: Room,
    ) -> Result<(), JournalError> {
        for action in actions {
            self.put_action(ts, action)?;
        }
        self.commit(room)
    }

    /// Puts one action after what waits to be written, for whoever has actions one by one. It is not recorded before
    /// [`Writer::commit`], or before the next event.
    ///
    /// # Errors
    /// [`JournalError::TooLong`]; nothing waits then.
    pub fn put_action(&mut self, ts: Timestamp, action: &Action) -> Result<(), JournalError> {
        self.put(Kind::Action, ts, |out| encode_action(action, out))
    }

    /// Records what waits, with one write; nothing to do when nothing waits.
    ///
    /// # Errors
    /// As [`Writer::append_event`]; all or none is recorded, and nothing waits then.
    pub fn commit(&mut self, room: Room) -> Result<(), JournalError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.write(room);
        self.forget();
        written
    }

    fn put(
        &mut self,
        kind: Kind,
        ts: Timestamp,
        payload: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), JournalError> {
        let put = self.next.put(&mut self.buffer, (kind, ts.nanos()), payload);
        if put.is_err() {
            self.forget();
        }
        put.map_err(too_long)
    }

    /// Forgets what waits.
    fn forget(&mut self) {
        self.buffer.clear();
        self.next = self.position;
    }

    /// Begins a life of the service in a journal that has one already: its header is the first record of a new segment.
    pub(crate) fn begin_life(&mut self, header: &RunHeader, ts: Timestamp) -> Result<(), JournalError> {
        self.rotate()?;
        put_header(&mut self.buffer, &mut self.next, header, ts).inspect_err(|_| self.buffer.clear())?;
        self.commit(Room::Ordinary)
    }

    /// Writes the buffer and moves behind it, or changes nothing.
    fn write(&mut self, room: Room) -> Result<(), JournalError> {
        self.shared.check()?;
        if self.broken {
            return Err(JournalError::Broken { path: self.path() });
        }
        let written = match self.write_buffer(room) {
            Err(error) if error.is_disk_full() && room == Room::Reserve => self.write_reserve(error),
            other => other,
        };
        if let Err(error) = written {
            self.full |= error.is_disk_full();
            return Err(error);
        }
        self.full = self.on_reserve;
        self.size += byte_count(self.buffer.len());
        self.position = self.next;
        self.shared.set_written(self.position.seq);
        Ok(())
    }

    fn write_buffer(&mut self, room: Room) -> Result<(), JournalError> {
        let grown = self.size + byte_count(self.buffer.len());
        if self.on_reserve {
            if room == Room::Ordinary || grown > self.options.reserve_bytes {
                return Err(self.no_room());
            }
        } else if grown > self.options.segment_bytes_max && self.size > byte_count(HEAD_BYTES) {
            self.rotate()?;
        }
        let Err(source) = self.segment.write_all_at(&self.buffer, self.size) else {
            return Ok(());
        };
        // Part of the record may be there. It goes, so that what is refused leaves no trace.
        if self.segment.set_len(self.size).is_err() {
            self.broken = true;
        }
        Err(JournalError::io("writing a record", &self.path(), source))
    }

    /// Turns the reserve into the next segment and writes there.
    fn write_reserve(&mut self, full: JournalError) -> Result<(), JournalError> {
        let fits = byte_count(HEAD_BYTES + self.buffer.len()) <= self.options.reserve_bytes;
        let Some(mut reserve) = self.reserve.take_if(|_| fits && !self.broken) else {
            return Err(full);
        };
        let path = segment::path(&self.dir, self.number.wrapping_add(1));
        let named = self.begin(reserve.file(), &path).and_then(|handed| {
            reserve.rename(path)?;
            Ok(handed)
        });
        match named {
            Ok(handed) => self.enter(reserve.into_file(), handed),
            Err(error) => {
                self.reserve = Some(reserve);
                return Err(error);
            }
        }
        self.on_reserve = true;
        self.write_buffer(Room::Reserve)
    }

    /// Begins the next segment.
    fn rotate(&mut self) -> Result<(), JournalError> {
        let path = segment::path(&self.dir, self.number.wrapping_add(1));
        let file = segment::create_file(&path)
            .map_err(|source| JournalError::io("beginning a segment", &path, source))?;
        match self.begin(&file, &path) {
            Ok(handed) => {
                self.enter(file, handed);
                self.on_reserve = false;
                Ok(())
            }
            Err(error) => {
                // It must not stay: what is written to this segment from here on would contradict its head.
                self.broken |= std::fs::remove_file(&path).is_err();
                Err(error)
            }
        }
    }

    /// Writes the head of the next segment; the second handle is the syncer's. Everything that can fail happens here.
    fn begin(&self, file: &File, path: &Path) -> Result<File, JournalError> {
        let failed = |source| JournalError::io("beginning a segment", path, source);
        let number = self
            .number
            .checked_add(1)
            .ok_or_else(|| failed(std::io::Error::other("more segments than can be numbered")))?;
        self.shared.check_room()?;
        let handed = file.try_clone().map_err(failed)?;
        file.write_all_at(&head(number, self.position), 0)
            .map_err(failed)?;
        Ok(handed)
    }

    /// Moves to the next segment, which holds nothing but its head.
    fn enter(&mut self, file: File, handed: File) {
        self.shared.begin_segment(handed);
        self.closed_bytes += self.size;
        self.segment = file;
        self.number += 1;
        self.size = byte_count(HEAD_BYTES);
    }

    /// Goes back to ordinary segments after a full disk: makes a new reserve first, then begins a segment. Try it once
    /// in a while when [`Writer::is_full`]; where the reserve was not needed there is nothing to do.
    ///
    /// # Errors
    /// [`JournalError::DiskFull`] for as long as the disk is; the rest as [`Writer::append_event`].
    pub fn leave_reserve(&mut self) -> Result<(), JournalError> {
        self.shared.check()?;
        if !self.on_reserve {
            return Ok(());
        }
        if self.reserve.is_none() {
            self.reserve = Some(Reserve::make(&self.dir, self.options.reserve_bytes)?);
        }
        self.rotate()?;
        self.full = false;
        Ok(())
    }

    /// Whether the last write found the disk full, or the reserve is in use: no new orders.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.full
    }

    /// Whether the file system guarantees the reserve's room. Where it does not (it cannot allocate ahead), a full disk
    /// may refuse even a kill's record: say so at the start.
    #[must_use]
    pub fn is_reserve_held(&self) -> bool {
        self.reserve.as_ref().is_some_and(Reserve::is_held)
    }

    /// How far the disk is behind. Reads the clock when anything waits; does not allocate.
    #[must_use]
    pub fn lag(&self) -> SyncLag {
        self.shared.lag()
    }

    /// The number that the next event must have.
    #[must_use]
    pub const fn next_event(&self) -> u64 {
        self.position.event
    }

    /// Records written, all lives together.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.position.seq
    }

    /// Bytes written, all segments together.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.closed_bytes + self.size
    }

    /// The chain over all records: kept elsewhere, it proves later that none of them was changed.
    #[must_use]
    pub const fn chain(&self) -> Chain {
        self.position.chain
    }

    fn path(&self) -> PathBuf {
        segment::path(&self.dir, self.number)
    }

    fn no_room(&self) -> JournalError {
        JournalError::DiskFull {
            path: self.path(),
            source: std::io::ErrorKind::StorageFull.into(),
        }
    }
}

/// Takes the journal for this process.
pub(crate) fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join("lock");
    let failed = |source| JournalError::io("locking the journal", &path, source);
    let file = segment::create_file(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Puts a segment under its name with its first bytes in it and all of it on disk, or not at all.
fn place_whole(dir: &Path, number: u32, bytes: &[u8]) -> Result<File, JournalError> {
    let (unnamed, path) = (dir.join("begun"), segment::path(dir, number));
    let failed = |source| JournalError::io("beginning a segment", &path, source);
    let file = segment::create_file(&unnamed).map_err(failed)?;
    file.write_all_at(bytes, 0).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&unnamed, &path).map_err(failed)?;
    segment::sync_dir(dir).map_err(failed)?;
    Ok(file)
}

fn head(number: u32, position: Position) -> [u8; HEAD_BYTES] {
    let format = Format::CURRENT;
    Head {
        format,
        number,
        position,
    }
    .encode()
}

/// Appends a header's record, once it is sure to read back.
fn put_header(
    out: &mut Vec<u8>,
    position: &mut Position,
    header: &RunHeader,
    ts: Timestamp,
) -> Result<(), JournalError> {
    let start = out.len() + HEADER_BYTES;
    position
        .put(out, (Kind::Header, ts.nanos()), |out| encode_header(header, out))
        .map_err(too_long)?;
    let end = out.len() - crate::frame::TRAILER_BYTES;
    decode_header(&out[start..end])
        .map(drop)
        .map_err(JournalError::Header)
}

fn too_long(_: FrameError) -> JournalError {
    // The only reason why a record cannot be put together.
    JournalError::TooLong
}

const fn byte_count(len: usize) -> u64 {
    // Lossless: no target of Rust has pointers of more than 64 bits.
    len as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{EventBody, TimerId};

    /// The header of the format's golden file.
    fn header() -> RunHeader {
        let golden = include_str!("../tests/format/golden_v1.txt");
        let line = golden.lines().find_map(|line| line.strip_prefix("header.1 "));
        let digits = line.expect("a header").as_bytes().chunks_exact(2);
        let bytes: Vec<u8> = digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("hex"))
            .collect();
        decode_header(&bytes).expect("a header")
    }

    fn timer(seq: u64) -> Event<'static> {
        Event {
            seq,
            ts: Timestamp::EPOCH,
            body: EventBody::Timer(TimerId(seq)),
        }
    }

    #[test]
    fn nothing_is_written_after_a_failed_sync() {
        let dir = tempfile::tempdir().expect("a folder");
        let options = WriterOptions::default();
        let (mut writer, mut syncer) =
            Writer::create(dir.path(), options, &header(), Timestamp::EPOCH).expect("begun");
        writer.append_event(&timer(1), Room::Ordinary).expect("written");
        // A device that cannot be forced to disk.
        let device = File::open("/dev/null").expect("a device");
        writer.shared.begin_segment(device);
        assert!(matches!(syncer.sync(), Err(JournalError::SyncFailed { .. })));
        let bytes = writer.bytes();
        let refused = writer.append_event(&timer(2), Room::Reserve);
        assert!(matches!(refused, Err(JournalError::SyncFailed { .. })));
        assert!(matches!(
            writer.leave_reserve(),
            Err(JournalError::SyncFailed { .. })
        ));
        assert_eq!((writer.next_event(), writer.bytes()), (2, bytes));
    }

    #[test]
    fn a_write_that_cannot_be_undone_is_the_last() {
        let dir = tempfile::tempdir().expect("a folder");
        let options = WriterOptions::default();
        let (mut writer, _syncer) =
            Writer::create(dir.path(), options, &header(), Timestamp::EPOCH).expect("begun");
        // A handle that can be neither written nor cut.
        writer.segment = File::open(writer.path()).expect("a segment");
        let failed = writer.append_event(&timer(1), Room::Ordinary);
        assert!(matches!(failed, Err(JournalError::Io { .. })), "{failed:?}");
        let refused = writer.append_event(&timer(1), Room::Reserve);
        assert!(matches!(refused, Err(JournalError::Broken { .. })), "{refused:?}");
    }
}
