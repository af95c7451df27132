//! Bundles: staged, activated between two events, expired, rolled back.

use domain::{InstrumentId, SlotId, Timestamp};
use thiserror::Error;

use super::Engine;
use super::config::{ConfigError, check_limits};
use super::state::Running;
use super::timers::Timer;
use crate::action::{Action, Actions, ActivationRefusal, Alert};
use crate::event::BundleActivated;
use crate::probe::Probe;
use crate::signals::{Beside, EventRule, SpecError};
use crate::slot::{OnSwap, SlotProgram};

/// Why a program cannot be staged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StageError {
    /// No such slot.
    #[error("slot {0:?} is not configured: add it to the service's configuration first")]
    UnknownSlot(SlotId),
    /// No such instrument.
    #[error("instrument {0:?} is not configured")]
    UnknownInstrument(InstrumentId),
    /// The feature specification cannot be computed.
    #[error("the bundle's features cannot be computed: {0}")]
    Features(SpecError),
    /// A model without features, or of another width.
    #[error("the model takes {model} features, the specification names {features}")]
    FeatureCount {
        /// What the model takes.
        model: usize,
        /// What the specification names.
        features: usize,
    },
    /// The bundle's limits cannot be worked by.
    #[error("the bundle's limits: {0}")]
    Limits(ConfigError),
    /// A number is outside its range.
    #[error("{what} is out of range: {allowed}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
}

impl<P: Probe> Engine<P> {
    /// Makes a program ready to take its slot over: builds its features and warms them from the remembered
    /// bars. The last one staged for a slot counts. Decides nothing: [`BundleActivated`] does.
    ///
    /// The previous program stays hot: activating its digest again needs no staging, and where it is staged
    /// all the same, the hot one runs under the staged approval (size, end, what becomes of the position).
    /// So a replay that stages before every activation decides as the service did.
    ///
    /// # Errors
    /// Why the program cannot run here.
    pub fn stage(&mut self, program: SlotProgram) -> Result<(), StageError> {
        let at = self
            .slot_index(program.slot)
            .ok_or(StageError::UnknownSlot(program.slot))?;
        let state = self.instruments.get(usize::from(program.instrument.0));
        let state = state.ok_or(StageError::UnknownInstrument(program.instrument))?;
        check_limits(&program.limits, self.config.portfolio_currency).map_err(StageError::Limits)?;
        check_program(&program)?;
        let running = Running::new(program, state, &self.slow).map_err(StageError::Features)?;
        self.slots[at].staged = Some(running);
        Ok(())
    }

    /// What a record knows beside the bars of an instrument, in the order in which its program's features read it: a
    /// backtest over bars plays a market of its own making between their prices, and what happens there is not what
    /// happened. Of a bar that is not among them nothing is known. For engines whose events nobody records.
    ///
    /// # Errors
    /// There is no such instrument.
    pub fn know_bars(
        &mut self,
        instrument: InstrumentId,
        mut rows: Vec<(i64, Beside)>,
    ) -> Result<(), StageError> {
        let state = self.instruments.get_mut(usize::from(instrument.0));
        let state = state.ok_or(StageError::UnknownInstrument(instrument))?;
        rows.sort_by_key(|(number, _)| *number);
        state.recorded = Some(rows);
        self.watch_no_flow(instrument);
        Ok(())
    }

    /// Watches no more what happens within the bars of an instrument. For engines that no program runs on which asks for it,
    /// and whose events nobody records.
    pub fn watch_no_flow(&mut self, instrument: InstrumentId) {
        if let Some(state) = self.instruments.get_mut(usize::from(instrument.0)) {
            state.flow = None;
        }
    }

    /// A staged program, or the previous one, takes its slot over.
    pub(super) fn on_activation(&mut self, activation: &BundleActivated, actions: &mut Actions) {
        let (slot, digest) = (activation.slot, activation.digest);
        let refused = |reason| Action::BundleRefused { slot, digest, reason };
        let Some(at) = self.slot_index(slot) else {
            actions.push(refused(ActivationRefusal::NotStaged));
            return;
        };
        let is_wanted = |running: &&Running| running.digest() == digest;
        let state = &self.slots[at];
        let from_stage = state.staged.as_ref().filter(is_wanted);
        let Some(wanted) = from_stage.or_else(|| state.previous.as_ref().filter(is_wanted)) else {
            actions.push(refused(ActivationRefusal::NotStaged));
            return;
        };
        let expires = activation.expires.min(wanted.program.expires);
        let bar_span = self.config.bar_span;
        let span_fits = wanted
            .program
            .features
            .as_ref()
            .is_none_or(|spec| spec.bar_span == bar_span);
        if self.now >= expires {
            actions.push(refused(ActivationRefusal::Expired));
            return;
        }
        if !span_fits || wanted.program.instrument != state.config.instrument {
            actions.push(refused(ActivationRefusal::SlotMismatch));
            return;
        }
        let events = wanted.events();
        self.swap(at, activation, events, actions);
        set_expiry_timer(slot, expires, actions);
    }

