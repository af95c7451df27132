//! The account's events of Binance.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use libfuzzer_sys::fuzz_target;
use venues::binance::parser::{Parser, oracle};

fuzz_target!(|data: &[u8]| {
    py_rt_fuzz::bounded(|| {
        oracle::executions_agree(data);
        let _ = Parser::new().account_message(data);
    });
});
