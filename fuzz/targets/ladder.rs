//! One side of a book against a sorted map: any changes, over any distance, at any bound.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use domain::{Ladder, Level, Price, Quantity, Side};
use libfuzzer_sys::fuzz_target;

/// Most levels of one message.
const MESSAGE_MAX: usize = 64;

#[derive(Debug, Arbitrary)]
struct Case {
    is_bid: bool,
    levels_max: u8,
    messages: Vec<Message>,
}

#[derive(Debug, Arbitrary)]
enum Message {
    Whole(Vec<(Place, u8)>),
    Changes(Vec<(Place, u8)>),
    /// Removes the best ones, as a market does that moves through its book, and then sets others.
    Walk(u8, Vec<(Place, u8)>),
}

/// Where a level stands: in the window, far beyond it, or between its ticks.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Place {
    Near(u8),
    Far(u16),
    Between(u8, u8),
    Anywhere(i64),
}

impl Place {
    fn price(self) -> Price {
        Price::from_units(match self {
            Self::Near(ticks) => 6_000_000 + i64::from(ticks) * 100,
            Self::Far(ticks) => i64::from(ticks) * 100_000,
            Self::Between(ticks, offset) => 6_000_000 + i64::from(ticks) * 100 + i64::from(offset),
            Self::Anywhere(units) => units,
        })
    }
}

/// What a ladder must equal.
#[derive(Debug)]
struct Sorted {
    side: Side,
    levels_max: usize,
    /// By nearness: the best is last.
    map: BTreeMap<i64, Level>,
    horizon: Option<Price>,
}

impl Sorted {
    fn nearness(&self, price: Price) -> i64 {
        match self.side {
            Side::Buy => price.units(),
            Side::Sell => !price.units(),
        }
    }

    fn set(&mut self, level: Level) -> bool {
        let at = self.nearness(level.price);
        if level.quantity.is_zero() {
            return self.map.remove(&at).is_some();
        }
        self.map.insert(at, level);
        self.cut();
        true
    }

    /// Forgets what is too much, the farthest first.
    fn cut(&mut self) {
        while self.map.len() > self.levels_max
            && let Some((at, level)) = self.map.pop_first()
        {
            let is_nearer = |known: Price| at > self.nearness(known);
            if self.horizon.is_none_or(is_nearer) {
                self.horizon = Some(level.price);
            }
        }
    }

    fn replace(&mut self, levels: &[Level]) {
        self.map = levels
            .iter()
            .map(|&level| (self.nearness(level.price), level))
            .collect();
        let told = self.map.values().next().filter(|level| level.quantity.is_zero());
        self.horizon = told.map(|level| level.price);
        self.map.retain(|_, level| !level.quantity.is_zero());
        self.cut();
    }
}

fn levels(told: &[(Place, u8)]) -> Vec<Level> {
    let told = told.iter().take(MESSAGE_MAX);
    told.map(|&(place, quantity)| Level {
        price: place.price(),
        quantity: Quantity::from_units(i64::from(quantity)),
    })
    .collect()
}

fuzz_target!(|case: Case| py_rt_fuzz::bounded(|| run(&case)));

fn run(case: &Case) {
    let side = if case.is_bid { Side::Buy } else { Side::Sell };
    let levels_max = usize::from(case.levels_max).max(1);
    let mut ladder = Ladder::new(side, levels_max);
    let mut sorted = Sorted {
        side,
        levels_max,
        map: BTreeMap::new(),
        horizon: None,
    };
    for message in &case.messages {
        let changes = match message {
            Message::Whole(told) => {
                let told = levels(told);
                ladder.replace(&told);
                sorted.replace(&told);
                Vec::new()
            }
            Message::Changes(told) => levels(told),
            Message::Walk(count, told) => {
                let gone = sorted.map.values().rev().take(usize::from(*count));
                let gone = gone.map(|level| Level {
                    quantity: Quantity::ZERO,
                    ..*level
                });
                gone.chain(levels(told)).collect()
            }
        };
        let unknown = changes.iter().filter(|level| !sorted.set(**level)).count();
        assert_eq!(ladder.apply(&changes), unknown as u64);
        assert_eq!(ladder.best(), sorted.map.values().next_back().copied());
        assert!(ladder.iter().eq(sorted.map.values().rev().copied()));
        assert_eq!(
            (ladder.len(), ladder.horizon()),
            (sorted.map.len(), sorted.horizon)
        );
    }
}
