//! The venue's dead man's switch: unless it is put off, the venue cancels every order of the account.
//!
//! It knows no instruments and no processes: whoever puts it off keeps everybody's orders alive. So it has one owner in
//! a session, and no other process may use the same account. It is taken off before a maintenance, because a switch that
//! runs out during one cancels everything when the engine is back, and at an orderly end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::gateway::{Gateway, switch_has_an_owner};
use super::parser::SystemStatus;
use crate::error::VenueError;

/// How the switch is set: the venue recommends a minute, put off every 15 to 30 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwitchTimes {
    /// How often it is put off.
    pub every: Duration,
    /// Without a word for this long the venue cancels everything, whole seconds.
    pub after: Duration,
}

impl Default for SwitchTimes {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(20),
            after: Duration::from_mins(1),
        }
    }
}

impl SwitchTimes {
    fn check(self) -> Result<(), VenueError> {
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

/// What the switch has been told, for metrics.
#[derive(Debug, Default)]
pub struct SwitchStatistics {
    put_off: AtomicU64,
    failed: AtomicU64,
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
}

/// The owner of the switch. Dropping it leaves the switch running: the venue then cancels everything, as it should when
/// nobody is there. [`Self::stop`] takes it off.
#[derive(Debug)]
pub struct DeadMan {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    statistics: Arc<SwitchStatistics>,
}

impl DeadMan {
    /// Sets the switch and keeps putting it off, in the current tokio runtime.
    ///
    /// # Errors
    /// [`VenueError::Setting`] when the times cannot work, or the session's switch has an owner.
    pub fn spawn(gateway: Arc<Gateway>, times: SwitchTimes) -> Result<Self, VenueError> {
        times.check()?;
        if !gateway.rest().own_switch(true) {
            return Err(switch_has_an_owner());
        }
        let (stop, stopped) = watch::channel(false);
        let statistics = Arc::new(SwitchStatistics::default());
        let owner = Owner {
            status: gateway.rest().status(),
            gateway,
            times,
            stopped,
            statistics: Arc::clone(&statistics),
        };
        Ok(Self {
            task: tokio::spawn(owner.run()),
            stop,
            statistics,
        })
    }

    /// Counters of the switch.
    pub fn statistics(&self) -> Arc<SwitchStatistics> {
        Arc::clone(&self.statistics)
    }

    /// Takes the switch off and waits for that. Orders that rest stay: cancel them first where they should not.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        let _ = (&mut self.task).await;
    }
}

impl Drop for DeadMan {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Owner {
    gateway: Arc<Gateway>,
    times: SwitchTimes,
    status: watch::Receiver<Option<SystemStatus>>,
    stopped: watch::Receiver<bool>,
    statistics: Arc<SwitchStatistics>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.gateway.rest().own_switch(false);
    }
}

impl Owner {
    async fn run(mut self) {
        let mut ticks = interval(self.times.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopped = self.stopped.clone();
        // Ends with the venue's last word: nobody tells another once the session is gone.
        let mut is_told = true;
        loop {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|&stop| stop) => break,
                changed = self.status.changed(), if is_told => is_told = changed.is_ok(),
                _ = ticks.tick() => {}
            }
            let status = *self.status.borrow_and_update();
            let seconds = if status == Some(SystemStatus::Maintenance) {
                0
            } else {
                self.times.after.as_secs()
            };
            self.set(seconds).await;
        }
        self.set(0).await;
        info!("the dead man's switch is off");
    }

    async fn set(&self, seconds: u64) {
        match self.gateway.set_switch(seconds).await {
            Ok(()) => {
                self.statistics.put_off.fetch_add(1, Ordering::Relaxed);
            }
            Err(problem) => {
                let failed = self.statistics.failed.fetch_add(1, Ordering::Relaxed);
                if seconds == 0 {
                    error!(%problem, "the dead man's switch could not be taken off: the venue cancels everything");
                } else {
                    warn!(%problem, failed, "the dead man's switch could not be put off");
                }
            }
        }
    }
}
