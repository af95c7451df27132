//! The timer of a venue that cancels every order of an account unless it is put off, whatever the venue.
//!
//! It knows no instruments and no processes: whoever puts it off keeps everybody's orders alive. So it has one owner,
//! and nobody else may use the same account.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::error::VenueError;
use crate::trading::Pending;

/// How often a switch is put off before it runs out.
const PUT_OFF_WITHIN: u32 = 3;

/// How the switch is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwitchTimes {
    /// How often it is put off.
    pub every: Duration,
    /// Without a word for this long the venue cancels everything, whole seconds.
    pub after: Duration,
}

impl Default for SwitchTimes {
    /// A minute, as Kraken recommends.
    fn default() -> Self {
        Self::of(Duration::from_mins(1))
    }
}

impl SwitchTimes {
    /// Put off at each third of the time.
    #[must_use]
    pub fn of(after: Duration) -> Self {
        Self {
            every: after / PUT_OFF_WITHIN,
            after,
        }
    }

    pub(crate) fn check(self) -> Result<(), VenueError> {
        let holds = self.after >= Duration::from_secs(1) && 2 * self.every <= self.after;
        if holds && !self.every.is_zero() {
            return Ok(());
        }
        Err(VenueError::Setting {
            setting: "dead_man",
            problem: "at least a second, and put off twice within it".to_owned(),
        })
    }
}

/// Says whether whoever decides still does: a number that rises while it makes its rounds, and stands while it hangs.
#[derive(Clone)]
pub struct SignOfLife(Arc<dyn Fn() -> u64 + Send + Sync>);

impl SignOfLife {
    /// Reads the number. Asked on a thread of the sockets; it must not wait.
    #[must_use]
    pub fn new(rounds: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(rounds))
    }

    pub(crate) fn rounds(&self) -> u64 {
        (self.0)()
    }
}

impl fmt::Debug for SignOfLife {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SignOfLife")
    }
}

/// What the switch has been told, for metrics.
#[derive(Debug, Default)]
pub struct SwitchStatistics {
    put_off: AtomicU64,
    failed: AtomicU64,
    is_failing: AtomicBool,
}

impl SwitchStatistics {
    /// Times it was put off.
    pub fn put_off(&self) -> u64 {
        self.put_off.load(Ordering::Relaxed)
    }

    /// Times it could not be.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether the last time failed.
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    pub(crate) fn succeeded(&self) {
        self.put_off.fetch_add(1, Ordering::Relaxed);
        self.is_failing.store(false, Ordering::Relaxed);
    }

    /// Counts a failure; how many there were before.
    pub(crate) fn fail(&self) -> u64 {
        self.is_failing.store(true, Ordering::Relaxed);
        self.failed.fetch_add(1, Ordering::Relaxed)
    }
}

/// The owner of a venue's switch, which keeps putting it off. Dropping it leaves the switch running: the venue then cancels
/// everything, as it should when nobody is there.
pub trait DeadMansSwitch: fmt::Debug + Send + Sync {
    /// Counters of the switch.
    fn statistics(&self) -> Arc<SwitchStatistics>;

    /// Takes the switch off; whether the venue said that it is. Orders that rest stay: cancel them first where they should
    /// not.
    fn take_off(self: Box<Self>) -> Pending<'static, bool>;
}
