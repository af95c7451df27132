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

const ETH: InstrumentId = InstrumentId(1);

/// Two books of a wire, and time that passes only as the test says.
struct Quiet {
    version: WireVersion,
    data: MarketData,
    now: Timestamp,
    seen: Seen,
}

impl Quiet {
    const WIRES: [WireVersion; 2] = [WireVersion::V1, WireVersion::V2];

    fn connected(version: WireVersion) -> Self {
        let symbols: [&str; 2] = match version {
            WireVersion::V1 => ["XBT/USD", "ETH/USD"],
            WireVersion::V2 => ["BTC/USD", "ETH/USD"],
        };
        let mut case = Self {
            version,
            data: market_data(&symbols, version, 10),
            now: Timestamp::from_millis(1_534_614_057_000),
            seen: Seen::default(),
        };
        case.later(0, StreamMessageKind::Connected);
        case
    }

    fn synchronized(version: WireVersion) -> Self {
        let mut case = Self::connected(version);
        case.says(0, &case.snapshot(XBT));
        case.says(0, &case.snapshot(ETH));
        assert!(case.data.is_synchronized(XBT) && case.data.is_synchronized(ETH));
        case
    }

    /// A message this long after the last one.
    fn later(&mut self, seconds: i64, kind: StreamMessageKind) {
        self.now = self.now.plus(Nanos::from_secs(seconds));
        let ts_received = self.now;
        let message = StreamMessage { ts_received, kind };
        let seen = &mut self.seen;
        self.data
            .on_message(&message, &mut |event| seen.take(&event))
            .unwrap();
    }

    fn says(&mut self, seconds: i64, text: &str) {
        self.later(seconds, StreamMessageKind::Frame(text.as_bytes().to_vec().into()));
    }

    fn requests(&mut self) -> Vec<InstrumentId> {
        let mut all: Vec<_> = std::iter::from_fn(|| self.data.take_resync_request()).collect();
        all.sort_unstable();
        all
    }

    fn symbol(&self, book: InstrumentId) -> &'static str {
        match (self.version, book) {
            (_, ETH) => "ETH/USD",
            (WireVersion::V1, _) => "XBT/USD",
            (WireVersion::V2, _) => "BTC/USD",
        }
    }

    fn heartbeat(&self) -> &'static str {
        match self.version {
            WireVersion::V1 => r#"{"event":"heartbeat"}"#,
            WireVersion::V2 => r#"{"channel":"heartbeat"}"#,
        }
    }

    /// One level a side: 2 at 101.0 is asked, 1 at 99.0 bid.
    fn snapshot(&self, book: InstrumentId) -> String {
        let symbol = self.symbol(book);
        match self.version {
            WireVersion::V1 => format!(
                r#"[1,{{"as":[["101.0","2.0","1534614057.0"]],"bs":[["99.0","1.0","1534614057.0"]]}},"book-10","{symbol}"]"#
            ),
            WireVersion::V2 => format!(
                r#"{{"channel":"book","type":"snapshot","data":[{{"symbol":"{symbol}","bids":[{{"price":99.0,"qty":1.0}}],"asks":[{{"price":101.0,"qty":2.0}}],"checksum":{}}}]}}"#,
                crc32fast::hash(b"10102099010")
            ),
        }
    }

    /// So much is bid, in tenths.
    fn change(&self, book: InstrumentId, tenths: u8) -> String {
        let symbol = self.symbol(book);
        let checksum = crc32fast::hash(format!("101020990{tenths}").as_bytes());
        let quantity = format!("0.{tenths}");
        match self.version {
            WireVersion::V1 => format!(
                r#"[1,{{"b":[["99.0","{quantity}","1534614057.0"]],"c":"{checksum}"}},"book-10","{symbol}"]"#
            ),
            WireVersion::V2 => format!(
                r#"{{"channel":"book","type":"update","data":[{{"symbol":"{symbol}","bids":[{{"price":99.0,"qty":{quantity}}}],"asks":[],"checksum":{checksum},"timestamp":"2018-08-18T17:40:57.000000Z"}}]}}"#
            ),
        }
    }

    fn trade(&self, book: InstrumentId, number: u64) -> String {
        let symbol = self.symbol(book);
        match self.version {
            WireVersion::V1 => {
                format!(r#"[0,[["99.0","0.1","1534614057.0","s","l",""]],"trade","{symbol}"]"#)
            }
            WireVersion::V2 => format!(
                r#"{{"channel":"trade","type":"update","data":[{{"symbol":"{symbol}","side":"sell","price":99.0,"qty":0.1,"ord_type":"limit","trade_id":{number},"timestamp":"2018-08-18T17:40:57.000000Z"}}]}}"#
            ),
        }
    }
}

