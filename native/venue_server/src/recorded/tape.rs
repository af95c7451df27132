//! Reads the recordings and plays them to whoever listens.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::ws::Utf8Bytes;
use domain::Timestamp;
use recording::{ReadError, Record, RecordKind, Recording};

use super::script::Wire;
use super::{House, QUEUE_FOR_ANSWERS};
use crate::error::ServerError;

/// Longest sleep between two looks at whether to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Longest wait, at a recorded snapshot, for somebody who asks for it: it stands in the recording because somebody did.
const REQUEST_PATIENCE: Duration = Duration::from_secs(1);

/// Most symbols, and most streams, in a recording.
const NAMES_MAX: usize = 4_096;

/// Most files that are read at a time.
const OPEN_FILES_MAX: usize = 64;

/// A recorder whose clock is further from the venue's counts from no epoch.
const CLOCKS_APART_NS: u64 = 86_400_000_000_000;

/// How fast it is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Speed {
    Times(f64),
    Max,
}

impl Speed {
    pub(super) fn of(speed: Option<f64>) -> Self {
        speed.map_or(Self::Max, Self::Times)
    }
}

/// What is in the recordings.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// By the time of their first record.
    files: Vec<(Timestamp, PathBuf)>,
    /// Time of the first record, ns.
    pub(super) first_ns: i64,
    /// From the recorder's clock to the venue's, ns.
    pub(super) ahead_ns: i64,
    /// Price step of each symbol, units of 1e-8.
    pub(super) ticks: BTreeMap<String, i64>,
    /// All that can be listened to.
    pub(super) topics: BTreeSet<String>,
}

/// Reads recordings from their start to their end: what is in them, and a wire that knows it.
pub(super) fn contents(paths: &[PathBuf]) -> Result<(Contents, Wire), ServerError> {
    let mut files = Vec::new();
    for path in paths {
        if let Some(first) = Recording::open(path)?.next() {
            files.push((first?.at, path.clone()));
        }
    }
    files.sort();
    let unserved = || refused(paths, "it holds no message of a wire that is served");
    let mut wire = wire(&files)?.ok_or_else(unserved)?;
    let mut found = Contents {
        first_ns: files.first().map_or(0, |(first, _)| first.nanos()),
        ..Contents::default()
    };
    let mut is_dated = false;
    for record in Merged::of(&files) {
        found.note(&mut wire, &record?, &mut is_dated);
        if found.topics.len() > NAMES_MAX {
            return Err(refused(paths, &format!("more than {NAMES_MAX} streams")));
        }
    }
    found.ticks = wire.script().ticks();
    found.files = files;
    // What is known of the end is not known at the beginning.
    wire.script_mut().lose();
    if found.topics.is_empty() || found.ticks.len() > NAMES_MAX {
        return Err(refused(paths, "no streams, or too many symbols"));
    }
    Ok((found, wire))
}

impl Contents {
    fn note(&mut self, wire: &mut Wire, record: &Record, is_dated: &mut bool) {
        match &record.kind {
            RecordKind::Sent(text) => wire.script_mut().sent(&String::from_utf8_lossy(text)),
            RecordKind::Answer { url, body } => {
                if let Wire::Binance(streams) = wire {
                    streams.note(url.as_deref(), body);
                }
            }
            RecordKind::Received(message) => {
                let text = String::from_utf8_lossy(message);
                let Some(played) = wire.script_mut().take(&text) else {
                    return;
                };
                if let Some(time) = played.time.filter(|_| !*is_dated) {
                    *is_dated = true;
                    let ahead = time.nanos().saturating_sub(record.at.nanos());
                    let is_apart = ahead.unsigned_abs() > CLOCKS_APART_NS;
                    self.ahead_ns = if is_apart { ahead } else { 0 };
                }
                self.topics.extend(played.topics);
            }
            RecordKind::Connected { .. } | RecordKind::Disconnected { .. } => {}
        }
    }
}

/// Whose wire it is: that of the first message that can be of one only.
fn wire(files: &[(Timestamp, PathBuf)]) -> Result<Option<Wire>, ServerError> {
    for record in Merged::of(files) {
        if let RecordKind::Received(message) = &record?.kind
            && let Some(wire) = Wire::of(message)
        {
            return Ok(Some(wire));
        }
    }
    Ok(None)
}

fn refused(files: &[PathBuf], problem: &str) -> ServerError {
    ServerError::Recording(ReadError::Content {
        file: files.first().cloned().unwrap_or_default(),
        problem: problem.to_owned(),
    })
}

/// All records of all files in the order of their times. A file is opened when its time has come, so that files behind each
/// other are never open together, and those of several connections of one time are.
struct Merged<'c> {
    files: &'c [(Timestamp, PathBuf)],
    /// How many of them have been opened.
    opened: usize,
    open: Vec<Open>,
}

/// A file that is being read.
struct Open {
    /// Its place among the files.
    at: usize,
    next: Record,
    recording: Recording,
}

impl<'c> Merged<'c> {
    const fn of(files: &'c [(Timestamp, PathBuf)]) -> Self {
        Self {
            files,
            opened: 0,
            open: Vec::new(),
        }
    }

    /// The index of the open file whose next record is the earliest; of equal ones, the first file's.
    fn earliest(&self) -> Option<usize> {
        (0..self.open.len()).min_by_key(|&index| (self.open[index].next.at, self.open[index].at))
    }

