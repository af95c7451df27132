//! Kraken's wire: orders over REST and the sockets, books under their checksums, faults.

#![allow(clippy::unwrap_used, reason = "what a test does not find, it fails on")]

mod client;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use client::{Client, Response, Socket, paused_at};
use domain::{Price, Quantity};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};
use tokio_tungstenite::tungstenite::Message;
use venue_server::{ApiKey, Server, ServerConfig, VenueKind};

const KEY: &str = "key_of_alpha";
/// Base64 of thirty-two bytes.
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_KEY: &str = "key_of_beta1";

static NONCE: AtomicU64 = AtomicU64::new(1);

async fn start(config: ServerConfig) -> (Server, Client) {
    let keys = vec![ApiKey::new(KEY, SECRET), ApiKey::new(OTHER_KEY, SECRET)];
    let server = Server::start(config, keys).await.unwrap();
    let client = Client {
        address: server.address(),
        key: KEY,
        secret: SECRET,
    };
    (server, client)
}

fn paused(count: i64) -> ServerConfig {
    paused_at(VenueKind::Kraken, count)
}

async fn public(client: &Client, call: &str) -> Value {
    let response = client.request("GET", &format!("/0/public/{call}"), "").await;
    assert_eq!(response.status, 200);
    response.json()
}

fn signature(path: &str, nonce: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha512>::new_from_slice(&BASE64.decode(SECRET).unwrap()).unwrap();
    mac.update(path.as_bytes());
    mac.update(&Sha256::digest(format!("{nonce}{body}")));
    BASE64.encode(mac.finalize().into_bytes())
}

async fn send(client: &Client, method: &str, body: &str, signature: &str) -> Response {
    let headers = format!(
        "API-Key: {}\r\nAPI-Sign: {signature}\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        client.key
    );
    let target = format!("/0/private/{method}");
    client.exchange("POST", &target, &headers, body).await.unwrap()
}

async fn raw(client: &Client, method: &str, params: &str) -> Response {
    let nonce = NONCE.fetch_add(1, Ordering::Relaxed).to_string();
    let body = format!("nonce={nonce}&{params}");
    let signature = signature(&format!("/0/private/{method}"), &nonce, &body);
    send(client, method, &body, &signature).await
}

/// The result of a call that must succeed.
async fn call(client: &Client, method: &str, params: &str) -> Value {
    let answer = raw(client, method, params).await.json();
    assert_eq!(answer["error"], json!([]), "{method} {params}");
    answer["result"].clone()
}

