//! Seeded random streams: integers only, the same on every machine.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// One named stream of random numbers. Two names, or two positions, never share numbers.
#[derive(Debug, Clone)]
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream `name` of `seed`, at `position` (a bar number, or zero).
    ///
    /// The seed is the ChaCha key; name and position make the 64-bit stream number, so that the
    /// numbers of one bar do not depend on the bars before it.
    pub(crate) fn new(seed: u64, name: &str, position: i64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&fnv1a(name.as_bytes()).to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(position.cast_unsigned());
        Self(rng)
    }

    /// A number in `0..bound` (zero when `bound` is not positive).
    pub(crate) fn below(&mut self, bound: i64) -> i64 {
        if bound <= 0 {
            return 0;
        }
        // Widening multiplication; the bias is at most bound / 2^64.
        let wide = u128::from(self.0.next_u64()) * u128::from(bound.unsigned_abs());
        i64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number in `low..=high` (`low` when the range is empty).
    pub(crate) fn within(&mut self, low: i64, high: i64) -> i64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True in `percent` of 100 calls.
    pub(crate) fn chance(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_and_position_give_the_same_numbers() {
        let draw = |name, position| {
            let mut stream = Stream::new(7, name, position);
            [(); 4].map(|()| stream.below(1_000_000))
        };
        assert_eq!(draw("flow", 3), draw("flow", 3));
        assert_ne!(draw("flow", 3), draw("flow", 4));
        assert_ne!(draw("flow", 3), draw("latency", 3));
    }

    #[test]
    fn the_stream_is_the_same_on_every_machine() {
        let mut stream = Stream::new(42, "pinned", 0);
        let drawn = [(); 4].map(|()| stream.below(1_000_000));
        assert_eq!(drawn, PINNED);
    }

    const PINNED: [i64; 4] = [261_766, 493_741, 931_439, 980_539];

    #[test]
    fn ranges_are_kept() {
        let mut stream = Stream::new(1, "range", 0);
        for _ in 0..1_000 {
            assert!((-3..=5).contains(&stream.within(-3, 5)));
        }
        assert_eq!(stream.within(5, 4), 5);
        assert_eq!(stream.below(0), 0);
    }
}
