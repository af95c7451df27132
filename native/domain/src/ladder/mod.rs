//! One side of a book of levels: a window of ticks around the best price, and a sorted list beyond it.
//!
//! Nearly every change lies near the best price. There a level is one slot of an array, found by one multiplication, and a
//! bitmap of three floors finds the next best. What lies farther away stands in a sorted list. The tick is learned from
//! the prices themselves (their greatest common divisor), so a side needs no rules of its instrument, and any price is
//! right: one that fits no tick makes a finer one. The window moves when the best price leaves it.

mod bits;
mod window;

use crate::market_event::Level;
use crate::order::Side;
use crate::price::{Price, Quantity};
use window::{Place, Window};

/// Changes beyond the window after which it is looked at whether another window would hold more.
const LOOK_AFTER: u32 = 4_096;

/// One side of a book, bounded.
///
/// ```
/// use domain::{Ladder, Level, Price, Quantity, Side};
/// let level = |price, quantity| Level { price: Price::from_units(price), quantity: Quantity::from_units(quantity) };
/// let mut bids = Ladder::new(Side::Buy, 1_000);
/// bids.replace(&[level(100, 5), level(99, 7)]);
/// assert!(bids.set(level(100, 0)));
/// assert_eq!(bids.best(), Some(level(99, 7)));
/// ```
#[derive(Debug, Clone)]
pub struct Ladder {
    side: Side,
    window: Window,
    /// Levels beyond the window, the nearest last.
    far: Vec<Level>,
    /// Where levels are put in order when the window moves; kept for its storage.
    scratch: Vec<Level>,
    levels_max: usize,
    horizon: Option<Price>,
    far_changes: u32,
}

impl Ladder {
    /// Empty, of at most so many levels: beyond them the level farthest from the best is forgotten.
    #[must_use]
    pub fn new(side: Side, levels_max: usize) -> Self {
        Self {
            side,
            window: Window::default(),
            far: Vec::new(),
            scratch: Vec::new(),
            levels_max,
            horizon: None,
            far_changes: 0,
        }
    }

    /// The best level.
    #[must_use]
    pub fn best(&self) -> Option<Level> {
        match self.window.best() {
            Some((coordinate, quantity)) => Some(self.level(coordinate, quantity)),
            None => self.far.last().copied(),
        }
    }

