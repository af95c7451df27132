//! One side of a book as a sorted list with its best level last, where almost all changes are.

use std::cmp::Ordering;

use domain::{Level, Price};

/// Most levels kept on one side. Beyond it the level farthest from the best is forgotten: it can only
/// matter to a best level that is so far gone that the venue has halted.
pub const LADDER_LEVELS_MAX: usize = 20_000;

/// Levels compared one by one from the best before the search halves the rest.
const NEAR_LEVELS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SideOfBook {
    Bids,
    Asks,
}

impl SideOfBook {
    /// How near to the best a price is, against another: `Less` is farther.
    fn nearness(self, price: Price, other: Price) -> Ordering {
        match self {
            Self::Bids => price.cmp(&other),
            Self::Asks => other.cmp(&price),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Ladder {
    side: SideOfBook,
    levels: Vec<Level>,
    levels_max: usize,
    horizon: Option<Price>,
}

impl Ladder {
    /// Empty, with room for [`LADDER_LEVELS_MAX`].
    pub(super) fn new(side: SideOfBook) -> Self {
        Self::with_bound(side, LADDER_LEVELS_MAX)
    }

    /// Empty, with room for all it may ever hold: no message grows it. Memory is touched only as deep as levels come.
    pub(crate) fn with_bound(side: SideOfBook, levels_max: usize) -> Self {
        Self {
            side,
            levels: Vec::with_capacity(levels_max),
            levels_max,
            horizon: None,
        }
    }

    pub(crate) fn best(&self) -> Option<Level> {
        self.levels.last().copied()
    }

    pub(crate) const fn len(&self) -> usize {
        self.levels.len()
    }

    /// The levels, the farthest first.
    pub(crate) fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// The nearest price at which a level was forgotten: from there on levels may be missing. `None` while all are known.
    pub(crate) const fn horizon(&self) -> Option<Price> {
        self.horizon
    }

    pub(crate) fn clear(&mut self) {
        self.levels.clear();
        self.horizon = None;
    }

    /// Takes over a whole side, in any order; a price that stands twice has its last quantity. What lies beyond the bound
    /// is forgotten. In time of the length where the levels come in order, as venues send them.
    pub(crate) fn replace(&mut self, levels: &[Level]) {
        self.clear();
        let side = self.side;
        // Venues send the best level first.
        self.levels.extend(levels.iter().rev());
        let rises = |pair: &[Level]| side.nearness(pair[0].price, pair[1].price).is_lt();
        if !self.levels.windows(2).all(rises) {
            self.levels.reverse();
            // Stable: of one price the last one told stays behind the others.
            self.levels.sort_by(|a, b| side.nearness(a.price, b.price));
            self.levels.dedup_by(|later, earlier| {
                let is_same = later.price == earlier.price;
                if is_same {
                    *earlier = *later;
                }
                is_same
            });
        }
        self.levels.retain(|level| !level.quantity.is_zero());
        let beyond = self.levels.len().saturating_sub(self.levels_max);
        self.horizon = self.levels[..beyond].last().map(|level| level.price);
        self.levels.drain(..beyond);
    }

    /// Sets each level; how many removals named one that is not there.
    pub(crate) fn apply(&mut self, levels: &[Level]) -> u64 {
        levels.iter().map(|&level| u64::from(!self.set(level))).sum()
    }

    /// Sets the quantity of a price; zero removes it. Whether there was something to set or to remove: removing what is
    /// not there is normal.
    fn set(&mut self, level: Level) -> bool {
        let at = self.position(level.price);
        let is_there = self
            .levels
            .get(at)
            .is_some_and(|found| found.price == level.price);
        match (is_there, level.quantity.is_zero()) {
            (true, true) => {
                self.levels.remove(at);
            }
            (true, false) => self.levels[at].quantity = level.quantity,
            (false, true) => return false,
            (false, false) => self.insert(at, level),
        }
        true
    }

    fn insert(&mut self, at: usize, level: Level) {
        if self.levels.len() < self.levels_max {
            self.levels.insert(at, level);
            return;
        }
        let forgotten = match self.levels.first() {
            Some(farthest) if at > 0 => farthest.price,
            _ => level.price,
        };
        if at > 0 {
            // Shifts those between the farthest and the new one down by one.
            self.levels.copy_within(1..at, 0);
            self.levels[at - 1] = level;
        }
        if self
            .horizon
            .is_none_or(|horizon| self.side.nearness(forgotten, horizon).is_gt())
        {
            self.horizon = Some(forgotten);
        }
    }

    /// Where `price` is or would be: bids rise and asks fall toward the end.
    fn position(&self, price: Price) -> usize {
        let is_farther = |level: &Level| self.side.nearness(level.price, price).is_lt();
        let near = self.levels.len().saturating_sub(NEAR_LEVELS);
        for at in (near..self.levels.len()).rev() {
            if is_farther(&self.levels[at]) {
                return at + 1;
            }
        }
        self.levels[..near].partition_point(is_farther)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Quantity;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn level(price: i64, quantity: i64) -> Level {
        Level {
            price: Price::from_units(price),
            quantity: Quantity::from_units(quantity),
        }
    }

    #[test]
    fn forgets_the_farthest_level_at_its_bound() {
        let mut bids = Ladder::new(SideOfBook::Bids);
        let count = i64::try_from(LADDER_LEVELS_MAX).unwrap();
        for price in 1..=count {
            bids.set(level(price, 1));
        }
        bids.set(level(count + 1, 5));
        assert_eq!(bids.len(), LADDER_LEVELS_MAX);
        assert_eq!(bids.best(), Some(level(count + 1, 5)));
        assert_eq!(bids.levels[0], level(2, 1));
        bids.set(level(1, 1));
        assert_eq!(
            bids.levels[0],
            level(2, 1),
            "a level beyond the farthest one is not taken in"
        );
    }

    #[test]
    fn says_from_where_on_levels_may_be_missing() {
        let mut asks = Ladder::with_bound(SideOfBook::Asks, 3);
        asks.replace(&[level(10, 1), level(11, 1), level(12, 1)]);
        assert_eq!(asks.horizon(), None, "all are known");
        asks.apply(&[level(14, 1)]);
        assert_eq!(asks.horizon(), Some(Price::from_units(14)));
        asks.apply(&[level(9, 1)]);
        assert_eq!(asks.horizon(), Some(Price::from_units(12)));
        asks.apply(&[level(9, 0), level(13, 1), level(14, 1)]);
        assert_eq!(asks.horizon(), Some(Price::from_units(12)), "it never moves away");
        asks.replace(&[level(14, 1), level(10, 1), level(13, 1), level(11, 1)]);
        assert_eq!(asks.horizon(), Some(Price::from_units(14)));
        assert_eq!(asks.levels(), [level(13, 1), level(11, 1), level(10, 1)]);
        asks.clear();
        assert_eq!(asks.horizon(), None);
    }

    #[test]
    fn takes_over_the_deepest_snapshot_in_any_order() {
        let count = 200_000;
        let rising: Vec<_> = (1..=count).map(|price| level(price, 1)).collect();
        let falling: Vec<_> = rising.iter().rev().copied().collect();
        let (evens, odds): (Vec<_>, Vec<_>) = rising.iter().partition(|level| level.price.units() % 2 == 0);
        let mixed: Vec<_> = evens.into_iter().chain(odds).collect();
        for side in [SideOfBook::Bids, SideOfBook::Asks] {
            let mut ladder = Ladder::with_bound(side, 200_000);
            for levels in [&rising, &falling, &mixed] {
                ladder.replace(levels);
                let expected = if side == SideOfBook::Bids {
                    &rising
                } else {
                    &falling
                };
                assert_eq!(ladder.levels(), expected);
                assert_eq!(ladder.horizon(), None);
            }
        }
    }

    proptest! {
        #[test]
        fn taking_over_equals_setting_one_by_one(
            changes in prop::collection::vec((1i64..60, 0i64..4), 0..100),
            levels_max in 1usize..80,
        ) {
            let levels: Vec<_> = changes.into_iter().map(|(price, quantity)| level(price, quantity)).collect();
            for side in [SideOfBook::Bids, SideOfBook::Asks] {
                let mut whole = Ladder::with_bound(side, levels_max);
                whole.replace(&levels);
                let mut single = Ladder::with_bound(side, 100);
                single.apply(&levels);
                let beyond = single.len().saturating_sub(levels_max);
                prop_assert_eq!(whole.levels(), &single.levels()[beyond..]);
                prop_assert_eq!(whole.horizon(), single.levels()[..beyond].last().map(|level| level.price));
            }
        }

        #[test]
        fn equals_an_ordered_map(changes in prop::collection::vec((1i64..60, 0i64..4), 0..300)) {
            let mut map = BTreeMap::new();
            let (mut bids, mut asks) = (Ladder::new(SideOfBook::Bids), Ladder::new(SideOfBook::Asks));
            for (price, quantity) in changes {
                let change = [level(price, quantity)];
                bids.apply(&change);
                asks.apply(&change);
                if quantity == 0 {
                    map.remove(&price);
                } else {
                    map.insert(price, quantity);
                }
                let rising: Vec<_> = map.iter().map(|(&p, &q)| level(p, q)).collect();
                let falling: Vec<_> = rising.iter().rev().copied().collect();
                prop_assert_eq!(&bids.levels, &rising);
                prop_assert_eq!(&asks.levels, &falling);
                prop_assert_eq!(bids.best(), rising.last().copied());
                prop_assert_eq!(asks.best(), rising.first().copied());
            }
        }
    }
}
