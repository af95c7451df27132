//! Books that are asked for anew: what was asked of one connection is not believed on the next, and no book waits for
//! another's pause.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{InstrumentId, Level, MarketEvent, Nanos};
use futures_util::{SinkExt, StreamExt};
use support::{Http, Inbox, Reply, Sockets, client, eventually, instrument, instruments, queue};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use venues::binance::{MarketData, market_feed};
use venues::clock::ServerClock;
use venues::feeds::{FeedParts, Resync};
use venues::rate_limit::ConnectBudget;
use venues::retry::Jitter;
use venues::websocket::{ConnectionSettings, Injected, Judgement, Protocol};
use venues::{
    DisconnectReason, Instruments, MarketFeed, ResyncRequester, StreamMessageKind, TrustedRoots, VenueError,
};

const BTC: InstrumentId = InstrumentId(0);

const TICKER: &str =
    r#"{"u":25,"s":"BTCUSDT","b":"1.00000000","B":"1.00000000","a":"2.00000000","A":"1.00000000"}"#;

fn snapshot(number: u64) -> String {
    format!(
        r#"{{"lastUpdateId":{number},"bids":[["{number}.00000000","1.00000000"]],"asks":[["101.00000000","1.00000000"]]}}"#
    )
}

/// Reads until the client closes.
async fn listen(socket: &mut WebSocketStream<TcpStream>) {
    while let Some(Ok(_)) = socket.next().await {}
}

/// The reader of the stream, its inbox, and whom it asks.
struct Session {
    inbox: Inbox,
    data: MarketData,
    requester: ResyncRequester,
}

impl Session {
    /// Takes the next message in, with all that the reader wants after it.
    async fn step(&mut self) -> StreamMessageKind {
        let message = self.inbox.next_message().await;
        let _ = self.data.on_message(&message, &mut |_: MarketEvent<'_>| {});
        self.requester.pass_on(&mut self.data);
        message.kind
    }

    fn best_bid(&self) -> Option<Level> {
        self.data.best(BTC).0
    }
}

/// When the answer to what the first connection asked comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Released {
    BeforeTheNextConnection,
    OnTheNextConnection,
}

#[tokio::test]
async fn a_snapshot_asked_for_on_a_connection_that_was_lost_is_not_believed_on_the_next() {
    for released in [Released::BeforeTheNextConnection, Released::OnTheNextConnection] {
        let (asked, held) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let script = (Arc::clone(&asked), Arc::clone(&held), AtomicUsize::new(0));
        let http = Http::serve(move |_| {
            script.0.add_permits(1);
            match script.2.fetch_add(1, Ordering::SeqCst) {
                0 => Reply::Held(Arc::clone(&script.1), snapshot(10)),
                _ => Reply::Json(200, snapshot(20)),
            }
        })
        .await;
        let drop_it = Arc::new(Semaphore::new(0));
        let script = Arc::clone(&drop_it);
        let sockets = Sockets::serve(move |mut socket, number| {
            let drop_it = Arc::clone(&script);
            async move {
                if number == 0 {
                    drop_it.acquire().await.unwrap().forget();
                    let _ = socket.close(None).await;
                }
                // Quiet: nothing that would show a hole.
                listen(&mut socket).await;
            }
        })
        .await;
        let mut settings = http.settings();
        settings.endpoints.stream = sockets.url();
        settings.request_timeout = Duration::from_secs(10);
        let (sink, inbox) = queue(16);
        let feed = market_feed(&client(settings), &instruments(), Jitter::seeded(1), sink).unwrap();
        let mut session = Session {
            inbox,
            data: MarketData::new(instruments(), Nanos::from_secs(5)),
            requester: feed.requester(),
        };
        assert_eq!(session.step().await, StreamMessageKind::Connected);
        asked.acquire().await.unwrap().forget();
        drop_it.add_permits(1);
        let end = StreamMessageKind::Disconnected(DisconnectReason::Closed);
        assert_eq!(session.step().await, end);
        if released == Released::BeforeTheNextConnection {
            held.add_permits(1);
        }
        assert_eq!(session.step().await, StreamMessageKind::Connected);
        held.add_permits(1);
        let StreamMessageKind::Snapshot { body, .. } = session.step().await else {
            panic!("{released:?}: nothing but a snapshot was to come");
        };
        assert_eq!(body, snapshot(20).as_bytes(), "{released:?}");
        assert_eq!(session.best_bid().unwrap().price.units(), 20 * 100_000_000);
        feed.stop().await;
    }
}

