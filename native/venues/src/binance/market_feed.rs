//! The sockets behind [`super::MarketData`]: the combined stream, and snapshots over REST on request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::{Instrument, InstrumentId};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::rest::RestClient;
use crate::error::VenueError;
use crate::instruments::Instruments;
use crate::retry::{Backoff, Jitter};
use crate::websocket::{
    Connection, ConnectionSettings, ConnectionStatistics, FrameSink, Judgement, Protocol, StreamMessageKind,
};

/// Most streams on one connection, and how many each instrument needs.
const STREAMS_MAX: usize = 1_024;
const STREAMS_PER_INSTRUMENT: usize = 3;

/// Snapshots on their way to the sink.
const SNAPSHOTS_QUEUED_MAX: usize = 16;

/// First and longest pause before the snapshot of an instrument is fetched again.
const SNAPSHOT_PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// An instrument that asked for no snapshot this long starts its pauses anew.
const SETTLED_AFTER: Duration = Duration::from_secs(30);

/// Messages shorter than this may announce the end of a stream.
const ANNOUNCEMENT_BYTES_MAX: usize = 256;

/// Whether a message announces that the venue will end the connection or the subscription.
pub(super) fn announces_end(message: &[u8]) -> bool {
    const WORDS: [&[u8]; 2] = [b"\"serverShutdown\"", b"\"eventStreamTerminated\""];
    message.len() < ANNOUNCEMENT_BYTES_MAX
        && WORDS
            .iter()
            .any(|word| message.windows(word.len()).any(|part| part == *word))
}

/// Depth, trades and best prices of all instruments on one connection; subscribed by the address itself.
struct MarketStreams {
    url: String,
}

impl MarketStreams {
    fn new(base: &str, instruments: &Instruments) -> Result<Self, VenueError> {
        if instruments.len() * STREAMS_PER_INSTRUMENT > STREAMS_MAX || instruments.is_empty() {
            return Err(VenueError::Setting {
                setting: "instruments",
                problem: format!(
                    "one connection carries 1 to {}",
                    STREAMS_MAX / STREAMS_PER_INSTRUMENT
                ),
            });
        }
        let streams: Vec<_> = instruments
            .iter()
            .map(|instrument| {
                let symbol = instrument.symbol.as_str().to_ascii_lowercase();
                format!("{symbol}@depth@100ms/{symbol}@trade/{symbol}@bookTicker")
            })
            .collect();
        let base = base.trim_end_matches('/');
        Ok(Self {
            url: format!("{base}/stream?streams={}", streams.join("/")),
        })
    }
}

impl Protocol for MarketStreams {
    fn name(&self) -> &'static str {
        "binance market"
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn hello(&mut self) -> Result<Vec<String>, VenueError> {
        Ok(Vec::new())
    }

    fn judge(&mut self, message: &[u8]) -> Judgement {
        if announces_end(message) {
            Judgement::Ended
        } else {
            Judgement::Deliver
        }
    }
}

/// Asks for snapshots without blocking; any thread. An instrument that has already asked is not queued again.
#[derive(Debug, Clone)]
pub struct SnapshotRequester {
    wanted: Arc<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    flags: Vec<AtomicBool>,
    any: Notify,
}

impl SnapshotRequester {
    /// Asks for one instrument's snapshot.
    pub fn request(&self, instrument: InstrumentId) {
        if let Some(flag) = self.wanted.flags.get(usize::from(instrument.0)) {
            flag.store(true, Ordering::Release);
            self.wanted.any.notify_one();
        }
    }
}

/// The running feed.
#[derive(Debug)]
pub struct MarketFeed {
    connection: Connection,
    snapshots: JoinHandle<()>,
    requester: SnapshotRequester,
}

