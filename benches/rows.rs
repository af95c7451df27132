//! Rows of the table that `benches/run.py` prints: figures of a subject beside those of its anchor.
//!
//! A bench program includes this file by its path. Started by `cargo test` it does one small round, which proves that
//! it still runs; by `cargo bench` it measures and prints for people; with `PY_RT_BENCH_ROUNDS` in the environment it
//! does that many rounds and prints one JSON line for each row. With `PY_RT_BENCH_COUNT` it measures nothing: it takes its
//! work through functions that callgrind may count the instructions of, and says how much work each had.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::print_stdout,
    reason = "each program uses its own part, and reports on standard output"
)]

use std::fmt::Write;
use std::time::Instant;

/// Rounds of a run that nobody gave a number of.
pub const ROUNDS: usize = 51;

/// The variable that gives the number of rounds, and asks for JSON.
pub const ROUNDS_VARIABLE: &str = "PY_RT_BENCH_ROUNDS";

/// The variable that asks for work to be counted instead of measured.
pub const COUNT_VARIABLE: &str = "PY_RT_BENCH_COUNT";

/// What is wanted of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Rounds of each measurement; 1 where it only has to run.
    pub rounds: usize,
    /// Whether figures are worth anything.
    pub measured: bool,
    /// Whether callgrind counts, and no clock is read.
    pub counted: bool,
    json: bool,
}

impl Wanted {
    /// Reads the command line and the environment; `None` when a test runner only asks for a list of tests.
    pub fn read() -> Option<Self> {
        if std::env::args().any(|argument| argument == "--list") {
            return None;
        }
        let measured = std::env::args().any(|argument| argument == "--bench");
        let given = std::env::var(ROUNDS_VARIABLE).ok();
        let rounds = given.as_ref().map_or(ROUNDS, |text| {
            text.parse()
                .expect("PY_RT_BENCH_ROUNDS is a whole number of rounds")
        });
        Some(Self {
            rounds: if measured { rounds.max(1) } else { 1 },
            measured,
            counted: std::env::var_os(COUNT_VARIABLE).is_some(),
            json: given.is_some(),
        })
    }
}

/// What a set of samples came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// The least: what the code costs when nothing disturbs it.
    pub min: f64,
    /// The median.
    pub p50: f64,
    /// Of a hundred samples one is above it.
    pub p99: f64,
    /// How many there were.
    pub samples: usize,
}

impl Figures {
    /// Of at least one sample.
    pub fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: usize| sorted[(sorted.len() * share / 100).min(sorted.len() - 1)];
        Self {
            min: sorted[0],
            p50: at(50),
            p99: at(99),
            samples: sorted.len(),
        }
    }

    fn json(&self) -> String {
        let Self {
            min,
            p50,
            p99,
            samples,
        } = self;
        format!(r#"{{"min":{min:.3},"p50":{p50:.3},"p99":{p99:.3},"samples":{samples}}}"#)
    }
}

/// Median of subject over anchor, sample by sample: what disturbs a moment disturbs both.
pub fn paired_ratio(subject: &[f64], anchor: &[f64]) -> f64 {
    let ratios: Vec<_> = subject
        .iter()
        .zip(anchor)
        .map(|(subject, anchor)| subject / anchor)
        .collect();
    Figures::of(&ratios).p50
}

/// Nanoseconds that `work` takes, divided by the number of things it does.
pub fn nanos_each(things: usize, work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_nanos() as f64 / things as f64
}

/// Runs every measurement once a round, the order turned around from round to round. The first round warms up and is
/// left out. The samples stand in the order of the measurements.
pub fn interleaved<const N: usize>(
    rounds: usize,
    measurements: &mut [&mut dyn FnMut() -> f64; N],
) -> [Vec<f64>; N] {
    let mut samples = [const { Vec::new() }; N];
    for round in 0..=rounds {
        let turned = round % 2 == 1;
        for step in 0..N {
            let at = if turned { N - 1 - step } else { step };
            let sample = measurements[at]();
            if round > 0 {
                samples[at].push(sample);
            }
        }
    }
    samples
}

/// Something to know beside the figures.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A count or a measure; its unit stands in the name.
    Number(f64),
    /// Words.
    Text(String),
}

impl From<f64> for Fact {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<usize> for Fact {
    fn from(value: usize) -> Self {
        Self::Number(value as f64)
    }
}

impl From<&str> for Fact {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl Fact {
    fn json(&self) -> String {
        match self {
            Self::Number(value) => format!("{value}"),
            Self::Text(text) => quoted(text),
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Row<'a> {
    /// Its key.
    pub name: &'a str,
    /// What the figures count, "ns per ..." or alike.
    pub unit: &'a str,
    /// What is measured, and its samples.
    pub subject: (&'a str, &'a [f64]),
    /// What it is compared with, and the samples taken beside.
    pub anchor: Option<(&'a str, &'a [f64])>,
    /// What else to know.
    pub facts: &'a [(&'a str, Fact)],
}

impl Row<'_> {
    /// Prints it as this run wants it.
    pub fn print(&self, wanted: Wanted) {
        if wanted.json {
            println!("{}", self.json());
        } else {
            println!("{}", self.sentence(wanted.measured));
        }
    }

    fn json(&self) -> String {
        let Self {
            name,
            unit,
            subject: (what, samples),
            anchor,
            facts,
        } = self;
        let mut text = format!(
            r#"{{"row":{},"unit":{},"subject":{},"figures":{}"#,
            quoted(name),
            quoted(unit),
            quoted(what),
            Figures::of(samples).json()
        );
        if let Some((what, beside)) = anchor {
            let figures = Figures::of(beside).json();
            let ratio = paired_ratio(samples, beside);
            let anchor = quoted(what);
            let _ = write!(
                text,
                r#","anchor":{anchor},"anchor_figures":{figures},"ratio":{ratio:.4}"#
            );
        }
        let facts: Vec<_> = facts
            .iter()
            .map(|(name, fact)| format!("{}:{}", quoted(name), fact.json()))
            .collect();
        let _ = write!(text, r#","facts":{{{}}}}}"#, facts.join(","));
        text
    }

    fn sentence(&self, measured: bool) -> String {
        let (what, samples) = self.subject;
        if !measured {
            return format!("{}: {what} runs", self.name);
        }
        let figures = Figures::of(samples);
        let mut text = format!(
            "{}: {what}: p50 {:.1}, p99 {:.1}, min {:.1} {}",
            self.name, figures.p50, figures.p99, figures.min, self.unit
        );
        if let Some((what, beside)) = self.anchor {
            let anchor = Figures::of(beside);
            let ratio = paired_ratio(samples, beside);
            let _ = write!(text, "; {what}: p50 {:.1}; ratio {ratio:.3}", anchor.p50);
        }
        for (name, fact) in self.facts {
            let _ = write!(text, "; {name} {}", fact.json());
        }
        text
    }
}

/// Says how many things `function` did, so that its instructions can be divided by them.
pub fn print_counted(function: &str, things: usize, stream: &str) {
    let (function, stream) = (quoted(function), quoted(stream));
    println!(r#"{{"counted":{function},"things":{things},"stream":{stream}}}"#);
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
