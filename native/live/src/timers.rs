//! The engine's timers, until service time reaches them.

use domain::Timestamp;
use engine::TimerId;
use engine::limits::{OPEN_ORDERS_MAX, SLOTS_MAX};

/// Timers that may wait: two of each open order, two of each slot, and those that have been set for orders which
/// have ended since.
pub(crate) const TIMERS_MAX: usize = 8 * (OPEN_ORDERS_MAX + SLOTS_MAX);

/// The end of time: what a timer that is not there waits for.
const NEVER: Timestamp = Timestamp::from_nanos(i64::MAX);

#[derive(Debug, Clone, Copy)]
struct Waiting {
    at: Timestamp,
    order: u64,
    timer: TimerId,
}

/// Timers that wait, at most one for each id. Few at a time, so a plain list serves; it never grows.
#[derive(Debug)]
pub(crate) struct Timers {
    waiting: Vec<Waiting>,
    earliest: Timestamp,
    set: u64,
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self {
            waiting: Vec::with_capacity(TIMERS_MAX),
            earliest: NEVER,
            set: 0,
        }
    }

    /// Sets a timer; one of the same id is replaced. `false` when the table is full: nothing was set.
    #[must_use]
    pub(crate) fn set(&mut self, timer: TimerId, at: Timestamp) -> bool {
        self.set += 1;
        let next = Waiting {
            at,
            order: self.set,
            timer,
        };
        if let Some(known) = self.waiting.iter_mut().find(|known| known.timer == timer) {
            let was_earliest = known.at == self.earliest;
            *known = next;
            if was_earliest {
                self.find_earliest();
            }
        } else if self.waiting.len() < TIMERS_MAX {
            self.waiting.push(next);
        } else {
            return false;
        }
        self.earliest = self.earliest.min(at);
        true
    }

    /// How many wait.
    pub(crate) const fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many more would fit.
    pub(crate) const fn room(&self) -> usize {
        TIMERS_MAX - self.waiting.len()
    }

    /// When the next timer is due; the end of time when none waits.
    pub(crate) const fn next_at(&self) -> Timestamp {
        self.earliest
    }

    /// Takes the earliest timer that is due at `now`; of several at one time, the one set first.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<(Timestamp, TimerId)> {
        if self.earliest > now {
            return None;
        }
        let by_time = |(_, timer): &(usize, &Waiting)| (timer.at, timer.order);
        let (place, _) = self.waiting.iter().enumerate().min_by_key(by_time)?;
        let due = self.waiting.swap_remove(place);
        self.find_earliest();
        Some((due.at, due.timer))
    }

    fn find_earliest(&mut self) {
        self.earliest = self.waiting.iter().map(|timer| timer.at).min().unwrap_or(NEVER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: i64) -> Timestamp {
        Timestamp::from_nanos(ns)
    }

    #[test]
    fn earliest_first_then_the_one_set_first_and_setting_replaces() {
        let mut timers = Timers::new();
        for (timer, due) in [(1, 30), (2, 5), (3, 10), (2, 10)] {
            assert!(timers.set(TimerId(timer), at(due)));
        }
        assert_eq!(timers.next_at(), at(10));
        assert_eq!(timers.take_due(at(9)), None);
        let order: Vec<_> = std::iter::from_fn(|| timers.take_due(at(30)))
            .map(|(due, timer)| (due.nanos(), timer.0))
            .collect();
        assert_eq!(order, [(10, 3), (10, 2), (30, 1)]);
        assert_eq!(timers.next_at(), NEVER);
    }

    #[test]
    fn a_full_table_refuses_new_timers_and_moves_old_ones() {
        let mut timers = Timers::new();
        for timer in 0..TIMERS_MAX as u64 {
            assert!(timers.set(TimerId(timer), at(100)));
        }
        assert!(!timers.set(TimerId(u64::MAX), at(1)));
        assert_eq!(timers.next_at(), at(100));
        assert!(timers.set(TimerId(7), at(50)));
        assert_eq!(timers.take_due(at(60)), Some((at(50), TimerId(7))));
        assert!(timers.set(TimerId(u64::MAX), at(1)));
    }
}
