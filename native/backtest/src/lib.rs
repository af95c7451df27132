//! Drives the engine over the simulation or over recorded events (an iterator).
//!
//! The same engine as live: events in, actions out. The loop gives it the simulated venue's events and its own timers
//! in order of time, and hands the venue what the engine sends. A decision taken at a bar's close therefore meets the
//! market as it is one entry latency later, never the close it was taken on.
//!
//! [`over_bars`] and [`over_quotes`] put engine, program and venue together from [`Settings`]; [`run()`] takes them as
//! they are. [`Replay`] runs a record again and holds what the engine does against what was recorded.

mod data;
mod error;
mod replay;
mod report;
mod run;
mod settings;
mod timers;

pub use data::{over_bars, over_quotes, tick_of};
pub use error::BacktestError;
pub use replay::{Divergence, Encode, Recorded, Replay, ReplayError, ReplayReport};
pub use report::{BacktestReport, EquityPoint, Holding, OrderEnds};
pub use run::{EQUITY_POINTS_MAX, Start, run};
pub use settings::{BACKTEST_EPOCH, BACKTEST_SLOT, Program, Settings};
