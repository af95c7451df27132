//! Orders and questions over REST against a scripted server: what leaves, and what each answer means.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{
    CancelRejectReason, CancelRequest, ClientOrderId, Epoch, InstrumentId, Nanos, OrderReportKind,
    OrderRequest, OrderStatus, OrderType, Price, Quantity, RejectReason, Side, SlotId, TimeInForce,
    Timestamp,
};
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::{Signature, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use support::{API_KEY, API_SECRET, Http, Reply, Request, client, instruments};
use venues::binance::{Credentials, Gateway, RestClient};
use venues::clock::{Clock, REAL_TIME_PPB, Rate, ServerClock};
use venues::{Gateway as _, LastLook, Reference as _, Secret, UnknownOrder, VenueError};

const BTC: InstrumentId = InstrumentId(0);

fn id(counter: u32) -> ClientOrderId {
    ClientOrderId {
        epoch: Epoch(3),
        slot: SlotId(1),
        counter,
    }
}

fn order() -> OrderRequest {
    OrderRequest {
        client_order_id: id(42),
        instrument: BTC,
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Some(Price::parse(b"61837.63").unwrap()),
        quantity: Quantity::parse(b"0.5").unwrap(),
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        reduce_only: false,
    }
}

fn cancel() -> CancelRequest {
    CancelRequest {
        client_order_id: id(42),
        instrument: BTC,
    }
}

fn gateway(server: &Http) -> Gateway {
    Gateway::new(client(server.settings()), instruments()).unwrap()
}

fn placed(status: &str) -> String {
    format!(
        r#"{{"symbol":"BTCUSDT","orderId":28,"clientOrderId":"e3-s1-42","transactTime":7,"status":"{status}","fills":[]}}"#
    )
}

fn queried(client_order_id: &str, status: &str, filled: &str) -> String {
    format!(
        r#"{{"symbol":"BTCUSDT","orderId":28,"clientOrderId":"{client_order_id}","side":"BUY","status":"{status}","origQty":"0.5","executedQty":"{filled}","updateTime":9}}"#
    )
}

const TRADES: &str = r#"[{"symbol":"BTCUSDT","id":501,"orderId":28,"price":"61837.00000000","qty":"0.20000000","commission":"0.00020000","commissionAsset":"BTC","time":8,"isBuyer":true,"isMaker":false}]"#;

async fn submitted(reply: Reply) -> (Vec<OrderReportKind>, Http) {
    let server = Http::serve(move |_: &Request| reply.clone()).await;
    let reports = gateway(&server).submit(&order()).await;
    assert!(reports.iter().all(|report| report.client_order_id == id(42)));
    (reports.iter().map(|report| report.kind).collect(), server)
}

#[tokio::test]
async fn an_order_leaves_once_signed_as_a_form() {
    let (kinds, server) = submitted(Reply::Json(200, placed("NEW"))).await;
    assert!(matches!(kinds[..], [OrderReportKind::Accepted(venue)] if venue.0.as_str() == "28"));
    let [request] = &server.requests()[..] else {
        panic!("one request")
    };
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/api/v3/order")
    );
    assert_eq!(request.param("newClientOrderId").unwrap(), "e3-s1-42");
    assert_eq!(request.param("price").unwrap(), "61837.63");
    let headers = request.headers.to_ascii_lowercase();
    assert!(headers.contains(&format!("x-mbx-apikey: {API_KEY}")), "{headers}");
    assert!(
        headers.contains("content-type: application/x-www-form-urlencoded"),
        "{headers}"
    );

    let (payload, signature) = request.body.rsplit_once("&signature=").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(API_SECRET.as_bytes()).unwrap();
    mac.update(payload.as_bytes());
    let digits = mac.finalize().into_bytes();
    let digits: Vec<_> = digits.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = digits.concat();
    assert_eq!(signature, expected);
}

