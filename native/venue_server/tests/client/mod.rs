//! A small client of the wire, written for the tests alone: nothing of the server's own code.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use domain::{Bar, InstrumentId, Nanos, Price, Quantity, Timestamp};
use futures_util::{SinkExt, StreamExt};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use venue_server::{ApiKey, Server, ServerConfig, VenueKind};

pub(crate) const KEY: &str = "key_of_alpha";
pub(crate) const SECRET: &str = "secret_of_alpha";
pub(crate) const OTHER_KEY: &str = "key_of_beta1";
pub(crate) const OTHER_SECRET: &str = "secret_of_beta1";

/// 15 minutes.
pub(crate) const SPAN_MS: i64 = 900_000;
/// The first bar opens here.
pub(crate) const OPEN_MS: i64 = 1_632_750_300_000;

/// Bars around 40,000 with a tick of 1/256.
pub(crate) fn bars(count: i64) -> Vec<Bar> {
    (0..count)
        .map(|number| {
            let price = |ticks: i64| Price::from_units((40_000 * 256 + ticks) * 390_625);
            let base = number * 37 % 411;
            Bar {
                instrument: InstrumentId(0),
                ts_open: Timestamp::from_millis(OPEN_MS + number * SPAN_MS),
                span: Nanos::from_millis(SPAN_MS),
                open: price(base),
                high: price(base + 9_001),
                low: price(base - 8_000),
                close: price(base + 500),
                volume: Quantity::from_units(30_000_000_001 + number),
            }
        })
        .collect()
}

/// A venue of another wire, its time in the test's hands.
pub(crate) fn paused_at(venue: VenueKind, count: i64) -> ServerConfig {
    let mut config = paused(count);
    config.venue = venue;
    venue.default_symbol().clone_into(&mut config.symbol);
    config
}

pub(crate) fn paused(count: i64) -> ServerConfig {
    let mut config = ServerConfig::new(bars(count), "BTCUSDT");
    // One venue second a wall second: time in the requests then means what it says.
    config.wall_span = Nanos::from_millis(SPAN_MS);
    config.start_paused = true;
    config
}

pub(crate) async fn start(config: ServerConfig) -> (Server, Client) {
    let keys = vec![ApiKey::new(KEY, SECRET), ApiKey::new(OTHER_KEY, OTHER_SECRET)];
    let server = Server::start(config, keys).await.expect("a server");
    let client = Client {
        address: server.address(),
        key: KEY,
        secret: SECRET,
    };
    (server, client)
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn code(&self) -> i64 {
        self.json()["code"].as_i64().expect("an error code")
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) key: &'static str,
    pub(crate) secret: &'static str,
}

impl Client {
    pub(crate) fn other(self) -> Self {
        Self {
            key: OTHER_KEY,
            secret: OTHER_SECRET,
            ..self
        }
    }

    /// One request on a connection of its own; `None` when the connection broke.
    pub(crate) async fn try_request(&self, method: &str, target: &str, body: &str) -> Option<Response> {
        let headers = format!(
            "X-MBX-APIKEY: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n",
            self.key
        );
        self.exchange(method, target, &headers, body).await
    }

    /// One request with these header lines on a connection of its own; `None` when the connection broke.
    pub(crate) async fn exchange(
        &self,
        method: &str,
        target: &str,
        headers: &str,
        body: &str,
    ) -> Option<Response> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: venue\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Response {
            status,
            head: head.to_ascii_lowercase(),
            text: body.to_owned(),
        })
    }

    pub(crate) async fn request(&self, method: &str, target: &str, body: &str) -> Response {
        self.try_request(method, target, body).await.expect("an answer")
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self.request("GET", &format!("/api/v3/{path}"), "").await;
        assert_eq!(response.status, 200, "{path}: {}", response.text);
        response.json()
    }

    pub(crate) async fn server_time(&self) -> i64 {
        self.get("time").await["serverTime"].as_i64().expect("a time")
    }

    /// Parameters with timestamp and signature.
    pub(crate) async fn signed_text(&self, params: &str) -> String {
        let joint = if params.is_empty() { "" } else { "&" };
        let payload = format!("{params}{joint}timestamp={}", self.server_time().await);
        format!("{payload}&signature={}", sign(self.secret, &payload))
    }

    /// A signed request with its parameters in the query.
    pub(crate) async fn signed(&self, method: &str, path: &str, params: &str) -> Response {
        let query = self.signed_text(params).await;
        self.request(method, &format!("/api/v3/{path}?{query}"), "").await
    }

    /// A signed POST with its parameters in the body.
    pub(crate) async fn order(&self, params: &str) -> Response {
        let body = self.signed_text(&format!("symbol=BTCUSDT&{params}")).await;
        self.request("POST", "/api/v3/order", &body).await
    }

    pub(crate) async fn admin(&self, path: &str, body: &Value) -> Value {
        let response = self
            .request("POST", &format!("/admin/{path}"), &body.to_string())
            .await;
        assert_eq!(response.status, 200, "{path}: {}", response.text);
        response.json()
    }

    pub(crate) async fn advance(&self, ms: i64) -> Value {
        self.admin("advance", &json!({ "ms": ms })).await
    }

    pub(crate) async fn fault(&self, fault: Value) {
        self.admin("faults", &fault).await;
    }

    pub(crate) async fn state(&self) -> Value {
        self.request("GET", "/admin/state", "").await.json()
    }

    pub(crate) async fn socket(&self, path: &str) -> Socket {
        let url = format!("ws://{}{path}", self.address);
        let (inner, _) = connect_async(url).await.expect("a socket");
        Socket { inner }
    }

    /// A socket that is subscribed to this account's user data.
    pub(crate) async fn user_data(&self) -> Socket {
        let mut socket = self.socket("/ws-api/v3").await;
        let timestamp = self.server_time().await;
        let payload = format!("apiKey={}&timestamp={timestamp}", self.key);
        let signature = sign(self.secret, &payload);
        let params = json!({ "apiKey": self.key, "timestamp": timestamp, "signature": signature });
        socket
            .send(&json!({ "id": "sub", "method": "userDataStream.subscribe.signature", "params": params }))
            .await;
        let answer = socket.next().await.expect("an answer");
        assert_eq!(
            (&answer["status"], &answer["result"]["subscriptionId"]),
            (&json!(200), &json!(0))
        );
        socket
    }
}

