//! Streams against a scripted server: every way a connection can end, and what its consumer learns.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use domain::{InstrumentId, Timestamp};
use futures_util::{SinkExt, StreamExt};
use support::{API_KEY, Http, Inbox, Reply, Sockets, client, eventually, instruments, queue, recorded};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use venues::binance::{MarketData, RestClient, Settings, account_feed, market_feed};
use venues::clock::ServerClock;
use venues::feeds::{FeedParts, resync_over_the_stream};
use venues::rate_limit::ConnectBudget;
use venues::retry::Jitter;
use venues::websocket::{ConnectionSettings, Judgement, Protocol};
use venues::{
    AccountFeed, Aside, DisconnectReason, FrameSink, MarketFeed, StreamMessage, StreamMessageKind,
    TrustedRoots, VenueError,
};

const TICKER: &str =
    r#"{"u":1,"s":"BTCUSDT","b":"1.00000000","B":"1.00000000","a":"2.00000000","A":"1.00000000"}"#;

type Socket = WebSocketStream<TcpStream>;

async fn say(socket: &mut Socket, text: &str) {
    // The client may be gone by now, on purpose.
    let _ = socket.send(Message::text(text)).await;
}

/// Reads until the client closes.
async fn listen(socket: &mut Socket) {
    while let Some(Ok(_)) = socket.next().await {}
}

async fn settings(sockets: &Sockets) -> (Http, Settings) {
    let http = Http::serve(|_| Reply::Json(500, String::new())).await;
    let mut settings = http.settings();
    settings.endpoints.stream = sockets.url();
    settings.endpoints.ws_api = sockets.url();
    (http, settings)
}

fn market(settings: Settings, sink: mpsc::Sender<StreamMessage>) -> MarketFeed {
    market_feed(&client(settings), &instruments(), Jitter::seeded(1), sink).unwrap()
}

async fn expect_disconnect(inbox: &mut Inbox, reason: DisconnectReason) {
    match inbox.next().await {
        StreamMessageKind::Disconnected(found) => assert_eq!(found, reason),
        other => panic!("expected {reason:?}, got {other:?}"),
    }
}

#[tokio::test]
async fn a_closed_connection_is_told_once_and_made_again() {
    let sockets = Sockets::serve(|mut socket, number| async move {
        say(&mut socket, &format!("{number}")).await;
        if number == 0 {
            let _ = socket.close(None).await;
        }
        listen(&mut socket).await;
    })
    .await;
    let (_http, settings) = settings(&sockets).await;
    let (sink, mut inbox) = queue(16);
    let feed = market(settings, sink);
    for number in ["0", "1"] {
        assert_eq!(inbox.next().await, StreamMessageKind::Connected);
        assert_eq!(inbox.next_frame().await, number);
        if number == "0" {
            expect_disconnect(&mut inbox, DisconnectReason::Closed).await;
        }
    }
    assert_eq!(feed.statistics().connected(), 2);
    feed.stop().await;
    expect_disconnect(&mut inbox, DisconnectReason::Stopped).await;
    assert!(inbox.is_empty());
}

#[tokio::test]
async fn a_venue_that_is_not_there_is_tried_until_it_is() {
    let address = support::dead_address().await;
    let (sink, mut inbox) = queue(16);
    let placeholder = Sockets::serve(|_, _| async {}).await;
    let (_http, mut settings) = settings(&placeholder).await;
    settings.endpoints.stream = format!("ws://{address}");
    let feed = market(settings, sink);
    let statistics = feed.statistics();
    eventually("two failures", || statistics.failed() >= 2).await;
    assert!(inbox.is_empty(), "nothing was up, so nothing is told");
    let listener = TcpListener::bind(address).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(socket).await.unwrap();
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    say(&mut socket, TICKER).await;
    assert_eq!(inbox.next_frame().await, TICKER);
    feed.stop().await;
}

