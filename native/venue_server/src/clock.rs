//! Venue time: wall time, compressed, and stopped on demand.

use std::time::{Duration, Instant};

use domain::{Nanos, Timestamp};

/// Venue time as a function of wall time.
#[derive(Debug, Clone)]
pub(crate) struct VenueClock {
    /// Venue nanoseconds of one bar.
    span: Nanos,
    /// Wall nanoseconds of one bar.
    wall_span: Nanos,
    venue: Timestamp,
    /// Wall time at which venue time was `venue`; `None` while paused.
    running_since: Option<Instant>,
    has_moved: bool,
}

impl VenueClock {
    pub(crate) fn new(start: Timestamp, span: Nanos, wall_span: Nanos) -> Self {
        Self {
            span,
            wall_span: Nanos(wall_span.0.max(1)),
            venue: start,
            running_since: None,
            has_moved: false,
        }
    }

    /// Venue time now; does not go back.
    pub(crate) fn now(&self) -> Timestamp {
        match self.running_since {
            Some(since) => self.venue.plus(self.to_venue(since.elapsed())),
            None => self.venue,
        }
    }

    /// Whether something that is due at `ts` has come. Before time first runs, only what came before the start has.
    pub(crate) fn has_reached(&self, ts: Timestamp, now: Timestamp) -> bool {
        if self.has_moved { ts <= now } else { ts < now }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.running_since.is_none()
    }

    pub(crate) fn pause(&mut self) {
        self.venue = self.now();
        self.running_since = None;
    }

    pub(crate) fn resume(&mut self) {
        self.has_moved = true;
        if self.is_paused() {
            self.running_since = Some(Instant::now());
        }
    }

    /// Moves venue time forward.
    pub(crate) fn advance(&mut self, by: Nanos) {
        self.has_moved = true;
        self.venue = self.venue.plus(Nanos(by.0.max(0)));
    }

    /// Wall time until venue time is `ts`; `None` while paused.
    pub(crate) fn wall_until(&self, ts: Timestamp) -> Option<Duration> {
        self.running_since?;
        let left = i128::from(ts.since(self.now()).0.max(0));
        // Rounded up: waking early would mean waking twice.
        let wall = (left * i128::from(self.wall_span.0)).div_euclid(i128::from(self.span.0.max(1))) + 1;
        Some(Duration::from_nanos(u64::try_from(wall).unwrap_or(u64::MAX)))
    }

    /// How much venue time passes in `wall` time.
    pub(crate) fn to_venue(&self, wall: Duration) -> Nanos {
        let wall = i128::try_from(wall.as_nanos()).unwrap_or(i128::MAX / i128::from(i64::MAX));
        let venue = wall * i128::from(self.span.0) / i128::from(self.wall_span.0);
        Nanos(i64::try_from(venue).unwrap_or(i64::MAX))
    }

    /// Venue time over wall time, for people.
    pub(crate) fn compression(&self) -> f64 {
        self.span.0 as f64 / self.wall_span.0 as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Nanos = Nanos(60_000_000_000);

    #[test]
    fn a_paused_clock_stands_and_moves_on_demand() {
        let mut clock = VenueClock::new(Timestamp::from_millis(5), MINUTE, Nanos(1_000_000));
        assert_eq!(clock.now(), Timestamp::from_millis(5));
        assert_eq!(clock.wall_until(Timestamp::from_millis(9)), None);
        clock.advance(Nanos(2_000_000));
        assert_eq!(clock.now(), Timestamp::from_millis(7));
        clock.resume();
        let later = clock.now();
        assert!(later >= Timestamp::from_millis(7));
        clock.pause();
        assert!(clock.now() >= later);
    }

    #[test]
    fn venue_time_runs_by_the_ratio_of_the_spans() {
        let clock = VenueClock::new(Timestamp::EPOCH, MINUTE, Nanos(20_000_000));
        assert_eq!(clock.to_venue(Duration::from_millis(20)), MINUTE);
        assert_eq!(clock.compression(), 3_000.0);
    }
}
