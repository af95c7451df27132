//! Risk: nothing leaves without passing here.

mod approved;
mod kill_switch;
mod limits;
mod margin;
mod order_window;
mod position_limits;
mod post_trade;
mod pre_trade;
mod var;

pub use approved::Approved;
pub(crate) use kill_switch::{KillSwitch, SwitchError, venue_index};
pub use limits::{DenyReason, RiskLimits};
pub(crate) use order_window::{OrderWindow, RATE_WINDOW};
pub(crate) use position_limits::{Measure, worst_case};
pub(crate) use post_trade::{Drawdown, ExecutionThrottle, MarginWatch};
pub(crate) use pre_trade::{Facts, Funds, Origin, approve, approve_amend, value_price};
pub(crate) use var::{value_at_risk, volatility_or_worst};
