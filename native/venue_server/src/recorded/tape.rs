//! Reads the recordings and plays them to whoever listens.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::ws::Utf8Bytes;
use domain::Timestamp;
use recording::{ReadError, Record, RecordKind, Recording};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::book::{Change, Snapshot, coarser};
use super::{House, Stage};
use crate::error::ServerError;
use crate::frames::Queued;

/// Longest sleep between two looks at whether to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Longest wait, at a recorded snapshot, for somebody who asks for it: it stands in the recording because somebody did.
const REQUEST_PATIENCE: Duration = Duration::from_secs(1);

/// Most symbols, and most streams, in a recording.
const NAMES_MAX: usize = 4_096;

/// A tick before any price is known, units of 1e-8.
const TICK_MAX: i64 = 1_000_000_000_000;

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
    pub(super) files: Vec<PathBuf>,
    /// Time of the first record, UTC ns.
    pub(super) first_ns: i64,
    /// Price step of each symbol, units of 1e-8.
    pub(super) ticks: BTreeMap<String, i64>,
    pub(super) streams: BTreeSet<String>,
}

/// A message of the combined stream.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    e: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    s: Option<Cow<'a, str>>,
}

/// Reads recordings from their start to their end.
pub(super) fn contents(files: &[PathBuf]) -> Result<Contents, ServerError> {
    let mut begun: Vec<(Timestamp, &PathBuf)> = Vec::new();
    let mut found = Contents::default();
    let mut answers: Vec<i64> = Vec::new();
    for file in files {
        let mut first = None;
        for record in Recording::open(file)? {
            let record = record?;
            first.get_or_insert(record.at);
            match &record.kind {
                RecordKind::Received(frame) => found.note(file, frame)?,
                RecordKind::Answer { url, body } => {
                    let Ok(snapshot) = serde_json::from_slice::<Snapshot<'_>>(body) else {
                        continue;
                    };
                    match url.as_deref().and_then(symbol_in) {
                        Some(symbol) => found.step(symbol, &snapshot),
                        None => answers.push(coarser(TICK_MAX, &snapshot)),
                    }
                }
                _ => {}
            }
        }
        begun.extend(first.map(|first| (first, file)));
    }
    if found.streams.is_empty() {
        return Err(ServerError::Recording(content(
            files,
            "it holds no message of Binance's combined stream, {\"stream\":...,\"data\":...}",
        )));
    }
    // Whose an answer without a request is matters only while it is played; the finest step fits all.
    let finest = answers.into_iter().min().unwrap_or(TICK_MAX);
    for tick in found.ticks.values_mut() {
        *tick = (*tick).min(finest);
    }
    begun.sort();
    found.first_ns = begun.first().map_or(0, |(first, _)| first.nanos());
    found.files = begun.into_iter().map(|(_, file)| file.clone()).collect();
    Ok(found)
}

fn content(files: &[PathBuf], problem: &str) -> ReadError {
    ReadError::Content {
        file: files.first().cloned().unwrap_or_default(),
        problem: problem.to_owned(),
    }
}

impl Contents {
    fn note(&mut self, file: &Path, frame: &[u8]) -> Result<(), ServerError> {
        let Some(envelope) = envelope(frame) else {
            return Ok(());
        };
        if !self.streams.contains(envelope.stream.as_ref()) {
            self.streams.insert(envelope.stream.clone().into_owned());
        }
        if let Ok(Head { s: Some(symbol), .. }) = serde_json::from_str(envelope.data.get())
            && !self.ticks.contains_key(symbol.as_ref())
        {
            self.ticks.insert(symbol.into_owned(), TICK_MAX);
        }
        if self.streams.len() > NAMES_MAX || self.ticks.len() > NAMES_MAX {
            let problem = format!("more than {NAMES_MAX} streams or symbols");
            return Err(ServerError::Recording(content(&[file.to_owned()], &problem)));
        }
        Ok(())
    }

    fn step(&mut self, symbol: &str, snapshot: &Snapshot<'_>) {
        let tick = self.ticks.entry(symbol.to_owned()).or_insert(TICK_MAX);
        *tick = coarser(*tick, snapshot);
    }
}

fn envelope(frame: &[u8]) -> Option<Envelope<'_>> {
    serde_json::from_slice(frame).ok()
}

/// The value of `symbol` in a request's address.
fn symbol_in(url: &str) -> Option<&str> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("symbol="))
}

