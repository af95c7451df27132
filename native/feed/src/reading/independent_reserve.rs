//! Independent Reserve: order by order, each priced in every currency of the venue.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Action, Fact, OrderFact, OrdersFact, Resting, Text, TradeFact, number};

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "Event")]
    event: Text<'a>,
    #[serde(borrow, rename = "Channel")]
    channel: Text<'a>,
    #[serde(rename = "Nonce")]
    nonce: u64,
    #[serde(borrow, rename = "Data")]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow, rename = "OrderType")]
    order_type: Text<'a>,
    #[serde(borrow, rename = "OrderGuid")]
    id: Text<'a>,
    #[serde(borrow, default, rename = "Price")]
    prices: BTreeMap<String, &'a RawValue>,
    #[serde(borrow, default, rename = "Volume")]
    volume: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow, rename = "Price")]
    price: &'a RawValue,
    #[serde(borrow, default, rename = "Pair")]
    pair: Option<Text<'a>>,
    #[serde(borrow, rename = "Volume")]
    volume: &'a RawValue,
}

#[derive(Deserialize)]
struct Snapshot<'a> {
    #[serde(rename = "PrimaryCurrencyCode")]
    primary: String,
    #[serde(rename = "SecondaryCurrencyCode")]
    secondary: String,
    #[serde(borrow, rename = "BuyOrders")]
    bids: Vec<SnapshotOrder<'a>>,
    #[serde(borrow, rename = "SellOrders")]
    asks: Vec<SnapshotOrder<'a>>,
}

#[derive(Deserialize)]
struct SnapshotOrder<'a> {
    #[serde(borrow, rename = "Guid")]
    id: Text<'a>,
    #[serde(borrow, rename = "Price")]
    price: &'a RawValue,
    #[serde(borrow, rename = "Volume")]
    volume: &'a RawValue,
}

pub(super) fn facts(text: &str) -> Option<Vec<Fact<'_>>> {
    let message: Message<'_> = serde_json::from_str(text).ok()?;
    let channel = message.channel.0.to_lowercase();
    let data = message.data.get();
    match message.event.0.as_ref() {
        "Trade" => trade(channel.strip_prefix("ticker-")?, data),
        event @ ("NewOrder" | "OrderChanged" | "OrderCanceled") => {
            let traded = channel.strip_prefix("orderbook-")?.to_owned();
            order(event, traded, message.nonce, data).map(|fact| vec![fact])
        }
        _ => Some(Vec::new()),
    }
}

fn order<'a>(event: &str, traded: String, number_of_event: u64, data: &'a str) -> Option<Fact<'a>> {
    let raw: Order<'_> = serde_json::from_str(data).ok()?;
    let volume = || number(raw.volume?);
    let action = match event {
        "NewOrder" => {
            let price = |(name, text): (&String, &&'a RawValue)| Some((name.to_lowercase(), number(text)?));
            Action::New {
                is_bid: raw.order_type.0.ends_with("Bid"),
                prices: raw.prices.iter().map(price).collect::<Option<_>>()?,
                quantity: volume()?,
            }
        }
        "OrderChanged" => Action::Changed(volume()?),
        _ => Action::Canceled,
    };
    Some(Fact::Order(OrderFact {
        traded,
        number: number_of_event,
        id: raw.id.0,
        action,
    }))
}

fn trade<'a>(channel: &str, data: &'a str) -> Option<Vec<Fact<'a>>> {
    let raw: Trade<'_> = serde_json::from_str(data).ok()?;
    let quantity = number(raw.volume)?;
    let fact = |symbol: String, price| {
        Fact::Trade(TradeFact {
            symbol: symbol.into(),
            price,
            quantity: quantity.clone(),
        })
    };
    if !raw.price.get().starts_with('{') {
        let pair = raw
            .pair
            .map_or_else(|| channel.to_owned(), |pair| pair.0.to_lowercase());
        return Some(vec![fact(pair, number(raw.price)?)]);
    }
    let traded = channel.split('-').next()?;
    let prices: BTreeMap<String, &RawValue> = serde_json::from_str(raw.price.get()).ok()?;
    let each = |(name, price): (String, &'a RawValue)| {
        Some(fact(format!("{traded}-{}", name.to_lowercase()), number(price)?))
    };
    prices.into_iter().map(each).collect()
}

pub(super) fn snapshot(text: &str) -> Option<OrdersFact<'_>> {
    let raw: Snapshot<'_> = serde_json::from_str(text).ok()?;
    let symbol = format!("{}-{}", raw.primary, raw.secondary).to_lowercase();
    let sides = [(true, raw.bids), (false, raw.asks)];
    let orders = sides.into_iter().flat_map(|(is_bid, orders)| {
        orders.into_iter().map(move |order| {
            Some(Resting {
                id: order.id.0,
                is_bid,
                price: number(order.price)?,
                quantity: number(order.volume)?,
            })
        })
    });
    let orders = orders.collect::<Option<_>>()?;
    Some(OrdersFact { symbol, orders })
}
