//! A recording of a venue's market streams, served as the wire that it was taken from: Binance's combined stream, Kraken's
//! versions 2 and 1, Coinbase Advanced Trade and Coinbase Exchange. Its messages tell whose it is.
//!
//! Who subscribes gets the recorded messages byte for byte, at any multiple of the pace at which they came; of Advanced
//! Trade, each with the number that it has on this connection. Time stands still while nobody listens: the recording
//! begins with the first listener, and no message is played to nobody. Where subscriptions come in several messages, it
//! waits a second for the rest of them, unless all that is recorded is wanted.
//!
//! Who comes later has the book as of the live stream: over REST at Binance, where who asks before the recording holds a
//! snapshot is answered when it does, with its very bytes (and there the recording waits a second for somebody who
//! asks); elsewhere as the stream's own snapshot, made of the venue's text. Of other channels it has what comes from then
//! on. Where the recorded connection was lost, all connections end. Nothing can be traded here.

mod advanced;
mod binance;
mod book;
mod coinbase;
mod doors;
mod exchange;
mod kraken;
mod kraken_v1;
mod levels;
mod script;
mod tape;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::extract::ws::Utf8Bytes;
use domain::Timestamp;
use tokio::sync::mpsc::Sender;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::error::ServerError;
use crate::frames::Queued;
use crate::listener::{LoopbackListener, Outage};
use crate::wire::VenueKind;
use script::{Played, Wire};
use tape::{Contents, Speed};

/// What is served, and how fast.
#[derive(Debug, Clone)]
pub struct RecordedConfig {
    /// Recordings that continue each other, in any order.
    pub files: Vec<PathBuf>,
    /// Seconds of the recording in one second; `None` is as fast as it is taken.
    pub speed: Option<f64>,
    /// The port on 127.0.0.1; zero takes any free one.
    pub port: u16,
    /// Stop when the recording is over, instead of serving its end state.
    pub exit_when_done: bool,
}

/// Most connections at a time.
const LISTENERS_MAX: usize = 300;

/// Messages on their way to one listener.
const QUEUE: usize = 1_024;

/// Places of these that are kept for answers.
const QUEUE_FOR_ANSWERS: usize = 128;

/// Longest wait for more subscriptions before time begins.
const GATHERING: Duration = Duration::from_secs(1);

/// Whoever listens.
#[derive(Debug)]
struct Listener {
    id: u64,
    /// What it wants to hear, in its wire's terms.
    topics: BTreeSet<String>,
    /// Whether messages carry their stream's name.
    is_combined: bool,
    /// Number of its next message, where the wire counts them.
    next: u64,
    sender: Sender<Queued>,
}

/// Where the recording is, and who follows it.
#[derive(Debug)]
struct Stage {
    wire: Wire,
    listeners: Vec<Listener>,
    next_id: u64,
    /// When somebody last asked for something.
    asked: Instant,
    /// From the recorder's clock to the venue's, ns: where the recorder's counts from no epoch.
    ahead_ns: i64,
    /// Time of the last message played, ns; of the first one before any is played.
    position_ns: i64,
    /// While time runs: a time of the recording, when that was, and how fast it runs.
    pace: Option<(i64, Instant, f64)>,
    played: u64,
    is_done: bool,
}

/// What the doors and the tape share.
#[derive(Debug)]
struct House {
    contents: Contents,
    stage: Mutex<Stage>,
    /// Woken when somebody begins to listen, or asks for a snapshot.
    heard: Notify,
    stop: watch::Sender<bool>,
    is_stopped: AtomicBool,
}

impl House {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage
            .lock()
            .expect("no call panics while it holds the stage")
    }

    fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.stop.send_replace(true);
        self.heard.notify_waiters();
    }
}

impl Stage {
    fn new(wire: Wire, contents: &Contents) -> Self {
        Self {
            wire,
            listeners: Vec::new(),
            next_id: 0,
            asked: Instant::now(),
            ahead_ns: contents.ahead_ns,
            position_ns: contents.first_ns,
            pace: None,
            played: 0,
            is_done: false,
        }
    }

    /// Adds a listener; `None` when there are too many.
    fn listen(&mut self, topics: BTreeSet<String>, is_combined: bool, sender: Sender<Queued>) -> Option<u64> {
        if self.listeners.len() == LISTENERS_MAX {
            return None;
        }
        if let Some(hello) = self.wire.script().hello(self.now()) {
            // Its queue is empty.
            let _ = sender.try_send(Queued::text(hello.into()));
        }
        self.next_id += 1;
        self.asked = Instant::now();
        self.listeners.push(Listener {
            id: self.next_id,
            topics,
            is_combined,
            next: 0,
            sender,
        });
        Some(self.next_id)
    }

    /// Obeys a listener. Its answers stand in its queue in their place among what is played.
    fn on_text(&mut self, id: u64, text: &str) {
        let now = self.now();
        self.asked = Instant::now();
        let Some(listener) = self.listeners.iter_mut().find(|listener| listener.id == id) else {
            return;
        };
        let answers = self.wire.script_mut().on_text(listener, text, now);
        let said = answers
            .into_iter()
            .all(|answer| listener.sender.try_send(Queued::text(answer.into())).is_ok());
        if !said {
            // It asks more than it hears.
            self.leave(id);
        }
    }

