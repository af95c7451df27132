//! The clock of a recorder: the system's own, so that what is recorded today and tomorrow stands on one axis.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::{Nanos, Timestamp};
use venues::clock::Clock;

/// UTC as the system has it, corrections included, but never back: while it is set back, it stands still.
#[derive(Debug)]
pub(crate) struct SystemClock {
    origin: Instant,
    last: AtomicI64,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            last: AtomicI64::new(i64::MIN),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX);
        let before = self.last.fetch_max(now, Ordering::Relaxed);
        Timestamp::from_nanos(before.max(now))
    }

    fn monotonic(&self) -> Nanos {
        Nanos(i64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(i64::MAX))
    }

    fn wall_until(&self, at: Timestamp) -> Duration {
        let wait = at.nanos().saturating_sub(self.now().nanos());
        Duration::from_nanos(u64::try_from(wait).unwrap_or(0))
    }
}
