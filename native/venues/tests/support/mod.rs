//! A venue of the test's own: scripted HTTP and WebSocket servers on loopback.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's own venue may panic and say so"
)]

pub(crate) mod coinbase;
pub(crate) mod recorded;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{
    Currency, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money, Price, Quantity, Text,
    Venue,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use venues::binance::{Credentials, Endpoints, RestClient, Settings};
use venues::clock::ServerClock;
use venues::{Instruments, Secret, StreamMessage, StreamMessageKind};

/// Longest wait for anything before a test fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// One request as the server read it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Request {
    /// The value of a parameter in the query or the body.
    pub(crate) fn param(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').chain(self.body.split('&'));
        pairs
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Status and body.
    Json(u16, String),
    /// Status, one more header line, and body.
    With(u16, String, String),
    /// The body, once there is a permit.
    Held(Arc<Semaphore>, String),
    /// Reads it and closes the connection without a word.
    Close,
    /// Reads it and says nothing.
    Hang,
    /// Promises more than it sends, then closes.
    Cut,
}

/// A scripted HTTP server; ends when it is dropped.
pub(crate) struct Http {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Http {
    pub(crate) async fn serve(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let script = Arc::new(script);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(connection(socket, Arc::clone(&script), Arc::clone(&seen)));
            }
        });
        Self {
            address,
            requests,
            task,
        }
    }

    /// Every request so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// How many requests went to a path.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.method == method && request.path == path)
            .count()
    }

    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::new(Endpoints::loopback(self.address.port()));
        settings.request_timeout = Duration::from_millis(500);
        settings.connect_timeout = Duration::from_millis(400);
        settings
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection<F: Fn(&Request) -> Reply>(
    mut socket: TcpStream,
    script: Arc<F>,
    seen: Arc<Mutex<Vec<Request>>>,
) {
    let mut bytes = Vec::new();
    while let Some(request) = read_request(&mut socket, &mut bytes).await {
        let reply = script(&request);
        seen.lock().unwrap().push(request);
        let (status, header, body) = match reply {
            Reply::Json(status, body) => (status, String::new(), body),
            Reply::With(status, header, body) => (status, format!("{header}\r\n"), body),
            Reply::Held(permits, body) => {
                let Ok(permit) = permits.acquire().await else {
                    return;
                };
                permit.forget();
                (200, String::new(), body)
            }
            Reply::Close => return,
            Reply::Hang => {
                // Until the client gives up and closes.
                let _ = socket.read(&mut [0; 1]).await;
                return;
            }
            Reply::Cut => {
                let _ = socket
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"symbol\"")
                    .await;
                return;
            }
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{header}\r\n",
            body.len()
        );
        if socket
            .write_all(format!("{head}{body}").as_bytes())
            .await
            .is_err()
        {
            return;
        }
    }
}

async fn read_request(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Request> {
    loop {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length:")
                    .map(|value| value.trim().to_owned())
            });
            let length: usize = length.map_or(0, |value| value.parse().unwrap());
            if rest.len() >= length {
                bytes.drain(..head.len() + 4 + length);
                let mut line = head.lines().next()?.split(' ');
                let (method, target) = (line.next()?, line.next()?);
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                return Some(Request {
                    method: method.to_owned(),
                    path: path.to_owned(),
                    query: query.to_owned(),
                    headers: head.to_owned(),
                    body: rest[..length].to_owned(),
                });
            }
        }
        let mut chunk = [0; 4_096];
        match socket.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

/// A scripted WebSocket server; ends when it is dropped. The script gets each connection and its number.
pub(crate) struct Sockets {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Sockets {
    pub(crate) async fn serve<F, Fut>(script: F) -> Self
    where
        F: Fn(WebSocketStream<TcpStream>, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut number = 0;
            while let Ok((socket, _)) = listener.accept().await {
                let Ok(socket) = tokio_tungstenite::accept_async(socket).await else {
                    continue;
                };
                tokio::spawn(script(socket, number));
                number += 1;
            }
        });
        Self { address, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address at which nobody listens.
pub(crate) async fn dead_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

pub(crate) const API_KEY: &str = "the-api-key";
pub(crate) const API_SECRET: &str = "the-api-secret";

pub(crate) fn credentials() -> Credentials {
    let secret = |text: &str| Secret::new(text.to_owned()).unwrap();
    Credentials::new(secret(API_KEY), secret(API_SECRET))
}

pub(crate) fn client(settings: Settings) -> Arc<RestClient> {
    let clock = Arc::new(ServerClock::local());
    Arc::new(RestClient::new(settings, Some(credentials()), clock).unwrap())
}

pub(crate) fn instrument(id: u16, symbol: &str) -> Instrument {
    let quote = Currency::new("USDT").unwrap();
    Instrument {
        id: InstrumentId(id),
        venue: Venue::Binance,
        symbol: Text::new(symbol).unwrap(),
        base: Currency::new(symbol.strip_suffix("USDT").unwrap()).unwrap(),
        quote,
        rules: InstrumentRules {
            tick_size: Price::from_units(1_000_000),
            lot_size: Quantity::from_units(1_000),
            min_price: Price::ZERO,
            max_price: Price::ZERO,
            min_quantity: Quantity::ZERO,
            max_quantity: Quantity::ZERO,
            min_notional: Money::zero(quote),
        },
        status: InstrumentStatus::Trading,
    }
}

pub(crate) fn instruments() -> Arc<Instruments> {
    Arc::new(Instruments::new(vec![instrument(0, "BTCUSDT")]).unwrap())
}

/// A bounded queue as a consumer would have it.
pub(crate) fn queue(capacity: usize) -> (mpsc::Sender<StreamMessage>, Inbox) {
    let (sender, receiver) = mpsc::channel(capacity);
    (sender, Inbox(receiver))
}

pub(crate) struct Inbox(pub(crate) mpsc::Receiver<StreamMessage>);

impl Inbox {
    pub(crate) async fn next(&mut self) -> StreamMessageKind {
        self.next_message().await.kind
    }

    pub(crate) async fn next_message(&mut self) -> StreamMessage {
        timeout(PATIENCE, self.0.recv())
            .await
            .expect("a message in time")
            .expect("a live stream")
    }

    pub(crate) async fn next_frame(&mut self) -> String {
        match self.next().await {
            StreamMessageKind::Frame(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            other => panic!("expected a frame, got {other:?}"),
        }
    }

    pub(crate) fn is_empty(&mut self) -> bool {
        self.0.try_recv().is_err()
    }
}

/// Waits for a condition that another task brings about.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("never happened: {what}"));
}

/// Posts JSON to a server's own switches.
pub(crate) async fn post(address: SocketAddr, path: &str, body: &str) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
