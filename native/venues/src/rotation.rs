//! A new connection before the old one is given up, without a missed or a doubled message.
//!
//! A venue ends its connections after a day. Before that a second one is made, and what it brings is kept. Both bring the
//! same messages, numbered in each stream. Once the old one has delivered the first message that the new one brought in
//! each of its streams, nothing can have come between them, and the new one takes over: what it kept is delivered but for
//! what the old one delivered already. The consumer learns nothing of it. One that does not come that far in time is dropped and
//! another is made; the old one stays until then. Where the old one is lost first, that is an
//! interruption like any other, and the new one is the reconnect.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use domain::{Text, Timestamp};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::backlog::WAITING_BYTES_MAX;
use crate::clock::Clock;
use crate::feeds::FeedParts;
use crate::retry::{Backoff, Jitter};
use crate::websocket::{
    Aside, Asked, Connection, ConnectionStatistics, DELIVERY_RETRY, FrameSink, Injected, Injection, Protocol,
    Standing, StreamMessage, StreamMessageKind, Told,
};

/// Most messages that are kept of a new connection. Where they, or [`WAITING_BYTES_MAX`] of them, wait too long for the old
/// one, the new connection ends as overrun and begins anew; the old one goes on delivering.
const KEPT_MAX: usize = 65_536;

/// Most streams whose numbers are followed while two connections overlap.
const STREAMS_MAX: usize = 4_096;

/// Longest that the new connection may lag behind what the old one has delivered, wall time.
const LAG_MAX: Duration = Duration::from_mins(1);

/// Injected messages on their way to a connection.
const INJECTED_MAX: usize = 16;

/// Longest wait for a connection that was replaced to pass on what was injected into it, and how often it is looked.
const PASS_ON: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(1));

/// First and longest pause after a new connection was dropped because it did not take over in time.
const AGAIN_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Pause before it is looked again whether the last change of connections is over.
const SETTLING: Duration = Duration::from_millis(100);

/// A stream of numbered messages on a connection: the symbol, and which of its streams.
pub type StreamKey = (Text<24>, u8);

/// Reads stream and number of a message; `None` for one that may come from one connection and not from the other.
pub type Numbers = Box<dyn FnMut(&[u8]) -> Option<(StreamKey, u64)> + Send>;

/// When and how connections are made anew.
pub struct RotationSettings<P> {
    /// Wall time after which a connection is made anew, below the venue's limit.
    pub age: Duration,
    /// Longest wait for a new connection to take over, wall time. It is dropped after that and another one is made; the old
    /// one stays meanwhile.
    pub within: Duration,
    /// Makes the protocol of the next connection.
    pub protocol: Box<dyn Fn() -> P + Send + Sync>,
    /// Tells messages apart.
    pub numbers: Numbers,
}

impl<P> fmt::Debug for RotationSettings<P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RotationSettings")
            .field("age", &self.age)
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}

/// A feed over connections that follow each other.
#[derive(Debug)]
pub(crate) struct Rotation {
    lines: Arc<Lines>,
    injector: Injector,
    task: JoinHandle<()>,
}

/// The connections there are.
#[derive(Debug)]
struct Lines {
    connections: Mutex<Connections>,
    /// Held while something is injected, and while connections change places: nothing goes into one that was replaced.
    injecting: tokio::sync::Mutex<()>,
    taken_over: Notify,
    statistics: Arc<ConnectionStatistics>,
}

#[derive(Debug, Default)]
struct Connections {
    active: Option<Line>,
    standby: Option<Line>,
}

#[derive(Debug)]
struct Line {
    connection: Connection,
    injected: mpsc::Sender<Injection>,
}

