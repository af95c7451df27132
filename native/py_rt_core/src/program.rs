//! Features as expressions, over columns of bars or one bar at a time: `engine::signals::program`.

mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{Array, BooleanArray, Float64Array, RecordBatch};
use engine::signals::program::{FUNCTIONS, Input, Program, Runner, Unit};
use numpy::PyReadwriteArray2;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arrow;
use crate::error::refused;
use crate::table::Table;

/// Name of the column that says which rows are warm.
const WARM: &str = "is_warm";

/// What an expression needs and gives: unit, lookback, warm-up, inputs.
type Description = (String, u32, u32, Vec<String>);

/// Expressions, read.
#[pyclass(module = "py_rt_core", frozen)]
pub(crate) struct FeatureProgram {
    program: Program,
}

#[pymethods]
impl FeatureProgram {
    /// Reads expressions; a name in them that is no column is looked up among `definitions`. `columns`: names of more columns
    /// than `feature_inputs()`, and their units: number, price or quantity.
    #[new]
    #[pyo3(signature = (expressions, definitions, columns = Vec::new()))]
    #[expect(clippy::needless_pass_by_value, reason = "what pyo3 makes of the arguments")]
    fn new(
        expressions: Vec<String>,
        definitions: BTreeMap<String, String>,
        columns: Vec<(String, String)>,
    ) -> PyResult<Self> {
        let texts: Vec<&str> = expressions.iter().map(String::as_str).collect();
        let mut more = Vec::with_capacity(columns.len());
        for (name, unit) in columns {
            let found = Unit::of_column(&unit);
            let unit = found.ok_or_else(|| {
                refused(format!(
                    "column {name}: unit {unit:?}; allowed are number, price, quantity"
                ))
            })?;
            more.push((name, unit));
        }
        let definition = |name: &str| definitions.get(name).cloned();
        let program = Program::with_columns(&texts, &definition, &more).map_err(refused)?;
        Ok(Self { program })
    }

    /// For each expression: unit, bars until it has a value, bars until its value is the same wherever the stream began,
    /// and the inputs that it reads.
    fn describe(&self) -> Vec<Description> {
        let of = |output: usize| {
            let inputs = self.program.inputs(output);
            (
                self.program.unit(output).to_string(),
                self.program.lookback(output),
                self.program.warmup(output),
                inputs.into_iter().map(str::to_owned).collect(),
            )
        };
        (0..self.program.len()).map(of).collect()
    }

    /// Operations of the program, after equal ones were found.
    #[getter]
    fn operations(&self) -> usize {
        self.program.operations()
    }

    /// Writes the values of each expression for every bar of a frame, NaN where there is none; gives a table of one column,
    /// `is_warm`: which bars have the warm-up of all of them before them.
    ///
    /// `frame`: Float64 columns of the inputs, prices and quantities in units of 1e-8, and the Int64 column `number`: bars
    /// follow each other where their numbers do, elsewhere the stream begins anew. Read without a copy. `out`: float64 of shape
    /// (expressions, rows), C-contiguous: the caller's memory, because numpy asks for large pages.
    fn compute(&self, frame: &Bound<'_, PyAny>, mut out: PyReadwriteArray2<'_, f64>) -> PyResult<Table> {
        self.written(frame, &mut out, Self::run)
    }

    /// The same by the path of the service: one bar at a time, on one thread.
    fn compute_one_by_one(
        &self,
        frame: &Bound<'_, PyAny>,
        mut out: PyReadwriteArray2<'_, f64>,
    ) -> PyResult<Table> {
        self.written(frame, &mut out, Self::step)
    }

    /// A cold stream of the same.
    fn stream(&self) -> FeatureRunner {
        FeatureRunner {
            runner: Runner::new(&self.program, 1),
            columns: self.program.columns().len(),
        }
    }
}

/// What a program reads of a batch.
struct Columns<'a> {
    numbers: &'a [i64],
    /// Empty where the program does not read it.
    inputs: Vec<&'a [f64]>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch, names: &[Option<&str>]) -> PyResult<Self> {
        let column = |name: Option<&str>| match name {
            Some(name) => float64(batch, name).map(|values| -> &[f64] { values.values() }),
            None => Ok(&[][..]),
        };
        let inputs = names.iter().copied().map(column).collect::<PyResult<_>>()?;
        let numbers = arrow::int64(batch, "number")?.values();
        Ok(Self { numbers, inputs })
    }
}

/// How a program runs over batches of so many rows: it writes the values and gives which bars are warm.
type Path = fn(&FeatureProgram, &[RecordBatch], usize, &mut [f64]) -> PyResult<BooleanArray>;

impl FeatureProgram {
    /// Runs over a frame without the interpreter's lock.
    fn written(
        &self,
        frame: &Bound<'_, PyAny>,
        out: &mut PyReadwriteArray2<'_, f64>,
        path: Path,
    ) -> PyResult<Table> {
        let batches = arrow::batches(frame)?;
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let out = self.checked(out, rows)?;
        let warm = frame.py().detach(|| path(self, &batches, rows, out))?;
        Table::new(vec![(WARM, Arc::new(warm))])
    }

    /// The caller's memory, if it has room for just so many rows.
    fn checked<'a>(&self, out: &'a mut PyReadwriteArray2<'_, f64>, rows: usize) -> PyResult<&'a mut [f64]> {
        let shape = out.as_array().dim();
        let expected = (self.program.len(), rows);
        if shape != expected {
            return Err(refused(format!(
                "out has the shape {shape:?}; expected is {expected:?}"
            )));
        }
        out.as_slice_mut().map_err(refused)
    }

