//! What the venue says of its instruments (`AssetPairs`), and of the past (`OHLC`).
//!
//! One market has many names here: the pair's key (`XXBTZUSD`), its other name (`XBTUSD`), the name of the older
//! WebSocket API (`XBT/USD`) and that of the present one (`BTC/USD`), which is the instrument's symbol. The names of a
//! session are learned from the same answer as its rules, and are never made up from each other: only the two letters
//! that version 2 spells otherwise are.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::{
    Bar, Currency, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money, Nanos, Price,
    Quantity, Text, Timestamp, Venue,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::decimal;
use super::sign::is_name;
use crate::error::{ParseError, VenueError};
use crate::instruments::INSTRUMENTS_MAX;
use crate::unknown::unknown_word;

/// Most pairs in one answer: ten times what the venue lists.
const PAIRS_MAX: usize = 16_384;

/// Assets that version 2 spells otherwise than the rest of the venue.
const RENAMED: [(&str, &str); 2] = [("XBT", "BTC"), ("XDG", "DOGE")];

/// A tick and a lot have at most this many decimals: what a price and a quantity can hold.
const DECIMALS_MAX: u32 = 8;

/// The names of a session's instruments and of the venue's assets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    altnames: Vec<Text<24>>,
    pairs: BTreeMap<String, InstrumentId>,
    assets: BTreeMap<String, Currency>,
}

impl Names {
    /// The name by which REST is asked for an instrument, such as `XBTUSD`.
    #[must_use]
    pub fn altname(&self, instrument: InstrumentId) -> Option<&str> {
        self.altnames.get(usize::from(instrument.0)).map(Text::as_str)
    }

    /// The instrument of any of its names.
    #[must_use]
    pub fn instrument(&self, name: &str) -> Option<InstrumentId> {
        self.pairs.get(name).copied()
    }

    /// The currency of an asset, by the venue's own name for it (`ZUSD`) or the usual one. `None` for what is no plain
    /// asset, such as `ETH.F`.
    #[must_use]
    pub fn currency(&self, asset: &str) -> Option<Currency> {
        self.assets.get(asset).copied().or_else(|| renamed(asset))
    }
}

/// What this build takes from `AssetPairs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The instruments asked for, in that order; ids count from zero.
    pub instruments: Vec<Instrument>,
    /// All their names.
    pub names: Names,
}

/// What is needed of every pair.
#[derive(Deserialize)]
struct RawNames<'a> {
    #[serde(borrow)]
    altname: Cow<'a, str>,
    #[serde(borrow)]
    wsname: Cow<'a, str>,
    #[serde(borrow)]
    base: Cow<'a, str>,
    #[serde(borrow)]
    quote: Cow<'a, str>,
}

/// What is needed of those asked for.
#[derive(Deserialize)]
struct RawRules<'a> {
    pair_decimals: u32,
    lot_decimals: u32,
    #[serde(borrow)]
    ordermin: Cow<'a, str>,
    #[serde(borrow, default)]
    costmin: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tick_size: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    status: Cow<'a, str>,
}

fn malformed(what: &'static str) -> impl Fn(ParseError) -> VenueError {
    move |source| VenueError::Malformed { what, source }
}

