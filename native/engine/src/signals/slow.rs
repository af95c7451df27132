//! Slow parameters: what is known of an instrument beside its market (reports, texts, the world), as somebody who knows it
//! told it. Every fact has a time from which it holds and an age beyond which it does not.
//!
//! What a bar is given is a function of its close alone: the newest fact that held by then, if it was not too old. It is
//! the join that research makes over tables (`py_rt.data.point_in_time.as_of`).

use domain::{InstrumentId, Nanos, Number, Text, Timestamp};

use super::program::Unit;
use crate::limits::{SLOW_FACTS_KEPT, SLOW_PARAMETERS_MAX};

/// Longest name of a slow parameter, bytes.
pub const SLOW_NAME_BYTES_MAX: usize = 64;

/// A slow parameter that a feature set reads as a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowColumn {
    /// Its name, as expressions and those who tell it say it.
    pub name: Text<SLOW_NAME_BYTES_MAX>,
    /// Number, price or quantity.
    pub unit: Unit,
    /// What is older than this at a bar's close is unknown there.
    pub max_age: Nanos,
}

/// Something became known of an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowFact {
    /// Of which.
    pub instrument: InstrumentId,
    /// Which slow parameter.
    pub name: Text<SLOW_NAME_BYTES_MAX>,
    /// In the unit in which people write it; `None`: from then on it is unknown.
    pub value: Option<Number>,
    /// From when on it holds: nothing before is decided on it.
    pub valid_from: Timestamp,
    /// How long it holds at most; positive.
    pub max_age: Nanos,
}

/// Why a fact is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowRefusal {
    /// Its longest age is not positive, or it is older than all of the many facts that are kept.
    OutOfRange,
    /// As many slow parameters as fit are known already.
    Full,
}

/// A fact of one parameter of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    valid_from: Timestamp,
    value: Option<Number>,
    max_age: Nanos,
}

/// The facts of one parameter of one instrument, by the times from which they hold.
#[derive(Debug)]
struct Series {
    instrument: InstrumentId,
    name: Text<SLOW_NAME_BYTES_MAX>,
    facts: Vec<Held>,
}

/// Everything that was told and may still count: values are asked for at closes of bars only, so that of the facts between
/// two closes the newest is kept.
#[derive(Debug)]
pub struct SlowParameters {
    bar_span: Nanos,
    series: Vec<Series>,
}

impl SlowParameters {
    /// Nothing is known; bars are `bar_span` long, which is positive.
    #[must_use]
    pub const fn new(bar_span: Nanos) -> Self {
        Self {
            bar_span,
            series: Vec::new(),
        }
    }

    /// Takes a fact; one that holds from the same time is replaced by it, one that a newer fact hides at every close is
    /// left out. Gives whether anything changed.
    ///
    /// # Errors
    /// Why it is not taken; nothing has changed then.
    pub fn tell(&mut self, fact: &SlowFact) -> Result<bool, SlowRefusal> {
        if fact.max_age.0 <= 0 {
            return Err(SlowRefusal::OutOfRange);
        }
        let span = self.bar_span;
        let series = self.series_of(fact)?;
        let held = Held {
            valid_from: fact.valid_from,
            value: fact.value,
            max_age: fact.max_age,
        };
        match series.binary_search_by_key(&fact.valid_from, |held| held.valid_from) {
            Ok(at) => Ok(std::mem::replace(&mut series[at], held) != held),
            // A newer one counts at the next close already.
            Err(at)
                if series
                    .get(at)
                    .is_some_and(|held| is_hidden(fact.valid_from, held.valid_from, span)) =>
            {
                Ok(false)
            }
            Err(at) if at > 0 && is_hidden(series[at - 1].valid_from, held.valid_from, span) => {
                series[at - 1] = held;
                Ok(true)
            }
            Err(at) => {
                let is_full = series.len() == SLOW_FACTS_KEPT;
                if is_full && at == 0 {
                    return Err(SlowRefusal::OutOfRange);
                }
                if is_full {
                    series.remove(0);
                }
                series.insert(at - usize::from(is_full), held);
                Ok(true)
            }
        }
    }

    /// A parameter at a bar's close, in the unit in which people write it; `None` where no fact held by then, or the
    /// newest was too old.
    #[must_use]
    pub fn at(&self, instrument: InstrumentId, column: &SlowColumn, close: Timestamp) -> Option<f64> {
        let newest = self.newest(instrument, column, close)?;
        let is_young = close.since(newest.valid_from) <= newest.max_age;
        newest.value.filter(|_| is_young).map(Number::get)
    }

    /// The fact of a parameter that holds at a time, were it young enough; its longest age is the shorter of the two.
    #[must_use]
    pub fn newest(&self, instrument: InstrumentId, column: &SlowColumn, at: Timestamp) -> Option<SlowFact> {
        let is_wanted = |series: &&Series| series.instrument == instrument && series.name == column.name;
        let facts = &self.series.iter().find(is_wanted)?.facts;
        let behind = facts.partition_point(|held| held.valid_from <= at);
        let newest = facts.get(behind.checked_sub(1)?)?;
        Some(SlowFact {
            instrument,
            name: column.name,
            value: newest.value,
            valid_from: newest.valid_from,
            max_age: newest.max_age.min(column.max_age),
        })
    }

