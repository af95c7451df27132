//! Fixtures shared by this crate's tests.

use domain::{
    Currency, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money, Price, Quantity, Text,
    Venue,
};

pub(crate) fn price(text: &str) -> Price {
    Price::parse(text.as_bytes()).expect("a price")
}

pub(crate) fn quantity(text: &str) -> Quantity {
    Quantity::parse(text.as_bytes()).expect("a quantity")
}

pub(crate) fn instrument() -> Instrument {
    let quote = Currency::new("USDT").expect("a code");
    Instrument {
        id: InstrumentId(0),
        venue: Venue::Binance,
        symbol: Text::new("BTCUSDT").expect("a symbol"),
        base: Currency::new("BTC").expect("a code"),
        quote,
        rules: InstrumentRules {
            tick_size: Price::from_units(390_625),
            lot_size: Quantity::from_units(1),
            min_price: Price::from_units(390_625),
            max_price: price("1000000"),
            min_quantity: Quantity::from_units(1),
            max_quantity: quantity("9000"),
            min_notional: Money::zero(quote),
        },
        status: InstrumentStatus::Trading,
    }
}
