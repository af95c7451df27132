//! The slow reader and oracle: `serde_json` over borrowed text, any field order, unknown fields ignored.

use std::borrow::Cow;

use domain::{FixedPointError, Level, Price, Quantity, Timestamp, TradeId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    BookEvent, Buffers, Envelope, EventKind, Head, ParseError, StatusMessage, Symbol, TickerMessage,
    TradeMessage, rule,
};
use crate::iso8601;

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(default)]
    sequence_num: Option<u64>,
    #[serde(borrow, default)]
    events: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Books<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    product_id: Cow<'a, str>,
    #[serde(borrow)]
    updates: Vec<Update<'a>>,
}

#[derive(Deserialize)]
struct Update<'a> {
    #[serde(borrow)]
    side: Cow<'a, str>,
    #[serde(borrow)]
    event_time: Cow<'a, str>,
    #[serde(borrow)]
    price_level: Cow<'a, str>,
    #[serde(borrow)]
    new_quantity: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Trades<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    trades: Vec<Trade<'a>>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow)]
    product_id: Cow<'a, str>,
    #[serde(borrow)]
    trade_id: Cow<'a, str>,
    #[serde(borrow)]
    price: Cow<'a, str>,
    #[serde(borrow)]
    size: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    side: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Tickers<'a> {
    #[serde(borrow)]
    tickers: Vec<Ticker<'a>>,
}

/// An empty side may be missing.
#[derive(Deserialize)]
struct Ticker<'a> {
    #[serde(borrow)]
    product_id: Cow<'a, str>,
    #[serde(borrow, default)]
    best_bid: Cow<'a, str>,
    #[serde(borrow, default)]
    best_ask: Cow<'a, str>,
    #[serde(borrow, default)]
    best_bid_quantity: Cow<'a, str>,
    #[serde(borrow, default)]
    best_ask_quantity: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Statuses<'a> {
    #[serde(borrow)]
    products: Vec<Status<'a>>,
}

/// One without a state says nothing.
#[derive(Deserialize)]
struct Status<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
}

/// The count is a number on the wire and text in the documentation.
#[derive(Deserialize)]
struct Heartbeat<'a> {
    #[serde(borrow)]
    heartbeat_counter: &'a RawValue,
}

/// Reads one message; its lists lie in `buffers`.
pub(super) fn message(frame: &[u8], buffers: &mut Buffers) -> Result<Envelope, ParseError> {
    // A list would be read as fields in their order.
    if !frame.trim_ascii_start().starts_with(b"{") {
        return Err(word("", "a message is an object"));
    }
    buffers.clear();
    let outer: Outer<'_> = serde_json::from_slice(frame)?;
    let Some(channel) = outer.channel else {
        return Ok(match outer.kind.as_deref() {
            Some("error") => Envelope::Refused,
            _ => Envelope::Unnumbered,
        });
    };
    let missing = |field| ParseError::Value {
        field,
        problem: "a message of a channel has a time, a number and events",
    };
    let ts_sent = time(&outer.timestamp.ok_or(missing("timestamp"))?, "timestamp")?;
    let sequence = outer.sequence_num.ok_or(missing("sequence_num"))?;
    let events = outer.events.ok_or(missing("events"))?.get();
    let head = match channel.as_ref() {
        "l2_data" => books(events, ts_sent, buffers)?,
        "market_trades" => trades(events, buffers)?,
        "ticker" => tickers(events, buffers)?,
        // No book hangs on what stands in it: where it cannot be read, its number still counts.
        "status" => statuses(events, buffers).unwrap_or(Head::Other),
        "heartbeats" => heartbeat(events)?,
        "subscriptions" => Head::Subscriptions,
        "candles" => Head::Candles,
        _ => Head::Other,
    };
    Ok(Envelope::Numbered {
        sequence,
        ts_sent,
        head,
    })
}

