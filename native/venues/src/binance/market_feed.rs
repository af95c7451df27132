//! The sockets behind [`super::MarketData`]: the combined stream, in JSON or in binary, and snapshots over REST on request.
//!
//! In binary (documentation "SBE Market Data Streams", 2026-11) the streams are those of another address, under other names;
//! whoever connects names an Ed25519 key in a header, and signs nothing. Changes of a book come every 20 ms there.

use std::sync::Arc;
use std::time::Duration;

use domain::Instrument;

use super::parser::{Parser, StreamMessageBody};
use super::rest::RestClient;
use crate::error::VenueError;
use crate::feeds::{FeedParts, MarketFeed, Resync};
use crate::instruments::Instruments;
use crate::retry::Jitter;
use crate::rotation::{Numbers, RotationSettings};
use crate::secret::Secret;
use crate::trading::Reference as _;
use crate::websocket::{ConnectionSettings, FrameSink, Injected, Judgement, Protocol, StreamMessageKind};

/// Most streams on one connection, and how many each instrument needs.
const STREAMS_MAX: usize = 1_024;
const STREAMS_PER_INSTRUMENT: usize = 3;

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
#[derive(Debug, Clone)]
struct MarketStreams {
    url: String,
    /// Names the account where the streams are binary.
    key: Option<Secret>,
    /// Longest wait for any message.
    data_timeout: Duration,
}

/// The header that names a key.
const KEY_HEADER: &str = "X-MBX-APIKEY";

/// What is subscribed of each instrument, in JSON and in binary.
const STREAMS: [&str; STREAMS_PER_INSTRUMENT] = ["depth@100ms", "trade", "bookTicker"];
const BINARY_STREAMS: [&str; STREAMS_PER_INSTRUMENT] = ["depth", "trade", "bestBidAsk"];

