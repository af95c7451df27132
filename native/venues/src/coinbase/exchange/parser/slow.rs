//! The slow reader and oracle: `serde_json` over borrowed text, any field order, unknown fields ignored.

use std::borrow::Cow;

use domain::{Price, PublicOrder, Quantity, Side, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::fields::Fields;
use super::head::{self, Head, fault};
use super::{Buffers, ParseError, SNAPSHOT_ORDERS_MAX};
use crate::iso8601;

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    product_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    time: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    sequence: Option<&'a RawValue>,
    #[serde(borrow, default)]
    trade_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    last_trade_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    order_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    maker_order_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    side: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    price: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    new_price: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    size: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    remaining_size: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    new_size: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    best_bid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    best_bid_size: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    best_ask: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    best_ask_size: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    bids: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    #[serde(borrow, default)]
    asks: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    #[serde(borrow, default)]
    changes: Vec<(Cow<'a, str>, Cow<'a, str>, Cow<'a, str>)>,
}

/// The number it stands at is a number in the documentation and was text once.
#[derive(Deserialize)]
struct Snapshot<'a> {
    #[serde(borrow)]
    sequence: &'a RawValue,
    #[serde(borrow, default)]
    time: Option<Cow<'a, str>>,
    #[serde(borrow)]
    bids: Vec<(Cow<'a, str>, Cow<'a, str>, Cow<'a, str>)>,
    #[serde(borrow)]
    asks: Vec<(Cow<'a, str>, Cow<'a, str>, Cow<'a, str>)>,
}

/// Reads one message; its levels lie in `buffers`.
pub(super) fn message(frame: &[u8], buffers: &mut Buffers) -> Result<Head, ParseError> {
    buffers.bids.clear();
    buffers.asks.clear();
    // A list would be read as fields in their order.
    if !frame.trim_ascii_start().starts_with(b"{") {
        return Err(fault("", "a message is an object"));
    }
    let raw: Raw<'_> = serde_json::from_slice(frame)?;
    for (levels, is_bid) in [(&raw.bids, true), (&raw.asks, false)] {
        for (price, quantity) in levels {
            head::level(price.as_bytes(), quantity.as_bytes(), is_bid, buffers)?;
        }
    }
    for (side, price, quantity) in &raw.changes {
        let is_bid = head::side(side.as_bytes())? == Side::Buy;
        head::level(price.as_bytes(), quantity.as_bytes(), is_bid, buffers)?;
    }
    head::of(&fields(&raw))
}

fn fields<'a>(raw: &'a Raw<'_>) -> Fields<'a> {
    fn text<'a>(text: Option<&'a Cow<'_, str>>) -> Option<&'a [u8]> {
        text.map(|text| text.as_bytes())
    }
    fn number(raw: Option<&RawValue>) -> Option<&[u8]> {
        raw.map(|raw| raw.get().as_bytes())
            .filter(|text| *text != b"null")
    }
    Fields {
        kind: text(raw.kind.as_ref()),
        product_id: text(raw.product_id.as_ref()),
        time: text(raw.time.as_ref()),
        sequence: number(raw.sequence),
        trade_id: number(raw.trade_id),
        last_trade_id: number(raw.last_trade_id),
        order_id: text(raw.order_id.as_ref()),
        maker_order_id: text(raw.maker_order_id.as_ref()),
        side: text(raw.side.as_ref()),
        price: text(raw.price.as_ref()),
        new_price: text(raw.new_price.as_ref()),
        size: text(raw.size.as_ref()),
        remaining_size: text(raw.remaining_size.as_ref()),
        new_size: text(raw.new_size.as_ref()),
        best_bid: text(raw.best_bid.as_ref()),
        best_bid_size: text(raw.best_bid_size.as_ref()),
        best_ask: text(raw.best_ask.as_ref()),
        best_ask_size: text(raw.best_ask_size.as_ref()),
    }
}

/// Reads the answer of REST `book` at level 3: its number and its time; its orders lie in `orders`.
pub(super) fn snapshot(
    body: &[u8],
    orders: &mut Vec<PublicOrder>,
) -> Result<(u64, Option<Timestamp>), ParseError> {
    orders.clear();
    let raw: Snapshot<'_> = serde_json::from_slice(body)?;
    if raw.bids.len() + raw.asks.len() > SNAPSHOT_ORDERS_MAX {
        return Err(ParseError::TooMany {
            field: "bids",
            max: SNAPSHOT_ORDERS_MAX,
        });
    }
    for (side, resting) in [(Side::Buy, &raw.bids), (Side::Sell, &raw.asks)] {
        for (price, size, id) in resting {
            let fixed = |source| ParseError::Number {
                field: "bids",
                source,
            };
            let price = Price::parse(price.as_bytes()).map_err(fixed)?;
            let quantity = Quantity::parse(size.as_bytes()).map_err(fixed)?;
            orders.push(head::resting(id.as_bytes(), side, price, quantity)?);
        }
    }
    let sequence = serde_json::from_str(raw.sequence.get().trim_matches('"'))?;
    let ts_event = match raw.time.as_deref() {
        None | Some("") => None,
        Some(text) => Some(
            iso8601::parse(text.as_bytes())
                .ok_or_else(|| fault("time", "a time is such as 2022-08-04T15:25:05.010758Z"))?,
        ),
    };
    Ok((sequence, ts_event))
}
