//! Times as venues write them in text, to whole nanoseconds.

use std::fmt;

use domain::Timestamp;

/// Digits behind the point that a nanosecond has room for.
const FRACTION_DIGITS_MAX: usize = 9;

const DAY_NS: i64 = 86_400_000_000_000;

/// A UTC time such as `2026-08-16T23:37:05.376419Z`, with none to nine digits behind the seconds. `None` for any other
/// form, a date that does not exist, or a time that 64 bits of nanoseconds do not hold.
///
/// ```
/// use venues::iso8601::parse;
/// let time = parse(b"1970-01-02T00:00:01.5Z").unwrap();
/// assert_eq!(time.nanos(), 86_401_500_000_000);
/// assert_eq!(parse(b"2026-02-29T00:00:00Z"), None);
/// ```
#[must_use]
pub fn parse(text: &[u8]) -> Option<Timestamp> {
    let (head, tail) = text.split_at_checked(19)?;
    let [
        y0,
        y1,
        y2,
        y3,
        b'-',
        m0,
        m1,
        b'-',
        d0,
        d1,
        b'T',
        h0,
        h1,
        b':',
        n0,
        n1,
        b':',
        s0,
        s1,
    ] = *head
    else {
        return None;
    };
    let year = number(&[y0, y1, y2, y3])?;
    let (month, day) = (number(&[m0, m1])?, number(&[d0, d1])?);
    let (hour, minute, second) = (number(&[h0, h1])?, number(&[n0, n1])?, number(&[s0, s1])?);
    let is_date = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = (hour * 60 + minute) * 60 + second;
    let nanos = seconds * 1_000_000_000 + fraction(tail)?;
    let days = days_since_epoch(year, month, day);
    Some(Timestamp::from_nanos(
        days.checked_mul(DAY_NS)?.checked_add(nanos)?,
    ))
}

/// `.376419Z` or `Z`: nanoseconds.
fn fraction(tail: &[u8]) -> Option<i64> {
    let digits = match tail.strip_suffix(b"Z")? {
        [] => return Some(0),
        [b'.', digits @ ..] => digits,
        _ => return None,
    };
    if digits.is_empty() || digits.len() > FRACTION_DIGITS_MAX {
        return None;
    }
    let missing = u32::try_from(FRACTION_DIGITS_MAX - digits.len()).ok()?;
    Some(number(digits)? * 10_i64.pow(missing))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |value, byte| {
        byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0'))
    })
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible low-level date algorithms").
const fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A time as text to the millisecond, cut off: `2026-08-16T23:37:05.376Z`.
///
/// ```
/// use domain::Timestamp;
/// use venues::iso8601::Millis;
/// let time = Timestamp::from_millis(86_401_500);
/// assert_eq!(Millis(time).to_string(), "1970-01-02T00:00:01.500Z");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Millis(pub Timestamp);

impl fmt::Display for Millis {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.nanos().div_euclid(1_000_000);
        let (days, of_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
        let (year, month, day) = date(days);
        let (seconds, millis) = (of_day / 1_000, of_day % 1_000);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(
            out,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    }
}

/// Year, month and day of a day counted from 1970-01-01: the inverse of [`days_since_epoch`], from the same source.
const fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_as_it_was(millis in -62_135_596_800_000_i64 / 8..9_000_000_000_000) {
            let time = Timestamp::from_millis(millis);
            prop_assert_eq!(parse(Millis(time).to_string().as_bytes()), Some(time));
        }
    }

    #[test]
    fn reads_what_venues_write_and_refuses_the_rest() {
        let at = |text: &str| parse(text.as_bytes()).map(Timestamp::nanos);
        assert_eq!(at("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(
            at("2000-02-29T12:30:15.000000001Z"),
            Some(951_827_415_000_000_001)
        );
        assert_eq!(at("2026-08-16T23:37:05.376419Z"), Some(1_786_923_425_376_419_000));
        for wrong in [
            "",
            "2026-08-16",
            "2026-08-16T23:37:05",
            "2026-08-16T23:37:05.Z",
            "2026-08-16T23:37:05.0000000001Z",
            "2026-08-16 23:37:05Z",
            "2026-13-01T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-08-16T24:00:00Z",
            "9999-01-01T00:00:00Z",
            "2026-08-16T23:37:0xZ",
        ] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
