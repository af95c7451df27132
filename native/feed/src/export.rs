//! Recordings as tables of integers, for research: `book.csv`, `trades.csv`, and `report.json`, which says as
//! [`crate::check()`] does what they are worth.
//!
//! Prices and quantities are units of 1e-8, times UTC nanoseconds. Both tables are in order of receipt.
//!
//! `book.csv`: a row for each level of an update. `update` counts a book's updates over its session from 0; one without
//! levels has a row without a price. `kind` is `snapshot` (what was known before is gone), `delta` (a quantity of zero
//! removes the level) or `invalid` (nothing is known until the next snapshot; `reason` says why; no update, no price).
//! `best_bid` and `best_ask` are the book's after the whole update.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use domain::{BookUpdate, BookUpdateKind, Level, MarketEvent, Timestamp, Trade};
use recording::{ReadError, Recording};
use serde::Serialize;
use thiserror::Error;

use crate::check::{Progress, listen};
use crate::heard::{Heard, Listener, invalid_word, side_word};
use crate::report::Report;

/// First line of `book.csv`.
pub const BOOK_HEAD: &str = "session,venue,symbol,ts_received,ts_event,kind,reason,update,update_id,side,price,quantity,best_bid,best_ask";

/// First line of `trades.csv`.
pub const TRADES_HEAD: &str = "session,venue,symbol,ts_received,ts_event,trade_id,price,quantity,aggressor";

