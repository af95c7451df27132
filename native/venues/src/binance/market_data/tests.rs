use std::collections::BTreeMap;

use bytes::Bytes;
use domain::{BookUpdateKind, Price};

use super::*;
use crate::binance::recorded;
use crate::sample::instrument;
use crate::websocket::DisconnectReason;

const BTC: InstrumentId = InstrumentId(0);

/// No time is later.
const LATEST: Timestamp = Timestamp::from_nanos(i64::MAX);

fn market_data() -> MarketData {
    let table = Instruments::new(vec![instrument(0, "BTCUSDT"), instrument(1, "ETHUSDT")]).unwrap();
    MarketData::new(Arc::new(table), Nanos::from_secs(5))
}

/// The book and the tape as a consumer sees them.
#[derive(Default)]
struct Consumer {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    update_id: u64,
    invalid: Vec<BookInvalidReason>,
    trades: Vec<Trade>,
    quotes: Vec<Quote>,
}

impl Consumer {
    fn take(&mut self, event: &MarketEvent<'_>) {
        match event {
            MarketEvent::Book(update) => {
                if update.kind == BookUpdateKind::Snapshot {
                    self.bids.clear();
                    self.asks.clear();
                }
                set(&mut self.bids, update.bids);
                set(&mut self.asks, update.asks);
                self.update_id = update.update_id;
            }
            MarketEvent::BookInvalid(invalid) => self.invalid.push(invalid.reason),
            MarketEvent::Trade(trade) => self.trades.push(*trade),
            MarketEvent::Quote(quote) => self.quotes.push(*quote),
            other => panic!("not from a market stream: {other:?}"),
        }
    }

    fn best(&self) -> [Option<(i64, i64)>; 2] {
        [self.bids.last_key_value(), self.asks.first_key_value()]
            .map(|level| level.map(|(&price, &quantity)| (price, quantity)))
    }
}

fn set(side: &mut BTreeMap<i64, i64>, levels: &[Level]) {
    for level in levels {
        if level.quantity.is_zero() {
            side.remove(&level.price.units());
        } else {
            side.insert(level.price.units(), level.quantity.units());
        }
    }
}

fn depth(first: u64, last: u64, bid: &str) -> String {
    format!(
        r#"{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":{first},"u":{last},"b":[["{bid}","1.00000000"]],"a":[]}}"#
    )
}

const SNAPSHOT: &[u8] =
    br#"{"lastUpdateId":10,"bids":[["99.00000000","1.00000000"]],"asks":[["101.00000000","1.00000000"]]}"#;

/// Feeds the whole recording, and compares the best level of the consumer's own book with the recorded
/// best prices whenever both speak of the same update; how often they did.
fn replay(session: &recorded::Session, data: &mut MarketData, seen: &mut Consumer) -> u32 {
    let (mut comparable, mut compared_at) = (0, 0);
    for (ts, body) in session.lines() {
        if body.starts_with(b"{\"lastUpdateId\"") {
            data.on_snapshot(ts, BTC, body, &mut |event| seen.take(&event))
                .unwrap();
        } else {
            data.on_frame(LATEST, body, &mut |event| seen.take(&event))
                .unwrap();
        }
        let at = seen
            .quotes
            .binary_search_by_key(&seen.update_id, |quote| quote.update_id);
        if let Some(quote) = at
            .ok()
            .filter(|_| seen.update_id > compared_at)
            .map(|at| seen.quotes[at])
        {
            compared_at = seen.update_id;
            comparable += 1;
            let bid = (quote.bid.units(), quote.bid_quantity.units());
            let ask = (quote.ask.units(), quote.ask_quantity.units());
            assert_eq!(seen.best(), [Some(bid), Some(ask)]);
        }
    }
    comparable
}

