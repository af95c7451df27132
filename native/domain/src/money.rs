//! Money: an exact amount with its currency.

use std::fmt;

use thiserror::Error;

use crate::fixed::SCALE;
use crate::text::Text;

/// Units of [`Money`] per whole: price units times quantity units.
const MONEY_SCALE: i128 = (SCALE as i128) * (SCALE as i128);

/// A currency or asset code, such as `USDT`, `BTC`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(Text<12>);

impl Currency {
    /// What an instrument buys and pays of which its venue has told nothing yet.
    pub const UNTOLD: Self = Self(Text::constant("UNTOLD"));

    /// From its code; `None` when empty, longer than 12 bytes, or not ASCII letters and digits.
    #[must_use]
    pub fn new(code: &str) -> Option<Self> {
        let plain = !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric());
        if plain { Text::new(code).map(Self) } else { None }
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Why two amounts cannot be combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MoneyError {
    /// Amounts of different currencies: converting needs a rate with an age.
    #[error("cannot combine {0} with {1}: convert with a dated rate first")]
    CurrencyMismatch(Currency, Currency),
    /// The result does not fit.
    #[error("amount out of range")]
    OutOfRange,
}

/// An exact amount of one currency, in units of 1e-16 (price units times quantity units).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    units: i128,
    currency: Currency,
}

impl Money {
    /// From units of 1e-16.
    #[must_use]
    pub const fn from_units(units: i128, currency: Currency) -> Self {
        Self { units, currency }
    }

    /// From units of 1e-8, the scale of prices and venue balances.
    #[must_use]
    pub const fn from_decimal_units(units: i64, currency: Currency) -> Self {
        Self {
            units: units as i128 * SCALE as i128,
            currency,
        }
    }

    /// Nothing, in `currency`.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self { units: 0, currency }
    }

    /// Units of 1e-16.
    #[must_use]
    pub const fn units(self) -> i128 {
        self.units
    }

    /// Units of 1e-8, rounded toward zero; `None` when it does not fit in 64 bits.
    #[must_use]
    pub fn decimal_units(self) -> Option<i64> {
        i64::try_from(self.units / i128::from(SCALE)).ok()
    }

    /// The currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// Sum.
    ///
    /// # Errors
    /// [`MoneyError`] when the currencies differ or the sum does not fit.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let units = self
            .units
            .checked_add(other.units)
            .ok_or(MoneyError::OutOfRange)?;
        Ok(Self { units, ..self })
    }

    /// Difference.
    ///
    /// # Errors
    /// [`MoneyError`] when the currencies differ or the difference does not fit.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let units = self
            .units
            .checked_sub(other.units)
            .ok_or(MoneyError::OutOfRange)?;
        Ok(Self { units, ..self })
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrencyMismatch(self.currency, other.currency))
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.units.unsigned_abs();
        let scale = MONEY_SCALE.unsigned_abs();
        let sign = if self.units < 0 { "-" } else { "" };
        let (whole, mut fraction) = (magnitude / scale, magnitude % scale);
        if fraction == 0 {
            return write!(out, "{sign}{whole} {}", self.currency);
        }
        let mut width = 16;
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            width -= 1;
        }
        write!(out, "{sign}{whole}.{fraction:0width$} {}", self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Money({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Price, Quantity};

    fn currency(code: &str) -> Currency {
        Currency::new(code).expect("a valid code")
    }

    #[test]
    fn notional_is_exact() {
        let price = Price::parse(b"43567.48046875").expect("a price");
        let quantity = Quantity::parse(b"0.00000003").expect("a quantity");
        let notional = price.notional(quantity, currency("USDT"));
        assert_eq!(notional.to_string(), "0.0013070244140625 USDT");
    }

    #[test]
    fn different_currencies_do_not_add() {
        let (usdt, btc) = (currency("USDT"), currency("BTC"));
        let sum = Money::zero(usdt).checked_add(Money::zero(btc));
        assert_eq!(sum, Err(MoneyError::CurrencyMismatch(usdt, btc)));
    }
}
