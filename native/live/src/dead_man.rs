//! The venue's dead man's switch, in the service that owns it.

use std::sync::Arc;
use std::time::Duration;

use config::{Guard, VenueConfig};
use tracing::{info, warn};
use venues::Gateway;
use venues::switch::{DeadMansSwitch, SwitchStatistics, SwitchTimes};

use crate::error::LiveError;
use crate::fact::{Fact, FactSender};
use crate::monitoring::Counters;

/// How often it is looked at whether the switch could be put off, wall time.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Sets the switch where the configuration says so: the venue has said that it is set when this returns.
///
/// # Errors
/// [`LiveError::Venue`] when the venue does not set it: no order may leave then.
pub(crate) async fn set(
    venue: &VenueConfig,
    gateway: &Arc<dyn Gateway>,
) -> Result<Option<Box<dyn DeadMansSwitch>>, LiveError> {
    let Guard::Venue(after) = venue.guard else {
        if venue.guard == Guard::Nobody {
            warn!(
                "nobody cancels this service's orders when it is gone: dead_mans_switch_s, watchdog_silence_s"
            );
        }
        return Ok(None);
    };
    let times = SwitchTimes::of(Duration::from_nanos(after.0.unsigned_abs()));
    let switch = Arc::clone(gateway).dead_mans_switch(times).await?;
    info!(after_s = times.after.as_secs(), "the dead man's switch is set");
    Ok(Some(switch))
}

/// Counts, and tells the thread that decides when the switch cannot be put off, for ever: the service aborts the task at
/// its end.
pub(crate) async fn watch(statistics: Arc<SwitchStatistics>, counters: Arc<Counters>, facts: FactSender) {
    let mut was_failing = false;
    loop {
        counters.dead_mans_switch_put_off.set(statistics.put_off());
        counters.dead_mans_switch_failed.set(statistics.failed());
        let is_failing = statistics.is_failing();
        counters.dead_mans_switch_set.set(u64::from(!is_failing));
        if is_failing && !was_failing {
            // When nobody decides any more, nobody needs to know.
            let _ = facts.send(Fact::Alarm(Alarm::SwitchNotPutOff)).await;
        }
        was_failing = is_failing;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What the service itself has to tell a person; the engine knows nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// The venue's dead man's switch could not be put off.
    SwitchNotPutOff,
}

impl Alarm {
    /// Its kind, as alerts have one.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::SwitchNotPutOff => "dead_mans_switch",
        }
    }

    /// What happened and what to do.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::SwitchNotPutOff => {
                "the venue's dead man's switch could not be put off: it cancels every order of the account when that \
                 stays so; look at the network and the venue"
            }
        }
    }
}
