//! The engine's timers in simulated time.

use domain::Timestamp;
use engine::TimerId;

/// Timers that wait, at most one for each id; few at a time, so a plain list serves.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    waiting: Vec<(Timestamp, u64, TimerId)>,
    set: u64,
}

impl Timers {
    /// Sets a timer; one of the same id is replaced.
    pub(crate) fn set(&mut self, timer: TimerId, at: Timestamp) {
        self.waiting.retain(|&(_, _, waiting)| waiting != timer);
        self.set += 1;
        self.waiting.push((at, self.set, timer));
    }

    /// When the next timer is due; the end of time when none waits.
    pub(crate) fn next_at(&self) -> Timestamp {
        let earliest = self.waiting.iter().map(|&(at, _, _)| at).min();
        earliest.unwrap_or(Timestamp::from_nanos(i64::MAX))
    }

    /// Takes the next timer: the earliest, and of those the one set first.
    pub(crate) fn take(&mut self) -> Option<(Timestamp, TimerId)> {
        let next = self
            .waiting
            .iter()
            .enumerate()
            .min_by_key(|(_, timer)| (timer.0, timer.1))?
            .0;
        let (at, _, timer) = self.waiting.swap_remove(next);
        Some((at, timer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earliest_first_then_the_one_set_first_and_setting_replaces() {
        let mut timers = Timers::default();
        let at = Timestamp::from_nanos;
        timers.set(TimerId(1), at(30));
        timers.set(TimerId(2), at(10));
        timers.set(TimerId(3), at(10));
        timers.set(TimerId(2), at(10));
        assert_eq!(timers.next_at(), at(10));
        let order: Vec<_> = std::iter::from_fn(|| timers.take())
            .map(|(_, timer)| timer.0)
            .collect();
        assert_eq!(order, [3, 2, 1]);
        assert_eq!(timers.next_at(), at(i64::MAX));
    }
}
