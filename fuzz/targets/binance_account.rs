//! The account's events of Binance: whatever the scanner reads, the slow reader reads alike; fills are positive.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use std::sync::Arc;

use bytes::Bytes;
use domain::{OrderReportKind, Timestamp};
use libfuzzer_sys::fuzz_target;
use venues::binance::AccountData;
use venues::binance::parser::oracle;
use venues::{AccountEvent, AccountProtocol, StreamMessage, StreamMessageKind};

fuzz_target!(|data: &[u8]| {
    py_rt_fuzz::bounded(|| {
        let mut account = AccountData::new(Arc::new(py_rt_fuzz::instruments()));
        let mut tell = |kind| {
            let ts_received = Timestamp::from_nanos(i64::MAX);
            // What cannot be read is refused.
            let _ = account.on_message(&StreamMessage { ts_received, kind }, &mut |event| {
                if let AccountEvent::Order(report) = event
                    && let OrderReportKind::Filled(fill) = report.kind
                {
                    assert!(fill.quantity.units() > 0, "{fill:?}");
                }
            });
        };
        tell(StreamMessageKind::Connected);
        // One message a line, as in a recording.
        for message in data.split(|byte| *byte == b'\n') {
            oracle::executions_agree(message);
            tell(StreamMessageKind::Frame(Bytes::copy_from_slice(message)));
        }
    });
});
