//! Public data: the book from snapshot and diffs, the tape, the tickers, history, and what breaks them.

#![allow(clippy::unwrap_used, reason = "what a test does not find, it fails on")]

mod client;

use client::{Book, OPEN_MS, SPAN_MS, Socket, bars, number, paused, start};
use domain::{Bar, Nanos, Price, Quantity};
use serde_json::{Value, json};

/// The bars that a tape of trade events makes.
fn bars_of(trades: &[Value], like: &[Bar]) -> Vec<Bar> {
    let mut built: Vec<Bar> = Vec::new();
    for trade in trades {
        let index = usize::try_from((trade["T"].as_i64().unwrap() - OPEN_MS) / SPAN_MS).unwrap();
        let price = Price::from_units(number(&trade["p"]));
        let quantity = number(&trade["q"]);
        if built.len() == index {
            built.push(Bar {
                open: price,
                high: price,
                low: price,
                volume: Quantity::ZERO,
                ..like[index]
            });
        }
        let bar = &mut built[index];
        bar.high = bar.high.max(price);
        bar.low = bar.low.min(price);
        bar.close = price;
        bar.volume = Quantity::from_units(bar.volume.units() + quantity);
    }
    built
}

/// Everything that was sent so far on a socket of raw streams.
async fn drain(socket: &mut Socket) -> Vec<Value> {
    let request = json!({ "method": "LIST_SUBSCRIPTIONS", "id": 1_754_000_000_123_i64 });
    socket.ask(&request).await.0
}

#[tokio::test]
async fn the_book_from_snapshot_and_diffs_is_the_servers_own_at_every_step() {
    let mut config = paused(4);
    config.weight_per_minute = 10_000_000;
    let (_server, client) = start(config).await;
    let streams = "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker";
    let mut socket = client.socket(streams).await;
    let mut book = Book::from_snapshot(&client.get("depth?symbol=BTCUSDT&limit=1000").await);
    let (mut ticker, mut compared) = (Value::Null, 0);
    for step in 0..400 {
        client.advance(4_800).await;
        if step % 9 == 0 {
            // Own orders are part of the public book.
            let price = ["39990", "39999.5", "40000", "40030"][step % 4];
            let side = if step % 2 == 0 { "BUY" } else { "SELL" };
            let params = format!("side={side}&type=LIMIT&timeInForce=GTC&quantity=0.011&price={price}");
            let placed = client.order(&params).await;
            assert_eq!(placed.status, 200, "{}", placed.text);
        }
        client.advance(100).await;
        let snapshot = client.get("depth?symbol=BTCUSDT&limit=5000").await;
        let own = Book::from_snapshot(&snapshot);
        // What changed at this very instant is published with the next diff.
        client.advance(100).await;
        while book.update_id < own.update_id {
            let message = socket.next().await.expect("a message");
            if message["stream"] == "btcusdt@bookTicker" {
                ticker = message["data"].clone();
            } else {
                book.apply(&message["data"]);
            }
        }
        if own.update_id != book.update_id {
            continue;
        }
        compared += 1;
        assert_eq!((&own.bids, &own.asks), (&book.bids, &book.asks), "step {step}");
        if ticker["u"].as_u64() == Some(book.update_id) {
            let best = (
                book.bids.keys().next_back().copied(),
                book.asks.keys().next().copied(),
            );
            let quoted = |name: &str| Some(Price::from_units(number(&ticker[name])));
            assert_eq!(best, (quoted("b"), quoted("a")));
        }
    }
    assert!(
        compared > 390 && book.update_id > 1_000,
        "{compared} of {} changes",
        book.update_id
    );
}

#[tokio::test]
async fn the_tape_is_the_record_while_own_orders_trade() {
    let (_server, client) = start(paused(3)).await;
    let mut socket = client.socket("/ws/btcusdt@trade").await;
    let mut traded = 0;
    for step in 0..87 {
        client.advance(31_003).await;
        let side = if step % 2 == 0 { "BUY" } else { "SELL" };
        let answer = client
            .order(&format!("side={side}&type=MARKET&quantity=0.3"))
            .await;
        traded += answer.json()["fills"].as_array().map_or(0, Vec::len);
    }
    client.advance(SPAN_MS).await;
    let trades = drain(&mut socket).await;
    assert_eq!(bars_of(&trades, &bars(3)), bars(3));
    assert!(traded > 60, "{traded} own executions");
    let ids: Vec<u64> = trades.iter().map(|trade| trade["t"].as_u64().unwrap()).collect();
    assert!(
        ids.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "trade numbers are consecutive"
    );
}

