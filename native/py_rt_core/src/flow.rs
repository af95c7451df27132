//! Bars from trades and quotes: `engine::signals::{EventBars, Flow}` over columns of events.

use arrow_array::RecordBatch;
use domain::{Decimal, InstrumentId, Price, Quantity, Side, Timestamp, Trade, TradeId};
use engine::signals::{BarRule, EventBar, EventBars, EventRule, FLOW_INPUTS, Flow};
use engine::strategy::TopOfBook;
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use crate::arrow;
use crate::error::refused;

/// Most bars of a table, 1.4 GB of columns: beyond, a length is taken for a mistake.
const BARS_MAX: i64 = 8_000_000;

/// Names and columns of a table.
type Table<'py> = Vec<(&'static str, Bound<'py, PyArray1<i64>>)>;
/// Numbers of the intervals, and names and columns of what happened in them.
type Flows<'py> = (
    Bound<'py, PyArray1<i64>>,
    Vec<(&'static str, Bound<'py, PyArray1<f64>>)>,
);

/// Bars of trades.
///
/// `trades`: Int64 columns ts (ns), price, quantity (units of 1e-8), side (1 bought, -1 sold by who took liquidity), in order of
/// time. `rule`: time (`size` in ns), ticks, volume, dollars (`size` as people write it), or `ticks`, `volume` or `dollars`
/// followed by `_imbalance` or `_run` (`size`: trades expected of a bar; `bars`: over which sides are averaged).
/// Returns names and columns: ts_open, ts_close (ns), open, high, low, close, volume, buy_volume (units), trades; the bar that
/// is not closed is left out; of several that open at one instant each is set 1 ns behind the one before. Raises `CoreError` for another rule or a wrong column, naming the row.
#[pyfunction]
pub(crate) fn event_bars<'py>(
    trades: &Bound<'py, PyAny>,
    rule: &str,
    size: f64,
    bars: f64,
) -> PyResult<Table<'py>> {
    let py = trades.py();
    let rule = rule_of(rule, size, bars)?;
    let batches = arrow::batches(trades)?;
    let made = py.detach(|| {
        let (mut builder, mut made) = (EventBars::new(rule), Vec::new());
        for trade in all_trades(&batches)? {
            made.extend(builder.on_trade(&trade));
        }
        Ok::<_, PyErr>(made)
    })?;
    let column = |of: fn(&EventBar) -> i64| made.iter().map(of).collect::<Vec<_>>().into_pyarray(py);
    Ok(vec![
        ("ts_open", column(|bar| bar.ts_open.nanos())),
        ("ts_close", column(|bar| bar.ts_close.nanos())),
        ("open", column(|bar| bar.open.units())),
        ("high", column(|bar| bar.high.units())),
        ("low", column(|bar| bar.low.units())),
        ("close", column(|bar| bar.close.units())),
        ("volume", column(|bar| bar.volume.units())),
        ("buy_volume", column(|bar| bar.buy_volume.units())),
        (
            "trades",
            column(|bar| i64::try_from(bar.trades).unwrap_or(i64::MAX)),
        ),
    ])
}

/// What happened in intervals of `bar_ns`: quotes, queues and trades, as expressions read them.
///
/// `quotes`: Int64 columns ts (ns), bid, bid_quantity, ask, ask_quantity, bid_depth, ask_depth (units of 1e-8; a bid of 0: the
/// book is not known), `trades` as for `event_bars`; both in order of time, at one time quotes first. Returns the numbers of the
/// intervals since the epoch, from the first event's to the last whole one, and names and Float64 columns.
#[pyfunction]
pub(crate) fn flow_columns<'py>(
    quotes: &Bound<'py, PyAny>,
    trades: &Bound<'py, PyAny>,
    bar_ns: i64,
) -> PyResult<Flows<'py>> {
    let py = quotes.py();
    if bar_ns <= 0 {
        return Err(refused(format!(
            "a bar of {bar_ns} ns; allowed are positive lengths"
        )));
    }
    let (quotes, trades) = (arrow::batches(quotes)?, arrow::batches(trades)?);
    let (numbers, columns) = py.detach(|| flows(&quotes, &trades, bar_ns))?;
    let names = FLOW_INPUTS.iter().map(|input| input.name());
    let columns = names.zip(columns.into_iter().map(|column| column.into_pyarray(py)));
    Ok((numbers.into_pyarray(py), columns.collect()))
}

fn flows(quotes: &[RecordBatch], trades: &[RecordBatch], bar_ns: i64) -> PyResult<(Vec<i64>, Vec<Vec<f64>>)> {
    let (quotes, trades) = (all_quotes(quotes)?, all_trades(trades)?);
    let (mut numbers, mut columns) = (Vec::new(), vec![Vec::new(); FLOW_INPUTS.len()]);
    let times = || {
        quotes
            .iter()
            .map(|quote| quote.ts)
            .chain(trades.iter().map(|trade| trade.ts_event.nanos()))
    };
    let (Some(first), Some(last)) = (times().min(), times().max()) else {
        return Ok((numbers, columns));
    };
    let (first, end) = (first.div_euclid(bar_ns), last.div_euclid(bar_ns));
    let bars = end.saturating_sub(first);
    if bars > BARS_MAX {
        return Err(refused(format!(
            "{bars} bars of {bar_ns} ns; allowed are {BARS_MAX}: longer bars, or events of a shorter time"
        )));
    }
    let mut flow = Flow::new();
    let (mut quote, mut trade) = (0, 0);
    for number in first..end {
        let close = (number + 1).saturating_mul(bar_ns);
        loop {
            let quoted = quotes.get(quote).filter(|quote| quote.ts < close);
            let traded = trades.get(trade).filter(|trade| trade.ts_event.nanos() < close);
            match (quoted, traded) {
                (Some(one), other) if other.is_none_or(|other| one.ts <= other.ts_event.nanos()) => {
                    flow.on_top(Timestamp::from_nanos(one.ts), one.top);
                    flow.on_depth(one.depth[0], one.depth[1]);
                    quote += 1;
                }
                (_, Some(one)) => {
                    flow.on_trade(one);
                    trade += 1;
                }
                _ => break,
            }
        }
        numbers.push(number);
        for (column, value) in columns.iter_mut().zip(flow.close(Timestamp::from_nanos(close))) {
            column.push(value);
        }
    }
    Ok((numbers, columns))
}

