//! The slow reader and oracle: `serde_json` over borrowed text, any field order, unknown fields ignored.

use std::borrow::Cow;

use domain::{Level, Price, Quantity, Side, TradeId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    DepthHead, Dialect, Head, MESSAGE_LEVELS_MAX, ParseError, Symbol, TickerMessage, TradeMessage,
    is_partial_depth, rule, timestamp,
};

/// What tells one message from another.
#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(borrow, default)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    e: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "B")]
    bid_quantity: Option<&'a RawValue>,
}

/// What futures add to each message, and spot may not be asked for.
#[derive(Deserialize)]
struct Futures<'a> {
    #[serde(rename = "T")]
    engine_ms: u64,
    #[serde(rename = "pu", default)]
    previous_update_id: Option<u64>,
    #[serde(borrow, rename = "X", default)]
    origin: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Depth<'a> {
    #[serde(rename = "E")]
    event_ms: u64,
    #[serde(borrow, rename = "s")]
    symbol: Cow<'a, str>,
    #[serde(rename = "U")]
    first_update_id: u64,
    #[serde(rename = "u")]
    last_update_id: u64,
    #[serde(borrow, rename = "b")]
    bids: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    #[serde(borrow, rename = "a")]
    asks: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

#[derive(Deserialize)]
struct Ticker<'a> {
    u: u64,
    #[serde(borrow, rename = "s")]
    symbol: Cow<'a, str>,
    #[serde(borrow, rename = "b")]
    bid_price: Cow<'a, str>,
    #[serde(borrow, rename = "B")]
    bid_quantity: Cow<'a, str>,
    #[serde(borrow, rename = "a")]
    ask_price: Cow<'a, str>,
    #[serde(borrow, rename = "A")]
    ask_quantity: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(rename = "E")]
    _event_ms: u64,
    #[serde(borrow, rename = "s")]
    symbol: Cow<'a, str>,
    #[serde(rename = "t")]
    trade_id: u64,
    #[serde(borrow, rename = "p")]
    price: Cow<'a, str>,
    #[serde(borrow, rename = "q")]
    quantity: Cow<'a, str>,
    #[serde(rename = "T")]
    trade_ms: u64,
    #[serde(rename = "m")]
    buyer_is_maker: bool,
}

#[derive(Deserialize)]
struct Snapshot<'a> {
    #[serde(rename = "lastUpdateId")]
    last_update_id: u64,
    #[serde(borrow)]
    bids: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    #[serde(borrow)]
    asks: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Reads a message of a market stream, raw or enveloped.
pub(super) fn stream_message(
    dialect: Dialect,
    frame: &[u8],
    bids: &mut Vec<Level>,
    asks: &mut Vec<Level>,
) -> Result<Head, ParseError> {
    let probe: Probe<'_> = serde_json::from_slice(frame)?;
    if let (Some(stream), Some(data)) = (&probe.stream, probe.data) {
        if dialect == Dialect::Futures && is_partial_depth(stream.as_bytes()) {
            return Ok(Head::Other);
        }
        let data = data.get();
        let inner: Probe<'_> = serde_json::from_str(data)?;
        return payload(dialect, data, &inner, bids, asks);
    }
    // Valid JSON is valid UTF-8 only where it was looked at.
    let text = std::str::from_utf8(frame).map_err(|_| ParseError::Value {
        field: "",
        problem: "a message is UTF-8 text",
    })?;
    payload(dialect, text, &probe, bids, asks)
}

fn payload(
    dialect: Dialect,
    text: &str,
    probe: &Probe<'_>,
    bids: &mut Vec<Level>,
    asks: &mut Vec<Level>,
) -> Result<Head, ParseError> {
    match (dialect, probe.e.as_deref()) {
        (_, Some("depthUpdate")) => {
            let mut head = depth(&serde_json::from_str(text)?, bids, asks)?;
            if dialect == Dialect::Futures {
                let futures: Futures<'_> = serde_json::from_str(text)?;
                head.ts_event = timestamp(futures.engine_ms);
                head.previous_update_id = Some(required(futures.previous_update_id, "pu")?);
            }
            rule::depth(head).map(Head::Depth)
        }
        (Dialect::Spot, Some("trade")) => {
            let trade = trade(&serde_json::from_str(text)?)?;
            rule::trade(trade).map(Head::Trade)
        }
        (Dialect::Futures, Some("trade")) => futures_trade(text),
        (_, Some("serverShutdown")) => Ok(Head::ServerShutdown),
        (Dialect::Spot, None) if probe.bid_quantity.is_some() => {
            ticker(&serde_json::from_str(text)?).map(Head::Ticker)
        }
        (Dialect::Futures, Some("bookTicker")) => {
            let futures: Futures<'_> = serde_json::from_str(text)?;
            let mut ticker = ticker(&serde_json::from_str(text)?)?;
            ticker.ts_event = Some(timestamp(futures.engine_ms));
            Ok(Head::Ticker(ticker))
        }
        _ => Ok(Head::Other),
    }
}

