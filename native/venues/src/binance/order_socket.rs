//! The WebSocket API as a door for orders: requests out, answers back, each matched to its request by its id.
//!
//! A request leaves once, on a connection that stands, or not at all. When the connection is lost, whatever has left and
//! was not answered has an unknown outcome.

use std::collections::BTreeMap;
use std::fmt;
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
use crate::retry::Jitter;
use crate::trading::Reference as _;
use crate::websocket::{self, ConnectionStatistics, DisconnectReason, Reconnects, Socket, connect_room};

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
    statistics: Arc<ConnectionStatistics>,
    request_timeout: Duration,
}

impl OrderSocket {
    /// Starts to connect, in the current tokio runtime.
    pub(super) fn spawn(rest: Arc<RestClient>, mut jitter: Jitter) -> Self {
        let (sender, requests) = mpsc::channel(REQUESTS_QUEUED_MAX);
        let request_timeout = rest.settings().request_timeout;
        let is_up = Arc::new(AtomicBool::new(false));
        let statistics = Arc::new(ConnectionStatistics::of("binance orders"));
        let reconnects = Reconnects::new(RECONNECT_PAUSE, jitter.split());
        let driver = Driver {
            rest,
            requests,
            is_up: Arc::clone(&is_up),
            was_up: false,
            statistics: Arc::clone(&statistics),
            unanswered: BTreeMap::new(),
            reconnects,
        };
        Self {
            requests: sender,
            task: tokio::spawn(driver.run()),
            is_up,
            statistics,
            request_timeout,
        }
    }

    /// The connection's counters.
    pub(super) fn statistics(&self) -> Arc<ConnectionStatistics> {
        Arc::clone(&self.statistics)
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

struct Request {
    call: &'static Call,
    id: String,
    text: Bytes,
    look: LastLook,
    answer: oneshot::Sender<Exchanged>,
}

impl fmt::Debug for Request {
    /// Without its text, in which the key and a signature stand.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut request = out.debug_struct("Request");
        let request = request.field("call", &self.call.name).field("id", &self.id);
        request.finish_non_exhaustive()
    }
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

/// What an answer says.
#[derive(Debug)]
pub(super) struct Told<'a> {
    id: &'a str,
    status: u16,
    body: &'a str,
    used_weight: Option<u32>,
    /// Venue time until which nothing is to be sent.
    retry_after: Option<Timestamp>,
}

impl Told<'_> {
    /// As a request over REST is answered.
    pub(super) fn answer(&self) -> Answer {
        Answer {
            status: self.status,
            body: Bytes::copy_from_slice(self.body.as_bytes()),
        }
    }
}

/// Reads an answer.
///
/// # Errors
/// What is no answer.
pub(super) fn told(message: &[u8]) -> Result<Told<'_>, serde_json::Error> {
    let raw: RawAnswer<'_> = serde_json::from_slice(message)?;
    let by_minute = |limit: &&RawRateLimit| {
        limit.rate_limit_type == "REQUEST_WEIGHT" && limit.interval == "MINUTE" && limit.interval_num == 1
    };
    let error = raw
        .error
        .and_then(|error| serde_json::from_str::<RawError>(error.get()).ok());
    let until = error.and_then(|error| error.data?.retry_after);
    Ok(Told {
        id: raw.id.map_or("", RawValue::get).trim_matches('"'),
        status: raw.status,
        body: raw.result.or(raw.error).map_or("", RawValue::get),
        used_weight: raw.rate_limits.iter().find(by_minute).map(|limit| limit.count),
        retry_after: until.map(Timestamp::from_millis),
    })
}

struct Driver {
    rest: Arc<RestClient>,
    requests: mpsc::Receiver<Request>,
    is_up: Arc<AtomicBool>,
    was_up: bool,
    statistics: Arc<ConnectionStatistics>,
    unanswered: BTreeMap<String, Waiting>,
    reconnects: Reconnects,
}

