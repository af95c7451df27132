//! The slow reader and oracle: `serde_json` over borrowed text, any field order, unknown fields ignored.

use std::borrow::Cow;
use std::fmt;

use domain::{FixedPointError, Price, PublicOrder, PublicOrderId, Quantity, Side};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Code, Head, OrderAction, ParseError, SnapshotHead, rule, timestamp};
use crate::iso8601;

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow, rename = "Event")]
    event: Cow<'a, str>,
    #[serde(borrow, default, rename = "Channel")]
    channel: Option<Cow<'a, str>>,
    #[serde(default, rename = "Nonce")]
    nonce: Option<u64>,
    #[serde(default, rename = "Time")]
    time_ms: Option<u64>,
    #[serde(borrow, default, rename = "Data")]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow, rename = "OrderType")]
    order_type: Cow<'a, str>,
    #[serde(borrow, rename = "OrderGuid")]
    guid: Cow<'a, str>,
    #[serde(borrow, default, rename = "Price")]
    prices: Option<Prices<'a>>,
    #[serde(borrow, default, rename = "Volume")]
    volume: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    /// Prices by currency; one number in the older form, whose channel or pair names the currency.
    #[serde(borrow, rename = "Price")]
    price: &'a RawValue,
    #[serde(borrow, default, rename = "Pair")]
    pair: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "Volume")]
    volume: &'a RawValue,
    #[serde(borrow, rename = "Side")]
    side: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Snapshot<'a> {
    #[serde(borrow, rename = "BuyOrders")]
    bids: Vec<Resting<'a>>,
    #[serde(borrow, rename = "SellOrders")]
    asks: Vec<Resting<'a>>,
    #[serde(borrow, rename = "PrimaryCurrencyCode")]
    primary: Cow<'a, str>,
    #[serde(borrow, rename = "SecondaryCurrencyCode")]
    secondary: Cow<'a, str>,
    #[serde(borrow, rename = "CreatedTimestampUtc")]
    created: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Resting<'a> {
    #[serde(borrow, rename = "Guid")]
    guid: Cow<'a, str>,
    #[serde(borrow, rename = "Price")]
    price: &'a RawValue,
    #[serde(borrow, rename = "Volume")]
    volume: &'a RawValue,
}

/// An object's members in the order they stand.
struct Prices<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Prices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("prices by currency")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<Name<'de>, _>()? {
                    members.push((member.0.0, member.1));
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Members).map(Prices)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads one message of the stream; its prices lie in `prices`.
pub(super) fn message(frame: &[u8], prices: &mut Vec<(Code, Price)>) -> Result<Head, ParseError> {
    // A list would be read as fields in their order.
    if !frame.trim_ascii_start().starts_with(b"{") {
        return Err(fault("", "a message is an object"));
    }
    prices.clear();
    let outer: Outer<'_> = serde_json::from_slice(frame)?;
    match outer.event.as_ref() {
        "NewOrder" | "OrderChanged" | "OrderCanceled" => order(&outer, prices),
        "Trade" => trade(&outer, prices),
        "Subscriptions" => Ok(Head::Subscriptions),
        "Heartbeat" => Ok(Head::Heartbeat),
        "Error" => Ok(Head::Refused),
        _ => Ok(Head::Other),
    }
}

/// The parts that all events of a channel have.
fn numbered<'a>(outer: &'a Outer<'_>) -> Result<(&'a str, u64, u64, &'a str), ParseError> {
    let parts = || {
        Some((
            outer.channel.as_deref()?,
            outer.nonce?,
            outer.time_ms?,
            outer.data?.get(),
        ))
    };
    parts().ok_or_else(|| {
        fault(
            "Nonce",
            "an event of a channel has a channel, a number, a time and data",
        )
    })
}

fn order(outer: &Outer<'_>, prices: &mut Vec<(Code, Price)>) -> Result<Head, ParseError> {
    let (channel, nonce, time_ms, data) = numbered(outer)?;
    let (is_book, primary) = rule::channel(channel.as_bytes())?;
    if !is_book {
        return Err(fault("Channel", "orders come on a channel `orderbook-...`"));
    }
    let raw: Order<'_> = serde_json::from_str(data)?;
    let quantity = || {
        let volume = raw
            .volume
            .ok_or_else(|| fault("Volume", "an order that is not canceled has a volume"))?;
        number(Quantity::parse, volume, "Volume")
    };
    let action = match outer.event.as_ref() {
        "NewOrder" => OrderAction::New(quantity()?),
        "OrderChanged" => OrderAction::Changed(quantity()?),
        _ => OrderAction::Canceled,
    };
    if matches!(action, OrderAction::New(_)) {
        take_prices(raw.prices.iter().flat_map(|prices| &prices.0), prices)?;
    }
    Ok(Head::Order {
        primary,
        nonce,
        ts_event: timestamp(time_ms),
        id: order_id(&raw.guid, "OrderGuid")?,
        side: rule::order_side(raw.order_type.as_bytes())?,
        action: rule::action(action, !prices.is_empty())?,
    })
}