    /// Plays a message: the books take it first, so that no answer is older than the stream.
    fn play(&mut self, at: Timestamp, message: &Utf8Bytes) {
        let Some(played) = self.wire.script_mut().take(message) else {
            return;
        };
        (self.position_ns, self.played) = (at.nanos(), self.played + 1);
        let script = self.wire.script();
        self.listeners.retain_mut(|listener| {
            listener.next += u64::try_from(played.hole).unwrap_or(0);
            if !listener.hears(&played) {
                return true;
            }
            let text = script.worded(listener, message, played.hole);
            // There was room for it before; who asked for more meanwhile than it hears is left out.
            listener.sender.try_send(Queued::text(text)).is_ok()
        });
    }

    /// The recorded connection was lost, so everyone's is.
    fn lose(&mut self) {
        self.listeners.clear();
        self.wire.script_mut().lose();
    }

    fn leave(&mut self, id: u64) {
        self.listeners.retain(|listener| listener.id != id);
    }

    /// The venue's time: that of the recording, which runs on between messages until its end.
    fn now(&self) -> Timestamp {
        let position = match self.pace.filter(|_| !self.is_done) {
            None => self.position_ns,
            Some((first, began, speed)) => {
                let passed = began.elapsed().mul_f64(speed).as_nanos();
                let passed = i64::try_from(passed).unwrap_or(i64::MAX);
                first.saturating_add(passed).max(self.position_ns)
            }
        };
        Timestamp::from_nanos(position.saturating_add(self.ahead_ns))
    }

    fn has_audience(&self) -> bool {
        self.listeners.iter().any(|listener| !listener.topics.is_empty())
    }

    /// Whether time may begin: somebody listens, and has said all that it wants to hear.
    fn is_gathered(&self, contents: &Contents) -> bool {
        let is_wanted = |topic: &String| {
            let mut listeners = self.listeners.iter();
            listeners.any(|listener| listener.topics.contains(topic))
        };
        self.has_audience()
            && (self.wire.names_in_address()
                || self.asked.elapsed() >= GATHERING
                || contents.topics.iter().all(is_wanted))
    }
}

impl Listener {
    fn hears(&self, played: &Played) -> bool {
        played.is_for_all && !self.topics.is_empty()
            || played.topics.iter().any(|topic| self.topics.contains(topic))
    }
}

/// A recording that is being served.
#[derive(Debug)]
pub struct RecordedServer {
    address: SocketAddr,
    venue: VenueKind,
    house: Arc<House>,
    serving: JoinHandle<std::io::Result<()>>,
    playing: JoinHandle<Result<(), ServerError>>,
}

impl RecordedServer {
    /// Reads what is in the recordings, binds 127.0.0.1 and serves. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// [`ServerError`] when they cannot be read, hold no wire that is served, or the port is taken.
    pub async fn start(config: RecordedConfig) -> Result<Self, ServerError> {
        let (contents, wire) = tape::contents(&config.files)?;
        let venue = wire.venue();
        let stage = Stage::new(wire, &contents);
        let house = Arc::new(House {
            contents,
            stage: Mutex::new(stage),
            heard: Notify::new(),
            stop: watch::Sender::new(false),
            is_stopped: AtomicBool::new(false),
        });
        let port = config.port;
        let bind = |source| ServerError::Bind { port, source };
        let listener = LoopbackListener::bind(port, Arc::new(Outage::default()), None);
        let listener = listener.await.map_err(bind)?;
        let address = axum::serve::Listener::local_addr(&listener).map_err(bind)?;
        let mut stop = house.stop.subscribe();
        let serving =
            axum::serve(listener, doors::router(Arc::clone(&house))).with_graceful_shutdown(async move {
                // An error means that nobody can ask for more.
                let _ = stop.wait_for(|stop| *stop).await;
            });
        let serving = tokio::spawn(serving.into_future());
        let player = Arc::clone(&house);
        let speed = Speed::of(config.speed);
        let playing = tokio::task::spawn_blocking(move || {
            let played = tape::play(&player, speed);
            player.stage().is_done = true;
            if config.exit_when_done || played.is_err() {
                player.stop();
            }
            played
        });
        Ok(Self {
            address,
            venue,
            house,
            serving,
            playing,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whose wire the recording is of.
    #[must_use]
    pub const fn venue(&self) -> VenueKind {
        self.venue
    }

    /// A handle that stops it from elsewhere.
    pub fn stopper(&self) -> impl Fn() + Send + use<> {
        let house = Arc::clone(&self.house);
        move || house.stop()
    }

    /// Waits until it stops.
    ///
    /// # Errors
    /// [`ServerError`] when the listening socket failed, or the recording is damaged.
    pub async fn wait(self) -> Result<(), ServerError> {
        let port = self.address.port();
        let failed = |source| ServerError::Bind { port, source };
        let served = self.serving.await;
        self.house.stop();
        let played = self.playing.await;
        served
            .map_err(|ended| failed(std::io::Error::other(ended)))?
            .map_err(failed)?;
        played.map_err(|ended| failed(std::io::Error::other(ended)))?
    }
}
