//! One side of a book of levels: a window of ticks around the best price, and a sorted list beyond it.
//!
//! Nearly every change lies near the best price. There a level is one slot of an array, found by one multiplication, and a
//! bitmap of three floors finds the next best. What lies farther away stands in a sorted list. The tick is learned from
//! the prices themselves (their greatest common divisor), so a side needs no rules of its instrument, and any price is
//! right: one that fits no tick makes a finer one. The window moves when the best price leaves it.

mod bits;
mod far;
mod window;

use crate::market_event::Level;
use crate::order::Side;
use crate::price::{Price, Quantity};
use far::Far;
use window::Window;

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
    /// Levels beyond the window.
    far: Far,
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
            far: Far::default(),
            scratch: Vec::new(),
            levels_max,
            horizon: None,
            far_changes: 0,
        }
    }

    /// The best level.
    #[must_use]
    pub fn best(&self) -> Option<Level> {
        let best = self.window.best().or_else(|| self.far.best());
        best.map(|level| self.level(level))
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
        let levels = self.window.iter().chain(self.far.iter());
        levels.map(|level| self.level(level))
    }

    /// From this price on levels may be missing: the side said so when it was taken over, or a level was forgotten there,
    /// whichever is nearer. `None` while all are known.
    #[must_use]
    pub const fn horizon(&self) -> Option<Price> {
        self.horizon
    }

    /// Whether a level at this price would be known: it is nearer than the horizon.
    #[must_use]
    pub fn knows(&self, price: Price) -> bool {
        let nearness = |price: Price| coordinate(self.side, price);
        self.horizon
            .is_none_or(|horizon| nearness(price) > nearness(horizon))
    }

    /// The levels up to the horizon, the best first: between them none is missing. The best is among them wherever it
    /// stands.
    pub fn known(&self) -> impl Iterator<Item = Level> + '_ {
        let mut is_best = true;
        self.iter()
            .take_while(move |level| std::mem::take(&mut is_best) || self.knows(level.price))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.window.clear();
        self.far.clear();
        self.horizon = None;
    }

    /// Takes over a whole side, in any order; of a price that stands twice the last quantity counts, and zero is no level.
    /// Where the farthest is zero, its price is the [`Self::horizon`]. In time of the length where the levels come in order, as venues send them.
    pub fn replace(&mut self, levels: &[Level]) {
        self.clear();
        let side = self.side;
        let nearness = |level: &Level| coordinate(side, level.price);
        // Venues send the best level first.
        self.scratch.clear();
        self.scratch.reserve(far::room(levels.len()));
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
        let told = self.scratch.first().filter(|level| level.quantity.is_zero());
        let told = told.map(|level| level.price);
        self.scratch.retain(|level| !level.quantity.is_zero());
        let beyond = self.scratch.len().saturating_sub(self.levels_max);
        // What is forgotten is nearer than what was told.
        let forgotten = self.scratch[..beyond].last().map(|level| level.price);
        self.horizon = forgotten.or(told);
        self.scratch.drain(..beyond);
        self.spread();
    }

    /// Sets each level; how many removals named one that is not there.
    pub fn apply(&mut self, levels: &[Level]) -> u64 {
        let side = self.side;
        let mut unknown = 0;
        let mut rest = levels;
        loop {
            // So many at once cannot be more than one too many.
            let room = self.levels_max.saturating_sub(self.len()).max(1);
            let now = &rest[..rest.len().min(room)];
            let run = self.window.put(now, |level| coordinate(side, level.price));
            unknown += run.unknown;
            rest = &rest[run.taken..];
            self.keep_the_bound();
            if run.is_best_removed && self.window.is_low() {
                // What ended the run may be a slot of the window where it stands now.
                self.raise();
            } else if run.taken < now.len()
                && let Some((level, behind)) = rest.split_first()
            {
                unknown += u64::from(!self.set_outside(*level));
                rest = behind;
            }
            if rest.is_empty() {
                break;
            }
        }
        unknown
    }

    /// Sets the quantity of a price; zero removes it. Whether there was something to set or to remove: removing what is not
    /// there is normal.
    pub fn set(&mut self, level: Level) -> bool {
        self.apply(&[level]) == 0
    }

    /// Sets a level that is no slot of the window.
    #[inline(never)]
    fn set_outside(&mut self, level: Level) -> bool {
        let coordinate = coordinate(self.side, level.price);
        if self.window.is_beyond(coordinate) {
            let is_known = self.set_far(coordinate, level.quantity.units());
            self.keep_the_bound();
            return is_known;
        }
        // No level is better than the window's best, and none fits between its ticks.
        if level.quantity.is_zero() {
            return false;
        }
        self.gather(Some(level));
        self.spread();
        self.keep_the_bound();
        true
    }

    fn keep_the_bound(&mut self) {
        if self.len() > self.levels_max {
            self.forget_farthest();
        }
    }

    /// The best is low in the window: what is behind it may lie beyond.
    #[cold]
    fn raise(&mut self) {
        if self.far.len() > 0 {
            self.gather(None);
            self.spread();
        }
    }

    fn level(&self, (coordinate, quantity): (i64, i64)) -> Level {
        level(self.side, coordinate, quantity)
    }

    /// Sets a level that lies beyond the window.
    fn set_far(&mut self, coordinate: i64, quantity: i64) -> bool {
        let before = self.far.set(coordinate, quantity);
        if before == 0 && quantity == 0 {
            return false;
        }
        self.far_changes += 1;
        if self.far_changes >= LOOK_AFTER {
            self.gather(None);
            self.spread();
        }
        true
    }

    #[cold]
    fn forget_farthest(&mut self) {
        let farthest = self.far.take_farthest().or_else(|| self.window.take_farthest());
        let forgotten = farthest.map(|coordinate| self.level((coordinate, 0)).price);
        let nearness = |price: &Price| coordinate(self.side, *price);
        self.horizon = [self.horizon, forgotten]
            .into_iter()
            .flatten()
            .max_by_key(nearness);
    }

    /// Takes all levels out, and one more, the nearest last.
    fn gather(&mut self, more: Option<Level>) {
        let side = self.side;
        let Self {
            window, far, scratch, ..
        } = self;
        scratch.clear();
        scratch.extend(
            window
                .iter()
                .chain(far.iter())
                .map(|(at, quantity)| level(side, at, quantity)),
        );
        scratch.reverse();
        far.clear();
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
        let beyond = self
            .scratch
            .partition_point(|level| window.is_beyond(coordinate(side, level.price)));
        let (far, near) = self.scratch.split_at(beyond);
        self.far.fill(
            far.iter()
                .map(|level| (coordinate(side, level.price), level.quantity.units())),
        );
        let run = self.window.put(near, |level| coordinate(side, level.price));
        // The tick divides every difference, and the window reaches to the best.
        debug_assert_eq!(run.taken, near.len(), "a level fits nowhere");
    }
}

/// A price such that a larger number is nearer to the other side. `!` turns the order around and never overflows.
const fn coordinate(side: Side, price: Price) -> i64 {
    match side {
        Side::Buy => price.units(),
        Side::Sell => !price.units(),
    }
}

const fn level(side: Side, coordinate: i64, quantity: i64) -> Level {
    Level {
        price: Price::from_units(match side {
            Side::Buy => coordinate,
            Side::Sell => !coordinate,
        }),
        quantity: Quantity::from_units(quantity),
    }
}

#[cfg(test)]
mod tests;