/// Reads the result of `AssetPairs` for the symbols asked for.
///
/// # Errors
/// [`VenueError::UnknownSymbol`] when one is not listed, [`VenueError::Malformed`] when a rule that orders must keep is
/// missing or unreadable.
pub fn asset_pairs(result: &[u8], symbols: &[&str]) -> Result<Listing, VenueError> {
    let malformed = malformed("AssetPairs");
    let raw: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_slice(result).map_err(|error| malformed(error.into()))?;
    for (field, count, max) in [
        ("symbols", symbols.len(), INSTRUMENTS_MAX),
        ("pairs", raw.len(), PAIRS_MAX),
    ] {
        if count > max {
            return Err(malformed(ParseError::TooMany { field, max }));
        }
    }
    let mut listed = BTreeMap::new();
    let mut names = Names::default();
    for (key, pair) in &raw {
        // What has no name on sockets (dark pools) cannot be traded here.
        let Ok(read) = serde_json::from_str::<RawNames<'_>>(pair.get()) else {
            continue;
        };
        let Some(symbol) = symbol(&read.wsname) else {
            continue;
        };
        for (asset, code) in [(&read.base, symbol.base), (&read.quote, symbol.quote)] {
            names.assets.entry(asset.clone().into_owned()).or_insert(code);
        }
        listed.insert(symbol.text(), (key, read, *pair));
    }
    let mut instruments = Vec::with_capacity(symbols.len());
    for (index, wanted) in symbols.iter().enumerate() {
        let found = listed.get(*wanted);
        let (key, read, pair) = found.ok_or_else(|| VenueError::UnknownSymbol {
            symbol: (*wanted).to_owned(),
        })?;
        let id = InstrumentId(u16::try_from(index).unwrap_or(u16::MAX));
        instruments.push(instrument(id, wanted, pair.get()).map_err(&malformed)?);
        names
            .altnames
            .push(name(&read.altname, "altname").map_err(&malformed)?);
        for known in [key.as_ref(), &read.altname, &read.wsname, wanted] {
            names.pairs.insert(known.to_owned(), id);
        }
    }
    Ok(Listing { instruments, names })
}

/// A market by its two assets.
struct Symbol {
    base: Currency,
    quote: Currency,
}

impl Symbol {
    fn text(&self) -> String {
        format!("{}/{}", self.base, self.quote)
    }
}

/// The symbol of version 2 from the name of version 1.
fn symbol(wsname: &str) -> Option<Symbol> {
    let (base, quote) = wsname.split_once('/')?;
    Some(Symbol {
        base: renamed(base)?,
        quote: renamed(quote)?,
    })
}

fn renamed(asset: &str) -> Option<Currency> {
    let found = RENAMED.iter().find(|(old, _)| *old == asset);
    Currency::new(found.map_or(asset, |(_, new)| new))
}

fn name(text: &str, field: &'static str) -> Result<Text<24>, ParseError> {
    let fits = Text::new(text).filter(|_| is_name(text));
    fits.ok_or(ParseError::Value {
        field,
        problem: "a name is 1 to 24 letters, digits and . - _ /",
    })
}

fn instrument(id: InstrumentId, wanted: &str, pair: &str) -> Result<Instrument, ParseError> {
    let raw: RawRules<'_> = serde_json::from_str(pair)?;
    let codes = wanted
        .split_once('/')
        .and_then(|(base, quote)| Some((Currency::new(base)?, Currency::new(quote)?)));
    let (base, quote) = codes.ok_or(ParseError::Value {
        field: "wsname",
        problem: "a symbol names two assets",
    })?;
    Ok(Instrument {
        id,
        venue: Venue::Kraken,
        symbol: name(wanted, "wsname")?,
        base,
        quote,
        rules: rules(&raw, quote)?,
        status: status(&raw.status),
    })
}

fn status(word: &str) -> InstrumentStatus {
    match word {
        "online" => InstrumentStatus::Trading,
        "cancel_only" => InstrumentStatus::CancelOnly,
        // In the first three some orders would be taken, but not any: none leaves.
        "post_only" | "limit_only" | "reduce_only" | "delisted" | "maintenance" | "work_in_progress" => {
            InstrumentStatus::Halted
        }
        _ => {
            unknown_word("status of an instrument", word);
            InstrumentStatus::Unknown
        }
    }
}

