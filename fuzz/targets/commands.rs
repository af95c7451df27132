//! Commands of people: what is read is written again to the same bytes, or was not canonical to begin with and says so.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use libfuzzer_sys::fuzz_target;
use messaging::Instruments;
use messaging::protocol::{decode_ack, decode_command, decode_envelope, encode_command};

fuzz_target!(|data: &[u8]| {
    py_rt_fuzz::bounded(|| {
        if let Ok((id, command)) = decode_command(data) {
            let written = encode_command(&id, &command);
            assert_eq!(
                decode_command(&written).ok(),
                Some((id, command)),
                "what is written is read alike"
            );
        }
        let names = Instruments::default();
        let _ = decode_ack(&names, data);
        let _ = decode_envelope(&names, data);
    });
});
