//! Features over columns of bars: the engine's own incremental code, run along the rows.

use arrow_array::RecordBatch;
use domain::{Bar, InstrumentId, Nanos, Price, Quantity, Timestamp};
use engine::FeatureRow;
use engine::signals::{FeatureEngine, FeatureSpec};
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use crate::arrow;
use crate::error::refused;
use crate::program::float64;

/// Columns of features and the mask of rows in which all of them are warm.
type Columns<'py> = (Vec<Bound<'py, PyArray1<f32>>>, Bound<'py, PyArray1<bool>>);

/// The canonical JSON of a feature file: the bytes whose SHA-256 is the specification's identity.
///
/// `text` is TOML; `file_name` only names it in errors. Raises `CoreError` with every fault, file:line each.
#[pyfunction]
pub(crate) fn feature_spec_json(text: &str, file_name: &str) -> PyResult<String> {
    let spec = config::parse_feature_spec(file_name, text).map_err(refused)?;
    Ok(config::feature_spec_canonical_json(&spec))
}

/// Bars after which every feature of the specification has a value, wherever the stream begins.
#[pyfunction]
pub(crate) fn warmup_bars(spec_json: &str) -> PyResult<usize> {
    Ok(engine_of(spec_json)?.1.warmup_bars())
}

/// Names of the columns that the specification reads beside those of bars: what happens in them (`flow_columns`), then its
/// slow parameters.
#[pyfunction]
pub(crate) fn columns_beside(spec_json: &str) -> PyResult<Vec<String>> {
    let (_, engine) = engine_of(spec_json)?;
    Ok(engine.columns_beside().into_iter().map(str::to_owned).collect())
}

/// Features of every bar of a frame.
///
/// `frame`: Int64 columns ts_open (ns, UTC), open, high, low, close (units of 1e-8), volume (units of 1e-8), rows in
/// order of time; of a specification with bars of events ts_close as well, each row the bar after the one above it; and the
/// Float64 columns of `columns_beside` (NaN where it is unknown; prices and quantities in units of 1e-8); anything with `__arrow_c_stream__`, read without a copy. Returns a list of float32 arrays in the
/// specification's order and a bool array: which rows are warm. A row that is not warm holds zeros.
/// Raises `CoreError` for a wrong specification, column or bar, naming the row.
#[pyfunction]
pub(crate) fn compute_features<'py>(spec_json: &str, frame: &Bound<'py, PyAny>) -> PyResult<Columns<'py>> {
    let py = frame.py();
    let (spec, mut engine) = engine_of(spec_json)?;
    let batches = arrow::batches(frame)?;
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let mut columns: Vec<Vec<f32>> = spec.features.iter().map(|_| Vec::with_capacity(rows)).collect();
    let mut warm = Vec::with_capacity(rows);
    py.detach(|| {
        for batch in &batches {
            let columns_beside = columns_of(&engine, batch)?;
            let (mut at_row, first) = (0, warm.len());
            let grid = Grid::of(&spec);
            each_bar(batch, grid, |bar| {
                let beside = engine.beside(columns_beside.iter().map(|column| column[at_row]));
                let row = engine.on_numbered(grid.number(bar, first + at_row), bar, &beside);
                at_row += 1;
                warm.push(row.is_some());
                let values = row.as_ref().map(FeatureRow::as_slice);
                for (at, column) in columns.iter_mut().enumerate() {
                    column.push(values.map_or(0.0, |values| values[at]));
                }
            })?;
        }
        Ok::<_, PyErr>(())
    })?;
    let columns = columns
        .into_iter()
        .map(|column| column.into_pyarray(py))
        .collect();
    Ok((columns, warm.into_pyarray(py)))
}

/// The same features, one bar at a time: what the service does.
#[pyclass(module = "py_rt_core")]
pub(crate) struct FeatureStream {
    engine: FeatureEngine,
    grid: Grid,
    /// Bars taken, and those before them.
    taken: usize,
}

#[pymethods]
impl FeatureStream {
    /// A cold stream for a specification's canonical JSON; in front of its first bar of events stand so many others.
    #[new]
    #[pyo3(signature = (spec_json, before = 0))]
    fn new(spec_json: &str, before: usize) -> PyResult<Self> {
        let (spec, engine) = engine_of(spec_json)?;
        Ok(Self {
            engine,
            grid: Grid::of(&spec),
            taken: before,
        })
    }