impl Rotation {
    /// Starts in the current tokio runtime; `standing` counts what the sink is told of the stream's.
    pub(crate) fn spawn<P: Protocol, S: FrameSink>(
        settings: RotationSettings<P>,
        parts: FeedParts<S>,
        standing: &Standing,
    ) -> Self {
        let protocol = settings.protocol;
        let first = protocol();
        let lines = Arc::new(Lines::of(first.name()));
        let FeedParts {
            settings: connection,
            clock,
            mut jitter,
            sink,
        } = parts;
        let router = Router::new(Told::new(sink, standing), settings.numbers, Arc::clone(&lines));
        let router = Arc::new(Mutex::new(router));
        let injector = Injector {
            lines: Arc::clone(&lines),
            router: Arc::downgrade(&router) as Weak<Mutex<dyn Answering>>,
            clock: Arc::clone(&clock),
        };
        let (shared, statistics) = (Arc::clone(&router), Arc::clone(&lines.statistics));
        let open = move |line: u64, protocol: P, jitter: Jitter| {
            let (injected, taken) = mpsc::channel(INJECTED_MAX);
            let beside = (taken, Arc::clone(&statistics));
            let sink = Lined {
                line,
                router: Arc::clone(&shared),
            };
            let (settings, clock) = (connection.clone(), Arc::clone(&clock));
            Line {
                connection: Connection::spawn_counted(protocol, settings, clock, jitter, beside, sink),
                injected,
            }
        };
        lock(&lines.connections).active = Some(open(0, first, jitter.split()));
        let rotating = Arc::clone(&lines);
        let (age, within) = (settings.age, settings.within);
        let mut again = Backoff::new(AGAIN_PAUSE.0, AGAIN_PAUSE.1, jitter.split());
        let task = tokio::spawn(async move {
            let mut pause = age;
            for line in 1.. {
                sleep(pause).await;
                while !lock(&router).expect(line) {
                    sleep(SETTLING).await;
                }
                let next = open(line, protocol(), jitter.split());
                lock(&rotating.connections).standby = Some(next);
                let in_time = timeout(within, rotating.taken_over.notified()).await;
                if in_time.is_err() && lock(&router).give_up(line) {
                    warn!("a new connection did not take over in time: the old one stays");
                    rotating.drop_standby().await;
                    pause = again.next_pause();
                    continue;
                }
                if in_time.is_err() {
                    // It took over just now, and said so.
                    rotating.taken_over.notified().await;
                }
                rotating.retire().await;
                again.reset();
                pause = age;
            }
        });
        Self {
            lines,
            injector,
            task,
        }
    }

    /// What puts something among the stream's messages.
    pub(crate) fn injector(&self) -> Injector {
        self.injector.clone()
    }

    /// Counters over all connections.
    pub(crate) fn statistics(&self) -> Arc<ConnectionStatistics> {
        Arc::clone(&self.lines.statistics)
    }

    /// Closes the streams, tells the sink, and waits for that.
    pub(crate) async fn stop(self) {
        self.task.abort();
        let connections = std::mem::take(&mut *lock(&self.lines.connections));
        for line in [connections.standby, connections.active].into_iter().flatten() {
            line.connection.stop().await;
        }
    }
}

impl Drop for Rotation {
    fn drop(&mut self) {
        self.task.abort();
        // The task holds them as well, and ends later.
        *lock(&self.lines.connections) = Connections::default();
    }
}

/// Puts answers among the messages of the stream, whichever connection they come over, and all else into the connection
/// that delivers.
#[derive(Clone)]
pub(crate) struct Injector {
    lines: Arc<Lines>,
    router: Weak<Mutex<dyn Answering>>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Injector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Injector").finish_non_exhaustive()
    }
}

impl Injector {
    /// Lets it go when what it was asked for is over. False when there is no connection any more.
    pub(crate) async fn inject(&self, injected: Injected, asked: Asked) -> bool {
        if let Injected::Message(kind) = injected {
            let ts_received = self.clock.now();
            return self.answer(&asked, StreamMessage { ts_received, kind }).await;
        }
        let _turn = self.lines.injecting.lock().await;
        let sender = {
            let connections = lock(&self.lines.connections);
            connections.active.as_ref().map(|line| line.injected.clone())
        };
        match sender {
            Some(sender) => sender.send(Injection::asked(injected, asked)).await.is_ok(),
            None => false,
        }
    }