#[tokio::test]
async fn a_compressed_run_paces_all_bars_and_ends() {
    let mut config = paused(25);
    config.wall_span = Nanos::from_millis(12);
    config.exit_when_done = true;
    let (server, client) = start(config).await;
    let mut socket = client.socket("/ws/btcusdt@trade").await;
    client.admin("resume", &json!({})).await;
    let mut trades = Vec::new();
    while let Some(trade) = socket.next().await {
        trades.push(trade);
    }
    server.wait().await.expect("a clean end");
    assert_eq!(bars_of(&trades, &bars(25)), bars(25));
}

#[tokio::test]
async fn the_end_state_is_served_after_the_last_bar() {
    let (_server, client) = start(paused(2)).await;
    let mut socket = client.socket("/ws/btcusdt@trade").await;
    let state = client.advance(3 * SPAN_MS).await;
    assert_eq!(
        (&state["record_ended"], &state["bar_index"]),
        (&json!(true), &Value::Null)
    );
    let before = drain(&mut socket).await.len();
    let depth = client.get("depth?symbol=BTCUSDT").await;
    client.advance(SPAN_MS).await;
    assert_eq!(client.get("depth?symbol=BTCUSDT").await, depth);
    assert_eq!(drain(&mut socket).await.len(), 0, "after {before} trades");
    let sold = client.order("side=SELL&type=MARKET&quantity=0.001").await.json();
    assert_eq!(sold["status"], "FILLED");
}

#[tokio::test]
async fn history_holds_what_has_passed_and_no_more() {
    let mut config = paused(700);
    config.from = Some(bars(601)[600].ts_open);
    config.warmup_bars = Some(599);
    let (_server, client) = start(config).await;
    let klines = client.get("klines?symbol=BTCUSDT&interval=15m&limit=1000").await;
    let klines = klines.as_array().unwrap();
    assert_eq!(klines.len(), 599);
    assert_eq!(klines[0][0], OPEN_MS + SPAN_MS);
    assert_eq!(klines[598][6], OPEN_MS + 600 * SPAN_MS - 1);
    client.advance(SPAN_MS / 2).await;
    let forming = &client.get("klines?symbol=BTCUSDT&interval=15m&limit=1").await[0];
    assert_eq!(number(&forming[1]), bars(601)[600].open.units());
    assert!(number(&forming[5]) < bars(601)[600].volume.units());
    client.advance(SPAN_MS / 2).await;
    let start = OPEN_MS + 600 * SPAN_MS;
    let passed = &client
        .get(&format!(
            "klines?symbol=BTCUSDT&interval=15m&startTime={start}&limit=1"
        ))
        .await[0];
    let recorded = bars(601)[600];
    let read: Vec<i64> = (1..=5).map(|column| number(&passed[column])).collect();
    let prices = [recorded.open, recorded.high, recorded.low, recorded.close].map(Price::units);
    assert_eq!(read, [&prices[..], &[recorded.volume.units()]].concat());
    assert!(passed[8].as_u64().unwrap() >= 24);
    let wrong = client
        .request("GET", "/api/v3/klines?symbol=BTCUSDT&interval=1h", "")
        .await;
    assert_eq!((wrong.status, wrong.code()), (400, -1120));
}

