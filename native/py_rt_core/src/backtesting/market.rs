//! The data of a backtest: bars, or quotes and trades, checked.

use arrow_array::{Int64Array, RecordBatch};
use backtest::tick_of;
use domain::{Bar, InstrumentId, Nanos, Price, Quantity, Quote, Timestamp, Trade};
use engine::signals::{Beside, FeatureEngine, FeatureSpec};
use pyo3::prelude::*;
use simulation::PublicEvent;

use super::columns::{QUOTE_COLUMNS, batches};
use super::options::Options;
use crate::arrow;
use crate::error::refused;
use crate::features::{Grid, columns_of, each_bar};
use crate::flow::all_trades;

/// Distance between points of equity over quotes, where none is given.
const QUOTES_SPAN_SECONDS: i64 = 900;

/// What a backtest runs over.
pub(super) enum Market {
    /// Bars of one span, ascending.
    Bars {
        /// The bars.
        bars: Vec<Bar>,
        /// Their length.
        span: Nanos,
        /// The columns that they were read from.
        batches: Vec<RecordBatch>,
    },
    /// Quotes, ascending, and trades.
    Quotes(Quotes),
}

impl Market {
    /// Reads `data`; takes `bar_seconds` from the options.
    pub(super) fn read(
        data: &Bound<'_, PyAny>,
        trades: Option<&Bound<'_, PyAny>>,
        options: &mut Options<'_>,
    ) -> PyResult<Self> {
        let batches = batches(data)?;
        let trades = trades.map(arrow::batches).transpose()?;
        let trades = trades.map(|trades| all_trades(&trades)).transpose()?;
        let given: Option<i64> = options.number("bar_seconds")?;
        if given.is_some_and(|seconds| seconds <= 0) {
            return Err(refused("config: bar_seconds must be above 0"));
        }
        let given = given.map(Nanos::from_secs);
        let is_quotes = batches
            .first()
            .is_some_and(|batch| batch.column_by_name("bid").is_some());
        if is_quotes {
            let span = given.unwrap_or(Nanos::from_secs(QUOTES_SPAN_SECONDS));
            return Quotes::check(&batches, trades, span).map(Self::Quotes);
        }
        if trades.is_some() {
            return Err(refused(
                "trades are given beside quotes; a market is made of bars, with trades of its own",
            ));
        }
        let span = match given {
            Some(span) => span,
            None => span_of(&batches)?,
        };
        let mut bars: Vec<Bar> = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        let mut fault = None;
        for batch in &batches {
            each_bar(batch, Grid::Clock(span), |bar| {
                if bars.last().is_some_and(|last| last.ts_open >= bar.ts_open) {
                    fault.get_or_insert(bars.len());
                }
                bars.push(*bar);
            })?;
        }
        match fault {
            Some(row) => Err(refused(format!("row {row}: ts_open does not ascend"))),
            None => Ok(Self::Bars { bars, span, batches }),
        }
    }

    /// What is known of each bar beside its prices: the columns that the features read beside those of bars.
    pub(super) fn beside(&self, features: &FeatureSpec) -> PyResult<Vec<Beside>> {
        let engine = FeatureEngine::new(features).map_err(refused)?;
        let Self::Bars { bars, batches, .. } = self else {
            return Ok(Vec::new());
        };
        if engine.columns_beside().is_empty() {
            return Ok(Vec::new());
        }
        let mut known = Vec::with_capacity(bars.len());
        for batch in batches {
            let columns = columns_of(&engine, batch)?;
            known.extend(
                (0..batch.num_rows()).map(|row| engine.beside(columns.iter().map(|column| column[row]))),
            );
        }
        Ok(known)
    }

    /// Length of a bar, or the distance between points of equity.
    pub(super) const fn span(&self) -> Nanos {
        match self {
            Self::Bars { span, .. } => *span,
            Self::Quotes(quotes) => quotes.span,
        }
    }

