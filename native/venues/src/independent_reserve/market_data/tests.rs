use std::collections::BTreeMap;

use bytes::Bytes;
use domain::{BookUpdateKind, PublicOrderId, Quantity, Side, Venue};
use proptest::prelude::*;

use super::*;
use crate::entries::{Entry, entries};
use crate::sample::product;
use crate::websocket::DisconnectReason;

const PAIRS: [&str; 5] = ["dot-nzd", "matic-usd", "eth-aud", "bch-sgd", "pmgt-nzd"];
const ETH_AUD: InstrumentId = InstrumentId(0);
const ETH_USD: InstrumentId = InstrumentId(1);
const DOT_AUD: InstrumentId = InstrumentId(2);

fn market_data(pairs: &[&str]) -> MarketData {
    let products = (0..)
        .zip(pairs)
        .map(|(id, pair)| product(Venue::IndependentReserve, id, pair));
    let table = Instruments::new(products.collect()).unwrap();
    MarketData::new(&table, Nanos::from_secs(5)).unwrap()
}

/// The books of prices and the tape as a consumer sees them.
#[derive(Default)]
struct Consumer {
    books: BTreeMap<InstrumentId, [BTreeMap<i64, i64>; 2]>,
    invalid: Vec<(InstrumentId, BookInvalidReason)>,
    updates: u64,
    trades: Vec<Trade>,
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
                        side.insert(level.price.units(), level.quantity.units());
                        side.retain(|_, quantity| *quantity != 0);
                    }
                }
            }
            MarketEvent::BookInvalid(invalid) => {
                self.books.remove(&invalid.instrument).expect("it was valid");
                self.invalid.push((invalid.instrument, invalid.reason));
            }
            MarketEvent::Trade(trade) => self.trades.push(*trade),
            other => panic!("not from a market stream: {other:?}"),
        }
    }
}

struct Case {
    data: MarketData,
    seen: Consumer,
    now: Timestamp,
}

impl Case {
    fn new(pairs: &[&str]) -> Self {
        Self {
            data: market_data(pairs),
            seen: Consumer::default(),
            now: Timestamp::from_millis(20_000),
        }
    }

    /// Three books with one bid (1) and one ask (2) each, their channels at the numbers 6 (eth) and 3 (dot).
    fn synchronized() -> Self {
        let mut case = Self::new(&["eth-aud", "eth-usd", "dot-aud"]);
        case.feed(StreamMessageKind::Connected).unwrap();
        assert!(case.requests().is_empty(), "nothing proves that events come");
        let first = canceled(6, 99).replace("\"Time\":2000", "\"Time\":1000");
        case.frame(&first).unwrap();
        assert_eq!(case.requests(), [ETH_AUD, ETH_USD]);
        let first = first.replace("orderbook-eth", "orderbook-dot");
        case.frame(&first.replace("\"Nonce\":6", "\"Nonce\":3")).unwrap();
        assert_eq!(case.requests(), [DOT_AUD]);
        for (id, pair) in [
            (ETH_AUD, ["Eth", "Aud"]),
            (ETH_USD, ["Eth", "Usd"]),
            (DOT_AUD, ["Dot", "Aud"]),
        ] {
            case.snapshot(id, &answer(pair, 1)).unwrap();
            assert!(case.data.is_synchronized(id));
        }
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

    fn snapshot(&mut self, instrument: InstrumentId, body: &str) -> Result<(), VenueError> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.feed(StreamMessageKind::Snapshot { instrument, body })
    }

    fn requests(&mut self) -> Vec<InstrumentId> {
        let mut requests: Vec<_> = std::iter::from_fn(|| self.data.take_resync_request()).collect();
        requests.sort_unstable();
        requests
    }
}

fn guid(id: u32) -> String {
    format!("00000000-0000-0000-0000-{id:012x}")
}

