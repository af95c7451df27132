//! An entry of the market data cache.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use ipc::market_cache::{CachedMarket, ENTRY_WORDS};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|words: [u64; ENTRY_WORDS]| {
    py_rt_fuzz::bounded(|| {
        if let Ok(market) = CachedMarket::decode(&words) {
            assert_eq!(market.encode(), words, "one market has one form");
        }
    });
});
