//! Recordings as a stream that was recorded: the messages of one venue's wire, to be read by whoever reads the wire.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use domain::{Instrument, Text, Timestamp};
use recording::{ReadError, RecordKind};
use venues::{Instruments, MarketProtocol, StreamMessage};

use crate::check::{Merge, Progress, strangers, survey_all};
use crate::session::{Plan, Session, made, plan};
use crate::survey::Surveyed;
use crate::wire::Wire;

/// What is in recordings of one wire.
#[derive(Debug)]
pub struct Recorded {
    files: Vec<Surveyed>,
    plans: Vec<Plan>,
    wire: Wire,
    instruments: Vec<Instrument>,
}

impl Recorded {
    /// Looks recordings through, and tells how far it is. Connections may follow on each other, but not stand beside each other.
    ///
    /// # Errors
    /// [`ReadError`] when a file cannot be read or is damaged, and for files of several wires, or of none.
    pub fn open(paths: &[PathBuf], tell: &mut dyn FnMut(Progress)) -> Result<Self, ReadError> {
        let mut files = survey_all(paths, tell)?;
        // What is in none of the files is told with its file.
        strangers(&files)?;
        let plans = plan(&mut files);
        let content = |problem: &str| ReadError::Content {
            file: paths.first().cloned().unwrap_or_default(),
            problem: problem.to_owned(),
        };
        let Some(wire) = plans.first().map(Plan::wire) else {
            return Err(content("no message of a wire that is known"));
        };
        if plans.iter().any(|plan| plan.wire() != wire) {
            return Err(content(
                "the files are of several wires: replay one venue at a time",
            ));
        }
        let overlap = plans.windows(2).any(|pair| pair[1].first() < pair[0].last());
        if overlap {
            return Err(content(
                "connections stand beside each other in it, or a file is named twice: replay one at a time",
            ));
        }
        let mut symbols: Vec<String> = Vec::new();
        for symbol in plans.iter().flat_map(|plan| plan.symbols(&files)) {
            if !symbols.contains(&symbol) {
                symbols.push(symbol);
            }
        }
        let symbols = symbols.iter().filter_map(|symbol| Text::new(symbol));
        let instruments = symbols
            .zip(0..)
            .map(|(symbol, id)| made(wire, id, symbol))
            .collect();
        Ok(Self {
            files,
            plans,
            wire,
            instruments,
        })
    }

    /// Whose wire it is.
    #[must_use]
    pub const fn wire(&self) -> Wire {
        self.wire
    }

    /// What is spoken of, as far as a recording tells: symbols and currencies, no rules.
    #[must_use]
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// Files that end in the middle of a record: a crash, or a copy cut short.
    #[must_use]
    pub fn torn(&self) -> Vec<PathBuf> {
        let torn = self.files.iter().filter(|file| file.is_torn);
        torn.map(|file| file.path.clone()).collect()
    }

    /// When the first and the last message came.
    #[must_use]
    pub fn span(&self) -> (Timestamp, Timestamp) {
        let first = self.plans.first().map_or(Timestamp::EPOCH, Plan::first);
        let last = self.plans.iter().map(Plan::last).max().unwrap_or(first);
        (first, last)
    }

    /// Begins to play. Messages of other instruments than these are read and passed over by the protocol.
    ///
    /// # Errors
    /// [`ReadError`] when no protocol can be made for them.
    pub fn play(self, instruments: &Arc<Instruments>) -> Result<Playback, ReadError> {
        let Self { files, plans, .. } = self;
        let sessions = plans.into_iter().enumerate();
        let sessions =
            sessions.map(|(number, plan)| Session::of(number, plan, &files, Arc::clone(instruments)));
        let sessions = sessions.collect::<Result<Vec<_>, _>>()?;
        Ok(Playback {
            merge: Merge::new(&files),
            files,
            sessions,
            waiting: VecDeque::new(),
            progress: Progress {
                file: 0,
                pass: 2,
                line: 0,
            },
        })
    }
}

/// Recordings being played.
#[derive(Debug)]
pub struct Playback {
    files: Vec<Surveyed>,
    sessions: Vec<Session>,
    merge: Merge,
    waiting: VecDeque<StreamMessage>,
    progress: Progress,
}

impl Playback {
    /// A protocol that reads all of it.
    #[must_use]
    pub fn protocol(&self) -> Box<dyn MarketProtocol> {
        // There is one session at least, and all are of one wire.
        self.sessions[0].protocol.duplicate()
    }

    /// Where the latest message stands.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// The next message, with the time at which it was received; `None` at the end.
    ///
    /// # Errors
    /// [`ReadError`] when a file is damaged.
    pub fn next_message(&mut self) -> Result<Option<StreamMessage>, ReadError> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Ok(Some(message));
            }
            let Some((file, record)) = self.merge.next(&self.files)? else {
                return Ok(None);
            };
            (self.progress.file, self.progress.line) = (file, record.line);
            let is_answer = matches!(record.kind, RecordKind::Answer { .. });
            for session in &mut self.sessions {
                let is_its =
                    session.files.contains(&file) && (is_answer || session.connection == record.connection);
                if is_its {
                    let ts_received = record.at;
                    let kinds = session.translate(&record);
                    self.waiting
                        .extend(kinds.map(|kind| StreamMessage { ts_received, kind }));
                }
            }
        }
    }
}
