//! A number that is no price: what is measured or reported, as 64 bits of floating point.

use std::fmt;

/// A finite number; equal numbers have equal bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number(u64);

impl Number {
    /// `None` for an infinity and for what is no number; -0 becomes 0.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        // IEEE 754: -0 + 0 is 0, and nothing else changes.
        value.is_finite().then(|| Self((value + 0.0).to_bits()))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        f64::from_bits(self.0)
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
    fn equal_numbers_have_equal_bits_and_the_others_are_none() {
        assert_eq!(Number::new(-0.0), Number::new(0.0));
        assert_eq!(Number::new(-0.0).map(|zero| zero.get().to_bits()), Some(0));
        assert_eq!(Number::new(1e-300).map(Number::get), Some(1e-300));
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Number::new(value), None);
        }
    }
}