    /// The coarsest tick size that fits all prices.
    pub(super) fn tick(&self) -> Price {
        match self {
            Self::Bars { bars, .. } => tick_of(
                bars.iter()
                    .flat_map(|bar| [bar.open, bar.high, bar.low, bar.close]),
            ),
            Self::Quotes(quotes) => {
                let traded = quotes.trades.iter().flatten().map(|trade| trade.price);
                tick_of(
                    quotes
                        .quotes()
                        .flat_map(|quote| [quote.bid, quote.ask])
                        .chain(traded),
                )
            }
        }
    }
}

/// The smallest distance between two bars: their length.
fn span_of(batches: &[RecordBatch]) -> PyResult<Nanos> {
    let (mut before, mut smallest) = (None, i64::MAX);
    for batch in batches {
        for &ts_open in arrow::int64(batch, "ts_open")?.values() {
            let step = before
                .replace(ts_open)
                .map(|before: i64| ts_open.saturating_sub(before));
            smallest = smallest.min(step.filter(|step| *step > 0).unwrap_or(i64::MAX));
        }
    }
    if smallest == i64::MAX {
        return Err(refused(
            "the length of a bar cannot be told from fewer than two rows: give bar_seconds",
        ));
    }
    Ok(Nanos(smallest))
}

/// Quotes in Arrow columns, read where they lie.
pub(super) struct Quotes {
    batches: Vec<[Int64Array; 5]>,
    /// What was traded meanwhile, where that is known.
    trades: Option<Vec<Trade>>,
    span: Nanos,
}

impl Quotes {
    fn check(batches: &[RecordBatch], trades: Option<Vec<Trade>>, span: Nanos) -> PyResult<Self> {
        let batches = batches
            .iter()
            .map(|batch| {
                let mut columns = QUOTE_COLUMNS.map(|_| Int64Array::from(Vec::<i64>::new()));
                for (column, name) in columns.iter_mut().zip(QUOTE_COLUMNS) {
                    // The buffers are shared, not copied.
                    *column = arrow::int64(batch, name)?.clone();
                }
                Ok(columns)
            })
            .collect::<PyResult<_>>()?;
        let quotes = Self {
            batches,
            trades,
            span,
        };
        let mut before = Timestamp::from_nanos(i64::MIN);
        for (row, quote) in quotes.quotes().enumerate() {
            let sizes = quote.bid_quantity.min(quote.ask_quantity);
            if quote.ts_event < before {
                return Err(refused(format!("row {row}: ts_event does not ascend")));
            }
            if quote.bid <= Price::ZERO || quote.ask <= quote.bid || sizes < Quantity::ZERO {
                return Err(refused(format!(
                    "row {row}: needs 0 < bid < ask and no negative quantity; found bid {} ask {}",
                    quote.bid, quote.ask
                )));
            }
            before = quote.ts_event;
        }
        Ok(quotes)
    }

    fn quotes(&self) -> impl Iterator<Item = Quote> + '_ {
        self.batches
            .iter()
            .flat_map(|[times, bids, bid_sizes, asks, ask_sizes]| {
                (0..times.len()).map(move |row| Quote {
                    instrument: InstrumentId(0),
                    ts_event: Timestamp::from_nanos(times.value(row)),
                    update_id: 0,
                    bid: Price::from_units(bids.value(row)),
                    bid_quantity: Quantity::from_units(bid_sizes.value(row)),
                    ask: Price::from_units(asks.value(row)),
                    ask_quantity: Quantity::from_units(ask_sizes.value(row)),
                })
            })
    }

    /// Quotes and trades as the venue plays them: at one time quotes first.
    pub(super) fn events(&self) -> impl Iterator<Item = PublicEvent> + '_ {
        let mut quotes = self.quotes().peekable();
        let mut trades = self.trades.iter().flatten().peekable();
        std::iter::from_fn(move || {
            let traded = trades.peek().map(|trade| trade.ts_event);
            let is_quote = |quote: &Quote| traded.is_none_or(|traded| quote.ts_event <= traded);
            let quote = quotes.next_if(is_quote).map(PublicEvent::Quote);
            quote.or_else(|| trades.next().copied().map(PublicEvent::Trade))
        })
    }

    /// Whether bars close.
    pub(super) const fn closes_bars(&self) -> bool {
        self.trades.is_some()
    }
}
