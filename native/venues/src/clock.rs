//! Service time: an estimate of the venue's clock, anchored to its own answers.
//!
//! One clock serves the whole process, so that what we sign, what we receive and what we journal are on
//! one axis. The estimate is a line: `service = anchor + (local - local anchor) * rate`. The rate is one
//! in production; a simulated venue that runs faster than the wall has another, measured or given.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::{Nanos, Timestamp};
use thiserror::Error;

/// A rate of one: a second of service time in a second of wall time, in parts per billion.
pub const REAL_TIME_PPB: i64 = 1_000_000_000;

/// Highest compression: a million seconds of service time in one second.
pub const RATE_PPB_MAX: i64 = 1_000_000 * REAL_TIME_PPB;

/// Shortest wall time between the two samples a rate is estimated from.
pub const RATE_BASELINE_MIN: Nanos = Nanos::from_millis(50);

/// How far an answer may move the clock beyond what both are uncertain of, wall time, before another has said the same:
/// oscillators that drift take hours for it, and a venue that is wrong, or an answer that is another's, is off by more.
pub const STEP_MAX: Nanos = Nanos::from_millis(250);

/// Venues answer in whole milliseconds, rounded down.
const SERVER_RESOLUTION: Nanos = Nanos::from_millis(1);

/// What the rest of the service reads time from.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Service time: the estimated time at the venue. Never goes back.
    fn now(&self) -> Timestamp;

    /// Wall time since an arbitrary start. Never goes back, never compressed: for budgets and pauses.
    fn monotonic(&self) -> Nanos;

    /// Wall time to wait until service time reaches `at`; zero when it has passed.
    fn wall_until(&self, at: Timestamp) -> Duration;

    /// How much service time passes in `wall` time. The same, unless time is compressed.
    fn service_span(&self, wall: Nanos) -> Nanos {
        wall
    }
}

/// Why a clock could not be anchored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ClockError {
    /// The samples are too close for a rate.
    #[error("two time samples {} ms apart: a rate needs at least {} ms", .0.0 / 1_000_000, RATE_BASELINE_MIN.0 / 1_000_000)]
    Baseline(Nanos),
    /// The rate is not one this build accepts.
    #[error("the venue's clock runs at {0} parts per billion of ours: allowed are 1 to {RATE_PPB_MAX}")]
    Rate(i64),
}

/// One question to the venue's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSample {
    /// Monotonic time before the request.
    pub sent: Nanos,
    /// Monotonic time after the answer.
    pub received: Nanos,
    /// What the venue said.
    pub server: Timestamp,
}

impl TimeSample {
    fn middle(&self) -> i64 {
        i64::midpoint(self.sent.0, self.received.0)
    }

    fn half_trip(&self) -> i64 {
        (self.received.0.saturating_sub(self.sent.0) / 2).max(0)
    }
}

/// How fast the venue's clock runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// As ours. The only one for a real venue.
    RealTime,
    /// A known compression, in parts per billion of ours.
    Fixed(i64),
    /// Measured from the samples, and measured again on each [`ServerClock::resync`].
    Estimated,
}

/// What an answer of the venue did to the clock; spans are of service time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// It agrees within its own uncertainty: nothing.
    None,
    /// The clock was so far behind.
    By(Nanos),
    /// It is so far ahead of the clock that it is not believed before another says the same ([`STEP_MAX`]): nothing.
    Disbelieved(Nanos),
}

impl Correction {
    /// How far the answer is ahead of the clock; zero where they agree.
    #[must_use]
    pub const fn error(self) -> Nanos {
        match self {
            Self::None => Nanos(0),
            Self::By(error) | Self::Disbelieved(error) => error,
        }
    }
}

/// The line, and what is known about its quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    local: i64,
    server: i64,
    rate_ppb: i64,
    uncertainty: i64,
}

impl Line {
    fn at(&self, local: i64) -> i64 {
        let elapsed = i128::from(local) - i128::from(self.local);
        let scaled = elapsed * i128::from(self.rate_ppb) / i128::from(REAL_TIME_PPB);
        let server = i128::from(self.server) + scaled;
        i64::try_from(server).unwrap_or(if server < 0 { i64::MIN } else { i64::MAX })
    }

