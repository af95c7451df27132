//! Recorded sessions as files: one reader for each format that is met, chosen by what stands in the file.
//!
//! | format | a line |
//! |---|---|
//! | [`Format::Stamped`] | `<receive time, ns since the epoch> <message>`; a REST answer stands as it came, in its place |
//! | [`Format::Entries`] | cryptofeed's JSON lines: `{"t":"recv","conn":...,"ts":<s>,"data":"<message as a JSON string>"}`; `t` is also `header`, `http`, `connect`, `send` |
//! | [`Format::Transcript`] | cryptofeed's older text: `wss://... <-> <s>` connected, `wss://... <- <s>: <sent>`, `https://... -> <s>: <answer>`, `<s>: <received>` |
//! | [`Format::Frames`] | `{"rx_ns":<ns>,"frame":<message>}`, with `"dir":"tx"` where it was sent; a line without a frame describes the capture |
//!
//! Each may be plain, gzip or zstd. A message is handed on byte for byte as the venue sent it: its numbers' text matters.
//! Memory is bounded: one line is held at a time, and of REST answers that stand before their time no more than
//! [`HELD_BYTES_MAX`].

mod entries;
mod frames;
mod lines;
mod stamped;
mod transcript;

use std::collections::VecDeque;
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use domain::Timestamp;
use serde::de::IgnoredAny;

use crate::error::ReadError;
pub use lines::LINE_BYTES_MAX;
use lines::{Line, Lines};

/// Most bytes of REST answers held until their time comes. Beyond it they are handed on where they stand.
pub const HELD_BYTES_MAX: usize = 256 << 20;

/// Most connections in one file.
pub const CONNECTIONS_MAX: usize = 4_096;

/// How a recording is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A receive time and a message.
    Stamped,
    /// cryptofeed's JSON lines.
    Entries,
    /// cryptofeed's older text.
    Transcript,
    /// JSON lines that hold the frame itself.
    Frames,
}

impl Format {
    /// The name used in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stamped => "stamped_lines",
            Self::Entries => "cryptofeed_jsonl",
            Self::Transcript => "cryptofeed_text",
            Self::Frames => "frame_lines",
        }
    }

    /// The format that a file's first line is in.
    fn of(line: &[u8]) -> Option<Self> {
        if stamped::is_one(line) {
            Some(Self::Stamped)
        } else if transcript::is_one(line) {
            Some(Self::Transcript)
        } else if entries::is_one(line) {
            Some(Self::Entries)
        } else if frames::is_one(line) {
            Some(Self::Frames)
        } else {
            None
        }
    }

    fn read(self, line: &[u8]) -> Result<Option<Entry>, String> {
        match self {
            Self::Stamped => stamped::read(line).map(Some),
            Self::Entries => entries::read(line),
            Self::Transcript => transcript::read(line),
            Self::Frames => frames::read(line),
        }
    }
}

/// What happened on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordKind {
    /// It was opened, to this address.
    Connected {
        /// The address.
        url: String,
    },
    /// We sent this.
    Sent(Bytes),
    /// This came, byte for byte.
    Received(Bytes),
    /// A REST answer came, over a connection of its own.
    Answer {
        /// What was asked; `None` where the recording does not say.
        url: Option<String>,
        /// Its body, byte for byte.
        body: Bytes,
    },
}

/// One thing in a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it happened at the recorder, by the recorder's clock (which need not count from the epoch).
    pub at: Timestamp,
    /// The recording's own name of the connection; empty where it has only one.
    pub connection: Arc<str>,
    /// The line it stands on, from 1.
    pub line: u64,
    /// What it is.
    pub kind: RecordKind,
}

/// A line as its format's reader gives it.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    at: Timestamp,
    connection: Option<String>,
    kind: RecordKind,
}

impl Entry {
    fn new(at: Timestamp, kind: RecordKind) -> Self {
        Self {
            at,
            connection: None,
            kind,
        }
    }
}

/// One recorded file, read from its start to its end.
#[derive(Debug)]
pub struct Recording {
    lines: Lines,
    format: Format,
    connections: Vec<Arc<str>>,
    /// REST answers whose time has not come, by time.
    held: VecDeque<Record>,
    held_bytes: usize,
    /// What was read and must wait for those held before it.
    next: Option<Record>,
    is_torn: bool,
    is_at_end: bool,
}

