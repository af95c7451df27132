//! Numbers with more digits than ours: the venue writes fees and what others traded with up to sixteen decimals.
//!
//! What we asked for comes back exact and is read as such. Everything else is rounded here, once, in the direction that
//! the caller names.

use domain::{Currency, FixedPointError, Money, Price, Quantity, SCALE, SCALE_DIGITS};

/// Longest number text accepted, bytes.
const TEXT_BYTES_MAX: usize = 64;

/// Decimals of [`Money`].
const MONEY_DIGITS: u32 = 2 * SCALE_DIGITS;

/// Where digits that do not fit go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    /// Toward zero: what we have, what was traded.
    Down,
    /// Away from zero: what is taken from us, what an order must at least be.
    Up,
}

/// A price or a quantity, units of 1e-8.
pub(super) fn units(text: &str, rounding: Rounding) -> Result<i64, FixedPointError> {
    i64::try_from(scaled(text, SCALE_DIGITS, rounding)?).map_err(|_| FixedPointError::OutOfRange)
}

/// A quantity, digits that do not fit cut off.
pub(super) fn quantity_down(text: &str) -> Result<Quantity, FixedPointError> {
    units(text, Rounding::Down).map(Quantity::from_units)
}

/// A fee: exact to sixteen decimals, then against us.
pub(super) fn fee(text: &str, currency: Currency) -> Result<Money, FixedPointError> {
    Ok(Money::from_units(
        scaled(text, MONEY_DIGITS, Rounding::Up)?,
        currency,
    ))
}

/// The base quantity of an amount of quote at a price, digits that do not fit cut off.
pub(super) fn base_of_quote(quote: &str, price: Price) -> Result<Quantity, FixedPointError> {
    let amount = scaled(quote, MONEY_DIGITS, Rounding::Down)?;
    let price = i128::from(price.units());
    if price <= 0 {
        return Err(FixedPointError::OutOfRange);
    }
    let base = i64::try_from(amount / price).map_err(|_| FixedPointError::OutOfRange)?;
    Ok(Quantity::from_units(base))
}

/// The number times ten to the power of `digits`.
fn scaled(text: &str, digits: u32, rounding: Rounding) -> Result<i128, FixedPointError> {
    let text = text.as_bytes();
    if text.len() > TEXT_BYTES_MAX {
        return Err(FixedPointError::TooLong);
    }
    let (is_negative, number) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let point = number.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = match point {
        Some(at) => (&number[..at], &number[at + 1..]),
        None => (number, &[][..]),
    };
    if whole.is_empty() || (point.is_some() && fraction.is_empty()) {
        return Err(FixedPointError::NotANumber);
    }
    let mut value: i128 = 0;
    for &byte in whole {
        value = value * 10 + digit(byte)?;
        // The largest whole number at eight decimals; at sixteen it still fits 128 bits.
        if value > i128::from(i64::MAX / SCALE) {
            return Err(FixedPointError::OutOfRange);
        }
    }
    let kept = fraction.len().min(digits as usize);
    for &byte in &fraction[..kept] {
        value = value * 10 + digit(byte)?;
    }
    for _ in kept..digits as usize {
        value *= 10;
    }
    let mut is_exact = true;
    for &byte in &fraction[kept..] {
        is_exact &= digit(byte)? == 0;
    }
    if !is_exact && rounding == Rounding::Up {
        value += 1;
    }
    Ok(if is_negative { -value } else { value })
}

fn digit(byte: u8) -> Result<i128, FixedPointError> {
    if byte.is_ascii_digit() {
        Ok(i128::from(byte - b'0'))
    } else {
        Err(FixedPointError::NotANumber)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rounds_as_it_is_told() {
        assert_eq!(units("0.000297920684505", Rounding::Down), Ok(29_792));
        assert_eq!(units("0.000297920684505", Rounding::Up), Ok(29_793));
        assert_eq!(units("-0.000000001", Rounding::Up), Ok(-1));
        assert_eq!(units("0.000000010000000000", Rounding::Up), Ok(1));
        let usd = Currency::new("USD").unwrap();
        assert_eq!(
            fee("0.0379324055666004", usd).unwrap().units(),
            379_324_055_666_004
        );
        assert_eq!(fee("0.00000000000000001", usd).unwrap().units(), 1);
        // 6.36 USDT at 21220.64.
        let price = Price::parse(b"21220.64").unwrap();
        assert_eq!(base_of_quote("6.36", price).unwrap().units(), 29_970);
    }

    #[test]
    fn refuses_what_is_no_number() {
        for text in ["", "-", ".", "1.", ".5", "1e3", "+1", "1 ", "NaN"] {
            assert_eq!(
                units(text, Rounding::Down),
                Err(FixedPointError::NotANumber),
                "{text}"
            );
        }
        assert_eq!(
            units("92233720369", Rounding::Down),
            Err(FixedPointError::OutOfRange)
        );
        assert_eq!(
            units(&"0".repeat(65), Rounding::Down),
            Err(FixedPointError::TooLong)
        );
        assert!(base_of_quote("1", Price::ZERO).is_err());
    }

    proptest! {
        #[test]
        fn agrees_with_the_exact_reader_and_never_panics(text in "-?[0-9]{0,24}(\\.[0-9]{0,20})?") {
            let down = units(&text, Rounding::Down);
            let up = units(&text, Rounding::Up);
            if let Ok(exact) = Price::parse(text.as_bytes()) {
                if exact.units().unsigned_abs() <= (i64::MAX / SCALE * SCALE).unsigned_abs() {
                    prop_assert_eq!(down, Ok(exact.units()));
                    prop_assert_eq!(up, Ok(exact.units()));
                }
            } else if let (Ok(down), Ok(up)) = (down, up) {
                prop_assert_eq!((up - down).abs(), 1);
            }
            let _ = fee(&text, Currency::new("USD").unwrap());
        }
    }
}
