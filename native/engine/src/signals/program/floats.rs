//! Choices between numbers, without a branch.

/// What has no value is unknown.
#[inline(always)]
pub(super) const fn finite(value: f64) -> f64 {
    choose(value.is_finite(), value, f64::NAN)
}

/// One of two that are both at hand, by their bits: no branch, which no processor could foresee, and several at a time.
#[inline(always)]
pub(super) const fn choose(is_first: bool, first: f64, second: f64) -> f64 {
    let mask = (is_first as u64).wrapping_neg();
    f64::from_bits((first.to_bits() & mask) | (second.to_bits() & !mask))
}
