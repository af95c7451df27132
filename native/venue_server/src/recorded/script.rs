//! What the recorded wires differ in.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use axum::extract::ws::Utf8Bytes;
use domain::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::Listener;
use super::advanced::Advanced;
use super::binance::Streams;
use super::exchange::Exchange;
use super::kraken::Kraken;
use super::kraken_v1::KrakenV1;
use crate::wire::VenueKind;

/// What a recorded message is about.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// Who listens to one of these has it.
    pub(super) topics: Vec<String>,
    /// Whoever listens to anything has it.
    pub(super) is_for_all: bool,
    /// How many messages were missing before it, where the wire counts them; negative for one that is old.
    pub(super) hole: i64,
    /// The venue's own time of it, where it must be known.
    pub(super) time: Option<Timestamp>,
}

impl Played {
    pub(super) fn for_all() -> Self {
        Self {
            is_for_all: true,
            ..Self::default()
        }
    }

    pub(super) fn of(topics: Vec<String>) -> Self {
        Self {
            topics,
            ..Self::default()
        }
    }
}

/// One wire's part: its books as the stream has them, and its words.
pub(super) trait Script: fmt::Debug + Send {
    /// What was sent in the recorded session.
    fn sent(&mut self, _text: &str) {}

    /// Takes a recorded message into the books, so that no answer is older than the stream. `None`: it is for nobody.
    fn take(&mut self, message: &str) -> Option<Played>;

    /// The recorded connection was lost: nothing is known any more.
    fn lose(&mut self);

    /// What a connection hears first.
    fn hello(&self, _now: Timestamp) -> Option<String> {
        None
    }

    /// Obeys a listener; what it hears of it, in order.
    fn on_text(&mut self, listener: &mut Listener, text: &str, now: Timestamp) -> Vec<String>;

    /// A recorded message as this listener has it.
    fn worded(&self, _listener: &mut Listener, message: &Utf8Bytes, _hole: i64) -> Utf8Bytes {
        message.clone()
    }

    /// Price step of each symbol, units of 1e-8.
    fn ticks(&self) -> BTreeMap<String, i64>;
}

/// A recorded wire.
#[derive(Debug)]
pub(super) enum Wire {
    Binance(Box<Streams>),
    Kraken(Box<Kraken>),
    KrakenV1(Box<KrakenV1>),
    Advanced(Box<Advanced>),
    Exchange(Box<Exchange>),
}

/// What tells the wires apart.
#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(default)]
    stream: Option<IgnoredAny>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
    #[serde(default)]
    sequence_num: Option<IgnoredAny>,
    #[serde(default)]
    product_id: Option<IgnoredAny>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    event: Option<Cow<'a, str>>,
}

impl Wire {
    /// Whose a message can only be.
    pub(super) fn of(message: &[u8]) -> Option<Self> {
        if message.first() == Some(&b'[') {
            let parts: Vec<&RawValue> = serde_json::from_slice(message).ok()?;
            let is_v1 = matches!(parts.as_slice(), [id, .., pair] if parts.len() > 3
                && !id.get().starts_with('"') && pair.get().starts_with('"'));
            return is_v1.then(|| Self::KrakenV1(Box::default()));
        }
        let probe: Probe<'_> = serde_json::from_slice(message).ok()?;
        if probe.stream.is_some() && probe.data.is_some() {
            return Some(Self::Binance(Box::default()));
        }
        if probe.channel.is_some() && probe.sequence_num.is_some() {
            return Some(Self::Advanced(Box::default()));
        }
        if probe.channel.is_some() {
            return Some(Self::Kraken(Box::default()));
        }
        if probe.kind.is_some() && probe.product_id.is_some() {
            return Some(Self::Exchange(Box::default()));
        }
        let is_v1 = matches!(
            probe.event.as_deref(),
            Some("systemStatus" | "subscriptionStatus")
        );
        is_v1.then(|| Self::KrakenV1(Box::default()))
    }

    /// Whose venue's it is.
    pub(super) const fn venue(&self) -> VenueKind {
        match self {
            Self::Binance(_) => VenueKind::Binance,
            Self::Kraken(_) | Self::KrakenV1(_) => VenueKind::Kraken,
            Self::Advanced(_) | Self::Exchange(_) => VenueKind::Coinbase,
        }
    }

    /// Whether a listener names all that it wants in the address. Elsewhere it says so afterwards, in several messages.
    pub(super) const fn names_in_address(&self) -> bool {
        matches!(self, Self::Binance(_))
    }

    pub(super) fn script(&self) -> &dyn Script {
        match self {
            Self::Binance(script) => script.as_ref(),
            Self::Kraken(script) => script.as_ref(),
            Self::KrakenV1(script) => script.as_ref(),
            Self::Advanced(script) => script.as_ref(),
            Self::Exchange(script) => script.as_ref(),
        }
    }

    pub(super) fn script_mut(&mut self) -> &mut dyn Script {
        match self {
            Self::Binance(script) => script.as_mut(),
            Self::Kraken(script) => script.as_mut(),
            Self::KrakenV1(script) => script.as_mut(),
            Self::Advanced(script) => script.as_mut(),
            Self::Exchange(script) => script.as_mut(),
        }
    }
}