/// The error of a call that must fail.
async fn refusal(client: &Client, method: &str, params: &str) -> String {
    let answer = raw(client, method, params).await.json();
    answer["error"][0]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

const LIMIT: &str = "ordertype=limit&pair=XBTUSD";

/// A socket that listens to the account's orders, its snapshot read.
async fn private_socket(client: &Client) -> (Socket, String) {
    let token = call(client, "GetWebSocketsToken", "").await["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut socket = client.socket("/v2").await;
    let params = json!({ "channel": "executions", "token": token });
    socket
        .send(&json!({ "method": "subscribe", "params": params, "req_id": 1 }))
        .await;
    let (before, snapshot) = socket.until(|message| message["type"] == "snapshot").await;
    let ack = before.last().unwrap();
    assert_eq!((&ack["success"], &ack["req_id"]), (&json!(true), &json!(1)));
    assert_eq!(snapshot["channel"], "executions");
    (socket, token)
}

/// What was said of orders before the answer to a ping.
async fn told(socket: &mut Socket) -> Vec<Value> {
    socket.send(&json!({ "method": "ping", "req_id": 999 })).await;
    let (before, _) = socket.until(|message| message["method"] == "pong").await;
    let executions = before
        .into_iter()
        .filter(|message| message["channel"] == "executions");
    executions
        .flat_map(|message| message["data"].as_array().unwrap().clone())
        .collect()
}

fn kinds(told: &[Value]) -> Vec<&str> {
    told.iter()
        .map(|entry| entry["exec_type"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_order_lives_through_its_states_over_rest() {
    let (_server, client) = start(paused(2)).await;
    client.advance(10_000).await;
    let params = format!("{LIMIT}&type=buy&volume=0.5&price=39900&cl_ord_id=e1-s0-1&userref=7");
    let placed = call(&client, "AddOrder", &params).await;
    let id = placed["txid"][0].as_str().unwrap().to_owned();
    assert_eq!(
        placed["descr"]["order"],
        "buy 0.50000000 XBTUSD @ limit 39900.00000000"
    );
    let open = call(&client, "OpenOrders", "cl_ord_id=e1-s0-1").await;
    let order = &open["open"][&id];
    assert_eq!(
        (&order["status"], &order["vol"], &order["userref"]),
        (&json!("open"), &json!("0.50000000"), &json!(7))
    );
    assert_eq!(
        call(&client, "OpenOrders", "cl_ord_id=other").await,
        json!({ "open": {} })
    );
    assert_eq!(
        call(&client, "QueryOrders", &format!("txid={id}")).await[&id],
        *order
    );
    assert_eq!(
        refusal(&client, "AddOrder", &params).await,
        "EGeneral:Invalid arguments:cl_ord_id not unique"
    );
    let held = call(&client, "BalanceEx", "").await;
    assert_eq!(
        held["XXBT"],
        json!({ "balance": "10.00000000", "hold_trade": "0.00000000" })
    );
    assert!(
        held["ZUSD"]["hold_trade"]
            .as_str()
            .unwrap()
            .starts_with("19969.95"),
        "{held}"
    );
    an_order_is_changed_and_ends(&client, &id).await;
}

async fn an_order_is_changed_and_ends(client: &Client, id: &str) {
    call(
        client,
        "AmendOrder",
        &format!("txid={id}&order_qty=0.25&limit_price=39901"),
    )
    .await;
    let amended = call(client, "QueryOrders", &format!("txid={id}")).await;
    assert_eq!(
        (&amended[id]["vol"], &amended[id]["descr"]["price"]),
        (&json!("0.25000000"), &json!("39901.00000000"))
    );
    let edited = call(client, "EditOrder", &format!("txid={id}&pair=XBTUSD&price=39800")).await;
    let next = edited["txid"].as_str().unwrap();
    assert_ne!(next, id);
    assert_eq!(
        call(client, "CancelOrder", "cl_ord_id=e1-s0-1").await,
        json!({ "count": 1 })
    );
    assert_eq!(
        refusal(client, "CancelOrder", &format!("txid={next}")).await,
        "EOrder:Unknown order"
    );
    let closed = call(client, "ClosedOrders", "").await;
    assert_eq!(closed["count"], 2);
    let ended = &closed["closed"][next];
    assert_eq!(
        (&ended["status"], &ended["reason"]),
        (&json!("canceled"), &json!("User requested"))
    );
    assert_eq!(
        call(client, "BalanceEx", "").await["ZUSD"]["hold_trade"],
        "0.00000000"
    );
}

#[tokio::test]
async fn a_market_order_is_filled_and_paid_for() {
    let (_server, client) = start(paused(2)).await;
    client.advance(20_000).await;
    let placed = call(
        &client,
        "AddOrder",
        "ordertype=market&pair=XBT/USD&type=buy&volume=0.02",
    )
    .await;
    let id = placed["txid"][0].as_str().unwrap();
    let queried = call(&client, "QueryOrders", &format!("txid={id}&trades=true")).await;
    assert_eq!(
        (&queried[id]["status"], &queried[id]["vol_exec"]),
        (&json!("closed"), &json!("0.02000000"))
    );
    let history = call(&client, "TradesHistory", "").await;
    let trades = history["trades"].as_object().unwrap();
    assert_eq!(queried[id]["trades"].as_array().unwrap().len(), trades.len());
    let number = |value: &Value| Price::parse(value.as_str().unwrap().as_bytes()).unwrap().units();
    let paid: i64 = trades
        .values()
        .map(|trade| number(&trade["cost"]) + number(&trade["fee"]))
        .sum();
    let balance = call(&client, "Balance", "").await;
    assert_eq!(number(&balance["ZUSD"]), 100_000_000_000_000 - paid);
    assert_eq!(balance["XXBT"], "10.02000000");
    let (trade, one) = trades.iter().next().unwrap();
    assert_eq!(
        call(&client, "QueryTrades", &format!("txid={trade}")).await[trade],
        *one
    );
    assert_eq!((&one["ordertxid"], &one["maker"]), (&json!(id), &json!(false)));
    let other = Client {
        key: OTHER_KEY,
        ..client
    };
    assert_eq!(call(&other, "TradesHistory", "").await["count"], 0);
    assert_eq!(
        call(&other, "QueryOrders", &format!("txid={id}")).await,
        json!({})
    );
}

#[tokio::test]
async fn refusals_are_worded_as_the_venues() {
    let (_server, client) = start(paused(2)).await;
    client.advance(1_000).await;
    let add = async |params: &str| refusal(&client, "AddOrder", params).await;
    assert_eq!(
        add("ordertype=limit&pair=ETHUSD&type=buy&volume=1&price=1").await,
        "EQuery:Unknown asset pair"
    );
    assert_eq!(
        add(&format!("{LIMIT}&type=buy&volume=1&price=39900.001")).await,
        "EOrder:Tick size check failed"
    );
    assert_eq!(
        add(&format!("{LIMIT}&type=buy&volume=0.000001&price=39900")).await,
        "EOrder:Order minimum not met"
    );
    assert_eq!(
        add(&format!("{LIMIT}&type=buy&volume=0.00001&price=39900")).await,
        "EOrder:Cost minimum not met"
    );
    assert_eq!(
        add(&format!("{LIMIT}&type=buy&volume=100&price=39900")).await,
        "EOrder:Insufficient funds"
    );
    assert_eq!(
        add(&format!("{LIMIT}&type=hold&volume=1&price=1")).await,
        "EGeneral:Invalid arguments:type"
    );
    let gone = "2020-01-01T00:00:00Z";
    let late = format!("{LIMIT}&type=buy&volume=1&price=39900&deadline={gone}");
    assert_eq!(add(&late).await, "EService:Deadline elapsed");
    assert_eq!(refusal(&client, "Sorcery", "").await, "EGeneral:Unknown method");
    let stranger = Client {
        key: "nobody",
        ..client
    };
    assert_eq!(refusal(&stranger, "Balance", "").await, "EAPI:Invalid key");
    let forged = send(&client, "Balance", "nonce=9000000", "AAAA").await.json();
    assert_eq!(forged["error"][0], "EAPI:Invalid signature");
    let nonce = "5000000";
    let body = format!("nonce={nonce}");
    let good = signature("/0/private/Balance", nonce, &body);
    assert_eq!(
        send(&client, "Balance", &body, &good).await.json()["error"],
        json!([])
    );
    assert_eq!(
        send(&client, "Balance", &body, &good).await.json()["error"][0],
        "EAPI:Invalid nonce"
    );
    NONCE.fetch_max(5_000_001, Ordering::Relaxed);
    // An order that was to rest only, and would take, stands as canceled.
    let placed = call(
        &client,
        "AddOrder",
        &format!("{LIMIT}&type=buy&volume=0.01&price=40100&oflags=post"),
    )
    .await;
    let id = placed["txid"][0].as_str().unwrap();
    let queried = call(&client, "QueryOrders", &format!("txid={id}")).await;
    assert_eq!(
        (&queried[id]["status"], &queried[id]["reason"]),
        (&json!("canceled"), &json!("Post only order"))
    );
}

#[tokio::test]
async fn public_calls_describe_the_market() {
    let (_server, client) = start(paused(3)).await;
    client.advance(client::SPAN_MS + 5_000).await;
    let pairs = public(&client, "AssetPairs").await["result"]["XXBTZUSD"].clone();
    assert_eq!(
        (&pairs["wsname"], &pairs["altname"], &pairs["tick_size"]),
        (&json!("XBT/USD"), &json!("XBTUSD"), &json!("0.00390625"))
    );
    assert_eq!(
        public(&client, "Assets").await["result"]["XXBT"]["altname"],
        "XBT"
    );
    assert_eq!(
        public(&client, "Time").await["result"]["unixtime"],
        (client::OPEN_MS + client::SPAN_MS) / 1_000 + 5
    );
    assert_eq!(
        public(&client, "SystemStatus").await["result"]["status"],
        "online"
    );
    let depth = public(&client, "Depth?pair=XBTUSD&count=5").await["result"]["XXBTZUSD"].clone();
    assert_eq!(
        (
            depth["asks"].as_array().unwrap().len(),
            depth["bids"].as_array().unwrap().len()
        ),
        (5, 5)
    );
    let bars = public(&client, "OHLC?pair=XBTUSD&interval=15").await["result"]["XXBTZUSD"].clone();
    assert_eq!(
        (&bars[0][0], &bars[0][1]),
        (&json!(client::OPEN_MS / 1_000), &json!("40000.00000000"))
    );
    assert_eq!(
        public(&client, "OHLC?pair=XBTUSD&interval=7").await["error"][0],
        "EGeneral:Invalid arguments:interval"
    );
    let ticker = public(&client, "Ticker?pair=XBTUSD").await["result"]["XXBTZUSD"].clone();
    assert_eq!(ticker["a"][0], depth["asks"][0][0]);
    let trades = public(&client, "Trades?pair=XBTUSD&count=1").await["result"]["XXBTZUSD"].clone();
    assert_eq!(trades[0].as_array().unwrap().len(), 7);
    assert_eq!(
        public(&client, "Depth?pair=DOGEUSD").await["error"][0],
        "EQuery:Unknown asset pair"
    );
}

/// A book by the venue's rules, its numbers as they were sent.
#[derive(Debug, Default)]
struct TextBook {
    bids: BTreeMap<Price, (String, String)>,
    asks: BTreeMap<Price, (String, String)>,
}

impl TextBook {
    fn put(&mut self, is_bid: bool, price: &str, quantity: &str) {
        let side = if is_bid { &mut self.bids } else { &mut self.asks };
        let at = Price::parse(price.as_bytes()).unwrap();
        if Quantity::parse(quantity.as_bytes()).unwrap().is_zero() {
            side.remove(&at);
        } else {
            side.insert(at, (price.to_owned(), quantity.to_owned()));
        }
    }

    fn cut(&mut self, depth: usize) {
        while self.bids.len() > depth {
            self.bids.pop_first();
        }
        while self.asks.len() > depth {
            self.asks.pop_last();
        }
    }

    fn checksum(&self) -> u32 {
        let levels = self
            .asks
            .values()
            .take(10)
            .chain(self.bids.values().rev().take(10));
        let bare = |text: &String| text.replace('.', "").trim_start_matches('0').to_owned();
        let digits: String = levels
            .flat_map(|(price, quantity)| [bare(price), bare(quantity)])
            .collect();
        crc32fast::hash(digits.as_bytes())
    }

    fn crossed(&self) -> bool {
        let (bid, ask) = (self.bids.keys().next_back(), self.asks.keys().next());
        matches!((bid, ask), (Some(bid), Some(ask)) if bid >= ask)
    }

    /// Takes a message of the newer socket by its text: no number passes through a float.
    fn apply_v2(&mut self, text: &str, depth: usize) {
        if text.contains(r#""type":"snapshot""#) {
            *self = Self::default();
        }
        let (bids, asks) = text.split_once(r#""asks":"#).unwrap();
        for (is_bid, side) in [(true, bids), (false, asks)] {
            for level in side.split(r#"{"price":"#).skip(1) {
                let (price, rest) = level.split_once(r#","qty":"#).unwrap();
                self.put(is_bid, price, rest.split_once('}').unwrap().0);
            }
        }
        self.cut(depth);
    }

    /// Takes a message of the older socket.
    fn apply_v1(&mut self, message: &Value, depth: usize) {
        for part in message.as_array().unwrap().iter().filter(|part| part.is_object()) {
            for (name, is_bid) in [("as", false), ("bs", true), ("a", false), ("b", true)] {
                for level in part[name].as_array().into_iter().flatten() {
                    self.put(is_bid, level[0].as_str().unwrap(), level[1].as_str().unwrap());
                }
            }
        }
        self.cut(depth);
    }
}

fn said_checksum(text: &str) -> u32 {
    let (_, rest) = text.split_once(r#""checksum":"#).unwrap();
    rest.split_once(',').unwrap().0.parse().unwrap()
}

async fn subscribed_book(client: &Client, depth: usize) -> Socket {
    let mut socket = client.socket("/v2").await;
    let params = json!({ "channel": "book", "symbol": ["BTC/USD"], "depth": depth });
    socket
        .send(&json!({ "method": "subscribe", "params": params, "req_id": 1 }))
        .await;
    assert_eq!(socket.next().await.unwrap()["channel"], "status");
    let ack = socket.next().await.unwrap();
    assert_eq!(
        (&ack["success"], &ack["result"]["depth"]),
        (&json!(true), &json!(depth)),
        "{ack}"
    );
    socket
}

/// Book messages that came before the answer to a ping.
async fn book_texts(socket: &mut Socket) -> Vec<String> {
    socket.send(&json!({ "method": "ping", "req_id": 7 })).await;
    let mut texts = Vec::new();
    loop {
        let text = socket.next_text().await.unwrap();
        if text.contains(r#""method":"pong""#) {
            return texts;
        }
        if text.contains(r#""channel":"book""#) {
            texts.push(text);
        }
    }
}

#[tokio::test]
async fn every_book_message_has_the_checksum_of_the_readers_book() {
    let mut config = paused(4);
    config.weight_per_minute = 1_000_000;
    let (_server, client) = start(config).await;
    client.advance(1_000).await;
    for depth in [10, 25, 100] {
        let mut socket = subscribed_book(&client, depth).await;
        let mut book = TextBook::default();
        let mut checked = 0;
        for step in 0..60 {
            client.advance(10_000).await;
            if step % 7 == 0 {
                let price = ["39990", "39999.5", "40000", "40030"][step % 4];
                let side = if step % 2 == 0 { "buy" } else { "sell" };
                call(
                    &client,
                    "AddOrder",
                    &format!("{LIMIT}&type={side}&volume=0.011&price={price}"),
                )
                .await;
            }
            for text in book_texts(&mut socket).await {
                book.apply_v2(&text, depth);
                assert_eq!(
                    book.checksum(),
                    said_checksum(&text),
                    "depth {depth}, step {step}: {text}"
                );
                assert!(!book.crossed());
                checked += 1;
            }
            let own =
                public(&client, &format!("Depth?pair=XBTUSD&count={depth}")).await["result"]["XXBTZUSD"]
                    .clone();
            let level = |level: &Value| {
                (
                    level[0].as_str().unwrap().to_owned(),
                    level[1].as_str().unwrap().to_owned(),
                )
            };
            let asks: Vec<_> = own["asks"].as_array().unwrap().iter().map(level).collect();
            let bids: Vec<_> = own["bids"].as_array().unwrap().iter().map(level).collect();
            assert_eq!(book.asks.values().cloned().collect::<Vec<_>>(), asks);
            assert_eq!(book.bids.values().rev().cloned().collect::<Vec<_>>(), bids);
        }
        assert!(checked >= 40, "{checked} messages of depth {depth}");
    }
}

#[tokio::test]
async fn another_depth_is_refused_in_the_answer_only() {
    let (_server, client) = start(paused(2)).await;
    let mut socket = client.socket("/v2").await;
    for (params, error) in [
        (
            json!({ "channel": "book", "symbol": ["BTC/USD"], "depth": 20 }),
            "Subscription depth not supported",
        ),
        (
            json!({ "channel": "book", "symbol": ["DOGE/USD"] }),
            "Currency pair not supported DOGE/USD",
        ),
        (
            json!({ "channel": "executions", "token": "none" }),
            "EAuth:Invalid token",
        ),
    ] {
        socket
            .send(&json!({ "method": "subscribe", "params": params }))
            .await;
        let (_, ack) = socket.until(|message| message["method"] == "subscribe").await;
        assert_eq!((&ack["success"], &ack["error"]), (&json!(false), &json!(error)));
    }
    client.advance(60_000).await;
    assert!(book_texts(&mut socket).await.is_empty());
    assert_eq!(
        client.state().await["connections"],
        json!({ "market": 1, "account": 0 })
    );
}

#[tokio::test]
async fn the_older_socket_checks_too() {
    let (_server, client) = start(paused(3)).await;
    client.advance(1_000).await;
    let mut socket = client.socket("/").await;
    let subscription = json!({ "name": "book", "depth": 10 });
    socket
        .send(&json!({ "event": "subscribe", "pair": ["XBT/USD"], "subscription": subscription, "reqid": 3 }))
        .await;
    let (hello, status) = socket
        .until(|message| message["event"] == "subscriptionStatus")
        .await;
    assert_eq!(hello[0]["event"], "systemStatus");
    assert_eq!(
        (&status["status"], &status["channelName"], &status["reqid"]),
        (&json!("subscribed"), &json!("book-10"), &json!(3))
    );
    let mut book = TextBook::default();
    client.advance(300_000).await;
    socket.send(&json!({ "event": "ping", "reqid": 5 })).await;
    let (messages, pong) = socket.until(|message| message["event"] == "pong").await;
    assert_eq!(pong["reqid"], 5);
    let (mut checked, mut doubles) = (0, 0);
    for message in messages.iter().filter(|message| message.is_array()) {
        book.apply_v1(message, 10);
        let parts: Vec<&Value> = message
            .as_array()
            .unwrap()
            .iter()
            .filter(|part| part.is_object())
            .collect();
        doubles += usize::from(parts.len() == 2);
        if let Some(said) = parts.last().unwrap()["c"].as_str() {
            assert_eq!(book.checksum().to_string(), said, "{message}");
            checked += 1;
        }
    }
    assert!(
        checked > 30 && doubles > 0,
        "{checked} checked, {doubles} of two objects"
    );
}

#[tokio::test]
async fn orders_over_the_socket_are_answered_and_told() {
    let (_server, client) = start(paused(2)).await;
    client.advance(1_000).await;
    let (mut socket, token) = private_socket(&client).await;
    let ask = async |socket: &mut Socket, method: &str, mut params: Value| {
        params["token"] = json!(token);
        socket
            .send(&json!({ "method": method, "params": params, "req_id": 5 }))
            .await;
        socket.until(|message| message["method"] == method).await
    };
    let order = json!({
        "order_type": "limit", "side": "buy", "order_qty": 0.5, "symbol": "BTC/USD", "limit_price": 39900.5,
        "time_in_force": "gtc", "cl_ord_id": "e2-s0-9", "stp_type": "cancel_both",
    });
    let (before, placed) = ask(&mut socket, "add_order", order.clone()).await;
    assert_eq!(
        (
            &placed["success"],
            &placed["req_id"],
            &placed["result"]["cl_ord_id"]
        ),
        (&json!(true), &json!(5), &json!("e2-s0-9"))
    );
    let entries: Vec<Value> = before
        .iter()
        .filter(|m| m["channel"] == "executions")
        .flat_map(|m| m["data"].as_array().unwrap().clone())
        .collect();
    assert_eq!(kinds(&entries), ["pending_new", "new"]);
    assert_eq!(entries[1]["order_id"], placed["result"]["order_id"]);
    let (_, twin) = ask(&mut socket, "add_order", order).await;
    assert_eq!(
        (&twin["success"], &twin["error"]),
        (
            &json!(false),
            &json!("EGeneral:Invalid arguments:cl_ord_id not unique")
        )
    );
    let amend = json!({ "cl_ord_id": "e2-s0-9", "order_qty": 0.25 });
    let (before, amended) = ask(&mut socket, "amend_order", amend).await;
    assert_eq!(
        amended["result"]["order_id"], placed["result"]["order_id"],
        "{amended}"
    );
    assert!(
        before
            .iter()
            .any(|message| message["data"][0]["exec_type"] == "amended")
    );
    let cancel = json!({ "cl_ord_id": ["e2-s0-9", "other"] });
    let (_, canceled) = ask(&mut socket, "cancel_order", cancel).await;
    assert_eq!(canceled["result"]["cl_ord_id"], "e2-s0-9");
    let (_, unknown) = socket.until(|message| message["method"] == "cancel_order").await;
    assert_eq!(unknown["error"], "EOrder:Unknown order");
    a_fill_is_told(&mut socket, &token).await;
}

async fn a_fill_is_told(socket: &mut Socket, token: &str) {
    let ask = async |socket: &mut Socket, method: &str, mut params: Value| {
        params["token"] = json!(token);
        socket
            .send(&json!({ "method": method, "params": params, "req_id": 5 }))
            .await;
        socket.until(|message| message["method"] == method).await
    };
    let take = json!({ "order_type": "market", "side": "sell", "order_qty": 0.01, "symbol": "BTC/USD" });
    let (before, _) = ask(socket, "add_order", take).await;
    let entries: Vec<Value> = before
        .iter()
        .filter(|m| m["channel"] == "executions")
        .flat_map(|m| m["data"].as_array().unwrap().clone())
        .collect();
    assert_eq!(kinds(&entries)[..2], ["pending_new", "new"]);
    let fill = entries
        .iter()
        .rev()
        .find(|entry| entry["exec_type"] == "trade")
        .unwrap();
    assert_eq!(
        (
            &fill["order_status"],
            &fill["liquidity_ind"],
            &fill["fees"][0]["asset"]
        ),
        (&json!("partially_filled"), &json!("t"), &json!("USD"))
    );
    assert_eq!(entries.last().unwrap()["exec_type"], "filled");
    let (_, none) = ask(socket, "cancel_all", json!({})).await;
    assert_eq!(none["result"]["count"], 0);
}

#[tokio::test]
async fn the_switch_cancels_everything_unless_it_is_asked_again() {
    let (_server, client) = start(paused(2)).await;
    client.advance(1_000).await;
    let (mut socket, _) = private_socket(&client).await;
    call(
        &client,
        "AddOrder",
        &format!("{LIMIT}&type=buy&volume=0.5&price=39000"),
    )
    .await;
    call(&client, "CancelAllOrdersAfter", "timeout=60").await;
    client.advance(50_000).await;
    call(&client, "CancelAllOrdersAfter", "timeout=60").await;
    client.advance(59_000).await;
    assert_eq!(kinds(&told(&mut socket).await), ["pending_new", "new"]);
    client.advance(1_000).await;
    let ended = told(&mut socket).await;
    assert_eq!(
        (kinds(&ended), &ended[0]["reason"]),
        (vec!["canceled"], &json!("Cancel all orders after"))
    );
    // It disarms when it has fired.
    call(
        &client,
        "AddOrder",
        &format!("{LIMIT}&type=buy&volume=0.5&price=39000"),
    )
    .await;
    client.advance(120_000).await;
    assert_eq!(
        call(&client, "OpenOrders", "").await["open"]
            .as_object()
            .unwrap()
            .len(),
        1
    );
    let off = call(&client, "CancelAllOrdersAfter", "timeout=0").await;
    assert_eq!(off["triggerTime"], "0");
}

#[tokio::test]
async fn balances_and_time_limits_are_told() {
    let (_server, client) = start(paused(2)).await;
    client.advance(1_000).await;
    let (mut socket, token) = private_socket(&client).await;
    let params = json!({ "channel": "balances", "token": token });
    socket
        .send(&json!({ "method": "subscribe", "params": params }))
        .await;
    let (_, snapshot) = socket.until(|message| message["channel"] == "balances").await;
    assert_eq!(
        (
            &snapshot["type"],
            &snapshot["data"][0]["asset"],
            &snapshot["data"][0]["balance"]
        ),
        (&json!("snapshot"), &json!("BTC"), &json!(10.0))
    );
    call(
        &client,
        "AddOrder",
        "ordertype=market&pair=XBTUSD&type=sell&volume=0.5",
    )
    .await;
    let (_, update) = socket.until(|message| message["channel"] == "balances").await;
    assert_eq!(
        (&update["data"][0]["asset"], &update["data"][0]["balance"]),
        (&json!("BTC"), &json!(9.5))
    );
    let end = client::OPEN_MS / 1_000 + 10;
    call(
        &client,
        "AddOrder",
        &format!("{LIMIT}&type=buy&volume=0.5&price=39000&timeinforce=GTD&expiretm={end}"),
    )
    .await;
    told(&mut socket).await;
    client.advance(10_000).await;
    assert_eq!(kinds(&told(&mut socket).await), ["expired"]);
}

#[tokio::test]
async fn a_wrong_checksum_and_a_lost_message_are_seen_by_the_next_message() {
    let (_server, client) = start(paused(9)).await;
    client.advance(1_000).await;
    for fault in [
        json!({ "kind": "bad_checksum" }),
        json!({ "kind": "frames", "class": "book", "fault": "drop" }),
        json!({ "kind": "frames", "class": "book", "fault": "corrupt" }),
        json!({ "kind": "frames", "class": "book", "fault": "reorder" }),
    ] {
        let mut socket = subscribed_book(&client, 10).await;
        let mut book = TextBook::default();
        client.advance(20_000).await;
        for text in book_texts(&mut socket).await {
            book.apply_v2(&text, 10);
            assert_eq!(book.checksum(), said_checksum(&text));
        }
        client.fault(fault.clone()).await;
        let mut texts = Vec::new();
        while texts.is_empty() {
            client.advance(20_000).await;
            texts = book_texts(&mut socket).await;
        }
        book.apply_v2(&texts[0], 10);
        assert_ne!(book.checksum(), said_checksum(&texts[0]), "{fault}");
        drop(socket);
    }
}

#[tokio::test]
async fn reports_come_twice_late_and_in_the_wrong_order_on_demand() {
    let (_server, client) = start(paused(2)).await;
    client.advance(1_000).await;
    let (mut socket, _) = private_socket(&client).await;
    let account = |fault: &str| json!({ "kind": "frames", "class": "account", "fault": fault });
    client.fault(account("duplicate")).await;
    let add = format!("{LIMIT}&type=buy&volume=0.5&price=39000&cl_ord_id=one");
    call(&client, "AddOrder", &add).await;
    assert_eq!(
        kinds(&told(&mut socket).await),
        ["pending_new", "new", "pending_new", "new"]
    );
    // The report of the next order is held back until its cancel was told.
    client.fault(account("reorder")).await;
    call(&client, "AddOrder", &add.replace("=one", "=two")).await;
    assert!(told(&mut socket).await.is_empty());
    call(&client, "CancelOrder", "cl_ord_id=two").await;
    assert_eq!(
        kinds(&told(&mut socket).await),
        ["canceled", "pending_new", "new"]
    );
    client.fault(account("drop")).await;
    call(&client, "CancelOrder", "cl_ord_id=one").await;
    assert!(told(&mut socket).await.is_empty());
}

#[tokio::test]
async fn outcomes_are_unknown_and_the_venue_closes_on_demand() {
    let (_server, client) = start(paused(2)).await;
    client.advance(1_000).await;
    let add = |name: &str| format!("{LIMIT}&type=buy&volume=0.1&price=39000&cl_ord_id={name}");
    let unknown = |executed, answer: &str| json!({ "kind": "unknown_outcome", "request": "place", "executed": executed, "answer": answer });
    client.fault(unknown(true, "timeout")).await;
    client.fault(unknown(false, "http502")).await;
    assert_eq!(
        refusal(&client, "AddOrder", &add("first")).await,
        "EService:Timeout"
    );
    assert_eq!(raw(&client, "AddOrder", &add("second")).await.status, 502);
    let open = call(&client, "OpenOrders", "").await;
    assert_eq!(open["open"].as_object().unwrap().len(), 1);
    client
        .fault(json!({ "kind": "mode", "mode": "cancel_only" }))
        .await;
    assert_eq!(
        refusal(&client, "AddOrder", &add("third")).await,
        "EService:Market in cancel_only mode"
    );
    assert_eq!(call(&client, "CancelAll", "").await["count"], 1);
    let mut socket = subscribed_book(&client, 10).await;
    client
        .fault(json!({ "kind": "mode", "mode": "maintenance" }))
        .await;
    let (_, status) = socket.until(|message| message["channel"] == "status").await;
    assert_eq!(status["data"][0]["system"], "maintenance");
    assert_eq!(refusal(&client, "CancelAll", "").await, "EService:Unavailable");
    client.fault(json!({ "kind": "mode", "mode": "online" })).await;
    client.fault(json!({ "kind": "clock_skew", "ms": -5_000 })).await;
    assert_eq!(
        public(&client, "Time").await["result"]["unixtime"],
        client::OPEN_MS / 1_000 - 4
    );
    client
        .fault(json!({ "kind": "close", "code": 1013, "reason": "try again later" }))
        .await;
    let frame = loop {
        if let Message::Close(frame) = socket.next_message().await.unwrap() {
            break frame.unwrap();
        }
    };
    assert_eq!(
        (u16::from(frame.code), frame.reason.as_str()),
        (1013, "try again later")
    );
}
