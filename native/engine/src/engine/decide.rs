//! A bar closed: features, model, strategy.

use domain::Bar;

use super::Engine;
use super::state::Running;
use super::views::slot_view;
use crate::action::{Action, Actions, Alert, Decision, FeatureRow, Signal};
use crate::probe::{Probe, Stage};
use crate::signals::{Beside, EventRule, Score};
use crate::strategy::BarView;

/// What a model made of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scored {
    /// No model, no warm features, or a bar of the past.
    Nothing,
    /// A finite score.
    Score(Score),
    /// A feature or the score was not finite.
    NotFinite(Score),
}

impl<P: Probe> Engine<P> {
    /// Feeds a bar to the features of every program, without a decision.
    pub(super) fn feed_features(&mut self, bar: &Bar) {
        for at in 0..self.slots.len() {
            self.follow(at, bar);
        }
    }

    /// Feeds a bar that the clock closed to every slot of its instrument; `newest` asks for its decision.
    pub(super) fn decide(&mut self, bar: &Bar, newest: bool, actions: &mut Actions) {
        for at in 0..self.slots.len() {
            if self.slots[at].config.instrument == bar.instrument {
                let row = self.follow(at, bar);
                self.probe.stage_ended(Stage::Features);
                // What waits follows the clock in any case; what runs over bars of events is not asked.
                if self.events_of(at).is_none() {
                    self.decide_slot(at, bar, row.as_ref(), newest, actions);
                }
            }
        }
    }

    /// Feeds a bar that events closed to the programs that run on bars of its rule, and asks for their decisions.
    pub(super) fn decide_events(
        &mut self,
        rule: EventRule,
        number: i64,
        (bar, beside): (&Bar, &Beside),
        actions: &mut Actions,
    ) {
        for at in 0..self.slots.len() {
            let is_of_instrument = self.slots[at].config.instrument == bar.instrument;
            if !is_of_instrument || self.events_of(at) != Some(rule) {
                continue;
            }
            let running = self.slots[at].active.as_mut();
            let features = running.and_then(|running| running.features.as_mut());
            let row = features.and_then(|features| features.follow_event(number, bar, beside));
            self.probe.stage_ended(Stage::Features);
            self.decide_slot(at, bar, row.as_ref(), true, actions);
        }
    }

    /// The rule of the events that close the bars of what runs in a slot.
    fn events_of(&self, at: usize) -> Option<EventRule> {
        self.slots[at].active.as_ref().and_then(Running::events)
    }

    /// Feeds a bar of the clock to the features of all programs of a slot that read such bars; the row of the running one.
    fn follow(&mut self, at: usize, bar: &Bar) -> Option<FeatureRow> {
        let slot = &mut self.slots[at];
        if slot.config.instrument != bar.instrument {
            return None;
        }
        let state = &self.instruments[usize::from(bar.instrument.0)];
        for waiting in [&mut slot.staged, &mut slot.previous] {
            if let Some(features) = waiting.as_mut().and_then(Running::features_by_the_clock) {
                features.follow(bar, state, &self.slow);
            }
        }
        let features = slot.active.as_mut().and_then(Running::features_by_the_clock)?;
        features.follow(bar, state, &self.slow)
    }

    fn decide_slot(
        &mut self,
        at: usize,
        bar: &Bar,
        row: Option<&FeatureRow>,
        newest: bool,
        actions: &mut Actions,
    ) {
        let scored = if newest {
            self.score(at, row)
        } else {
            Scored::Nothing
        };
        let slot = &mut self.slots[at];
        let size_scale = slot.size_scale();
        let Some(running) = slot.active.as_mut() else {
            return;
        };
        let state = &self.instruments[usize::from(bar.instrument.0)];
        let ledger = self.positions.ledgers().get(at);
        let Some(view) = slot_view((self.now, size_scale), state, ledger, &self.orders) else {
            return;
        };
        let score = match scored {
            Scored::Score(score) => Some(score),
            Scored::Nothing | Scored::NotFinite(_) => None,
        };
        let features = row.map_or(&[][..], FeatureRow::as_slice);
        let bar_view = BarView { bar, features, score };
        let decision = running
            .program
            .strategy
            .on_bar(&view, &bar_view, &mut self.intents);
        self.probe.stage_ended(Stage::Strategy);
        if !newest {
            // The past: its wishes would be acted on at today's prices.
            self.intents.clear();
            return;
        }
        let has_features = running.features.is_some();
        if has_features {
            self.report_signal(at, bar, row, scored, decision, actions);
        }
        self.carry_out(at, actions);
    }

    /// Scores a row with the slot's model.
    fn score(&mut self, at: usize, row: Option<&FeatureRow>) -> Scored {
        let model = self.slots[at]
            .active
            .as_mut()
            .and_then(|running| running.program.model.as_mut());
        let (Some(model), Some(row)) = (model, row) else {
            return Scored::Nothing;
        };
        let row = row.as_slice();
        if row.len() != model.feature_count() || !row.iter().all(|value| value.is_finite()) {
            return Scored::NotFinite(Score {
                raw: f32::NAN,
                probability: f32::NAN,
            });
        }
        let score = model.score(row);
        self.probe.stage_ended(Stage::Model);
        if score.raw.is_finite() && score.probability.is_finite() {
            Scored::Score(score)
        } else {
            Scored::NotFinite(score)
        }
    }

    fn report_signal(
        &self,
        at: usize,
        bar: &Bar,
        row: Option<&FeatureRow>,
        scored: Scored,
        decision: Decision,
        actions: &mut Actions,
    ) {
        let config = &self.slots[at].config;
        let Some(features) = row.copied().or(FeatureRow::new(&[])) else {
            return;
        };
        let (score, decision) = match scored {
            Scored::Score(score) => (score, decision),
            Scored::NotFinite(score) => (score, Decision::NoSignal),
            Scored::Nothing => (
                Score {
                    raw: 0.0,
                    probability: 0.0,
                },
                Decision::NoSignal,
            ),
        };
        actions.push(Action::Signal(Signal {
            slot: config.slot,
            instrument: config.instrument,
            ts_close: bar.ts_close(),
            features,
            raw_score: score.raw,
            probability: score.probability,
            decision,
        }));
        if matches!(scored, Scored::NotFinite(_)) {
            actions.push(Action::Alert(Alert::ModelNotFinite(config.slot)));
        }
    }
}