fn futures_trade(text: &str) -> Result<Head, ParseError> {
    let futures: Futures<'_> = serde_json::from_str(text)?;
    let origin = required(futures.origin, "X")?;
    let trade = trade(&serde_json::from_str(text)?)?;
    if origin != "MARKET" && trade.price.is_zero() && trade.quantity.is_zero() {
        let (symbol, trade_id) = (trade.symbol, trade.trade_id);
        return Ok(Head::EmptyTrade { symbol, trade_id });
    }
    rule::trade(trade).map(Head::Trade)
}

fn required<T>(value: Option<T>, field: &'static str) -> Result<T, ParseError> {
    value.ok_or(ParseError::Value {
        field,
        problem: "it is missing",
    })
}

fn depth(raw: &Depth<'_>, bids: &mut Vec<Level>, asks: &mut Vec<Level>) -> Result<DepthHead, ParseError> {
    levels(&raw.bids, "b", bids)?;
    levels(&raw.asks, "a", asks)?;
    Ok(DepthHead {
        symbol: symbol(&raw.symbol)?,
        ts_event: timestamp(raw.event_ms),
        first_update_id: raw.first_update_id,
        last_update_id: raw.last_update_id,
        previous_update_id: None,
    })
}

fn ticker(raw: &Ticker<'_>) -> Result<TickerMessage, ParseError> {
    rule::ticker(TickerMessage {
        symbol: symbol(&raw.symbol)?,
        ts_event: None,
        update_id: raw.u,
        bid: Level {
            price: price(&raw.bid_price, "b")?,
            quantity: quantity(&raw.bid_quantity, "B")?,
        },
        ask: Level {
            price: price(&raw.ask_price, "a")?,
            quantity: quantity(&raw.ask_quantity, "A")?,
        },
    })
}

fn trade(raw: &Trade<'_>) -> Result<TradeMessage, ParseError> {
    Ok(TradeMessage {
        symbol: symbol(&raw.symbol)?,
        ts_event: timestamp(raw.trade_ms),
        trade_id: TradeId(raw.trade_id),
        price: price(&raw.price, "p")?,
        quantity: quantity(&raw.quantity, "q")?,
        aggressor: if raw.buyer_is_maker { Side::Sell } else { Side::Buy },
    })
}

/// Reads the answer of REST `depth`.
pub(super) fn snapshot(body: &[u8], bids: &mut Vec<Level>, asks: &mut Vec<Level>) -> Result<u64, ParseError> {
    let raw: Snapshot<'_> = serde_json::from_slice(body)?;
    levels(&raw.bids, "bids", bids)?;
    levels(&raw.asks, "asks", asks)?;
    Ok(raw.last_update_id)
}

fn levels(
    raw: &[(Cow<'_, str>, Cow<'_, str>)],
    field: &'static str,
    out: &mut Vec<Level>,
) -> Result<(), ParseError> {
    out.clear();
    if raw.len() > MESSAGE_LEVELS_MAX {
        return Err(ParseError::TooMany {
            field,
            max: MESSAGE_LEVELS_MAX,
        });
    }
    for (price_text, quantity_text) in raw {
        let level = Level {
            price: price(price_text, field)?,
            quantity: quantity(quantity_text, field)?,
        };
        out.push(rule::level(level, field)?);
    }
    Ok(())
}

pub(super) fn symbol(text: &str) -> Result<Symbol, ParseError> {
    Symbol::new(text).ok_or(ParseError::Value {
        field: "s",
        problem: "a symbol is at most 24 printable ASCII bytes",
    })
}

pub(in crate::binance) fn price(text: &str, field: &'static str) -> Result<Price, ParseError> {
    Price::parse(text.as_bytes()).map_err(|source| ParseError::Number { field, source })
}

pub(in crate::binance) fn quantity(text: &str, field: &'static str) -> Result<Quantity, ParseError> {
    Quantity::parse(text.as_bytes()).map_err(|source| ParseError::Number { field, source })
}
