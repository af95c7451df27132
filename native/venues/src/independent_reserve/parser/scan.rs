//! The fast reader: verifies the literal skeleton, reads the fields in between, returns `None` at the first deviation. It
//! accepts nothing that the slow reader would read otherwise.

use domain::{Price, PublicOrder, PublicOrderId, Quantity, Side};

use super::{Code, Head, OrderAction, SnapshotHead, rule, timestamp};
use crate::binance::parser::scan::Cursor;
use crate::iso8601;

/// Reads one message of the stream; an order's prices lie in `prices`. Trades are left to the slow reader.
pub(super) fn message(frame: &[u8], prices: &mut Vec<(Code, Price)>) -> Option<Head> {
    prices.clear();
    let mut cursor = Cursor::new(frame);
    let head = if cursor.literal(br#"{"Channel":""#).is_some() {
        order(&mut cursor, prices)?
    } else if cursor.literal(br#"{"Data":["#).is_some() {
        texts(&mut cursor)?;
        cursor.literal(br#","Time":"#)?;
        cursor.unsigned()?;
        cursor.literal(br#","Event":"Subscriptions"}"#)?;
        Head::Subscriptions
    } else {
        cursor.literal(br#"{"Time":"#)?;
        cursor.unsigned()?;
        cursor.literal(br#","Event":"Heartbeat"}"#)?;
        Head::Heartbeat
    };
    cursor.is_at_end().then_some(head)
}

/// Texts up to and with the bracket that closes their list.
fn texts(cursor: &mut Cursor<'_>) -> Option<()> {
    if cursor.byte(b']').is_some() {
        return Some(());
    }
    loop {
        cursor.byte(b'"')?;
        cursor.text()?;
        if cursor.byte(b',').is_none() {
            return cursor.byte(b']');
        }
    }
}

fn order(cursor: &mut Cursor<'_>, prices: &mut Vec<(Code, Price)>) -> Option<Head> {
    let (is_book, primary) = rule::channel(cursor.text()?).ok()?;
    cursor.literal(br#","Nonce":"#)?;
    let nonce = cursor.unsigned()?;
    cursor.literal(br#","Data":{"OrderType":""#)?;
    let side = rule::order_side(cursor.text()?).ok()?;
    cursor.literal(br#","OrderGuid":""#)?;
    let id = PublicOrderId::from_uuid(cursor.text()?)?;
    if cursor.literal(br#","ClientId":""#).is_some() {
        cursor.text()?;
    }
    let has_prices = cursor.literal(br#","Price":{"#).is_some();
    if has_prices {
        self::prices(cursor, prices)?;
    }
    let (action, event): (_, &[u8]) = if cursor.literal(br#","Volume":"#).is_some() {
        let quantity = Quantity::parse(cursor.number()?).ok()?;
        if has_prices {
            (OrderAction::New(quantity), br#","Event":"NewOrder"}"#)
        } else {
            (OrderAction::Changed(quantity), br#","Event":"OrderChanged"}"#)
        }
    } else {
        (OrderAction::Canceled, br#","Event":"OrderCanceled"}"#)
    };
    cursor.literal(br#"},"Time":"#)?;
    let ts_event = timestamp(cursor.unsigned()?);
    cursor.prefix(event)?;
    let is_priced = matches!(action, OrderAction::New(_));
    (is_book && is_priced == has_prices).then_some(Head::Order {
        primary,
        nonce,
        ts_event,
        id,
        side,
        action: rule::action(action, has_prices).ok()?,
    })
}

/// `"aud":4731.7,"usd":3562.5}`.
fn prices(cursor: &mut Cursor<'_>, prices: &mut Vec<(Code, Price)>) -> Option<()> {
    loop {
        cursor.byte(b'"')?;
        let code = rule::code(cursor.text()?, "Price").ok()?;
        cursor.byte(b':')?;
        let price = Price::parse(cursor.number()?).ok()?;
        rule::price(code, price, prices).ok()?;
        if cursor.byte(b',').is_none() {
            return cursor.byte(b'}');
        }
    }
}

/// Reads the answer of REST `GetAllOrders`; its orders lie in `orders`.
pub(super) fn snapshot(body: &[u8], orders: &mut Vec<PublicOrder>) -> Option<SnapshotHead> {
    orders.clear();
    let mut cursor = Cursor::new(body);
    cursor.literal(br#"{"BuyOrders":["#)?;
    listed(&mut cursor, Side::Buy, orders)?;
    cursor.literal(br#","SellOrders":["#)?;
    listed(&mut cursor, Side::Sell, orders)?;
    cursor.literal(br#","PrimaryCurrencyCode":""#)?;
    let primary = rule::code(cursor.text()?, "PrimaryCurrencyCode").ok()?;
    cursor.literal(br#","SecondaryCurrencyCode":""#)?;
    let secondary = rule::code(cursor.text()?, "SecondaryCurrencyCode").ok()?;
    cursor.literal(br#","CreatedTimestampUtc":""#)?;
    let ts_event = iso8601::parse(cursor.text()?)?;
    cursor.byte(b'}')?;
    cursor.is_at_end().then_some(SnapshotHead {
        primary,
        secondary,
        ts_event,
    })
}

fn listed(cursor: &mut Cursor<'_>, side: Side, orders: &mut Vec<PublicOrder>) -> Option<()> {
    if cursor.byte(b']').is_some() {
        return Some(());
    }
    loop {
        cursor.literal(br#"{"Guid":""#)?;
        let id = PublicOrderId::from_uuid(cursor.text()?)?;
        cursor.literal(br#","Price":"#)?;
        let price = Price::parse(cursor.number()?).ok()?;
        cursor.literal(br#","Volume":"#)?;
        let quantity = Quantity::parse(cursor.number()?).ok()?;
        cursor.byte(b'}')?;
        let order = PublicOrder {
            id,
            side,
            price,
            quantity,
        };
        rule::order(order, orders).ok()?;
        if cursor.byte(b',').is_none() {
            return cursor.byte(b']');
        }
    }
}
