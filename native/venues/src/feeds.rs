//! The running streams of a venue: its market data, and the account's own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Instrument, InstrumentId, Timestamp};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use crate::clock::Clock;
use crate::error::VenueError;
use crate::instruments::Instruments;
use crate::market::MarketProtocol;
use crate::retry::{Backoff, Jitter};
use crate::rotation::{Injector, Rotation, RotationSettings};
use crate::trading::Pending;
use crate::websocket::{
    Aside, Asked, Connection, ConnectionSettings, ConnectionStatistics, FrameSink, Injected, Injection,
    Protocol, Standing, StreamMessage, StreamMessageKind, Told,
};

/// Answers to resync requests on their way to the connection.
const RESYNCS_QUEUED_MAX: usize = 16;

/// What was fetched for an account's stream on its way to the connection.
const FETCHED_QUEUED_MAX: usize = 16;

/// First and longest pause before the book of an instrument is asked for again.
const RESYNC_PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// An instrument that asked for nothing this long starts its pauses anew.
const SETTLED_AFTER: Duration = Duration::from_secs(30);

/// Asks for books to be synchronized anew, without blocking; any thread. An instrument that has already asked is not
/// queued again.
#[derive(Debug, Clone)]
pub struct ResyncRequester {
    wanted: Arc<Wanted>,
}

#[derive(Debug, Default)]
struct Wanted {
    flags: Vec<AtomicBool>,
    any: Notify,
    reconnect: Notify,
    /// The count of the stream's standing when a new connection was wished for last.
    reconnect_in: AtomicU64,
    standing: Standing,
}

impl ResyncRequester {
    /// For streams that cannot be asked, such as recorded ones: nothing is passed on.
    #[must_use]
    pub fn to_nobody() -> Self {
        Self {
            wanted: Arc::default(),
        }
    }

    /// Asks for one instrument's book: what [`crate::MarketProtocol::take_resync_request`] names. Nothing is asked while the
    /// stream is down: whoever is told of its next beginning asks anew.
    pub fn request(&self, instrument: InstrumentId) {
        if let Some(flag) = self.wanted.flags.get(usize::from(instrument.0)) {
            flag.store(true, Ordering::Release);
            self.wanted.any.notify_one();
        }
    }

    /// Asks for the connection to be made anew: what [`crate::MarketProtocol::take_reconnect_request`] wants. Wishes that
    /// come before it is given up are one, and one that it was given up before of itself is fulfilled.
    pub fn reconnect(&self) {
        let wanted = &self.wanted;
        wanted
            .reconnect_in
            .store(wanted.standing.number(), Ordering::Release);
        wanted.reconnect.notify_one();
    }

    /// Passes on all that a protocol wants. Call it after each message that the protocol has read.
    pub fn pass_on(&self, protocol: &mut dyn MarketProtocol) {
        while let Some(instrument) = protocol.take_resync_request() {
            self.request(instrument);
        }
        if protocol.take_reconnect_request() {
            warn!("what a market's stream brings has stopped: connecting anew");
            self.reconnect();
        }
    }
}

/// How a venue synchronizes a book anew: what the connection is given for it.
pub type Resync = Box<dyn Fn(Instrument) -> Pending<'static, Result<Injected, VenueError>> + Send + Sync>;

impl Wanted {
    fn of(instruments: &Instruments) -> Arc<Self> {
        Arc::new(Self {
            flags: instruments.iter().map(|_| AtomicBool::new(false)).collect(),
            ..Self::default()
        })
    }
}

/// For a venue whose stream begins a book again when it is told so: see [`Protocol::resync`].
#[must_use]
pub fn resync_over_the_stream() -> Resync {
    Box::new(|instrument| Box::pin(std::future::ready(Ok(Injected::Resync(instrument.id)))))
}

/// What a feed runs with, beside its protocol.
pub struct FeedParts<S> {
    /// How long to wait for what.
    pub settings: ConnectionSettings,
    /// Stamps what comes.
    pub clock: Arc<dyn Clock>,
    /// Of every pause.
    pub jitter: Jitter,
    /// Where everything goes.
    pub sink: S,
}

