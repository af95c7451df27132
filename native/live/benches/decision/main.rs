//! The whole decision: from a frame's bytes in memory to an order's signed bytes, on the thread that decides.
//!
//! A frame is parsed and sequenced, recorded as an event, goes through book, bars, features, model, strategy and risk;
//! what follows is recorded, and an order is encoded and signed. It stands in `live` because only `live` may know all
//! of these crates. The socket is not in it, nor is the thread that forces the record to disk every 5 ms, which runs
//! beside.
//!
//! Frames are recorded ones where the recording is there; bars are one second long, so that there are many of them.
//! `PY_RT_BENCH_MODEL` names another model than the committed one. Callgrind may count the instructions of
//! [`ordering_frame`] and [`other_frame`].

#![allow(clippy::print_stdout, reason = "a bench reports on standard output")]

mod frames;
mod pipeline;
#[path = "../../../../benches/recording.rs"]
mod recording;
#[path = "../../../../benches/rows.rs"]
mod rows;
mod stages;

use std::alloc::System;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::Decimal;
use frames::{Frame, Session};
use journal::{Writer, WriterOptions};
use pipeline::{Floor, Outcome, Pipeline, run_header};
use rows::{Fact, Row, Wanted};
use stages::{Stage, Watch};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const COMMITTED_MODEL: &[u8] = include_bytes!("../../../../tests/contract/inference/model.onnx");

/// Of the frames of a pass, this share comes first and warms up: buffers and tables reach their size.
const WARM_UP_SHARE: usize = 5;

/// How often the record is forced to disk, as `config/base.toml` has it.
const SYNC_INTERVAL: Duration = Duration::from_millis(5);

/// A journal in a folder of its own, with the thread that forces it to disk.
struct Record {
    folder: tempfile::TempDir,
    syncing: JoinHandle<()>,
}

static STOPPED: AtomicBool = AtomicBool::new(false);

impl Record {
    fn begin(first: &Frame) -> (Self, Writer) {
        let target = option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, Into::into);
        let folder = tempfile::tempdir_in(target).expect("a folder");
        let made = Writer::create(
            folder.path(),
            WriterOptions::default(),
            &run_header(),
            first.received,
        );
        let (writer, mut syncer) = made.expect("a journal");
        STOPPED.store(false, Ordering::Release);
        let syncing = std::thread::spawn(move || {
            while !STOPPED.load(Ordering::Acquire) {
                syncer.sync().expect("a disk");
                std::thread::park_timeout(SYNC_INTERVAL);
            }
        });
        (Self { folder, syncing }, writer)
    }

    fn end(self) {
        STOPPED.store(true, Ordering::Release);
        self.syncing.thread().unpark();
        self.syncing.join().expect("the syncing thread");
        self.folder.close().expect("a folder of ours");
    }
}

/// Samples of all passes, nanoseconds.
#[derive(Default)]
struct Samples {
    orders: Vec<f64>,
    floors: Vec<f64>,
    others: Vec<f64>,
    clock: Vec<f64>,
    allocations: usize,
    recorded_bytes: u64,
}

/// One pass over all frames; what it makes stands in `samples`.
fn pass(session: &Session, model: &[u8], threshold: Decimal, with_record: bool, samples: &mut Samples) {
    let frames = &session.frames;
    let (record, writer) = match with_record.then(|| Record::begin(&frames[0])) {
        Some((record, writer)) => (Some(record), Some(writer)),
        None => (None, None),
    };
    let mut pipeline = Pipeline::new(model, threshold, &frames[0], writer);
    let mut floor = Floor::new();
    let warm = frames.len() / WARM_UP_SHARE;
    let room = frames.len();
    for list in [
        &mut samples.orders,
        &mut samples.floors,
        &mut samples.others,
        &mut samples.clock,
    ] {
        list.reserve(room);
    }
    let mut region = Region::new(ALLOCATOR);
    for (at, frame) in frames.iter().enumerate() {
        if at == warm {
            region.reset();
        }
        let before = pipeline.recorded_bytes();
        let started = Instant::now();
        let outcome = black_box(pipeline.take(black_box(frame)));
        let nanos = started.elapsed().as_nanos() as f64;
        let Outcome::Order(order) = outcome else {
            if at >= warm {
                samples.others.push(nanos);
            }
            continue;
        };
        if at >= warm {
            samples.orders.push(nanos);
            let written = pipeline.recorded_bytes() - before;
            let started = Instant::now();
            black_box(floor.pay(black_box(frame), pipeline.order_bytes(), written));
            samples.floors.push(started.elapsed().as_nanos() as f64);
            let started = Instant::now();
            samples.clock.push(started.elapsed().as_nanos() as f64);
        }
        pipeline.answer(&order);
    }
    let change = region.change();
    samples.allocations = samples.allocations.max(change.allocations + change.reallocations);
    samples.recorded_bytes = pipeline.recorded_bytes();
    pipeline.assert_clean();
    drop(pipeline);
    if let Some(record) = record {
        record.end();
    }
}

/// The probability that half of the bars reach: crossing it is an order, in either direction.
fn middle(session: &Session, model: &[u8]) -> Decimal {
    let mut pipeline = Pipeline::new(model, Decimal::ONE, &session.frames[0], None);
    for frame in &session.frames {
        pipeline.take(frame);
    }
    let mut probabilities = pipeline.probabilities().to_vec();
    probabilities.sort_by(f32::total_cmp);
    let middle = probabilities[probabilities.len() / 2];
    Decimal::parse(format!("{middle:.8}").as_bytes()).expect("a probability")
}

