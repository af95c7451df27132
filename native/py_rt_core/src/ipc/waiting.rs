//! Bounded waiting without the interpreter's lock.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ::ipc::IpcError;
use ::ipc::seqlock::SeqlockError;
use pyo3::prelude::*;

use crate::error::refused;

/// Longest wait of one call.
const TIMEOUT_MAX_MS: u64 = 3_600_000;
/// Attempts before the first pause: a record that is just being written is worth no sleep.
const SPINS: u32 = 64;
/// The first pause; each following one is twice as long, up to the longest.
const PAUSE_MIN: Duration = Duration::from_micros(20);
/// The longest pause: what a reader that has waited long adds to the age of a record.
const PAUSE_MAX: Duration = Duration::from_millis(1);
/// How often Python may act on a signal (Ctrl-C) meanwhile.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

/// Longest wait for a whole copy of an entry that is being written.
const SETTLED_WITHIN: Duration = Duration::from_millis(50);

/// A copy of a table's entry. A writer that the system has put aside in the middle of a write goes on within moments: it is
/// waited for, and only one that does not come back is an error. For callers without the interpreter's lock.
pub(super) fn settled<T>(mut read: impl FnMut() -> Result<T, IpcError>) -> PyResult<T> {
    let mut waiting: Option<(Pauses, Instant)> = None;
    loop {
        match read() {
            Err(IpcError::Seqlock {
                fault: SeqlockError::Unsettled { .. },
                ..
            }) if waiting.as_ref().is_none_or(|(_, until)| Instant::now() < *until) => {
                let (pauses, until) =
                    waiting.get_or_insert_with(|| (Pauses::default(), Instant::now() + SETTLED_WITHIN));
                pauses.next(*until);
            }
            found => return found.map_err(refused),
        }
    }
}

/// Attempts until one is done (`Break`), or until `timeout_ms` has passed: then the last one's value. At least one
/// attempt is made. `CoreError` for a timeout beyond an hour; whatever a signal's handler raises.
pub(super) fn until<T: Send>(
    py: Python<'_>,
    timeout_ms: u64,
    mut attempt: impl FnMut() -> PyResult<ControlFlow<T, T>> + Send,
) -> PyResult<T> {
    if timeout_ms > TIMEOUT_MAX_MS {
        return Err(refused(format!(
            "timeout_ms is {timeout_ms}: allowed are 0 to {TIMEOUT_MAX_MS}; wait again after it"
        )));
    }
    let deadline = Instant::now() + Duration::from_millis(timeout_ms);
    let mut pauses = Pauses::default();
    loop {
        let until = deadline.min(Instant::now() + SIGNALS_EVERY);
        let tried = py.detach(|| {
            loop {
                match attempt()? {
                    ControlFlow::Continue(_) if Instant::now() < until => pauses.next(until),
                    tried => return Ok::<_, PyErr>(tried),
                }
            }
        })?;
        match tried {
            ControlFlow::Continue(_) if Instant::now() < deadline => py.check_signals()?,
            ControlFlow::Break(value) | ControlFlow::Continue(value) => return Ok(value),
        }
    }
}

/// Spins, then sleeps longer and longer. The writer signals nobody, which is why it costs it nothing to be read.
#[derive(Debug, Default)]
struct Pauses {
    taken: u32,
}

impl Pauses {
    fn next(&mut self, until: Instant) {
        let slept = self.taken.saturating_sub(SPINS);
        if self.taken < SPINS {
            std::hint::spin_loop();
        } else {
            let pause = PAUSE_MIN.saturating_mul(1 << slept.min(16)).min(PAUSE_MAX);
            std::thread::sleep(pause.min(until.saturating_duration_since(Instant::now())));
        }
        self.taken = self.taken.saturating_add(1);
    }
}
