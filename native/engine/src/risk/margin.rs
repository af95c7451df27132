//! Margin on a spot venue: exposure uses equity in full, so what is free is equity minus gross exposure.

use domain::{Decimal, SCALE};

use super::position_limits::{Measure, allow};
use super::{DenyReason, RiskLimits};

/// `margin_buffer`: what new exposure leaves free.
pub(crate) fn check_buffer(measure: &Measure, limits: &RiskLimits) -> Result<(), DenyReason> {
    let below = is_below(measure.equity, measure.gross, limits.margin_buffer)?;
    allow(!below, DenyReason::MarginBuffer)
}

/// `margin_call_threshold`: what is free now, open orders left out.
pub(crate) fn check_call(measure: &Measure, limits: &RiskLimits) -> Result<(), DenyReason> {
    allow(
        !is_margin_call(measure.equity, measure.held, limits)?,
        DenyReason::MarginCall,
    )
}

/// Whether the free share of equity is below the margin-call threshold.
pub(crate) fn is_margin_call(equity: i128, held: i128, limits: &RiskLimits) -> Result<bool, DenyReason> {
    is_below(equity, held, limits.margin_call_threshold)
}

/// Whether `equity - used < share * equity`, exactly; always with equity of zero or less.
fn is_below(equity: i128, used: i128, share: Decimal) -> Result<bool, DenyReason> {
    let free = equity.checked_sub(used).ok_or(DenyReason::Overflow)?;
    let free = free.checked_mul(i128::from(SCALE)).ok_or(DenyReason::Overflow)?;
    let needed = equity
        .checked_mul(i128::from(share.units()))
        .ok_or(DenyReason::Overflow)?;
    Ok(equity <= 0 || free < needed)
}
