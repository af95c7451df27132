//! Profit and loss of one position at average cost, exact to the last unit.
//!
//! Amounts are 128-bit integers in units of 1e-16 quote currency, quantities 64-bit in units of 1e-8 base.
//! When part of a position closes, `cost * closed / quantity` is released, rounded toward zero; the
//! remainder stays with what is left, so that a full close releases exactly all of it and
//! `realized + unrealized = money in - money out + quantity * mark` holds without rounding.

use domain::{Fill, Price, Quantity, SCALE, Side};

/// A position's quantity, what it cost, and what was earned so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CostBasis {
    /// Signed base quantity.
    pub quantity: Quantity,
    /// Cost of the open quantity, signed like it; units of 1e-16 quote.
    pub cost: i128,
    /// Realised profit before quote fees; units of 1e-16 quote.
    pub realized: i128,
}

impl CostBasis {
    /// The position after `delta` base units came in (out when negative) for `paid` quote units
    /// (received when negative); `None` when an amount does not fit.
    #[must_use]
    pub fn trade(self, delta: Quantity, paid: i128) -> Option<Self> {
        let (held, moved) = (self.quantity.units(), delta.units());
        let quantity = self.quantity.checked_add(delta)?;
        if moved == 0 {
            // Money without a quantity: a fee in base took all that was bought.
            return Some(Self {
                realized: self.realized.checked_sub(paid)?,
                ..self
            });
        }
        if held == 0 || (held > 0) == (moved > 0) {
            return Some(Self {
                quantity,
                cost: self.cost.checked_add(paid)?,
                ..self
            });
        }
        let (open, traded) = (held.unsigned_abs(), moved.unsigned_abs());
        if traded <= open {
            let released = mul_div(self.cost, traded, open)?;
            return Some(Self {
                quantity,
                cost: self.cost.checked_sub(released)?,
                realized: self.realized.checked_sub(paid)?.checked_sub(released)?,
            });
        }
        // Through zero: the part that closes realises, the rest opens the other way.
        let closing = mul_div(paid, open, traded)?;
        Some(Self {
            quantity,
            cost: paid.checked_sub(closing)?,
            realized: self.realized.checked_sub(closing)?.checked_sub(self.cost)?,
        })
    }

    /// Profit of the open quantity at `mark`, units of 1e-16 quote; `None` when it does not fit.
    #[must_use]
    pub fn unrealized(&self, mark: Price) -> Option<i128> {
        // A product of two 64-bit numbers fits in 128 bits.
        (i128::from(mark.units()) * i128::from(self.quantity.units())).checked_sub(self.cost)
    }
}

/// `amount * part / whole`, rounded toward zero, for `part <= whole`; never overflows on the way.
fn mul_div(amount: i128, part: u64, whole: u64) -> Option<i128> {
    let (part, whole) = (i128::from(part), i128::from(whole));
    let (quotient, rest) = (amount.checked_div(whole)?, amount.checked_rem(whole)?);
    // |rest| < whole < 2^64 and part < 2^64; |quotient * part| <= |amount|.
    Some(quotient * part + rest * part / whole)
}

/// What a fill moves: base and quote, before its fee.
pub(crate) fn flows(fill: &Fill) -> (Quantity, i128) {
    let sign = fill.side.sign();
    let delta = match fill.side {
        Side::Buy => fill.quantity,
        Side::Sell => fill.quantity.negate(),
    };
    let notional = i128::from(fill.price.units()) * i128::from(fill.quantity.units());
    (delta, notional * i128::from(sign))
}

/// A fee in base units of 1e-8, rounded against us; `None` when it does not fit.
pub(crate) fn base_fee(units: i128) -> Option<Quantity> {
    let scale = i128::from(SCALE);
    let rounded = units.div_euclid(scale) + i128::from(units.rem_euclid(scale) != 0);
    i64::try_from(rounded).ok().map(Quantity::from_units)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quantity(units: i64) -> Quantity {
        Quantity::from_units(units)
    }

    #[test]
    fn a_full_close_in_thirds_leaves_no_cost() {
        let mut basis = CostBasis::default().trade(quantity(3), 10).unwrap();
        for (left, cost) in [(2, 7), (1, 4), (0, 0)] {
            basis = basis.trade(quantity(-1), -4).unwrap();
            assert_eq!((basis.quantity.units(), basis.cost), (left, cost));
        }
        assert_eq!(basis.realized, 2);
    }

    #[test]
    fn a_trade_through_zero_realises_only_what_it_closes() {
        let long = CostBasis::default().trade(quantity(10), 1_000).unwrap();
        let short = long.trade(quantity(-15), -1_650).unwrap();
        assert_eq!(
            (short.quantity.units(), short.cost, short.realized),
            (-5, -550, 100)
        );
        let flat = short.trade(quantity(5), 500).unwrap();
        assert_eq!((flat.quantity.units(), flat.cost, flat.realized), (0, 0, 150));
    }

    #[test]
    fn a_base_fee_is_rounded_against_us() {
        let scale = i128::from(SCALE);
        assert_eq!(base_fee(5 * scale), Some(quantity(5)));
        assert_eq!(base_fee(5 * scale + 1), Some(quantity(6)));
        assert_eq!(base_fee(-5 * scale - 1), Some(quantity(-5)));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let full = CostBasis {
            quantity: Quantity::MAX,
            cost: i128::MAX,
            realized: 0,
        };
        assert_eq!(full.trade(quantity(1), 0), None);
        assert_eq!(
            CostBasis {
                quantity: quantity(1),
                ..full
            }
            .trade(quantity(1), 1),
            None
        );
    }

    #[test]
    fn large_amounts_close_exactly() {
        let all = 4_000_000_000_000_000_000;
        let basis = CostBasis::default().trade(quantity(all), i128::MAX / 3).unwrap();
        let half = basis.trade(quantity(-all / 2), 0).unwrap();
        assert_eq!(half.trade(quantity(-all / 2), 0).unwrap().cost, 0);
    }

    proptest! {
        #[test]
        fn money_is_conserved(
            trades in prop::collection::vec((-1_000_000i64..1_000_000, 1i64..10_000_000_000_000), 1..60),
            mark in 1i64..10_000_000_000_000,
        ) {
            let mut basis = CostBasis::default();
            let (mut held, mut paid) = (0, 0);
            for (delta, price) in trades {
                let notional = i128::from(delta) * i128::from(price);
                basis = basis.trade(quantity(delta), notional).unwrap();
                held += delta;
                paid += notional;
                prop_assert_eq!(basis.quantity.units(), held);
                prop_assert!(held != 0 || basis.cost == 0);
            }
            let unrealized = basis.unrealized(Price::from_units(mark)).unwrap();
            prop_assert_eq!(basis.realized + unrealized, i128::from(held) * i128::from(mark) - paid);
        }
    }
}
