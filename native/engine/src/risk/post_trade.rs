//! After the trade: drawdown from peak equity, margin call, repeated executions.

use std::collections::VecDeque;

use domain::{Nanos, SCALE, SlotId, Timestamp};

use super::RiskLimits;
use super::margin::is_margin_call;
use crate::command::Scope;
use crate::engine::CountedExecution;
use crate::limits::EXECUTIONS_IN_WINDOW_MAX;

/// The equity history that matters: its peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drawdown {
    /// Highest equity, quote units of 1e-16.
    pub(crate) peak: i128,
}

impl Drawdown {
    /// Takes an equity in; whether the fall from the peak exceeds `max_drawdown_pct`. At the limit it does
    /// not; an amount that does not fit counts as exceeded.
    pub(crate) fn observe(&mut self, equity: i128, limits: &RiskLimits) -> bool {
        if equity >= self.peak {
            self.peak = equity;
            return false;
        }
        let fall = self
            .peak
            .checked_sub(equity)
            .and_then(|fall| fall.checked_mul(i128::from(SCALE)));
        let allowed = self.peak.checked_mul(i128::from(limits.max_drawdown_pct.units()));
        match (fall, allowed) {
            (Some(fall), Some(allowed)) => fall > allowed,
            _ => true,
        }
    }

    /// Capital came or went: neither profit nor loss.
    pub(crate) const fn shift(&mut self, capital_change: i128) {
        self.peak = self.peak.saturating_add(capital_change);
    }

    /// A person looked: the fall is counted from here.
    pub(crate) const fn reset(&mut self, equity: i128) {
        self.peak = equity;
    }
}

/// Whether the free share of equity is below the threshold, told when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MarginWatch {
    called: bool,
}

impl MarginWatch {
    /// Takes the state in; whether a margin call begins.
    pub(crate) fn observe(&mut self, equity: i128, held: i128, limits: &RiskLimits) -> bool {
        // An amount that does not fit is no comfort.
        let call = held > 0 && is_margin_call(equity, held, limits).unwrap_or(true);
        let was = std::mem::replace(&mut self.called, call);
        call && !was
    }
}

/// Fills within a sliding window.
#[derive(Debug)]
struct Executions {
    times: VecDeque<Timestamp>,
}

impl Executions {
    fn new() -> Self {
        Self {
            times: VecDeque::with_capacity(EXECUTIONS_IN_WINDOW_MAX),
        }
    }

    /// Counts a fill; whether more than `limit` lie within `window`.
    fn count(&mut self, now: Timestamp, window: Nanos, limit: u32) -> bool {
        while self.times.front().is_some_and(|at| now.since(*at) >= window) {
            self.times.pop_front();
        }
        self.push(now);
        self.times.len() > usize::try_from(limit).unwrap_or(usize::MAX)
    }

    fn push(&mut self, at: Timestamp) {
        if self.times.len() == EXECUTIONS_IN_WINDOW_MAX {
            self.times.pop_front();
        }
        self.times.push_back(at);
    }
}

/// The repeated-execution throttle of the account and of each slot (RTS 6, article 15(3)).
#[derive(Debug)]
pub(crate) struct ExecutionThrottle {
    account: Executions,
    slots: Vec<(SlotId, Executions)>,
}

impl ExecutionThrottle {
    /// A throttle for `slots` (ascending).
    pub(crate) fn new(slots: impl Iterator<Item = SlotId>) -> Self {
        Self {
            account: Executions::new(),
            slots: slots.map(|slot| (slot, Executions::new())).collect(),
        }
    }

    /// Counts a fill of a slot; whether the account's and the slot's limit are exceeded.
    pub(crate) fn count(&mut self, slot: SlotId, now: Timestamp, limits: [&RiskLimits; 2]) -> [bool; 2] {
        let [account, own] = limits;
        let exceeds = |executions: &mut Executions, limits: &RiskLimits| {
            executions.count(
                now,
                limits.repeated_execution_window,
                limits.repeated_execution_limit,
            )
        };
        let of_account = exceeds(&mut self.account, account);
        let of_slot = match self.slots.binary_search_by_key(&slot, |(slot, _)| *slot) {
            Ok(at) => exceeds(&mut self.slots[at].1, own),
            Err(_) => false,
        };
        [of_account, of_slot]
    }

    /// Takes over a fill that an earlier life counted; oldest first within each scope.
    pub(crate) fn restore(&mut self, execution: &CountedExecution) {
        let executions = match execution.scope {
            Scope::Slot(slot) => match self.slots.binary_search_by_key(&slot, |(slot, _)| *slot) {
                Ok(at) => &mut self.slots[at].1,
                // A slot that is gone trades nothing.
                Err(_) => return,
            },
            _ => &mut self.account,
        };
        executions.push(execution.at);
    }

    /// Every fill that is still counted: of everything, then slot by slot, oldest first.
    pub(crate) fn counted(&self) -> impl Iterator<Item = CountedExecution> + '_ {
        let slots = self.slots.iter().map(|(slot, own)| (Scope::Slot(*slot), own));
        let scopes = std::iter::once((Scope::All, &self.account)).chain(slots);
        scopes.flat_map(|(scope, executions)| {
            let times = executions.times.iter();
            times.map(move |at| CountedExecution { scope, at: *at })
        })
    }

    /// A person looked at everything: counts begin again.
    pub(crate) fn reset_account(&mut self) {
        self.account.times.clear();
    }

    /// A person looked at a slot.
    pub(crate) fn reset_slot(&mut self, slot: SlotId) {
        if let Ok(at) = self.slots.binary_search_by_key(&slot, |(slot, _)| *slot) {
            self.slots[at].1.times.clear();
        }
    }
}

#[cfg(test)]
#[path = "post_trade_tests.rs"]
mod tests;
