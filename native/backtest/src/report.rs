//! What a backtest came to.

use std::mem::discriminant;

use domain::{Money, OrderStatus, Price, Quantity, Timestamp};
use engine::risk::DenyReason;
use engine::{Action, Alert, BookedFill, Signal};

/// Equity at one instant of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EquityPoint {
    /// The instant: the end of an interval of [`crate::Start::equity_every`].
    pub ts: Timestamp,
    /// Capital plus realised and unrealised profit minus fees, before anything that happened at `ts` or later.
    pub equity: Money,
}

/// What stands at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Signed base quantity.
    pub quantity: Quantity,
    /// Exact cost of it, quote currency.
    pub cost: Money,
    /// Profit realised, before fees.
    pub realized: Money,
    /// Profit not yet realised, at `mark`.
    pub unrealized: Money,
    /// Fees paid in the quote currency.
    pub fees: Money,
    /// The last mark: the mid of the last quotes.
    pub mark: Price,
    /// Capital plus realised and unrealised profit minus fees.
    pub equity: Money,
}

/// How orders ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrderEnds {
    /// Filled whole.
    pub filled: u64,
    /// Canceled, by the strategy or its timeout.
    pub canceled: u64,
    /// Ended by the venue: the rest of a market or immediate order that found no one.
    pub expired: u64,
    /// Refused by the venue.
    pub rejected: u64,
}

/// What a backtest came to: the record of it, not yet judged.
#[derive(Debug, Clone, Default)]
pub struct BacktestReport {
    /// Events that the engine took.
    pub events: u64,
    /// Orders that left for the venue.
    pub orders: u64,
    /// How they ended; the rest was working at the end.
    pub ends: OrderEnds,
    /// Why risk refused orders, with the first refusal of each kind and how many there were.
    pub denials: Vec<(DenyReason, u64)>,
    /// Cancels that left.
    pub cancels: u64,
    /// Every fill, in order.
    pub fills: Vec<BookedFill>,
    /// Equity at the start and at the end of every interval.
    pub equity: Vec<EquityPoint>,
    /// What the model said at every bar, when asked to keep it.
    pub signals: Vec<Signal>,
    /// Alerts that the engine raised, the first of each kind and how many there were.
    pub alerts: Vec<(Alert, u64)>,
    /// What stands at the end; `None` only before a run.
    pub holding: Option<Holding>,
    /// Fees in assets that are neither base nor quote.
    pub foreign_fees: Vec<Money>,
}

impl BacktestReport {
    /// Orders that risk refused.
    #[must_use]
    pub fn denied(&self) -> u64 {
        self.denials.iter().map(|(_, count)| count).sum()
    }

    /// Books an action that stays here.
    pub(crate) fn note(&mut self, action: &Action, keep_signals: bool) {
        match action {
            Action::Fill(fill) => self.fills.push(*fill),
            Action::Signal(signal) if keep_signals => self.signals.push(*signal),
            Action::Denied { reason, .. } => count(&mut self.denials, reason),
            Action::Alert(alert) => count(&mut self.alerts, alert),
            Action::OrderUpdate(update) => match update.status {
                OrderStatus::Filled => self.ends.filled += 1,
                OrderStatus::Canceled => self.ends.canceled += 1,
                OrderStatus::Expired => self.ends.expired += 1,
                OrderStatus::Rejected => self.ends.rejected += 1,
                _ => {}
            },
            _ => {}
        }
    }
}

/// Counts by kind: what an entry holds beside its kind is that of the first.
fn count<T: Copy>(kinds: &mut Vec<(T, u64)>, one: &T) {
    let known = kinds
        .iter_mut()
        .find(|(kind, _)| discriminant(kind) == discriminant(one));
    match known {
        Some((_, times)) => *times += 1,
        None => kinds.push((*one, 1)),
    }
}
