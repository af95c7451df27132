//! A number that is no price: what is measured or reported, as 64 bits of floating point.

use std::fmt;

/// A finite number; equal numbers have equal bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number(u64);

impl Number {
    /// The number of these bits (IEEE 754, binary64); `None` for an infinity, for what is no number, and for minus zero,
    /// which is zero by another spelling.
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        let value = f64::from_bits(bits);
        let is_plain = value.is_finite() && bits != (-0.0_f64).to_bits();
        is_plain.then_some(Self(bits))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        f64::from_bits(self.0)
    }

    /// Its bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(out)
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finite_numbers_keep_their_bits_and_the_others_are_none() {
        for value in [0.0, 1e-300, -2.5, f64::MAX] {
            let number = Number::from_bits(value.to_bits());
            assert_eq!(number.map(|number| number.get().to_bits()), Some(value.to_bits()));
        }
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0] {
            assert_eq!(Number::from_bits(value.to_bits()), None);
        }
    }
}
