//! A second reading of every wire, independent of the venues' parsers: `serde_json` over borrowed text, with each number
//! as the venue wrote it.

mod binance;
mod coinbase;
mod kraken;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

pub(crate) use kraken::subscribed_depth;

use crate::wire::Wire;

/// Text that stands in JSON as a string.
#[derive(Debug, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// One level as the venue wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextLevel<'a> {
    pub(crate) price: Cow<'a, str>,
    pub(crate) quantity: Cow<'a, str>,
}

/// What a message says of a book.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BookFact<'a> {
    /// Whose book; `None` where the message does not say.
    pub(crate) symbol: Option<Cow<'a, str>>,
    pub(crate) is_snapshot: bool,
    /// Numbers of its first and last update, where the venue numbers them; a snapshot's are alike.
    pub(crate) numbers: Option<(u64, u64)>,
    pub(crate) bids: Vec<TextLevel<'a>>,
    pub(crate) asks: Vec<TextLevel<'a>>,
}

/// One trade as the venue wrote it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TradeFact<'a> {
    pub(crate) symbol: Cow<'a, str>,
    pub(crate) price: Cow<'a, str>,
    pub(crate) quantity: Cow<'a, str>,
}

/// One thing that a message says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fact<'a> {
    Book(BookFact<'a>),
    Trade(TradeFact<'a>),
    /// Something else about this symbol.
    Other(Cow<'a, str>),
}

impl Fact<'_> {
    pub(crate) fn symbol(&self) -> Option<&str> {
        match self {
            Self::Book(book) => book.symbol.as_deref(),
            Self::Trade(trade) => Some(&trade.symbol),
            Self::Other(symbol) => Some(symbol),
        }
    }
}

/// What a message of a stream says; nothing where it is of no use or cannot be read.
pub(crate) fn facts(wire: Wire, frame: &[u8]) -> Vec<Fact<'_>> {
    let Ok(text) = std::str::from_utf8(frame) else {
        return Vec::new();
    };
    let read = match wire {
        Wire::BinanceSpot | Wire::BinanceUsdm => binance::facts(text),
        Wire::KrakenV1 => kraken::facts_v1(text),
        Wire::KrakenV2 => kraken::facts_v2(text),
        Wire::CoinbaseAdvanced => coinbase::advanced_facts(text),
        Wire::CoinbaseExchange => coinbase::exchange_facts(text),
        Wire::IndependentReserve => None,
    };
    read.unwrap_or_default()
}

/// What a REST answer says of a book.
pub(crate) fn answer(wire: Wire, body: &[u8]) -> Option<BookFact<'_>> {
    let text = std::str::from_utf8(body).ok()?;
    match wire {
        Wire::BinanceSpot | Wire::BinanceUsdm => binance::snapshot(text),
        _ => None,
    }
}

/// A number that stands in JSON as a string or bare: its text.
fn number(raw: &RawValue) -> Option<Cow<'_, str>> {
    let text = raw.get();
    if text.starts_with('"') {
        let Text(text) = serde_json::from_str(text).ok()?;
        return Some(text);
    }
    Some(Cow::Borrowed(text))
}
