//! The worked example of the venue's guide, and what is done to it.

use domain::{Currency, Instrument, MarketEvent, PublicOrderId, Quantity, Text, Venue};
use proptest::prelude::*;

use super::*;
use crate::sample;
use crate::websocket::DisconnectReason;

const BTC: InstrumentId = InstrumentId(0);

/// The checksum that the guide ("L3 checksum", WebSocket version 2) states for its example.
const STATED: u32 = 1_063_832_831;

/// The example's orders: name, price, quantity with the venue's eight digits.
const BIDS: [(&str, &str, &str); 21] = [
    ("OTCFZG-YOE2Q-LQKNM3", "44939.4", "0.88968699"),
    ("OFGP5R-B3E7G-54EZD6", "44939.4", "0.45210000"),
    ("OMPHVY-IZPJ4-KOKA3P", "44939.4", "0.10000000"),
    ("OAI5QZ-AMPLW-NBNO72", "44939.4", "0.14296323"),
    ("O7VFZI-CTFWH-FF6EIR", "44939.4", "0.25000000"),
    ("O472V3-ZG4EZ-OLD66C", "44939.4", "0.10292988"),
    ("OEK26P-BGPUK-LDHMD2", "44939.4", "0.33880000"),
    ("OSMYPE-S5VOC-YSS3WM", "44939.4", "1.28140860"),
    ("OJPMIN-NXZL5-SOWP6V", "44937.1", "0.03346877"),
    ("O6PUGE-SQWYQ-TRJEEE", "44934.7", "0.35630000"),
    ("OPUOGC-Q532V-3OKLPM", "44930.2", "0.22734299"),
    ("OCIU7J-VB3CI-HPULSF", "44930.2", "0.01000000"),
    ("ORWVAF-LJFLY-ZWEHDQ", "44930.2", "0.05550000"),
    ("OYRAHE-PI5AN-7KOQ4E", "44930.2", "0.70000000"),
    ("OGBHYU-UILDD-6DLLYJ", "44930.2", "0.15000000"),
    ("O74ZBU-K2TKC-R76XSW", "44928.0", "0.00105240"),
    ("OQVTQF-Y56MR-BM6LWL", "44919.6", "0.33870000"),
    ("OYEH6U-ZCHA2-3HFR3W", "44919.5", "0.07610000"),
    ("OLGPG7-HVKXU-J6SANK", "44912.0", "0.35630000"),
    ("OHGC3L-FRZQ3-UIVZRU", "44909.7", "0.06690000"),
    ("O73C6Y-VZXYA-H4LDFY", "44901.9", "0.00088982"),
];
const ASKS: [(&str, &str, &str); 14] = [
    ("OFVLAA-HRSSP-BK75KB", "44939.5", "4.52308393"),
    ("OYBAMK-O5DKX-WMPUTM", "44939.5", "0.00111261"),
    ("O3DRCT-J5M2S-KYV526", "44939.5", "0.00100000"),
    ("OF3X3A-72WZY-6EKA5F", "44939.5", "0.01000000"),
    ("OF5UA6-6IIZ2-YGQTSJ", "44950.0", "0.10334926"),
    ("OSDOZX-7UZ6Y-QDNPVI", "44953.0", "0.00064537"),
    ("OV7KTS-A2TWV-3XKRIA", "44955.0", "0.00250000"),
    ("OOF2V5-RYOHC-GLRNPM", "44959.6", "0.35630000"),
    ("OTVOVS-QLST3-3JG7JI", "44959.6", "0.35630000"),
    ("OGZCIU-RDQ77-DAAL3P", "44960.1", "0.00338072"),
    ("OVLG3E-HYBQM-CWNGCY", "44960.2", "0.88967575"),
    ("OWEOFO-HUCJC-T37MVO", "44967.0", "3.14392283"),
    ("OVYTHY-D2N76-5QYREQ", "44978.5", "0.06778960"),
    ("OFO525-PHRVS-236RMN", "44979.2", "0.35630000"),
];

