//! What the venue says of its instruments (`exchangeInfo`), and of the past (`klines`).

use std::borrow::Cow;

use domain::{
    Bar, Currency, FixedPointError, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money,
    Nanos, Price, Quantity, Text, Timestamp, Venue,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{ParseError, VenueError};
use crate::instruments::INSTRUMENTS_MAX;
use crate::unknown::unknown_word;

/// What this build takes from `exchangeInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeInfo {
    /// The instruments asked for, in that order; ids count from zero.
    pub instruments: Vec<Instrument>,
    /// The venue's request weight per minute, where it says so.
    pub weight_per_minute: Option<u32>,
}

#[derive(Deserialize)]
struct RawInfo<'a> {
    #[serde(borrow, default, rename = "rateLimits")]
    rate_limits: Vec<RawRateLimit<'a>>,
    #[serde(borrow)]
    symbols: Vec<RawSymbol<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRateLimit<'a> {
    #[serde(borrow)]
    rate_limit_type: Cow<'a, str>,
    #[serde(borrow)]
    interval: Cow<'a, str>,
    interval_num: u32,
    limit: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSymbol<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    base_asset: Cow<'a, str>,
    #[serde(borrow)]
    quote_asset: Cow<'a, str>,
    #[serde(default)]
    is_spot_trading_allowed: Option<bool>,
    #[serde(borrow)]
    filters: Vec<RawFilter<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFilter<'a> {
    #[serde(borrow)]
    filter_type: Cow<'a, str>,
    #[serde(borrow, default)]
    min_price: Cow<'a, str>,
    #[serde(borrow, default)]
    max_price: Cow<'a, str>,
    #[serde(borrow, default)]
    tick_size: Cow<'a, str>,
    #[serde(borrow, default)]
    min_qty: Cow<'a, str>,
    #[serde(borrow, default)]
    max_qty: Cow<'a, str>,
    #[serde(borrow, default)]
    step_size: Cow<'a, str>,
    #[serde(borrow, default)]
    min_notional: Cow<'a, str>,
}

/// Reads `exchangeInfo` for the symbols asked for.
///
/// # Errors
/// [`VenueError::UnknownSymbol`] when one is not listed, [`VenueError::Malformed`] when a rule that orders
/// must keep is missing or unreadable.
pub fn exchange_info(body: &[u8], symbols: &[&str]) -> Result<ExchangeInfo, VenueError> {
    let malformed = |source| VenueError::Malformed {
        what: "exchangeInfo",
        source,
    };
    if symbols.len() > INSTRUMENTS_MAX {
        return Err(malformed(ParseError::TooMany {
            field: "symbols",
            max: INSTRUMENTS_MAX,
        }));
    }
    let raw: RawInfo<'_> = serde_json::from_slice(body).map_err(|error| malformed(error.into()))?;
    let mut instruments = Vec::with_capacity(symbols.len());
    for (index, symbol) in symbols.iter().enumerate() {
        let listed = raw.symbols.iter().find(|listed| listed.symbol == *symbol);
        let listed = listed.ok_or_else(|| VenueError::UnknownSymbol {
            symbol: (*symbol).to_owned(),
        })?;
        let id = InstrumentId(u16::try_from(index).unwrap_or(u16::MAX));
        instruments.push(instrument(id, listed).map_err(malformed)?);
    }
    let weight = raw.rate_limits.iter().find(|limit| {
        limit.rate_limit_type == "REQUEST_WEIGHT" && limit.interval == "MINUTE" && limit.interval_num == 1
    });
    Ok(ExchangeInfo {
        instruments,
        weight_per_minute: weight.map(|limit| limit.limit),
    })
}

