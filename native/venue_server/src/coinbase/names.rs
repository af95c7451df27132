//! What Coinbase calls things: numbers, orders, executions, accounts.

use domain::{Currency, Price, Quantity, Timestamp};
use simulation::OrderId;

use crate::decimal::plain;
use crate::instant::rfc3339;

/// Units of money (1e-16) in one unit of 1e-8.
const MONEY_PER_UNIT: i128 = domain::SCALE as i128;
/// Bits of a number in the last part of its UUID.
const LOW_BITS: u32 = 48;

/// As short as it goes, as the venue writes numbers.
pub(super) fn price(price: Price) -> String {
    plain(price.units())
}

pub(super) fn quantity(quantity: Quantity) -> String {
    plain(quantity.units())
}

/// An amount in units of 1e-16.
pub(super) fn amount(units: i128) -> String {
    plain(i64::try_from(units / MONEY_PER_UNIT).unwrap_or(i64::MAX))
}

pub(super) fn time(ms: i64) -> String {
    rfc3339(Timestamp::from_millis(ms), 6)
}

/// The UUID of an order.
pub(super) fn order_id(id: OrderId) -> String {
    uuid(0x0a00, id.0)
}

/// The number of an order's UUID.
pub(super) fn parse_order_id(text: &str) -> Option<OrderId> {
    parse_uuid(0x0a00, text).map(OrderId)
}

/// The UUID of an order's execution: both sides of a trade share its number, so the order's stands in it.
pub(super) fn entry_id(order: OrderId, trade: u64) -> String {
    uuid(u16::try_from(order.0 & 0xffff).unwrap_or(0), trade)
}

/// The UUID of an account's holding of a currency.
pub(super) fn account_id(account: usize, currency: Currency) -> String {
    let code = currency
        .as_str()
        .bytes()
        .fold(0u64, |code, byte| code << 8 | u64::from(byte));
    uuid(
        u16::try_from(account).unwrap_or(0) | 0x0c00,
        code & 0xffff_ffff_ffff,
    )
}

/// The UUID of an account.
pub(super) fn portfolio_id(account: usize) -> String {
    uuid(0x0f00, account as u64)
}

fn uuid(kind: u16, number: u64) -> String {
    let (high, low) = (number >> LOW_BITS, number & ((1 << LOW_BITS) - 1));
    format!("{high:08x}-{kind:04x}-4000-8000-{low:012x}")
}

fn parse_uuid(kind: u16, text: &str) -> Option<u64> {
    let high = u64::from_str_radix(text.get(..8)?, 16).ok()?;
    let low = u64::from_str_radix(text.get(24..)?, 16).ok()?;
    let number = high.checked_mul(1 << LOW_BITS)? | low;
    (uuid(kind, number) == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_orders_are_read_back() {
        assert_eq!(order_id(OrderId(1)), "00000000-0a00-4000-8000-000000000001");
        for number in [0, 1, 1 << 47, 1 << 48, u64::MAX] {
            assert_eq!(parse_order_id(&order_id(OrderId(number))), Some(OrderId(number)));
        }
        for wrong in [
            "",
            "00000000-0b00-4000-8000-000000000001",
            "ffffffff-0a00-4000-8000-00000000000g",
        ] {
            assert_eq!(parse_order_id(wrong), None, "{wrong}");
        }
    }
}
