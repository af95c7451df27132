//! Orders as text: what every venue's encoder needs, without an allocation and without going through `fmt`.

use domain::{ClientOrderId, Instrument, OrderRequest, OrderType, Price, Quantity};

use crate::error::EncodeError;

/// Whether an order makes sense for an instrument, whatever the venue's words.
pub(crate) fn check(order: &OrderRequest, instrument: &Instrument) -> Result<(), EncodeError> {
    if order.instrument != instrument.id {
        return Err(EncodeError::Instrument);
    }
    if order.quantity <= Quantity::ZERO || order.price.is_some_and(|price| price <= Price::ZERO) {
        return Err(EncodeError::NotPositive);
    }
    if (order.order_type == OrderType::Limit) != order.price.is_some() {
        return Err(EncodeError::Price);
    }
    let rests = order.order_type == OrderType::Limit && order.time_in_force.rests();
    if order.post_only && !rests {
        return Err(EncodeError::PostOnly);
    }
    Ok(())
}

/// The text form of [`ClientOrderId`].
pub(crate) fn push_client_order_id(id: ClientOrderId, out: &mut Vec<u8>) {
    out.push(b'e');
    push_integer(u64::from(id.epoch.0), out);
    out.extend_from_slice(b"-s");
    push_integer(u64::from(id.slot.0), out);
    out.push(b'-');
    push_integer(u64::from(id.counter), out);
}

/// Positive units of 1e-8 as decimal text without trailing zeros, as [`Price`] displays them.
pub(crate) fn push_units(units: i64, out: &mut Vec<u8>) {
    let magnitude = units.unsigned_abs();
    let scale = domain::SCALE.unsigned_abs();
    push_integer(magnitude / scale, out);
    let mut fraction = magnitude % scale;
    if fraction == 0 {
        return;
    }
    let mut digits = [b'0'; 9];
    digits[0] = b'.';
    for digit in digits[1..].iter_mut().rev() {
        *digit = digit_of(fraction);
        fraction /= 10;
    }
    let end = digits
        .iter()
        .rposition(|&digit| digit != b'0')
        .map_or(0, |last| last + 1);
    out.extend_from_slice(&digits[..end]);
}

/// A whole number.
pub(crate) fn push_integer(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = digit_of(value);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The last decimal digit, as ASCII.
fn digit_of(value: u64) -> u8 {
    b'0' + u8::try_from(value % 10).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use domain::{Epoch, SlotId};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_domain_displays_them(units in 1i64.., epoch: u32, slot: u16, counter: u32) {
            let mut out = Vec::new();
            push_units(units, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), Price::from_units(units).to_string());
            let id = ClientOrderId { epoch: Epoch(epoch), slot: SlotId(slot), counter };
            let mut out = Vec::new();
            push_client_order_id(id, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), id.to_string());
        }
    }
}
