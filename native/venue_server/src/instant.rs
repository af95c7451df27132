//! Times as text: RFC 3339 in UTC, and seconds since the epoch.

use domain::Timestamp;

const NANOS: i64 = 1_000_000_000;
const DAY_S: i64 = 86_400;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// The epoch was a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// `2021-05-11T19:47:09.896860Z`, with `decimals` (0 to 9) of the second.
pub(crate) fn rfc3339(ts: Timestamp, decimals: usize) -> String {
    let (year, month, day) = civil(ts.nanos().div_euclid(NANOS).div_euclid(DAY_S));
    let (hour, minute, second) = clock(ts);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if decimals > 0 {
        let nanos = format!("{:09}", ts.nanos().rem_euclid(NANOS));
        text.push('.');
        text.push_str(&nanos[..decimals.min(9)]);
    }
    text.push('Z');
    text
}

/// `Sun, 21 Mar 21 14:23:14 +0000`.
pub(crate) fn rfc1123(ts: Timestamp) -> String {
    let days = ts.nanos().div_euclid(NANOS).div_euclid(DAY_S);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = clock(ts);
    let weekday = usize::try_from(days.rem_euclid(7)).map_or("", |at| WEEKDAYS[at]);
    let name = usize::try_from(month - 1)
        .ok()
        .and_then(|at| MONTHS.get(at))
        .unwrap_or(&"");
    format!(
        "{weekday}, {day:02} {name} {:02} {hour:02}:{minute:02}:{second:02} +0000",
        year.rem_euclid(100)
    )
}

/// Seconds since the epoch with `decimals` (0 to 9).
pub(crate) fn seconds(ts: Timestamp, decimals: usize) -> String {
    let whole = ts.nanos().div_euclid(NANOS);
    if decimals == 0 {
        return whole.to_string();
    }
    let nanos = format!("{:09}", ts.nanos().rem_euclid(NANOS));
    format!("{whole}.{}", &nanos[..decimals.min(9)])
}

/// Reads `2021-05-11T19:47:09Z`, with up to nine decimals of the second; `None` for anything else.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (date, time) = text.split_once('T')?;
    let mut date = date.splitn(3, '-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.splitn(3, ':').map(number);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let in_range = (1970..=2200).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61
        && fraction.len() <= 9;
    if !in_range {
        return None;
    }
    let nanos = if fraction.is_empty() {
        0
    } else {
        number(&format!("{fraction:0<9}"))?
    };
    let total = days(year, month, day) * DAY_S + hour * 3_600 + minute * 60 + second;
    Some(Timestamp::from_nanos(
        total.checked_mul(NANOS)?.checked_add(nanos)?,
    ))
}

fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn clock(ts: Timestamp) -> (i64, i64, i64) {
    let second = ts.nanos().div_euclid(NANOS).rem_euclid(DAY_S);
    (second / 3_600, second / 60 % 60, second % 60)
}

/// Year, month and day of a number of days since the epoch (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Days since the epoch of a date (Howard Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_times_have_known_texts() {
        let ts = Timestamp::from_nanos(1_616_336_594_123_456_789);
        assert_eq!(rfc3339(ts, 6), "2021-03-21T14:23:14.123456Z");
        assert_eq!(rfc3339(ts, 0), "2021-03-21T14:23:14Z");
        assert_eq!(rfc1123(ts), "Sun, 21 Mar 21 14:23:14 +0000");
        assert_eq!(seconds(ts, 4), "1616336594.1234");
        for wrong in [
            "",
            "2021-03-21",
            "2021-13-21T14:23:14Z",
            "2021-03-21T14:23:1xZ",
            "2021-03-21T-1:23:14Z",
        ] {
            assert_eq!(parse_rfc3339(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(nanos in 0i64..7_000_000_000_000_000_000) {
            let ts = Timestamp::from_nanos(nanos);
            prop_assert_eq!(parse_rfc3339(&rfc3339(ts, 9)), Some(ts));
        }
    }
}
