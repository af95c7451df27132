use proptest::prelude::*;

use super::oracle::agree;
use super::*;

// As the documentation shows them.
const SNAPSHOT: &str = r#"{"type":"snapshot","product_id":"BTC-USD","bids":[["10101.10","0.45054140"],["10101.00","1"]],"asks":[["10102.55","0.57753524"]]}"#;
const UPDATE: &str = r#"{"type":"l2update","product_id":"BTC-USD","changes":[["buy","22356.270000","0.00000000"],["sell","22356.300000","1.00000000"]],"time":"2022-08-04T15:25:05.010758Z"}"#;
const HEARTBEAT: &str = r#"{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28.464459Z"}"#;
const RECEIVED: &str = r#"{"type":"received","time":"2014-11-07T08:19:27.028459Z","product_id":"BTC-USD","sequence":10,"order_id":"d50ec984-77a8-460a-b958-66f114b0de9b","funds":"3000.234","side":"buy","order_type":"market","client-oid":"d50ec974-76a2-454b-66f135b1ea8c"}"#;
const OPEN: &str = r#"{"type":"open","time":"2014-11-07T08:19:27.028459Z","product_id":"BTC-USD","sequence":10,"order_id":"d50ec984-77a8-460a-b958-66f114b0de9b","price":"200.2","remaining_size":"1.00","side":"sell"}"#;
const DONE: &str = r#"{"type":"done","time":"2014-11-07T08:19:27.028459Z","product_id":"BTC-USD","sequence":10,"price":"200.2","order_id":"d50ec984-77a8-460a-b958-66f114b0de9b","reason":"filled","side":"sell","remaining_size":"0"}"#;
const MATCH: &str = r#"{"type":"match","trade_id":10,"sequence":50,"maker_order_id":"ac928c66-ca53-498f-9c13-a110027a60e8","taker_order_id":"132fb6ae-456b-4654-b4e0-d681ac05cea1","time":"2014-11-07T08:19:27.028459Z","product_id":"BTC-USD","size":"5.23512","price":"400.23","side":"sell"}"#;
const PREVENTED: &str = r#"{"type":"change","reason":"STP","time":"2014-11-07T08:19:27.028459Z","sequence":80,"order_id":"ac928c66-ca53-498f-9c13-a110027a60e8","side":"sell","product_id":"BTC-USD","old_size":"12.234412","new_size":"5.23512","price":"400.23"}"#;
const MODIFIED: &str = r#"{"type":"change","reason":"modify_order","time":"2022-06-06T22:55:43.433114Z","sequence":24753,"order_id":"c3f16063-77b1-408f-a743-88b7bc20cdcd","side":"buy","product_id":"ETH-USD","old_size":"80","new_size":"80","old_price":"7","new_price":"6"}"#;
const TICKER: &str = r#"{"type":"ticker","sequence":37475248783,"product_id":"ETH-USD","price":"1285.22","open_24h":"1310.79","volume_24h":"245532.79269678","low_24h":"1280.52","high_24h":"1313.8","volume_30d":"9788783.60117027","best_bid":"1285.04","best_bid_size":"0.46688654","best_ask":"1285.27","best_ask_size":"1.56637040","side":"buy","time":"2022-10-19T23:28:22.061769Z","trade_id":370843401,"last_size":"11.4396987"}"#;
const FLAT: [&str; 10] = [
    SNAPSHOT, UPDATE, HEARTBEAT, RECEIVED, OPEN, DONE, MATCH, PREVENTED, MODIFIED, TICKER,
];
const SUBSCRIPTIONS: &str =
    r#"{"type":"subscriptions","channels":[{"name":"level2","product_ids":["ETH-USD"]}]}"#;
const BOOK: &str = r#"{"sequence":13051505638,"bids":[["6247.58","6.3578146","9a1f8e5c-77a8-460a-b958-66f114b0de9b"]],"asks":[["6251.52","2","ac928c66-ca53-498f-9c13-a110027a60e8"],["6251.52","1","132fb6ae-456b-4654-b4e0-d681ac05cea1"]],"time":"2021-02-12T01:09:23.334723Z"}"#;