#[tokio::test]
async fn pings_are_answered_with_their_payload() {
    let answered = Arc::new(Semaphore::new(0));
    let script = Arc::clone(&answered);
    let sockets = Sockets::serve(move |mut socket, _| {
        let answered = Arc::clone(&script);
        async move {
            let _ = socket
                .send(Message::Ping(Bytes::from_static(b"1723161255")))
                .await;
            while let Some(Ok(message)) = socket.next().await {
                if message == Message::Pong(Bytes::from_static(b"1723161255")) {
                    answered.add_permits(1);
                }
            }
        }
    })
    .await;
    let (_http, settings) = settings(&sockets).await;
    let (sink, _inbox) = queue(16);
    let feed = market(settings, sink);
    let permit = tokio::time::timeout(Duration::from_secs(5), answered.acquire()).await;
    assert!(permit.is_ok(), "no pong");
    feed.stop().await;
}

#[tokio::test]
async fn silence_without_even_a_pong_ends_the_connection() {
    let sockets = Sockets::serve(|socket, _| async move {
        // Neither reads nor writes: pings stay unanswered.
        std::future::pending::<()>().await;
        drop(socket);
    })
    .await;
    let (_http, mut settings) = settings(&sockets).await;
    settings.idle_timeout = Duration::from_millis(150);
    let (sink, mut inbox) = queue(16);
    let feed = market(settings, sink);
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    expect_disconnect(&mut inbox, DisconnectReason::Idle).await;
    feed.stop().await;
}

#[tokio::test]
async fn a_quiet_stream_that_answers_pings_stays_up() {
    let pings = Arc::new(AtomicUsize::new(0));
    let script = Arc::clone(&pings);
    let sockets = Sockets::serve(move |mut socket, _| {
        let pings = Arc::clone(&script);
        async move {
            while let Some(Ok(message)) = socket.next().await {
                if message.is_ping() && pings.fetch_add(1, Ordering::SeqCst) == 3 {
                    say(&mut socket, TICKER).await;
                }
            }
        }
    })
    .await;
    let (_http, mut settings) = settings(&sockets).await;
    // A ping each 400 ms: four of them outlast the timeout.
    settings.idle_timeout = Duration::from_millis(1_200);
    let (sink, mut inbox) = queue(16);
    let feed = market(settings, sink);
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    assert_eq!(inbox.next_frame().await, TICKER);
    assert_eq!(feed.statistics().connected(), 1);
    feed.stop().await;
}

#[tokio::test]
async fn a_consumer_that_takes_nothing_ends_the_connection_and_loses_no_word_of_it() {
    let sockets = Sockets::serve(|mut socket, _| async move {
        for _ in 0..8 {
            say(&mut socket, TICKER).await;
        }
        listen(&mut socket).await;
    })
    .await;
    let (_http, settings) = settings(&sockets).await;
    let (sink, mut inbox) = queue(2);
    let feed = market(settings, sink);
    let statistics = feed.statistics();
    // Connected and one ticker fit; the next waits, and then its end has to wait too.
    eventually("two stalls", || statistics.stalls() >= 2).await;
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    assert_eq!(inbox.next_frame().await, TICKER);
    expect_disconnect(&mut inbox, DisconnectReason::Overrun).await;
    assert_eq!(statistics.lost(DisconnectReason::Overrun), 1);
    feed.stop().await;
}

#[tokio::test]
async fn a_message_beyond_the_limit_ends_the_connection() {
    let sockets = Sockets::serve(|mut socket, number| async move {
        if number == 0 {
            say(&mut socket, &"x".repeat(venues::websocket::MESSAGE_BYTES_MAX)).await;
            say(&mut socket, &"x".repeat(venues::websocket::MESSAGE_BYTES_MAX + 1)).await;
        }
        listen(&mut socket).await;
    })
    .await;
    let (_http, settings) = settings(&sockets).await;
    let (sink, mut inbox) = queue(16);
    let feed = market(settings, sink);
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    assert_eq!(
        inbox.next_frame().await.len(),
        venues::websocket::MESSAGE_BYTES_MAX
    );
    expect_disconnect(&mut inbox, DisconnectReason::Failed).await;
    feed.stop().await;
}

