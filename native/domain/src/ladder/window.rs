//! Quantities by tick, from a base up to above the best price.

use super::bits::{Bits, SLOTS_MAX};
use crate::market_event::Level;

/// Least and most slots. The largest window takes half a megabyte.
const SLOTS: (usize, usize) = (1 << 10, SLOTS_MAX);

/// Farthest from its base that a window reaches: as far as the reciprocal is exact.
const REACH_MAX: u64 = i64::MAX.cast_unsigned();

/// Of the levels, the share that a window should hold: all but one in so many.
const LEFT_OUT: usize = 16;

/// What setting levels did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Run {
    /// So many were set: all, or all before one that is no slot of the window.
    pub(super) taken: usize,
    /// So many of them were to be removed and were not there.
    pub(super) unknown: u64,
    /// The best level is gone.
    pub(super) is_best_removed: bool,
}

/// From a coordinate to its slot.
#[derive(Debug, Clone, Copy)]
struct Ruler {
    /// The coordinate of slot zero.
    base: i64,
    tick: u64,
    /// The greatest distance from the base that still is in the window.
    reach: u64,
    /// 2^63 divided by `tick`, rounded up.
    reciprocal: u64,
}

impl Ruler {
    const fn is_beyond(self, coordinate: i64) -> bool {
        coordinate < self.base
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a slot is below the reach divided by the tick"
    )]
    fn slot(self, coordinate: i64) -> Option<usize> {
        let offset = coordinate.wrapping_sub(self.base).cast_unsigned();
        if self.is_beyond(coordinate) || offset > self.reach {
            return None;
        }
        // Rounded up, the reciprocal is off by less than one in 2^63: a multiple of the tick, which is below 2^63, comes
        // out exactly, and nothing else comes out as a multiple.
        let slot = ((u128::from(offset) * u128::from(self.reciprocal)) >> 63) as u64;
        (slot.wrapping_mul(self.tick) == offset).then_some(slot as usize)
    }

    fn coordinate(self, slot: usize) -> i64 {
        self.base
            .wrapping_add_unsigned(self.tick.wrapping_mul(slot as u64))
    }
}

/// Quantities by tick; zero is no level.
#[derive(Debug, Clone)]
pub(super) struct Window {
    quantities: Vec<i64>,
    bits: Bits,
    ruler: Ruler,
    /// One above the best slot; zero where there is none.
    top: usize,
    len: usize,
}

impl Default for Window {
    /// Of one slot at the end of all prices: every other is better.
    fn default() -> Self {
        Self {
            quantities: vec![0],
            bits: Bits::default(),
            ruler: Ruler {
                base: i64::MIN,
                tick: 1,
                reach: 0,
                reciprocal: 1 << 63,
            },
            top: 0,
            len: 0,
        }
    }
}

impl Window {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn best(&self) -> Option<(i64, i64)> {
        let slot = self.top.checked_sub(1)?;
        Some((self.ruler.coordinate(slot), self.quantities[slot]))
    }

    /// Coordinates and quantities, the nearest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        let mut next = self.top.checked_sub(1);
        std::iter::from_fn(move || {
            let slot = next?;
            next = self.bits.below(slot);
            Some((self.ruler.coordinate(slot), self.quantities[slot]))
        })
    }

    /// Whether the best is so far down that much of what changes lies beyond.
    pub(super) fn is_low(&self) -> bool {
        self.top <= self.quantities.len() / 8
    }

    /// Whether a coordinate is farther than the window.
    pub(super) const fn is_beyond(&self, coordinate: i64) -> bool {
        self.ruler.is_beyond(coordinate)
    }

    /// Sets levels one after another, up to one that is no slot of the window; zero removes.
    ///
    /// Levels come and go as often as they change, and nobody can tell which is next: only the best level is a branch.
    #[inline]
    pub(super) fn put(&mut self, levels: &[Level], coordinate: impl Fn(&Level) -> i64) -> Run {
        // Copies stay in registers: whatever is written to memory could be these, for all that the compiler knows.
        let (ruler, mut top, mut len) = (self.ruler, self.top, self.len);
        let quantities = self.quantities.as_mut_slice();
        let mut run = Run::default();
        for level in levels {
            let Some(slot) = ruler.slot(coordinate(level)) else {
                break;
            };
            let quantity = level.quantity.units();
            let is = quantity != 0;
            // The bits are at hand; the quantity, which may be far away in memory, is written and need not be waited for.
            let was = self.bits.assign(slot, is);
            quantities[slot] = quantity;
            len = len.wrapping_add(usize::from(is)).wrapping_sub(usize::from(was));
            run.taken += 1;
            run.unknown += u64::from(!(was | is));
            if slot >= top || slot + 1 == top {
                run.is_best_removed |= was && !is;
                top = if is { slot + 1 } else { self.bits.top_below(slot) };
            }
        }
        (self.top, self.len) = (top, len);
        run
    }

    fn remove(&mut self, slot: usize) {
        self.bits.assign(slot, false);
        self.quantities[slot] = 0;
        self.len -= 1;
        if slot + 1 == self.top {
            self.top = self.bits.top_below(slot);
        }
    }

    /// Removes the farthest level; its coordinate.
    pub(super) fn take_farthest(&mut self) -> Option<i64> {
        let slot = self.bits.first()?;
        self.remove(slot);
        Some(self.ruler.coordinate(slot))
    }

    pub(super) fn clear(&mut self) {
        let mut next = self.top.checked_sub(1);
        while let Some(slot) = next {
            self.quantities[slot] = 0;
            self.bits.assign(slot, false);
            next = self.bits.below(slot);
        }
        self.top = 0;
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
        let below = (slots as u64 / 4 * 3).min(best.abs_diff(i64::MIN).min(REACH_MAX) / tick);
        self.quantities.clear();
        self.quantities.resize(slots, 0);
        self.bits.clear();
        self.ruler = Ruler {
            base: best.wrapping_sub_unsigned(below * tick),
            tick,
            reach: tick
                .saturating_mul(slots as u64 - 1)
                .saturating_add(tick - 1)
                .min(REACH_MAX),
            reciprocal: (1_u64 << 63).div_ceil(tick),
        };
        self.top = 0;
        self.len = 0;
    }
}

/// The greatest common divisor; of zero and a number that number.
const fn divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}
