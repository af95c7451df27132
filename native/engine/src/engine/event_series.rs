//! Bars that close by events, one series for each rule that a program of the instrument reads.

use domain::{Bar, InstrumentId, Timestamp, Trade};

use crate::limits::BARS_KEPT;
use crate::signals::{Beside, EventBar, EventBars, EventRule};

/// The bars of one rule, from the first trade on that was seen. The venue has no history of them: where trades were missed,
/// everything begins anew.
#[derive(Debug)]
pub(super) struct EventSeries {
    instrument: InstrumentId,
    rule: EventRule,
    builder: EventBars,
    /// Trades from here on are all seen; `None` while the trade stream is down.
    since: Option<Timestamp>,
    /// They follow each other; at least the newest [`BARS_KEPT`] of them.
    bars: Vec<EventBar>,
    /// Number of the bar that is being built.
    next: i64,
}

impl EventSeries {
    fn new(instrument: InstrumentId, rule: EventRule, since: Option<Timestamp>) -> Self {
        Self {
            instrument,
            rule,
            builder: EventBars::new(rule.bar_rule()),
            since,
            bars: Vec::with_capacity(2 * BARS_KEPT),
            next: 0,
        }
    }

    /// Trades were missed, or the stream is down; from `since` on they are all seen again.
    fn begin(&mut self, since: Option<Timestamp>) {
        self.builder = EventBars::new(self.rule.bar_rule());
        self.since = since;
        self.bars.clear();
        // A number is missing: what follows the bars starts over.
        self.next += 1;
    }

    /// The bar that a trade closes, with its number.
    fn on_trade(&mut self, trade: &Trade) -> Option<(i64, EventBar)> {
        if self.since.is_none_or(|since| trade.ts_event < since) {
            return None;
        }
        let bar = self.builder.on_trade(trade)?;
        if self.bars.len() == 2 * BARS_KEPT {
            self.bars.drain(..BARS_KEPT);
        }
        self.bars.push(bar);
        self.next += 1;
        Some((self.next - 1, bar))
    }

    /// Whether a bar is the last one of the series, and the next one will follow it.
    pub(super) fn ends_with(&self, number: Option<i64>) -> bool {
        number == Some(self.next - 1)
    }

    /// The bars with their numbers and what is known beside them, oldest first.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (i64, Bar, Beside)> {
        let count = i64::try_from(self.bars.len()).unwrap_or(0);
        let bars = (self.next - count..).zip(&self.bars);
        bars.map(|(number, bar)| (number, bar.as_bar(self.instrument), bar.beside()))
    }
}

/// The series of an instrument.
#[derive(Debug, Default)]
pub(super) struct AllSeries(Vec<EventSeries>);

impl AllSeries {
    /// Begins a series for a rule that has none; trades that come from now on and are of `since` or later are all seen.
    pub(super) fn need(&mut self, instrument: InstrumentId, rule: EventRule, since: Option<Timestamp>) {
        if self.of(rule).is_none() {
            self.0.push(EventSeries::new(instrument, rule, since));
        }
    }

    /// Drops the series that nothing reads.
    pub(super) fn keep(&mut self, is_read: impl Fn(EventRule) -> bool) {
        self.0.retain(|series| is_read(series.rule));
    }

    pub(super) fn of(&self, rule: EventRule) -> Option<&EventSeries> {
        self.0.iter().find(|series| series.rule == rule)
    }

    pub(super) fn begin(&mut self, since: Option<Timestamp>) {
        self.0.iter_mut().for_each(|series| series.begin(since));
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The bar that a trade closes in one of them: its rule and number.
    pub(super) fn on_trade(&mut self, at: usize, trade: &Trade) -> Option<(EventRule, i64, EventBar)> {
        let series = &mut self.0[at];
        let (number, bar) = series.on_trade(trade)?;
        Some((series.rule, number, bar))
    }
}
