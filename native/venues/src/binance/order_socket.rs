//! The WebSocket API as a door for orders: requests out, answers back, each matched to its request by its id.
//!
//! A request leaves once, on a connection that stands, or not at all. When the connection is lost, whatever has left and
//! was not answered has an unknown outcome.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::Timestamp;
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::Message;
use tracing::{info, warn};

use super::market_feed::announces_end;
use super::orders::Exchanged;
use super::rest::{Answer, Call, RestClient};
use crate::error::VenueError;
use crate::last_look::LastLook;
use crate::overhear::ORDER_SOCKET;
use crate::retry::{Backoff, Jitter};
use crate::websocket::{self, Socket};

/// Requests on their way to the connection.
const REQUESTS_QUEUED_MAX: usize = 256;

/// Requests that wait for an answer; more do not leave.
const UNANSWERED_MAX: usize = 1_024;

/// First and longest pause before a reconnect.
const RECONNECT_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// A connection of this age is made anew as soon as nothing waits on it: the venue ends it after 24 hours.
const AGE_MAX: Duration = Duration::from_hours(23);

/// The running connection.
#[derive(Debug)]
pub(super) struct OrderSocket {
    requests: mpsc::Sender<Request>,
    task: JoinHandle<()>,
    is_up: Arc<AtomicBool>,
    request_timeout: Duration,
}

impl OrderSocket {
    /// Starts to connect, in the current tokio runtime.
    pub(super) fn spawn(rest: Arc<RestClient>, mut jitter: Jitter) -> Self {
        let (sender, requests) = mpsc::channel(REQUESTS_QUEUED_MAX);
        let request_timeout = rest.settings().request_timeout;
        let is_up = Arc::new(AtomicBool::new(false));
        let driver = Driver {
            rest,
            requests,
            is_up: Arc::clone(&is_up),
            unanswered: BTreeMap::new(),
            backoff: Backoff::new(RECONNECT_PAUSE.0, RECONNECT_PAUSE.1, jitter.split()),
        };
        Self {
            requests: sender,
            task: tokio::spawn(driver.run()),
            is_up,
            request_timeout,
        }
    }

    /// Whether a connection stands.
    pub(super) fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }

    /// Sends a request, whose id stands in its `text`, once; keeps the budget.
    ///
    /// # Errors
    /// [`VenueError::RateLimited`], [`VenueError::NotConnected`] and [`VenueError::Stopped`] when it did not leave;
    /// [`VenueError::NoAnswer`] when it may have.
    pub(super) async fn exchange(
        &self,
        rest: &RestClient,
        call: &'static Call,
        (id, text): (String, Bytes),
        look: LastLook,
    ) -> Exchanged {
        rest.take_weight(call)?;
        let (answer, answered) = oneshot::channel();
        let request = Request {
            call,
            id,
            text,
            look,
            answer,
        };
        if self.requests.try_send(request).is_err() {
            return Err(not_connected(call, "too many requests wait"));
        }
        match timeout(self.request_timeout, answered).await {
            Ok(Ok(exchanged)) => exchanged,
            Ok(Err(_)) => Err(no_answer(call, "the connection is gone")),
            Err(_) => Err(no_answer(call, "timed out")),
        }
    }
}

impl Drop for OrderSocket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
struct Request {
    call: &'static Call,
    id: String,
    text: Bytes,
    look: LastLook,
    answer: oneshot::Sender<Exchanged>,
}

/// Who waits for an answer.
#[derive(Debug)]
struct Waiting {
    call: &'static Call,
    answer: oneshot::Sender<Exchanged>,
}

/// An answer's envelope.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAnswer<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    status: u16,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(default)]
    rate_limits: Vec<RawRateLimit>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRateLimit {
    rate_limit_type: String,
    interval: String,
    interval_num: u32,
    count: u32,
}