fn rules(raw: &RawRules<'_>, quote: Currency) -> Result<InstrumentRules, ParseError> {
    let positive = |text: &str, field| match decimal::units(text, field)? {
        units if units > 0 => Ok(units),
        _ => Err(ParseError::Value {
            field,
            problem: "a rule is positive",
        }),
    };
    let tick_size = match &raw.tick_size {
        Some(text) => positive(text, "tick_size")?,
        None => step(raw.pair_decimals, "pair_decimals")?,
    };
    let costmin = raw.costmin.as_deref();
    let min_notional = costmin.map_or(Ok(0), |text| decimal::units(text, "costmin"))?;
    Ok(InstrumentRules {
        tick_size: Price::from_units(tick_size),
        lot_size: Quantity::from_units(step(raw.lot_decimals, "lot_decimals")?),
        min_price: Price::ZERO,
        max_price: Price::ZERO,
        min_quantity: Quantity::from_units(positive(&raw.ordermin, "ordermin")?),
        max_quantity: Quantity::ZERO,
        min_notional: Money::from_decimal_units(min_notional, quote),
    })
}

/// The step of so many decimals, units of 1e-8.
fn step(decimals: u32, field: &'static str) -> Result<i64, ParseError> {
    let exponent = DECIMALS_MAX.checked_sub(decimals).ok_or(ParseError::Value {
        field,
        problem: "at most eight decimals can be traded here",
    })?;
    Ok(10_i64.pow(exponent))
}

/// The venue's bars of a length, in minutes; `None` when it has no such bars.
#[must_use]
pub fn interval(span: Nanos) -> Option<i64> {
    const MINUTE: i64 = 60 * 1_000_000_000;
    let minutes = span.0 / MINUTE;
    let known = [1, 5, 15, 30, 60, 240, 1_440].contains(&minutes);
    (known && span.0 % MINUTE == 0).then_some(minutes)
}

/// Reads the result of `OHLC`: rising in time, each consistent. The last one is not complete.
///
/// # Errors
/// [`VenueError::Malformed`] when a bar is unreadable, contradicts itself, or is out of order.
pub fn bars(result: &[u8], instrument: InstrumentId, span: Nanos) -> Result<Vec<Bar>, VenueError> {
    let malformed = malformed("OHLC");
    let raw: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_slice(result).map_err(|error| malformed(error.into()))?;
    // One pair was asked for: its rows, and the time of the last of them.
    let mut pairs = raw.iter().filter(|(key, _)| key.as_ref() != "last");
    let (Some((_, rows)), None) = (pairs.next(), pairs.next()) else {
        return Err(malformed(ParseError::Value {
            field: "OHLC",
            problem: "the answer holds the bars of one pair",
        }));
    };
    let rows: Vec<Vec<&RawValue>> =
        serde_json::from_str(rows.get()).map_err(|error| malformed(error.into()))?;
    let mut bars: Vec<Bar> = Vec::with_capacity(rows.len());
    for row in &rows {
        let bar = bar(row, instrument, span).map_err(&malformed)?;
        let rises = bars.last().is_none_or(|last| last.ts_open < bar.ts_open);
        if !bar.is_consistent() || !rises || bar.ts_open.floor_to(span) != bar.ts_open {
            return Err(malformed(ParseError::Value {
                field: "OHLC",
                problem: "bars rise in time, lie on the grid of their span, and have low <= open, close <= high",
            }));
        }
        bars.push(bar);
    }
    Ok(bars)
}

fn bar(row: &[&RawValue], instrument: InstrumentId, span: Nanos) -> Result<Bar, ParseError> {
    let [time, open, high, low, close, _average, volume, ..] = row else {
        return Err(ParseError::Value {
            field: "OHLC",
            problem: "a bar has at least seven fields",
        });
    };
    let number = |raw: &RawValue, field| -> Result<i64, ParseError> {
        let text: Cow<'_, str> = serde_json::from_str(raw.get())?;
        decimal::units(&text, field)
    };
    Ok(Bar {
        instrument,
        ts_open: decimal::unix_time(time.get(), "time")?,
        span,
        open: Price::from_units(number(open, "open")?),
        high: Price::from_units(number(high, "high")?),
        low: Price::from_units(number(low, "low")?),
        close: Price::from_units(number(close, "close")?),
        volume: Quantity::from_units(number(volume, "volume")?),
    })
}

