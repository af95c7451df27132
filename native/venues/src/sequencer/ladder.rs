//! One side of a book as a sorted list with its best level last, where almost all changes are.

use domain::{Level, Price};

/// Most levels kept on one side. Beyond it the level farthest from the best is forgotten: it can only
/// matter to a best level that is so far gone that the venue has halted.
pub const LADDER_LEVELS_MAX: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SideOfBook {
    Bids,
    Asks,
}

#[derive(Debug)]
pub(super) struct Ladder {
    side: SideOfBook,
    levels: Vec<Level>,
}

impl Ladder {
    /// Empty, with room for all it may ever hold: no message grows it. Memory is touched only as deep as levels come.
    pub(super) fn new(side: SideOfBook) -> Self {
        Self {
            side,
            levels: Vec::with_capacity(LADDER_LEVELS_MAX),
        }
    }

    pub(super) fn best(&self) -> Option<Level> {
        self.levels.last().copied()
    }

    pub(super) const fn len(&self) -> usize {
        self.levels.len()
    }

    pub(super) fn clear(&mut self) {
        self.levels.clear();
    }

    /// Takes over a whole side, best level first or in any order.
    pub(super) fn replace(&mut self, levels: &[Level]) {
        self.levels.clear();
        for &level in levels.iter().rev() {
            self.set(level);
        }
    }

    /// Sets each level; how many removals named one that is not there.
    pub(super) fn apply(&mut self, levels: &[Level]) -> u64 {
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
        if self.levels.len() < LADDER_LEVELS_MAX {
            self.levels.insert(at, level);
        } else if at > 0 {
            // Forgets the farthest level and shifts those in between down by one.
            self.levels.copy_within(1..at, 0);
            self.levels[at - 1] = level;
        }
    }

    /// Where `price` is or would be: bids rise and asks fall toward the end.
    fn position(&self, price: Price) -> usize {
        match self.side {
            SideOfBook::Bids => self.levels.partition_point(|level| level.price < price),
            SideOfBook::Asks => self.levels.partition_point(|level| level.price > price),
        }
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

    proptest! {
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
