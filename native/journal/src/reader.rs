//! The reader: every record in order, each proven to continue the one before it.

use std::path::{Path, PathBuf};

use domain::Timestamp;
use engine::{Event, EventBody};

use crate::codec::{CodecError, Format, LevelScratch, RunHeader, decode_event, decode_header};
use crate::error::{Fault, JournalError};
use crate::frame::{self, Chain, FrameError, HEADER_BYTES, Kind};
use crate::position::Position;
use crate::segment::{self, HEAD_BYTES, Head, HeadError};
use crate::tail::Tail;
use crate::window::Window;

/// What a death left behind the last whole record. It was never acknowledged as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornTail {
    /// In which segment.
    pub segment: u32,
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
}

/// One record.
#[derive(Debug)]
pub struct Record<'a> {
    /// Its number; records count from 0.
    pub seq: u64,
    /// Engine time.
    pub ts: Timestamp,
    /// Its segment.
    pub segment: u32,
    /// Where in the segment it begins.
    pub offset: u64,
    /// Its payload as it was written; for an action, its canonical bytes.
    pub payload: &'a [u8],
    /// What it says.
    pub body: RecordBody<'a>,
}

/// What a record says.
#[derive(Debug)]
pub enum RecordBody<'a> {
    /// A life of the service begins; the first record of all, and of every later life.
    Header(Box<RunHeader>),
    /// An input of the engine.
    Event(Event<'a>),
    /// An output of the engine, to be compared by [`Record::payload`]; [`crate::codec::decode_action`] reads it.
    Action,
}

/// Where the record lies that was read last.
#[derive(Debug, Clone, Copy)]
struct Current {
    kind: Kind,
    seq: u64,
    ts: i64,
    /// The event's number, when it is one.
    event: u64,
    offset: u64,
    /// Where its payload begins in the window's buffer, and its length.
    payload: (usize, usize),
}

/// Reads a journal front to back. It needs no lock and changes nothing: what a writer adds after a segment was opened is
/// not seen, and a torn tail is where the reading ends.
///
/// ```no_run
/// use journal::{Reader, RecordBody};
/// let mut reader = Reader::open("runs/today/journal".as_ref())?;
/// while let Some(record) = reader.next_record()? {
///     if let RecordBody::Event(event) = record.body {
///         println!("{} {:?}", event.seq, event.body);
///     }
/// }
/// # Ok::<(), journal::JournalError>(())
/// ```
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    /// The number of the segment being read.
    number: u32,
    /// The number of the last segment.
    last: u32,
    window: Window,
    format: Format,
    position: Position,
    scratch: LevelScratch,
    /// A last segment that was never begun, and its length.
    unbegun: Option<(u32, u64)>,
    torn: Option<TornTail>,
}

impl Reader {
    /// Opens a journal at record 0.
    ///
    /// # Errors
    /// [`JournalError::Absent`], [`JournalError::MissingSegment`], [`JournalError::Format`], [`JournalError::Damaged`],
    /// [`JournalError::Io`].
    pub fn open(dir: &Path) -> Result<Self, JournalError> {
        let (last, unbegun) = survey(dir)?;
        let mut reader = Self::at(dir, 0, last, unbegun)?;
        reader.enter(Some(Position::START))?;
        Ok(reader)
    }

