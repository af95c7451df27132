//! Watches that act by themselves: drawdown, margin, repeated executions.

use domain::SlotId;

use super::Engine;
use super::config::LatchCause;
use crate::action::{Action, Actions, Alert, ControlLevel};
use crate::command::Scope;
use crate::probe::Probe;

impl<P: Probe> Engine<P> {
    /// Equity changed: drawdown of the account and of the slots, margin call.
    pub(super) fn watch_equity(&mut self, actions: &mut Actions) {
        if !self.positions.all_marked() {
            // After a restart a position stands at its cost until its first mark: no basis for a stop.
            return;
        }
        let equity = self.positions.equity();
        let mut stopped = false;
        if self.drawdown.observe(equity, &self.config.limits) {
            stopped |= self.trip(Scope::All, LatchCause::Drawdown, actions);
        }
        for at in 0..self.slots.len() {
            let own_equity = self.positions.ledgers()[at].equity();
            let slot = &mut self.slots[at];
            let limits = slot
                .active
                .as_ref()
                .map_or(&self.config.limits, |running| &running.program.limits);
            if slot.drawdown.observe(own_equity, limits) {
                let scope = Scope::Slot(slot.config.slot);
                stopped |= self.trip(scope, LatchCause::Drawdown, actions);
            }
        }
        if stopped {
            actions.push(Action::Alert(Alert::DrawdownStop));
        }
        let held = self
            .positions
            .ledgers()
            .iter()
            .map(|ledger| ledger.value().abs())
            .sum();
        if self.margin.observe(equity, held, &self.config.limits) {
            actions.push(Action::Alert(Alert::MarginCall));
        }
    }

    /// A fill: the repeated-execution throttle of the account and of its slot.
    pub(super) fn watch_executions(&mut self, slot: SlotId, actions: &mut Actions) {
        let Some(at) = self.slot_index(slot) else { return };
        let own = self.slots[at].limits(&self.config.limits);
        let [account, of_slot] = self.throttle.count(slot, self.now, [&self.config.limits, own]);
        let mut stopped = false;
        if account {
            stopped |= self.trip(Scope::All, LatchCause::RepeatedExecution, actions);
        }
        if of_slot {
            stopped |= self.trip(Scope::Slot(slot), LatchCause::RepeatedExecution, actions);
        }
        if stopped {
            actions.push(Action::Alert(Alert::RepeatedExecution));
        }
    }

    fn trip(&mut self, scope: Scope, cause: LatchCause, actions: &mut Actions) -> bool {
        let news = self.switch.trip(scope, cause);
        if news {
            let level = self.switch.own_level(scope).unwrap_or(ControlLevel::ReduceOnly);
            actions.push(Action::Control { scope, level });
        }
        news
    }
}
