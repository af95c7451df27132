//! Plays recordings as normalised events, one JSON document a line, at any speed.
//!
//! | `event` | members beside `ts_received`, `venue`, `symbol` |
//! |---|---|
//! | `book` | `ts_event`, `kind` (`snapshot`: all known levels; `delta`: what changed, quantity `0` removes), `update_id`, `bids`, `asks`: `[price, quantity]` |
//! | `book_invalid` | `reason`: nothing is known of the book until its next snapshot |
//! | `trade` | `ts_event`, `trade_id`, `price`, `quantity`, `aggressor` |
//! | `quote` | `ts_event`, `update_id`, `bid`, `bid_quantity`, `ask`, `ask_quantity` |
//!
//! Prices and quantities are decimal text, times UTC nanoseconds.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use domain::{Level, MarketEvent, Timestamp};
use recording::ReadError;
use serde::Serialize;
use thiserror::Error;

use crate::check::{Progress, listen};
use crate::heard::{Heard, Listener, invalid_word, side_word};
use crate::report::Report;

/// How fast it is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many seconds of the recording in one second.
    Times(f64),
    /// As fast as it is taken.
    Max,
}

/// Why a recording cannot be played.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Nobody takes the events.
    #[error("cannot write the events: {0}")]
    Write(#[source] io::Error),
}

/// Plays recordings into `out`, and reports as [`crate::check()`] does.
///
/// # Errors
/// [`ReplayError`] when a file cannot be read, or an event cannot be written.
pub fn replay(
    paths: &[PathBuf],
    speed: Speed,
    out: impl Write,
    tell: &mut dyn FnMut(Progress),
) -> Result<Report, ReplayError> {
    let mut player = Player {
        out,
        speed,
        began: None,
        failed: None,
        line: Vec::new(),
    };
    let report = listen(paths, tell, &mut player)?;
    if player.failed.is_none() {
        player.failed = player.out.flush().err();
    }
    player
        .failed
        .map_or(Ok(report), |error| Err(ReplayError::Write(error)))
}

struct Player<W> {
    out: W,
    speed: Speed,
    /// Time of the first record, and when it was played.
    began: Option<(Timestamp, Instant)>,
    failed: Option<io::Error>,
    line: Vec<u8>,
}

impl<W: Write> Player<W> {
    /// How long it is until a record's time.
    fn until(&mut self, at: Timestamp) -> Duration {
        let Speed::Times(speed) = self.speed else {
            return Duration::ZERO;
        };
        let (first, began) = *self.began.get_or_insert_with(|| (at, Instant::now()));
        let passed = at.nanos().saturating_sub(first.nanos()).max(0);
        let due = Duration::try_from_secs_f64(passed as f64 / 1e9 / speed).unwrap_or(Duration::MAX);
        due.saturating_sub(began.elapsed())
    }
}

impl<W: Write> Listener for Player<W> {
    fn wait_until(&mut self, at: Timestamp) -> ControlFlow<()> {
        let wait = self.until(at);
        if !wait.is_zero() {
            self.failed = self.failed.take().or_else(|| self.out.flush().err());
            std::thread::sleep(wait);
        }
        if self.failed.is_some() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn hear(&mut self, heard: &Heard<'_>) {
        let Some(event) = Event::of(heard.event) else {
            return;
        };
        if self.failed.is_some() {
            return;
        }
        let line = Line {
            ts_received: heard.ts_received.nanos(),
            venue: heard.wire.venue().as_str(),
            symbol: heard.symbol,
            event,
        };
        self.line.clear();
        let written = serde_json::to_writer(&mut self.line, &line).map_err(io::Error::from);
        self.line.push(b'\n');
        self.failed = written.and_then(|()| self.out.write_all(&self.line)).err();
    }
}

#[derive(Serialize)]
struct Line<'a> {
    ts_received: i64,
    venue: &'static str,
    symbol: &'a str,
    #[serde(flatten)]
    event: Event,
}

type TextLevel = (String, String);

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Book {
        ts_event: i64,
        kind: &'static str,
        update_id: u64,
        bids: Vec<TextLevel>,
        asks: Vec<TextLevel>,
    },
    BookInvalid {
        reason: &'static str,
    },
    Trade {
        ts_event: i64,
        trade_id: u64,
        price: String,
        quantity: String,
        aggressor: &'static str,
    },
    Quote {
        ts_event: i64,
        update_id: u64,
        bid: String,
        bid_quantity: String,
        ask: String,
        ask_quantity: String,
    },
}

impl Event {
    /// `None` for what no stream of a market says.
    fn of(event: &MarketEvent<'_>) -> Option<Self> {
        Some(match event {
            MarketEvent::Book(update) => Self::Book {
                ts_event: update.ts_event.nanos(),
                kind: match update.kind {
                    domain::BookUpdateKind::Snapshot => "snapshot",
                    domain::BookUpdateKind::Delta => "delta",
                },
                update_id: update.update_id,
                bids: texts(update.bids),
                asks: texts(update.asks),
            },
            MarketEvent::BookInvalid(invalid) => Self::BookInvalid {
                reason: invalid_word(invalid.reason),
            },
            MarketEvent::Trade(trade) => Self::Trade {
                ts_event: trade.ts_event.nanos(),
                trade_id: trade.trade_id.0,
                price: trade.price.to_string(),
                quantity: trade.quantity.to_string(),
                aggressor: side_word(trade.aggressor),
            },
            MarketEvent::Quote(quote) => Self::Quote {
                ts_event: quote.ts_event.nanos(),
                update_id: quote.update_id,
                bid: quote.bid.to_string(),
                bid_quantity: quote.bid_quantity.to_string(),
                ask: quote.ask.to_string(),
                ask_quantity: quote.ask_quantity.to_string(),
            },
            MarketEvent::VenueStatus(_) | MarketEvent::InstrumentUpdated(_) => return None,
        })
    }
}

fn texts(levels: &[Level]) -> Vec<TextLevel> {
    let text = |level: &Level| (level.price.to_string(), level.quantity.to_string());
    levels.iter().map(text).collect()
}
