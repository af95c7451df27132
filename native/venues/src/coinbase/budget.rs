//! The venue's limit of requests in a second, with a reserve for cancels and queries.

use std::collections::VecDeque;

use domain::Nanos;

use crate::rate_limit::Urgency;

/// The venue's second, and a tenth of margin for how we and the venue cut time.
const WINDOW: Nanos = Nanos::from_millis(1_100);

/// When each request of the last second left. Nothing here waits or reads a clock.
#[derive(Debug)]
pub(super) struct SecondBudget {
    per_second: usize,
    sent: VecDeque<Nanos>,
    paused_until: Nanos,
}

impl SecondBudget {
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = usize::try_from(per_second).unwrap_or(usize::MAX);
        Self {
            per_second,
            sent: VecDeque::new(),
            paused_until: Nanos(i64::MIN),
        }
    }

    /// Takes one request at monotonic time `now`, or says how long until one fits.
    ///
    /// # Errors
    /// The wall time to wait.
    pub(super) fn try_take(&mut self, urgency: Urgency, now: Nanos) -> Result<(), Nanos> {
        self.check(urgency, now)?;
        self.sent.push_back(now);
        Ok(())
    }

    /// Whether one request fits, or how long until one does; takes nothing.
    ///
    /// # Errors
    /// The wall time to wait.
    pub(super) fn check(&mut self, urgency: Urgency, now: Nanos) -> Result<(), Nanos> {
        if now < self.paused_until {
            return Err(Nanos(self.paused_until.0 - now.0));
        }
        while self
            .sent
            .front()
            .is_some_and(|at| now.0.saturating_sub(at.0) >= WINDOW.0)
        {
            self.sent.pop_front();
        }
        let share = self.per_second.saturating_mul(urgency.share_percent() as usize) / 100;
        if self.sent.len() < share {
            return Ok(());
        }
        // As many must have left the window as are above the mark.
        let leaving = self.sent.get(self.sent.len() - share).copied().unwrap_or(now);
        Err(Nanos(
            leaving.0.saturating_add(WINDOW.0).saturating_sub(now.0).max(1),
        ))
    }

    /// Stops everything, cancels too: the venue said that there were too many.
    pub(super) fn pause(&mut self, wait: Nanos, now: Nanos) {
        self.paused_until = self.paused_until.max(Nanos(now.0.saturating_add(wait.0)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fifth_is_kept_for_cancels_and_queries() {
        let mut budget = SecondBudget::new(30);
        let now = Nanos::from_secs(5);
        let mut count = |urgency| (0..100).filter(|_| budget.try_take(urgency, now).is_ok()).count();
        assert_eq!(count(Urgency::Leisure), 15);
        assert_eq!(count(Urgency::Background), 3);
        assert_eq!(count(Urgency::Order), 6);
        assert_eq!(count(Urgency::Essential), 6);
    }

    #[test]
    fn a_pause_stops_cancels_too() {
        let mut budget = SecondBudget::new(30);
        budget.pause(Nanos::from_secs(2), Nanos(0));
        assert_eq!(
            budget.try_take(Urgency::Essential, Nanos::from_secs(1)),
            Err(Nanos::from_secs(1))
        );
        assert!(budget.try_take(Urgency::Essential, Nanos::from_secs(2)).is_ok());
    }

    proptest! {
        /// Whatever the venue's second is, none holds more than the limit, and the wait that is named is enough.
        #[test]
        fn no_second_exceeds_the_limit(gaps in prop::collection::vec(0i64..300, 1..300), limit in 5u32..40) {
            let mut budget = SecondBudget::new(limit);
            let (mut now, mut taken) = (0_i64, Vec::new());
            for (turn, gap_ms) in gaps.into_iter().enumerate() {
                now += gap_ms * 1_000_000;
                let urgency = [Urgency::Essential, Urgency::Order, Urgency::Background][turn % 3];
                match budget.try_take(urgency, Nanos(now)) {
                    Ok(()) => taken.push(now),
                    Err(wait) => {
                        now += wait.0;
                        prop_assert!(budget.try_take(urgency, Nanos(now)).is_ok());
                        taken.push(now);
                    }
                }
                let second = taken.iter().filter(|&&at| at > now - 1_000_000_000).count();
                prop_assert!(second <= limit as usize);
            }
        }
    }
}
