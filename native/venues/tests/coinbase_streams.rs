//! Coinbase's streams against a scripted server: what is subscribed, what the account is told, and how a stream is given
//! up and made again.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::{MarketEvent, Nanos, OrderReportKind};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use support::coinbase::{BTC, claims, client, fill, fill_list, instruments, with_streams};
use support::{Http, Inbox, Reply, Request, Sockets, queue};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use venues::coinbase::{AccountData, AdvancedMarketData, account_feed, market_feed};
use venues::retry::Jitter;
use venues::{
    AccountEvent, AccountProtocol, DisconnectReason, MarketProtocol, StreamMessage, StreamMessageKind,
};

type Socket = WebSocketStream<TcpStream>;

const OURS: &str = "e3-s1-42";

/// The venue's end of one connection: it counts what it sends.
struct Venue {
    socket: Socket,
    sequence: u64,
}

impl Venue {
    const fn new(socket: Socket) -> Self {
        Self { socket, sequence: 0 }
    }

    async fn say(&mut self, channel: &str, events: &str) {
        let sequence = self.sequence;
        self.sequence += 1;
        let text = format!(
            r#"{{"channel":"{channel}","timestamp":"2026-08-09T21:05:48.1Z","sequence_num":{sequence},"events":{events}}}"#
        );
        // The client may be gone by now, on purpose.
        let _ = self.socket.send(Message::text(text)).await;
    }

