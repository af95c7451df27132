//! Market messages in Binance's binary form: Simple Binary Encoding, little-endian.
//!
//! The layout is that of the venue's published schema `stream_1_0.xml` (id 1, version 0), in our words. Each message has a
//! head of eight bytes: length of the fixed block, number of the template, of the schema, of its version. The block
//! follows, then the groups (head: length of one entry, count), then the symbol (one byte of length, text).
//!
//! | template | block | groups |
//! |---|---|---|
//! | 10000 trades | event time, transaction time (µs), exponents of price and quantity | trades: id, price, quantity, whether the buyer was the maker |
//! | 10001 best bid and ask | event time, update id, exponents, bid price and quantity, ask price and quantity | |
//! | 10003 change of the book | event time, first and last update id, exponents | bids and asks: price, quantity |
//!
//! A newer version may only add: a longer block or entry is read as far as it is known. A number is a mantissa and a power
//! of ten, so that it becomes fixed point without a float.

use domain::{FixedPointError, Level, Price, Quantity, SCALE_DIGITS, Side, Timestamp, TradeId};

use super::{DepthHead, Head, MESSAGE_LEVELS_MAX, Symbol, TickerMessage, TradeMessage, rule};
use crate::error::ParseError;

/// The schema that this reads.
const SCHEMA: u16 = 1;

/// Templates of that schema.
const TRADES: u16 = 10_000;
const BEST: u16 = 10_001;
const DEPTH: u16 = 10_003;

/// Most trades of one message.
pub(super) const TRADES_MAX: usize = 10_000;

/// Where a message's parts go.
#[derive(Debug)]
pub(super) struct Out<'b> {
    pub(super) bids: &'b mut Vec<Level>,
    pub(super) asks: &'b mut Vec<Level>,
    pub(super) trades: &'b mut Vec<TradeMessage>,
}

/// Whether a frame is in this form: JSON begins with a brace, and no block has that length.
pub(super) fn is_binary(frame: &[u8]) -> bool {
    frame
        .first()
        .is_some_and(|first| *first != b'{' && !first.is_ascii_whitespace())
}

/// Reads one message.
///
/// # Errors
/// [`ParseError`] when it ends before its parts do, is of another schema, or holds numbers that are none.
pub(super) fn stream_message(frame: &[u8], out: &mut Out<'_>) -> Result<Head, ParseError> {
    let mut rest = Bytes(frame);
    let [block, template, schema, _version] = rest.shorts()?;
    if schema != SCHEMA {
        return Err(value("schemaId", "the schema of market streams is 1"));
    }
    let mut block = Bytes(rest.take(usize::from(block))?);
    match template {
        TRADES => trades(&mut block, &mut rest, out),
        BEST => best(&mut block, &mut rest),
        DEPTH => depth(&mut block, &mut rest, out),
        _ => Ok(Head::Other),
    }
}

fn trades(block: &mut Bytes<'_>, rest: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Head, ParseError> {
    let _event = block.long()?;
    let ts_event = time(block.long()?)?;
    let exponents = Exponents::read(block)?;
    let entry = usize::from(rest.short()?);
    let count = bounded(rest.word()?, TRADES_MAX, "trades")?;
    let mut entries = Bytes(rest.take(entry.saturating_mul(count))?);
    let symbol = rest.symbol()?;
    out.trades.clear();
    for _ in 0..count {
        let mut entry = Bytes(entries.take(entry)?);
        let trade_id = TradeId(positive(entry.long()?, "id")?);
        let price = Price::from_units(units(entry.long()?, exponents.price, "price")?);
        let quantity = Quantity::from_units(units(entry.long()?, exponents.quantity, "qty")?);
        let aggressor = match entry.byte()? {
            0 => Side::Buy,
            1 => Side::Sell,
            _ => return Err(value("isBuyerMaker", "0 or 1")),
        };
        out.trades.push(rule::trade(TradeMessage {
            symbol,
            ts_event,
            trade_id,
            price,
            quantity,
            aggressor,
        })?);
    }
    Ok(Head::Trades { symbol })
}

fn best(block: &mut Bytes<'_>, rest: &mut Bytes<'_>) -> Result<Head, ParseError> {
    let _event = block.long()?;
    let update_id = positive(block.long()?, "bookUpdateId")?;
    let exponents = Exponents::read(block)?;
    let (bid, ask) = (exponents.level(block)?, exponents.level(block)?);
    let symbol = rest.symbol()?;
    let ticker = rule::ticker(TickerMessage {
        symbol,
        // As in the JSON of this market, which carries no time.
        ts_event: None,
        update_id,
        bid,
        ask,
    })?;
    Ok(Head::Ticker(ticker))
}

