//! Coinbase over REST against a scripted server: what leaves, and what each answer means.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use domain::{
    AmendRejectReason, AmendRequest, CancelRejectReason, Nanos, OrderReportKind, OrderStatus, OrderTerms,
    Price, Quantity, RejectReason, Timestamp,
};
use support::coinbase::{
    BTC, KEY_NAME, bearer, cancel, client, fill, fill_list, id, instruments, listed, order, order_list,
    placed, request_claims, settings,
};
use support::{Http, Reply, Request};
use venues::clock::{REAL_TIME_PPB, Rate, ServerClock};
use venues::coinbase::{Amended, Gateway, RestClient, TOKEN_LIFETIME_MAX};
use venues::{Gateway as _, LastLook, Reference as _, UnknownOrder, VenueError};

const ORDERS: &str = "/api/v3/brokerage/orders";
const CANCEL: &str = "/api/v3/brokerage/orders/batch_cancel";
const EDIT: &str = "/api/v3/brokerage/orders/edit";
const LIST: &str = "/api/v3/brokerage/orders/historical/batch";
const FILLS: &str = "/api/v3/brokerage/orders/historical/fills";
const OURS: &str = "e3-s1-42";

fn gateway(server: &Http) -> Gateway {
    Gateway::new(client(settings(server)), instruments()).unwrap()
}

fn by_id(id: &str) -> String {
    format!("/api/v3/brokerage/orders/historical/v-{id}")
}

fn json(body: impl Into<String>) -> Reply {
    Reply::Json(200, body.into())
}

fn cancel_result(success: bool, reason: &str) -> Reply {
    json(format!(
        r#"{{"results":[{{"success":{success},"failure_reason":"{reason}","order_id":"v-{OURS}"}}]}}"#
    ))
}

