//! Market streams of Kraken, all three: whatever a scanner reads, the slow reader reads alike; no book is crossed.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use std::sync::Arc;

use domain::{InstrumentId, Nanos, Venue};
use libfuzzer_sys::fuzz_target;
use venues::kraken::{DEPTH_MAX, Level3MarketData, MarketData, WireVersion, parser};
use venues::{Instruments, MarketProtocol, StreamMessageKind};

const INSTRUMENT: InstrumentId = InstrumentId(0);

fuzz_target!(|data: &[u8]| {
    py_rt_fuzz::bounded(|| {
        let pairs = ["BTC/USD", "XBT/USD"].into_iter().zip(0..);
        let pairs = pairs.map(|(symbol, id)| venues::sample::product(Venue::Kraken, id, symbol));
        let table = Arc::new(Instruments::new(pairs.collect()).expect("a table"));
        let prices = |version| MarketData::new(Arc::clone(&table), version, DEPTH_MAX, Nanos(0));
        let mut protocols: [Box<dyn MarketProtocol>; 3] = [
            Box::new(prices(WireVersion::V1)),
            Box::new(prices(WireVersion::V2)),
            Box::new(Level3MarketData::new(Arc::clone(&table), 10, Nanos(0))),
        ];
        for protocol in &mut protocols {
            py_rt_fuzz::feed(protocol.as_mut(), StreamMessageKind::Connected);
        }
        // One frame a line, as in a recording.
        for frame in data.split(|byte| *byte == b'\n') {
            parser::oracle::agree(WireVersion::V1, frame);
            parser::oracle::agree(WireVersion::V2, frame);
            for protocol in &mut protocols {
                py_rt_fuzz::feed_both(protocol.as_mut(), INSTRUMENT, frame);
            }
        }
    });
});
