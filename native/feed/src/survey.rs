//! The first reading of the files: what is in them, so that a protocol can be made for each connection.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::Timestamp;
use recording::{Format, ReadError, Record, RecordKind, Recording};
use venues::INSTRUMENTS_MAX;

use crate::reading::{self, Answer, Fact, QueuesFact};
use crate::wire::Wire;

/// One connection's part in one file.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) file: usize,
    pub(crate) connection: Arc<str>,
    pub(crate) wire: Option<Wire>,
    /// Whether the connection is made in this file; if not, it continues one of before.
    pub(crate) begins: bool,
    /// By their first appearance.
    pub(crate) symbols: Vec<String>,
    /// Levels a side that each book was subscribed with.
    pub(crate) depths: BTreeMap<String, usize>,
    /// Levels of the larger side of each book's first snapshot.
    pub(crate) snapshot_levels: BTreeMap<String, usize>,
    /// Lowest and highest update number of each symbol.
    pub(crate) numbers: BTreeMap<String, (u64, u64)>,
    /// Messages received.
    pub(crate) frames: u64,
    /// Where the first of them stands.
    pub(crate) line: u64,
    /// When the first and the last of them came.
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

/// A file and the connections in it.
#[derive(Debug)]
pub(crate) struct Surveyed {
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
    pub(crate) is_torn: bool,
    pub(crate) records: u64,
    pub(crate) lines: u64,
    pub(crate) first: Timestamp,
    /// Symbols of which a REST answer tells all orders.
    pub(crate) told: Vec<String>,
    pub(crate) parts: Vec<Part>,
}

/// Reads a file from its start to its end.
pub(crate) fn survey(file: usize, path: &Path, tell: &mut dyn FnMut(u64)) -> Result<Surveyed, ReadError> {
    let mut recording = Recording::open(path)?;
    let mut surveyed = Surveyed {
        path: path.to_owned(),
        format: recording.format(),
        is_torn: false,
        records: 0,
        lines: 0,
        first: Timestamp::from_nanos(i64::MAX),
        told: Vec::new(),
        parts: Vec::new(),
    };
    for record in &mut recording {
        let record = record?;
        surveyed.records += 1;
        surveyed.lines = surveyed.lines.max(record.line);
        surveyed.take(file, &record).map_err(|problem| ReadError::Line {
            file: path.to_owned(),
            line: record.line,
            problem,
        })?;
        tell(record.line);
    }
    surveyed.is_torn = recording.is_torn();
    // Connections over which nothing came say nothing; REST has connections of its own.
    surveyed.parts.retain(|part| part.frames > 0);
    Ok(surveyed)
}

impl Surveyed {
    fn take(&mut self, file: usize, record: &Record) -> Result<(), String> {
        match &record.kind {
            RecordKind::Answer { body, .. } => {
                self.first = self.first.min(record.at);
                if let Some(Answer::Orders(fact)) = reading::answer(Wire::IndependentReserve, body) {
                    noted(&mut self.told, &fact.symbol)?;
                }
                Ok(())
            }
            RecordKind::Connected { .. } => {
                let part = self.part(file, &record.connection);
                part.begins |= part.frames == 0;
                Ok(())
            }
            RecordKind::Disconnected { .. } => Ok(()),
            RecordKind::Sent(text) => {
                let part = self.part(file, &record.connection);
                part.depths.extend(reading::subscribed_depths(text));
                Ok(())
            }
            RecordKind::Received(frame) => {
                self.first = self.first.min(record.at);
                self.part(file, &record.connection).take(record, frame)
            }
        }
    }

    fn part(&mut self, file: usize, connection: &Arc<str>) -> &mut Part {
        let at = self.parts.iter().position(|part| part.connection == *connection);
        let at = at.unwrap_or_else(|| {
            self.parts.push(Part::new(file, Arc::clone(connection)));
            self.parts.len() - 1
        });
        &mut self.parts[at]
    }
}

impl Part {
    fn new(file: usize, connection: Arc<str>) -> Self {
        Self {
            file,
            connection,
            wire: None,
            begins: false,
            symbols: Vec::new(),
            depths: BTreeMap::new(),
            snapshot_levels: BTreeMap::new(),
            numbers: BTreeMap::new(),
            frames: 0,
            line: 0,
            first: Timestamp::EPOCH,
            last: Timestamp::EPOCH,
        }
    }

    fn take(&mut self, record: &Record, frame: &[u8]) -> Result<(), String> {
        if self.frames == 0 {
            (self.first, self.line) = (record.at, record.line);
        }
        self.frames += 1;
        self.last = record.at;
        self.wire = match self.wire {
            None => Wire::of(frame),
            Some(wire) => Some(wire.refined(frame)),
        };
        let Some(wire) = self.wire else { return Ok(()) };
        if wire.is_checksummed() {
            self.depths.extend(reading::subscribed_depths(frame));
        }
        for fact in reading::facts(wire, frame) {
            self.take_fact(&fact)?;
        }
        Ok(())
    }

    fn take_fact(&mut self, fact: &Fact<'_>) -> Result<(), String> {
        let Some(symbol) = fact.symbol() else {
            return Ok(());
        };
        noted(&mut self.symbols, symbol)?;
        if let Fact::Queues(queues) = fact
            && queues.is_snapshot
            && !self.snapshot_levels.contains_key(symbol)
        {
            self.snapshot_levels.insert(symbol.to_owned(), prices(queues));
        }
        let Fact::Book(book) = fact else { return Ok(()) };
        if let Some((first, last)) = book.numbers {
            let numbers = self.numbers.entry(symbol.to_owned()).or_insert((first, last));
            *numbers = (numbers.0.min(first), numbers.1.max(last));
        }
        if book.is_snapshot && !self.snapshot_levels.contains_key(symbol) {
            let levels = book.bids.len().max(book.asks.len());
            self.snapshot_levels.insert(symbol.to_owned(), levels);
        }
        Ok(())
    }
}

/// Prices of the side that has more of them.
fn prices(queues: &QueuesFact<'_>) -> usize {
    let of = |wanted: bool| {
        let side = queues.changes.iter().map(|(_, order)| order);
        let prices = side
            .filter(|order| order.is_bid == wanted)
            .map(|order| &order.price);
        prices.collect::<BTreeSet<_>>().len()
    };
    of(true).max(of(false))
}

/// Adds a symbol that is not there yet.
fn noted(symbols: &mut Vec<String>, symbol: &str) -> Result<(), String> {
    if symbols.iter().any(|known| known == symbol) {
        return Ok(());
    }
    if symbols.len() == INSTRUMENTS_MAX {
        return Err(format!("more than {INSTRUMENTS_MAX} symbols on one connection"));
    }
    symbols.push(symbol.to_owned());
    Ok(())
}