fn instrument(id: InstrumentId, raw: &RawSymbol<'_>) -> Result<Instrument, ParseError> {
    let currency = |code: &str, field| {
        Currency::new(code).ok_or(ParseError::Value {
            field,
            problem: "an asset is 1 to 12 letters or digits",
        })
    };
    let quote = currency(&raw.quote_asset, "quoteAsset")?;
    Ok(Instrument {
        id,
        venue: Venue::Binance,
        symbol: Text::new(&raw.symbol).ok_or(ParseError::Value {
            field: "symbol",
            problem: "a symbol is at most 24 printable ASCII bytes",
        })?,
        base: currency(&raw.base_asset, "baseAsset")?,
        quote,
        rules: rules(raw, quote)?,
        status: status(raw),
    })
}

fn status(raw: &RawSymbol<'_>) -> InstrumentStatus {
    if raw.is_spot_trading_allowed == Some(false) {
        return InstrumentStatus::Halted;
    }
    match raw.status.as_ref() {
        "TRADING" => InstrumentStatus::Trading,
        "CANCEL_ONLY" => InstrumentStatus::CancelOnly,
        "HALT" | "BREAK" | "END_OF_DAY" | "PRE_TRADING" | "POST_TRADING" | "AUCTION_MATCH" => {
            InstrumentStatus::Halted
        }
        word => {
            unknown_word("status of an instrument", word);
            InstrumentStatus::Unknown
        }
    }
}

fn rules(raw: &RawSymbol<'_>, quote: Currency) -> Result<InstrumentRules, ParseError> {
    let filter = |kind: &str| raw.filters.iter().find(|filter| filter.filter_type == kind);
    let missing = |problem| ParseError::Value {
        field: "filters",
        problem,
    };
    let price = filter("PRICE_FILTER").ok_or_else(|| missing("a symbol needs a PRICE_FILTER"))?;
    let lot = filter("LOT_SIZE").ok_or_else(|| missing("a symbol needs a LOT_SIZE filter"))?;
    // The newer filter, or the older one that some symbols still have.
    let notional = filter("NOTIONAL").or_else(|| filter("MIN_NOTIONAL"));
    let min_notional = notional.map_or(Ok(0), |filter| units(&filter.min_notional, "minNotional"))?;
    Ok(InstrumentRules {
        tick_size: Price::from_units(units(&price.tick_size, "tickSize")?),
        lot_size: Quantity::from_units(units(&lot.step_size, "stepSize")?),
        min_price: Price::from_units(units(&price.min_price, "minPrice")?),
        max_price: Price::from_units(upper_bound(&price.max_price, "maxPrice")?),
        min_quantity: Quantity::from_units(units(&lot.min_qty, "minQty")?),
        max_quantity: Quantity::from_units(upper_bound(&lot.max_qty, "maxQty")?),
        min_notional: Money::from_decimal_units(min_notional, quote),
    })
}

fn units(text: &str, field: &'static str) -> Result<i64, ParseError> {
    let number = Price::parse(text.as_bytes()).map_err(|source| ParseError::Number { field, source })?;
    if number < Price::ZERO {
        return Err(ParseError::Value {
            field,
            problem: "a rule is not negative",
        });
    }
    Ok(number.units())
}

/// A bound that no order of ours can reach is no bound: zero.
fn upper_bound(text: &str, field: &'static str) -> Result<i64, ParseError> {
    match units(text, field) {
        Err(ParseError::Number {
            source: FixedPointError::OutOfRange,
            ..
        }) => Ok(0),
        other => other,
    }
}

/// The venue's word for a bar length; `None` when it has no such bars.
#[must_use]
pub fn interval(span: Nanos) -> Option<&'static str> {
    const SECOND: i64 = 1_000_000_000;
    let seconds = span.0 / SECOND;
    if span.0 % SECOND != 0 {
        return None;
    }
    match seconds {
        1 => Some("1s"),
        60 => Some("1m"),
        180 => Some("3m"),
        300 => Some("5m"),
        900 => Some("15m"),
        1_800 => Some("30m"),
        3_600 => Some("1h"),
        7_200 => Some("2h"),
        14_400 => Some("4h"),
        21_600 => Some("6h"),
        28_800 => Some("8h"),
        43_200 => Some("12h"),
        86_400 => Some("1d"),
        _ => None,
    }
}

