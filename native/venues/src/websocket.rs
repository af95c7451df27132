//! A WebSocket that stays connected, and tells when it did not.
//!
//! The task here decides nothing. It connects, keeps alive, reconnects with jittered backoff, and hands each
//! text message with its receive time to a [`FrameSink`]. Its consumer learns of every interruption:
//! after each [`StreamMessageKind::Connected`] comes exactly one [`StreamMessageKind::Disconnected`].
//!
//! A venue's close is an interruption like any other: the book is resynchronized and orders are reconciled. Where it comes
//! by the hour, [`crate::rotation`] makes a new connection before it.

mod early;
mod message;
mod outgoing;
mod reconnects;
mod standing;
mod statistics;

use std::collections::VecDeque;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{InstrumentId, Nanos, Timestamp};
use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::error::VenueError;
use crate::rate_limit::{ConnectBudget, TokenBucket};
use crate::retry::Jitter;
use crate::secret::Secret;
use crate::trading::Pending;
use early::Early;
pub use message::{Aside, DisconnectReason, FrameSink, StreamMessage, StreamMessageKind};
pub use outgoing::{Departure, Outgoing, Ticket};
pub(crate) use reconnects::{Reconnects, connect_room};
pub use standing::{Asked, Injection};
pub(crate) use standing::{Standing, Told};
pub use statistics::ConnectionStatistics;

/// Largest message and frame accepted, bytes: three times the largest ever recorded from a venue.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Most bytes waiting to be written.
const WRITE_BUFFER_BYTES_MAX: usize = 1 << 20;

/// Longest wait for room in the sink before the connection is given up as overrun.
pub const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(2);

/// Pause between two tries to deliver into a full sink.
pub(crate) const DELIVERY_RETRY: Duration = Duration::from_millis(1);

/// First and longest pause before a reconnect.
const RECONNECT_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// Outbound messages: two at once and three a second, so at most five in any second, pongs included.
const OUTBOUND: (Nanos, u32) = (Nanos(333_333_334), 2);

/// What a protocol makes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Pass it on.
    Deliver,
    /// Part of the handshake; not passed on.
    Handshake,
    /// The handshake is done; not passed on.
    Ready,
    /// The handshake was refused; the text says why.
    Refused(String),
    /// Pass it on, then reconnect: the venue announced the end.
    Ended,
    /// Pass it on, then reconnect: it lives, and what it is there for has stopped.
    Stalled,
}

/// What comes to a connection from beside its socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Injected {
    /// Delivered to the sink in between.
    Message(StreamMessageKind),
    /// The book of this instrument must be synchronized anew: what [`Protocol::resync`] says is sent.
    Resync(InstrumentId),
    /// What it brings has stopped: the connection is given up, and made again.
    Reconnect,
}

/// What differs between a venue's streams.
pub trait Protocol: Send + 'static {
    /// For logs.
    fn name(&self) -> &'static str;

    /// Where to connect.
    fn url(&self) -> &str;

    /// What the request for a connection carries beside the usual: names and values.
    fn headers(&self) -> Vec<(&'static str, &Secret)> {
        Vec::new()
    }

    /// What must be there before each connection is made: a token to subscribe with, say. Nothing, unless a venue wants
    /// it. Given up with the attempt when it takes longer than [`ConnectionSettings::connect_timeout`].
    ///
    /// # Errors
    /// A fault that makes the attempt a failed one.
    fn prepare(&mut self) -> Pending<'_, Result<(), VenueError>> {
        Box::pin(ready(Ok(())))
    }

    /// What to send once connected. With nothing to send the stream is up at once.
    ///
    /// # Errors
    /// A fault that keeps the handshake from being made.
    fn hello(&mut self) -> Result<Vec<String>, VenueError>;

    /// What to send so that the stream begins the book of an instrument anew. Nothing where snapshots come another way.
    ///
    /// # Errors
    /// A fault that keeps it from being said: the connection is given up, and made again.
    fn resync(&mut self, instrument: InstrumentId) -> Result<Vec<String>, VenueError> {
        let _ = instrument;
        Ok(Vec::new())
    }

    /// What a message means for the connection.
    fn judge(&mut self, message: &[u8]) -> Judgement;

    /// A connection that was made, or was about to be, is no more.
    fn ended(&mut self) {}

    /// Longest wait for a message where the venue sends some at all times: a socket that answers pings and brings nothing
    /// else has stalled. `None` where silence is no fault.
    fn silence_max(&self) -> Option<Duration> {
        None
    }

    /// Least pause before the next attempt to connect.
    fn least_pause(&self) -> Duration {
        Duration::ZERO
    }
}

