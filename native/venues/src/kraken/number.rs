//! Numbers with what their text said beside their value: Kraken's checksum covers the text.

use domain::{FixedPointError, Price, SCALE_DIGITS};

/// Most digits behind the point. The venue's finest instruments have ten.
pub const DECIMALS_MAX: u8 = 16;

/// Bytes that the digits of one number may take in a checksum.
pub(super) const DIGITS_MAX: usize = 40;

/// A number that is not negative, as the venue wrote it: its value, and how many digits stood behind the point. The
/// two together are the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WireNumber {
    /// Units of 1e-8.
    pub units: i64,
    /// Digits behind the point, trailing zeros included.
    pub decimals: u8,
}

impl WireNumber {
    /// Reads `62808.0`, `0.00005100` or `7`.
    ///
    /// # Errors
    /// [`FixedPointError`] for a sign, an exponent, a leading zero that carries nothing, more digits than
    /// [`DECIMALS_MAX`], or a value that is not exact at 1e-8.
    pub fn parse(text: &[u8]) -> Result<Self, FixedPointError> {
        let leads = text.len() > 1 && text[0] == b'0' && text[1] != b'.';
        if text.first().is_none_or(|byte| !byte.is_ascii_digit()) || leads {
            return Err(FixedPointError::NotANumber);
        }
        let point = text.iter().position(|byte| *byte == b'.');
        let decimals = point.map_or(0, |at| text.len() - at - 1);
        let decimals = u8::try_from(decimals).map_err(|_| FixedPointError::TooLong)?;
        if decimals > DECIMALS_MAX {
            return Err(FixedPointError::TooPrecise);
        }
        let units = Price::parse(text)?.units();
        Ok(Self { units, decimals })
    }

    /// Appends the digits of the text without its point and without leading zeros.
    pub(super) fn push_digits(self, out: &mut Vec<u8>) {
        let units = self.units.unsigned_abs();
        let scale = u32::from(self.decimals.min(DECIMALS_MAX));
        let mut digits = [0; DIGITS_MAX];
        let mut at = DIGITS_MAX;
        let mut push = |digit: u64| {
            at -= 1;
            digits[at] = b'0' + (digit % 10) as u8;
        };
        let mut value = units / 10_u64.pow(SCALE_DIGITS.saturating_sub(scale));
        if value > 0 {
            (SCALE_DIGITS..scale).for_each(|_| push(0));
        }
        while value > 0 {
            push(value);
            value /= 10;
        }
        out.extend_from_slice(&digits[at..]);
    }
}

impl std::fmt::Display for WireNumber {
    /// The venue's own text.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut digits = Vec::with_capacity(DIGITS_MAX);
        self.push_digits(&mut digits);
        let decimals = usize::from(self.decimals);
        let digits = String::from_utf8_lossy(&digits);
        let padded = format!("{digits:0>width$}", width = decimals + 1);
        let (whole, fraction) = padded.split_at(padded.len() - decimals);
        out.write_str(whole)?;
        if decimals > 0 {
            write!(out, ".{fraction}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digits(text: &str) -> String {
        let mut out = Vec::new();
        WireNumber::parse(text.as_bytes()).unwrap().push_digits(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_checksum_sees_digits_only() {
        // The venue's own examples (guide to the checksum of the v1 book, 2021).
        assert_eq!(digits("0.05005"), "5005");
        assert_eq!(digits("0.00000500"), "500");
        assert_eq!(digits("62808.0"), "628080");
        assert_eq!(digits("0.000023740"), "23740");
        assert_eq!(digits("7"), "7");
        assert_eq!(digits("0.00000000"), "");
    }

    #[test]
    fn what_is_no_plain_number_is_refused() {
        for wrong in [
            "",
            "-1",
            "+1",
            ".5",
            "1.",
            "01",
            "1e3",
            "1.2.3",
            "0.000000001",
            "1.00000000000000000",
        ] {
            assert!(WireNumber::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_text_comes_back(whole in 0_u64..1_000_000_000, fraction in "[0-9]{0,8}") {
            let text = if fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") };
            let number = WireNumber::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(number.to_string(), text.clone());
            let stripped = text.replace('.', "");
            prop_assert_eq!(digits(&text), stripped.trim_start_matches('0'));
        }
    }
}
