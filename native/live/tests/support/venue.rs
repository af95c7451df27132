//! The simulated venue of a test, in this process, and the other side of its admin door.

use std::net::SocketAddr;

use domain::{Bar, InstrumentId, Nanos, Price, Quantity, Timestamp};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use venue_server::{Server, ServerConfig};

use super::wires::Wire;

pub(crate) const API_KEY: &str = "live_bench_key";
pub(crate) const API_SECRET: &str = "live_bench_secret";

/// Venue seconds in one second.
pub(crate) const COMPRESSION: i64 = 300;

pub(crate) const BAR: Nanos = Nanos::from_secs(60);
pub(crate) const FIRST_BAR_MS: i64 = 1_632_700_800_000;
/// Bars before the first that is played.
pub(crate) const HISTORY: usize = 50;

/// A market that swings gently around 100.
pub(crate) fn bars() -> Vec<Bar> {
    let cents = |cents: i64| Price::from_units(cents * 1_000_000);
    (0..900)
        .map(|number| {
            let swing = |at: i64| 10_000 + 20 * ((at % 12) - 6).abs();
            let (open, close) = (swing(number), swing(number + 1));
            Bar {
                instrument: InstrumentId(0),
                ts_open: Timestamp::from_millis(FIRST_BAR_MS + number * 60_000),
                span: BAR,
                open: cents(open),
                high: cents(open.max(close) + 7),
                low: cents(open.min(close) - 7),
                close: cents(close),
                volume: Quantity::from_units(4_000 * 100_000_000),
            }
        })
        .collect()
}

pub(crate) struct SimulatedVenue {
    address: SocketAddr,
    /// Runs as long as it is held; `None` where somebody else holds it.
    _server: Option<Server>,
}

impl SimulatedVenue {
    pub(crate) async fn start() -> Self {
        Self::start_over(Wire::Binance).await
    }

    pub(crate) async fn start_over(wire: Wire) -> Self {
        Self::start_at(wire, 0).await
    }

    /// At a port that was free a moment ago.
    pub(crate) async fn start_at(wire: Wire, port: u16) -> Self {
        let mut config = ServerConfig::new(bars(), wire.symbol());
        config.venue = wire.kind();
        config.from = Some(bars()[HISTORY].ts_open);
        config.wall_span = Nanos(BAR.0 / COMPRESSION);
        config.port = port;
        let server = Server::start(config, vec![wire.key()]).await.unwrap();
        Self {
            address: server.address(),
            _server: Some(server),
        }
    }

    pub(crate) const fn kept_elsewhere(address: SocketAddr) -> Self {
        Self {
            address,
            _server: None,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) async fn state(&self) -> Value {
        request(self.address, "GET", "/admin/state", "").await
    }

    pub(crate) async fn pause(&self) -> Value {
        request(self.address, "POST", "/admin/pause", "").await
    }

    pub(crate) async fn resume(&self) -> Value {
        request(self.address, "POST", "/admin/resume", "").await
    }

    pub(crate) async fn fault(&self, fault: &str) {
        request(self.address, "POST", "/admin/faults", fault).await;
    }

    /// A deposit, or with a negative amount a withdrawal.
    pub(crate) async fn transfer(&self, asset: &str, amount: &str) {
        let body = json!({ "api_key": API_KEY, "asset": asset, "amount": amount });
        request(self.address, "POST", "/admin/transfer", &body.to_string()).await;
    }

    /// An order on the account that the service did not send; without a price at the market. The venue's number.
    pub(crate) async fn place(&self, id: &str, side: &str, price: Option<&str>, quantity: &str) -> u64 {
        let body = json!({
            "api_key": API_KEY, "client_order_id": id, "side": side, "price": price, "quantity": quantity,
        });
        let placed = request(self.address, "POST", "/admin/order", &body.to_string()).await;
        placed["id"].as_u64().unwrap()
    }

    /// Orders that rest on the account, by their ids.
    pub(crate) async fn resting(&self) -> Vec<String> {
        let state = self.state().await;
        let open = state["accounts"][0]["open_orders"].as_array().unwrap().clone();
        let id = |order: &Value| order["client_order_id"].as_str().unwrap().to_owned();
        open.iter().map(id).collect()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        request(self.address, "GET", path, "").await
    }
}

/// A page of another server of the test.
pub(crate) async fn get_text(address: SocketAddr, path: &str) -> String {
    exchange(address, "GET", path, "").await
}

async fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> Value {
    serde_json::from_str(&exchange(address, method, path, body).await).unwrap()
}

/// One request on a connection of its own.
async fn exchange(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: venue\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
    body.to_owned()
}