#[tokio::test]
async fn an_announced_shutdown_is_passed_on_and_reconnected_at_once() {
    const SHUTDOWN: &str = r#"{"e":"serverShutdown","E":1770123456789}"#;
    let sockets = Sockets::serve(|mut socket, number| async move {
        say(&mut socket, if number == 0 { SHUTDOWN } else { TICKER }).await;
        listen(&mut socket).await;
    })
    .await;
    let (_http, settings) = settings(&sockets).await;
    let (sink, mut inbox) = queue(16);
    let feed = market(settings, sink);
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    assert_eq!(inbox.next_frame().await, SHUTDOWN);
    expect_disconnect(&mut inbox, DisconnectReason::Ended).await;
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    feed.stop().await;
}

#[tokio::test]
async fn snapshots_come_through_the_same_door_and_failures_are_asked_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let script = Arc::clone(&asked);
    let http = Http::serve(move |request| {
        assert_eq!(
            (request.path.as_str(), request.query.as_str()),
            ("/api/v3/depth", "symbol=BTCUSDT&limit=1000")
        );
        match script.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::Json(503, String::new()),
            _ => Reply::Json(200, "the snapshot".to_owned()),
        }
    })
    .await;
    let sockets = Sockets::serve(|mut socket, _| async move { listen(&mut socket).await }).await;
    let mut settings = http.settings();
    settings.endpoints.stream = sockets.url();
    let (sink, mut inbox) = queue(16);
    let feed = market(settings, sink);
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    let requester = feed.requester();
    for instrument in [0, 0, 9] {
        requester.request(InstrumentId(instrument));
    }
    let expected = StreamMessageKind::Snapshot {
        instrument: InstrumentId(0),
        body: Bytes::from_static(b"the snapshot"),
    };
    assert_eq!(inbox.next().await, expected);
    assert_eq!(
        asked.load(Ordering::SeqCst),
        2,
        "asked once, failed, asked again; the second wish was the same"
    );
    feed.stop().await;
}

fn ticker(number: u64) -> String {
    TICKER.replace("\"u\":1,", &format!("\"u\":{number},"))
}

#[tokio::test]
async fn a_new_connection_takes_over_without_a_missed_or_a_doubled_message() {
    let second = Arc::new(Semaphore::new(0));
    let script = Arc::clone(&second);
    let sockets = Sockets::serve(move |mut socket, number| {
        let second = Arc::clone(&script);
        async move {
            // The first one is behind and then ahead of the second one.
            let numbers = match number {
                0 => {
                    for number in [1, 2] {
                        say(&mut socket, &ticker(number)).await;
                    }
                    let _ = second.acquire().await;
                    3..=6
                }
                1 => {
                    second.add_permits(1);
                    4..=8
                }
                _ => return listen(&mut socket).await,
            };
            for number in numbers {
                say(&mut socket, &ticker(number)).await;
            }
            listen(&mut socket).await;
        }
    })
    .await;
    let (_http, mut settings) = settings(&sockets).await;
    settings.rotate_after = Duration::from_millis(100);
    let (sink, mut inbox) = queue(16);
    let feed = market(settings, sink);
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    for number in 1..=8 {
        assert_eq!(inbox.next_frame().await, ticker(number));
    }
    assert_eq!(feed.rotations(), 1);
    let statistics = feed.statistics();
    assert!(statistics.connected() >= 2 && statistics.reconnected() == 0);
    assert!(statistics.duplicates() >= 1, "4 came twice");
    feed.stop().await;
    expect_disconnect(&mut inbox, DisconnectReason::Stopped).await;
    assert!(inbox.is_empty());
}

