//! From a message on one socket to the signed order on another, through the service's own connections, and back to whoever
//! sent the message. Beside a bare echo: a thread that reads as many bytes and writes as many as the order has.
//!
//! The message is read by tokio, handed to a thread that parses it, encodes and signs an order, and handed back to tokio,
//! which writes it. `blocking`: that thread sleeps until there is work, and so does the echo; `spinning`: both look
//! again and again. With and without TLS. `gateway` sends a thousand orders a second over one connection.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads a clock"
)]

#[path = "round_trip/echo.rs"]
mod echo;
#[path = "round_trip/peer.rs"]
mod peer;
#[path = "../../../benches/rows.rs"]
mod rows;
#[path = "round_trip/service.rs"]
mod service;

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use echo::Echo;
use peer::{Authority, Peer};
use rows::{Row, Wanted};
use rustix::thread::{CpuSet, sched_setaffinity};
use service::Service;

/// Round trips of one sample's round.
const TRIPS: usize = 400;
/// Orders of the gateway's row in a second.
const ORDERS_A_SECOND: u32 = 1_000;

/// What a round trip goes through.
#[derive(Debug, Clone, Copy)]
struct Way {
    row: &'static str,
    spins: bool,
    is_encrypted: bool,
}

const WAYS: [Way; 4] = [
    Way {
        row: "round_trip_blocking",
        spins: false,
        is_encrypted: false,
    },
    Way {
        row: "round_trip_spinning",
        spins: true,
        is_encrypted: false,
    },
    Way {
        row: "round_trip_tls_blocking",
        spins: false,
        is_encrypted: true,
    },
    Way {
        row: "round_trip_tls_spinning",
        spins: true,
        is_encrypted: true,
    },
];

/// Keeps this thread, and those that it starts, to these cores.
fn keep_to(cores: Range<usize>) {
    let mut set = CpuSet::new();
    cores.for_each(|core| set.set(core));
    // Where that is not allowed, the scheduler decides.
    let _ = sched_setaffinity(None, &set);
}

fn round_trip(wanted: Wanted, way: Way) {
    let authority = Authority::new();
    let tls = way.is_encrypted.then_some(&authority);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut peer = Peer::listen(tls);
    // Where both ends share a core, waking costs less than where they do not: so they never do.
    let apart = cores > 1 && !way.spins;
    if apart {
        keep_to(1..cores);
    }
    let service = Service::start(&peer, way.spins);
    peer.accept();
    service.wait();
    let trips = if wanted.measured { TRIPS } else { 5 };
    let order_bytes = peer.trip().1;
    let mut echo = Echo::start(tls, way.spins, peer::frame().len(), order_bytes);
    if apart {
        keep_to(0..1);
    }
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..=wanted.rounds {
        // In turns, so that what disturbs a moment disturbs both; the first round warms up.
        for _ in 0..trips {
            let (one, other) = (peer.trip().0, echo.trip());
            if round > 0 {
                ours.push(one);
                bare.push(other);
            }
        }
    }
    echo.stop();
    service.stop();
    keep_to(0..cores);
    Row {
        name: way.row,
        unit: "ns per round trip",
        subject: ("message on one socket to signed order on another", &ours),
        anchor: Some(("bare echo of as many bytes", &bare)),
        facts: &[
            ("message_bytes", peer::frame().len().into()),
            ("order_bytes", order_bytes.into()),
            ("cores", cores.into()),
        ],
    }
    .print(wanted);
}

/// Orders at a steady pace, each answered at once; what is late is not left out.
fn gateway(wanted: Wanted) {
    let mut peer = Peer::listen(None);
    let service = Service::start(&peer, false);
    peer.accept();
    service.wait();
    let count = if wanted.measured { ORDERS_A_SECOND * 3 } else { 20 };
    let answering = thread::spawn(move || peer.answer_all());
    let begun = Instant::now();
    let samples = service.orders(count, Duration::from_secs(1) / ORDERS_A_SECOND);
    let seconds = begun.elapsed().as_secs_f64();
    service.stop();
    answering.join().expect("a peer that ends");
    Row {
        name: "gateway_orders",
        unit: "ns from due to the report",
        subject: ("binance::Gateway over its WebSocket API", &samples),
        anchor: None,
        facts: &[
            ("orders_a_second", (samples.len() as f64 / seconds).round().into()),
            ("not_accepted", (count as usize - samples.len()).into()),
        ],
    }
    .print(wanted);
}

fn main() {
    let Some(wanted) = Wanted::read() else { return };
    for way in WAYS {
        round_trip(wanted, way);
    }
    gateway(wanted);
}
