//! Orders over the WebSocket API against a scripted server: what leaves, and what each answer, or none, means.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::{
    CancelRejectReason, CancelRequest, ClientOrderId, Epoch, InstrumentId, OrderReport, OrderReportKind,
    OrderRequest, OrderType, Price, Quantity, RejectReason, Side, SlotId, TimeInForce,
};
use futures_util::{SinkExt, StreamExt};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use support::{API_KEY, API_SECRET, Http, Reply, Sockets, client, eventually, instruments};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use venues::binance::{Gateway, Settings};
use venues::{Gateway as _, LastLook};

type Socket = WebSocketStream<TcpStream>;

fn id(counter: u32) -> ClientOrderId {
    ClientOrderId {
        epoch: Epoch(3),
        slot: SlotId(1),
        counter,
    }
}

fn order(counter: u32) -> OrderRequest {
    OrderRequest {
        client_order_id: id(counter),
        instrument: InstrumentId(0),
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Some(Price::parse(b"61837.63").unwrap()),
        quantity: Quantity::parse(b"0.5").unwrap(),
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        reduce_only: false,
    }
}

fn cancel(counter: u32) -> CancelRequest {
    CancelRequest {
        client_order_id: id(counter),
        instrument: InstrumentId(0),
    }
}

fn kinds(reports: &[OrderReport]) -> Vec<OrderReportKind> {
    reports.iter().map(|report| report.kind).collect()
}

async fn read(socket: &mut Socket) -> Option<Value> {
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Text(text) = message {
            return Some(serde_json::from_str(&text).unwrap());
        }
    }
    None
}

/// Reads until the client closes.
async fn listen(socket: &mut Socket) {
    while read(socket).await.is_some() {}
}

async fn answer(socket: &mut Socket, id: &Value, status: u16, key: &str, body: Value) {
    let mut text = json!({ "id": id, "status": status });
    text[key] = body;
    let _ = socket.send(Message::text(text.to_string())).await;
}

fn placed(client_order_id: &Value) -> Value {
    json!({
        "symbol": "BTCUSDT", "orderId": 28, "clientOrderId": client_order_id, "transactTime": 7,
        "status": "NEW", "fills": [],
    })
}

/// REST that knows nothing to cancel.
async fn rest() -> (Http, Settings) {
    let nothing = r#"{"code":-2011,"msg":"Unknown order sent."}"#;
    let http = Http::serve(move |_| Reply::Json(400, nothing.to_owned())).await;
    let settings = http.settings();
    (http, settings)
}

/// A gateway whose orders go to `sockets`, once it is connected.
async fn open_gateway(sockets: &Sockets) -> (Http, Gateway) {
    let (http, mut settings) = rest().await;
    settings.endpoints.ws_api = sockets.url();
    let gateway = Gateway::over_websocket(client(settings), instruments()).unwrap();
    eventually("a connection for orders", || gateway.is_open()).await;
    (http, gateway)
}

#[tokio::test]
async fn an_order_leaves_once_signed_by_the_names_of_its_parameters() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let script = Arc::clone(&seen);
    let sockets = Sockets::serve(move |mut socket, _| {
        let seen = Arc::clone(&script);
        async move {
            while let Some(request) = read(&mut socket).await {
                let id = request["id"].clone();
                answer(&mut socket, &id, 200, "result", placed(&id)).await;
                seen.lock().await.push(request);
            }
        }
    })
    .await;
    let (_http, gateway) = open_gateway(&sockets).await;
    let reports = kinds(&gateway.submit(&order(42)).await);
    assert!(
        matches!(reports[..], [OrderReportKind::Accepted(venue)] if venue.0.as_str() == "28"),
        "{reports:?}"
    );

    let seen = seen.lock().await;
    let [request] = &seen[..] else {
        panic!("one request, not {seen:?}")
    };
    assert_eq!(
        (&request["id"], &request["method"]),
        (&json!("e3-s1-42"), &json!("order.place"))
    );
    let params = request["params"].as_object().unwrap();
    assert_eq!(params["apiKey"], API_KEY);
    assert_eq!(params["price"], "61837.63");
    assert_eq!(params["selfTradePreventionMode"], "EXPIRE_TAKER");
    // The venue's rule: all parameters but the signature, by name.
    let mut pairs: Vec<_> = params.iter().filter(|(name, _)| *name != "signature").collect();
    pairs.sort_by_key(|(name, _)| *name);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    let mut mac = Hmac::<Sha256>::new_from_slice(API_SECRET.as_bytes()).unwrap();
    mac.update(pairs.join("&").as_bytes());
    let digits: Vec<_> = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(params["signature"], digits.concat());
}

