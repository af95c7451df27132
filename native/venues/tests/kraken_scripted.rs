//! Kraken's REST and sockets against scripted servers: every answer that a venue can give or withhold.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::{
    AmendRejectReason, AmendRequest, CancelRequest, ClientOrderId, Epoch, InstrumentId, Nanos, OrderReport,
    OrderReportKind, OrderRequest, OrderTerms, OrderType, Price, Quantity, RejectReason, Side, SlotId,
    TimeInForce,
};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::{Http, Inbox, Reply, Request, Sockets, dead_address, eventually, queue};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use venues::clock::ServerClock;
use venues::kraken::{
    Credentials, Endpoints, Gateway, RestClient, Settings, Signer, account_feed, market_feed,
};
use venues::retry::Jitter;
use venues::{
    DisconnectReason, Gateway as _, Instruments, LastLook, OrderEntry, Secret, StreamMessageKind, VenueError,
};

const API_KEY: &str = "the-api-key";
const API_SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TOKEN: &str = "the-socket-token";

const PAIRS: &str = r#"{"error":[],"result":{"XXBTZUSD":{"altname":"XBTUSD","wsname":"XBT/USD","base":"XXBT","quote":"ZUSD",
    "pair_decimals":1,"lot_decimals":8,"ordermin":"0.0001","costmin":"0.5","tick_size":"0.1","status":"online"}}}"#;

const PLACED: &str =
    r#"{"error":[],"result":{"descr":{"order":"buy 0.5 XBTUSD"},"txid":["OUF4EM-FRGI2-MQMWZD"]}}"#;

const ADD_ORDER: &str = "/0/private/AddOrder";

type Socket = WebSocketStream<TcpStream>;
type Heard = Arc<Mutex<Vec<Value>>>;

fn order() -> OrderRequest {
    OrderRequest {
        client_order_id: ClientOrderId {
            epoch: Epoch(3),
            slot: SlotId(1),
            counter: 42,
        },
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
        client_order_id: order().client_order_id,
        instrument: order().instrument,
    }
}

/// A venue that knows its instruments and hands out tokens; what it makes of an order is the test's.
async fn venue(orders: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Http {
    Http::serve(move |request| match request.path.as_str() {
        "/0/public/AssetPairs" => Reply::Json(200, PAIRS.to_owned()),
        "/0/private/GetWebSocketsToken" => Reply::Json(
            200,
            json!({"error": [], "result": {"token": TOKEN, "expires": 900}}).to_string(),
        ),
        _ => orders(request),
    })
    .await
}

async fn quiet() -> Http {
    venue(|_| Reply::Json(404, String::new())).await
}

fn settings(http: &Http) -> Settings {
    let mut settings = Settings::new(Endpoints::loopback(http.address.port()));
    settings.order_entry = OrderEntry::Rest;
    settings.request_timeout = Duration::from_millis(500);
    settings.connect_timeout = Duration::from_millis(400);
    settings
}

fn client(settings: Settings) -> Arc<RestClient> {
    let secret = |text: &str| Secret::new(text.to_owned()).unwrap();
    let credentials = Credentials::new(secret(API_KEY), secret(API_SECRET));
    let clock = Arc::new(ServerClock::local());
    Arc::new(RestClient::new(settings, Some(&credentials), clock).unwrap())
}

async fn table(rest: &RestClient) -> Arc<Instruments> {
    Arc::new(Instruments::new(rest.instruments(&["BTC/USD"]).await.unwrap()).unwrap())
}

async fn gateway(settings: Settings) -> Gateway {
    let rest = client(settings);
    let table = table(&rest).await;
    Gateway::new(rest, table).unwrap()
}

fn kinds(reports: &[OrderReport]) -> Vec<OrderReportKind> {
    reports.iter().map(|report| report.kind).collect()
}

/// What became of an order whose answer is this, and the server that gave it.
async fn submitted(reply: Reply) -> (Vec<OrderReportKind>, Http) {
    let server = venue(move |_| reply.clone()).await;
    let gateway = gateway(settings(&server)).await;
    let reports = gateway.submit(&order()).await;
    (kinds(&reports), server)
}

fn refusal(word: &str) -> Reply {
    Reply::Json(200, json!({ "error": [word] }).to_string())
}

#[tokio::test]
async fn an_order_leaves_signed_and_whole() {
    let (kinds, server) = submitted(Reply::Json(200, PLACED.to_owned())).await;
    assert!(
        matches!(kinds[..], [OrderReportKind::Accepted(id)] if id.0.as_str() == "OUF4EM-FRGI2-MQMWZD"),
        "{kinds:?}"
    );
    let requests = server.requests();
    let request = requests.iter().find(|request| request.path == ADD_ORDER).unwrap();
    let header = |name: &str| {
        let lines = request.headers.lines().filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.to_owned())
    };
    assert_eq!((request.method.as_str(), request.query.as_str()), ("POST", ""));
    assert_eq!(header("api-key").as_deref(), Some(API_KEY));
    assert!(header("user-agent").unwrap().starts_with("py_rt/"));
    assert_eq!(
        header("content-type").as_deref(),
        Some("application/x-www-form-urlencoded")
    );
    assert!(request.body.starts_with("nonce="), "{}", request.body);
    let nonce = request.param("nonce").unwrap().parse().unwrap();
    let signer = Signer::new(&Secret::new(API_SECRET.to_owned()).unwrap()).unwrap();
    let signature = signer.sign(ADD_ORDER, nonce, request.body.as_bytes());
    assert_eq!(header("api-sign"), Some(signature));
    for (name, value) in [
        ("pair", "XBTUSD"),
        ("type", "buy"),
        ("ordertype", "limit"),
        ("volume", "0.5"),
        ("price", "61837.6"),
        ("timeinforce", "GTC"),
        ("stptype", "cancel-newest"),
        ("cl_ord_id", "00000003-0001-8707-9727-40000000002a"),
    ] {
        assert_eq!(request.param(name).as_deref(), Some(value), "{name}");
    }
    assert!(request.param("deadline").is_some());
}

