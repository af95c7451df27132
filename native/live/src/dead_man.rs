//! The venue's dead man's switch, in the service that owns it.

use std::sync::Arc;
use std::time::Duration;

use config::{Guard, VenueConfig};
use domain::{Nanos, Venue};
use tracing::{info, warn};
use venues::Gateway;
use venues::switch::{DeadMansSwitch, SignOfLife, SwitchStatistics, SwitchTimes};

use crate::error::LiveError;
use crate::fact::{Fact, FactSender};
use crate::monitoring::Counters;

/// How often it is looked at whether the switch could be put off, wall time.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Shortest time in which a watchdog must have looked: it may be started after the service.
const WATCHDOG_PATIENCE_MIN: Duration = Duration::from_secs(15);

/// Sets the switch where the configuration says so: the venue has said that it is set when this returns. It is put off while
/// the thread that decides makes its rounds, which it does hundreds of times between two ticks, idle or not.
///
/// # Errors
/// [`LiveError::Venue`] when the venue does not set it: no order may leave then.
pub(crate) async fn set(
    venue: &VenueConfig,
    gateway: &Arc<dyn Gateway>,
    counters: &Arc<Counters>,
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
    let counters = Arc::clone(counters);
    let life = SignOfLife::new(move || counters.rounds.get());
    let switch = Arc::clone(gateway).dead_mans_switch(times, life).await?;
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
            // When nobody decides any more, the log and the counters say it.
            let _ = facts.send(Fact::Alarm(Alarm::SwitchNotPutOff)).await;
        }
        was_failing = is_failing;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Tells the thread that decides when the watchdog that the configuration has does not look, for ever: the service aborts
/// the task at its end.
pub(crate) async fn expect_watchdog(silence: Nanos, counters: Arc<Counters>, facts: FactSender) {
    let patience = Duration::from_nanos(silence.0.unsigned_abs()).max(WATCHDOG_PATIENCE_MIN);
    let (mut seen, mut was_missing) = (0, false);
    loop {
        tokio::time::sleep(patience).await;
        let looks = counters.watchdog_looks.get();
        let is_missing = looks == seen;
        counters.watchdog_present.set(u64::from(!is_missing));
        if is_missing && !was_missing {
            // When nobody decides any more, nobody needs to know.
            let _ = facts.send(Fact::Alarm(Alarm::NobodyWatches)).await;
        }
        (seen, was_missing) = (looks, is_missing);
    }
}

/// What the service itself has to tell a person; the engine knows nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// The venue's dead man's switch could not be put off.
    SwitchNotPutOff,
    /// The watchdog that the configuration has does not look.
    NobodyWatches,
    /// A venue of `[[watch]]` cannot be watched as the file has it.
    NotWatched(Venue),
}

impl Alarm {
    /// Its kind, as alerts have one.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::SwitchNotPutOff => "dead_mans_switch",
            Self::NobodyWatches => "watchdog",
            Self::NotWatched(_) => "watch",
        }
    }

    /// What happened and what to do.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::SwitchNotPutOff => {
                "the venue's dead man's switch could not be put off: it cancels every order of the account when that \
                 stays so; look at the network, the venue, and whether the service still decides"
            }
            Self::NobodyWatches => {
                "no watchdog looks at this service: nobody cancels its orders when it is gone; start py_rt_live --watchdog"
            }
            Self::NotWatched(_) => {
                "a venue of [[watch]] does not list an instrument that the file names: it is not watched, trading goes on; \
                 put the file right and start the service again"
            }
        }
    }
}
