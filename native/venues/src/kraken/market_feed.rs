//! The socket behind [`super::MarketData`]: books and trades in version 2, and a new subscription where a book is wrong.
//!
//! Single orders are told on a socket of their own (documentation "Orders (Level 3)", 2026-11), to whoever has a token; what
//! traded still comes from the public one.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use domain::InstrumentId;
use serde::Deserialize;
use tracing::warn;

use super::parser::{self, SystemStatus};
use super::rest::RestClient;
use super::sign::is_name;
use crate::error::VenueError;
use crate::feeds::{FeedParts, MarketFeed, resync_over_the_stream, shared};
use crate::instruments::Instruments;
use crate::retry::Jitter;
use crate::secret::Secret;
use crate::trading::Pending;
use crate::websocket::{ConnectionSettings, FrameSink, Judgement, Protocol};

/// Messages shorter than this may be about the connection: heartbeats, the venue's state, answers.
const ABOUT_BYTES_MAX: usize = 1_024;

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

/// What the venue says of itself; `None` for any other message.
pub(super) fn system_status(message: &[u8]) -> Option<SystemStatus> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        channel: Cow<'a, str>,
        #[serde(borrow)]
        data: [RawStatus<'a>; 1],
    }
    #[derive(Deserialize)]
    struct RawStatus<'a> {
        #[serde(borrow)]
        system: Cow<'a, str>,
    }
    if message.len() > ABOUT_BYTES_MAX || !holds(message, b"\"status\"") {
        return None;
    }
    let raw: Raw<'_> = serde_json::from_slice(message).ok()?;
    let [status] = raw.data;
    (raw.channel == "status").then(|| parser::system_status(&status.system))
}

fn holds(message: &[u8], word: &[u8]) -> bool {
    message.windows(word.len()).any(|part| part == word)
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    BooksAndTrades,
    Trades,
    Orders,
}

/// Books, trades or orders of all instruments on one connection.
struct MarketStreams {
    rest: Arc<RestClient>,
    wants: Wants,
    /// What lets us subscribe to orders: good as long as a subscription that was made with it lives.
    token: Option<Secret>,
    symbols: Vec<String>,
    /// Subscriptions not confirmed yet.
    open: usize,
}

/// An answer to a subscription.
#[derive(Deserialize)]
struct RawAnswer<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(default)]
    success: Option<bool>,
    #[serde(borrow, default)]
    error: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    result: Option<RawSubscription<'a>>,
}

#[derive(Deserialize)]
struct RawSubscription<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(default)]
    depth: Option<u16>,
}

impl MarketStreams {
    fn new(rest: &Arc<RestClient>, instruments: &Instruments, wants: Wants) -> Result<Self, VenueError> {
        let symbols: Vec<String> = instruments
            .iter()
            .map(|listed| listed.symbol.to_string())
            .collect();
        if symbols.is_empty() || !symbols.iter().all(|symbol| is_name(symbol)) {
            return Err(VenueError::Setting {
                setting: "instruments",
                problem: "at least one, each named as the venue does".to_owned(),
            });
        }
        Ok(Self {
            rest: Arc::clone(rest),
            wants,
            token: None,
            symbols,
            open: 0,
        })
    }

    fn depth(&self) -> u16 {
        let settings = self.rest.settings();
        match (self.wants, &settings.level3) {
            (Wants::Orders, Some(level3)) => level3.depth,
            _ => settings.book_depth,
        }
    }

