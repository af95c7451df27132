//! Kraken, both versions of its wire.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{BookFact, Fact, Text, TextLevel, TradeFact, number};

/// One of the objects in a message of version 1; a message may hold two, one for each side.
#[derive(Deserialize)]
struct SidesV1<'a> {
    #[serde(borrow, default, rename = "as")]
    asks_whole: Option<Vec<Vec<Text<'a>>>>,
    #[serde(borrow, default, rename = "bs")]
    bids_whole: Option<Vec<Vec<Text<'a>>>>,
    #[serde(borrow, default, rename = "a")]
    asks: Option<Vec<Vec<Text<'a>>>>,
    #[serde(borrow, default, rename = "b")]
    bids: Option<Vec<Vec<Text<'a>>>>,
}

pub(super) fn facts_v1(text: &str) -> Option<Vec<Fact<'_>>> {
    let parts: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    let [_, content @ .., channel, pair] = parts.as_slice() else {
        return None;
    };
    let Text(channel) = serde_json::from_str(channel.get()).ok()?;
    let Text(pair) = serde_json::from_str(pair.get()).ok()?;
    if channel.starts_with("book-") {
        return Some(vec![Fact::Book(book_v1(pair, content)?)]);
    }
    if channel != "trade" {
        return Some(vec![Fact::Other(pair)]);
    }
    let trades: Vec<Vec<Text<'_>>> = serde_json::from_str(content.first()?.get()).ok()?;
    let facts = trades.into_iter().map(|trade| {
        let mut fields = trade.into_iter();
        Some(Fact::Trade(TradeFact {
            symbol: pair.clone(),
            price: fields.next()?.0,
            quantity: fields.next()?.0,
        }))
    });
    facts.collect()
}

fn book_v1<'a>(pair: Cow<'a, str>, content: &[&'a RawValue]) -> Option<BookFact<'a>> {
    let mut book = BookFact {
        symbol: Some(pair),
        is_snapshot: false,
        numbers: None,
        bids: Vec::new(),
        asks: Vec::new(),
    };
    for part in content {
        let sides: SidesV1<'_> = serde_json::from_str(part.get()).ok()?;
        book.is_snapshot |= sides.asks_whole.is_some() || sides.bids_whole.is_some();
        for raw in [sides.bids_whole, sides.bids].into_iter().flatten() {
            levels_v1(raw, &mut book.bids)?;
        }
        for raw in [sides.asks_whole, sides.asks].into_iter().flatten() {
            levels_v1(raw, &mut book.asks)?;
        }
    }
    Some(book)
}

fn levels_v1<'a>(raw: Vec<Vec<Text<'a>>>, out: &mut Vec<TextLevel<'a>>) -> Option<()> {
    for level in raw {
        let mut fields = level.into_iter();
        out.push(TextLevel {
            price: fields.next()?.0,
            quantity: fields.next()?.0,
        });
    }
    Some(())
}

#[derive(Deserialize)]
struct MessageV2<'a> {
    #[serde(borrow)]
    channel: Text<'a>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    data: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct BookV2<'a> {
    #[serde(borrow)]
    symbol: Text<'a>,
    #[serde(borrow, default)]
    bids: Vec<LevelV2<'a>>,
    #[serde(borrow, default)]
    asks: Vec<LevelV2<'a>>,
}

#[derive(Deserialize)]
struct LevelV2<'a> {
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    qty: &'a RawValue,
}

#[derive(Deserialize)]
struct TradeV2<'a> {
    #[serde(borrow)]
    symbol: Text<'a>,
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    qty: &'a RawValue,
}

#[derive(Deserialize)]
struct NamedV2<'a> {
    #[serde(borrow, default)]
    symbol: Option<Text<'a>>,
}

pub(super) fn facts_v2(text: &str) -> Option<Vec<Fact<'_>>> {
    let message: MessageV2<'_> = serde_json::from_str(text).ok()?;
    let is_snapshot = message.kind.is_some_and(|kind| kind.0 == "snapshot");
    let mut facts = Vec::new();
    for data in message.data {
        let data = data.get();
        match message.channel.0.as_ref() {
            "book" => facts.push(Fact::Book(book_v2(data, is_snapshot)?)),
            "trade" => {
                let trade: TradeV2<'_> = serde_json::from_str(data).ok()?;
                facts.push(Fact::Trade(TradeFact {
                    symbol: trade.symbol.0,
                    price: number(trade.price)?,
                    quantity: number(trade.qty)?,
                }));
            }
            _ => {
                let named: NamedV2<'_> = serde_json::from_str(data).ok()?;
                facts.extend(named.symbol.map(|symbol| Fact::Other(symbol.0)));
            }
        }
    }
    Some(facts)
}

fn book_v2(data: &str, is_snapshot: bool) -> Option<BookFact<'_>> {
    let raw: BookV2<'_> = serde_json::from_str(data).ok()?;
    Some(BookFact {
        symbol: Some(raw.symbol.0),
        is_snapshot,
        numbers: None,
        bids: levels_v2(raw.bids)?,
        asks: levels_v2(raw.asks)?,
    })
}

fn levels_v2(raw: Vec<LevelV2<'_>>) -> Option<Vec<TextLevel<'_>>> {
    raw.into_iter()
        .map(|level| {
            Some(TextLevel {
                price: number(level.price)?,
                quantity: number(level.qty)?,
            })
        })
        .collect()
}

#[derive(Deserialize)]
struct RequestV1 {
    subscription: SubscriptionV1,
}

#[derive(Deserialize)]
struct SubscriptionV1 {
    name: String,
    #[serde(default)]
    depth: Option<usize>,
}

#[derive(Deserialize)]
struct RequestV2 {
    #[serde(alias = "result")]
    params: ParametersV2,
}

#[derive(Deserialize)]
struct ParametersV2 {
    channel: String,
    #[serde(default)]
    depth: Option<usize>,
}

/// The depth of the books that a request, or its answer, speaks of.
pub(crate) fn subscribed_depth(message: &[u8]) -> Option<usize> {
    /// What the venue takes where none is said.
    const DEPTH: usize = 10;
    if let Ok(request) = serde_json::from_slice::<RequestV1>(message) {
        return (request.subscription.name == "book").then(|| request.subscription.depth.unwrap_or(DEPTH));
    }
    let request: RequestV2 = serde_json::from_slice(message).ok()?;
    (request.params.channel == "book").then(|| request.params.depth.unwrap_or(DEPTH))
}