    /// Waits for room while the stream stands: one that finds none for its next message, or has none, is given up.
    async fn answer(&self, asked: &Asked, mut message: StreamMessage) -> bool {
        loop {
            let Some(router) = self.router.upgrade() else {
                return false;
            };
            let answered = lock(&router).answer(asked, message);
            match answered {
                Ok(()) => return true,
                Err(back) => message = back,
            }
            drop(router);
            sleep(DELIVERY_RETRY).await;
        }
    }
}

/// What answers are delivered through.
trait Answering: Send {
    /// Delivers it, lets it go when what it was asked for is over, or gives it back when there is no room.
    fn answer(&mut self, asked: &Asked, message: StreamMessage) -> Result<(), StreamMessage>;
}

impl<S: FrameSink> Answering for Router<S> {
    /// Its place among the messages is the affair of whoever asked.
    fn answer(&mut self, asked: &Asked, message: StreamMessage) -> Result<(), StreamMessage> {
        self.sink.answer(asked, message)
    }
}

impl Lines {
    fn of(stream: &'static str) -> Self {
        Self {
            connections: Mutex::default(),
            injecting: tokio::sync::Mutex::default(),
            taken_over: Notify::new(),
            statistics: Arc::new(ConnectionStatistics::of(stream)),
        }
    }

    /// The standby did not take over: closes it. Nothing that it brought was delivered.
    async fn drop_standby(&self) {
        let standby = lock(&self.connections).standby.take();
        if let Some(line) = standby {
            line.connection.stop().await;
        }
    }

    /// The standby is the active one now: closes the one before it, once that has passed on what was injected into it.
    async fn retire(&self) {
        let old = {
            let _turn = self.injecting.lock().await;
            let mut connections = lock(&self.connections);
            let next = connections.standby.take();
            std::mem::replace(&mut connections.active, next)
        };
        let Some(Line { connection, injected }) = old else {
            return;
        };
        let deadline = Instant::now() + PASS_ON.0;
        while injected.capacity() < INJECTED_MAX && Instant::now() < deadline {
            sleep(PASS_ON.1).await;
        }
        connection.stop().await;
    }
}

/// The sink of one connection.
struct Lined<S> {
    line: u64,
    router: Arc<Mutex<Router<S>>>,
}

impl<S: FrameSink> FrameSink for Lined<S> {
    fn try_deliver(&mut self, message: StreamMessage) -> Result<(), StreamMessage> {
        lock(&self.router).take(self.line, message)
    }

    /// What is said beside the messages is told of the connection that delivers them. One that takes over goes on where
    /// another stopped: to whoever listens, nothing was opened.
    fn overhear(&mut self, at: Timestamp, aside: Aside<'_>) {
        let mut router = lock(&self.router);
        if router.active == self.line {
            router.sink.overhear(at, aside);
        }
    }
}

/// Brings the messages of all connections into one order.
struct Router<S> {
    sink: Told<S>,
    numbers: Numbers,
    /// The connection that delivers.
    active: u64,
    phase: Phase,
    lines: Arc<Lines>,
}

enum Phase {
    /// One connection.
    Alone,
    /// A second one is on its way.
    Overlap(Overlap),
    /// The second one has taken over, and may still bring what was delivered.
    Follow(Follow),
}

#[derive(Default)]
struct Overlap {
    line: u64,
    /// The moment at which it came up.
    up: Option<StreamMessage>,
    kept: Kept,
    /// The number of the first message that was kept in each stream.
    first: HashMap<StreamKey, u64>,
    /// The number of the last message that was delivered in each stream, since the overlap began.
    delivered: HashMap<StreamKey, u64>,
}

