//! The recorded sessions of both wires, whole and broken.

use domain::{Currency, Instrument, Side, Text, Venue};
use proptest::prelude::*;

use super::super::parser::oracle::agree;
use super::*;
use crate::binance::recorded;
use crate::sample;
use crate::websocket::DisconnectReason;

const XBT: InstrumentId = InstrumentId(0);

fn instrument(id: u16, symbol: &str) -> Instrument {
    Instrument {
        id: InstrumentId(id),
        venue: Venue::Kraken,
        symbol: Text::new(symbol).unwrap(),
        base: Currency::new(symbol.split('/').next().unwrap()).unwrap(),
        ..sample::instrument(id, "BTCUSDT")
    }
}

fn market_data(symbols: &[&str], version: WireVersion, depth: usize) -> MarketData {
    let ids = 0_u16..;
    let table = ids.zip(symbols).map(|(id, symbol)| instrument(id, symbol));
    let table = Instruments::new(table.collect()).unwrap();
    MarketData::new(Arc::new(table), version, depth, Nanos(i64::MAX))
}

fn message(kind: StreamMessageKind) -> StreamMessage {
    StreamMessage {
        ts_received: Timestamp::EPOCH,
        kind,
    }
}

fn frame(text: &[u8]) -> StreamMessage {
    message(StreamMessageKind::Frame(text.to_vec().into()))
}

/// What a consumer was told.
#[derive(Debug, Default)]
struct Seen {
    books: u64,
    invalid: Vec<BookInvalidReason>,
    trades: u64,
}

impl Seen {
    fn take(&mut self, event: &MarketEvent<'_>) {
        match event {
            MarketEvent::Book(_) => self.books += 1,
            MarketEvent::BookInvalid(invalid) => self.invalid.push(invalid.reason),
            MarketEvent::Trade(_) => self.trades += 1,
            other => panic!("not from a market stream: {other:?}"),
        }
    }
}

fn play<'f>(data: &mut MarketData, frames: impl Iterator<Item = &'f [u8]>) -> Seen {
    let mut seen = Seen::default();
    data.on_message(&message(StreamMessageKind::Connected), &mut |_| {})
        .unwrap();
    for bytes in frames {
        data.on_message(&frame(bytes), &mut |event| seen.take(&event))
            .unwrap();
    }
    seen
}

const PAIRS: [&str; 10] = [
    "XBT/USD",
    "ALGO/XBT",
    "LSK/USD",
    "USDC/GBP",
    "FIL/XBT",
    "WAVES/ETH",
    "ICX/USD",
    "AUD/USD",
    "KAVA/USD",
    "DASH/EUR",
];
const V1_FOLDER: &str = "ws_kraken_v1_20210405";

/// What was received, without its stamp: `<time>: <message>`; lines about requests and answers are left out.
fn received(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|byte| *byte == b'\n')
        .filter(|line| line.first().is_some_and(u8::is_ascii_digit))
        .map(|line| {
            let at = line.windows(2).position(|pair| pair == b": ").expect("a stamp");
            &line[at + 2..]
        })
}

/// The frames of the second version's recording, each as it stands in its line.
fn frames(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_received =
        |line: &&[u8]| line.starts_with(b"{\"rx_ns\"") && !line.windows(4).any(|part| part == b"\"tx\"");
    file.split(|byte| *byte == b'\n').filter(is_received).map(|line| {
        let begins = b"\"frame\": ";
        let at = line
            .windows(begins.len())
            .position(|part| part == begins)
            .expect("a frame");
        line[at + begins.len()..]
            .trim_ascii_end()
            .strip_suffix(b"}")
            .expect("a record")
    })
}

