//! What happened in each bar of a running market, as [`Flow`] has it of a recorded one: quotes and trades come on streams
//! of their own, and a bar of trades closes later than its quotes do, so that each stream has its own watch.
//!
//! Streams whose events come in order of venue time give every bar the same bits as the recording does, if a quote of before
//! a close is heard before a trade of after it: that trade closes the bar, and what is decided cannot wait. A quote that is
//! later counts from where it is heard, in the bar after its own, and [`BarFlow::late_quotes`] counts it. An interval that
//! was not watched whole has no true bar (`market::bars`), and nothing that is told of it here is believed.

use domain::{Nanos, Timestamp, Trade};

use super::flow::{FLOW, Flow};
use crate::limits::BARS_KEPT;
use crate::strategy::TopOfBook;

/// As many of [`super::FLOW_INPUTS`] are of quotes; the others are of trades.
const OF_QUOTES: usize = 15;

/// One stream, and when the interval ends that it stands in.
#[derive(Debug, Clone)]
struct Watch {
    flow: Flow,
    /// `None` before anything was seen.
    ends: Option<Timestamp>,
}

impl Watch {
    fn new() -> Self {
        Self {
            flow: Flow::new(),
            ends: None,
        }
    }

    /// Closes every interval that ends at or before a time.
    fn advance(&mut self, until: Timestamp, span: Nanos, mut closed: impl FnMut(i64, &[f64; FLOW])) {
        if self.ends.is_some_and(|ends| until < ends) {
            return;
        }
        let number = number(until, span);
        let mut current = self.ends.map_or(number, |ends| self::number(ends, span) - 1);
        let kept = i64::try_from(BARS_KEPT).unwrap_or(i64::MAX);
        if number - current > kept {
            // Nobody asks for what is further back. The first that is kept begins as if all had been closed: of two bars
            // before nothing is left.
            current = number - kept;
            for _ in 0..2 {
                self.flow.close(end_of(current - 1, span));
            }
        }
        while current < number {
            closed(current, &self.flow.close(end_of(current, span)));
            current += 1;
        }
        self.ends = Some(end_of(number, span));
    }

    /// Whether a time stands in the interval that is watched.
    fn is_watching(&self, at: Timestamp, span: Nanos) -> bool {
        self.ends
            .is_some_and(|ends| at < ends && at >= ends.plus(Nanos(-span.0)))
    }
}

const fn number(at: Timestamp, span: Nanos) -> i64 {
    at.nanos().div_euclid(span.0)
}

const fn end_of(number: i64, span: Nanos) -> Timestamp {
    Timestamp::from_nanos((number + 1).saturating_mul(span.0))
}

/// What is known of one interval.
#[derive(Debug, Clone, Copy)]
struct Row {
    number: i64,
    values: [f64; FLOW],
    /// It has a bar of our own watching.
    is_true: bool,
}

/// Quotes and trades of one instrument by its bars; the newest [`BARS_KEPT`] are remembered.
#[derive(Debug, Clone)]
pub struct BarFlow {
    span: Nanos,
    quotes: Watch,
    trades: Watch,
    /// The latest time of the venue that was heard.
    latest: Option<Timestamp>,
    /// Quotes of an interval that had closed before they were heard.
    late_quotes: u64,
    rows: Vec<Row>,
}

impl BarFlow {
    /// Nothing is known; bars are `span` long, which is positive.
    #[must_use]
    pub fn new(span: Nanos) -> Self {
        let row = Row {
            number: i64::MIN,
            values: [f64::NAN; FLOW],
            is_true: false,
        };
        Self {
            span,
            quotes: Watch::new(),
            trades: Watch::new(),
            latest: None,
            late_quotes: 0,
            rows: vec![row; BARS_KEPT],
        }
    }

    /// The best prices as they are from now on; `None` while the book is not known. Trades up to `traded` have come.
    pub fn on_top(&mut self, ts_event: Timestamp, top: Option<TopOfBook>, traded: Timestamp) {
        self.close_quotes(ts_event);
        self.close_trades(traded);
        self.late_quotes += u64::from(!self.quotes.is_watching(ts_event, self.span));
        self.quotes.flow.on_top(ts_event, top);
        self.latest = self.latest.max(Some(ts_event));
    }

    /// How many quotes were of an interval that had closed before they were heard: the columns of quotes of so many bars
    /// may differ from those of a recording.
    #[must_use]
    pub const fn late_quotes(&self) -> u64 {
        self.late_quotes
    }

    /// The book is lost. Nobody says when: nothing is known of it from the latest word on.
    pub fn lose_top(&mut self) {
        if let Some(latest) = self.latest {
            self.quotes.flow.on_top(latest, None);
        }
    }

    /// A public trade; one of an interval that has closed is left out, as its bar does.
    pub fn on_trade(&mut self, trade: &Trade) {
        self.close_quotes(trade.ts_event);
        self.close_trades(trade.ts_event);
        self.latest = self.latest.max(Some(trade.ts_event));
        if self.trades.is_watching(trade.ts_event, self.span) {
            self.trades.flow.on_trade(trade);
        }
    }

    /// The interval of this number has closed as a bar that was watched whole.
    pub fn confirm(&mut self, number: i64) {
        let row = &mut self.rows[place(number)];
        row.is_true |= row.number == number;
    }

    /// What happened in a bar, in the order of [`super::FLOW_INPUTS`]; `None` where it was not watched whole.
    #[must_use]
    pub fn of(&self, number: i64) -> Option<&[f64; FLOW]> {
        let row = &self.rows[place(number)];
        (row.is_true && row.number == number).then_some(&row.values)
    }

    fn close_quotes(&mut self, until: Timestamp) {
        let rows = &mut self.rows;
        self.quotes.advance(until, self.span, |number, values| {
            row(rows, number).values[..OF_QUOTES].copy_from_slice(&values[..OF_QUOTES]);
        });
    }

    fn close_trades(&mut self, until: Timestamp) {
        let rows = &mut self.rows;
        self.trades.advance(until, self.span, |number, values| {
            row(rows, number).values[OF_QUOTES..].copy_from_slice(&values[OF_QUOTES..]);
        });
    }
}

/// The row of an interval; one that stood there before is forgotten.
fn row(rows: &mut [Row], number: i64) -> &mut Row {
    let row = &mut rows[place(number)];
    if row.number != number {
        *row = Row {
            number,
            values: [f64::NAN; FLOW],
            is_true: false,
        };
    }
    row
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a remainder of a few thousand"
)]
const fn place(number: i64) -> usize {
    number.rem_euclid(BARS_KEPT as i64) as usize
}
