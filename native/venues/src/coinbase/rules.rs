//! What the venue says of its products, of the time, and of the past (`candles`).

use std::borrow::Cow;

use domain::{
    Bar, Currency, FixedPointError, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money,
    Nanos, Price, Quantity, Text, Timestamp, Venue,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::decimal::{Rounding, units};
use crate::error::{ParseError, VenueError};
use crate::instruments::INSTRUMENTS_MAX;
use crate::unknown::unknown_word;

/// Bars finer than a minute the venue has none.
const SECOND: i64 = 1_000_000_000;

/// Only the products asked for are read further: others may be of kinds with other fields.
#[derive(Deserialize)]
struct RawProducts<'a> {
    #[serde(borrow)]
    products: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawName<'a> {
    #[serde(borrow)]
    product_id: Cow<'a, str>,
}

#[derive(Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "the venue's own flags")]
struct RawProduct<'a> {
    #[serde(borrow)]
    product_id: Cow<'a, str>,
    #[serde(borrow)]
    base_currency_id: Cow<'a, str>,
    #[serde(borrow)]
    quote_currency_id: Cow<'a, str>,
    #[serde(borrow)]
    base_increment: Cow<'a, str>,
    #[serde(borrow)]
    quote_increment: Cow<'a, str>,
    // The newer word for the step of prices; where it is missing, that of quote amounts is it.
    #[serde(borrow, default)]
    price_increment: Cow<'a, str>,
    #[serde(borrow)]
    base_min_size: Cow<'a, str>,
    #[serde(borrow)]
    base_max_size: Cow<'a, str>,
    #[serde(borrow)]
    quote_min_size: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    trading_disabled: bool,
    cancel_only: bool,
    limit_only: bool,
    post_only: bool,
    #[serde(default)]
    is_disabled: bool,
    #[serde(default)]
    view_only: bool,
    #[serde(default)]
    auction_mode: bool,
    #[serde(borrow, default)]
    product_type: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RawCandles<'a> {
    #[serde(borrow)]
    candles: Vec<RawCandle<'a>>,
}

#[derive(Deserialize)]
struct RawCandle<'a> {
    #[serde(borrow)]
    start: Cow<'a, str>,
    #[serde(borrow)]
    low: Cow<'a, str>,
    #[serde(borrow)]
    high: Cow<'a, str>,
    #[serde(borrow)]
    open: Cow<'a, str>,
    #[serde(borrow)]
    close: Cow<'a, str>,
    #[serde(borrow)]
    volume: Cow<'a, str>,
}

/// Reads a list of products, and appends the rules of the symbols asked for, in their order; ids count on.
///
/// # Errors
/// [`VenueError::UnknownSymbol`] when one is not listed, [`VenueError::Malformed`] when a rule that orders
/// must keep is missing or unreadable.
pub fn products(body: &[u8], symbols: &[&str], instruments: &mut Vec<Instrument>) -> Result<(), VenueError> {
    let malformed = |source| VenueError::Malformed {
        what: "products",
        source,
    };
    if instruments.len() + symbols.len() > INSTRUMENTS_MAX {
        return Err(malformed(ParseError::TooMany {
            field: "products",
            max: INSTRUMENTS_MAX,
        }));
    }
    let raw: RawProducts<'_> = serde_json::from_slice(body).map_err(|error| malformed(error.into()))?;
    for symbol in symbols {
        let is_it = |product: &&&RawValue| {
            let name: Option<RawName<'_>> = serde_json::from_str(product.get()).ok();
            name.is_some_and(|name| name.product_id == *symbol)
        };
        let listed = raw.products.iter().find(is_it);
        let listed = listed.ok_or_else(|| VenueError::UnknownSymbol {
            symbol: (*symbol).to_owned(),
        })?;
        let product = serde_json::from_str(listed.get()).map_err(|error| malformed(error.into()))?;
        let id = InstrumentId(u16::try_from(instruments.len()).unwrap_or(u16::MAX));
        instruments.push(instrument(id, &product).map_err(malformed)?);
    }
    Ok(())
}

fn instrument(id: InstrumentId, raw: &RawProduct<'_>) -> Result<Instrument, ParseError> {
    let currency = |code: &str, field| {
        Currency::new(code).ok_or(ParseError::Value {
            field,
            problem: "a currency is 1 to 12 letters or digits",
        })
    };
    let quote = currency(&raw.quote_currency_id, "quote_currency_id")?;
    Ok(Instrument {
        id,
        venue: Venue::Coinbase,
        symbol: Text::new(&raw.product_id).ok_or(ParseError::Value {
            field: "product_id",
            problem: "a product is at most 24 printable ASCII bytes",
        })?,
        base: currency(&raw.base_currency_id, "base_currency_id")?,
        quote,
        rules: rules(raw, quote)?,
        status: status(raw),
    })
}

/// Only what takes every kind of order is tradable. Where the venue takes limit or resting orders alone, ours would
/// partly be refused: nothing new is sent.
fn status(raw: &RawProduct<'_>) -> InstrumentStatus {
    let is_spot = raw.product_type.as_deref().is_none_or(|kind| kind == "SPOT");
    match raw.status.as_ref() {
        _ if !is_spot => InstrumentStatus::Unknown,
        "online" if raw.trading_disabled || raw.is_disabled || raw.view_only => InstrumentStatus::Halted,
        "online" if raw.cancel_only || raw.limit_only || raw.post_only || raw.auction_mode => {
            InstrumentStatus::CancelOnly
        }
        "online" => InstrumentStatus::Trading,
        "offline" | "delisted" => InstrumentStatus::Halted,
        word => {
            unknown_word("status of an instrument", word);
            InstrumentStatus::Unknown
        }
    }
}