#[test]
fn the_recorded_books_of_version_1_are_proven_by_every_checksum() {
    let Some(file) = recorded::file(V1_FOLDER, "KRAKEN-book-c197c0.0.gz") else {
        return;
    };
    let mut data = market_data(&PAIRS, WireVersion::V1, 1_000);
    let seen = play(&mut data, received(&file));
    assert!(seen.invalid.is_empty());
    let books: Vec<_> = (0..10)
        .map(|id| data.book_statistics(InstrumentId(id)).unwrap())
        .collect();
    let sum = |of: fn(&SequencerStatistics) -> u64| books.iter().map(of).sum::<u64>();
    assert_eq!(sum(|book| book.checksums_right), 14_496);
    assert_eq!(sum(|book| book.checksums_wrong), 0);
    assert_eq!(sum(|book| book.snapshots_applied), 10);
    assert_eq!(books[0].diffs_applied, 5_788);
    let wire = data.wire_statistics();
    assert_eq!(
        wire.kinds.iter().find(|(kind, _)| *kind == "book"),
        Some(&("book", 14_506))
    );
    assert_eq!((wire.malformed, wire.unknown_symbols), (0, 0));
    assert!(
        PAIRS
            .iter()
            .enumerate()
            .all(|(id, _)| data.is_synchronized(InstrumentId(u16::try_from(id).unwrap())))
    );
    // Only acknowledgements and the venue's state are left to the slow reader.
    assert!(wire.fallbacks < 20, "{wire:?}");
}

#[test]
fn the_recorded_trades_and_tickers_of_version_1_are_read() {
    for (name, kind) in [
        ("KRAKEN-trade-82ac16.0.gz", "trade"),
        ("KRAKEN-ticker-4b7396.0.gz", "ticker"),
    ] {
        let Some(file) = recorded::file(V1_FOLDER, name) else {
            return;
        };
        let mut data = market_data(&PAIRS, WireVersion::V1, 1_000);
        let seen = play(&mut data, received(&file));
        let wire = data.wire_statistics();
        assert!(
            wire.kinds
                .iter()
                .any(|(found, count)| *found == kind && *count > 0),
            "{wire:?}"
        );
        assert_eq!((wire.malformed, seen.trades > 0), (0, kind == "trade"));
        assert_eq!(data.status(), Some(SystemStatus::Online));
    }
}

fn recording_v2() -> Option<Vec<u8>> {
    recorded::file(
        "ws_kraken_v2_btcusd_d10_20260816",
        "kraken_v2_btcusd_d10_20260816_first6s.ndjson",
    )
}

#[test]
fn the_recorded_book_of_version_2_is_proven_by_every_checksum() {
    let Some(file) = recording_v2() else { return };
    let whole = |version_depth| {
        let mut data = market_data(&["BTC/USD"], WireVersion::V2, version_depth);
        let seen = play(&mut data, frames(&file));
        (data.book_statistics(XBT).unwrap(), data.wire_statistics(), seen)
    };
    let (book, wire, seen) = whole(10);
    assert_eq!((book.checksums_right, book.checksums_wrong), (54, 0), "{wire:?}");
    assert!(seen.invalid.is_empty());
    assert_eq!(wire.malformed, 0);
    // Without cutting to the subscribed depth the sixth goes wrong at the latest: the proof has teeth.
    let (uncut, _, seen) = whole(1_000);
    assert_eq!(
        (uncut.checksums_wrong, seen.invalid),
        (1, vec![BookInvalidReason::Checksum])
    );
}

#[test]
fn both_readers_agree_on_every_recorded_message() {
    if let Some(file) = recording_v2() {
        assert!(
            frames(&file)
                .filter(|frame| agree(WireVersion::V2, frame))
                .count()
                > 54
        );
    }
    if let Some(file) = recorded::file(V1_FOLDER, "KRAKEN-book-c197c0.0.gz") {
        assert!(
            received(&file)
                .filter(|frame| agree(WireVersion::V1, frame))
                .count()
                > 14_500
        );
    }
}