/// How long to wait for what.
#[derive(Debug, Clone)]
pub struct ConnectionSettings {
    /// To connect, and for the handshake.
    pub connect_timeout: Duration,
    /// Longest silence, answers to pings included. A ping leaves after a third of it.
    pub idle_timeout: Duration,
    /// TLS for `wss`.
    pub tls: Arc<ClientConfig>,
    /// Shared by all that connects to the same venue.
    pub connects: ConnectBudget,
}

/// What a connection has beside its socket.
struct Beside {
    injected: mpsc::Receiver<Injection>,
    outgoing: mpsc::Receiver<Outgoing>,
    statistics: Arc<ConnectionStatistics>,
}

/// A running connection. Dropping it ends the task without a word; [`Self::stop`] ends it in order.
#[derive(Debug)]
pub struct Connection {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    statistics: Arc<ConnectionStatistics>,
}

impl Connection {
    /// Starts the task in the current tokio runtime. What comes through `injected` is seen to in between.
    pub fn spawn<P: Protocol, S: FrameSink>(
        protocol: P,
        settings: ConnectionSettings,
        clock: Arc<dyn Clock>,
        jitter: Jitter,
        injected: mpsc::Receiver<Injection>,
        sink: S,
    ) -> Self {
        let (_, outgoing) = mpsc::channel(1);
        Self::spawn_two_way(protocol, settings, clock, jitter, injected, outgoing, sink)
    }

    /// The same, and sends what comes through `outgoing` while the stream is up; refuses it while it is not.
    pub fn spawn_two_way<P: Protocol, S: FrameSink>(
        protocol: P,
        settings: ConnectionSettings,
        clock: Arc<dyn Clock>,
        jitter: Jitter,
        injected: mpsc::Receiver<Injection>,
        outgoing: mpsc::Receiver<Outgoing>,
        sink: S,
    ) -> Self {
        let statistics = Arc::new(ConnectionStatistics::of(protocol.name()));
        let beside = Beside {
            injected,
            outgoing,
            statistics,
        };
        Self::start(protocol, settings, clock, jitter, beside, sink)
    }

    /// As [`Self::spawn`], with the counters of the connections of the same stream before it.
    pub(crate) fn spawn_counted<P: Protocol, S: FrameSink>(
        protocol: P,
        settings: ConnectionSettings,
        clock: Arc<dyn Clock>,
        jitter: Jitter,
        (injected, statistics): (mpsc::Receiver<Injection>, Arc<ConnectionStatistics>),
        sink: S,
    ) -> Self {
        let (_, outgoing) = mpsc::channel(1);
        let beside = Beside {
            injected,
            outgoing,
            statistics,
        };
        Self::start(protocol, settings, clock, jitter, beside, sink)
    }

    fn start<P: Protocol, S: FrameSink>(
        protocol: P,
        settings: ConnectionSettings,
        clock: Arc<dyn Clock>,
        mut jitter: Jitter,
        beside: Beside,
        sink: S,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let Beside {
            injected,
            outgoing,
            statistics,
        } = beside;
        let reconnects = Reconnects::new(RECONNECT_PAUSE, jitter.split());
        let driver = Driver {
            protocol,
            settings,
            reconnects,
            outbound: TokenBucket::new(OUTBOUND.0, OUTBOUND.1),
            unsent: VecDeque::new(),
            was_up: false,
            injected,
            outgoing,
            stopped,
            delivery: Delivery {
                sink,
                clock,
                statistics: Arc::clone(&statistics),
            },
        };
        Self {
            task: tokio::spawn(driver.run()),
            stop,
            statistics,
        }
    }

