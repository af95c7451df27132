//! Records a venue's market streams as they come.
//!
//! One thread takes what the sockets bring, writes it, and then reads it as the service would: only so is it known which
//! book must be told anew, and how the recording stands while it grows.

mod clock;
mod due;
mod queue;
mod stream;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::{Nanos, Timestamp, Venue};
use recording::{RecordKind, WriteError, Writer, WriterSettings, Written};
use serde::Serialize;
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use venues::clock::Clock;
use venues::retry::Jitter;
use venues::{DisconnectReason, StreamMessage, StreamMessageKind, VenueError};

use clock::SystemClock;
use due::Due;
pub use due::{SNAPSHOT_EVERY, SNAPSHOTS_AT_ONCE};
pub use queue::{ASIDE_BYTES_MAX, QUEUED_BYTES_MAX, QUEUED_MAX};
use queue::{Crossing, Item, Next, Outlet};
pub use stream::RECORDED;
use stream::{Stream, Wish};

/// The summary's own name and version.
pub const SCHEMA: &str = "py_rt.record/1";

/// Longest wait for a message before the clock, the stop and the disk are looked after.
const TICK: Duration = Duration::from_millis(100);

/// What to record, and how.
#[derive(Debug, Clone)]
pub struct RecordOptions {
    /// Whose streams.
    pub venue: Venue,
    /// The venue's symbols, one at least.
    pub symbols: Vec<String>,
    /// Instead of the venue's own address: `http://127.0.0.1:PORT` of a server on this machine.
    pub url: Option<String>,
    /// Levels a side that books are subscribed with, where the venue has a choice (Kraken); `None` for what the service
    /// takes.
    pub depth: Option<u16>,
    /// Where and how it is written.
    pub writer: WriterSettings,
    /// Longest time until what was written is forced to the disk.
    pub sync_every: Duration,
    /// Ends the recording by itself.
    pub stop_after: Option<Duration>,
}

