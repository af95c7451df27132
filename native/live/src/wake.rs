//! How other threads wake the one that decides.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long the deciding thread looks again before it sleeps: the length of a wake-up. One thread at most does this.
const SPIN: Duration = Duration::from_micros(20);

#[derive(Debug, Default)]
struct Shared {
    sleeper: OnceLock<Thread>,
    is_asleep: AtomicBool,
}

/// Wakes the deciding thread; costs a fence and a load while it is awake.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wake(Arc<Shared>);

impl Wake {
    /// Call it after something was put into a queue.
    pub(crate) fn wake(&self) {
        // Pairs with the fence in `rest`: either this thread sees the sleeper, or the sleeper sees the queue.
        fence(Ordering::SeqCst);
        if self.0.is_asleep.load(Ordering::Relaxed)
            && let Some(sleeper) = self.0.sleeper.get()
        {
            sleeper.unpark();
        }
    }

    /// Lets the calling thread rest until there is work, `longest` at most. Only one thread may ever call it.
    pub(crate) fn rest(&self, longest: Duration, has_work: impl Fn() -> bool) {
        let begun = Instant::now();
        while begun.elapsed() < SPIN.min(longest) {
            if has_work() {
                return;
            }
            std::hint::spin_loop();
        }
        let sleeper = self.0.sleeper.get_or_init(thread::current);
        debug_assert_eq!(sleeper.id(), thread::current().id(), "one thread rests");
        self.0.is_asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !has_work() {
            thread::park_timeout(longest);
        }
        self.0.is_asleep.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn nothing_that_is_queued_is_slept_over() {
        const ROUNDS: u32 = 2_000;
        let wake = Wake::default();
        let (mut producer, mut consumer) = rtrb::RingBuffer::new(1);
        let (taken, answers) = channel();
        let waker = wake.clone();
        let sleeper = thread::spawn(move || {
            for _ in 0..ROUNDS {
                let number = loop {
                    if let Ok(number) = consumer.pop() {
                        break number;
                    }
                    // A lost wake-up would show as a test that takes an hour.
                    wake.rest(Duration::from_hours(1), || !consumer.is_empty());
                };
                taken.send(number).unwrap();
            }
        });
        for round in 0..ROUNDS {
            producer.push(round).unwrap();
            waker.wake();
            assert_eq!(answers.recv_timeout(Duration::from_secs(30)), Ok(round));
        }
        sleeper.join().unwrap();
    }
}
