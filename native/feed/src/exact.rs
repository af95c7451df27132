//! Decimal text as an exact number, read without the reader that it is there to check.

/// Digits behind the point that are kept.
const DECIMALS: u32 = 18;

/// Digits behind the point in domain's fixed point.
const DOMAIN_DECIMALS: u32 = 8;

/// Longest number read, bytes.
const BYTES_MAX: usize = 64;

/// A decimal number in units of 1e-18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Exact(i128);

impl Exact {
    /// Reads digits with an optional sign, point and exponent; `None` for anything else, and for what does not fit.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > BYTES_MAX {
            return None;
        }
        let (is_negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(place) => (&rest[..place], rest[place + 1..].parse::<i32>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let shift = i32::try_from(DECIMALS)
            .ok()?
            .checked_add(exponent)?
            .checked_sub(i32::try_from(fraction.len()).ok()?)?;
        let units = if digits == 0 {
            0
        } else {
            let scale = 10_i128.checked_pow(u32::try_from(shift).ok()?)?;
            digits.checked_mul(scale)?
        };
        Some(Self(if is_negative { -units } else { units }))
    }

    /// The same of domain's units.
    pub(crate) fn of_units(units: i64) -> Self {
        Self(i128::from(units) * 10_i128.pow(DECIMALS - DOMAIN_DECIMALS))
    }

    pub(crate) const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, at the end of the range where it does not fit.
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// As text with so many digits behind the point, and more where the number has them.
    pub(crate) fn text(self, decimals: usize) -> String {
        let scale = 10_u128.pow(DECIMALS);
        let size = self.0.unsigned_abs();
        let fraction = format!("{:018}", size % scale);
        let needed = fraction.trim_end_matches('0').len().max(decimals);
        let shown = &fraction[..needed.min(fraction.len())];
        let sign = if self.0 < 0 { "-" } else { "" };
        let point = if shown.is_empty() { "" } else { "." };
        format!("{sign}{}{point}{shown}", size / scale)
    }
}

/// Digits that a number's text has behind its point.
pub(crate) fn decimals(text: &str) -> usize {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Price;
    use proptest::prelude::*;

    #[test]
    fn reads_what_venues_write_and_nothing_else() {
        let same = [
            ("61837.63000000", "61837.63"),
            ("0.00005100", "0.000051"),
            ("1E-7", "0.0000001"),
            ("15.0", "15"),
            ("-0.5", "-0.5"),
            ("2.5e3", "2500"),
        ];
        for (text, plain) in same {
            assert_eq!(Exact::parse(text).unwrap().text(0), plain);
        }
        for text in [
            "",
            "-",
            ".5",
            "1.2.3",
            "1e",
            "0x1",
            "1 ",
            "1e-30",
            "1e40",
            "1e2147483647",
            "+1",
        ] {
            assert_eq!(Exact::parse(text), None, "{text}");
        }
        assert_eq!(Exact::parse("0.0"), Some(Exact::default()));
        assert_eq!(Exact::parse("437.915").unwrap().text(8), "437.91500000");
        assert_eq!((decimals("1.500"), decimals("15"), decimals("1.5E-7")), (3, 0, 1));
    }

    proptest! {
        #[test]
        fn agrees_with_domain(units in any::<i64>()) {
            let text = Price::from_units(units).to_string();
            prop_assert_eq!(Exact::parse(&text), Some(Exact::of_units(units)));
        }
    }
}
