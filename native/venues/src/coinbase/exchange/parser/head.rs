//! What the fields of a message mean.

use domain::{
    FixedPointError, Level, OrderBookEvent, Price, PublicOrder, PublicOrderId, Quantity, Side, Timestamp,
    TradeId,
};

use super::fields::Fields;
use super::{Buffers, MESSAGE_LEVELS_MAX, Message, OrderMessage, ParseError, Symbol, TradeMessage};
use crate::iso8601;

/// A message without its levels, which lie in the buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    Levels {
        is_snapshot: bool,
        symbol: Symbol,
        ts_event: Option<Timestamp>,
    },
    Message(Message<'static>),
}

/// Reads the fields.
pub(super) fn of(fields: &Fields<'_>) -> Result<Head, ParseError> {
    let message = match fields.kind.ok_or_else(|| fault("type", "a message has a type"))? {
        b"snapshot" => return levels(fields, true),
        b"l2update" => return levels(fields, false),
        b"match" => Message::Match(trade(fields)?),
        b"last_match" => Message::LastMatch(trade(fields)?),
        b"received" => Message::Order("received", order(fields, |_| Ok(None))?),
        b"open" => Message::Order("open", order(fields, open)?),
        b"done" => Message::Order("done", order(fields, done)?),
        b"change" => Message::Order("change", order(fields, change)?),
        b"heartbeat" => Message::Heartbeat {
            symbol: symbol(fields)?,
            sequence: integer(fields.sequence, "sequence")?,
            last_trade_id: TradeId(integer(fields.last_trade_id, "last_trade_id")?),
        },
        b"ticker" => ticker(fields)?,
        b"error" => Message::Refused,
        b"subscriptions" => Message::Subscriptions,
        _ => Message::Other,
    };
    Ok(Head::Message(message))
}

/// Keeps a level; both readers end here.
pub(super) fn level(
    price: &[u8],
    quantity: &[u8],
    is_bid: bool,
    buffers: &mut Buffers,
) -> Result<(), ParseError> {
    let level = Level {
        price: number(Price::parse, Some(price), "changes")?,
        quantity: number(Quantity::parse, Some(quantity), "changes")?,
    };
    if level.price <= Price::ZERO || level.quantity < Quantity::ZERO {
        return Err(fault(
            "changes",
            "a level has a positive price and a quantity that is not negative",
        ));
    }
    if buffers.bids.len() + buffers.asks.len() == MESSAGE_LEVELS_MAX {
        return Err(ParseError::TooMany {
            field: "changes",
            max: MESSAGE_LEVELS_MAX,
        });
    }
    let side = if is_bid {
        &mut buffers.bids
    } else {
        &mut buffers.asks
    };
    side.push(level);
    Ok(())
}

/// `buy` is a bid.
pub(super) fn side(text: &[u8]) -> Result<Side, ParseError> {
    match text {
        b"buy" => Ok(Side::Buy),
        b"sell" => Ok(Side::Sell),
        _ => Err(fault("side", "a side is `buy` or `sell`")),
    }
}

/// An order that rests, of a snapshot or of a message.
pub(super) fn resting(
    id: &[u8],
    side: Side,
    price: Price,
    quantity: Quantity,
) -> Result<PublicOrder, ParseError> {
    if price <= Price::ZERO || quantity <= Quantity::ZERO {
        return Err(fault(
            "price",
            "an order that rests has a positive price and size",
        ));
    }
    Ok(PublicOrder {
        id: order_id(Some(id), "order_id")?,
        side,
        price,
        quantity,
    })
}

fn levels(fields: &Fields<'_>, is_snapshot: bool) -> Result<Head, ParseError> {
    Ok(Head::Levels {
        is_snapshot,
        symbol: symbol(fields)?,
        ts_event: match fields.time {
            None if is_snapshot => None,
            _ => Some(time(fields)?),
        },
    })
}

fn trade(fields: &Fields<'_>) -> Result<TradeMessage, ParseError> {
    let trade = TradeMessage {
        symbol: symbol(fields)?,
        ts_event: time(fields)?,
        sequence: integer(fields.sequence, "sequence")?,
        trade_id: TradeId(integer(fields.trade_id, "trade_id")?),
        maker: order_id(fields.maker_order_id, "maker_order_id")?,
        price: number(Price::parse, fields.price, "price")?,
        quantity: number(Quantity::parse, fields.size, "size")?,
        aggressor: match side(fields.side.unwrap_or_default())? {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        },
    };
    if trade.price <= Price::ZERO || trade.quantity <= Quantity::ZERO {
        return Err(fault("size", "a trade has a positive price and size"));
    }
    Ok(trade)
}

