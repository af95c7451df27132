//! Coinbase, Advanced Trade and Exchange.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{BookFact, Fact, Text, TextLevel, TradeFact};

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    channel: Text<'a>,
    #[serde(borrow, default)]
    events: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct BookEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    product_id: Text<'a>,
    #[serde(borrow)]
    updates: Vec<Update<'a>>,
}

#[derive(Deserialize)]
struct Update<'a> {
    #[serde(borrow)]
    side: Text<'a>,
    #[serde(borrow)]
    price_level: Text<'a>,
    #[serde(borrow)]
    new_quantity: Text<'a>,
}

#[derive(Deserialize)]
struct TradesEvent<'a> {
    #[serde(borrow)]
    trades: Vec<Trade<'a>>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow)]
    product_id: Text<'a>,
    #[serde(borrow)]
    price: Text<'a>,
    #[serde(borrow)]
    size: Text<'a>,
}

/// Other events name products, one each.
#[derive(Deserialize)]
struct OtherEvent<'a> {
    #[serde(borrow, default)]
    tickers: Vec<Named<'a>>,
    #[serde(borrow, default)]
    candles: Vec<Named<'a>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    product_id: Text<'a>,
}

pub(super) fn advanced_facts(text: &str) -> Option<Vec<Fact<'_>>> {
    let message: Message<'_> = serde_json::from_str(text).ok()?;
    let mut facts = Vec::new();
    for event in message.events {
        let event = event.get();
        match message.channel.0.as_ref() {
            "l2_data" => facts.push(Fact::Book(book(serde_json::from_str(event).ok()?)?)),
            "market_trades" => {
                let event: TradesEvent<'_> = serde_json::from_str(event).ok()?;
                facts.extend(event.trades.into_iter().map(|trade| {
                    Fact::Trade(TradeFact {
                        symbol: trade.product_id.0,
                        price: trade.price.0,
                        quantity: trade.size.0,
                    })
                }));
            }
            _ => {
                let event: OtherEvent<'_> = serde_json::from_str(event).ok()?;
                let named = event.tickers.into_iter().chain(event.candles);
                facts.extend(named.map(|named| Fact::Other(named.product_id.0)));
            }
        }
    }
    Some(facts)
}

fn book(event: BookEvent<'_>) -> Option<BookFact<'_>> {
    let (mut bids, mut asks) = (Vec::new(), Vec::new());
    for update in event.updates {
        let side = match update.side.0.as_ref() {
            "bid" => &mut bids,
            "offer" => &mut asks,
            _ => return None,
        };
        side.push(TextLevel {
            price: update.price_level.0,
            quantity: update.new_quantity.0,
        });
    }
    Some(BookFact {
        symbol: Some(event.product_id.0),
        is_snapshot: event.kind.0 == "snapshot",
        numbers: None,
        bids,
        asks,
    })
}

#[derive(Deserialize)]
struct ExchangeMessage<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    product_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    bids: Vec<(Text<'a>, Text<'a>)>,
    #[serde(borrow, default)]
    asks: Vec<(Text<'a>, Text<'a>)>,
    #[serde(borrow, default)]
    changes: Vec<(Text<'a>, Text<'a>, Text<'a>)>,
    #[serde(borrow, default)]
    price: Option<Text<'a>>,
    #[serde(borrow, default)]
    size: Option<Text<'a>>,
}

pub(super) fn exchange_facts(text: &str) -> Option<Vec<Fact<'_>>> {
    let message: ExchangeMessage<'_> = serde_json::from_str(text).ok()?;
    let symbol = message.product_id?.0;
    let fact = match message.kind.0.as_ref() {
        "snapshot" => Fact::Book(BookFact {
            symbol: Some(symbol),
            is_snapshot: true,
            numbers: None,
            bids: levels(message.bids),
            asks: levels(message.asks),
        }),
        "l2update" => {
            let (mut bids, mut asks) = (Vec::new(), Vec::new());
            for (side, price, quantity) in message.changes {
                let level = text_level((price, quantity));
                match side.0.as_ref() {
                    "buy" => bids.push(level),
                    "sell" => asks.push(level),
                    _ => return None,
                }
            }
            Fact::Book(BookFact {
                symbol: Some(symbol),
                is_snapshot: false,
                numbers: None,
                bids,
                asks,
            })
        }
        "match" | "last_match" => Fact::Trade(TradeFact {
            symbol,
            price: message.price?.0,
            quantity: message.size?.0,
        }),
        _ => Fact::Other(symbol),
    };
    Some(vec![fact])
}

fn levels<'a>(raw: Vec<(Text<'a>, Text<'a>)>) -> Vec<TextLevel<'a>> {
    raw.into_iter().map(text_level).collect()
}

fn text_level<'a>((price, quantity): (Text<'a>, Text<'a>)) -> TextLevel<'a> {
    TextLevel {
        price: price.0,
        quantity: quantity.0,
    }
}
