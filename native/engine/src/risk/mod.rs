//! Risk: nothing leaves without passing here.

mod approved;
mod limits;

pub use approved::Approved;
pub use limits::{DenyReason, RiskLimits};