fn level(price: &str, quantity: &str) -> Level {
    Level {
        price: Price::parse(price.as_bytes()).unwrap(),
        quantity: Quantity::parse(quantity.as_bytes()).unwrap(),
    }
}

fn event(text: &str) -> (&'static str, u64, Option<OrderBookEvent>) {
    match Parser::new().message(text.as_bytes()) {
        Ok(Message::Order(name, order)) => (name, order.sequence, order.event),
        other => panic!("a step of an order: {other:?}"),
    }
}

fn id(text: &str) -> PublicOrderId {
    PublicOrderId::from_uuid(text.as_bytes()).unwrap()
}

#[test]
fn reads_books_of_prices() {
    let mut parser = Parser::new();
    let Ok(Message::Levels(levels)) = parser.message(SNAPSHOT.as_bytes()) else {
        panic!("a book")
    };
    assert!(levels.is_snapshot && levels.ts_event.is_none());
    assert_eq!(
        levels.bids,
        [level("10101.10", "0.45054140"), level("10101", "1")]
    );
    assert_eq!(levels.asks, [level("10102.55", "0.57753524")]);
    let Ok(Message::Levels(levels)) = parser.message(UPDATE.as_bytes()) else {
        panic!("changes")
    };
    assert!(!levels.is_snapshot);
    assert_eq!(
        levels.ts_event.map(Timestamp::nanos),
        Some(1_659_626_705_010_758_000)
    );
    assert_eq!(levels.bids, [level("22356.27", "0")]);
    assert_eq!(levels.asks, [level("22356.3", "1")]);
    assert_eq!(parser.counts(), (2, 0));
}

#[test]
fn reads_the_steps_of_an_order_s_life() {
    let order = id("d50ec984-77a8-460a-b958-66f114b0de9b");
    assert_eq!(event(RECEIVED), ("received", 10, None));
    let resting = PublicOrder {
        id: order,
        side: Side::Sell,
        price: level("200.2", "1").price,
        quantity: level("200.2", "1").quantity,
    };
    assert_eq!(event(OPEN), ("open", 10, Some(OrderBookEvent::Add(resting))));
    assert_eq!(
        event(DONE),
        ("done", 10, Some(OrderBookEvent::Cancel { id: order }))
    );
    let changed = OrderBookEvent::Change {
        id: id("ac928c66-ca53-498f-9c13-a110027a60e8"),
        quantity: level("1", "5.23512").quantity,
    };
    assert_eq!(event(PREVENTED), ("change", 80, Some(changed)));
    let moved = PublicOrder {
        id: id("c3f16063-77b1-408f-a743-88b7bc20cdcd"),
        side: Side::Buy,
        price: level("6", "80").price,
        quantity: level("6", "80").quantity,
    };
    assert_eq!(
        event(MODIFIED),
        ("change", 24_753, Some(OrderBookEvent::Move(moved)))
    );
    // A market order's funds never rested.
    let funds = PREVENTED.replace("_size", "_funds");
    assert_eq!(event(&funds), ("change", 80, None));
}