/// Reads the result of `Time`, which has whole seconds: the middle of the second.
///
/// # Errors
/// [`VenueError::Malformed`].
pub fn server_time(result: &[u8]) -> Result<Timestamp, VenueError> {
    #[derive(Deserialize)]
    struct Raw {
        unixtime: i64,
    }
    let raw: Raw = serde_json::from_slice(result).map_err(|error| malformed("Time")(error.into()))?;
    Ok(Timestamp::from_millis(
        raw.unixtime.saturating_mul(1_000).saturating_add(500),
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    /// The documentation's pair, beside one that has no name on sockets and one with renamed assets.
    pub(in crate::kraken) const PAIRS: &str = r#"{"XXBTZUSD":{"altname":"XBTUSD","wsname":"XBT/USD","aclass_base":"currency","base":"XXBT",
        "aclass_quote":"currency","quote":"ZUSD","lot":"unit","cost_decimals":5,"pair_decimals":1,"lot_decimals":8,
        "lot_multiplier":1,"fees":[[0,0.4],[10000,0.35]],"margin_call":80,"ordermin":"0.0001","costmin":"0.5","tick_size":"0.1","status":"online"},
        "XXBTZUSD.d":{"altname":"XBTUSD.d","base":"XXBT","quote":"ZUSD"},
        "XDGUSD":{"altname":"XDGUSD","wsname":"XDG/USD","base":"XXDG","quote":"ZUSD","pair_decimals":7,"lot_decimals":8,"ordermin":"50"}}"#;

    pub(in crate::kraken) fn listing() -> Listing {
        asset_pairs(PAIRS.as_bytes(), &["BTC/USD"]).unwrap()
    }

    pub(in crate::kraken) fn names() -> Arc<Names> {
        Arc::new(listing().names)
    }

    pub(in crate::kraken) fn btc_usd() -> Instrument {
        listing().instruments[0]
    }

    fn changed(from: &str, to: &str) -> Result<Listing, VenueError> {
        asset_pairs(PAIRS.replace(from, to).as_bytes(), &["BTC/USD"])
    }

    #[test]
    fn reads_the_rules_and_every_name_of_a_pair() {
        let Listing { instruments, names } = asset_pairs(PAIRS.as_bytes(), &["DOGE/USD", "BTC/USD"]).unwrap();
        let [doge, btc] = instruments[..] else {
            panic!("two instruments")
        };
        assert_eq!((doge.id, btc.id), (InstrumentId(0), InstrumentId(1)));
        assert_eq!((btc.base.as_str(), btc.quote.as_str()), ("BTC", "USD"));
        assert_eq!(btc.rules.tick_size, Price::parse(b"0.1").unwrap());
        assert_eq!(btc.rules.lot_size, Quantity::from_units(1));
        assert_eq!(btc.rules.min_quantity, Quantity::parse(b"0.0001").unwrap());
        assert_eq!(btc.rules.min_notional.to_string(), "0.5 USD");
        assert_eq!(btc.status, InstrumentStatus::Trading);
        assert_eq!(doge.rules.tick_size, Price::from_units(10), "from the decimals");
        assert_eq!(doge.status, InstrumentStatus::Unknown, "nothing was said");
        for name in ["XXBTZUSD", "XBTUSD", "XBT/USD", "BTC/USD"] {
            assert_eq!(names.instrument(name), Some(btc.id), "{name}");
        }
        assert_eq!(names.altname(btc.id), Some("XBTUSD"));
        let currency = |asset| names.currency(asset).map(|currency| currency.to_string());
        assert_eq!(currency("XXBT"), Some("BTC".to_owned()));
        assert_eq!(currency("ZUSD"), Some("USD".to_owned()));
        assert_eq!(currency("XXDG"), Some("DOGE".to_owned()));
        assert_eq!(currency("USDT"), Some("USDT".to_owned()));
        assert_eq!(currency("ETH.F"), None, "lent out, not to be traded with");
    }

    #[test]
    fn a_status_this_build_does_not_know_is_not_tradable() {
        let status = |word| changed("\"online\"", word).unwrap().instruments[0].status;
        assert_eq!(status("\"cancel_only\""), InstrumentStatus::CancelOnly);
        assert_eq!(status("\"limit_only\""), InstrumentStatus::Halted);
        assert_eq!(status("\"a_new_word\""), InstrumentStatus::Unknown);
    }

    #[test]
    fn a_missing_or_unusable_rule_is_an_error() {
        assert!(changed("\"ordermin\":\"0.0001\",", "").is_err());
        assert!(changed("\"tick_size\":\"0.1\"", "\"tick_size\":\"0\"").is_err());
        assert!(changed("\"tick_size\":\"0.1\"", "\"tick_size\":\"0.000000001\"").is_err());
        assert!(changed("\"lot_decimals\":8", "\"lot_decimals\":9").is_err());
        assert!(changed("\"altname\":\"XBTUSD\",", "\"altname\":\"XBT&x=1\",").is_err());
        let unknown = asset_pairs(PAIRS.as_bytes(), &["ETH/USD"]).unwrap_err();
        assert!(matches!(unknown, VenueError::UnknownSymbol { symbol } if symbol == "ETH/USD"));
        // What is wrong with a pair that was not asked for is nothing to us.
        assert!(changed("\"pair_decimals\":7", "\"pair_decimals\":70").is_ok());
    }

    const ROW: &str = r#"[1762777200,"106038.1","106044.3","106038.1","106040.1","106039.6","0.08317981",3]"#;

    fn read(rows: &str) -> Result<Vec<Bar>, VenueError> {
        let result = format!(r#"{{"XXBTZUSD":[{rows}],"last":1762777200}}"#);
        bars(result.as_bytes(), InstrumentId(0), Nanos::from_secs(60))
    }

    #[test]
    fn reads_bars_and_refuses_contradictions() {
        let [bar] = read(ROW).unwrap()[..] else {
            panic!("one bar")
        };
        assert_eq!(bar.high, Price::parse(b"106044.3").unwrap());
        assert_eq!(bar.volume, Quantity::parse(b"0.08317981").unwrap());
        assert_eq!(bar.ts_open, Timestamp::from_millis(1_762_777_200_000));
        assert!(read(&format!("{ROW},{ROW}")).is_err(), "the same bar twice");
        assert!(
            read(&ROW.replace("106044.3", "106039")).is_err(),
            "high below close"
        );
        assert!(
            read(&ROW.replace("1762777200,", "1762777201,")).is_err(),
            "off the grid"
        );
        assert!(read(r#"[1,"1"]"#).is_err());
        assert!(bars(br#"{"last":1}"#, InstrumentId(0), Nanos(1)).is_err());
        assert_eq!(interval(Nanos::from_secs(900)), Some(15));
        assert_eq!(interval(Nanos::from_secs(180)), None);
        assert_eq!(interval(Nanos(Nanos::from_secs(900).0 + 1)), None);
    }

    #[test]
    fn reads_the_time() {
        let time =
            server_time(br#"{"unixtime":1616336594,"rfc1123":"Sun, 21 Mar 21 14:23:14 +0000"}"#).unwrap();
        assert_eq!(time, Timestamp::from_millis(1_616_336_594_500));
        assert!(server_time(b"{}").is_err());
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_never_panic(bytes: Vec<u8>) {
            let _ = asset_pairs(&bytes, &["BTC/USD"]);
            let _ = bars(&bytes, InstrumentId(0), Nanos::from_secs(60));
            let _ = server_time(&bytes);
        }

        #[test]
        fn a_broken_answer_never_panics(at in 0..PAIRS.len(), byte: u8) {
            let mut bytes = PAIRS.as_bytes().to_vec();
            bytes[at] = byte;
            let _ = asset_pairs(&bytes, &["BTC/USD", "DOGE/USD"]);
            let mut bytes = format!(r#"{{"XXBTZUSD":[{ROW}],"last":1}}"#).into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = bars(&bytes, InstrumentId(0), Nanos::from_secs(60));
        }
    }
}
