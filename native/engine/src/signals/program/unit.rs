//! Units of values: powers of a price and of a quantity.
//!
//! Prices and quantities are whole numbers of 1e-8 inside, so that differences are exact; outside they are what people
//! write. A unit knows the power of ten between the two.

use std::fmt;

use super::floats::finite;

/// Most that an exponent may be.
const EXPONENT_MAX: i8 = 6;

/// Powers of a price and of a quantity, in halves, for square roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Unit {
    price: i8,
    quantity: i8,
}

impl Unit {
    /// A plain number.
    pub const NONE: Self = Self {
        price: 0,
        quantity: 0,
    };
    /// A price.
    pub const PRICE: Self = Self {
        price: 2,
        quantity: 0,
    };
    /// The square of a price.
    pub const PRICE_SQUARED: Self = Self {
        price: 4,
        quantity: 0,
    };
    /// A quantity.
    pub const QUANTITY: Self = Self {
        price: 0,
        quantity: 2,
    };

    /// The unit of a column by its name: number, price or quantity; `None` for another.
    #[must_use]
    pub fn of_column(name: &str) -> Option<Self> {
        [Self::NONE, Self::PRICE, Self::QUANTITY]
            .into_iter()
            .find(|unit| unit.to_string() == name)
    }

    pub(super) fn times(self, other: Self) -> Option<Self> {
        Self::bounded(self.price + other.price, self.quantity + other.quantity)
    }

    pub(super) fn over(self, other: Self) -> Option<Self> {
        Self::bounded(self.price - other.price, self.quantity - other.quantity)
    }

    pub(super) fn power(self, exponent: i8) -> Option<Self> {
        let times = |of: i8| of.checked_mul(exponent);
        Self::bounded(times(self.price)?, times(self.quantity)?)
    }

    pub(super) fn root(self) -> Option<Self> {
        let is_whole = self.price % 2 == 0 && self.quantity % 2 == 0;
        is_whole.then_some(Self {
            price: self.price / 2,
            quantity: self.quantity / 2,
        })
    }

    fn bounded(price: i8, quantity: i8) -> Option<Self> {
        let fits = |of: i8| (-EXPONENT_MAX..=EXPONENT_MAX).contains(&of);
        (fits(price) && fits(quantity)).then_some(Self { price, quantity })
    }

    /// Four times this many decimal places lie between a value inside and outside.
    const fn places(self) -> i32 {
        4 * (self.price as i32 + self.quantity as i32)
    }

    /// How a value inside becomes one outside.
    pub(super) fn scale(self) -> Scale {
        match self.places() {
            0 => Scale::Same,
            places if places > 0 => Scale::Over(ten_to(places)),
            places => Scale::Times(ten_to(-places)),
        }
    }

    /// What a value inside is outside.
    #[must_use]
    pub fn outside(self, inside: f64) -> f64 {
        self.scale().outside(inside)
    }

    /// What a value outside is inside.
    #[must_use]
    pub fn inside(self, outside: f64) -> f64 {
        match self.places() {
            0 => outside,
            places if places > 0 => outside * ten_to(places),
            places => outside / ten_to(-places),
        }
    }
}

/// How values inside become values outside.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scale {
    Same,
    Over(f64),
    Times(f64),
}

impl Scale {
    #[inline(always)]
    pub(super) fn outside(self, inside: f64) -> f64 {
        match self {
            Self::Same => inside,
            Self::Over(power) => inside / power,
            Self::Times(power) => inside * power,
        }
    }

    /// As [`Self::outside`], of several; what has no finite value is unknown.
    #[inline(always)]
    pub(super) fn all_outside(self, inside: &[f64], outside: &mut [f64]) {
        let pairs = outside.iter_mut().zip(inside);
        match self {
            Self::Same => pairs.for_each(|(out, value)| *out = finite(*value)),
            Self::Over(power) => pairs.for_each(|(out, value)| *out = finite(value / power)),
            Self::Times(power) => pairs.for_each(|(out, value)| *out = finite(value * power)),
        }
    }
}

/// Powers of ten: exact up to 1e22, and the same everywhere beyond.
const TENS: [f64; 8 * EXPONENT_MAX as usize + 1] = {
    let mut powers = [1.0; 8 * EXPONENT_MAX as usize + 1];
    let mut places = 1;
    while places < powers.len() {
        powers[places] = powers[places - 1] * 10.0;
        places += 1;
    }
    powers
};

/// The power of ten of so many places, zero at least.
const fn ten_to(places: i32) -> f64 {
    TENS[places.unsigned_abs() as usize]
}

impl fmt::Display for Unit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let power = |name: &str, halves: i8| match (halves / 2, halves % 2) {
            (0, 0) => None,
            (1, 0) => Some(name.to_owned()),
            (whole, 0) => Some(format!("{name}^{whole}")),
            _ => Some(format!("{name}^({halves}/2)")),
        };
        let parts = [power("price", self.price), power("quantity", self.quantity)];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        if parts.is_empty() {
            out.write_str("number")
        } else {
            out.write_str(&parts.join(" * "))
        }
    }
}
