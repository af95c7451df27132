//! One recorded file as records in order of time.

use std::collections::VecDeque;
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use serde::de::IgnoredAny;

use crate::error::ReadError;
use crate::format::Format;
use crate::lines::{Line, Lines};
use crate::record::{Entry, Record, RecordKind};

/// Most bytes of REST answers held until their time comes. Beyond it they are handed on where they stand.
pub const HELD_BYTES_MAX: usize = 256 << 20;

/// Most connections in one file.
pub const CONNECTIONS_MAX: usize = 4_096;

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
            RecordKind::Connected { .. } | RecordKind::Disconnected { .. } => false,
            RecordKind::Sent(text) | RecordKind::Received(text) | RecordKind::Answer { body: text, .. } => {
                serde_json::from_slice::<IgnoredAny>(text).is_err()
            }
        },
    }
}
