//! What this crate's tests share: recordings in place, and recordings made up.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use feed::report::{BookReport, ConnectionReport};
use feed::{Report, check};
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

/// A file of the recorded data; `None`, with a line that says so, where it is absent.
pub(crate) fn recorded(folder: &str, file: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("PY_RT_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let path = shared.join(folder).join(file);
    if path.is_file() {
        return Some(path);
    }
    println!(
        "SKIPPED: no recorded data at {}: set PY_RT_SHARED_DATA",
        path.display()
    );
    None
}

/// Files that are gone when it is dropped.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

/// Checks files that can be read.
pub(crate) fn checked(paths: &[PathBuf]) -> Report {
    check(paths, &mut |_| {}).unwrap()
}

/// Checks lines as one file.
pub(crate) fn checked_lines(lines: &[String]) -> Report {
    let folder = Folder::new();
    let path = folder.file("session", lines.join("\n") + "\n");
    checked(&[path])
}

/// Why files cannot be read.
pub(crate) fn refused(paths: &[PathBuf]) -> String {
    check(paths, &mut |_| {}).unwrap_err().to_string()
}

/// The only connection of a report.
pub(crate) fn only(report: &Report) -> &ConnectionReport {
    assert_eq!(report.connections.len(), 1);
    &report.connections[0]
}

/// The only book of a report.
pub(crate) fn only_book(report: &Report) -> &BookReport {
    let books = &only(report).books;
    assert_eq!(books.len(), 1);
    &books[0]
}

/// Which of the venue's markets a session is made up of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Market {
    Spot,
    Futures,
}

/// A side of the true book, in cents and thousandths.
type Side = BTreeMap<u64, u64>;

/// A made-up session of Binance: the lines, and the book that is true at its end.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) lines: Vec<String>,
    /// Which lines are changes of the book.
    pub(crate) changes: Vec<usize>,
    pub(crate) bids: Side,
    pub(crate) asks: Side,
    pub(crate) last_update_id: u64,
    market: Market,
    number: u64,
}

/// A change of one level: whose side, how far from the middle, how much.
pub(crate) type Change = (bool, u64, u64);

const MIDDLE: u64 = 10_000;

impl Session {
    /// Ten levels a side, a snapshot of them after the first change, and a best price after each change.
    pub(crate) fn new(market: Market, batches: &[Vec<Change>]) -> Self {
        let side = |sign: i64| {
            (1..=10)
                .map(|far| (MIDDLE.saturating_add_signed(sign * far), 5))
                .collect()
        };
        let mut session = Self {
            lines: Vec::new(),
            changes: Vec::new(),
            bids: side(-1),
            asks: side(1),
            last_update_id: 100,
            market,
            number: 0,
        };
        for (at, batch) in batches.iter().enumerate() {
            session.change(batch);
            if at == 0 {
                session.snapshot();
            }
            session.best();
        }
        session
    }

    fn push(&mut self, message: &str) {
        self.number += 1;
        let ns = 1_700_000_000_000_000_000 + self.number * 1_000_000;
        self.lines.push(format!("{ns} {message}"));
    }

    /// Changes the book and says so.
    pub(crate) fn change(&mut self, batch: &[Change]) {
        let (mut bids, mut asks) = (Vec::new(), Vec::new());
        for &(is_bid, far, quantity) in batch {
            // The best level is never taken away, so that the book stays a book.
            let quantity = if far == 0 { quantity + 1 } else { quantity };
            let (side, out, price) = if is_bid {
                (&mut self.bids, &mut bids, MIDDLE - 1 - far)
            } else {
                (&mut self.asks, &mut asks, MIDDLE + 1 + far)
            };
            if quantity == 0 {
                side.remove(&price);
            } else {
                side.insert(price, quantity);
            }
            out.push(level(price, quantity));
        }
        let previous = self.last_update_id;
        let (first, last) = match self.market {
            Market::Spot => (previous + 1, previous + 3),
            // Numbers of futures skip.
            Market::Futures => (previous + 4, previous + 9),
        };
        self.last_update_id = last;
        self.changes.push(self.lines.len());
        let (bids, asks) = (bids.join(","), asks.join(","));
        let data = match self.market {
            Market::Spot => format!(
                r#"{{"e":"depthUpdate","E":1700000000000,"s":"BTCUSDT","U":{first},"u":{last},"b":[{bids}],"a":[{asks}]}}"#
            ),
            Market::Futures => format!(
                r#"{{"e":"depthUpdate","E":1700000000000,"T":1700000000000,"s":"BTCUSDT","U":{first},"u":{last},"pu":{previous},"b":[{bids}],"a":[{asks}]}}"#
            ),
        };
        self.push(&format!(r#"{{"stream":"btcusdt@depth@100ms","data":{data}}}"#));
    }

    /// The answer of REST: the book as it is now.
    pub(crate) fn snapshot(&mut self) {
        let side = |levels: Vec<String>| levels.join(",");
        let bids = side(
            self.bids
                .iter()
                .rev()
                .map(|(&price, &quantity)| level(price, quantity))
                .collect(),
        );
        let asks = side(
            self.asks
                .iter()
                .map(|(&price, &quantity)| level(price, quantity))
                .collect(),
        );
        let times = match self.market {
            Market::Spot => "",
            Market::Futures => r#","E":1700000000000,"T":1700000000000"#,
        };
        let number = self.last_update_id;
        self.push(&format!(
            r#"{{"lastUpdateId":{number}{times},"bids":[{bids}],"asks":[{asks}]}}"#
        ));
    }

    /// The best price of the book as it is now.
    pub(crate) fn best(&mut self) {
        let (&bid, &bid_quantity) = self.bids.last_key_value().unwrap();
        let (&ask, &ask_quantity) = self.asks.first_key_value().unwrap();
        let number = self.last_update_id;
        let [bid, bid_quantity] = [cents(bid), thousandths(bid_quantity)];
        let [ask, ask_quantity] = [cents(ask), thousandths(ask_quantity)];
        let prices = format!(
            r#""u":{number},"s":"BTCUSDT","b":"{bid}","B":"{bid_quantity}","a":"{ask}","A":"{ask_quantity}""#
        );
        let data = match self.market {
            Market::Spot => format!("{{{prices}}}"),
            Market::Futures => {
                format!(r#"{{"e":"bookTicker",{prices},"T":1700000000000,"E":1700000000000}}"#)
            }
        };
        self.push(&format!(r#"{{"stream":"btcusdt@bookTicker","data":{data}}}"#));
    }

    /// What a check must say of the book at the end.
    pub(crate) fn top(&self) -> String {
        let line = |side: &str, price: u64, quantity: u64| {
            format!("{side} {} {}\n", cents(price), thousandths(quantity))
        };
        let bids = self
            .bids
            .iter()
            .rev()
            .take(10)
            .map(|(&price, &quantity)| line("bid", price, quantity));
        let asks = self
            .asks
            .iter()
            .take(10)
            .map(|(&price, &quantity)| line("ask", price, quantity));
        bids.chain(asks).collect()
    }
}

fn level(price: u64, quantity: u64) -> String {
    format!(r#"["{}","{}"]"#, cents(price), thousandths(quantity))
}

fn cents(price: u64) -> String {
    format!("{}.{:02}", price / 100, price % 100)
}

fn thousandths(quantity: u64) -> String {
    format!("{}.{:03}", quantity / 1_000, quantity % 1_000)
}
