//! When a socket that was lost is made again.

use std::time::Duration;

use tokio::time::sleep;

use crate::clock::Clock;
use crate::rate_limit::ConnectBudget;
use crate::retry::{Backoff, Jitter};

/// A connection that stood this long starts the backoff anew. One that is accepted and closed has not stood: a venue does
/// that while it is in maintenance, and bans an address that comes again and again.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// Waits until an attempt may be made, and counts it as made.
pub(crate) async fn connect_room(budget: &ConnectBudget, clock: &dyn Clock) {
    while let Err(wait) = budget.try_take(clock.monotonic()) {
        sleep(Duration::from_nanos(wait.0.unsigned_abs())).await;
    }
}

/// Pauses of one socket.
#[derive(Debug)]
pub(crate) struct Reconnects(Backoff);

impl Reconnects {
    /// `pause`: the first and the longest.
    pub(crate) const fn new(pause: (Duration, Duration), jitter: Jitter) -> Self {
        Self(Backoff::new(pause.0, pause.1, jitter))
    }

    /// A connection that was up is lost after this time.
    pub(crate) fn stood(&mut self, time: Duration) {
        if time >= STABLE_AFTER {
            self.0.reset();
        }
    }

    /// How long to wait before the next attempt.
    pub(crate) fn next_pause(&mut self) -> Duration {
        self.0.next_pause()
    }
}

#[cfg(test)]
mod tests {
    use domain::Nanos;

    use super::*;

    const MINUTE: Nanos = Nanos::from_secs(60);

    /// Attempts of some sockets that share a budget, each accepted and closed at once. Time is counted, not waited for.
    fn attempts(sockets: usize, until: Nanos) -> usize {
        let budget = ConnectBudget::default();
        let mut all: Vec<_> = (0..sockets).map(|_| (Nanos(0), socket())).collect();
        let mut attempts = 0;
        while let Some((due, reconnects)) = all.iter_mut().min_by_key(|(due, _)| due.0)
            && *due < until
        {
            let wait = budget.try_take(*due).err().unwrap_or_else(|| {
                attempts += 1;
                reconnects.stood(Duration::ZERO);
                Nanos(i64::try_from(reconnects.next_pause().as_nanos()).unwrap())
            });
            due.0 += wait.0;
        }
        attempts
    }

    fn socket() -> Reconnects {
        let pause = (Duration::from_millis(100), Duration::from_secs(10));
        Reconnects::new(pause, Jitter::seeded(1))
    }

    #[test]
    fn a_socket_that_is_accepted_and_closed_is_made_again_ever_more_slowly() {
        let in_a_minute = attempts(1, MINUTE);
        assert!((8..=20).contains(&in_a_minute), "{in_a_minute}");
    }

    #[test]
    fn one_that_stood_is_made_again_at_once() {
        let mut one = socket();
        for _ in 0..20 {
            one.next_pause();
        }
        one.stood(STABLE_AFTER.saturating_sub(Duration::from_nanos(1)));
        assert!(one.next_pause() >= Duration::from_secs(5));
        one.stood(STABLE_AFTER);
        assert!(one.next_pause() <= Duration::from_millis(100));
    }

    #[test]
    fn all_sockets_together_attempt_what_the_venue_takes_of_one_address() {
        let in_five_minutes = attempts(20, Nanos(5 * MINUTE.0));
        assert!((200..=250).contains(&in_five_minutes), "{in_five_minutes}");
    }
}
