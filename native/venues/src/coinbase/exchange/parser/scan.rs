//! The fast reader: one flat object without white space, its fields in any order; `None` at the first deviation. It finds
//! nothing that the slow reader would not.

use super::Buffers;
use super::fields::{Fields, Form};
use super::head;
use crate::binance::parser::scan::Cursor;

/// The fields of one message; its levels lie in `buffers`.
pub(super) fn message<'a>(frame: &'a [u8], buffers: &mut Buffers) -> Option<Fields<'a>> {
    buffers.bids.clear();
    buffers.asks.clear();
    let mut cursor = Cursor::new(frame);
    let mut fields = Fields::default();
    let mut lists = [false; 3];
    cursor.byte(b'{')?;
    loop {
        cursor.byte(b'"')?;
        let name = cursor.text()?;
        cursor.byte(b':')?;
        let list = [b"bids".as_slice(), b"asks", b"changes"]
            .into_iter()
            .position(|list| list == name);
        if let Some(list) = list {
            if std::mem::replace(&mut lists[list], true) {
                return None;
            }
            levels(&mut cursor, list, buffers)?;
        } else {
            field(&mut cursor, name, &mut fields)?;
        }
        if cursor.byte(b',').is_none() {
            break;
        }
    }
    cursor.byte(b'}')?;
    // Levels of both kinds in one message: their order would matter.
    let is_mixed = lists[2] && (lists[0] || lists[1]);
    (cursor.is_at_end() && !is_mixed).then_some(fields)
}

fn field<'a>(cursor: &mut Cursor<'a>, name: &[u8], fields: &mut Fields<'a>) -> Option<()> {
    let (value, form) = value(cursor)?;
    let Some((place, expected)) = fields.place(name) else {
        return Some(());
    };
    if form != Some(expected) || place.is_some() {
        return None;
    }
    *place = Some(value);
    Some(())
}

/// A value that holds no other: its text, and its form unless it is a word.
fn value<'a>(cursor: &mut Cursor<'a>) -> Option<(&'a [u8], Option<Form>)> {
    if cursor.byte(b'"').is_some() {
        return Some((cursor.text()?, Some(Form::Text)));
    }
    for word in [b"null".as_slice(), b"true", b"false"] {
        if cursor.prefix(word).is_some() {
            return Some((word, None));
        }
    }
    Some((cursor.number()?, Some(Form::Number)))
}

/// `[["price","size"],...]`, of changes `[["buy","price","size"],...]`.
fn levels(cursor: &mut Cursor<'_>, list: usize, buffers: &mut Buffers) -> Option<()> {
    cursor.byte(b'[')?;
    if cursor.byte(b']').is_some() {
        return Some(());
    }
    loop {
        cursor.literal(b"[\"")?;
        let mut is_bid = list == 0;
        if list == 2 {
            is_bid = head::side(cursor.text()?).ok()? == domain::Side::Buy;
            cursor.literal(b",\"")?;
        }
        let price = cursor.text()?;
        cursor.literal(b",\"")?;
        let quantity = cursor.text()?;
        cursor.byte(b']')?;
        head::level(price, quantity, is_bid, buffers).ok()?;
        if cursor.byte(b',').is_none() {
            return cursor.byte(b']');
        }
    }
}
