//! Which of our threads a core runs first.

use std::io;

/// Lets the calling thread wait for its turn: when another wakes it, the waker goes on (`SCHED_BATCH`).
///
/// Without it the kernel runs a woken thread at once in the place of the one that woke it, whenever no other core is
/// free. The thread that decides would then wait for what it handed over, while that is encoded, sent and parsed.
///
/// # Errors
/// The system's. The thread goes on as it was.
pub fn wait_for_the_waker() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 names the calling thread, and the parameters outlive the call, which only reads them.
    #[allow(unsafe_code, reason = "no library of ours names this call without it")]
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scheduling policy that the kernel shows for the calling thread: field 41 of its `stat`.
    fn policy() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        // The name in field 2 may hold anything but ends with the last parenthesis.
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        rest.split(' ').nth(38).unwrap().parse().unwrap()
    }

    #[test]
    fn the_calling_thread_alone_waits() {
        std::thread::spawn(|| {
            wait_for_the_waker().unwrap();
            assert_eq!(policy(), libc::SCHED_BATCH);
        })
        .join()
        .unwrap();
        assert_eq!(policy(), libc::SCHED_OTHER);
    }
}
