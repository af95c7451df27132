//! A recording of Binance's combined stream, served as the wire that it was taken from.
//!
//! Who subscribes gets the recorded messages byte for byte, at any multiple of the pace at which they came. Time stands
//! still while nobody listens: the recording begins with the first listener, and no message is played to nobody. A
//! snapshot is as of the live stream: who asks before the recording holds one is answered when it does, with its very
//! bytes (and there the recording waits a second for somebody who asks); who asks later gets the book as the stream has
//! it by then. Where the recorded connection was lost, all
//! connections end. Nothing can be traded here.

mod book;
mod doors;
mod tape;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use tokio::sync::mpsc::Sender;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

use crate::error::ServerError;
use crate::frames::Queued;
use crate::listener::{LoopbackListener, Outage};
use book::RecordedBook;
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

/// Most requests for a snapshot that wait until the recording holds one.
const WAITING_MAX: usize = 1_024;

/// Whoever listens to streams.
#[derive(Debug)]
struct Listener {
    id: u64,
    streams: BTreeSet<String>,
    /// Whether messages carry their stream's name.
    is_combined: bool,
    sender: Sender<Queued>,
}

/// A request for a snapshot that is not there yet.
#[derive(Debug)]
struct Waiting {
    symbol: String,
    reply: oneshot::Sender<String>,
}

/// Where the recording is, and who follows it.
#[derive(Debug, Default)]
struct Stage {
    listeners: Vec<Listener>,
    next_id: u64,
    books: BTreeMap<String, RecordedBook>,
    waiting: Vec<Waiting>,
    /// Time of the last message played, UTC ns; of the first one before any is played.
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
    /// Adds a listener; `None` when there are too many.
    fn listen(
        &mut self,
        streams: BTreeSet<String>,
        is_combined: bool,
        sender: Sender<Queued>,
    ) -> Option<u64> {
        if self.listeners.len() == LISTENERS_MAX {
            return None;
        }
        self.next_id += 1;
        self.listeners.push(Listener {
            id: self.next_id,
            streams,
            is_combined,
            sender,
        });
        Some(self.next_id)
    }

    fn leave(&mut self, id: u64) {
        self.listeners.retain(|listener| listener.id != id);
    }

    /// The venue's time: that of the recording, which runs on between messages until its end.
    fn now_ns(&self) -> i64 {
        let Some((first, began, speed)) = self.pace.filter(|_| !self.is_done) else {
            return self.position_ns;
        };
        let passed = began.elapsed().mul_f64(speed).as_nanos();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        first.saturating_add(passed).max(self.position_ns)
    }

    fn has_audience(&self) -> bool {
        self.listeners.iter().any(|listener| !listener.streams.is_empty())
    }
}

/// A recording that is being served.
#[derive(Debug)]
pub struct RecordedServer {
    address: SocketAddr,
    house: Arc<House>,
    serving: JoinHandle<std::io::Result<()>>,
    playing: JoinHandle<Result<(), ServerError>>,
}

impl RecordedServer {
    /// Reads what is in the recordings, binds 127.0.0.1 and serves. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// [`ServerError`] when they cannot be read, hold nothing of the combined stream, or the port is taken.
    pub async fn start(config: RecordedConfig) -> Result<Self, ServerError> {
        let contents = tape::contents(&config.files)?;
        let stage = Stage {
            position_ns: contents.first_ns,
            ..Stage::default()
        };
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
