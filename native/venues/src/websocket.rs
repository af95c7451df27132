//! A WebSocket that stays connected, and tells when it did not.
//!
//! The task here decides nothing. It connects, keeps alive, reconnects with jittered backoff, and hands each
//! text message with its receive time to a [`FrameSink`]. Its consumer learns of every interruption:
//! after each [`StreamMessageKind::Connected`] comes exactly one [`StreamMessageKind::Disconnected`].
//!
//! Not here yet: the make-before-break rotation before a venue's 24-hour limit. Until then the venue's close
//! is an interruption like any other: the book is resynchronized and orders are reconciled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::{InstrumentId, Nanos, Timestamp};
use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::error::VenueError;
use crate::rate_limit::TokenBucket;
use crate::retry::{Backoff, Jitter};

/// Largest message and frame accepted, bytes: three times the largest ever recorded from a venue.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Most bytes waiting to be written.
const WRITE_BUFFER_BYTES_MAX: usize = 1 << 20;

/// Longest wait for room in the sink before the connection is given up as overrun.
pub const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(2);

/// Pause between two tries to deliver into a full sink.
const DELIVERY_RETRY: Duration = Duration::from_millis(1);

/// First and longest pause before a reconnect.
const RECONNECT_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// A connection that lived this long starts the backoff anew.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// Outbound messages: two at once and three a second, so at most five in any second, pongs included.
const OUTBOUND: (Nanos, u32) = (Nanos(333_333_334), 2);

/// Connection attempts: a hundred at once and one every two seconds, so at most 250 in five minutes of the
/// venue's 300.
const CONNECTS: (Nanos, u32) = (Nanos::from_secs(2), 100);

/// One thing that came from a venue's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamMessage {
    /// Service time at which it was read from the socket.
    pub ts_received: Timestamp,
    /// What it is.
    pub kind: StreamMessageKind,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamMessageKind {
    /// The stream is up; for an account, the subscription is confirmed.
    Connected,
    /// One message, as received.
    Frame(Bytes),
    /// The answer of a REST snapshot, delivered through the same door.
    Snapshot {
        /// Whose book.
        instrument: InstrumentId,
        /// The answer's body.
        body: Bytes,
    },
    /// The stream is down; it reconnects by itself.
    Disconnected(DisconnectReason),
}

/// Why a stream went down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// The venue closed it.
    Closed,
    /// The transport failed.
    Failed,
    /// Nothing was heard for too long, not even an answer to a ping.
    Idle,
    /// The consumer took nothing for [`DELIVERY_WAIT_MAX`].
    Overrun,
    /// The venue announced its end: shutdown, or the end of a subscription.
    Ended,
    /// We were told to stop.
    Stopped,
}

/// Where stream messages go: a bounded queue into the thread that decides.
pub trait FrameSink: Send + 'static {
    /// Takes the message, or gives it back when there is no room.
    ///
    /// # Errors
    /// The message itself.
    fn try_deliver(&mut self, message: StreamMessage) -> Result<(), StreamMessage>;

    /// Hears what else crosses the socket and decides nothing: for a recorder. It must not wait. Nothing is done with it
    /// unless a sink says otherwise.
    fn overhear(&mut self, _at: Timestamp, _aside: Aside<'_>) {}
}

/// What crosses a socket and is no stream message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside<'a> {
    /// The socket is open, to this address; the handshake is still to come.
    Opened(&'a str),
    /// We sent this.
    Sent(&'a str),
    /// This came and is part of the handshake, so that it is not delivered.
    Handshake(&'a [u8]),
}

impl<F> FrameSink for F
where
    F: FnMut(StreamMessage) -> Result<(), StreamMessage> + Send + 'static,
{
    fn try_deliver(&mut self, message: StreamMessage) -> Result<(), StreamMessage> {
        self(message)
    }
}

impl FrameSink for mpsc::Sender<StreamMessage> {
    fn try_deliver(&mut self, message: StreamMessage) -> Result<(), StreamMessage> {
        self.try_send(message)
            .map_err(mpsc::error::TrySendError::into_inner)
    }
}

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
}

/// What differs between a venue's streams.
pub trait Protocol: Send + 'static {
    /// For logs.
    fn name(&self) -> &'static str;

    /// Where to connect.
    fn url(&self) -> &str;

    /// What to send once connected. With nothing to send the stream is up at once.
    ///
    /// # Errors
    /// A fault that keeps the handshake from being made.
    fn hello(&mut self) -> Result<Vec<String>, VenueError>;

    /// What a message means for the connection.
    fn judge(&mut self, message: &[u8]) -> Judgement;
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
}

