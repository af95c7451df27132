use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn level(price: i64, quantity: i64) -> Level {
    Level {
        price: Price::from_units(price),
        quantity: Quantity::from_units(quantity),
    }
}

fn levels(ladder: &Ladder) -> Vec<Level> {
    ladder.iter().collect()
}

/// Both sides beside one ordered map.
struct Case {
    bids: Ladder,
    asks: Ladder,
    map: BTreeMap<i64, i64>,
}

impl Case {
    fn new() -> Self {
        Self {
            bids: Ladder::new(Side::Buy, 100_000),
            asks: Ladder::new(Side::Sell, 100_000),
            map: BTreeMap::new(),
        }
    }

    fn set(&mut self, price: i64, quantity: i64) {
        let is_there = self.map.contains_key(&price);
        if quantity == 0 {
            self.map.remove(&price);
        } else {
            self.map.insert(price, quantity);
        }
        let known = is_there || quantity != 0;
        assert_eq!(self.bids.set(level(price, quantity)), known);
        assert_eq!(self.asks.set(level(price, quantity)), known);
    }

    fn apply(&mut self, message: &[Level]) {
        let mut unknown = 0;
        for told in message {
            if told.quantity.is_zero() {
                unknown += u64::from(self.map.remove(&told.price.units()).is_none());
            } else {
                self.map.insert(told.price.units(), told.quantity.units());
            }
        }
        assert_eq!(
            (self.bids.apply(message), self.asks.apply(message)),
            (unknown, unknown)
        );
    }

    fn check_best(&self) {
        let of = |(price, quantity): (&i64, &i64)| level(*price, *quantity);
        assert_eq!(self.bids.best(), self.map.last_key_value().map(of));
        assert_eq!(self.asks.best(), self.map.first_key_value().map(of));
        assert_eq!(
            (self.bids.len(), self.asks.len()),
            (self.map.len(), self.map.len())
        );
    }

    fn check(&self) {
        self.check_best();
        let rising: Vec<_> = self
            .map
            .iter()
            .map(|(&price, &quantity)| level(price, quantity))
            .collect();
        assert!(self.asks.iter().eq(rising.iter().copied()));
        assert!(self.bids.iter().eq(rising.iter().rev().copied()));
    }
}

#[test]
fn forgets_the_farthest_level_at_its_bound() {
    let mut bids = Ladder::new(Side::Buy, 20_000);
    for price in 1..=20_000 {
        bids.set(level(price, 1));
    }
    assert_eq!(bids.horizon(), None);
    bids.set(level(20_001, 5));
    assert_eq!((bids.len(), bids.best()), (20_000, Some(level(20_001, 5))));
    assert_eq!(bids.iter().last(), Some(level(2, 1)));
    assert_eq!(bids.horizon(), Some(Price::from_units(1)));
    bids.set(level(1, 1));
    assert_eq!(
        bids.iter().last(),
        Some(level(2, 1)),
        "one beyond the farthest is not taken in"
    );
}

#[test]
fn says_from_where_on_levels_may_be_missing() {
    let mut asks = Ladder::new(Side::Sell, 3);
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
    assert_eq!(levels(&asks), [level(10, 1), level(11, 1), level(13, 1)]);
    asks.clear();
    assert_eq!((asks.horizon(), asks.best(), asks.len()), (None, None, 0));
}

#[test]
fn what_is_told_to_be_unknown_stays_unknown() {
    for (side, away) in [(Side::Buy, -1), (Side::Sell, 1)] {
        let at = |distance: i64, quantity| level(100 + away * distance, quantity);
        let mut ladder = Ladder::new(side, 5);
        ladder.replace(&[at(0, 1), at(1, 1), at(3, 1), at(4, 0)]);
        assert_eq!(ladder.horizon(), Some(at(4, 0).price));
        assert!(ladder.knows(at(3, 0).price) && !ladder.knows(at(4, 0).price));
        ladder.apply(&[at(2, 1), at(6, 7)]);
        assert_eq!(levels(&ladder).len(), 5);
        assert!(ladder.known().eq([at(0, 1), at(1, 1), at(2, 1), at(3, 1)]));
        // A level that was forgotten nearer is nearer.
        ladder.apply(&[at(-1, 1), at(-2, 1)]);
        assert_eq!(ladder.horizon(), Some(at(3, 0).price));
        // The best counts wherever it stands.
        ladder.apply(&[
            at(-2, 0),
            at(-1, 0),
            at(0, 0),
            at(1, 0),
            at(2, 0),
            at(7, 1),
            at(8, 1),
        ]);
        assert!(ladder.known().eq([at(7, 1)]));
        ladder.replace(&[at(0, 1), at(1, 1)]);
        assert_eq!(ladder.horizon(), None);
    }
}

