//! A book kept as the venue's own text, and the book that follows from a protocol's events: two answers to one question.

use std::collections::BTreeMap;

use domain::{BookUpdate, BookUpdateKind, Level, Price, Quantity};

use crate::exact::Exact;
use crate::reading::{BookFact, TextLevel};
use crate::text_orders::TextOrders;

/// How many levels a side keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The farthest level goes as soon as there is one more.
    EachLevel(usize),
    /// The book is cut to the depth that was subscribed, after each message.
    EachMessage(usize),
}

/// A price and a quantity as the venue wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    quantity: Exact,
    price_text: Box<str>,
    quantity_text: Box<str>,
}

/// One side; which end is the best is the book's to know.
type TextSide = BTreeMap<Exact, Written>;

/// A level as it is shown: price and quantity.
pub(crate) type Shown = (String, String);

/// A book of the venue's own text, of levels or of single orders.
#[derive(Debug)]
pub(crate) enum Text {
    Levels(TextBook),
    Orders(TextOrders),
}

impl Text {
    /// Best bid and ask: price and quantity.
    pub(crate) fn best(&self) -> [Option<(Exact, Exact)>; 2] {
        match self {
            Self::Levels(book) => book.best(),
            Self::Orders(book) => book.best(),
        }
    }

    /// Levels: bids, asks.
    pub(crate) fn depth(&self) -> (usize, usize) {
        match self {
            Self::Levels(book) => book.depth(),
            Self::Orders(book) => book.depth(),
        }
    }

    /// The best levels of each side, best first.
    pub(crate) fn top(&self, count: usize) -> [Vec<Shown>; 2] {
        match self {
            Self::Levels(book) => book.top(count),
            Self::Orders(book) => book.top(count),
        }
    }

    /// Whether each level of each side is the mirror's.
    pub(crate) fn equals(&self, mirror: &Mirror) -> bool {
        let sides = match self {
            Self::Levels(book) => book.levels(),
            Self::Orders(book) => book.levels(),
        };
        let same = |side: &[(Exact, Exact)], mirror: &BTreeMap<i64, i64>| {
            let units =
                |(&price, &quantity): (&i64, &i64)| (Exact::of_units(price), Exact::of_units(quantity));
            side.iter().copied().eq(mirror.iter().map(units))
        };
        same(&sides[0], &mirror.bids) && same(&sides[1], &mirror.asks)
    }
}

/// A book of levels.
#[derive(Debug)]
pub(crate) struct TextBook {
    bids: TextSide,
    asks: TextSide,
    cut: Cut,
}

impl TextBook {
    pub(crate) const fn new(cut: Cut) -> Self {
        Self {
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            cut,
        }
    }

    /// Takes over what a message says; `false` when a number in it cannot be read.
    #[must_use]
    pub(crate) fn apply(&mut self, fact: &BookFact<'_>) -> bool {
        if fact.is_snapshot {
            self.bids.clear();
            self.asks.clear();
        }
        let mut is_read = true;
        for level in &fact.bids {
            is_read &= set(&mut self.bids, level);
            if let Cut::EachLevel(max) = self.cut {
                shorten(&mut self.bids, max, BTreeMap::pop_first);
            }
        }
        for level in &fact.asks {
            is_read &= set(&mut self.asks, level);
            if let Cut::EachLevel(max) = self.cut {
                shorten(&mut self.asks, max, BTreeMap::pop_last);
            }
        }
        if let Cut::EachMessage(max) = self.cut {
            shorten(&mut self.bids, max, BTreeMap::pop_first);
            shorten(&mut self.asks, max, BTreeMap::pop_last);
        }
        is_read
    }

    fn best(&self) -> [Option<(Exact, Exact)>; 2] {
        let level = |(price, written): (&Exact, &Written)| (*price, written.quantity);
        [
            self.bids.last_key_value().map(level),
            self.asks.first_key_value().map(level),
        ]
    }

    fn depth(&self) -> (usize, usize) {
        (self.bids.len(), self.asks.len())
    }

    fn top(&self, count: usize) -> [Vec<Shown>; 2] {
        let shown = |written: &Written| (written.price_text.to_string(), written.quantity_text.to_string());
        [
            self.bids.values().rev().take(count).map(shown).collect(),
            self.asks.values().take(count).map(shown).collect(),
        ]
    }