/// The expectations are those of the recording's own description.
#[test]
fn the_recorded_session_ends_in_the_recorded_state() {
    let Some(session) = recorded::session() else {
        return;
    };
    let mut data = market_data();
    let mut seen = Consumer::default();
    data.on_connected();
    let comparable = replay(&session, &mut data, &mut seen);
    assert_eq!(
        comparable, 1_072,
        "every moment at which both streams speak of one update"
    );

    let book = data.sequencer_statistics(BTC).unwrap();
    assert_eq!((book.gaps, book.crossed, book.best_mismatches), (0, 0, 0));
    assert_eq!(
        (book.diffs_applied, book.diffs_stale, book.snapshots_applied),
        (6_493, 2, 1)
    );
    assert_eq!(book.best_compared, 1_072);
    assert!(seen.invalid.is_empty());
    let statistics = data.statistics();
    assert_eq!(
        (statistics.trades, statistics.trade_gaps, statistics.quotes),
        (19_904, 0, 73_174)
    );
    assert_eq!(
        (statistics.messages, statistics.scanned, statistics.fallbacks),
        (99_574, 99_574, 0)
    );

    assert_eq!(seen.update_id, 50_093_696_318);
    assert_eq!((seen.bids.len(), seen.asks.len()), (1_971, 2_962));
    assert_eq!(traded(&seen), (43_791_552_000, "61671.55160665".to_owned()));
}

/// Units traded and their average price, rounded to the nearest unit.
fn traded(seen: &Consumer) -> (i128, String) {
    let (mut traded, mut notional) = (0_i128, 0_i128);
    for trade in &seen.trades {
        let quantity = i128::from(trade.quantity.units());
        traded += quantity;
        notional += quantity * i128::from(trade.price.units());
    }
    let average = Price::from_units(i64::try_from((notional + traded / 2) / traded).unwrap());
    (traded, average.to_string())
}

/// Likewise, for futures.
#[test]
fn the_recorded_futures_session_ends_in_the_recorded_state() {
    let Some(session) = recorded::futures_session() else {
        return;
    };
    let table = Instruments::new(vec![instrument(0, "BTCUSDT")]).unwrap();
    let rule = SequenceRule::BinanceFutures;
    let mut data = MarketData::of(Dialect::Futures, rule, Arc::new(table), Nanos::from_secs(5));
    let mut seen = Consumer::default();
    data.on_connected();
    let comparable = replay(&session, &mut data, &mut seen);
    assert_eq!(
        comparable, 629,
        "every moment at which both streams speak of one update"
    );
    let book = data.sequencer_statistics(BTC).unwrap();
    assert_eq!((book.gaps, book.crossed, book.best_mismatches), (0, 0, 0));
    assert_eq!(
        (book.diffs_applied, book.diffs_stale, book.snapshots_applied),
        (6_547, 4, 1)
    );
    assert_eq!((book.best_compared, book.unknown_deletes), (629, 17_747));
    assert!(seen.invalid.is_empty());
    assert_eq!(
        data.wire_statistics().kinds,
        [
            ("bookTicker", 66_089),
            ("depthUpdate", 6_551),
            ("snapshot", 1),
            ("trade", 21_313)
        ]
    );
    let statistics = data.statistics();
    assert_eq!(
        (statistics.trades, statistics.trade_gaps, statistics.quotes),
        (21_313, 0, 66_089)
    );
    assert_eq!((statistics.scanned, statistics.fallbacks), (93_954, 0));
    assert_eq!(seen.update_id, 5_123_135_475_514);
    assert_eq!((seen.bids.len(), seen.asks.len()), (5_018, 4_578));
    assert_eq!(traded(&seen), (242_936_600_000, "61680.98215329".to_owned()));
}

#[test]
fn a_number_without_a_trade_is_no_hole() {
    let table = Instruments::new(vec![instrument(0, "BTCUSDT")]).unwrap();
    let mut data = FuturesMarketData::new(Arc::new(table), Nanos::from_secs(5));
    let mut trades = 0;
    for (id, price, origin) in [(7, "1.0", "MARKET"), (8, "0", "NA"), (9, "1.0", "MARKET")] {
        let frame = format!(
            r#"{{"e":"trade","E":1,"T":1,"s":"BTCUSDT","t":{id},"p":"{price}","q":"{price}","X":"{origin}","m":false}}"#
        );
        let message = StreamMessage {
            ts_received: Timestamp::EPOCH,
            kind: StreamMessageKind::Frame(frame.into()),
        };
        let mut count = |event: MarketEvent<'_>| trades += u32::from(matches!(event, MarketEvent::Trade(_)));
        data.on_message(&message, &mut count).unwrap();
    }
    let statistics = data.wire_statistics();
    assert_eq!((trades, statistics.trades, statistics.trade_gaps), (2, 2, 0));
    assert_eq!(statistics.kinds, [("trade", 3)]);
}

