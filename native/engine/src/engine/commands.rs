//! Commands of people: obeyed at once, or refused with a reason.

use domain::{OrderRequest, OrderType, Quantity, Side, TimeInForce};

use super::Engine;
use super::config::{Latch, LatchCause};
use super::state::{Running, SlotState};
use crate::action::{Action, Actions, ControlLevel};
use crate::command::{Command, CommandKind, CommandRefusal, ManualOrder, Scope};
use crate::probe::Probe;
use crate::risk::{Origin, SwitchError};
use crate::signals::{SlowFact, SlowRefusal};
use crate::strategy::OrderIntent;

impl<P: Probe> Engine<P> {
    pub(super) fn on_command(&mut self, command: &Command, actions: &mut Actions) {
        let result = self.obey(&command.kind, actions);
        actions.push(Action::CommandResult {
            id: command.id,
            result,
        });
    }

    fn obey(&mut self, kind: &CommandKind, actions: &mut Actions) -> Result<(), CommandRefusal> {
        match kind {
            CommandKind::Start(scope) => self.start(*scope, actions),
            CommandKind::Pause(scope) => self.raise(*scope, ControlLevel::Paused, actions),
            CommandKind::ReduceOnly(scope) => self.raise(*scope, ControlLevel::ReduceOnly, actions),
            CommandKind::CancelOrders(scope) => self.cancel_scope(*scope, actions),
            CommandKind::Kill(scope) => {
                // The kill of one order is its cancel.
                if !matches!(scope, Scope::Order(_)) {
                    self.raise(*scope, ControlLevel::Killed, actions)?;
                }
                self.cancel_scope(*scope, actions)
            }
            CommandKind::Flatten {
                scope,
                max_slippage_bps,
            } => self.flatten_scope(*scope, *max_slippage_bps, actions),
            CommandKind::Rearm { scope, reason: _ } => self.rearm(*scope, actions),
            CommandKind::SetParameter {
                slot,
                parameter,
                value,
            } => {
                let at = self.slot_index(*slot).ok_or(CommandRefusal::UnknownTarget)?;
                let running = self.slots[at].active.as_mut().ok_or(CommandRefusal::NoProgram)?;
                let program = &mut running.program;
                program
                    .strategy
                    .set_parameter(*parameter, *value, program.model.as_deref())
            }
            CommandKind::ManualOrder(order) => self.manual(order, actions),
            CommandKind::TellSlow(fact) => self.tell_slow(fact),
        }
    }

    fn raise(
        &mut self,
        scope: Scope,
        level: ControlLevel,
        actions: &mut Actions,
    ) -> Result<(), CommandRefusal> {
        self.switch.raise(scope, level).map_err(refusal)?;
        self.report_control(scope, actions);
        Ok(())
    }

    /// Lifts pauses of the scope and of everything in it; a latch at the scope itself refuses.
    fn start(&mut self, scope: Scope, actions: &mut Actions) -> Result<(), CommandRefusal> {
        self.switch.start(scope).map_err(refusal)?;
        self.report_control(scope, actions);
        if scope == Scope::All {
            for at in 0..self.slots.len() {
                let inner = Scope::Slot(self.slots[at].config.slot);
                let paused = self.switch.own_level(inner) == Some(ControlLevel::Paused);
                if paused && self.switch.start(inner).is_ok() {
                    self.report_control(inner, actions);
                }
            }
        }
        Ok(())
    }

    /// Lifts the latches of exactly this scope; the limits that latched begin to count from here. For
    /// everything, that includes what limits (not people) latched on single slots. Where nothing is latched,
    /// a person who believes that something was lifted is told so.
    fn rearm(&mut self, scope: Scope, actions: &mut Actions) -> Result<(), CommandRefusal> {
        let is_lifted = |latch: Latch| {
            let within = latch.scope == scope || (scope == Scope::All && latch.cause != LatchCause::Operator);
            within && latch.level != ControlLevel::Paused
        };
        if self.switch.own_level(scope).is_some() && !self.switch.latches().any(is_lifted) {
            return Err(CommandRefusal::NothingLatched);
        }
        let rearmed = self.switch.rearm(scope).map_err(refusal)?;
        self.report_control(scope, actions);
        match scope {
            Scope::All => {
                if rearmed.drawdown {
                    self.drawdown.reset(self.positions.equity());
                }
                if rearmed.repeated {
                    self.throttle.reset_account();
                }
                for at in 0..self.slots.len() {
                    let inner = Scope::Slot(self.slots[at].config.slot);
                    let lifted = self.switch.rearm_limits(inner);
                    if lifted.drawdown || lifted.repeated {
                        self.begin_counting(at, lifted.drawdown, lifted.repeated);
                        self.report_control(inner, actions);
                    }
                }
            }
            Scope::Slot(slot) => {
                let at = self.slot_index(slot).ok_or(CommandRefusal::UnknownTarget)?;
                self.begin_counting(at, rearmed.drawdown, rearmed.repeated);
            }
            Scope::Venue(_) | Scope::Instrument(_) | Scope::Order(_) => {}
        }
        Ok(())
    }

    fn begin_counting(&mut self, at: usize, drawdown: bool, repeated: bool) {
        if drawdown {
            self.slots[at]
                .drawdown
                .reset(self.positions.ledgers()[at].equity());
        }
        if repeated {
            self.throttle.reset_slot(self.slots[at].config.slot);
        }
    }

