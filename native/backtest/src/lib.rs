//! Drives the engine over the simulation or over recorded events (an iterator).
//!
//! The same engine as live: events in, actions out. The loop gives it the simulated venue's events and its own timers
//! in order of time, and hands the venue what the engine sends. A decision taken at a bar's close therefore meets the
//! market as it is one entry latency later, never the close it was taken on.

mod report;
mod run;
mod timers;

pub use report::{BacktestReport, EquityPoint};
pub use run::{BacktestError, Start, run};
