use proptest::prelude::*;

use super::oracle::agree;
use super::*;
use crate::entries::{Entry, entries};

const BOOKS: &str = r#"{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.505350477Z","sequence_num":14,"events":[{"type":"update","product_id":"BTC-USD","updates":[{"side":"bid","event_time":"2026-08-09T21:05:48.210883Z","price_level":"65062.5","new_quantity":"0.00583"},{"side":"offer","event_time":"2026-08-09T21:05:48.264069Z","price_level":"65155","new_quantity":"0"}]},{"type":"snapshot","product_id":"ETH-USD","updates":[{"side":"bid","event_time":"1970-01-01T00:00:00Z","price_level":"1919.44","new_quantity":"0.02858092"}]}]}"#;
const TRADES: &str = r#"{"channel":"market_trades","timestamp":"2026-08-09T21:05:48.228568804Z","sequence_num":0,"events":[{"type":"update","trades":[{"product_id":"BTC-USD","trade_id":"1068572090","price":"65083.67","size":"0.002186","time":"2026-08-09T21:05:42.514318Z","side":"SELL"},{"product_id":"BTC-USD","trade_id":"1068572089","price":"65083.66","size":"0.00064389","time":"2026-08-09T21:05:41.139922Z","side":"BUY"}]}]}"#;
const TICKERS: &str = r#"{"channel":"ticker","timestamp":"2026-08-09T21:05:48.298032046Z","sequence_num":10,"events":[{"type":"update","tickers":[{"type":"ticker","product_id":"ETH-USD","price":"1919.41","volume_24_h":"19975.95927439","low_24_h":"1911.04","high_24_h":"1925","low_52_w":"1505","high_52_w":"4955.9","price_percent_chg_24_h":"-0.02501394006035","best_bid":"1919.44","best_ask":"1919.49","best_bid_quantity":"0.02858092","best_ask_quantity":"0.07814824"}]}]}"#;
const HEARTBEAT: &str = r#"{"channel":"heartbeats","timestamp":"2026-08-09T21:05:48.856364007Z","sequence_num":35,"events":[{"current_time":"2026-08-09 21:05:48.854840045 +0000 UTC m=+41691.260485341","heartbeat_counter":41691}]}"#;
const CANDLES: &str = r#"{"channel":"candles","timestamp":"2026-08-09T21:05:51.491081826Z","sequence_num":138,"events":[{"type":"update","candles":[{"start":"1786309500","high":"1919.6","low":"1919.27","open":"1919.58","close":"1919.41","volume":"36.36630914","product_id":"ETH-USD"}]}]}"#;
const SUBSCRIPTIONS: &str = r#"{"channel":"subscriptions","timestamp":"2026-08-09T21:05:48.229148053Z","sequence_num":5,"events":[{"subscriptions":{"candles":["ETH-USD","BTC-USD"],"heartbeats":["heartbeats"]}}]}"#;
const ALL: [&str; 6] = [BOOKS, TRADES, TICKERS, HEARTBEAT, CANDLES, SUBSCRIPTIONS];

fn level(price: &str, quantity: &str) -> Level {
    Level {
        price: Price::parse(price.as_bytes()).unwrap(),
        quantity: Quantity::parse(quantity.as_bytes()).unwrap(),
    }
}

#[test]
fn reads_changes_of_several_books() {
    let mut parser = Parser::new();
    let Ok(Message::Numbered {
        sequence,
        ts_sent,
        body: Body::Books(books),
    }) = parser.message(BOOKS.as_bytes())
    else {
        panic!("changes of books")
    };
    assert_eq!((sequence, ts_sent.nanos()), (14, 1_786_309_548_505_350_477));
    let books: Vec<_> = books.iter().collect();
    assert_eq!(books.len(), 2);
    assert_eq!(
        (books[0].kind, books[0].symbol.as_str()),
        (EventKind::Update, "BTC-USD")
    );
    assert_eq!(books[0].ts_event.nanos(), 1_786_309_548_264_069_000, "the newest");
    assert_eq!(books[0].bids, [level("65062.5", "0.00583")]);
    assert_eq!(books[0].asks, [level("65155", "0")]);
    assert_eq!(
        (books[1].kind, books[1].symbol.as_str()),
        (EventKind::Snapshot, "ETH-USD")
    );
    assert_eq!(books[1].ts_event, ts_sent, "the epoch is no time");
    assert_eq!((books[1].bids.len(), books[1].asks.len()), (1, 0));
    assert_eq!(parser.counts(), (1, 0));
}

