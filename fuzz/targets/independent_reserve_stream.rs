//! The order-by-order stream of Independent Reserve: whatever the scanner reads, the slow reader reads alike; no book is
//! crossed.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use domain::{InstrumentId, Nanos, Venue};
use libfuzzer_sys::fuzz_target;
use venues::independent_reserve::{MarketData, parser::oracle};
use venues::{Instruments, StreamMessageKind};

/// The instrument that answers are of: dot-nzd.
const INSTRUMENT: InstrumentId = InstrumentId(0);

fuzz_target!(|data: &[u8]| {
    py_rt_fuzz::bounded(|| {
        let pairs = (0..).zip(["dot-nzd", "eth-aud", "eth-usd"]);
        let products = pairs.map(|(id, pair)| venues::sample::product(Venue::IndependentReserve, id, pair));
        let table = Instruments::new(products.collect()).expect("a table");
        let mut protocol = MarketData::new(&table, Nanos(0)).expect("pairs");
        py_rt_fuzz::feed(&mut protocol, StreamMessageKind::Connected);
        // One frame a line, as in a recording; any may be an answer.
        for frame in data.split(|byte| *byte == b'\n') {
            oracle::agree(frame);
            oracle::snapshots_agree(frame);
            py_rt_fuzz::feed_both(&mut protocol, INSTRUMENT, frame);
        }
    });
});
