//! Latency: three legs, each fixed plus seeded jitter; a message never overtakes one sent before it.

use domain::{Nanos, Timestamp};

use crate::random::Stream;

/// Delay of one leg: `base` plus a seeded number in `[0, jitter]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latency {
    /// The shortest delay; negative counts as zero.
    pub base: Nanos,
    /// The most that is added to it; negative counts as zero.
    pub jitter: Nanos,
}

impl Latency {
    /// A delay without jitter.
    #[must_use]
    pub const fn fixed(base: Nanos) -> Self {
        Self {
            base,
            jitter: Nanos(0),
        }
    }
}

/// The delays between us and the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LatencyModel {
    /// Public data: venue to us.
    pub feed: Latency,
    /// Orders and cancels: us to the venue.
    pub entry: Latency,
    /// Reports on our orders: venue to us.
    pub report: Latency,
    /// Seed of the jitter.
    pub seed: u64,
}

impl LatencyModel {
    /// No delay at all.
    pub const ZERO: Self = Self {
        feed: Latency::fixed(Nanos(0)),
        entry: Latency::fixed(Nanos(0)),
        report: Latency::fixed(Nanos(0)),
        seed: 0,
    };
}

/// One leg at work: first in, first out.
#[derive(Debug, Clone)]
pub(crate) struct Leg {
    latency: Latency,
    stream: Stream,
    last_arrival: Timestamp,
}

impl Leg {
    pub(crate) fn new(latency: Latency, seed: u64, name: &str) -> Self {
        Self {
            latency,
            stream: Stream::new(seed, name, 0),
            last_arrival: Timestamp::from_nanos(i64::MIN),
        }
    }

    /// When a message sent at `sent` arrives: never before one that was sent earlier.
    pub(crate) fn arrival(&mut self, sent: Timestamp) -> Timestamp {
        self.arrival_delayed(sent, Nanos(0))
    }

    /// As [`Leg::arrival`] with an extra delay for this message.
    pub(crate) fn arrival_delayed(&mut self, sent: Timestamp, extra: Nanos) -> Timestamp {
        let jitter = match self.latency.jitter.0 {
            span if span > 0 => self.stream.within(0, span),
            _ => 0,
        };
        let delay = self.latency.base.0.max(0).saturating_add(jitter);
        let arrival = sent.plus(Nanos(delay)).plus(Nanos(extra.0.max(0)));
        self.last_arrival = self.last_arrival.max(arrival);
        self.last_arrival
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_never_overtake(base in 0i64..1_000, jitter in 0i64..5_000, gaps in prop::collection::vec(0i64..500, 1..200)) {
            let latency = Latency { base: Nanos(base), jitter: Nanos(jitter) };
            let (mut leg, mut again) = (Leg::new(latency, 9, "feed"), Leg::new(latency, 9, "feed"));
            let (mut sent, mut last) = (Timestamp::EPOCH, Timestamp::EPOCH);
            for gap in gaps {
                sent = sent.plus(Nanos(gap));
                let arrival = leg.arrival(sent);
                prop_assert!(arrival >= last && arrival >= sent.plus(Nanos(base)));
                prop_assert_eq!(arrival, again.arrival(sent));
                last = arrival;
            }
        }
    }
}
