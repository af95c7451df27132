//! Answers in the documentation's words, whole and broken, and what each means.

use bytes::Bytes;
use domain::{ClientOrderId, Epoch, InstrumentId, OrderType, SlotId, TimeInForce};
use proptest::prelude::*;

use super::super::answer::Refusal;
use super::super::rules::tests::{btc_usd, names};
use super::*;

const ID: ClientOrderId = ClientOrderId {
    epoch: Epoch(3),
    slot: SlotId(1),
    counter: 42,
};

const WIRE_ID: &str = "00000003-0001-8707-9727-40000000002a";

const NOW: Timestamp = Timestamp::from_millis(9);

fn order() -> OrderRequest {
    OrderRequest {
        client_order_id: ID,
        instrument: InstrumentId(0),
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Some(Price::parse(b"61837.6").unwrap()),
        quantity: Quantity::parse(b"0.5").unwrap(),
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        reduce_only: false,
    }
}

fn cancel() -> CancelRequest {
    CancelRequest {
        client_order_id: ID,
        instrument: InstrumentId(0),
    }
}

#[allow(clippy::unnecessary_wraps, reason = "what the functions under test take")]
const fn of(outcome: Outcome) -> Exchanged {
    Ok(outcome)
}

fn done(text: &str) -> Exchanged {
    of(Outcome::Done(Bytes::copy_from_slice(text.as_bytes())))
}

fn refused(word: &str) -> Exchanged {
    of(Outcome::Refused(Refusal::new(vec![word.to_owned()])))
}

fn no_answer() -> Exchanged {
    Err(VenueError::NoAnswer {
        request: "x",
        detail: String::new(),
    })
}

fn not_sent() -> Exchanged {
    Err(VenueError::NotConnected {
        request: "x",
        detail: String::new(),
    })
}

fn kind(exchanged: &Exchanged) -> OrderReportKind {
    match submitted(&order(), exchanged, NOW) {
        Submitted::Report(report) => {
            assert_eq!((report.client_order_id, report.ts_event), (ID, NOW));
            report.kind
        }
        Submitted::AlreadyOpen => panic!("already open"),
    }
}