/// The connections of a feed.
#[derive(Debug)]
enum Streams {
    /// One, made anew when it is lost.
    One(Connection),
    /// Each made anew before the venue ends it.
    Rotating(Rotation),
}

/// Puts messages among those of the stream.
#[derive(Clone)]
enum Injecting {
    One(mpsc::Sender<Injection>),
    Rotating(Injector),
}

impl Injecting {
    /// Lets it go when what it was asked for is over. False when there is no stream any more.
    async fn inject(&self, injected: Injected, asked: Asked) -> bool {
        match self {
            Self::One(sender) => sender.send(Injection::asked(injected, asked)).await.is_ok(),
            Self::Rotating(injector) => injector.inject(injected, asked).await,
        }
    }
}

/// The running market data of some instruments.
#[derive(Debug)]
pub struct MarketFeed {
    streams: Streams,
    resyncs: JoinHandle<()>,
    reconnects: JoinHandle<()>,
    requester: ResyncRequester,
    /// A connection that only brings messages; nothing is injected there, and the sender is kept so that its channel stays
    /// open.
    beside: Option<(Connection, mpsc::Sender<Injection>)>,
}

/// A sink for two connections: the first tells everything, the second its messages only.
pub(crate) fn shared<S: FrameSink>(sink: S) -> (impl FrameSink, impl FrameSink) {
    let sink = Arc::new(Mutex::new(sink));
    let whole = SharedSink {
        sink: Arc::clone(&sink),
        is_beside: false,
    };
    let is_beside = true;
    (whole, SharedSink { sink, is_beside })
}

struct SharedSink<S> {
    sink: Arc<Mutex<S>>,
    is_beside: bool,
}

impl<S: FrameSink> FrameSink for SharedSink<S> {
    fn try_deliver(&mut self, message: StreamMessage) -> Result<(), StreamMessage> {
        if self.is_beside && !matches!(message.kind, StreamMessageKind::Frame(_)) {
            return Ok(());
        }
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.try_deliver(message)
    }

    fn overhear(&mut self, at: Timestamp, aside: Aside<'_>) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.overhear(at, aside);
    }
}

impl MarketFeed {
    /// Starts the feed in the current tokio runtime; everything it learns goes into the sink.
    pub fn spawn<P: Protocol, S: FrameSink>(
        protocol: P,
        mut parts: FeedParts<S>,
        instruments: &Instruments,
        resync: Resync,
    ) -> Self {
        let (sender, injected) = mpsc::channel(RESYNCS_QUEUED_MAX);
        let jitter = parts.jitter.split();
        let wanted = Wanted::of(instruments);
        let connection = Connection::spawn(
            protocol,
            parts.settings,
            parts.clock,
            parts.jitter,
            injected,
            Told::new(parts.sink, &wanted.standing),
        );
        let resyncs = Resyncs::new(wanted, instruments, Injecting::One(sender), (resync, jitter));
        Self::of(Streams::One(connection), resyncs)
    }

    /// The same with another connection beside it, which delivers only its messages.
    pub fn spawn_beside<P: Protocol, Q: Protocol, S: FrameSink, T: FrameSink>(
        protocol: P,
        parts: FeedParts<S>,
        (other, other_parts): (Q, FeedParts<T>),
        instruments: &Instruments,
        resync: Resync,
    ) -> Self {
        let (sender, injected) = mpsc::channel(1);
        let other = connection(other, other_parts, injected);
        Self {
            beside: Some((other, sender)),
            ..Self::spawn(protocol, parts, instruments, resync)
        }
    }

    /// The same over connections that are made anew before the venue ends them, without a missed or a doubled message.
    pub fn spawn_rotating<P: Protocol, S: FrameSink>(
        rotation: RotationSettings<P>,
        mut parts: FeedParts<S>,
        instruments: &Instruments,
        resync: Resync,
    ) -> Self {
        let jitter = parts.jitter.split();
        let wanted = Wanted::of(instruments);
        let rotation = Rotation::spawn(rotation, parts, &wanted.standing);
        let injecting = Injecting::Rotating(rotation.injector());
        let resyncs = Resyncs::new(wanted, instruments, injecting, (resync, jitter));
        Self::of(Streams::Rotating(rotation), resyncs)
    }