fn rules(raw: &RawProduct<'_>, quote: Currency) -> Result<InstrumentRules, ParseError> {
    let tick = match raw.price_increment.as_ref() {
        "" => step(&raw.quote_increment, "quote_increment")?,
        text => step(text, "price_increment")?,
    };
    let min_notional = bound(&raw.quote_min_size, Rounding::Up, "quote_min_size")?;
    let tick_size = Price::from_units(tick);
    Ok(InstrumentRules {
        tick_size,
        lot_size: Quantity::from_units(step(&raw.base_increment, "base_increment")?),
        min_price: tick_size,
        // The venue names none.
        max_price: Price::ZERO,
        min_quantity: Quantity::from_units(bound(&raw.base_min_size, Rounding::Up, "base_min_size")?),
        max_quantity: Quantity::from_units(upper_bound(&raw.base_max_size)?),
        min_notional: Money::from_decimal_units(min_notional, quote),
    })
}

/// A step is exact, or orders would break it.
fn step(text: &str, field: &'static str) -> Result<i64, ParseError> {
    let step = Price::parse(text.as_bytes()).map_err(|source| ParseError::Number { field, source })?;
    if step > Price::ZERO {
        return Ok(step.units());
    }
    Err(ParseError::Value {
        field,
        problem: "a step is positive",
    })
}

fn bound(text: &str, rounding: Rounding, field: &'static str) -> Result<i64, ParseError> {
    let bound = units(text, rounding).map_err(|source| ParseError::Number { field, source })?;
    if bound >= 0 {
        return Ok(bound);
    }
    Err(ParseError::Value {
        field,
        problem: "a rule is not negative",
    })
}

/// A bound that no order of ours can reach is no bound: zero.
fn upper_bound(text: &str) -> Result<i64, ParseError> {
    match bound(text, Rounding::Down, "base_max_size") {
        Err(ParseError::Number {
            source: FixedPointError::OutOfRange,
            ..
        }) => Ok(0),
        other => other,
    }
}

/// Reads the venue's time.
///
/// # Errors
/// [`VenueError::Malformed`] when it is unreadable.
pub fn server_time(body: &[u8]) -> Result<Timestamp, VenueError> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow, rename = "epochMillis")]
        epoch_millis: Cow<'a, str>,
    }
    let malformed = |source| VenueError::Malformed { what: "time", source };
    let raw: Raw<'_> = serde_json::from_slice(body).map_err(|error| malformed(error.into()))?;
    let millis: Option<u64> = raw.epoch_millis.parse().ok();
    let millis = millis.and_then(|millis| i64::try_from(millis).ok());
    // Further than nanoseconds in 64 bits reach.
    let fits = millis.filter(|&millis| millis < i64::MAX / 1_000_000);
    fits.map(Timestamp::from_millis).ok_or_else(|| {
        malformed(ParseError::Value {
            field: "epochMillis",
            problem: "a time is milliseconds since 1970",
        })
    })
}

/// The venue's word for a bar length; `None` when it has no such bars.
#[must_use]
pub fn granularity(span: Nanos) -> Option<&'static str> {
    if span.0 % SECOND != 0 {
        return None;
    }
    match span.0 / SECOND {
        60 => Some("ONE_MINUTE"),
        300 => Some("FIVE_MINUTE"),
        900 => Some("FIFTEEN_MINUTE"),
        1_800 => Some("THIRTY_MINUTE"),
        3_600 => Some("ONE_HOUR"),
        7_200 => Some("TWO_HOUR"),
        21_600 => Some("SIX_HOUR"),
        86_400 => Some("ONE_DAY"),
        _ => None,
    }
}

/// Reads `candles`, which come newest first: rising in time, each consistent. The last one may not be complete yet.
///
/// # Errors
/// [`VenueError::Malformed`] when a bar is unreadable, contradicts itself, or is out of order.
pub fn bars(body: &[u8], instrument: InstrumentId, span: Nanos) -> Result<Vec<Bar>, VenueError> {
    let malformed = |source| VenueError::Malformed {
        what: "candles",
        source,
    };
    let raw: RawCandles<'_> = serde_json::from_slice(body).map_err(|error| malformed(error.into()))?;
    let mut bars: Vec<Bar> = Vec::with_capacity(raw.candles.len());
    for candle in raw.candles.iter().rev() {
        let bar = bar(candle, instrument, span).map_err(malformed)?;
        let rises = bars.last().is_none_or(|last| last.ts_open < bar.ts_open);
        if !bar.is_consistent() || !rises || bar.ts_open.floor_to(span) != bar.ts_open {
            return Err(malformed(ParseError::Value {
                field: "candles",
                problem: "bars fall in time, lie on the grid of their span, and have low <= open, close <= high",
            }));
        }
        bars.push(bar);
    }
    Ok(bars)
}

fn bar(raw: &RawCandle<'_>, instrument: InstrumentId, span: Nanos) -> Result<Bar, ParseError> {
    let seconds: Option<i64> = raw.start.parse().ok();
    let nanos = seconds.and_then(|seconds| seconds.checked_mul(SECOND));
    let ts_open = nanos.map(Timestamp::from_nanos).ok_or(ParseError::Value {
        field: "start",
        problem: "a bar begins at whole seconds since 1970",
    })?;
    let price = |text: &str, field| -> Result<Price, ParseError> {
        Ok(Price::from_units(bound(text, Rounding::Down, field)?))
    };
    Ok(Bar {
        instrument,
        ts_open,
        span,
        open: price(&raw.open, "open")?,
        high: price(&raw.high, "high")?,
        low: price(&raw.low, "low")?,
        close: price(&raw.close, "close")?,
        volume: Quantity::from_units(bound(&raw.volume, Rounding::Down, "volume")?),
    })
}

#[cfg(test)]
mod tests;
