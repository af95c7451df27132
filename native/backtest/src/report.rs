//! What a backtest came to.

use domain::{Money, Timestamp};
use engine::{Action, BookedFill, Signal};

/// Equity at one bar's close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EquityPoint {
    /// The bar's close, venue time.
    pub ts_close: Timestamp,
    /// Capital plus realised and unrealised profit minus fees.
    pub equity: Money,
}

/// What a backtest came to: the record of it, not yet judged.
#[derive(Debug, Clone, Default)]
pub struct BacktestReport {
    /// Events that the engine took.
    pub events: u64,
    /// Orders that left for the venue.
    pub orders: u64,
    /// Orders that risk refused.
    pub denied: u64,
    /// Cancels that left.
    pub cancels: u64,
    /// Every fill, in order.
    pub fills: Vec<BookedFill>,
    /// Equity at every bar's close.
    pub equity: Vec<EquityPoint>,
    /// What the model said at every bar, when asked to keep it.
    pub signals: Vec<Signal>,
    /// Alerts that the engine raised.
    pub alerts: u64,
}

impl BacktestReport {
    /// Books an action that stays here.
    pub(crate) fn note(&mut self, action: &Action, keep_signals: bool) {
        match action {
            Action::Fill(fill) => self.fills.push(*fill),
            Action::Signal(signal) if keep_signals => self.signals.push(*signal),
            Action::Denied { .. } => self.denied += 1,
            Action::Alert(_) => self.alerts += 1,
            _ => {}
        }
    }
}