#[tokio::test]
async fn a_new_connection_that_brings_nothing_is_dropped_and_tried_again_while_the_old_one_stays() {
    let third = Arc::new(Semaphore::new(0));
    let dropped = Arc::new(Semaphore::new(0));
    let script = (Arc::clone(&third), Arc::clone(&dropped));
    let sockets = Sockets::serve(move |mut socket, number| {
        let (third, dropped) = (Arc::clone(&script.0), Arc::clone(&script.1));
        async move {
            let numbers = match number {
                0 => {
                    say(&mut socket, &ticker(1)).await;
                    let _ = third.acquire().await;
                    2..=3
                }
                1 => {
                    listen(&mut socket).await;
                    return dropped.add_permits(1);
                }
                2 => {
                    let _ = dropped.acquire().await;
                    third.add_permits(1);
                    3..=5
                }
                _ => return listen(&mut socket).await,
            };
            for number in numbers {
                say(&mut socket, &ticker(number)).await;
            }
            listen(&mut socket).await;
        }
    })
    .await;
    let (_http, mut settings) = settings(&sockets).await;
    settings.rotate_after = Duration::from_millis(100);
    settings.rotate_within = Duration::from_secs(1);
    let (sink, mut inbox) = queue(16);
    let feed = market(settings, sink);
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    for number in 1..=5 {
        assert_eq!(inbox.next_frame().await, ticker(number));
    }
    assert_eq!(feed.rotations(), 1);
    feed.stop().await;
    expect_disconnect(&mut inbox, DisconnectReason::Stopped).await;
    assert!(inbox.is_empty());
}

#[tokio::test]
async fn a_new_connection_is_the_reconnect_when_the_old_one_is_lost_before_they_meet() {
    let second = Arc::new(Semaphore::new(0));
    let script = Arc::clone(&second);
    let sockets = Sockets::serve(move |mut socket, number| {
        let second = Arc::clone(&script);
        async move {
            match number {
                0 => {
                    say(&mut socket, &ticker(1)).await;
                    let _ = second.acquire().await;
                    let _ = socket.close(None).await;
                }
                1 => {
                    for number in [5, 6] {
                        say(&mut socket, &ticker(number)).await;
                    }
                    // Once the ping is answered, what came before it has been read.
                    let _ = socket.send(Message::Ping(Bytes::new())).await;
                    while let Some(Ok(message)) = socket.next().await {
                        if message.is_pong() {
                            second.add_permits(1);
                        }
                    }
                }
                _ => {}
            }
            listen(&mut socket).await;
        }
    })
    .await;
    let (_http, mut settings) = settings(&sockets).await;
    settings.rotate_after = Duration::from_millis(100);
    let (sink, mut inbox) = queue(16);
    let feed = market(settings, sink);
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    assert_eq!(inbox.next_frame().await, ticker(1));
    expect_disconnect(&mut inbox, DisconnectReason::Closed).await;
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    for number in [5, 6] {
        assert_eq!(inbox.next_frame().await, ticker(number));
    }
    assert_eq!(feed.rotations(), 0, "it was an interruption");
    assert_eq!(feed.statistics().reconnected(), 1);
    feed.stop().await;
}

/// A venue that sends a snapshot of a book to whoever subscribes to it.
struct Subscriptions(String);

impl Protocol for Subscriptions {
    fn name(&self) -> &'static str {
        "subscriptions"
    }

    fn url(&self) -> &str {
        &self.0
    }

    fn hello(&mut self) -> Result<Vec<String>, VenueError> {
        Ok(vec!["subscribe 0".to_owned()])
    }

    fn resync(&mut self, instrument: InstrumentId) -> Result<Vec<String>, VenueError> {
        let number = instrument.0;
        Ok(vec![
            format!("unsubscribe {number}"),
            format!("subscribe {number}"),
        ])
    }

    fn judge(&mut self, message: &[u8]) -> Judgement {
        if message.starts_with(b"subscribe") {
            Judgement::Ready
        } else {
            Judgement::Deliver
        }
    }
}