    /// The connection's counters.
    pub fn statistics(&self) -> Arc<ConnectionStatistics> {
        Arc::clone(&self.statistics)
    }

    /// Closes the stream, tells the sink, and waits for the task.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        let _ = (&mut self.task).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A socket that stands, with or without TLS.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects, within the bounds of this crate.
///
/// # Errors
/// What the transport said.
pub(crate) async fn open(
    url: &str,
    headers: &[(&'static str, &Secret)],
    tls: &Arc<ClientConfig>,
    wait: Duration,
) -> Result<Socket, String> {
    let mut request = url.into_client_request().map_err(|error| error.to_string())?;
    for (name, value) in headers {
        let value = HeaderValue::from_str(value.expose());
        let mut value = value.map_err(|_| format!("{name}: no value of a header"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(*name, value);
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX);
    let connector = Connector::Rustls(Arc::clone(tls));
    let connecting = connect_async_tls_with_config(request, Some(config), true, Some(connector));
    let connected = timeout(wait, connecting)
        .await
        .map_err(|_| "timed out".to_owned())?;
    connected
        .map(|(socket, _)| socket)
        .map_err(|error| error.to_string())
}

/// Returns once the connection's handle asks, or is gone.
async fn asked_to_stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|&stop| stop).await;
}

/// Waits until a message may be sent, and counts it as sent.
async fn outbound_room(outbound: &mut TokenBucket, clock: &dyn Clock) {
    while let Err(wait) = outbound.try_take(clock.monotonic()) {
        sleep(Duration::from_nanos(wait.0.unsigned_abs())).await;
    }
}

/// The sink, with what is needed to put something into it.
struct Delivery<S> {
    sink: S,
    clock: Arc<dyn Clock>,
    statistics: Arc<ConnectionStatistics>,
}

impl<S: FrameSink> Delivery<S> {
    /// Delivers now, or waits for room up to [`DELIVERY_WAIT_MAX`].
    async fn deliver(
        &mut self,
        ts_received: Timestamp,
        kind: StreamMessageKind,
    ) -> Result<(), DisconnectReason> {
        let message = StreamMessage { ts_received, kind };
        let Err(mut message) = self.sink.try_deliver(message) else {
            return Ok(());
        };
        self.statistics.on_stall();
        let deadline = Instant::now() + DELIVERY_WAIT_MAX;
        while Instant::now() < deadline {
            sleep(DELIVERY_RETRY).await;
            match self.sink.try_deliver(message) {
                Ok(()) => return Ok(()),
                Err(back) => message = back,
            }
        }
        Err(DisconnectReason::Overrun)
    }

    fn overhear(&mut self, aside: Aside<'_>) {
        self.sink.overhear(self.clock.now(), aside);
    }

    async fn deliver_now(&mut self, kind: StreamMessageKind) -> Result<(), DisconnectReason> {
        self.deliver(self.clock.now(), kind).await
    }
}

struct Driver<P, S> {
    protocol: P,
    settings: ConnectionSettings,
    reconnects: Reconnects,
    outbound: TokenBucket,
    /// What one resync says and did not leave yet; the next is taken when it is empty.
    unsent: VecDeque<String>,
    /// Whether this connection has stood before.
    was_up: bool,
    injected: mpsc::Receiver<Injection>,
    outgoing: mpsc::Receiver<Outgoing>,
    stopped: watch::Receiver<bool>,
    delivery: Delivery<S>,
}

impl<P: Protocol, S: FrameSink> Driver<P, S> {
    async fn run(mut self) {
        let mut stopped = self.stopped.clone();
        while !*stopped.borrow() {
            tokio::select! {
                () = connect_room(&self.settings.connects, &*self.delivery.clock) => {}
                () = asked_to_stop(&mut stopped) => return,
            }
            let started = Instant::now();
            let reason = self.live_once().await;
            if reason == Some(DisconnectReason::Stopped) {
                return;
            }
            if reason.is_some() {
                self.reconnects.stood(started.elapsed());
            }
            let pause = self.reconnects.next_pause().max(self.protocol.least_pause());
            debug!(stream = self.protocol.name(), ?pause, "pausing before reconnect");
            tokio::select! {
                () = sleep(pause) => {}
                () = asked_to_stop(&mut stopped) => return,
            }
        }
    }

    /// Connects and serves until the end; `None` when the stream never came up.
    async fn live_once(&mut self) -> Option<DisconnectReason> {
        let name = self.protocol.name();
        let mut stopped = self.stopped.clone();
        let opened = tokio::select! {
            opened = self.open() => opened,
            () = asked_to_stop(&mut stopped) => return Some(DisconnectReason::Stopped),
        };
        let (mut socket, early) = match opened {
            Ok(opened) => opened,
            Err(problem) => {
                self.delivery.statistics.on_failed();
                self.protocol.ended();
                warn!(stream = name, %problem, "could not connect");
                return None;
            }
        };
        let is_again = std::mem::replace(&mut self.was_up, true);
        self.delivery.statistics.on_connected(is_again);
        info!(stream = name, "connected");
        if self
            .delivery
            .deliver_now(StreamMessageKind::Connected)
            .await
            .is_err()
        {
            // The consumer never learned that the stream was up.
            self.delivery.statistics.on_lost(DisconnectReason::Overrun);
            self.protocol.ended();
            return None;
        }
        let reason = self.serve(&mut socket, early).await;
        self.delivery.statistics.on_lost(reason);
        self.protocol.ended();
        self.refuse_outgoing();
        let _ = timeout(self.settings.connect_timeout, socket.close(None)).await;
        warn!(stream = name, ?reason, "disconnected");
        self.tell_disconnected(reason).await;
        Some(reason)
    }

    /// The one message that must not be lost: waits as long as the consumer needs, or until we are stopped.
    async fn tell_disconnected(&mut self, reason: DisconnectReason) {
        loop {
            let told = self
                .delivery
                .deliver_now(StreamMessageKind::Disconnected(reason))
                .await;
            if told.is_ok() || *self.stopped.borrow() {
                return;
            }
        }
    }

    /// Nothing waits for a connection: what was meant for the last one is not for the next.
    fn refuse_outgoing(&mut self) {
        while let Ok(outgoing) = self.outgoing.try_recv() {
            outgoing.refuse();
        }
    }

    async fn open(&mut self) -> Result<(Socket, Early), String> {
        timeout(self.settings.connect_timeout, self.protocol.prepare())
            .await
            .map_err(|_| "no answer to what must be there before".to_owned())?
            .map_err(|error| error.to_string())?;
        let ConnectionSettings {
            connect_timeout, tls, ..
        } = &self.settings;
        let mut socket = open(
            self.protocol.url(),
            &self.protocol.headers(),
            tls,
            *connect_timeout,
        )
        .await?;
        self.delivery.overhear(Aside::Opened(self.protocol.url()));
        let hello = self.protocol.hello().map_err(|error| error.to_string())?;
        if hello.is_empty() {
            return Ok((socket, Early::default()));
        }
        let early = timeout(self.settings.connect_timeout, self.handshake(&mut socket, hello))
            .await
            .map_err(|_| "no answer to the handshake".to_owned())??;
        Ok((socket, early))
    }

    /// Ends when the protocol is ready; what came before that and is to be passed on is given back.
    async fn handshake(&mut self, socket: &mut Socket, hello: Vec<String>) -> Result<Early, String> {
        let mut early = Early::default();
        for text in hello {
            outbound_room(&mut self.outbound, &*self.delivery.clock).await;
            self.delivery.overhear(Aside::Sent(&text));
            socket
                .send(Message::text(text))
                .await
                .map_err(|error| error.to_string())?;
        }
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    self.delivery.statistics.on_message(text.len());
                    let judgement = self.protocol.judge(text.as_bytes());
                    if judgement != Judgement::Deliver {
                        self.delivery.overhear(Aside::Handshake(text.as_bytes()));
                    }
                    match judgement {
                        Judgement::Ready => return Ok(early),
                        Judgement::Refused(why) => return Err(format!("refused: {why}")),
                        Judgement::Ended => return Err("ended by the venue".to_owned()),
                        Judgement::Stalled => return Err("nothing but signs of life".to_owned()),
                        Judgement::Handshake => {}
                        // Nothing is up yet: a first part of several subscriptions runs already.
                        Judgement::Deliver => {
                            if !early.push(self.delivery.clock.now(), text.into()) {
                                self.delivery.statistics.on_early_overrun();
                                return Err("too much before the answer to the handshake".to_owned());
                            }
                        }
                    }
                }
                Some(Ok(Message::Ping(_))) => self.on_ping(),
                Some(Ok(Message::Close(_))) | None => return Err("closed during the handshake".to_owned()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.to_string()),
            }
        }
    }