fn one(view: &str) -> Reply {
    json(format!(r#"{{"order":{view}}}"#))
}

async fn submitted(reply: Reply) -> (Vec<OrderReportKind>, Http) {
    let server = Http::serve(move |_: &Request| reply.clone()).await;
    let reports = gateway(&server).submit(&order()).await;
    assert!(reports.iter().all(|report| report.client_order_id == id(42)));
    (reports.iter().map(|report| report.kind).collect(), server)
}

#[tokio::test]
async fn an_order_leaves_once_under_a_token_for_this_request_alone() {
    let (kinds, server) = submitted(json(placed(OURS))).await;
    assert!(matches!(kinds[..], [OrderReportKind::Accepted(name)] if name.0.as_str() == "v-e3-s1-42"));
    let [request] = &server.requests()[..] else {
        panic!("one request")
    };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", ORDERS));
    assert_eq!(request.query, "");
    let claims = request_claims(request);
    assert_eq!(claims["uri"], format!("POST {}{ORDERS}", server.address));
    assert_eq!(
        (&claims["sub"], &claims["iss"]),
        (&KEY_NAME.into(), &"cdp".into())
    );
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body["client_order_id"], OURS);
    assert_eq!(
        body["order_configuration"]["limit_limit_gtc"]["limit_price"],
        "61837.63"
    );
}

#[tokio::test]
async fn no_token_is_used_twice() {
    let server = Http::serve(|request: &Request| {
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        json(placed(body["client_order_id"].as_str().unwrap()))
    })
    .await;
    let gateway = gateway(&server);
    for counter in 0..24 {
        let mut order = order();
        order.client_order_id = id(counter);
        gateway.submit(&order).await;
    }
    let requests = server.requests();
    let tokens: std::collections::BTreeSet<_> = requests.iter().map(bearer).collect();
    assert_eq!((requests.len(), tokens.len()), (24, 24));
}

#[tokio::test]
async fn only_the_venues_own_word_is_a_no() {
    let refused = r#"{"success":false,"error_response":{"error":"INSUFFICIENT_FUND","message":"no","new_order_failure_reason":"INSUFFICIENT_FUND"}}"#;
    let (kinds, _) = submitted(json(refused)).await;
    assert_eq!(
        kinds,
        [OrderReportKind::Rejected(RejectReason::InsufficientBalance)]
    );
    let (kinds, _) = submitted(Reply::Json(401, "Unauthorized".to_owned())).await;
    assert_eq!(kinds, [OrderReportKind::Rejected(RejectReason::Authentication)]);
    for unknown in [
        Reply::Close,
        Reply::Hang,
        Reply::Cut,
        Reply::Json(200, "{}".to_owned()),
        Reply::Json(400, "<html>".to_owned()),
        Reply::Json(502, r#"{"error":"INVALID_ARGUMENT"}"#.to_owned()),
        Reply::With(302, "location: /elsewhere".to_owned(), String::new()),
    ] {
        let (kinds, server) = submitted(unknown.clone()).await;
        assert_eq!(kinds, [OrderReportKind::OutcomeUnknown], "{unknown:?}");
        assert_eq!(server.requests().len(), 1, "never again: {unknown:?}");
    }
}

#[tokio::test]
async fn what_cannot_leave_is_not_sent() {
    let server = Http::serve(|_: &Request| json("{}")).await;
    let mut dead = settings(&server);
    dead.endpoints.rest = format!("http://{}", support::dead_address().await);
    let nobody = Gateway::new(client(dead), instruments()).unwrap();
    let kinds: Vec<_> = nobody
        .submit(&order())
        .await
        .iter()
        .map(|report| report.kind)
        .collect();
    assert_eq!(kinds, [OrderReportKind::NotSent]);
    let look = LastLook::new(|| false);
    let stopped = gateway(&server).submit_encoded(&order(), "{}".into(), look).await;
    assert_eq!(stopped[0].kind, OrderReportKind::NotSent);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_limit_of_the_venue_stops_what_follows() {
    let slow = r#"{"errors":[{"id":"rate_limit_exceeded","message":"Too many requests"}]}"#;
    let server = Http::serve(move |_: &Request| Reply::Json(429, slow.to_owned())).await;
    let gateway = gateway(&server);
    let first = gateway.submit(&order()).await;
    assert_eq!(first[0].kind, OrderReportKind::Rejected(RejectReason::RateLimit));
    let second = gateway.submit(&order()).await;
    assert_eq!(second[0].kind, OrderReportKind::NotSent);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_order_that_is_there_already_is_proof_of_the_first_attempt() {
    let server = Http::serve(|request: &Request| match request.path.as_str() {
        ORDERS => json(placed(OURS)),
        _ => one(&listed(OURS, "OPEN", "0.1")),
    })
    .await;
    let gateway = gateway(&server);
    gateway.submit(&order()).await;
    let kinds: Vec<_> = gateway
        .submit(&order())
        .await
        .iter()
        .map(|report| report.kind)
        .collect();
    let [OrderReportKind::Accepted(_), OrderReportKind::Found(snapshot)] = kinds[..] else {
        panic!("{kinds:?}")
    };
    assert_eq!(snapshot.status, OrderStatus::PartiallyFilled);
    assert_eq!(snapshot.filled, Quantity::parse(b"0.1").unwrap());
}

async fn canceled(result: Reply, states: &'static [&'static str]) -> (OrderReportKind, Http) {
    let asked = Arc::new(AtomicUsize::new(0));
    let server = Http::serve(move |request: &Request| match request.path.as_str() {
        ORDERS => json(placed(OURS)),
        CANCEL => result.clone(),
        _ => {
            let at = asked.fetch_add(1, Ordering::SeqCst);
            let state = states.get(at).or(states.last()).copied().unwrap_or("OPEN");
            one(&listed(OURS, state, "0"))
        }
    })
    .await;
    let gateway = gateway(&server);
    gateway.submit(&order()).await;
    let reports = gateway.cancel(&cancel(id(42))).await;
    assert_eq!(reports.len(), 1);
    (reports[0].kind, server)
}

#[tokio::test]
async fn a_cancel_counts_when_the_order_has_ended() {
    let begun = || cancel_result(true, "UNKNOWN_CANCEL_FAILURE_REASON");
    let (kind, server) = canceled(begun(), &["CANCEL_QUEUED", "CANCELLED"]).await;
    assert_eq!(kind, OrderReportKind::Canceled);
    assert_eq!(server.count("GET", &by_id(OURS)), 2);
    let request = server
        .requests()
        .into_iter()
        .find(|request| request.path == CANCEL)
        .unwrap();
    assert_eq!(request.body, r#"{"order_ids":["v-e3-s1-42"]}"#);
    let (kind, _) = canceled(begun(), &["FILLED"]).await;
    assert_eq!(
        kind,
        OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder)
    );
    let (kind, _) = canceled(begun(), &["OPEN"]).await;
    assert_eq!(kind, OrderReportKind::OutcomeUnknown);
}

#[tokio::test]
async fn the_fills_of_a_canceled_order_are_told_before_its_end() {
    let asked = Arc::new(AtomicUsize::new(0));
    let server = Http::serve(move |request: &Request| match request.path.as_str() {
        ORDERS => json(placed(OURS)),
        CANCEL => cancel_result(true, ""),
        FILLS => {
            assert_eq!(request.param("order_ids").as_deref(), Some("v-e3-s1-42"));
            let fills = [fill(OURS, 2, "0.1"), fill(OURS, 1, "0.2")];
            // The list lags behind the order.
            let shown = usize::from(asked.fetch_add(1, Ordering::SeqCst) == 0);
            json(fill_list(&fills[shown..]))
        }
        _ => one(&listed(OURS, "CANCELLED", "0.3")),
    })
    .await;
    let gateway = gateway(&server);
    gateway.submit(&order()).await;
    let reports = gateway.cancel(&cancel(id(42))).await;
    let kinds: Vec<_> = reports.iter().map(|report| report.kind).collect();
    let [
        OrderReportKind::Filled(first),
        OrderReportKind::Filled(second),
        OrderReportKind::Canceled,
    ] = kinds[..]
    else {
        panic!("{kinds:?}")
    };
    assert_eq!((first.trade_id.0, second.trade_id.0), (1, 2));
    assert_eq!(server.count("GET", FILLS), 2);
}

#[tokio::test]
async fn a_cancel_that_is_refused_leaves_the_order_as_it_was() {
    let refused = |reason| OrderReportKind::CancelRejected(reason);
    for (word, expected) in [
        ("UNKNOWN_CANCEL_ORDER", refused(CancelRejectReason::UnknownOrder)),
        (
            "COMMANDER_REJECTED_CANCEL_ORDER",
            refused(CancelRejectReason::Other),
        ),
        ("UNKNOWN_CANCEL_FAILURE_REASON", OrderReportKind::OutcomeUnknown),
    ] {
        let (kind, _) = canceled(cancel_result(false, word), &[]).await;
        assert_eq!(kind, expected, "{word}");
    }
    let (kind, server) = canceled(Reply::Close, &[]).await;
    assert_eq!(
        (kind, server.count("POST", CANCEL)),
        (OrderReportKind::OutcomeUnknown, 1)
    );
}

#[tokio::test]
async fn an_order_is_found_by_our_id_through_the_lists() {
    let server = Http::serve(|request: &Request| {
        assert_eq!(request.path, LIST);
        let is_open = request.param("order_status").is_some();
        match request.param("cursor").as_deref() {
            _ if is_open => json(order_list(&[listed("e3-s1-7", "OPEN", "0")], None)),
            None => json(order_list(&[listed("web", "FILLED", "0.5")], Some("a%b"))),
            Some("a%25b") => json(order_list(&[listed(OURS, "FILLED", "0.5")], Some("c"))),
            other => panic!("{other:?}"),
        }
    })
    .await;
    let gateway = gateway(&server);
    let view = gateway.query_order(&cancel(id(42))).await.unwrap().unwrap();
    assert_eq!(
        (view.status, view.client_order_id),
        (OrderStatus::Filled, Some(id(42)))
    );
    assert_eq!(server.requests().len(), 3);
    let since = server.requests()[1].param("start_date").unwrap();
    assert!(since.ends_with('Z') && since.len() == 24, "{since}");
    // Its name is known now.
    let open = gateway.open_orders(BTC).await.unwrap();
    assert_eq!(open.len(), 1);
}

#[tokio::test]
async fn orders_on_their_way_into_the_book_are_open_and_each_is_listed_once() {
    let server = Http::serve(|request: &Request| {
        let statuses: Vec<_> = request
            .query
            .split('&')
            .filter_map(|pair| pair.strip_prefix("order_status="))
            .collect();
        match (statuses.as_slice(), request.param("cursor").as_deref()) {
            (["PENDING", "QUEUED", "CANCEL_QUEUED"], None) => json(order_list(
                &[listed("e3-s1-7", "PENDING", "0"), listed(OURS, "PENDING", "0")],
                None,
            )),
            // Meanwhile one has come into the book.
            (["OPEN"], None) => json(order_list(&[listed("web", "OPEN", "0")], Some("c"))),
            (["OPEN"], Some("c")) => json(order_list(&[listed(OURS, "OPEN", "0.5")], None)),
            other => panic!("{other:?}"),
        }
    })
    .await;
    let open = gateway(&server).open_orders(BTC).await.unwrap();
    let told: Vec<_> = open
        .iter()
        .map(|view| (view.client_order_id, view.status))
        .collect();
    assert_eq!(
        told,
        [
            (Some(id(7)), OrderStatus::Accepted),
            (None, OrderStatus::Accepted),
            (Some(id(42)), OrderStatus::PartiallyFilled),
        ]
    );
}

#[tokio::test]
async fn a_list_that_never_ends_or_does_not_move_on_is_no_list() {
    let asked = AtomicUsize::new(0);
    let endless = Http::serve(move |_: &Request| {
        let page = asked.fetch_add(1, Ordering::SeqCst);
        json(order_list(&[], Some(&format!("c{page}"))))
    })
    .await;
    let mut generous = settings(&endless);
    generous.private_per_second = 1_000;
    let gateway_of = |settings| Gateway::new(client(settings), instruments()).unwrap();
    let error = gateway_of(generous).open_orders(BTC).await.unwrap_err();
    assert!(matches!(error, VenueError::TooLarge { max: 50, .. }), "{error}");
    assert_eq!(endless.requests().len(), 50);
    let still = Http::serve(|_: &Request| json(order_list(&[], Some("c")))).await;
    let error = gateway_of(settings(&still)).open_orders(BTC).await.unwrap_err();
    assert!(matches!(error, VenueError::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn executions_come_oldest_first_with_our_ids_where_they_are_known() {
    let server = Http::serve(|request: &Request| match request.path.as_str() {
        ORDERS => json(placed(OURS)),
        FILLS => json(fill_list(&[
            fill("web", 3, "0.3"),
            fill(OURS, 2, "0.2"),
            fill(OURS, 1, "0.1"),
        ])),
        other => panic!("{other}"),
    })
    .await;
    let gateway = gateway(&server);
    gateway.submit(&order()).await;
    let trades = gateway
        .trades(BTC, Timestamp::from_millis(1_786_309_548_000))
        .await
        .unwrap();
    let told: Vec<_> = trades
        .iter()
        .map(|trade| (trade.fill.trade_id.0, trade.client_order_id))
        .collect();
    assert_eq!(told, [(1, Some(id(42))), (2, Some(id(42))), (3, None)]);
    let request = server.requests().pop().unwrap();
    assert_eq!(
        request.param("start_sequence_timestamp").unwrap(),
        "2026-08-09T21:05:48.000Z"
    );
}

#[tokio::test]
async fn everything_open_is_canceled_and_ours_is_told() {
    let server = Http::serve(|request: &Request| match request.path.as_str() {
        LIST => json(order_list(
            &[listed("web", "OPEN", "0"), listed(OURS, "OPEN", "0")],
            None,
        )),
        CANCEL => json(
            r#"{"results":[{"success":true,"order_id":"v-web"},{"success":true,"order_id":"v-e3-s1-42"}]}"#,
        ),
        _ => one(&listed(OURS, "CANCELLED", "0")),
    })
    .await;
    let reports = gateway(&server).cancel_all(BTC).await.unwrap();
    let told: Vec<_> = reports
        .iter()
        .map(|report| (report.client_order_id, report.kind))
        .collect();
    assert_eq!(told, [(id(42), OrderReportKind::Canceled)]);
}

#[tokio::test]
async fn a_change_is_held_back_by_a_stop_that_comes_while_its_order_is_looked_up() {
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    let server = Http::serve(move |request: &Request| match request.path.as_str() {
        LIST => {
            stop.store(true, Ordering::SeqCst);
            json(order_list(&[listed(OURS, "OPEN", "0")], None))
        }
        EDIT => json(r#"{"success":true,"errors":[]}"#),
        other => panic!("{other}"),
    })
    .await;
    let change = AmendRequest {
        client_order_id: id(42),
        instrument: BTC,
        terms: OrderTerms {
            price: Price::parse(b"61000").unwrap(),
            quantity: Quantity::parse(b"0.3").unwrap(),
        },
    };
    let look = LastLook::new(move || !stopped.load(Ordering::SeqCst));
    let told = gateway(&server).amend_order(&change, look).await;
    let refused = OrderReportKind::AmendRejected(AmendRejectReason::Other);
    assert_eq!(told[0].kind, refused);
    assert_eq!((server.count("GET", LIST), server.count("POST", EDIT)), (1, 0));
}

#[tokio::test]
async fn an_order_is_changed_under_its_name() {
    let server = Http::serve(|request: &Request| match request.path.as_str() {
        ORDERS => json(placed(OURS)),
        EDIT => json(r#"{"success":true,"errors":[]}"#),
        other => panic!("{other}"),
    })
    .await;
    let gateway = gateway(&server);
    gateway.submit(&order()).await;
    let price = Price::parse(b"61000").unwrap();
    let amended = gateway
        .amend(&cancel(id(42)), price, Quantity::parse(b"0.4").unwrap())
        .await;
    assert_eq!(amended, Amended::Done);
    let body = server.requests().pop().unwrap().body;
    assert_eq!(body, r#"{"order_id":"v-e3-s1-42","price":"61000","size":"0.4"}"#);

    let terms = OrderTerms {
        price,
        quantity: Quantity::parse(b"0.3").unwrap(),
    };
    let change = AmendRequest {
        client_order_id: id(42),
        instrument: BTC,
        terms,
    };
    let told = gateway.amend_order(&change, LastLook::always()).await;
    assert_eq!(told[0].kind, OrderReportKind::Amended(terms));
    let asked = server.requests().len();
    let told = gateway.amend_order(&change, LastLook::new(|| false)).await;
    let refused = OrderReportKind::AmendRejected(AmendRejectReason::Other);
    assert_eq!(
        (told[0].kind, server.requests().len()),
        (refused, asked),
        "a stop holds it back"
    );
}

fn long_ago() -> UnknownOrder {
    // Longer than a token lives and answers lag.
    let since = TOKEN_LIFETIME_MAX.0 + Nanos::from_secs(60).0;
    UnknownOrder {
        client_order_id: id(42),
        instrument: BTC,
        sent: venues::clock::Clock::now(&ServerClock::local()).plus(Nanos(-since)),
    }
}

async fn resolved(
    script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> (Vec<OrderReportKind>, Http) {
    let server = Http::serve(script).await;
    let mut settings = settings(&server);
    settings.read_staleness = Nanos(0);
    let gateway = Gateway::new(client(settings), instruments()).unwrap();
    let reports = gateway.resolve(long_ago()).await;
    (reports.iter().map(|report| report.kind).collect(), server)
}

#[tokio::test]
async fn an_order_that_no_list_knows_was_not_placed_and_is_not_sent_again() {
    let (kinds, server) = resolved(|request: &Request| match request.path.as_str() {
        LIST => json(order_list(&[listed("web", "OPEN", "0")], None)),
        FILLS => json(fill_list(&[])),
        other => panic!("{other}"),
    })
    .await;
    assert_eq!(kinds, [OrderReportKind::NotFound]);
    assert_eq!(server.count("POST", ORDERS), 0);
    assert_eq!(server.count("GET", FILLS), 1);
}

#[tokio::test]
async fn an_order_that_traded_and_is_gone_is_found_with_its_fills() {
    let (kinds, _) = resolved(|request: &Request| match request.path.as_str() {
        // The lists of orders lag behind that of executions.
        LIST => json(order_list(&[], None)),
        FILLS => json(fill_list(&[fill(OURS, 2, "0.3"), fill(OURS, 1, "0.2")])),
        _ => one(&listed(OURS, "FILLED", "0.5")),
    })
    .await;
    let [
        OrderReportKind::Filled(first),
        OrderReportKind::Filled(second),
        OrderReportKind::Found(found),
    ] = kinds[..]
    else {
        panic!("{kinds:?}")
    };
    assert_eq!((first.trade_id.0, second.trade_id.0), (1, 2));
    assert_eq!(found.status, OrderStatus::Filled);
}

#[tokio::test]
async fn the_clock_and_the_past_are_read() {
    let server = Http::serve(|request: &Request| match request.path.as_str() {
        "/api/v3/brokerage/time" => json(r#"{"iso":"x","epochSeconds":"2000","epochMillis":"2000000"}"#),
        "/api/v3/brokerage/market/products/BTC-USD/candles" => {
            let end: i64 = request.param("end").unwrap().parse().unwrap();
            let start: i64 = request.param("start").unwrap().parse().unwrap();
            assert_eq!(request.param("granularity").as_deref(), Some("ONE_MINUTE"));
            let row = |at: i64| {
                format!(r#"{{"start":"{at}","low":"1","high":"3","open":"2","close":"2","volume":"5"}}"#)
            };
            // Every third minute something traded.
            let rows: Vec<_> = (start / 60..=end / 60)
                .rev()
                .filter(|at| at % 3 == 0)
                .map(|at| row(at * 60))
                .collect();
            json(format!(r#"{{"candles":[{}]}}"#, rows.join(",")))
        }
        other => panic!("{other}"),
    })
    .await;
    let clock = Arc::new(ServerClock::local());
    let rest = RestClient::new(settings(&server), None, Arc::<ServerClock>::clone(&clock)).unwrap();
    rest.anchor_clock(&clock, Rate::Fixed(REAL_TIME_PPB))
        .await
        .unwrap();
    let table = instruments();
    let btc = table.get(BTC).unwrap();
    let before = Timestamp::from_millis(1_786_309_570_000);
    let bars = rest.bars(btc, Nanos::from_secs(60), 250, before).await.unwrap();
    assert_eq!(bars.len(), 250);
    assert!(
        bars.windows(2)
            .all(|pair| pair[1].ts_open.since(pair[0].ts_open) == Nanos::from_secs(180))
    );
    assert!(bars[249].ts_close() <= before);
    assert!(
        server
            .requests()
            .iter()
            .all(|request| !request.headers.contains("uthorization"))
    );
    let odd = rest.bars(btc, Nanos::from_secs(7), 1, before).await;
    assert!(matches!(odd, Err(VenueError::Setting { .. })));
}

#[tokio::test]
async fn nothing_secret_stands_in_an_error_or_an_address() {
    let server = Http::serve(|_: &Request| Reply::Close).await;
    let gateway = gateway(&server);
    let error = gateway.open_orders(BTC).await.unwrap_err();
    let requests = server.requests();
    let said = format!("{error} {error:?} {gateway:?}");
    for word in [KEY_NAME, "BEGIN", bearer(&requests[0])] {
        assert!(!said.contains(word), "{said}");
    }
    assert!(!requests[0].query.contains("eyJ"));
    let refused = Http::serve(|_: &Request| Reply::Json(401, "Unauthorized".to_owned())).await;
    let error = Gateway::new(client(settings(&refused)), instruments())
        .unwrap()
        .balances()
        .await;
    assert!(error.unwrap_err().is_fatal());
}