/// Why nothing, or nothing more, is recorded.
#[derive(Debug, Error)]
pub enum RecordError {
    /// No threads for the sockets.
    #[error("cannot start the sockets' threads: {0}")]
    Runtime(#[source] std::io::Error),
    /// The streams cannot be opened.
    #[error(transparent)]
    Venue(#[from] VenueError),
    /// The disk takes no more.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// How far it is, and what came of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// Messages received.
    pub messages: u64,
    /// Their bytes.
    pub message_bytes: u64,
    /// REST snapshots received.
    pub snapshots: u64,
    /// Times a connection was made.
    pub connects: u64,
    /// Times one was lost; the end is none.
    pub disconnects: u64,
    /// Messages that could not be read.
    pub errors: u64,
    /// Holes in update numbers.
    pub gaps: u64,
    /// Parts of handshakes that were left out because the disk did not keep up.
    pub left_out: u64,
    /// Books that stand.
    pub books_standing: usize,
    /// Books.
    pub books: usize,
}

/// Something worth a line.
#[derive(Debug)]
pub enum News<'a> {
    /// A file was begun.
    File(&'a Path),
    /// A connection was made.
    Connected(&'a str),
    /// A connection was lost.
    Disconnected(&'a str, DisconnectReason),
    /// A message could not be read.
    Problem(&'a VenueError),
    /// How far it is: often.
    Counts(&'a Counts, &'a Written),
}

/// The end of a recording.
#[derive(Debug, Clone, Serialize)]
pub struct Recorded {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Whose streams.
    pub venue: &'static str,
    /// The venue's symbols.
    pub symbols: Vec<String>,
    /// When the first file was begun, ns since the epoch.
    pub began_ns: i64,
    /// When it was over.
    pub ended_ns: i64,
    /// The files, in order.
    pub files: Vec<String>,
    /// Their bytes.
    pub file_bytes: u64,
    /// What happened in them.
    pub records: u64,
    /// What came.
    #[serde(flatten)]
    pub counts: Counts,
    /// Why it ended before it was told to; `null` where it did not.
    pub error: Option<String>,
}

/// Records until `stop` is set, SIGINT or SIGTERM comes, the time is over or the disk is full. Whatever was written before
/// an error stands in [`Recorded`], which names the error.
///
/// # Errors
/// [`RecordError`] when it cannot begin.
pub fn record(
    options: &RecordOptions,
    stop: &Arc<AtomicBool>,
    tell: &mut dyn FnMut(&News<'_>),
) -> Result<Recorded, RecordError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let began = clock.now();
    let threads = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = threads.map_err(RecordError::Runtime)?;
    runtime.spawn(stop_on_signals(Arc::clone(stop)));
    let (inlet, outlet) = queue::bounded();
    let wish = Wish {
        venue: options.venue,
        symbols: &options.symbols,
        url: options.url.as_deref(),
        depth: options.depth,
        clock: Arc::clone(&clock),
        jitter: Jitter::seeded(began.nanos().unsigned_abs() ^ u64::from(std::process::id())),
        inlet: &inlet,
    };
    let streams = runtime.block_on(stream::open(wish))?;
    drop(inlet);
    let writer = Writer::begin(options.writer.clone(), clock.now())?;
    tell(&News::File(writer.path()));
    let mut recorder = Recorder {
        writer,
        streams,
        counts: Counts::default(),
        due: Due::new(),
        began: Instant::now(),
        synced: Instant::now(),
        told: Instant::now(),
        tell,
    };
    let error = recorder.run(options, stop, &outlet, &runtime).err();
    recorder.count_books();
    let Recorder {
        writer, mut counts, ..
    } = recorder;
    counts.left_out = outlet.left_out();
    // Sockets that are still open have nobody to deliver to.
    runtime.shutdown_background();
    let written = writer.written().clone();
    let (written, error) = match (error, writer.finish()) {
        (None, Ok(written)) => (written, None),
        (Some(error), _) | (None, Err(error)) => (written, Some(error.to_string())),
    };
    Ok(Recorded {
        schema: SCHEMA,
        venue: options.venue.as_str(),
        symbols: options.symbols.clone(),
        began_ns: began.nanos(),
        ended_ns: clock.now().nanos(),
        files: written
            .files
            .iter()
            .map(|file| file.display().to_string())
            .collect(),
        file_bytes: written.bytes,
        records: written.records,
        counts,
        error,
    })
}

struct Recorder<'t> {
    writer: Writer,
    streams: Vec<Stream>,
    counts: Counts,
    /// Snapshots that the present file still lacks.
    due: Due,
    began: Instant,
    synced: Instant,
    told: Instant,
    tell: &'t mut dyn FnMut(&News<'_>),
}

impl Recorder<'_> {
    fn run(
        &mut self,
        options: &RecordOptions,
        stop: &AtomicBool,
        outlet: &Outlet,
        runtime: &Runtime,
    ) -> Result<(), WriteError> {
        loop {
            self.ask_for_snapshots();
            let next = match outlet.try_next() {
                Next::Nothing => {
                    self.writer.flush()?;
                    self.tell_counts();
                    outlet.next_within(TICK)
                }
                next => next,
            };
            match next {
                Next::Item(item) => self.take(item)?,
                Next::Nothing => {}
                Next::Closed => return Ok(()),
            }
            if self.synced.elapsed() >= options.sync_every {
                self.writer.sync()?;
                self.synced = Instant::now();
            }
            let is_over = options
                .stop_after
                .is_some_and(|after| self.began.elapsed() >= after);
            if is_over || stop.load(Ordering::Relaxed) {
                // What is under way is still taken, until the last sink is gone.
                for feed in self.streams.iter_mut().filter_map(|stream| stream.feed.take()) {
                    runtime.spawn(feed.stop());
                }
            }
        }
    }

    /// Now and then: looking at each book costs more than a message.
    fn tell_counts(&mut self) {
        if self.told.elapsed() >= TICK {
            self.told = Instant::now();
            self.count_books();
            (self.tell)(&News::Counts(&self.counts, self.writer.written()));
        }
    }

    fn take(&mut self, item: Item) -> Result<(), WriteError> {
        let (at, Item { stream, crossing, .. }) = (item.at, item);
        match crossing {
            Crossing::Opened(url) => {
                self.counts.connects += 1;
                (self.tell)(&News::Connected(&url));
                self.write(stream, at, &RecordKind::Connected { url })
            }
            Crossing::Sent(text) => self.write(stream, at, &RecordKind::Sent(text)),
            Crossing::Handshake(message) => {
                self.count_message(&message);
                self.write(stream, at, &RecordKind::Received(message))
            }
            Crossing::Message(kind) => self.take_message(stream, at, kind),
        }
    }

    fn take_message(
        &mut self,
        at: usize,
        time: Timestamp,
        kind: StreamMessageKind,
    ) -> Result<(), WriteError> {
        match &kind {
            // It is written when the socket opens.
            StreamMessageKind::Connected => {}
            StreamMessageKind::Frame(message) => {
                self.count_message(message);
                self.write(at, time, &RecordKind::Received(message.clone()))?;
            }
            StreamMessageKind::Snapshot { instrument, body } => {
                self.counts.snapshots += 1;
                let feed = self.streams[at].feed.as_ref();
                let url = feed.and_then(|feed| feed.snapshot_url(*instrument));
                self.write(
                    at,
                    time,
                    &RecordKind::Answer {
                        url,
                        body: body.clone(),
                    },
                )?;
            }
            // Our own end is no loss: what was known then still holds.
            StreamMessageKind::Disconnected(DisconnectReason::Stopped) => return Ok(()),
            StreamMessageKind::Disconnected(reason) => {
                self.counts.disconnects += 1;
                (self.tell)(&News::Disconnected(&self.streams[at].name, *reason));
                let reason = reason.as_str().to_owned();
                self.write(at, time, &RecordKind::Disconnected { reason })?;
            }
        }
        self.play(at, time, kind);
        Ok(())
    }

    /// Reads it as the service would.
    fn play(&mut self, at: usize, ts_received: Timestamp, kind: StreamMessageKind) {
        let Stream { protocol, feed, .. } = &mut self.streams[at];
        let message = StreamMessage { ts_received, kind };
        if let Err(error) = protocol.on_message(&message, &mut |_| {}) {
            self.counts.errors += 1;
            (self.tell)(&News::Problem(&error));
        }
        while let Some(instrument) = protocol.take_resync_request() {
            if let Some(feed) = feed {
                feed.resync(instrument);
            }
        }
    }

    fn write(&mut self, at: usize, time: Timestamp, kind: &RecordKind) -> Result<(), WriteError> {
        let is_new = self.writer.write(time, &self.streams[at].name, kind)?;
        if is_new {
            (self.tell)(&News::File(self.writer.path()));
            self.due.begin(&self.streams);
        }
        Ok(())
    }

    /// Asks for what is due, no faster than the pace allows.
    fn ask_for_snapshots(&mut self) {
        let now = Nanos(i64::try_from(self.began.elapsed().as_nanos()).unwrap_or(i64::MAX));
        while let Some((stream, instrument)) = self.due.next(now) {
            if let Some(feed) = &self.streams[stream].feed {
                feed.resync(instrument);
            }
        }
    }

    fn count_message(&mut self, message: &Bytes) {
        self.counts.messages += 1;
        self.counts.message_bytes += message.len() as u64;
    }

    fn count_books(&mut self) {
        let counts = &mut self.counts;
        (counts.books, counts.books_standing, counts.gaps) = (0, 0, 0);
        for stream in &self.streams {
            counts.gaps += stream.protocol.wire_statistics().connection_gaps;
            for instrument in stream.instruments.iter() {
                counts.books += 1;
                counts.books_standing += usize::from(stream.protocol.is_synchronized(instrument.id));
                let book = stream.protocol.book_statistics(instrument.id);
                counts.gaps += book.map_or(0, |book| book.gaps);
            }
        }
    }
}

/// Sets `stop` at SIGTERM or Ctrl-C.
async fn stop_on_signals(stop: Arc<AtomicBool>) {
    use tokio::signal::unix::{SignalKind, signal};
    if let Ok(mut terminate) = signal(SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    } else {
        let _ = tokio::signal::ctrl_c().await;
    }
    stop.store(true, Ordering::Relaxed);
}
