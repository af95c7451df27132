use bytes::Bytes;
use domain::{Epoch, OrderType, Price, SlotId, TimeInForce};

use super::*;
use crate::sample::instrument;

const NOW: Timestamp = Timestamp::from_millis(1_000);

fn id(counter: u32) -> ClientOrderId {
    ClientOrderId {
        epoch: Epoch(3),
        slot: SlotId(1),
        counter,
    }
}

fn request() -> OrderRequest {
    OrderRequest {
        client_order_id: id(42),
        instrument: InstrumentId(0),
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Some(Price::from_units(100)),
        quantity: Quantity::ONE,
        time_in_force: TimeInForce::Ioc,
        post_only: false,
        reduce_only: false,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the tables below mix answers with faults"
)]
fn answer(status: u16, body: &str) -> Exchanged {
    let body = Bytes::copy_from_slice(body.as_bytes());
    Ok(Answer { status, body })
}

fn refusal(status: u16, code: i64, message: &str) -> Exchanged {
    answer(status, &format!(r#"{{"code":{code},"msg":"{message}"}}"#))
}

fn kinds(exchanged: &Exchanged) -> Vec<OrderReportKind> {
    match submitted(&request(), exchanged, NOW) {
        Submitted::Reports(reports) => reports.iter().map(|report| report.kind).collect(),
        Submitted::AlreadyOpen => panic!("already open"),
    }
}

fn placed_body(status: &str) -> String {
    format!(
        r#"{{"symbol":"BTCUSDT","orderId":28,"orderListId":-1,"clientOrderId":"e3-s1-42","transactTime":1507725176595,"price":"0.1","origQty":"10.0","executedQty":"5.0","cummulativeQuoteQty":"1","status":"{status}","timeInForce":"IOC","type":"LIMIT","side":"BUY","workingTime":1,"fills":[{{"price":"4000.00000000","qty":"1.00000000","commission":"0.00100000","commissionAsset":"BTC","tradeId":56}},{{"price":"3999.00000000","qty":"4.00000000","commission":"0.00400000","commissionAsset":"BTC","tradeId":57}}]}}"#
    )
}

fn not_connected() -> VenueError {
    VenueError::NotConnected {
        request: "new order",
        detail: "refused".to_owned(),
    }
}

fn no_answer() -> VenueError {
    VenueError::NoAnswer {
        request: "new order",
        detail: "timed out".to_owned(),
    }
}

#[test]
fn a_full_answer_becomes_accepted_fills_and_the_end() {
    let Submitted::Reports(reports) = submitted(&request(), &answer(200, &placed_body("EXPIRED")), NOW)
    else {
        panic!("reports")
    };
    let [accepted, first, second, expired] = &reports[..] else {
        panic!("{reports:?}")
    };
    assert_eq!(accepted.kind, OrderReportKind::Accepted(venue_order_id(28)));
    assert_eq!(accepted.ts_event, Timestamp::from_millis(1_507_725_176_595));
    let OrderReportKind::Filled(fill) = first.kind else {
        panic!("{first:?}")
    };
    assert_eq!((fill.trade_id, fill.liquidity), (TradeId(56), Liquidity::Taker));
    assert_eq!(fill.fee.to_string(), "0.001 BTC");
    let OrderReportKind::Filled(fill) = second.kind else {
        panic!("{second:?}")
    };
    assert_eq!(fill.quantity.to_string(), "4");
    assert_eq!(expired.kind, OrderReportKind::Expired);

    assert_eq!(kinds(&answer(200, &placed_body("PARTIALLY_FILLED"))).len(), 3);
    assert_eq!(
        kinds(&answer(200, &placed_body("EXPIRED_IN_MATCH"))).last(),
        Some(&OrderReportKind::Expired)
    );
    assert_eq!(
        kinds(&answer(200, &placed_body("REJECTED"))),
        [OrderReportKind::Rejected(RejectReason::Other)]
    );
    assert_eq!(
        kinds(&answer(200, &placed_body("A_NEW_STATUS"))).last(),
        Some(&OrderReportKind::OutcomeUnknown)
    );
}

#[test]
fn only_the_venues_own_clear_no_is_a_reject() {
    use OrderReportKind::Rejected;
    let cases = [
        (
            refusal(400, -1013, "Filter failure: LOT_SIZE"),
            RejectReason::Filter,
        ),
        (
            refusal(
                400,
                -2010,
                "Account has insufficient balance for requested action.",
            ),
            RejectReason::InsufficientBalance,
        ),
        (
            refusal(400, -2010, "Order would immediately match and take."),
            RejectReason::WouldTake,
        ),
        (refusal(400, -2010, "Market is closed."), RejectReason::NotTrading),
        (refusal(400, -1013, "Market is closed."), RejectReason::NotTrading),
        (refusal(400, -2010, "Something new."), RejectReason::Other),
        (
            refusal(400, -1021, "Timestamp for this request was 1000ms ahead"),
            RejectReason::Authentication,
        ),
        (
            refusal(400, -1022, "Signature for this request is not valid."),
            RejectReason::Authentication,
        ),
        (
            refusal(401, -2015, "Invalid API-key, IP, or permissions for action."),
            RejectReason::Authentication,
        ),
        (refusal(400, -1121, "Invalid symbol."), RejectReason::Other),
        (
            refusal(429, -1003, "Too much request weight used"),
            RejectReason::RateLimit,
        ),
        (
            refusal(400, -1015, "Too many new orders"),
            RejectReason::RateLimit,
        ),
        (answer(403, "<html>WAF</html>"), RejectReason::RateLimit),
    ];
    for (exchanged, reason) in cases {
        assert_eq!(kinds(&exchanged), [Rejected(reason)], "{exchanged:?}");
    }
}

#[test]
fn everything_else_that_may_have_arrived_is_unknown() {
    let cases = [
        Err(no_answer()),
        Err(VenueError::TooLarge {
            request: "new order",
            max: 1,
        }),
        refusal(500, -1013, "even with a code"),
        refusal(503, -1008, "Server is currently overloaded"),
        answer(502, "<html>bad gateway</html>"),
        refusal(
            400,
            -1000,
            "An unknown error occurred while processing the request.",
        ),
        refusal(400, -1001, "Internal error; unable to process your request."),
        refusal(
            400,
            -1006,
            "An unexpected response was received; execution status unknown.",
        ),
        refusal(408, -1007, "Timeout waiting for response from backend server."),
        answer(408, ""),
        answer(409, ""),
        answer(404, "not found"),
        answer(200, "not json"),
        answer(200, "{}"),
        answer(200, &placed_body("NEW").replace("e3-s1-42", "e3-s1-43")),
        answer(200, &placed_body("FILLED").replace("4.00000000", "0.00000000")),
        answer(302, ""),
    ];
    for exchanged in cases {
        assert_eq!(
            kinds(&exchanged),
            [OrderReportKind::OutcomeUnknown],
            "{exchanged:?}"
        );
    }
}

#[test]
fn what_never_left_is_not_sent() {
    let limited = VenueError::RateLimited {
        request: "new order",
        retry_after: domain::Nanos(1),
    };
    for error in [limited, not_connected()] {
        assert_eq!(kinds(&Err(error)), [OrderReportKind::NotSent]);
    }
}

#[test]
fn a_duplicate_is_proof_that_the_first_is_open() {
    let exchanged = refusal(400, -2010, "Duplicate order sent.");
    assert_eq!(submitted(&request(), &exchanged, NOW), Submitted::AlreadyOpen);
}

#[test]
fn a_cancel_is_done_refused_or_unknown_and_never_not_sent() {
    use OrderReportKind::{CancelRejected, Canceled, OutcomeUnknown};
    let done = r#"{"symbol":"BTCUSDT","origClientOrderId":"e3-s1-42","orderId":4,"clientOrderId":"cancelMyOrder1","transactTime":1684804350068,"executedQty":"0.1","status":"CANCELED"}"#;
    let cases = [
        (answer(200, done), Canceled),
        (
            answer(200, &done.replace("CANCELED", "PENDING_CANCEL")),
            OutcomeUnknown,
        ),
        (answer(200, &done.replace("e3-s1-42", "e3-s1-41")), OutcomeUnknown),
        (answer(200, "{"), OutcomeUnknown),
        (
            refusal(400, -2011, "Unknown order sent."),
            CancelRejected(CancelRejectReason::UnknownOrder),
        ),
        (
            refusal(400, -1022, "Signature"),
            CancelRejected(CancelRejectReason::Other),
        ),
        (refusal(503, -2011, "Unknown order sent."), OutcomeUnknown),
        (Err(no_answer()), OutcomeUnknown),
        (Err(not_connected()), CancelRejected(CancelRejectReason::Other)),
    ];
    for (exchanged, kind) in cases {
        assert_eq!(
            canceled(id(42), InstrumentId(0), &exchanged, NOW).kind,
            kind,
            "{exchanged:?}"
        );
    }
    let report = canceled(id(42), InstrumentId(0), &answer(200, done), NOW);
    assert_eq!(report.ts_event, Timestamp::from_millis(1_684_804_350_068));
}

#[test]
fn cancel_all_reports_our_orders_only() {
    let body = r#"[{"symbol":"BTCUSDT","origClientOrderId":"e3-s1-42","status":"CANCELED","transactTime":7},
        {"symbol":"BTCUSDT","origClientOrderId":"web_1","status":"CANCELED"}]"#;
    let reports = canceled_all(body.as_bytes(), InstrumentId(0), NOW).unwrap();
    assert_eq!(reports.len(), 1);
    assert_eq!(
        (reports[0].client_order_id, reports[0].kind),
        (id(42), OrderReportKind::Canceled)
    );
}

#[test]
fn reads_orders_trades_and_balances() {
    let listed = instrument(0, "BTCUSDT");
    let order_body = r#"{"symbol":"BTCUSDT","orderId":1,"orderListId":-1,"clientOrderId":"myOrder1","price":"0.1","origQty":"1.0","executedQty":"0.4","cummulativeQuoteQty":"0.0","status":"PARTIALLY_FILLED","timeInForce":"GTC","type":"LIMIT","side":"SELL","stopPrice":"0.0","icebergQty":"0.0","time":1499827319559,"updateTime":1499827319560,"isWorking":true,"origQuoteOrderQty":"0.000000"}"#;
    let view = order(order_body.as_bytes(), &listed).unwrap();
    assert_eq!(view.client_order_id, None);
    assert_eq!(
        (view.status, view.side),
        (OrderStatus::PartiallyFilled, Side::Sell)
    );
    assert_eq!(view.snapshot().filled.to_string(), "0.4");
    let list = format!("[{},{}]", order_body, order_body.replace("myOrder1", "e3-s1-42"));
    assert_eq!(
        orders(list.as_bytes(), &listed).unwrap()[1].client_order_id,
        Some(id(42))
    );

    let trade = r#"[{"symbol":"BTCUSDT","id":28457,"orderId":100234,"orderListId":-1,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","commission":"10.10000000","commissionAsset":"BNB","time":1499865549590,"isBuyer":true,"isMaker":false,"isBestMatch":true}]"#;
    let [trade] = trades(trade.as_bytes(), &listed).unwrap()[..] else {
        panic!("one trade")
    };
    assert_eq!(
        (trade.venue_order_id, trade.fill.side),
        (venue_order_id(100_234), Side::Buy)
    );
    assert_eq!(trade.fill.fee.to_string(), "10.1 BNB");

    let account = r#"{"makerCommission":15,"balances":[{"asset":"BTC","free":"1.5","locked":"0.00000000"},{"asset":"LTC","free":"0.0","locked":"0.0"}]}"#;
    let [btc] = balances(account.as_bytes()).unwrap()[..] else {
        panic!("one balance")
    };
    assert_eq!(
        (btc.currency.as_str(), btc.free.to_string()),
        ("BTC", "1.5".to_owned())
    );
}

#[test]
fn what_a_key_may_do_is_read_from_the_documentations_answer() {
    let answer = r#"{"ipRestrict":false,"createTime":1698645219000,"enableReading":true,"enableWithdrawals":false,"enableInternalTransfer":false,"enableMargin":false,"enableFutures":false,"permitsUniversalTransfer":false,"enableVanillaOptions":false,"enableFixApiTrade":false,"enableFixReadOnly":true,"enableSpotAndMarginTrading":false,"enablePortfolioMarginTrading":true}"#;
    assert!(!key_rights(answer.as_bytes()).unwrap().may_withdraw);
    let withdraws = answer.replace(r#""enableWithdrawals":false"#, r#""enableWithdrawals":true"#);
    assert!(key_rights(withdraws.as_bytes()).unwrap().may_withdraw);
    assert!(key_rights(b"{}").is_err(), "silence is no permission");
}