    /// Takes one bar (ts_open in ns; prices and volume in units of 1e-8) and the values of `columns_beside` in its order (NaN
    /// where one is unknown); gives its row as a list of floats that hold float32 values, or
    /// `None` while a feature is not warm. A bar of events is the one after the bar before, and says when it closed (ns).
    #[pyo3(signature = (ts_open, open, high, low, close, volume, beside = Vec::new(), ts_close = None))]
    #[expect(clippy::too_many_arguments, reason = "the columns of a bar")]
    fn push(
        &mut self,
        ts_open: i64,
        open: i64,
        high: i64,
        low: i64,
        close: i64,
        volume: i64,
        beside: Vec<f64>,
        ts_close: Option<i64>,
    ) -> PyResult<Option<Vec<f32>>> {
        let expected = self.engine.columns_beside();
        if beside.len() != expected.len() {
            return Err(refused(format!(
                "{} values beside the bar; expected are {}: {}",
                beside.len(),
                expected.len(),
                expected.join(", ")
            )));
        }
        let beside = self.engine.beside(beside.into_iter());
        let bar = self
            .grid
            .bar([ts_open, open, high, low, close, volume], ts_close)
            .map_err(refused)?;
        let number = self.grid.number(&bar, self.taken);
        self.taken += 1;
        Ok(self
            .engine
            .on_numbered(number, &bar, &beside)
            .map(|row| row.as_slice().to_vec()))
    }
}

fn engine_of(spec_json: &str) -> PyResult<(FeatureSpec, FeatureEngine)> {
    let spec = config::parse_feature_spec_json("features.json", spec_json).map_err(refused)?;
    let engine = FeatureEngine::new(&spec).map_err(refused)?;
    Ok((spec, engine))
}

/// The columns that are read beside those of bars.
pub(crate) fn columns_of<'a>(engine: &FeatureEngine, batch: &'a RecordBatch) -> PyResult<Vec<&'a [f64]>> {
    let column = |name| float64(batch, name).map(|values| -> &[f64] { values.values() });
    engine.columns_beside().into_iter().map(column).collect()
}

/// Where bars stand.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Grid {
    /// On the grid of their length.
    Clock(Nanos),
    /// One after the other: events close them.
    Events,
}

impl Grid {
    fn of(spec: &FeatureSpec) -> Self {
        match spec.events {
            None => Self::Clock(spec.bar_span),
            Some(_) => Self::Events,
        }
    }

    /// Number of a bar in front of which so many stand.
    fn number(self, bar: &Bar, before: usize) -> i64 {
        match self {
            Self::Clock(_) => bar.number(),
            Self::Events => i64::try_from(before).unwrap_or(i64::MAX),
        }
    }

    /// A bar; the fault in words otherwise.
    fn bar(self, values: [i64; 6], ts_close: Option<i64>) -> Result<Bar, String> {
        let ts_open = values[0];
        match (self, ts_close) {
            (Self::Clock(span), None) => {
                let bar = bar(span, values)?;
                if bar.ts_open.floor_to(span) == bar.ts_open {
                    return Ok(bar);
                }
                Err(format!("ts_open {ts_open} is not on the grid of {} ns", span.0))
            }
            (Self::Events, Some(ts_close)) if ts_close >= ts_open => {
                bar(Nanos(ts_close.saturating_sub(ts_open)), values)
            }
            (Self::Events, Some(ts_close)) => {
                Err(format!("closed at {ts_close} ns, before it opened at {ts_open}"))
            }
            (Self::Clock(_), Some(_)) => {
                Err("ts_close beside a bar of the clock, whose length says it".to_owned())
            }
            (Self::Events, None) => Err("a bar of events without ts_close".to_owned()),
        }
    }
}

/// Hands every row of a batch to `take` as a bar; the fault of the first that is none, with its row.
pub(crate) fn each_bar(batch: &RecordBatch, grid: Grid, mut take: impl FnMut(&Bar)) -> PyResult<()> {
    let names = ["ts_open", "open", "high", "low", "close", "volume"];
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        columns.push(arrow::int64(batch, name)?.values().iter());
    }
    let closes = match grid {
        Grid::Clock(_) => None,
        Grid::Events => Some(arrow::int64(batch, "ts_close")?),
    };
    for row in 0..batch.num_rows() {
        // The columns of a batch have one length, so none of them ends before the others.
        let values: [i64; 6] =
            std::array::from_fn(|column| columns[column].next().copied().unwrap_or_default());
        let ts_close = closes.map(|closes| closes.value(row));
        let bar = grid.bar(values, ts_close);
        take(&bar.map_err(|fault| refused(format!("row {row}: {fault}")))?);
    }
    Ok(())
}

/// A bar of a length; the fault in words otherwise.
fn bar(span: Nanos, [ts_open, open, high, low, close, volume]: [i64; 6]) -> Result<Bar, String> {
    let [open, high, low, close] = [open, high, low, close].map(Price::from_units);
    let ts_open = Timestamp::from_nanos(ts_open);
    let volume = Quantity::from_units(volume);
    let bar = Bar {
        instrument: InstrumentId(0),
        ts_open,
        span,
        open,
        high,
        low,
        close,
        volume,
    };
    if !bar.is_consistent() {
        return Err(format!(
            "needs 0 < low <= open, close <= high and volume >= 0; found {open} {high} {low} {close} {volume}"
        ));
    }
    Ok(bar)
}
