//! The venue's dead man's switch: unless it is put off, the venue cancels every order of the account.
//!
//! It has one owner in a session ([`crate::switch`] says why), and is put off only while whoever decides gives signs of life:
//! a process whose sockets work and whose decisions hang must not keep its orders alive. It is taken off before a
//! maintenance, because a switch that runs out during one cancels everything when the engine is back, and at an orderly end.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{error, info, warn};

use super::gateway::{Gateway, switch_has_an_owner};
use super::parser::SystemStatus;
use crate::error::VenueError;
use crate::switch::{DeadMansSwitch, SignOfLife, SwitchStatistics, SwitchTimes};
use crate::trading::Pending;

/// Attempts to take the switch off at an orderly end.
const TAKE_OFF_ATTEMPTS: usize = 3;

/// The owner of the switch. Dropping it leaves the switch running: the venue then cancels everything, as it should when
/// nobody is there. [`Self::stop`] takes it off.
#[derive(Debug)]
pub struct DeadMan {
    task: JoinHandle<bool>,
    stop: watch::Sender<bool>,
    statistics: Arc<SwitchStatistics>,
}

impl DeadMan {
    /// Sets the switch and keeps putting it off, in the current tokio runtime, as long as `life` goes on from one time to the
    /// next.
    ///
    /// # Errors
    /// [`VenueError::Setting`] when the times cannot work, or the session's switch has an owner.
    pub fn spawn(gateway: Arc<Gateway>, times: SwitchTimes, life: SignOfLife) -> Result<Self, VenueError> {
        Ok(Self::begin(Owner::new(gateway, times, life)?))
    }

    /// The same, once the venue has said that the switch is set.
    ///
    /// # Errors
    /// As [`Self::spawn`], and what the venue says against it.
    pub async fn set(
        gateway: Arc<Gateway>,
        times: SwitchTimes,
        life: SignOfLife,
    ) -> Result<Self, VenueError> {
        let (owner, stop) = Owner::new(gateway, times, life)?;
        owner.gateway.set_switch(times.after.as_secs()).await?;
        owner.statistics.succeeded();
        Ok(Self::begin((owner, stop)))
    }

    fn begin((owner, stop): (Owner, watch::Sender<bool>)) -> Self {
        let statistics = Arc::clone(&owner.statistics);
        Self {
            task: tokio::spawn(owner.run()),
            stop,
            statistics,
        }
    }

    /// Counters of the switch.
    pub fn statistics(&self) -> Arc<SwitchStatistics> {
        Arc::clone(&self.statistics)
    }

    /// Takes the switch off and waits for that; whether the venue said that it is off. Orders that rest stay: cancel them
    /// first where they should not.
    pub async fn stop(mut self) -> bool {
        let _ = self.stop.send(true);
        (&mut self.task).await.unwrap_or(false)
    }
}

impl DeadMansSwitch for DeadMan {
    fn statistics(&self) -> Arc<SwitchStatistics> {
        Self::statistics(self)
    }

    fn take_off(self: Box<Self>) -> Pending<'static, bool> {
        Box::pin(self.stop())
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
    life: SignOfLife,
    /// Its number at the last tick; none before the first.
    heard: Option<u64>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.gateway.rest().own_switch(false);
    }
}

impl Owner {
    /// Takes the session's switch, which nobody may own twice.
    fn new(
        gateway: Arc<Gateway>,
        times: SwitchTimes,
        life: SignOfLife,
    ) -> Result<(Self, watch::Sender<bool>), VenueError> {
        times.check()?;
        if !gateway.rest().own_switch(true) {
            return Err(switch_has_an_owner());
        }
        let (stop, stopped) = watch::channel(false);
        let owner = Self {
            status: gateway.rest().status(),
            gateway,
            times,
            stopped,
            statistics: Arc::default(),
            life,
            heard: None,
        };
        Ok((owner, stop))
    }

    async fn run(mut self) -> bool {
        let mut ticks = interval(self.times.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopped = self.stopped.clone();
        // Ends with the venue's last word: nobody tells another once the session is gone.
        let mut is_told = true;
        let mut is_alive = true;
        loop {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|&stop| stop) => break,
                changed = self.status.changed(), if is_told => is_told = changed.is_ok(),
                // Only between two ticks is there time for a round.
                _ = ticks.tick() => is_alive = self.hear(),
            }
            if !is_alive {
                let failed = self.statistics.fail();
                error!(
                    failed,
                    "nothing is decided any more: the dead man's switch is not put off, the venue cancels everything"
                );
                continue;
            }
            let status = *self.status.borrow_and_update();
            let seconds = if status == Some(SystemStatus::Maintenance) {
                0
            } else {
                self.times.after.as_secs()
            };
            self.set(seconds).await;
        }
        for _ in 0..TAKE_OFF_ATTEMPTS {
            if self.set(0).await {
                info!("the dead man's switch is off");
                return true;
            }
        }
        false
    }

    /// Whether a round was made since the last tick.
    fn hear(&mut self) -> bool {
        let rounds = self.life.rounds();
        self.heard.replace(rounds) != Some(rounds)
    }

    async fn set(&self, seconds: u64) -> bool {
        // One that waits for longer than until the next would let the switch run out.
        let told = timeout(self.times.every, self.gateway.set_switch(seconds)).await;
        let told = told.unwrap_or_else(|_| {
            Err(VenueError::NoAnswer {
                request: "dead man's switch",
                detail: "until it has to be put off again".to_owned(),
            })
        });
        match told {
            Ok(()) => {
                self.statistics.succeeded();
                true
            }
            Err(problem) => {
                let failed = self.statistics.fail();
                if seconds == 0 {
                    error!(%problem, "the dead man's switch could not be taken off: the venue cancels everything");
                } else {
                    warn!(%problem, failed, "the dead man's switch could not be put off");
                }
                false
            }
        }
    }
}