#[tokio::test]
async fn an_answer_that_never_comes_leaves_the_outcome_unknown_and_is_not_sent_again() {
    for reply in [
        Reply::Close,
        Reply::Hang,
        Reply::Cut,
        Reply::Json(503, String::new()),
        Reply::Json(502, "<html>".to_owned()),
        Reply::Json(200, "{}".to_owned()),
        Reply::Json(200, r#"{"error":[],"result":{}}"#.to_owned()),
        // The venue's own status is 200, whatever it says.
        Reply::Json(500, PLACED.to_owned()),
        refusal("EGeneral:Internal error"),
        refusal("EService:Unavailable"),
        refusal("EService:Deadline elapsed"),
        refusal("EOrder:A word of next year"),
    ] {
        let (kinds, server) = submitted(reply.clone()).await;
        assert_eq!(kinds, [OrderReportKind::OutcomeUnknown], "{reply:?}");
        assert_eq!(server.count("POST", ADD_ORDER), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn a_definite_no_is_told_as_one() {
    for (word, reason) in [
        ("EOrder:Insufficient funds", RejectReason::InsufficientBalance),
        ("EOrder:Post only order", RejectReason::WouldTake),
        ("EAPI:Invalid nonce", RejectReason::Authentication),
        ("EService:Market in cancel_only mode", RejectReason::NotTrading),
    ] {
        let (kinds, server) = submitted(refusal(word)).await;
        assert_eq!(kinds, [OrderReportKind::Rejected(reason)], "{word}");
        assert_eq!(server.count("POST", ADD_ORDER), 1);
    }
}

const OPEN: &str = r#"{"error":[],"result":{"open":{"OUF4EM-FRGI2-MQMWZD":{"cl_ord_id":"00000003-0001-8707-9727-40000000002a",
    "status":"open","opentm":1688665496.7808,"descr":{"pair":"XBTUSD","type":"buy","ordertype":"limit","price":"61837.6"},
    "vol":"0.5","vol_exec":"0","oflags":"fciq"}}}}"#;

