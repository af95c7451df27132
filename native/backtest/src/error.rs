//! Why a backtest gave no report.

use engine::{ConfigError, StageError};
use simulation::SimulationError;
use thiserror::Error;

use crate::run::EQUITY_POINTS_MAX;

/// Why a backtest was not begun, or stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BacktestError {
    /// One event caused more actions than the engine's buffer holds: a defect of the engine.
    #[error("event {0} caused more actions than engine::limits::ACTIONS_MAX")]
    TooManyActions(u64),
    /// The engine did not take the program.
    #[error("the staged program was not activated: {0}")]
    NotActivated(String),
    /// Whoever holds the stop flag raised it.
    #[error("stopped after event {0}")]
    Stopped(u64),
    /// The data are too long for the distance between points of equity.
    #[error("more than {EQUITY_POINTS_MAX} points of equity: give a longer bar_span, or less data")]
    TooManyPoints,
    /// There is nothing to test on.
    #[error("no data at or after the start: nothing to test on")]
    NoData,
    /// No engine can be built from the settings.
    #[error("settings: {0}")]
    Config(#[from] ConfigError),
    /// The program does not fit the engine.
    #[error("strategy: {0}")]
    Stage(#[from] StageError),
    /// No market can be made from the bars.
    #[error("{0}")]
    Simulation(#[from] SimulationError),
}