    /// Bars until all of them are warm.
    fn warmup(&self) -> usize {
        let warmups = (0..self.program.len()).map(|output| self.program.warmup(output));
        warmups.max().unwrap_or(1) as usize
    }

    fn step(&self, batches: &[RecordBatch], rows: usize, out: &mut [f64]) -> PyResult<BooleanArray> {
        let (read, warmup) = (self.read(), self.warmup() as u64);
        let mut runner = Runner::new(&self.program, 1);
        let mut warm = Vec::with_capacity(rows);
        let mut made: Vec<_> = out.chunks_mut(rows.max(1)).collect();
        for batch in batches {
            let columns = Columns::of(batch, &read)?;
            for (at, number) in columns.numbers.iter().enumerate() {
                runner.run_rows(*number, at..at + 1, &columns.inputs);
                let row = warm.len();
                for (value, column) in runner.last_of_all().zip(&mut made) {
                    column[row] = value;
                }
                warm.push(runner.seen() >= warmup);
            }
        }
        Ok(warm.into())
    }

    fn run(&self, batches: &[RecordBatch], rows: usize, out: &mut [f64]) -> PyResult<BooleanArray> {
        let read = self.read();
        // One batch, as a rule, which is read where it lies; several are put together.
        let mut together: (Vec<i64>, Vec<Vec<f64>>) = (Vec::new(), vec![Vec::new(); read.len()]);
        let columns = match batches {
            [batch] => Columns::of(batch, &read)?,
            several => {
                for batch in several {
                    let columns = Columns::of(batch, &read)?;
                    together.0.extend_from_slice(columns.numbers);
                    for (whole, part) in together.1.iter_mut().zip(columns.inputs) {
                        whole.extend_from_slice(part);
                    }
                }
                Columns {
                    numbers: &together.0,
                    inputs: together.1.iter().map(Vec::as_slice).collect(),
                }
            }
        };
        Ok(parts::compute(&self.program, &columns, self.warmup(), rows, out))
    }

    /// Names of the columns in a runner's order, those that no expression reads left out.
    fn read(&self) -> Vec<Option<&str>> {
        let read: BTreeSet<_> = (0..self.program.len())
            .flat_map(|output| self.program.inputs(output))
            .collect();
        self.program
            .columns()
            .map(|name| read.contains(name).then_some(name))
            .collect()
    }
}

/// The same expressions, one bar at a time: what the service does.
#[pyclass(module = "py_rt_core")]
pub(crate) struct FeatureRunner {
    runner: Runner,
    columns: usize,
}

#[pymethods]
impl FeatureRunner {
    /// Takes the bar of a number, its inputs in the order of `feature_inputs()` and of the other columns; gives each expression's value, NaN where
    /// there is none.
    #[expect(clippy::needless_pass_by_value, reason = "what pyo3 makes of the argument")]
    fn push(&mut self, number: i64, inputs: Vec<f64>) -> PyResult<Vec<f64>> {
        if inputs.len() != self.columns {
            return Err(refused(format!(
                "{} inputs; expected are {}",
                inputs.len(),
                self.columns
            )));
        }
        let columns: Vec<_> = inputs.iter().map(std::slice::from_ref).collect();
        self.runner.run(number, 1, &columns);
        Ok(self.runner.last_of_all().collect())
    }

    /// Bars since the stream began: a hole begins it anew.
    #[getter]
    fn seen(&self) -> u64 {
        self.runner.seen()
    }

    /// What it remembers; `restore` of a stream of the same expressions goes on from there, with the same bits.
    fn save<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.runner.save())
    }

    /// Remembers what was saved. Raises `CoreError` for bytes of other expressions, or damaged ones.
    fn restore(&mut self, saved: &[u8]) -> PyResult<()> {
        self.runner.restore(saved).map_err(refused)
    }
}

/// Where the columns of a frame are read, as addresses: of a frame of one piece they are where its owner keeps them.
#[pyfunction]
pub(crate) fn column_addresses(frame: &Bound<'_, PyAny>) -> PyResult<Vec<(String, usize)>> {
    let mut found = Vec::new();
    for batch in arrow::batches(frame)? {
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let data = column.to_data();
            let address = data.buffers().first().map_or(0, |buffer| buffer.as_ptr().addr());
            found.push((field.name().clone(), address));
        }
    }
    Ok(found)
}

/// Names of the columns that expressions read.
#[pyfunction]
pub(crate) fn feature_inputs() -> Vec<&'static str> {
    Input::ALL.into_iter().map(Input::name).collect()
}

/// The functions of expressions: name, arguments, meaning.
#[pyfunction]
pub(crate) fn feature_functions() -> Vec<(&'static str, &'static str, &'static str)> {
    let words =
        |function: &engine::signals::program::Function| (function.name, function.arguments, function.what);
    FUNCTIONS.iter().map(words).collect()
}

pub(crate) fn float64<'a>(batch: &'a RecordBatch, name: &str) -> PyResult<&'a Float64Array> {
    let column = batch.column_by_name(name).ok_or_else(|| {
        refused(format!(
            "column {name} is missing; features read {}",
            feature_inputs().join(", ")
        ))
    })?;
    let values = column.as_any().downcast_ref::<Float64Array>().ok_or_else(|| {
        refused(format!(
            "column {name} is {}; expected Float64",
            column.data_type()
        ))
    })?;
    if values.null_count() > 0 {
        return Err(refused(format!(
            "column {name} has {} nulls; unknown values are NaN",
            values.null_count()
        )));
    }
    Ok(values)
}
