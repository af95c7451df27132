//! Which venue's wire a recording is of, told by its messages.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use domain::{Nanos, Venue};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use venues::coinbase::{self, BookChannel};
use venues::kraken::WireVersion;
use venues::order_book::ORDERS_MAX;
use venues::sequencer::LADDER_LEVELS_MAX;
use venues::{Instruments, MarketProtocol, VenueError, binance, independent_reserve, kraken};

use crate::reading;
use crate::text_book::Cut;

/// No message's time is too far ahead: the recorder's clock may have been wrong, and some count from no epoch.
const AHEAD_MAX: Nanos = Nanos(i64::MAX);

/// Bytes of a message among which its channel stands, and the channel of single orders.
const HEAD_BYTES: usize = 64;
const LEVEL3: &[u8] = b"\"level3\"";

/// A wire that can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wire {
    /// Binance spot, streams raw or combined.
    BinanceSpot,
    /// Binance spot in binary; snapshots over REST as before.
    BinanceSbe,
    /// Binance USD-M futures.
    BinanceUsdm,
    /// Coinbase Advanced Trade.
    CoinbaseAdvanced,
    /// Coinbase Exchange.
    CoinbaseExchange,
    /// Independent Reserve, order by order.
    IndependentReserve,
    /// Kraken, version 1.
    KrakenV1,
    /// Kraken, version 2.
    KrakenV2,
    /// Kraken, version 2, order by order.
    KrakenLevel3,
}

/// What tells the wires apart.
#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(default)]
    stream: Option<IgnoredAny>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    e: Option<Cow<'a, str>>,
    #[serde(default, rename = "E")]
    event_ms: Option<IgnoredAny>,
    #[serde(default)]
    pu: Option<IgnoredAny>,
    #[serde(default, rename = "M")]
    ignored: Option<IgnoredAny>,
    #[serde(default, rename = "X")]
    origin: Option<IgnoredAny>,
    #[serde(default, rename = "B")]
    bid_quantity: Option<IgnoredAny>,
    #[serde(default, rename = "lastUpdateId")]
    last_update_id: Option<IgnoredAny>,
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
    #[serde(default)]
    sequence_num: Option<IgnoredAny>,
    #[serde(default)]
    method: Option<IgnoredAny>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(default)]
    product_id: Option<IgnoredAny>,
    #[serde(borrow, default)]
    event: Option<Cow<'a, str>>,
    #[serde(default, rename = "Event")]
    named_event: Option<IgnoredAny>,
    #[serde(default, rename = "Time")]
    time: Option<IgnoredAny>,
}

