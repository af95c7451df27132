//! What the fuzz targets share.

use domain::{
    Currency, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money, Price, Quantity, Text,
    Venue,
};
use rustix::time::{ClockId, clock_gettime};
use venues::Instruments;

/// Longest time that one input may take, nanoseconds of this thread's own processor time: what others on the machine
/// do does not count.
pub const INPUT_NS_MAX: i128 = 10_000_000;

/// Runs the code under test on one input.
///
/// # Panics
/// When it took longer than [`INPUT_NS_MAX`]: input that makes a reader slow is a fault like one that makes it panic.
pub fn bounded(test: impl FnOnce()) {
    let began = thread_ns();
    test();
    let took = thread_ns() - began;
    assert!(took <= INPUT_NS_MAX, "one input took {took} ns");
}

fn thread_ns() -> i128 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

/// The instruments of the recordings' venues.
///
/// # Panics
/// Never: the table is fixed.
#[must_use]
pub fn instruments() -> Instruments {
    let quote = Currency::new("USDT").expect("a code");
    let instrument = Instrument {
        id: InstrumentId(0),
        venue: Venue::Binance,
        symbol: Text::new("BTCUSDT").expect("a symbol"),
        base: Currency::new("BTC").expect("a code"),
        quote,
        rules: InstrumentRules {
            tick_size: Price::from_units(1_000_000),
            lot_size: Quantity::from_units(1_000),
            min_price: Price::ZERO,
            max_price: Price::ZERO,
            min_quantity: Quantity::ZERO,
            max_quantity: Quantity::ZERO,
            min_notional: Money::zero(quote),
        },
        status: InstrumentStatus::Trading,
    };
    Instruments::new(vec![instrument]).expect("a table")
}
