//! Quantities by tick, from a base up to above the best price.

use super::bits::Bits;

/// Least and most slots. The largest window takes half a megabyte.
const SLOTS: (usize, usize) = (1 << 10, 1 << 16);

/// Of the levels, the share that a window should hold: all but one in so many.
const LEFT_OUT: usize = 16;

/// Where a coordinate is to the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In it, on a tick.
    Inside(usize),
    /// Farther than it.
    Beyond,
    /// Nearer than it.
    Better,
    /// In it, between two ticks.
    Between,
}

/// Quantities by tick; zero is no level.
#[derive(Debug, Clone)]
pub(super) struct Window {
    quantities: Vec<i64>,
    bits: Bits,
    /// The coordinate of slot zero.
    base: i64,
    tick: u64,
    /// The greatest distance from the base that still is in the window.
    reach: u64,
    /// 2^64 divided by `tick`, rounded up.
    reciprocal: u64,
    best: Option<usize>,
    len: usize,
}

impl Default for Window {
    /// Of one slot at the end of all prices: every other is better.
    fn default() -> Self {
        let mut bits = Bits::default();
        bits.reset(1);
        Self {
            quantities: vec![0],
            bits,
            base: i64::MIN,
            tick: 1,
            reach: 0,
            reciprocal: 0,
            best: None,
            len: 0,
        }
    }
}

impl Window {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn best(&self) -> Option<(i64, i64)> {
        self.best
            .map(|slot| (self.coordinate(slot), self.quantities[slot]))
    }

    /// Coordinates and quantities, the nearest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        let mut next = self.best;
        std::iter::from_fn(move || {
            let slot = next?;
            next = self.bits.below(slot);
            Some((self.coordinate(slot), self.quantities[slot]))
        })
    }

    /// Whether the best is so far down that much of what changes lies beyond.
    pub(super) fn is_low(&self) -> bool {
        self.best.is_none_or(|best| best < self.quantities.len() / 8)
    }

    /// Where a coordinate is.
    #[inline]
    pub(super) fn place(&self, coordinate: i64) -> Place {
        if coordinate < self.base {
            return Place::Beyond;
        }
        let offset = coordinate.wrapping_sub(self.base).cast_unsigned();
        if offset > self.reach {
            return Place::Better;
        }
        // Rounded up, the reciprocal is off by less than one in 2^64: a multiple of the tick, which is below 2^63, comes
        // out exactly, and nothing else comes out as a multiple.
        let product = u128::from(offset) * u128::from(self.reciprocal);
        let slot = if self.tick == 1 {
            offset
        } else {
            u64::try_from(product >> 64).unwrap_or(0)
        };
        if slot * self.tick == offset {
            Place::Inside(usize::try_from(slot).unwrap_or(0))
        } else {
            Place::Between
        }
    }

    /// Sets a slot; whether there was something to set or to remove.
    #[inline]
    pub(super) fn put(&mut self, slot: usize, quantity: i64) -> bool {
        let before = std::mem::replace(&mut self.quantities[slot], quantity);
        if quantity == 0 {
            if before == 0 {
                return false;
            }
            self.len -= 1;
            self.bits.remove(slot);
            if self.best == Some(slot) {
                self.best = self.bits.below(slot);
            }
        } else if before == 0 {
            self.len += 1;
            self.bits.insert(slot);
            if self.best.is_none_or(|best| best < slot) {
                self.best = Some(slot);
            }
        }
        true
    }

    /// Removes the farthest level; its coordinate.
    pub(super) fn take_farthest(&mut self) -> Option<i64> {
        let slot = self.bits.first()?;
        self.put(slot, 0);
        Some(self.coordinate(slot))
    }

    pub(super) fn clear(&mut self) {
        let mut next = self.best;
        while let Some(slot) = next {
            self.quantities[slot] = 0;
            self.bits.remove(slot);
            next = self.bits.below(slot);
        }
        self.best = None;
        self.len = 0;
    }

    /// Empty, where it will hold most of these coordinates, which rise.
    pub(super) fn begin(&mut self, coordinates: &(impl ExactSizeIterator<Item = i64> + Clone)) {
        let count = coordinates.len();
        let Some(first) = coordinates.clone().next() else {
            *self = Self::default();
            return;
        };
        let differences = coordinates.clone().map(|one| one.abs_diff(first));
        // While only one price is known, any tick fits.
        let tick = match differences.fold(0, divisor) {
            0 => 1,
            tick => tick,
        };
        let best = coordinates.clone().last().unwrap_or(first);
        let far = coordinates.clone().nth(count / LEFT_OUT).unwrap_or(first);
        // As many again as headroom: a quarter above the best, the rest below what is wanted.
        let wanted = best.abs_diff(far) / tick;
        let slots = usize::try_from(wanted.saturating_mul(2)).unwrap_or(usize::MAX);
        let slots = slots.clamp(SLOTS.0, SLOTS.1).next_power_of_two();
        // At the end of the range of prices there may be less room.
        let below = (slots as u64 / 4 * 3).min(best.abs_diff(i64::MIN) / tick);
        self.quantities.clear();
        self.quantities.resize(slots, 0);
        self.bits.reset(slots);
        self.base = best.wrapping_sub_unsigned(below * tick);
        self.tick = tick;
        self.reach = tick.saturating_mul(slots as u64 - 1).saturating_add(tick - 1);
        self.reciprocal = (u64::MAX / tick).wrapping_add(1);
        self.best = None;
        self.len = 0;
    }

    fn coordinate(&self, slot: usize) -> i64 {
        self.base
            .wrapping_add_unsigned(self.tick.wrapping_mul(slot as u64))
    }
}

/// The greatest common divisor; of zero and a number that number.
const fn divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}
