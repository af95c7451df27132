//! The fast reader of version 2: books, trades and heartbeats in the form in which the venue writes them.

use domain::{Price, Quantity, TradeId};

use super::{Head, Lists, TradeMessage, rule};
use crate::binance::parser::scan::Cursor;
use crate::iso8601;
use crate::kraken::book::WireLevel;
use crate::kraken::number::WireNumber;

pub(super) fn message(frame: &[u8], lists: &mut Lists) -> Option<Head> {
    let mut cursor = Cursor::new(frame);
    let head = if cursor.literal(br#"{"channel":"book","type":""#).is_some() {
        book(&mut cursor, lists)?
    } else if cursor.literal(br#"{"channel":"trade","type":""#).is_some() {
        trades(&mut cursor, lists)?
    } else {
        cursor.literal(br#"{"channel":"heartbeat"}"#)?;
        Head::Other("heartbeat")
    };
    cursor.is_at_end().then_some(head)
}

fn book(cursor: &mut Cursor<'_>, lists: &mut Lists) -> Option<Head> {
    let is_snapshot = match cursor.text()? {
        b"snapshot" => true,
        b"update" => false,
        _ => return None,
    };
    cursor.literal(br#","data":[{"symbol":""#)?;
    let symbol = cursor.symbol()?;
    cursor.literal(br#","bids":["#)?;
    levels(cursor, &mut lists.bids)?;
    cursor.literal(br#","asks":["#)?;
    levels(cursor, &mut lists.asks)?;
    cursor.literal(br#","checksum":"#)?;
    let checksum = u32::try_from(cursor.unsigned()?).ok()?;
    let ts_event = if cursor.literal(br#","timestamp":""#).is_some() {
        Some(iso8601::parse(cursor.text()?)?)
    } else {
        None
    };
    cursor.literal(b"}]}")?;
    Some(Head::Book {
        symbol,
        is_snapshot,
        checksum: Some(checksum),
        ts_event,
    })
}

/// `{"price":1.5,"qty":2.0},...` up to and with the closing bracket of the list.
fn levels(cursor: &mut Cursor<'_>, out: &mut Vec<WireLevel>) -> Option<()> {
    if cursor.byte(b']').is_some() {
        return Some(());
    }
    loop {
        cursor.literal(br#"{"price":"#)?;
        let price = number(cursor)?;
        cursor.literal(br#","qty":"#)?;
        let quantity = number(cursor)?;
        cursor.byte(b'}')?;
        rule::push_level(out, price, quantity).ok()?;
        if cursor.byte(b',').is_none() {
            return cursor.byte(b']');
        }
    }
}

/// Whatever continues it, such as an exponent, is not what must follow.
#[inline]
fn number(cursor: &mut Cursor<'_>) -> Option<WireNumber> {
    match cursor.plain() {
        Some((units, decimals)) => Some(WireNumber { units, decimals }),
        None => WireNumber::parse(cursor.number()?).ok(),
    }
}

fn trades(cursor: &mut Cursor<'_>, lists: &mut Lists) -> Option<Head> {
    if !matches!(cursor.text()?, b"snapshot" | b"update") {
        return None;
    }
    cursor.literal(br#","data":["#)?;
    loop {
        cursor.literal(br#"{"symbol":""#)?;
        let symbol = cursor.symbol()?;
        cursor.literal(br#","side":""#)?;
        let aggressor = rule::side(std::str::from_utf8(cursor.text()?).ok()?).ok()?;
        cursor.literal(br#","price":"#)?;
        let price = number(cursor)?;
        cursor.literal(br#","qty":"#)?;
        let quantity = number(cursor)?;
        cursor.literal(br#","ord_type":""#)?;
        cursor.text()?;
        cursor.literal(br#","trade_id":"#)?;
        let trade_id = TradeId(cursor.unsigned()?);
        cursor.literal(br#","timestamp":""#)?;
        let ts_event = iso8601::parse(cursor.text()?)?;
        cursor.byte(b'}')?;
        let trade = TradeMessage {
            symbol,
            ts_event,
            trade_id: Some(trade_id),
            price: Price::from_units(price.units),
            quantity: Quantity::from_units(quantity.units),
            aggressor,
        };
        rule::push_trade(&mut lists.trades, trade).ok()?;
        if cursor.byte(b',').is_none() {
            cursor.literal(b"]}")?;
            return Some(Head::Trades);
        }
    }
}
