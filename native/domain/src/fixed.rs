//! Decimal text to and from fixed point, without a float in between.

use std::fmt;

use thiserror::Error;

/// Decimal digits behind the point in [`crate::Price`] and [`crate::Quantity`].
pub const SCALE_DIGITS: u32 = 8;

/// Units per whole: `1.0` is `SCALE` units.
pub const SCALE: i64 = 100_000_000;

/// Longest decimal text accepted, in bytes: a sign, 19 digits, a point and room for trailing zeros.
const TEXT_BYTES_MAX: usize = 40;

/// Why a text is not a fixed-point number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FixedPointError {
    /// Empty, or no digit where one is needed.
    #[error("not a decimal number: expected digits with at most one point, such as 61837.63")]
    NotANumber,
    /// More than eight digits behind the point that are not zero.
    #[error("more than {SCALE_DIGITS} decimals: the value would be rounded")]
    TooPrecise,
    /// Outside the range of a 64-bit integer at scale 1e-8.
    #[error("out of range: at most 92233720368.54775807 in magnitude")]
    OutOfRange,
    /// The text is longer than any number that fits.
    #[error("number text longer than {TEXT_BYTES_MAX} bytes")]
    TooLong,
}

/// Parses decimal text to units of 1e-8.
///
/// Accepts an optional leading `-`, digits, and a fraction; trailing zeros beyond
/// eight decimals are allowed, because they carry no value. Exponents are refused:
/// no venue sends them, and a silent `1e3` would be a thousandfold error.
pub(crate) fn parse(text: &[u8]) -> Result<i64, FixedPointError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(FixedPointError::TooLong);
    }
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let point = digits.iter().position(|&b| b == b'.');
    let (whole, fraction) = match point {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &[][..]),
    };
    if whole.is_empty() || (point.is_some() && fraction.is_empty()) {
        return Err(FixedPointError::NotANumber);
    }
    let mut value: i128 = 0;
    for &byte in whole {
        value = value * 10 + i128::from(digit(byte)?);
        // No further digit makes it less, and forty of them do not fit 128 bits.
        if value > i128::from(i64::MAX) {
            return Err(FixedPointError::OutOfRange);
        }
    }
    for place in 0..SCALE_DIGITS as usize {
        let next = match fraction.get(place) {
            Some(&byte) => digit(byte)?,
            None => 0,
        };
        value = value * 10 + i128::from(next);
    }
    for &byte in fraction.iter().skip(SCALE_DIGITS as usize) {
        if digit(byte)? != 0 {
            return Err(FixedPointError::TooPrecise);
        }
    }
    let signed = if negative { -value } else { value };
    i64::try_from(signed).map_err(|_| FixedPointError::OutOfRange)
}

fn digit(byte: u8) -> Result<u8, FixedPointError> {
    if byte.is_ascii_digit() {
        Ok(byte - b'0')
    } else {
        Err(FixedPointError::NotANumber)
    }
}

/// Writes `units` of 1e-8 as decimal text, without trailing zeros and without a point when whole.
pub(crate) fn format(units: i64, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let magnitude = units.unsigned_abs();
    let whole = magnitude / SCALE.unsigned_abs();
    let fraction = magnitude % SCALE.unsigned_abs();
    if units < 0 {
        out.write_str("-")?;
    }
    if fraction == 0 {
        return write!(out, "{whole}");
    }
    let mut digits = fraction;
    let mut width = SCALE_DIGITS as usize;
    while digits.is_multiple_of(10) {
        digits /= 10;
        width -= 1;
    }
    write!(out, "{whole}.{digits:0width$}")
}

/// A plain fixed-point number (1e-8) that is neither a price nor a quantity: a rate, a percentage, a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(i64);

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self(0);
    /// One.
    pub const ONE: Self = Self(SCALE);

    /// From units of 1e-8.
    #[must_use]
    pub const fn from_units(units: i64) -> Self {
        Self(units)
    }

    /// Units of 1e-8.
    #[must_use]
    pub const fn units(self) -> i64 {
        self.0
    }

    /// Parses decimal text.
    ///
    /// # Errors
    /// [`FixedPointError`] when the text is not a decimal number that fits at 1e-8.
    pub fn parse(text: &[u8]) -> Result<Self, FixedPointError> {
        parse(text).map(Self)
    }

    /// `value` scaled by this number, rounded toward zero; `None` on overflow.
    #[must_use]
    pub fn scale(self, value: i128) -> Option<i128> {
        value
            .checked_mul(i128::from(self.0))
            .map(|scaled| scaled / i128::from(SCALE))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        format(self.0, out)
    }
}
