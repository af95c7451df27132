//! Pauses between attempts: exponential, bounded, with jitter from an injected seed.

use std::time::Duration;

/// A deterministic source of jitter (SplitMix64), so that a test or a replay sees the same pauses.
///
/// Not for secrets. Two processes get different seeds, so that they do not reconnect in step.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// From a seed.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        // Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A second, independent source.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self(self.next_u64())
    }

    /// A duration from zero to `max`, both included.
    pub fn up_to(&mut self, max: Duration) -> Duration {
        let nanos = u64::try_from(max.as_nanos()).unwrap_or(u64::MAX);
        let scaled = u128::from(self.next_u64()) * (u128::from(nanos) + 1);
        Duration::from_nanos(u64::try_from(scaled >> 64).unwrap_or(nanos))
    }
}

/// Exponential backoff: the n-th pause is between half and all of `base * 2^n`, at most `max`.
///
/// ```
/// use std::time::Duration;
/// use venues::retry::{Backoff, Jitter};
/// let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), Jitter::seeded(1));
/// let pauses: Vec<_> = (0..6).map(|_| backoff.next_pause()).collect();
/// assert!(pauses[0] >= Duration::from_millis(50) && pauses[0] <= Duration::from_millis(100));
/// assert!(pauses[5] >= Duration::from_millis(500) && pauses[5] <= Duration::from_secs(1));
/// ```
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    attempt: u32,
    jitter: Jitter,
}

impl Backoff {
    /// The first pause is about `base`, none is longer than `max`.
    #[must_use]
    pub const fn new(base: Duration, max: Duration, jitter: Jitter) -> Self {
        Self {
            base,
            max,
            attempt: 0,
            jitter,
        }
    }

    /// How long to wait before the next attempt.
    pub fn next_pause(&mut self) -> Duration {
        let factor = 1_u32.checked_shl(self.attempt).unwrap_or(u32::MAX);
        self.attempt = self.attempt.saturating_add(1);
        let ceiling = self.base.saturating_mul(factor).min(self.max);
        let half = ceiling / 2;
        half + self.jitter.up_to(ceiling.saturating_sub(half))
    }

    /// Starts again at the first pause: the attempt worked.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_same_seed_gives_the_same_pauses() {
        let pauses = |seed| {
            let mut backoff = Backoff::new(
                Duration::from_millis(250),
                Duration::from_secs(30),
                Jitter::seeded(seed),
            );
            (0..40).map(|_| backoff.next_pause()).collect::<Vec<_>>()
        };
        assert_eq!(pauses(7), pauses(7));
        assert_ne!(pauses(7), pauses(8));
    }

    proptest! {
        #[test]
        fn pauses_stay_within_their_bounds(seed in any::<u64>(), base_ms in 1u64..1_000, attempts in 1u32..70) {
            let (base, max) = (Duration::from_millis(base_ms), Duration::from_secs(30));
            let mut backoff = Backoff::new(base, max, Jitter::seeded(seed));
            for attempt in 0..attempts {
                let ceiling = base.saturating_mul(1 << attempt.min(20)).min(max);
                let pause = backoff.next_pause();
                prop_assert!(pause <= ceiling && pause >= ceiling / 2, "{pause:?} of {ceiling:?}");
            }
            backoff.reset();
            prop_assert!(backoff.next_pause() <= base);
        }
    }
}
