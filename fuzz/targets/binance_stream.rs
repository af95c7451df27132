//! Market streams of Binance: whatever the scanner reads, the slow reader reads alike; the books that follow are never crossed.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use std::sync::Arc;

use bytes::Bytes;
use domain::{InstrumentId, Nanos, Timestamp};
use libfuzzer_sys::fuzz_target;
use venues::binance::parser::{Dialect, oracle};
use venues::binance::{FuturesMarketData, MarketData};
use venues::{MarketProtocol, StreamMessage, StreamMessageKind};

/// No time is later.
const LATEST: Timestamp = Timestamp::from_nanos(i64::MAX);

const INSTRUMENT: InstrumentId = InstrumentId(0);

fuzz_target!(|data: &[u8]| {
    py_rt_fuzz::bounded(|| {
        let instruments = Arc::new(py_rt_fuzz::instruments());
        let mut market = MarketData::new(Arc::clone(&instruments), Nanos(0));
        let mut futures = FuturesMarketData::new(instruments, Nanos(0));
        market.on_connected();
        feed(&mut futures, StreamMessageKind::Connected);
        // Binary messages may hold the byte that parts lines.
        let _ = market.on_frame(LATEST, data, &mut |_| {});
        // One frame a line, as in a recording; a body without "stream" may be a snapshot.
        for frame in data.split(|byte| *byte == b'\n') {
            for dialect in [Dialect::Spot, Dialect::Futures] {
                oracle::agree(dialect, frame);
                oracle::snapshots_agree(dialect, frame);
            }
            let _ = market.on_frame(LATEST, frame, &mut |_| {});
            let _ = market.on_snapshot(Timestamp::EPOCH, INSTRUMENT, frame, &mut |_| {});
            let body = Bytes::copy_from_slice(frame);
            feed(&mut futures, StreamMessageKind::Frame(body.clone()));
            let instrument = INSTRUMENT;
            feed(&mut futures, StreamMessageKind::Snapshot { instrument, body });
        }
    });
});

fn feed(futures: &mut FuturesMarketData, kind: StreamMessageKind) {
    let ts_received = LATEST;
    let _ = futures.on_message(&StreamMessage { ts_received, kind }, &mut |_| {});
}