    /// Reads, keeps alive and delivers until something ends it.
    async fn serve(&mut self, socket: &mut Socket, early: Early) -> DisconnectReason {
        for (ts_received, message) in early {
            let frame = StreamMessageKind::Frame(message);
            if let Err(reason) = self.delivery.deliver(ts_received, frame).await {
                return reason;
            }
        }
        self.refuse_outgoing();
        let mut stopped = self.stopped.clone();
        let ping_after = self.settings.idle_timeout / 3;
        let mut heard = Instant::now();
        let mut next_ping = heard + ping_after;
        let silence_max = self.protocol.silence_max();
        let mut silent_since = heard;
        self.unsent.clear();
        loop {
            tokio::select! {
                biased;
                () = asked_to_stop(&mut stopped) => return DisconnectReason::Stopped,
                Some(injection) = self.injected.recv(), if self.unsent.is_empty() => {
                    if let Err(reason) = self.see_to(injection).await {
                        return reason;
                    }
                }
                () = outbound_room(&mut self.outbound, &*self.delivery.clock), if !self.unsent.is_empty() => {
                    let text = self.unsent.pop_front().unwrap_or_default();
                    self.delivery.overhear(Aside::Sent(&text));
                    if let Err(reason) = self.send(socket, Message::text(text)).await {
                        return reason;
                    }
                }
                Some(outgoing) = self.outgoing.recv() => {
                    if let Err(reason) = self.let_out(socket, outgoing).await {
                        return reason;
                    }
                }
                next = socket.next() => {
                    let ts_received = self.delivery.clock.now();
                    heard = Instant::now();
                    if matches!(next, Some(Ok(Message::Text(_) | Message::Binary(_)))) {
                        silent_since = heard;
                    }
                    if let Err(reason) = self.take(ts_received, next).await {
                        return reason;
                    }
                }
                () = sleep_until(silent_since + silence_max.unwrap_or_default()), if silence_max.is_some() => {
                    return DisconnectReason::Idle;
                }
                () = sleep_until(next_ping.min(heard + self.settings.idle_timeout)) => {
                    if heard.elapsed() >= self.settings.idle_timeout {
                        return DisconnectReason::Idle;
                    }
                    next_ping = Instant::now() + ping_after;
                    if let Err(reason) = self.ping(socket).await {
                        return reason;
                    }
                }
            }
        }
    }