#[test]
fn a_book_whose_checksum_differs_is_given_up_until_its_next_snapshot() {
    let Some(file) = recording_v2() else { return };
    let all: Vec<&[u8]> = frames(&file).collect();
    let first = all
        .iter()
        .position(|frame| frame.starts_with(br#"{"channel":"book","type":"snapshot"#))
        .unwrap();
    let mut data = market_data(&["BTC/USD"], WireVersion::V2, 10);
    // One change is lost.
    let seen = play(
        &mut data,
        all[..first + 4]
            .iter()
            .copied()
            .chain(all[first + 5..].iter().copied()),
    );
    assert_eq!(seen.invalid, [BookInvalidReason::Checksum]);
    assert!(!data.is_synchronized(XBT));
    assert_eq!(data.take_resync_request(), Some(XBT));
    assert_eq!(data.take_resync_request(), None);
    let told = seen.books;
    let mut again = Seen::default();
    for frame_bytes in [all[first], all[first + 2]] {
        data.on_message(&frame(frame_bytes), &mut |event| again.take(&event))
            .unwrap();
    }
    assert!(told > 0 && again.books >= 1);
    assert!(data.best(XBT).0.is_some());
}

#[test]
fn a_lost_connection_and_nonsense_end_every_book() {
    let Some(file) = recording_v2() else { return };
    let mut data = market_data(&["BTC/USD"], WireVersion::V2, 10);
    play(&mut data, frames(&file));
    let mut seen = Seen::default();
    let refused = data.on_message(&frame(b"{\"channel\":\"bo"), &mut |event| seen.take(&event));
    assert!(matches!(refused, Err(VenueError::Malformed { .. })));
    assert_eq!(seen.invalid, [BookInvalidReason::Malformed]);
    assert_eq!(data.take_resync_request(), Some(XBT));
    play(&mut data, frames(&file));
    let gone = message(StreamMessageKind::Disconnected(DisconnectReason::Closed));
    data.on_message(&gone, &mut |event| seen.take(&event)).unwrap();
    assert_eq!(seen.invalid.last(), Some(&BookInvalidReason::Disconnected));
    assert_eq!(
        data.take_resync_request(),
        None,
        "no connection, nothing to ask on"
    );
}

#[test]
fn the_text_of_the_best_levels_is_the_venues_own() {
    let Some(file) = recording_v2() else { return };
    let mut data = market_data(&["BTC/USD"], WireVersion::V2, 10);
    play(&mut data, frames(&file));
    let book = data.book(XBT).unwrap();
    let texts: Vec<String> = book
        .top(Side::Sell, 10)
        .map(|level| format!("{} {}", level.price, level.quantity))
        .collect();
    assert_eq!(texts.len(), 10);
    let whole = String::from_utf8_lossy(&file);
    for text in texts {
        let (price, quantity) = text.split_once(' ').unwrap();
        assert!(
            whole.contains(&format!("{{\"price\":{price},\"qty\":{quantity}}}")),
            "{text}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_damaged_digit_is_noticed_within_its_message(at in any::<prop::sample::Index>(), digit in b'0'..=b'9') {
        let Some(file) = recording_v2() else { return Ok(()) };
        let all: Vec<Vec<u8>> = frames(&file).map(<[u8]>::to_vec).collect();
        let updates: Vec<usize> = (0..all.len()).filter(|at| all[*at].windows(6).any(|part| part == b"update" as &[u8]) && all[*at].starts_with(b"{\"channel\":\"book\"")).collect();
        let which = updates[at.index(updates.len())];
        let mut changed = all.clone();
        // A digit of a quantity or price: before the checksum, which covers it.
        let end = changed[which].windows(10).position(|part| part == b"\"checksum\"" as &[u8]).unwrap();
        let places: Vec<usize> = (0..end).filter(|at| changed[which][*at].is_ascii_digit()).collect();
        let place = places[at.index(places.len())];
        prop_assume!(changed[which][place] != digit);
        changed[which][place] = digit;
        let mut data = market_data(&["BTC/USD"], WireVersion::V2, 10);
        data.on_message(&message(StreamMessageKind::Connected), &mut |_| {}).unwrap();
        for (number, bytes) in changed.iter().enumerate() {
            let mut seen = Seen::default();
            let result = data.on_message(&frame(bytes), &mut |event| seen.take(&event));
            if number < which {
                prop_assert!(result.is_ok() && seen.invalid.is_empty());
            } else if number > which && !data.is_synchronized(XBT) {
                prop_assert_eq!(seen.books, 0, "nothing is told of a book that is given up");
            }
        }
        let book = data.book_statistics(XBT).unwrap();
        // Every level of ten lies under the checksum, unless the change falls out of the book or is undone in it.
        prop_assert!(book.checksums_wrong + data.wire_statistics().malformed <= 1);
    }
}
