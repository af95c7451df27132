//! Market streams of Kraken, both wires: whatever a scanner reads, the slow reader reads alike; no book is crossed.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use std::sync::Arc;

use domain::{Instrument, InstrumentId, Nanos, Text, Venue};
use libfuzzer_sys::fuzz_target;
use venues::kraken::parser::oracle;
use venues::kraken::{MarketData, WireVersion};
use venues::{Instruments, StreamMessageKind};

const INSTRUMENT: InstrumentId = InstrumentId(0);
const DEPTH: usize = 10;

fuzz_target!(|data: &[u8]| {
    py_rt_fuzz::bounded(|| {
        for (version, symbol) in [(WireVersion::V1, "XBT/USD"), (WireVersion::V2, "BTC/USD")] {
            let btc = Instrument {
                symbol: Text::new(symbol).expect("a symbol"),
                ..venues::sample::product(Venue::Kraken, 0, "BTC-USD")
            };
            let table = Arc::new(Instruments::new(vec![btc]).expect("a table"));
            let mut protocol = MarketData::new(table, version, DEPTH, Nanos(0));
            py_rt_fuzz::feed(&mut protocol, StreamMessageKind::Connected);
            // One frame a line, as in a recording.
            for frame in data.split(|byte| *byte == b'\n') {
                oracle::agree(version, frame);
                py_rt_fuzz::feed_both(&mut protocol, INSTRUMENT, frame);
            }
        }
    });
});
