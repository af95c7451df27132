//! Numbers as the venue writes them: eight decimals, always.

use domain::{Money, Price, Quantity, SCALE};

/// Units of money (1e-16) in one unit of 1e-8.
const MONEY_PER_UNIT: i128 = SCALE as i128;

/// `units` of 1e-8 as text with eight decimals.
pub(crate) fn fixed8(units: i64) -> String {
    let magnitude = units.unsigned_abs();
    let scale = SCALE.unsigned_abs();
    let sign = if units < 0 { "-" } else { "" };
    format!("{sign}{}.{:08}", magnitude / scale, magnitude % scale)
}

/// `units` of 1e-8 as text with `decimals` (0 to 8) of them; what is beyond is cut off.
pub(crate) fn fixed(units: i64, decimals: usize) -> String {
    let mut text = fixed8(units);
    let cut = 8_usize.saturating_sub(decimals);
    text.truncate(text.len() - cut);
    if decimals == 0 {
        text.pop();
    }
    text
}

/// `units` of 1e-8 as short as it goes: no zeros at the end.
pub(crate) fn plain(units: i64) -> String {
    let text = fixed8(units);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A price with eight decimals.
pub(crate) fn price8(price: Price) -> String {
    fixed8(price.units())
}

/// A quantity with eight decimals.
pub(crate) fn quantity8(quantity: Quantity) -> String {
    fixed8(quantity.units())
}

/// An amount in units of 1e-16 with eight decimals, the rest cut off.
pub(crate) fn amount8(units: i128) -> String {
    fixed8(i64::try_from(units / MONEY_PER_UNIT).unwrap_or(i64::MAX))
}

/// Money with eight decimals, the rest cut off.
pub(crate) fn money8(money: Money) -> String {
    amount8(money.units())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_decimals_always() {
        assert_eq!(fixed8(4_344_306_250_000), "43443.06250000");
        assert_eq!(fixed8(0), "0.00000000");
        assert_eq!(
            (fixed(1_250_000_000, 1), fixed(1_250_000_000, 0)),
            ("12.5".to_owned(), "12".to_owned())
        );
        assert_eq!(
            (plain(1_250_000_000), plain(0), plain(1_000_000_000)),
            ("12.5".into(), "0".into(), "10".into())
        );
        assert_eq!(fixed8(-1), "-0.00000001");
        assert_eq!(amount8(199_999_999), "0.00000001");
    }
}