/// What a new connection brought and nobody was given yet.
#[derive(Default)]
struct Kept {
    messages: VecDeque<StreamMessage>,
    bytes: usize,
}

struct Follow {
    kept: Kept,
    delivered: HashMap<StreamKey, u64>,
    since: Instant,
}

impl<S: FrameSink> Router<S> {
    const fn new(sink: Told<S>, numbers: Numbers, lines: Arc<Lines>) -> Self {
        Self {
            sink,
            numbers,
            active: 0,
            phase: Phase::Alone,
            lines,
        }
    }

    /// A new connection is about to be made; false while the last change is not over.
    fn expect(&mut self, line: u64) -> bool {
        let is_over = self.drain()
            && match &self.phase {
                Phase::Follow(follow) => follow.is_over(),
                Phase::Alone | Phase::Overlap(_) => true,
            };
        if is_over {
            self.phase = Phase::Overlap(Overlap {
                line,
                ..Overlap::default()
            });
        }
        is_over
    }

    /// The new connection is not waited for any longer; false when it has taken over already.
    fn give_up(&mut self, line: u64) -> bool {
        let is_waiting = matches!(&self.phase, Phase::Overlap(overlap) if overlap.line == line);
        if is_waiting {
            self.phase = Phase::Alone;
        }
        is_waiting
    }

    fn take(&mut self, line: u64, message: StreamMessage) -> Result<(), StreamMessage> {
        match &mut self.phase {
            Phase::Overlap(overlap) if overlap.line == line => {
                let let_go = overlap.keep(message, &mut self.numbers)?;
                self.lines.statistics.on_duplicates(let_go);
                self.take_over_when_due();
                Ok(())
            }
            // Of a connection that was given up.
            _ if line != self.active => {
                let is_frame = matches!(message.kind, StreamMessageKind::Frame(_));
                self.lines.statistics.on_duplicates(usize::from(is_frame));
                Ok(())
            }
            Phase::Alone => self.sink.try_deliver(message),
            Phase::Overlap(_) => self.deliver_in_overlap(message),
            Phase::Follow(_) => self.follow(message),
        }
    }

    fn deliver_in_overlap(&mut self, message: StreamMessage) -> Result<(), StreamMessage> {
        let number = match &message.kind {
            StreamMessageKind::Frame(frame) => (self.numbers)(frame),
            _ => None,
        };
        let is_lost = matches!(message.kind, StreamMessageKind::Disconnected(_));
        self.sink.try_deliver(message)?;
        if let (Phase::Overlap(overlap), Some((key, number))) = (&mut self.phase, number) {
            overlap.note(key, number);
        }
        if is_lost {
            self.take_over_after_a_loss();
        } else {
            self.take_over_when_due();
        }
        Ok(())
    }

    fn take_over_when_due(&mut self) {
        let Phase::Overlap(overlap) = &mut self.phase else {
            return;
        };
        if overlap.up.is_none() || overlap.first.is_empty() {
            return;
        }
        let Overlap { first, delivered, .. } = overlap;
        let meets = |(key, first): (&StreamKey, &u64)| delivered.get(key).is_some_and(|last| last >= first);
        if first.iter().all(meets) {
            let overlap = std::mem::take(overlap);
            info!(kept = overlap.kept.messages.len(), "a new connection takes over");
            self.lines.statistics.on_rotation();
            self.hand_over(overlap.line, overlap.kept, overlap.delivered);
        }
    }

    /// The consumer was told that the stream is down. A new connection that is up already is the reconnect.
    fn take_over_after_a_loss(&mut self) {
        let Phase::Overlap(overlap) = &mut self.phase else {
            return;
        };
        let Some(up) = overlap.up.take() else {
            // What was delivered is nobody's measure any more.
            overlap.delivered.clear();
            return;
        };
        let Overlap { line, mut kept, .. } = std::mem::take(overlap);
        kept.messages.push_front(up);
        self.lines.statistics.on_reconnected();
        self.hand_over(line, kept, HashMap::new());
    }

