//! The slow reader of version 2, and oracle: `serde_json` over borrowed text.

use std::borrow::Cow;

use domain::{Price, Quantity, TradeId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Head, Lists, ParseError, TradeMessage, rule};
use crate::iso8601;
use crate::kraken::book::WireLevel;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(default)]
    success: Option<bool>,
    #[serde(borrow, default)]
    error: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Book<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow, default)]
    bids: Vec<Level<'a>>,
    #[serde(borrow, default)]
    asks: Vec<Level<'a>>,
    checksum: u32,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Level<'a> {
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    qty: &'a RawValue,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    side: Cow<'a, str>,
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    qty: &'a RawValue,
    trade_id: u64,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Status<'a> {
    #[serde(borrow)]
    system: Cow<'a, str>,
}

pub(super) fn message(frame: &[u8], lists: &mut Lists) -> Result<Head, ParseError> {
    let envelope: Envelope<'_> = serde_json::from_slice(frame)?;
    if let Some(method) = envelope.method.as_deref() {
        let refused = envelope.success == Some(false) || envelope.error.is_some();
        return Ok(match method {
            _ if refused => Head::Refused,
            "pong" => Head::Other("pong"),
            _ => Head::Other("acknowledgement"),
        });
    }
    let data = envelope.data.map(RawValue::get);
    match (envelope.channel.as_deref(), data) {
        (Some("book"), Some(data)) => book(envelope.kind.as_deref(), data, lists),
        (Some("trade"), Some(data)) => trades(data, lists),
        (Some("status"), Some(data)) => {
            let [status]: [Status<'_>; 1] = serde_json::from_str(data)?;
            Ok(Head::Status(rule::status(&status.system)))
        }
        (Some("heartbeat"), _) => Ok(Head::Other("heartbeat")),
        (Some("ticker"), _) => Ok(Head::Other("ticker")),
        (None, _) if envelope.error.is_some() => Ok(Head::Refused),
        _ => Ok(Head::Other("other")),
    }
}

fn book(kind: Option<&str>, data: &str, lists: &mut Lists) -> Result<Head, ParseError> {
    let is_snapshot = match kind {
        Some("snapshot") => true,
        Some("update") => false,
        _ => {
            return Err(ParseError::Value {
                field: "type",
                problem: "a book message is a snapshot or an update",
            });
        }
    };
    let [book]: [Book<'_>; 1] = serde_json::from_str(data)?;
    levels(&book.bids, &mut lists.bids)?;
    levels(&book.asks, &mut lists.asks)?;
    Ok(Head::Book {
        symbol: rule::symbol(&book.symbol)?,
        is_snapshot,
        checksum: Some(book.checksum),
        ts_event: book.timestamp.as_deref().map(time).transpose()?,
    })
}

fn levels(raw: &[Level<'_>], out: &mut Vec<WireLevel>) -> Result<(), ParseError> {
    for level in raw {
        let price = rule::number(level.price.get().as_bytes(), "price")?;
        let quantity = rule::number(level.qty.get().as_bytes(), "qty")?;
        rule::push_level(out, price, quantity)?;
    }
    Ok(())
}

fn trades(data: &str, lists: &mut Lists) -> Result<Head, ParseError> {
    let raw: Vec<Trade<'_>> = serde_json::from_str(data)?;
    for one in &raw {
        let trade = TradeMessage {
            symbol: rule::symbol(&one.symbol)?,
            ts_event: time(&one.timestamp)?,
            trade_id: Some(TradeId(one.trade_id)),
            price: Price::from_units(rule::number(one.price.get().as_bytes(), "price")?.units),
            quantity: Quantity::from_units(rule::number(one.qty.get().as_bytes(), "qty")?.units),
            aggressor: rule::side(&one.side)?,
        };
        rule::push_trade(&mut lists.trades, trade)?;
    }
    Ok(Head::Trades)
}

fn time(text: &str) -> Result<domain::Timestamp, ParseError> {
    iso8601::parse(text.as_bytes()).ok_or(ParseError::Value {
        field: "timestamp",
        problem: "a time is UTC text such as 2026-08-16T23:37:05.376419Z",
    })
}