fn list(orders: &[(&str, &str, &str)], event: &str) -> String {
    let event = if event.is_empty() {
        String::new()
    } else {
        format!("\"event\":\"{event}\",")
    };
    let orders = orders.iter().map(|(id, price, quantity)| {
        format!(
            "{{{event}\"order_id\":\"{id}\",\"limit_price\":{price},\"order_qty\":{quantity},\
             \"timestamp\":\"2024-01-08T12:26:39.526146327Z\"}}"
        )
    });
    orders.collect::<Vec<_>>().join(",")
}

fn message(kind: &str, bids: &str, asks: &str, checksum: u32) -> String {
    format!(
        "{{\"channel\":\"level3\",\"type\":\"{kind}\",\"data\":[{{\"symbol\":\"BTC/USD\",\"checksum\":{checksum},\
         \"bids\":[{bids}],\"asks\":[{asks}]}}]}}"
    )
}

fn example() -> String {
    message("snapshot", &list(&BIDS, ""), &list(&ASKS, ""), STATED)
}

struct Case {
    data: Level3MarketData,
    now: Timestamp,
    books: u64,
    trades: u64,
    invalid: Vec<BookInvalidReason>,
}

impl Case {
    fn new() -> Self {
        let instrument = Instrument {
            venue: Venue::Kraken,
            symbol: Text::new("BTC/USD").unwrap(),
            base: Currency::new("BTC").unwrap(),
            ..sample::instrument(0, "BTCUSDT")
        };
        let table = Arc::new(Instruments::new(vec![instrument]).unwrap());
        let mut case = Self {
            data: Level3MarketData::new(table, 10, Nanos(i64::MAX)),
            now: Timestamp::EPOCH,
            books: 0,
            trades: 0,
            invalid: Vec::new(),
        };
        case.deliver(StreamMessageKind::Connected).unwrap();
        case
    }

    fn synchronized() -> Self {
        let mut case = Self::new();
        case.frame(&example()).unwrap();
        assert!(case.data.is_synchronized(BTC));
        case
    }

    fn deliver(&mut self, kind: StreamMessageKind) -> Result<(), VenueError> {
        let message = StreamMessage {
            ts_received: self.now,
            kind,
        };
        let (books, trades, invalid) = (&mut self.books, &mut self.trades, &mut self.invalid);
        self.data.on_message(&message, &mut |event| match event {
            MarketEvent::Book(_) => *books += 1,
            MarketEvent::Trade(_) => *trades += 1,
            MarketEvent::BookInvalid(one) => invalid.push(one.reason),
            other => panic!("not of a book: {other:?}"),
        })
    }

    fn frame(&mut self, text: &str) -> Result<(), VenueError> {
        self.deliver(StreamMessageKind::Frame(text.as_bytes().to_vec().into()))
    }

    /// A message this long after the last one.
    fn later(&mut self, seconds: i64, text: &str) {
        self.now = self.now.plus(Nanos::from_secs(seconds));
        self.frame(text).unwrap();
    }

    /// A change of bids; the checksum is what the book comes to, as the venue's would.
    fn bids(&mut self, event: &str, bids: &[(&str, &str, &str)]) {
        let mut other = self.data.books[0].clone();
        let text = message("update", &list(bids, event), "", 0);
        let mut told = Vec::new();
        parser::message(text.as_bytes(), &mut told).unwrap();
        let checksum = other.checksum_after(&told);
        self.frame(&message("update", &list(bids, event), "", checksum))
            .unwrap();
    }

    fn ahead(&self, id: &str) -> Option<usize> {
        let id = PublicOrderId::from_text(id.as_bytes())?;
        Some(self.data.orders(BTC)?.queue_ahead(id)?.orders)
    }
}