    fn of(streams: Streams, resyncs: Resyncs) -> Self {
        let wanted = Arc::clone(&resyncs.wanted);
        let reconnects = reconnect_when_wanted(Arc::clone(&wanted), resyncs.injecting.clone());
        Self {
            streams,
            resyncs: tokio::spawn(resyncs.run()),
            reconnects: tokio::spawn(reconnects),
            requester: ResyncRequester { wanted },
            beside: None,
        }
    }

    /// What asks for books anew.
    #[must_use]
    pub fn requester(&self) -> ResyncRequester {
        self.requester.clone()
    }

    /// Counters of the connection that tells everything.
    #[must_use]
    pub fn statistics(&self) -> Arc<ConnectionStatistics> {
        match &self.streams {
            Streams::One(connection) => connection.statistics(),
            Streams::Rotating(rotation) => rotation.statistics(),
        }
    }

    /// Times that a new connection took over from one that stood.
    #[must_use]
    pub fn rotations(&self) -> u64 {
        self.statistics().rotations()
    }

    /// Counters of every connection, each under its name.
    #[must_use]
    pub fn connections(&self) -> Vec<Arc<ConnectionStatistics>> {
        let beside = self.beside.iter().map(|(beside, _)| beside.statistics());
        std::iter::once(self.statistics()).chain(beside).collect()
    }

    /// Closes the stream, tells the sink, and waits for that.
    pub async fn stop(self) {
        self.resyncs.abort();
        self.reconnects.abort();
        if let Some((beside, _)) = self.beside {
            beside.stop().await;
        }
        match self.streams {
            Streams::One(connection) => connection.stop().await,
            Streams::Rotating(rotation) => rotation.stop().await,
        }
    }
}

/// The running subscription to the account's events.
#[derive(Debug)]
pub struct AccountFeed {
    /// `None` where the account is in this process.
    connection: Option<Connection>,
    // Where nothing is injected the sender is kept, so that the channel stays open.
    _injected: Option<mpsc::Sender<Injection>>,
    beside: Option<Beside>,
}

impl AccountFeed {
    /// Starts it in the current tokio runtime; everything it learns goes into the sink.
    pub fn spawn<P: Protocol, S: FrameSink>(protocol: P, parts: FeedParts<S>) -> Self {
        let (sender, injected) = mpsc::channel(1);
        Self {
            connection: Some(connection(protocol, parts, injected)),
            _injected: Some(sender),
            beside: None,
        }
    }

    /// The same, with a task beside it that fetches what the stream does not tell and has it delivered in between.
    pub fn spawn_beside<P: Protocol, S: FrameSink, F: Future<Output = ()> + Send + 'static>(
        protocol: P,
        parts: FeedParts<S>,
        task: impl FnOnce(mpsc::Sender<Injection>) -> F,
    ) -> Self {
        let (sender, injected) = mpsc::channel(FETCHED_QUEUED_MAX);
        Self {
            connection: Some(connection(protocol, parts, injected)),
            _injected: None,
            beside: Some(Beside(tokio::spawn(task(sender)))),
        }
    }

    /// That of an account in this process, which needs no connection: whoever keeps the account tells of it.
    #[must_use]
    pub const fn in_process() -> Self {
        Self {
            connection: None,
            _injected: None,
            beside: None,
        }
    }

    /// Counters of the connection; all zero where there is none.
    #[must_use]
    pub fn statistics(&self) -> Arc<ConnectionStatistics> {
        let connection = self.connection.as_ref();
        connection.map_or_else(Arc::default, Connection::statistics)
    }

    /// The same, under its name; nothing where there is no connection.
    #[must_use]
    pub fn connections(&self) -> Vec<Arc<ConnectionStatistics>> {
        self.connection.iter().map(Connection::statistics).collect()
    }

    /// Closes the stream, tells the sink, and waits for that.
    pub async fn stop(self) {
        drop(self.beside);
        if let Some(connection) = self.connection {
            connection.stop().await;
        }
    }
}

