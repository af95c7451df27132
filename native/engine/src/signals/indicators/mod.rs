//! Indicators: incremental, O(1) per bar, equal bits wherever the stream began.
//!
//! Rolling sums are exact integers. Recursions restart on a fixed grid ([`anchor::Anchored`]), so that
//! they depend on the bars of at most two restart windows and on nothing before.

mod anchor;
mod recursive;
mod rolling;

pub(super) use anchor::Anchored;
pub(super) use recursive::{ExponentialAverage, TrueRangeAverage, WilderRsi};
pub(super) use rolling::{Lagged, RollingMoments, RollingSum, RollingWindow};