/// Plays all files, one behind the other, until the end or until it is told to stop.
pub(super) fn play(house: &House, speed: Speed) -> Result<(), ServerError> {
    let mut pace = Pace { speed, anchor: None };
    // Whether the recorded connection stands: a crash of the recorder leaves no word of its end.
    let mut is_up = false;
    for file in &house.contents.files {
        for record in Recording::open(file)? {
            let record = record?;
            match record.kind {
                RecordKind::Connected { .. } | RecordKind::Disconnected { .. } => {
                    if std::mem::take(&mut is_up) {
                        lose(&mut house.stage());
                    }
                }
                RecordKind::Sent(_) => {}
                RecordKind::Received(_) | RecordKind::Answer { .. } => {
                    if !wait_for_audience(house, &mut pace) || !pace.wait(house, record.at) {
                        return Ok(());
                    }
                    is_up = true;
                    play_one(house, &mut pace, &record);
                }
            }
        }
    }
    Ok(())
}

fn play_one(house: &House, pace: &mut Pace, record: &Record) {
    match &record.kind {
        RecordKind::Received(message) => frame(house, record.at, message),
        RecordKind::Answer { url, body } => answer(house, pace, url.as_deref(), body),
        _ => {}
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

/// Time stands still while nobody listens; `false` when it was told to stop.
fn wait_for_audience(house: &House, pace: &mut Pace) -> bool {
    while !house.stage().has_audience() {
        if house.is_stopped.load(Ordering::Relaxed) {
            return false;
        }
        pace.stand_still(house);
        rest(house);
    }
    true
}

/// The recorded connection was lost, so everyone's is.
fn lose(stage: &mut Stage) {
    stage.listeners.clear();
    stage.books.values_mut().for_each(super::RecordedBook::lose);
}

/// The recording holds a snapshot: who waits for it has it, as it was.
fn answer(house: &House, pace: &mut Pace, url: Option<&str>, body: &Bytes) {
    let Ok(snapshot) = serde_json::from_slice::<Snapshot<'_>>(body) else {
        return;
    };
    let Some(symbol) = whose(&house.stage(), url, &snapshot) else {
        return;
    };
    wait_for_request(house, pace, &symbol);
    let mut stage = house.stage();
    let book = stage.books.entry(symbol.clone()).or_default();
    if book.stands() {
        return;
    }
    book.snapshot(&snapshot);
    let text = String::from_utf8_lossy(body);
    for waiting in stage.waiting.extract_if(.., |waiting| waiting.symbol == symbol) {
        // Who asked may be gone.
        let _ = waiting.reply.send(text.clone().into_owned());
    }
}

/// Whose book a snapshot is: one that stands without its request is of the book whose numbers it is nearest to.
fn whose(stage: &Stage, url: Option<&str>, snapshot: &Snapshot<'_>) -> Option<String> {
    if let Some(symbol) = url.and_then(symbol_in) {
        return Some(symbol.to_owned());
    }
    let books = stage.books.iter();
    let nearest = books.min_by_key(|(_, book)| book.last().abs_diff(snapshot.last));
    nearest.map(|(symbol, _)| symbol.clone())
}

/// Time stands still until somebody asks, as somebody did when it was recorded, but not for long.
fn wait_for_request(house: &House, pace: &mut Pace, symbol: &str) {
    let is_wanted = || {
        let stage = house.stage();
        let stands = stage.books.get(symbol).is_some_and(super::RecordedBook::stands);
        stands || stage.waiting.iter().any(|waiting| waiting.symbol == symbol)
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

/// Plays a message: the book takes it first, so that no answer is older than the stream.
fn frame(house: &House, at: Timestamp, frame: &Bytes) {
    let Some(envelope) = envelope(frame) else { return };
    let Ok(whole) = Utf8Bytes::try_from(frame.clone()) else {
        return;
    };
    let senders: Vec<_> = {
        let mut stage = house.stage();
        (stage.position_ns, stage.played) = (at.nanos(), stage.played + 1);
        take(&mut stage, envelope.data.get());
        let listening = stage
            .listeners
            .iter()
            .filter(|listener| listener.streams.contains(envelope.stream.as_ref()));
        listening
            .map(|listener| (listener.id, listener.is_combined, listener.sender.clone()))
            .collect()
    };
    for (id, is_combined, sender) in senders {
        let text = if is_combined {
            whole.clone()
        } else {
            Utf8Bytes::from(envelope.data.get())
        };
        // A slow reader slows the recording down; one that is gone is left out.
        if sender.blocking_send(Queued::text(text)).is_err() {
            house.stage().leave(id);
        }
    }
}

fn take(stage: &mut Stage, data: &str) {
    let is_change = serde_json::from_str::<Head<'_>>(data)
        .is_ok_and(|head| head.e.is_some_and(|kind| kind == "depthUpdate"));
    if is_change && let Ok(change) = serde_json::from_str::<Change<'_>>(data) {
        let symbol = change.s.clone().into_owned();
        stage.books.entry(symbol).or_default().change(&change);
    }
}