fn books(events: &str, ts_sent: Timestamp, buffers: &mut Buffers) -> Result<Head, ParseError> {
    for event in serde_json::from_str::<Vec<Books<'_>>>(events)? {
        let (first_bid, first_ask) = (buffers.bids.len(), buffers.asks.len());
        let mut newest = Timestamp::EPOCH;
        for update in &event.updates {
            let is_bid = match update.side.as_ref() {
                "bid" => true,
                "offer" => false,
                _ => return Err(word("side", "a side is `bid` or `offer`")),
            };
            newest = newest.max(time(&update.event_time, "event_time")?);
            let level = Level {
                price: number(Price::parse, &update.price_level, "price_level")?,
                quantity: number(Quantity::parse, &update.new_quantity, "new_quantity")?,
            };
            rule::level(level, is_bid, buffers)?;
        }
        let event = BookEvent {
            kind: kind(&event.kind)?,
            symbol: symbol(&event.product_id)?,
            ts_event: newest,
            bids: first_bid..buffers.bids.len(),
            asks: first_ask..buffers.asks.len(),
        };
        rule::event(event, ts_sent, buffers)?;
    }
    Ok(Head::Books)
}

fn trades(events: &str, buffers: &mut Buffers) -> Result<Head, ParseError> {
    for event in serde_json::from_str::<Vec<Trades<'_>>>(events)? {
        let kind = kind(&event.kind)?;
        for raw in &event.trades {
            let trade = TradeMessage {
                kind,
                symbol: symbol(&raw.product_id)?,
                ts_event: time(&raw.time, "time")?,
                trade_id: TradeId(serde_json::from_str(&raw.trade_id)?),
                price: number(Price::parse, &raw.price, "price")?,
                quantity: number(Quantity::parse, &raw.size, "size")?,
                aggressor: rule::aggressor(raw.side.as_bytes())
                    .ok_or_else(|| word("side", "the maker's side is `BUY` or `SELL`"))?,
            };
            rule::trade(trade, buffers)?;
        }
    }
    Ok(Head::Trades)
}

fn tickers(events: &str, buffers: &mut Buffers) -> Result<Head, ParseError> {
    for event in serde_json::from_str::<Vec<Tickers<'_>>>(events)? {
        for raw in &event.tickers {
            let ticker = TickerMessage {
                symbol: symbol(&raw.product_id)?,
                bid: best(&raw.best_bid, &raw.best_bid_quantity, "best_bid")?,
                ask: best(&raw.best_ask, &raw.best_ask_quantity, "best_ask")?,
            };
            rule::ticker(ticker, buffers)?;
        }
    }
    Ok(Head::Tickers)
}

fn statuses(events: &str, buffers: &mut Buffers) -> Result<Head, ParseError> {
    for event in serde_json::from_str::<Vec<Statuses<'_>>>(events)? {
        for raw in &event.products {
            if let (Some(symbol), Some(word)) = (Symbol::new(&raw.id), &raw.status) {
                let is_online = word == "online";
                rule::status(StatusMessage { symbol, is_online }, buffers)?;
            }
        }
    }
    Ok(Head::Statuses)
}

fn heartbeat(events: &str) -> Result<Head, ParseError> {
    let events: Vec<Heartbeat<'_>> = serde_json::from_str(events)?;
    let Some(event) = events.last() else {
        return Err(word("events", "a heartbeat has one event"));
    };
    let counter = event.heartbeat_counter.get().trim_matches('"');
    Ok(Head::Heartbeat {
        counter: serde_json::from_str(counter)?,
    })
}

/// A best level; nothing is zero.
fn best(price: &str, quantity: &str, field: &'static str) -> Result<Level, ParseError> {
    Ok(Level {
        price: number(Price::parse, or_zero(price), field)?,
        quantity: number(Quantity::parse, or_zero(quantity), field)?,
    })
}

const fn or_zero(text: &str) -> &str {
    if text.is_empty() { "0" } else { text }
}

fn kind(name: &str) -> Result<EventKind, ParseError> {
    EventKind::from_name(name.as_bytes())
        .ok_or_else(|| word("type", "an event is a `snapshot` or an `update`"))
}

fn symbol(text: &str) -> Result<Symbol, ParseError> {
    Symbol::new(text).ok_or_else(|| word("product_id", "a product is at most 24 printable ASCII bytes"))
}

fn time(text: &str, field: &'static str) -> Result<Timestamp, ParseError> {
    iso8601::parse(text.as_bytes())
        .ok_or_else(|| word(field, "a time is such as 2026-08-09T21:05:48.170326Z"))
}

fn number<N>(
    parse: impl Fn(&[u8]) -> Result<N, FixedPointError>,
    text: &str,
    field: &'static str,
) -> Result<N, ParseError> {
    parse(text.as_bytes()).map_err(|source| ParseError::Number { field, source })
}

const fn word(field: &'static str, problem: &'static str) -> ParseError {
    ParseError::Value { field, problem }
}