/// A task that ends with what it serves.
#[derive(Debug)]
struct Beside(JoinHandle<()>);

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn connection<P: Protocol, S: FrameSink>(
    protocol: P,
    parts: FeedParts<S>,
    injected: mpsc::Receiver<Injection>,
) -> Connection {
    Connection::spawn(
        protocol,
        parts.settings,
        parts.clock,
        parts.jitter,
        injected,
        parts.sink,
    )
}

/// An instrument and how soon its book may be asked for again.
struct Paced {
    instrument: Instrument,
    backoff: Backoff,
    asked: Option<Instant>,
    /// When it is asked for; `None` where nobody wants it.
    due: Option<Instant>,
}

impl Paced {
    /// What is wanted already is wanted once.
    fn want(&mut self, now: Instant) {
        if self.due.is_none() {
            self.due = Some(now + self.pause(now));
        }
    }

    fn pause(&mut self, now: Instant) -> Duration {
        match self.asked {
            None => Duration::ZERO,
            Some(last) if now.duration_since(last) > SETTLED_AFTER => {
                self.backoff.reset();
                Duration::ZERO
            }
            Some(_) => self.backoff.next_pause(),
        }
    }
}

/// Has the connection given up when that is wanted; how soon it is made again is its own affair, as after any loss.
async fn reconnect_when_wanted(wanted: Arc<Wanted>, injecting: Injecting) {
    loop {
        wanted.reconnect.notified().await;
        let asked = wanted
            .standing
            .asked_in(wanted.reconnect_in.load(Ordering::Acquire));
        if !injecting.inject(Injected::Reconnect, asked).await {
            return;
        }
    }
}

/// Sees to the books that are wanted, one at a time, whichever is due first: none waits for the pause of another.
struct Resyncs {
    resync: Resync,
    wanted: Arc<Wanted>,
    instruments: Vec<Paced>,
    injecting: Injecting,
}

impl Resyncs {
    fn new(
        wanted: Arc<Wanted>,
        instruments: &Instruments,
        injecting: Injecting,
        (resync, mut jitter): (Resync, Jitter),
    ) -> Self {
        let paced = instruments.iter().map(|instrument| Paced {
            instrument: *instrument,
            backoff: Backoff::new(RESYNC_PAUSE.0, RESYNC_PAUSE.1, jitter.split()),
            asked: None,
            due: None,
        });
        Self {
            resync,
            wanted,
            instruments: paced.collect(),
            injecting,
        }
    }

    async fn run(mut self) {
        let wanted = Arc::clone(&self.wanted);
        loop {
            let now = Instant::now();
            for (flag, paced) in wanted.flags.iter().zip(&mut self.instruments) {
                if flag.swap(false, Ordering::AcqRel) {
                    paced.want(now);
                }
            }
            let due = self.instruments.iter_mut().filter(|paced| paced.due.is_some());
            match due.min_by_key(|paced| paced.due) {
                None => wanted.any.notified().await,
                Some(&mut Paced { due: Some(due), .. }) if due > now => {
                    tokio::select! {
                        () = sleep_until(due) => {}
                        () = wanted.any.notified() => {}
                    }
                }
                Some(paced) => {
                    paced.due = None;
                    if !see_to(paced, &self.resync, &wanted.standing, &self.injecting).await {
                        return;
                    }
                }
            }
        }
    }
}

/// Has one book begun anew; false when there is no stream any more.
async fn see_to(paced: &mut Paced, resync: &Resync, standing: &Standing, injecting: &Injecting) -> bool {
    let asked = standing.asked();
    if !asked.stands() {
        // Whoever is told of the next beginning asks anew.
        return true;
    }
    paced.asked = Some(Instant::now());
    match resync(paced.instrument).await {
        Ok(injected) => injecting.inject(injected, asked).await,
        Err(error) => {
            warn!(symbol = %paced.instrument.symbol, %error, "no snapshot, asking again");
            paced.want(Instant::now());
            true
        }
    }
}
