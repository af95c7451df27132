//! Plays recorded files through their venues' protocols and reports what was found.

use std::collections::VecDeque;
use std::path::PathBuf;

use recording::{ReadError, Record, RecordKind, Recording};
use venues::StreamMessage;

use crate::faults::Playable;
use crate::heard::{Deaf, Listener};
use crate::report::Report;
use crate::session::{Session, plan};
use crate::survey::{Part, Surveyed, survey};

/// Most files whose times overlap.
pub const OPEN_FILES_MAX: usize = 256;

/// How far a check is: which file, which pass over it (1 finds out what is in it, 2 plays it), which line.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Index of the file.
    pub file: usize,
    /// 1 or 2.
    pub pass: u8,
    /// From 1.
    pub line: u64,
}

/// Checks recordings. Files of one wire that do not make their own connection continue each other in order of time;
/// everything else is a session by itself.
///
/// # Errors
/// [`ReadError`] when a file cannot be read, is damaged, or no file holds a message of a wire that is known.
pub fn check(paths: &[PathBuf], tell: &mut dyn FnMut(Progress)) -> Result<Report, ReadError> {
    listen(paths, tell, &mut Deaf)
}

/// Checks recordings, and lets a listener hear every event of their protocols at the place where it follows. When the
/// listener has heard enough, the report is of what was played until then.
///
/// # Errors
/// As [`check()`].
pub fn listen(
    paths: &[PathBuf],
    tell: &mut dyn FnMut(Progress),
    listener: &mut dyn Listener,
) -> Result<Report, ReadError> {
    let mut files = survey_all(paths, tell)?;
    let strangers = strangers(&files)?;
    let mut sessions = Vec::new();
    // Which session each connection of each file belongs to.
    for (number, plan) in plan(&mut files).into_iter().enumerate() {
        sessions.push(Session::new(number, plan, &files)?);
    }
    let mut merge = Merge::new(&files);
    while let Some((file, record)) = merge.next(&files)? {
        tell(Progress {
            file,
            pass: 2,
            line: record.line,
        });
        if listener.wait_until(record.at).is_break() {
            break;
        }
        let path = &files[file].path;
        let is_answer = matches!(record.kind, RecordKind::Answer { .. });
        for session in sessions
            .iter_mut()
            .filter(|session| session.files.contains(&file))
        {
            if is_answer || session.connection == record.connection {
                session.play(&record, path, listener);
            }
        }
    }
    for session in &mut sessions {
        session.oracle.compare_whole(session.protocol.as_ref());
    }
    Ok(Report::new(&files, &sessions, strangers))
}

/// The first pass over all files.
pub(crate) fn survey_all(
    paths: &[PathBuf],
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<Surveyed>, ReadError> {
    let files = paths.iter().enumerate();
    files
        .map(|(file, path)| survey(file, path, &mut |line| tell(Progress { file, pass: 1, line })))
        .collect()
}

/// The sessions of recordings, each ready to be played from its start.
///
/// # Errors
/// As [`check`].
pub(crate) fn sessions(paths: &[PathBuf]) -> Result<Vec<Playable>, ReadError> {
    let mut files = survey_all(paths, &mut |_| {})?;
    let mut sessions = Vec::new();
    for (number, plan) in plan(&mut files).into_iter().enumerate() {
        sessions.push((Session::new(number, plan, &files)?, Vec::new()));
    }
    let mut merge = Merge::new(&files);
    while let Some((file, record)) = merge.next(&files)? {
        for (session, messages) in &mut sessions {
            let is_answer = matches!(record.kind, RecordKind::Answer { .. });
            if session.files.contains(&file) && (is_answer || session.connection == record.connection) {
                let ts_received = record.at;
                let kinds = session.translate(&record);
                messages.extend(kinds.map(|kind| StreamMessage { ts_received, kind }));
            }
        }
    }
    let playable = sessions.into_iter();
    Ok(playable
        .map(|(session, messages)| (session.wire, session.protocol, messages))
        .collect())
}

/// Connections whose messages are of no known wire, by name; an error where there is nothing else, in a file that holds
/// messages or in all of them. A recorder that was stopped at once leaves a file without any.
pub(crate) fn strangers(files: &[Surveyed]) -> Result<Vec<String>, ReadError> {
    let mut strangers = Vec::new();
    let is_strange = |part: &&Part| part.wire.is_none();
    for file in files {
        let problem = match file.parts.first() {
            None if files.iter().any(|file| !file.parts.is_empty()) => continue,
            None => "no message was received in it".to_owned(),
            Some(_) if file.parts.iter().any(|part| part.wire.is_some()) => String::new(),
            Some(part) => format!(
                "its messages, from line {}, are of no wire that is known",
                part.line
            ),
        };
        if !problem.is_empty() {
            return Err(ReadError::Content {
                file: file.path.clone(),
                problem,
            });
        }
        let named = |part: &Part| format!("{}: connection {:?}", file.path.display(), part.connection);
        strangers.extend(file.parts.iter().filter(is_strange).map(named));
    }
    Ok(strangers)
}

/// The records of all files in order of time: a file is opened when its time has come.
#[derive(Debug)]
pub(crate) struct Merge {
    closed: VecDeque<usize>,
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    file: usize,
    recording: Recording,
    next: Record,
}

impl Merge {
    pub(crate) fn new(files: &[Surveyed]) -> Self {
        let mut closed: Vec<usize> = (0..files.len()).collect();
        closed.sort_by_key(|&file| (files[file].first, file));
        Self {
            closed: closed.into(),
            open: Vec::new(),
        }
    }

    pub(crate) fn next(&mut self, files: &[Surveyed]) -> Result<Option<(usize, Record)>, ReadError> {
        while let Some(&file) = self.closed.front() {
            let earliest = self.open.iter().map(|open| open.next.at).min();
            if earliest.is_some_and(|earliest| earliest < files[file].first) {
                break;
            }
            self.closed.pop_front();
            self.begin(file, &files[file])?;
        }
        let earliest = (0..self.open.len()).min_by_key(|&at| (self.open[at].next.at, self.open[at].file));
        let Some(at) = earliest else { return Ok(None) };
        let open = &mut self.open[at];
        let file = open.file;
        let record = match open.recording.next().transpose()? {
            Some(next) => std::mem::replace(&mut open.next, next),
            None => self.open.swap_remove(at).next,
        };
        Ok(Some((file, record)))
    }

    fn begin(&mut self, file: usize, surveyed: &Surveyed) -> Result<(), ReadError> {
        if self.open.len() == OPEN_FILES_MAX {
            return Err(ReadError::Content {
                file: surveyed.path.clone(),
                problem: format!("more than {OPEN_FILES_MAX} files overlap in time here"),
            });
        }
        let mut recording = Recording::open(&surveyed.path)?;
        if let Some(next) = recording.next().transpose()? {
            self.open.push(Open {
                file,
                recording,
                next,
            });
        }
        Ok(())
    }
}
