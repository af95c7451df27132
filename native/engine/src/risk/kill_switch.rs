//! The ladder of stops: for each scope a level, latched where only a person may lift it.
//!
//! The effective level of an order is the highest over everything, its venue, its instrument and its slot.
//! Nothing here lowers a latch but [`KillSwitch::rearm`].

use domain::{InstrumentId, SlotId, Venue};

use crate::action::ControlLevel;
use crate::command::Scope;
use crate::engine::{Latch, LatchCause};

/// The stops of one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stops {
    /// An operator's pause. A latch above it does not end it: it is there when the latch is lifted.
    paused: bool,
    /// What an operator latched.
    level: ControlLevel,
    /// The drawdown stop.
    drawdown: bool,
    /// The repeated-execution throttle.
    repeated: bool,
}

const FREE: Stops = Stops {
    paused: false,
    level: ControlLevel::Running,
    drawdown: false,
    repeated: false,
};

/// The stops that act on one order, from all scopes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Effective {
    /// Somewhere killed.
    pub(crate) killed: bool,
    /// Somewhere paused.
    pub(crate) paused: bool,
    /// Somewhere reduce-only by command.
    pub(crate) reduce_only: bool,
    /// The drawdown stop is latched.
    pub(crate) drawdown: bool,
    /// The repeated-execution throttle is latched.
    pub(crate) repeated: bool,
}

impl Effective {
    fn add(&mut self, stops: Stops) {
        self.killed |= stops.level == ControlLevel::Killed;
        self.paused |= stops.paused;
        self.reduce_only |= stops.level == ControlLevel::ReduceOnly;
        self.drawdown |= stops.drawdown;
        self.repeated |= stops.repeated;
    }

    /// The one level that describes them.
    pub(crate) const fn level(self) -> ControlLevel {
        if self.killed {
            ControlLevel::Killed
        } else if self.reduce_only || self.drawdown || self.repeated {
            ControlLevel::ReduceOnly
        } else if self.paused {
            ControlLevel::Paused
        } else {
            ControlLevel::Running
        }
    }
}

/// Why a level cannot be lowered by asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SwitchError {
    /// No such scope.
    Unknown,
    /// A latch holds: re-arm.
    Latched,
}

/// All stops of an engine.
#[derive(Debug)]
pub(crate) struct KillSwitch {
    all: Stops,
    venues: [Stops; Venue::ALL.len()],
    instruments: Vec<Stops>,
    /// Slot ids, ascending, beside their stops.
    slots: Vec<(SlotId, Stops)>,
}

impl KillSwitch {
    pub(crate) fn new(instruments: usize, slots: impl Iterator<Item = SlotId>) -> Self {
        Self {
            all: FREE,
            venues: [FREE; Venue::ALL.len()],
            instruments: vec![FREE; instruments],
            slots: slots.map(|slot| (slot, FREE)).collect(),
        }
    }

    /// The stops that act on an order of this slot in this instrument at this venue.
    pub(crate) fn effective(&self, venue: Venue, instrument: InstrumentId, slot: SlotId) -> Effective {
        let mut effective = Effective::default();
        effective.add(self.all);
        let scopes = [
            Scope::Venue(venue),
            Scope::Instrument(instrument),
            Scope::Slot(slot),
        ];
        for stops in scopes.into_iter().filter_map(|scope| self.stops(scope)) {
            effective.add(*stops);
        }
        effective
    }

    /// The level of one scope by itself; `None` for a scope that is not there.
    pub(crate) fn own_level(&self, scope: Scope) -> Option<ControlLevel> {
        self.stops(scope).map(|stops| {
            let mut effective = Effective::default();
            effective.add(*stops);
            effective.level()
        })
    }

    /// Raises the level of a scope; a higher one stays.
    pub(crate) fn raise(&mut self, scope: Scope, level: ControlLevel) -> Result<(), SwitchError> {
        let stops = self.stops_mut(scope).ok_or(SwitchError::Unknown)?;
        if level == ControlLevel::Paused {
            stops.paused = true;
        } else {
            stops.level = stops.level.max(level);
        }
        Ok(())
    }

    /// Lifts a pause of this scope.
    pub(crate) fn start(&mut self, scope: Scope) -> Result<(), SwitchError> {
        let stops = self.stops_mut(scope).ok_or(SwitchError::Unknown)?;
        if stops.level > ControlLevel::Running || stops.drawdown || stops.repeated {
            return Err(SwitchError::Latched);
        }
        stops.paused = false;
        Ok(())
    }