fn depth(block: &mut Bytes<'_>, rest: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Head, ParseError> {
    let ts_event = time(block.long()?)?;
    let first_update_id = positive(block.long()?, "firstBookUpdateId")?;
    let last_update_id = positive(block.long()?, "lastBookUpdateId")?;
    let exponents = Exponents::read(block)?;
    levels(rest, exponents, out.bids, "bids")?;
    levels(rest, exponents, out.asks, "asks")?;
    let head = rule::depth(DepthHead {
        symbol: rest.symbol()?,
        ts_event,
        first_update_id,
        last_update_id,
        previous_update_id: None,
    })?;
    Ok(Head::Depth(head))
}

fn levels(
    rest: &mut Bytes<'_>,
    exponents: Exponents,
    levels: &mut Vec<Level>,
    field: &'static str,
) -> Result<(), ParseError> {
    let (entry, count) = (usize::from(rest.short()?), u32::from(rest.short()?));
    let count = bounded(count, MESSAGE_LEVELS_MAX, field)?;
    levels.clear();
    for _ in 0..count {
        let level = exponents.level(&mut Bytes(rest.take(entry)?))?;
        levels.push(rule::level(level, field)?);
    }
    Ok(())
}

/// The powers of ten of a message's prices and quantities.
#[derive(Debug, Clone, Copy)]
struct Exponents {
    price: i8,
    quantity: i8,
}

impl Exponents {
    fn read(block: &mut Bytes<'_>) -> Result<Self, ParseError> {
        Ok(Self {
            price: block.byte()?.cast_signed(),
            quantity: block.byte()?.cast_signed(),
        })
    }

    fn level(self, bytes: &mut Bytes<'_>) -> Result<Level, ParseError> {
        Ok(Level {
            price: Price::from_units(units(bytes.long()?, self.price, "price")?),
            quantity: Quantity::from_units(units(bytes.long()?, self.quantity, "qty")?),
        })
    }
}

/// A mantissa in units of 1e-8, exactly or not at all.
fn units(mantissa: i64, exponent: i8, field: &'static str) -> Result<i64, ParseError> {
    let number = |source| ParseError::Number { field, source };
    let shift = i32::from(exponent) + SCALE_DIGITS.cast_signed();
    if mantissa == 0 {
        return Ok(0);
    }
    let power = 10_i64.checked_pow(shift.unsigned_abs());
    match power {
        Some(power) if shift >= 0 => mantissa
            .checked_mul(power)
            .ok_or_else(|| number(FixedPointError::OutOfRange)),
        Some(power) if mantissa % power == 0 => Ok(mantissa / power),
        None if shift >= 0 => Err(number(FixedPointError::OutOfRange)),
        _ => Err(number(FixedPointError::TooPrecise)),
    }
}

fn time(micros: i64) -> Result<Timestamp, ParseError> {
    let nanos = micros.checked_mul(1_000).filter(|nanos| *nanos >= 0);
    nanos
        .map(Timestamp::from_nanos)
        .ok_or_else(|| value("eventTime", "microseconds between 1970 and 2262"))
}

fn positive(number: i64, field: &'static str) -> Result<u64, ParseError> {
    u64::try_from(number).map_err(|_| value(field, "a number that is not negative"))
}

fn bounded(count: u32, max: usize, field: &'static str) -> Result<usize, ParseError> {
    let count = usize::try_from(count).ok().filter(|count| *count <= max);
    count.ok_or(ParseError::TooMany { field, max })
}

const fn value(field: &'static str, problem: &'static str) -> ParseError {
    ParseError::Value { field, problem }
}

/// What is left to read.
#[derive(Debug)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ParseError> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or_else(|| value("message", "it ends before its parts do"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, ParseError> {
        Ok(self.array::<1>()?[0])
    }

    fn short(&mut self) -> Result<u16, ParseError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn shorts(&mut self) -> Result<[u16; 4], ParseError> {
        Ok([self.short()?, self.short()?, self.short()?, self.short()?])
    }

    fn word(&mut self) -> Result<u32, ParseError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn long(&mut self) -> Result<i64, ParseError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    fn symbol(&mut self) -> Result<Symbol, ParseError> {
        let length = usize::from(self.byte()?);
        let text = std::str::from_utf8(self.take(length)?).ok().and_then(Symbol::new);
        text.ok_or_else(|| value("symbol", "up to 24 letters and digits"))
    }
}

#[cfg(test)]
mod tests;
