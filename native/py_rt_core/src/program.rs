//! Features as expressions, over columns of bars or one bar at a time: `engine::signals::program`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use arrow_array::builder::BooleanBuilder;
use arrow_array::{Array, BooleanArray, Float64Array, RecordBatch};
use engine::signals::program::{FUNCTIONS, Input, Program, Runner, Unit};
use ipc::processor::{Work, fetch, widest};
use numpy::PyReadwriteArray2;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arrow;
use crate::error::refused;
use crate::table::Table;

/// Values that the registers of a run's operations hold, so that they lie in the processor's nearest cache, and the bars
/// that a run then has: whole groups of those which the engine takes together.
const RUN_VALUES: usize = 2_048;
const RUN_BARS: std::ops::RangeInclusive<usize> = 128..=512;
const RUN_GROUP: usize = 64;
/// Least rows for which a thread is started.
const THREAD_ROWS: usize = 32_768;
/// Least rows of a part.
const PART_ROWS: usize = 16_384;
/// A part is so many warm-ups long at least: what is computed twice stays little.
const PART_WARMUPS: usize = 8;

/// Threads that can run at a time: asked once, because the answer is read from files of the system.
static PROCESSORS: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));

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
        let warmup = self.warmup();
        let parts = (rows / (PART_WARMUPS * warmup).max(PART_ROWS)).max(1);
        let length = rows.div_ceil(parts).max(1);
        let mut outputs: Vec<Vec<&mut [f64]>> = (0..parts).map(|_| Vec::new()).collect();
        for column in out.chunks_mut(rows.max(1)) {
            for (part, piece) in outputs.iter_mut().zip(column.chunks_mut(length)) {
                part.push(piece);
            }
        }
        let parts = outputs.into_iter().enumerate().map(|(part, outputs)| Part {
            begin: (part * length).min(rows),
            end: ((part + 1) * length).min(rows),
            outputs,
        });
        let job = Job {
            program: &self.program,
            columns: &columns,
            warmup,
        };
        let threads = PROCESSORS.min(rows / THREAD_ROWS).min(parts.len()).max(1);
        Ok(warm(rows, &computed(&job, threads, parts), warmup))
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

/// What threads compute together.
struct Job<'a> {
    program: &'a Program,
    columns: &'a Columns<'a>,
    /// Bars until all of the program is warm.
    warmup: usize,
}

/// Some of the rows, and the places of their values.
struct Part<'a> {
    begin: usize,
    end: usize,
    outputs: Vec<&'a mut [f64]>,
}

/// Parts that nobody has taken, those of each thread in a row of its own.
struct Parts<'a>(Mutex<Vec<VecDeque<Part<'a>>>>);

impl<'a> Parts<'a> {
    fn new(threads: usize, parts: impl ExactSizeIterator<Item = Part<'a>>) -> Self {
        let mut rows: Vec<_> = (0..threads).map(|_| VecDeque::new()).collect();
        let each = parts.len().div_ceil(threads);
        for (at, part) in parts.enumerate() {
            rows[at / each].push_back(part);
        }
        Self(Mutex::new(rows))
    }

    /// The next one of a thread: of its own row, which follows what it has done; then from the end of the longest. A thread
    /// may start late, because the system has put it where another one runs: what it leaves, others take.
    fn take(&self, thread: usize) -> Option<Part<'a>> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = rows[thread].pop_front();
        own.or_else(|| rows.iter_mut().max_by_key(|row| row.len())?.pop_back())
    }
}

/// One of the threads.
struct Worker<'a, 'b> {
    job: &'b Job<'b>,
    parts: &'b Parts<'a>,
    thread: usize,
}

impl Work for Worker<'_, '_> {
    /// The rows, of those which it writes, at which a stream begins: those whose number does not follow the one above.
    type Output = Vec<usize>;