fn trade(outer: &Outer<'_>, prices: &mut Vec<(Code, Price)>) -> Result<Head, ParseError> {
    let (channel, nonce, time_ms, data) = numbered(outer)?;
    let (is_book, primary) = rule::channel(channel.as_bytes())?;
    if is_book {
        return Err(fault("Channel", "trades come on a channel `ticker-...`"));
    }
    let raw: Trade<'_> = serde_json::from_str(data)?;
    if raw.price.get().starts_with('{') {
        let by_currency: Prices<'_> = serde_json::from_str(raw.price.get())?;
        take_prices(&by_currency.0, prices)?;
    } else {
        let pair = raw.pair.as_deref().unwrap_or(channel);
        let secondary = pair.rsplit('-').next().unwrap_or_default();
        let price = number(Price::parse, raw.price, "Price")?;
        rule::price(rule::code(secondary.as_bytes(), "Pair")?, price, prices)?;
    }
    let quantity = number(Quantity::parse, raw.volume, "Volume")?;
    if quantity <= Quantity::ZERO {
        return Err(fault("Volume", "a trade has a positive volume"));
    }
    Ok(Head::Trade {
        primary,
        nonce,
        ts_event: timestamp(time_ms),
        quantity,
        aggressor: match raw.side.as_ref() {
            "Buy" => Side::Buy,
            "Sell" => Side::Sell,
            _ => return Err(fault("Side", "the taker's side is `Buy` or `Sell`")),
        },
    })
}

fn take_prices<'a>(
    members: impl IntoIterator<Item = &'a (Cow<'a, str>, &'a RawValue)>,
    prices: &mut Vec<(Code, Price)>,
) -> Result<(), ParseError> {
    for (name, text) in members {
        let code = rule::code(name.as_bytes(), "Price")?;
        rule::price(code, number(Price::parse, text, "Price")?, prices)?;
    }
    Ok(())
}

/// Reads the answer of REST `GetAllOrders`; its orders lie in `orders`.
pub(super) fn snapshot(body: &[u8], orders: &mut Vec<PublicOrder>) -> Result<SnapshotHead, ParseError> {
    orders.clear();
    let raw: Snapshot<'_> = serde_json::from_slice(body)?;
    for (side, resting) in [(Side::Buy, &raw.bids), (Side::Sell, &raw.asks)] {
        for order in resting {
            let order = PublicOrder {
                id: order_id(&order.guid, "Guid")?,
                side,
                price: number(Price::parse, order.price, "Price")?,
                quantity: number(Quantity::parse, order.volume, "Volume")?,
            };
            rule::order(order, orders)?;
        }
    }
    Ok(SnapshotHead {
        primary: rule::code(raw.primary.as_bytes(), "PrimaryCurrencyCode")?,
        secondary: rule::code(raw.secondary.as_bytes(), "SecondaryCurrencyCode")?,
        ts_event: iso8601::parse(raw.created.as_bytes()).ok_or_else(|| {
            fault(
                "CreatedTimestampUtc",
                "a time is such as 2022-04-03T22:10:10.212029Z",
            )
        })?,
    })
}

fn order_id(text: &str, field: &'static str) -> Result<PublicOrderId, ParseError> {
    PublicOrderId::from_uuid(text.as_bytes()).ok_or_else(|| fault(field, "an order's name is a UUID"))
}

/// A bare JSON number, from its text.
fn number<N>(
    parse: impl Fn(&[u8]) -> Result<N, FixedPointError>,
    raw: &RawValue,
    field: &'static str,
) -> Result<N, ParseError> {
    parse(raw.get().as_bytes()).map_err(|source| ParseError::Number { field, source })
}

const fn fault(field: &'static str, problem: &'static str) -> ParseError {
    ParseError::Value { field, problem }
}