#[test]
fn takes_over_the_deepest_snapshot_in_any_order() {
    let rising: Vec<_> = (1..=200_000).map(|price| level(price, 1)).collect();
    let falling: Vec<_> = rising.iter().rev().copied().collect();
    let (evens, odds): (Vec<_>, Vec<_>) = rising.iter().partition(|level| level.price.units() % 2 == 0);
    let mixed: Vec<_> = evens.into_iter().chain(odds).collect();
    for (side, expected) in [(Side::Buy, &falling), (Side::Sell, &rising)] {
        let mut ladder = Ladder::new(side, 200_000);
        for told in [&rising, &falling, &mixed] {
            ladder.replace(told);
            assert!(ladder.iter().eq(expected.iter().copied()));
            assert_eq!(ladder.horizon(), None);
        }
    }
}

/// The removal that waits beyond the window when the best goes is found where the window moves to.
#[test]
fn what_lies_beyond_the_window_is_found_again_when_the_window_moves() {
    let mut bids = Ladder::new(Side::Buy, 10);
    bids.replace(&[level(6_000_000, 1), level(1, 1)]);
    assert_eq!(bids.apply(&[level(6_000_000, 0), level(1, 0)]), 0);
    assert_eq!(levels(&bids), []);
    bids.replace(&[level(6_000_000, 1), level(1, 1), level(0, 1)]);
    assert_eq!(bids.apply(&[level(6_000_000, 0), level(1, 7)]), 0);
    assert_eq!(levels(&bids), [level(1, 7), level(0, 1)]);
}

/// The best price wanders far beyond where the window was, and back.
#[test]
fn the_window_follows_the_market() {
    let mut case = Case::new();
    for step in 0..60_000_i64 {
        let middle = 50_000_000 + 700 * if step < 30_000 { step } else { 60_000 - step };
        case.set(middle, 1 + step);
        case.set(middle - 700 * 20, 0);
        case.set(middle + 700 * 20, 0);
        if step % 500 == 0 {
            case.check();
        }
        case.check_best();
    }
    case.check();
}

#[test]
fn the_ends_of_the_range_of_prices_are_prices() {
    let mut case = Case::new();
    for price in [i64::MAX, i64::MIN, 0, i64::MAX - 1, i64::MIN + 1, 5, i64::MAX] {
        case.set(price, 7);
        case.check();
    }
    for price in [i64::MAX, i64::MIN, i64::MAX - 1, 0] {
        case.set(price, 0);
        case.check();
    }
}

/// Prices on a tick that grows finer, near each other and far apart.
fn price() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => (0i64..200).prop_map(|ticks| 6_000_000 + ticks * 100),
        2 => (0i64..3_000).prop_map(|ticks| 5_900_000 + ticks * 100),
        1 => (0i64..1_000).prop_map(|ticks| ticks * 1_000_000),
        1 => 5_999_990i64..6_000_010,
    ]
}