    fn levels(&self) -> [Vec<(Exact, Exact)>; 2] {
        let levels = |side: &TextSide| {
            side.iter()
                .map(|(&price, written)| (price, written.quantity))
                .collect()
        };
        [levels(&self.bids), levels(&self.asks)]
    }
}

fn set(side: &mut TextSide, level: &TextLevel<'_>) -> bool {
    let (Some(price), Some(quantity)) = (Exact::parse(&level.price), Exact::parse(&level.quantity)) else {
        return false;
    };
    if quantity.is_zero() {
        side.remove(&price);
    } else {
        let written = Written {
            quantity,
            price_text: level.price.as_ref().into(),
            quantity_text: level.quantity.as_ref().into(),
        };
        side.insert(price, written);
    }
    true
}

fn shorten<K, V, T>(side: &mut BTreeMap<K, V>, max: usize, farthest: impl Fn(&mut BTreeMap<K, V>) -> T) {
    while side.len() > max {
        farthest(side);
    }
}

/// What whoever listens to the events makes of them.
#[derive(Debug)]
pub(crate) struct Mirror {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    cut: Cut,
}

impl Mirror {
    pub(crate) const fn new(cut: Cut) -> Self {
        Self {
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            cut,
        }
    }

    /// Best bid and ask.
    pub(crate) fn best(&self) -> [Option<Level>; 2] {
        let level = |(&price, &quantity): (&i64, &i64)| Level {
            price: Price::from_units(price),
            quantity: Quantity::from_units(quantity),
        };
        [
            self.bids.last_key_value().map(level),
            self.asks.first_key_value().map(level),
        ]
    }

    pub(crate) fn apply(&mut self, update: &BookUpdate<'_>) {
        if update.kind == BookUpdateKind::Snapshot {
            self.bids.clear();
            self.asks.clear();
        }
        for level in update.bids {
            set_units(&mut self.bids, level);
            if let Cut::EachLevel(max) = self.cut {
                shorten(&mut self.bids, max, BTreeMap::pop_first);
            }
        }
        for level in update.asks {
            set_units(&mut self.asks, level);
            if let Cut::EachLevel(max) = self.cut {
                shorten(&mut self.asks, max, BTreeMap::pop_last);
            }
        }
    }
}

fn set_units(side: &mut BTreeMap<i64, i64>, level: &Level) {
    if level.quantity.is_zero() {
        side.remove(&level.price.units());
    } else {
        side.insert(level.price.units(), level.quantity.units());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact<'a>(is_snapshot: bool, bids: &[(&'a str, &'a str)], asks: &[(&'a str, &'a str)]) -> BookFact<'a> {
        let levels = |raw: &[(&'a str, &'a str)]| {
            let level = |&(price, quantity): &(&'a str, &'a str)| TextLevel {
                price: price.into(),
                quantity: quantity.into(),
            };
            raw.iter().map(level).collect()
        };
        BookFact {
            symbol: None,
            is_snapshot,
            numbers: None,
            bids: levels(bids),
            asks: levels(asks),
        }
    }

    #[test]
    fn keeps_the_text_and_sorts_by_value() {
        let mut book = TextBook::new(Cut::EachLevel(100));
        let bids = [("9.50", "1.0"), ("10.0", "2.00"), ("9.5", "0.50")];
        assert!(book.apply(&fact(true, &bids, &[("10.10", "3")])));
        assert!(book.apply(&fact(false, &[], &[("10.1", "4.0"), ("11", "0.000")])));
        let [bids, asks] = book.top(10);
        assert_eq!(
            bids,
            [
                ("10.0".to_owned(), "2.00".to_owned()),
                ("9.5".into(), "0.50".into())
            ]
        );
        assert_eq!(asks, [("10.1".to_owned(), "4.0".to_owned())]);
        assert_eq!(book.depth(), (2, 1));
        assert!(!book.apply(&fact(false, &[("ten", "1")], &[])));
    }

    #[test]
    fn cuts_as_it_is_told() {
        let levels = [("1", "1"), ("2", "1"), ("3", "1"), ("3", "0")];
        let mut each_level = TextBook::new(Cut::EachLevel(2));
        assert!(each_level.apply(&fact(true, &levels, &levels)));
        assert_eq!(
            each_level.depth(),
            (1, 2),
            "the third bid pushed the farthest out for good"
        );
        let mut each_message = TextBook::new(Cut::EachMessage(2));
        assert!(each_message.apply(&fact(true, &levels, &levels)));
        assert_eq!(each_message.depth(), (2, 2));
    }
}
