use std::collections::BTreeMap;

use bytes::Bytes;
use domain::{BookUpdateKind, PublicOrderId, Quantity, Side, Venue};
use proptest::prelude::*;

use super::*;
use crate::sample::product;
use crate::sequencer::COUNT_LAG_MAX;
use crate::websocket::DisconnectReason;

const BTC: InstrumentId = InstrumentId(0);
const ETH: InstrumentId = InstrumentId(1);
const TIME: &str = "2022-08-04T15:25:05.010758Z";

/// The books and the tape as a consumer sees them.
#[derive(Default)]
struct Consumer {
    books: BTreeMap<InstrumentId, [BTreeMap<i64, i64>; 2]>,
    invalid: Vec<(InstrumentId, BookInvalidReason)>,
    updates: u64,
    trades: Vec<Trade>,
    quotes: u64,
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
                    for level in levels {
                        side.insert(whole(level.price.units()), whole(level.quantity.units()));
                        side.retain(|_, quantity| *quantity != 0);
                    }
                }
            }
            MarketEvent::BookInvalid(invalid) => {
                self.books.remove(&invalid.instrument).expect("it was valid");
                self.invalid.push((invalid.instrument, invalid.reason));
            }
            MarketEvent::Trade(trade) => self.trades.push(*trade),
            MarketEvent::Quote(_) => self.quotes += 1,
            other => panic!("not from a market stream: {other:?}"),
        }
    }
}

fn whole(units: i64) -> i64 {
    units / 100_000_000
}

struct Case {
    data: ExchangeMarketData,
    seen: Consumer,
}

impl Case {
    fn new(channel: BookChannel) -> Self {
        let table = Instruments::new(vec![
            product(Venue::Coinbase, 0, "BTC-USD"),
            product(Venue::Coinbase, 1, "ETH-USD"),
        ])
        .unwrap();
        let mut case = Self {
            data: ExchangeMarketData::new(Arc::new(table), channel, Nanos::from_secs(5)),
            seen: Consumer::default(),
        };
        case.feed(StreamMessageKind::Connected).unwrap();
        case
    }

    /// Both books of prices have a bid at 99 and an ask at 101.
    fn levels() -> Self {
        let mut case = Self::new(BookChannel::Level2);
        assert!(case.requests().is_empty(), "subscribing brings a snapshot");
        for symbol in ["BTC-USD", "ETH-USD"] {
            case.frame(&snapshot(symbol)).unwrap();
        }
        assert!(case.data.is_synchronized(BTC) && case.data.is_synchronized(ETH));
        case
    }

    /// The book of orders of one product stands at 10, with a bid (1) at 99 and an ask (2) at 101; the other waits.
    fn orders() -> Self {
        let mut case = Self::new(BookChannel::Full);
        assert_eq!(case.requests(), [BTC, ETH]);
        case.answer(BTC, 10).unwrap();
        assert!(case.data.is_synchronized(BTC) && !case.data.is_synchronized(ETH));
        case
    }

    fn feed(&mut self, kind: StreamMessageKind) -> Result<(), VenueError> {
        let message = StreamMessage {
            ts_received: crate::iso8601::parse(TIME.as_bytes()).unwrap(),
            kind,
        };
        let seen = &mut self.seen;
        self.data.on_message(&message, &mut |event| seen.take(&event))
    }

    fn frame(&mut self, frame: &str) -> Result<(), VenueError> {
        self.feed(StreamMessageKind::Frame(Bytes::copy_from_slice(frame.as_bytes())))
    }

    fn answer(&mut self, instrument: InstrumentId, sequence: u64) -> Result<(), VenueError> {
        let body = format!(
            r#"{{"sequence":{sequence},"bids":[["99","5","{}"]],"asks":[["101","5","{}"]],"time":"{TIME}"}}"#,
            uuid(1),
            uuid(2)
        );
        let body = Bytes::from(body);
        self.feed(StreamMessageKind::Snapshot { instrument, body })
    }

    fn requests(&mut self) -> Vec<InstrumentId> {
        let mut requests: Vec<_> = std::iter::from_fn(|| self.data.take_resync_request()).collect();
        requests.sort_unstable();
        requests
    }

