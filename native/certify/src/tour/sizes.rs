//! Prices far from the market, and the smallest quantity that the venue takes there.

use domain::{Decimal, Instrument, Price, Quantity, SCALE, Side};

/// How far from the best price an order rests, and how far an order that is meant to trade may go, ten-thousandths.
const FAR_BPS: i64 = 1_000;
const CROSS_BPS: i64 = 100;

/// How much above the venue's least notional an order is: its price may be changed, and the market moves.
const MARGIN_PERCENT: i128 = 115;

/// What the tour's orders look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) side: Side,
    /// Far on our own side: never trades.
    pub(super) far: Price,
    /// A little farther still.
    pub(super) farther: Price,
    /// Beyond the best price of the other side: trades.
    pub(super) crossing: Price,
    pub(super) quantity: Quantity,
    /// One step more.
    pub(super) larger: Quantity,
}

impl Sizes {
    /// For a market with these best prices; `None` where no such order can be said in the instrument's steps.
    pub(super) fn of(instrument: &Instrument, side: Side, bid: Price, ask: Price) -> Option<Self> {
        let rules = &instrument.rules;
        let tick = rules.tick_size;
        let (own, other) = match side {
            Side::Buy => (bid, ask),
            Side::Sell => (ask, bid),
        };
        let away = -side.sign();
        let down = |price: Price| price.round_down(tick);
        let far = down(own.offset_bps(away * FAR_BPS)?);
        let farther = down(own.offset_bps(away * (FAR_BPS + CROSS_BPS))?);
        let crossing = down(other.offset_bps(-away * CROSS_BPS)?);
        let lowest = far.min(farther).min(crossing);
        if lowest <= Price::ZERO {
            return None;
        }
        // Both in units of 1e-16.
        let wanted = rules.min_notional.units() * MARGIN_PERCENT / 100;
        let units = i64::try_from(wanted / i128::from(lowest.units()) + 1).ok()?;
        let least = Quantity::from_units(units)
            .max(rules.min_quantity)
            .max(rules.lot_size);
        let quantity = least.round_up(rules.lot_size);
        Some(Self {
            side,
            far,
            farther,
            crossing,
            quantity,
            larger: quantity.checked_add(rules.lot_size)?,
        })
    }

    /// Most that any of the orders could cost, in the quote currency.
    pub(super) fn notional(&self) -> Option<Decimal> {
        let highest = self.far.max(self.crossing).max(self.farther);
        let units = i128::from(highest.units()) * i128::from(self.larger.units()) / i128::from(SCALE);
        Some(Decimal::from_units(i64::try_from(units).ok()?.checked_add(1)?))
    }

    /// A quantity that the venue's rules refuse at the far price; `None` where there is none that can be said.
    pub(super) fn too_small(&self, instrument: &Instrument) -> Option<Quantity> {
        let rules = &instrument.rules;
        let is_too_little = |quantity: Quantity| {
            let notional = self.far.notional(quantity, instrument.quote);
            quantity < rules.min_quantity || notional.units() < rules.min_notional.units()
        };
        let least = rules.lot_size.max(rules.min_quantity);
        [rules.lot_size, least]
            .into_iter()
            .find(|quantity| is_too_little(*quantity))
    }
}

#[cfg(test)]
mod tests {
    use domain::{Currency, InstrumentId, InstrumentRules, InstrumentStatus, Money, Text, Venue};

    use super::*;

    fn price(text: &str) -> Price {
        Price::parse(text.as_bytes()).unwrap()
    }

    fn quantity(text: &str) -> Quantity {
        Quantity::parse(text.as_bytes()).unwrap()
    }

    fn instrument(least_quantity: &str, least_notional: &str) -> Instrument {
        let quote = Currency::new("USDT").unwrap();
        let notional = Decimal::parse(least_notional.as_bytes()).unwrap().units();
        Instrument {
            id: InstrumentId(0),
            venue: Venue::Binance,
            symbol: Text::new("BTCUSDT").unwrap(),
            base: Currency::new("BTC").unwrap(),
            quote,
            rules: InstrumentRules {
                tick_size: price("0.01"),
                lot_size: quantity("0.00001"),
                min_price: Price::ZERO,
                max_price: Price::ZERO,
                min_quantity: quantity(least_quantity),
                max_quantity: Quantity::ZERO,
                min_notional: Money::from_decimal_units(notional, quote),
            },
            status: InstrumentStatus::Trading,
        }
    }

    #[test]
    fn orders_are_as_small_as_the_rules_allow_and_far_from_the_market() {
        let instrument = instrument("0.00001", "5");
        for side in [Side::Buy, Side::Sell] {
            let sizes = Sizes::of(&instrument, side, price("100000"), price("100010")).unwrap();
            let (far, crossing) = match side {
                Side::Buy => ("90000", "101010.1"),
                Side::Sell => ("110011", "99000"),
            };
            assert_eq!((sizes.far, sizes.crossing), (price(far), price(crossing)));
            let notional = sizes.notional().unwrap();
            assert!(notional < Decimal::parse(b"10").unwrap(), "{notional:?}");
            for price in [sizes.far, sizes.farther, sizes.crossing] {
                let order = price.notional(sizes.quantity, instrument.quote);
                assert!(order.units() >= instrument.rules.min_notional.units(), "{price}");
            }
        }
    }

    #[test]
    fn what_is_too_small_can_be_said_in_steps() {
        let small = |least_quantity, least_notional| {
            let instrument = instrument(least_quantity, least_notional);
            let sizes = Sizes::of(&instrument, Side::Buy, price("100000"), price("100010")).unwrap();
            sizes.too_small(&instrument)
        };
        assert_eq!(small("0.00001", "5"), Some(quantity("0.00001")));
        assert_eq!(small("0.0001", "0"), Some(quantity("0.00001")));
        assert_eq!(small("0.00001", "0"), None);
    }
}