fn parts<S: FrameSink>(settings: &Settings, sink: S) -> FeedParts<S> {
    FeedParts {
        settings: ConnectionSettings {
            connect_timeout: settings.connect_timeout,
            idle_timeout: settings.idle_timeout,
            tls: TrustedRoots::Public.client_config().unwrap(),
            connects: ConnectBudget::default(),
        },
        clock: Arc::new(ServerClock::local()),
        jitter: Jitter::seeded(1),
        sink,
    }
}

#[tokio::test]
async fn a_book_is_begun_anew_over_the_stream_where_the_venue_has_it_so() {
    let sockets = Sockets::serve(|mut socket, _| async move {
        let mut subscribed = 0;
        while let Some(Ok(Message::Text(text))) = socket.next().await {
            subscribed += usize::from(text.starts_with("subscribe"));
            let snapshot = format!("snapshot {subscribed}");
            say(&mut socket, if subscribed > 1 { &snapshot } else { &text }).await;
        }
    })
    .await;
    let (_http, settings) = settings(&sockets).await;
    let (sink, mut inbox) = queue(16);
    let parts = parts(&settings, sink);
    let streams = Subscriptions(sockets.url());
    let feed = MarketFeed::spawn(streams, parts, &instruments(), resync_over_the_stream());
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    feed.requester().request(InstrumentId(0));
    assert_eq!(inbox.next_frame().await, "unsubscribe 0");
    assert_eq!(inbox.next_frame().await, "snapshot 2");
    assert_eq!(feed.statistics().connected(), 1);
    feed.stop().await;
    expect_disconnect(&mut inbox, DisconnectReason::Stopped).await;
}

#[tokio::test]
async fn more_than_may_wait_before_the_handshake_is_done_ends_the_attempt_under_its_own_name() {
    const TOO_MANY: usize = 4_097;
    let sockets = Sockets::serve(|mut socket, number| async move {
        let Some(Ok(Message::Text(asked))) = socket.next().await else {
            return;
        };
        for _ in 0..if number == 0 { TOO_MANY } else { TOO_MANY - 1 } {
            say(&mut socket, "{}").await;
        }
        say(&mut socket, &asked).await;
        listen(&mut socket).await;
    })
    .await;
    let (_http, settings) = settings(&sockets).await;
    let (sink, mut inbox) = queue(2 * TOO_MANY);
    let parts = parts(&settings, sink);
    let streams = Subscriptions(sockets.url());
    let feed = MarketFeed::spawn(streams, parts, &instruments(), resync_over_the_stream());
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    for _ in 1..TOO_MANY {
        assert_eq!(inbox.next_frame().await, "{}");
    }
    let statistics = feed.statistics();
    assert_eq!((statistics.failed(), statistics.early_overruns()), (1, 1));
    assert_eq!((statistics.connected(), statistics.reconnected()), (1, 0));
    assert_eq!(
        statistics.messages(),
        2 * u64::try_from(TOO_MANY).unwrap(),
        "what was let go was read"
    );
    feed.stop().await;
    assert_eq!(statistics.lost(DisconnectReason::Stopped), 1);
}

fn account(settings: Settings, sink: mpsc::Sender<StreamMessage>) -> AccountFeed {
    account_feed(&client(settings), Jitter::seeded(1), sink).unwrap()
}

