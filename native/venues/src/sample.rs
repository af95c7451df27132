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
    let quote = Currency::new("USDT").expect("a code");
    let base = symbol.strip_suffix("USDT").expect("a symbol quoted in USDT");
    Instrument {
        id: InstrumentId(id),
        venue: Venue::Binance,
        symbol: Text::new(symbol).expect("a symbol"),
        base: Currency::new(base).expect("a code"),
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
