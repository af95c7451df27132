//! Where time goes, stage by stage.
//!
//! The deciding thread records into histograms of its own. About once a second it swaps them for empty ones through
//! two queues; whoever wants to see them adds what has come to the totals. Neither side ever waits for the other.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::probe::{self, Probe};
use hdrhistogram::Histogram;
use rtrb::{Consumer, Producer, RingBuffer};

/// Longest time that is told apart, nanoseconds; longer ones count as this.
const LONGEST_NS: u64 = 10_000_000_000;

/// Significant decimal digits of a recorded time: an error below one in a hundred.
const DIGITS: u8 = 2;

/// Sets of histograms under way between the threads.
const SETS: usize = 2;

/// A stage of one decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Frame bytes to domain event.
    Parse,
    /// Applying the event to the book.
    Book,
    /// Bars and features.
    Features,
    /// The model.
    Model,
    /// The strategy.
    Strategy,
    /// Risk and order table.
    Risk,
    /// Writing event and actions to the record.
    Record,
    /// Last checks, encoding, signing, handing over.
    Egress,
    /// From taking a frame up to an order handed over.
    Decision,
}

impl Stage {
    /// Every stage, in the order a decision passes them; the whole last.
    pub const ALL: [Self; 9] = [
        Self::Parse,
        Self::Book,
        Self::Features,
        Self::Model,
        Self::Strategy,
        Self::Risk,
        Self::Record,
        Self::Egress,
        Self::Decision,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Book => "book",
            Self::Features => "features",
            Self::Model => "model",
            Self::Strategy => "strategy",
            Self::Risk => "risk",
            Self::Record => "record",
            Self::Egress => "egress",
            Self::Decision => "decision",
        }
    }
}

impl From<probe::Stage> for Stage {
    fn from(stage: probe::Stage) -> Self {
        match stage {
            probe::Stage::Book => Self::Book,
            probe::Stage::Features => Self::Features,
            probe::Stage::Model => Self::Model,
            probe::Stage::Strategy => Self::Strategy,
            probe::Stage::Risk => Self::Risk,
        }
    }
}

/// One histogram for each stage.
#[derive(Debug)]
struct Histograms([Histogram<u64>; Stage::ALL.len()]);

impl Histograms {
    fn new() -> Self {
        let empty = || Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).expect("constant, valid bounds");
        Self(std::array::from_fn(|_| empty()))
    }

    fn record(&mut self, stage: Stage, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.0[stage as usize].saturating_record(nanos);
    }

    fn clear(&mut self) {
        self.0.iter_mut().for_each(Histogram::reset);
    }
}

/// The recording end: the engine's probe, on the deciding thread.
#[derive(Debug)]
pub(crate) struct StageClock {
    begun: Instant,
    last: Instant,
    current: Box<Histograms>,
    filled: Producer<Box<Histograms>>,
    empty: Consumer<Box<Histograms>>,
}

impl StageClock {
    /// A frame or another cause was taken in hand.
    pub(crate) fn begin(&mut self) {
        self.begun = Instant::now();
        self.last = self.begun;
    }

    /// A stage ended now; the next one begins.
    pub(crate) fn ended(&mut self, stage: Stage) {
        let now = Instant::now();
        self.current.record(stage, now - self.last);
        self.last = now;
    }

    /// The next stage begins now, and what passed belongs to none.
    pub(crate) fn skip(&mut self) {
        self.last = Instant::now();
    }

    /// An order was handed over: the decision is done.
    pub(crate) fn decided(&mut self) {
        self.ended(Stage::Egress);
        self.current.record(Stage::Decision, self.last - self.begun);
    }

    /// Passes on what was recorded, when the other side has returned an empty set.
    pub(crate) fn pass_on(&mut self) {
        if let Ok(empty) = self.empty.pop() {
            let filled = std::mem::replace(&mut self.current, empty);
            // There are no more sets than places.
            let _ = self.filled.push(filled);
        }
    }
}