    /// How far this line is ahead of another where it was sampled.
    fn error_of(&self, other: &Self) -> i64 {
        self.server.saturating_sub(other.at(self.local))
    }

    /// Whether it is within [`STEP_MAX`] of another, beyond what both are uncertain of.
    fn is_near(&self, other: &Self) -> bool {
        let unknown = self.uncertainty.saturating_add(other.uncertainty);
        let bound = scaled(STEP_MAX.0, self.rate_ppb).saturating_add(unknown);
        self.error_of(other).saturating_abs() <= bound
    }
}

/// What only the anchoring calls use.
#[derive(Debug)]
struct Anchoring {
    rate: Rate,
    first: Option<TimeSample>,
    /// Through the last answer, where it was not believed.
    disbelieved: Option<Line>,
}

/// The one service clock. Reading it takes no lock; anchoring it does.
///
/// ```
/// use domain::{Nanos, Timestamp};
/// use venues::clock::{Clock, Rate, ServerClock, TimeSample};
/// let clock = ServerClock::local();
/// let sample = |at_ms: i64, server_ms| TimeSample {
///     sent: Nanos::from_millis(at_ms),
///     received: Nanos::from_millis(at_ms + 2),
///     server: Timestamp::from_millis(server_ms),
/// };
/// clock.anchor(sample(0, 1_000_000), sample(100, 1_090_000), Rate::Estimated).unwrap();
/// assert_eq!(clock.rate_ppb(), 900_000_000_000);
/// assert!(clock.now() > Timestamp::from_millis(900_000));
/// ```
#[derive(Debug)]
pub struct ServerClock {
    origin: Instant,
    // A sequence lock: odd while the words below change.
    version: AtomicU64,
    words: [AtomicI64; 4],
    last: AtomicI64,
    anchoring: Mutex<Anchoring>,
}