#[tokio::test]
async fn the_account_is_up_only_when_the_subscription_is_confirmed() {
    let sockets = Sockets::serve(|mut socket, number| async move {
        let Some(Ok(Message::Text(text))) = socket.next().await else {
            return;
        };
        assert!(text.contains("userDataStream.subscribe.signature") && text.contains(API_KEY));
        if number == 0 {
            let refused =
                r#"{"id":"py-rt-subscribe","status":401,"error":{"code":-2015,"msg":"Invalid API-key."}}"#;
            say(&mut socket, refused).await;
        } else {
            say(
                &mut socket,
                r#"{"id":"py-rt-subscribe","status":200,"result":{"subscriptionId":0}}"#,
            )
            .await;
            say(
                &mut socket,
                r#"{"subscriptionId":0,"event":{"e":"balanceUpdate"}}"#,
            )
            .await;
            say(
                &mut socket,
                r#"{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1}}"#,
            )
            .await;
        }
        listen(&mut socket).await;
    })
    .await;
    let (_http, settings) = settings(&sockets).await;
    let (sink, mut inbox) = queue(16);
    let feed = account(settings, sink);
    assert_eq!(
        inbox.next().await,
        StreamMessageKind::Connected,
        "the refusal is not told as a connection"
    );
    assert_eq!(feed.statistics().failed(), 1);
    assert!(inbox.next_frame().await.contains("balanceUpdate"));
    assert!(inbox.next_frame().await.contains("eventStreamTerminated"));
    expect_disconnect(&mut inbox, DisconnectReason::Ended).await;
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    feed.stop().await;
}

/// Hears everything, as a recorder does.
struct Ear(Arc<Mutex<Vec<String>>>);

impl FrameSink for Ear {
    fn try_deliver(&mut self, message: StreamMessage) -> Result<(), StreamMessage> {
        let word = match message.kind {
            StreamMessageKind::Frame(frame) => String::from_utf8(frame.to_vec()).unwrap(),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(word);
        Ok(())
    }

    fn overhear(&mut self, _at: Timestamp, aside: Aside<'_>) {
        let word = match aside {
            Aside::Opened(url) => format!("opened {url}"),
            Aside::Sent(text) => format!("sent {}", text.contains("subscribe.signature")),
            Aside::Handshake(message) => format!("handshake {}", String::from_utf8_lossy(message)),
        };
        self.0.lock().unwrap().push(word);
    }
}

#[tokio::test]
async fn a_sink_may_hear_the_handshake_too() {
    const READY: &str = r#"{"id":"py-rt-subscribe","status":200,"result":{"subscriptionId":0}}"#;
    const EVENT: &str = r#"{"subscriptionId":0,"event":{"e":"balanceUpdate"}}"#;
    let sockets = Sockets::serve(|mut socket, _| async move {
        let _ = socket.next().await;
        say(&mut socket, READY).await;
        say(&mut socket, EVENT).await;
        listen(&mut socket).await;
    })
    .await;
    let (_http, settings) = settings(&sockets).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Ear(Arc::clone(&heard));
    let url = settings.endpoints.ws_api.clone();
    let feed = account_feed(&client(settings), Jitter::seeded(1), sink).unwrap();
    eventually("the event", || heard.lock().unwrap().len() >= 5).await;
    let expected = [
        format!("opened {url}"),
        "sent true".to_owned(),
        format!("handshake {READY}"),
        "Connected".to_owned(),
        EVENT.to_owned(),
    ];
    assert_eq!(*heard.lock().unwrap(), expected);
    feed.stop().await;
}

#[tokio::test]
async fn an_unanswered_subscription_is_given_up_and_tried_again() {
    let sockets = Sockets::serve(|mut socket, _| async move { listen(&mut socket).await }).await;
    let (_http, mut settings) = settings(&sockets).await;
    settings.connect_timeout = Duration::from_millis(100);
    let (sink, mut inbox) = queue(16);
    let feed = account(settings, sink);
    let statistics = feed.statistics();
    eventually("two attempts", || statistics.failed() >= 2).await;
    assert!(inbox.is_empty());
    feed.stop().await;
}

/// The whole way at full speed: socket, queue, parser, sequencer, snapshot over REST at the recorded moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recorded_session_over_a_socket_ends_in_the_recorded_state() {
    let Some(session) = recorded::session() else {
        return;
    };
    let lines: Vec<String> = session
        .lines()
        .map(|(_, body)| String::from_utf8(body.to_vec()).unwrap())
        .collect();
    let total = lines.len();
    let at = lines
        .iter()
        .position(|line| line.starts_with("{\"lastUpdateId\""))
        .unwrap();
    let snapshot = lines[at].clone();
    let fetched = Arc::new(Semaphore::new(0));
    let resume = Arc::clone(&fetched);
    let http = Http::serve(move |_| {
        resume.add_permits(1);
        Reply::Json(200, snapshot.clone())
    })
    .await;
    let lines = Arc::new(lines);
    let sockets = Sockets::serve(move |mut socket, _| {
        let (lines, fetched) = (Arc::clone(&lines), Arc::clone(&fetched));
        async move {
            for line in &lines[..at] {
                say(&mut socket, line).await;
            }
            let _ = fetched.acquire().await;
            for line in &lines[at + 1..] {
                say(&mut socket, line).await;
            }
            listen(&mut socket).await;
        }
    })
    .await;
    let mut settings = http.settings();
    settings.endpoints.stream = sockets.url();
    let (sink, mut inbox) = queue(4_096);
    let feed = market(settings, sink);
    let table = instruments();
    let mut data = MarketData::new(Arc::clone(&table), domain::Nanos(i64::MAX));
    let requester = feed.requester();
    let mut last = 0;
    while usize::try_from(data.statistics().messages).unwrap() < total {
        let message = inbox.0.recv().await.unwrap();
        let emit = &mut |event: domain::MarketEvent<'_>| {
            if let domain::MarketEvent::Book(update) = event {
                last = update.update_id;
            }
        };
        data.on_message(&message, emit).unwrap();
        while let Some(instrument) = data.take_snapshot_request() {
            requester.request(instrument);
        }
    }
    assert_eq!(last, 50_093_696_318);
    let book = data.sequencer_statistics(InstrumentId(0)).unwrap();
    assert_eq!(
        (book.gaps, book.snapshots_applied, book.best_mismatches),
        (0, 1, 0)
    );
    feed.stop().await;
}

