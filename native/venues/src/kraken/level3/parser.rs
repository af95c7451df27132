//! Messages of the channel `level3`, by `serde_json` over borrowed text: no recording shows which bytes to expect, so there
//! is nothing that a scanner could verify.

use std::borrow::Cow;

use domain::{Price, PublicOrder, PublicOrderId, Quantity, Side, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::number::WireNumber;
use super::super::parser::Symbol;
use crate::error::ParseError;
use crate::iso8601;

/// Most orders of one message: a snapshot of a thousand prices a side, with some tens of orders at each.
pub const MESSAGE_ORDERS_MAX: usize = 100_000;

/// What happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Modify,
    Delete,
}

/// An order, and how its numbers were written: the checksum covers their digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) change: Change,
    pub(super) order: PublicOrder,
    pub(super) decimals: Decimals,
}

/// Digits behind the point of an order's price and quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimals {
    pub(super) price: u8,
    pub(super) quantity: u8,
}

/// What a message is; its orders lie in the buffer, bids before asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    Orders {
        symbol: Symbol,
        is_snapshot: bool,
        checksum: u32,
        /// The newest time that the message bears.
        ts_event: Option<Timestamp>,
    },
    Refused,
    Other(&'static str),
}

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
    checksum: u32,
    #[serde(borrow, default)]
    bids: Vec<Order<'a>>,
    #[serde(borrow, default)]
    asks: Vec<Order<'a>>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow, default)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow)]
    order_id: Cow<'a, str>,
    #[serde(borrow)]
    limit_price: &'a RawValue,
    #[serde(borrow)]
    order_qty: &'a RawValue,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
}

/// Reads one message into `orders`.
///
/// # Errors
/// [`ParseError`] when it is not a message of the venue; nothing panics, whatever the bytes.
pub(super) fn message(frame: &[u8], orders: &mut Vec<Told>) -> Result<Head, ParseError> {
    orders.clear();
    let envelope: Envelope<'_> = serde_json::from_slice(frame)?;
    if envelope.method.is_some() || envelope.error.is_some() {
        let is_refused = envelope.success == Some(false) || envelope.error.is_some();
        return Ok(if is_refused {
            Head::Refused
        } else {
            Head::Other("acknowledgement")
        });
    }
    match (envelope.channel.as_deref(), envelope.data) {
        (Some("level3"), Some(data)) => book(envelope.kind.as_deref(), data.get(), orders),
        (Some("heartbeat"), _) => Ok(Head::Other("heartbeat")),
        (Some("status"), _) => Ok(Head::Other(super::STATUS)),
        _ => Ok(Head::Other("other")),
    }
}

fn book(kind: Option<&str>, data: &str, orders: &mut Vec<Told>) -> Result<Head, ParseError> {
    let is_snapshot = match kind {
        Some("snapshot") => true,
        Some("update") => false,
        _ => return Err(value("type", "a message of orders is a snapshot or an update")),
    };
    let [book]: [Book<'_>; 1] = serde_json::from_str(data)?;
    let mut newest = book.timestamp.as_deref().map(time).transpose()?;
    for (side, list) in [(Side::Buy, &book.bids), (Side::Sell, &book.asks)] {
        for order in list {
            if orders.len() == MESSAGE_ORDERS_MAX {
                return Err(ParseError::TooMany {
                    field: "orders",
                    max: MESSAGE_ORDERS_MAX,
                });
            }
            orders.push(told(order, side, is_snapshot)?);
            newest = newest.max(order.timestamp.as_deref().map(time).transpose()?);
        }
    }
    Ok(Head::Orders {
        symbol: Symbol::new(&book.symbol).ok_or(value("symbol", "at most 24 printable ASCII bytes"))?,
        is_snapshot,
        checksum: book.checksum,
        ts_event: newest,
    })
}

fn told(order: &Order<'_>, side: Side, is_snapshot: bool) -> Result<Told, ParseError> {
    let change = match order.event.as_deref() {
        None if is_snapshot => Change::Add,
        Some("add") => Change::Add,
        Some("modify") => Change::Modify,
        Some("delete") => Change::Delete,
        _ => return Err(value("event", "add, modify or delete")),
    };
    let id = PublicOrderId::from_text(order.order_id.as_bytes());
    let number = |raw: &RawValue, field| {
        WireNumber::parse(raw.get().as_bytes()).map_err(|source| ParseError::Number { field, source })
    };
    let price = number(order.limit_price, "limit_price")?;
    let quantity = number(order.order_qty, "order_qty")?;
    Ok(Told {
        change,
        order: PublicOrder {
            id: id.ok_or(value("order_id", "up to 24 capitals, digits and hyphens"))?,
            side,
            price: Price::from_units(price.units),
            quantity: Quantity::from_units(quantity.units),
        },
        decimals: Decimals {
            price: price.decimals,
            quantity: quantity.decimals,
        },
    })
}

fn time(text: &str) -> Result<Timestamp, ParseError> {
    iso8601::parse(text.as_bytes()).ok_or(value("timestamp", "UTC text such as 2026-08-16T23:37:05.376419Z"))
}

const fn value(field: &'static str, problem: &'static str) -> ParseError {
    ParseError::Value { field, problem }
}
