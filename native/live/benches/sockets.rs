//! Three venues' streams of fifty instruments each through loopback sockets into the engine's books, open loop: what is
//! due is sent, whether or not what came before was taken.
//!
//! The same connections as the service's read, and one thread decides. The other end is a thread of this process that
//! writes prepared bytes. A round is a second; over all of them memory must stay flat.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads a clock and recordings"
)]

#[path = "markets/made.rs"]
mod made;
#[path = "markets/reader.rs"]
mod reader;
#[path = "../../../benches/rows.rs"]
mod rows;
#[path = "markets/streams.rs"]
mod streams;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use reader::Reader;
use rows::{Row, Wanted};
use rtrb::{Consumer, RingBuffer};
use streams::{Stream, WIRES};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite;
use venues::clock::ServerClock;
use venues::rate_limit::ConnectBudget;
use venues::retry::Jitter;
use venues::websocket::{Connection, ConnectionSettings, Judgement, Protocol};
use venues::{StreamMessage, StreamMessageKind, TrustedRoots, VenueError};

/// Messages offered in a second, all venues together.
const RATE: u64 = 110_000;
/// Instruments of each venue.
const INSTRUMENTS: usize = 50;
/// Messages of one recording that are told of all instruments, over and over.
const MESSAGES: usize = 500;
/// Places of a connection's queue, as in the service.
const PLACES: usize = 16_384;
/// Workers of the service's runtime.
const WORKERS: usize = 2;
/// What is due is written this often.
const BURST: Duration = Duration::from_micros(200);
/// Of so many messages one is timed.
const EVERY: usize = 101;
const SECOND: u64 = 1_000_000_000;
/// No message is told apart from one that is later, ns.
const LATEST: u64 = 100 * SECOND;

/// A stream that needs no handshake.
struct Plain(String);

impl Protocol for Plain {
    fn name(&self) -> &'static str {
        "bench"
    }

    fn url(&self) -> &str {
        &self.0
    }

    fn hello(&mut self) -> Result<Vec<String>, VenueError> {
        Ok(Vec::new())
    }

    fn judge(&mut self, _: &[u8]) -> Judgement {
        Judgement::Deliver
    }
}

/// Whose turn it is, message after message; begins again at the end.
struct Schedule(Vec<(usize, usize)>);

impl Schedule {
    /// Frames only: what comes over no socket is not due.
    fn of(streams: &[Stream]) -> Self {
        let is_frame = |&(stream, at): &(usize, usize)| {
            let kind = &streams[stream].messages[at].kind;
            matches!(kind, StreamMessageKind::Frame(_))
        };
        Self(reader::merged(streams).into_iter().filter(is_frame).collect())
    }

    fn at(&self, number: u64) -> (usize, usize) {
        let length = self.0.len() as u64;
        self.0[usize::try_from(number % length).expect("a place")]
    }
}