    fn series_of(&mut self, fact: &SlowFact) -> Result<&mut Vec<Held>, SlowRefusal> {
        let is_wanted = |series: &Series| (series.instrument, series.name) == (fact.instrument, fact.name);
        let at = match self.series.iter().position(is_wanted) {
            Some(at) => at,
            None if self.series.len() == SLOW_PARAMETERS_MAX => return Err(SlowRefusal::Full),
            None => {
                self.series.push(Series {
                    instrument: fact.instrument,
                    name: fact.name,
                    facts: Vec::new(),
                });
                self.series.len() - 1
            }
        };
        Ok(&mut self.series[at].facts)
    }
}

/// Whether no bar closes between two times, of which the later one counts itself: the older fact is nowhere asked for.
fn is_hidden(older: Timestamp, newer: Timestamp, span: Nanos) -> bool {
    let first_close = |at: Timestamp| at.nanos().saturating_sub(1).div_euclid(span.0);
    first_close(older) == first_close(newer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Text<SLOW_NAME_BYTES_MAX> {
        Text::new(text).expect("a short name")
    }

    fn fact(text: &str, value: Option<f64>, valid_from: i64, max_age: i64) -> SlowFact {
        SlowFact {
            instrument: InstrumentId(0),
            name: name(text),
            value: value.and_then(|value| Number::from_bits(value.to_bits())),
            valid_from: Timestamp::from_nanos(valid_from),
            max_age: Nanos(max_age),
        }
    }

    fn at(known: &SlowParameters, close: i64) -> Option<f64> {
        let column = SlowColumn {
            name: name("rate"),
            unit: Unit::NONE,
            max_age: Nanos(50),
        };
        known.at(InstrumentId(0), &column, Timestamp::from_nanos(close))
    }

    #[test]
    fn a_fact_holds_from_its_time_until_the_shorter_age() {
        let mut known = SlowParameters::new(Nanos(1));
        assert_eq!(at(&known, 100), None, "nothing was told");
        assert_eq!(known.tell(&fact("rate", Some(1.5), 100, 20)), Ok(true));
        assert_eq!(known.tell(&fact("rate", Some(2.5), 200, 1_000)), Ok(true));
        assert_eq!(known.tell(&fact("other", Some(9.0), 0, 1_000)), Ok(true));
        let expected = [
            (99, None),
            (100, Some(1.5)),
            (120, Some(1.5)),
            (121, None),
            (250, Some(2.5)),
            (251, None),
        ];
        for (close, value) in expected {
            assert_eq!(at(&known, close), value, "at {close}");
        }
    }

    #[test]
    fn what_is_told_anew_counts_and_so_does_that_nothing_is_known() {
        let mut known = SlowParameters::new(Nanos(1));
        known.tell(&fact("rate", Some(1.0), 10, 50)).expect("room");
        assert_eq!(known.tell(&fact("rate", Some(1.0), 10, 50)), Ok(false));
        assert_eq!(known.tell(&fact("rate", Some(2.0), 10, 50)), Ok(true));
        assert_eq!(at(&known, 12), Some(2.0));
        known.tell(&fact("rate", None, 20, 50)).expect("room");
        assert_eq!((at(&known, 19), at(&known, 20)), (Some(2.0), None));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_the_oldest_goes() {
        let mut known = SlowParameters::new(Nanos(1));
        let refused = |of: Result<bool, SlowRefusal>| of.expect_err("refused");
        assert_eq!(
            refused(known.tell(&fact("rate", Some(1.0), 1, 0))),
            SlowRefusal::OutOfRange
        );
        for time in 1..=i64::try_from(SLOW_FACTS_KEPT).expect("a few") + 1 {
            known.tell(&fact("rate", Some(1.0), time, 50)).expect("room");
        }
        assert_eq!((at(&known, 1), at(&known, 2)), (None, Some(1.0)));
        assert_eq!(
            refused(known.tell(&fact("rate", Some(1.0), 1, 50))),
            SlowRefusal::OutOfRange
        );
        for number in 1..SLOW_PARAMETERS_MAX {
            known
                .tell(&fact(&format!("p{number}"), Some(1.0), 1, 50))
                .expect("room");
        }
        assert_eq!(
            refused(known.tell(&fact("more", Some(1.0), 1, 50))),
            SlowRefusal::Full
        );
    }

    #[test]
    fn facts_within_a_bar_take_the_room_of_one() {
        let mut known = SlowParameters::new(Nanos(900));
        let bars = i64::try_from(SLOW_FACTS_KEPT).expect("a few");
        let value = |time: i64| Some(time as f64);
        for time in (1..=bars * 900).step_by(60) {
            assert_eq!(known.tell(&fact("rate", value(time), time, 10_000)), Ok(true));
        }
        for close in (900..=bars * 900).step_by(900) {
            assert_eq!(known_at(&known, close), value(close - 59), "at {close}");
        }
        let late = fact("rate", Some(-1.0), 870, 10_000);
        assert_eq!(known.tell(&fact("rate", Some(-1.0), 840, 10_000)), Ok(false));
        assert_eq!(known.tell(&late), Ok(true));
        assert_eq!(
            (known_at(&known, 900), known_at(&known, 1_800)),
            (Some(-1.0), value(1_741))
        );
    }

    fn known_at(known: &SlowParameters, close: i64) -> Option<f64> {
        let column = SlowColumn {
            name: name("rate"),
            unit: Unit::NONE,
            max_age: Nanos(10_000),
        };
        known.at(InstrumentId(0), &column, Timestamp::from_nanos(close))
    }
}
