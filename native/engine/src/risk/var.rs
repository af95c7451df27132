//! Value at risk: parametric, one day, 95 %.
//!
//! VaR = 1.645 x daily volatility x exposure, summed over slots as if everything fell together (correlation
//! one): never too small. 1.645 is the 95 % quantile of the normal distribution (Jorion, *Value at Risk*).

use domain::{Decimal, SCALE};

use super::position_limits::{Measure, allow};
use super::{DenyReason, RiskLimits};

/// The quantile in thousandths.
const QUANTILE_MILLI: i128 = 1_645;

/// Taken for a slot whose volatility is not known: everything can be lost in a day.
const UNKNOWN_VOLATILITY: Decimal = Decimal::ONE;

/// The volatility to reckon with.
pub(crate) fn volatility_or_worst(known: Decimal) -> Decimal {
    if known > Decimal::ZERO {
        known
    } else {
        UNKNOWN_VOLATILITY
    }
}

/// `var_limit_1d_95`, compared without rounding.
pub(crate) fn check(measure: &Measure, limits: &RiskLimits) -> Result<(), DenyReason> {
    let value = measure
        .volatile
        .checked_mul(QUANTILE_MILLI)
        .ok_or(DenyReason::Overflow)?;
    let limit = limits.var_limit_1d_95.units();
    let limit = limit
        .checked_mul(1_000 * i128::from(SCALE))
        .ok_or(DenyReason::Overflow)?;
    allow(value <= limit, DenyReason::ValueAtRisk)
}

/// The value at risk in quote units of 1e-16, rounded up; `None` when it does not fit.
pub(crate) fn value_at_risk(volatile: i128) -> Option<i128> {
    let scale = 1_000 * i128::from(SCALE);
    let value = volatile.checked_mul(QUANTILE_MILLI)?;
    Some(value.div_euclid(scale) + i128::from(value.rem_euclid(scale) != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_textbook_figure() {
        // 1.645 x 2 % x 100,000 = 3,290
        let money = i128::from(SCALE) * i128::from(SCALE);
        let volatile = 100_000 * money * 2_000_000;
        assert_eq!(value_at_risk(volatile), Some(3_290 * money));
    }

    #[test]
    fn an_unknown_volatility_is_the_worst() {
        assert_eq!(volatility_or_worst(Decimal::ZERO), Decimal::ONE);
        assert_eq!(
            volatility_or_worst(Decimal::from_units(5)),
            Decimal::from_units(5)
        );
    }
}
