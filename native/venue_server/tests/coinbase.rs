//! Coinbase's wire: tokens, orders, the socket's one count of messages, faults.

#![allow(clippy::unwrap_used, reason = "what a test does not find, it fails on")]

mod client;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use client::{Client, Response, Socket, number, paused_at};
use domain::Price;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use serde_json::{Value, json};
use venue_server::{ApiKey, Server, ServerConfig, ServerError, VenueKind};

const KEY: &str = "organizations/one/apiKeys/alpha";
const OTHER_KEY: &str = "organizations/one/apiKeys/beta";

fn secret(byte: u8) -> p256::SecretKey {
    p256::SecretKey::from_slice(&[byte; 32]).unwrap()
}

async fn start(config: ServerConfig) -> (Server, Client) {
    // A private key with its line ends escaped, as the venue's key files have them, and a public key.
    let private = secret(7)
        .to_pkcs8_pem(LineEnding::LF)
        .unwrap()
        .replace('\n', "\\n");
    let public = secret(9).public_key().to_public_key_pem(LineEnding::LF).unwrap();
    let keys = vec![ApiKey::new(KEY, &private), ApiKey::new(OTHER_KEY, &public)];
    let server = Server::start(config, keys).await.unwrap();
    let client = Client {
        address: server.address(),
        key: KEY,
        secret: "",
    };
    (server, client)
}

fn paused(count: i64) -> ServerConfig {
    paused_at(VenueKind::Coinbase, count)
}

/// A token as the venue's documentation forms it.
fn token(key: &str, byte: u8, uri: Option<&str>, begins_s: i64) -> String {
    let part = |value: Value| BASE64.encode(value.to_string());
    let header = part(json!({ "alg": "ES256", "kid": key, "typ": "JWT", "nonce": "00ff" }));
    let mut claims = json!({ "sub": key, "iss": "cdp", "nbf": begins_s, "exp": begins_s + 120 });
    if let Some(uri) = uri {
        claims["uri"] = json!(uri);
    }
    let signed = format!("{header}.{}", part(claims));
    let signature: Signature = SigningKey::from(secret(byte)).sign(signed.as_bytes());
    format!("{signed}.{}", BASE64.encode(signature.to_bytes()))
}

async fn now_s(client: &Client) -> i64 {
    let time = client.request("GET", "/api/v3/brokerage/time", "").await.json();
    time["epochSeconds"].as_str().unwrap().parse().unwrap()
}

async fn send(client: &Client, method: &str, path: &str, body: &str, token: &str) -> Response {
    let headers = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
    let target = format!("/api/v3/brokerage/{path}");
    client.exchange(method, &target, &headers, body).await.unwrap()
}

async fn raw(client: &Client, method: &str, path: &str, body: &Value) -> Response {
    let (bare, _) = path.split_once('?').unwrap_or((path, ""));
    let uri = format!("{method} api.coinbase.com/api/v3/brokerage/{bare}");
    let byte = if client.key == KEY { 7 } else { 9 };
    let token = token(client.key, byte, Some(&uri), now_s(client).await);
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    send(client, method, path, &body, &token).await
}