/// The answer of `GetAllOrders`, made in this second.
fn answer(pair: [&str; 2], second: u32) -> String {
    let order = |id, price| format!(r#"{{"Guid":"{}","Price":{price},"Volume":5.0}}"#, guid(id));
    let [primary, secondary] = pair;
    format!(
        r#"{{"BuyOrders":[{}],"SellOrders":[{}],"PrimaryCurrencyCode":"{primary}","SecondaryCurrencyCode":"{secondary}","CreatedTimestampUtc":"1970-01-01T00:00:{second:02}Z"}}"#,
        order(1, "99"),
        order(2, "101")
    )
}

fn new_order(nonce: u64, id: u32, kind: &str, price: &str) -> String {
    format!(
        r#"{{"Channel":"orderbook-eth","Nonce":{nonce},"Data":{{"OrderType":"{kind}","OrderGuid":"{}","Price":{{"aud":{price},"usd":{price}}},"Volume":2.0}},"Time":2000,"Event":"NewOrder"}}"#,
        guid(id)
    )
}

fn canceled(nonce: u64, id: u32) -> String {
    format!(
        r#"{{"Channel":"orderbook-eth","Nonce":{nonce},"Data":{{"OrderType":"LimitBid","OrderGuid":"{}"}},"Time":2000,"Event":"OrderCanceled"}}"#,
        guid(id)
    )
}

fn changed(nonce: u64, id: u32, left: &str) -> String {
    format!(
        r#"{{"Channel":"orderbook-eth","Nonce":{nonce},"Data":{{"OrderType":"LimitBid","OrderGuid":"{}","Volume":{left}}},"Time":2000,"Event":"OrderChanged"}}"#,
        guid(id)
    )
}

/// Plays the recording, leaving out the messages for which `is_lost` holds.
fn play(entries: &[Entry], is_lost: impl Fn(usize) -> bool) -> Case {
    let mut case = Case::new(&PAIRS);
    let mut place = 0;
    for entry in entries {
        case.now = entry.at();
        match entry {
            Entry::Connected(_) => case.feed(StreamMessageKind::Connected).unwrap(),
            Entry::Received(_, frame) => {
                if !is_lost(place) {
                    case.feed(StreamMessageKind::Frame(frame.clone())).unwrap();
                }
                place += 1;
            }
            Entry::Answer { url, body, .. } => {
                let Some((_, pair)) = url.split_once("primaryCurrencyCode=") else {
                    continue;
                };
                let pair = pair.replace("&secondaryCurrencyCode=", "-");
                let at = PAIRS
                    .iter()
                    .position(|name| *name == pair)
                    .expect("a pair of the recording");
                let instrument = InstrumentId(u16::try_from(at).unwrap());
                let body = body.clone();
                case.feed(StreamMessageKind::Snapshot { instrument, body })
                    .unwrap();
            }
        }
    }
    case
}

fn recorded() -> Option<Vec<Entry>> {
    entries(
        "ws_independent_reserve_l3_20220403",
        "INDEPENDENT_RESERVE.jsonl.zst",
    )
}

fn ids() -> impl Iterator<Item = InstrumentId> {
    (0..5).map(InstrumentId)
}

#[test]
fn the_recorded_session_is_read_without_a_fault() {
    let Some(entries) = recorded() else { return };
    let mut case = play(&entries, |_| false);
    // What holds of any recording of a healthy connection.
    let wire = case.data.wire_statistics();
    assert_eq!((wire.malformed, wire.fallbacks, wire.unknown_symbols), (0, 0, 0));
    assert!(case.seen.invalid.is_empty());
    let _asked_at_first = case.requests();
    for id in ids() {
        let book = case.data.book_statistics(id).unwrap();
        assert_eq!(
            (
                book.gaps,
                book.crossed,
                book.snapshots_applied,
                book.snapshots_refused
            ),
            (0, 0, 1, 0)
        );
        assert!(case.data.is_synchronized(id));
        let orders = case.data.orders(id).unwrap();
        for (side, theirs) in [Side::Buy, Side::Sell].into_iter().zip(&case.seen.books[&id]) {
            let ours: BTreeMap<_, _> = orders
                .levels(side)
                .map(|level| (level.price.units(), level.quantity.units()))
                .collect();
            assert_eq!(&ours, theirs, "the consumer's own book is ours");
        }
    }
}

#[test]
fn the_recorded_session_ends_in_the_recorded_state() {
    let Some(entries) = recorded() else { return };
    let case = play(&entries, |_| false);
    let wire = case.data.wire_statistics();
    assert_eq!(
        wire.kinds,
        [
            ("GetAllOrders", 5),
            ("Heartbeat", 1),
            ("NewOrder", 831),
            ("OrderCanceled", 832),
            ("Subscriptions", 1),
        ]
    );
    assert_eq!(wire.scanned, 1_670);
    let sum = |count: fn(&SequencerStatistics) -> u64| {
        ids()
            .map(|id| count(&case.data.book_statistics(id).unwrap()))
            .sum::<u64>()
    };
    // Every event was taken in, was known already, or named an order that was gone already.
    let all =
        sum(|book| book.diffs_applied) + sum(|book| book.diffs_stale) + sum(|book| book.unknown_deletes);
    assert_eq!(all, 1_663);
    assert_eq!(
        (sum(|book| book.diffs_stale), sum(|book| book.unknown_deletes)),
        (37, 37)
    );
    let orders: Vec<_> = ids().map(|id| case.data.orders(id).unwrap().len()).collect();
    // Of those of matic-usd one has no price in dollars.
    assert_eq!(orders, [246, 181, 1_067, 225, 63]);
}

#[test]
fn a_lost_event_of_the_recording_invalidates_its_book_and_no_other() {
    let Some(entries) = recorded() else { return };
    for lost in (1_000..1_600).step_by(150) {
        let case = play(&entries, |place| place == lost);
        let [(id, BookInvalidReason::Gap)] = case.seen.invalid[..] else {
            panic!("message {lost}: {:?}", case.seen.invalid)
        };
        for other in ids() {
            assert_eq!(case.data.is_synchronized(other), other != id);
        }
        assert!(
            !case.seen.books.contains_key(&id),
            "no later change was passed on"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever becomes of a message: no panic, and never a change of a book that is not valid (the consumer sees to that).
    #[test]
    fn damage_of_the_recording_is_survived(
        damages in prop::collection::btree_map(0usize..1_665, (any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let Some(entries) = recorded() else { return Ok(()) };
        let mut case = Case::new(&PAIRS);
        for (place, entry) in entries.iter().filter(|entry| !matches!(entry, Entry::Answer { .. })).enumerate() {
            let Entry::Received(at, frame) = entry else {
                case.feed(StreamMessageKind::Connected).unwrap();
                continue;
            };
            case.now = *at;
            let mut bytes = frame.to_vec();
            if let Some((index, byte)) = damages.get(&place) {
                let index = index.index(bytes.len());
                bytes[index] = *byte;
            }
            let _ = case.feed(StreamMessageKind::Frame(bytes.into()));
            if let Some(id) = case.data.take_resync_request() {
                let (primary, secondary) = PAIRS[usize::from(id.0)].split_once('-').unwrap();
                // Made in the second after this message, of the minute that was recorded.
                let second = 1 + at.nanos() / 1_000_000_000 - 1_649_023_800;
                let made = format!("2022-04-03T22:10:{second:02}Z");
                let body = answer([primary, secondary], 1).replace("1970-01-01T00:00:01Z", &made);
                case.snapshot(id, &body).unwrap();
            }
            for id in ids() {
                prop_assert_eq!(case.data.is_synchronized(id), case.seen.books.contains_key(&id));
            }
        }
    }
}

#[test]
fn one_order_stands_in_the_book_of_every_currency() {
    let mut case = Case::synchronized();
    case.frame(&new_order(7, 3, "LimitBid", "99")).unwrap();
    for id in [ETH_AUD, ETH_USD] {
        let orders = case.data.orders(id).unwrap();
        let ahead = orders.queue_ahead(PublicOrderId(3)).unwrap();
        assert_eq!(
            (ahead.orders, ahead.quantity),
            (1, Quantity::from_units(500_000_000))
        );
        assert_eq!(
            case.seen.books[&id][0],
            BTreeMap::from([(9_900_000_000, 700_000_000)])
        );
    }
    assert_eq!(case.data.orders(DOT_AUD).unwrap().len(), 2);
    case.frame(&changed(8, 1, "1.5")).unwrap();
    case.frame(&changed(9, 3, "0")).unwrap();
    case.frame(&canceled(10, 2)).unwrap();
    assert_eq!(
        case.seen.books[&ETH_USD],
        [BTreeMap::from([(9_900_000_000, 150_000_000)]), BTreeMap::new()]
    );
    assert_eq!(case.data.depth(ETH_USD), (1, 0));
}

#[test]
fn a_currency_that_a_price_lacks_is_a_book_without_that_order() {
    let mut case = Case::synchronized();
    case.frame(&new_order(7, 3, "LimitBid", "98").replace(r#","usd":98"#, ""))
        .unwrap();
    assert_eq!(case.seen.invalid, [(ETH_USD, BookInvalidReason::Malformed)]);
    assert!(case.data.is_synchronized(ETH_AUD));
    case.frame(&canceled(8, 99)).unwrap();
    assert_eq!(case.requests(), [ETH_USD], "with the next event");
}

#[test]
fn a_number_that_is_not_the_next_invalidates_the_books_of_its_channel() {
    for second in [9, 7, 6] {
        let mut case = Case::synchronized();
        case.frame(&new_order(7, 3, "LimitBid", "98")).unwrap();
        case.frame(&canceled(second, 3)).unwrap();
        let gap = BookInvalidReason::Gap;
        assert_eq!(case.seen.invalid, [(ETH_AUD, gap), (ETH_USD, gap)]);
        assert_eq!(case.requests(), [ETH_AUD, ETH_USD]);
        assert!(case.data.is_synchronized(DOT_AUD));
        // Only a snapshot from behind that event can be joined.
        case.snapshot(ETH_AUD, &answer(["Eth", "Aud"], 1)).unwrap();
        assert!(!case.data.is_synchronized(ETH_AUD));
        assert_eq!(case.requests(), [ETH_AUD]);
        case.snapshot(ETH_AUD, &answer(["Eth", "Aud"], 2)).unwrap();
        assert!(case.data.is_synchronized(ETH_AUD) && !case.data.is_synchronized(ETH_USD));
    }
}

#[test]
fn what_cannot_be_read_or_is_from_the_future_invalidates_every_book() {
    let future = new_order(7, 3, "LimitBid", "98").replace("\"Time\":2000", "\"Time\":25001");
    for frame in [r#"{"Channel":"orderbook-eth","Nonc"#, &future] {
        let mut case = Case::synchronized();
        assert!(matches!(case.frame(frame), Err(VenueError::Malformed { .. })));
        assert_eq!(case.seen.invalid.len(), 3);
        assert_eq!(case.data.wire_statistics().malformed, 1);
        case.frame(&canceled(9, 99)).unwrap();
        assert_eq!(case.requests(), [ETH_AUD, ETH_USD], "with the next event");
    }
}

#[test]
fn a_snapshot_of_another_pair_or_from_the_future_is_refused() {
    let mut case = Case::synchronized();
    case.feed(StreamMessageKind::Disconnected(DisconnectReason::Closed))
        .unwrap();
    case.feed(StreamMessageKind::Connected).unwrap();
    case.frame(&canceled(6, 99)).unwrap();
    assert_eq!(case.requests(), [ETH_AUD, ETH_USD]);
    for body in [
        answer(["Eth", "Usd"], 3),
        answer(["Eth", "Aud"], 26),
        "{".to_owned(),
    ] {
        let refused = case.snapshot(ETH_AUD, &body);
        assert!(matches!(refused, Err(VenueError::Malformed { .. })));
        assert!(!case.data.is_synchronized(ETH_AUD));
        assert_eq!(case.requests(), [ETH_AUD]);
    }
    assert!(matches!(
        case.snapshot(InstrumentId(9), &answer(["Eth", "Aud"], 3)),
        Err(VenueError::UnknownInstrument(_))
    ));
    case.snapshot(ETH_AUD, &answer(["Eth", "Aud"], 25)).unwrap();
    assert!(case.data.is_synchronized(ETH_AUD));
}

#[test]
fn a_disconnect_ends_every_book_and_a_reconnect_starts_anew() {
    let mut case = Case::synchronized();
    case.frame(&new_order(7, 3, "LimitBid", "98")).unwrap();
    case.feed(StreamMessageKind::Disconnected(DisconnectReason::Closed))
        .unwrap();
    assert_eq!(case.seen.invalid.len(), 3);
    assert!(case.requests().is_empty(), "no connection, no resync");
    case.feed(StreamMessageKind::Connected).unwrap();
    // A channel may count anew.
    case.frame(&new_order(1, 3, "LimitBid", "98")).unwrap();
    assert_eq!(case.requests(), [ETH_AUD, ETH_USD]);
    case.snapshot(ETH_AUD, &answer(["Eth", "Aud"], 2)).unwrap();
    assert!(case.data.is_synchronized(ETH_AUD));
    assert_eq!(case.data.orders(ETH_AUD).unwrap().len(), 3);
}

#[test]
fn an_order_whose_price_is_zero_when_converted_stands_in_no_book() {
    let mut case = Case::synchronized();
    case.frame(&new_order(7, 3, "LimitBid", "98").replace(r#""usd":98"#, r#""usd":0.0"#))
        .unwrap();
    assert_eq!(case.data.orders(ETH_AUD).unwrap().len(), 3);
    assert_eq!(case.data.orders(ETH_USD).unwrap().len(), 2);
    case.frame(&canceled(8, 3)).unwrap();
    assert!(case.data.is_synchronized(ETH_AUD) && case.data.is_synchronized(ETH_USD));
}

#[test]
fn trades_are_passed_on_once_in_every_currency() {
    let mut case = Case::synchronized();
    let trade = |nonce: u64| {
        format!(
            r#"{{"Event":"Trade","Channel":"ticker-eth","Nonce":{nonce},"Time":2000,"Data":{{"Volume":2.5,"Price":{{"Aud":100.5,"Usd":70}},"Side":"Sell"}}}}"#
        )
    };
    for nonce in [4, 5, 5, 8] {
        case.frame(&trade(nonce)).unwrap();
    }
    let seen: Vec<_> = case
        .seen
        .trades
        .iter()
        .map(|trade| (trade.instrument, trade.trade_id.0, trade.price.to_string()))
        .collect();
    assert_eq!(seen.len(), 6);
    assert_eq!(seen[0], (ETH_AUD, 4, "100.5".to_owned()));
    assert_eq!(seen[1], (ETH_USD, 4, "70".to_owned()));
    let wire = case.data.wire_statistics();
    assert_eq!((wire.trades, wire.trade_duplicates, wire.trade_gaps), (6, 2, 2));
    assert!(
        case.data.is_synchronized(ETH_AUD),
        "a tape proves nothing about a book"
    );
}

#[test]
fn a_symbol_that_is_no_pair_is_refused() {
    let mut odd = product(Venue::IndependentReserve, 0, "eth-aud");
    odd.symbol = domain::Text::new("ethaud").unwrap();
    let table = Instruments::new(vec![odd]).unwrap();
    let error = MarketData::new(&table, Nanos(0)).unwrap_err();
    assert!(
        error.is_fatal() && error.to_string().contains("ethaud"),
        "{error}"
    );
}