    fn wire(&self) -> WireStatistics {
        self.data.wire_statistics()
    }
}

fn uuid(id: u32) -> String {
    format!("00000000-0000-0000-0000-{id:012x}")
}

fn snapshot(symbol: &str) -> String {
    format!(r#"{{"type":"snapshot","product_id":"{symbol}","bids":[["99","1"]],"asks":[["101","1"]]}}"#)
}

fn update(side: &str, price: &str, size: &str) -> String {
    format!(
        r#"{{"type":"l2update","product_id":"BTC-USD","changes":[["{side}","{price}","{size}"]],"time":"{TIME}"}}"#
    )
}

/// A message of `full`: its kind, its number, the order, and its other fields.
fn step(kind: &str, sequence: u64, order: u32, fields: &str) -> String {
    format!(
        r#"{{"type":"{kind}","time":"{TIME}","product_id":"BTC-USD","sequence":{sequence},"order_id":"{}"{fields}}}"#,
        uuid(order)
    )
}

fn open(sequence: u64, order: u32, side: &str, price: &str) -> String {
    let fields = format!(r#","price":"{price}","remaining_size":"2","side":"{side}""#);
    step("open", sequence, order, &fields)
}

fn traded(kind: &str, sequence: u64, trade_id: u64, maker: u32, size: &str) -> String {
    format!(
        r#"{{"type":"{kind}","trade_id":{trade_id},"sequence":{sequence},"maker_order_id":"{}","time":"{TIME}","product_id":"BTC-USD","size":"{size}","price":"101","side":"sell"}}"#,
        uuid(maker)
    )
}

fn heartbeat(sequence: u64, last_trade_id: u64) -> String {
    format!(
        r#"{{"type":"heartbeat","sequence":{sequence},"last_trade_id":{last_trade_id},"product_id":"BTC-USD","time":"{TIME}"}}"#
    )
}

fn ticker(sequence: u64, bid: &str) -> String {
    format!(
        r#"{{"type":"ticker","sequence":{sequence},"product_id":"BTC-USD","best_bid":"{bid}","best_bid_size":"1","best_ask":"101","best_ask_size":"1","time":"{TIME}"}}"#
    )
}

#[test]
fn a_book_of_prices_begins_with_its_snapshot() {
    let mut case = Case::new(BookChannel::Level2);
    case.frame(&update("buy", "98", "1")).unwrap();
    case.frame(&update("buy", "98", "1")).unwrap();
    assert_eq!((case.seen.updates, case.requests()), (0, vec![BTC]));
    case.frame(&snapshot("BTC-USD")).unwrap();
    case.frame(&update("buy", "98", "2")).unwrap();
    case.frame(&update("sell", "101", "0")).unwrap();
    case.frame(&update("sell", "105", "0")).unwrap();
    assert_eq!(
        case.seen.books[&BTC],
        [BTreeMap::from([(98, 2), (99, 1)]), BTreeMap::new()]
    );
    let book = case.data.book_statistics(BTC).unwrap();
    assert_eq!((book.diffs_applied, book.unknown_deletes), (3, 1));
    assert_eq!(case.data.depth(BTC), (2, 0));
    assert!(case.data.orders(BTC).is_none());
}

#[test]
fn a_crossed_book_is_never_passed_on() {
    let mut case = Case::levels();
    case.frame(&update("buy", "101", "1")).unwrap();
    assert_eq!(case.seen.invalid, [(BTC, BookInvalidReason::Crossed)]);
    assert_eq!((case.seen.updates, case.requests()), (2, vec![BTC]));
    let mut case = Case::orders();
    case.frame(&open(11, 3, "buy", "101")).unwrap();
    assert_eq!(case.seen.invalid, [(BTC, BookInvalidReason::Crossed)]);
    assert_eq!(case.requests(), [BTC]);
}

#[test]
fn an_order_comes_trades_moves_and_goes() {
    let mut case = Case::orders();
    let frames = [
        step(
            "received",
            11,
            3,
            r#","size":"2","price":"99","side":"buy","order_type":"limit""#,
        ),
        open(12, 3, "buy", "99"),
        traded("match", 13, 70, 2, "4"),
        step(
            "change",
            14,
            1,
            r#","side":"buy","new_size":"4","old_size":"5","price":"99""#,
        ),
        step(
            "change",
            15,
            1,
            r#","side":"buy","new_size":"4","new_price":"98""#,
        ),
        step("done", 16, 2, r#","reason":"canceled","side":"sell""#),
        step("done", 17, 9, r#","reason":"filled","side":"sell""#),
    ];
    for frame in &frames {
        case.frame(frame).unwrap();
    }
    assert_eq!(
        case.seen.books[&BTC],
        [BTreeMap::from([(98, 4), (99, 2)]), BTreeMap::new()]
    );
    let orders = case.data.orders(BTC).unwrap();
    assert_eq!(
        orders.get(PublicOrderId(1)).unwrap().quantity,
        Quantity::from_units(400_000_000)
    );
    assert!(case.data.is_synchronized(BTC));
    assert_eq!(case.seen.trades[0].aggressor, Side::Buy, "the maker sold");
    assert_eq!(case.data.depth(BTC), (2, 0));
}

#[test]
fn a_hole_in_a_product_s_count_invalidates_its_book_and_no_other() {
    let mut case = Case::orders();
    case.answer(ETH, 40).unwrap();
    case.frame(&open(12, 3, "buy", "98")).unwrap();
    assert_eq!(case.seen.invalid, [(BTC, BookInvalidReason::Gap)]);
    assert_eq!(case.requests(), [BTC]);
    assert!(case.data.is_synchronized(ETH));
    case.answer(BTC, 10).unwrap();
    assert!(!case.data.is_synchronized(BTC), "11 is in neither");
    assert_eq!(case.requests(), [BTC]);
    case.answer(BTC, 11).unwrap();
    assert_eq!(case.seen.books[&BTC][0], BTreeMap::from([(98, 2), (99, 5)]));
}

#[test]
fn what_comes_again_is_dropped_and_a_count_that_starts_anew_is_seen() {
    let mut case = Case::orders();
    for _ in 0..2 {
        case.frame(&traded("match", 11, 70, 2, "1")).unwrap();
    }
    assert_eq!(case.seen.books[&BTC][1], BTreeMap::from([(101, 4)]));
    assert_eq!((case.wire().trades, case.wire().trade_duplicates), (1, 1));
    case.frame(&heartbeat(15, 70)).unwrap();
    assert!(case.data.is_synchronized(BTC), "it may be ahead of us");
    let mut case = Case::new(BookChannel::Full);
    case.answer(BTC, COUNT_LAG_MAX + 10).unwrap();
    case.frame(&heartbeat(10, 70)).unwrap();
    assert!(case.data.is_synchronized(BTC));
    case.frame(&heartbeat(9, 70)).unwrap();
    assert_eq!(case.seen.invalid, [(BTC, BookInvalidReason::Gap)]);
}

#[test]
fn an_order_that_trades_without_resting_shows_a_hole() {
    let mut case = Case::orders();
    case.frame(&traded("match", 11, 70, 9, "1")).unwrap();
    assert_eq!(case.seen.invalid, [(BTC, BookInvalidReason::Gap)]);
    assert_eq!(case.requests(), [BTC]);
}

#[test]
fn trades_are_passed_on_once_and_the_last_before_us_is_not() {
    let mut case = Case::levels();
    case.frame(&traded("last_match", 8, 70, 2, "1")).unwrap();
    assert!(case.seen.trades.is_empty());
    case.frame(&heartbeat(9, 71)).unwrap();
    assert_eq!(case.data.statistics().heartbeats_ahead, 1);
    for trade_id in [71, 71, 70, 74] {
        case.frame(&traded("match", 10, trade_id, 2, "1")).unwrap();
    }
    case.feed(StreamMessageKind::Disconnected(DisconnectReason::Closed))
        .unwrap();
    case.feed(StreamMessageKind::Connected).unwrap();
    case.frame(&traded("last_match", 20, 75, 2, "1")).unwrap();
    let ids: Vec<_> = case.seen.trades.iter().map(|trade| trade.trade_id.0).collect();
    assert_eq!(ids, [71, 74, 75], "what traded while we were away");
    let wire = case.wire();
    assert_eq!((wire.trades, wire.trade_duplicates, wire.trade_gaps), (3, 2, 1));
}

#[test]
fn best_prices_run_beside_the_book() {
    let mut case = Case::levels();
    for bid in ["99", "98.5", "0"] {
        case.frame(&ticker(5, bid)).unwrap();
    }
    assert_eq!(case.seen.quotes, 2, "an empty side is no price");
    let book = case.data.book_statistics(BTC).unwrap();
    assert_eq!((book.best_compared, book.best_mismatches), (2, 1));
    assert!(case.data.is_synchronized(BTC));
}

#[test]
fn what_cannot_be_read_or_is_from_the_future_invalidates_every_book() {
    let future = update("buy", "98", "1").replace("15:25:05", "15:25:11");
    for frame in ["{\"type\":\"l2upd", &future] {
        let mut case = Case::levels();
        assert!(matches!(case.frame(frame), Err(VenueError::Malformed { .. })));
        let malformed = BookInvalidReason::Malformed;
        assert_eq!(case.seen.invalid, [(BTC, malformed), (ETH, malformed)]);
        assert_eq!((case.requests(), case.wire().malformed), (vec![BTC, ETH], 1));
    }
}

#[test]
fn a_snapshot_that_cannot_be_read_is_asked_for_again() {
    let mut case = Case::orders();
    let body = Bytes::from_static(b"{");
    let refused = case.feed(StreamMessageKind::Snapshot {
        instrument: ETH,
        body,
    });
    assert!(matches!(refused, Err(VenueError::Malformed { .. })));
    assert_eq!((case.requests(), case.wire().malformed), (vec![ETH], 1));
    assert!(case.data.is_synchronized(BTC));
    let unknown = case.answer(InstrumentId(9), 1);
    assert!(matches!(unknown, Err(VenueError::UnknownInstrument(_))));
}

#[test]
fn a_disconnect_ends_every_book_and_a_reconnect_starts_anew() {
    for (mut case, wanted) in [(Case::levels(), vec![]), (Case::orders(), vec![BTC, ETH])] {
        case.requests();
        case.feed(StreamMessageKind::Disconnected(DisconnectReason::Closed))
            .unwrap();
        assert!(!case.data.is_synchronized(BTC) && case.seen.books.is_empty());
        assert!(case.requests().is_empty(), "no connection, no resync");
        case.feed(StreamMessageKind::Connected).unwrap();
        assert_eq!(case.requests(), wanted);
    }
}

#[test]
fn other_messages_and_products_are_counted_and_left_out() {
    let mut case = Case::levels();
    case.frame(&snapshot("XRP-USD")).unwrap();
    case.frame(r#"{"type":"subscriptions","channels":[]}"#).unwrap();
    case.frame(r#"{"type":"error","message":"no such product"}"#)
        .unwrap();
    case.frame(r#"{"type":"a_new_kind","product_id":"BTC-USD"}"#)
        .unwrap();
    let wire = case.wire();
    assert_eq!(
        wire.kinds,
        [("error", 1), ("other", 1), ("snapshot", 3), ("subscriptions", 1)]
    );
    assert_eq!((wire.unknown_symbols, wire.fallbacks), (1, 1));
    assert_eq!((case.data.statistics().refusals, case.seen.updates), (1, 2));
}

proptest! {
    /// Whatever the bytes: an event or an error, and never a change of a book that is not valid.
    #[test]
    fn damage_is_survived(
        is_full in any::<bool>(),
        damages in prop::collection::vec((0usize..6, any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut case = if is_full { Case::orders() } else { Case::levels() };
        let frames = [
            snapshot("BTC-USD"), update("buy", "98", "1"), open(11, 3, "buy", "98"), traded("match", 12, 7, 1, "1"),
            heartbeat(12, 7), ticker(12, "99"),
        ];
        for (which, at, byte) in damages {
            let mut bytes = frames[which].clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = case.feed(StreamMessageKind::Frame(bytes.into()));
            for id in [BTC, ETH] {
                prop_assert_eq!(case.data.is_synchronized(id), case.seen.books.contains_key(&id));
            }
        }
    }
}
