//! Rules that a recording shows: steps of prices and quantities. What no message tells (smallest order, smallest value) is
//! not asked for.

use std::path::PathBuf;

use domain::{BookUpdate, Instrument, InstrumentStatus, Level, MarketEvent, Price, Quantity};
use feed::{Heard, Listener, Progress, ReadError, listen};

/// The same instruments with the steps that every price and quantity in the recording is a multiple of.
pub(super) fn shown(
    files: &[PathBuf],
    instruments: Vec<Instrument>,
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<Instrument>, ReadError> {
    let mut steps = Steps(
        instruments
            .into_iter()
            .map(|instrument| (instrument, [0, 0]))
            .collect(),
    );
    listen(files, tell, &mut steps)?;
    let instruments = steps.0.into_iter().map(|(mut instrument, [tick, lot])| {
        instrument.rules.tick_size = Price::from_units(tick.max(1));
        instrument.rules.lot_size = Quantity::from_units(lot.max(1));
        instrument.status = InstrumentStatus::Trading;
        instrument
    });
    Ok(instruments.collect())
}

/// Price and quantity steps so far; zero before any.
struct Steps(Vec<(Instrument, [i64; 2])>);

impl Listener for Steps {
    fn hear(&mut self, heard: &Heard<'_>) {
        let known = self.0.iter_mut();
        let Some((_, steps)) = known
            .into_iter()
            .find(|(instrument, _)| instrument.symbol.as_str() == heard.symbol)
        else {
            return;
        };
        match heard.event {
            MarketEvent::Book(BookUpdate { bids, asks, .. }) => {
                for Level { price, quantity } in bids.iter().chain(*asks) {
                    take(steps, *price, *quantity);
                }
            }
            MarketEvent::Trade(trade) => take(steps, trade.price, trade.quantity),
            _ => {}
        }
    }
}

fn take(steps: &mut [i64; 2], price: Price, quantity: Quantity) {
    for (step, units) in steps.iter_mut().zip([price.units(), quantity.units()]) {
        *step = common(*step, units);
    }
}

/// The greatest common divisor.
const fn common(mut step: i64, mut rest: i64) -> i64 {
    while rest != 0 {
        (step, rest) = (rest, step % rest);
    }
    step.abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_what_all_are_multiples_of() {
        let mut steps = [0, 0];
        for (price, quantity) in [("99.5", "2"), ("100.25", "0.5"), ("101", "0")] {
            let price = Price::parse(price.as_bytes()).unwrap();
            take(&mut steps, price, Quantity::parse(quantity.as_bytes()).unwrap());
        }
        assert_eq!(steps, [25_000_000, 50_000_000]);
    }
}
