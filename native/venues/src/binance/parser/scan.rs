//! The fast reader: verifies the literal skeleton, reads the fields in between, returns `None` at the
//! first deviation. It accepts nothing that the slow reader would read otherwise.

use domain::{Level, Price, Quantity, SCALE, Side, TradeId};

use super::{
    DepthHead, Dialect, Head, MESSAGE_LEVELS_MAX, Symbol, TickerMessage, TradeMessage, is_partial_depth,
    rule, timestamp,
};

/// Digits behind the point at scale 1e-8.
const FRACTION_DIGITS: usize = 8;

/// Whole digits read without an overflow check: 9,999,999,999 at scale 1e-8 fits in 63 bits.
const WHOLE_DIGITS: usize = 10;

/// What so many digits behind the point are multiplied with.
const TENS: [u64; FRACTION_DIGITS] = [0, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10];

/// As many digits, a point, the digits behind it, and the byte that follows.
const WINDOW: usize = WHOLE_DIGITS + 1 + FRACTION_DIGITS + 1;

/// A position in the bytes. Every method consumes what it names, or returns `None`.
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Its length is known where it is compiled: compared by a few words, without a call.
    #[inline]
    pub(crate) fn literal<const N: usize>(&mut self, text: &[u8; N]) -> Option<()> {
        let (first, rest) = self.rest.split_first_chunk::<N>()?;
        if first != text {
            return None;
        }
        self.rest = rest;
        Some(())
    }

    /// The same for a text that is chosen.
    pub(crate) fn prefix(&mut self, text: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) fn byte(&mut self, byte: u8) -> Option<()> {
        let (&first, rest) = self.rest.split_first()?;
        if first != byte {
            return None;
        }
        self.rest = rest;
        Some(())
    }

    /// An unsigned JSON integer: no sign, no leading zero, at most 64 bits.
    pub(crate) fn unsigned(&mut self) -> Option<u64> {
        let first = self.rest.first_chunk().and_then(|word| eight_digits(*word));
        let (mut value, mut digits) = first.map_or((0, 0), |value| (value, 8));
        while let Some(digit) = self.rest.get(digits).map(|byte| byte.wrapping_sub(b'0')) {
            if digit > 9 {
                break;
            }
            value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
            digits += 1;
        }
        if digits == 0 || (digits > 1 && self.rest[0] == b'0') {
            return None;
        }
        self.rest = &self.rest[digits..];
        Some(value)
    }

    pub(crate) fn boolean(&mut self) -> Option<bool> {
        if self.literal(b"true").is_some() {
            return Some(true);
        }
        self.literal(b"false")?;
        Some(false)
    }

    /// The inside of a JSON string without escapes, printable ASCII, and its closing quote.
    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        let is_plain = |byte: &u8| (b' '..=b'~').contains(byte) && !matches!(byte, b'"' | b'\\');
        let end = self.rest.iter().position(|byte| !is_plain(byte))?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix(b"\"")?;
        Some(text)
    }

    /// A JSON number without an exponent, as text.
    pub(crate) fn number(&mut self) -> Option<&'a [u8]> {
        let start = self.rest;
        let _sign = self.byte(b'-');
        let whole = self.digits();
        if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
            return None;
        }
        if self.byte(b'.').is_some() && self.digits().is_empty() {
            return None;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            return None;
        }
        Some(&start[..start.len() - self.rest.len()])
    }

    /// A decimal number that is not negative, as it stands bare in JSON: units of 1e-8 and how many digits stood behind the
    /// point. `None`, and nothing consumed, for a form that is rare: more than ten digits before the point, or more than
    /// eight behind it.
    #[inline]
    pub(crate) fn plain(&mut self) -> Option<(i64, u8)> {
        if self.rest.first() == Some(&b'0') && self.rest.get(1).is_some_and(u8::is_ascii_digit) {
            return None;
        }
        let (units, decimals, used) = plain(self.rest, |end| !end.is_ascii_digit())?;
        self.rest = &self.rest[used..];
        Some((units, u8::try_from(decimals).ok()?))
    }

    fn digits(&mut self) -> &'a [u8] {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        digits
    }

    pub(crate) fn symbol(&mut self) -> Option<Symbol> {
        Symbol::from_ascii(self.text()?)
    }

    /// A decimal number inside a JSON string, and its closing quote: units of 1e-8.
    pub(crate) fn fixed(&mut self) -> Option<i64> {
        self.quoted()
    }

    /// The same for a list of them, where a call would take a fifth of its time.
    #[expect(clippy::inline_always, reason = "the compiler finds it too long")]
    #[inline(always)]
    fn quoted(&mut self) -> Option<i64> {
        let Some((units, _, used)) = plain(self.rest, |end| end == b'"') else {
            return self.fixed_of_another_form();
        };
        self.rest = &self.rest[used + 1..];
        Some(units)
    }

    #[cold]
    fn fixed_of_another_form(&mut self) -> Option<i64> {
        Some(Price::parse(self.text()?).ok()?.units())
    }

    /// `["price","quantity"],...` up to and with the closing bracket of the list.
    fn levels(&mut self, out: &mut Vec<Level>) -> Option<()> {
        out.clear();
        if self.byte(b']').is_some() {
            return Some(());
        }
        // One of its own stays in registers.
        let mut cursor = Cursor::new(self.rest);
        cursor.literal(br#"[""#)?;
        loop {
            let price = Price::from_units(cursor.quoted()?);
            cursor.literal(br#",""#)?;
            let quantity = Quantity::from_units(cursor.quoted()?);
            if out.len() == MESSAGE_LEVELS_MAX {
                return None;
            }
            out.push(rule::level(Level { price, quantity }, "").ok()?);
            if cursor.literal(br#"],[""#).is_none() {
                cursor.literal(b"]]")?;
                self.rest = cursor.rest;
                return Some(());
            }
        }
    }
}

/// Reads `digits.digits` or `digits` before an end: units of 1e-8, digits behind the point, bytes taken. `None` for any
/// other form.
#[expect(clippy::inline_always, reason = "inlined, its results stay in registers")]
#[inline(always)]
fn plain(bytes: &[u8], is_end: impl Fn(u8) -> bool) -> Option<(i64, usize, usize)> {
    match bytes.first_chunk() {
        Some(window) => plain_in(window, is_end),
        None => plain_at_the_end(bytes, is_end),
    }
}

/// The last bytes of a message, and zeros behind them.
#[cold]
fn plain_at_the_end(bytes: &[u8], is_end: impl Fn(u8) -> bool) -> Option<(i64, usize, usize)> {
    let mut window = [0; WINDOW];
    window[..bytes.len()].copy_from_slice(bytes);
    plain_in(&window, is_end)
}

/// Digits are counted by branches: the lengths of numbers repeat, so that the processor foresees where each ends, and
/// reads the next while this one's value is still computed. Every index lies within the window.
#[expect(clippy::inline_always, reason = "inlined, its results stay in registers")]
#[inline(always)]
fn plain_in(window: &[u8; WINDOW], is_end: impl Fn(u8) -> bool) -> Option<(i64, usize, usize)> {
    let mut whole = 0_u64;
    let mut at = 0;
    while at < WHOLE_DIGITS && window[at].is_ascii_digit() {
        whole = whole * 10 + u64::from(window[at] - b'0');
        at += 1;
    }
    if at == 0 {
        return None;
    }
    let whole = whole.wrapping_mul(SCALE.unsigned_abs());
    if window[at] != b'.' {
        return is_end(window[at]).then_some((whole.cast_signed(), 0, at));
    }
    let start = at + 1;
    if let Some(fraction) = eight_digits(eight(window, start)) {
        let end = start + FRACTION_DIGITS;
        let units = whole.wrapping_add(fraction).cast_signed();
        return is_end(window[end]).then_some((units, FRACTION_DIGITS, end));
    }
    let mut fraction = 0;
    let mut digits = 0;
    while window[start + digits].is_ascii_digit() {
        fraction = fraction * 10 + u64::from(window[start + digits] - b'0');
        digits += 1;
    }
    let units = whole.wrapping_add(fraction * TENS[digits]).cast_signed();
    let end = start + digits;
    (digits > 0 && is_end(window[end])).then_some((units, digits, end))
}

/// Eight bytes from a place.
#[inline]
fn eight(window: &[u8; WINDOW], at: usize) -> [u8; 8] {
    let mut word = [0; 8];
    word.copy_from_slice(&window[at..at + 8]);
    word
}

/// The number of eight digits, combined in one register: pairs, then fours, then eight. See D. Lemire, "Quickly parsing
/// eight digits" (2022).
#[inline]
const fn eight_digits(word: [u8; 8]) -> Option<u64> {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    // A digit becomes 0 to 9; adding 0x76 to more than that sets the high bit.
    let values = u64::from_le_bytes(word) ^ 0x3030_3030_3030_3030;
    if (values.wrapping_add(0x7676_7676_7676_7676) | values) & HIGH_BITS != 0 {
        return None;
    }
    let pairs = values.wrapping_mul(2_561) >> 8;
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul(6_553_601) >> 16;
    Some((fours & 0x0000_ffff_0000_ffff).wrapping_mul(42_949_672_960_001) >> 32)
}

/// Reads a message of a market stream, raw or enveloped.
pub(super) fn stream_message(
    dialect: Dialect,
    frame: &[u8],
    bids: &mut Vec<Level>,
    asks: &mut Vec<Level>,
) -> Option<Head> {
    let mut cursor = Cursor::new(frame);
    let enveloped = cursor.literal(br#"{"stream":""#).is_some();
    let mut stream: &[u8] = b"";
    if enveloped {
        stream = cursor.text()?;
        cursor.literal(br#","data":"#)?;
    }
    let ticker_start: &[u8] = match dialect {
        Dialect::Spot => br#"{"u":"#,
        Dialect::Futures => br#"{"e":"bookTicker","u":"#,
    };
    let head = if cursor.literal(br#"{"e":"depthUpdate","E":"#).is_some() {
        if dialect == Dialect::Futures && is_partial_depth(stream) {
            return None;
        }
        Head::Depth(depth(dialect, &mut cursor, bids, asks)?)
    } else if cursor.prefix(ticker_start).is_some() {
        Head::Ticker(ticker(dialect, &mut cursor)?)
    } else if cursor.literal(br#"{"e":"trade","E":"#).is_some() {
        Head::Trade(trade(dialect, &mut cursor)?)
    } else {
        return None;
    };
    if enveloped {
        cursor.byte(b'}')?;
    }
    cursor.is_at_end().then_some(head)
}

fn depth(
    dialect: Dialect,
    cursor: &mut Cursor<'_>,
    bids: &mut Vec<Level>,
    asks: &mut Vec<Level>,
) -> Option<DepthHead> {
    let mut event_ms = cursor.unsigned()?;
    if dialect == Dialect::Futures {
        cursor.literal(br#","T":"#)?;
        event_ms = cursor.unsigned()?;
    }
    cursor.literal(br#","s":""#)?;
    let symbol = cursor.symbol()?;
    cursor.literal(br#","U":"#)?;
    let first_update_id = cursor.unsigned()?;
    cursor.literal(br#","u":"#)?;
    let last_update_id = cursor.unsigned()?;
    let mut previous_update_id = None;
    if dialect == Dialect::Futures {
        cursor.literal(br#","pu":"#)?;
        previous_update_id = Some(cursor.unsigned()?);
    }
    cursor.literal(br#","b":["#)?;
    cursor.levels(bids)?;
    cursor.literal(br#","a":["#)?;
    cursor.levels(asks)?;
    cursor.byte(b'}')?;
    rule::depth(DepthHead {
        symbol,
        ts_event: timestamp(event_ms),
        first_update_id,
        last_update_id,
        previous_update_id,
    })
    .ok()
}

fn ticker(dialect: Dialect, cursor: &mut Cursor<'_>) -> Option<TickerMessage> {
    let update_id = cursor.unsigned()?;
    cursor.literal(br#","s":""#)?;
    let symbol = cursor.symbol()?;
    cursor.literal(br#","b":""#)?;
    let bid_price = cursor.fixed()?;
    cursor.literal(br#","B":""#)?;
    let bid_quantity = cursor.fixed()?;
    cursor.literal(br#","a":""#)?;
    let ask_price = cursor.fixed()?;
    cursor.literal(br#","A":""#)?;
    let ask_quantity = cursor.fixed()?;
    let mut ts_event = None;
    if dialect == Dialect::Futures {
        cursor.literal(br#","T":"#)?;
        ts_event = Some(timestamp(cursor.unsigned()?));
        cursor.literal(br#","E":"#)?;
        cursor.unsigned()?;
    }
    cursor.byte(b'}')?;
    let level = |price, quantity| Level {
        price: Price::from_units(price),
        quantity: Quantity::from_units(quantity),
    };
    rule::ticker(TickerMessage {
        symbol,
        ts_event,
        update_id,
        bid: level(bid_price, bid_quantity),
        ask: level(ask_price, ask_quantity),
    })
    .ok()
}

fn trade(dialect: Dialect, cursor: &mut Cursor<'_>) -> Option<TradeMessage> {
    let mut trade_ms = cursor.unsigned()?;
    if dialect == Dialect::Futures {
        cursor.literal(br#","T":"#)?;
        trade_ms = cursor.unsigned()?;
    }
    cursor.literal(br#","s":""#)?;
    let symbol = cursor.symbol()?;
    cursor.literal(br#","t":"#)?;
    let trade_id = TradeId(cursor.unsigned()?);
    cursor.literal(br#","p":""#)?;
    let price = Price::from_units(cursor.fixed()?);
    cursor.literal(br#","q":""#)?;
    let quantity = Quantity::from_units(cursor.fixed()?);
    match dialect {
        Dialect::Spot => {
            cursor.literal(br#","T":"#)?;
            trade_ms = cursor.unsigned()?;
        }
        Dialect::Futures => {
            cursor.literal(br#","X":""#)?;
            cursor.text()?;
        }
    }
    cursor.literal(br#","m":"#)?;
    let aggressor = if cursor.boolean()? { Side::Sell } else { Side::Buy };
    // `M` means nothing any more; the venue may stop sending it.
    if dialect == Dialect::Spot && cursor.literal(br#","M":"#).is_some() {
        cursor.boolean()?;
    }
    cursor.byte(b'}')?;
    rule::trade(TradeMessage {
        symbol,
        ts_event: timestamp(trade_ms),
        trade_id,
        price,
        quantity,
        aggressor,
    })
    .ok()
}

/// Reads the answer of REST `depth`: the number of its last update.
pub(super) fn snapshot(
    dialect: Dialect,
    body: &[u8],
    bids: &mut Vec<Level>,
    asks: &mut Vec<Level>,
) -> Option<u64> {
    let mut cursor = Cursor::new(body);
    cursor.literal(br#"{"lastUpdateId":"#)?;
    let last_update_id = cursor.unsigned()?;
    if dialect == Dialect::Futures {
        cursor.literal(br#","E":"#)?;
        cursor.unsigned()?;
        cursor.literal(br#","T":"#)?;
        cursor.unsigned()?;
    }
    cursor.literal(br#","bids":["#)?;
    cursor.levels(bids)?;
    cursor.literal(br#","asks":["#)?;
    cursor.levels(asks)?;
    cursor.byte(b'}')?;
    cursor.is_at_end().then_some(last_update_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_digits_are_read_in_order_and_nothing_else_is() {
        assert_eq!(eight_digits(*b"12345678"), Some(12_345_678));
        assert_eq!(eight_digits(*b"00000001"), Some(1));
        assert_eq!(eight_digits(*b"99999999"), Some(99_999_999));
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                let mut text = *b"12345678";
                text[place] = byte;
                let value = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
                let expected = byte.is_ascii_digit().then(|| value.unwrap());
                assert_eq!(eight_digits(text), expected, "byte {byte} at {place}");
            }
        }
    }

    #[test]
    fn a_plain_number_is_read_with_its_decimals() {
        let read = |text: &[u8]| {
            let read = |text: &[u8]| {
                let mut cursor = Cursor::new(text);
                (cursor.plain(), text.len() - cursor.rest.len())
            };
            let at_the_end = read(text);
            assert_eq!(read(&[text, &[b' '; WINDOW]].concat()), at_the_end);
            at_the_end
        };
        assert_eq!(read(b"62700.1,"), (Some((6_270_010_000_000, 1)), 7));
        assert_eq!(read(b"0.00104729}"), (Some((104_729, 8)), 10));
        assert_eq!(read(b"7}"), (Some((700_000_000, 0)), 1));
        assert_eq!(read(b"0}"), (Some((0, 0)), 1));
        assert_eq!(read(b"0.5"), (Some((50_000_000, 1)), 3));
        assert_eq!(
            read(b"9999999999.99999999}"),
            (Some((999_999_999_999_999_999, 8)), 19)
        );
        for decimals in 1..=8_usize {
            let text = format!("3.{}7", "0".repeat(decimals - 1));
            let units = 300_000_000 + 7 * 10_i64.pow(u32::try_from(8 - decimals).unwrap());
            let decimals = u8::try_from(decimals).unwrap();
            assert_eq!(read(text.as_bytes()), (Some((units, decimals)), text.len()));
        }
        for rare in [
            &b"12345678901}"[..],
            b"12345678901.5",
            b"0.000000001",
            b"01",
            b"1.",
            b".5",
            b"-1",
            b"",
            b"/1",
            b":1",
            b"\xb0",
        ] {
            assert_eq!(read(rare), (None, 0), "{}", String::from_utf8_lossy(rare));
        }
    }

    #[test]
    fn other_forms_of_a_number_take_the_slower_path_and_agree() {
        let read = |text: &[u8]| Cursor::new(text).fixed();
        assert_eq!(read(br#"61837.63000000""#), Some(6_183_763_000_000));
        assert_eq!(read(br#"61837.63""#), Some(6_183_763_000_000));
        assert_eq!(read(br#"61837""#), Some(6_183_700_000_000));
        assert_eq!(read(br#"12345678901.00000000""#), Some(1_234_567_890_100_000_000));
        assert_eq!(read(br#"1.0000000000""#), Some(100_000_000));
        assert_eq!(read(br#"007.5""#), Some(750_000_000));
        assert_eq!(read(br#"-1.50000000""#), Some(-150_000_000));
        assert_eq!(read(br#"1.000000001""#), None);
        assert_eq!(read(br#"61837.6300""#), Some(6_183_763_000_000));
        assert_eq!(read(br#"0.1""#), Some(10_000_000));
        assert_eq!(read(br#"0""#), Some(0));
        assert_eq!(read(br#"126296""#), Some(12_629_600_000_000));
        assert_eq!(read(br#"""#), None);
        assert_eq!(read(br#"9999999999.9999999""#), Some(999_999_999_999_999_990));
        assert_eq!(read(br#"61837.""#), None);
        assert_eq!(read(br#"6.1.8""#), None);
        assert_eq!(read(br#".10000000""#), None);
        assert_eq!(read(br#".1""#), None);
        assert_eq!(read(br#"1e5""#), None);
        assert_eq!(read(b"1.00000000"), None);
    }

    #[test]
    fn an_integer_is_json_and_fits() {
        let read = |text: &[u8]| Cursor::new(text).unsigned();
        assert_eq!(read(b"0,"), Some(0));
        assert_eq!(read(b"12345678,"), Some(12_345_678));
        assert_eq!(read(b"1234567"), Some(1_234_567));
        assert_eq!(read(b"50093239212,"), Some(50_093_239_212));
        assert_eq!(read(b"00000000"), None);
        assert_eq!(read(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(read(b"18446744073709551616"), None);
        assert_eq!(read(b"007"), None);
        assert_eq!(read(b"-1"), None);
        assert_eq!(read(b""), None);
    }
}