impl Wire {
    /// The name used in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BinanceSpot => "binance_spot",
            Self::BinanceSbe => "binance_sbe",
            Self::BinanceUsdm => "binance_usdm",
            Self::CoinbaseAdvanced => "coinbase_advanced",
            Self::CoinbaseExchange => "coinbase_exchange",
            Self::IndependentReserve => "independent_reserve",
            Self::KrakenV1 => "kraken_v1",
            Self::KrakenV2 => "kraken_v2",
            Self::KrakenLevel3 => "kraken_level3",
        }
    }

    /// Whose wire it is.
    #[must_use]
    pub const fn venue(self) -> Venue {
        match self {
            Self::BinanceSpot | Self::BinanceSbe => Venue::Binance,
            Self::BinanceUsdm => Venue::BinanceUsdm,
            Self::CoinbaseAdvanced | Self::CoinbaseExchange => Venue::Coinbase,
            Self::IndependentReserve => Venue::IndependentReserve,
            Self::KrakenV1 | Self::KrakenV2 | Self::KrakenLevel3 => Venue::Kraken,
        }
    }

    /// The wire that a received message, or the body of a REST answer, can only be of; `None` where it could be of
    /// several, or is of none.
    #[must_use]
    pub fn of(message: &[u8]) -> Option<Self> {
        if reading::is_sbe(message) {
            return Some(Self::BinanceSbe);
        }
        if message.first() == Some(&b'[') {
            return of_list(message);
        }
        let probe: Probe<'_> = serde_json::from_slice(message).ok()?;
        if let (Some(_), Some(data)) = (&probe.stream, probe.data) {
            return of_binance(&serde_json::from_str(data.get()).ok()?);
        }
        of_binance(&probe)
            .or_else(|| of_coinbase(&probe))
            .or_else(|| of_others(&probe))
    }

    /// What a message shows of a connection whose messages so far could be of this wire. Kraken's state and its answers
    /// come before the first message that says how its books are told.
    pub(crate) fn refined(self, message: &[u8]) -> Self {
        let head = &message[..message.len().min(HEAD_BYTES)];
        let is_level3 = self == Self::KrakenV2 && head.windows(LEVEL3.len()).any(|part| part == LEVEL3);
        if is_level3 && Self::of(message) == Some(Self::KrakenLevel3) {
            return Self::KrakenLevel3;
        }
        self
    }

    /// Whether its books are proven by checksums.
    pub(crate) const fn is_checksummed(self) -> bool {
        matches!(self, Self::KrakenV1 | Self::KrakenV2 | Self::KrakenLevel3)
    }

    /// Whether its updates bear numbers, by which a snapshot over REST finds its place among them.
    pub(crate) const fn numbers_updates(self) -> bool {
        matches!(self, Self::BinanceSpot | Self::BinanceSbe | Self::BinanceUsdm)
    }

    /// Whether it tells single orders, whose snapshots come over REST.
    pub(crate) const fn is_by_order(self) -> bool {
        matches!(self, Self::IndependentReserve)
    }

    /// Whether its stream of best levels says which update it speaks of, so that one that differs from the book is a fault.
    /// Elsewhere it lags, and differs now and then by nature.
    pub(crate) const fn best_is_binding(self) -> bool {
        self.numbers_updates()
    }

    /// The protocol that reads it, for these instruments, and levels a side that were subscribed for each.
    ///
    /// # Errors
    /// [`VenueError`] for a symbol that is none of the venue's.
    pub(crate) fn protocol(
        self,
        instruments: Arc<Instruments>,
        depths: &[usize],
    ) -> Result<Box<dyn MarketProtocol>, VenueError> {
        Ok(match self {
            Self::BinanceSpot | Self::BinanceSbe => {
                Box::new(binance::MarketData::new(instruments, AHEAD_MAX))
            }
            Self::BinanceUsdm => Box::new(binance::FuturesMarketData::new(instruments, AHEAD_MAX)),
            Self::CoinbaseAdvanced => Box::new(coinbase::AdvancedMarketData::new(instruments, AHEAD_MAX)),
            Self::CoinbaseExchange => Box::new(coinbase::ExchangeMarketData::new(
                instruments,
                BookChannel::Level2,
                AHEAD_MAX,
            )),
            Self::IndependentReserve => {
                Box::new(independent_reserve::MarketData::new(&instruments, AHEAD_MAX)?)
            }
            Self::KrakenV1 => kraken_protocol(WireVersion::V1, &instruments, depths),
            Self::KrakenV2 => kraken_protocol(WireVersion::V2, &instruments, depths),
            Self::KrakenLevel3 => {
                let deepest = depths.iter().copied().max().unwrap_or(kraken::DEPTH_MAX);
                let data = kraken::Level3MarketData::new(Arc::clone(&instruments), deepest, AHEAD_MAX);
                let depths = instruments.iter().zip(depths);
                Box::new(depths.fold(data, |data, (instrument, &depth)| {
                    data.with_depth(instrument.id, depth)
                }))
            }
        })
    }

    /// How the protocol's books are bounded.
    pub(crate) const fn cut(self, depth: usize) -> Cut {
        match self {
            Self::KrakenV1 | Self::KrakenV2 | Self::KrakenLevel3 => Cut::EachMessage(depth),
            Self::CoinbaseAdvanced | Self::CoinbaseExchange => Cut::EachLevel(coinbase::BOOK_LEVELS_MAX),
            Self::IndependentReserve => Cut::EachLevel(ORDERS_MAX),
            Self::BinanceSpot | Self::BinanceSbe | Self::BinanceUsdm => Cut::EachLevel(LADDER_LEVELS_MAX),
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

fn kraken_protocol(
    version: WireVersion,
    instruments: &Arc<Instruments>,
    depths: &[usize],
) -> Box<dyn MarketProtocol> {
    let data = kraken::MarketData::new(Arc::clone(instruments), version, kraken::DEPTH_MAX, AHEAD_MAX);
    let depths = instruments.iter().zip(depths);
    Box::new(depths.fold(data, |data, (instrument, &depth)| {
        data.with_depth(instrument.id, depth)
    }))
}

/// A list with a channel and a pair at its end is Kraken's version 1.
fn of_list(message: &[u8]) -> Option<Wire> {
    let parts: Vec<&RawValue> = serde_json::from_slice(message).ok()?;
    let is_text = |part: &&RawValue| part.get().starts_with('"');
    let [id, .., channel, pair] = parts.as_slice() else {
        return None;
    };
    (!is_text(id) && is_text(channel) && is_text(pair)).then_some(Wire::KrakenV1)
}

fn of_binance(probe: &Probe<'_>) -> Option<Wire> {
    let futures = |is_futures| {
        Some(if is_futures {
            Wire::BinanceUsdm
        } else {
            Wire::BinanceSpot
        })
    };
    match probe.e.as_deref() {
        Some("depthUpdate") => futures(probe.pu.is_some()),
        Some("bookTicker") => Some(Wire::BinanceUsdm),
        Some("trade") if probe.origin.is_some() => Some(Wire::BinanceUsdm),
        Some("trade" | "aggTrade") if probe.ignored.is_some() => Some(Wire::BinanceSpot),
        None if probe.bid_quantity.is_some() => Some(Wire::BinanceSpot),
        None if probe.last_update_id.is_some() => futures(probe.event_ms.is_some()),
        _ => None,
    }
}

fn of_coinbase(probe: &Probe<'_>) -> Option<Wire> {
    if probe.channel.is_some() && probe.sequence_num.is_some() {
        return Some(Wire::CoinbaseAdvanced);
    }
    let is_exchange = probe.kind.is_some() && probe.product_id.is_some() && probe.channel.is_none();
    is_exchange.then_some(Wire::CoinbaseExchange)
}

fn of_others(probe: &Probe<'_>) -> Option<Wire> {
    if probe.named_event.is_some() && probe.time.is_some() {
        return Some(Wire::IndependentReserve);
    }
    if matches!(
        probe.event.as_deref(),
        Some("systemStatus" | "subscriptionStatus")
    ) {
        return Some(Wire::KrakenV1);
    }
    if probe.channel.as_deref() == Some("level3") {
        return Some(Wire::KrakenLevel3);
    }
    (probe.channel.is_some() || probe.method.is_some()).then_some(Wire::KrakenV2)
}
