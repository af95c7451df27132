//! Payloads of the record: what is read is written again to the same bytes.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use journal::Format;
use journal::codec::{LevelScratch, decode_action, decode_event, decode_header, encode_event, encode_header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    py_rt_fuzz::bounded(|| {
        let Some((kind, payload)) = data.split_first() else {
            return;
        };
        let mut again = Vec::new();
        match kind % 3 {
            0 => {
                let mut scratch = LevelScratch::default();
                let Ok(event) = decode_event(Format::CURRENT, payload, &mut scratch) else {
                    return;
                };
                encode_event(&event, &mut again);
            }
            1 => {
                let Ok(action) = decode_action(Format::CURRENT, payload) else {
                    return;
                };
                action.encode(&mut again);
            }
            _ => {
                let Ok(header) = decode_header(payload) else {
                    return;
                };
                encode_header(&header, &mut again);
            }
        }
        assert_eq!(again, payload, "one value has one form");
    });
});
