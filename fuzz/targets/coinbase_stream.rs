//! Market streams of Coinbase, both wires: whatever a scanner reads, the slow reader reads alike; no book is crossed.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use std::sync::Arc;

use domain::{InstrumentId, Nanos, Venue};
use libfuzzer_sys::fuzz_target;
use venues::coinbase::{AdvancedMarketData, BookChannel, ExchangeMarketData, advanced, exchange};
use venues::{Instruments, MarketProtocol, StreamMessageKind};

const INSTRUMENT: InstrumentId = InstrumentId(0);

fuzz_target!(|data: &[u8]| {
    py_rt_fuzz::bounded(|| {
        let product = venues::sample::product(Venue::Coinbase, 0, "BTC-USD");
        let table = Arc::new(Instruments::new(vec![product]).expect("a table"));
        let exchange = |channel| ExchangeMarketData::new(Arc::clone(&table), channel, Nanos(0));
        let mut protocols: [Box<dyn MarketProtocol>; 3] = [
            Box::new(AdvancedMarketData::new(Arc::clone(&table), Nanos(0))),
            Box::new(exchange(BookChannel::Level2)),
            Box::new(exchange(BookChannel::Full)),
        ];
        for protocol in &mut protocols {
            py_rt_fuzz::feed(protocol.as_mut(), StreamMessageKind::Connected);
        }
        // One frame a line, as in a recording; any may be an answer.
        for frame in data.split(|byte| *byte == b'\n') {
            advanced::parser::oracle::agree(frame);
            exchange::parser::oracle::agree(frame);
            for protocol in &mut protocols {
                py_rt_fuzz::feed_both(protocol.as_mut(), INSTRUMENT, frame);
            }
        }
    });
});