impl ServerClock {
    /// The system's clock, until [`Self::anchor`] is called.
    #[must_use]
    pub fn local() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let server = i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX);
        Self {
            origin: Instant::now(),
            version: AtomicU64::new(0),
            words: [0, server, REAL_TIME_PPB, 0].map(AtomicI64::new),
            last: AtomicI64::new(i64::MIN),
            anchoring: Mutex::new(Anchoring {
                rate: Rate::RealTime,
                first: None,
                disbelieved: None,
            }),
        }
    }

    /// Anchors the clock to two answers of the venue. Time may step here, and only here: call it before
    /// the first event.
    ///
    /// # Errors
    /// [`ClockError`] when the samples do not give an acceptable rate.
    pub fn anchor(&self, first: TimeSample, second: TimeSample, rate: Rate) -> Result<(), ClockError> {
        let rate_ppb = match rate {
            Rate::RealTime => REAL_TIME_PPB,
            Rate::Fixed(ppb) => accepted(ppb)?,
            Rate::Estimated => measured(&first, &second)?,
        };
        let best = if second.half_trip() <= first.half_trip() {
            second
        } else {
            first
        };
        let mut anchoring = self
            .anchoring
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *anchoring = Anchoring {
            rate,
            first: Some(first),
            disbelieved: None,
        };
        self.store(line_through(&best, rate_ppb));
        self.last.store(i64::MIN, Ordering::Relaxed);
        Ok(())
    }

    /// Corrects the clock by a fresh answer.
    ///
    /// An answer that agrees within its own uncertainty changes nothing, nor does one that is far off, until the next one
    /// is as far off: see [`STEP_MAX`]. A correction backward holds [`Clock::now`] still until time has caught up: it
    /// never goes back.
    pub fn resync(&self, sample: TimeSample) -> Correction {
        let mut anchoring = self
            .anchoring
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let line = self.load();
        let fresh = line_through(&sample, line.rate_ppb);
        let error = fresh.error_of(&line);
        let before = anchoring.disbelieved.take();
        if error.saturating_abs() <= fresh.uncertainty {
            return Correction::None;
        }
        let rate_ppb = if fresh.is_near(&line) {
            match (anchoring.rate, anchoring.first) {
                // The longer the baseline, the better the rate.
                (Rate::Estimated, Some(first)) => measured(&first, &sample).unwrap_or(line.rate_ppb),
                _ => line.rate_ppb,
            }
        } else if before.is_some_and(|before| fresh.is_near(&before)) {
            // No rate is measured over a step.
            anchoring.first = Some(sample);
            line.rate_ppb
        } else {
            anchoring.disbelieved = Some(fresh);
            return Correction::Disbelieved(Nanos(error));
        };
        self.store(line_through(&sample, rate_ppb));
        Correction::By(Nanos(error))
    }

    /// Half the round trip of the sample the clock stands on, in service time.
    #[must_use]
    pub fn uncertainty(&self) -> Nanos {
        Nanos(self.load().uncertainty)
    }

    /// How fast service time runs, in parts per billion of wall time.
    #[must_use]
    pub fn rate_ppb(&self) -> i64 {
        self.load().rate_ppb
    }

    fn store(&self, line: Line) {
        // Only called with the anchoring lock held, so there is one writer.
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        let values = [line.local, line.server, line.rate_ppb, line.uncertainty];
        for (word, value) in self.words.iter().zip(values) {
            word.store(value, Ordering::Relaxed);
        }
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    fn load(&self) -> Line {
        loop {
            let before = self.version.load(Ordering::Acquire);
            let [local, server, rate_ppb, uncertainty] =
                [0, 1, 2, 3].map(|at| self.words[at].load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == before {
                return Line {
                    local,
                    server,
                    rate_ppb,
                    uncertainty,
                };
            }
            std::hint::spin_loop();
        }
    }
}

impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        let estimate = self.load().at(self.monotonic().0);
        let before = self.last.fetch_max(estimate, Ordering::Relaxed);
        Timestamp::from_nanos(before.max(estimate))
    }

    fn monotonic(&self) -> Nanos {
        Nanos(i64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(i64::MAX))
    }

    fn wall_until(&self, at: Timestamp) -> Duration {
        let service = i128::from(at.nanos()) - i128::from(self.now().nanos());
        let wall = service.max(0) * i128::from(REAL_TIME_PPB) / i128::from(self.rate_ppb().max(1));
        // One nanosecond more than rounded down, so that a sleep of this length reaches `at`.
        let nanos = if service > 0 { wall + 1 } else { 0 };
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn service_span(&self, wall: Nanos) -> Nanos {
        Nanos(scaled(wall.0, self.rate_ppb()))
    }
}

/// Wall nanoseconds in service time, saturating.
fn scaled(wall: i64, rate_ppb: i64) -> i64 {
    let service = i128::from(wall) * i128::from(rate_ppb) / i128::from(REAL_TIME_PPB);
    i64::try_from(service).unwrap_or(if service < 0 { i64::MIN } else { i64::MAX })
}

fn line_through(sample: &TimeSample, rate_ppb: i64) -> Line {
    let half_trip = scaled(sample.half_trip(), rate_ppb);
    Line {
        local: sample.middle(),
        server: sample.server.nanos().saturating_add(SERVER_RESOLUTION.0 / 2),
        rate_ppb,
        uncertainty: half_trip.saturating_add(SERVER_RESOLUTION.0 / 2),
    }
}

fn measured(first: &TimeSample, second: &TimeSample) -> Result<i64, ClockError> {
    let local = second.middle().saturating_sub(first.middle());
    if local < RATE_BASELINE_MIN.0 {
        return Err(ClockError::Baseline(Nanos(local)));
    }
    let server = second.server.since(first.server).0;
    let ppb = i128::from(server) * i128::from(REAL_TIME_PPB) / i128::from(local);
    accepted(i64::try_from(ppb).unwrap_or(i64::MAX))
}

