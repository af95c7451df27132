//! Technical indicators over whole columns.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

use crate::error::refused;

/// Simple moving average of the last `window` prices; the first `window - 1` values are NaN.
///
/// `prices`: a list, numpy array, Polars or pandas Series, or Arrow array of numbers, shape (n,). Float64 arrays
/// are read where they lie. Returns a float64 array of shape (n,). Raises `CoreError` for a window of zero, or
/// values that are not numbers in one dimension. Sums are compensated (Neumaier, 1974): no drift.
#[pyfunction]
pub(crate) fn calculate_sma<'py>(
    prices: &Bound<'py, PyAny>,
    window: usize,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let py = prices.py();
    if window == 0 {
        return Err(refused("window is 0; expected at least 1"));
    }
    let numpy = py.import("numpy")?;
    let array = numpy
        .call_method1("ascontiguousarray", (prices, "float64"))
        .map_err(|error| refused(format!("prices are not numbers: {error}")))?;
    let array: PyReadonlyArray1<'py, f64> = array
        .extract()
        .map_err(|_| refused("prices must have one dimension"))?;
    let values = array.as_array();
    let values = values
        .as_slice()
        .ok_or_else(|| refused("prices must be contiguous"))?;
    let averages = py.detach(|| sma(values, window));
    debug_assert_eq!(averages.len(), values.len(), "one average per price");
    Ok(averages.into_pyarray(py))
}

/// Averages of the last `window` values, each window summed from compensated additions and removals.
fn sma(values: &[f64], window: usize) -> Vec<f64> {
    let mut averages = Vec::with_capacity(values.len());
    let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
    let mut add = |value: f64| {
        let next = sum + value;
        lost += if sum.abs() >= value.abs() {
            (sum - next) + value
        } else {
            (value - next) + sum
        };
        sum = next;
        sum + lost
    };
    for (at, &value) in values.iter().enumerate() {
        let mut total = add(value);
        if at >= window {
            total = add(-values[at - window]);
        }
        averages.push(if at + 1 < window {
            f64::NAN
        } else {
            total / window as f64
        });
    }
    averages
}
