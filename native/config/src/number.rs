//! Decimal numbers from their source text.

use domain::{Decimal, FixedPointError};

use crate::fault::FaultKind;

/// Reads the text of a TOML integer or float as it stands in the file. No float is made on the way.
///
/// # Errors
/// The class of the fault and what is allowed instead.
pub(crate) fn decimal(source: &str) -> Result<Decimal, (FaultKind, String)> {
    let digits = source.trim_start_matches(['+', '-']);
    if digits == "inf" || digits == "nan" {
        return Err((FaultKind::NonFinite, "a decimal number".to_owned()));
    }
    if digits.starts_with("0x") || digits.starts_with("0o") || digits.starts_with("0b") {
        return Err((FaultKind::WrongType, "a decimal number in base 10".to_owned()));
    }
    if digits.contains(['e', 'E']) {
        let allowed = "a decimal number without an exponent, such as 100000.0";
        return Err((FaultKind::OutOfRange, allowed.to_owned()));
    }
    // TOML lets underscores stand between digits and a plus before them; fixed point does not.
    let plain = source.strip_prefix('+').unwrap_or(source).replace('_', "");
    Decimal::parse(plain.as_bytes()).map_err(|error| {
        let allowed = match error {
            FixedPointError::TooPrecise => "at most 8 decimals: more would be rounded",
            FixedPointError::NotANumber => "digits with at most one point, such as 61837.63",
            FixedPointError::OutOfRange | FixedPointError::TooLong => "at most 92233720368 in magnitude",
        };
        (FaultKind::OutOfRange, allowed.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_stands_in_the_file() {
        assert_eq!(decimal("100_000.0").map(Decimal::units), Ok(10_000_000_000_000));
        assert_eq!(decimal("+0.25").map(Decimal::units), Ok(25_000_000));
        assert_eq!(decimal("-3").map(Decimal::units), Ok(-300_000_000));
        assert_eq!(decimal("0.1").map(Decimal::units), Ok(10_000_000));
    }

    #[test]
    fn refuses_exponents_floats_that_round_and_what_is_no_number() {
        for (text, kind) in [
            ("1e5", FaultKind::OutOfRange),
            ("1.5E-3", FaultKind::OutOfRange),
            ("inf", FaultKind::NonFinite),
            ("-nan", FaultKind::NonFinite),
            ("0xff", FaultKind::WrongType),
            ("0.000000001", FaultKind::OutOfRange),
            ("99999999999999", FaultKind::OutOfRange),
        ] {
            assert_eq!(decimal(text).map_err(|(kind, _)| kind), Err(kind), "{text}");
        }
    }
}
