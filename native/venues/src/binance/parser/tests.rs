use domain::{Currency, OrderStatus};
use proptest::prelude::*;

use super::oracle::{agree, executions_agree, scanned, snapshots_agree};
use super::*;
use crate::binance::recorded;

const DEPTH: &str = r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50093239189,"u":50093239202,"b":[["61737.63000000","0.00000000"],["61730.17000000","1.00000000"]],"a":[["61837.64000000","1.54698000"]]}}"#;
const TRADE: &str = r#"{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}"#;
const TICKER: &str = r#"{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}"#;
const SNAPSHOT: &str = r#"{"lastUpdateId":50093239218,"bids":[["61837.63000000","3.78826000"]],"asks":[["61837.64000000","1.60520000"],["61838.04000000","0.10000000"]]}"#;
const EXECUTION: &str = r#"{"subscriptionId":0,"event":{"e":"executionReport","E":1499405658658,"s":"ETHBTC","c":"e3-s1-42","S":"BUY","o":"LIMIT","f":"GTC","q":"1.00000000","p":"0.10264410","P":"0.00000000","F":"0.00000000","g":-1,"C":"","x":"TRADE","X":"PARTIALLY_FILLED","r":"NONE","i":4293153,"l":"0.40000000","z":"0.40000000","L":"0.10264410","n":"0.00040000","N":"ETH","T":1499405658657,"t":77,"v":3,"I":8641984,"w":true,"m":false,"M":false,"O":1499405658657,"Z":"0.04105764","Y":"0.04105764","Q":"0.00000000","W":1499405658657,"V":"EXPIRE_TAKER"}}"#;

#[test]
fn reads_each_message() {
    let mut parser = Parser::new();
    let Ok(StreamMessageBody::Depth(depth)) = parser.stream_message(DEPTH.as_bytes()) else {
        panic!("a depth message")
    };
    assert_eq!(depth.symbol.as_str(), "BTCUSDT");
    assert_eq!(
        (depth.first_update_id, depth.last_update_id),
        (50_093_239_189, 50_093_239_202)
    );
    assert_eq!((depth.bids.len(), depth.asks.len()), (2, 1));
    assert_eq!(depth.asks[0].price.units(), 6_183_764_000_000);
    assert!(depth.bids[0].quantity.is_zero());

    let Ok(StreamMessageBody::Trade(trade)) = parser.stream_message(TRADE.as_bytes()) else {
        panic!("a trade")
    };
    assert_eq!(
        (trade.trade_id, trade.aggressor),
        (TradeId(3_735_683_259), Side::Sell)
    );
    assert_eq!(trade.ts_event, Timestamp::from_millis(1_723_161_255_342));

    let Ok(StreamMessageBody::Ticker(ticker)) = parser.stream_message(TICKER.as_bytes()) else {
        panic!("a ticker")
    };
    assert_eq!(ticker.bid.quantity.units(), 378_826_000);

    let snapshot = parser.snapshot(SNAPSHOT.as_bytes()).unwrap();
    assert_eq!(
        (snapshot.last_update_id, snapshot.asks.len()),
        (50_093_239_218, 2)
    );
    assert_eq!(parser.counts(), (4, 0));
}