impl MarketFeed {
    /// Starts the feed in the current tokio runtime; everything it learns goes into `sink`.
    ///
    /// # Errors
    /// [`VenueError::Setting`] when there are no instruments or too many for one connection.
    pub fn spawn(
        rest: Arc<RestClient>,
        instruments: &Arc<Instruments>,
        mut jitter: Jitter,
        sink: impl FrameSink,
    ) -> Result<Self, VenueError> {
        let settings = rest.settings();
        let streams = MarketStreams::new(&settings.endpoints.stream, instruments)?;
        let (sender, injected) = mpsc::channel(SNAPSHOTS_QUEUED_MAX);
        let connection = Connection::spawn(
            streams,
            connection_settings(&rest),
            Arc::clone(rest.clock()),
            jitter.split(),
            injected,
            sink,
        );
        let wanted = Arc::new(Wanted {
            flags: instruments.iter().map(|_| AtomicBool::new(false)).collect(),
            any: Notify::new(),
        });
        let requester = SnapshotRequester {
            wanted: Arc::clone(&wanted),
        };
        let fetcher = Fetcher {
            rest,
            wanted,
            instruments: instruments
                .iter()
                .map(|instrument| Paced {
                    instrument: *instrument,
                    backoff: Backoff::new(SNAPSHOT_PAUSE.0, SNAPSHOT_PAUSE.1, jitter.split()),
                    fetched: None,
                })
                .collect(),
            sender,
        };
        Ok(Self {
            connection,
            snapshots: tokio::spawn(fetcher.run()),
            requester,
        })
    }

    /// Asks for a snapshot: what [`super::MarketData::take_snapshot_request`] names.
    pub fn request_snapshot(&self, instrument: InstrumentId) {
        self.requester.request(instrument);
    }

    /// The same, for another thread.
    pub fn requester(&self) -> SnapshotRequester {
        self.requester.clone()
    }

    /// Counters of the connection.
    pub fn statistics(&self) -> Arc<ConnectionStatistics> {
        self.connection.statistics()
    }

    /// Closes the stream, tells the sink, and waits for that.
    pub async fn stop(self) {
        self.snapshots.abort();
        self.connection.stop().await;
    }
}

/// What a connection of this session waits for.
pub(super) fn connection_settings(rest: &RestClient) -> ConnectionSettings {
    let settings = rest.settings();
    ConnectionSettings {
        connect_timeout: settings.connect_timeout,
        idle_timeout: settings.idle_timeout,
        tls: Arc::clone(rest.tls()),
    }
}

/// An instrument and how soon its next snapshot may be fetched.
struct Paced {
    instrument: Instrument,
    backoff: Backoff,
    fetched: Option<Instant>,
}

impl Paced {
    fn pause(&mut self) -> Duration {
        match self.fetched {
            None => Duration::ZERO,
            Some(last) if last.elapsed() > SETTLED_AFTER => {
                self.backoff.reset();
                Duration::ZERO
            }
            Some(_) => self.backoff.next_pause(),
        }
    }
}

/// Fetches the snapshots that are wanted, one at a time.
struct Fetcher {
    rest: Arc<RestClient>,
    wanted: Arc<Wanted>,
    instruments: Vec<Paced>,
    sender: mpsc::Sender<StreamMessageKind>,
}

impl Fetcher {
    async fn run(mut self) {
        let wanted = Arc::clone(&self.wanted);
        loop {
            wanted.any.notified().await;
            for (flag, paced) in wanted.flags.iter().zip(&mut self.instruments) {
                if !flag.swap(false, Ordering::AcqRel) {
                    continue;
                }
                sleep(paced.pause()).await;
                paced.fetched = Some(Instant::now());
                match self.rest.depth(&paced.instrument).await {
                    Ok(body) => {
                        let instrument = paced.instrument.id;
                        let snapshot = StreamMessageKind::Snapshot { instrument, body };
                        if self.sender.send(snapshot).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        warn!(symbol = %paced.instrument.symbol, %error, "no snapshot, asking again");
                        flag.store(true, Ordering::Release);
                        wanted.any.notify_one();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::instrument;

    #[test]
    fn subscribes_by_the_address() {
        let table = Instruments::new(vec![instrument(0, "BTCUSDT"), instrument(1, "ETHUSDT")]).unwrap();
        let streams = MarketStreams::new("wss://stream.binance.com:9443/", &table).unwrap();
        assert_eq!(
            streams.url,
            "wss://stream.binance.com:9443/stream?streams=btcusdt@depth@100ms/btcusdt@trade/btcusdt@bookTicker\
             /ethusdt@depth@100ms/ethusdt@trade/ethusdt@bookTicker"
        );
        assert!(MarketStreams::new("wss://x", &Instruments::new(Vec::new()).unwrap()).is_err());
    }

    #[test]
    fn hears_the_venue_announce_the_end() {
        assert!(announces_end(br#"{"e":"serverShutdown","E":1770123456789}"#));
        assert!(announces_end(
            br#"{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1}}"#
        ));
        assert!(!announces_end(br#"{"u":1,"s":"BTCUSDT"}"#));
        assert!(!announces_end(&[b' '; ANNOUNCEMENT_BYTES_MAX]));
    }
}
