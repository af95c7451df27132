//! A moving-average cross over a million quotes, every order through execution, risk and the simulated venue.
//!
//! `cargo bench -p backtest` reports CPU time (not wall time: others may use the machine) of the whole backtest and, in
//! the same run, of two anchors over the same quotes: the venue without an engine, and the two averages alone, which
//! is what a backtest without orders, risk or books would do. The last line is the most memory the process held.
#![allow(clippy::print_stdout, reason = "a benchmark reports on standard output")]

#[path = "../tests/market/mod.rs"]
mod market;

use std::hint::black_box;
use std::time::Duration;

use backtest::{BacktestReport, over_quotes};
use criterion::{Criterion, Throughput, criterion_group};
use domain::{Quantity, SCALE, Timestamp};
use engine::strategy::{SmaCross, SmaCrossParameters, SmaSource};
use market::{decimal, program, quotes, settings};
use rustix::time::{ClockId, clock_gettime};
use simulation::{PublicEvent, QuoteVenue, QuoteVenueConfig, Venue};

const QUOTES: u32 = 1_000_000;
const FAST: u32 = 20;
const SLOW: u32 = 100;
/// Runs of each kind in the summary, interleaved; their median is reported.
const RUNS: usize = 7;

fn events() -> Vec<PublicEvent> {
    quotes(11, i64::from(QUOTES), Quantity::from_units(5 * SCALE))
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).expect("a time above zero");
    Duration::from_secs(seconds)
        + Duration::from_nanos(u64::try_from(now.tv_nsec).expect("a time above zero"))
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = cpu_time();
    black_box(work());
    cpu_time().saturating_sub(start)
}

fn whole(events: &[PublicEvent]) -> BacktestReport {
    let cross = SmaCross::new(SmaCrossParameters {
        source: SmaSource::QuoteMid,
        fast: FAST,
        slow: SLOW,
        position_size_pct: decimal("0.5"),
    });
    let program = program(cross.expect("lengths in range"));
    let mut settings = settings(1);
    // Ten thousand trades at a usual commission would use the capital up, and end the trading.
    settings.fees.taker_bps = decimal("0.1");
    over_quotes(&settings, program, events.iter().copied(), None).expect("a run to the end")
}

fn venue_alone(events: &[PublicEvent]) -> u64 {
    let settings = settings(1);
    let config = QuoteVenueConfig {
        instrument: settings.instrument,
        latency: settings.latency,
        fees: settings.fees,
    };
    let mut venue = QuoteVenue::new(config, events.iter().copied());
    let mut seen = 0;
    while venue.next_event(Timestamp::from_nanos(i64::MAX)).is_some() {
        seen += 1;
    }
    seen
}

/// Crosses of the two averages, and nothing else.
fn averages_alone(events: &[PublicEvent]) -> u64 {
    let mids: Vec<i64> = events
        .iter()
        .map(|event| match event {
            PublicEvent::Quote(quote) => quote.bid.midpoint(quote.ask).units(),
            PublicEvent::Trade(trade) => trade.price.units(),
        })
        .collect();
    let [fast, slow] = [FAST, SLOW].map(|length| usize::try_from(length).expect("a small number"));
    let (mut sums, mut above, mut crosses) = ([0_i128; 2], None, 0);
    for (at, &mid) in mids.iter().enumerate() {
        for (sum, length) in sums.iter_mut().zip([fast, slow]) {
            *sum += i128::from(mid)
                - at.checked_sub(length)
                    .map_or(0, |oldest| i128::from(mids[oldest]));
        }
        if at + 1 >= slow {
            let now = sums[0] * i128::from(SLOW) > sums[1] * i128::from(FAST);
            crosses += u64::from(above.replace(now).is_some_and(|before| before != now));
        }
    }
    crosses
}

fn sma_cross(criterion: &mut Criterion) {
    let events = events();
    let mut group = criterion.benchmark_group("backtest_1m_quotes");
    group
        .throughput(Throughput::Elements(QUOTES.into()))
        .sample_size(10);
    group.bench_function("whole", |bencher| {
        bencher.iter_custom(|runs| (0..runs).map(|_| timed(|| whole(&events))).sum());
    });
    group.bench_function("anchor_venue_alone", |bencher| {
        bencher.iter_custom(|runs| (0..runs).map(|_| timed(|| venue_alone(&events))).sum());
    });
    group.bench_function("anchor_averages_alone", |bencher| {
        bencher.iter_custom(|runs| (0..runs).map(|_| timed(|| averages_alone(&events))).sum());
    });
    group.finish();
}

criterion_group!(benches, sma_cross);

/// The three side by side in one run, and the memory.
fn summary() {
    let events = events();
    let report = whole(&events);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..RUNS {
        times[0].push(timed(|| whole(&events)));
        times[1].push(timed(|| venue_alone(&events)));
        times[2].push(timed(|| averages_alone(&events)));
    }
    let [whole, venue, averages] = times.map(|mut runs| {
        runs.sort_unstable();
        runs[RUNS / 2].as_secs_f64()
    });
    let millions = f64::from(QUOTES) / 1e6;
    println!(
        "{} quotes, {} events, {} orders, {} fills, {} denied",
        QUOTES,
        report.events,
        report.orders,
        report.fills.len(),
        report.denied()
    );
    println!(
        "whole backtest         {:6.2} M quotes per CPU second",
        millions / whole
    );
    for (name, anchor) in [("venue alone", venue), ("averages alone", averages)] {
        println!(
            "anchor, {name:<14} {:6.2} M quotes per CPU second; the whole costs {:.1} x",
            millions / anchor,
            whole / anchor
        );
    }
    println!("most memory held       {} MB", peak_memory_kb() / 1_000);
}

/// `VmHWM` of this process, thousands of bytes; the quotes in it are 64 MB.
fn peak_memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn main() {
    // `cargo test` runs benchmarks once, without this argument.
    if std::env::args().any(|argument| argument == "--bench") {
        summary();
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