#[tokio::test]
async fn a_private_key_of_ed25519_signs_as_well_and_is_never_shown() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap();
    let server = Http::serve(|_: &Request| Reply::Json(200, placed("NEW"))).await;
    let credentials = Credentials::new(
        Secret::new(API_KEY.to_owned()).unwrap(),
        Secret::new(pem.to_string()).unwrap(),
    );
    let shown = format!("{credentials:?}");
    let clock = Arc::new(ServerClock::local());
    let rest = RestClient::new(server.settings(), Some(credentials), clock).unwrap();
    let gateway = Gateway::new(Arc::new(rest), instruments()).unwrap();
    let reports = gateway.submit(&order()).await;
    assert!(
        matches!(reports[0].kind, OrderReportKind::Accepted(_)),
        "{reports:?}"
    );

    let requests = server.requests();
    let (payload, signature) = requests[0].body.rsplit_once("&signature=").unwrap();
    let escapes = [("%2B", "+"), ("%2F", "/"), ("%3D", "=")];
    let signature = escapes.iter().fold(signature.to_owned(), |text, (escape, sign)| {
        text.replace(escape, sign)
    });
    let bytes: [u8; 64] = STANDARD.decode(signature).unwrap().try_into().unwrap();
    let signed = Signature::from_bytes(&bytes);
    key.verifying_key()
        .verify_strict(payload.as_bytes(), &signed)
        .unwrap();

    let secret = pem.lines().nth(1).unwrap();
    assert!(!shown.contains(secret) && !format!("{gateway:?}").contains(secret));
    let other = Secret::new("-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----".to_owned());
    let credentials = Credentials::new(Secret::new(API_KEY.to_owned()).unwrap(), other.unwrap());
    let clock = Arc::new(ServerClock::local());
    let error = RestClient::new(server.settings(), Some(credentials), clock).unwrap_err();
    assert!(error.is_fatal() && !error.to_string().contains("QUJD"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_comes_while_the_connection_is_made_keeps_the_order_back() {
    let server = Http::serve(|_: &Request| Reply::Json(200, placed("NEW"))).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = server.settings();
    settings.endpoints.rest = format!("http://{}", listener.local_addr().unwrap());
    let received = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let gateway = Gateway::new(client(settings), instruments()).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let look = LastLook::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
        false
    });
    let reports = gateway
        .submit_encoded(&order(), Bytes::from_static(b"symbol=BTCUSDT&signature=00"), look)
        .await;
    let kinds: Vec<_> = reports.iter().map(|report| report.kind).collect();
    assert_eq!(kinds, [OrderReportKind::NotSent]);
    assert_eq!(
        asked.load(Ordering::SeqCst),
        1,
        "asked once, on a connection that stood"
    );
    let received = String::from_utf8(received.join().unwrap()).unwrap();
    assert!(
        !received.contains("symbol="),
        "nothing of the order went out: {received}"
    );
}