    /// The next request, confirmed as the venue does: with everything that is subscribed.
    async fn confirm(&mut self, subscribed: &str) -> Option<Value> {
        let request = self.hear().await?;
        self.say("subscriptions", &format!(r#"[{{"subscriptions":{subscribed}}}]"#))
            .await;
        Some(request)
    }

    async fn hear(&mut self) -> Option<Value> {
        loop {
            match self.socket.next().await? {
                Ok(Message::Text(text)) => return serde_json::from_str(&text).ok(),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    async fn listen(&mut self) {
        while self.hear().await.is_some() {}
    }

    async fn order(&mut self, status: &str, filled: &str) {
        let order = format!(
            r#"{{"order_id":"v-{OURS}","client_order_id":"{OURS}","product_id":"BTC-USD","order_side":"BUY","status":"{status}","cumulative_quantity":"{filled}","avg_price":"61837"}}"#
        );
        self.say("user", &format!(r#"[{{"type":"update","orders":[{order}]}}]"#))
            .await;
    }

    async fn book(&mut self, kind: &str, levels: &[(&str, &str, &str)]) {
        let level = |(side, price, size): &(&str, &str, &str)| {
            format!(
                r#"{{"side":"{side}","event_time":"2026-08-09T21:05:48Z","price_level":"{price}","new_quantity":"{size}"}}"#
            )
        };
        let levels: Vec<_> = levels.iter().map(level).collect();
        self.say(
            "l2_data",
            &format!(
                r#"[{{"type":"{kind}","product_id":"BTC-USD","updates":[{}]}}]"#,
                levels.join(",")
            ),
        )
        .await;
    }
}

/// Gives the account's reader what comes, until it has told so many things.
async fn told(inbox: &mut Inbox, data: &mut AccountData, count: usize) -> Vec<AccountEvent> {
    let mut events = Vec::new();
    while events.len() < count {
        let message = StreamMessage {
            ts_received: domain::Timestamp::from_millis(0),
            kind: inbox.next().await,
        };
        data.on_message(&message, &mut |event| events.push(event))
            .unwrap();
    }
    assert_eq!(events.len(), count, "{events:?}");
    events
}

fn kind(event: AccountEvent) -> OrderReportKind {
    match event {
        AccountEvent::Order(report) => report.kind,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn fills_come_from_the_list_however_late_it_is_and_before_the_end() {
    let sockets = Sockets::serve(|socket, _| async move {
        let mut venue = Venue::new(socket);
        let first = venue.confirm(r#"{"heartbeats":["heartbeats"]}"#).await.unwrap();
        assert_eq!(first["channel"], "heartbeats");
        let second = venue
            .confirm(r#"{"heartbeats":["heartbeats"],"user":["u"]}"#)
            .await
            .unwrap();
        assert_eq!(
            (&second["type"], &second["channel"]),
            (&"subscribe".into(), &"user".into())
        );
        let claims = claims(second["jwt"].as_str().unwrap());
        assert!(claims.get("uri").is_none());
        venue.order("OPEN", "0").await;
        venue.order("CANCELLED", "0.3").await;
        venue.listen().await;
    })
    .await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let http = Http::serve(move |request: &Request| {
        assert_eq!(request.path, "/api/v3/brokerage/orders/historical/fills");
        assert_eq!(request.param("order_ids").unwrap(), "v-e3-s1-42");
        let fills = [fill(OURS, 2, "0.2"), fill(OURS, 1, "0.1")];
        Reply::Json(
            200,
            match count.fetch_add(1, Ordering::SeqCst) {
                0 => fill_list(&[]),
                1 => fill_list(&fills[1..]),
                _ => fill_list(&fills),
            },
        )
    })
    .await;
    let (sink, mut inbox) = queue(64);
    let rest = client(with_streams(&http, &sockets));
    let feed = account_feed(&rest, &instruments(), Jitter::seeded(1), sink).unwrap();
    let mut data = AccountData::new(instruments());
    let mut events = told(&mut inbox, &mut data, 5).await.into_iter();
    assert_eq!(events.next(), Some(AccountEvent::Up));
    let kinds: Vec<_> = events.map(kind).collect();
    let [
        OrderReportKind::Accepted(_),
        OrderReportKind::Filled(first),
        OrderReportKind::Filled(second),
        OrderReportKind::Canceled,
    ] = kinds[..]
    else {
        panic!("{kinds:?}")
    };
    assert_eq!((first.trade_id.0, second.trade_id.0), (1, 2));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    feed.stop().await;
}

#[tokio::test]
async fn a_hole_in_the_count_makes_the_accounts_stream_anew() {
    let sockets = Sockets::serve(|socket, number| async move {
        let mut venue = Venue::new(socket);
        venue.confirm(r#"{"heartbeats":["heartbeats"]}"#).await;
        venue.confirm(r#"{"user":["u"]}"#).await;
        if number == 0 {
            venue.sequence += 1;
            venue.order("OPEN", "0").await;
        }
        venue.listen().await;
    })
    .await;
    let http = Http::serve(|_: &Request| Reply::Json(500, String::new())).await;
    let (sink, mut inbox) = queue(64);
    let rest = client(with_streams(&http, &sockets));
    let feed = account_feed(&rest, &instruments(), Jitter::seeded(1), sink).unwrap();
    let mut data = AccountData::new(instruments());
    let events = told(&mut inbox, &mut data, 3).await;
    assert_eq!(events, [AccountEvent::Up, AccountEvent::Down, AccountEvent::Up]);
    assert_eq!(feed.statistics().connected(), 2);
    feed.stop().await;
}

#[tokio::test]
async fn a_refused_subscription_is_a_failed_connection() {
    let sockets = Sockets::serve(|socket, _| async move {
        let mut venue = Venue::new(socket);
        let refusal = r#"{"type":"error","message":"authentication failure"}"#;
        let _ = venue.socket.send(Message::text(refusal)).await;
        venue.listen().await;
    })
    .await;
    let http = Http::serve(|_: &Request| Reply::Json(500, String::new())).await;
    let (sink, mut inbox) = queue(64);
    let rest = client(with_streams(&http, &sockets));
    let feed = account_feed(&rest, &instruments(), Jitter::seeded(1), sink).unwrap();
    let statistics = feed.statistics();
    support::eventually("two failures", || statistics.failed() >= 2).await;
    assert!(inbox.is_empty());
    feed.stop().await;
}

/// Gives the market's reader what comes, until a book stands; asks for books as it says.
async fn until_synchronized(
    inbox: &mut Inbox,
    data: &mut AdvancedMarketData,
    requester: &venues::ResyncRequester,
    wanted: bool,
) -> usize {
    let mut trades = 0;
    while data.is_synchronized(BTC) != wanted {
        let message = StreamMessage {
            ts_received: domain::Timestamp::from_millis(1_786_309_548_000),
            kind: inbox.next().await,
        };
        let mut emit = |event: MarketEvent<'_>| trades += usize::from(matches!(event, MarketEvent::Trade(_)));
        data.on_message(&message, &mut emit).unwrap();
        while let Some(instrument) = data.take_resync_request() {
            requester.request(instrument);
        }
    }
    trades
}

#[tokio::test]
async fn a_book_begins_anew_over_the_stream_after_a_hole() {
    let sockets = Sockets::serve(|socket, _| async move {
        let mut venue = Venue::new(socket);
        venue.confirm(r#"{"heartbeats":["heartbeats"]}"#).await;
        for expected in ["level2", "market_trades", "ticker", "status"] {
            let request = venue.hear().await.unwrap();
            assert_eq!(request["channel"], expected);
            assert_eq!(request["product_ids"], serde_json::json!(["BTC-USD"]));
            if expected == "level2" {
                venue
                    .book("snapshot", &[("bid", "100", "1"), ("offer", "101", "1")])
                    .await;
            }
        }
        venue.sequence += 1;
        venue.book("update", &[("bid", "100", "2")]).await;
        let leaves = venue.hear().await.unwrap();
        assert_eq!(
            (&leaves["type"], &leaves["channel"]),
            (&"unsubscribe".into(), &"level2".into())
        );
        let joins = venue.hear().await.unwrap();
        assert_eq!(
            (&joins["type"], &joins["channel"]),
            (&"subscribe".into(), &"level2".into())
        );
        assert_ne!(leaves["jwt"], joins["jwt"]);
        venue
            .book("snapshot", &[("bid", "200", "1"), ("offer", "201", "1")])
            .await;
        venue.listen().await;
    })
    .await;
    let http = Http::serve(|_: &Request| Reply::Json(500, String::new())).await;
    let (sink, mut inbox) = queue(64);
    let rest = client(with_streams(&http, &sockets));
    let feed = market_feed(&rest, &instruments(), Jitter::seeded(1), sink).unwrap();
    let requester = feed.requester();
    let mut data = AdvancedMarketData::new(instruments(), Nanos::from_secs(3_600));
    for wanted in [true, false, true] {
        until_synchronized(&mut inbox, &mut data, &requester, wanted).await;
    }
    let (bid, ask) = data.best(BTC);
    assert_eq!(
        (bid.unwrap().price.to_string(), ask.unwrap().price.to_string()),
        ("200".to_owned(), "201".to_owned())
    );
    assert_eq!(feed.statistics().connected(), 1);
    feed.stop().await;
}

#[tokio::test]
async fn a_book_of_many_megabytes_gets_through() {
    let sockets = Sockets::serve(|socket, _| async move {
        let mut venue = Venue::new(socket);
        venue.confirm(r#"{"heartbeats":["heartbeats"]}"#).await;
        let levels: Vec<_> = (1..=60_000).map(|price| ("bid", price.to_string())).collect();
        let levels: Vec<_> = levels
            .iter()
            .map(|(side, price)| (*side, price.as_str(), "1.00000000"))
            .collect();
        venue.book("snapshot", &levels).await;
        venue.listen().await;
    })
    .await;
    let http = Http::serve(|_: &Request| Reply::Json(500, String::new())).await;
    let (sink, mut inbox) = queue(64);
    let rest = client(with_streams(&http, &sockets));
    let feed = market_feed(&rest, &instruments(), Jitter::seeded(1), sink).unwrap();
    let mut data = AdvancedMarketData::new(instruments(), Nanos::from_secs(3_600));
    until_synchronized(&mut inbox, &mut data, &feed.requester(), true).await;
    assert_eq!(data.depth(BTC), (60_000, 0));
    feed.stop().await;
}

#[tokio::test]
async fn a_stream_that_answers_pings_and_brings_nothing_is_given_up() {
    let sockets = Sockets::serve(|socket, _| async move {
        let mut venue = Venue::new(socket);
        venue.confirm(r#"{"heartbeats":["heartbeats"]}"#).await;
        venue.listen().await;
    })
    .await;
    let http = Http::serve(|_: &Request| Reply::Json(500, String::new())).await;
    let mut settings = with_streams(&http, &sockets);
    settings.heartbeat_timeout = Duration::from_millis(300);
    // Pings leave sooner, and are answered.
    settings.idle_timeout = Duration::from_millis(600);
    let (sink, mut inbox) = queue(64);
    let feed = market_feed(&client(settings), &instruments(), Jitter::seeded(1), sink).unwrap();
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    assert_eq!(
        inbox.next().await,
        StreamMessageKind::Disconnected(DisconnectReason::Idle)
    );
    assert_eq!(inbox.next().await, StreamMessageKind::Connected);
    feed.stop().await;
}
