//! Every answer of Binance to a request of ours, over REST and on the socket for orders: nothing panics, and no order is taken
//! for more than the venue says.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use libfuzzer_sys::fuzz_target;
use venues::binance::fuzzing;
use venues::sample::instrument;

fuzz_target!(|data: &[u8]| {
    py_rt_fuzz::bounded(|| {
        let (instrument, order) = (instrument(0, "BTCUSDT"), py_rt_fuzz::order());
        // One answer a line, as in a recording.
        for message in data.split(|byte| *byte == b'\n') {
            fuzzing::answers(&instrument, &order, message);
        }
    });
});