#[tokio::test]
async fn answers_find_their_requests_in_any_order() {
    let sockets = Sockets::serve(|mut socket, _| async move {
        let mut ids = Vec::new();
        while ids.len() < 2 {
            let Some(request) = read(&mut socket).await else {
                return;
            };
            ids.push(request["id"].clone());
        }
        answer(
            &mut socket,
            &json!("e3-s1-999"),
            200,
            "result",
            placed(&json!("e3-s1-999")),
        )
        .await;
        let refusal =
            json!({ "code": -2010, "msg": "Account has insufficient balance for requested action." });
        answer(&mut socket, &ids[1], 400, "error", refusal).await;
        answer(&mut socket, &ids[0], 200, "result", placed(&ids[0])).await;
        listen(&mut socket).await;
    })
    .await;
    let (_http, gateway) = open_gateway(&sockets).await;
    let (first_order, second_order) = (order(1), order(2));
    let (first, second) = tokio::join!(gateway.submit(&first_order), gateway.submit(&second_order));
    assert!(
        matches!(kinds(&first)[..], [OrderReportKind::Accepted(_)]),
        "{first:?}"
    );
    assert_eq!(
        kinds(&second),
        [OrderReportKind::Rejected(RejectReason::InsufficientBalance)]
    );
}

#[tokio::test]
async fn only_the_venues_own_word_is_a_no() {
    for (status, error, expected) in [
        (
            400,
            json!({ "code": -1013, "msg": "Filter failure: PRICE_FILTER" }),
            OrderReportKind::Rejected(RejectReason::Filter),
        ),
        (
            400,
            json!({ "code": -1006, "msg": "An unexpected response was received." }),
            OrderReportKind::OutcomeUnknown,
        ),
        (
            504,
            json!({ "code": -1007, "msg": "Timeout waiting for response." }),
            OrderReportKind::OutcomeUnknown,
        ),
        (
            400,
            json!({ "code": -1007, "msg": "Timeout waiting for response." }),
            OrderReportKind::OutcomeUnknown,
        ),
        (
            503,
            json!({ "code": -1000, "msg": "An unknown error occurred." }),
            OrderReportKind::OutcomeUnknown,
        ),
        (400, json!("nonsense"), OrderReportKind::OutcomeUnknown),
    ] {
        let script = error.clone();
        let sockets = Sockets::serve(move |mut socket, _| {
            let error = script.clone();
            async move {
                let Some(request) = read(&mut socket).await else {
                    return;
                };
                answer(&mut socket, &request["id"], status, "error", error).await;
                listen(&mut socket).await;
            }
        })
        .await;
        let (_http, gateway) = open_gateway(&sockets).await;
        assert_eq!(
            kinds(&gateway.submit(&order(1)).await),
            [expected],
            "{status} {error}"
        );
    }
}

#[tokio::test]
async fn a_connection_lost_with_orders_on_it_leaves_their_outcomes_unknown_and_sends_none_again() {
    let requests = Arc::new(AtomicUsize::new(0));
    let script = Arc::clone(&requests);
    let sockets = Sockets::serve(move |mut socket, number| {
        let requests = Arc::clone(&script);
        async move {
            while let Some(request) = read(&mut socket).await {
                let count = requests.fetch_add(1, Ordering::SeqCst) + 1;
                match number {
                    0 if count == 2 => return,
                    0 => {}
                    _ => answer(&mut socket, &request["id"], 200, "result", placed(&request["id"])).await,
                }
            }
        }
    })
    .await;
    let (http, gateway) = open_gateway(&sockets).await;
    let (one, other) = (order(1), cancel(2));
    let (placed, canceled) = tokio::join!(gateway.submit(&one), gateway.cancel(&other));
    assert_eq!(kinds(&placed), [OrderReportKind::OutcomeUnknown]);
    assert_eq!(kinds(&canceled), [OrderReportKind::OutcomeUnknown]);
    eventually("a new connection", || gateway.is_open()).await;
    // Whatever was kept would have left before this one.
    let third = kinds(&gateway.submit(&order(3)).await);
    assert!(matches!(third[..], [OrderReportKind::Accepted(_)]), "{third:?}");
    assert_eq!(requests.load(Ordering::SeqCst), 3);
    assert!(http.requests().is_empty(), "nothing went another way");
}

#[tokio::test]
async fn while_it_is_down_no_order_leaves_and_cancels_leave_over_rest() {
    let (http, mut settings) = rest().await;
    settings.endpoints.ws_api = format!("ws://{}", support::dead_address().await);
    let gateway = Gateway::over_websocket(client(settings), instruments()).unwrap();
    assert_eq!(
        kinds(&gateway.submit(&order(1)).await),
        [OrderReportKind::NotSent]
    );
    let canceled = kinds(&gateway.cancel(&cancel(1)).await);
    assert_eq!(
        canceled,
        [OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder)]
    );
    assert_eq!(http.count("DELETE", "/api/v3/order"), 1);
    assert_eq!(http.requests().len(), 1);
}