proptest! {
    #[test]
    fn equals_an_ordered_map(changes in prop::collection::vec((price(), 0i64..4), 0..300)) {
        let mut case = Case::new();
        for (price, quantity) in changes {
            case.set(price, quantity);
            case.check();
        }
    }

    /// A message names what is there, the best first, as a market does that moves through its book: the window moves in the
    /// middle of a message.
    #[test]
    fn messages_that_walk_through_a_book_equal_an_ordered_map(
        pool in prop::collection::btree_set(prop_oneof![price(), 0i64..10_000_000], 1..60),
        messages in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::collection::vec(0i64..3, 60)), 1..12),
    ) {
        let pool: Vec<_> = pool.into_iter().collect();
        let mut case = Case::new();
        for (from, to, quantities) in messages {
            let (from, to) = (from.index(pool.len()), to.index(pool.len()));
            let walked = &pool[from.min(to)..=from.max(to)];
            let rising: Vec<_> = walked.iter().zip(quantities).map(|(&price, quantity)| level(price, quantity)).collect();
            case.apply(&rising);
            case.check();
            let falling: Vec<_> = rising.iter().rev().map(|told| level(told.price.units(), 0)).collect();
            case.apply(&falling);
            case.check();
            case.apply(&rising);
        }
    }

    /// The farthest goes as soon as there is one too many, not at the end of a message.
    #[test]
    fn messages_at_the_bound_equal_an_ordered_map_that_is_cut_after_each_level(
        messages in prop::collection::vec(prop::collection::vec((price(), 0i64..3), 0..30), 0..20), levels_max in 1usize..30,
    ) {
        for side in [Side::Buy, Side::Sell] {
            let mut ladder = Ladder::new(side, levels_max);
            let mut map = BTreeMap::new();
            for message in &messages {
                let message: Vec<_> = message.iter().map(|&(price, quantity)| level(price, quantity)).collect();
                let mut unknown = 0;
                for level in &message {
                    let nearness = coordinate(side, level.price);
                    if level.quantity.is_zero() {
                        unknown += u64::from(map.remove(&nearness).is_none());
                    } else {
                        map.insert(nearness, *level);
                    }
                    if map.len() > levels_max {
                        map.pop_first();
                    }
                }
                prop_assert_eq!(ladder.apply(&message), unknown);
                prop_assert!(ladder.iter().eq(map.values().rev().copied()));
                prop_assert_eq!((ladder.len(), ladder.best()), (map.len(), map.values().next_back().copied()));
            }
        }
    }

    #[test]
    fn taking_over_equals_setting_one_by_one(
        changes in prop::collection::vec((price(), 0i64..4), 0..100), levels_max in 1usize..80,
    ) {
        let told: Vec<_> = changes.into_iter().map(|(price, quantity)| level(price, quantity)).collect();
        for side in [Side::Buy, Side::Sell] {
            let mut whole = Ladder::new(side, levels_max);
            whole.replace(&told);
            let mut single = Ladder::new(side, 100);
            single.apply(&told);
            let all = levels(&single);
            prop_assert_eq!(levels(&whole), &all[..all.len().min(levels_max)]);
            let last: BTreeMap<_, _> = told.iter().map(|level| (level.price, level.quantity)).collect();
            let farthest = match side {
                Side::Buy => last.first_key_value(),
                Side::Sell => last.last_key_value(),
            };
            let end = farthest.filter(|(_, quantity)| quantity.is_zero()).map(|(price, _)| *price);
            prop_assert_eq!(whole.horizon(), all.get(levels_max).map(|level| level.price).or(end));
        }
    }

    #[test]
    fn what_came_before_a_snapshot_leaves_nothing(
        before in prop::collection::vec((price(), 0i64..4), 0..60),
        told in prop::collection::vec((price(), 0i64..4), 0..60),
        after in prop::collection::vec((price(), 0i64..4), 0..60),
    ) {
        let of = |all: Vec<(i64, i64)>| all.into_iter().map(|(price, quantity)| level(price, quantity)).collect::<Vec<_>>();
        let (before, told, after) = (of(before), of(told), of(after));
        for side in [Side::Buy, Side::Sell] {
            let (mut used, mut fresh) = (Ladder::new(side, 50), Ladder::new(side, 50));
            used.apply(&before);
            used.replace(&told);
            fresh.replace(&told);
            prop_assert_eq!(used.apply(&after), fresh.apply(&after));
            prop_assert_eq!((levels(&used), used.horizon()), (levels(&fresh), fresh.horizon()));
        }
    }
}