#[test]
fn the_guides_example_has_the_checksum_that_it_states() {
    let case = Case::synchronized();
    assert_eq!((case.books, case.invalid.len()), (1, 0));
    let statistics = case.data.book_statistics(BTC).unwrap();
    assert_eq!((statistics.checksums_right, statistics.checksums_wrong), (1, 0));
    assert_eq!(case.data.depth(BTC), (10, 10));
    assert_eq!(case.ahead("OSMYPE-S5VOC-YSS3WM"), Some(7));
}

#[test]
fn two_orders_that_change_places_are_a_wrong_checksum() {
    let mut case = Case::new();
    let mut bids = BIDS;
    bids.swap(0, 1);
    case.frame(&message("snapshot", &list(&bids, ""), &list(&ASKS, ""), STATED))
        .unwrap();
    assert!(!case.data.is_synchronized(BTC));
    assert_eq!(case.data.take_resync_request(), Some(BTC));
    assert_eq!(case.data.book_statistics(BTC).unwrap().checksums_wrong, 1);
}

#[test]
fn an_update_is_proven_or_gives_the_book_up() {
    let mut case = Case::synchronized();
    case.bids("delete", &BIDS[..1]);
    assert_eq!((case.books, case.ahead("OSMYPE-S5VOC-YSS3WM")), (2, Some(6)));
    case.bids("modify", &[("OFGP5R-B3E7G-54EZD6", "44939.4", "0.40000000")]);
    assert_eq!(
        case.ahead("OMPHVY-IZPJ4-KOKA3P"),
        Some(1),
        "with less it keeps its place"
    );
    case.bids("modify", &[("OFGP5R-B3E7G-54EZD6", "44939.4", "0.50000000")]);
    assert_eq!(
        case.ahead("OFGP5R-B3E7G-54EZD6"),
        Some(6),
        "with more it goes to the end"
    );
    case.frame(&message("update", &list(&BIDS[2..3], "delete"), "", 7))
        .unwrap();
    assert_eq!(case.invalid, [BookInvalidReason::Checksum]);
    assert_eq!(case.data.best(BTC), (None, None));
    assert_eq!(case.data.take_resync_request(), Some(BTC));
}

#[test]
fn what_falls_out_of_the_depth_is_gone_and_may_be_deleted_unseen() {
    let mut case = Case::synchronized();
    case.bids("add", &[("OAAAAA-AAAAA-AAAAAA", "44939.3", "1.00000000")]);
    assert_eq!(case.data.depth(BTC), (10, 10));
    assert_eq!(case.ahead("O73C6Y-VZXYA-H4LDFY"), None, "the eleventh price");
    case.bids("delete", &BIDS[20..]);
    assert_eq!(case.data.book_statistics(BTC).unwrap().unknown_deletes, 1);
    assert!(case.invalid.is_empty());
}

#[test]
fn a_change_of_an_unknown_order_is_a_gap() {
    let mut case = Case::synchronized();
    let unknown = list(&[("OZZZZZ-ZZZZZ-ZZZZZZ", "44939.4", "1.00000000")], "modify");
    case.frame(&message("update", &unknown, "", 0)).unwrap();
    assert_eq!(case.invalid, [BookInvalidReason::Gap]);
}

#[test]
fn unknown_words_and_lost_connections_give_the_book_up() {
    let mut case = Case::synchronized();
    let replaced = list(&BIDS[..1], "replace");
    assert!(case.frame(&message("update", &replaced, "", 0)).is_err());
    assert_eq!(case.invalid, [BookInvalidReason::Malformed]);
    let mut case = Case::synchronized();
    case.deliver(StreamMessageKind::Disconnected(DisconnectReason::Closed))
        .unwrap();
    assert_eq!(case.invalid, [BookInvalidReason::Disconnected]);
    assert_eq!(case.data.take_resync_request(), None);
}

