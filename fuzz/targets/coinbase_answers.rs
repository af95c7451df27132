//! Every answer of Coinbase to a request of ours: nothing panics, and no order is taken for more than the venue says.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use domain::Venue;
use libfuzzer_sys::fuzz_target;
use venues::Instruments;
use venues::coinbase::fuzzing;

fuzz_target!(|data: &[u8]| {
    py_rt_fuzz::bounded(|| {
        let product = venues::sample::product(Venue::Coinbase, 0, "BTC-USD");
        let table = Instruments::new(vec![product]).expect("a table");
        let order = py_rt_fuzz::order();
        // One answer a line.
        for message in data.split(|byte| *byte == b'\n') {
            fuzzing::answers(&table, &order, message);
        }
    });
});
