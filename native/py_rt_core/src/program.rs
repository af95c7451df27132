//! Features as expressions, over columns of bars or one bar at a time: `engine::signals::program`.

use std::collections::BTreeMap;

use arrow_array::{Array, Float64Array, RecordBatch};
use engine::signals::program::{FUNCTIONS, Input, Program, Runner};
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use crate::arrow;
use crate::error::refused;

/// Bars of a run: the registers of a few hundred operations then lie in the processor's second cache.
const RUN_BARS: usize = 256;

/// What an expression needs and gives: unit, lookback, warm-up, inputs.
type Description = (String, u32, u32, Vec<&'static str>);

/// Expressions, read.
#[pyclass(module = "py_rt_core", frozen)]
pub(crate) struct FeatureProgram {
    program: Program,
}

#[pymethods]
impl FeatureProgram {
    /// Reads expressions; a name in them that is no input is looked up among `definitions`.
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "what pyo3 makes of the arguments")]
    fn new(expressions: Vec<String>, definitions: BTreeMap<String, String>) -> PyResult<Self> {
        let texts: Vec<&str> = expressions.iter().map(String::as_str).collect();
        let program = Program::new(&texts, &|name| definitions.get(name).cloned()).map_err(refused)?;
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
                inputs.into_iter().map(Input::name).collect(),
            )
        };
        (0..self.program.len()).map(of).collect()
    }

    /// Operations of the program, after equal ones were found.
    #[getter]
    fn operations(&self) -> usize {
        self.program.operations()
    }

    /// Values of each expression for every bar of a frame, NaN where there is none, and for each bar how many of the stream
    /// came up to it.
    ///
    /// `frame`: Float64 columns of the inputs, prices and quantities in units of 1e-8, and the Int64 column `number`: bars
    /// follow each other where their numbers do, elsewhere the stream begins anew. Read without a copy.
    fn compute<'py>(&self, frame: &Bound<'py, PyAny>) -> PyResult<Computed<'py>> {
        let py = frame.py();
        let batches = arrow::batches(frame)?;
        let (columns, seen) = py.detach(|| self.run(&batches))?;
        let columns = columns
            .into_iter()
            .map(|column| column.into_pyarray(py))
            .collect();
        Ok((columns, seen.into_pyarray(py)))
    }

    /// A cold stream of the same.
    fn stream(&self) -> FeatureRunner {
        FeatureRunner {
            runner: Runner::new(&self.program, 1),
            outputs: self.program.len(),
        }
    }
}

/// A column for each expression, and the count of bars.
type Computed<'py> = (Vec<Bound<'py, PyArray1<f64>>>, Bound<'py, PyArray1<i64>>);

impl FeatureProgram {
    fn run(&self, batches: &[RecordBatch]) -> PyResult<(Vec<Vec<f64>>, Vec<i64>)> {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let mut columns: Vec<Vec<f64>> = (0..self.program.len())
            .map(|_| Vec::with_capacity(rows))
            .collect();
        let mut seen = Vec::with_capacity(rows);
        let mut runner = Runner::new(&self.program, RUN_BARS);
        for batch in batches {
            let numbers = arrow::int64(batch, "number")?.values();
            let mut inputs: [&[f64]; Input::ALL.len()] = [&[]; Input::ALL.len()];
            for (input, column) in Input::ALL.iter().zip(&mut inputs) {
                *column = float64(batch, input.name())?.values();
            }
            let mut at = 0;
            while at < numbers.len() {
                let most = (numbers.len() - at).min(RUN_BARS);
                let follows = |pair: &&[i64]| pair[1] == pair[0].wrapping_add(1);
                let length = numbers[at..at + most].windows(2).take_while(follows).count() + 1;
                runner.run(numbers[at], &inputs.map(|column| &column[at..at + length]));
                for (output, column) in columns.iter_mut().enumerate() {
                    column.extend_from_slice(runner.output(output));
                }
                let last = i64::try_from(runner.seen()).unwrap_or(i64::MAX);
                seen.extend((last + 1).saturating_sub_unsigned(length as u64)..=last);
                at += length;
            }
        }
        Ok((columns, seen))
    }
}

/// The same expressions, one bar at a time: what the service does.
#[pyclass(module = "py_rt_core")]
pub(crate) struct FeatureRunner {
    runner: Runner,
    outputs: usize,
}

#[pymethods]
impl FeatureRunner {
    /// Takes the bar of a number, its inputs in the order of `feature_inputs()`; gives each expression's value, NaN where
    /// there is none.
    fn push(&mut self, number: i64, inputs: [f64; Input::ALL.len()]) -> Vec<f64> {
        let columns = inputs.each_ref().map(std::slice::from_ref);
        self.runner.run(number, &columns);
        (0..self.outputs)
            .map(|output| self.runner.output(output)[0])
            .collect()
    }

    /// Bars since the stream began: a hole begins it anew.
    #[getter]
    fn seen(&self) -> u64 {
        self.runner.seen()
    }
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

fn float64<'a>(batch: &'a RecordBatch, name: &str) -> PyResult<&'a Float64Array> {
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