fn order(
    fields: &Fields<'_>,
    event: impl Fn(&Fields<'_>) -> Result<Option<OrderBookEvent>, ParseError>,
) -> Result<OrderMessage, ParseError> {
    Ok(OrderMessage {
        symbol: symbol(fields)?,
        ts_event: time(fields)?,
        sequence: integer(fields.sequence, "sequence")?,
        event: event(fields)?,
    })
}

/// The order rests from now on with what is left of it.
fn open(fields: &Fields<'_>) -> Result<Option<OrderBookEvent>, ParseError> {
    let order = resting(
        fields.order_id.unwrap_or_default(),
        side(fields.side.unwrap_or_default())?,
        number(Price::parse, fields.price, "price")?,
        number(Quantity::parse, fields.remaining_size, "remaining_size")?,
    )?;
    Ok(Some(OrderBookEvent::Add(order)))
}

/// The order rests no more, if it ever did.
fn done(fields: &Fields<'_>) -> Result<Option<OrderBookEvent>, ParseError> {
    let id = order_id(fields.order_id, "order_id")?;
    Ok(Some(OrderBookEvent::Cancel { id }))
}

/// Self-trade prevention made the order smaller, or its owner modified it. A change of funds is of a market order, which
/// never rests.
fn change(fields: &Fields<'_>) -> Result<Option<OrderBookEvent>, ParseError> {
    let id = order_id(fields.order_id, "order_id")?;
    if fields.new_size.is_none() {
        return Ok(None);
    }
    let quantity = number(Quantity::parse, fields.new_size, "new_size")?;
    if quantity < Quantity::ZERO {
        return Err(fault("new_size", "a size is not negative"));
    }
    if fields.new_price.is_none() || quantity.is_zero() {
        return Ok(Some(OrderBookEvent::Change { id, quantity }));
    }
    let order = resting(
        fields.order_id.unwrap_or_default(),
        side(fields.side.unwrap_or_default())?,
        number(Price::parse, fields.new_price, "new_price")?,
        quantity,
    )?;
    Ok(Some(OrderBookEvent::Move(order)))
}

fn ticker(fields: &Fields<'_>) -> Result<Message<'static>, ParseError> {
    // An empty side is zero; the sizes are younger than the message.
    let level = |price: Option<&[u8]>, size: Option<&[u8]>, field| -> Result<Level, ParseError> {
        Ok(Level {
            price: number(Price::parse, or_zero(price), field)?,
            quantity: number(Quantity::parse, or_zero(size), field)?,
        })
    };
    Ok(Message::Ticker {
        symbol: symbol(fields)?,
        ts_event: time(fields)?,
        sequence: integer(fields.sequence, "sequence")?,
        bid: level(fields.best_bid, fields.best_bid_size, "best_bid")?,
        ask: level(fields.best_ask, fields.best_ask_size, "best_ask")?,
    })
}

fn or_zero(text: Option<&[u8]>) -> Option<&[u8]> {
    text.filter(|text| !text.is_empty()).or(Some(b"0"))
}

fn symbol(fields: &Fields<'_>) -> Result<Symbol, ParseError> {
    let text = std::str::from_utf8(fields.product_id.unwrap_or_default()).unwrap_or_default();
    Symbol::new(text)
        .filter(|_| !text.is_empty())
        .ok_or_else(|| fault("product_id", "a product is one to 24 printable ASCII bytes"))
}

fn time(fields: &Fields<'_>) -> Result<Timestamp, ParseError> {
    iso8601::parse(fields.time.unwrap_or_default())
        .ok_or_else(|| fault("time", "a time is such as 2022-08-04T15:25:05.010758Z"))
}

fn order_id(text: Option<&[u8]>, field: &'static str) -> Result<PublicOrderId, ParseError> {
    PublicOrderId::from_uuid(text.unwrap_or_default())
        .ok_or_else(|| fault(field, "an order's name is a UUID"))
}

fn integer(text: Option<&[u8]>, field: &'static str) -> Result<u64, ParseError> {
    let digits = text.and_then(|text| std::str::from_utf8(text).ok());
    digits
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| fault(field, "a count is a whole number of at most 64 bits"))
}

fn number<N>(
    parse: impl Fn(&[u8]) -> Result<N, FixedPointError>,
    text: Option<&[u8]>,
    field: &'static str,
) -> Result<N, ParseError> {
    parse(text.unwrap_or_default()).map_err(|source| ParseError::Number { field, source })
}

pub(super) const fn fault(field: &'static str, problem: &'static str) -> ParseError {
    ParseError::Value { field, problem }
}
