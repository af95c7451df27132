//! What Coinbase tells of our account, over its stream and over REST, and of its products, time and bars: nothing panics.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use std::sync::Arc;

use domain::{InstrumentId, Nanos, Timestamp, Venue};
use libfuzzer_sys::fuzz_target;
use venues::coinbase::{AccountData, rules};
use venues::{AccountProtocol, Instruments, StreamMessage, StreamMessageKind};

const INSTRUMENT: InstrumentId = InstrumentId(0);

fuzz_target!(|data: &[u8]| {
    py_rt_fuzz::bounded(|| {
        let product = venues::sample::product(Venue::Coinbase, 0, "BTC-USD");
        let table = Arc::new(Instruments::new(vec![product]).expect("a table"));
        let mut account = AccountData::new(table);
        let give = |account: &mut AccountData, kind| {
            let ts_received = Timestamp::from_nanos(0);
            // What cannot be read is refused.
            let _ = account.on_message(&StreamMessage { ts_received, kind }, &mut |_| {});
        };
        give(&mut account, StreamMessageKind::Connected);
        // One message a line; any may be an answer.
        for line in data.split(|byte| *byte == b'\n') {
            let body = bytes::Bytes::copy_from_slice(line);
            give(&mut account, StreamMessageKind::Frame(body.clone()));
            let instrument = INSTRUMENT;
            give(&mut account, StreamMessageKind::Snapshot { instrument, body });
            let _ = rules::products(line, &["BTC-USD"], &mut Vec::new());
            let _ = rules::bars(line, INSTRUMENT, Nanos::from_secs(60));
            let _ = rules::server_time(line);
        }
    });
});