#[derive(Deserialize)]
struct RawError {
    #[serde(default)]
    data: Option<RawErrorData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawErrorData {
    /// Venue time, milliseconds.
    #[serde(default)]
    retry_after: Option<i64>,
}

struct Driver {
    rest: Arc<RestClient>,
    requests: mpsc::Receiver<Request>,
    is_up: Arc<AtomicBool>,
    unanswered: BTreeMap<String, Waiting>,
    backoff: Backoff,
}

impl Driver {
    /// Until nobody can send requests any more.
    async fn run(mut self) {
        loop {
            let rest = Arc::clone(&self.rest);
            let Some(opened) = self.refusing(Box::pin(open(&rest))).await else {
                return;
            };
            match opened {
                Ok(mut socket) => {
                    info!("connected for orders");
                    self.backoff.reset();
                    self.is_up.store(true, Ordering::Release);
                    let reason = self.serve(&mut socket).await;
                    self.is_up.store(false, Ordering::Release);
                    let Some(reason) = reason else { return };
                    self.give_up(reason);
                    warn!(reason, "disconnected for orders");
                }
                Err(problem) => warn!(%problem, "could not connect for orders"),
            }
            let pause = self.backoff.next_pause();
            if self.refusing(sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Waits for something while no connection stands: nothing leaves meanwhile. `None` at the end.
    async fn refusing<T>(&mut self, awaited: impl Future<Output = T>) -> Option<T> {
        let mut awaited = pin!(awaited);
        loop {
            tokio::select! {
                biased;
                done = &mut awaited => return Some(done),
                request = self.requests.recv() => {
                    let Request { call, answer, .. } = request?;
                    let _ = answer.send(Err(not_connected(call, "the connection for orders is down")));
                }
            }
        }
    }

    /// Sends and reads until something ends it; `None` when nobody can send requests any more.
    async fn serve(&mut self, socket: &mut Socket) -> Option<&'static str> {
        let idle_timeout = self.rest.settings().idle_timeout;
        let mut heard = Instant::now();
        let mut next_ping = heard + idle_timeout / 3;
        let mut retire = heard + AGE_MAX;
        loop {
            tokio::select! {
                biased;
                next = socket.next() => {
                    heard = Instant::now();
                    match next {
                        Some(Ok(Message::Text(text))) if announces_end(text.as_bytes()) => retire = heard,
                        Some(Ok(Message::Text(text))) => self.on_answer(text.as_bytes()),
                        Some(Ok(Message::Close(_))) | None => return Some("closed"),
                        Some(Ok(_)) => {}
                        Some(Err(_)) => return Some("failed"),
                    }
                }
                () = sleep_until(retire), if self.unanswered.is_empty() => return Some("old"),
                request = self.requests.recv() => {
                    if !self.send(request?, socket).await {
                        return Some("failed");
                    }
                }
                () = sleep_until(next_ping.min(heard + idle_timeout)) => {
                    if heard.elapsed() >= idle_timeout {
                        return Some("silent");
                    }
                    next_ping = Instant::now() + idle_timeout / 3;
                    if !self.write(socket, Message::Ping(Bytes::new())).await {
                        return Some("failed");
                    }
                }
            }
        }
    }

    /// Lets a request leave; false when the connection failed.
    async fn send(&mut self, request: Request, socket: &mut Socket) -> bool {
        let Request {
            call,
            id,
            text,
            look,
            answer,
        } = request;
        // Whoever asked was told that the outcome is unknown; it need not become true.
        if answer.is_closed() {
            return true;
        }
        if self.unanswered.len() >= UNANSWERED_MAX {
            self.unanswered.retain(|_, waiting| !waiting.answer.is_closed());
        }
        if self.unanswered.len() >= UNANSWERED_MAX || self.unanswered.contains_key(&id) {
            let _ = answer.send(Err(not_connected(call, "too many requests are unanswered")));
            return true;
        }
        let Ok(text) = String::from_utf8(text.into()) else {
            let _ = answer.send(Err(not_connected(call, "not text")));
            return true;
        };
        if !look.may_leave() {
            let _ = answer.send(Err(VenueError::Stopped { request: call.name }));
            return true;
        }
        self.unanswered.insert(id, Waiting { call, answer });
        self.write(socket, Message::text(text)).await
    }

    async fn write(&self, socket: &mut Socket, message: Message) -> bool {
        let wait = self.rest.settings().connect_timeout;
        matches!(timeout(wait, socket.send(message)).await, Ok(Ok(())))
    }

    fn on_answer(&mut self, message: &[u8]) {
        let raw: RawAnswer<'_> = match serde_json::from_slice(message) {
            Ok(raw) => raw,
            Err(error) => {
                warn!(%error, "an unreadable answer to an order");
                return;
            }
        };
        let overhearing = &self.rest.settings().overhearing;
        overhearing.answer(ORDER_SOCKET, raw.status, message);
        self.observe(&raw);
        let id = raw.id.map_or("", RawValue::get).trim_matches('"');
        let Some(Waiting { answer, .. }) = self.unanswered.remove(id) else {
            warn!(id, status = raw.status, "an answer that nobody waits for");
            return;
        };
        let body = raw.result.or(raw.error).map_or("", RawValue::get);
        // Whoever asked may have given up.
        let _ = answer.send(Ok(Answer {
            status: raw.status,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }));
    }

    fn observe(&self, raw: &RawAnswer<'_>) {
        let by_minute = |limit: &&RawRateLimit| {
            limit.rate_limit_type == "REQUEST_WEIGHT" && limit.interval == "MINUTE" && limit.interval_num == 1
        };
        let used = raw.rate_limits.iter().find(by_minute).map(|limit| limit.count);
        let error = raw
            .error
            .and_then(|error| serde_json::from_str::<RawError>(error.get()).ok());
        let until = error.and_then(|error| error.data?.retry_after);
        self.rest
            .observe_socket(raw.status, used, until.map(Timestamp::from_millis));
    }

    /// The connection is gone: nobody knows what became of what left on it.
    fn give_up(&mut self, reason: &'static str) {
        for (_, Waiting { call, answer }) in std::mem::take(&mut self.unanswered) {
            let _ = answer.send(Err(no_answer(call, reason)));
        }
    }
}

async fn open(rest: &RestClient) -> Result<Socket, String> {
    let settings = rest.settings();
    websocket::open(
        &settings.endpoints.ws_api,
        &[],
        rest.tls(),
        settings.connect_timeout,
    )
    .await
}

fn not_connected(call: &Call, detail: &str) -> VenueError {
    VenueError::NotConnected {
        request: call.name,
        detail: detail.to_owned(),
    }
}

fn no_answer(call: &Call, detail: &str) -> VenueError {
    VenueError::NoAnswer {
        request: call.name,
        detail: detail.to_owned(),
    }
}
