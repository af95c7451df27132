//! Why something may not trade freely: what latched it, and what holds a slot beside every latch.

use std::collections::BTreeMap;

use domain::{InstrumentId, Quantity, SlotId, Timestamp};
use engine::{Alert, ControlLevel, Latch, LatchCause, Scope, SlotSnapshot};
use messaging::Instruments;

use crate::alerts;
use crate::view::View;

/// What latched a scope at one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Causes {
    by_command: bool,
    drawdown: bool,
    executions: bool,
}

impl Causes {
    /// Of the latches, those of exactly this scope and level.
    pub(crate) fn of(latches: impl Iterator<Item = Latch>, scope: Scope, level: ControlLevel) -> Self {
        let mut causes = Self::default();
        for latch in latches.filter(|latch| latch.scope == scope && latch.level == level) {
            match latch.cause {
                LatchCause::Operator => causes.by_command = true,
                LatchCause::Drawdown => causes.drawdown = true,
                LatchCause::RepeatedExecution => causes.executions = true,
            }
        }
        causes
    }

    /// In words; `None` when nothing is latched.
    pub(crate) fn words(self) -> Option<String> {
        let all = [
            (self.by_command, "by a command"),
            (self.drawdown, "by the drawdown stop"),
            (self.executions, "by too many executions"),
        ];
        let those: Vec<_> = all
            .iter()
            .filter_map(|(holds, words)| holds.then_some(*words))
            .collect();
        (!those.is_empty()).then(|| those.join(", "))
    }
}

/// What holds slots beside every latch, as one picture after the other shows it.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// The first picture of it.
    since: BTreeMap<SlotId, Timestamp>,
    /// What the venue held more than the slots, as it was told last.
    differences: BTreeMap<InstrumentId, Quantity>,
}

impl Holds {
    /// The engine's alerts; a position that differs holds the instrument's slots.
    pub(crate) fn alerted(&mut self, alert: Alert) {
        if let Alert::PositionMismatch {
            instrument,
            difference,
        } = alert
        {
            self.differences.insert(instrument, difference);
        }
    }

    /// Takes a picture in.
    pub(crate) fn look(&mut self, view: &View, instruments: &Instruments) {
        for slot in &view.slots {
            if is_held(slot, view, instruments) {
                self.since.entry(slot.slot).or_insert(view.now);
            } else {
                self.since.remove(&slot.slot);
            }
            if slot.control < ControlLevel::ReduceOnly {
                // It agrees again.
                self.differences.remove(&slot.instrument);
            }
        }
    }

    /// The held slots of the picture that was taken in last: since when, and why.
    pub(crate) fn reasons<'a>(
        &'a self,
        view: &'a View,
    ) -> impl Iterator<Item = (&'a SlotSnapshot, Timestamp, String)> {
        let slots = view.slots.iter();
        slots.filter_map(|slot| {
            let since = self.since.get(&slot.slot)?;
            Some((slot, *since, self.reason(slot, view)))
        })
    }

    fn reason(&self, slot: &SlotSnapshot, view: &View) -> String {
        let instrument = slot.instrument;
        let beside = view.slots.iter().filter(|other| other.instrument == instrument);
        let unknown: u32 = beside.map(|other| u32::from(other.unknown_orders)).sum();
        if unknown > 0 {
            return format!("{unknown} orders have no known outcome: the venue is being asked");
        }
        if slot.expires.is_some_and(|end| end <= view.now) {
            return alerts::text(Alert::BundleExpired(slot.slot));
        }
        match self.differences.get(&instrument) {
            Some(&difference) => alerts::text(Alert::PositionMismatch {
                instrument,
                difference,
            }),
            None => "its position runs off after a swap, or is in doubt until the venue is heard".to_owned(),
        }
    }
}

/// Whether a slot is less free than every latch around it says.
fn is_held(slot: &SlotSnapshot, view: &View, instruments: &Instruments) -> bool {
    let venue = instruments.name(slot.instrument).map(|name| name.venue);
    let around = |scope| match scope {
        Scope::All => true,
        Scope::Venue(one) => Some(one) == venue,
        Scope::Instrument(one) => one == slot.instrument,
        Scope::Slot(one) => one == slot.slot,
        Scope::Order(_) => false,
    };
    let latches = view.latches.iter().filter(|latch| around(latch.scope));
    let latched = latches.map(|latch| latch.level).max();
    slot.control > latched.unwrap_or(ControlLevel::Running)
}

#[cfg(test)]
mod tests {
    use domain::{Currency, Epoch, Money, Text, Venue};
    use messaging::InstrumentName;

    use super::*;
    use crate::view::ServiceState;

    const BTC: InstrumentId = InstrumentId(0);
    const SLOT: SlotId = SlotId(1);