    async fn ping(&mut self, socket: &mut Socket) -> Result<(), DisconnectReason> {
        if self.outbound.try_take(self.delivery.clock.monotonic()).is_err() {
            // The next one is a third of the idle timeout away: nothing is lost by leaving this one out.
            return Ok(());
        }
        self.delivery.statistics.on_ping_sent();
        self.send(socket, Message::Ping(Bytes::new())).await
    }

    /// The answer is on its way already: it counts against what we may send.
    fn on_ping(&mut self) {
        self.delivery.statistics.on_ping_heard();
        self.outbound.take_forced(self.delivery.clock.monotonic());
    }

    async fn send(&mut self, socket: &mut Socket, message: Message) -> Result<(), DisconnectReason> {
        match timeout(self.settings.connect_timeout, socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(DisconnectReason::Failed),
        }
    }

    /// The last look is here: the connection stands, and what is taken is sent.
    async fn let_out(&mut self, socket: &mut Socket, outgoing: Outgoing) -> Result<(), DisconnectReason> {
        if !outgoing.take() {
            return Ok(());
        }
        let Outgoing {
            text, look, departed, ..
        } = outgoing;
        if !look.may_leave() {
            let _ = departed.send(Departure::Stopped);
            return Ok(());
        }
        let sent = self.send(socket, Message::text(text)).await;
        let _ = departed.send(if sent.is_ok() {
            Departure::Sent
        } else {
            Departure::Broken
        });
        sent
    }