#[tokio::test]
async fn a_stop_keeps_back_what_has_not_left() {
    let requests = Arc::new(AtomicUsize::new(0));
    let script = Arc::clone(&requests);
    let sockets = Sockets::serve(move |mut socket, _| {
        let requests = Arc::clone(&script);
        async move {
            while let Some(request) = read(&mut socket).await {
                requests.fetch_add(1, Ordering::SeqCst);
                answer(&mut socket, &request["id"], 200, "result", placed(&request["id"])).await;
            }
        }
    })
    .await;
    let (_http, gateway) = open_gateway(&sockets).await;
    let request = order(1);
    let reports = gateway
        .submit_encoded(&request, "{}".into(), LastLook::new(|| false))
        .await;
    assert_eq!(kinds(&reports), [OrderReportKind::NotSent]);
    assert!(matches!(
        kinds(&gateway.submit(&order(2)).await)[..],
        [OrderReportKind::Accepted(_)]
    ));
    assert_eq!(requests.load(Ordering::SeqCst), 1, "only the second one left");
}

#[tokio::test]
async fn an_answer_that_never_comes_leaves_the_outcome_unknown() {
    let sockets = Sockets::serve(|mut socket, _| async move { listen(&mut socket).await }).await;
    let http = Http::serve(|_| Reply::Close).await;
    let mut settings = http.settings();
    settings.endpoints.ws_api = sockets.url();
    settings.connect_timeout = Duration::from_millis(100);
    settings.request_timeout = Duration::from_millis(200);
    let gateway = Gateway::over_websocket(client(settings), instruments()).unwrap();
    eventually("a connection for orders", || gateway.is_open()).await;
    assert_eq!(
        kinds(&gateway.submit(&order(1)).await),
        [OrderReportKind::OutcomeUnknown]
    );
    assert_eq!(
        kinds(&gateway.cancel(&cancel(1)).await),
        [OrderReportKind::OutcomeUnknown]
    );
}

#[tokio::test]
async fn told_to_slow_down_over_the_socket_nothing_more_leaves() {
    let sockets = Sockets::serve(|mut socket, _| async move {
        while let Some(request) = read(&mut socket).await {
            let error = json!({ "code": -1003, "msg": "Too much request weight used" });
            answer(&mut socket, &request["id"], 429, "error", error).await;
        }
    })
    .await;
    let (http, gateway) = open_gateway(&sockets).await;
    assert_eq!(
        kinds(&gateway.submit(&order(1)).await),
        [OrderReportKind::Rejected(RejectReason::RateLimit)]
    );
    assert_eq!(
        kinds(&gateway.submit(&order(2)).await),
        [OrderReportKind::NotSent]
    );
    assert!(
        gateway.open_orders(InstrumentId(0)).await.is_err(),
        "one budget for both ways"
    );
    assert!(http.requests().is_empty());
}

#[tokio::test]
async fn a_socket_that_is_accepted_and_closed_is_made_again_ever_more_slowly() {
    let accepted = Arc::new(AtomicUsize::new(0));
    let script = Arc::clone(&accepted);
    let sockets = Sockets::serve(move |_, _| {
        script.fetch_add(1, Ordering::SeqCst);
        async {}
    })
    .await;
    let (_http, mut settings) = rest().await;
    settings.endpoints.ws_api = sockets.url();
    let began = Instant::now();
    let _gateway = Gateway::over_websocket(client(settings), instruments()).unwrap();
    eventually("six connections", || accepted.load(Ordering::SeqCst) == 6).await;
    // The least of five pauses, each of which may be twice the one before it.
    let least = Duration::from_millis(50 + 100 + 200 + 400 + 800);
    assert!(began.elapsed() >= least, "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_answer_that_was_lost_does_not_keep_a_connection_from_being_renewed() {
    let sockets = Sockets::serve(|mut socket, number| async move {
        while let Some(request) = read(&mut socket).await {
            if number == 0 {
                let end = r#"{"event":{"e":"serverShutdown","E":1770123456789}}"#;
                let _ = socket.send(Message::text(end)).await;
            } else {
                answer(&mut socket, &request["id"], 200, "result", placed(&request["id"])).await;
            }
        }
    })
    .await;
    let (_http, mut settings) = rest().await;
    settings.endpoints.ws_api = sockets.url();
    settings.connect_timeout = Duration::from_millis(100);
    settings.request_timeout = Duration::from_millis(200);
    settings.idle_timeout = Duration::from_secs(3);
    let gateway = Gateway::over_websocket(client(settings), instruments()).unwrap();
    eventually("a connection for orders", || gateway.is_open()).await;
    assert_eq!(
        kinds(&gateway.submit(&order(1)).await),
        [OrderReportKind::OutcomeUnknown]
    );
    let statistics = gateway.connections().remove(0);
    eventually("a new connection", || statistics.reconnected() == 1).await;
    assert!(matches!(
        kinds(&gateway.submit(&order(2)).await)[..],
        [OrderReportKind::Accepted(_)]
    ));
}
