use proptest::prelude::*;

use super::oracle::agree;
use super::*;
use crate::kraken::WireVersion::{self, V1, V2};

const SNAPSHOT_V2: &str = r#"{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":62802.5,"qty":0.02987767}],"asks":[{"price":62802.6,"qty":1.09074394},{"price":62803.7,"qty":0.05598472}],"checksum":265834348}]}"#;
const UPDATE_V2: &str = r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[{"price":62806.6,"qty":0.00000000}],"checksum":265834348,"timestamp":"2026-08-16T23:37:05.376419Z"}]}"#;
const TRADES_V2: &str = r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":62800.1,"qty":0.5,"ord_type":"market","trade_id":466,"timestamp":"2026-08-16T23:37:05Z"},{"symbol":"ETH/USD","side":"buy","price":2500,"qty":1.25,"ord_type":"limit","trade_id":7,"timestamp":"2026-08-16T23:37:06Z"}]}"#;
const SNAPSHOT_V1: &str = r#"[320,{"as":[["58729.40000","0.45000000","1617666423.606671"]],"bs":[["58724.80000","0.36000000","1617666423.690142"]]},"book-1000","XBT/USD"]"#;
const UPDATE_V1: &str = r#"[320,{"b":[["58719.70000","0.00000000","1617666423.693648"],["55225.00000","0.50000000","1617640142.435065","r"]],"c":"226497374"},"book-1000","XBT/USD"]"#;
const BOTH_V1: &str = r#"[320,{"a":[["58729.40000","1.00000000","1617666423.7"]]},{"b":[["58724.80000","2.00000000","1617666423.8"]],"c":"974942666"},"book-10","XBT/USD"]"#;
const TRADES_V1: &str = r#"[321,[["58720.00000","0.15850568","1617666425.321597","s","l",""],["58721.00000","1.00000000","1617666425.4","b","m",""]],"trade","XBT/USD"]"#;

const ALL: [(WireVersion, &str); 7] = [
    (V2, SNAPSHOT_V2),
    (V2, UPDATE_V2),
    (V2, TRADES_V2),
    (V1, SNAPSHOT_V1),
    (V1, UPDATE_V1),
    (V1, BOTH_V1),
    (V1, TRADES_V1),
];

fn units(text: &str) -> i64 {
    WireNumber::parse(text.as_bytes()).unwrap().units
}

#[test]
fn the_scanner_reads_what_the_venue_writes() {
    for (version, frame) in ALL {
        assert!(agree(version, frame.as_bytes()), "{frame}");
    }
    assert!(agree(V2, br#"{"channel":"heartbeat"}"#));
    assert!(agree(V1, br#"{"event":"heartbeat"}"#));
}

#[test]
fn reads_each_message() {
    let mut parser = Parser::new(V1);
    let Ok(Message::Book(book)) = parser.message(BOTH_V1.as_bytes()) else {
        panic!("a book message")
    };
    assert_eq!((book.symbol.as_str(), book.is_snapshot), ("XBT/USD", false));
    assert_eq!(
        (book.bids.len(), book.asks.len(), book.checksum),
        (1, 1, Some(974_942_666))
    );
    assert_eq!(
        book.ts_event.map(Timestamp::nanos),
        Some(1_617_666_423_800_000_000)
    );
    let mut parser = Parser::new(V2);
    let Ok(Message::Trades(trades)) = parser.message(TRADES_V2.as_bytes()) else {
        panic!("trades")
    };
    assert_eq!(trades.len(), 2);
    assert_eq!(trades[0].price.units(), units("62800.1"));
    assert_eq!(
        (trades[1].aggressor, trades[1].trade_id),
        (Side::Buy, Some(TradeId(7)))
    );
}

#[test]
fn other_messages_have_their_kind() {
    let kind = |version, frame: &str| {
        let mut parser = Parser::new(version);
        format!("{:?}", parser.message(frame.as_bytes()))
    };
    for (version, frame, expected) in [
        (
            V2,
            r#"{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"cancel_only","api_version":"v2","connection_id":13834774380200032777}]}"#,
            "Status(CancelOnly)",
        ),
        (
            V2,
            r#"{"channel":"status","type":"update","data":[{"system":"reduced"}]}"#,
            "Status(Unknown)",
        ),
        (
            V2,
            r#"{"method":"subscribe","result":{"channel":"book"},"success":true,"time_in":"x"}"#,
            r#"Other("acknowledgement")"#,
        ),
        (
            V2,
            r#"{"error":"Depth must be one of 10, 25","method":"subscribe","success":false}"#,
            "Refused",
        ),
        (V2, r#"{"method":"pong"}"#, r#"Other("pong")"#),
        (
            V2,
            r#"{"channel":"ticker","type":"update","data":[]}"#,
            r#"Other("ticker")"#,
        ),
        (V2, r#"{"channel":"something new"}"#, r#"Other("other")"#),
        (
            V1,
            r#"{"connectionID":17413893361151983591,"event":"systemStatus","status":"online","version":"1.8.3"}"#,
            "Status(Online)",
        ),
        (
            V1,
            r#"{"event":"subscriptionStatus","status":"error","errorMessage":"Currency pair not supported"}"#,
            "Refused",
        ),
        (
            V1,
            r#"[340,{"a":["5525.4",1,"1.0"]},"ticker","XBT/USD"]"#,
            r#"Other("ticker")"#,
        ),
    ] {
        assert_eq!(kind(version, frame), format!("Ok({expected})"), "{frame}");
    }
}

#[test]
fn nonsense_is_an_error_and_never_a_book() {
    for (version, frame) in [
        (V2, r#"{"channel":"book","type":"update","data":[]}"#),
        (
            V2,
            r#"{"channel":"book","type":"news","data":[{"symbol":"BTC/USD","checksum":1}]}"#,
        ),
        (
            V2,
            r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":-1,"qty":1}],"checksum":1}]}"#,
        ),
        (
            V2,
            r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":1e3,"qty":1}],"checksum":1}]}"#,
        ),
        (
            V2,
            r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":0,"qty":1}],"checksum":1}]}"#,
        ),
        (
            V2,
            r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":0.123456789,"qty":1}],"checksum":1}]}"#,
        ),
        (V1, r#"[320,{"b":[["1.0"]],"c":"1"},"book-10","XBT/USD"]"#),
        (
            V1,
            r#"[320,{"b":[["1.0","1.0","1.0"]],"c":"-1"},"book-10","XBT/USD"]"#,
        ),
        (V1, "[]"),
        (V1, "[1,2]"),
    ] {
        assert!(Parser::new(version).message(frame.as_bytes()).is_err(), "{frame}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for version in [V1, V2] {
            agree(version, &bytes);
            let _ = Parser::new(version).message(&bytes);
        }
    }

    #[test]
    fn a_changed_message_is_read_alike_by_both(which in 0..ALL.len(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (version, frame) = ALL[which];
        let mut bytes = frame.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        agree(version, &bytes);
        bytes.remove(at);
        agree(version, &bytes);
    }
}
