//! What makes a simulation impossible.

use domain::{Price, Quantity, Timestamp};
use thiserror::Error;

/// Why a simulation cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SimulationError {
    /// A parameter is outside its range.
    #[error("simulation parameter {name} is {value}, allowed {allowed}")]
    Parameter {
        /// The key.
        name: &'static str,
        /// Its value.
        value: i64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// There is nothing to simulate.
    #[error("no bars: at least one is needed")]
    NoBars,
    /// Bars must ascend without a gap smaller than their span.
    #[error("bar {index} opens at {ts_open}, which is not on the grid of its span after the bar before it")]
    Order {
        /// Position in the list.
        index: usize,
        /// Its opening time.
        ts_open: Timestamp,
    },
    /// low <= open, close <= high does not hold, or a price is not positive.
    #[error("bar {index} ({ts_open}) is inconsistent: low <= open, close <= high and 0 < low must hold")]
    Inconsistent {
        /// Position in the list.
        index: usize,
        /// Its opening time.
        ts_open: Timestamp,
    },
    /// A price is not a multiple of the tick size.
    #[error("bar {index} ({ts_open}) has price {price}, not a multiple of the tick size {tick}")]
    OffTick {
        /// Position in the list.
        index: usize,
        /// Its opening time.
        ts_open: Timestamp,
        /// The price.
        price: Price,
        /// The tick size.
        tick: Price,
    },
    /// The volume cannot be split into the trades that the bar's prices demand.
    #[error(
        "bar {index} ({ts_open}) has volume {volume}, but its prices need {needed} trades of at least one lot of {lot}"
    )]
    Volume {
        /// Position in the list.
        index: usize,
        /// Its opening time.
        ts_open: Timestamp,
        /// The volume.
        volume: Quantity,
        /// Trades that open, high, low and close demand.
        needed: i64,
        /// The lot size.
        lot: Quantity,
    },
}
