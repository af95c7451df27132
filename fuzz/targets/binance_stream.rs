//! Market streams of Binance: whatever the scanner reads, the slow reader reads alike; the books that follow are never crossed.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use std::sync::Arc;

use domain::{Nanos, Timestamp};
use libfuzzer_sys::fuzz_target;
use venues::binance::MarketData;
use venues::binance::parser::oracle;

/// No time is later.
const LATEST: Timestamp = Timestamp::from_nanos(i64::MAX);

fuzz_target!(|data: &[u8]| {
    py_rt_fuzz::bounded(|| {
        let mut market = MarketData::new(Arc::new(py_rt_fuzz::instruments()), Nanos(0));
        market.on_connected();
        // One frame a line, as in a recording; a body without "stream" may be a snapshot.
        for frame in data.split(|byte| *byte == b'\n') {
            oracle::agree(frame);
            oracle::snapshots_agree(frame);
            let _ = market.on_frame(LATEST, frame, &mut |_| {});
            let _ = market.on_snapshot(Timestamp::EPOCH, domain::InstrumentId(0), frame, &mut |_| {});
        }
    });
});
