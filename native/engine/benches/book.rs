//! A book update beside the same update of two `BTreeMap`s, on ten recorded minutes of Binance spot BTCUSDT.
//!
//! Where the recording is absent, on a stream that the simulation makes: shallower, so the map looks better on it.
//! Both books are checked against each other, and against the recording's known end.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads a clock and a recording"
)]

#[path = "../../../benches/recording.rs"]
mod recording;
#[path = "../../../benches/rows.rs"]
mod rows;

use std::collections::BTreeMap;
use std::hint::black_box;

use domain::{
    Bar, BookUpdate, BookUpdateKind, Currency, Instrument, InstrumentId, InstrumentRules, InstrumentStatus,
    Level, MarketEvent, Money, Nanos, Price, Quantity, Text, Timestamp, Venue as Name,
};
use engine::market::Book;
use rows::{Fact, Row, Wanted, interleaved, nanos_each};
use serde_json::Value;
use simulation::{
    FeeSchedule, FeedConfig, FlowConfig, LatencyModel, SimulatedVenue, Venue, VenueConfig, VenueEventBody,
};

const BTC: InstrumentId = InstrumentId(0);

/// Update id, bids and asks at the recording's end, counted when it was taken.
const RECORDED_END: (u64, usize, usize) = (50_093_696_318, 1_971, 2_962);

/// Bars of the made stream.
const MADE_BARS: i64 = 200;

/// One message of a depth stream.
struct Message {
    update_id: u64,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl Message {
    fn update(&self, kind: BookUpdateKind) -> BookUpdate<'_> {
        BookUpdate {
            instrument: BTC,
            ts_event: Timestamp::EPOCH,
            kind,
            update_id: self.update_id,
            bids: &self.bids,
            asks: &self.asks,
        }
    }

    fn levels(&self) -> usize {
        self.bids.len() + self.asks.len()
    }
}

/// A snapshot and the changes after it.
struct Stream {
    name: &'static str,
    snapshot: Message,
    changes: Vec<Message>,
}

fn levels(side: &Value) -> Vec<Level> {
    let text = |value: &Value| value.as_str().expect("a number in quotes").to_owned();
    let pairs = side.as_array().expect("a list of levels");
    pairs
        .iter()
        .map(|pair| Level {
            price: Price::parse(text(&pair[0]).as_bytes()).expect("a price"),
            quantity: Quantity::parse(text(&pair[1]).as_bytes()).expect("a quantity"),
        })
        .collect()
}

