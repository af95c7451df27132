use bytes::Bytes;
use domain::{Epoch, OrderType, SlotId, Text, TimeInForce, TradeId, Venue};
use proptest::prelude::*;

use super::*;
use crate::sample::product;

const PLACED: &str = r#"{"success":true,"failure_reason":"UNKNOWN_FAILURE_REASON","order_id":"52cfe5e2-0b29","success_response":{"order_id":"52cfe5e2-0b29","product_id":"BTC-USD","side":"BUY","client_order_id":"e3-s1-42"},"order_configuration":null}"#;

const NOT_PLACED: &str = r#"{"success":false,"failure_reason":"UNKNOWN_FAILURE_REASON","order_id":"","error_response":{"error":"WORD","message":"m","error_details":"","new_order_failure_reason":"WORD"},"order_configuration":{}}"#;

const FILLS: &str = r#"{"fills":[{"entry_id":"b88b82","trade_id":"cdc39e45-bbd3-44ec-bf02-61742dfb16a1","order_id":"813a53c5","trade_time":"2023-01-18T01:37:38.091377090Z","trade_type":"FILL","price":"21220.64","size":"0.004","commission":"0.0000280983986004","product_id":"BTC-USD","sequence_timestamp":"2023-01-18T01:37:38.092520Z","liquidity_indicator":"MAKER","size_in_quote":false,"user_id":"1","side":"BUY"}],"cursor":""}"#;

const ORDER: &str = r#"{"order_id":"9bc1eb3b","product_id":"BTC-USD","order_configuration":{"limit_limit_gtc":{"base_size":"0.2","limit_price":"0.006","post_only":false}},"side":"SELL","client_order_id":"e3-s1-42","status":"OPEN","time_in_force":"GOOD_UNTIL_CANCELLED","created_time":"2023-01-18T01:37:37Z","filled_size":"0.05","pending_cancel":false,"last_fill_time":"2023-01-18T01:37:39Z"}"#;

fn id() -> ClientOrderId {
    ClientOrderId {
        epoch: Epoch(3),
        slot: SlotId(1),
        counter: 42,
    }
}

fn request() -> OrderRequest {
    OrderRequest {
        client_order_id: id(),
        instrument: InstrumentId(0),
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Some(Price::from_units(1)),
        quantity: Quantity::from_units(1),
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        reduce_only: false,
    }
}

fn btc() -> Instrument {
    product(Venue::Coinbase, 0, "BTC-USD")
}

fn table() -> Instruments {
    Instruments::new(vec![btc()]).unwrap()
}

fn named(text: &str) -> VenueOrderId {
    VenueOrderId(Text::new(text).unwrap())
}

#[allow(clippy::unnecessary_wraps, reason = "as what is read has it")]
fn answered(status: u16, body: &str) -> Exchanged {
    Ok(Answer {
        status,
        body: Bytes::from(body.to_owned()),
    })
}

fn told(status: u16, body: &str) -> Submitted {
    submitted(&request(), &answered(status, body))
}

fn rejected(word: &str) -> Submitted {
    told(200, &NOT_PLACED.replace("WORD", word))
}

const UNKNOWN: Submitted = Submitted::Report(OrderReportKind::OutcomeUnknown);

fn no(reason: RejectReason) -> Submitted {
    Submitted::Report(OrderReportKind::Rejected(reason))
}

