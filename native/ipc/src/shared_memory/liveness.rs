//! Whether a segment's writer is still there.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::{ClockId, clock_gettime};

use crate::atomics::{Access, Words, load_acquire};
use crate::layout::{HEARTBEAT_WORD, STATE_OPEN, STATE_WORD};

/// A heartbeat older than this makes a reader ask the kernel whether the process exists.
pub const SUSPECT_AFTER_NS: u64 = 10_000_000;
/// A heartbeat older than this is that of a writer that hangs, whether its process exists or not.
pub const STALE_AFTER_NS: u64 = 5_000_000_000;

/// `CLOCK_MONOTONIC` in nanoseconds: one clock for all processes of a host.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec
        .unsigned_abs()
        .wrapping_mul(1_000_000_000)
        .wrapping_add(now.tv_nsec.unsigned_abs())
}

/// Nanoseconds since the writer's last sign of life; `None` when it lies in the future, as no writer's does.
pub(crate) fn heartbeat_age_ns<W: Words>(words: &W) -> Option<u64> {
    let heartbeat = load_acquire(&words.span(HEARTBEAT_WORD, 1, Access::granted())[0]);
    // The clock is one and is read after it.
    monotonic_ns().checked_sub(heartbeat)
}

/// Watches one writer: its state word, its heartbeat, and, once that is late, its process.
#[derive(Debug)]
pub(crate) struct Liveness {
    /// A handle to the process that handed the segment out; `None` when it lives in another pid namespace.
    process: Option<OwnedFd>,
    stale_after_ns: u64,
}

impl Liveness {
    pub(crate) fn of(pid: i32) -> Self {
        let process = Pid::from_raw(pid.max(0)).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self {
            process,
            stale_after_ns: STALE_AFTER_NS,
        }
    }

    pub(crate) fn set_stale_after(&mut self, nanos: u64) {
        self.stale_after_ns = nanos;
    }

    /// Costs two loads and a clock reading while the heartbeat is fresh.
    pub(crate) fn writer_alive<W: Words>(&self, words: &W) -> bool {
        let state = load_acquire(&words.span(STATE_WORD, 1, Access::granted())[0]);
        if state != STATE_OPEN {
            return false;
        }
        let Some(age) = heartbeat_age_ns(words) else {
            return false;
        };
        if age <= SUSPECT_AFTER_NS.min(self.stale_after_ns) {
            return true;
        }
        age <= self.stale_after_ns && !self.process_has_exited()
    }

    fn process_has_exited(&self) -> bool {
        let Some(process) = &self.process else {
            return false;
        };
        let mut watched = [PollFd::new(process, PollFlags::IN)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        matches!(poll(&mut watched, Some(&at_once)), Ok(ready) if ready > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Liveness, STALE_AFTER_NS, monotonic_ns};
    use crate::atomics::{HeapWords, Ordering};
    use crate::layout::{HEARTBEAT_WORD, STATE_CLOSED, STATE_OPEN, STATE_WORD};

    fn words(state: u64, heartbeat: u64) -> HeapWords {
        let words = HeapWords::new(HEARTBEAT_WORD + 1);
        words.word(STATE_WORD).store(state, Ordering::Relaxed);
        words.word(HEARTBEAT_WORD).store(heartbeat, Ordering::Relaxed);
        words
    }

    fn own_process() -> Liveness {
        Liveness::of(i32::try_from(std::process::id()).unwrap())
    }

    #[test]
    fn a_closed_a_hanging_and_a_lying_writer_are_not_alive() {
        let now = monotonic_ns();
        assert!(own_process().writer_alive(&words(STATE_OPEN, now)));
        assert!(
            own_process().writer_alive(&words(STATE_OPEN, now - STALE_AFTER_NS / 2)),
            "late, but it exists"
        );
        assert!(!own_process().writer_alive(&words(STATE_CLOSED, now)));
        assert!(!own_process().writer_alive(&words(77, now)));
        assert!(!own_process().writer_alive(&words(STATE_OPEN, 0)), "hangs");
        assert!(
            !own_process().writer_alive(&words(STATE_OPEN, u64::MAX)),
            "a heartbeat from the future"
        );
    }

    #[test]
    fn a_late_writer_whose_process_is_gone_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let liveness = Liveness::of(i32::try_from(child.id()).unwrap());
        assert!(liveness.process.is_some());
        child.wait().unwrap();
        assert!(!liveness.writer_alive(&words(STATE_OPEN, monotonic_ns() - STALE_AFTER_NS / 2)));
    }
}