#[test]
fn an_order_is_accepted_by_its_number_at_either_door() {
    let rest =
        r#"{"descr":{"order":"buy 0.50000000 XBTUSD @ limit 61837.6"},"txid":["OUF4EM-FRGI2-MQMWZD"]}"#;
    let socket = format!(r#"{{"order_id":"OUF4EM-FRGI2-MQMWZD","cl_ord_id":"{WIRE_ID}"}}"#);
    for text in [rest, &socket] {
        let accepted = kind(&done(text));
        assert!(
            matches!(accepted, OrderReportKind::Accepted(id) if id.0.as_str() == "OUF4EM-FRGI2-MQMWZD"),
            "{text}"
        );
    }
}

#[test]
fn whatever_else_comes_of_an_order_is_unknown_unless_the_venue_says_no() {
    for text in [
        "{}",
        "null",
        r#"{"txid":[]}"#,
        r#"{"txid":["A","B"]}"#,
        r#"{"txid":["A&B"]}"#,
        r#"{"order_id":"OA","cl_ord_id":"00000003-0001-8707-9727-40000000002b"}"#,
    ] {
        assert_eq!(kind(&done(text)), OrderReportKind::OutcomeUnknown, "{text}");
    }
    for word in [
        "EService:Deadline elapsed",
        "EService:Unavailable",
        "EOrder:Unknown order",
        "new",
    ] {
        assert_eq!(kind(&refused(word)), OrderReportKind::OutcomeUnknown, "{word}");
    }
    assert_eq!(kind(&no_answer()), OrderReportKind::OutcomeUnknown);
    assert_eq!(kind(&Ok(Outcome::Unreadable)), OrderReportKind::OutcomeUnknown);
    assert_eq!(kind(&not_sent()), OrderReportKind::NotSent);
    assert_eq!(
        kind(&refused("EOrder:Insufficient funds")),
        OrderReportKind::Rejected(RejectReason::InsufficientBalance)
    );
    let duplicate = refused("EGeneral:Invalid arguments:cl_ord_id not unique");
    assert_eq!(submitted(&order(), &duplicate, NOW), Submitted::AlreadyOpen);
}

#[test]
fn an_order_is_gone_only_when_the_answer_says_so_of_it() {
    let number = venue_order_id("OA").unwrap();
    let gone = |exchanged| gone(number, exchanged).unwrap();
    for text in [
        r#"{"count":1}"#,
        r#"{"order_id":"OA"}"#,
        r#"{"count":1,"order_id":"OA"}"#,
    ] {
        assert_eq!(gone(done(text)), Gone::Canceled, "{text}");
    }
    assert_eq!(gone(done(r#"{"count":0}"#)), Gone::NotOpen);
    assert_eq!(gone(refused("EOrder:Unknown order")), Gone::NotOpen);
    for text in [
        "{}",
        "null",
        "[]",
        r#"{"order_id":"OB"}"#,
        r#"{"count":1,"order_id":"OB"}"#,
        r#"{"count":2}"#,
        r#"{"count":1,"pending":true}"#,
    ] {
        assert_eq!(gone(done(text)), Gone::Unknown, "{text}");
    }
    assert_eq!(gone(refused("EService:Unavailable")), Gone::Unknown);
    assert_eq!(gone(no_answer()), Gone::Unknown);
    assert_eq!(gone(Ok(Outcome::Unreadable)), Gone::Unknown);
}

#[test]
fn a_cancel_that_did_not_leave_or_is_refused_left_the_order_as_it_was() {
    let number = venue_order_id("OA").unwrap();
    assert!(matches!(
        gone(number, not_sent()),
        Err(VenueError::NotConnected { .. })
    ));
    let refused = gone(number, refused("EGeneral:Permission denied"));
    assert!(matches!(refused, Err(VenueError::Refused { .. })), "{refused:?}");
}

#[test]
fn a_cancel_worked_only_when_the_venue_says_so() {
    let kind = |exchanged: &Exchanged| canceled(&cancel(), exchanged, NOW).kind;
    let rejected = OrderReportKind::CancelRejected;
    let named = format!(r#"{{"order_id":"OA","cl_ord_id":"{WIRE_ID}"}}"#);
    for text in [r#"{"count":1}"#, r#"{"order_id":"OA"}"#, &named] {
        assert_eq!(kind(&done(text)), OrderReportKind::Canceled, "{text}");
    }
    for text in [
        r#"{"count":1,"pending":true}"#,
        r#"{"count":2}"#,
        "{}",
        r#"{"cl_ord_id":"x"}"#,
    ] {
        assert_eq!(kind(&done(text)), OrderReportKind::OutcomeUnknown, "{text}");
    }
    let unknown_order = rejected(CancelRejectReason::UnknownOrder);
    assert_eq!(kind(&done(r#"{"count":0}"#)), unknown_order);
    assert_eq!(kind(&refused("EOrder:Unknown order")), unknown_order);
    assert_eq!(
        kind(&refused("EAPI:Invalid nonce")),
        rejected(CancelRejectReason::Other)
    );
    assert_eq!(
        kind(&refused("EService:Unavailable")),
        OrderReportKind::OutcomeUnknown
    );
    assert_eq!(kind(&no_answer()), OrderReportKind::OutcomeUnknown);
    assert_eq!(kind(&not_sent()), rejected(CancelRejectReason::Other));
}

/// An order in the documentation's form, with what may differ put in.
fn listed(id: &str, pair: &str, status: &str, filled: &str, extra: &str) -> String {
    format!(
        r#""{id}":{{"refid":null,"userref":0,"status":"{status}","opentm":1688665496.7808,"starttm":0,"expiretm":0,
        "descr":{{"pair":"{pair}","type":"buy","ordertype":"limit","price":"27500.0","price2":"0","leverage":"none","order":"","close":""}},
        "vol":"1.25000000","vol_exec":"{filled}","cost":"0","fee":"0","price":"0","misc":"","oflags":"fciq"{extra}}}"#
    )
}

#[test]
fn reads_the_orders_of_one_instrument() {
    let ours = listed(
        "OA",
        "XBTUSD",
        "open",
        "0.5",
        &format!(r#","cl_ord_id":"{WIRE_ID}""#),
    );
    let foreign = listed("OB", "XBTUSD", "pending", "0", r#","cl_ord_id":null"#);
    let other = listed("OC", "ETHUSD", "open", "0", "");
    let result = format!(r#"{{"open":{{{ours},{foreign},{other}}}}}"#);
    let read = orders(result.as_bytes(), Some("open"), &btc_usd(), &names()).unwrap();
    let [a, b] = read[..] else { panic!("{read:?}") };
    assert_eq!((a.client_order_id, b.client_order_id), (Some(ID), None));
    assert_eq!(
        (a.status, b.status),
        (OrderStatus::PartiallyFilled, OrderStatus::Accepted)
    );
    assert_eq!(
        (a.quantity.to_string(), a.filled.to_string()),
        ("1.25".into(), "0.5".into())
    );
    assert_eq!(a.ts_event.nanos(), 1_688_665_496_780_800_000);
    assert!(orders(result.as_bytes(), Some("closed"), &btc_usd(), &names()).is_err());
}

#[test]
fn an_orders_end_is_what_the_venue_calls_it() {
    let status = |word, filled| {
        let one = listed("OA", "XXBTZUSD", word, filled, r#","closetm":1688665499.1922"#);
        let read = orders(format!("{{{one}}}").as_bytes(), None, &btc_usd(), &names()).unwrap();
        assert_eq!(read[0].ts_event.nanos(), 1_688_665_499_192_200_000);
        read[0].status
    };
    assert_eq!(status("closed", "1.25000000"), OrderStatus::Filled);
    assert_eq!(status("closed", "0.5"), OrderStatus::Canceled);
    assert_eq!(status("canceled", "0.5"), OrderStatus::Canceled);
    assert_eq!(status("expired", "0"), OrderStatus::Expired);
    assert_eq!(status("a_new_word", "0"), OrderStatus::Unknown);
}

const TRADES: &str = r#"{"trades":{"THVRQM-33VKH-UCI7BS":{"ordertxid":"OQCLML-BW3P3-BUCMWZ","postxid":"TKH2SE-M7IF5-CFI7LT",
    "pair":"XXBTZUSD","time":1688667796.8802,"type":"buy","ordertype":"limit","price":"30010.00000","cost":"600.20000",
    "fee":"0.960320001","vol":"0.02000000","margin":"0.00000","misc":"","trade_id":40274859,"maker":true},
    "TCWJEG-FL4SZ-3FKGH6":{"pair":"XETHZUSD"}},"count":2}"#;

#[test]
fn reads_the_trades_of_one_instrument() {
    let page = trades(TRADES.as_bytes(), &btc_usd(), &names()).unwrap();
    assert_eq!((page.len, page.trades.len()), (2, 1));
    let trade = page.trades["THVRQM-33VKH-UCI7BS"];
    assert_eq!(trade.venue_order_id.0.as_str(), "OQCLML-BW3P3-BUCMWZ");
    assert_eq!(trade.fill.trade_id, TradeId(40_274_859));
    assert_eq!(trade.fill.fee.to_string(), "0.960320001 USD");
    assert_eq!(trade.fill.liquidity, Liquidity::Maker);
    for (from, to) in [
        ("\"maker\":true", "\"maker\":null"),
        ("\"type\":\"buy\"", "\"type\":\"long\""),
        ("\"vol\":\"0.02000000\"", "\"vol\":\"0\""),
        ("\"price\":\"30010.00000\"", "\"price\":\"-1\""),
    ] {
        assert!(
            trades(TRADES.replace(from, to).as_bytes(), &btc_usd(), &names()).is_err(),
            "{to}"
        );
    }
}

const BALANCES: &str = r#"{"ZUSD":{"balance":"171288.6158","hold_trade":"8861.7898"},"XXBT":{"balance":"0.5000000009","hold_trade":"0.1"},
    "USDT":{"balance":"0.0000000000","hold_trade":"0"},"ETH.F":{"balance":"2.0","hold_trade":"0"},"SOL":{"balance":"1"}}"#;

#[test]
fn reads_balances_by_their_usual_names() {
    let read = balances(BALANCES.as_bytes(), &names()).unwrap();
    let texts: Vec<_> = read
        .iter()
        .map(|balance| format!("{} {} {}", balance.currency, balance.free, balance.locked))
        .collect();
    assert_eq!(texts, ["BTC 0.4 0.1", "SOL 1 0", "USD 162426.826 8861.7898"]);
}

#[test]
fn balances_beyond_what_we_count_are_an_error() {
    let together = r#"{"ZUSD":{"balance":"92233720368"},"USD":{"balance":"92233720368"}}"#;
    let names = names();
    assert_eq!(names.currency("ZUSD"), names.currency("USD"));
    assert!(balances(together.as_bytes(), &names).is_err());
    assert!(balances(br#"{"ZUSD":{"balance":"92233720369"}}"#, &names).is_err());
}

proptest! {
    #[test]
    fn bytes_of_any_kind_never_panic(bytes: Vec<u8>) {
        let (instrument, names) = (btc_usd(), names());
        let _ = orders(&bytes, Some("open"), &instrument, &names);
        let _ = orders(&bytes, None, &instrument, &names);
        let _ = trades(&bytes, &instrument, &names);
        let _ = balances(&bytes, &names);
        let _ = count(&bytes);
        let exchanged = Ok(Outcome::Done(bytes.into()));
        let _ = submitted(&order(), &exchanged, NOW);
        let _ = canceled(&cancel(), &exchanged, NOW);
    }

    #[test]
    fn broken_answers_never_panic(at: prop::sample::Index, byte: u8) {
        let one = listed("OA", "XBTUSD", "open", "0.5", "");
        for text in [format!("{{{one}}}"), TRADES.to_owned(), BALANCES.to_owned()] {
            let mut bytes = text.into_bytes();
            let place = at.index(bytes.len());
            bytes[place] = byte;
            let _ = orders(&bytes, None, &btc_usd(), &names());
            let _ = trades(&bytes, &btc_usd(), &names());
            let _ = balances(&bytes, &names());
        }
    }
}

#[test]
fn every_right_that_speaks_of_withdrawing_counts() {
    let rights = |words: &str| key_rights(format!(r#"{{"permissions":[{words}]}}"#).as_bytes()).unwrap();
    assert!(!rights(r#""query-funds","modify-trades","close-trades""#).may_withdraw);
    for word in ["withdraw-funds", "Withdraw Funds", "funds:withdraw"] {
        assert!(
            rights(&format!(r#""query-funds","{word}""#)).may_withdraw,
            "{word}"
        );
    }
    assert!(key_rights(b"{}").is_err(), "silence is no permission");
}