#[test]
fn a_refused_subscription_is_counted() {
    let mut case = Case::new();
    case.frame(r#"{"error":"Invalid token","method":"subscribe","success":false}"#)
        .unwrap();
    case.frame(r#"{"channel":"heartbeat"}"#).unwrap();
    assert_eq!(
        case.data.wire_statistics().kinds,
        [("heartbeat", 1), ("refusal", 1)]
    );
}

const HEARTBEAT: &str = r#"{"channel":"heartbeat"}"#;

fn trade(number: u64) -> String {
    format!(
        r#"{{"channel":"trade","type":"update","data":[{{"symbol":"BTC/USD","side":"sell","price":44939.4,"qty":0.1,"ord_type":"limit","trade_id":{number},"timestamp":"1970-01-01T00:00:00.000000Z"}}]}}"#
    )
}

#[test]
fn a_book_of_orders_that_stops_while_its_trades_go_on_is_stale_and_told_anew() {
    let mut case = Case::synchronized();
    case.later(10, &trade(7));
    case.later(5, &trade(8));
    assert_eq!(case.invalid, [], "at the bound");
    case.later(1, &trade(9));
    assert_eq!(
        (case.trades, case.invalid.as_slice()),
        (3, &[BookInvalidReason::Stale][..])
    );
    assert_eq!(case.data.take_resync_request(), Some(BTC));
    assert!(!case.data.take_reconnect_request());
    case.later(1, &example());
    assert!(case.data.is_synchronized(BTC));
    // A change settles what a trade spoke of.
    case.later(10, &trade(10));
    case.bids("delete", &BIDS[..1]);
    case.later(60, HEARTBEAT);
    assert_eq!(case.invalid.len(), 1);
    case.later(61, HEARTBEAT);
    assert_eq!(case.invalid.len(), 2, "two minutes without a change");
}

#[test]
fn orders_that_are_not_told_after_all_want_a_new_connection() {
    let mut case = Case::new();
    case.later(16, HEARTBEAT);
    assert!(!case.data.take_reconnect_request());
    case.later(1, HEARTBEAT);
    assert!(case.data.take_reconnect_request());
}

#[test]
fn the_venues_own_word_about_itself_holds_until_the_next() {
    let mut case = Case::new();
    assert!(case.data.takes_orders(), "it has said nothing");
    for (data, takes_orders) in [
        (r#"[{"system":"cancel_only"}]"#, false),
        (r#"[{"system":"online"}]"#, true),
        (r#"[{"system":"some_day"}]"#, false),
        (r#"[{"system":"online"}]"#, true),
        ("[]", false),
    ] {
        case.later(
            1,
            &format!(r#"{{"channel":"status","type":"update","data":{data}}}"#),
        );
        assert_eq!(case.data.takes_orders(), takes_orders, "{data}");
    }
    case.deliver(StreamMessageKind::Disconnected(DisconnectReason::Closed))
        .unwrap();
    case.deliver(StreamMessageKind::Connected).unwrap();
    assert!(!case.data.takes_orders(), "it has not said otherwise");
}

#[test]
fn trades_of_the_other_connection_ask_nothing_of_one_that_is_down() {
    let mut case = Case::synchronized();
    case.deliver(StreamMessageKind::Disconnected(DisconnectReason::Closed))
        .unwrap();
    case.later(10, &trade(7));
    case.later(300, &trade(8));
    assert_eq!((case.trades, case.data.take_resync_request()), (2, None));
    assert!(!case.data.take_reconnect_request());
}

proptest! {
    #[test]
    fn damage_never_panics_and_never_passes_unseen(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = example().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let mut case = Case::new();
        let _ = case.deliver(StreamMessageKind::Frame(bytes.into()));
        if case.data.is_synchronized(BTC) {
            let orders = case.data.orders(BTC).unwrap();
            let total: i64 = orders.levels(Side::Buy).map(|level| level.quantity.units()).sum();
            let whole: i64 = BIDS.iter().map(|(_, _, text)| Quantity::parse(text.as_bytes()).unwrap().units()).sum();
            prop_assert_eq!(total, whole);
        }
    }
}
