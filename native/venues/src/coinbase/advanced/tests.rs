use std::collections::BTreeMap;

use bytes::Bytes;
use domain::{BookUpdateKind, Venue};
use proptest::prelude::*;

use super::*;
use crate::entries::{Entry, entries};
use crate::sample::product;
use crate::websocket::DisconnectReason;

const BTC: InstrumentId = InstrumentId(0);
const ETH: InstrumentId = InstrumentId(1);

fn market_data() -> AdvancedMarketData {
    let table = Instruments::new(vec![
        product(Venue::Coinbase, 0, "BTC-USD"),
        product(Venue::Coinbase, 1, "ETH-USD"),
    ])
    .unwrap();
    AdvancedMarketData::new(Arc::new(table), Nanos::from_secs(5))
}

/// The books and the tape as a consumer sees them.
#[derive(Default)]
struct Consumer {
    books: BTreeMap<InstrumentId, [BTreeMap<i64, i64>; 2]>,
    invalid: Vec<(InstrumentId, BookInvalidReason)>,
    updates: u64,
    trades: Vec<Trade>,
    quotes: Vec<Quote>,
}

impl Consumer {
    fn take(&mut self, event: &MarketEvent<'_>) {
        match event {
            MarketEvent::Book(update) => {
                self.updates += 1;
                if update.kind == BookUpdateKind::Snapshot {
                    self.books.insert(update.instrument, Default::default());
                }
                let book = self
                    .books
                    .get_mut(&update.instrument)
                    .expect("a change of a valid book");
                for (side, levels) in book.iter_mut().zip([update.bids, update.asks]) {
                    set(side, levels);
                }
            }
            MarketEvent::BookInvalid(invalid) => {
                self.books.remove(&invalid.instrument).expect("it was valid");
                self.invalid.push((invalid.instrument, invalid.reason));
            }
            MarketEvent::Trade(trade) => self.trades.push(*trade),
            MarketEvent::Quote(quote) => self.quotes.push(*quote),
            other => panic!("not from a market stream: {other:?}"),
        }
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

/// A connection and who listens to it.
struct Case {
    data: AdvancedMarketData,
    seen: Consumer,
    now: Timestamp,
}

impl Case {
    fn new() -> Self {
        Self {
            data: market_data(),
            seen: Consumer::default(),
            now: iso8601_now(),
        }
    }

    /// Both books synchronized by the messages 0 and 1.
    fn synchronized() -> Self {
        let mut case = Self::new();
        case.feed(StreamMessageKind::Connected).unwrap();
        case.frame(&snapshot(0, "BTC-USD")).unwrap();
        case.frame(&snapshot(1, "ETH-USD")).unwrap();
        assert!(case.data.is_synchronized(BTC) && case.data.is_synchronized(ETH));
        assert_eq!(case.data.take_resync_request(), None);
        case
    }

    fn feed(&mut self, kind: StreamMessageKind) -> Result<(), VenueError> {
        let message = StreamMessage {
            ts_received: self.now,
            kind,
        };
        let seen = &mut self.seen;
        self.data.on_message(&message, &mut |event| seen.take(&event))
    }

    fn frame(&mut self, frame: &str) -> Result<(), VenueError> {
        self.feed(StreamMessageKind::Frame(Bytes::copy_from_slice(frame.as_bytes())))
    }

    /// Every book is invalid for this reason, and each is asked for.
    fn expect_invalid(&mut self, reason: BookInvalidReason) {
        assert_eq!(self.seen.invalid, [(BTC, reason), (ETH, reason)]);
        assert!(!self.data.is_synchronized(BTC) && !self.data.is_synchronized(ETH));
        assert_eq!(self.data.best(BTC), (None, None));
        assert_eq!(self.requests(), [BTC, ETH]);
    }

    fn requests(&mut self) -> Vec<InstrumentId> {
        let mut requests: Vec<_> = std::iter::from_fn(|| self.data.take_resync_request()).collect();
        requests.sort_unstable();
        requests
    }
}

fn iso8601_now() -> Timestamp {
    crate::iso8601::parse(b"2026-08-09T21:05:49Z").unwrap()
}

fn envelope(sequence: u64, channel: &str, events: &str) -> String {
    format!(
        r#"{{"channel":"{channel}","timestamp":"2026-08-09T21:05:49.000000001Z","sequence_num":{sequence},"events":[{events}]}}"#
    )
}

fn books(sequence: u64, kind: &str, symbol: &str, levels: &[(&str, &str, &str)]) -> String {
    let levels: Vec<_> = levels
        .iter()
        .map(|(side, price, quantity)| {
            format!(
                r#"{{"side":"{side}","event_time":"2026-08-09T21:05:48.5Z","price_level":"{price}","new_quantity":"{quantity}"}}"#
            )
        })
        .collect();
    let levels = levels.join(",");
    envelope(
        sequence,
        "l2_data",
        &format!(r#"{{"type":"{kind}","product_id":"{symbol}","updates":[{levels}]}}"#),
    )
}

fn snapshot(sequence: u64, symbol: &str) -> String {
    books(
        sequence,
        "snapshot",
        symbol,
        &[("bid", "99", "1"), ("offer", "101", "1")],
    )
}

fn update(sequence: u64, price: &str, quantity: &str) -> String {
    books(sequence, "update", "BTC-USD", &[("bid", price, quantity)])
}

fn trades(sequence: u64, kind: &str, ids: &[u64]) -> String {
    let trades: Vec<_> = ids
        .iter()
        .map(|id| {
            format!(
                r#"{{"product_id":"BTC-USD","trade_id":"{id}","price":"100","size":"1","time":"2026-08-09T21:05:48Z","side":"BUY"}}"#
            )
        })
        .collect();
    let trades = trades.join(",");
    envelope(
        sequence,
        "market_trades",
        &format!(r#"{{"type":"{kind}","trades":[{trades}]}}"#),
    )
}

fn heartbeat(sequence: u64, counter: u64) -> String {
    envelope(
        sequence,
        "heartbeats",
        &format!(r#"{{"current_time":"now","heartbeat_counter":{counter}}}"#),
    )
}

fn recorded() -> Option<Vec<Entry>> {
    entries("ws_coinbase_advanced_20260809", "COINBASE_first12s.jsonl.zst")
}

/// Plays the messages for which `passes` holds, by their place, and damaged as `damage` says.
fn play(entries: &[Entry], mut deliver: impl FnMut(usize, &Bytes) -> Vec<Bytes>) -> (Case, Vec<usize>) {
    let mut case = Case::new();
    let (mut place, mut failed) = (0, Vec::new());
    for entry in entries {
        match entry {
            Entry::Connected(at) => {
                case.now = *at;
                case.feed(StreamMessageKind::Connected).unwrap();
            }
            Entry::Received(at, frame) => {
                case.now = *at;
                for frame in deliver(place, frame) {
                    if case.feed(StreamMessageKind::Frame(frame)).is_err() {
                        failed.push(place);
                    }
                }
                place += 1;
            }
            Entry::Answer { .. } => {}
        }
    }
    (case, failed)
}

#[test]
fn the_recorded_session_is_read_without_a_fault() {
    let Some(entries) = recorded() else { return };
    let (mut case, failed) = play(&entries, |_, frame| vec![frame.clone()]);
    assert!(failed.is_empty());
    // What holds of any recording of a healthy connection.
    let wire = case.data.wire_statistics();
    assert_eq!((wire.malformed, wire.fallbacks, wire.connection_gaps), (0, 0, 0));
    assert_eq!(
        (wire.trade_gaps, wire.trade_duplicates, wire.unknown_symbols),
        (0, 0, 0)
    );
    assert_eq!(
        *case.data.statistics(),
        AdvancedStatistics {
            quotes: 90,
            history_trades: 200,
            ..AdvancedStatistics::default()
        }
    );
    assert!(case.seen.invalid.is_empty() && case.requests().is_empty());
    for instrument in [BTC, ETH] {
        let book = case.data.book_statistics(instrument).unwrap();
        assert_eq!(
            (book.snapshots_applied, book.crossed, book.diffs_stale),
            (1, 0, 0)
        );
        assert_eq!(case.data.horizon(instrument), (None, None));
        // The consumer's own book is ours.
        let theirs = &case.seen.books[&instrument];
        for (side, theirs) in [Side::Buy, Side::Sell].into_iter().zip(theirs) {
            let mut ours = Vec::new();
            case.data.top(instrument, side, usize::MAX, &mut ours);
            let ours: BTreeMap<_, _> = ours
                .iter()
                .map(|l| (l.price.units(), l.quantity.units()))
                .collect();
            assert_eq!(&ours, theirs);
        }
    }
}

#[test]
fn the_recorded_session_ends_in_the_recorded_state() {
    let Some(entries) = recorded() else { return };
    let (case, _) = play(&entries, |_, frame| vec![frame.clone()]);
    let wire = case.data.wire_statistics();
    assert_eq!(
        wire.kinds,
        [
            ("candles", 4),
            ("heartbeats", 12),
            ("l2_data", 385),
            ("market_trades", 41),
            ("subscriptions", 5),
            ("ticker", 90),
        ]
    );
    assert_eq!((wire.scanned, wire.trades), (537, 56));
    assert_eq!(case.data.next_sequence, Some(537), "0 to 536, without a hole");
    let books = [BTC, ETH].map(|id| case.data.book_statistics(id).unwrap());
    let sum = |count: fn(&SequencerStatistics) -> u64| books.iter().map(count).sum::<u64>();
    assert_eq!(
        sum(|book| book.diffs_applied) + sum(|book| book.snapshots_applied),
        385
    );
    assert_eq!(sum(|book| book.unknown_deletes), 26);
    assert_eq!(
        (sum(|book| book.best_compared), sum(|book| book.best_mismatches)),
        (84, 6)
    );
    assert_eq!(
        [BTC, ETH].map(|id| case.data.depth(id)),
        [(18_771, 27_238), (6_932, 16_394)]
    );
    let best = |id| {
        let (bid, ask) = case.data.best(id);
        [bid, ask].map(|level| level.map(|level| level.price.to_string()).unwrap_or_default())
    };
    assert_eq!(best(BTC), ["65083.66", "65083.67"]);
    assert_eq!(best(ETH), ["1919.43", "1919.5"]);
    let last = |id| {
        let trades = case.seen.trades.iter().filter(|trade| trade.instrument == id);
        trades.map(|trade| trade.trade_id.0).max()
    };
    assert_eq!([BTC, ETH].map(last), [Some(1_068_572_125), Some(833_140_799)]);
}

#[test]
fn a_lost_message_of_the_recording_is_noticed_at_the_next_whatever_its_channel() {
    let Some(entries) = recorded() else { return };
    for lost in (30..537).step_by(61) {
        let mut noticed = None;
        let (case, _) = play(&entries, |place, frame| {
            if place == lost {
                vec![]
            } else {
                vec![frame.clone()]
            }
        });
        noticed.get_or_insert(case.seen.invalid.len());
        assert_eq!(
            case.seen.invalid,
            [(BTC, BookInvalidReason::Gap), (ETH, BookInvalidReason::Gap)],
            "message {lost}"
        );
        assert_eq!(case.data.wire_statistics().connection_gaps, 1);
        assert!(case.seen.books.is_empty(), "no later change was passed on");
    }
}

#[test]
fn a_cut_message_of_the_recording_invalidates_every_book() {
    let Some(entries) = recorded() else { return };
    for cut in [25, 100, 400] {
        let (case, failed) = play(&entries, |place, frame| {
            let end = if place == cut {
                frame.len() - 1
            } else {
                frame.len()
            };
            vec![frame.slice(..end)]
        });
        assert_eq!(failed, [cut]);
        let malformed = BookInvalidReason::Malformed;
        assert_eq!(case.seen.invalid, [(BTC, malformed), (ETH, malformed)]);
        assert!(case.seen.books.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever becomes of a message: no panic, never a change of a book that is not valid (the consumer sees to that), and
    /// nothing but an error, a hole or a book that cannot be.
    #[test]
    fn damage_of_the_recording_is_survived(
        damages in prop::collection::btree_map(0usize..537, (any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let Some(entries) = recorded() else { return Ok(()) };
        let (case, failed) = play(&entries, |place, frame| {
            let mut bytes = frame.to_vec();
            if let Some((at, byte)) = damages.get(&place) {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            vec![bytes.into()]
        });
        for id in [BTC, ETH] {
            prop_assert_eq!(case.data.is_synchronized(id), case.seen.books.contains_key(&id));
        }
        prop_assert_eq!(case.data.wire_statistics().malformed, failed.len() as u64);
    }
}

#[test]
fn a_hole_invalidates_every_book_and_only_a_snapshot_heals_one() {
    let mut case = Case::synchronized();
    case.frame(&update(3, "98", "1")).unwrap();
    case.expect_invalid(BookInvalidReason::Gap);
    assert_eq!(
        case.seen.updates, 2,
        "the change behind the hole is not passed on"
    );
    case.frame(&update(4, "97", "1")).unwrap();
    assert!(case.requests().is_empty(), "it was asked for");
    case.frame(&snapshot(5, "BTC-USD")).unwrap();
    assert!(case.data.is_synchronized(BTC) && !case.data.is_synchronized(ETH));
    case.frame(&update(6, "98", "2")).unwrap();
    assert_eq!(
        case.seen.books[&BTC][0],
        BTreeMap::from([(9_800_000_000, 200_000_000), (9_900_000_000, 100_000_000)])
    );
    assert_eq!(case.data.wire_statistics().connection_gaps, 1);
}

#[test]
fn a_snapshot_behind_a_hole_is_a_book() {
    let mut case = Case::synchronized();
    case.frame(&snapshot(7, "BTC-USD")).unwrap();
    assert_eq!(case.seen.invalid.len(), 2);
    assert!(case.data.is_synchronized(BTC) && !case.data.is_synchronized(ETH));
}

#[test]
fn a_number_that_comes_again_or_late_invalidates_every_book() {
    for (numbers, gaps, repeats) in [
        (&[2, 2][..], 0, 1),
        (&[2, 1], 0, 1),
        (&[3, 2, 4], 2, 1),
        (&[2, 0, 1, 2], 0, 1),
    ] {
        let mut case = Case::synchronized();
        for &number in numbers {
            case.frame(&update(number, "98", "1")).unwrap();
        }
        case.expect_invalid(BookInvalidReason::Gap);
        let faults = case.data.statistics().out_of_sequence;
        let wire = case.data.wire_statistics();
        assert_eq!(
            (wire.connection_gaps, wire.connection_repeats),
            (gaps, repeats),
            "{numbers:?}"
        );
        assert!(faults >= 1);
        // What is old is not a book, and the count is followed.
        let next = numbers.last().unwrap() + 1;
        case.frame(&snapshot(next, "BTC-USD")).unwrap();
        assert!(case.data.is_synchronized(BTC));
        assert_eq!(case.data.statistics().out_of_sequence, faults);
        case.frame(&snapshot(next, "ETH-USD")).unwrap();
        assert!(!case.data.is_synchronized(BTC) && !case.data.is_synchronized(ETH));
    }
}

#[test]
fn every_channel_counts_in_the_sequence() {
    let mut case = Case::synchronized();
    case.frame(&heartbeat(2, 7)).unwrap();
    case.frame(&envelope(3, "status", r#"{"products":[]}"#)).unwrap();
    case.frame(&envelope(4, "a_new_channel", "1")).unwrap();
    case.frame(r#"{"type":"error","message":"no such product"}"#)
        .unwrap();
    case.frame(&heartbeat(5, 9)).unwrap();
    assert!(case.data.is_synchronized(BTC));
    assert_eq!(
        (
            case.data.statistics().heartbeat_gaps,
            case.data.statistics().refusals
        ),
        (1, 1)
    );
    assert_eq!(
        case.data.wire_statistics().kinds,
        [
            ("error", 1),
            ("heartbeats", 2),
            ("l2_data", 2),
            ("other", 1),
            ("status", 1)
        ]
    );
    case.frame(&heartbeat(7, 10)).unwrap();
    case.expect_invalid(BookInvalidReason::Gap);
}

#[test]
fn a_crossed_book_is_never_passed_on() {
    let mut case = Case::synchronized();
    case.frame(&update(2, "101", "1")).unwrap();
    assert_eq!(case.seen.invalid, [(BTC, BookInvalidReason::Crossed)]);
    assert_eq!((case.seen.updates, case.requests()), (2, vec![BTC]));
    assert!(case.data.is_synchronized(ETH));
    let crossed = books(
        3,
        "snapshot",
        "BTC-USD",
        &[("bid", "101", "1"), ("offer", "101", "1")],
    );
    case.frame(&crossed).unwrap();
    assert!(!case.data.is_synchronized(BTC));
    assert_eq!(case.requests(), [BTC]);
    let book = case.data.book_statistics(BTC).unwrap();
    assert_eq!((book.crossed, book.snapshots_refused), (2, 1));
}

#[test]
fn removing_a_level_that_is_not_there_is_counted_and_harmless() {
    let mut case = Case::synchronized();
    case.frame(&update(2, "98", "0")).unwrap();
    assert!(case.data.is_synchronized(BTC));
    assert_eq!(case.data.book_statistics(BTC).unwrap().unknown_deletes, 1);
}

#[test]
fn a_change_before_any_snapshot_asks_for_one_once() {
    let mut case = Case::new();
    case.feed(StreamMessageKind::Connected).unwrap();
    assert!(case.requests().is_empty(), "subscribing brings one");
    case.frame(&update(40, "98", "1")).unwrap();
    case.frame(&update(41, "98", "1")).unwrap();
    assert_eq!(case.requests(), [BTC]);
    assert_eq!(
        (case.seen.updates, case.data.wire_statistics().connection_gaps),
        (0, 0)
    );
}

#[test]
fn an_unreadable_message_and_one_from_the_future_invalidate_every_book() {
    let future = trades(2, "update", &[1]).replace("T21:05:48Z", "T21:05:54.000000001Z");
    for frame in ["{\"channel\":\"l2_da", &future] {
        let mut case = Case::synchronized();
        let error = case.frame(frame);
        assert!(matches!(error, Err(VenueError::Malformed { .. })));
        case.expect_invalid(BookInvalidReason::Malformed);
        assert_eq!(case.data.wire_statistics().malformed, 1);
        assert!(case.seen.trades.is_empty());
        // Its number is not known, so any may follow.
        case.frame(&snapshot(90, "BTC-USD")).unwrap();
        assert!(case.data.is_synchronized(BTC));
        assert_eq!(case.data.wire_statistics().connection_gaps, 0);
    }
}

#[test]
fn a_disconnect_ends_every_book_and_a_reconnect_starts_anew() {
    let mut case = Case::synchronized();
    case.feed(StreamMessageKind::Disconnected(DisconnectReason::Closed))
        .unwrap();
    let gone = BookInvalidReason::Disconnected;
    assert_eq!(case.seen.invalid, [(BTC, gone), (ETH, gone)]);
    assert!(case.requests().is_empty(), "no connection, no resync");
    case.feed(StreamMessageKind::Connected).unwrap();
    case.frame(&snapshot(0, "BTC-USD")).unwrap();
    assert!(case.data.is_synchronized(BTC));
    assert_eq!(case.data.wire_statistics().connection_gaps, 0);
}

#[test]
fn trades_are_passed_on_once_over_lost_connections_too() {
    let mut case = Case::synchronized();
    case.frame(&trades(2, "snapshot", &[7, 6, 5])).unwrap();
    assert!(case.seen.trades.is_empty(), "from before we came");
    case.frame(&trades(3, "update", &[9, 8])).unwrap();
    case.frame(&trades(4, "update", &[9, 12])).unwrap();
    case.feed(StreamMessageKind::Disconnected(DisconnectReason::Closed))
        .unwrap();
    case.feed(StreamMessageKind::Connected).unwrap();
    case.frame(&trades(0, "snapshot", &[14, 13, 12, 11])).unwrap();
    case.frame(&trades(1, "update", &[15])).unwrap();
    let ids: Vec<_> = case.seen.trades.iter().map(|trade| trade.trade_id.0).collect();
    assert_eq!(ids, [8, 9, 12, 13, 14, 15]);
    assert_eq!(
        case.seen.trades[0].aggressor,
        domain::Side::Sell,
        "the maker bought"
    );
    let wire = case.data.wire_statistics();
    assert_eq!((wire.trades, wire.trade_duplicates, wire.trade_gaps), (6, 1, 1));
    assert_eq!(case.data.statistics().history_trades, 3);
}

#[test]
fn what_traded_between_the_connection_and_its_subscription_is_no_history() {
    let mut case = Case::new();
    // The trades bear this time.
    case.now = crate::iso8601::parse(b"2026-08-09T21:05:48Z").unwrap();
    case.feed(StreamMessageKind::Connected).unwrap();
    let earlier = trades(0, "snapshot", &[8]).replace(":48Z", ":47Z");
    case.frame(&earlier).unwrap();
    assert_eq!(case.data.statistics().history_trades, 1);
    let mut case = Case::new();
    case.now = crate::iso8601::parse(b"2026-08-09T21:05:48Z").unwrap();
    case.feed(StreamMessageKind::Connected).unwrap();
    case.frame(&trades(0, "snapshot", &[9, 8])).unwrap();
    let ids: Vec<_> = case.seen.trades.iter().map(|trade| trade.trade_id.0).collect();
    assert_eq!((ids, case.data.statistics().history_trades), (vec![8, 9], 0));
}

#[test]
fn best_prices_that_differ_are_counted_and_change_nothing() {
    let mut case = Case::synchronized();
    let ticker = |sequence, bid: &str| {
        let events = format!(
            r#"{{"type":"update","tickers":[{{"type":"ticker","product_id":"BTC-USD","price":"1","best_bid":"{bid}","best_ask":"101","best_bid_quantity":"5","best_ask_quantity":"6"}}]}}"#
        );
        envelope(sequence, "ticker", &events)
    };
    case.frame(&ticker(2, "99")).unwrap();
    case.frame(&ticker(3, "98.5")).unwrap();
    let book = case.data.book_statistics(BTC).unwrap();
    assert_eq!((book.best_compared, book.best_mismatches), (2, 1));
    assert!(case.data.is_synchronized(BTC) && case.seen.invalid.is_empty());
    assert_eq!(case.seen.quotes.len(), 2);
    assert_eq!(
        (
            case.seen.quotes[1].update_id,
            case.seen.quotes[1].bid_quantity.units()
        ),
        (3, 500_000_000)
    );
    assert_eq!(case.seen.quotes[1].ts_event.nanos() % 1_000_000_000, 1);
}

#[test]
fn rules_are_wanted_while_a_product_is_not_online_and_once_when_it_is_again() {
    let status = |sequence, symbol: &str, word: &str| {
        let products = format!(r#"{{"type":"update","products":[{{"id":"{symbol}","status":"{word}"}}]}}"#);
        envelope(sequence, "status", &products)
    };
    let mut case = Case::synchronized();
    let told = [
        ("BTC-USD", "online", false),
        ("BTC-USD", "delisted", true),
        ("BTC-USD", "a word of tomorrow", true),
        ("ETH-USD", "", true),
        ("DOGE-USD", "offline", false),
        ("BTC-USD", "online", true),
        ("BTC-USD", "online", false),
    ];
    for (sequence, (symbol, word, wants_rules)) in (2..).zip(told) {
        case.frame(&status(sequence, symbol, word)).unwrap();
        assert_eq!(case.data.take_rules_request(), wants_rules, "{symbol} {word}");
        assert!(!case.data.take_rules_request(), "asking clears the wish");
    }
    // What cannot be read of it says nothing, and its number counts.
    case.frame(&envelope(9, "status", r#"{"type":"update","products":null}"#))
        .unwrap();
    case.frame(&envelope(
        10,
        "status",
        r#"{"products":[{"id":"BTC-USD","status":7}]}"#,
    ))
    .unwrap();
    assert!(!case.data.take_rules_request());
    assert!(case.data.is_synchronized(BTC) && case.data.is_synchronized(ETH));
    assert_eq!(case.data.wire_statistics().unknown_symbols, 0);
}

#[test]
fn what_concerns_other_products_is_counted_and_left_out() {
    let mut case = Case::synchronized();
    case.frame(&snapshot(2, "XRP-USD")).unwrap();
    assert_eq!(case.data.wire_statistics().unknown_symbols, 1);
    assert_eq!(case.seen.updates, 2);
}

fn tickers(sequence: u64, bid: &str) -> String {
    envelope(
        sequence,
        "ticker",
        &format!(
            r#"{{"type":"update","tickers":[{{"type":"ticker","product_id":"BTC-USD","price":"100","volume_24_h":"1","low_24_h":"1","high_24_h":"1","low_52_w":"1","high_52_w":"1","price_percent_chg_24_h":"0","best_bid":"{bid}","best_ask":"101","best_bid_quantity":"1","best_ask_quantity":"1"}}]}}"#
        ),
    )
}

impl Case {
    /// A message this long after the last one.
    fn later(&mut self, seconds: i64, frame: &str) {
        self.now = self.now.plus(Nanos::from_secs(seconds));
        self.frame(frame).unwrap();
    }
}

#[test]
fn trades_and_heartbeats_over_a_silent_book_make_it_stale_and_have_it_told_anew() {
    let mut case = Case::synchronized();
    case.later(10, &trades(2, "update", &[7]));
    case.later(5, &heartbeat(3, 1));
    assert_eq!(case.seen.invalid, [], "at the bound");
    case.later(1, &heartbeat(4, 2));
    assert_eq!(case.seen.invalid, [(BTC, BookInvalidReason::Stale)]);
    assert_eq!(
        (case.requests(), case.data.is_synchronized(ETH)),
        (vec![BTC], true)
    );
    assert!(!case.data.take_reconnect_request());
    case.later(1, &snapshot(5, "BTC-USD"));
    assert!(case.data.is_synchronized(BTC));
}

#[test]
fn best_prices_that_are_not_the_books_are_a_sign_unless_it_has_just_changed() {
    let mut case = Case::synchronized();
    // The ticker lags the book.
    case.later(1, &tickers(2, "98"));
    case.later(10, &heartbeat(3, 1));
    // It agrees.
    case.later(10, &tickers(4, "99"));
    case.later(10, &heartbeat(5, 2));
    assert_eq!(case.seen.invalid, []);
    case.later(1, &tickers(6, "98"));
    case.later(6, &heartbeat(7, 3));
    assert_eq!(case.seen.invalid, [(BTC, BookInvalidReason::Stale)]);
}

#[test]
fn a_book_that_says_nothing_while_heartbeats_go_on_is_told_anew_in_the_end() {
    let mut case = Case::synchronized();
    for second in 0..60 {
        case.later(2, &heartbeat(2 + second, 1 + second));
    }
    assert_eq!(case.seen.invalid, [], "two minutes");
    case.later(1, &heartbeat(62, 61));
    assert_eq!(
        case.seen.invalid,
        [(BTC, BookInvalidReason::Stale), (ETH, BookInvalidReason::Stale)]
    );
    assert_eq!(case.requests(), [BTC, ETH]);
}

#[test]
fn a_snapshot_that_never_comes_wants_a_new_connection() {
    let mut case = Case::new();
    case.feed(StreamMessageKind::Connected).unwrap();
    case.frame(&snapshot(0, "BTC-USD")).unwrap();
    // Fifteen seconds and one for each of two books.
    case.later(17, &update(1, "98", "1"));
    assert!(!case.data.take_reconnect_request());
    case.later(1, &update(2, "98", "2"));
    assert!(case.data.take_reconnect_request());
    assert!(case.data.is_synchronized(BTC) && !case.data.is_synchronized(ETH));
    case.feed(StreamMessageKind::Disconnected(DisconnectReason::Stalled))
        .unwrap();
    assert_eq!(case.seen.invalid, [(BTC, BookInvalidReason::Stale)]);
    case.feed(StreamMessageKind::Connected).unwrap();
    case.later(17, &update(0, "98", "2"));
    assert!(
        !case.data.take_reconnect_request(),
        "a new connection has its own time"
    );
}
