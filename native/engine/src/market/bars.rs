//! Bars from trades, closed by venue time.
//!
//! A trade past the interval's end closes it at once: trades of one stream arrive in order. A book
//! update or quote may overtake a trade on another stream, so it closes the interval only when it is
//! later than the end by the grace.
//!
//! An interval that was not watched from its start to its end has no true bar. It is reported as
//! missing, so that it can be fetched from the venue's history, and never guessed.

use domain::{Bar, InstrumentId, Nanos, Price, Quantity, Timestamp, Trade};

use crate::limits::EMPTY_BARS_MAX;

/// What became of one or more intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarOutcome {
    /// A complete interval; empty bars included.
    Closed(Bar),
    /// Intervals that were not watched whole, `[from, to)`: only the venue's history knows them.
    Missing {
        /// Start of the first.
        from: Timestamp,
        /// End of the last.
        to: Timestamp,
    },
}

/// Prices and volume of the interval being watched.
#[derive(Debug, Clone, Copy)]
struct Building {
    open: Price,
    high: Price,
    low: Price,
    close: Price,
    volume: Quantity,
}

/// Builds the bars of one instrument.
#[derive(Debug, Clone)]
pub struct BarBuilder {
    instrument: InstrumentId,
    span: Nanos,
    grace: Nanos,
    /// Start of the interval being watched; `None` before anything was seen.
    current: Option<Timestamp>,
    building: Option<Building>,
    previous_close: Option<Price>,
    /// Intervals that start at or after this are watched whole; `None` while the trade stream is down.
    complete_since: Option<Timestamp>,
    late_trades: u64,
}

impl BarBuilder {
    /// A builder of bars of length `span`, `grace` as in the module's words.
    #[must_use]
    pub const fn new(instrument: InstrumentId, span: Nanos, grace: Nanos) -> Self {
        Self {
            instrument,
            span,
            grace,
            current: None,
            building: None,
            previous_close: None,
            complete_since: None,
            late_trades: 0,
        }
    }

    /// Every trade from `since` (venue time) on will be seen.
    pub const fn set_complete_since(&mut self, since: Timestamp) {
        self.complete_since = Some(since);
    }

    /// Trades may have been missed: nothing is complete until [`BarBuilder::set_complete_since`].
    pub const fn mark_incomplete(&mut self) {
        self.complete_since = None;
    }

    /// From when on every trade is seen; `None` while the trade stream is down.
    #[must_use]
    pub const fn complete_since(&self) -> Option<Timestamp> {
        self.complete_since
    }

    /// Trades that came after their interval had closed, and were left out.
    #[must_use]
    pub const fn late_trades(&self) -> u64 {
        self.late_trades
    }

    /// A public trade.
    pub fn on_trade(&mut self, trade: &Trade, out: &mut dyn FnMut(BarOutcome)) {
        self.close_until(trade.ts_event, out);
        if self.current.is_some_and(|current| trade.ts_event < current) {
            self.late_trades += 1;
            return;
        }
        let price = trade.price;
        self.building = Some(match self.building {
            None => Building {
                open: price,
                high: price,
                low: price,
                close: price,
                volume: trade.quantity,
            },
            Some(so_far) => Building {
                high: so_far.high.max(price),
                low: so_far.low.min(price),
                close: price,
                // Saturates: a volume beyond 92 billion in one interval is a venue's error, not ours to wrap.
                volume: so_far.volume.checked_add(trade.quantity).unwrap_or(Quantity::MAX),
                ..so_far
            },
        });
    }

    /// Venue time seen on any other stream.
    pub fn on_time(&mut self, ts_event: Timestamp, out: &mut dyn FnMut(BarOutcome)) {
        self.close_until(ts_event.plus(Nanos(-self.grace.0)), out);
    }

    /// A bar from the venue's history: the next interval is the one after it, unless live data are further.
    pub fn on_historical(&mut self, bar: &Bar) {
        let next = bar.ts_close();
        match self.current {
            Some(current) if current > next => {}
            Some(current) if current == next => {
                if self.previous_close.is_none() {
                    self.previous_close = Some(bar.close);
                }
            }
            _ => {
                self.current = Some(next);
                self.building = None;
                self.previous_close = Some(bar.close);
            }
        }
    }

    /// Closes every interval that ends at or before `watermark`.
    fn close_until(&mut self, watermark: Timestamp, out: &mut dyn FnMut(BarOutcome)) {
        let grid = watermark.floor_to(self.span);
        let Some(mut current) = self.current else {
            self.current = Some(grid);
            return;
        };
        let mut missing_from = None;
        let skipped = grid.since(current).0 / self.span.0.max(1);
        if skipped > i64::try_from(EMPTY_BARS_MAX).unwrap_or(i64::MAX) {
            out(BarOutcome::Missing {
                from: current,
                to: grid,
            });
            self.current = Some(grid);
            self.building = None;
            return;
        }
        while current < grid {
            match self.close_one(current) {
                Some(bar) => {
                    if let Some(from) = missing_from.take() {
                        out(BarOutcome::Missing { from, to: current });
                    }
                    out(BarOutcome::Closed(bar));
                }
                None => missing_from = missing_from.or(Some(current)),
            }
            current = current.plus(self.span);
        }
        if let Some(from) = missing_from {
            out(BarOutcome::Missing { from, to: current });
        }
        self.current = Some(current);
    }