/// Reads the venue's time.
///
/// # Errors
/// [`VenueError::Malformed`].
pub fn server_time(body: &[u8]) -> Result<Timestamp, VenueError> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(rename = "serverTime")]
        server_ms: i64,
    }
    let raw: Result<Raw, _> = serde_json::from_slice(body);
    let raw = raw.map_err(|error| VenueError::Malformed {
        what: "time",
        source: error.into(),
    })?;
    Ok(Timestamp::from_millis(raw.server_ms))
}

/// Reads `klines`: rising in time, each consistent. The last one may not be complete yet.
///
/// # Errors
/// [`VenueError::Malformed`] when a bar is unreadable, contradicts itself, or is out of order.
pub fn bars(body: &[u8], instrument: InstrumentId, span: Nanos) -> Result<Vec<Bar>, VenueError> {
    let malformed = |source| VenueError::Malformed {
        what: "klines",
        source,
    };
    let rows: Vec<Vec<&RawValue>> = serde_json::from_slice(body).map_err(|error| malformed(error.into()))?;
    let mut bars: Vec<Bar> = Vec::with_capacity(rows.len());
    for row in &rows {
        let bar = bar(row, instrument, span).map_err(malformed)?;
        let rises = bars.last().is_none_or(|last| last.ts_open < bar.ts_open);
        if !bar.is_consistent() || !rises || bar.ts_open.floor_to(span) != bar.ts_open {
            return Err(malformed(ParseError::Value {
                field: "klines",
                problem: "bars rise in time, lie on the grid of their span, and have low <= open, close <= high",
            }));
        }
        bars.push(bar);
    }
    Ok(bars)
}

