//! A book as deep as its reader asked: what to tell the reader, and the checksum that proves it.

use std::fmt::Write as _;

use domain::{Price, Quantity, Side};
use simulation::Market;

use super::names::{self, Names};

/// Depths that may be asked for.
pub(crate) const DEPTHS: [usize; 5] = [10, 25, 100, 500, 1_000];
/// Depths of a book of orders that may be asked for.
pub(crate) const LEVEL3_DEPTHS: [usize; 3] = [10, 100, 1_000];
/// Levels of each side under the checksum.
const CHECKED: usize = 10;

/// A level: price and total.
pub(crate) type Level = (Price, Quantity);

/// What one reader holds, once it has cut its book to its depth.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShownBook {
    pub(crate) depth: usize,
    pub(crate) bids: Vec<Level>,
    pub(crate) asks: Vec<Level>,
}

/// Levels to tell a reader: quantity zero removes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) bids: Vec<Level>,
    pub(crate) asks: Vec<Level>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.bids.is_empty() && self.asks.is_empty()
    }
}

impl ShownBook {
    /// The book now.
    pub(crate) fn snapshot(market: &Market, depth: usize) -> Self {
        let mut book = Self {
            depth,
            ..Self::default()
        };
        market.depth(Side::Buy, depth, &mut book.bids);
        market.depth(Side::Sell, depth, &mut book.asks);
        book
    }

    /// Moves to the book now; what the reader must be told for that. A level that better ones push out of the depth is
    /// not told: the reader cuts it off; one that comes back into it is.
    pub(crate) fn advance(&mut self, market: &Market) -> Changes {
        let next = Self::snapshot(market, self.depth);
        let changes = Changes {
            bids: changed(&self.bids, &next.bids, self.depth, |one, other| one > other),
            asks: changed(&self.asks, &next.asks, self.depth, |one, other| one < other),
        };
        *self = next;
        changes
    }

    /// The checksum of the newer socket.
    pub(crate) fn checksum(&self, names: &Names) -> u32 {
        checksum(&self.asks, &self.bids, |price| names.price(price))
    }

    /// The checksum of the older socket: its prices have more decimals.
    pub(crate) fn v1_checksum(&self, names: &Names) -> u32 {
        checksum(&self.asks, &self.bids, |price| names.v1_price(price))
    }
}

/// Levels in which `next` differs from `last`, with those that are gone.
fn changed(
    last: &[Level],
    next: &[Level],
    depth: usize,
    better: impl Fn(Price, Price) -> bool,
) -> Vec<Level> {
    let of = |levels: &[Level], price| levels.iter().find(|level| level.0 == price).copied();
    // Where the book is as deep as the reader's, what lies behind its last level may still be there.
    let horizon = next.last().filter(|_| next.len() == depth).map(|level| level.0);
    let gone = last.iter().filter(|(price, _)| {
        let pushed_out = horizon.is_some_and(|horizon| better(horizon, *price));
        of(next, *price).is_none() && !pushed_out
    });
    let gone = gone.map(|&(price, _)| (price, Quantity::ZERO));
    let new = next.iter().filter(|level| of(last, level.0) != Some(**level));
    gone.chain(new.copied()).collect()
}

/// CRC-32 over the digits of the ten best asks, then bids, without points and leading zeros.
fn checksum(asks: &[Level], bids: &[Level], price_text: impl Fn(Price) -> String) -> u32 {
    let mut digits = String::new();
    for &(price, quantity) in asks.iter().take(CHECKED).chain(bids.iter().take(CHECKED)) {
        for text in [price_text(price), names::quantity(quantity)] {
            let bare = text.replace('.', "");
            // Writing to a String does not fail.
            let _ = write!(digits, "{}", bare.trim_start_matches('0'));
        }
    }
    crc32fast::hash(digits.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn level(text: (&str, &str)) -> Level {
        let (price, quantity) = text;
        (
            Price::parse(price.as_bytes()).unwrap(),
            Quantity::parse(quantity.as_bytes()).unwrap(),
        )
    }

    /// The snapshot of a recorded session, with the checksum that came in it.
    #[test]
    fn the_recorded_checksum_is_ours() {
        let bids = [
            ("62802.5", "0.02987767"),
            ("62800.7", "0.05598472"),
            ("62800.6", "0.00005100"),
            ("62797.5", "0.00005100"),
            ("62797.0", "0.00012700"),
            ("62796.2", "0.00019900"),
            ("62794.3", "0.00005100"),
            ("62794.0", "0.00532806"),
            ("62793.9", "0.79625467"),
            ("62793.1", "0.00318620"),
        ]
        .map(level);
        let asks = [
            ("62802.6", "1.09074394"),
            ("62803.7", "0.05598472"),
            ("62803.8", "0.95536416"),
            ("62803.9", "1.16228981"),
            ("62806.5", "0.18489680"),
            ("62806.6", "3.79004471"),
            ("62806.8", "0.00005100"),
            ("62807.1", "0.36000000"),
            ("62807.2", "0.65540712"),
            ("62807.4", "0.50920200"),
        ]
        .map(level);
        let text = |price: Price| crate::decimal::fixed(price.units(), 1);
        assert_eq!(checksum(&asks, &bids, text), 975_661_613);
    }

    fn side() -> impl Strategy<Value = Vec<Level>> {
        prop::collection::btree_map(1i64..40, 1i64..4, 0..30).prop_map(|levels| {
            let level = |(price, quantity)| (Price::from_units(price), Quantity::from_units(quantity));
            levels.into_iter().map(level).collect()
        })
    }

    proptest! {
        /// A reader that applies what it is told and cuts to its depth holds the book's best levels.
        #[test]
        fn a_reader_that_cuts_to_its_depth_holds_the_book(states in prop::collection::vec(side(), 2..8), depth in 1usize..12) {
            let cut = |levels: &[Level]| levels[..levels.len().min(depth)].to_vec();
            let mut told = cut(&states[0]);
            let mut reader: std::collections::BTreeMap<Price, Quantity> = told.iter().copied().collect();
            for state in &states[1..] {
                let next = cut(state);
                for (price, quantity) in changed(&told, &next, depth, |one, other| one < other) {
                    if quantity.is_zero() {
                        reader.remove(&price);
                    } else {
                        reader.insert(price, quantity);
                    }
                }
                while reader.len() > depth {
                    reader.pop_last();
                }
                told = next.clone();
                prop_assert_eq!(reader.iter().map(|(price, quantity)| (*price, *quantity)).collect::<Vec<_>>(), next);
            }
        }
    }
}
