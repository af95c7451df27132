//! The one clock of the service, anchored to the venue's, and the engine's time made of it.
//!
//! Signing, receiving and deciding are on one axis: [`venues::clock::ServerClock`]. How fast it runs is decided here:
//! in stage prod as the wall does and near the wall's own time; elsewhere at the configured compression, or as
//! measured. Which spans of the files follow that rate stands in [`journal::scale`].

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::{ClockConfig, Stage};
use domain::Timestamp;
use tracing::{info, warn};
use venues::Reference;
use venues::clock::{Clock, Correction, REAL_TIME_PPB, Rate, ServerClock};

use crate::error::LiveError;
use crate::monitoring::Counters;

/// Wall time between two corrections of the clock.
pub const RESYNC_INTERVAL: Duration = Duration::from_secs(5);

/// A measured rate this near to the wall's is the wall's: parts per billion.
const REAL_TIME_TOLERANCE_PPB: i64 = REAL_TIME_PPB / 50;

/// Parts per billion in one unit (1e-8) of a configured compression.
const PPB_PER_UNIT: i64 = 10;

/// Anchors the clock to the venue's.
///
/// # Errors
/// [`LiveError::Venue`] when the venue does not tell its time; [`LiveError::Clock`] when in stage prod this machine
/// and the venue are too far apart.
pub async fn anchor(
    reference: &dyn Reference,
    clock: &ServerClock,
    stage: Stage,
    settings: &ClockConfig,
) -> Result<(), LiveError> {
    let rate = match (settings.compression, stage) {
        (Some(compression), _) => Rate::Fixed(compression.units().saturating_mul(PPB_PER_UNIT)),
        (None, Stage::Prod) => Rate::RealTime,
        (None, Stage::Dev | Stage::Paper) => Rate::Estimated,
    };
    reference.anchor_clock(clock, rate).await?;
    let measured = clock.rate_ppb();
    if rate == Rate::Estimated && (measured - REAL_TIME_PPB).abs() <= REAL_TIME_TOLERANCE_PPB {
        reference.anchor_clock(clock, Rate::RealTime).await?;
    }
    let offset = clock.now().since(wall_now());
    if stage == Stage::Prod && offset.0.saturating_abs() > settings.offset_max.0 {
        return Err(LiveError::Clock {
            offset,
            max: settings.offset_max,
        });
    }
    info!(
        rate_ppb = clock.rate_ppb(),
        uncertainty_ns = clock.uncertainty().0,
        offset_ms = offset.0 / 1_000_000,
        "clock anchored to the venue's"
    );
    Ok(())
}

/// Keeps the clock near the venue's, for ever: the service aborts the task at its end.
pub async fn keep_in_step(reference: Arc<dyn Reference>, clock: Arc<ServerClock>, counters: Arc<Counters>) {
    loop {
        tokio::time::sleep(RESYNC_INTERVAL).await;
        match reference.resync_clock(&clock).await {
            Ok(correction) => tell(correction, &counters),
            // It goes on at its rate; what follows from a venue that is gone is the feeds' to say.
            Err(error) => {
                counters.refusals.request(&error);
                warn!(%error, "the venue's clock could not be asked");
            }
        }
    }
}

/// What an answer of the venue did to the clock, for people.
fn tell(correction: Correction, counters: &Counters) {
    match correction {
        Correction::None => {}
        Correction::By(error) => info!(correction_ns = error.0, "clock corrected"),
        Correction::Disbelieved(error) => {
            counters.clock_answers_disbelieved.add_one();
            warn!(
                error_ms = error.0 / 1_000_000,
                "the venue's time is far from ours: not believed before it says so again"
            );
        }
    }
}

/// This machine's own time.
#[must_use]
pub fn wall_now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}

/// Engine time: the receive time of events, made monotone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineTime(Timestamp);

impl EngineTime {
    pub(crate) const fn starting_at(start: Timestamp) -> Self {
        Self(start)
    }

    pub(crate) const fn now(self) -> Timestamp {
        self.0
    }

    /// The time of an event received at `received`: never before that of an earlier event.
    pub(crate) fn advance(&mut self, received: Timestamp) -> Timestamp {
        self.0 = self.0.max(received);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use domain::Nanos;

    use super::*;

    #[test]
    fn only_answers_that_are_not_believed_are_counted() {
        let counters = Counters::default();
        for correction in [
            Correction::None,
            Correction::By(Nanos(1)),
            Correction::Disbelieved(Nanos(-1)),
        ] {
            tell(correction, &counters);
        }
        assert_eq!(counters.clock_answers_disbelieved.get(), 1);
    }

    #[test]
    fn engine_time_never_goes_back() {
        let at = Timestamp::from_nanos;
        let mut time = EngineTime::starting_at(at(10));
        assert_eq!(
            [5, 11, 7, 12].map(|ns| time.advance(at(ns))),
            [10, 11, 11, 12].map(at)
        );
        assert_eq!(time.now(), at(12));
    }
}