fn bar(row: &[&RawValue], instrument: InstrumentId, span: Nanos) -> Result<Bar, ParseError> {
    let [open_ms, open, high, low, close, volume, ..] = row else {
        return Err(ParseError::Value {
            field: "klines",
            problem: "a bar has at least six fields",
        });
    };
    let millis: i64 = serde_json::from_str(open_ms.get())?;
    let price = |raw: &RawValue, field| -> Result<i64, ParseError> {
        let text: Cow<'_, str> = serde_json::from_str(raw.get())?;
        units(&text, field)
    };
    Ok(Bar {
        instrument,
        ts_open: Timestamp::from_millis(millis),
        span,
        open: Price::from_units(price(open, "open")?),
        high: Price::from_units(price(high, "high")?),
        low: Price::from_units(price(low, "low")?),
        close: Price::from_units(price(close, "close")?),
        volume: Quantity::from_units(price(volume, "volume")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binance::recorded;

    fn info(change: impl Fn(String) -> String) -> Result<ExchangeInfo, VenueError> {
        let body = r#"{"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000}],
            "symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","isSpotTradingAllowed":true,
            "filters":[{"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000.00000000","tickSize":"0.01000000"},
            {"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000","stepSize":"0.00001000"},
            {"filterType":"ICEBERG_PARTS","limit":10},
            {"filterType":"NOTIONAL","minNotional":"5.00000000","applyMinToMarket":true,"maxNotional":"9000000.00000000"}]}]}"#;
        exchange_info(change(body.to_owned()).as_bytes(), &["BTCUSDT"])
    }

    #[test]
    fn reads_the_rules_of_a_symbol() {
        let info = info(|body| body).unwrap();
        assert_eq!(info.weight_per_minute, Some(6_000));
        let [instrument] = info.instruments[..] else {
            panic!("one instrument")
        };
        assert_eq!(instrument.rules.tick_size, Price::parse(b"0.01").unwrap());
        assert_eq!(instrument.rules.lot_size, Quantity::parse(b"0.00001").unwrap());
        assert_eq!(instrument.rules.min_notional.to_string(), "5 USDT");
        assert_eq!(instrument.status, InstrumentStatus::Trading);
        assert_eq!(
            (instrument.base.as_str(), instrument.quote.as_str()),
            ("BTC", "USDT")
        );
    }

    #[test]
    fn a_status_this_build_does_not_know_is_not_tradable() {
        let status = |word: &str| {
            info(|body| body.replace("TRADING\"", &format!("{word}\"")))
                .unwrap()
                .instruments[0]
                .status
        };
        assert_eq!(status("CANCEL_ONLY"), InstrumentStatus::CancelOnly);
        assert_eq!(status("BREAK"), InstrumentStatus::Halted);
        assert_eq!(status("A_NEW_WORD"), InstrumentStatus::Unknown);
        let no_spot = info(|body| body.replace("Allowed\":true", "Allowed\":false")).unwrap();
        assert_eq!(no_spot.instruments[0].status, InstrumentStatus::Halted);
    }

    #[test]
    fn a_missing_rule_is_an_error_and_an_unreachable_bound_is_none() {
        assert!(info(|body| body.replace("PRICE_FILTER", "OTHER")).is_err());
        assert!(info(|body| body.replace("LOT_SIZE", "OTHER")).is_err());
        assert!(info(|body| body.replace("\"tickSize\":\"0.01000000\"", "\"tickSize\":\"0,01\"")).is_err());
        let unbounded = info(|body| body.replace("9000.00000000", "900000000000.00000000")).unwrap();
        assert_eq!(unbounded.instruments[0].rules.max_quantity, Quantity::ZERO);
        let unknown = exchange_info(br#"{"symbols":[]}"#, &["BTCUSDT"]).unwrap_err();
        assert!(matches!(unknown, VenueError::UnknownSymbol { symbol } if symbol == "BTCUSDT"));
    }

    #[test]
    fn reads_the_recorded_answer() {
        let Some(body) = recorded::exchange_info() else {
            return;
        };
        let info = exchange_info(&body, &["BTCUSDT", "ETHBTC"]).unwrap();
        assert_eq!(info.weight_per_minute, Some(1_200));
        let [btc, eth] = info.instruments[..] else {
            panic!("two instruments")
        };
        assert_eq!((btc.id, eth.id), (InstrumentId(0), InstrumentId(1)));
        assert_eq!(btc.rules.min_notional.to_string(), "10 USDT");
        assert_eq!(eth.rules.tick_size, Price::parse(b"0.000001").unwrap());
        assert_eq!(eth.rules.max_quantity, Quantity::parse(b"100000").unwrap());
    }

    #[test]
    fn reads_bars_and_refuses_contradictions() {
        let span = Nanos::from_secs(900);
        let row =
            r#"[1723161600000,"61000.1","61500","60900.5","61200","12.5",1723162499999,"1",10,"1","1","0"]"#;
        let read = |text: &str| bars(text.as_bytes(), InstrumentId(0), span);
        let [bar] = read(&format!("[{row}]")).unwrap()[..] else {
            panic!("one bar")
        };
        assert_eq!(bar.high, Price::parse(b"61500").unwrap());
        assert_eq!(bar.ts_close(), Timestamp::from_millis(1_723_162_500_000));
        assert!(read(&format!("[{row},{row}]")).is_err(), "the same bar twice");
        assert!(
            read(&format!("[{}]", row.replace("61500", "61100"))).is_err(),
            "high below close"
        );
        assert!(
            read(&format!("[{}]", row.replace("1600000,", "1600001,"))).is_err(),
            "off the grid"
        );
        assert!(read(r#"[[1,"1"]]"#).is_err());
        assert_eq!(interval(span), Some("15m"));
        assert_eq!(interval(Nanos(span.0 + 1)), None);
    }
}
