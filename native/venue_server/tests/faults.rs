//! What goes wrong on demand, on Binance's wire; the other wires' own tests hold theirs.

#![allow(clippy::unwrap_used, reason = "what a test does not find, it fails on")]

mod client;

use std::time::{Duration, Instant};

use client::{OPEN_MS, Socket, paused, start};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const BUY: &str = "side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.1&price=39000";

/// Everything that was sent so far on a socket of raw streams.
async fn drain(socket: &mut Socket) -> Vec<Value> {
    let request = json!({ "method": "LIST_SUBSCRIPTIONS", "id": 7 });
    socket.ask(&request).await.0
}

fn frames(class: &str, fault: &str) -> Value {
    json!({ "kind": "frames", "class": class, "fault": fault })
}

#[tokio::test]
async fn trades_are_lost_doubled_and_turned_around() {
    let (_server, client) = start(paused(2)).await;
    let mut socket = client.socket("/ws/btcusdt@trade").await;
    for fault in ["drop", "duplicate", "reorder", "corrupt"] {
        client.fault(frames("trade", fault)).await;
    }
    client.advance(600_000).await;
    let trades = drain(&mut socket).await;
    let ids: Vec<u64> = trades.iter().map(|trade| trade["t"].as_u64().unwrap()).collect();
    let first = ids[0];
    assert_eq!(
        ids[..5],
        [first, first, first + 2, first + 1, first + 3],
        "{ids:?}"
    );
    let price = |at: usize| client::number(&trades[at]["p"]);
    let nearest = (price(2) - price(4)).abs();
    assert!(nearest > 0 && ids[5..].windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert_eq!(client.state().await["faults_waiting"], 0);
}

#[tokio::test]
async fn a_late_message_holds_up_all_that_follow() {
    let (_server, client) = start(paused(2)).await;
    let mut socket = client.socket("/ws/btcusdt@trade").await;
    client
        .fault(json!({ "kind": "frames", "class": "trade", "fault": "delay", "ms": 60 }))
        .await;
    let begun = Instant::now();
    client.advance(600_000).await;
    let first = socket.next().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(60));
    let second = socket.next().await.unwrap();
    assert_eq!(second["t"].as_u64(), first["t"].as_u64().map(|id| id + 1));
    let refused = client
        .request(
            "POST",
            "/admin/faults",
            &json!({ "kind": "frames", "class": "trade", "fault": "melt" }).to_string(),
        )
        .await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn a_restart_says_so_closes_and_keeps_the_orders() {
    let (_server, client) = start(paused(2)).await;
    client.advance(1_000).await;
    assert_eq!(client.order(BUY).await.status, 200);
    let mut socket = client.socket("/ws/btcusdt@trade").await;
    client.fault(json!({ "kind": "restart", "ms": 100 })).await;
    let (mut shutdown, mut code) = (false, None);
    while let Some(message) = socket.next_message().await {
        match message {
            Message::Text(text) => shutdown |= text.contains(r#""e":"serverShutdown""#),
            Message::Close(frame) => code = frame.map(|frame| u16::from(frame.code)),
            _ => {}
        }
    }
    assert_eq!((shutdown, code), (true, Some(1012)));
    let mut attempts = 0;
    while client.try_request("GET", "/api/v3/ping", "").await.is_none() {
        attempts += 1;
        assert!(attempts < 1_000_000, "the restart does not end");
    }
    let open = client.signed("GET", "openOrders", "").await.json();
    assert_eq!(open.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn addresses_are_banned_and_outcomes_are_unknown_with_every_status() {
    let (_server, client) = start(paused(1)).await;
    client.advance(1_000).await;
    client
        .fault(json!({ "kind": "banned", "request": "place", "retry_after_s": 120 }))
        .await;
    let banned = client.order(BUY).await;
    assert_eq!((banned.status, banned.code()), (418, -1003));
    assert!(banned.head.contains("retry-after: 120"));
    for (number, status) in [500, 502, 503, 504].into_iter().enumerate() {
        let answer = format!("http{status}");
        client
            .fault(
                json!({ "kind": "unknown_outcome", "request": "place", "executed": true, "answer": answer }),
            )
            .await;
        assert_eq!(client.order(BUY).await.status, status);
        let open = client.signed("GET", "openOrders", "").await.json();
        assert_eq!(open.as_array().unwrap().len(), number + 1);
    }
}

#[tokio::test]
async fn the_clock_is_off_and_the_venue_closes_its_market() {
    let (_server, client) = start(paused(1)).await;
    client.advance(60_000).await;
    client.fault(json!({ "kind": "clock_skew", "ms": -7_000 })).await;
    assert_eq!(client.server_time().await, OPEN_MS + 53_000);
    let stale = format!("timestamp={}", OPEN_MS + 60_000);
    let query = format!("{stale}&signature={}", client::sign(client.secret, &stale));
    let refused = client
        .request("GET", &format!("/api/v3/account?{query}"), "")
        .await;
    assert_eq!(refused.code(), -1021, "it is ahead of that clock");
    client.fault(json!({ "kind": "clock_skew", "ms": 0 })).await;
    let status = async || client.get("exchangeInfo").await["symbols"][0]["status"].clone();
    assert_eq!(
        client.order(&format!("{BUY}&newClientOrderId=one")).await.status,
        200
    );
    client
        .fault(json!({ "kind": "mode", "mode": "cancel_only" }))
        .await;
    assert_eq!(status().await, "CANCEL_ONLY");
    assert_eq!(client.order(BUY).await.code(), -1013);
    client
        .fault(json!({ "kind": "mode", "mode": "maintenance" }))
        .await;
    assert_eq!(status().await, "BREAK");
    let cancel = "symbol=BTCUSDT&origClientOrderId=one";
    assert_eq!(client.signed("DELETE", "order", cancel).await.status, 503);
    client.fault(json!({ "kind": "mode", "mode": "online" })).await;
    assert_eq!(client.signed("DELETE", "order", cancel).await.status, 200);
}

#[tokio::test]
async fn a_fill_is_told_after_the_cancel_that_came_behind_it() {
    let (_server, client) = start(paused(2)).await;
    client.advance(10_000).await;
    let mut user = client.user_data().await;
    // Better than any other bid: the next sale meets it first.
    let ask = client::number(&client.get("ticker/bookTicker").await[0]["askPrice"]);
    let price = domain::Price::from_units(ask - 390_625);
    let bid =
        format!("side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.5&price={price}&newClientOrderId=rests");
    assert_eq!(client.order(&bid).await.json()["status"], "NEW");
    // Behind the balances that go with the fill, and behind the report of the cancel.
    client
        .fault(json!({ "kind": "frames", "class": "account", "fault": "reorder", "behind": 2 }))
        .await;
    let sale = format!("side=SELL&type=LIMIT&timeInForce=IOC&quantity=0.2&price={price}");
    assert_eq!(client.other().order(&sale).await.json()["status"], "FILLED");
    let cancel = "symbol=BTCUSDT&origClientOrderId=rests";
    let canceled = client.signed("DELETE", "order", cancel).await.json();
    assert_eq!(
        (&canceled["status"], &canceled["executedQty"]),
        (&json!("CANCELED"), &json!("0.20000000"))
    );
    let (told, _) = user.ask(&json!({ "id": "mark", "method": "ping" })).await;
    let kinds: Vec<&str> = told
        .iter()
        .filter_map(|message| message["event"]["x"].as_str())
        .collect();
    assert_eq!(kinds, ["NEW", "CANCELED", "TRADE"]);
}
