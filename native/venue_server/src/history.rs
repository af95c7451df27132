//! What has been: bars that have passed, the bar that is forming, the latest public trades.

use std::collections::VecDeque;

use domain::{Bar, Price, Quantity, Side, Timestamp, Trade};
use serde_json::{Value, json};

use crate::decimal::{amount8, price8, quantity8};

/// Public trades kept for `trades`.
pub(crate) const TRADES_KEPT: usize = 1_000;
/// Most bars of one answer.
pub(crate) const KLINES_MAX: usize = 1_000;
/// Bars of an answer that asks for no number.
pub(crate) const KLINES_DEFAULT: usize = 500;

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
    pub(crate) fn recent_trades(&self, limit: usize) -> Value {
        let skip = self.trades.len().saturating_sub(limit);
        let listed = self.trades.iter().skip(skip).map(|trade| {
            let value = i128::from(trade.price.units()) * i128::from(trade.quantity.units());
            json!({
                "id": trade.trade_id.0,
                "price": price8(trade.price),
                "qty": quantity8(trade.quantity),
                "quoteQty": amount8(value),
                "time": trade.ts_event.millis(),
                "isBuyerMaker": trade.aggressor == Side::Sell,
                "isBestMatch": true,
            })
        });
        listed.collect()
    }

    /// Bars from `start` to `end` (opening times, inclusive), the latest `limit` of them where no start is given.
    /// A bar that is still forming at `now` shows what has traded in it; later bars are not there yet.
    pub(crate) fn klines(
        &self,
        now: Timestamp,
        start: Option<Timestamp>,
        end: Option<Timestamp>,
        limit: usize,
    ) -> Value {
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
            .map(|index| self.kline(index, index < passed))
            .collect()
    }

    fn kline(&self, index: usize, has_passed: bool) -> Value {
        let bar = self.forming.filter(|_| !has_passed).unwrap_or(self.bars[index]);
        // Before the start nothing but the bar itself is recorded: its value is taken at its typical price.
        let tally = index
            .checked_sub(self.warmup)
            .and_then(|played| self.tallies.get(played).copied());
        let value = tally.map_or_else(|| typical_value(&bar), |tally| tally.value);
        let tally = tally.unwrap_or_default();
        json!([
            bar.ts_open.millis(),
            price8(bar.open),
            price8(bar.high),
            price8(bar.low),
            price8(bar.close),
            quantity8(bar.volume),
            bar.ts_close().millis() - 1,
            amount8(value),
            tally.trades,
            quantity8(Quantity::from_units(tally.taker_base)),
            amount8(tally.taker_value),
            "0",
        ])
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

    fn opens(value: &Value) -> Vec<i64> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|kline| kline[0].as_i64().unwrap() / 1_000)
            .collect()
    }

    #[test]
    fn bars_that_have_not_passed_are_not_shown() {
        let bars: Vec<Bar> = (0..10).map(bar).collect();
        let mut history = History::new(&bars[..4], &bars[4..]);
        let at = Timestamp::from_millis;
        assert_eq!(opens(&history.klines(at(4_500), None, None, 500)), [0, 1, 2, 3]);
        assert_eq!(opens(&history.klines(at(5_000), None, None, 3)), [2, 3, 4]);
        assert_eq!(
            opens(&history.klines(at(5_000), Some(at(1_000)), None, 2)),
            [1, 2]
        );
        assert_eq!(
            opens(&history.klines(at(5_000), Some(at(2_001)), Some(at(3_000)), 9)),
            [3]
        );
        assert_eq!(opens(&history.klines(at(99_000), None, None, 500)).len(), 10);
        history.note(Trade {
            instrument: InstrumentId(0),
            ts_event: at(4_200),
            trade_id: TradeId(1),
            price: Price::from_units(450_000_000),
            quantity: Quantity::from_units(2),
            aggressor: Side::Buy,
        });
        let forming = history.klines(at(4_500), None, None, 1);
        assert_eq!(
            (&forming[0][4], &forming[0][5], &forming[0][8]),
            (&json!("4.50000000"), &json!("0.00000002"), &json!(1))
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
