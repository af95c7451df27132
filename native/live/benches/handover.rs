//! What handing an order's bytes to the socket side costs the thread that decides: the part of the service's stage
//! `egress` that the row `decision` leaves out.
//!
//! The subject is the service's queue with a worker of tokio asleep at its other end, the anchor a queue with a plain
//! thread asleep there. What the receiver does afterwards should not matter to the sender; where the scheduler runs the
//! woken worker in the sender's place, it does, and the fact `receiver_busy_ns` is about that much larger than the row.

#[path = "../../../benches/rows.rs"]
mod rows;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rows::{Figures, Row, Wanted};
use rtrb::{Producer, RingBuffer};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

/// Hand-overs of one round.
const ERRANDS: u64 = 40;

/// Between two: long enough for the other side to fall asleep.
const GAP: Duration = Duration::from_millis(1);

/// What a request to a venue takes before it first waits for the socket, about.
const WORK: Duration = Duration::from_micros(100);

/// Workers of the service's runtime.
const WORKERS: usize = 2;

/// Places in the queue.
const PLACES: usize = 256;

fn work(span: Duration) {
    let started = Instant::now();
    while started.elapsed() < span {
        std::hint::spin_loop();
    }
}

/// Nanoseconds that each call of `send` takes; the next waits until the last was dealt with.
fn calls(done: &AtomicU64, mut send: impl FnMut(u64)) -> Vec<f64> {
    let first = done.load(Ordering::Acquire) + 1;
    let call = |number| {
        thread::sleep(GAP);
        let started = Instant::now();
        send(number);
        let nanos = started.elapsed().as_nanos() as f64;
        while done.load(Ordering::Acquire) < number {
            thread::yield_now();
        }
        nanos
    };
    (first..first + ERRANDS).map(call).collect()
}

/// A task of tokio that works after each errand.
struct Tasks {
    _runtime: Runtime,
    errands: mpsc::Sender<u64>,
    done: Arc<AtomicU64>,
}

impl Tasks {
    fn start(span: Duration) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build();
        let runtime = runtime.expect("threads");
        let (errands, mut taken) = mpsc::channel(PLACES);
        let done = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&done);
        runtime.spawn(async move {
            while let Some(number) = taken.recv().await {
                work(span);
                told.store(number, Ordering::Release);
            }
        });
        Self {
            _runtime: runtime,
            errands,
            done,
        }
    }

    fn calls(&self) -> Vec<f64> {
        calls(&self.done, |number| {
            self.errands.try_send(number).expect("a place in the queue");
        })
    }
}

/// A thread that sleeps until it is woken.
struct Sleeper {
    errands: Producer<u64>,
    done: Arc<AtomicU64>,
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Sleeper {
    fn start() -> Self {
        let (errands, mut taken) = RingBuffer::new(PLACES);
        let (done, stopped) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (told, seen) = (Arc::clone(&done), Arc::clone(&stopped));
        let thread = thread::spawn(move || {
            while !seen.load(Ordering::Acquire) {
                while let Ok(number) = taken.pop() {
                    told.store(number, Ordering::Release);
                }
                thread::park();
            }
        });
        Self {
            errands,
            done,
            stopped,
            thread,
        }
    }

    fn calls(&mut self) -> Vec<f64> {
        let (errands, sleeper) = (&mut self.errands, self.thread.thread());
        calls(&self.done, |number| {
            errands.push(number).expect("a place in the queue");
            sleeper.unpark();
        })
    }

    fn stop(self) {
        self.stopped.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().expect("a thread that ends");
    }
}

fn main() {
    let Some(wanted) = Wanted::read() else { return };
    let (idle, busy, mut sleeper) = (Tasks::start(Duration::ZERO), Tasks::start(WORK), Sleeper::start());
    let mut samples = [const { Vec::new() }; 3];
    for _ in 0..wanted.rounds {
        samples[0].extend(idle.calls());
        samples[1].extend(sleeper.calls());
        samples[2].extend(busy.calls());
    }
    sleeper.stop();
    let [tasks, threads, busy] = samples;
    Row {
        name: "handover",
        unit: "ns per order",
        subject: ("mpsc::try_send, tokio's workers asleep", &tasks),
        anchor: Some(("push and unpark, a thread asleep", &threads)),
        facts: &[
            ("receiver_busy_ns", Figures::of(&busy).p50.into()),
            ("receiver_busy_for_ns", (WORK.as_nanos() as f64).into()),
        ],
    }
    .print(wanted);
}
