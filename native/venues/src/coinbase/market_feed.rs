//! The sockets behind [`super::AdvancedMarketData`]: books, trades, best prices and states of all instruments on one
//! connection.
//!
//! The venue closes a connection that subscribes to nothing within five seconds, and channels that are quiet for a minute
//! or so unless heartbeats are subscribed. A book begins anew by leaving its channel and joining it again; after a hole
//! in the connection's count each book does.

use std::sync::Arc;
use std::time::Duration;

use domain::{InstrumentId, Text};
use serde::Serialize;
use tokio::time::Instant;
use tracing::warn;

use super::rest::{RestClient, malformed};
use super::sign::Token;
use crate::error::VenueError;
use crate::feeds::{FeedParts, MarketFeed, resync_over_the_stream};
use crate::instruments::Instruments;
use crate::retry::Jitter;
use crate::trading::Reference as _;
use crate::websocket::{ConnectionSettings, FrameSink, Judgement, Protocol};

/// What is subscribed of each instrument. The first brings the largest messages: a book of 46,000 levels in one.
const CHANNELS: [&str; 4] = ["level2", "market_trades", "ticker", "status"];

/// Markets quoted in this bear another name on these channels: that of the market in dollars, whose book they share.
const SHARED_QUOTE: &str = "-USDC";

/// Those that do not.
const NOT_SHARED: [&str; 2] = ["USDT-USDC", "EURC-USDC"];

/// Bytes of a message that tell its kind: its channel stands first.
const KIND_BYTES: usize = 64;

/// When the venue was last heard to live.
#[derive(Debug)]
pub(super) struct Heartbeats {
    timeout: Duration,
    last: Instant,
}

impl Heartbeats {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            last: Instant::now(),
        }
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The connection is new.
    pub(super) fn begin(&mut self) {
        self.last = Instant::now();
    }

    pub(super) fn heard(&mut self) {
        self.last = Instant::now();
    }

    pub(super) fn are_missing(&self) -> bool {
        self.last.elapsed() > self.timeout
    }
}

/// A request to join or leave a channel, with a token of its own where there is a key.
pub(super) fn subscribe(
    rest: &RestClient,
    kind: &'static str,
    channel: &'static str,
    product_ids: &[&str],
) -> Result<String, VenueError> {
    #[derive(Serialize)]
    struct Request<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        product_ids: &'a [&'a str],
        channel: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        jwt: Option<&'a str>,
    }
    let token = if rest.has_credentials() {
        Some(rest.stream_token()?)
    } else {
        None
    };
    let request = Request {
        kind,
        product_ids,
        channel,
        jwt: token.as_ref().map(Token::as_str),
    };
    serde_json::to_string(&request).map_err(|error| malformed("request", error.into()))
}

/// The market's channels of all instruments.
struct MarketStreams {
    rest: Arc<RestClient>,
    instruments: Arc<Instruments>,
    url: String,
    heartbeats: Heartbeats,
    is_ready: bool,
}

impl MarketStreams {
    fn new(rest: &Arc<RestClient>, instruments: &Arc<Instruments>) -> Result<Self, VenueError> {
        let fault = |problem: String| VenueError::Setting {
            setting: "instruments",
            problem,
        };
        if instruments.is_empty() {
            return Err(fault("at least one".to_owned()));
        }
        let is_shared = |symbol: &str| symbol.ends_with(SHARED_QUOTE) && !NOT_SHARED.contains(&symbol);
        let shared = instruments
            .iter()
            .find(|listed| is_shared(listed.symbol.as_str()));
        if let Some(shared) = shared {
            return Err(fault(format!(
                "{}: the venue has no market data under this name; name the market in USD, whose book it shares",
                shared.symbol
            )));
        }
        Ok(Self {
            url: rest.settings().endpoints.market.clone(),
            heartbeats: Heartbeats::new(rest.settings().heartbeat_timeout),
            is_ready: false,
            rest: Arc::clone(rest),
            instruments: Arc::clone(instruments),
        })
    }
}

impl Protocol for MarketStreams {
    fn name(&self) -> &'static str {
        "coinbase market"
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn hello(&mut self) -> Result<Vec<String>, VenueError> {
        self.heartbeats.begin();
        self.is_ready = false;
        let symbols: Vec<_> = self.instruments.iter().map(|listed| listed.symbol).collect();
        let symbols: Vec<_> = symbols.iter().map(Text::as_str).collect();
        // The first to be confirmed brings nothing that could be lost before all are.
        let mut texts = vec![subscribe(&self.rest, "subscribe", "heartbeats", &[])?];
        for channel in CHANNELS {
            texts.push(subscribe(&self.rest, "subscribe", channel, &symbols)?);
        }
        Ok(texts)
    }

    fn resync(&mut self, instrument: InstrumentId) -> Result<Vec<String>, VenueError> {
        let symbol = self.instruments.require(instrument)?.symbol;
        let symbols = [symbol.as_str()];
        Ok(vec![
            subscribe(&self.rest, "unsubscribe", CHANNELS[0], &symbols)?,
            subscribe(&self.rest, "subscribe", CHANNELS[0], &symbols)?,
        ])
    }

    /// Looks at the beginning of a message only: a book of five megabytes is read once, elsewhere.
    fn judge(&mut self, message: &[u8]) -> Judgement {
        let head = &message[..message.len().min(KIND_BYTES)];
        let says = |words: &[u8]| head.windows(words.len()).any(|part| part == words);
        if says(br#""channel":"heartbeats""#) {
            self.heartbeats.heard();
        } else if says(br#""type":"error""#) {
            let words = String::from_utf8_lossy(head).into_owned();
            warn!(words, "the venue refuses a subscription");
            return if self.is_ready {
                Judgement::Ended
            } else {
                Judgement::Refused(words)
            };
        } else if !self.is_ready && says(br#""channel":"subscriptions""#) {
            self.is_ready = true;
            // Saying it all took its time.
            self.heartbeats.begin();
            return Judgement::Ready;
        }
        if self.heartbeats.are_missing() {
            warn!("no heartbeats on the market's stream");
            return Judgement::Stalled;
        }
        Judgement::Deliver
    }

    fn silence_max(&self) -> Option<Duration> {
        Some(self.heartbeats.timeout())
    }
}

/// Starts the market's streams of these instruments in the current tokio runtime; everything they tell goes into `sink`.
/// Books are begun anew over the stream.
///
/// # Errors
/// [`VenueError::Setting`] when there are no instruments, or one whose market data bears another name.
pub fn market_feed(
    rest: &Arc<RestClient>,
    instruments: &Arc<Instruments>,
    jitter: Jitter,
    sink: impl FrameSink,
) -> Result<MarketFeed, VenueError> {
    let streams = MarketStreams::new(rest, instruments)?;
    let parts = feed_parts(rest, jitter, sink);
    Ok(MarketFeed::spawn(
        streams,
        parts,
        instruments,
        resync_over_the_stream(),
    ))
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
mod tests;