    fn instruments() -> Instruments {
        let name = InstrumentName {
            venue: Venue::Binance,
            symbol: Text::new("BTCUSDT").unwrap(),
        };
        Instruments::new([(BTC, name)]).unwrap()
    }

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    fn view(now: i64, control: ControlLevel, latches: Vec<Latch>) -> View {
        let zero = Money::zero(Currency::new("USDT").unwrap());
        let slot = SlotSnapshot {
            slot: SLOT,
            instrument: BTC,
            capital: zero,
            equity: zero,
            peak_equity: zero,
            active: None,
            staged: None,
            previous: None,
            expires: None,
            control,
            working_orders: 0,
            unknown_orders: 0,
            warm: false,
            late_quotes: 0,
        };
        View {
            state: ServiceState::Trading,
            now: at(now),
            seq: 1,
            epoch: Epoch(1),
            slots: vec![slot],
            slow: Vec::new(),
            positions: Vec::new(),
            orders: Vec::new(),
            tops: Vec::new(),
            latches,
            control: ControlLevel::Running,
            equity: zero,
            peak_equity: zero,
            foreign_fees: Vec::new(),
        }
    }

    fn latch(scope: Scope, level: ControlLevel, cause: LatchCause) -> Latch {
        Latch { scope, level, cause }
    }

    /// Since when the slot is held, and why.
    fn told(holds: &mut Holds, view: &View) -> Option<(i64, String)> {
        holds.look(view, &instruments());
        let reason = holds.reasons(view).next();
        reason.map(|(_, since, words)| (since.nanos(), words))
    }

    #[test]
    fn a_slot_that_no_latch_holds_says_what_does_and_since_when() {
        let reduce = ControlLevel::ReduceOnly;
        let mut holds = Holds::default();
        assert_eq!(told(&mut holds, &view(1, ControlLevel::Running, vec![])), None);
        let (since, doubt) = told(&mut holds, &view(2, reduce, vec![])).unwrap();
        assert!(since == 2 && doubt.contains("in doubt"), "{doubt}");
        holds.alerted(Alert::PositionMismatch {
            instrument: BTC,
            difference: Quantity::from_units(50_000_000),
        });
        let (since, differs) = told(&mut holds, &view(3, reduce, vec![])).unwrap();
        assert!(since == 2 && differs.contains("0.5 more"), "{differs}");
        let mut unknown = view(4, reduce, vec![]);
        unknown.slots[0].unknown_orders = 2;
        assert!(told(&mut holds, &unknown).unwrap().1.contains("2 orders"));
        let mut ended = view(5, reduce, vec![]);
        ended.slots[0].expires = Some(at(5));
        assert!(told(&mut holds, &ended).unwrap().1.contains("approval"));
        // It agrees again; what holds it next is something else.
        assert_eq!(told(&mut holds, &view(6, ControlLevel::Running, vec![])), None);
        let (since, doubt) = told(&mut holds, &view(7, reduce, vec![])).unwrap();
        assert!(since == 7 && doubt.contains("in doubt"), "{doubt}");
    }

    #[test]
    fn what_a_latch_around_the_slot_says_is_not_said_twice() {
        let reduce = ControlLevel::ReduceOnly;
        let around = [
            Scope::All,
            Scope::Venue(Venue::Binance),
            Scope::Instrument(BTC),
            Scope::Slot(SLOT),
        ];
        for scope in around {
            let latches = vec![latch(scope, reduce, LatchCause::Drawdown)];
            assert_eq!(told(&mut Holds::default(), &view(1, reduce, latches)), None);
        }
        let elsewhere = vec![latch(Scope::Slot(SlotId(9)), reduce, LatchCause::Drawdown)];
        assert!(told(&mut Holds::default(), &view(1, reduce, elsewhere)).is_some());
        let paused = vec![latch(Scope::All, ControlLevel::Paused, LatchCause::Operator)];
        assert!(told(&mut Holds::default(), &view(1, reduce, paused)).is_some());
    }

    #[test]
    fn a_latch_names_what_made_it() {
        let reduce = ControlLevel::ReduceOnly;
        let latches = [
            latch(Scope::All, ControlLevel::Paused, LatchCause::Operator),
            latch(Scope::All, reduce, LatchCause::Drawdown),
            latch(Scope::All, reduce, LatchCause::RepeatedExecution),
            latch(Scope::Slot(SLOT), reduce, LatchCause::Operator),
        ];
        let words = |scope, level| Causes::of(latches.into_iter(), scope, level).words();
        let both = "by the drawdown stop, by too many executions";
        assert_eq!(words(Scope::All, reduce).as_deref(), Some(both));
        assert_eq!(words(Scope::Slot(SLOT), reduce).as_deref(), Some("by a command"));
        assert_eq!(words(Scope::All, ControlLevel::Running), None);
    }
}