    /// The bar of the interval starting at `ts_open`; `None` when it was not watched whole.
    fn close_one(&mut self, ts_open: Timestamp) -> Option<Bar> {
        let built = self.building.take();
        let previous = self.previous_close;
        self.previous_close = built.map(|bar| bar.close).or(previous);
        let watched = self.complete_since.is_some_and(|since| since <= ts_open);
        if !watched {
            return None;
        }
        let flat = |close| Building {
            open: close,
            high: close,
            low: close,
            close,
            volume: Quantity::ZERO,
        };
        let built = built.or_else(|| previous.map(flat))?;
        Some(Bar {
            instrument: self.instrument,
            ts_open,
            span: self.span,
            open: built.open,
            high: built.high,
            low: built.low,
            close: built.close,
            volume: built.volume,
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::{Side, TradeId};

    use super::*;

    const SPAN: Nanos = Nanos(100);
    const GRACE: Nanos = Nanos(10);

    fn trade(ts: i64, price: i64, quantity: i64) -> Trade {
        Trade {
            instrument: InstrumentId(0),
            ts_event: Timestamp::from_nanos(ts),
            trade_id: TradeId(0),
            price: Price::from_units(price),
            quantity: Quantity::from_units(quantity),
            aggressor: Side::Buy,
        }
    }

    fn run(builder: &mut BarBuilder, trades: &[Trade]) -> Vec<BarOutcome> {
        let mut outcomes = Vec::new();
        for one in trades {
            builder.on_trade(one, &mut |outcome| outcomes.push(outcome));
        }
        outcomes
    }

    fn bar(ts_open: i64, ohlc: [i64; 4], volume: i64) -> Bar {
        let [open, high, low, close] = ohlc.map(Price::from_units);
        let ts_open = Timestamp::from_nanos(ts_open);
        let volume = Quantity::from_units(volume);
        Bar {
            instrument: InstrumentId(0),
            ts_open,
            span: SPAN,
            open,
            high,
            low,
            close,
            volume,
        }
    }

    #[test]
    fn closes_on_the_first_trade_past_the_end_and_fills_empty_intervals() {
        let mut builder = BarBuilder::new(InstrumentId(0), SPAN, GRACE);
        builder.set_complete_since(Timestamp::from_nanos(0));
        let trades = [trade(0, 5, 1), trade(40, 9, 2), trade(99, 4, 3), trade(310, 7, 1)];
        let outcomes = run(&mut builder, &trades);
        assert_eq!(
            outcomes,
            [
                BarOutcome::Closed(bar(0, [5, 9, 4, 4], 6)),
                BarOutcome::Closed(bar(100, [4, 4, 4, 4], 0)),
                BarOutcome::Closed(bar(200, [4, 4, 4, 4], 0)),
            ]
        );
    }

    #[test]
    fn an_interval_joined_midway_is_missing_not_guessed() {
        let mut builder = BarBuilder::new(InstrumentId(0), SPAN, GRACE);
        builder.set_complete_since(Timestamp::from_nanos(30));
        let outcomes = run(
            &mut builder,
            &[trade(40, 9, 2), trade(120, 7, 1), trade(200, 8, 1)],
        );
        let missing = BarOutcome::Missing {
            from: Timestamp::from_nanos(0),
            to: Timestamp::from_nanos(100),
        };
        assert_eq!(outcomes, [missing, BarOutcome::Closed(bar(100, [7, 7, 7, 7], 1))]);
    }

    #[test]
    fn another_stream_closes_only_after_the_grace() {
        let mut builder = BarBuilder::new(InstrumentId(0), SPAN, GRACE);
        builder.set_complete_since(Timestamp::from_nanos(0));
        let mut outcomes = run(&mut builder, &[trade(10, 5, 1)]);
        builder.on_time(Timestamp::from_nanos(109), &mut |outcome| outcomes.push(outcome));
        assert!(outcomes.is_empty());
        builder.on_time(Timestamp::from_nanos(110), &mut |outcome| outcomes.push(outcome));
        assert_eq!(outcomes, [BarOutcome::Closed(bar(0, [5, 5, 5, 5], 1))]);
    }

    #[test]
    fn a_late_trade_is_counted_and_left_out() {
        let mut builder = BarBuilder::new(InstrumentId(0), SPAN, GRACE);
        builder.set_complete_since(Timestamp::from_nanos(0));
        run(
            &mut builder,
            &[trade(10, 5, 1), trade(110, 6, 1), trade(90, 7, 1)],
        );
        assert_eq!(builder.late_trades(), 1);
    }

    #[test]
    fn a_gap_beyond_the_bound_is_one_missing_range() {
        let mut builder = BarBuilder::new(InstrumentId(0), SPAN, GRACE);
        builder.set_complete_since(Timestamp::from_nanos(0));
        let far = (i64::try_from(EMPTY_BARS_MAX).unwrap() + 1) * SPAN.0;
        let outcomes = run(&mut builder, &[trade(10, 5, 1), trade(far, 6, 1)]);
        let missing = BarOutcome::Missing {
            from: Timestamp::from_nanos(0),
            to: Timestamp::from_nanos(far),
        };
        assert_eq!(outcomes, [missing]);
    }
}