    /// Levels.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.window.len() + self.far.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The levels, the best first.
    pub fn iter(&self) -> impl Iterator<Item = Level> + '_ {
        let near = self
            .window
            .iter()
            .map(|(coordinate, quantity)| self.level(coordinate, quantity));
        near.chain(self.far.iter().rev().copied())
    }

    /// The nearest price at which a level was forgotten: from there on levels may be missing. `None` while all are known.
    #[must_use]
    pub const fn horizon(&self) -> Option<Price> {
        self.horizon
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.window.clear();
        self.far.clear();
        self.horizon = None;
    }

    /// Takes over a whole side, in any order; of a price that stands twice the last quantity counts, and zero is no level.
    /// In time of the length where the levels come in order, as venues send them.
    pub fn replace(&mut self, levels: &[Level]) {
        self.clear();
        let side = self.side;
        let nearness = |level: &Level| coordinate(side, level.price);
        // Venues send the best level first.
        self.scratch.clear();
        self.scratch.extend(levels.iter().rev());
        if !self.scratch.is_sorted_by(|a, b| nearness(a) < nearness(b)) {
            self.scratch.reverse();
            // Stable: of one price the last one told stays behind the others.
            self.scratch.sort_by_key(nearness);
            self.scratch.dedup_by(|later, earlier| {
                let is_same = later.price == earlier.price;
                if is_same {
                    *earlier = *later;
                }
                is_same
            });
        }
        self.scratch.retain(|level| !level.quantity.is_zero());
        let beyond = self.scratch.len().saturating_sub(self.levels_max);
        self.horizon = self.scratch[..beyond].last().map(|level| level.price);
        self.scratch.drain(..beyond);
        self.spread();
    }

    /// Sets each level; how many removals named one that is not there.
    pub fn apply(&mut self, levels: &[Level]) -> u64 {
        levels.iter().map(|&level| u64::from(!self.set(level))).sum()
    }

    /// Sets the quantity of a price; zero removes it. Whether there was something to set or to remove: removing what is not
    /// there is normal.
    pub fn set(&mut self, level: Level) -> bool {
        let coordinate = coordinate(self.side, level.price);
        match self.window.place(coordinate) {
            Place::Inside(slot) => {
                let is_known = self.window.put(slot, level.quantity.units());
                if self.window.is_low() && !self.far.is_empty() {
                    self.settle();
                } else if self.len() > self.levels_max {
                    self.forget_farthest();
                }
                is_known
            }
            Place::Beyond => self.set_far(level),
            // No level is better than the window's best, and none fits between its ticks.
            Place::Better | Place::Between if level.quantity.is_zero() => false,
            Place::Better | Place::Between => {
                self.gather(Some(level));
                self.spread();
                if self.len() > self.levels_max {
                    self.forget_farthest();
                }
                true
            }
        }
    }

    fn level(&self, coordinate: i64, quantity: i64) -> Level {
        Level {
            price: Price::from_units(if self.side == Side::Buy {
                coordinate
            } else {
                !coordinate
            }),
            quantity: Quantity::from_units(quantity),
        }
    }

    /// Sets a level that lies beyond the window.
    fn set_far(&mut self, level: Level) -> bool {
        let side = self.side;
        let nearness = coordinate(side, level.price);
        let at = self
            .far
            .partition_point(|there| coordinate(side, there.price) < nearness);
        let is_there = self.far.get(at).is_some_and(|there| there.price == level.price);
        match (is_there, level.quantity.is_zero()) {
            (true, true) => {
                self.far.remove(at);
            }
            (true, false) => self.far[at].quantity = level.quantity,
            (false, true) => return false,
            (false, false) => {
                self.far.insert(at, level);
                if self.len() > self.levels_max {
                    self.forget_farthest();
                }
            }
        }
        self.far_changes += 1;
        if self.far_changes >= LOOK_AFTER {
            self.settle();
        }
        true
    }

    fn forget_farthest(&mut self) {
        let forgotten = if self.far.is_empty() {
            self.window
                .take_farthest()
                .map(|coordinate| self.level(coordinate, 0).price)
        } else {
            Some(self.far.remove(0).price)
        };
        let nearness = |price: Price| coordinate(self.side, price);
        self.horizon = [self.horizon, forgotten]
            .into_iter()
            .flatten()
            .max_by_key(|price| nearness(*price));
    }

    /// Puts the window where it holds most.
    fn settle(&mut self) {
        self.gather(None);
        self.spread();
    }

    /// Takes all levels out, and one more, the nearest last.
    fn gather(&mut self, more: Option<Level>) {
        let side = self.side;
        self.scratch.clear();
        self.scratch.append(&mut self.far);
        let near = self.scratch.len();
        let Self { window, scratch, .. } = self;
        scratch.extend(window.iter().map(|(coordinate, quantity)| Level {
            price: Price::from_units(if side == Side::Buy {
                coordinate
            } else {
                !coordinate
            }),
            quantity: Quantity::from_units(quantity),
        }));
        scratch[near..].reverse();
        if let Some(level) = more {
            let nearness = coordinate(side, level.price);
            let at = scratch.partition_point(|there| coordinate(side, there.price) < nearness);
            scratch.insert(at, level);
        }
    }

    /// Puts what was gathered into a new window and the list beyond it.
    fn spread(&mut self) {
        let side = self.side;
        self.far_changes = 0;
        let coordinates = self.scratch.iter().map(|level| coordinate(side, level.price));
        self.window.begin(&coordinates);
        let window = &self.window;
        let is_beyond = |level: &Level| matches!(window.place(coordinate(side, level.price)), Place::Beyond);
        let beyond = self.scratch.partition_point(is_beyond);
        self.far.extend_from_slice(&self.scratch[..beyond]);
        for level in &self.scratch[beyond..] {
            match self.window.place(coordinate(side, level.price)) {
                Place::Inside(slot) => {
                    self.window.put(slot, level.quantity.units());
                }
                // The tick divides every difference, and the window reaches to the best.
                Place::Beyond | Place::Better | Place::Between => {
                    debug_assert!(false, "a level fits nowhere");
                    self.far.push(*level);
                }
            }
        }
    }
}

/// A price such that a larger number is nearer to the other side. `!` turns the order around and never overflows.
const fn coordinate(side: Side, price: Price) -> i64 {
    match side {
        Side::Buy => price.units(),
        Side::Sell => !price.units(),
    }
}

#[cfg(test)]
mod tests;