    /// Opens a journal where its last life begins, trusting the head of that segment for what stands before it.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_last_life(dir: &Path) -> Result<Self, JournalError> {
        let (last, unbegun) = survey(dir)?;
        for number in (1..=last).rev() {
            let mut reader = Self::at(dir, number, last, unbegun)?;
            reader.enter(None)?;
            if reader.is_at_header()? {
                return Ok(reader);
            }
        }
        Self::open(dir)
    }

    fn at(dir: &Path, number: u32, last: u32, unbegun: Option<(u32, u64)>) -> Result<Self, JournalError> {
        let path = segment::path(dir, number);
        let window = Window::open(&path).map_err(|source| opening(&path, source))?;
        Ok(Self {
            dir: dir.to_owned(),
            number,
            last,
            window,
            format: Format::CURRENT,
            position: Position::START,
            scratch: LevelScratch::default(),
            unbegun,
            torn: None,
        })
    }

    /// The format in which the records read so far are written.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// What a death left at the end; known once everything has been read.
    #[must_use]
    pub fn torn(&self) -> Option<TornTail> {
        let unbegun = self.unbegun.filter(|(_, bytes)| *bytes > 0);
        self.torn.or(unbegun.map(|(segment, bytes)| TornTail {
            segment,
            offset: 0,
            bytes,
        }))
    }

    /// The chain over all records that have been read: one hash that names them.
    #[must_use]
    pub const fn chain(&self) -> Chain {
        self.position.chain
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// [`JournalError::Damaged`], [`JournalError::Format`], [`JournalError::Io`]. The first error ends the reading: what
    /// would come after it is not proven.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, JournalError> {
        match self.advance()? {
            Some(current) => self.record(current).map(Some),
            None => Ok(None),
        }
    }

    /// Where the reading stands: behind the record read last.
    pub(crate) const fn position(&self) -> Position {
        self.position
    }

    /// The segment where the reading stands, and how much of it has been read.
    pub(crate) const fn place(&self) -> (u32, u64) {
        (self.number, self.window.offset())
    }

    /// The segment after the last that was never begun.
    pub(crate) fn unbegun(&self) -> Option<u32> {
        self.unbegun.map(|(number, _)| number)
    }

    /// Moves behind the next record and says where it lies.
    fn advance(&mut self) -> Result<Option<Current>, JournalError> {
        if self.torn.is_some() {
            return Ok(None);
        }
        while self.window.left() == 0 {
            if self.number == self.last {
                // A journal is placed with record 0 in it: one without any has lost it.
                return match self.position.seq {
                    0 => Err(self.damaged(self.window.offset(), Fault::NoHeader)),
                    _ => Ok(None),
                };
            }
            let path = segment::path(&self.dir, self.number + 1);
            self.window
                .reopen(&path)
                .map_err(|source| opening(&path, source))?;
            self.number += 1;
            self.enter(Some(self.position))?;
        }
        let offset = self.window.offset();
        let (dir, number) = (&self.dir, self.number);
        let failed = |source| JournalError::io("reading a record", &segment::path(dir, number), source);
        let bytes = self.window.record().map_err(failed)?;
        let found = frame::decode(bytes, &self.position.chain).map(|frame| {
            let (kind, seq, ts) = (frame.kind, frame.seq, frame.ts);
            (kind, seq, ts, frame.payload.len(), frame.chain, frame.bytes)
        });
        let (kind, seq, ts, len, chain, size) = match found {
            Ok(found) => found,
            Err(error) => return self.stop(error).map(|()| None),
        };
        if seq != self.position.seq {
            return Err(self.damaged(offset, Fault::Sequence(seq)));
        }
        if seq == 0 && kind != Kind::Header {
            return Err(self.damaged(offset, Fault::NoHeader));
        }
        let event = self.position.event;
        self.position.pass(kind, chain);
        let start = self.window.consume(size) + HEADER_BYTES;
        Ok(Some(Current {
            kind,
            seq,
            ts,
            event,
            offset,
            payload: (start, len),
        }))
    }

    fn record(&mut self, current: Current) -> Result<Record<'_>, JournalError> {
        let (dir, number) = (&self.dir, self.number);
        let payload = self.window.consumed(current.payload.0, current.payload.1);
        let ts = Timestamp::from_nanos(current.ts);
        let body = match current.kind {
            Kind::Header => decode_header(payload).map(|header| RecordBody::Header(Box::new(header))),
            Kind::Event => {
                let body = decode_event(self.format, payload, &mut self.scratch);
                body.map(|body: EventBody<'_>| {
                    let seq = current.event;
                    RecordBody::Event(Event { seq, ts, body })
                })
            }
            Kind::Action => Ok(RecordBody::Action),
        };
        let damaged = |fault: CodecError| JournalError::Damaged {
            path: segment::path(dir, number),
            segment: number,
            offset: current.offset,
            seq: current.seq,
            fault: Fault::Payload(fault),
        };
        Ok(Record {
            seq: current.seq,
            ts,
            segment: number,
            offset: current.offset,
            payload,
            body: body.map_err(damaged)?,
        })
    }

    /// Reads the head of the segment that was just opened; it must continue `expected`, or is taken at its word.
    fn enter(&mut self, expected: Option<Position>) -> Result<(), JournalError> {
        let path = segment::path(&self.dir, self.number);
        let bytes = self
            .window
            .fill(HEAD_BYTES)
            .map_err(|source| JournalError::io("reading a segment's head", &path, source))?;
        let head = match bytes.first_chunk::<HEAD_BYTES>().map(Head::decode) {
            Some(Ok(head)) => head,
            Some(Err(HeadError::Format(source))) => return Err(JournalError::Format { path, source }),
            Some(Err(HeadError::Damaged)) | None => return Err(self.damaged(0, Fault::SegmentHead)),
        };
        if head.number != self.number || expected.is_some_and(|expected| expected != head.position) {
            return Err(self.damaged(0, Fault::SegmentHead));
        }
        self.window.consume(HEAD_BYTES);
        self.format = head.format;
        self.position = head.position;
        Ok(())
    }

    /// Whether the segment that was just entered begins with a header.
    fn is_at_header(&mut self) -> Result<bool, JournalError> {
        let path = segment::path(&self.dir, self.number);
        let bytes = self
            .window
            .record()
            .map_err(|source| JournalError::io("reading a record", &path, source))?;
        Ok(frame::decode(bytes, &self.position.chain).is_ok_and(|frame| frame.kind == Kind::Header))
    }

    /// The bytes at hand are no record: a torn tail ends the reading, anything else is damage.
    fn stop(&mut self, error: FrameError) -> Result<(), JournalError> {
        let offset = self.window.offset();
        if self.number != self.last {
            let fault = match error {
                FrameError::Short => Fault::CutSegment,
                other => Fault::Frame(other),
            };
            return Err(self.damaged(offset, fault));
        }
        let tail = Tail {
            file: self.window.file(),
            offset,
            end: self.window.len(),
            seq: self.position.seq,
        };
        let path = segment::path(&self.dir, self.number);
        let fault = tail
            .judge(error)
            .map_err(|source| JournalError::io("looking for records after a torn one", &path, source))?;
        match fault {
            Some(fault) => Err(self.damaged(offset, fault)),
            // The first record is placed whole: without one it is not torn.
            None if self.position.seq == 0 => Err(self.damaged(offset, Fault::NoHeader)),
            None => {
                self.torn = Some(TornTail {
                    segment: self.number,
                    offset,
                    bytes: self.window.left(),
                });
                Ok(())
            }
        }
    }

    fn damaged(&self, offset: u64, fault: Fault) -> JournalError {
        JournalError::Damaged {
            path: segment::path(&self.dir, self.number),
            segment: self.number,
            offset,
            seq: self.position.seq,
            fault,
        }
    }
}

/// The last segment of a journal, and one after it that was never begun with its length.
fn survey(dir: &Path) -> Result<(u32, Option<(u32, u64)>), JournalError> {
    let numbers = segment::numbers(dir)?;
    let Some(&last) = numbers.last() else {
        return Err(JournalError::Absent { dir: dir.to_owned() });
    };
    let gap = (0..).zip(&numbers).find(|(number, found)| number != *found);
    if let Some((segment, _)) = gap {
        let path = segment::path(dir, segment);
        return Err(JournalError::MissingSegment { path, segment });
    }
    match segment::unbegun(dir, last)? {
        // The first segment is placed whole: one that was not begun is a damaged one.
        Some(bytes) if last > 0 => Ok((last - 1, Some((last, bytes)))),
        _ => Ok((last, None)),
    }
}

fn opening(path: &Path, source: std::io::Error) -> JournalError {
    JournalError::io("opening a segment", path, source)
}
