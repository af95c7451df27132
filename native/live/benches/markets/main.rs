//! From a message in memory to an updated book of the engine: each message of each venue's stream by itself, and three
//! venues of fifty instruments each as fast as one core can.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads a clock and recordings"
)]

mod made;
mod reader;
#[path = "../../../../benches/rows.rs"]
mod rows;
mod streams;

use std::alloc::System;
use std::hint::black_box;
use std::time::Instant;

use domain::MarketEvent;
use reader::{Reader, merged};
use rows::{Fact, Row, Wanted, interleaved, nanos_each};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use streams::{Stream, WIRES};
use venues::{StreamMessage, StreamMessageKind};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Instruments of each venue.
const INSTRUMENTS: usize = 50;

/// Messages of one recording that are told of all instruments. Some recordings are shorter.
const MESSAGES: usize = 2_000;

fn origin(stream: &Stream) -> Fact {
    if stream.is_recorded {
        "recorded".into()
    } else {
        "made: the recording is absent".into()
    }
}

/// Nanoseconds of each message of the stream, after its first half.
fn each_message(stream: &Stream, samples: &mut Vec<f64>) {
    let mut reader = Reader::new(stream);
    let (warm, measured) = stream.messages.split_at(stream.messages.len() / 2);
    for message in warm {
        reader.take(message);
    }
    for message in measured {
        let started = Instant::now();
        reader.take(message);
        samples.push(started.elapsed().as_nanos() as f64);
    }
    reader.check(stream);
}

fn message_to_book(wanted: Wanted, stream: &Stream) {
    let mut samples = Vec::new();
    for _ in 0..wanted.rounds {
        each_message(stream, &mut samples);
    }
    Row {
        name: &format!("message_to_book_{}", stream.wire.name),
        unit: "ns per message",
        subject: ("message in memory to the engine's book", &samples),
        anchor: None,
        facts: &[
            ("stream", origin(stream)),
            ("messages", (stream.messages.len() / 2).into()),
            ("levels_applied_a_message", levels_each(stream).into()),
        ],
    }
    .print(wanted);
}

/// Levels that change with one message, in the measured half.
fn levels_each(stream: &Stream) -> f64 {
    let mut protocol = stream.protocol();
    let (mut levels, mut measured) = (0, 0);
    for (number, message) in stream.messages.iter().enumerate() {
        let is_measured = number >= stream.messages.len() / 2;
        measured += usize::from(is_measured);
        let _ = protocol.on_message(message, &mut |event| {
            if let (MarketEvent::Book(update), true) = (&event, is_measured) {
                levels += update.bids.len() + update.asks.len();
            }
        });
    }
    (levels as f64 / measured.max(1) as f64 * 10.0).round() / 10.0
}

/// A plain look at every byte, as a count of quotation marks.
fn scan(message: &StreamMessage) -> u32 {
    let StreamMessageKind::Frame(frame) = &message.kind else {
        return 0;
    };
    let quote = |&byte: &u8| u32::from(byte == b'"');
    frame.iter().map(quote).fold(0, u32::wrapping_add)
}

fn three_venues(wanted: Wanted, streams: &[Stream]) {
    let order = merged(streams);
    let (warm, measured) = order.split_at(order.len() / 2);
    let mut allocations = 0;
    let mut read = || {
        let mut readers: Vec<_> = streams.iter().map(Reader::new).collect();
        for &(stream, at) in warm {
            readers[stream].take(&streams[stream].messages[at]);
        }
        let region = Region::new(ALLOCATOR);
        let nanos = nanos_each(measured.len(), || {
            for &(stream, at) in measured {
                readers[stream].take(&streams[stream].messages[at]);
            }
        });
        allocations = region.change().allocations + region.change().reallocations;
        readers
            .iter()
            .zip(streams)
            .for_each(|(reader, stream)| reader.check(stream));
        nanos
    };
    let scanned = || {
        nanos_each(measured.len(), || {
            for &(stream, at) in measured {
                black_box(scan(black_box(&streams[stream].messages[at])));
            }
        })
    };
    let [reads, scans] = interleaved(wanted.rounds, &mut [&mut read, &mut || scanned()]);
    let bytes = measured
        .iter()
        .map(|&(stream, at)| match &streams[stream].messages[at].kind {
            StreamMessageKind::Frame(frame) => frame.len(),
            _ => 0,
        });
    let bytes: usize = bytes.sum();
    Row {
        name: "three_venues",
        unit: "ns per message",
        subject: (
            "three venues of 50 instruments each, to the engine's books",
            &reads,
        ),
        anchor: Some(("scan of the same bytes", &scans)),
        facts: &[
            ("messages", measured.len().into()),
            (
                "bytes_a_message",
                (bytes as f64 / measured.len() as f64).round().into(),
            ),
            ("allocations", allocations.into()),
        ],
    }
    .print(wanted);
}

fn main() {
    let Some(wanted) = Wanted::read() else { return };
    let streams = WIRES.map(Stream::find);
    for stream in &streams {
        message_to_book(wanted, stream);
    }
    let many = streams.map(|mut stream| {
        stream.messages.truncate(MESSAGES);
        stream.multiplied(INSTRUMENTS)
    });
    three_venues(wanted, &many);
}
