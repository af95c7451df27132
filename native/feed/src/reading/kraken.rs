//! Kraken, both versions of its wire.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{BookFact, Fact, Queued, QueuesFact, Resting, Text, TextLevel, TradeFact, number};

use crate::wire::Wire;

/// Depths that can be subscribed; the first is what the venue takes where none is said.
const DEPTHS: [usize; 5] = [10, 25, 100, 500, 1_000];

/// Likewise of the channel `level3`.
const DEPTHS_LEVEL3: [usize; 3] = [10, 100, 1_000];

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

#[derive(Deserialize)]
struct Queues<'a> {
    #[serde(borrow)]
    symbol: Text<'a>,
    #[serde(borrow, default)]
    bids: Vec<QueuedOrder<'a>>,
    #[serde(borrow, default)]
    asks: Vec<QueuedOrder<'a>>,
}

#[derive(Deserialize)]
struct QueuedOrder<'a> {
    #[serde(borrow, default)]
    event: Option<Text<'a>>,
    #[serde(borrow)]
    order_id: Text<'a>,
    #[serde(borrow)]
    limit_price: &'a RawValue,
    #[serde(borrow)]
    order_qty: &'a RawValue,
}

/// The channel `level3`; what stands beside it is version 2.
pub(super) fn facts_level3(text: &str) -> Option<Vec<Fact<'_>>> {
    let message: MessageV2<'_> = serde_json::from_str(text).ok()?;
    if message.channel.0 != "level3" {
        return facts_v2(text);
    }
    let is_snapshot = message.kind.is_some_and(|kind| kind.0 == "snapshot");
    let data = message.data.into_iter();
    data.map(|data| queues(data.get(), is_snapshot).map(Fact::Queues))
        .collect()
}

fn queues(data: &str, is_snapshot: bool) -> Option<QueuesFact<'_>> {
    let raw: Queues<'_> = serde_json::from_str(data).ok()?;
    let mut changes = Vec::new();
    for (is_bid, orders) in [(true, raw.bids), (false, raw.asks)] {
        for order in orders {
            let what = match order.event.as_ref().map(|word| word.0.as_ref()) {
                Some("modify") => Queued::Modified,
                Some("delete") => Queued::Deleted,
                Some("add") | None => Queued::Added,
                Some(_) => return None,
            };
            let resting = Resting {
                id: order.order_id.0,
                is_bid,
                price: number(order.limit_price)?,
                quantity: number(order.order_qty)?,
            };
            changes.push((what, resting));
        }
    }
    Some(QueuesFact {
        symbol: raw.symbol.0,
        is_snapshot,
        changes,
    })
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

/// A request of version 1, or its answer.
#[derive(Deserialize)]
struct SubscriptionV1<'a> {
    #[serde(borrow)]
    pair: &'a RawValue,
    subscription: ChannelV1,
}

#[derive(Deserialize)]
struct ChannelV1 {
    name: String,
    #[serde(default)]
    depth: Option<usize>,
}

/// A request of version 2, or its answer.
#[derive(Deserialize)]
struct SubscriptionV2<'a> {
    #[serde(borrow, alias = "result")]
    params: ChannelV2<'a>,
}

#[derive(Deserialize)]
struct ChannelV2<'a> {
    channel: String,
    #[serde(default)]
    depth: Option<usize>,
    #[serde(borrow)]
    symbol: &'a RawValue,
}

/// Whose books a request, or its answer, speaks of, and how deep they are.
pub(crate) fn subscribed_depths(message: &[u8]) -> Vec<(String, usize)> {
    let (symbols, depth) = if let Ok(request) = serde_json::from_slice::<SubscriptionV1<'_>>(message) {
        if request.subscription.name != "book" {
            return Vec::new();
        }
        (request.pair, request.subscription.depth)
    } else if let Ok(request) = serde_json::from_slice::<SubscriptionV2<'_>>(message) {
        if !matches!(request.params.channel.as_str(), "book" | "level3") {
            return Vec::new();
        }
        (request.params.symbol, request.params.depth)
    } else {
        return Vec::new();
    };
    let symbols = symbols.get();
    let names: Vec<String> = serde_json::from_str(symbols)
        .or_else(|_| serde_json::from_str(symbols).map(|name| vec![name]))
        .unwrap_or_default();
    let depth = depth.unwrap_or(DEPTHS[0]);
    names.into_iter().map(|name| (name, depth)).collect()
}

/// The depth that a snapshot of so many levels a side was subscribed with, where nothing else says it.
pub(crate) fn depth_of_snapshot(wire: Wire, levels: usize) -> usize {
    let depths = if wire == Wire::KrakenLevel3 {
        &DEPTHS_LEVEL3[..]
    } else {
        &DEPTHS
    };
    let fits = depths.iter().find(|depth| levels <= **depth);
    fits.copied().unwrap_or(levels)
}