/// Counters of one connection, for metrics.
#[derive(Debug, Default)]
pub struct ConnectionStatistics {
    connected: AtomicU64,
    failed: AtomicU64,
    messages: AtomicU64,
    stalls: AtomicU64,
}

impl ConnectionStatistics {
    /// Times the stream came up.
    pub fn connected(&self) -> u64 {
        self.connected.load(Ordering::Relaxed)
    }

    /// Attempts and handshakes that failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Messages delivered.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Messages that had to wait for room in the sink.
    pub fn stalls(&self) -> u64 {
        self.stalls.load(Ordering::Relaxed)
    }

    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A running connection. Dropping it ends the task without a word; [`Self::stop`] ends it in order.
#[derive(Debug)]
pub struct Connection {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    statistics: Arc<ConnectionStatistics>,
}

impl Connection {
    /// Starts the task in the current tokio runtime. What comes through `injected` is delivered in between.
    pub fn spawn<P: Protocol, S: FrameSink>(
        protocol: P,
        settings: ConnectionSettings,
        clock: Arc<dyn Clock>,
        mut jitter: Jitter,
        injected: mpsc::Receiver<StreamMessageKind>,
        sink: S,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let statistics = Arc::new(ConnectionStatistics::default());
        let driver = Driver {
            protocol,
            settings,
            backoff: Backoff::new(RECONNECT_PAUSE.0, RECONNECT_PAUSE.1, jitter.split()),
            connects: TokenBucket::new(CONNECTS.0, CONNECTS.1),
            outbound: TokenBucket::new(OUTBOUND.0, OUTBOUND.1),
            injected,
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

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Returns once the connection's handle asks, or is gone.
async fn asked_to_stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|&stop| stop).await;
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
            ConnectionStatistics::count(&self.statistics.messages);
            return Ok(());
        };
        ConnectionStatistics::count(&self.statistics.stalls);
        let deadline = Instant::now() + DELIVERY_WAIT_MAX;
        while Instant::now() < deadline {
            sleep(DELIVERY_RETRY).await;
            match self.sink.try_deliver(message) {
                Ok(()) => {
                    ConnectionStatistics::count(&self.statistics.messages);
                    return Ok(());
                }
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
    backoff: Backoff,
    connects: TokenBucket,
    outbound: TokenBucket,
    injected: mpsc::Receiver<StreamMessageKind>,
    stopped: watch::Receiver<bool>,
    delivery: Delivery<S>,
}

impl<P: Protocol, S: FrameSink> Driver<P, S> {
    async fn run(mut self) {
        let mut stopped = self.stopped.clone();
        while !*stopped.borrow() {
            let started = Instant::now();
            let reason = self.live_once().await;
            if reason == Some(DisconnectReason::Stopped) {
                return;
            }
            if reason.is_some() && started.elapsed() >= STABLE_AFTER {
                self.backoff.reset();
            }
            let budget = match self.connects.try_take(self.delivery.clock.monotonic()) {
                Ok(()) => Duration::ZERO,
                Err(wait) => Duration::from_nanos(wait.0.unsigned_abs()),
            };
            let pause = self.backoff.next_pause().max(budget);
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
        let mut socket = match opened {
            Ok(socket) => socket,
            Err(problem) => {
                ConnectionStatistics::count(&self.delivery.statistics.failed);
                warn!(stream = name, %problem, "could not connect");
                return None;
            }
        };
        ConnectionStatistics::count(&self.delivery.statistics.connected);
        info!(stream = name, "connected");
        let reason = match self.delivery.deliver_now(StreamMessageKind::Connected).await {
            Ok(()) => self.serve(&mut socket).await,
            // The consumer never learned that the stream was up.
            Err(_) => return None,
        };
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

    async fn open(&mut self) -> Result<Socket, String> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX))
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX);
        let connector = Connector::Rustls(Arc::clone(&self.settings.tls));
        let connecting =
            connect_async_tls_with_config(self.protocol.url(), Some(config), true, Some(connector));
        let (mut socket, _) = timeout(self.settings.connect_timeout, connecting)
            .await
            .map_err(|_| "timed out".to_owned())?
            .map_err(|error| error.to_string())?;
        self.delivery.overhear(Aside::Opened(self.protocol.url()));
        let hello = self.protocol.hello().map_err(|error| error.to_string())?;
        if hello.is_empty() {
            return Ok(socket);
        }
        timeout(self.settings.connect_timeout, self.handshake(&mut socket, hello))
            .await
            .map_err(|_| "no answer to the handshake".to_owned())??;
        Ok(socket)
    }