impl Recording {
    /// Opens a file and finds its format.
    ///
    /// # Errors
    /// [`ReadError`] when it cannot be opened, is empty, or is in no format that is known here.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Self::of(Lines::open(path)?)
    }

    /// The same of bytes, which are called by a path in errors.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn read(path: &Path, bytes: impl BufRead + 'static) -> Result<Self, ReadError> {
        Self::of(Lines::read(path, bytes)?)
    }

    fn of(mut lines: Lines) -> Result<Self, ReadError> {
        let format = lines.next()?.map(|line| Format::of(line.bytes));
        let format = match format {
            Some(Some(format)) => Ok(format),
            None => Err("it holds no line"),
            Some(None) => Err(
                "its first line is of no known recording: `<ns> <message>`, a cryptofeed recording (JSON lines or \
                 text), or JSON lines with a \"frame\"",
            ),
        };
        let format = format.map_err(|problem| ReadError::Content {
            file: lines.path().to_owned(),
            problem: problem.to_owned(),
        })?;
        lines.repeat();
        Ok(Self {
            lines,
            format,
            connections: Vec::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            next: None,
            is_torn: false,
            is_at_end: false,
        })
    }

    /// Which file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.lines.path()
    }

    /// How it is written down.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Whether its last line was cut off, and left out. Known behind the last record.
    #[must_use]
    pub const fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// The next record, those held taken into account.
    fn advance(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            if self.next.is_none() && !self.is_at_end {
                self.next = self.record()?;
                self.is_at_end = self.next.is_none();
            }
            let is_early = self
                .next
                .as_ref()
                .is_some_and(|next| self.stands_before_its_time(next));
            let is_due = match (&self.next, self.held.front()) {
                (_, Some(_)) if self.held_bytes > HELD_BYTES_MAX => true,
                (Some(next), Some(held)) => !is_early && held.at <= next.at,
                (None, Some(_)) => true,
                (_, None) => false,
            };
            if is_due {
                return Ok(self.release());
            }
            match self.next.take() {
                Some(record) if is_early => self.hold(record),
                other => return Ok(other),
            }
        }
    }

    /// Entries are grouped by connection, and every REST connection stands before the sockets. Elsewhere a line's place
    /// is its time.
    fn stands_before_its_time(&self, record: &Record) -> bool {
        self.format == Format::Entries && matches!(record.kind, RecordKind::Answer { .. })
    }

    fn hold(&mut self, record: Record) {
        let at = self.held.partition_point(|held| held.at <= record.at);
        self.held_bytes += body_bytes(&record);
        self.held.insert(at, record);
    }

    fn release(&mut self) -> Option<Record> {
        let record = self.held.pop_front()?;
        self.held_bytes -= body_bytes(&record);
        Some(record)
    }

    /// The next record as it stands in the file.
    fn record(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            let format = self.format;
            let Some(line) = self.lines.next()? else {
                self.is_torn |= self.lines.is_cut();
                return Ok(None);
            };
            let number = line.number;
            let read = format.read(line.bytes);
            if !line.is_ended && is_broken(line, &read) {
                self.is_torn = true;
                return Ok(None);
            }
            match read {
                Err(problem) => return Err(self.lines.fault(number, problem)),
                Ok(None) => {}
                Ok(Some(entry)) => return self.named(entry, number).map(Some),
            }
        }
    }

    fn named(&mut self, entry: Entry, line: u64) -> Result<Record, ReadError> {
        let name = entry.connection.unwrap_or_default();
        let known = self.connections.iter().find(|known| ***known == *name);
        let connection = if let Some(known) = known {
            Arc::clone(known)
        } else {
            if self.connections.len() == CONNECTIONS_MAX {
                let problem = format!("more than {CONNECTIONS_MAX} connections in one file");
                return Err(self.lines.fault(line, problem));
            }
            let connection: Arc<str> = name.into();
            self.connections.push(Arc::clone(&connection));
            connection
        };
        Ok(Record {
            at: entry.at,
            connection,
            line,
            kind: entry.kind,
        })
    }
}

impl Iterator for Recording {
    /// [`ReadError`] names the line that is damaged; nothing comes behind it.
    type Item = Result<Record, ReadError>;

    /// The next record. REST answers come at their time, wherever they stand.
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.is_at_end = true;
            self.next = None;
            self.held.clear();
        }
        next.transpose()
    }
}

fn body_bytes(record: &Record) -> usize {
    match &record.kind {
        RecordKind::Answer { body, .. } => body.len(),
        _ => 0,
    }
}

/// Whether a last line without an end is only the beginning of one.
fn is_broken(line: Line<'_>, read: &Result<Option<Entry>, String>) -> bool {
    debug_assert!(!line.is_ended, "a line that ended is whole");
    match read {
        Err(_) => true,
        Ok(None) => false,
        Ok(Some(entry)) => match &entry.kind {
            RecordKind::Connected { .. } => false,
            RecordKind::Sent(text) | RecordKind::Received(text) | RecordKind::Answer { body: text, .. } => {
                serde_json::from_slice::<IgnoredAny>(text).is_err()
            }
        },
    }
}

/// Seconds since the epoch as decimal text, without a float in between; digits beyond nanoseconds are cut off.
fn seconds(text: &str) -> Option<Timestamp> {
    const NANO_DIGITS: usize = 9;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<9}")[..NANO_DIGITS].parse().ok()?;
    let whole: i64 = whole.parse().ok()?;
    let nanos = whole.checked_mul(1_000_000_000)?.checked_add(fraction)?;
    Some(Timestamp::from_nanos(nanos))
}