/// An order that was placed, and an error beside it.
fn beside(word: &str) -> String {
    let both = format!(r#""error_response":{{"error":"{word}"}},"order_configuration""#);
    PLACED.replace("\"order_configuration\"", &both)
}

#[test]
fn only_the_venues_own_word_is_a_yes_or_a_no() {
    assert_eq!(told(200, PLACED), Submitted::Accepted(named("52cfe5e2-0b29")));
    assert_eq!(
        rejected("INSUFFICIENT_FUND"),
        no(RejectReason::InsufficientBalance)
    );
    assert_eq!(
        rejected("INVALID_LIMIT_PRICE_POST_ONLY"),
        no(RejectReason::WouldTake)
    );
    assert_eq!(
        rejected("PREVIEW_INVALID_BASE_SIZE_TOO_SMALL"),
        no(RejectReason::Filter)
    );
    assert_eq!(rejected("ORDER_ENTRY_DISABLED"), no(RejectReason::NotTrading));
    assert_eq!(rejected("A_NEW_WORD"), no(RejectReason::Other));
    // Where it does not know itself, nobody does.
    assert_eq!(rejected("UNKNOWN_FAILURE_REASON"), UNKNOWN);
    for contradiction in [
        PLACED.replace("UNKNOWN_FAILURE_REASON", "INSUFFICIENT_FUND"),
        beside("INSUFFICIENT_FUND"),
        NOT_PLACED
            .replace("WORD", "INSUFFICIENT_FUND")
            .replace("\"order_id\":\"\"", "\"order_id\":\"52cfe5e2-0b29\""),
        PLACED
            .replace("true", "false")
            .replace("UNKNOWN_FAILURE_REASON", "INSUFFICIENT_FUND"),
    ] {
        assert_eq!(told(200, &contradiction), UNKNOWN, "{contradiction}");
    }
    // The documentation's own example has an error that is none beside the order.
    let placed = Submitted::Accepted(named("52cfe5e2-0b29"));
    assert_eq!(told(200, &beside("UNKNOWN_FAILURE_REASON")), placed);
    let preview = r#"{"success":false,"error_response":{"error":"UNKNOWN_FAILURE_REASON","preview_failure_reason":"PREVIEW_INSUFFICIENT_FUND"}}"#;
    assert_eq!(told(200, preview), no(RejectReason::InsufficientBalance));
}

#[test]
fn what_is_not_the_venues_own_leaves_the_outcome_unknown() {
    for body in [
        "",
        "{}",
        "<html>",
        r#"{"success":true}"#,
        r#"{"success":false}"#,
        &PLACED.replace("e3-s1-42", "e3-s1-43"),
        &PLACED.replace("52cfe5e2-0b29", "../x"),
    ] {
        assert_eq!(told(200, body), UNKNOWN, "{body}");
    }
    let own = |word: &str| format!(r#"{{"error":"{word}","message":"m"}}"#);
    for (status, word) in [
        (500, "INVALID_ARGUMENT"),
        (503, "UNAVAILABLE"),
        (400, "UNKNOWN"),
        (400, "internal"),
        (400, "DEADLINE_EXCEEDED"),
        (408, "INVALID_ARGUMENT"),
        (409, "ABORTED"),
        (302, "INVALID_ARGUMENT"),
    ] {
        assert_eq!(told(status, &own(word)), UNKNOWN, "{status} {word}");
    }
    for foreign in ["", "<html>Bad Gateway</html>", "{}"] {
        assert_eq!(told(400, foreign), UNKNOWN);
        assert_eq!(told(429, foreign), UNKNOWN);
    }
    assert_eq!(told(409, &own("ALREADY_EXISTS")), Submitted::AlreadyThere);
    assert_eq!(told(400, &own("INVALID_ARGUMENT")), no(RejectReason::Other));
    assert_eq!(told(401, "Unauthorized\n"), no(RejectReason::Authentication));
    let slow = r#"{"errors":[{"id":"rate_limit_exceeded","message":"Too many requests"}]}"#;
    assert_eq!(told(429, slow), no(RejectReason::RateLimit));
}

#[test]
fn what_did_not_leave_was_not_sent_and_what_may_have_is_unknown() {
    let not_connected = Err(VenueError::NotConnected {
        request: "new order",
        detail: String::new(),
    });
    assert_eq!(
        submitted(&request(), &not_connected),
        Submitted::Report(OrderReportKind::NotSent)
    );
    assert_eq!(canceled(&[named("a")], &not_connected), [CancelAnswer::NotSent]);
    let no_answer = Err(VenueError::NoAnswer {
        request: "new order",
        detail: String::new(),
    });
    assert_eq!(submitted(&request(), &no_answer), UNKNOWN);
    assert_eq!(canceled(&[named("a")], &no_answer), [CancelAnswer::Unknown]);
    assert_eq!(amended(&no_answer), Amended::Unknown);
}

#[test]
fn each_cancel_of_a_batch_has_its_own_answer() {
    let body = r#"{"results":[
        {"success":false,"failure_reason":"UNKNOWN_CANCEL_ORDER","order_id":"b"},
        {"success":true,"failure_reason":"UNKNOWN_CANCEL_FAILURE_REASON","order_id":"a"},
        {"success":false,"failure_reason":"COMMANDER_REJECTED_CANCEL_ORDER","order_id":"c"},
        {"success":false,"failure_reason":"DUPLICATE_CANCEL_REQUEST","order_id":"d"},
        {"success":false,"failure_reason":"UNKNOWN_CANCEL_FAILURE_REASON","order_id":"e"}]}"#;
    let orders = ["a", "b", "c", "d", "e", "f"].map(named);
    assert_eq!(
        canceled(&orders, &answered(200, body)),
        [
            CancelAnswer::Initiated,
            CancelAnswer::NothingOpen,
            CancelAnswer::Refused,
            CancelAnswer::Initiated,
            CancelAnswer::Unknown,
            CancelAnswer::Unknown,
        ]
    );
    let refused = answered(400, r#"{"error":"INVALID_ARGUMENT"}"#);
    assert_eq!(canceled(&orders[..1], &refused), [CancelAnswer::Refused]);
    assert_eq!(
        canceled(&orders[..1], &answered(502, "")),
        [CancelAnswer::Unknown]
    );
    let edited = r#"{"success":true,"errors":[]}"#;
    assert_eq!(amended(&answered(200, edited)), Amended::Done);
    let kept = r#"{"success":false,"errors":[{"edit_failure_reason":"ORDER_NOT_FOUND"}]}"#;
    assert_eq!(amended(&answered(200, kept)), Amended::Refused);
    for unsaid in [
        r#"{"success":true,"errors":[{"edit_failure_reason":"ORDER_NOT_FOUND"}]}"#,
        r#"{"success":false,"errors":[{"edit_failure_reason":"UNKNOWN_EDIT_ORDER_FAILURE_REASON"}]}"#,
        r#"{"success":false}"#,
        "{}",
    ] {
        assert_eq!(amended(&answered(200, unsaid)), Amended::Unknown, "{unsaid}");
    }
}

#[test]
fn reads_orders_and_where_their_list_goes_on() {
    let one = order(format!(r#"{{"order":{ORDER}}}"#).as_bytes(), &btc())
        .unwrap()
        .unwrap();
    assert_eq!(one.client_order_id, Some(id()));
    assert_eq!((one.side, one.status), (Side::Sell, OrderStatus::PartiallyFilled));
    assert_eq!(one.quantity, Quantity::parse(b"0.2").unwrap());
    assert_eq!(one.filled, Quantity::parse(b"0.05").unwrap());
    assert_eq!(one.ts_event, Timestamp::from_millis(1_674_005_859_000));
    let foreign = ORDER
        .replace("e3-s1-42", "18eb9947-db49")
        .replace("\"base_size\":\"0.2\"", "\"quote_size\":\"6.36\"")
        .replace("\"0.05\"", "\"0.000297920684505\"")
        .replace("\"2023-01-18T01:37:39Z\"", "null");
    let other = ORDER.replace("BTC-USD", "ETH-USD");
    let body =
        format!(r#"{{"orders":[{ORDER},{foreign},{other}],"sequence":"0","has_next":true,"cursor":"7"}}"#);
    let page = orders(body.as_bytes(), &btc()).unwrap();
    assert_eq!(page.next.as_deref(), Some("7"));
    let [_, foreign] = page.items[..] else {
        panic!("two orders")
    };
    assert_eq!(foreign.client_order_id, None);
    assert_eq!(
        (foreign.quantity.units(), foreign.filled.units()),
        (29_792, 29_792)
    );
    let last = body.replace("\"has_next\":true", "\"has_next\":false");
    assert_eq!(orders(last.as_bytes(), &btc()).unwrap().next, None);
    let nowhere = body.replace("\"cursor\":\"7\"", "\"cursor\":\"\"");
    assert!(
        orders(nowhere.as_bytes(), &btc()).is_err(),
        "there is more, and no way to it"
    );
    assert!(orders(body.replace("SELL", "BOTH").as_bytes(), &btc()).is_err());
}

#[test]
fn states_are_not_guessed() {
    let filled = Quantity::from_units(1);
    let state = |word| (order_status(word, Quantity::ZERO), order_status(word, filled));
    assert_eq!(
        state("PENDING"),
        (OrderStatus::Accepted, OrderStatus::PartiallyFilled)
    );
    assert_eq!(state("FAILED"), (OrderStatus::Rejected, OrderStatus::Canceled));
    assert_eq!(state("CANCEL_QUEUED").0, OrderStatus::PendingCancel);
    assert_eq!(state("UNKNOWN_ORDER_STATUS").0, OrderStatus::Unknown);
}

#[test]
fn reads_executions_with_fees_finer_than_ours() {
    let page = fills(FILLS.as_bytes(), &table()).unwrap();
    let [listed] = page.items[..] else {
        panic!("one fill")
    };
    let trade = listed.trade;
    assert_eq!(trade.fill.trade_id, TradeId(0xb48c_a451_3d4b_a244));
    assert_eq!(trade.fill.quantity, Quantity::parse(b"0.004").unwrap());
    assert_eq!(trade.fill.fee.units(), 280_983_986_004);
    assert_eq!(trade.fill.liquidity, Liquidity::Maker);
    assert_eq!(trade.ts_event.nanos(), 1_674_005_858_091_377_090);
    let quote = FILLS.replace("\"size_in_quote\":false", "\"size_in_quote\":true");
    let quote = fills(quote.replace("\"0.004\"", "\"6.36\"").as_bytes(), &table()).unwrap();
    assert!(quote.items[0].is_in_quote);
    assert_eq!(quote.items[0].trade.fill.quantity.units(), 29_970);
    assert!(fills(FILLS.replace("\"FILL\"", "\"REVERSAL\"").as_bytes(), &table()).is_err());
    assert!(fills(FILLS.replace("\"0.004\"", "\"0\"").as_bytes(), &table()).is_err());
    let other = fills(FILLS.replace("BTC-USD", "ETH-USD").as_bytes(), &table()).unwrap();
    assert!(other.items.is_empty());
    let more = fills(
        FILLS.replace("\"cursor\":\"\"", "\"cursor\":\"9\"").as_bytes(),
        &table(),
    )
    .unwrap();
    assert_eq!(more.next.as_deref(), Some("9"));
}

fn held(accounts: &[(&str, &str, &str, &str)]) -> Result<Vec<Balance>, ParseError> {
    let accounts: Vec<_> = accounts
        .iter()
        .map(|(uuid, currency, free, hold)| {
            format!(
                r#"{{"uuid":"{uuid}","currency":"{currency}","available_balance":{{"value":"{free}","currency":"{currency}"}},"hold":{{"value":"{hold}","currency":"{currency}"}}}}"#
            )
        })
        .collect();
    let body = format!(
        r#"{{"accounts":[{}],"has_next":false,"cursor":""}}"#,
        accounts.join(",")
    );
    summed(holdings(body.as_bytes())?.items)
}

#[test]
fn accounts_of_one_asset_are_one_balance_and_each_account_counts_once() {
    let held = held(&[
        ("a", "BTC", "1", "0.5"),
        ("b", "ETH", "2", "0"),
        ("c", "BTC", "0.25", "0"),
        // Again, on the next page.
        ("a", "BTC", "1", "0.5"),
        ("", "ETH", "1", "0"),
        ("", "ETH", "1", "0"),
    ])
    .unwrap();
    let told = held.iter().map(|balance| {
        let (free, locked) = (balance.free.to_string(), balance.locked.to_string());
        format!("{} {free} {locked}", balance.currency)
    });
    assert_eq!(told.collect::<Vec<_>>(), ["BTC 1.25 0.5", "ETH 4 0"]);
}

#[test]
fn holdings_beyond_what_we_count_are_an_error() {
    // The largest whole number of our quantities.
    let largest = "92233720368";
    assert!(held(&[("a", "PEPE", largest, "0")]).is_ok());
    assert!(held(&[("a", "PEPE", "92233720369", "0")]).is_err());
    assert!(held(&[("a", "PEPE", "0", "99999999999999999999999999")]).is_err());
    assert!(held(&[("a", "PEPE", largest, "0"), ("b", "PEPE", "1", "0")]).is_err());
}

#[test]
fn reads_balances_that_are_not_zero() {
    let account = |currency: &str, free: &str, hold: &str| {
        format!(
            r#"{{"uuid":"1","currency":"{currency}","available_balance":{{"value":"{free}","currency":"{currency}"}},"hold":{{"value":"{hold}","currency":"{currency}"}}}}"#
        )
    };
    let body = format!(
        r#"{{"accounts":[{},{},{}],"has_next":false,"cursor":"","size":3}}"#,
        account("BTC", "0.1234567890123456", "0.5"),
        account("USDC", "0.0000000000000000", "0"),
        account("odd name", "1", "0"),
    );
    let page = holdings(body.as_bytes()).unwrap();
    let [btc] = summed(page.items).unwrap()[..] else {
        panic!("one balance")
    };
    assert_eq!((btc.free.units(), btc.locked.units()), (12_345_678, 50_000_000));
}

proptest! {
    #[test]
    fn nothing_panics(at in 0usize..250, byte: u8, tail in prop::collection::vec(any::<u8>(), 0..60)) {
        for text in [PLACED, NOT_PLACED, FILLS, ORDER] {
            let mut body = text.as_bytes().to_vec();
            if let Some(place) = body.get_mut(at) {
                *place = byte;
            }
            for body in [body.clone(), [&body[..at.min(body.len())], &tail].concat()] {
                let _ = order(&body, &btc());
                let _ = orders(&body, &btc());
                let _ = fills(&body, &table());
                let _ = holdings(&body).and_then(|page| summed(page.items));
                let exchanged = Ok(Answer { status: 200, body: body.into() });
                let _ = submitted(&request(), &exchanged);
                let _ = canceled(&[named("a")], &exchanged);
                let _ = amended(&exchanged);
            }
        }
    }
}

#[test]
fn a_key_that_may_transfer_may_withdraw() {
    let answer = |transfers: bool| {
        format!(
            r#"{{"can_view":true,"can_trade":true,"can_transfer":{transfers},"portfolio_uuid":"u","portfolio_type":"DEFAULT"}}"#
        )
    };
    for transfers in [false, true] {
        let rights = key_rights(answer(transfers).as_bytes()).unwrap();
        assert_eq!(rights.may_withdraw, transfers);
    }
    assert!(key_rights(b"{}").is_err(), "silence is no permission");
}