#[test]
fn a_lost_frame_of_the_recording_is_a_gap_at_once() {
    let Some(session) = recorded::session() else {
        return;
    };
    let mut data = market_data();
    let mut seen = Consumer::default();
    data.on_connected();
    assert_eq!(data.take_snapshot_request(), Some(InstrumentId(1)));
    assert_eq!(data.take_snapshot_request(), Some(BTC));
    let mut depths = 0;
    for (ts, body) in session.lines().take(5_000) {
        if body.starts_with(b"{\"lastUpdateId\"") {
            data.on_snapshot(ts, BTC, body, &mut |event| seen.take(&event))
                .unwrap();
            continue;
        }
        let is_depth = body.starts_with(br#"{"stream":"btcusdt@depth"#);
        depths += u32::from(is_depth);
        if is_depth && depths == 50 {
            continue;
        }
        data.on_frame(LATEST, body, &mut |event| seen.take(&event))
            .unwrap();
        if is_depth && depths == 51 {
            assert_eq!(seen.invalid, [BookInvalidReason::Gap]);
            assert_eq!(data.take_snapshot_request(), Some(BTC));
        }
    }
    assert!(depths > 51 && !data.is_synchronized(BTC));
}

#[test]
fn a_malformed_frame_invalidates_every_book_and_asks_for_a_resync() {
    let mut data = market_data();
    let mut seen = Consumer::default();
    data.on_connected();
    while data.take_snapshot_request().is_some() {}
    data.on_snapshot(Timestamp::EPOCH, BTC, SNAPSHOT, &mut |event| seen.take(&event))
        .unwrap();
    assert!(data.is_synchronized(BTC));
    let frame = b"{\"e\":\"depthUpd";
    let error = data.on_frame(LATEST, frame, &mut |event| seen.take(&event));
    assert!(matches!(error, Err(VenueError::Malformed { .. })));
    assert_eq!(seen.invalid, [BookInvalidReason::Malformed]);
    assert!(!data.is_synchronized(BTC));
    assert!(data.take_snapshot_request().is_some());
    assert_eq!(data.statistics().malformed, 1);
}

#[test]
fn a_time_ahead_of_the_venue_is_refused_like_any_other_nonsense() {
    let mut data = market_data();
    let mut seen = Consumer::default();
    data.on_connected();
    while data.take_snapshot_request().is_some() {}
    data.on_snapshot(Timestamp::EPOCH, BTC, SNAPSHOT, &mut |event| seen.take(&event))
        .unwrap();
    let mut trade = |data: &mut MarketData, id: u64, ms: u64| {
        let frame = format!(
            r#"{{"e":"trade","E":1,"s":"BTCUSDT","t":{id},"p":"1.00000000","q":"1.00000000","T":{ms},"m":false,"M":true}}"#
        );
        let message = StreamMessage {
            ts_received: Timestamp::from_nanos(1_000_000),
            kind: StreamMessageKind::Frame(frame.into()),
        };
        data.on_message(&message, &mut |event| seen.take(&event))
    };
    trade(&mut data, 1, 5_001).unwrap();
    let refused = trade(&mut data, 2, 5_002).unwrap_err();
    assert!(refused.to_string().contains("ahead of the venue"), "{refused}");
    assert!(!data.is_synchronized(BTC));
    assert!(data.take_snapshot_request().is_some());
    trade(&mut data, 3, 2).unwrap();
    assert_eq!(seen.trades.len(), 2);
    assert_eq!(seen.invalid, [BookInvalidReason::Malformed]);
    assert_eq!(data.statistics().malformed, 1);
}

#[test]
fn a_disconnect_ends_every_book_and_a_reconnect_starts_anew() {
    let mut data = market_data();
    let mut seen = Consumer::default();
    let mut feed = |data: &mut MarketData, kind| {
        let message = StreamMessage {
            ts_received: Timestamp::EPOCH,
            kind,
        };
        data.on_message(&message, &mut |event| seen.take(&event)).unwrap();
    };
    feed(&mut data, StreamMessageKind::Connected);
    let snapshot = StreamMessageKind::Snapshot {
        instrument: BTC,
        body: Bytes::from_static(SNAPSHOT),
    };
    feed(&mut data, snapshot.clone());
    feed(
        &mut data,
        StreamMessageKind::Frame(depth(11, 12, "98.00000000").into()),
    );
    assert!(data.is_synchronized(BTC));
    feed(
        &mut data,
        StreamMessageKind::Disconnected(DisconnectReason::Closed),
    );
    assert!(!data.is_synchronized(BTC));
    assert_eq!(data.take_snapshot_request(), None, "no connection, no resync");
    feed(&mut data, StreamMessageKind::Connected);
    assert!(data.take_snapshot_request().is_some());
    feed(&mut data, snapshot);
    assert!(data.is_synchronized(BTC));
    assert_eq!(seen.invalid, [BookInvalidReason::Disconnected]);
    assert_eq!(seen.update_id, 10);
}

#[test]
fn a_book_says_where_the_snapshot_that_was_asked_for_ends() {
    for (asked, ends) in [(1, true), (2, false)] {
        let mut data = market_data().with_snapshot_levels(asked);
        data.on_connected();
        let mut told = Vec::new();
        let emit = &mut |event: MarketEvent<'_>| {
            if let MarketEvent::Book(update) = event {
                told = [update.bids, update.asks].map(<[Level]>::to_vec).to_vec();
            }
        };
        data.on_snapshot(LATEST, BTC, SNAPSHOT, emit).unwrap();
        let last = told.iter().map(|side| side.last().unwrap().quantity.is_zero());
        assert!(last.eq([ends; 2]), "{told:?}");
        let horizon = data.markets[0].sequencer.side(Side::Buy).horizon();
        let below = Price::from_units(99 * domain::SCALE - 1);
        assert_eq!(horizon, ends.then_some(below));
    }
}

