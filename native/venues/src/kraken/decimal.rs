//! Decimal numbers of the private wires, exact and without a float.
//!
//! They come as text over REST and as bare JSON numbers on sockets, with up to ten decimals for balances and more for
//! fees; an exponent is a form that JSON allows, so it is read too.

use domain::{Currency, FixedPointError, Money, Timestamp};

use crate::error::ParseError;

/// Longest text of a number.
const TEXT_BYTES_MAX: usize = 48;

/// Most digits that carry value: 36 of them fit in 128 bits.
const DIGITS_MAX: u32 = 36;

/// Largest exponent, either way.
const EXPONENT_MAX: i32 = 40;

/// Decimals of prices and quantities, of money, and of a second in nanoseconds.
const UNIT_DECIMALS: i32 = 8;
const MONEY_DECIMALS: i32 = 16;
const NANO_DECIMALS: i32 = 9;

/// `digits` times ten to the power of `exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decimal {
    digits: i128,
    exponent: i32,
}

impl Decimal {
    fn parse(text: &[u8]) -> Result<Self, FixedPointError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(FixedPointError::TooLong);
        }
        let (negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let at = rest.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (mantissa, power) = at.map_or((rest, None), |at| (&rest[..at], Some(&rest[at + 1..])));
        let (digits, decimals) = digits(mantissa)?;
        let power = power.map_or(Ok(0), exponent)?;
        Ok(Self {
            digits: if negative { -digits } else { digits },
            exponent: power - decimals,
        })
    }

    /// The number in units of `1e-decimals`, and whether nothing was cut off.
    fn at(self, decimals: i32) -> Option<(i128, bool)> {
        let shift = self.exponent + decimals;
        let power = 10_i128.checked_pow(shift.unsigned_abs());
        if shift >= 0 {
            let power = if self.digits == 0 { 1 } else { power? };
            return Some((self.digits.checked_mul(power)?, true));
        }
        // A divisor beyond 128 bits leaves nothing of any number that fits.
        let Some(power) = power else {
            return Some((0, self.digits == 0));
        };
        Some((self.digits / power, self.digits % power == 0))
    }
}

/// The digits of `123.45`, and how many stood behind the point.
fn digits(text: &[u8]) -> Result<(i128, i32), FixedPointError> {
    let point = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = point.map_or((text, &[][..]), |at| (&text[..at], &text[at + 1..]));
    if whole.is_empty() || (point.is_some() && fraction.is_empty()) {
        return Err(FixedPointError::NotANumber);
    }
    let mut value = 0_i128;
    let mut count = 0;
    for byte in whole.iter().chain(fraction) {
        if !byte.is_ascii_digit() {
            return Err(FixedPointError::NotANumber);
        }
        count += u32::from(value > 0);
        if count >= DIGITS_MAX {
            return Err(FixedPointError::OutOfRange);
        }
        value = value * 10 + i128::from(byte - b'0');
    }
    let decimals = i32::try_from(fraction.len()).map_err(|_| FixedPointError::TooLong)?;
    Ok((value, decimals))
}

fn exponent(text: &[u8]) -> Result<i32, FixedPointError> {
    let text = std::str::from_utf8(text).map_err(|_| FixedPointError::NotANumber)?;
    let power: i32 = text.parse().map_err(|_| FixedPointError::NotANumber)?;
    if power.abs() > EXPONENT_MAX {
        return Err(FixedPointError::OutOfRange);
    }
    Ok(power)
}

fn read(text: &str, field: &'static str, decimals: i32) -> Result<(i128, bool), ParseError> {
    let fault = |source| ParseError::Number { field, source };
    let decimal = Decimal::parse(text.as_bytes()).map_err(fault)?;
    decimal
        .at(decimals)
        .ok_or_else(|| fault(FixedPointError::OutOfRange))
}

fn narrow(value: i128, field: &'static str) -> Result<i64, ParseError> {
    i64::try_from(value).map_err(|_| ParseError::Number {
        field,
        source: FixedPointError::OutOfRange,
    })
}

/// Units of 1e-8, exact.
pub(super) fn units(text: &str, field: &'static str) -> Result<i64, ParseError> {
    match read(text, field, UNIT_DECIMALS)? {
        (value, true) => narrow(value, field),
        (_, false) => Err(ParseError::Number {
            field,
            source: FixedPointError::TooPrecise,
        }),
    }
}

/// Units of 1e-8, what is finer cut off: for balances, of which the venue tells ten decimals.
pub(super) fn units_cut(text: &str, field: &'static str) -> Result<i64, ParseError> {
    narrow(read(text, field, UNIT_DECIMALS)?.0, field)
}

/// An amount of money, exact to 1e-16; a fee may have more decimals than a price.
pub(super) fn money(text: &str, field: &'static str, currency: Currency) -> Result<Money, ParseError> {
    match read(text, field, MONEY_DECIMALS)? {
        (value, true) => Ok(Money::from_units(value, currency)),
        (_, false) => Err(ParseError::Number {
            field,
            source: FixedPointError::TooPrecise,
        }),
    }
}

/// Seconds since 1970 with a fraction, such as `1688667796.8802`.
pub(super) fn unix_time(text: &str, field: &'static str) -> Result<Timestamp, ParseError> {
    let (nanos, _) = read(text, field, NANO_DECIMALS)?;
    Ok(Timestamp::from_nanos(narrow(nanos, field)?))
}

#[cfg(test)]
mod tests {
    use domain::Quantity;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_form_the_venue_may_write() {
        for (text, expected) in [
            ("0.005", 500_000),
            ("26599.9", 2_659_990_000_000),
            ("1e-05", 1_000),
            ("1.25E2", 12_500_000_000),
            ("-0.5", -50_000_000),
            ("0", 0),
            ("0e40", 0),
            ("0.000000010", 1),
        ] {
            assert_eq!(units(text, "x").unwrap(), expected, "{text}");
        }
        assert_eq!(units_cut("3.4684003099", "x").unwrap(), 346_840_030);
        assert_eq!(units_cut("1e-40", "x").unwrap(), 0);
        let fee = money("0.014460799", "x", Currency::new("USD").unwrap()).unwrap();
        assert_eq!(fee.units(), 144_607_990_000_000);
        assert_eq!(
            unix_time("1688667796.8802", "x").unwrap().nanos(),
            1_688_667_796_880_200_000
        );
    }

    #[test]
    fn refuses_what_is_no_number_or_does_not_fit() {
        for text in [
            "",
            "-",
            ".5",
            "1.",
            "1e",
            "1e+",
            "--1",
            "1,5",
            "0x10",
            "NaN",
            "1e41",
            "1e-41",
            "9e20",
            "0.000000001",
        ] {
            assert!(units(text, "x").is_err(), "{text}");
        }
        assert!(units(&"9".repeat(49), "x").is_err());
        assert!(units(&"9".repeat(40), "x").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_number_or_an_error(text in ".{0,60}") {
            let _ = units(&text, "x");
            let _ = units_cut(&text, "x");
            let _ = money(&text, "x", Currency::new("USD").unwrap());
            let _ = unix_time(&text, "x");
        }

        #[test]
        fn agrees_with_the_domains_own_reading(units_in: i64) {
            let text = Quantity::from_units(units_in).to_string();
            prop_assert_eq!(units(&text, "x").unwrap(), units_in);
        }
    }
}
