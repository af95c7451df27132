//! The account's events of Kraken, and every answer to a request of ours.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use domain::{OrderReportKind, Timestamp};
use libfuzzer_sys::fuzz_target;
use venues::kraken::rules::{Listing, asset_pairs};
use venues::kraken::{AccountData, fuzzing};
use venues::{AccountEvent, AccountProtocol, Instruments, StreamMessage, StreamMessageKind};

const PAIRS: &[u8] =
    br#"{"XXBTZUSD":{"altname":"XBTUSD","wsname":"XBT/USD","base":"XXBT","quote":"ZUSD","pair_decimals":1,
    "lot_decimals":8,"ordermin":"0.0001","costmin":"0.5","tick_size":"0.1","status":"online"}}"#;

static LISTING: LazyLock<Listing> = LazyLock::new(|| asset_pairs(PAIRS, &["BTC/USD"]).expect("a listing"));

fuzz_target!(|data: &[u8]| {
    py_rt_fuzz::bounded(|| {
        let table = Arc::new(Instruments::new(LISTING.instruments.clone()).expect("a table"));
        let mut account = AccountData::new(table);
        let mut tell = |kind| {
            let ts_received = Timestamp::from_nanos(i64::MAX);
            // What cannot be read is refused.
            let _ = account.on_message(&StreamMessage { ts_received, kind }, &mut |event| {
                if let AccountEvent::Order(report) = event
                    && let OrderReportKind::Filled(fill) = report.kind
                {
                    assert!(fill.quantity.units() > 0 && fill.price.units() > 0, "{fill:?}");
                }
            });
        };
        tell(StreamMessageKind::Connected);
        let order = py_rt_fuzz::order();
        // One message a line, as in a recording.
        for message in data.split(|byte| *byte == b'\n') {
            tell(StreamMessageKind::Frame(Bytes::copy_from_slice(message)));
            fuzzing::answers(&LISTING, &order, message);
        }
    });
});