impl Probe for StageClock {
    fn stage_ended(&mut self, stage: probe::Stage) {
        self.ended(stage.into());
    }
}

/// One stage's latency since the start, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageSummary {
    /// Which stage.
    pub stage: Stage,
    /// Measurements.
    pub count: u64,
    /// Half were not longer.
    pub p50_ns: u64,
    /// 99 in 100 were not longer.
    pub p99_ns: u64,
    /// 999 in 1000 were not longer.
    pub p999_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// Their sum.
    pub sum_ns: u64,
}

#[derive(Debug)]
struct Totals {
    totals: Histograms,
    sums: [u64; Stage::ALL.len()],
    filled: Consumer<Box<Histograms>>,
    empty: Producer<Box<Histograms>>,
}

/// The reading end.
#[derive(Debug)]
pub struct LatencyBoard(Mutex<Totals>);

impl LatencyBoard {
    /// Both ends.
    pub(crate) fn new() -> (StageClock, Self) {
        let (filled_in, filled) = RingBuffer::new(SETS);
        let (mut empty_in, empty) = RingBuffer::new(SETS);
        // One set is with the recorder, one waits for it.
        let _ = empty_in.push(Box::new(Histograms::new()));
        let now = Instant::now();
        let clock = StageClock {
            begun: now,
            last: now,
            current: Box::new(Histograms::new()),
            filled: filled_in,
            empty,
        };
        let board = Self(Mutex::new(Totals {
            totals: Histograms::new(),
            sums: [0; Stage::ALL.len()],
            filled,
            empty: empty_in,
        }));
        (clock, board)
    }

    /// Every stage since the start, as far as the recorder has passed on.
    pub fn read(&self) -> Vec<StageSummary> {
        let mut totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        totals.collect();
        let stages = Stage::ALL.iter().zip(&totals.totals.0).zip(totals.sums);
        stages
            .map(|((stage, histogram), sum_ns)| StageSummary {
                stage: *stage,
                count: histogram.len(),
                p50_ns: histogram.value_at_quantile(0.5),
                p99_ns: histogram.value_at_quantile(0.99),
                p999_ns: histogram.value_at_quantile(0.999),
                max_ns: histogram.max(),
                sum_ns,
            })
            .collect()
    }
}

impl Totals {
    fn collect(&mut self) {
        while let Ok(mut set) = self.filled.pop() {
            for ((total, sum), part) in self.totals.0.iter_mut().zip(&mut self.sums).zip(&set.0) {
                total.add(part).expect("histograms of equal bounds add up");
                let middle = part
                    .iter_recorded()
                    .map(|value| value.count_at_value().saturating_mul(value.value_iterated_to()));
                *sum = sum.saturating_add(middle.sum());
            }
            set.clear();
            let _ = self.empty.push(set);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_on_adds_up() {
        let (mut clock, board) = LatencyBoard::new();
        for round in 1..=5 {
            clock.begin();
            clock.ended(Stage::Parse);
            clock.decided();
            clock.pass_on();
            let read = board.read();
            let of = |wanted| read.iter().find(|one| one.stage == wanted).copied().unwrap();
            assert_eq!(of(Stage::Parse).count, round);
            assert_eq!(of(Stage::Decision).count, round);
            assert_eq!(of(Stage::Book).count, 0);
            assert!(of(Stage::Decision).max_ns >= of(Stage::Egress).p50_ns);
            assert!(of(Stage::Decision).sum_ns >= round);
        }
    }

    #[test]
    fn nobody_reading_stops_nothing() {
        let (mut clock, board) = LatencyBoard::new();
        for _ in 0..10 {
            clock.begin();
            clock.ended(Stage::Record);
            clock.pass_on();
        }
        // The first round was passed on; the rest waits in the recorder's own set.
        assert_eq!(board.read()[Stage::Record as usize].count, 1);
        clock.pass_on();
        assert_eq!(board.read()[Stage::Record as usize].count, 10);
    }
}