/// A message as a server writes it: final, text, not masked.
fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x81];
    match payload.len() {
        length @ 0..=125 => bytes.push(u8::try_from(length).expect("a small number")),
        length @ 126..=65_535 => {
            bytes.push(126);
            bytes.extend(u16::try_from(length).expect("a small number").to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

/// Writes what is due until `count` messages are written.
fn serve(mut sockets: Vec<TcpStream>, streams: &[Stream], schedule: &Schedule, begun: Instant, count: u64) {
    let mut bursts: Vec<Vec<u8>> = vec![Vec::new(); sockets.len()];
    let mut sent = 0;
    while sent < count {
        let due = begun.elapsed().as_nanos() * u128::from(RATE) / u128::from(SECOND);
        let due = u64::try_from(due).expect("a bench ends").min(count);
        for number in sent..due {
            let (stream, at) = schedule.at(number);
            if let StreamMessageKind::Frame(frame) = &streams[stream].messages[at].kind {
                bursts[stream].extend(framed(frame));
            }
        }
        sent = due;
        for (socket, burst) in sockets.iter_mut().zip(&mut bursts) {
            socket.write_all(burst).expect("a socket that takes it");
            burst.clear();
        }
        thread::sleep(BURST);
    }
}

/// Connections as the service has them, and the server's ends of them.
struct Lines {
    runtime: Runtime,
    connections: Vec<Connection>,
    queues: Vec<Consumer<StreamMessage>>,
    sockets: Vec<TcpStream>,
}

impl Lines {
    fn open(count: usize) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build();
        let runtime = runtime.expect("threads");
        let mut lines = Self {
            runtime,
            connections: Vec::new(),
            queues: Vec::new(),
            sockets: Vec::new(),
        };
        for seed in 0..count {
            lines.connect(seed as u64);
        }
        lines
    }

    fn connect(&mut self, seed: u64) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("ws://{}", listener.local_addr().expect("an address"));
        let (mut producer, consumer) = RingBuffer::new(PLACES);
        let sink = move |message| {
            producer
                .push(message)
                .map_err(|rtrb::PushError::Full(message)| message)
        };
        let settings = ConnectionSettings {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(10),
            tls: TrustedRoots::Public.client_config().expect("a configuration"),
            connects: ConnectBudget::default(),
        };
        let _inside = self.runtime.enter();
        let (_, injected) = mpsc::channel(1);
        let clock = Arc::new(ServerClock::local());
        self.connections.push(Connection::spawn(
            Plain(url),
            settings,
            clock,
            Jitter::seeded(seed),
            injected,
            sink,
        ));
        let (stream, _) = listener.accept().expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let socket = tungstenite::accept(stream).expect("a handshake");
        self.sockets.push(socket.get_ref().try_clone().expect("a socket"));
        self.queues.push(consumer);
    }
}

/// What is read, and where in its stream each venue is.
struct Decider<'a> {
    streams: &'a [Stream],
    readers: Vec<Reader>,
    places: Vec<usize>,
    taken: Vec<u64>,
}

impl<'a> Decider<'a> {
    fn new(streams: &'a [Stream]) -> Self {
        Self {
            streams,
            readers: streams.iter().map(Reader::new).collect(),
            places: vec![0; streams.len()],
            taken: vec![0; streams.len()],
        }
    }

    /// Takes a message that came over the socket, and what comes beside it at this place of the stream.
    fn take(&mut self, stream: usize, message: &StreamMessage) {
        let messages = &self.streams[stream].messages;
        let place = &mut self.places[stream];
        if *place == messages.len() {
            self.readers[stream].check(&self.streams[stream]);
            (*place, self.readers[stream]) = (0, Reader::new(&self.streams[stream]));
        }
        while !matches!(messages[*place].kind, StreamMessageKind::Frame(_)) {
            self.readers[stream].take(&messages[*place]);
            *place += 1;
        }
        self.readers[stream].take(message);
        self.taken[stream] += 1;
        *place += 1;
        // What follows the last frame comes over no socket either.
        while messages
            .get(*place)
            .is_some_and(|next| !matches!(next.kind, StreamMessageKind::Frame(_)))
        {
            self.readers[stream].take(&messages[*place]);
            *place += 1;
        }
    }
}

/// Resident memory of this process, MB.
fn resident_mb() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: f64 = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("a number");
    pages * 4_096.0 / 1e6
}

/// What came of a run.
struct Outcome {
    late: Histogram<u64>,
    samples: Vec<f64>,
    seconds: f64,
    /// From ten seconds on, and in the second half alone.
    growth_mb: f64,
    late_growth_mb: f64,
    stalls: u64,
}