/// The best prices at a time, and the quantities within the depth that is looked at.
struct Quote {
    ts: i64,
    top: Option<TopOfBook>,
    depth: [Quantity; 2],
}

fn all_quotes(batches: &[RecordBatch]) -> PyResult<Vec<Quote>> {
    let names = [
        "ts",
        "bid",
        "bid_quantity",
        "ask",
        "ask_quantity",
        "bid_depth",
        "ask_depth",
    ];
    let mut made = Vec::new();
    each_row(
        batches,
        names,
        |[ts, bid, bid_quantity, ask, ask_quantity, bid_depth, ask_depth]| {
            if [bid_quantity, ask_quantity, bid_depth, ask_depth]
                .iter()
                .any(|quantity| *quantity < 0)
            {
                return Err(format!(
                    "quantities {bid_quantity}, {ask_quantity}, depths {bid_depth}, {ask_depth}; allowed are none below 0"
                ));
            }
            let top = TopOfBook {
                bid: Price::from_units(bid),
                bid_quantity: Quantity::from_units(bid_quantity),
                ask: Price::from_units(ask),
                ask_quantity: Quantity::from_units(ask_quantity),
            };
            let top = (bid > 0 && ask > bid).then_some(top);
            let depth = [bid_depth, ask_depth].map(Quantity::from_units);
            made.push(Quote { ts, top, depth });
            Ok(())
        },
    )?;
    Ok(made)
}

/// Trades of columns, in order of time.
pub(crate) fn all_trades(batches: &[RecordBatch]) -> PyResult<Vec<Trade>> {
    let mut made = Vec::new();
    each_row(
        batches,
        ["ts", "price", "quantity", "side"],
        |[ts, price, quantity, side]| {
            let aggressor = match side {
                1 => Side::Buy,
                -1 => Side::Sell,
                other => return Err(format!("side is {other}; allowed are 1 (bought) and -1 (sold)")),
            };
            if price <= 0 || quantity <= 0 {
                return Err(format!(
                    "price {price}, quantity {quantity}; allowed are positive ones"
                ));
            }
            made.push(Trade {
                instrument: InstrumentId(0),
                ts_event: Timestamp::from_nanos(ts),
                trade_id: TradeId(0),
                price: Price::from_units(price),
                quantity: Quantity::from_units(quantity),
                aggressor,
            });
            Ok(())
        },
    )?;
    Ok(made)
}

/// Hands every row to `take`, its first column being times that must not go back.
fn each_row<const N: usize>(
    batches: &[RecordBatch],
    names: [&str; N],
    mut take: impl FnMut([i64; N]) -> Result<(), String>,
) -> PyResult<()> {
    let (mut row, mut last) = (0_usize, i64::MIN);
    for batch in batches {
        let mut columns: Vec<&[i64]> = Vec::with_capacity(N);
        for name in names {
            columns.push(arrow::int64(batch, name)?.values());
        }
        let mut columns: Vec<_> = columns.into_iter().map(|column| column.iter()).collect();
        for _ in 0..batch.num_rows() {
            let next = |column: usize| columns[column].next().copied().unwrap_or_default();
            let values: [i64; N] = std::array::from_fn(next);
            if values[0] < last {
                return Err(refused(format!(
                    "row {row}: the time {} is before the one above it",
                    values[0]
                )));
            }
            last = values[0];
            take(values).map_err(|fault| refused(format!("row {row}: {fault}")))?;
            row += 1;
        }
    }
    Ok(())
}

fn rule_of(rule: &str, size: f64, bars: f64) -> PyResult<BarRule> {
    if !size.is_finite() || size <= 0.0 || !bars.is_finite() || bars < 1.0 {
        return Err(refused(format!(
            "size {size}, bars {bars}; allowed are a size above 0 and bars of at least 1"
        )));
    }
    if rule == "time" {
        return Ok(BarRule::Time(nanoseconds(size)));
    }
    let named = EventRule::named(rule, Decimal::ONE, 1).ok_or_else(|| {
        refused(format!(
            "no rule {rule:?}; there are time, and ticks, volume, dollars, alone or with _imbalance or _run"
        ))
    })?;
    if named.counts_trades() && size < 1.0 {
        return Err(refused(format!("size {size}; {rule} allows 1 or more trades")));
    }
    Ok(named.sized(size, bars))
}

/// Whole nanoseconds; beyond 292 years the most that there are.
#[expect(clippy::cast_possible_truncation, reason = "a float becomes the nearest")]
const fn nanoseconds(size: f64) -> i64 {
    size as i64
}
