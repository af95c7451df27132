//! What a backtest came to, as tables in Arrow memory and exact integers.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{Decimal128Builder, Float32Builder, Int64Builder, StringBuilder};
use backtest::{BacktestReport, Settings};
use domain::{Money, Side};
use pyo3::prelude::*;

use crate::error::refused;
use crate::table::Table;

/// Digits of an amount of money, and those behind its point.
const MONEY_DIGITS: (u8, i8) = (38, 16);

/// What a backtest came to.
#[pyclass(frozen, get_all, module = "py_rt_core")]
pub(crate) struct BacktestResults {
    equity: Py<Table>,
    fills: Py<Table>,
    signals: Py<Table>,
    events: u64,
    orders: u64,
    cancels: u64,
    ends: BTreeMap<&'static str, u64>,
    denials: BTreeMap<String, u64>,
    alerts: BTreeMap<String, u64>,
    position: i64,
    cost: i128,
    realized: i128,
    unrealized: i128,
    fees: i128,
    foreign_fees: BTreeMap<String, i128>,
    mark: i64,
    final_equity: i128,
    capital: i128,
    tick_size: i64,
    bar_ns: i64,
}

impl BacktestResults {
    /// Puts a report into Python's terms; `names` are those of the features.
    pub(super) fn new(report: &BacktestReport, settings: &Settings, names: &[String]) -> PyResult<Self> {
        let holding = report
            .holding
            .ok_or_else(|| refused("the run has no position to report: a defect of the engine"))?;
        let (equity, fills, signals) = (equity(report)?, fills(report)?, signals(report, names)?);
        let ends = report.ends;
        Python::attach(|py| {
            Ok(Self {
                equity: Py::new(py, equity)?,
                fills: Py::new(py, fills)?,
                signals: Py::new(py, signals)?,
                events: report.events,
                orders: report.orders,
                cancels: report.cancels,
                ends: BTreeMap::from([
                    ("Filled", ends.filled),
                    ("Canceled", ends.canceled),
                    ("Expired", ends.expired),
                    ("Rejected", ends.rejected),
                ]),
                denials: by_name(&report.denials),
                alerts: by_name(&report.alerts),
                position: holding.quantity.units(),
                cost: holding.cost.units(),
                realized: holding.realized.units(),
                unrealized: holding.unrealized.units(),
                fees: holding.fees.units(),
                foreign_fees: by_asset(&report.foreign_fees),
                mark: holding.mark.units(),
                final_equity: holding.equity.units(),
                capital: settings.capital.units(),
                tick_size: settings.instrument.rules.tick_size.units(),
                bar_ns: settings.bar_span.0,
            })
        })
    }
}

/// Counts by the kind's name, without what it holds.
fn by_name<T: Debug>(counted: &[(T, u64)]) -> BTreeMap<String, u64> {
    let named = counted.iter().map(|(kind, count)| {
        let text = format!("{kind:?}");
        let end = text
            .find(|sign: char| !sign.is_alphanumeric())
            .unwrap_or(text.len());
        (text[..end].to_owned(), *count)
    });
    named.collect()
}

fn by_asset(fees: &[Money]) -> BTreeMap<String, i128> {
    let named = fees.iter().map(|fee| (fee.currency().to_string(), fee.units()));
    named.collect()
}

fn money(amounts: impl Iterator<Item = Money>) -> PyResult<ArrayRef> {
    let (precision, scale) = MONEY_DIGITS;
    let mut column = Decimal128Builder::new()
        .with_precision_and_scale(precision, scale)
        .map_err(refused)?;
    amounts.for_each(|amount| column.append_value(amount.units()));
    Ok(Arc::new(column.finish()))
}

fn integers(values: impl Iterator<Item = i64>) -> ArrayRef {
    let mut column = Int64Builder::new();
    values.for_each(|value| column.append_value(value));
    Arc::new(column.finish())
}

fn floats(values: impl Iterator<Item = f32>) -> ArrayRef {
    let mut column = Float32Builder::new();
    values.for_each(|value| column.append_value(value));
    Arc::new(column.finish())
}

fn texts(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    let mut column = StringBuilder::new();
    values.for_each(|value| column.append_option(value));
    Arc::new(column.finish())
}

fn equity(report: &BacktestReport) -> PyResult<Table> {
    let points = &report.equity;
    Table::new(vec![
        ("ts", integers(points.iter().map(|point| point.ts.nanos()))),
        ("equity", money(points.iter().map(|point| point.equity))?),
    ])
}

fn fills(report: &BacktestReport) -> PyResult<Table> {
    let booked = &report.fills;
    let side = |side| match side {
        Side::Buy => "Buy",
        Side::Sell => "Sell",
    };
    let fills = || booked.iter().map(|one| one.fill);
    Table::new(vec![
        ("ts", integers(booked.iter().map(|one| one.ts_event.nanos()))),
        (
            "client_order_id",
            texts(
                booked
                    .iter()
                    .map(|one| one.client_order_id.map(|id| id.to_string())),
            ),
        ),
        (
            "side",
            texts(fills().map(|fill| Some(side(fill.side).to_owned()))),
        ),
        ("price", integers(fills().map(|fill| fill.price.units()))),
        ("quantity", integers(fills().map(|fill| fill.quantity.units()))),
        ("fee", money(fills().map(|fill| fill.fee))?),
        (
            "fee_asset",
            texts(fills().map(|fill| Some(fill.fee.currency().to_string()))),
        ),
        (
            "liquidity",
            texts(fills().map(|fill| Some(format!("{:?}", fill.liquidity)))),
        ),
        ("realized", money(booked.iter().map(|one| one.realized))?),
    ])
}

fn signals(report: &BacktestReport, names: &[String]) -> PyResult<Table> {
    let signals = &report.signals;
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        (
            "ts_close",
            integers(signals.iter().map(|signal| signal.ts_close.nanos())),
        ),
        ("raw_score", floats(signals.iter().map(|signal| signal.raw_score))),
        (
            "probability",
            floats(signals.iter().map(|signal| signal.probability)),
        ),
        (
            "decision",
            texts(
                signals
                    .iter()
                    .map(|signal| Some(format!("{:?}", signal.decision))),
            ),
        ),
    ];
    for (at, name) in names.iter().enumerate() {
        // A bar whose features are not warm has none.
        let value = |signal: &engine::Signal| signal.features.as_slice().get(at).copied().unwrap_or(f32::NAN);
        columns.push((name, floats(signals.iter().map(value))));
    }
    Table::new(columns)
}
