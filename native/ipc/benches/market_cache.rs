//! The market cache in the project's table: what showing a book costs the writer, beside a bare copy of as many words; what
//! a whole and judged entry costs a reader, beside a copy under a mutex. Nobody reads while the writer is measured, and
//! the other way round: what the caches of two cores do to each other is the machine's.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on may panic")]

#[path = "../../../benches/rows.rs"]
mod rows;

use std::hint::black_box;
use std::sync::Mutex;

use domain::{
    Currency, InstrumentId, InstrumentStatus, Level, Price, Quantity, Side, Text, Timestamp, TradeId, Venue,
};
use ipc::market_cache::{
    BookHead, BookState, CachedInstrument, CachedMarket, CachedTrade, ENTRY_WORDS, EntryWords, LEVELS,
    MarketCacheReader, MarketCacheWriter,
};
use ipc::shared_memory::{SegmentServer, private_directory};
use rows::{Figures, Row, Wanted, interleaved, nanos_each};

/// Writes or reads of one sample.
const TIMES: usize = 20_000;

/// Words that showing a book replaces.
const BOOK_WORDS: usize = 4 + 4 * LEVELS;

const BTC: InstrumentId = InstrumentId(0);

fn instrument() -> CachedInstrument {
    CachedInstrument {
        venue: Venue::Binance,
        symbol: Text::new("BTCUSDT").unwrap(),
        base: Currency::new("BTC").unwrap(),
        quote: Currency::new("USDT").unwrap(),
        status: InstrumentStatus::Trading,
        tick_size: Price::from_units(1_000_000),
        lot_size: Quantity::from_units(1_000),
    }
}

/// A side as a book keeps it, best last, deeper than is shown.
fn side(sign: i64) -> Vec<Level> {
    let level = |far: i64| Level {
        price: Price::from_units(6_183_763_000_000 + sign * far * 1_000_000),
        quantity: Quantity::from_units(12_345_678 + far),
    };
    (1..=200).rev().map(level).collect()
}

fn head() -> BookHead {
    BookHead {
        state: BookState::Valid,
        ts_event: Timestamp::from_nanos(1),
        ts_received: Timestamp::from_nanos(2),
        update_id: 7,
    }
}

fn trade() -> CachedTrade {
    CachedTrade {
        ts_received: Timestamp::from_nanos(2),
        ts_event: Timestamp::from_nanos(1),
        trade_id: TradeId(3),
        price: Price::from_units(6_183_763_000_000),
        quantity: Quantity::from_units(12_345_678),
        aggressor: Side::Buy,
    }
}

/// A cache in shared memory with its two ends.
fn shared_cache() -> (MarketCacheWriter, MarketCacheReader) {
    let home = tempfile::tempdir().unwrap();
    let run = home.path().join("run");
    private_directory(&run).unwrap();
    let server = SegmentServer::bind(&run.join("x.sock")).unwrap();
    let writer = MarketCacheWriter::create("latest", &[instrument()], 1).unwrap();
    writer.offer(server.registry()).unwrap();
    let path = server.path().to_owned();
    let reader = std::thread::scope(|scope| {
        let attached = scope.spawn(|| MarketCacheReader::attach(&path, "latest").unwrap());
        server.serve_once(None).unwrap();
        attached.join().unwrap()
    });
    (writer, reader)
}

fn each(mut work: impl FnMut()) -> f64 {
    nanos_each(TIMES, || (0..TIMES).for_each(|_| work()))
}

fn writing(wanted: Wanted) {
    let (mut writer, _reader) = shared_cache();
    let (bids, asks, head, trade) = (side(-1), side(1), head(), trade());
    let mut book = || {
        each(|| {
            let (bids, asks) = (black_box(&bids), black_box(&asks));
            let (bids, asks) = (bids.iter().rev().copied(), asks.iter().rev().copied());
            writer.write_book(BTC, &head, bids, asks).unwrap();
        })
    };
    let (words, mut plain) = ([7u64; BOOK_WORDS], [0; BOOK_WORDS]);
    let mut copy = || each(|| black_box(&mut plain).copy_from_slice(black_box(&words)));
    let locked = Mutex::new([0; BOOK_WORDS]);
    let mut mutex = || {
        each(|| {
            let mut held = black_box(&locked).lock().unwrap();
            held.copy_from_slice(black_box(&words));
        })
    };
    let [book, copy, mutex] = interleaved(wanted.rounds, &mut [&mut book, &mut copy, &mut mutex]);
    let mut last = || {
        each(|| {
            let _ = black_box(writer.write_trade(BTC, black_box(&trade)));
        })
    };
    let [trade] = interleaved(wanted.rounds, &mut [&mut last]);
    Row {
        name: "cache_write",
        unit: "ns per book",
        subject: ("ipc::MarketCacheWriter::write_book, 10 + 10 levels", &book),
        anchor: Some(("a bare copy of the same 352 bytes", &copy)),
        facts: &[
            ("copy_under_a_mutex_p50_ns", Figures::of(&mutex).p50.into()),
            ("write_trade_p50_ns", Figures::of(&trade).p50.into()),
        ],
    }
    .print(wanted);
}

fn reading(wanted: Wanted) {
    let (mut writer, reader) = shared_cache();
    let (bids, asks) = (side(-1), side(1));
    writer
        .write_book(
            BTC,
            &head(),
            bids.iter().rev().copied(),
            asks.iter().rev().copied(),
        )
        .unwrap();
    writer.write_trade(BTC, &trade()).unwrap();
    let mut entry = || {
        each(|| {
            let _ = black_box(reader.read(black_box(BTC)).unwrap());
        })
    };
    let locked = Mutex::new([7u64; ENTRY_WORDS]);
    let mut under_mutex = || {
        each(|| {
            let words: EntryWords = *black_box(&locked).lock().unwrap();
            black_box(words);
        })
    };
    let words = CachedMarket::silent(instrument()).encode();
    let mut judged = || {
        each(|| {
            let _ = black_box(CachedMarket::decode(black_box(&words)).unwrap());
        })
    };
    let [entry, mutex, judged] = interleaved(wanted.rounds, &mut [&mut entry, &mut under_mutex, &mut judged]);
    Row {
        name: "cache_read",
        unit: "ns per entry",
        subject: ("ipc::MarketCacheReader::read, copied and judged", &entry),
        anchor: Some(("a copy of the same 504 bytes under a mutex", &mutex)),
        facts: &[("judging_an_empty_entry_p50_ns", Figures::of(&judged).p50.into())],
    }
    .print(wanted);
}

fn main() {
    let Some(wanted) = Wanted::read() else { return };
    writing(wanted);
    reading(wanted);
}