impl MarketStreams {
    fn new(
        base: &str,
        instruments: &Instruments,
        key: Option<Secret>,
        data_timeout: Duration,
    ) -> Result<Self, VenueError> {
        if instruments.len() * STREAMS_PER_INSTRUMENT > STREAMS_MAX || instruments.is_empty() {
            return Err(VenueError::Setting {
                setting: "instruments",
                problem: format!(
                    "one connection carries 1 to {}",
                    STREAMS_MAX / STREAMS_PER_INSTRUMENT
                ),
            });
        }
        let names = if key.is_some() { BINARY_STREAMS } else { STREAMS };
        let streams: Vec<_> = instruments
            .iter()
            .map(|instrument| {
                let symbol = instrument.symbol.as_str().to_ascii_lowercase();
                names.map(|name| format!("{symbol}@{name}")).join("/")
            })
            .collect();
        let base = base.trim_end_matches('/');
        Ok(Self {
            url: format!("{base}/stream?streams={}", streams.join("/")),
            key,
            data_timeout,
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

    fn headers(&self) -> Vec<(&'static str, &Secret)> {
        self.key.iter().map(|key| (KEY_HEADER, key)).collect()
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

    fn silence_max(&self) -> Option<Duration> {
        Some(self.data_timeout)
    }
}

/// Starts the market streams of these instruments in the current tokio runtime; everything they tell goes into `sink`,
/// and so do the snapshots that are asked for, which come over REST.
///
/// # Errors
/// [`VenueError::Setting`] when there are no instruments or too many for one connection.
pub fn market_feed(
    rest: &Arc<RestClient>,
    instruments: &Instruments,
    jitter: Jitter,
    sink: impl FrameSink,
) -> Result<MarketFeed, VenueError> {
    feed(rest, instruments, jitter, sink, None)
}

/// The same in binary: [`super::Endpoints::stream`] is the address of the binary streams, and the key of the account is one
/// of Ed25519.
///
/// # Errors
/// [`VenueError::NoCredentials`], and [`VenueError::Setting`] for a key of another kind.
pub fn binary_market_feed(
    rest: &Arc<RestClient>,
    instruments: &Instruments,
    jitter: Jitter,
    sink: impl FrameSink,
) -> Result<MarketFeed, VenueError> {
    let key = rest.ed25519_key()?.clone();
    feed(rest, instruments, jitter, sink, Some(key))
}

fn feed(
    rest: &Arc<RestClient>,
    instruments: &Instruments,
    jitter: Jitter,
    sink: impl FrameSink,
    key: Option<Secret>,
) -> Result<MarketFeed, VenueError> {
    let settings = rest.settings().clone();
    let streams = MarketStreams::new(
        &settings.endpoints.stream,
        instruments,
        key,
        settings.data_timeout,
    )?;
    let parts = feed_parts(rest, jitter, sink);
    let rest = Arc::clone(rest);
    let resync: Resync = Box::new(move |instrument: Instrument| {
        let rest = Arc::clone(&rest);
        Box::pin(async move {
            let body = rest.depth(&instrument).await?;
            let instrument = instrument.id;
            Ok(Injected::Message(StreamMessageKind::Snapshot {
                instrument,
                body,
            }))
        })
    });
    let rotation = RotationSettings {
        age: settings.rotate_after,
        within: settings.rotate_within,
        protocol: Box::new(move || streams.clone()),
        numbers: numbers(),
    };
    Ok(MarketFeed::spawn_rotating(rotation, parts, instruments, resync))
}

/// Every message of these streams bears a number that only grows.
fn numbers() -> Numbers {
    let mut parser = Parser::new();
    Box::new(move |message| match parser.stream_message(message).ok()? {
        StreamMessageBody::Depth(depth) => Some(((depth.symbol, 0), depth.last_update_id)),
        StreamMessageBody::Trade(trade) => Some(((trade.symbol, 1), trade.trade_id.0)),
        StreamMessageBody::Trades { symbol, trades } => {
            trades.last().map(|last| ((symbol, 1), last.trade_id.0))
        }
        StreamMessageBody::EmptyTrade { symbol, trade_id } => Some(((symbol, 1), trade_id.0)),
        StreamMessageBody::Ticker(ticker) => Some(((ticker.symbol, 2), ticker.update_id)),
        StreamMessageBody::ServerShutdown | StreamMessageBody::Other => None,
    })
}

/// What the feeds of this session run with.
pub(super) fn feed_parts<S: FrameSink>(rest: &RestClient, jitter: Jitter, sink: S) -> FeedParts<S> {
    let settings = rest.settings();
    FeedParts {
        settings: ConnectionSettings {
            connect_timeout: settings.connect_timeout,
            idle_timeout: settings.idle_timeout,
            tls: Arc::clone(rest.tls()),
            connects: rest.connects().clone(),
        },
        clock: Arc::clone(rest.clock()),
        jitter,
        sink,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::instrument;

    const TIMEOUT: Duration = Duration::from_mins(1);

    #[test]
    fn subscribes_by_the_address() {
        let table = Instruments::new(vec![instrument(0, "BTCUSDT"), instrument(1, "ETHUSDT")]).unwrap();
        let streams = MarketStreams::new("wss://stream.binance.com:9443/", &table, None, TIMEOUT).unwrap();
        assert_eq!(
            streams.url,
            "wss://stream.binance.com:9443/stream?streams=btcusdt@depth@100ms/btcusdt@trade/btcusdt@bookTicker\
             /ethusdt@depth@100ms/ethusdt@trade/ethusdt@bookTicker"
        );
        assert!(streams.headers().is_empty());
        assert!(
            MarketStreams::new("wss://x", &Instruments::new(Vec::new()).unwrap(), None, TIMEOUT).is_err()
        );
        let key = Secret::new("key_of_ed25519".to_owned()).unwrap();
        let one = Instruments::new(vec![instrument(0, "BTCUSDT")]).unwrap();
        let binary =
            MarketStreams::new("wss://stream-sbe.binance.com:9443", &one, Some(key), TIMEOUT).unwrap();
        assert_eq!(
            binary.url,
            "wss://stream-sbe.binance.com:9443/stream?streams=btcusdt@depth/btcusdt@trade/btcusdt@bestBidAsk"
        );
        assert_eq!(binary.headers()[0].0, KEY_HEADER);
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