    /// Opens what begins no later than what comes next.
    fn open_due(&mut self) -> Result<(), ReadError> {
        while let Some((first, path)) = self.files.get(self.opened) {
            if self
                .earliest()
                .is_some_and(|index| self.open[index].next.at < *first)
            {
                break;
            }
            if self.open.len() == OPEN_FILES_MAX {
                return Err(ReadError::Content {
                    file: path.clone(),
                    problem: format!("more than {OPEN_FILES_MAX} files overlap in time here"),
                });
            }
            let at = self.opened;
            self.opened += 1;
            let mut recording = Recording::open(path)?;
            if let Some(next) = recording.next().transpose()? {
                self.open.push(Open { at, next, recording });
            }
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<Option<Record>, ReadError> {
        self.open_due()?;
        let Some(index) = self.earliest() else {
            return Ok(None);
        };
        let open = &mut self.open[index];
        let record = match open.recording.next().transpose()? {
            Some(next) => std::mem::replace(&mut open.next, next),
            None => self.open.swap_remove(index).next,
        };
        Ok(Some(record))
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            // Nothing follows a damaged file.
            (self.open, self.opened) = (Vec::new(), self.files.len());
        }
        next.transpose()
    }
}

/// Plays all files until the end or until it is told to stop.
pub(super) fn play(house: &House, speed: Speed) -> Result<(), ServerError> {
    let mut pace = Pace { speed, anchor: None };
    // Whether the recorded connection stands: a crash of the recorder leaves no word of its end.
    let mut is_up = false;
    for record in Merged::of(&house.contents.files) {
        let record = record?;
        match &record.kind {
            RecordKind::Connected { .. } | RecordKind::Disconnected { .. } => {
                if std::mem::take(&mut is_up) {
                    house.stage().lose();
                    pace.stand_still(house);
                }
            }
            RecordKind::Sent(_) => {}
            RecordKind::Received(_) | RecordKind::Answer { .. } => {
                if !wait_for_audience(house, &mut pace, is_up) || !pace.wait(house, record.at) {
                    return Ok(());
                }
                is_up = true;
                play_one(house, &mut pace, &record);
            }
        }
    }
    Ok(())
}

fn play_one(house: &House, pace: &mut Pace, record: &Record) {
    match &record.kind {
        RecordKind::Received(message) => {
            let Ok(text) = Utf8Bytes::try_from(message.clone()) else {
                return;
            };
            wait_for_room(house);
            house.stage().play(record.at, &text);
        }
        RecordKind::Answer { url, body } => answer(house, pace, url.as_deref(), body),
        _ => {}
    }
}

/// A slow reader slows the recording down; one that is gone is left out.
fn wait_for_room(house: &House) {
    let mut slow = Vec::new();
    for listener in &house.stage().listeners {
        if listener.sender.capacity() < QUEUE_FOR_ANSWERS {
            slow.push((listener.id, listener.sender.clone()));
        }
    }
    for (id, sender) in slow {
        let room = tokio::runtime::Handle::current().block_on(sender.reserve_many(QUEUE_FOR_ANSWERS));
        if room.is_err() {
            house.stage().leave(id);
        }
    }
}

/// When each record is due.
struct Pace {
    speed: Speed,
    /// A record's time, and when it was played.
    anchor: Option<(Timestamp, Instant)>,
}

impl Pace {
    /// Time goes on from the next record.
    fn stand_still(&mut self, house: &House) {
        self.anchor = None;
        house.stage().pace = None;
    }

    /// Waits for a record's time; `false` when it was told to stop.
    fn wait(&mut self, house: &House, at: Timestamp) -> bool {
        let Speed::Times(speed) = self.speed else {
            return !house.is_stopped.load(Ordering::Relaxed);
        };
        let (first, began) = *self.anchor.get_or_insert_with(|| (at, Instant::now()));
        house.stage().pace = Some((first.nanos(), began, speed));
        let passed = at.nanos().saturating_sub(first.nanos()).max(0);
        let due = Duration::try_from_secs_f64(passed as f64 / 1e9 / speed).unwrap_or(Duration::MAX);
        loop {
            if house.is_stopped.load(Ordering::Relaxed) {
                return false;
            }
            let left = due.saturating_sub(began.elapsed());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(LOOK_EVERY));
        }
    }
}

/// Time stands still while nobody listens, and does not begin before whoever listens has said all that it wants to hear;
/// `false` when it was told to stop.
fn wait_for_audience(house: &House, pace: &mut Pace, has_begun: bool) -> bool {
    if has_begun && house.stage().has_audience() {
        return true;
    }
    while !house.stage().is_gathered(&house.contents) {
        if house.is_stopped.load(Ordering::Relaxed) {
            return false;
        }
        pace.stand_still(house);
        rest(house);
    }
    true
}

/// The recording holds a snapshot over REST.
fn answer(house: &House, pace: &mut Pace, url: Option<&str>, body: &Bytes) {
    let whose = match &house.stage().wire {
        Wire::Binance(streams) => streams.whose(url, body),
        _ => None,
    };
    let Some(symbol) = whose else { return };
    wait_for_request(house, pace, &symbol);
    if let Wire::Binance(streams) = &mut house.stage().wire {
        streams.answer(&symbol, body);
    }
}

/// Time stands still until somebody asks, as somebody did when it was recorded, but not for long.
fn wait_for_request(house: &House, pace: &mut Pace, symbol: &str) {
    let is_wanted = || match &house.stage().wire {
        Wire::Binance(streams) => streams.is_wanted(symbol),
        _ => true,
    };
    let began = Instant::now();
    while !is_wanted() && began.elapsed() < REQUEST_PATIENCE && !house.is_stopped.load(Ordering::Relaxed) {
        pace.stand_still(house);
        rest(house);
    }
}

/// Waits a moment for news of whoever listens or asks. A notice that comes in between is found by the next look.
fn rest(house: &House) {
    tokio::runtime::Handle::current().block_on(async {
        let _ = tokio::time::timeout(LOOK_EVERY, house.heard.notified()).await;
    });
}