#[tokio::test]
async fn subscriptions_are_acknowledged_changed_and_refused() {
    let (_server, client) = start(paused(2)).await;
    let mut socket = client.socket("/ws/0").await;
    let subscribe =
        json!({ "method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1_723_161_253_937_i64 });
    assert_eq!(
        socket.ask(&subscribe).await.1,
        json!({ "result": null, "id": 1_723_161_253_937_i64 })
    );
    client.advance(SPAN_MS).await;
    let unsubscribe = json!({ "method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": "two" });
    let (before, answer) = socket.ask(&unsubscribe).await;
    assert!(before.len() >= 24 && before.iter().all(|event| event["e"] == "trade"));
    assert_eq!(answer, json!({ "result": null, "id": "two" }));
    client.advance(SPAN_MS / 2).await;
    let wrong = json!({ "method": "SUBSCRIBE", "params": ["ethusdt@trade"], "id": 3 });
    let (before, answer) = socket.ask(&wrong).await;
    assert_eq!(before.len(), 0);
    assert_eq!(answer["error"]["code"], 2);
    assert!(answer["error"]["msg"].as_str().unwrap().contains("ethusdt@trade"));
}

#[tokio::test]
async fn the_sixth_message_in_a_second_closes_the_connection() {
    let (_server, client) = start(paused(1)).await;
    let mut socket = client.socket("/ws").await;
    for id in 0..6 {
        socket
            .send(&json!({ "method": "LIST_SUBSCRIPTIONS", "id": id }))
            .await;
    }
    let mut answers = 0;
    while socket.next().await.is_some() {
        answers += 1;
    }
    assert_eq!(answers, 5);
}

#[tokio::test]
async fn a_gap_and_a_malformed_frame_come_on_demand() {
    let (_server, client) = start(paused(2)).await;
    let mut socket = client.socket("/ws/btcusdt@depth@100ms").await;
    client.advance(60_000).await;
    let last = drain(&mut socket).await.pop().unwrap();
    client.fault(json!({ "kind": "depth_gap" })).await;
    client.advance(120_000).await;
    let next = socket.next().await.unwrap();
    assert!(
        next["U"].as_u64() > last["u"].as_u64().map(|id| id + 1),
        "a diff is missing"
    );
    drain(&mut socket).await;
    client.fault(json!({ "kind": "malformed_frame" })).await;
    client.advance(120_000).await;
    let broken = socket.next_text().await.unwrap();
    assert!(serde_json::from_str::<Value>(&broken).is_err());
    assert!(broken.starts_with(r#"{"e":"depthUpdate""#));
}

#[tokio::test]
async fn connections_drop_and_the_venue_goes_away_on_demand() {
    let (_server, client) = start(paused(2)).await;
    let mut market = client.socket("/ws/btcusdt@trade").await;
    let mut account = client.user_data().await;
    client
        .fault(json!({ "kind": "drop_connections", "target": "market" }))
        .await;
    assert!(market.next().await.is_none());
    assert_eq!(
        client.state().await["connections"],
        json!({ "market": 0, "account": 1 })
    );
    client.fault(json!({ "kind": "terminate_account_stream" })).await;
    let ended = account.next().await.unwrap();
    assert_eq!(ended["event"]["e"], "eventStreamTerminated");
    client.fault(json!({ "kind": "outage", "ms": 150 })).await;
    assert!(account.next().await.is_none());
    assert!(client.try_request("GET", "/api/v3/ping", "").await.is_none());
    let mut attempts = 0;
    while client.try_request("GET", "/api/v3/ping", "").await.is_none() {
        attempts += 1;
        assert!(attempts < 1_000_000, "the outage does not end");
    }
    let refused = client
        .request("POST", "/admin/faults", r#"{"kind":"melt"}"#)
        .await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn rules_time_and_tickers_are_served_on_loopback_only() {
    let (server, client) = start(paused(2)).await;
    assert!(server.address().ip().is_loopback());
    assert_eq!(client.get("ping").await, json!({}));
    assert_eq!(client.server_time().await, OPEN_MS);
    let info = client.get("exchangeInfo?symbol=BTCUSDT").await;
    let filters = info["symbols"][0]["filters"].as_array().unwrap();
    let names: Vec<&str> = filters
        .iter()
        .map(|filter| filter["filterType"].as_str().unwrap())
        .collect();
    for name in [
        "PRICE_FILTER",
        "LOT_SIZE",
        "NOTIONAL",
        "MAX_NUM_ORDERS",
        "PERCENT_PRICE_BY_SIDE",
    ] {
        assert!(names.contains(&name), "{name}");
    }
    assert_eq!(filters[0]["tickSize"], "0.00390625");
    client.advance(5_000).await;
    let ticker = client.get("ticker/bookTicker?symbol=BTCUSDT").await;
    assert!(number(&ticker["bidPrice"]) < number(&ticker["askPrice"]));
    let trades = client.get("trades?symbol=BTCUSDT&limit=1").await;
    assert_eq!(number(&trades[0]["price"]), bars(1)[0].open.units());
    let wrong = client.request("GET", "/api/v3/depth?symbol=ETHUSDT", "").await;
    assert_eq!((wrong.status, wrong.code()), (400, -1121));
    let missing = client.request("GET", "/api/v3/depth", "").await;
    assert_eq!(missing.code(), -1102);
    assert_eq!(client.request("GET", "/api/v3/sorcery", "").await.status, 404);
}
