//! One score at a time over rotating rows, for a comparison with ONNX Runtime in the same run.
//!
//! `benches/run.py` starts this program with `--serve MODEL GOLDEN`. It holds every raw score against the golden rows,
//! says in a JSON line what the model is, and then answers each line of standard input with one pass over all rows:
//! the nanoseconds of every single call. So both sides take turns, and neither runs while the other does. Without
//! `--serve` it measures the committed model beside the empty clock.

#![allow(clippy::print_stdout, reason = "a bench reports on standard output")]

#[path = "../../../benches/rows.rs"]
mod rows;

use std::hint::black_box;
use std::io::BufRead;
use std::time::Instant;

use engine::signals::Model;
use inference::{GoldenRows, TreeModel, verify_golden};
use rows::{Figures, Row, Wanted};

const MODEL: &[u8] = include_bytes!("../../../tests/contract/inference/model.onnx");
const GOLDEN: &[u8] = include_bytes!("../../../tests/contract/inference/golden.bin");

/// Times every call of one pass over the rows.
fn pass(model: &mut TreeModel, golden: &GoldenRows, nanos: &mut Vec<f64>) {
    nanos.clear();
    for (row, _) in golden.iter() {
        let started = Instant::now();
        black_box(model.score(black_box(row)));
        nanos.push(started.elapsed().as_nanos() as f64);
    }
}

/// The same pass without a call: what reading the clock adds to every figure.
fn empty_pass(golden: &GoldenRows, nanos: &mut Vec<f64>) {
    nanos.clear();
    for (row, _) in golden.iter() {
        let started = Instant::now();
        black_box(row);
        nanos.push(started.elapsed().as_nanos() as f64);
    }
}

/// A pass for every line, until there is none.
fn serve(model_path: &str, golden_path: &str) {
    let bytes = |path: &str| std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut model = TreeModel::load(&bytes(model_path)).expect("a model we evaluate");
    let golden = GoldenRows::read(&bytes(golden_path)).expect("golden rows");
    let report = verify_golden(&mut model, &golden).expect("the raw scores of ONNX Runtime");
    println!(
        r#"{{"rows":{},"trees":{},"features":{},"max_probability_ulps":{}}}"#,
        report.rows,
        model.tree_count(),
        model.feature_count(),
        report.max_probability_ulps
    );
    let mut nanos = Vec::with_capacity(golden.len());
    for line in std::io::stdin().lock().lines() {
        match line.expect("standard input").as_str() {
            "empty" => empty_pass(&golden, &mut nanos),
            _ => pass(&mut model, &golden, &mut nanos),
        }
        let words: Vec<_> = nanos.iter().map(f64::to_string).collect();
        println!("{}", words.join(" "));
    }
}

/// What callgrind counts.
#[inline(never)]
fn score_counted(model: &mut TreeModel, row: &[f32]) {
    black_box("score");
    black_box(model.score(row));
}

fn count(model: &mut TreeModel, golden: &GoldenRows) {
    for (row, _) in golden.iter() {
        score_counted(model, row);
    }
    rows::print_counted("score_counted", golden.len(), "committed");
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve") {
        let [model, golden] = [1, 2].map(|after| arguments.get(at + after).expect("--serve MODEL GOLDEN"));
        return serve(model, golden);
    }
    let Some(wanted) = Wanted::read() else { return };
    let mut model = TreeModel::load(MODEL).expect("the committed model");
    let golden = GoldenRows::read(GOLDEN).expect("the committed rows");
    if wanted.counted {
        return count(&mut model, &golden);
    }
    let [mut calls, mut clock] = [Vec::new(), Vec::new()];
    let mut nanos = Vec::with_capacity(golden.len());
    for _ in 0..wanted.rounds {
        pass(&mut model, &golden, &mut nanos);
        calls.extend_from_slice(&nanos);
        empty_pass(&golden, &mut nanos);
        clock.extend_from_slice(&nanos);
    }
    Row {
        name: "inference",
        unit: "ns per call, clock included",
        subject: ("inference::TreeModel, the committed model", &calls),
        anchor: None,
        facts: &[
            ("trees", model.tree_count().into()),
            ("clock_ns", Figures::of(&clock).p50.into()),
        ],
    }
    .print(wanted);
}