#[test]
fn a_book_that_stops_while_its_trades_and_another_book_go_on_is_stale_and_told_anew() {
    for version in Quiet::WIRES {
        let mut case = Quiet::synchronized(version);
        case.says(10, &case.trade(XBT, 7));
        for second in 1..=5 {
            case.says(1, &case.change(ETH, u8::try_from(second).unwrap()));
            case.says(0, &case.trade(XBT, 7 + second));
        }
        assert_eq!(case.seen.invalid, [], "{version:?}: at the bound");
        case.says(1, &case.trade(ETH, 1));
        assert_eq!(case.seen.invalid, [BookInvalidReason::Stale], "{version:?}");
        assert!(!case.data.is_synchronized(XBT) && case.data.is_synchronized(ETH));
        assert_eq!(case.requests(), [XBT]);
        assert!(!case.data.take_reconnect_request());
        // It is told anew, and lives.
        case.says(1, &case.snapshot(XBT));
        case.says(1, &case.change(XBT, 5));
        case.says(10, case.heartbeat());
        assert_eq!(case.seen.invalid, [BookInvalidReason::Stale], "{version:?}");
        assert!(case.data.is_synchronized(XBT));
    }
}

#[test]
fn a_trade_whose_change_of_the_book_came_just_before_it_makes_nothing_stale() {
    for version in Quiet::WIRES {
        let mut case = Quiet::synchronized(version);
        case.says(10, &case.change(XBT, 5));
        case.says(2, &case.trade(XBT, 7));
        case.says(60, case.heartbeat());
        assert_eq!((case.seen.invalid.len(), case.seen.trades), (0, 1), "{version:?}");
    }
}

#[test]
fn a_book_that_says_nothing_while_heartbeats_and_another_go_on_is_told_anew_in_the_end() {
    for version in Quiet::WIRES {
        let mut case = Quiet::synchronized(version);
        for second in 0..60 {
            case.says(1, case.heartbeat());
            case.says(1, &case.change(ETH, 1 + second % 9));
        }
        assert_eq!(case.seen.invalid, [], "{version:?}: two minutes");
        case.says(1, case.heartbeat());
        assert_eq!(case.seen.invalid, [BookInvalidReason::Stale], "{version:?}");
        assert_eq!(case.requests(), [XBT]);
    }
}

#[test]
fn a_snapshot_that_never_comes_wants_a_new_connection() {
    for version in Quiet::WIRES {
        let mut case = Quiet::connected(version);
        case.says(0, &case.snapshot(XBT));
        // Fifteen seconds and one for each of two books.
        case.says(17, &case.change(XBT, 5));
        assert!(!case.data.take_reconnect_request(), "{version:?}");
        case.says(1, case.heartbeat());
        assert!(case.data.take_reconnect_request(), "{version:?}");
        assert!(case.data.is_synchronized(XBT) && !case.data.is_synchronized(ETH));
        case.later(0, StreamMessageKind::Disconnected(DisconnectReason::Stalled));
        case.later(300, StreamMessageKind::Connected);
        case.says(17, case.heartbeat());
        assert!(
            !case.data.take_reconnect_request(),
            "{version:?}: a new connection has its own time"
        );
    }
}

#[test]
fn bounds_that_are_set_are_kept() {
    let mut case = Quiet::synchronized(WireVersion::V2);
    let behind_max = Nanos::from_secs(50);
    case.data.set_staleness(StalenessBounds {
        behind_max,
        ..StalenessBounds::WALL
    });
    case.says(10, &case.trade(XBT, 7));
    case.says(50, case.heartbeat());
    assert_eq!(case.seen.invalid, []);
    case.says(1, case.heartbeat());
    assert_eq!(case.seen.invalid, [BookInvalidReason::Stale]);
}

#[test]
fn the_venues_own_word_about_itself_holds_until_the_next() {
    let mut case = Quiet::connected(WireVersion::V2);
    assert!(case.data.takes_orders(), "it has said nothing");
    for (word, takes_orders) in [
        ("online", true),
        ("cancel_only", false),
        ("post_only", false),
        ("maintenance", false),
        ("limit_only", false),
        ("online", true),
        ("maintenance", false),
    ] {
        let status = format!(
            r#"{{"channel":"status","type":"update","data":[{{"version":"2.0.0","system":"{word}","api_version":"v2","connection_id":13834774380200032777}}]}}"#
        );
        case.says(1, &status);
        assert_eq!(case.data.takes_orders(), takes_orders, "{word}");
    }
    case.later(1, StreamMessageKind::Disconnected(DisconnectReason::Closed));
    case.later(60, StreamMessageKind::Connected);
    assert!(!case.data.takes_orders(), "it has not said otherwise");
}