/// A server with a certificate of its own authority; serves one message to each connection.
async fn tls_server() -> (std::net::SocketAddr, rcgen::Certificate) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(params, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(socket) = acceptor.accept(socket).await else {
                continue;
            };
            let Ok(mut socket) = tokio_tungstenite::accept_async(socket).await else {
                continue;
            };
            let _ = socket.send(Message::text(TICKER)).await;
            tokio::spawn(async move { while let Some(Ok(_)) = socket.next().await {} });
        }
    });
    (address, authority)
}

#[tokio::test]
async fn tls_is_verified() {
    let (address, authority) = tls_server().await;
    let mut settings = Settings::new(venues::binance::Endpoints::production());
    settings.connect_timeout = Duration::from_secs(1);
    settings.endpoints.stream = format!("wss://localhost:{}", address.port());
    settings.trusted_roots = TrustedRoots::Only(vec![authority.der().clone()]);
    let (sink, mut inbox) = queue(16);
    let feed = market(settings.clone(), sink);
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    assert_eq!(inbox.next_frame().await, TICKER);
    feed.stop().await;

    // The same server, and nobody vouches for it.
    settings.trusted_roots = TrustedRoots::Public;
    let rest = RestClient::new(settings, None, Arc::new(ServerClock::local())).unwrap();
    let (sink, mut inbox) = queue(16);
    let feed = market_feed(&Arc::new(rest), &instruments(), Jitter::seeded(1), sink).unwrap();
    let statistics = feed.statistics();
    eventually("a refusal", || statistics.failed() >= 1).await;
    assert!(inbox.is_empty());
    feed.stop().await;
}