impl Driver {
    /// Until nobody can send requests any more.
    async fn run(mut self) {
        loop {
            let rest = Arc::clone(&self.rest);
            let connecting = async {
                connect_room(rest.connects(), &**rest.clock()).await;
                open(&rest).await
            };
            let Some(opened) = self.refusing(Box::pin(connecting)).await else {
                return;
            };
            let opened_at = Instant::now();
            match opened {
                Ok(mut socket) => {
                    info!("connected for orders");
                    let is_again = std::mem::replace(&mut self.was_up, true);
                    self.statistics.on_connected(is_again);
                    self.is_up.store(true, Ordering::Release);
                    let reason = self.serve(&mut socket).await;
                    self.is_up.store(false, Ordering::Release);
                    self.reconnects.stood(opened_at.elapsed());
                    self.statistics
                        .on_lost(reason.unwrap_or(DisconnectReason::Stopped));
                    let Some(reason) = reason else { return };
                    self.give_up(reason.as_str());
                    warn!(reason = reason.as_str(), "disconnected for orders");
                }
                Err(problem) => {
                    self.statistics.on_failed();
                    warn!(%problem, "could not connect for orders");
                }
            }
            let pause = self.reconnects.next_pause();
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
    async fn serve(&mut self, socket: &mut Socket) -> Option<DisconnectReason> {
        let idle_timeout = self.rest.settings().idle_timeout;
        let mut heard = Instant::now();
        let mut next_ping = heard + idle_timeout / 3;
        let mut retire = heard + AGE_MAX;
        loop {
            if Instant::now() >= retire {
                self.forget_the_given_up();
            }
            tokio::select! {
                biased;
                next = socket.next() => {
                    heard = Instant::now();
                    match next {
                        Some(Ok(Message::Text(text))) => {
                            self.statistics.on_message(text.len());
                            if announces_end(text.as_bytes()) {
                                retire = heard;
                            } else {
                                self.on_answer(text.as_bytes());
                            }
                        }
                        Some(Ok(Message::Ping(_))) => self.statistics.on_ping_heard(),
                        Some(Ok(Message::Close(_))) | None => return Some(DisconnectReason::Closed),
                        Some(Ok(_)) => {}
                        Some(Err(_)) => return Some(DisconnectReason::Failed),
                    }
                }
                () = sleep_until(retire), if self.unanswered.is_empty() => {
                    return Some(DisconnectReason::Ended);
                }
                request = self.requests.recv() => {
                    if !self.send(request?, socket).await {
                        return Some(DisconnectReason::Failed);
                    }
                }
                () = sleep_until(next_ping.min(heard + idle_timeout)) => {
                    if heard.elapsed() >= idle_timeout {
                        return Some(DisconnectReason::Idle);
                    }
                    next_ping = Instant::now() + idle_timeout / 3;
                    self.statistics.on_ping_sent();
                    if !self.write(socket, Message::Ping(Bytes::new())).await {
                        return Some(DisconnectReason::Failed);
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
            self.forget_the_given_up();
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

    /// Requests that nobody waits for any more: an answer that was lost would be waited for as long as the connection stands.
    fn forget_the_given_up(&mut self) {
        self.unanswered.retain(|_, waiting| !waiting.answer.is_closed());
    }

    async fn write(&self, socket: &mut Socket, message: Message) -> bool {
        let wait = self.rest.settings().connect_timeout;
        matches!(timeout(wait, socket.send(message)).await, Ok(Ok(())))
    }

    fn on_answer(&mut self, message: &[u8]) {
        let told = match told(message) {
            Ok(told) => told,
            Err(error) => {
                warn!(%error, "an unreadable answer to an order");
                return;
            }
        };
        let overhearing = &self.rest.settings().overhearing;
        overhearing.answer(ORDER_SOCKET, told.status, message);
        self.rest
            .observe_socket(told.status, told.used_weight, told.retry_after);
        let Some(Waiting { answer, .. }) = self.unanswered.remove(told.id) else {
            warn!(
                id = told.id,
                status = told.status,
                "an answer that nobody waits for"
            );
            return;
        };
        // Whoever asked may have given up.
        let _ = answer.send(Ok(told.answer()));
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