#[tokio::test]
async fn an_answer_that_never_comes_leaves_the_outcome_unknown_and_is_not_sent_again() {
    for reply in [
        Reply::Close,
        Reply::Hang,
        Reply::Cut,
        Reply::Json(503, String::new()),
    ] {
        let (kinds, server) = submitted(reply.clone()).await;
        assert_eq!(kinds, [OrderReportKind::OutcomeUnknown], "{reply:?}");
        assert_eq!(server.requests().len(), 1, "{reply:?}: sent more than once");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (kinds, server) = submitted(Reply::With(307, "location: /elsewhere".to_owned(), String::new())).await;
    assert_eq!(kinds, [OrderReportKind::OutcomeUnknown]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn without_a_connection_nothing_is_sent() {
    let address = support::dead_address().await;
    let server = Http::serve(|_| Reply::Close).await;
    let mut settings = server.settings();
    settings.endpoints.rest = format!("http://{address}");
    let gateway = Gateway::new(client(settings), instruments()).unwrap();
    let kinds: Vec<_> = gateway
        .submit(&order())
        .await
        .iter()
        .map(|report| report.kind)
        .collect();
    assert_eq!(kinds, [OrderReportKind::NotSent]);
    let kinds: Vec<_> = gateway
        .cancel(&cancel())
        .await
        .iter()
        .map(|report| report.kind)
        .collect();
    assert_eq!(
        kinds,
        [OrderReportKind::CancelRejected(CancelRejectReason::Other)]
    );
}

#[tokio::test]
async fn what_cannot_be_said_is_not_sent() {
    let server = Http::serve(|_| Reply::Close).await;
    let gateway = gateway(&server);
    let wrong = [
        OrderRequest {
            price: None,
            ..order()
        },
        OrderRequest {
            instrument: InstrumentId(7),
            ..order()
        },
    ];
    for order in wrong {
        assert_eq!(gateway.submit(&order).await[0].kind, OrderReportKind::NotSent);
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn told_to_slow_down_nothing_more_leaves() {
    let body = r#"{"code":-1003,"msg":"Too much request weight used"}"#.to_owned();
    let server = Http::serve(move |_| Reply::With(429, "retry-after: 30".to_owned(), body.clone())).await;
    let gateway = gateway(&server);
    let reports = gateway.submit(&order()).await;
    assert_eq!(
        reports[0].kind,
        OrderReportKind::Rejected(RejectReason::RateLimit)
    );
    assert_eq!(gateway.submit(&order()).await[0].kind, OrderReportKind::NotSent);
    let kind = gateway.cancel(&cancel()).await[0].kind;
    assert_eq!(kind, OrderReportKind::CancelRejected(CancelRejectReason::Other));
    match gateway.open_orders(BTC).await {
        Err(VenueError::RateLimited { retry_after, .. }) => assert!(retry_after > Nanos::from_secs(25)),
        other => panic!("{other:?}"),
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_fifth_of_the_venues_weight_is_kept_for_cancels() {
    let server = Http::serve(|request| {
        let body = if request.method == "DELETE" {
            r#"{"code":-2011,"msg":"Unknown order sent."}"#.to_owned()
        } else {
            placed("NEW")
        };
        let status = if request.method == "DELETE" { 400 } else { 200 };
        Reply::With(status, "x-mbx-used-weight-1m: 4800".to_owned(), body)
    })
    .await;
    let gateway = gateway(&server);
    assert!(matches!(
        gateway.submit(&order()).await[0].kind,
        OrderReportKind::Accepted(_)
    ));
    assert_eq!(
        gateway.submit(&order()).await[0].kind,
        OrderReportKind::NotSent,
        "the venue counted 4,800"
    );
    let kind = gateway.cancel(&cancel()).await[0].kind;
    assert_eq!(
        kind,
        OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder)
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn questions_that_can_wait_leave_room_for_orders_cancels_and_books() {
    let server = Http::serve(|request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/api/v3/myTrades") => Reply::Json(200, "[]".to_owned()),
        ("DELETE", _) => Reply::Json(400, r#"{"code":-2011,"msg":"Unknown order sent."}"#.to_owned()),
        _ => Reply::Json(200, placed("NEW")),
    })
    .await;
    let gateway = gateway(&server);
    let mut asked = 0;
    // Longer than any account is: a comparison that is asked for again and again.
    while asked < 400 && gateway.spare_room().is_ok() {
        gateway.trades(InstrumentId(0), Timestamp::EPOCH).await.unwrap();
        asked += 1;
    }
    // Of 6,000 a minute, 20 each.
    assert_eq!(asked, 150);
    assert!(matches!(
        gateway.submit(&order()).await[0].kind,
        OrderReportKind::Accepted(_)
    ));
    let kind = gateway.cancel(&cancel()).await[0].kind;
    assert_eq!(
        kind,
        OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder)
    );
}

#[tokio::test]
async fn a_duplicate_is_looked_up_and_acknowledged() {
    let known = Arc::new(AtomicUsize::new(1));
    let script = Arc::clone(&known);
    let server = Http::serve(move |request| match request.method.as_str() {
        "POST" => Reply::Json(400, r#"{"code":-2010,"msg":"Duplicate order sent."}"#.to_owned()),
        _ if script.load(Ordering::SeqCst) == 1 => {
            Reply::Json(200, queried("e3-s1-42", "PARTIALLY_FILLED", "0.2"))
        }
        _ => Reply::Json(400, r#"{"code":-2013,"msg":"Order does not exist."}"#.to_owned()),
    })
    .await;
    let gateway = gateway(&server);
    let [accepted, found] = gateway.submit(&order()).await[..] else {
        panic!("two reports")
    };
    assert!(matches!(accepted.kind, OrderReportKind::Accepted(_)));
    let OrderReportKind::Found(snapshot) = found.kind else {
        panic!("{found:?}")
    };
    assert_eq!(
        (snapshot.status, snapshot.filled.to_string()),
        (OrderStatus::PartiallyFilled, "0.2".into())
    );
    known.store(0, Ordering::SeqCst);
    assert_eq!(
        gateway.submit(&order()).await[0].kind,
        OrderReportKind::OutcomeUnknown
    );
}

#[tokio::test]
async fn questions_are_signed_and_read() {
    let server = Http::serve(|request| {
        let body = match request.path.as_str() {
            "/api/v3/order" => {
                return Reply::Json(400, r#"{"code":-2013,"msg":"Order does not exist."}"#.to_owned());
            }
            "/api/v3/openOrders" if request.method == "GET" => format!(
                "[{},{}]",
                queried("e3-s1-42", "NEW", "0"),
                queried("web_9", "NEW", "0")
            ),
            "/api/v3/openOrders" => {
                return Reply::Json(400, r#"{"code":-2011,"msg":"Unknown order sent."}"#.to_owned());
            }
            "/api/v3/myTrades" => TRADES.to_owned(),
            "/api/v3/account" => r#"{"balances":[{"asset":"BTC","free":"1","locked":"0.5"}]}"#.to_owned(),
            other => panic!("{other}"),
        };
        Reply::Json(200, body)
    })
    .await;
    let gateway = gateway(&server);
    assert_eq!(gateway.query_order(&cancel()).await.unwrap(), None);
    let open = gateway.open_orders(BTC).await.unwrap();
    assert_eq!(
        (open[0].client_order_id, open[1].client_order_id),
        (Some(id(42)), None)
    );
    assert_eq!(gateway.cancel_all(BTC).await.unwrap(), []);
    let trades = gateway.trades(BTC, Timestamp::EPOCH).await.unwrap();
    assert_eq!(trades[0].fill.trade_id.0, 501);
    let balances = gateway.balances().await.unwrap();
    assert_eq!(balances[0].locked.to_string(), "0.5");
    let all_signed = server
        .requests()
        .iter()
        .all(|request| request.param("signature").is_some());
    assert!(all_signed);
}

#[tokio::test]
async fn an_error_never_shows_the_signature_or_the_key() {
    let server = Http::serve(|_| Reply::Close).await;
    let error = gateway(&server).open_orders(BTC).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(
        !text.contains("signature") && !text.contains(API_KEY) && !text.contains(API_SECRET),
        "{text}"
    );
}

/// A clock on which the venue's second passes in a millisecond.
fn compressed() -> Arc<ServerClock> {
    let clock = ServerClock::local();
    let sample = |server_ms| venues::clock::TimeSample {
        sent: clock.monotonic(),
        received: clock.monotonic(),
        server: Timestamp::from_millis(server_ms),
    };
    let (first, second) = (sample(1_000_000_000), sample(1_000_000_000));
    clock
        .anchor(first, second, Rate::Fixed(1_000 * REAL_TIME_PPB))
        .unwrap();
    Arc::new(clock)
}

fn resolving(server: &Http) -> (Gateway, UnknownOrder) {
    let mut settings = server.settings();
    settings.recv_window = Nanos::from_millis(20);
    settings.read_staleness = Nanos::from_millis(60);
    let clock = compressed();
    let rest = RestClient::new(
        settings,
        Some(support::credentials()),
        Arc::clone(&clock) as Arc<dyn Clock>,
    )
    .unwrap();
    let unknown = UnknownOrder {
        client_order_id: id(42),
        instrument: BTC,
        sent: clock.now(),
    };
    (Gateway::new(Arc::new(rest), instruments()).unwrap(), unknown)
}

#[tokio::test]
async fn an_order_that_only_the_trades_know_is_found_with_its_fills() {
    let server = Http::serve(|request| match request.path.as_str() {
        "/api/v3/order" if request.param("orderId").is_some() => {
            Reply::Json(200, queried("e3-s1-42", "FILLED", "0.2"))
        }
        "/api/v3/order" => Reply::Json(400, r#"{"code":-2013,"msg":"Order does not exist."}"#.to_owned()),
        "/api/v3/openOrders" => Reply::Json(200, "[]".to_owned()),
        _ => Reply::Json(200, TRADES.to_owned()),
    })
    .await;
    let (gateway, unknown) = resolving(&server);
    let [fill, found] = gateway.resolve(unknown).await[..] else {
        panic!("a fill and the state")
    };
    assert!(matches!(fill.kind, OrderReportKind::Filled(fill) if fill.trade_id.0 == 501));
    assert!(matches!(found.kind, OrderReportKind::Found(snapshot) if snapshot.status == OrderStatus::Filled));
    assert_eq!(server.count("POST", "/api/v3/order"), 0, "never sent again");
}

#[tokio::test]
async fn an_order_nobody_knows_is_not_found_after_the_full_wait() {
    let server = Http::serve(|request| match request.path.as_str() {
        "/api/v3/order" => Reply::Json(400, r#"{"code":-2013,"msg":"Order does not exist."}"#.to_owned()),
        _ => Reply::Json(200, "[]".to_owned()),
    })
    .await;
    let (gateway, unknown) = resolving(&server);
    let started = std::time::Instant::now();
    let reports = gateway.resolve(unknown).await;
    assert_eq!(reports[0].kind, OrderReportKind::NotFound);
    // Window, twice the staleness, and the skew.
    assert!(
        started.elapsed().as_millis() >= 20 + 2 * 60 + 250,
        "{:?}",
        started.elapsed()
    );
    assert_eq!(server.count("GET", "/api/v3/openOrders"), 1);
    assert_eq!(server.count("GET", "/api/v3/myTrades"), 1);
}

#[tokio::test]
async fn questions_that_fail_are_asked_again() {
    let failures = AtomicUsize::new(0);
    let server = Http::serve(move |request| {
        if failures.fetch_add(1, Ordering::SeqCst) < 2 {
            return Reply::Json(500, String::new());
        }
        let body = queried("e3-s1-42", "NEW", "0");
        match request.path.as_str() {
            "/api/v3/order" => Reply::Json(200, body),
            "/api/v3/openOrders" => Reply::Json(200, format!("[{body}]")),
            _ => Reply::Json(200, "[]".to_owned()),
        }
    })
    .await;
    let (gateway, unknown) = resolving(&server);
    let [found] = gateway.resolve(unknown).await[..] else {
        panic!("the state and no fills")
    };
    assert!(
        matches!(found.kind, OrderReportKind::Found(snapshot) if snapshot.status == OrderStatus::Accepted)
    );
    assert!(server.requests().len() >= 4);
}

#[tokio::test]
async fn time_is_anchored_to_the_venue_and_its_rate_measured() {
    let started = std::time::Instant::now();
    let server = Http::serve(move |_| {
        let venue_ms = 1_600_000_000_000 + i64::try_from(started.elapsed().as_micros()).unwrap();
        Reply::Json(200, format!(r#"{{"serverTime":{venue_ms}}}"#))
    })
    .await;
    let clock = Arc::new(ServerClock::local());
    let rest = RestClient::new(server.settings(), None, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    rest.anchor_clock(&clock, Rate::Estimated).await.unwrap();
    // A microsecond here is a millisecond there.
    let rate = clock.rate_ppb();
    assert!((900_000_000_000..1_100_000_000_000).contains(&rate), "{rate}");
    assert!(clock.now() > Timestamp::from_millis(1_600_000_000_000));
    rest.resync_clock(&clock).await.unwrap();
}

#[tokio::test]
async fn bars_are_paged_backward_and_only_complete_ones_kept() {
    const SPAN_MS: i64 = 60_000;
    let server = Http::serve(|request| {
        let end: i64 = request.param("endTime").unwrap().parse().unwrap();
        let limit: i64 = request.param("limit").unwrap().parse().unwrap();
        let last = end / SPAN_MS;
        // The venue's record begins at bar 100.
        let rows: Vec<_> = (last - limit + 1..=last)
            .filter(|number| *number >= 100)
            .map(|number| {
                format!(
                    r#"[{},"1","2","1","2","3",0,"0",0,"0","0","0"]"#,
                    number * SPAN_MS
                )
            })
            .collect();
        Reply::Json(200, format!("[{}]", rows.join(",")))
    })
    .await;
    let rest = client(server.settings());
    let table = instruments();
    let instrument = table.get(BTC).unwrap();
    let span = Nanos::from_millis(SPAN_MS);
    let before = Timestamp::from_millis(1_700 * SPAN_MS + 1);
    let bars = rest.bars(instrument, span, 1_500, before).await.unwrap();
    assert_eq!(bars.len(), 1_500);
    assert_eq!(bars[0].ts_open, Timestamp::from_millis(200 * SPAN_MS));
    assert_eq!(bars[1_499].ts_close(), Timestamp::from_millis(1_700 * SPAN_MS));
    assert!(bars.is_sorted_by(|one, next| one.ts_close() == next.ts_open));
    let all = rest.bars(instrument, span, 5_000, before).await.unwrap();
    assert_eq!(all.len(), 1_600, "no more than the venue has");
    assert!(rest.bars(instrument, Nanos(7), 1, before).await.is_err());
}

#[tokio::test]
async fn reading_is_tried_again_and_a_refusal_is_final() {
    let calls = Arc::new(AtomicUsize::new(0));
    let script = Arc::clone(&calls);
    let server = Http::serve(move |request| {
        let first = script.fetch_add(1, Ordering::SeqCst) == 0;
        match request.path.as_str() {
            "/api/v3/klines" if first => Reply::Json(502, String::new()),
            "/api/v3/klines" => Reply::Json(200, "[]".to_owned()),
            _ => Reply::Json(400, r#"{"code":-1121,"msg":"Invalid symbol."}"#.to_owned()),
        }
    })
    .await;
    let rest = client(server.settings());
    let table = instruments();
    let bars = rest
        .bars(
            table.get(BTC).unwrap(),
            Nanos::from_secs(60),
            1,
            Timestamp::from_millis(9_000_000),
        )
        .await;
    assert_eq!(bars.unwrap(), []);
    assert_eq!(server.count("GET", "/api/v3/klines"), 2);
    let refused = rest.instruments(&["BTCUSDT"]).await.unwrap_err();
    assert!(
        matches!(refused, VenueError::Refused { code: -1121, .. }),
        "{refused}"
    );
    assert_eq!(server.count("GET", "/api/v3/exchangeInfo"), 1);
    assert!(matches!(
        rest.instruments(&["BTC&X=1"]).await,
        Err(VenueError::UnknownSymbol { .. })
    ));
}

#[tokio::test]
async fn signed_requests_need_credentials() {
    let server = Http::serve(|_| Reply::Close).await;
    let rest = RestClient::new(server.settings(), None, Arc::new(ServerClock::local())).unwrap();
    let error = Gateway::new(Arc::new(rest), instruments()).unwrap_err();
    assert!(matches!(error, VenueError::NoCredentials) && error.is_fatal());
}
