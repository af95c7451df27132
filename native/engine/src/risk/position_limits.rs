//! Position, concentration and leverage, with every live order at its worst case.

use domain::{Decimal, SCALE};

use super::{DenyReason, RiskLimits};

/// What the account, or one slot, would be exposed to after an order; quote units of 1e-16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Measure {
    /// Equity now.
    pub(crate) equity: i128,
    /// Worst case in the order's instrument.
    pub(crate) position: i128,
    /// Worst case in the order's base asset, over all instruments of it.
    pub(crate) asset: i128,
    /// Worst case over all instruments.
    pub(crate) gross: i128,
    /// What is held now, open orders left out.
    pub(crate) held: i128,
    /// Sum of worst case times daily volatility (1e-8).
    pub(crate) volatile: i128,
}

/// The largest size that a position can reach when its live orders trade or do not, base units.
pub(crate) fn worst_case(position: i128, buys: i128, sells: i128) -> Option<i128> {
    let long = position.checked_add(buys)?.unsigned_abs();
    let short = position.checked_sub(sells)?.unsigned_abs();
    i128::try_from(long.max(short)).ok()
}

/// `max_position_usd`.
pub(crate) fn check_position(measure: &Measure, limits: &RiskLimits) -> Result<(), DenyReason> {
    allow(
        measure.position <= limits.max_position_usd.units(),
        DenyReason::PositionLimit,
    )
}

/// `max_portfolio_concentration`.
pub(crate) fn check_concentration(measure: &Measure, limits: &RiskLimits) -> Result<(), DenyReason> {
    let within = is_within(measure.asset, limits.max_portfolio_concentration, measure.equity)?;
    allow(within, DenyReason::Concentration)
}

/// `max_leverage`.
pub(crate) fn check_leverage(measure: &Measure, limits: &RiskLimits) -> Result<(), DenyReason> {
    let within = is_within(measure.gross, limits.max_leverage, measure.equity)?;
    allow(within, DenyReason::Leverage)
}

/// Whether `amount <= share * equity`, exactly; never with equity of zero or less.
fn is_within(amount: i128, share: Decimal, equity: i128) -> Result<bool, DenyReason> {
    let amount = amount
        .checked_mul(i128::from(SCALE))
        .ok_or(DenyReason::Overflow)?;
    let allowed = equity
        .checked_mul(i128::from(share.units()))
        .ok_or(DenyReason::Overflow)?;
    Ok(equity > 0 && amount <= allowed)
}

pub(super) const fn allow(passes: bool, reason: DenyReason) -> Result<(), DenyReason> {
    if passes { Ok(()) } else { Err(reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_case_looks_both_ways() {
        assert_eq!(worst_case(10, 5, 3), Some(15));
        assert_eq!(worst_case(10, 0, 25), Some(15));
        assert_eq!(worst_case(-4, 6, 1), Some(5));
        assert_eq!(worst_case(i128::MAX, 1, 0), None);
    }

    #[test]
    fn a_share_of_nothing_is_never_within() {
        assert_eq!(is_within(0, Decimal::ONE, 0), Ok(false));
        assert_eq!(is_within(1, Decimal::ONE, -1), Ok(false));
        assert_eq!(is_within(i128::MAX, Decimal::ONE, 1), Err(DenyReason::Overflow));
    }
}