#[inline(never)]
fn ordering_frame(pipeline: &mut Pipeline, frame: &Frame) -> Outcome {
    black_box("ordering");
    pipeline.take(frame)
}

#[inline(never)]
fn other_frame(pipeline: &mut Pipeline, frame: &Frame) -> Outcome {
    black_box("other");
    pipeline.take(frame)
}

/// Two passes: the first finds the frames that lead to orders, the second takes those through one function and the
/// others through another.
fn count(session: &Session, model: &[u8], threshold: Decimal) {
    let mut pipeline = Pipeline::new(model, threshold, &session.frames[0], None);
    let mut ordering = Vec::with_capacity(session.frames.len());
    for frame in &session.frames {
        let outcome = pipeline.take(frame);
        if let Outcome::Order(order) = outcome {
            pipeline.answer(&order);
        }
        ordering.push(outcome != Outcome::Nothing);
    }
    let (record, writer) = Record::begin(&session.frames[0]);
    let mut pipeline = Pipeline::new(model, threshold, &session.frames[0], Some(writer));
    for (frame, &is_ordering) in session.frames.iter().zip(&ordering) {
        let outcome = if is_ordering {
            ordering_frame(&mut pipeline, frame)
        } else {
            other_frame(&mut pipeline, frame)
        };
        if let Outcome::Order(order) = outcome {
            pipeline.answer(&order);
        }
    }
    drop(pipeline);
    record.end();
    let orders = ordering.iter().filter(|&&is_ordering| is_ordering).count();
    rows::print_counted("ordering_frame", orders, session.name);
    rows::print_counted("other_frame", ordering.len() - orders, session.name);
}

/// Runs all passes of one kind and prints its rows.
fn measure(
    wanted: Wanted,
    session: &Session,
    model: (&str, &[u8]),
    threshold: Decimal,
    absent: Option<&str>,
    with_record: bool,
) {
    let mut samples = Samples::default();
    for round in 0..=wanted.rounds {
        if round == 1 {
            samples = Samples::default();
        }
        pass(session, model.1, threshold, with_record, &mut samples);
    }
    let clock = rows::Figures::of(&samples.clock).p50;
    let facts: Vec<(&str, Fact)> = vec![
        ("stream", session.name.into()),
        ("recording", absent.unwrap_or("found").into()),
        ("model", model.0.into()),
        ("frames_a_pass", session.frames.len().into()),
        ("orders_a_pass", (samples.orders.len() / wanted.rounds).into()),
        ("allocations", samples.allocations.into()),
        ("clock_ns", clock.into()),
        ("recorded_bytes_a_pass", (samples.recorded_bytes as f64).into()),
    ];
    let (decision, others) = if with_record {
        ("decision", "frame")
    } else {
        ("decision_without_journal", "frame_without_journal")
    };
    Row {
        name: decision,
        unit: "ns per order",
        subject: ("frame bytes to signed order bytes", &samples.orders),
        anchor: Some(("scan of the frame, HMAC, bare writes", &samples.floors)),
        facts: &facts,
    }
    .print(wanted);
    Row {
        name: others,
        unit: "ns per frame",
        subject: ("frame bytes to no order", &samples.others),
        anchor: None,
        facts: &facts,
    }
    .print(wanted);
}

/// The same decisions with a clock between the stages, which adds one reading of it to each; medians of a pass each.
fn measure_stages(wanted: Wanted, session: &Session, model: &[u8], threshold: Decimal) {
    let mut passes: [Vec<f64>; Stage::ALL.len()] = Default::default();
    for round in 0..=wanted.rounds {
        let mut spans: [Vec<f64>; Stage::ALL.len()] = Default::default();
        let (record, writer) = Record::begin(&session.frames[0]);
        let mut pipeline =
            Pipeline::with_stages(model, threshold, &session.frames[0], Some(writer), Watch::new());
        for (at, frame) in session.frames.iter().enumerate() {
            let Outcome::Order(order) = pipeline.take(frame) else {
                continue;
            };
            if at >= session.frames.len() / WARM_UP_SHARE {
                for (list, nanos) in spans.iter_mut().zip(pipeline.stages().nanos()) {
                    list.push(nanos);
                }
            }
            pipeline.answer(&order);
        }
        drop(pipeline);
        record.end();
        if round > 0 {
            for (list, spans) in passes.iter_mut().zip(&spans) {
                list.push(rows::Figures::of(spans).p50);
            }
        }
    }
    for (stage, samples) in Stage::ALL.iter().zip(&passes) {
        Row {
            name: stage.row(),
            unit: "ns per order",
            subject: (stage.subject(), samples),
            anchor: None,
            facts: &[],
        }
        .print(wanted);
    }
}

fn main() {
    let Some(wanted) = Wanted::read() else { return };
    let given = std::env::var("PY_RT_BENCH_MODEL").ok();
    let model = given.as_ref().map_or_else(
        || COMMITTED_MODEL.to_vec(),
        |path| std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}")),
    );
    let name = if given.is_some() {
        "given"
    } else {
        "61x15, committed"
    };
    let (session, absent) = Session::find(wanted.measured || wanted.counted);
    let threshold = middle(&session, &model);
    if wanted.counted {
        return count(&session, &model, threshold);
    }
    for with_record in [true, false] {
        measure(
            wanted,
            &session,
            (name, &model),
            threshold,
            absent.as_deref(),
            with_record,
        );
    }
    measure_stages(wanted, &session, &model, threshold);
}
