//! Backtests: the engine over the simulated venue, with a strategy that Rust knows or one written in Python.

mod columns;
mod market;
mod options;
mod program;
mod results;
mod settings;
mod strategy;
mod views;

use pyo3::prelude::*;

use crate::error::refused;
use market::Market;
use options::Options;
use program::Loaded;
pub(crate) use results::BacktestResults;
use settings::settings;
use strategy::Failure;
pub(crate) use views::{BarView, CancelWorking, Order, OrderUpdate, QuoteView, SlotView};

/// Runs a strategy over bars or quotes; the same engine, risk and order path as live.
///
/// `data`: bars (Int64 columns ts_open, open, high, low, close, volume) or quotes (ts_event, bid, bid_quantity, ask,
/// ask_quantity), rows in order of time; times in ns UTC, prices and quantities in units of 1e-8. A Polars, pyarrow or
/// pandas frame, a mapping of columns (lists or arrays), or an array or list of rows with the columns in this order. A
/// frame of bars also has the Float64 columns that the strategy's features read beside those of bars (`columns_beside`).
///
/// `strategy`: a mapping with `kind`: "sma_cross" (`fast`, `slow`, `position_size_pct`), "threshold_model" (`model`:
/// bytes of the ONNX file, `features`: canonical JSON, `strategy`: text of the strategy file), or "python" (`object`,
/// and `features` and `model` where it has them); or the Python object itself. Such an object has `on_bar(view, bar)`,
/// `on_quote(view, quote)` or both, and may have `on_order(view, update)`; each returns `None`, an `Order`, a
/// `CancelWorking`, or a sequence of them.
///
/// `trades`: those of the quotes' market, as `event_bars` takes them. Bars, of the clock (`bar_seconds`) and of events, close by
/// them, so that features over them can be read; the quotes at a trade's own time come before it.
///
/// `config`: a mapping, all keys optional: those of `py_rt.backtesting.engine.BacktestConfig`, which says what they mean.
///
/// Raises `CoreError` for input that cannot be run, and whatever the Python strategy raised.
#[pyfunction]
#[pyo3(signature = (data, strategy, config = None, trades = None))]
pub(crate) fn backtest_strategy(
    py: Python<'_>,
    data: &Bound<'_, PyAny>,
    strategy: &Bound<'_, PyAny>,
    config: Option<&Bound<'_, PyAny>>,
    trades: Option<&Bound<'_, PyAny>>,
) -> PyResult<BacktestResults> {
    let mut options = Options::new(py, "config", config)?;
    let market = Market::read(data, trades, &mut options)?;
    let failure = Failure::default();
    let loaded = Loaded::new(strategy, &market, &failure)?;
    let (settings, start) = settings(options, &market, &loaded)?;
    let names = loaded.feature_names();
    let program = loaded.program;
    let beside = program.features.as_ref().map(|features| market.beside(features));
    let beside = beside.transpose()?.unwrap_or_default();
    let stop = Some(failure.flag());
    let report = py.detach(|| match &market {
        Market::Bars { bars, .. } => backtest::over_bars(&settings, program, bars, &beside, start, stop),
        Market::Quotes(quotes) => backtest::over_quotes(&settings, program, quotes.events(), stop),
    });
    if let Some(raised) = failure.take() {
        return Err(raised);
    }
    let report = report.map_err(refused)?;
    BacktestResults::new(&report, &settings, &names)
}