fn run(streams: &Arc<Vec<Stream>>, count: u64) -> Outcome {
    let mut lines = Lines::open(streams.len());
    let schedule = Arc::new(Schedule::of(streams));
    let numbers = numbers(streams, &schedule);
    let begun = Instant::now();
    let server: JoinHandle<()> = {
        let (streams, schedule) = (Arc::clone(streams), Arc::clone(&schedule));
        let sockets = std::mem::take(&mut lines.sockets);
        thread::spawn(move || serve(sockets, &streams, &schedule, begun, count))
    };
    let mut decider = Decider::new(streams);
    let mut outcome = Outcome {
        late: Histogram::new_with_max(LATEST, 3).expect("a histogram"),
        samples: Vec::with_capacity(usize::try_from(count).expect("a count") / EVERY + 1),
        seconds: 0.0,
        growth_mb: 0.0,
        late_growth_mb: 0.0,
        stalls: 0,
    };
    let (mut taken, mut before, mut halfway) = (0_u64, None, None);
    while taken < count {
        let mut idle = true;
        for (stream, queue) in lines.queues.iter_mut().enumerate() {
            while let Ok(message) = queue.pop() {
                if !matches!(message.kind, StreamMessageKind::Frame(_)) {
                    continue;
                }
                let number = numbers.of(stream, decider.taken[stream]);
                decider.take(stream, &message);
                let due = Duration::from_nanos(number * SECOND / RATE);
                let late = begun.elapsed().saturating_sub(due);
                outcome
                    .late
                    .saturating_record(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
                if usize::try_from(number).expect("a place") % EVERY == 0 {
                    outcome.samples.push(late.as_nanos() as f64);
                }
                (taken, idle) = (taken + 1, false);
                for (mark, at) in [(&mut before, count / 6), (&mut halfway, count / 2)] {
                    if taken > at {
                        mark.get_or_insert_with(resident_mb);
                    }
                }
            }
        }
        if idle {
            thread::yield_now();
        }
    }
    outcome.seconds = begun.elapsed().as_secs_f64();
    let grown = |since: Option<f64>| resident_mb() - since.unwrap_or_else(resident_mb);
    outcome.growth_mb = grown(before);
    outcome.late_growth_mb = grown(halfway);
    outcome.stalls = lines
        .connections
        .iter()
        .map(|each| each.statistics().stalls())
        .sum();
    server.join().expect("a server that ends");
    outcome
}

/// Which number in the schedule each message of a stream has.
struct Numbers {
    /// By stream: the numbers in one round of the schedule.
    rounds: Vec<Vec<u64>>,
    length: u64,
}

impl Numbers {
    fn of(&self, stream: usize, taken: u64) -> u64 {
        let round = &self.rounds[stream];
        let each = round.len() as u64;
        taken / each * self.length + round[usize::try_from(taken % each).expect("a place")]
    }
}

fn numbers(streams: &[Stream], schedule: &Schedule) -> Numbers {
    let mut rounds = vec![Vec::new(); streams.len()];
    for (number, &(stream, _)) in (0..).zip(&schedule.0) {
        rounds[stream].push(number);
    }
    Numbers {
        rounds,
        length: schedule.0.len() as u64,
    }
}

fn main() {
    let Some(wanted) = Wanted::read() else { return };
    let many = WIRES.map(|wire| {
        let mut stream = Stream::find(wire);
        stream.messages.truncate(MESSAGES);
        stream.multiplied(INSTRUMENTS)
    });
    let streams = Arc::new(Vec::from(many));
    let count = if wanted.measured {
        RATE * wanted.rounds as u64
    } else {
        RATE / 10
    };
    let outcome = run(&streams, count);
    Row {
        name: "sockets",
        unit: "ns from due to the book",
        subject: (
            "three venues of 50 instruments each through loopback sockets",
            &outcome.samples,
        ),
        anchor: None,
        facts: &[
            ("offered_a_second", (RATE as f64).into()),
            (
                "messages_a_second",
                (count as f64 / outcome.seconds).round().into(),
            ),
            ("seconds", outcome.seconds.round().into()),
            ("p99_9_ns", (outcome.late.value_at_quantile(0.999) as f64).into()),
            ("latest_ns", (outcome.late.max() as f64).into()),
            ("waits_for_room", (outcome.stalls as f64).into()),
            (
                "memory_growth_mb",
                ((outcome.growth_mb * 10.0).round() / 10.0).into(),
            ),
            (
                "memory_growth_second_half_mb",
                ((outcome.late_growth_mb * 10.0).round() / 10.0).into(),
            ),
        ],
    }
    .print(wanted);
}
