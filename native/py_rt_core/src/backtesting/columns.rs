//! Data as Python holds them: a frame, a mapping of columns, or rows.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use crate::arrow;
use crate::error::refused;

/// Columns of bars, in the order of a row.
pub(super) const BAR_COLUMNS: [&str; 6] = ["ts_open", "open", "high", "low", "close", "volume"];

/// Columns of quotes, in the order of a row.
pub(super) const QUOTE_COLUMNS: [&str; 5] = ["ts_event", "bid", "bid_quantity", "ask", "ask_quantity"];

const EXPECTED: &str = "expected a Polars, pyarrow or pandas frame, a mapping of columns, or rows: bars (ts_open, open, \
                        high, low, close, volume) or quotes (ts_event, bid, bid_quantity, ask, ask_quantity)";

/// The batches of `data`: frames are read where they lie, everything else goes through numpy.
pub(super) fn batches(data: &Bound<'_, PyAny>) -> PyResult<Vec<RecordBatch>> {
    if data.hasattr("__arrow_c_stream__")? {
        return arrow::batches(data);
    }
    let numpy = data.py().import("numpy")?;
    let named = |names: &[&'static str]| -> PyResult<Vec<RecordBatch>> {
        let columns = names.iter().map(|name| Ok((*name, data.get_item(name)?)));
        batch(&numpy, columns.collect::<PyResult<_>>()?)
    };
    for (key, names) in [("ts_open", &BAR_COLUMNS[..]), ("ts_event", &QUOTE_COLUMNS[..])] {
        if data.get_item(key).is_ok() {
            return named(names).map_err(|fault| refused(format!("{fault}; {EXPECTED}")));
        }
    }
    let rows = numpy
        .call_method1("asarray", (data,))
        .map_err(|_| refused(EXPECTED))?;
    let shape: Vec<usize> = rows.getattr("shape")?.extract()?;
    let names = match shape[..] {
        [_, 6] => &BAR_COLUMNS[..],
        [_, 5] => &QUOTE_COLUMNS[..],
        _ => return Err(refused(format!("data have the shape {shape:?}; {EXPECTED}"))),
    };
    let columns = rows.getattr("T")?;
    let columns = names
        .iter()
        .enumerate()
        .map(|(at, name)| Ok((*name, columns.get_item(at)?)));
    batch(&numpy, columns.collect::<PyResult<_>>()?)
}

/// One batch of named columns, each turned into 64-bit integers where that loses nothing.
fn batch(
    numpy: &Bound<'_, PyModule>,
    columns: Vec<(&'static str, Bound<'_, PyAny>)>,
) -> PyResult<Vec<RecordBatch>> {
    let mut arrays: Vec<(&str, ArrayRef)> = Vec::with_capacity(columns.len());
    for (name, column) in columns {
        let whole = numpy
            .call_method1("asarray", (column,))?
            .call_method1("astype", ("int64", "C", "safe"))
            .and_then(|array| array.extract::<PyReadonlyArray1<'_, i64>>().map_err(Into::into))
            .map_err(|fault| {
                refused(format!(
                    "column {name} does not hold whole numbers in one dimension (units of 1e-8, or ns): {fault}"
                ))
            })?;
        let values: Int64Array = whole.as_array().iter().copied().collect::<Vec<_>>().into();
        arrays.push((name, Arc::new(values)));
    }
    RecordBatch::try_from_iter(arrays)
        .map(|batch| vec![batch])
        .map_err(refused)
}