    fn cancel_scope(&mut self, scope: Scope, actions: &mut Actions) -> Result<(), CommandRefusal> {
        if let Scope::Order(id) = scope {
            let gave_up = self.give_up_replacements(scope);
            if self.orders.get(id).is_some() {
                self.cancel(id, actions);
            } else if !gave_up {
                return Err(CommandRefusal::UnknownTarget);
            }
            return Ok(());
        }
        self.switch
            .own_level(scope)
            .ok_or(CommandRefusal::UnknownTarget)?;
        self.give_up_replacements(scope);
        for number in 0..self.orders.open().len() {
            let order = self.orders.open()[number];
            if self.is_within(&order.view.request, scope) {
                self.cancel(order.view.request.client_order_id, actions);
            }
        }
        Ok(())
    }

    /// Nothing takes the place of ended orders within the scope any more; whether anything was to.
    fn give_up_replacements(&mut self, scope: Scope) -> bool {
        let mut waiting = std::mem::take(&mut self.replaced);
        let before = waiting.len();
        waiting.retain(|one| !self.is_within(&one.request, scope));
        self.replaced = waiting;
        self.replaced.len() < before
    }

    fn flatten_scope(
        &mut self,
        scope: Scope,
        max_slippage_bps: u32,
        actions: &mut Actions,
    ) -> Result<(), CommandRefusal> {
        let level = self.switch.own_level(scope);
        let level = level.ok_or(CommandRefusal::UnknownTarget)?;
        let mut slots = (0..self.slots.len()).filter(|at| self.is_slot_within(*at, scope));
        // A kill lets nothing out: what it holds is not closed, and saying so would be a lie.
        let all_killed = slots.all(|at| self.is_slot_killed(at));
        if level == ControlLevel::Killed || all_killed {
            return Err(CommandRefusal::Latched);
        }
        self.raise(scope, ControlLevel::ReduceOnly, actions)?;
        for at in 0..self.slots.len() {
            if self.is_slot_within(at, scope) {
                self.begin_flatten(at, max_slippage_bps, actions);
            }
        }
        Ok(())
    }

    fn is_slot_within(&self, at: usize, scope: Scope) -> bool {
        let config = &self.slots[at].config;
        match scope {
            Scope::All => true,
            Scope::Venue(one) => one == self.slot_venue(at),
            Scope::Instrument(one) => one == config.instrument,
            Scope::Slot(one) => one == config.slot,
            Scope::Order(_) => false,
        }
    }

    fn is_within(&self, request: &OrderRequest, scope: Scope) -> bool {
        match scope {
            Scope::All => true,
            Scope::Venue(venue) => {
                self.instruments[usize::from(request.instrument.0)]
                    .instrument
                    .venue
                    == venue
            }
            Scope::Instrument(instrument) => request.instrument == instrument,
            Scope::Slot(slot) => request.client_order_id.slot == slot,
            Scope::Order(id) => request.client_order_id == id,
        }
    }

    /// An order by hand: judged like a strategy's. Before a slot has a program only a reducing side passes,
    /// because nothing says how volatile its instrument is.
    fn manual(&mut self, order: &ManualOrder, actions: &mut Actions) -> Result<(), CommandRefusal> {
        let at = self.slot_index(order.slot).ok_or(CommandRefusal::UnknownTarget)?;
        if order.instrument != self.slots[at].config.instrument {
            return Err(CommandRefusal::OtherInstrument);
        }
        let position = self.positions.ledgers()[at].basis.quantity;
        let opposes = match order.side {
            Side::Buy => position < Quantity::ZERO,
            Side::Sell => position > Quantity::ZERO,
        };
        if self.slots[at].active.is_none() && !opposes {
            return Err(CommandRefusal::NoProgram);
        }
        let intent = OrderIntent {
            instrument: order.instrument,
            side: order.side,
            quantity: order.quantity,
            order_type: order.order_type,
            price: order.price,
            time_in_force: match order.order_type {
                OrderType::Market => TimeInForce::Ioc,
                OrderType::Limit => TimeInForce::Gtc,
            },
            post_only: false,
            reduce_only: false,
            timeout: None,
        };
        self.place(at, &intent, Origin::Manual, actions)
            .map_err(|_| CommandRefusal::Denied)
    }

    /// Takes a fact in; it decides nothing before the next bar.
    fn tell_slow(&mut self, fact: &SlowFact) -> Result<(), CommandRefusal> {
        let state = self.instruments.get_mut(usize::from(fact.instrument.0));
        let state = state.ok_or(CommandRefusal::UnknownTarget)?;
        let declares = |running: &Running| running.declares(fact);
        if !self.slots.iter().flat_map(SlotState::programs).any(declares) {
            return Err(CommandRefusal::NotDeclared);
        }
        let changed = self.slow.tell(fact).map_err(|refusal| match refusal {
            SlowRefusal::OutOfRange => CommandRefusal::OutOfRange,
            SlowRefusal::Full => CommandRefusal::Full,
        })?;
        if changed {
            state.learn(fact.valid_from);
        }
        Ok(())
    }

    fn report_control(&self, scope: Scope, actions: &mut Actions) {
        if let Some(level) = self.switch.own_level(scope) {
            actions.push(Action::Control { scope, level });
        }
    }
}

fn refusal(error: SwitchError) -> CommandRefusal {
    match error {
        SwitchError::Unknown => CommandRefusal::UnknownTarget,
        SwitchError::Latched => CommandRefusal::Latched,
    }
}