    /// Latches by a limit; whether it is news.
    pub(crate) fn trip(&mut self, scope: Scope, cause: LatchCause) -> bool {
        let Some(stops) = self.stops_mut(scope) else {
            return false;
        };
        let latch = match cause {
            LatchCause::Operator => return false,
            LatchCause::Drawdown => &mut stops.drawdown,
            LatchCause::RepeatedExecution => &mut stops.repeated,
        };
        !std::mem::replace(latch, true)
    }

    /// Lifts every latch of exactly this scope, and no pause; which limits had latched.
    pub(crate) fn rearm(&mut self, scope: Scope) -> Result<Rearmed, SwitchError> {
        let stops = self.stops_mut(scope).ok_or(SwitchError::Unknown)?;
        let paused = stops.paused;
        let before = std::mem::replace(stops, Stops { paused, ..FREE });
        Ok(Rearmed {
            drawdown: before.drawdown,
            repeated: before.repeated,
        })
    }

    /// Lifts what limits latched at this scope, leaving what an operator set.
    pub(crate) fn rearm_limits(&mut self, scope: Scope) -> Rearmed {
        let Some(stops) = self.stops_mut(scope) else {
            return Rearmed::default();
        };
        let before = std::mem::replace(
            stops,
            Stops {
                drawdown: false,
                repeated: false,
                ..*stops
            },
        );
        Rearmed {
            drawdown: before.drawdown,
            repeated: before.repeated,
        }
    }

    /// Takes over a latch of an earlier life.
    pub(crate) fn restore(&mut self, latch: &Latch) {
        match latch.cause {
            // A scope that is gone holds nothing that could trade.
            LatchCause::Operator => drop(self.raise(latch.scope, latch.level)),
            cause => drop(self.trip(latch.scope, cause)),
        }
    }

    /// Every stop that a person must lift: all, venues, instruments, slots.
    pub(crate) fn latches(&self) -> impl Iterator<Item = Latch> + '_ {
        let venues = Venue::ALL.into_iter().map(Scope::Venue).zip(&self.venues);
        let instruments = (0u16..)
            .map(|at| Scope::Instrument(InstrumentId(at)))
            .zip(&self.instruments);
        let slots = self.slots.iter().map(|(slot, stops)| (Scope::Slot(*slot), stops));
        let scopes = std::iter::once((Scope::All, &self.all))
            .chain(venues)
            .chain(instruments)
            .chain(slots);
        scopes.flat_map(|(scope, stops)| latches_of(scope, *stops))
    }

    fn stops(&self, scope: Scope) -> Option<&Stops> {
        match scope {
            Scope::All => Some(&self.all),
            Scope::Venue(venue) => Some(&self.venues[venue_index(venue)]),
            Scope::Instrument(instrument) => self.instruments.get(usize::from(instrument.0)),
            Scope::Slot(slot) => {
                let at = self.slots.binary_search_by_key(&slot, |(slot, _)| *slot).ok()?;
                Some(&self.slots[at].1)
            }
            Scope::Order(_) => None,
        }
    }

    fn stops_mut(&mut self, scope: Scope) -> Option<&mut Stops> {
        match scope {
            Scope::All => Some(&mut self.all),
            Scope::Venue(venue) => Some(&mut self.venues[venue_index(venue)]),
            Scope::Instrument(instrument) => self.instruments.get_mut(usize::from(instrument.0)),
            Scope::Slot(slot) => {
                let at = self.slots.binary_search_by_key(&slot, |(slot, _)| *slot).ok()?;
                Some(&mut self.slots[at].1)
            }
            Scope::Order(_) => None,
        }
    }
}

/// The limits that a re-arm lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rearmed {
    pub(crate) drawdown: bool,
    pub(crate) repeated: bool,
}

fn latches_of(scope: Scope, stops: Stops) -> impl Iterator<Item = Latch> + use<> {
    let paused = stops
        .paused
        .then_some((ControlLevel::Paused, LatchCause::Operator));
    let operator = (stops.level > ControlLevel::Running).then_some((stops.level, LatchCause::Operator));
    let reduce = ControlLevel::ReduceOnly;
    let drawdown = stops.drawdown.then_some((reduce, LatchCause::Drawdown));
    let repeated = stops.repeated.then_some((reduce, LatchCause::RepeatedExecution));
    [paused, operator, drawdown, repeated]
        .into_iter()
        .flatten()
        .map(move |(level, cause)| Latch { scope, level, cause })
}

