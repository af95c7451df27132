//! A moving-average cross over a million quotes, every order through execution, risk and the simulated venue.
//!
//! What is measured is CPU time, not wall time: others may use the machine. In the same run stand two anchors over the
//! same quotes: the venue without an engine, and the two averages alone, which is what a backtest without orders, risk
//! or books would do. The memory is the most that the process held once the whole backtest had run.

#[path = "../tests/market/mod.rs"]
mod market;
#[path = "../../../benches/rows.rs"]
mod rows;

use std::hint::black_box;
use std::time::Duration;

use backtest::{BacktestReport, over_quotes};
use domain::{Quantity, SCALE, Timestamp};
use engine::strategy::{SmaCross, SmaCrossParameters, SmaSource};
use market::{decimal, program, quotes, settings};
use rows::{Figures, Row, Wanted, interleaved};
use rustix::time::{ClockId, clock_gettime};
use simulation::{PublicEvent, QuoteVenue, QuoteVenueConfig, Venue};

const QUOTES: u32 = 1_000_000;
/// Quotes of a run that only has to show that it runs.
const QUOTES_TO_RUN: u32 = 20_000;
const FAST: u32 = 20;
const SLOW: u32 = 100;

fn events(count: u32) -> Vec<PublicEvent> {
    quotes(11, i64::from(count), Quantity::from_units(5 * SCALE))
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).expect("a time above zero");
    Duration::from_secs(seconds)
        + Duration::from_nanos(u64::try_from(now.tv_nsec).expect("a time above zero"))
}

/// CPU nanoseconds for each quote.
fn each<T>(events: &[PublicEvent], work: impl FnOnce(&[PublicEvent]) -> T) -> f64 {
    let start = cpu_time();
    black_box(work(black_box(events)));
    cpu_time().saturating_sub(start).as_nanos() as f64 / events.len() as f64
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

/// `VmHWM` of this process, thousands of bytes; the quotes are in it.
fn peak_memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// What callgrind counts.
#[inline(never)]
fn whole_counted(events: &[PublicEvent]) -> BacktestReport {
    black_box("whole");
    whole(events)
}

fn main() {
    let Some(wanted) = Wanted::read() else { return };
    if wanted.counted {
        let events = events(QUOTES_TO_RUN);
        let report = black_box(whole_counted(&events));
        assert!(!report.fills.is_empty(), "no order crossed the averages");
        return rows::print_counted("whole_counted", events.len(), "made");
    }
    let events = events(if wanted.measured { QUOTES } else { QUOTES_TO_RUN });
    let report = whole(&events);
    let peak_memory_mb = peak_memory_kb() as f64 / 1_000.0;
    let [all, venue, averages] = interleaved(
        wanted.rounds,
        &mut [
            &mut || each(&events, whole),
            &mut || each(&events, venue_alone),
            &mut || each(&events, averages_alone),
        ],
    );
    Row {
        name: "backtest",
        unit: "CPU ns per quote",
        subject: ("SMA cross, every order through risk and venue", &all),
        anchor: Some(("the simulated venue alone", &venue)),
        facts: &[
            ("quotes", events.len().into()),
            ("orders", (report.orders as f64).into()),
            ("fills", report.fills.len().into()),
            ("denied", (report.denied() as f64).into()),
            ("events", (report.events as f64).into()),
            ("peak_memory_mb", peak_memory_mb.into()),
            ("quotes_mb", (size_of_val(events.as_slice()) as f64 / 1e6).into()),
            ("averages_alone_ns", Figures::of(&averages).p50.into()),
        ],
    }
    .print(wanted);
}