pub(crate) fn sign(secret: &str, payload: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(payload.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[derive(Debug)]
pub(crate) struct Socket {
    inner: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    pub(crate) async fn send(&mut self, value: &Value) {
        let sent = self.inner.send(Message::text(value.to_string())).await;
        sent.expect("a socket that takes messages");
    }

    /// The next text message; `None` when the connection ended.
    pub(crate) async fn next_text(&mut self) -> Option<String> {
        loop {
            match self.inner.next().await {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Option<Value> {
        let text = self.next_text().await?;
        Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    /// Sends a request and returns what came before its answer, and the answer: everything that the server
    /// queued before it handled the request has arrived by then.
    pub(crate) async fn ask(&mut self, request: &Value) -> (Vec<Value>, Value) {
        self.send(request).await;
        let mut before = Vec::new();
        loop {
            let message = self.next().await.expect("an answer");
            if message.get("id") == request.get("id") {
                return (before, message);
            }
            before.push(message);
        }
    }

    /// Everything up to the first message for which `is_last` holds, and that one.
    pub(crate) async fn until(&mut self, is_last: impl Fn(&Value) -> bool) -> (Vec<Value>, Value) {
        let mut before = Vec::new();
        loop {
            let message = self.next().await.expect("a message");
            if is_last(&message) {
                return (before, message);
            }
            before.push(message);
        }
    }

    pub(crate) async fn next_message(&mut self) -> Option<Message> {
        self.inner.next().await.and_then(Result::ok)
    }
}

/// A book rebuilt by the venue's documented rules.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) bids: BTreeMap<Price, Quantity>,
    pub(crate) asks: BTreeMap<Price, Quantity>,
    pub(crate) update_id: u64,
}

pub(crate) fn number(value: &Value) -> i64 {
    let text = value.as_str().expect("a number as text");
    Price::parse(text.as_bytes()).expect("a number").units()
}

impl Book {
    pub(crate) fn from_snapshot(snapshot: &Value) -> Self {
        let mut book = Self {
            update_id: snapshot["lastUpdateId"].as_u64().expect("an id"),
            ..Self::default()
        };
        book.put(&snapshot["bids"], &snapshot["asks"]);
        book
    }

    /// Applies a diff: drops it when it is stale, panics when one is missing.
    pub(crate) fn apply(&mut self, diff: &Value) {
        let (first, last) = (diff["U"].as_u64().expect("U"), diff["u"].as_u64().expect("u"));
        if last <= self.update_id {
            return;
        }
        assert!(
            first <= self.update_id + 1,
            "a gap: {first} after {}",
            self.update_id
        );
        self.update_id = last;
        self.put(&diff["b"], &diff["a"]);
        let (bid, ask) = (self.bids.keys().next_back(), self.asks.keys().next());
        if let (Some(bid), Some(ask)) = (bid, ask) {
            assert!(bid < ask, "crossed: {bid} {ask}");
        }
    }

    fn put(&mut self, bids: &Value, asks: &Value) {
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for level in levels.as_array().expect("levels") {
                let price = Price::from_units(number(&level[0]));
                match number(&level[1]) {
                    0 => side.remove(&price),
                    quantity => side.insert(price, Quantity::from_units(quantity)),
                };
            }
        }
    }
}
