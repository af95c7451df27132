//! What has been: bars that have passed, the bar that is forming, the latest public trades.

use std::collections::VecDeque;

use domain::{Bar, Price, Quantity, Side, Timestamp, Trade};

/// Public trades kept.
pub(crate) const TRADES_KEPT: usize = 1_000;

const DAY_NANOS: i64 = 86_400_000_000_000;
/// Bars of a second that a day holds.
const BARS_A_DAY_MAX: usize = 86_400;

/// What traded in a bar, beside its prices.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    trades: u64,
    /// Units of 1e-16 of the quote currency.
    value: i128,
    taker_base: i64,
    taker_value: i128,
}

impl Tally {
    fn add(&mut self, trade: &Trade) {
        let value = i128::from(trade.price.units()) * i128::from(trade.quantity.units());
        self.trades += 1;
        self.value += value;
        if trade.aggressor == Side::Buy {
            self.taker_base += trade.quantity.units();
            self.taker_value += value;
        }
    }
}

/// A bar as clients may see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShownBar {
    pub(crate) bar: Bar,
    /// Quote currency traded, units of 1e-16.
    pub(crate) value: i128,
    pub(crate) trades: u64,
    pub(crate) taker_base: Quantity,
    pub(crate) taker_value: i128,
}

/// The record before now, and the tape since the start.
#[derive(Debug)]
pub(crate) struct History {
    /// All bars that clients may come to see: those before the start, then those that are played.
    bars: Vec<Bar>,
    /// How many of them lie before the start.
    warmup: usize,
    /// One for each bar that is played.
    tallies: Vec<Tally>,
    /// The bar that is forming, from the tape.
    forming: Option<Bar>,
    trades: VecDeque<Trade>,
    last_price: Price,
}

impl History {
    pub(crate) fn new(warmup: &[Bar], played: &[Bar]) -> Self {
        let last_price = match (warmup.last(), played.first()) {
            (Some(bar), _) => bar.close,
            (None, Some(bar)) => bar.open,
            (None, None) => Price::ZERO,
        };
        Self {
            bars: [warmup, played].concat(),
            warmup: warmup.len(),
            tallies: vec![Tally::default(); played.len()],
            forming: None,
            trades: VecDeque::new(),
            last_price,
        }
    }

    /// Price of the last trade; before the first, the last close.
    pub(crate) fn last_price(&self) -> Price {
        self.last_price
    }

    /// The number of the bar that holds `ts`, counted from the first that is played; `None` outside.
    pub(crate) fn bar_index(&self, ts: Timestamp) -> Option<usize> {
        let played = &self.bars[self.warmup..];
        let at = played.partition_point(|bar| bar.ts_close() <= ts);
        played.get(at).filter(|bar| bar.ts_open <= ts).map(|_| at)
    }

    pub(crate) fn played(&self) -> usize {
        self.bars.len() - self.warmup
    }

    pub(crate) fn note(&mut self, trade: Trade) {
        self.last_price = trade.price;
        if self.trades.len() >= TRADES_KEPT {
            self.trades.pop_front();
        }
        self.trades.push_back(trade);
        let Some(index) = self.bar_index(trade.ts_event) else {
            return;
        };
        self.tallies[index].add(&trade);
        let shape = self.bars[self.warmup + index];
        let mut bar = match self.forming {
            Some(bar) if bar.ts_open == shape.ts_open => bar,
            _ => Bar {
                open: trade.price,
                high: trade.price,
                low: trade.price,
                volume: Quantity::ZERO,
                ..shape
            },
        };
        bar.high = bar.high.max(trade.price);
        bar.low = bar.low.min(trade.price);
        bar.close = trade.price;
        bar.volume = bar.volume.checked_add(trade.quantity).unwrap_or(bar.volume);
        self.forming = Some(bar);
    }

    /// The latest `limit` public trades, oldest first.
    pub(crate) fn latest(&self, limit: usize) -> impl DoubleEndedIterator<Item = &Trade> {
        self.trades.iter().skip(self.trades.len().saturating_sub(limit))
    }

    /// Bars from `start` to `end` (opening times, inclusive), the latest `limit` of them where no start is given.
    /// A bar that is still forming at `now` shows what has traded in it; later bars are not there yet.
    pub(crate) fn bars(
        &self,
        now: Timestamp,
        start: Option<Timestamp>,
        end: Option<Timestamp>,
        limit: usize,
    ) -> Vec<ShownBar> {
        // A bar in which nothing has traded yet is not there yet.
        let passed = self.bars.partition_point(|bar| bar.ts_close() <= now);
        let next = self.bars.get(passed).map(|bar| bar.ts_open);
        let forms = self.forming.is_some_and(|bar| Some(bar.ts_open) == next);
        let begun = passed + usize::from(forms);
        let to = end.map_or(begun, |end| {
            self.bars.partition_point(|bar| bar.ts_open <= end).min(begun)
        });
        let from = match start {
            Some(start) => self.bars.partition_point(|bar| bar.ts_open < start).min(to),
            None => to.saturating_sub(limit),
        };
        let to = to.min(from.saturating_add(limit));
        (from..to)
            .map(|index| self.shown(index, index < passed))
            .collect()
    }

