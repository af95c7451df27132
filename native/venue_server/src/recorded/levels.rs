//! A book in the venue's own text: what somebody who comes later must be told.

use std::collections::BTreeMap;

/// Decimals by which prices are told apart.
const DECIMALS: usize = 18;

/// Levels of each side under Kraken's checksum.
const CHECKED: usize = 10;

/// Units of 1e-8 in one.
const ONE: i64 = 100_000_000;

/// One level as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) price: String,
    pub(super) quantity: String,
    /// Its own time, where the wire says one.
    pub(super) time: String,
}

/// One symbol's book.
#[derive(Debug, Default)]
pub(super) struct TextBook {
    bids: BTreeMap<i128, Level>,
    asks: BTreeMap<i128, Level>,
    /// Whether a snapshot came, and nothing since that contradicts it.
    pub(super) stands: bool,
    /// Levels a side; `None` for all.
    pub(super) depth: Option<usize>,
    /// Most decimals of a price.
    decimals: usize,
    /// The venue's time of the last change, as text.
    pub(super) time: String,
}

impl TextBook {
    /// A snapshot begins.
    pub(super) fn begin(&mut self) {
        self.bids.clear();
        self.asks.clear();
        self.stands = true;
    }

    /// Nothing is known any more.
    pub(super) fn lose(&mut self) {
        self.begin();
        self.stands = false;
    }

    /// The quantity at a price; zero removes it.
    pub(super) fn set(&mut self, is_bid: bool, price: &str, quantity: &str, time: &str) {
        let Some(key) = key(price) else { return };
        self.decimals = self.decimals.max(decimals(price));
        let side = if is_bid { &mut self.bids } else { &mut self.asks };
        if quantity.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
            side.remove(&key);
            return;
        }
        let level = Level {
            price: price.to_owned(),
            quantity: quantity.to_owned(),
            time: time.to_owned(),
        };
        side.insert(key, level);
    }

    /// Cuts it to the depth that was subscribed.
    pub(super) fn cut(&mut self) {
        let Some(depth) = self.depth else { return };
        while self.bids.len() > depth {
            self.bids.pop_first();
        }
        while self.asks.len() > depth {
            self.asks.pop_last();
        }
    }

    /// Levels of the larger side.
    pub(super) fn len(&self) -> usize {
        self.bids.len().max(self.asks.len())
    }

    /// The best first.
    pub(super) fn bids(&self) -> impl Iterator<Item = &Level> {
        self.bids.values().rev()
    }

    /// The best first.
    pub(super) fn asks(&self) -> impl Iterator<Item = &Level> {
        self.asks.values()
    }

    /// Kraken's: over the digits of the ten best asks, then bids, without points and leading zeros.
    pub(super) fn checksum(&self) -> u32 {
        let mut digits = String::new();
        for level in self.asks().take(CHECKED).chain(self.bids().take(CHECKED)) {
            for text in [&level.price, &level.quantity] {
                let bare = text.replace('.', "");
                digits.push_str(bare.trim_start_matches('0'));
            }
        }
        crc32fast::hash(digits.as_bytes())
    }

    /// The price step that its prices show, units of 1e-8.
    pub(super) fn tick(&self) -> i64 {
        (0..self.decimals.min(8)).fold(ONE, |tick, _| tick / 10)
    }
}

fn decimals(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

/// A price by which levels are ordered.
fn key(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || whole.is_empty() || fraction.len() > DECIMALS {
        return None;
    }
    format!("{whole}{fraction:0<DECIMALS$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_text_in_order_and_cuts_to_its_depth() {
        let mut book = TextBook {
            depth: Some(2),
            ..TextBook::default()
        };
        book.begin();
        for (price, quantity) in [("9.5", "1.0"), ("10.0", "2.00"), ("9.25", "3"), ("10.0", "0.50")] {
            book.set(true, price, quantity, "");
        }
        book.set(false, "0.000023740", "7", "t");
        book.set(false, "oops", "7", "t");
        book.set(false, "10.5", "0.000", "t");
        book.cut();
        let texts = |levels: &mut dyn Iterator<Item = &Level>| {
            let text = |level: &Level| format!("{} {}", level.price, level.quantity);
            levels.map(text).collect::<Vec<_>>()
        };
        assert_eq!(texts(&mut book.bids()), ["10.0 0.50", "9.5 1.0"]);
        assert_eq!(texts(&mut book.asks()), ["0.000023740 7"]);
        assert_eq!(book.tick(), 1);
        assert_eq!(book.len(), 2);
        // 23740 7, then 100 050, then 95 10: leading zeros go.
        assert_eq!(book.checksum(), crc32fast::hash(b"237407100509510"));
        book.lose();
        assert!(!book.stands);
    }
}
