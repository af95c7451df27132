//! Instruments for this crate's own tests and for fuzz targets.

use domain::{
    Currency, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money, Price, Quantity, Text,
    Venue,
};

/// An instrument quoted in USDT with permissive rules.
///
/// # Panics
/// For a symbol that is not quoted in USDT.
#[must_use]
pub fn instrument(id: u16, symbol: &str) -> Instrument {
    let base = symbol.strip_suffix("USDT").expect("a symbol quoted in USDT");
    of(Venue::Binance, id, symbol, [base, "USDT"])
}

/// The same at a venue whose symbols name base and quote, such as `BTC-USD`.
///
/// # Panics
/// For a symbol without a hyphen or a slash.
#[must_use]
pub fn product(venue: Venue, id: u16, symbol: &str) -> Instrument {
    let (base, quote) = symbol.split_once(['-', '/']).expect("base and quote");
    of(venue, id, symbol, [base, quote])
}

fn of(venue: Venue, id: u16, symbol: &str, codes: [&str; 2]) -> Instrument {
    let [base, quote] = codes.map(|code| Currency::new(&code.to_uppercase()).expect("a code"));
    Instrument {
        id: InstrumentId(id),
        venue,
        symbol: Text::new(symbol).expect("a symbol"),
        base,
        quote,
        rules: InstrumentRules {
            tick_size: Price::from_units(1_000_000),
            lot_size: Quantity::from_units(1_000),
            min_price: Price::from_units(1_000_000),
            max_price: Price::from_units(100_000_000_000_000),
            min_quantity: Quantity::from_units(1_000),
            max_quantity: Quantity::from_units(900_000_000_000),
            min_notional: Money::from_decimal_units(1_000_000_000, quote),
        },
        status: InstrumentStatus::Trading,
    }
}