async fn get(client: &Client, path: &str) -> Value {
    let answer = raw(client, "GET", path, &Value::Null).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

async fn post(client: &Client, path: &str, body: Value) -> Value {
    let answer = raw(client, "POST", path, &body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

fn limit(name: &str, side: &str, size: &str, price: &str) -> Value {
    let configuration =
        json!({ "limit_limit_gtc": { "base_size": size, "limit_price": price, "post_only": false } });
    json!({ "client_order_id": name, "product_id": "BTC-USD", "side": side, "order_configuration": configuration })
}

async fn status_of(client: &Client, id: &str) -> Value {
    get(client, &format!("orders/historical/{id}")).await["order"]["status"].clone()
}

#[tokio::test]
async fn an_order_lives_through_its_states() {
    let (_server, client) = start(paused(2)).await;
    client.advance(10_000).await;
    let placed = post(&client, "orders", limit("e1-s0-1", "BUY", "0.5", "39900")).await;
    assert_eq!(placed["success"], true, "{placed}");
    let id = placed["success_response"]["order_id"]
        .as_str()
        .unwrap()
        .to_owned();
    // A name that is known brings the same order back.
    let again = post(&client, "orders", limit("e1-s0-1", "BUY", "0.7", "39000")).await;
    assert_eq!(again["success_response"]["order_id"], id.as_str());
    let order = get(&client, &format!("orders/historical/{id}")).await["order"].clone();
    assert_eq!(
        (&order["status"], &order["client_order_id"]),
        (&json!("OPEN"), &json!("e1-s0-1"))
    );
    assert_eq!(
        order["order_configuration"]["limit_limit_gtc"]["base_size"],
        "0.5"
    );
    let open = get(&client, "orders/historical/batch?order_status=OPEN").await;
    assert_eq!(open["orders"], json!([order]));
    assert_eq!(
        get(&client, "orders/historical/batch?order_status=FILLED").await["orders"],
        json!([])
    );
    let edit = json!({ "order_id": id, "price": "39901", "size": "0.25" });
    assert_eq!(
        post(&client, "orders/edit", edit).await,
        json!({ "success": true, "errors": [] })
    );
    let accounts = get(&client, "accounts").await;
    let dollars = accounts["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["currency"] == "USD")
        .unwrap();
    assert!(
        dollars["hold"]["value"].as_str().unwrap().starts_with("9985.2"),
        "{dollars}"
    );
    let canceled = post(
        &client,
        "orders/batch_cancel",
        json!({ "order_ids": [id, "nobody"] }),
    )
    .await;
    assert_eq!(
        (
            &canceled["results"][0]["success"],
            &canceled["results"][1]["failure_reason"]
        ),
        (&json!(true), &json!("UNKNOWN_CANCEL_ORDER"))
    );
    assert_eq!(status_of(&client, &id).await, "CANCELLED");
    let other = Client {
        key: OTHER_KEY,
        ..client
    };
    assert_eq!(
        raw(&other, "GET", &format!("orders/historical/{id}"), &Value::Null)
            .await
            .status,
        404
    );
    assert_eq!(get(&other, "key_permissions").await["can_transfer"], false);
}

#[tokio::test]
async fn a_market_order_is_filled_and_paid_for() {
    let (_server, client) = start(paused(2)).await;
    client.advance(20_000).await;
    let order = json!({
        "client_order_id": "m", "product_id": "BTC-USD", "side": "BUY",
        "order_configuration": { "market_market_ioc": { "quote_size": "1000" } },
    });
    let placed = post(&client, "orders", order).await;
    let id = placed["success_response"]["order_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let order = get(&client, &format!("orders/historical/{id}")).await["order"].clone();
    assert_eq!(
        (&order["status"], &order["order_type"]),
        (&json!("FILLED"), &json!("MARKET"))
    );
    let value = number(&order["filled_value"]);
    assert!((99_900_000_000..=100_000_000_000).contains(&value), "{value}");
    let fills = get(&client, &format!("orders/historical/fills?order_ids={id}")).await;
    let fills = fills["fills"].as_array().unwrap();
    assert_eq!(
        fills.len().to_string(),
        order["number_of_fills"].as_str().unwrap()
    );
    let fees: i64 = fills.iter().map(|fill| number(&fill["commission"])).sum();
    assert_eq!(fees, number(&order["total_fees"]));
    let accounts = get(&client, "accounts").await;
    let dollars = accounts["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["currency"] == "USD")
        .unwrap();
    assert_eq!(
        number(&dollars["available_balance"]["value"]),
        100_000_000_000_000 - value - fees
    );
    // Page by page it is the same list.
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = get(
            &client,
            &format!("orders/historical/fills?limit=1&cursor={cursor}"),
        )
        .await;
        seen.extend(page["fills"].as_array().unwrap().clone());
        page["cursor"].as_str().unwrap().clone_into(&mut cursor);
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(seen, *fills);
}

#[tokio::test]
async fn tokens_are_checked() {
    let (_server, client) = start(paused(1)).await;
    client.advance(600_000).await;
    let now = now_s(&client).await;
    let uri = "GET api.coinbase.com/api/v3/brokerage/accounts";
    let status = async |token: String| send(&client, "GET", "accounts", "", &token).await.status;
    assert_eq!(status(token(KEY, 7, Some(uri), now)).await, 200);
    assert_eq!(status(token(KEY, 7, Some(uri), now - 120)).await, 200);
    assert_eq!(
        status(token(KEY, 7, Some(uri), now - 121)).await,
        401,
        "it is over"
    );
    assert_eq!(
        status(token(KEY, 7, Some(uri), now + 6)).await,
        401,
        "it has not begun"
    );
    assert_eq!(
        status(token(KEY, 9, Some(uri), now)).await,
        401,
        "another's signature"
    );
    assert_eq!(status(token("nobody", 7, Some(uri), now)).await, 401);
    assert_eq!(status(token(KEY, 7, None, now)).await, 401);
    let other = "GET api.coinbase.com/api/v3/brokerage/orders";
    assert_eq!(
        status(token(KEY, 7, Some(other), now)).await,
        401,
        "it is for another call"
    );
    assert_eq!(status("a.b.c".to_owned()).await, 401);
    let refused = client.request("GET", "/api/v3/brokerage/accounts", "").await;
    assert_eq!((refused.status, refused.text.as_str()), (401, "Unauthorized\n"));
    let wrong = Server::start(paused(1), vec![ApiKey::new(KEY, "no key at all")])
        .await
        .unwrap_err();
    assert!(matches!(wrong, ServerError::PrivateKey { entry: 1 }) && !wrong.to_string().contains("no key"));
}

#[tokio::test]
async fn refusals_are_worded_as_the_venues() {
    let (_server, client) = start(paused(1)).await;
    client.advance(1_000).await;
    let refusal = async |order: Value| {
        let answer = post(&client, "orders", order).await;
        assert_eq!(answer["success"], false, "{answer}");
        let error = &answer["error_response"];
        let word = |name: &str| error[name].as_str().unwrap().to_owned();
        (word("error"), word("preview_failure_reason"))
    };
    let pair = |error: &str, preview: &str| (error.to_owned(), preview.to_owned());
    assert_eq!(
        refusal(limit("a", "BUY", "100", "39900")).await,
        pair("INSUFFICIENT_FUND", "PREVIEW_INSUFFICIENT_FUND")
    );
    assert_eq!(
        refusal(limit("b", "BUY", "1", "39900.001")).await.0,
        "INVALID_PRICE_PRECISION"
    );
    assert_eq!(
        refusal(limit("c", "BUY", "0.000001", "39900")).await.1,
        "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL"
    );
    assert_eq!(
        refusal(limit("d", "BUY", "0.00002", "39900")).await.1,
        "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"
    );
    let mut order = limit("e", "BUY", "0.01", "40100");
    order["order_configuration"]["limit_limit_gtc"]["post_only"] = json!(true);
    assert_eq!(refusal(order.clone()).await.0, "INVALID_LIMIT_PRICE_POST_ONLY");
    order["product_id"] = json!("DOGE-USD");
    assert_eq!(refusal(order).await.0, "INVALID_PRODUCT_ID");
    client
        .fault(json!({ "kind": "mode", "mode": "cancel_only" }))
        .await;
    assert_eq!(
        refusal(limit("f", "BUY", "0.1", "39900")).await.0,
        "ORDER_ENTRY_DISABLED"
    );
    assert_eq!(get(&client, "products/BTC-USD").await["cancel_only"], true);
    client.fault(json!({ "kind": "mode", "mode": "online" })).await;
    let unknown = |executed| json!({ "kind": "unknown_outcome", "request": "place", "executed": executed, "answer": "timeout" });
    client.fault(unknown(true)).await;
    client.fault(unknown(false)).await;
    for (name, open) in [("g", 1), ("h", 1)] {
        let answer = raw(&client, "POST", "orders", &limit(name, "BUY", "0.1", "39000")).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (500, &json!("INTERNAL"))
        );
        let listed = get(&client, "orders/historical/batch?order_status=OPEN").await;
        assert_eq!(listed["orders"].as_array().unwrap().len(), open);
    }
    client
        .fault(json!({ "kind": "rate_limited", "request": "query", "retry_after_s": 3 }))
        .await;
    let limited = raw(&client, "GET", "accounts", &Value::Null).await;
    assert_eq!(limited.status, 429);
    assert!(limited.head.contains("retry-after: 3"));
}

#[tokio::test]
async fn public_calls_describe_the_market() {
    let (_server, client) = start(paused(3)).await;
    client.advance(client::SPAN_MS + 5_000).await;
    let ask = async |path: &str| {
        client
            .request("GET", &format!("/api/v3/brokerage/market/{path}"), "")
            .await
    };
    let products = ask("products").await.json();
    assert_eq!(
        (&products["num_products"], &products["products"][0]["product_id"]),
        (&json!(1), &json!("BTC-USD"))
    );
    assert_eq!(
        ask("products?product_type=FUTURE").await.json()["num_products"],
        0
    );
    assert_eq!(products["products"][0]["price_increment"], "0.00390625");
    let book = ask("product_book?product_id=BTC-USD&limit=3").await.json();
    assert_eq!(book["pricebook"]["bids"].as_array().unwrap().len(), 3);
    let candles = ask("products/BTC-USD/candles?granularity=FIFTEEN_MINUTE")
        .await
        .json();
    let first = candles["candles"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&first["start"], &first["open"]),
        (&json!((client::OPEN_MS / 1_000).to_string()), &json!("40000"))
    );
    assert_eq!(
        ask("products/BTC-USD/candles?granularity=ONE_DAY").await.status,
        400
    );
    assert_eq!(ask("products/DOGE-USD").await.status, 404);
    assert_eq!(
        ask("products/BTC-USD/ticker?limit=2").await.json()["trades"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

/// A socket that is subscribed to `channels`; every message's number is checked.
struct Numbered {
    socket: Socket,
    next: u64,
}

impl Numbered {
    async fn open(client: &Client) -> Self {
        Self {
            socket: client.socket("/").await,
            next: 0,
        }
    }

    async fn subscribe(&mut self, channel: &str, jwt: Option<String>) -> Vec<Value> {
        let mut request = json!({ "type": "subscribe", "product_ids": ["BTC-USD"], "channel": channel });
        if let Some(jwt) = jwt {
            request["jwt"] = json!(jwt);
        }
        self.socket.send(&request).await;
        self.until(|message| message["channel"] == "subscriptions")
            .await
            .0
    }

    /// What came before the first message for which `is_last` holds, and that one.
    async fn until(&mut self, is_last: impl Fn(&Value) -> bool) -> (Vec<Value>, Value) {
        let (before, last) = self.socket.until(is_last).await;
        for message in before.iter().chain([&last]) {
            assert_eq!(
                message["sequence_num"], self.next,
                "one count over all channels: {message}"
            );
            self.next += 1;
        }
        (before, last)
    }

    /// What came so far.
    async fn drain(&mut self) -> Vec<Value> {
        self.subscribe("status", None).await
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Sides {
    bids: BTreeMap<Price, String>,
    offers: BTreeMap<Price, String>,
}

impl Sides {
    fn apply(&mut self, message: &Value) {
        for event in message["events"].as_array().unwrap() {
            for update in event["updates"].as_array().unwrap() {
                let side = if update["side"] == "bid" {
                    &mut self.bids
                } else {
                    &mut self.offers
                };
                let price = Price::from_units(number(&update["price_level"]));
                match update["new_quantity"].as_str().unwrap() {
                    "0" => side.remove(&price),
                    quantity => side.insert(price, quantity.to_owned()),
                };
            }
        }
    }

    fn of_rest(book: &Value) -> Self {
        let side = |name: &str| {
            let levels = book["pricebook"][name].as_array().unwrap().iter();
            levels
                .map(|level| {
                    (
                        Price::from_units(number(&level["price"])),
                        level["size"].as_str().unwrap().to_owned(),
                    )
                })
                .collect()
        };
        Self {
            bids: side("bids"),
            offers: side("asks"),
        }
    }
}

#[tokio::test]
async fn the_streamed_book_is_the_servers_own_and_its_messages_are_counted() {
    let mut config = paused(3);
    config.weight_per_minute = 1_000_000;
    let (_server, client) = start(config).await;
    client.advance(1_000).await;
    let mut socket = Numbered::open(&client).await;
    assert_eq!(
        socket.subscribe("market_trades", None).await[0]["events"][0]["type"],
        "snapshot"
    );
    let first = socket.subscribe("level2", None).await;
    assert_eq!(
        (&first[0]["channel"], &first[0]["events"][0]["type"]),
        (&json!("l2_data"), &json!("snapshot"))
    );
    let mut book = Sides::default();
    book.apply(&first[0]);
    let mut updates = 0;
    for step in 0..60 {
        client.advance(10_000).await;
        if step % 9 == 0 {
            let name = format!("step-{step}");
            post(&client, "orders", limit(&name, "BUY", "0.011", "39990")).await;
        }
        // What changed just now is told with the next 50 ms.
        client.advance(50).await;
        for message in socket
            .drain()
            .await
            .iter()
            .filter(|message| message["channel"] == "l2_data")
        {
            book.apply(message);
            updates += 1;
        }
        let own = client
            .request(
                "GET",
                "/api/v3/brokerage/market/product_book?product_id=BTC-USD",
                "",
            )
            .await
            .json();
        let own = Sides::of_rest(&own);
        assert_eq!(book, own, "step {step}");
    }
    assert!(updates > 60, "{updates} updates");
}

#[tokio::test]
async fn a_lost_message_is_a_gap_in_the_count() {
    let (_server, client) = start(paused(2)).await;
    client.advance(1_000).await;
    let mut socket = Numbered::open(&client).await;
    socket.subscribe("level2", None).await;
    client.fault(json!({ "kind": "depth_gap" })).await;
    client.advance(60_000).await;
    let next = socket.socket.next().await.unwrap();
    assert_eq!(next["sequence_num"], socket.next + 1);
    let refused = json!({ "type": "subscribe", "channel": "user", "product_ids": ["BTC-USD"] });
    let (_, error) = {
        socket.socket.send(&refused).await;
        socket.socket.until(|message| message["type"] == "error").await
    };
    assert_eq!(error["message"], "authentication failure");
}

#[tokio::test]
async fn an_accounts_orders_are_told_in_the_same_count() {
    let (_server, client) = start(paused(2)).await;
    client.advance(1_000).await;
    let resting = post(&client, "orders", limit("rests", "BUY", "0.5", "39000")).await;
    let id = resting["success_response"]["order_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut socket = Numbered::open(&client).await;
    let begins = now_s(&client).await;
    let snapshot = socket.subscribe("user", Some(token(KEY, 7, None, begins))).await;
    assert_eq!(snapshot[0]["events"][0]["orders"][0]["order_id"], id.as_str());
    socket.subscribe("heartbeats", None).await;
    post(&client, "orders", limit("takes", "SELL", "0.01", "39900")).await;
    post(&client, "orders/batch_cancel", json!({ "order_ids": [id] })).await;
    let (before, _) = socket
        .until(|message| message["events"][0]["orders"][0]["status"] == "CANCELLED")
        .await;
    let told: Vec<&Value> = before
        .iter()
        .filter(|message| message["channel"] == "user")
        .map(|message| &message["events"][0]["orders"][0])
        .collect();
    assert_eq!(
        (&told[0]["status"], &told[0]["cumulative_quantity"]),
        (&json!("OPEN"), &json!("0"))
    );
    let last = told.last().unwrap();
    assert_eq!(
        (
            &last["status"],
            &last["cumulative_quantity"],
            &last["leaves_quantity"]
        ),
        (&json!("FILLED"), &json!("0.01"), &json!("0"))
    );
    let (_, beat) = socket.until(|message| message["channel"] == "heartbeats").await;
    assert!(beat["events"][0]["heartbeat_counter"].as_u64().is_some());
    client
        .fault(json!({ "kind": "frames", "class": "account", "fault": "duplicate" }))
        .await;
    post(&client, "orders", limit("again", "BUY", "0.5", "39000")).await;
    let is_again = |message: &Value| message["events"][0]["orders"][0]["client_order_id"] == "again";
    let (_, one) = socket.until(is_again).await;
    let (_, two) = socket.socket.until(is_again).await;
    assert_eq!(one, two, "the same message, number and all");
    assert_eq!(
        client.state().await["connections"],
        json!({ "market": 0, "account": 1 })
    );
}