    /// Asks for books, or for the end of a subscription to them.
    fn book_request(&self, method: &str, symbols: &[String]) -> Result<String, VenueError> {
        if self.wants != Wants::Orders {
            return Ok(book_request(method, symbols, self.depth()));
        }
        let token = self.token.as_ref().ok_or(VenueError::NoCredentials)?.expose();
        let snapshot = if method == "subscribe" {
            r#","snapshot":true"#
        } else {
            ""
        };
        let rest = format!(r#""depth":{}{snapshot},"token":"{token}""#, self.depth());
        Ok(request(method, "level3", symbols, &rest))
    }

    fn on_answer(&mut self, message: &[u8]) -> Option<Judgement> {
        let raw: RawAnswer<'_> = serde_json::from_slice(message).ok()?;
        let problem = match (raw.success, raw.error) {
            (Some(true), None) => None,
            (_, Some(error)) => Some(error.chars().take(200).collect()),
            _ => Some("an answer that says neither yes nor no".to_owned()),
        };
        if raw.method == "unsubscribe" {
            if let Some(problem) = problem {
                warn!(problem, "nothing to unsubscribe from");
            }
            return Some(Judgement::Handshake);
        }
        if raw.method != "subscribe" {
            return Some(Judgement::Handshake);
        }
        if let Some(problem) = problem {
            return Some(Judgement::Refused(problem));
        }
        if let Some(RawSubscription { channel, depth }) = &raw.result
            && channel == "book"
            && *depth != Some(self.depth())
        {
            let asked = self.depth();
            return Some(Judgement::Refused(format!(
                "a book of depth {depth:?} where {asked} was asked for"
            )));
        }
        let was_open = self.open > 0;
        self.open = self.open.saturating_sub(1);
        let is_ready = was_open && self.open == 0;
        Some(if is_ready {
            Judgement::Ready
        } else {
            Judgement::Handshake
        })
    }
}

/// A subscription, or its end, to the books or trades of these symbols.
fn request(method: &str, channel: &str, symbols: &[String], rest: &str) -> String {
    let mut list = String::new();
    for symbol in symbols {
        let comma = if list.is_empty() { "" } else { "," };
        let _ = write!(list, r#"{comma}"{symbol}""#);
    }
    format!(r#"{{"method":"{method}","params":{{"channel":"{channel}","symbol":[{list}],{rest}}}}}"#)
}

fn book_request(method: &str, symbols: &[String], depth: u16) -> String {
    let snapshot = if method == "subscribe" {
        r#","snapshot":true"#
    } else {
        ""
    };
    request(method, "book", symbols, &format!(r#""depth":{depth}{snapshot}"#))
}

impl Protocol for MarketStreams {
    fn name(&self) -> &'static str {
        match self.wants {
            Wants::BooksAndTrades => "kraken market",
            Wants::Trades => "kraken trades",
            Wants::Orders => "kraken orders of the market",
        }
    }

    fn url(&self) -> &str {
        let settings = self.rest.settings();
        match (self.wants, &settings.level3) {
            (Wants::Orders, Some(level3)) => &level3.url,
            _ => &settings.endpoints.stream,
        }
    }

    fn prepare(&mut self) -> Pending<'_, Result<(), VenueError>> {
        Box::pin(async {
            if self.wants == Wants::Orders {
                self.token = Some(self.rest.socket_token().await?);
            }
            Ok(())
        })
    }

    fn hello(&mut self) -> Result<Vec<String>, VenueError> {
        let mut requests = Vec::new();
        if self.wants != Wants::Trades {
            requests.push(self.book_request("subscribe", &self.symbols)?);
        }
        if self.wants != Wants::Orders {
            // Trades of before are history: the bars know them.
            requests.push(request(
                "subscribe",
                "trade",
                &self.symbols,
                r#""snapshot":false"#,
            ));
        }
        // One answer for each symbol and channel.
        self.open = requests.len() * self.symbols.len();
        Ok(requests)
    }

    fn resync(&mut self, instrument: InstrumentId) -> Result<Vec<String>, VenueError> {
        if !self.rest.least_pause().is_zero() {
            // In maintenance: a new connection, after the pause that the venue wants, brings every book.
            return Err(VenueError::NotConnected {
                request: "book",
                detail: "the venue is in maintenance".to_owned(),
            });
        }
        let at = usize::from(instrument.0);
        let symbol = self
            .symbols
            .get(at..=at)
            .ok_or(VenueError::UnknownInstrument(instrument))?;
        Ok(vec![
            self.book_request("unsubscribe", symbol)?,
            self.book_request("subscribe", symbol)?,
        ])
    }

    fn judge(&mut self, message: &[u8]) -> Judgement {
        if message.len() > ABOUT_BYTES_MAX {
            return Judgement::Deliver;
        }
        if let Some(status) = system_status(message) {
            self.rest.set_status(status);
            return Judgement::Deliver;
        }
        if holds(message, b"\"method\"")
            && let Some(judgement) = self.on_answer(message)
        {
            return judgement;
        }
        Judgement::Deliver
    }

    /// Heartbeats come every second.
    fn silence_max(&self) -> Option<Duration> {
        Some(self.rest.settings().idle_timeout)
    }

    fn least_pause(&self) -> Duration {
        self.rest.least_pause()
    }
}

/// Starts the market streams of these instruments in the current tokio runtime; everything they tell goes into `sink`.
/// A book that is asked for anew is subscribed for anew.
///
/// # Errors
/// [`VenueError::Setting`] when there are no instruments.
pub fn market_feed(
    rest: &Arc<RestClient>,
    instruments: &Instruments,
    jitter: Jitter,
    sink: impl FrameSink,
) -> Result<MarketFeed, VenueError> {
    let streams = MarketStreams::new(rest, instruments, Wants::BooksAndTrades)?;
    let parts = feed_parts(rest, jitter, sink);
    Ok(MarketFeed::spawn(
        streams,
        parts,
        instruments,
        resync_over_the_stream(),
    ))
}

/// How many books of orders may be subscribed for at once: the venue counts 200 in a second for the least of its tiers, and
/// 5, 25 or 100 for each, by its depth.
const fn level3_symbols_max(depth: u16) -> usize {
    match depth {
        0..=10 => 40,
        11..=100 => 8,
        _ => 2,
    }
}

/// The same with books told order by order, for [`super::Level3MarketData`]: two connections, one for orders and one for
/// trades. What is said of the connection is said of the one for orders; trades that were lost show in their numbers.
///
/// # Errors
/// [`VenueError::NoCredentials`], and [`VenueError::Setting`] when there are no instruments or too many at once.
pub fn level3_feed(
    rest: &Arc<RestClient>,
    instruments: &Instruments,
    mut jitter: Jitter,
    sink: impl FrameSink,
) -> Result<MarketFeed, VenueError> {
    if !rest.has_keys() {
        return Err(VenueError::NoCredentials);
    }
    let depth = rest.settings().level3.as_ref().map_or(0, |level3| level3.depth);
    let most = level3_symbols_max(depth);
    if instruments.len() > most {
        return Err(VenueError::Setting {
            setting: "instruments",
            problem: format!(
                "at most {most} of {depth} prices a side: the venue takes no more subscriptions in a second"
            ),
        });
    }
    let orders = MarketStreams::new(rest, instruments, Wants::Orders)?;
    let trades = MarketStreams::new(rest, instruments, Wants::Trades)?;
    let (sink, beside) = shared(sink);
    let trades_parts = feed_parts(rest, jitter.split(), beside);
    let parts = feed_parts(rest, jitter, sink);
    Ok(MarketFeed::spawn_beside(
        orders,
        parts,
        (trades, trades_parts),
        instruments,
        resync_over_the_stream(),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn asks_in_the_venues_words() {
        let symbols = ["BTC/USD".to_owned(), "ETH/USD".to_owned()];
        assert_eq!(
            book_request("subscribe", &symbols, 10),
            r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD","ETH/USD"],"depth":10,"snapshot":true}}"#
        );
        assert_eq!(
            book_request("unsubscribe", &symbols[..1], 10),
            r#"{"method":"unsubscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":10}}"#
        );
    }

    #[test]
    fn hears_what_the_venue_says_of_itself() {
        let status = |system: &str| {
            format!(
                r#"{{"channel":"status","data":[{{"api_version":"v2","connection_id":13834774380200032777,"system":"{system}","version":"2.0.0"}}],"type":"update"}}"#
            )
        };
        assert_eq!(
            system_status(status("maintenance").as_bytes()),
            Some(SystemStatus::Maintenance)
        );
        assert_eq!(
            system_status(status("online").as_bytes()),
            Some(SystemStatus::Online)
        );
        assert_eq!(
            system_status(status("new").as_bytes()),
            Some(SystemStatus::Unknown)
        );
        assert_eq!(system_status(br#"{"channel":"heartbeat"}"#), None);
        assert_eq!(
            system_status(br#"{"channel":"trade","data":[{"system":"status"}]}"#),
            None
        );
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_never_panic(bytes: Vec<u8>) {
            let _ = system_status(&bytes);
        }
    }
}