    fn hand_over(&mut self, line: u64, kept: Kept, delivered: HashMap<StreamKey, u64>) {
        self.active = line;
        self.phase = Phase::Follow(Follow {
            kept,
            delivered,
            since: Instant::now(),
        });
        // What finds no room now goes before the connection's next message.
        let _ = self.drain();
        self.lines.taken_over.notify_one();
    }

    fn follow(&mut self, message: StreamMessage) -> Result<(), StreamMessage> {
        if !self.drain() {
            return Err(message);
        }
        let Phase::Follow(follow) = &mut self.phase else {
            return self.sink.try_deliver(message);
        };
        let is_news = follow.is_news(&message, &mut self.numbers);
        if follow.is_over() {
            self.phase = Phase::Alone;
        }
        if is_news {
            self.sink.try_deliver(message)
        } else {
            self.lines.statistics.on_duplicates(1);
            Ok(())
        }
    }

    /// Delivers what was kept; false while some of it finds no room.
    fn drain(&mut self) -> bool {
        let Phase::Follow(follow) = &mut self.phase else {
            return true;
        };
        while let Some(message) = follow.kept.messages.pop_front() {
            if !follow.is_news(&message, &mut self.numbers) {
                self.lines.statistics.on_duplicates(1);
                continue;
            }
            if let Err(back) = self.sink.try_deliver(message) {
                follow.kept.messages.push_front(back);
                return false;
            }
        }
        true
    }
}

impl Overlap {
    /// Keeps what is needed of a message, or gives it back where too much is kept; how many messages are let go.
    fn keep(&mut self, message: StreamMessage, numbers: &mut Numbers) -> Result<usize, StreamMessage> {
        match &message.kind {
            StreamMessageKind::Connected => {
                let let_go = self.begin();
                self.up = Some(message);
                Ok(let_go)
            }
            StreamMessageKind::Disconnected(_) => {
                self.up = None;
                Ok(self.begin())
            }
            StreamMessageKind::Frame(frame) => {
                if !self.kept.has_room(frame.len()) {
                    return Err(message);
                }
                let Some((key, number)) = numbers(frame) else {
                    return Ok(1);
                };
                self.first.entry(key).or_insert(number);
                self.kept.push(message);
                Ok(0)
            }
            StreamMessageKind::Snapshot { .. } => Ok(0),
        }
    }

    fn begin(&mut self) -> usize {
        self.first.clear();
        let kept = std::mem::take(&mut self.kept);
        kept.messages.len()
    }

    /// The other connection has delivered this. A stream too many is not followed: the two then meet when one is lost.
    fn note(&mut self, key: StreamKey, number: u64) {
        if self.delivered.len() < STREAMS_MAX || self.delivered.contains_key(&key) {
            self.delivered.insert(key, number);
        }
    }
}

impl Kept {
    fn has_room(&self, bytes: usize) -> bool {
        self.messages.len() < KEPT_MAX && self.bytes.saturating_add(bytes) <= WAITING_BYTES_MAX
    }

    fn push(&mut self, message: StreamMessage) {
        self.bytes += message.bytes();
        self.messages.push_back(message);
    }
}

impl Follow {
    /// Whether nothing that was delivered can come again.
    fn is_over(&self) -> bool {
        self.delivered.is_empty() || self.since.elapsed() > LAG_MAX
    }

    /// Whether the connection before this one has not delivered it.
    fn is_news(&mut self, message: &StreamMessage, numbers: &mut Numbers) -> bool {
        let StreamMessageKind::Frame(frame) = &message.kind else {
            return true;
        };
        if self.delivered.is_empty() {
            return true;
        }
        let Some((key, number)) = numbers(frame) else {
            return true;
        };
        match self.delivered.get(&key) {
            Some(last) if number <= *last => false,
            Some(_) => {
                self.delivered.remove(&key);
                true
            }
            None => true,
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