    fn shown(&self, index: usize, has_passed: bool) -> ShownBar {
        let bar = self.forming.filter(|_| !has_passed).unwrap_or(self.bars[index]);
        // Before the start nothing but the bar itself is recorded: its value is taken at its typical price.
        let tally = index
            .checked_sub(self.warmup)
            .and_then(|played| self.tallies.get(played).copied());
        let value = tally.map_or_else(|| typical_value(&bar), |tally| tally.value);
        let tally = tally.unwrap_or_default();
        ShownBar {
            bar,
            value,
            trades: tally.trades,
            taker_base: Quantity::from_units(tally.taker_base),
            taker_value: tally.taker_value,
        }
    }
}

/// What traded in the last 24 hours, by the bars that began in them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Day {
    pub(crate) open: Price,
    pub(crate) high: Price,
    pub(crate) low: Price,
    pub(crate) volume: Quantity,
    pub(crate) vwap: Price,
    pub(crate) trades: u64,
}

impl Day {
    pub(crate) fn of(history: &History, now: Timestamp) -> Self {
        let start = Timestamp::from_nanos(now.nanos() - DAY_NANOS);
        let bars = history.bars(now, Some(start), None, BARS_A_DAY_MAX);
        let last = history.last_price();
        let (mut volume, mut value, mut trades) = (0i128, 0i128, 0);
        for shown in &bars {
            volume += i128::from(shown.bar.volume.units());
            value += shown.value;
            trades += shown.trades;
        }
        let vwap = i64::try_from(value / volume.max(1)).unwrap_or(i64::MAX);
        Self {
            open: bars.first().map_or(last, |shown| shown.bar.open),
            high: bars.iter().map(|shown| shown.bar.high).max().unwrap_or(last),
            low: bars.iter().map(|shown| shown.bar.low).min().unwrap_or(last),
            volume: Quantity::from_units(i64::try_from(volume).unwrap_or(i64::MAX)),
            vwap: Price::from_units(vwap),
            trades,
        }
    }
}

fn typical_value(bar: &Bar) -> i128 {
    let sum: i128 = [bar.high, bar.low, bar.close]
        .iter()
        .map(|price| i128::from(price.units()))
        .sum();
    sum / 3 * i128::from(bar.volume.units())
}

#[cfg(test)]
mod tests {
    use domain::{InstrumentId, Nanos, TradeId};

    use super::*;

    fn bar(number: i64) -> Bar {
        let price = Price::from_units(number * 100_000_000);
        Bar {
            instrument: InstrumentId(0),
            ts_open: Timestamp::from_millis(number * 1_000),
            span: Nanos(1_000_000_000),
            open: price,
            high: price,
            low: price,
            close: price,
            volume: Quantity::from_units(5),
        }
    }

    fn opens(bars: &[ShownBar]) -> Vec<i64> {
        bars.iter()
            .map(|shown| shown.bar.ts_open.millis() / 1_000)
            .collect()
    }

    #[test]
    fn bars_that_have_not_passed_are_not_shown() {
        let bars: Vec<Bar> = (0..10).map(bar).collect();
        let mut history = History::new(&bars[..4], &bars[4..]);
        let at = Timestamp::from_millis;
        assert_eq!(opens(&history.bars(at(4_500), None, None, 500)), [0, 1, 2, 3]);
        assert_eq!(opens(&history.bars(at(5_000), None, None, 3)), [2, 3, 4]);
        assert_eq!(opens(&history.bars(at(5_000), Some(at(1_000)), None, 2)), [1, 2]);
        assert_eq!(
            opens(&history.bars(at(5_000), Some(at(2_001)), Some(at(3_000)), 9)),
            [3]
        );
        assert_eq!(opens(&history.bars(at(99_000), None, None, 500)).len(), 10);
        history.note(Trade {
            instrument: InstrumentId(0),
            ts_event: at(4_200),
            trade_id: TradeId(1),
            price: Price::from_units(450_000_000),
            quantity: Quantity::from_units(2),
            aggressor: Side::Buy,
        });
        let forming = history.bars(at(4_500), None, None, 1);
        assert_eq!(
            (
                forming[0].bar.close.units(),
                forming[0].bar.volume.units(),
                forming[0].trades
            ),
            (450_000_000, 2, 1)
        );
        assert_eq!(
            (
                history.bar_index(at(4_500)),
                history.bar_index(at(3_999)),
                history.bar_index(at(99_000))
            ),
            (Some(0), None, None)
        );
    }
}