    async fn see_to(&mut self, injection: Injection) -> Result<(), DisconnectReason> {
        let Some(injected) = injection.due() else {
            debug!(
                stream = self.protocol.name(),
                "what was asked of an earlier connection is let go"
            );
            return Ok(());
        };
        match injected {
            Injected::Message(kind) => self.delivery.deliver_now(kind).await,
            Injected::Reconnect => Err(DisconnectReason::Stalled),
            Injected::Resync(instrument) => match self.protocol.resync(instrument) {
                Ok(texts) => {
                    self.unsent.extend(texts);
                    Ok(())
                }
                Err(error) => {
                    warn!(stream = self.protocol.name(), %error, "cannot ask for a book anew");
                    Err(DisconnectReason::Failed)
                }
            },
        }
    }

    async fn take<E: std::fmt::Display>(
        &mut self,
        ts_received: Timestamp,
        next: Option<Result<Message, E>>,
    ) -> Result<(), DisconnectReason> {
        match next {
            None | Some(Ok(Message::Close(_))) => Err(DisconnectReason::Closed),
            Some(Err(problem)) => {
                warn!(stream = self.protocol.name(), %problem, "read failed");
                Err(DisconnectReason::Failed)
            }
            Some(Ok(Message::Ping(_))) => {
                self.on_ping();
                Ok(())
            }
            Some(Ok(Message::Text(text))) => self.pass_on(ts_received, text.into()).await,
            Some(Ok(Message::Binary(bytes))) => self.pass_on(ts_received, bytes).await,
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => Ok(()),
        }
    }

    async fn pass_on(&mut self, ts_received: Timestamp, message: Bytes) -> Result<(), DisconnectReason> {
        self.delivery.statistics.on_message(message.len());
        let judgement = self.protocol.judge(&message);
        match judgement {
            Judgement::Handshake | Judgement::Ready => {
                self.delivery
                    .sink
                    .overhear(ts_received, Aside::Handshake(&message));
                return Ok(());
            }
            Judgement::Refused(why) => {
                warn!(stream = self.protocol.name(), why, "refused");
                return Err(DisconnectReason::Ended);
            }
            Judgement::Deliver | Judgement::Ended | Judgement::Stalled => {}
        }
        self.delivery
            .deliver(ts_received, StreamMessageKind::Frame(message))
            .await?;
        match judgement {
            Judgement::Ended => Err(DisconnectReason::Ended),
            Judgement::Stalled => Err(DisconnectReason::Stalled),
            _ => Ok(()),
        }
    }
}