    async fn handshake(&mut self, socket: &mut Socket, hello: Vec<String>) -> Result<(), String> {
        for text in hello {
            self.wait_for_outbound().await;
            self.delivery.overhear(Aside::Sent(&text));
            socket
                .send(Message::text(text))
                .await
                .map_err(|error| error.to_string())?;
        }
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    let judgement = self.protocol.judge(text.as_bytes());
                    if judgement != Judgement::Deliver {
                        self.delivery.overhear(Aside::Handshake(text.as_bytes()));
                    }
                    match judgement {
                        Judgement::Ready => return Ok(()),
                        Judgement::Refused(why) => return Err(format!("refused: {why}")),
                        Judgement::Ended => return Err("ended by the venue".to_owned()),
                        // Nothing is up yet, so nothing is delivered.
                        Judgement::Deliver | Judgement::Handshake => {}
                    }
                }
                Some(Ok(Message::Ping(_))) => self.outbound.take_forced(self.delivery.clock.monotonic()),
                Some(Ok(Message::Close(_))) | None => return Err("closed during the handshake".to_owned()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.to_string()),
            }
        }
    }

    async fn wait_for_outbound(&mut self) {
        while let Err(wait) = self.outbound.try_take(self.delivery.clock.monotonic()) {
            sleep(Duration::from_nanos(wait.0.unsigned_abs())).await;
        }
    }

    /// Reads, keeps alive and delivers until something ends it.
    async fn serve(&mut self, socket: &mut Socket) -> DisconnectReason {
        let mut stopped = self.stopped.clone();
        let ping_after = self.settings.idle_timeout / 3;
        let mut heard = Instant::now();
        let mut next_ping = heard + ping_after;
        loop {
            tokio::select! {
                biased;
                () = asked_to_stop(&mut stopped) => return DisconnectReason::Stopped,
                Some(kind) = self.injected.recv() => {
                    if let Err(reason) = self.delivery.deliver_now(kind).await {
                        return reason;
                    }
                }
                next = socket.next() => {
                    let ts_received = self.delivery.clock.now();
                    heard = Instant::now();
                    if let Err(reason) = self.take(ts_received, next).await {
                        return reason;
                    }
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
        let sent = timeout(
            self.settings.connect_timeout,
            socket.send(Message::Ping(Bytes::new())),
        )
        .await;
        match sent {
            Ok(Ok(())) => Ok(()),
            _ => Err(DisconnectReason::Failed),
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
            // The answer is on its way already: it counts against what we may send.
            Some(Ok(Message::Ping(_))) => {
                self.outbound.take_forced(self.delivery.clock.monotonic());
                Ok(())
            }
            Some(Ok(Message::Text(text))) => self.pass_on(ts_received, text.into()).await,
            Some(Ok(Message::Binary(bytes))) => self.pass_on(ts_received, bytes).await,
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => Ok(()),
        }
    }

    async fn pass_on(&mut self, ts_received: Timestamp, message: Bytes) -> Result<(), DisconnectReason> {
        let judgement = self.protocol.judge(&message);
        match judgement {
            Judgement::Handshake | Judgement::Ready => {
                self.delivery
                    .sink
                    .overhear(ts_received, Aside::Handshake(&message));
                return Ok(());
            }
            Judgement::Refused(_) => return Err(DisconnectReason::Ended),
            Judgement::Deliver | Judgement::Ended => {}
        }
        self.delivery
            .deliver(ts_received, StreamMessageKind::Frame(message))
            .await?;
        if judgement == Judgement::Ended {
            return Err(DisconnectReason::Ended);
        }
        Ok(())
    }
}