/// The venue's place in tables made of [`Venue::ALL`].
pub(crate) const fn venue_index(venue: Venue) -> usize {
    match venue {
        Venue::Binance => 0,
        Venue::BinanceUsdm => 1,
        Venue::Coinbase => 2,
        Venue::Kraken => 3,
        Venue::IndependentReserve => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: SlotId = SlotId(3);
    const ONE: InstrumentId = InstrumentId(0);

    fn switch() -> KillSwitch {
        KillSwitch::new(1, [SLOT].into_iter())
    }

    fn level(switch: &KillSwitch) -> ControlLevel {
        switch.effective(Venue::Binance, ONE, SLOT).level()
    }

    #[test]
    fn the_highest_scope_decides() {
        let scopes = [
            Scope::All,
            Scope::Venue(Venue::Binance),
            Scope::Instrument(ONE),
            Scope::Slot(SLOT),
        ];
        for scope in scopes {
            let mut switch = switch();
            assert_eq!(level(&switch), ControlLevel::Running);
            for expected in [
                ControlLevel::Paused,
                ControlLevel::ReduceOnly,
                ControlLevel::Killed,
            ] {
                switch.raise(scope, expected).unwrap();
                assert_eq!(level(&switch), expected, "{scope:?}");
            }
            switch.raise(scope, ControlLevel::Paused).unwrap();
            assert_eq!(
                level(&switch),
                ControlLevel::Killed,
                "a lower request never lowers"
            );
        }
    }

    #[test]
    fn only_rearming_lifts_a_latch_and_only_its_own() {
        let mut switch = switch();
        switch.raise(Scope::All, ControlLevel::ReduceOnly).unwrap();
        switch.raise(Scope::Slot(SLOT), ControlLevel::Killed).unwrap();
        assert_eq!(switch.start(Scope::All), Err(SwitchError::Latched));
        switch.rearm(Scope::All).unwrap();
        assert_eq!(level(&switch), ControlLevel::Killed);
        switch.rearm(Scope::Slot(SLOT)).unwrap();
        assert_eq!(level(&switch), ControlLevel::Running);
    }

    #[test]
    fn a_pause_is_lifted_by_starting() {
        let mut switch = switch();
        switch.raise(Scope::Slot(SLOT), ControlLevel::Paused).unwrap();
        assert_eq!(switch.start(Scope::Slot(SLOT)), Ok(()));
        assert_eq!(level(&switch), ControlLevel::Running);
        assert_eq!(switch.start(Scope::Slot(SlotId(9))), Err(SwitchError::Unknown));
    }

    #[test]
    fn a_pause_is_there_when_the_latch_above_it_is_lifted() {
        let mut switch = switch();
        for latched in [ControlLevel::ReduceOnly, ControlLevel::Killed] {
            switch.raise(Scope::Slot(SLOT), latched).unwrap();
            switch.raise(Scope::Slot(SLOT), ControlLevel::Paused).unwrap();
            assert_eq!(level(&switch), latched);
            let mut later = self::switch();
            switch.latches().for_each(|latch| later.restore(&latch));
            for mut life in [later, std::mem::replace(&mut switch, self::switch())] {
                assert_eq!(life.start(Scope::Slot(SLOT)), Err(SwitchError::Latched));
                life.rearm(Scope::Slot(SLOT)).unwrap();
                assert_eq!(level(&life), ControlLevel::Paused);
                assert_eq!(life.start(Scope::Slot(SLOT)), Ok(()));
                assert_eq!(level(&life), ControlLevel::Running);
            }
        }
    }

    #[test]
    fn latches_survive_into_another_switch() {
        let mut first = switch();
        first.raise(Scope::Instrument(ONE), ControlLevel::Killed).unwrap();
        first.raise(Scope::All, ControlLevel::Paused).unwrap();
        assert!(first.trip(Scope::Slot(SLOT), LatchCause::Drawdown));
        assert!(!first.trip(Scope::Slot(SLOT), LatchCause::Drawdown), "told once");
        let mut second = switch();
        first.latches().for_each(|latch| second.restore(&latch));
        let effective = second.effective(Venue::Binance, ONE, SLOT);
        assert_eq!(
            (effective.killed, effective.drawdown, effective.paused),
            (true, true, true)
        );
        assert_eq!(second.latches().count(), 3);
    }
}