#[test]
fn reads_an_execution_and_a_cancel() {
    let mut parser = Parser::new();
    let Ok(AccountMessage::Execution(execution)) = parser.account_message(EXECUTION.as_bytes()) else {
        panic!("an execution")
    };
    assert_eq!(execution.client_order_id.as_str(), "e3-s1-42");
    assert_eq!(
        (execution.kind, execution.status),
        (ExecutionType::Trade, OrderStatus::PartiallyFilled)
    );
    assert_eq!(execution.trade_id, Some(TradeId(77)));
    assert_eq!(execution.fee_currency, Currency::new("ETH"));
    assert_eq!(parser.counts(), (1, 0));

    // The event of a cancel carries the cancel's own id in `c` and the order's in `C`.
    let cancel = EXECUTION
        .replace(r#""c":"e3-s1-42""#, r#""c":"Jx2a""#)
        .replace(r#""C":"""#, r#""C":"e3-s1-42""#)
        .replace(r#""x":"TRADE""#, r#""x":"CANCELED""#)
        .replace(r#""t":77"#, r#""t":-1"#)
        .replace(r#""N":"ETH""#, r#""N":null"#);
    assert!(executions_agree(cancel.as_bytes()));
    let Ok(AccountMessage::Execution(execution)) = parser.account_message(cancel.as_bytes()) else {
        panic!("an execution")
    };
    assert_eq!(execution.client_order_id.as_str(), "e3-s1-42");
    assert_eq!(
        (execution.kind, execution.trade_id),
        (ExecutionType::Canceled, None)
    );
    assert_eq!(execution.fee_currency, None);
}

#[test]
fn reads_balances_terminations_and_answers() {
    let mut parser = Parser::new();
    let balances = r#"{"subscriptionId":0,"event":{"e":"outboundAccountPosition","E":1564034571105,"u":1564034571073,"B":[{"a":"ETH","f":"10000.00000000","l":"1.00000000"},{"a":"币安","f":"1","l":"0"}]}}"#;
    let Ok(AccountMessage::Position(position)) = parser.account_message(balances.as_bytes()) else {
        panic!("balances")
    };
    assert_eq!(position.balances.len(), 1);
    assert_eq!(position.balances[0].locked, Quantity::ONE);
    let other = [
        (
            r#"{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1728973001334}}"#,
            AccountMessage::Terminated,
        ),
        (
            r#"{"e":"serverShutdown","E":1770123456789}"#,
            AccountMessage::ServerShutdown,
        ),
        (
            r#"{"id":"1","status":200,"result":{"subscriptionId":0},"rateLimits":[]}"#,
            AccountMessage::Answer {
                status: 200,
                code: 0,
                message: String::new(),
            },
        ),
        (
            r#"{"id":"1","status":400,"error":{"code":-1022,"msg":"Signature for this request is not valid."}}"#,
            AccountMessage::Answer {
                status: 400,
                code: -1022,
                message: "Signature for this request is not valid.".to_owned(),
            },
        ),
        (
            r#"{"subscriptionId":0,"event":{"e":"balanceUpdate","E":1,"a":"BTC","d":"1.0","T":2}}"#,
            AccountMessage::Other,
        ),
    ];
    for (frame, expected) in other {
        assert_eq!(parser.account_message(frame.as_bytes()).unwrap(), expected);
    }
}

#[test]
fn another_field_order_space_or_a_new_field_falls_back_and_reads_the_same() {
    let mut parser = Parser::new();
    let variants = [
        TRADE.replace("\"M\":true", "\"M\":true,\"z\":[1,{}]"),
        TRADE.replace(':', ": "),
        r#"{"M":true,"m":true,"T":1723161255342,"q":"0.02000000","p":"61837.63000000","t":3735683259,"s":"BTCUSDT","E":1723161255343,"e":"trade"}"#.to_owned(),
        TRADE.replace("BTCUSDT", "\\u0042TCUSDT"),
    ];
    let StreamMessageBody::Trade(expected) = parser.stream_message(TRADE.as_bytes()).unwrap() else {
        panic!("a trade")
    };
    for variant in &variants {
        assert!(scanned(variant.as_bytes()).is_none(), "{variant}");
        let read = parser.stream_message(variant.as_bytes()).unwrap();
        assert_eq!(read, StreamMessageBody::Trade(expected));
    }
    assert_eq!(parser.counts(), (1, 4));
}

#[test]
fn what_is_not_a_message_is_an_error_and_says_where() {
    let mut parser = Parser::new();
    let cases = [
        (String::new(), "JSON"),
        ("{".to_owned(), "JSON"),
        (DEPTH.replace("1.54698000", "1.5e3"), "\"a\""),
        (DEPTH.replace("1.54698000", "-1.54698000"), "\"a\""),
        (DEPTH.replace("61837.64000000", "0.00000000"), "\"a\""),
        (DEPTH.replace("50093239189", "50093239203"), "\"U\""),
        (DEPTH.replace("\"1.54698000\"", "1.54698000"), "JSON"),
        (TRADE.replace("0.02000000", "0.00000000"), "\"p\""),
        (TRADE.replace("61837.63000000", "61837.630000001"), "\"p\""),
        (TICKER.replace("61837.63000000", "-1"), "\"b\""),
        (TRADE.replace("BTCUSDT", "A-SYMBOL-LONGER-THAN-ANY-REAL"), "\"s\""),
        (TRADE.replace("\"t\":3735683259", "\"t\":-1"), "JSON"),
    ];
    for (frame, place) in cases {
        let error = parser.stream_message(frame.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(place), "{frame}: {error}");
    }
    assert!(parser.stream_message(&[0xff, 0xfe]).is_err());
    assert!(parser.snapshot(b"[]").is_err());
    assert!(parser.account_message(b"{\"e\":\"executionReport\"}").is_err());
}

#[test]
fn levels_of_one_message_are_bounded() {
    let levels = |count| vec![r#"["1.00000000","1.00000000"]"#; count].join(",");
    let body = |count| format!(r#"{{"lastUpdateId":1,"bids":[{}],"asks":[]}}"#, levels(count));
    let mut parser = Parser::new();
    assert_eq!(
        parser
            .snapshot(body(MESSAGE_LEVELS_MAX).as_bytes())
            .unwrap()
            .bids
            .len(),
        MESSAGE_LEVELS_MAX
    );
    let error = parser
        .snapshot(body(MESSAGE_LEVELS_MAX + 1).as_bytes())
        .unwrap_err();
    assert!(matches!(
        error,
        ParseError::TooMany {
            max: MESSAGE_LEVELS_MAX,
            ..
        }
    ));
}

#[test]
fn both_readers_agree_on_every_recorded_message() {
    let Some(session) = recorded::session() else {
        return;
    };
    let mut snapshots = 0;
    for (_, body) in session.lines() {
        if body.starts_with(b"{\"lastUpdateId\"") {
            assert!(snapshots_agree(body));
            snapshots += 1;
        } else {
            assert!(
                agree(body),
                "the scanner falls back: {}",
                String::from_utf8_lossy(body)
            );
        }
    }
    assert_eq!(snapshots, 1);
}

fn decimal() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (0u64..20_000_000_000, 0u64..100_000_000).prop_map(|(w, f)| format!("{w}.{f:08}")),
        1 => (0u64..1_000, 0u64..100).prop_map(|(w, f)| format!("{w}.{f}")),
        1 => any::<u64>().prop_map(|w| w.to_string()),
        1 => "[0-9.eE+-]{0,24}",
    ]
}

fn levels() -> impl Strategy<Value = String> {
    prop::collection::vec((decimal(), decimal()), 0..6).prop_map(|levels| {
        let levels: Vec<_> = levels.iter().map(|(p, q)| format!("[\"{p}\",\"{q}\"]")).collect();
        format!("[{}]", levels.join(","))
    })
}

fn message() -> impl Strategy<Value = String> {
    let number = prop_oneof![any::<u64>().prop_map(|n| n.to_string()), "[0-9]{0,22}"];
    let number = || number.clone();
    let depth = (
        number(),
        "[A-Z0-9 é\"\\\\]{0,26}",
        number(),
        number(),
        levels(),
        levels(),
    )
        .prop_map(|(e, s, first, last, b, a)| {
            format!(r#"{{"e":"depthUpdate","E":{e},"s":"{s}","U":{first},"u":{last},"b":{b},"a":{a}}}"#)
        });
    let ordered_depth =
        (any::<u32>(), 0u64..1_000, 0u64..50, levels(), levels()).prop_map(|(e, first, more, b, a)| {
            let last = first + more;
            format!(r#"{{"e":"depthUpdate","E":{e},"s":"BTCUSDT","U":{first},"u":{last},"b":{b},"a":{a}}}"#)
        });
    let ticker = (number(), decimal(), decimal(), decimal(), decimal()).prop_map(|(u, b, bq, a, aq)| {
        format!(r#"{{"u":{u},"s":"BTCUSDT","b":"{b}","B":"{bq}","a":"{a}","A":"{aq}"}}"#)
    });
    let trade = (number(), number(), decimal(), decimal(), any::<bool>(), prop::option::of(any::<bool>()))
        .prop_map(|(e, t, p, q, m, ignored)| {
            let ignored = ignored.map_or(String::new(), |value| format!(r#","M":{value}"#));
            format!(r#"{{"e":"trade","E":{e},"s":"BTCUSDT","t":{t},"p":"{p}","q":"{q}","T":{e},"m":{m}{ignored}}}"#)
        });
    let raw = prop_oneof![depth, ordered_depth, ticker, trade];
    (raw, any::<bool>()).prop_map(|(raw, enveloped)| {
        if enveloped {
            format!(r#"{{"stream":"x@y","data":{raw}}}"#)
        } else {
            raw
        }
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
        text in prop_oneof![
            message(), Just(DEPTH.to_owned()), Just(TRADE.to_owned()), Just(TICKER.to_owned()),
            Just(SNAPSHOT.to_owned()), Just(EXECUTION.to_owned()),
        ],
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(br#"{}[]",:.-0123456789eE\tfn "#.to_vec())],
        how in any::<u8>(),
    ) {
        let bytes = damaged(&text, at, byte, how);
        agree(&bytes);
        snapshots_agree(&bytes);
        executions_agree(&bytes);
        let mut parser = Parser::new();
        let _ = parser.stream_message(&bytes);
        let _ = parser.snapshot(&bytes);
        let _ = parser.account_message(&bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut parser = Parser::new();
        let _ = parser.stream_message(&bytes);
        let _ = parser.snapshot(&bytes);
        let _ = parser.account_message(&bytes);
    }
}

#[test]
fn made_up_messages_reach_the_scanner() {
    // The property above would hold for a scanner that accepts nothing.
    for text in [DEPTH, TRADE, TICKER] {
        assert!(agree(text.as_bytes()));
    }
    assert!(snapshots_agree(SNAPSHOT.as_bytes()));
    assert!(executions_agree(EXECUTION.as_bytes()));
}