fn recorded(lines: &[recording::Line]) -> Stream {
    let mut snapshot = None;
    let mut changes = Vec::new();
    for (_, bytes) in lines {
        let is_change = bytes.starts_with(br#"{"stream":"btcusdt@depth"#);
        if !is_change && bytes.starts_with(br#"{"stream""#) {
            continue;
        }
        let message: Value = serde_json::from_slice(bytes).expect("a message");
        if is_change {
            let data = &message["data"];
            changes.push(Message {
                update_id: data["u"].as_u64().expect("an update id"),
                bids: levels(&data["b"]),
                asks: levels(&data["a"]),
            });
        } else {
            snapshot = Some(Message {
                update_id: message["lastUpdateId"].as_u64().expect("an update id"),
                bids: levels(&message["bids"]),
                asks: levels(&message["asks"]),
            });
        }
    }
    let snapshot = snapshot.expect("the recording holds a snapshot");
    changes.retain(|change| change.update_id > snapshot.update_id);
    Stream {
        name: "recorded, Binance spot BTCUSDT, 650 s",
        snapshot,
        changes,
    }
}

fn instrument() -> Instrument {
    let quote = Currency::new("USDT").expect("a code");
    Instrument {
        id: BTC,
        venue: Name::Binance,
        symbol: Text::new("BTCUSDT").expect("a symbol"),
        base: Currency::new("BTC").expect("a code"),
        quote,
        rules: InstrumentRules {
            tick_size: Price::from_units(1_000_000),
            lot_size: Quantity::from_units(1),
            min_price: Price::from_units(1_000_000),
            max_price: Price::from_units(100_000_000_000_000),
            min_quantity: Quantity::from_units(1),
            max_quantity: Quantity::from_units(900_000_000_000),
            min_notional: Money::zero(quote),
        },
        status: InstrumentStatus::Trading,
    }
}

/// A market of a hundred levels a side over bars that go up and down.
fn made() -> Stream {
    let dollars = |cents: i64| Price::from_units(cents * 1_000_000);
    let bar = |number: i64| {
        let (open, close) = (
            6_000_000 + number % 7 * 1_100,
            6_000_000 + (number + 1) % 7 * 1_100,
        );
        Bar {
            instrument: BTC,
            ts_open: Timestamp::from_nanos(number * 60_000_000_000),
            span: Nanos::from_secs(60),
            open: dollars(open),
            high: dollars(open.max(close) + 300),
            low: dollars(open.min(close) - 300),
            close: dollars(close),
            volume: Quantity::from_units(2_000_000_000),
        }
    };
    let flow = FlowConfig {
        levels: 100,
        quiet_changes_max: 20,
        ..FlowConfig::with_seed(1)
    };
    let config = VenueConfig {
        instrument: instrument(),
        flow,
        latency: LatencyModel::ZERO,
        fees: FeeSchedule::FREE,
        feed: FeedConfig {
            trades: false,
            quotes: false,
            book: true,
            depth_interval: Nanos::from_millis(100),
        },
    };
    let mut venue = SimulatedVenue::new(config, (1..=MADE_BARS).map(bar).collect()).expect("a market");
    let mut snapshot = None;
    let mut changes = Vec::new();
    while let Some(event) = venue.next_event(Timestamp::from_nanos(i64::MAX)) {
        let VenueEventBody::Market(MarketEvent::Book(update)) = event.body else {
            continue;
        };
        let message = Message {
            update_id: update.update_id,
            bids: update.bids.to_vec(),
            asks: update.asks.to_vec(),
        };
        match update.kind {
            BookUpdateKind::Snapshot => snapshot = Some(message),
            BookUpdateKind::Delta => changes.push(message),
        }
    }
    Stream {
        name: "made by the simulation: the recording is absent",
        snapshot: snapshot.expect("a book begins with a snapshot"),
        changes,
    }
}

/// The anchor: what anybody would write first.
#[derive(Default)]
struct Maps {
    bids: BTreeMap<Price, Quantity>,
    asks: BTreeMap<Price, Quantity>,
}

impl Maps {
    /// Whether the book is not crossed.
    fn apply(&mut self, message: &Message) -> bool {
        for (side, changes) in [(&mut self.bids, &message.bids), (&mut self.asks, &message.asks)] {
            for level in changes {
                if level.quantity.is_zero() {
                    side.remove(&level.price);
                } else {
                    side.insert(level.price, level.quantity);
                }
            }
        }
        match (self.bids.last_key_value(), self.asks.first_key_value()) {
            (Some((bid, _)), Some((ask, _))) => bid < ask,
            _ => true,
        }
    }
}

fn run_book(stream: &Stream) -> (f64, Book) {
    let mut book = Book::new(BTC);
    book.apply(
        &stream.snapshot.update(BookUpdateKind::Snapshot),
        Timestamp::EPOCH,
    )
    .expect("a snapshot");
    let updates = stream.changes.iter().map(Message::levels).sum();
    let nanos = nanos_each(updates, || {
        for message in &stream.changes {
            let update = message.update(BookUpdateKind::Delta);
            book.apply(&update, Timestamp::EPOCH)
                .expect("a book that never crosses");
            black_box(book.top());
        }
    });
    (nanos, book)
}

fn run_maps(stream: &Stream) -> (f64, Maps) {
    let mut maps = Maps::default();
    assert!(maps.apply(&stream.snapshot));
    let updates = stream.changes.iter().map(Message::levels).sum();
    let nanos = nanos_each(updates, || {
        for message in &stream.changes {
            assert!(maps.apply(message));
            black_box((maps.bids.last_key_value(), maps.asks.first_key_value()));
        }
    });
    (nanos, maps)
}

/// Both must end alike, or the comparison says nothing.
fn assert_equal_ends(stream: &Stream, is_recorded: bool) {
    let (book, maps) = (run_book(stream).1, run_maps(stream).1);
    let ours = book.bids().chain(book.asks());
    let theirs = maps.bids.iter().rev().chain(&maps.asks);
    assert!(
        ours.map(|level| (level.price, level.quantity))
            .eq(theirs.map(|(price, quantity)| (*price, *quantity))),
        "the books differ"
    );
    if is_recorded {
        let end = (book.update_id(), book.bids().count(), book.asks().count());
        assert_eq!(end, RECORDED_END);
    }
}

/// What callgrind counts.
#[inline(never)]
fn apply_counted(book: &mut Book, message: &Message) {
    black_box("book");
    let update = message.update(BookUpdateKind::Delta);
    book.apply(&update, Timestamp::EPOCH)
        .expect("a book that never crosses");
    black_box(book.top());
}

fn count(stream: &Stream) {
    let mut book = Book::new(BTC);
    let snapshot = stream.snapshot.update(BookUpdateKind::Snapshot);
    book.apply(&snapshot, Timestamp::EPOCH).expect("a snapshot");
    for message in &stream.changes {
        apply_counted(&mut book, message);
    }
    let updates = stream.changes.iter().map(Message::levels).sum();
    rows::print_counted("apply_counted", updates, stream.name);
}

/// Reading the best prices of a book as the recording left it.
fn best_price(wanted: Wanted, book: &Book) {
    const READS: usize = 100_000;
    let reads = |_| {
        nanos_each(READS, || {
            for _ in 0..READS {
                black_box(black_box(book).top());
            }
        })
    };
    let samples: Vec<_> = (0..wanted.rounds).map(reads).collect();
    Row {
        name: "best_price",
        unit: "ns per read of both sides",
        subject: ("engine::market::Book::top", &samples),
        anchor: None,
        facts: &[],
    }
    .print(wanted);
}

fn main() {
    let Some(wanted) = Wanted::read() else { return };
    let found = recording::lines();
    let is_recorded = found.is_ok() && wanted.measured;
    let stream = match &found {
        Ok(lines) if wanted.measured || wanted.counted => recorded(lines),
        _ => made(),
    };
    if wanted.counted {
        return count(&stream);
    }
    assert_equal_ends(&stream, is_recorded);
    let [book, maps] = interleaved(
        wanted.rounds,
        &mut [&mut || run_book(&stream).0, &mut || run_maps(&stream).0],
    );
    let updates: usize = stream.changes.iter().map(Message::levels).sum();
    Row {
        name: "book_update",
        unit: "ns per level",
        subject: ("engine::market::Book", &book),
        anchor: Some(("two std BTreeMaps", &maps)),
        facts: &[
            ("stream", stream.name.into()),
            ("messages", stream.changes.len().into()),
            ("levels", updates.into()),
            (
                "recording",
                found.err().map_or_else(|| Fact::from("found"), Fact::Text),
            ),
        ],
    }
    .print(wanted);
    best_price(wanted, &run_book(&stream).1);
}
