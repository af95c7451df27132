//! The last bars of an instrument, kept so that a new bundle's features are warm before it runs.

use domain::Bar;

use crate::limits::BARS_KEPT;

/// At most [`BARS_KEPT`] bars in order of their numbers, without two of the same number.
#[derive(Debug, Clone)]
pub struct BarHistory {
    bars: Vec<Bar>,
}

impl Default for BarHistory {
    fn default() -> Self {
        Self::new()
    }
}

impl BarHistory {
    /// An empty history with its memory in place.
    #[must_use]
    pub fn new() -> Self {
        // Twice the bound: dropping the oldest half at once costs one move per BARS_KEPT bars.
        Self {
            bars: Vec::with_capacity(2 * BARS_KEPT),
        }
    }

    /// Adds a bar where it belongs; a bar of a number that is there replaces it.
    pub fn insert(&mut self, bar: Bar) {
        match self.bars.last() {
            Some(last) if last.number() >= bar.number() => self.insert_earlier(bar),
            _ => {
                if self.bars.len() == 2 * BARS_KEPT {
                    self.bars.drain(..BARS_KEPT);
                }
                self.bars.push(bar);
            }
        }
    }

    fn insert_earlier(&mut self, bar: Bar) {
        match self.bars.binary_search_by_key(&bar.number(), Bar::number) {
            Ok(at) => self.bars[at] = bar,
            Err(0) if self.bars.len() >= BARS_KEPT => {}
            Err(at) => {
                if self.bars.len() == 2 * BARS_KEPT {
                    self.bars.remove(0);
                    self.bars.insert(at - 1, bar);
                } else {
                    self.bars.insert(at, bar);
                }
            }
        }
    }

    /// The newest bar.
    #[must_use]
    pub fn last(&self) -> Option<&Bar> {
        self.bars.last()
    }

    /// The newest bars whose numbers follow each other without a hole, oldest first.
    #[must_use]
    pub fn contiguous(&self) -> &[Bar] {
        let holes = self
            .bars
            .windows(2)
            .rposition(|pair| pair[0].number() + 1 != pair[1].number());
        &self.bars[holes.map_or(0, |at| at + 1)..]
    }
}

#[cfg(test)]
mod tests {
    use domain::{InstrumentId, Nanos, Price, Quantity, Timestamp};

    use super::*;

    fn bar(number: i64) -> Bar {
        let price = Price::from_units(number + 1);
        Bar {
            instrument: InstrumentId(0),
            ts_open: Timestamp::from_nanos(number * 10),
            span: Nanos(10),
            open: price,
            high: price,
            low: price,
            close: price,
            volume: Quantity::ONE,
        }
    }

    #[test]
    fn a_late_bar_fills_its_hole() {
        let mut history = BarHistory::new();
        for number in [1, 2, 4, 5] {
            history.insert(bar(number));
        }
        assert_eq!(history.contiguous().len(), 2);
        history.insert(bar(3));
        assert_eq!(
            history.contiguous().iter().map(Bar::number).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5]
        );
    }

    #[test]
    fn keeps_at_least_the_bound_and_never_grows() {
        let mut history = BarHistory::new();
        let capacity = history.bars.capacity();
        for number in 0..i64::try_from(5 * BARS_KEPT).unwrap() {
            history.insert(bar(number));
            history.insert(bar(number)); // a repeated bar replaces itself
        }
        assert!(history.contiguous().len() >= BARS_KEPT);
        assert_eq!(history.bars.capacity(), capacity);
    }
}
