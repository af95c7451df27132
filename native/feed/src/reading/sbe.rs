//! Binance spot in binary (Simple Binary Encoding): places by the venue's published schema, each number as the decimal text
//! that its mantissa and its power of ten say.

use std::borrow::Cow;

use super::{BookFact, Fact, TextLevel, TradeFact};

/// Bytes before the fixed block: its length, the template, the schema, the schema's version.
const HEAD: usize = 8;

/// The schema of market streams.
const SCHEMA: u16 = 1;

const TRADES: u16 = 10_000;
const BEST: u16 = 10_001;
const CHANGE: u16 = 10_003;

/// Templates of the schema.
const TEMPLATES: std::ops::RangeInclusive<u16> = TRADES..=CHANGE;

/// Whether a message can only be one of this wire.
pub(crate) fn is_one(frame: &[u8]) -> bool {
    let head = (short(frame, 2), short(frame, 4));
    matches!(head, (Some(template), Some(SCHEMA)) if TEMPLATES.contains(&template))
}

pub(super) fn facts(frame: &[u8]) -> Option<Vec<Fact<'_>>> {
    if !is_one(frame) {
        return None;
    }
    let block = HEAD..HEAD + usize::from(short(frame, 0)?);
    let (fixed, rest) = (frame.get(block.clone())?, frame.get(block.end..)?);
    match short(frame, 2)? {
        TRADES => trades(fixed, rest),
        BEST => Some(vec![Fact::Other(symbol(rest)?)]),
        CHANGE => Some(vec![change(fixed, rest)?]),
        _ => Some(Vec::new()),
    }
}

fn trades<'a>(fixed: &[u8], rest: &'a [u8]) -> Option<Vec<Fact<'a>>> {
    let powers = (power(fixed, 16)?, power(fixed, 17)?);
    let (entry, count) = (usize::from(short(rest, 0)?), word(rest, 2)?);
    let count = usize::try_from(count).ok()?;
    let entries = rest.get(6..)?;
    let symbol = symbol(entries.get(entry.checked_mul(count)?..)?)?;
    let fact = |at: usize| {
        Some(Fact::Trade(TradeFact {
            symbol: symbol.clone(),
            price: decimal(long(entries, at * entry + 8)?, powers.0),
            quantity: decimal(long(entries, at * entry + 16)?, powers.1),
        }))
    };
    (0..count).map(fact).collect()
}

fn change<'a>(fixed: &[u8], rest: &'a [u8]) -> Option<Fact<'a>> {
    let number = |place| u64::try_from(long(fixed, place)?).ok();
    let powers = (power(fixed, 24)?, power(fixed, 25)?);
    let (bids, rest) = levels(rest, powers)?;
    let (asks, rest) = levels(rest, powers)?;
    Some(Fact::Book(BookFact {
        symbol: Some(symbol(rest)?),
        is_snapshot: false,
        numbers: Some((number(8)?, number(16)?)),
        bids,
        asks,
    }))
}

/// A side, and what stands behind it.
fn levels(rest: &[u8], powers: (i8, i8)) -> Option<(Vec<TextLevel<'_>>, &[u8])> {
    let (entry, count) = (usize::from(short(rest, 0)?), usize::from(short(rest, 2)?));
    let rest = rest.get(4..)?;
    let level = |at: usize| {
        Some(TextLevel {
            price: decimal(long(rest, at * entry)?, powers.0),
            quantity: decimal(long(rest, at * entry + 8)?, powers.1),
        })
    };
    let levels = (0..count).map(level).collect::<Option<_>>()?;
    Some((levels, rest.get(entry * count..)?))
}

fn symbol(rest: &[u8]) -> Option<Cow<'_, str>> {
    let length = usize::from(*rest.first()?);
    let text = std::str::from_utf8(rest.get(1..=length)?).ok()?;
    Some(Cow::Borrowed(text))
}

/// A mantissa and a power of ten as text, with as many digits behind the point as the power says.
fn decimal(mantissa: i64, power: i8) -> Cow<'static, str> {
    let digits = mantissa.unsigned_abs().to_string();
    let sign = if mantissa < 0 { "-" } else { "" };
    if power >= 0 {
        let zeros = "0".repeat(usize::from(power.unsigned_abs()));
        return Cow::Owned(format!("{sign}{digits}{zeros}"));
    }
    let behind = usize::from(power.unsigned_abs());
    let padded = format!("{digits:0>width$}", width = behind + 1);
    let (whole, fraction) = padded.split_at(padded.len() - behind);
    Cow::Owned(format!("{sign}{whole}.{fraction}"))
}

fn power(bytes: &[u8], place: usize) -> Option<i8> {
    bytes.get(place).map(|byte| byte.cast_signed())
}

fn array<const N: usize>(bytes: &[u8], place: usize) -> Option<[u8; N]> {
    bytes.get(place..)?.first_chunk().copied()
}

fn short(bytes: &[u8], place: usize) -> Option<u16> {
    array(bytes, place).map(u16::from_le_bytes)
}

fn word(bytes: &[u8], place: usize) -> Option<u32> {
    array(bytes, place).map(u32::from_le_bytes)
}

fn long(bytes: &[u8], place: usize) -> Option<i64> {
    array(bytes, place).map(i64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mantissa_keeps_its_digits() {
        let text = |mantissa, power| decimal(mantissa, power).into_owned();
        assert_eq!(text(6_173_763_000_000, -8), "61737.63000000");
        assert_eq!(text(5, -2), "0.05");
        assert_eq!(text(-5, -2), "-0.05");
        assert_eq!(text(5, 2), "500");
        assert_eq!(text(5, 0), "5");
    }

    #[test]
    fn what_ends_too_soon_says_nothing() {
        let best: Vec<u8> = [50_u16, BEST, SCHEMA, 0]
            .iter()
            .flat_map(|short| short.to_le_bytes())
            .chain([0; 50])
            .chain(*b"\x07BTCUSDT")
            .collect();
        assert_eq!(facts(&best), Some(vec![Fact::Other("BTCUSDT".into())]));
        for end in 0..best.len() {
            assert_eq!(facts(&best[..end]), None);
        }
        assert!(!is_one(br#"{"stream":"x"}"#));
    }
}