#[tokio::test]
async fn canceling_all_believes_no_answer_that_does_not_say_so_and_of_nothing_it_is_done() {
    for (result, kind) in [
        (r#"{"count":1}"#, Some(OrderReportKind::Canceled)),
        (
            r#"{"count":1,"pending":true}"#,
            Some(OrderReportKind::OutcomeUnknown),
        ),
        ("{}", Some(OrderReportKind::OutcomeUnknown)),
        // It had ended by itself.
        (r#"{"count":0}"#, None),
    ] {
        let looks = AtomicUsize::new(0);
        let server = venue(move |request| match request.path.as_str() {
            "/0/private/OpenOrders" if looks.fetch_add(1, Ordering::SeqCst) == 0 => {
                Reply::Json(200, OPEN.to_owned())
            }
            "/0/private/OpenOrders" => Reply::Json(200, r#"{"error":[],"result":{"open":{}}}"#.to_owned()),
            _ => Reply::Json(200, format!(r#"{{"error":[],"result":{result}}}"#)),
        })
        .await;
        let gateway = gateway(settings(&server)).await;
        let reports = gateway.cancel_all(InstrumentId(0)).await.unwrap();
        assert_eq!(kinds(&reports), Vec::from_iter(kind), "{result}");
        assert_eq!(gateway.cancel_all(InstrumentId(0)).await.unwrap(), []);
        assert_eq!(server.count("POST", "/0/private/CancelOrder"), 1);
    }
}

#[tokio::test]
async fn a_signed_request_follows_no_redirect() {
    let elsewhere = quiet().await;
    for status in [301, 302, 307, 308] {
        let header = format!("location: http://{}{ADD_ORDER}", elsewhere.address);
        let (kinds, server) = submitted(Reply::With(status, header, String::new())).await;
        assert_eq!(kinds, [OrderReportKind::OutcomeUnknown], "{status}");
        assert_eq!(server.count("POST", ADD_ORDER), 1);
    }
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_venue_that_is_not_there_got_no_order() {
    let last = |_: &Request| Reply::With(200, "connection: close".to_owned(), PAIRS.to_owned());
    let server = Http::serve(last).await;
    let gateway = gateway(settings(&server)).await;
    drop(server);
    let reports = gateway.submit(&order()).await;
    assert_eq!(kinds(&reports), [OrderReportKind::NotSent]);
}

#[tokio::test]
async fn a_venue_that_asks_to_slow_down_is_left_alone() {
    for reply in [
        refusal("EAPI:Rate limit exceeded"),
        Reply::With(429, "retry-after: 60".to_owned(), String::new()),
    ] {
        let server = venue(move |_| reply.clone()).await;
        let gateway = gateway(settings(&server)).await;
        gateway.submit(&order()).await;
        assert_eq!(kinds(&gateway.submit(&order()).await), [OrderReportKind::NotSent]);
        let listed = gateway.balances().await;
        assert!(
            matches!(listed, Err(VenueError::RateLimited { .. })),
            "{listed:?}"
        );
        assert_eq!(server.count("POST", ADD_ORDER), 1);
        assert_eq!(server.count("POST", "/0/private/BalanceEx"), 0);
    }
}

#[tokio::test]
async fn an_order_that_is_stopped_at_the_last_moment_does_not_leave() {
    let server = quiet().await;
    let gateway = gateway(settings(&server)).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let look = LastLook::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
        false
    });
    let order = order();
    let mut body = Vec::new();
    let rest = client(settings(&server));
    let listed = rest.instruments(&["BTC/USD"]).await.unwrap();
    let mut encoder = gateway.encoder();
    encoder
        .encode_new_order(&order, &listed[0], rest.clock().now(), &mut body)
        .unwrap();
    let reports = gateway.submit_encoded(&order, body.into(), look).await;
    assert_eq!(kinds(&reports), [OrderReportKind::NotSent]);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(server.count("POST", ADD_ORDER), 0);
}

#[tokio::test]
async fn a_change_that_is_stopped_at_the_last_moment_does_not_leave() {
    let server = venue(|_| Reply::Json(200, r#"{"error":[],"result":{"amend_id":"TX"}}"#.to_owned())).await;
    let gateway = gateway(settings(&server)).await;
    let terms = OrderTerms {
        price: order().price.unwrap(),
        quantity: order().quantity,
    };
    let change = AmendRequest {
        client_order_id: order().client_order_id,
        instrument: order().instrument,
        terms,
    };
    let reports = gateway.amend_order(&change, LastLook::new(|| false)).await;
    let stopped = OrderReportKind::AmendRejected(AmendRejectReason::Other);
    assert_eq!(kinds(&reports), [stopped]);
    assert_eq!(server.count("POST", "/0/private/AmendOrder"), 0);
    let reports = gateway.amend_order(&change, LastLook::always()).await;
    assert_eq!(kinds(&reports), [OrderReportKind::Amended(terms)]);
    assert_eq!(server.count("POST", "/0/private/AmendOrder"), 1);
}

#[tokio::test]
async fn nothing_can_be_traded_before_its_names_are_known() {
    let server = quiet().await;
    let rest = client(settings(&server));
    assert!(matches!(
        rest.names(),
        Err(VenueError::Setting {
            setting: "instruments",
            ..
        })
    ));
    let none = Arc::new(Instruments::new(Vec::new()).unwrap());
    assert!(matches!(
        Gateway::new(Arc::clone(&rest), none),
        Err(VenueError::Setting { .. })
    ));
    let unknown = rest.instruments(&["NOT/HERE"]).await;
    assert!(
        matches!(unknown, Err(VenueError::UnknownSymbol { .. })),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn no_secret_is_ever_printed() {
    let server = venue(|_| Reply::Close).await;
    let rest = client(settings(&server));
    let table = table(&rest).await;
    let gateway = Gateway::new(Arc::clone(&rest), table).unwrap();
    let error = gateway.balances().await.unwrap_err();
    let text = format!("{rest:?} {gateway:?} {error:?} {error}");
    for hidden in [API_KEY, API_SECRET, "api-sign", "nonce="] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
}

async fn say(socket: &mut Socket, message: &Value) {
    // The client may be gone by now, on purpose.
    let _ = socket.send(Message::text(message.to_string())).await;
}

/// The next request, after it was written down.
async fn hear(socket: &mut Socket, heard: &Heard) -> Option<Value> {
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Text(text) = message {
            let request: Value = serde_json::from_str(text.as_str()).unwrap();
            heard.lock().unwrap().push(request.clone());
            return Some(request);
        }
    }
    None
}

/// Reads, and so answers pings, until the client closes.
async fn listen(socket: &mut Socket, heard: &Heard) {
    while hear(socket, heard).await.is_some() {}
}

fn confirmed(request: &Value) -> Value {
    let mut result = json!({"channel": request["params"]["channel"]});
    if let Some(depth) = request["params"].get("depth") {
        result["depth"] = depth.clone();
    }
    json!({"method": "subscribe", "req_id": request.get("req_id"), "success": true, "result": result,
        "time_in": "2026-08-09T10:00:00.000000Z", "time_out": "2026-08-09T10:00:00.000001Z"})
}

/// Confirms the subscriptions to the account's channels: one each request.
async fn confirm(socket: &mut Socket, heard: &Heard, count: usize) {
    for _ in 0..count {
        let Some(request) = hear(socket, heard).await else {
            return;
        };
        let mut answer = confirmed(&request);
        if request.get("req_id").is_none() {
            answer.as_object_mut().unwrap().remove("req_id");
        }
        say(socket, &answer).await;
    }
}

fn methods(heard: &Heard) -> Vec<String> {
    let heard = heard.lock().unwrap();
    heard
        .iter()
        .map(|request| request["method"].as_str().unwrap().to_owned())
        .collect()
}

fn count(heard: &Heard, method: &str) -> usize {
    methods(heard).iter().filter(|found| *found == method).count()
}

/// What the venue does with an order on its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    ClosesFirst,
    NeverAnswers,
    AnswersAnother,
    Accepts,
}

async fn orders_over(fate: Fate, heard: &Heard) -> Sockets {
    let heard = Arc::clone(heard);
    Sockets::serve(move |mut socket, _| {
        let heard = Arc::clone(&heard);
        async move {
            confirm(&mut socket, &heard, 1).await;
            let Some(request) = hear(&mut socket, &heard).await else {
                return;
            };
            let number = request["req_id"].as_u64().unwrap();
            let accepted = |number: u64| {
                json!({"method": request["method"], "req_id": number, "success": true,
                    "result": {"order_id": "OUF4EM-FRGI2-MQMWZD"}})
            };
            match fate {
                Fate::ClosesFirst => return,
                Fate::NeverAnswers => {}
                Fate::AnswersAnother => say(&mut socket, &accepted(number + 1)).await,
                Fate::Accepts => say(&mut socket, &accepted(number)).await,
            }
            listen(&mut socket, &heard).await;
        }
    })
    .await
}

async fn socket_gateway(http: &Http, sockets: &Sockets) -> Gateway {
    let mut settings = settings(http);
    settings.order_entry = OrderEntry::WebSocket;
    settings.endpoints.private = sockets.url();
    let gateway = gateway(settings).await;
    eventually("orders may leave", || gateway.is_open()).await;
    gateway
}

#[tokio::test]
async fn an_order_on_a_socket_without_its_answer_is_unknown_and_not_sent_again() {
    for fate in [Fate::ClosesFirst, Fate::NeverAnswers, Fate::AnswersAnother] {
        let heard = Heard::default();
        let (http, sockets) = (quiet().await, orders_over(fate, &heard).await);
        let gateway = socket_gateway(&http, &sockets).await;
        let reports = kinds(&gateway.submit(&order()).await);
        assert_eq!(reports, [OrderReportKind::OutcomeUnknown], "{fate:?}");
        if fate == Fate::ClosesFirst {
            // It connects again, and says nothing of what was lost.
            eventually("up again", || gateway.is_open()).await;
        }
        assert_eq!(count(&heard, "add_order"), 1, "{fate:?}");
        assert_eq!(http.count("POST", ADD_ORDER), 0, "{fate:?}");
    }
}

#[tokio::test]
async fn an_order_on_a_socket_is_whole_and_answered_by_its_number() {
    let heard = Heard::default();
    let (http, sockets) = (quiet().await, orders_over(Fate::Accepts, &heard).await);
    let gateway = socket_gateway(&http, &sockets).await;
    let reports = kinds(&gateway.submit(&order()).await);
    assert!(
        matches!(reports[..], [OrderReportKind::Accepted(id)] if id.0.as_str() == "OUF4EM-FRGI2-MQMWZD"),
        "{reports:?}"
    );
    let heard = heard.lock().unwrap();
    let params = &heard[1]["params"];
    for (name, value) in [
        ("symbol", json!("BTC/USD")),
        ("side", json!("buy")),
        ("order_type", json!("limit")),
        ("order_qty", json!(0.5)),
        ("limit_price", json!(61_837.6)),
        ("time_in_force", json!("gtc")),
        ("stp_type", json!("cancel_newest")),
        ("cl_ord_id", json!("00000003-0001-8707-9727-40000000002a")),
        ("token", json!(TOKEN)),
    ] {
        assert_eq!(params[name], value, "{name}");
    }
    assert!(params["deadline"].is_string());
    assert!(!format!("{gateway:?}").contains(TOKEN));
}

#[tokio::test]
async fn an_order_that_is_stopped_at_the_last_moment_is_not_on_the_socket() {
    let heard = Heard::default();
    let (http, sockets) = (quiet().await, orders_over(Fate::NeverAnswers, &heard).await);
    let gateway = socket_gateway(&http, &sockets).await;
    let (order, head) = (order(), br#"{"method":"add_order","params":{"symbol":"BTC/USD""#);
    let look = LastLook::new(|| false);
    let reports = gateway.submit_encoded(&order, head.to_vec().into(), look).await;
    assert_eq!(kinds(&reports), [OrderReportKind::NotSent]);
    // The next goes out, and is the first that the venue hears of.
    gateway.cancel(&cancel()).await;
    assert_eq!(methods(&heard), ["subscribe", "cancel_order"]);
}

#[tokio::test]
async fn while_the_socket_is_down_no_order_leaves_and_a_cancel_goes_over_rest() {
    let canceled = |_: &Request| Reply::Json(200, r#"{"error":[],"result":{"count":1}}"#.to_owned());
    let http = venue(canceled).await;
    let mut settings = settings(&http);
    settings.order_entry = OrderEntry::WebSocket;
    settings.endpoints.private = format!("ws://{}", dead_address().await);
    let gateway = gateway(settings).await;
    assert!(!gateway.is_open());
    assert_eq!(kinds(&gateway.submit(&order()).await), [OrderReportKind::NotSent]);
    assert_eq!(http.count("POST", ADD_ORDER), 0);
    let reports = kinds(&gateway.cancel(&cancel()).await);
    assert_eq!(reports, [OrderReportKind::Canceled]);
    assert_eq!(http.count("POST", "/0/private/CancelOrder"), 1);
}

#[tokio::test]
async fn a_refused_subscription_brings_no_account() {
    let heard = Heard::default();
    let sockets = {
        let heard = Arc::clone(&heard);
        Sockets::serve(move |mut socket, _| {
            let heard = Arc::clone(&heard);
            async move {
                confirm(&mut socket, &heard, 1).await;
                let Some(request) = hear(&mut socket, &heard).await else {
                    return;
                };
                let refused = json!({"method": "subscribe", "req_id": request["req_id"], "success": false,
                    "error": "EAccount:Invalid permissions"});
                say(&mut socket, &refused).await;
                listen(&mut socket, &heard).await;
            }
        })
        .await
    };
    let http = quiet().await;
    let mut settings = settings(&http);
    settings.endpoints.private = sockets.url();
    let (sink, mut inbox) = queue(16);
    let feed = account_feed(&client(settings), Jitter::seeded(1), sink).unwrap();
    let statistics = feed.statistics();
    eventually("two failures", || statistics.failed() >= 2).await;
    assert_eq!(statistics.connected(), 0);
    assert!(inbox.is_empty());
    feed.stop().await;
    assert!(
        http.count("POST", "/0/private/GetWebSocketsToken") >= 2,
        "each attempt asks for a token of its own"
    );
}

/// What the venue makes of the subscription to a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    AsAsked,
    Refused,
    Another,
}

fn book_answer(request: &Value, depth: Depth) -> Value {
    let mut answer = confirmed(request);
    answer.as_object_mut().unwrap().remove("req_id");
    if request["params"]["channel"] == "book" {
        match depth {
            Depth::AsAsked => {}
            Depth::Another => answer["result"]["depth"] = json!(10),
            Depth::Refused => {
                answer = json!({"method": "subscribe", "success": false, "symbol": "BTC/USD",
                    "error": "Subscription depth not supported"});
            }
        }
    }
    answer
}

async fn market_sockets<F, Fut>(depth: Depth, then: F) -> Sockets
where
    F: Fn(Socket, usize) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let then = Arc::new(then);
    Sockets::serve(move |mut socket, number| {
        let then = Arc::clone(&then);
        async move {
            let heard = Heard::default();
            for _ in 0..2 {
                let Some(request) = hear(&mut socket, &heard).await else {
                    return;
                };
                say(&mut socket, &book_answer(&request, depth)).await;
            }
            then(socket, number).await;
        }
    })
    .await
}

struct Market {
    feed: venues::MarketFeed,
    inbox: Inbox,
    _http: Http,
}

async fn market(sockets: &Sockets, change: impl Fn(&mut Settings)) -> Market {
    let http = quiet().await;
    let mut settings = settings(&http);
    settings.endpoints.stream = sockets.url();
    change(&mut settings);
    let rest = client(settings);
    let table = table(&rest).await;
    let (sink, inbox) = queue(256);
    Market {
        feed: market_feed(&rest, &table, Jitter::seeded(1), sink).unwrap(),
        inbox,
        _http: http,
    }
}

/// What comes next but heartbeats.
async fn next(inbox: &mut Inbox) -> StreamMessageKind {
    loop {
        match inbox.next().await {
            StreamMessageKind::Frame(frame) if frame.starts_with(br#"{"channel":"heartbeat""#) => {}
            other => return other,
        }
    }
}

async fn expect_disconnect(inbox: &mut Inbox, reason: DisconnectReason) {
    assert_eq!(next(inbox).await, StreamMessageKind::Disconnected(reason));
}

#[tokio::test]
async fn a_book_of_another_depth_is_an_error_and_not_silence() {
    for depth in [Depth::Refused, Depth::Another] {
        let sockets = market_sockets(depth, |mut socket, _| async move {
            listen(&mut socket, &Heard::default()).await;
        })
        .await;
        let mut market = market(&sockets, |_| {}).await;
        let statistics = market.feed.statistics();
        eventually("two failures", || statistics.failed() >= 2).await;
        assert_eq!(statistics.connected(), 0, "{depth:?}");
        assert!(market.inbox.is_empty(), "{depth:?}");
        market.feed.stop().await;
    }
}

#[tokio::test]
async fn a_socket_that_only_answers_pings_is_dead() {
    let sockets = market_sockets(Depth::AsAsked, |mut socket, _| async move {
        listen(&mut socket, &Heard::default()).await;
    })
    .await;
    let mut market = market(&sockets, |settings| {
        settings.idle_timeout = Duration::from_millis(200);
    })
    .await;
    assert_eq!(market.inbox.next().await, StreamMessageKind::Connected);
    expect_disconnect(&mut market.inbox, DisconnectReason::Idle).await;
    assert_eq!(market.inbox.next().await, StreamMessageKind::Connected);
    market.feed.stop().await;
}

#[tokio::test]
async fn after_maintenance_the_venue_is_left_alone_for_a_while() {
    let sockets = market_sockets(Depth::AsAsked, |mut socket, number| async move {
        let system = if number == 0 { "maintenance" } else { "online" };
        let status = json!({"channel": "status", "type": "update", "data": [{"version": "2.0.0",
            "system": system, "api_version": "v2", "connection_id": 13_834_774_380_200_032_777_u64}]});
        say(&mut socket, &status).await;
        if number == 0 {
            let _ = socket.close(None).await;
        }
        listen(&mut socket, &Heard::default()).await;
    })
    .await;
    let mut market = market(&sockets, |_| {}).await;
    assert_eq!(market.inbox.next().await, StreamMessageKind::Connected);
    let status = market.inbox.next_frame().await;
    assert!(status.contains("maintenance"), "{status}");
    expect_disconnect(&mut market.inbox, DisconnectReason::Closed).await;
    let since = Instant::now();
    assert_eq!(market.inbox.next().await, StreamMessageKind::Connected);
    assert!(since.elapsed() >= Duration::from_secs(5), "{:?}", since.elapsed());
    market.feed.stop().await;
}

#[tokio::test]
async fn a_book_asked_for_anew_is_subscribed_for_anew_on_the_same_connection() {
    let heard = Heard::default();
    let sockets = {
        let heard = Arc::clone(&heard);
        market_sockets(Depth::AsAsked, move |mut socket, _| {
            let heard = Arc::clone(&heard);
            async move {
                while let Some(request) = hear(&mut socket, &heard).await {
                    let mut answer = book_answer(&request, Depth::AsAsked);
                    answer["method"] = request["method"].clone();
                    say(&mut socket, &answer).await;
                }
            }
        })
        .await
    };
    let mut market = market(&sockets, |_| {}).await;
    assert_eq!(market.inbox.next().await, StreamMessageKind::Connected);
    market.feed.requester().request(InstrumentId(0));
    eventually("asked anew", || heard.lock().unwrap().len() == 2).await;
    {
        let heard = heard.lock().unwrap();
        assert_eq!(
            (&heard[0]["method"], &heard[1]["method"]),
            (&json!("unsubscribe"), &json!("subscribe"))
        );
        assert_eq!(heard[1]["params"]["symbol"], json!(["BTC/USD"]));
        assert_eq!(heard[1]["params"]["depth"], json!(100));
    }
    assert_eq!(market.feed.statistics().connected(), 1);
    market.feed.stop().await;
}

#[tokio::test]
async fn settings_of_times_that_cannot_work_are_refused() {
    let server = quiet().await;
    let mut wrong = settings(&server);
    wrong.deadline = Nanos::from_millis(500);
    let made = RestClient::new(wrong, None, Arc::new(ServerClock::local()));
    assert!(matches!(
        made,
        Err(VenueError::Setting {
            setting: "deadline",
            ..
        })
    ));
}
