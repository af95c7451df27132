//! What the fuzz targets share.

use rustix::time::{ClockId, clock_gettime};
use venues::Instruments;
use venues::sample::instrument;

/// Longest time that one input may take, nanoseconds of this thread's own processor time: what others on the machine
/// do does not count.
pub const INPUT_NS_MAX: i128 = 10_000_000;

/// Runs the code under test on one input.
///
/// # Panics
/// When it took longer than [`INPUT_NS_MAX`]: input that makes a reader slow is a fault like one that makes it panic.
pub fn bounded(test: impl FnOnce()) {
    let began = thread_ns();
    test();
    let took = thread_ns() - began;
    assert!(took <= INPUT_NS_MAX, "one input took {took} ns");
}

fn thread_ns() -> i128 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

/// The instruments that messages may name.
///
/// # Panics
/// Never: the table is fixed.
#[must_use]
pub fn instruments() -> Instruments {
    Instruments::new(vec![instrument(0, "BTCUSDT")]).expect("a table")
}