    #[expect(
        clippy::inline_always,
        reason = "what is not compiled in its place has no wider registers"
    )]
    #[inline(always)]
    fn run(self) -> Vec<usize> {
        let bars = RUN_VALUES / self.job.program.operations().max(1);
        let bars = bars.clamp(*RUN_BARS.start(), *RUN_BARS.end()) / RUN_GROUP * RUN_GROUP;
        let mut runner = Runner::new(self.job.program, bars);
        let (mut beginnings, mut done) = (Vec::new(), None);
        while let Some(part) = self.parts.take(self.thread) {
            // A part that follows no other of this thread begins one warm-up early: from its first row on its bits are those
            // of one run over all.
            let early = if done == Some(part.begin) {
                part.begin
            } else {
                runner.restart();
                part.begin.saturating_sub(self.job.warmup - 1)
            };
            done = Some(part.end);
            self.job.compute(part, early, &mut runner, &mut beginnings);
        }
        beginnings
    }
}

impl Job<'_> {
    /// Computes the rows from `early` on and writes those of the part: what is before them is only for what they remember of
    /// it.
    #[expect(
        clippy::inline_always,
        reason = "what is not compiled in its place has no wider registers"
    )]
    #[inline(always)]
    fn compute(&self, mut part: Part<'_>, early: usize, runner: &mut Runner, beginnings: &mut Vec<usize>) {
        let (numbers, begin, bars, mut at) = (self.columns.numbers, part.begin, runner.capacity(), early);
        while at < part.end {
            let bound = if at < begin { begin } else { part.end };
            let to = followed(numbers, at, bound.min(at + bars));
            let next = to..part.end.min(to + bars);
            let inputs = self.columns.inputs.iter();
            inputs.for_each(|column| fetch(column.get(next.clone()).unwrap_or_default()));
            fetch(&numbers[next]);
            for column in part.outputs.iter().filter(|_| at >= begin) {
                fetch(&column[at - begin..to - begin]);
            }
            runner.run_rows(numbers[at], at..to, &self.columns.inputs);
            if at >= begin {
                for (output, column) in part.outputs.iter_mut().enumerate() {
                    runner.write(output, &mut column[at - begin..to - begin]);
                }
                if at == 0 || numbers[at].wrapping_sub(numbers[at - 1]) != 1 {
                    beginnings.push(at);
                }
            }
            at = to;
        }
    }
}

/// Computes all parts on so many threads, this one among them; gives where streams begin, in order.
fn computed<'a>(job: &Job<'_>, threads: usize, parts: impl ExactSizeIterator<Item = Part<'a>>) -> Vec<usize> {
    let parts = Parts::new(threads, parts);
    let worker = |thread| Worker {
        job,
        parts: &parts,
        thread,
    };
    std::thread::scope(|scope| {
        let others = (1..threads).map(|thread| scope.spawn(move || widest(worker(thread))));
        let others: Vec<_> = others.collect();
        let mut beginnings = widest(worker(0));
        for other in others {
            match other.join() {
                Ok(more) => beginnings.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        beginnings.sort_unstable();
        beginnings
    })
}

/// The row, of those from `at` to `end`, up to which the numbers follow each other.
#[expect(
    clippy::inline_always,
    reason = "what is not compiled in its place has no wider registers"
)]
#[inline(always)]
fn followed(numbers: &[i64], at: usize, end: usize) -> usize {
    // Zero where they follow. All are looked at, several at a time, which takes less than to stop at the first: the rule is
    // that all follow.
    let off = |pair: (&i64, &i64)| pair.1.wrapping_sub(*pair.0) ^ 1;
    let pairs = || numbers[at..end].iter().zip(&numbers[at + 1..end]);
    if pairs().fold(0, |all, pair| all | off(pair)) == 0 {
        return end;
    }
    let hole = pairs().position(|pair| off(pair) != 0);
    hole.map_or(end, |hole| at + 1 + hole)
}

/// Which rows have so many of their stream up to them.
fn warm(rows: usize, beginnings: &[usize], warmup: usize) -> BooleanArray {
    let mut warm = BooleanBuilder::with_capacity(rows);
    for (at, begin) in beginnings.iter().enumerate() {
        let end = beginnings.get(at + 1).copied().unwrap_or(rows);
        let cold = (end - begin).min(warmup - 1);
        warm.append_n(cold, false);
        warm.append_n(end - begin - cold, true);
    }
    warm.finish()
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