#[test]
fn trades_are_passed_on_once_and_holes_are_counted() {
    let mut data = market_data();
    let mut seen = Consumer::default();
    for id in [5, 6, 6, 4, 9] {
        let frame = format!(
            r#"{{"e":"trade","E":1,"s":"BTCUSDT","t":{id},"p":"1.00000000","q":"1.00000000","T":1,"m":false,"M":true}}"#
        );
        data.on_frame(LATEST, frame.as_bytes(), &mut |event| seen.take(&event))
            .unwrap();
    }
    let ids: Vec<_> = seen.trades.iter().map(|trade| trade.trade_id.0).collect();
    assert_eq!(ids, [5, 6, 9]);
    let statistics = data.statistics();
    assert_eq!((statistics.trade_duplicates, statistics.trade_gaps), (2, 1));
}

#[test]
fn a_quote_bears_the_newest_time_of_the_venue() {
    let mut data = market_data();
    let mut seen = Consumer::default();
    let quote = |id: u64| {
        format!(
            r#"{{"u":{id},"s":"BTCUSDT","b":"1.00000000","B":"1.00000000","a":"2.00000000","A":"1.00000000"}}"#
        )
    };
    for frame in [quote(1), depth(1, 1, "1.00000000"), quote(2)] {
        data.on_frame(LATEST, frame.as_bytes(), &mut |event| seen.take(&event))
            .unwrap();
    }
    assert_eq!((data.statistics().quotes_untimed, seen.quotes.len()), (1, 1));
    assert_eq!(seen.quotes[0].ts_event, Timestamp::from_millis(1));
}

#[test]
fn other_symbols_answers_and_empty_sides_are_counted_and_left_out() {
    let mut data = market_data();
    let mut seen = Consumer::default();
    let frames = [
        depth(1, 1, "1.00000000").replace("BTCUSDT", "XRPUSDT"),
        r#"{"result":null,"id":1}"#.to_owned(),
        r#"{"u":1,"s":"BTCUSDT","b":"0.00000000","B":"0.00000000","a":"1.00000000","A":"1.00000000"}"#
            .to_owned(),
    ];
    for frame in frames {
        data.on_frame(LATEST, frame.as_bytes(), &mut |event| seen.take(&event))
            .unwrap();
    }
    let statistics = data.statistics();
    assert_eq!(
        (
            statistics.unknown_symbols,
            statistics.unused,
            statistics.quotes_one_sided
        ),
        (1, 1, 1)
    );
    assert!(seen.quotes.is_empty());
}