#[test]
fn reads_trades_best_prices_and_heartbeats() {
    let mut parser = Parser::new();
    let Ok(Message::Match(trade)) = parser.message(MATCH.as_bytes()) else {
        panic!("a trade")
    };
    assert_eq!((trade.trade_id, trade.sequence), (TradeId(10), 50));
    assert_eq!(trade.aggressor, Side::Buy, "the maker sold");
    assert_eq!(trade.maker, id("ac928c66-ca53-498f-9c13-a110027a60e8"));
    let last = MATCH.replace("\"match\"", "\"last_match\"");
    let Ok(Message::LastMatch(same)) = parser.message(last.as_bytes()) else {
        panic!("the last trade")
    };
    assert_eq!(same, trade);
    let Ok(Message::Ticker { bid, ask, .. }) = parser.message(TICKER.as_bytes()) else {
        panic!("best prices")
    };
    assert_eq!(
        [bid, ask],
        [level("1285.04", "0.46688654"), level("1285.27", "1.56637040")]
    );
    let no_bid = TICKER.replace("1285.04", "");
    let Ok(Message::Ticker { bid, .. }) = parser.message(no_bid.as_bytes()) else {
        panic!("best prices")
    };
    assert_eq!(bid.price, Price::ZERO);
    let Ok(Message::Heartbeat {
        sequence: 90,
        last_trade_id: TradeId(20),
        ..
    }) = parser.message(HEARTBEAT.as_bytes())
    else {
        panic!("a heartbeat")
    };
    assert_eq!(parser.counts(), (5, 0));
    let others = [
        (SUBSCRIPTIONS, Message::Subscriptions),
        (r#"{"type":"error","message":"no"}"#, Message::Refused),
        (r#"{"type":"status","products":[]}"#, Message::Other),
    ];
    for (text, message) in others {
        assert_eq!(parser.message(text.as_bytes()).unwrap(), message);
    }
}

#[test]
fn reads_a_snapshot_of_orders() {
    let mut parser = Parser::new();
    let older = BOOK
        .replace(":13051505638,", r#":"13051505638","#)
        .replace(r#","time":"2021-02-12T01:09:23.334723Z""#, "");
    for (text, is_timed) in [(BOOK, true), (&older, false)] {
        let snapshot = parser.snapshot(text.as_bytes()).unwrap();
        assert_eq!(
            (snapshot.sequence, snapshot.ts_event.is_some()),
            (13_051_505_638, is_timed)
        );
        let orders: Vec<_> = snapshot
            .orders
            .iter()
            .map(|order| (order.side, order.quantity.to_string()))
            .collect();
        assert_eq!(
            orders,
            [
                (Side::Buy, "6.3578146".to_owned()),
                (Side::Sell, "2".to_owned()),
                (Side::Sell, "1".to_owned())
            ]
        );
    }
    for text in [
        "{}".to_owned(),
        BOOK.replace("6.3578146", "0"),
        BOOK.replace("9a1f8e5c-", ""),
        BOOK.replace("01:09:23", "01:09"),
        BOOK.replace("13051505638", "-1"),
    ] {
        assert!(parser.snapshot(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn another_field_order_is_scanned_and_space_or_an_escape_falls_back() {
    let mut expected = Parser::new();
    let turned = r#"{"time":"2022-08-04T15:25:05.010758Z","later":null,"changes":[["buy","22356.270000","0.00000000"],["sell","22356.300000","1.00000000"]],"new":-1.5,"product_id":"BTC-USD","type":"l2update"}"#;
    assert!(agree(turned.as_bytes()));
    let mut parser = Parser::new();
    assert_eq!(
        parser.message(turned.as_bytes()).unwrap(),
        expected.message(UPDATE.as_bytes()).unwrap()
    );
    for text in FLAT {
        let variants = [
            text.replace("\":", "\": "),
            text.replacen('{', r#"{"new":{"a":[]},"#, 1),
            text.replace("USD", "\\u0055SD"),
        ];
        for variant in &variants {
            assert!(!agree(variant.as_bytes()), "{variant}");
            let mut parser = Parser::new();
            let read = parser.message(variant.as_bytes()).unwrap();
            assert_eq!(read, expected.message(text.as_bytes()).unwrap());
            assert_eq!(parser.counts(), (0, 1));
        }
    }
}

#[test]
fn what_is_not_a_message_is_an_error_and_says_where() {
    let mut parser = Parser::new();
    let cases = [
        (String::new(), "object"),
        ("[]".to_owned(), "object"),
        ("{}".to_owned(), "\"type\""),
        (UPDATE[..UPDATE.len() - 1].to_owned(), "JSON"),
        (UPDATE.replace("\"buy\"", "\"bid\""), "\"side\""),
        (UPDATE.replace("22356.270000", "-1"), "\"changes\""),
        (UPDATE.replace("1.00000000", "1e0"), "\"changes\""),
        (UPDATE.replace("15:25", "15-25"), "\"time\""),
        (UPDATE.replace("BTC-USD", ""), "\"product_id\""),
        (MATCH.replace("5.23512", "0"), "\"size\""),
        (
            MATCH.replace("\"trade_id\":10", "\"trade_id\":1.5"),
            "\"trade_id\"",
        ),
        (MATCH.replace("ac928c66-", "zc928c66-"), "\"maker_order_id\""),
        (OPEN.replace("1.00", "0.00"), "\"price\""),
        (OPEN.replace("\"sequence\":10,", ""), "\"sequence\""),
        (PREVENTED.replace("5.23512", "-5.23512"), "\"new_size\""),
        (TICKER.replace("1285.04", "x"), "\"best_bid\""),
        (MATCH.replacen('{', r#"{"trade_id":11,"#, 1), "JSON"),
    ];
    for (frame, place) in cases {
        let error = parser.message(frame.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(place), "{frame}: {error}");
    }
    assert!(parser.message(&[0xff, 0xfe]).is_err());
}

#[test]
fn levels_of_one_message_are_bounded_for_both_readers() {
    let frame = |count| {
        let levels = vec![r#"["1","1"]"#; count].join(",");
        format!(r#"{{"type":"snapshot","product_id":"BTC-USD","bids":[{levels}],"asks":[]}}"#)
    };
    let mut parser = Parser::new();
    let Ok(Message::Levels(levels)) = parser.message(frame(MESSAGE_LEVELS_MAX).as_bytes()) else {
        panic!("a book")
    };
    assert_eq!(levels.bids.len(), MESSAGE_LEVELS_MAX);
    let error = parser
        .message(frame(MESSAGE_LEVELS_MAX + 1).as_bytes())
        .unwrap_err();
    assert!(
        matches!(
            error,
            ParseError::TooMany {
                max: MESSAGE_LEVELS_MAX,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(parser.counts(), (1, 1));
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0u64..100_000, 0u64..100_000_000).prop_map(|(w, f)| format!("\"{w}.{f:08}\"")),
        2 => any::<u64>().prop_map(|w| w.to_string()),
        1 => "[0-9.eE+-]{0,12}",
        1 => "\"[0-9.eE+-]{0,24}\"",
        1 => prop::sample::select(vec!["null", "true", "[]", "{}", "\"buy\"", "\"sell\"", "\"BTC-USD\"", "[[\"buy\",\"1\",\"2\"]]", "[[\"1\",\"2\"]]", "\"2014-11-07T08:19:27.028459Z\"", "\"d50ec984-77a8-460a-b958-66f114b0de9b\""])
            .prop_map(str::to_owned),
    ]
}

/// A message with other values in some of its fields, and fields of others among its own.
fn message() -> impl Strategy<Value = String> {
    let names = [
        "type",
        "product_id",
        "time",
        "sequence",
        "trade_id",
        "last_trade_id",
        "order_id",
        "maker_order_id",
        "side",
        "price",
        "new_price",
        "size",
        "remaining_size",
        "new_size",
        "best_bid",
        "best_ask",
        "bids",
        "asks",
        "changes",
        "unknown",
    ];
    let field = (prop::sample::select(names.to_vec()), value());
    (
        prop::sample::select(FLAT.to_vec()),
        prop::collection::vec(field, 0..3),
        any::<bool>(),
    )
        .prop_map(|(text, fields, at_start)| {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| format!("\"{name}\":{value}"))
                .collect();
            let fields = fields.join(",");
            let inside = text.trim_start_matches('{').trim_end_matches('}');
            match (fields.is_empty(), at_start) {
                (true, _) => text.to_owned(),
                (false, true) => format!("{{{fields},{inside}}}"),
                (false, false) => format!("{{{inside},{fields}}}"),
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn both_readers_agree_on_made_up_messages(text in message()) {
        agree(text.as_bytes());
    }

    #[test]
    fn damage_never_panics_and_never_divides_the_readers(
        text in message(),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(br#"{}[]",:.-0123456789eETZ\tfn "#.to_vec())],
        how in 0u8..4,
    ) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = byte,
            1 => {
                bytes.remove(at);
            }
            2 => bytes.insert(at, byte),
            _ => bytes.truncate(at),
        }
        agree(&bytes);
        let mut parser = Parser::new();
        let _ = parser.message(&bytes);
        let _ = parser.snapshot(&bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        agree(&bytes);
        let mut parser = Parser::new();
        let _ = parser.message(&bytes);
        let _ = parser.snapshot(&bytes);
    }
}

#[test]
fn messages_reach_the_scanner() {
    // The properties above would hold for a scanner that accepts nothing.
    for text in FLAT {
        assert!(agree(text.as_bytes()), "{text}");
    }
    assert!(!agree(SUBSCRIPTIONS.as_bytes()), "it comes once");
}
