//! The fast reader of version 1: books, trades and heartbeats in the form in which the venue writes them.

use domain::{Price, Quantity, Timestamp};

use super::slow_v1::seconds;
use super::{Head, Lists, TradeMessage, rule};
use crate::binance::parser::scan::Cursor;
use crate::kraken::book::WireLevel;
use crate::kraken::number::WireNumber;

pub(super) fn message(frame: &[u8], lists: &mut Lists) -> Option<Head> {
    let mut cursor = Cursor::new(frame);
    if cursor.literal(br#"{"event":"heartbeat"}"#).is_some() {
        return cursor.is_at_end().then_some(Head::Other("heartbeat"));
    }
    cursor.byte(b'[')?;
    cursor.unsigned()?;
    cursor.byte(b',')?;
    let head = if cursor.peek() == Some(b'{') {
        book(&mut cursor, lists)?
    } else {
        trades(&mut cursor, lists)?
    };
    cursor.byte(b']')?;
    cursor.is_at_end().then_some(head)
}

fn book(cursor: &mut Cursor<'_>, lists: &mut Lists) -> Option<Head> {
    let mut newest = None;
    let mut checksum = None;
    let is_snapshot = cursor.literal(br#"{"as":["#).is_some();
    if is_snapshot {
        levels(cursor, &mut lists.asks, &mut newest)?;
        cursor.literal(br#","bs":["#)?;
        levels(cursor, &mut lists.bids, &mut newest)?;
        cursor.byte(b'}')?;
    } else {
        let has_asks = cursor.literal(br#"{"a":["#).is_some();
        if has_asks {
            levels(cursor, &mut lists.asks, &mut newest)?;
        }
        let opens: &[u8] = if has_asks { br#"},{"b":["# } else { br#"{"b":["# };
        if cursor.prefix(opens).is_some() {
            levels(cursor, &mut lists.bids, &mut newest)?;
        } else if !has_asks {
            return None;
        }
        cursor.literal(br#","c":""#)?;
        let digits = std::str::from_utf8(cursor.text()?).ok()?;
        checksum = Some(rule_checksum(digits)?);
        cursor.byte(b'}')?;
    }
    cursor.literal(br#","book-"#)?;
    cursor.text()?;
    cursor.literal(br#",""#)?;
    Some(Head::Book {
        symbol: cursor.symbol()?,
        is_snapshot,
        checksum,
        ts_event: newest,
    })
}

/// The slow reader takes what `u32` takes; a sign or a leading zero is left to it.
fn rule_checksum(digits: &str) -> Option<u32> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

/// `["price","quantity","time"(,"r")],...` up to and with the closing bracket of the list.
fn levels(cursor: &mut Cursor<'_>, out: &mut Vec<WireLevel>, newest: &mut Option<Timestamp>) -> Option<()> {
    if cursor.byte(b']').is_some() {
        return Some(());
    }
    loop {
        cursor.literal(br#"[""#)?;
        let price = WireNumber::parse(cursor.text()?).ok()?;
        cursor.literal(br#",""#)?;
        let quantity = WireNumber::parse(cursor.text()?).ok()?;
        cursor.literal(br#",""#)?;
        *newest = (*newest).max(Some(seconds(cursor.text()?).ok()?));
        if cursor.byte(b']').is_none() {
            cursor.literal(br#","r"]"#)?;
        }
        rule::push_level(out, price, quantity).ok()?;
        if cursor.byte(b',').is_none() {
            return cursor.byte(b']');
        }
    }
}

fn trades(cursor: &mut Cursor<'_>, lists: &mut Lists) -> Option<Head> {
    cursor.byte(b'[')?;
    let mut read = Vec::new();
    loop {
        cursor.literal(br#"[""#)?;
        let price = WireNumber::parse(cursor.text()?).ok()?;
        cursor.literal(br#",""#)?;
        let quantity = WireNumber::parse(cursor.text()?).ok()?;
        cursor.literal(br#",""#)?;
        let ts_event = seconds(cursor.text()?).ok()?;
        cursor.literal(br#",""#)?;
        let aggressor = rule::side(std::str::from_utf8(cursor.text()?).ok()?).ok()?;
        for _ in 0..2 {
            cursor.literal(br#",""#)?;
            cursor.text()?;
        }
        cursor.byte(b']')?;
        read.push((price, quantity, ts_event, aggressor));
        if cursor.byte(b',').is_none() {
            break;
        }
    }
    cursor.literal(br#"],"trade",""#)?;
    let symbol = cursor.symbol()?;
    for (price, quantity, ts_event, aggressor) in read {
        let trade = TradeMessage {
            symbol,
            ts_event,
            trade_id: None,
            price: Price::from_units(price.units),
            quantity: Quantity::from_units(quantity.units),
            aggressor,
        };
        rule::push_trade(&mut lists.trades, trade).ok()?;
    }
    Some(Head::Trades)
}
