//! Binance, spot and USD-M futures: what they share is enough here.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{BookFact, Fact, Text, TextLevel, TradeFact};

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    stream: Text<'a>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    e: Option<Text<'a>>,
    #[serde(borrow, default)]
    s: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Depth<'a> {
    #[serde(rename = "U")]
    first: u64,
    #[serde(rename = "u")]
    last: u64,
    #[serde(borrow)]
    b: Vec<(Text<'a>, Text<'a>)>,
    #[serde(borrow)]
    a: Vec<(Text<'a>, Text<'a>)>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow)]
    p: Text<'a>,
    #[serde(borrow)]
    q: Text<'a>,
}

#[derive(Deserialize)]
struct Snapshot<'a> {
    #[serde(rename = "lastUpdateId")]
    last: u64,
    #[serde(borrow)]
    bids: Vec<(Text<'a>, Text<'a>)>,
    #[serde(borrow)]
    asks: Vec<(Text<'a>, Text<'a>)>,
}

/// `is_futures`: streams of best levels at intervals look like changes there.
pub(super) fn facts(text: &str, is_futures: bool) -> Option<Vec<Fact<'_>>> {
    let (stream, text) = match serde_json::from_str::<Envelope<'_>>(text) {
        Ok(envelope) => (Some(envelope.stream.0), envelope.data.get()),
        Err(_) => (None, text),
    };
    let head: Head<'_> = serde_json::from_str(text).ok()?;
    let symbol = head.s?.0;
    let fact = match head.e.as_ref().map(|word| word.0.as_ref()) {
        Some("depthUpdate") if !(is_futures && stream.is_some_and(|stream| is_partial(&stream))) => {
            let depth: Depth<'_> = serde_json::from_str(text).ok()?;
            Fact::Book(BookFact {
                symbol: Some(symbol),
                is_snapshot: false,
                numbers: Some((depth.first, depth.last)),
                bids: levels(depth.b),
                asks: levels(depth.a),
            })
        }
        Some("trade") => {
            let trade: Trade<'_> = serde_json::from_str(text).ok()?;
            Fact::Trade(TradeFact {
                symbol,
                price: trade.p.0,
                quantity: trade.q.0,
            })
        }
        _ => Fact::Other(symbol),
    };
    Some(vec![fact])
}

/// Whether a stream is of the best levels at intervals, `...@depth20@100ms`.
fn is_partial(stream: &str) -> bool {
    let rest = stream.split_once("@depth").map(|(_, rest)| rest);
    rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

pub(super) fn snapshot(text: &str) -> Option<BookFact<'_>> {
    let raw: Snapshot<'_> = serde_json::from_str(text).ok()?;
    Some(BookFact {
        symbol: None,
        is_snapshot: true,
        numbers: Some((raw.last, raw.last)),
        bids: levels(raw.bids),
        asks: levels(raw.asks),
    })
}

fn levels<'a>(raw: Vec<(Text<'a>, Text<'a>)>) -> Vec<TextLevel<'a>> {
    let level = |(price, quantity): (Text<'a>, Text<'a>)| TextLevel {
        price: price.0,
        quantity: quantity.0,
    };
    raw.into_iter().map(level).collect()
}