/// Why nothing is exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// A recording cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A table cannot be written.
    #[error("cannot write {}: {source}", file.display())]
    Write {
        /// Which file or folder.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What was written.
#[derive(Debug, Serialize)]
pub struct Exported {
    /// Rows of `book.csv`.
    pub book_rows: u64,
    /// Updates of books in them, snapshots included.
    pub book_updates: u64,
    /// Rows of `trades.csv`.
    pub trade_rows: u64,
    /// Updates of books before the window, which were played and not written.
    pub skipped_updates: u64,
    /// Likewise trades.
    pub skipped_trades: u64,
    /// What a check of what was played says: all of the recordings up to the end of the window.
    pub report: Report,
}

/// Times of receipt that are exported, UTC nanoseconds, the end excluded. What comes before is played, so that books stand,
/// and what comes after is not read.
pub type Window = std::ops::Range<i64>;

/// Writes the tables of recordings into a folder, which is made if it is not there; files that are there stay, and are an
/// error.
///
/// # Errors
/// [`ExportError`] when a recording cannot be read or a table cannot be written. What was written until then is no table.
pub fn export(
    paths: &[PathBuf],
    folder: &Path,
    window: Window,
    tell: &mut dyn FnMut(Progress),
) -> Result<Exported, ExportError> {
    let paths = begun_before(paths, window.end)?;
    std::fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
    let mut tables = Tables {
        book: TableFile::create(folder.join("book.csv"), BOOK_HEAD)?,
        trades: TableFile::create(folder.join("trades.csv"), TRADES_HEAD)?,
        updates: BTreeMap::new(),
        window,
        book_updates: 0,
        skipped_updates: 0,
        skipped_trades: 0,
    };
    let report_file = folder.join("report.json");
    let report = listen(&paths, tell, &mut tables)?;
    let exported = Exported {
        book_updates: tables.book_updates,
        skipped_updates: tables.skipped_updates,
        skipped_trades: tables.skipped_trades,
        book_rows: tables.book.finish()?,
        trade_rows: tables.trades.finish()?,
        report,
    };
    let text = serde_json::to_vec(&exported).map_err(|error| failed(&report_file, error.into()))?;
    let mut file = create(&report_file)?;
    file.write_all(&text)
        .map_err(|source| failed(&report_file, source))?;
    Ok(exported)
}

/// Those whose first record is before the end. One without a record has nothing to tell.
fn begun_before(paths: &[PathBuf], end: i64) -> Result<Vec<PathBuf>, ReadError> {
    let mut begun = Vec::with_capacity(paths.len());
    for path in paths {
        let first = Recording::open(path)?.next().transpose()?;
        if first.is_some_and(|first| first.at.nanos() < end) {
            begun.push(path.clone());
        }
    }
    Ok(begun)
}

struct Tables {
    book: TableFile,
    trades: TableFile,
    /// Updates of each book so far, by session and symbol.
    updates: BTreeMap<(usize, String), u64>,
    window: Window,
    book_updates: u64,
    skipped_updates: u64,
    skipped_trades: u64,
}

impl Listener for Tables {
    fn wait_until(&mut self, at: Timestamp) -> ControlFlow<()> {
        if at.nanos() >= self.window.end || self.book.failed.is_some() || self.trades.failed.is_some() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn hear(&mut self, heard: &Heard<'_>) {
        let is_early = heard.ts_received.nanos() < self.window.start;
        match heard.event {
            MarketEvent::Book(update) => self.update(heard, update, is_early),
            MarketEvent::Trade(_) if is_early => self.skipped_trades += 1,
            MarketEvent::BookInvalid(_) if is_early => {}
            MarketEvent::BookInvalid(invalid) => {
                let at = heard.ts_received.nanos();
                let reason = invalid_word(invalid.reason);
                self.book
                    .row(heard, format_args!("{at},,invalid,{reason},,,,,,,"));
            }
            MarketEvent::Trade(trade) => self.trade(heard, trade),
            MarketEvent::Quote(_) | MarketEvent::InstrumentUpdated(_) | MarketEvent::VenueStatus(_) => {}
        }
    }
}

impl Tables {
    fn update(&mut self, heard: &Heard<'_>, update: &BookUpdate<'_>, is_early: bool) {
        let counted = self
            .updates
            .entry((heard.session, heard.symbol.to_owned()))
            .or_default();
        let number = *counted;
        *counted += 1;
        if is_early {
            self.skipped_updates += 1;
            return;
        }
        self.book_updates += 1;
        let (received, happened, id) = (
            heard.ts_received.nanos(),
            update.ts_event.nanos(),
            update.update_id,
        );
        let kind = match update.kind {
            BookUpdateKind::Snapshot => "snapshot",
            BookUpdateKind::Delta => "delta",
        };
        let [bid, ask] = heard
            .best
            .map(|best| best.map_or(String::new(), |level| level.price.units().to_string()));
        let head = format!("{received},{happened},{kind},,{number},{id}");
        let book = &mut self.book;
        let mut level = |side: &str, level: &Level| {
            let (price, quantity) = (level.price.units(), level.quantity.units());
            book.row(
                heard,
                format_args!("{head},{side},{price},{quantity},{bid},{ask}"),
            );
        };
        update.bids.iter().for_each(|bid| level("bid", bid));
        update.asks.iter().for_each(|ask| level("ask", ask));
        if update.bids.is_empty() && update.asks.is_empty() {
            self.book.row(heard, format_args!("{head},,,,{bid},{ask}"));
        }
    }

    fn trade(&mut self, heard: &Heard<'_>, trade: &Trade) {
        let (received, happened, id) = (
            heard.ts_received.nanos(),
            trade.ts_event.nanos(),
            trade.trade_id.0,
        );
        let (price, quantity) = (trade.price.units(), trade.quantity.units());
        let side = side_word(trade.aggressor);
        self.trades.row(
            heard,
            format_args!("{received},{happened},{id},{price},{quantity},{side}"),
        );
    }
}

/// A table that is being written. The first error is kept: nothing is written after it.
struct TableFile {
    path: PathBuf,
    out: BufWriter<File>,
    rows: u64,
    failed: Option<io::Error>,
}

impl TableFile {
    fn create(path: PathBuf, head: &str) -> Result<Self, ExportError> {
        let mut out = BufWriter::new(create(&path)?);
        let failed = writeln!(out, "{head}").err();
        Ok(Self {
            path,
            out,
            rows: 0,
            failed,
        })
    }

    fn row(&mut self, heard: &Heard<'_>, rest: std::fmt::Arguments<'_>) {
        if self.failed.is_some() {
            return;
        }
        let (session, venue, symbol) = (
            heard.session,
            heard.wire.venue(),
            heard.symbol.replace('"', "\"\""),
        );
        self.failed = writeln!(self.out, "{session},{venue},\"{symbol}\",{rest}").err();
        self.rows += 1;
    }

    fn finish(mut self) -> Result<u64, ExportError> {
        let result = match self.failed {
            None => self.out.flush(),
            Some(error) => Err(error),
        };
        result.map_err(|source| failed(&self.path, source))?;
        Ok(self.rows)
    }
}

fn create(path: &Path) -> Result<File, ExportError> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.map_err(|source| failed(path, source))
}

fn failed(path: &Path, source: io::Error) -> ExportError {
    ExportError::Write {
        file: path.to_owned(),
        source,
    }
}