fn ticker(update_id: u64) -> String {
    format!(r#"{{"u":{update_id},"s":"BTCUSDT","b":"99.0","B":"1.0","a":"101.0","A":"1.0"}}"#)
}

fn trade(symbol: &str, id: u64) -> String {
    format!(r#"{{"e":"trade","E":1,"s":"{symbol}","t":{id},"p":"100.0","q":"1.0","T":1,"m":true,"M":true}}"#)
}

/// A connection on which messages come at these seconds.
struct Timed {
    data: MarketData,
    seen: Consumer,
}

impl Timed {
    /// The book of BTCUSDT stands at second 0 with the changes up to 12.
    fn synchronized() -> Self {
        let mut case = Self {
            data: market_data(),
            seen: Consumer::default(),
        };
        case.feed(0, StreamMessageKind::Connected);
        case.frame(0, &depth(9, 11, "99.0"));
        case.snapshot(0);
        case.frame(0, &depth(12, 12, "98.0"));
        assert!(case.data.is_synchronized(BTC));
        while case.data.take_snapshot_request().is_some() {}
        case
    }

    fn feed(&mut self, second: i64, kind: StreamMessageKind) {
        let message = StreamMessage {
            ts_received: Timestamp::from_millis(second * 1_000),
            kind,
        };
        let seen = &mut self.seen;
        self.data
            .on_message(&message, &mut |event| seen.take(&event))
            .unwrap();
    }

    fn frame(&mut self, second: i64, text: &str) {
        self.feed(second, StreamMessageKind::Frame(Bytes::from(text.to_owned())));
    }

    fn snapshot(&mut self, second: i64) {
        let (instrument, body) = (BTC, Bytes::from_static(SNAPSHOT));
        self.feed(second, StreamMessageKind::Snapshot { instrument, body });
    }

    /// What became of the book, and whether a new connection is wanted for it.
    fn state(&mut self) -> (Vec<BookInvalidReason>, bool) {
        let reconnect = MarketProtocol::take_reconnect_request(&mut self.data);
        (std::mem::take(&mut self.seen.invalid), reconnect)
    }
}

#[test]
fn best_prices_ahead_of_a_silent_book_make_it_stale_whatever_tells_the_time() {
    let mut case = Timed::synchronized();
    case.frame(60, &ticker(13));
    case.frame(64, &ticker(14));
    case.frame(65, &trade("ETHUSDT", 1));
    assert_eq!(case.state(), (vec![], false), "at the bound");
    case.frame(66, &trade("ETHUSDT", 2));
    assert_eq!(case.state(), (vec![BookInvalidReason::Stale], true));
    assert!(!case.data.is_synchronized(BTC));
    assert_eq!(
        case.data.take_snapshot_request(),
        None,
        "a snapshot would be old soon"
    );
    case.frame(100, &ticker(15));
    assert_eq!(case.state(), (vec![], false), "said once");
}

#[test]
fn a_book_that_follows_its_best_prices_is_not_stale_however_quiet() {
    let mut case = Timed::synchronized();
    case.frame(60, &ticker(13));
    case.frame(61, &depth(13, 13, "97.0"));
    // No newer than the book, and hours later.
    case.frame(7_200, &ticker(13));
    case.frame(10_000, &ticker(12));
    case.frame(20_000, &trade("ETHUSDT", 1));
    assert_eq!(case.state(), (vec![], false));
    assert!(case.data.is_synchronized(BTC));
}

#[test]
fn changes_that_the_book_holds_already_are_no_sign_that_it_moves() {
    let mut case = Timed::synchronized();
    for second in 60..=66 {
        case.frame(second, &ticker(13 + u64::try_from(second).unwrap()));
        case.frame(second, &depth(12, 12, "98.0"));
    }
    assert_eq!(case.state(), (vec![BookInvalidReason::Stale], true));
}

#[test]
fn trades_without_a_change_of_the_book_make_it_stale_too() {
    let mut case = Timed::synchronized();
    // Its change may have come a little before it.
    case.frame(1, &trade("BTCUSDT", 1));
    case.frame(10, &trade("ETHUSDT", 1));
    assert_eq!(case.state(), (vec![], false));
    case.frame(20, &trade("BTCUSDT", 2));
    case.frame(26, &trade("ETHUSDT", 2));
    assert_eq!(case.state(), (vec![BookInvalidReason::Stale], true));
}

#[test]
fn a_stalled_book_begins_anew_where_its_changes_go_on() {
    let mut case = Timed::synchronized();
    case.frame(60, &ticker(13));
    case.frame(66, &ticker(14));
    assert_eq!(case.state(), (vec![BookInvalidReason::Stale], true));
    case.frame(70, &depth(11, 11, "99.0"));
    assert_eq!(case.data.take_snapshot_request(), Some(BTC));
    case.snapshot(71);
    assert!(case.data.is_synchronized(BTC));
    case.feed(91, StreamMessageKind::Disconnected(DisconnectReason::Stalled));
    assert_eq!(case.state(), (vec![BookInvalidReason::Stale], false));
}
