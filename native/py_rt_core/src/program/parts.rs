//! Parts of a table, which threads take one after the other.

use std::collections::VecDeque;
use std::sync::{LazyLock, Mutex, PoisonError};

use arrow_array::BooleanArray;
use arrow_array::builder::BooleanBuilder;
use engine::signals::program::{Program, Runner};
use ipc::processor::{Work, fetch, widest};

use super::Columns;

/// Values that the registers of a run's operations hold, so that they lie in the processor's nearest cache, and the bars
/// that a run then has: whole groups of those which the engine takes together.
const RUN_VALUES: usize = 2_048;
const RUN_BARS: std::ops::RangeInclusive<usize> = 128..=256;
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

/// Computes columns and writes the values, `rows` of each expression after those of another; gives which rows are warm.
pub(super) fn compute(
    program: &Program,
    columns: &Columns<'_>,
    warmup: usize,
    rows: usize,
    out: &mut [f64],
) -> BooleanArray {
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
        program,
        columns,
        warmup,
    };
    let threads = PROCESSORS.min(rows / THREAD_ROWS).min(parts.len()).max(1);
    warm(rows, &computed(&job, threads, parts), warmup)
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
        let (numbers, begin, mut at) = (self.columns.numbers, part.begin, early);
        while at < part.end {
            let bound = if at < begin { begin } else { part.end };
            let bars = whole_groups(numbers[at], runner.capacity());
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

/// Bars of a run that ends where a group does, so that the next run begins with one: what is left of a group is computed one
/// by one.
fn whole_groups(number: i64, capacity: usize) -> usize {
    // A power of two: the remainder is that of the bits.
    let into = number.cast_unsigned() % RUN_GROUP as u64;
    capacity - usize::try_from(into).unwrap_or(0)
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