fn accepted(ppb: i64) -> Result<i64, ClockError> {
    if (1..=RATE_PPB_MAX).contains(&ppb) {
        Ok(ppb)
    } else {
        Err(ClockError::Rate(ppb))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn sample(at_ms: i64, trip_ms: i64, server_ms: i64) -> TimeSample {
        TimeSample {
            sent: Nanos::from_millis(at_ms),
            received: Nanos::from_millis(at_ms + trip_ms),
            server: Timestamp::from_millis(server_ms),
        }
    }

    #[test]
    fn a_rate_needs_a_baseline() {
        let clock = ServerClock::local();
        let error = clock.anchor(sample(0, 2, 1_000), sample(10, 2, 1_010), Rate::Estimated);
        assert_eq!(error, Err(ClockError::Baseline(Nanos::from_millis(10))));
    }

    #[test]
    fn a_clock_that_stands_or_runs_backward_is_refused() {
        let clock = ServerClock::local();
        for server in [1_000, 900] {
            let error = clock.anchor(sample(0, 2, 1_000), sample(100, 2, server), Rate::Estimated);
            assert!(
                matches!(error, Err(ClockError::Rate(ppb)) if ppb <= 0),
                "{error:?}"
            );
        }
        assert_eq!(
            clock.anchor(sample(0, 2, 1_000), sample(100, 2, 1_100), Rate::Fixed(0)),
            Err(ClockError::Rate(0))
        );
    }

    #[test]
    fn the_better_sample_anchors() {
        let clock = ServerClock::local();
        clock
            .anchor(sample(0, 2, 1_000), sample(100, 40, 1_150), Rate::RealTime)
            .unwrap();
        assert_eq!(clock.uncertainty(), Nanos(1_500_000));
        assert_eq!(
            clock.load().at(Nanos::from_millis(1).0),
            Nanos::from_millis(1_000).0 + 500_000
        );
    }

    #[test]
    fn agreement_within_the_uncertainty_changes_nothing() {
        let clock = ServerClock::local();
        clock
            .anchor(sample(0, 2, 1_000), sample(100, 2, 1_100), Rate::RealTime)
            .unwrap();
        assert_eq!(clock.resync(sample(1_000, 20, 2_015)), Correction::None);
        let correction = clock.resync(sample(2_000, 2, 3_200));
        assert_eq!(correction, Correction::By(Nanos::from_millis(200)));
        assert_eq!(correction.error(), Nanos::from_millis(200));
    }

    /// A clock that is a second ahead of ours, by answers of one millisecond's half trip.
    fn anchored() -> ServerClock {
        let clock = ServerClock::local();
        let samples = [sample(0, 2, 1_000), sample(100, 2, 1_100)];
        clock.anchor(samples[0], samples[1], Rate::RealTime).unwrap();
        clock
    }

    const fn disbelieved(ms: i64) -> Correction {
        Correction::Disbelieved(Nanos::from_millis(ms))
    }

    #[test]
    fn one_wrong_answer_moves_nothing_and_a_second_one_is_believed() {
        let clock = anchored();
        let before = clock.load();
        assert_eq!(clock.resync(sample(5_000, 2, 9_000)), disbelieved(3_000));
        assert_eq!(clock.load(), before);
        // The next one says the same.
        let correction = clock.resync(sample(10_000, 2, 14_050));
        assert_eq!(correction, Correction::By(Nanos::from_millis(3_050)));
        assert_eq!(clock.resync(sample(15_000, 2, 19_050)), Correction::None);
    }

    #[test]
    fn wrong_answers_that_do_not_agree_are_never_believed() {
        let clock = anchored();
        let before = clock.load();
        for (at_ms, error_ms) in [
            (5_000, 3_000),
            (10_000, -3_000),
            (15_000, 60_000),
            (20_000, 3_000),
        ] {
            let answer = sample(at_ms, 2, at_ms + 1_000 + error_ms);
            assert_eq!(clock.resync(answer), disbelieved(error_ms));
        }
        assert_eq!(clock.load(), before);
    }

    #[test]
    fn a_good_answer_between_two_wrong_ones_speaks_against_both() {
        let clock = anchored();
        assert_eq!(clock.resync(sample(5_000, 2, 9_000)), disbelieved(3_000));
        assert_eq!(clock.resync(sample(10_000, 2, 11_000)), Correction::None);
        assert_eq!(clock.resync(sample(15_000, 2, 19_000)), disbelieved(3_000));
    }

    #[test]
    fn the_bound_is_beyond_what_both_answers_are_uncertain_of() {
        // 250 ms, and one and a half for each of both.
        let clock = anchored();
        let correction = clock.resync(sample(5_000, 2, 6_253));
        assert_eq!(correction, Correction::By(Nanos::from_millis(253)));
        assert_eq!(anchored().resync(sample(5_000, 2, 6_254)), disbelieved(254));
        // A slow answer says less.
        let slow = anchored().resync(sample(5_000, 1_002, 6_753 + 500));
        assert_eq!(slow, Correction::By(Nanos::from_millis(753)));
    }

    #[test]
    fn a_step_that_is_believed_measures_no_rate() {
        let clock = ServerClock::local();
        clock
            .anchor(sample(0, 2, 0), sample(100, 2, 90_000), Rate::Estimated)
            .unwrap();
        for at_ms in [10_000, 15_000] {
            clock.resync(sample(at_ms, 2, at_ms * 900 + 3_600_000));
        }
        assert_eq!(clock.rate_ppb(), 900_000_000_000);
        assert_eq!(
            clock.load().at(Nanos::from_millis(20_001).0),
            Nanos::from_secs(21_600).0 + 500_000
        );
    }

    #[test]
    fn a_longer_baseline_refines_an_estimated_rate() {
        let clock = ServerClock::local();
        clock
            .anchor(sample(0, 2, 0), sample(100, 2, 91_000), Rate::Estimated)
            .unwrap();
        assert_eq!(clock.rate_ppb(), 910_000_000_000);
        clock.resync(sample(10_000, 2, 9_000_000));
        assert_eq!(clock.rate_ppb(), 900_000_000_000);
    }

    #[test]
    fn time_never_goes_back_after_a_correction() {
        let clock = ServerClock::local();
        let here = clock.monotonic().0 / 1_000_000;
        clock
            .anchor(
                sample(here, 2, 5_000_000),
                sample(here, 2, 5_000_000),
                Rate::RealTime,
            )
            .unwrap();
        let before = clock.now();
        for is_believed in [false, true] {
            let correction = clock.resync(sample(here, 2, 4_000_000));
            assert!(correction.error().0 < 0);
            assert_eq!(matches!(correction, Correction::By(_)), is_believed);
            assert!(clock.now() >= before);
        }
    }

    #[test]
    fn waiting_is_shorter_when_time_is_compressed() {
        let clock = ServerClock::local();
        clock
            .anchor(
                sample(0, 2, 9_000_000),
                sample(100, 2, 9_100_000),
                Rate::Fixed(1_000 * REAL_TIME_PPB),
            )
            .unwrap();
        let later = clock.now().plus(Nanos::from_secs(10));
        assert!(clock.wall_until(later) <= Duration::from_millis(11));
        assert_eq!(clock.wall_until(Timestamp::EPOCH), Duration::ZERO);
        assert_eq!(clock.service_span(Nanos::from_millis(2)), Nanos::from_secs(2));
    }

    #[test]
    fn readers_never_see_half_a_line() {
        let clock = Arc::new(ServerClock::local());
        clock.store(Line {
            local: 7,
            server: 7,
            rate_ppb: 7,
            uncertainty: 7,
        });
        let writer = {
            let clock = Arc::clone(&clock);
            std::thread::spawn(move || {
                let _one_writer = clock.anchoring.lock().unwrap();
                for value in 8..20_000 {
                    clock.store(Line {
                        local: value,
                        server: value,
                        rate_ppb: value,
                        uncertainty: value,
                    });
                }
            })
        };
        while !writer.is_finished() {
            let line = clock.load();
            assert_eq!([line.server, line.rate_ppb, line.uncertainty], [line.local; 3]);
        }
        writer.join().unwrap();
    }
}
