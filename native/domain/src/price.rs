//! Prices and quantities: 64-bit integers in units of 1e-8.

use std::fmt;

use crate::fixed::{self, FixedPointError, SCALE};
use crate::money::{Currency, Money};

macro_rules! fixed_point {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(i64);

        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);
            /// The largest value.
            pub const MAX: Self = Self(i64::MAX);

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

            /// Parses decimal text exactly.
            ///
            /// # Errors
            /// [`FixedPointError`] when the text is not a decimal number that fits at 1e-8.
            pub fn parse(text: &[u8]) -> Result<Self, FixedPointError> {
                fixed::parse(text).map(Self)
            }

            /// Sum, or `None` on overflow.
            #[must_use]
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(units) => Some(Self(units)),
                    None => None,
                }
            }

            /// Difference, or `None` on overflow.
            #[must_use]
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(units) => Some(Self(units)),
                    None => None,
                }
            }

            /// Whether the value is exactly zero.
            #[must_use]
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }

            /// Rounded down to a multiple of `step` (toward negative infinity).
            ///
            /// A `step` of zero or less leaves the value as it is.
            #[must_use]
            pub const fn round_down(self, step: Self) -> Self {
                if step.0 <= 0 {
                    return self;
                }
                Self(self.0 - self.0.rem_euclid(step.0))
            }

            /// Rounded up to a multiple of `step` (toward positive infinity), saturating at the range's end.
            #[must_use]
            pub const fn round_up(self, step: Self) -> Self {
                let down = self.round_down(step);
                if down.0 == self.0 { down } else { Self(down.0.saturating_add(step.0)) }
            }

            /// Whether the value is a whole multiple of `step`; a `step` of zero accepts all.
            #[must_use]
            pub const fn is_multiple_of(self, step: Self) -> bool {
                step.0 <= 0 || self.0 % step.0 == 0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fixed::format(self.0, out)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

fixed_point! {
    /// A price in quote currency for one unit of base, in units of 1e-8.
    ///
    /// ```
    /// use domain::Price;
    /// let price = Price::parse(b"61837.63000000").unwrap();
    /// assert_eq!(price.units(), 6_183_763_000_000);
    /// assert_eq!(price.to_string(), "61837.63");
    /// ```
    Price
}

fixed_point! {
    /// A quantity of base asset in units of 1e-8. Signed where a position is meant, else never negative.
    Quantity
}

impl Price {
    /// Price times quantity, exact, in `currency`.
    ///
    /// Cannot overflow: the product of two 64-bit integers fits in 128 bits.
    #[must_use]
    pub const fn notional(self, quantity: Quantity, currency: Currency) -> Money {
        Money::from_units(self.0 as i128 * quantity.0 as i128, currency)
    }

    /// The midpoint of two prices, rounded toward zero to the unit; never overflows.
    #[must_use]
    pub const fn midpoint(self, other: Self) -> Self {
        Self(i64::midpoint(self.0, other.0))
    }

    /// This price moved by `offset_bps` ten-thousandths of itself, rounded toward zero; `None` on overflow.
    #[must_use]
    pub fn offset_bps(self, offset_bps: i64) -> Option<Self> {
        let moved = i128::from(self.0) + i128::from(self.0) * i128::from(offset_bps) / 10_000;
        i64::try_from(moved).ok().map(Self)
    }
}

impl Quantity {
    /// One whole unit of the base asset.
    pub const ONE: Self = Self(SCALE);

    /// The size without its sign.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// The opposite sign.
    #[must_use]
    pub const fn negate(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_exact_decimal_text() {
        let cases: [(&[u8], FixedPointError); 11] = [
            (b"", FixedPointError::NotANumber),
            (b"-", FixedPointError::NotANumber),
            (b".5", FixedPointError::NotANumber),
            (b"5.", FixedPointError::NotANumber),
            (b"1e3", FixedPointError::NotANumber),
            (b"1.2.3", FixedPointError::NotANumber),
            (b"0.123456789", FixedPointError::TooPrecise),
            (b"92233720368.54775808", FixedPointError::OutOfRange),
            (
                b"617451111111111111111111111111111100000",
                FixedPointError::OutOfRange,
            ),
            (
                b"9999999999999999999999999999999999999999",
                FixedPointError::OutOfRange,
            ),
            (
                b"00000000000000000000000000000000000000000000001",
                FixedPointError::TooLong,
            ),
        ];
        for (text, error) in cases {
            assert_eq!(
                Price::parse(text),
                Err(error),
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn trailing_zeros_beyond_the_scale_carry_no_value() {
        assert_eq!(Price::parse(b"1.5000000000"), Ok(Price::from_units(150_000_000)));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "-?[0-9]{0,40}(\\.[0-9]{0,20})?") {
            let shown = Price::parse(text.as_bytes()).map(|price| Price::parse(price.to_string().as_bytes()));
            prop_assert!(shown.is_err() || shown == Ok(Price::parse(text.as_bytes())));
        }

        #[test]
        fn text_round_trips(units in any::<i64>()) {
            let price = Price::from_units(units);
            prop_assert_eq!(Price::parse(price.to_string().as_bytes()), Ok(price));
        }

        #[test]
        fn rounding_brackets_the_value(units in -1_000_000_000_000i64..1_000_000_000_000, step in 1i64..1_000_000) {
            let price = Price::from_units(units);
            let step = Price::from_units(step);
            let (down, up) = (price.round_down(step), price.round_up(step));
            prop_assert!(down <= price && price <= up);
            prop_assert!(up.units() - down.units() < 2 * step.units());
            prop_assert!(down.is_multiple_of(step) && up.is_multiple_of(step));
        }
    }
}