#[test]
fn reads_trades_by_rising_number_and_the_taker_s_side() {
    let mut parser = Parser::new();
    let Ok(Message::Numbered {
        body: Body::Trades(trades),
        ..
    }) = parser.message(TRADES.as_bytes())
    else {
        panic!("trades")
    };
    assert_eq!(
        trades
            .iter()
            .map(|trade| (trade.trade_id.0, trade.aggressor))
            .collect::<Vec<_>>(),
        [(1_068_572_089, Side::Sell), (1_068_572_090, Side::Buy)]
    );
    assert_eq!(trades[0].ts_event.nanos(), 1_786_309_541_139_922_000);
    assert_eq!(trades[0].quantity, level("1", "0.00064389").quantity);
}

#[test]
fn reads_best_prices_heartbeats_and_what_is_not_used() {
    let mut parser = Parser::new();
    let Ok(Message::Numbered {
        body: Body::Tickers([ticker]),
        ..
    }) = parser.message(TICKERS.as_bytes())
    else {
        panic!("best prices")
    };
    assert_eq!(ticker.bid, level("1919.44", "0.02858092"));
    assert_eq!(ticker.ask, level("1919.49", "0.07814824"));
    let mut body = |text: &str| match parser.message(text.as_bytes()) {
        Ok(Message::Numbered { body, .. }) => format!("{body:?}"),
        other => format!("{other:?}"),
    };
    assert_eq!(body(HEARTBEAT), "Heartbeat { counter: 41691 }");
    assert_eq!(body(CANDLES), "Candles");
    assert_eq!(body(SUBSCRIPTIONS), "Subscriptions");
    // As the documentation has it.
    assert_eq!(
        body(&HEARTBEAT.replace(":41691}", r#":"41691"}"#)),
        "Heartbeat { counter: 41691 }"
    );
    assert_eq!(body(&CANDLES.replace("candles", "later")), "Other");
    assert_eq!(body(&TICKERS.replace("1919.44", "")), "Tickers([])", "no bid");
    assert_eq!(
        body(r#"{"type":"error","message":"authentication failure"}"#),
        "Ok(Refused)"
    );
    assert_eq!(body(r#"{"type":"pong"}"#), "Ok(Unnumbered)");
}

#[test]
fn reads_what_the_venue_takes_of_a_product_and_leaves_out_what_has_no_name_of_ours() {
    let mut parser = Parser::new();
    let text = r#"{"channel":"status","client_id":"","timestamp":"2026-08-09T21:05:49Z","sequence_num":3,"events":[
        {"type":"snapshot","products":[
            {"product_type":"SPOT","id":"BTC-USD","base_currency":"BTC","status":"online","status_message":""},
            {"id":"ETH-USD","status":"a word of tomorrow"},{"id":"SOL-USD","status":null},{"id":"XRP-USD"},
            {"id":"a name that is longer than any of ours","status":"online"}]},
        {"type":"update","products":[]}]}"#;
    let Ok(Message::Numbered {
        body: Body::Statuses(statuses),
        sequence: 3,
        ..
    }) = parser.message(text.as_bytes())
    else {
        panic!("states of products")
    };
    let read = statuses
        .iter()
        .map(|status| (status.symbol.as_str(), status.is_online));
    assert!(read.eq([("BTC-USD", true), ("ETH-USD", false)]));
    for odd in [text.replace("\"online\"", "1"), text.replace("[]}]}", "null}]}")] {
        let Ok(Message::Numbered {
            body: Body::Other,
            sequence: 3,
            ..
        }) = parser.message(odd.as_bytes())
        else {
            panic!("{odd}")
        };
    }
}

#[test]
fn another_field_order_space_or_a_new_field_falls_back_and_reads_the_same() {
    let mut expected = Parser::new();
    for text in [BOOKS, TRADES, TICKERS] {
        let variants = [
            text.replace("\":", "\": "),
            text.replace(r#"{"type""#, r#"{"new":[1,{}],"type""#),
            text.replace("USD", "\\u0055SD"),
            text.replacen(r#"{"channel""#, r#"{"later":null,"channel""#, 1),
        ];
        for variant in &variants {
            assert!(!agree(variant.as_bytes()), "{variant}");
            let mut parser = Parser::new();
            let read = parser.message(variant.as_bytes()).unwrap();
            assert_eq!(read, expected.message(text.as_bytes()).unwrap());
            assert_eq!(parser.counts(), (0, 1));
        }
    }
    assert!(
        agree(
            BOOKS
                .replace(r#","timestamp""#, r#","client_id":"","timestamp""#)
                .as_bytes()
        ),
        "documented, and not sent"
    );
}

#[test]
fn what_is_not_a_message_is_an_error_and_says_where() {
    let mut parser = Parser::new();
    let cases = [
        (String::new(), "object"),
        ("{".to_owned(), "JSON"),
        ("[]".to_owned(), "object"),
        (BOOKS[..BOOKS.len() - 2].to_owned(), "JSON"),
        (BOOKS.replace("0.00583", "5.83e-3"), "\"new_quantity\""),
        (BOOKS.replace("0.00583", "-0.00583"), "\"updates\""),
        (BOOKS.replace("65062.5", "0"), "\"updates\""),
        (BOOKS.replace("offer", "ask"), "\"side\""),
        (BOOKS.replace("snapshot", "replace"), "\"type\""),
        (BOOKS.replace("\"0.00583\"", "0.00583"), "JSON"),
        (BOOKS.replace("1970-01-01T", "1970-01-01 "), "\"event_time\""),
        (BOOKS.replace("48.505350477Z", "48.5053504771Z"), "\"timestamp\""),
        (BOOKS.replace("\"sequence_num\":14,", ""), "\"sequence_num\""),
        (BOOKS.replace(":14,", ":-14,"), "JSON"),
        (
            BOOKS.replace("BTC-USD", "A-PRODUCT-LONGER-THAN-ANY-REAL"),
            "\"product_id\"",
        ),
        (TRADES.replace("0.002186", "0"), "\"trades\""),
        (TRADES.replace("0.002186", "0.000000001"), "\"size\""),
        (TRADES.replace("SELL", "UNKNOWN"), "\"side\""),
        (TRADES.replace("1068572090", "-1"), "JSON"),
        (HEARTBEAT.replace(":41691}", ":null}"), "JSON"),
    ];
    for (frame, place) in cases {
        let error = parser.message(frame.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(place), "{frame}: {error}");
    }
    assert!(parser.message(&[0xff, 0xfe]).is_err());
}

#[test]
fn levels_of_one_message_are_bounded_for_both_readers() {
    let level = r#"{"side":"bid","event_time":"2026-08-09T21:05:48Z","price_level":"1","new_quantity":"1"}"#;
    let frame = |count| {
        let levels = vec![level; count].join(",");
        format!(
            r#"{{"channel":"l2_data","timestamp":"2026-08-09T21:05:48Z","sequence_num":0,"events":[{{"type":"snapshot","product_id":"BTC-USD","updates":[{levels}]}}]}}"#
        )
    };
    let mut parser = Parser::new();
    let Ok(Message::Numbered {
        body: Body::Books(books),
        ..
    }) = parser.message(frame(MESSAGE_LEVELS_MAX).as_bytes())
    else {
        panic!("a snapshot")
    };
    assert_eq!(books.iter().next().unwrap().bids.len(), MESSAGE_LEVELS_MAX);
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

#[test]
fn both_readers_agree_on_every_recorded_message() {
    let Some(entries) = entries("ws_coinbase_advanced_20260809", "COINBASE_first12s.jsonl.zst") else {
        return;
    };
    for entry in &entries {
        if let Entry::Received(_, frame) = entry {
            assert!(
                agree(frame),
                "the scanner falls back: {}",
                String::from_utf8_lossy(frame)
            );
        }
    }
}

fn decimal() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0u64..20_000_000_000, 0u64..100_000_000).prop_map(|(w, f)| format!("{w}.{f:08}")),
        4 => (0u64..100_000, 0u64..100).prop_map(|(w, f)| format!("{w}.{f}")),
        2 => (0u64..100_000).prop_map(|w| w.to_string()),
        1 => any::<u64>().prop_map(|w| w.to_string()),
        1 => "[0-9.eE+-]{0,24}",
    ]
}

fn time() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (1u8..13, 1u8..32, 0u32..60, "(\\.[0-9]{1,9})?").prop_map(|(month, day, second, fraction)| {
            format!("2026-{month:02}-{day:02}T21:05:{second:02}{fraction}Z")
        }),
        1 => "[0-9TZ:. -]{0,30}",
    ]
}

fn listed(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

fn events() -> impl Strategy<Value = (&'static str, String)> {
    let kind = || prop_oneof![9 => Just("update"), 9 => Just("snapshot"), 1 => Just("other")];
    let update = (prop_oneof![Just("bid"), Just("offer"), Just("ask")], time(), decimal(), decimal()).prop_map(
        |(side, time, price, quantity)| {
            format!(
                r#"{{"side":"{side}","event_time":"{time}","price_level":"{price}","new_quantity":"{quantity}"}}"#
            )
        },
    );
    let books = (
        kind(),
        "[A-Z0-9 é\"\\\\-]{0,26}",
        prop::collection::vec(update, 0..6),
    )
        .prop_map(|(kind, symbol, updates)| {
            let updates = listed(&updates);
            format!(r#"{{"type":"{kind}","product_id":"{symbol}","updates":{updates}}}"#)
        });
    let trade = (any::<u32>(), decimal(), decimal(), time(), prop_oneof![Just("BUY"), Just("SELL"), Just("")])
        .prop_map(|(id, price, size, time, side)| {
            format!(
                r#"{{"product_id":"BTC-USD","trade_id":"{id}","price":"{price}","size":"{size}","time":"{time}","side":"{side}"}}"#
            )
        });
    let trades = (kind(), prop::collection::vec(trade, 0..4))
        .prop_map(|(kind, trades)| format!(r#"{{"type":"{kind}","trades":{}}}"#, listed(&trades)));
    let tickers = (decimal(), decimal(), decimal(), decimal()).prop_map(|(bid, ask, bid_quantity, ask_quantity)| {
        format!(
            r#"{{"type":"update","tickers":[{{"type":"ticker","product_id":"ETH-USD","price":"1","volume_24_h":"1","low_24_h":"1","high_24_h":"1","low_52_w":"1","high_52_w":"1","price_percent_chg_24_h":"1","best_bid":"{bid}","best_ask":"{ask}","best_bid_quantity":"{bid_quantity}","best_ask_quantity":"{ask_quantity}"}}]}}"#
        )
    });
    let heartbeat = "[0-9]{0,22}".prop_map(|n| format!(r#"{{"current_time":"x","heartbeat_counter":{n}}}"#));
    let several =
        |event: BoxedStrategy<String>| prop::collection::vec(event, 0..3).prop_map(|list| listed(&list));
    prop_oneof![
        several(books.boxed()).prop_map(|events| ("l2_data", events)),
        several(trades.boxed()).prop_map(|events| ("market_trades", events)),
        several(tickers.boxed()).prop_map(|events| ("ticker", events)),
        several(heartbeat.boxed()).prop_map(|events| ("heartbeats", events)),
    ]
}

fn message() -> impl Strategy<Value = String> {
    let sequence = prop_oneof![any::<u64>().prop_map(|n| n.to_string()), "[0-9]{0,22}"];
    (events(), time(), sequence).prop_map(|((channel, events), time, sequence)| {
        format!(
            r#"{{"channel":"{channel}","timestamp":"{time}","sequence_num":{sequence},"events":{events}}}"#
        )
    })
}

/// One change of the bytes: replaced, removed, doubled or cut off.
fn damaged(text: &str, at: prop::sample::Index, byte: u8, how: u8) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let at = at.index(bytes.len());
    match how % 4 {
        0 => bytes[at] = byte,
        1 => {
            bytes.remove(at);
        }
        2 => bytes.insert(at, byte),
        _ => bytes.truncate(at),
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn both_readers_agree_on_made_up_messages(text in message()) {
        agree(text.as_bytes());
    }

    #[test]
    fn damage_never_panics_and_never_divides_the_readers(
        text in prop_oneof![message(), prop::sample::select(ALL.to_vec()).prop_map(str::to_owned)],
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(br#"{}[]",:.-0123456789eETZ\tfn "#.to_vec())],
        how in any::<u8>(),
    ) {
        let bytes = damaged(&text, at, byte, how);
        agree(&bytes);
        let _ = Parser::new().message(&bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        agree(&bytes);
        let _ = Parser::new().message(&bytes);
    }
}

#[test]
fn messages_reach_the_scanner() {
    // The properties above would hold for a scanner that accepts nothing.
    for text in ALL {
        assert!(agree(text.as_bytes()), "{text}");
    }
}
