//! A second reading of every wire, independent of the venues' parsers: `serde_json` over borrowed text, with each number
//! as the venue wrote it.

mod binance;
mod coinbase;
mod independent_reserve;
mod kraken;
mod sbe;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

pub(crate) use kraken::{depth_of_snapshot, subscribed_depths};
pub(crate) use sbe::is_one as is_sbe;

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

/// What happened to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action<'a> {
    New {
        is_bid: bool,
        /// By currency, in lower case.
        prices: Vec<(String, Cow<'a, str>)>,
        quantity: Cow<'a, str>,
    },
    /// This is left of it.
    Changed(Cow<'a, str>),
    Canceled,
}

/// What a message says of one order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OrderFact<'a> {
    /// The currency that is traded, in lower case: the order is in the book of each pair with it.
    pub(crate) traded: String,
    /// Rises by one with each event of that currency.
    pub(crate) number: u64,
    pub(crate) id: Cow<'a, str>,
    pub(crate) action: Action<'a>,
}

/// An order that rests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resting<'a> {
    pub(crate) id: Cow<'a, str>,
    pub(crate) is_bid: bool,
    pub(crate) price: Cow<'a, str>,
    pub(crate) quantity: Cow<'a, str>,
}

/// All orders of a book.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OrdersFact<'a> {
    pub(crate) symbol: String,
    pub(crate) orders: Vec<Resting<'a>>,
}

/// What a message says happened to orders that stand in queues, in its order; of a snapshot, all that rest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct QueuesFact<'a> {
    pub(crate) symbol: Cow<'a, str>,
    pub(crate) is_snapshot: bool,
    pub(crate) changes: Vec<(Queued, Resting<'a>)>,
}

/// What happened to an order in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queued {
    Added,
    Modified,
    Deleted,
}

/// What a REST answer says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer<'a> {
    Book(BookFact<'a>),
    Orders(OrdersFact<'a>),
}

/// One thing that a message says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fact<'a> {
    Book(BookFact<'a>),
    Trade(TradeFact<'a>),
    Order(OrderFact<'a>),
    Queues(QueuesFact<'a>),
    /// Something else about this symbol.
    Other(Cow<'a, str>),
}

impl Fact<'_> {
    pub(crate) fn symbol(&self) -> Option<&str> {
        match self {
            Self::Book(book) => book.symbol.as_deref(),
            Self::Trade(trade) => Some(&trade.symbol),
            Self::Other(symbol) => Some(symbol),
            Self::Queues(queues) => Some(&queues.symbol),
            // It speaks of several books, and names none.
            Self::Order(_) => None,
        }
    }
}

/// What a message of a stream says; nothing where it is of no use or cannot be read.
pub(crate) fn facts(wire: Wire, frame: &[u8]) -> Vec<Fact<'_>> {
    if wire == Wire::BinanceSbe && is_sbe(frame) {
        return sbe::facts(frame).unwrap_or_default();
    }
    let Ok(text) = std::str::from_utf8(frame) else {
        return Vec::new();
    };
    let read = match wire {
        Wire::BinanceSpot | Wire::BinanceSbe => binance::facts(text, false),
        Wire::BinanceUsdm => binance::facts(text, true),
        Wire::KrakenV1 => kraken::facts_v1(text),
        Wire::KrakenV2 => kraken::facts_v2(text),
        Wire::KrakenLevel3 => kraken::facts_level3(text),
        Wire::CoinbaseAdvanced => coinbase::advanced_facts(text),
        Wire::CoinbaseExchange => coinbase::exchange_facts(text),
        Wire::IndependentReserve => independent_reserve::facts(text),
    };
    read.unwrap_or_default()
}

/// What a REST answer says of a book.
pub(crate) fn answer(wire: Wire, body: &[u8]) -> Option<Answer<'_>> {
    let text = std::str::from_utf8(body).ok()?;
    match wire {
        Wire::BinanceSpot | Wire::BinanceSbe | Wire::BinanceUsdm => binance::snapshot(text).map(Answer::Book),
        Wire::IndependentReserve => independent_reserve::snapshot(text).map(Answer::Orders),
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
