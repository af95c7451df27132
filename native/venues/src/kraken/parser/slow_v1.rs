//! The slow reader of version 1, and oracle: `serde_json` over borrowed text.

use std::borrow::Cow;

use domain::{Price, Quantity, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Head, Lists, ParseError, Symbol, TradeMessage, rule};
use crate::kraken::book::WireLevel;

/// Nanoseconds in a unit of 1e-8 seconds.
const NANOS_IN_UNIT: i64 = 10;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
}

/// A price, a quantity, a time, and `r` when the venue tells a level again.
type Level<'a> = Vec<Cow<'a, str>>;

#[derive(Deserialize)]
struct Book<'a> {
    #[serde(borrow, default, rename = "as")]
    all_asks: Option<Vec<Level<'a>>>,
    #[serde(borrow, default, rename = "bs")]
    all_bids: Option<Vec<Level<'a>>>,
    #[serde(borrow, default, rename = "a")]
    asks: Option<Vec<Level<'a>>>,
    #[serde(borrow, default, rename = "b")]
    bids: Option<Vec<Level<'a>>>,
    #[serde(borrow, default, rename = "c")]
    checksum: Option<Cow<'a, str>>,
}

pub(super) fn message(frame: &[u8], lists: &mut Lists) -> Result<Head, ParseError> {
    if frame.first() == Some(&b'{') {
        return Ok(event(&serde_json::from_slice(frame)?));
    }
    let parts: Vec<&RawValue> = serde_json::from_slice(frame)?;
    let [_channel, bodies @ .., name, pair] = parts.as_slice() else {
        return Err(ParseError::Value {
            field: "",
            problem: "a message is a list of channel, bodies, name and pair",
        });
    };
    let name: Cow<'_, str> = serde_json::from_str(name.get())?;
    let pair: Cow<'_, str> = serde_json::from_str(pair.get())?;
    let symbol = rule::symbol(&pair)?;
    match name.as_ref() {
        name if name.starts_with("book-") => book(bodies, symbol, lists),
        "trade" => trades(bodies, symbol, lists),
        "ticker" => Ok(Head::Other("ticker")),
        _ => Ok(Head::Other("other")),
    }
}

fn event(event: &Event<'_>) -> Head {
    let status = event.status.as_deref();
    match event.event.as_ref() {
        "heartbeat" => Head::Other("heartbeat"),
        "systemStatus" => Head::Status(rule::status(status.unwrap_or_default())),
        "subscriptionStatus" if status == Some("error") => Head::Refused,
        "subscriptionStatus" => Head::Other("acknowledgement"),
        "pong" => Head::Other("pong"),
        "error" => Head::Refused,
        _ => Head::Other("other"),
    }
}

fn book(bodies: &[&RawValue], symbol: Symbol, lists: &mut Lists) -> Result<Head, ParseError> {
    let (mut newest, mut checksum, mut is_snapshot) = (None, None, false);
    for body in bodies {
        let book: Book<'_> = serde_json::from_str(body.get())?;
        is_snapshot |= book.all_asks.is_some() || book.all_bids.is_some();
        for level in book.all_asks.iter().chain(&book.asks).flatten() {
            push(level, &mut lists.asks, &mut newest)?;
        }
        for level in book.all_bids.iter().chain(&book.bids).flatten() {
            push(level, &mut lists.bids, &mut newest)?;
        }
        if let Some(digits) = &book.checksum {
            checksum = Some(digits.parse().map_err(|_| ParseError::Value {
                field: "c",
                problem: "a checksum is an unsigned number of 32 bits",
            })?);
        }
    }
    Ok(Head::Book {
        symbol,
        is_snapshot,
        checksum,
        ts_event: newest,
    })
}

fn push(
    level: &Level<'_>,
    out: &mut Vec<WireLevel>,
    newest: &mut Option<Timestamp>,
) -> Result<(), ParseError> {
    let [price, quantity, time, ..] = level.as_slice() else {
        return Err(ParseError::Value {
            field: "level",
            problem: "a level has a price, a quantity and a time",
        });
    };
    let price = rule::number(price.as_bytes(), "price")?;
    let quantity = rule::number(quantity.as_bytes(), "quantity")?;
    *newest = (*newest).max(Some(seconds(time.as_bytes())?));
    rule::push_level(out, price, quantity)
}

fn trades(bodies: &[&RawValue], symbol: Symbol, lists: &mut Lists) -> Result<Head, ParseError> {
    for body in bodies {
        let raw: Vec<Vec<Cow<'_, str>>> = serde_json::from_str(body.get())?;
        for one in &raw {
            let [price, quantity, time, side, ..] = one.as_slice() else {
                return Err(ParseError::Value {
                    field: "trade",
                    problem: "a trade has a price, a quantity, a time and a side",
                });
            };
            let trade = TradeMessage {
                symbol,
                ts_event: seconds(time.as_bytes())?,
                trade_id: None,
                price: Price::from_units(rule::number(price.as_bytes(), "price")?.units),
                quantity: Quantity::from_units(rule::number(quantity.as_bytes(), "quantity")?.units),
                aggressor: rule::side(side)?,
            };
            rule::push_trade(&mut lists.trades, trade)?;
        }
    }
    Ok(Head::Trades)
}

/// `1617666423.690142`, seconds since the epoch, at most eight digits behind the point.
pub(super) fn seconds(text: &[u8]) -> Result<Timestamp, ParseError> {
    let units = rule::number(text, "time")?.units;
    let nanos = units.checked_mul(NANOS_IN_UNIT).ok_or(ParseError::Value {
        field: "time",
        problem: "a time is before the year 2262",
    })?;
    Ok(Timestamp::from_nanos(nanos))
}