    /// Swaps programs. Peak equity, rate windows and position belong to the slot and stay.
    fn swap(
        &mut self,
        at: usize,
        activation: &BundleActivated,
        events: Option<EventRule>,
        actions: &mut Actions,
    ) {
        let slot = &mut self.slots[at];
        let is_wanted = |running: &mut Running| running.digest() == activation.digest;
        let (hot, staged) = (slot.previous.take_if(is_wanted), slot.staged.take_if(is_wanted));
        let next = match (hot, staged) {
            (Some(mut hot), Some(staged)) => {
                hot.program.expires = staged.program.expires;
                hot.program.size_scale = staged.program.size_scale;
                hot.program.on_swap = staged.program.on_swap;
                Some(hot)
            }
            (hot, staged) => hot.or(staged),
        };
        let Some(mut next) = next else { return };
        let state = &mut self.instruments[usize::from(slot.config.instrument.0)];
        if let Some(rule) = events {
            state
                .series
                .need(slot.config.instrument, rule, state.bars.complete_since());
        }
        if let Some(features) = &mut next.features {
            features.begin(&state.series);
        }
        next.expires = activation.expires.min(next.program.expires);
        next.program.strategy.on_activated();
        let on_swap = next.program.on_swap;
        slot.daily_volatility = next.program.daily_volatility;
        slot.expiry_told = false;
        let before = slot.active.replace(next);
        let previous = before.as_ref().map(Running::digest);
        let (slot_id, digest) = (activation.slot, activation.digest);
        // A renewed approval of the running bundle leaves the one before it where it is.
        if before.is_some() && previous != Some(digest) {
            slot.previous = before;
        }
        self.drop_unread_series(at);
        actions.push(Action::BundleActivated {
            slot: slot_id,
            digest,
            previous,
        });
        if previous.is_none() {
            // The first program of this life adopts what the slot holds.
            self.cancel_working(at, None, actions);
            return;
        }
        match on_swap {
            OnSwap::Adopt => self.cancel_working(at, None, actions),
            OnSwap::RunOff => {
                self.slots[at].run_off = true;
                self.check_run_off(at);
            }
            OnSwap::Flatten => {
                let limits = self.slots[at].limits(&self.config.limits);
                let slippage = limits.price_collar_bps.min(self.config.limits.price_collar_bps);
                self.slots[at].run_off = true;
                self.begin_flatten(at, slippage, actions);
                self.check_run_off(at);
            }
        }
    }

    /// Bars of events are built for what runs, and for what ran before and may again.
    fn drop_unread_series(&mut self, at: usize) {
        let instrument = self.slots[at].config.instrument;
        let slots = &self.slots;
        let is_read = |rule| {
            let own = slots.iter().filter(|slot| slot.config.instrument == instrument);
            let mut programs = own.flat_map(|slot| [&slot.active, &slot.previous]).flatten();
            programs.any(|running| running.events() == Some(rule))
        };
        self.instruments[usize::from(instrument.0)].series.keep(is_read);
    }

    /// The running approval may have ended: told once; from then on the slot only reduces.
    pub(super) fn tell_expiry(&mut self, at: usize, actions: &mut Actions) {
        let slot = &mut self.slots[at];
        if slot.is_expired(self.now) && !slot.expiry_told {
            slot.expiry_told = true;
            actions.push(Action::Alert(Alert::BundleExpired(slot.config.slot)));
        }
    }
}

/// Wakes the engine when an approval ends. The end of time is "never": no timer waits for it.
pub(super) fn set_expiry_timer(slot: SlotId, expires: Timestamp, actions: &mut Actions) {
    if expires < Timestamp::from_nanos(i64::MAX) {
        let timer = Timer::Expiry(slot).id();
        actions.push(Action::SetTimer { timer, at: expires });
    }
}

fn check_program(program: &SlotProgram) -> Result<(), StageError> {
    let features = program.features.as_ref().map_or(0, |spec| spec.features.len());
    let model = program
        .model
        .as_ref()
        .map_or(features, |model| model.feature_count());
    if model != features {
        return Err(StageError::FeatureCount { model, features });
    }
    let share = domain::Decimal::ZERO..=domain::Decimal::ONE;
    if !share.contains(&program.size_scale) {
        return Err(StageError::OutOfRange {
            what: "size_scale",
            allowed: "0 to 1",
        });
    }
    if program.daily_volatility <= domain::Decimal::ZERO {
        return Err(StageError::OutOfRange {
            what: "daily_volatility",
            allowed: "more than 0",
        });
    }
    Ok(())
}