#[tokio::test]
async fn a_new_connection_is_not_given_up_for_what_the_last_one_did_not_bring() {
    let http = Http::serve(|_| Reply::Json(500, String::new())).await;
    let tell = Arc::new(Semaphore::new(0));
    let script = Arc::clone(&tell);
    let sockets = Sockets::serve(move |mut socket, number| {
        let tell = Arc::clone(&script);
        async move {
            if number == 0 {
                let _ = socket.close(None).await;
            } else {
                tell.acquire().await.unwrap().forget();
                let _ = socket.send(Message::text(TICKER)).await;
            }
            listen(&mut socket).await;
        }
    })
    .await;
    let mut settings = http.settings();
    settings.endpoints.stream = sockets.url();
    let (sink, mut inbox) = queue(16);
    let feed = market_feed(&client(settings), &instruments(), Jitter::seeded(1), sink).unwrap();
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    let end = StreamMessageKind::Disconnected(DisconnectReason::Closed);
    assert_eq!(inbox.next().await, end);
    feed.requester().reconnect();
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    tell.add_permits(1);
    assert_eq!(inbox.next_frame().await, TICKER, "the wish was fulfilled before");
    feed.requester().reconnect();
    let given_up = StreamMessageKind::Disconnected(DisconnectReason::Stalled);
    assert_eq!(inbox.next().await, given_up, "this one was wished for");
    feed.stop().await;
}

/// A stream that brings nothing by itself.
struct Quiet(String);

impl Protocol for Quiet {
    fn name(&self) -> &'static str {
        "quiet"
    }

    fn url(&self) -> &str {
        &self.0
    }

    fn hello(&mut self) -> Result<Vec<String>, VenueError> {
        Ok(Vec::new())
    }

    fn judge(&mut self, _: &[u8]) -> Judgement {
        Judgement::Deliver
    }
}

#[tokio::test]
async fn a_book_does_not_wait_for_the_pause_of_another_that_keeps_failing() {
    const FAILS: InstrumentId = InstrumentId(0);
    const WORKS: InstrumentId = InstrumentId(1);
    let table = Instruments::new(vec![instrument(0, "BTCUSDT"), instrument(1, "ETHUSDT")]).unwrap();
    let sockets = Sockets::serve(|mut socket, _| async move { listen(&mut socket).await }).await;
    let order: Arc<Mutex<Vec<InstrumentId>>> = Arc::default();
    let asked = Arc::clone(&order);
    let resync: Resync = Box::new(move |instrument| {
        asked.lock().unwrap().push(instrument.id);
        Box::pin(std::future::ready(match instrument.id {
            FAILS => Err(VenueError::UnknownInstrument(FAILS)),
            instrument => Ok(Injected::Message(StreamMessageKind::Snapshot {
                instrument,
                body: "{}".into(),
            })),
        }))
    });
    let (sink, mut inbox) = queue(16);
    let parts = FeedParts {
        settings: ConnectionSettings {
            connect_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_mins(1),
            tls: TrustedRoots::Public.client_config().unwrap(),
            connects: ConnectBudget::default(),
        },
        clock: Arc::new(ServerClock::local()),
        jitter: Jitter::seeded(1),
        sink,
    };
    let feed = MarketFeed::spawn(Quiet(sockets.url()), parts, &table, resync);
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    feed.requester().request(FAILS);
    // It pauses for four tenths of a second at least, and goes on failing.
    eventually("three questions", || order.lock().unwrap().len() == 3).await;
    feed.requester().request(WORKS);
    let instrument = WORKS;
    let body = "{}".into();
    assert_eq!(
        inbox.next().await,
        StreamMessageKind::Snapshot { instrument, body }
    );
    assert_eq!(order.lock().unwrap()[..4], [FAILS, FAILS, FAILS, WORKS]);
    feed.stop().await;
}
