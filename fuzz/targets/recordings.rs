//! Recorded sessions in every format: records or an error with its place, each message once. What unpacks them is not ours.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use std::io::Cursor;
use std::path::Path;

use feed::Wire;
use libfuzzer_sys::fuzz_target;
use recording::{RecordKind, Recording};

/// How gzip and zstd begin.
const PACKED: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];

fuzz_target!(|data: &[u8]| {
    if PACKED.iter().any(|magic| data.starts_with(magic)) {
        return;
    }
    py_rt_fuzz::bounded(|| {
        let bytes = Cursor::new(data.to_vec());
        let Ok(recording) = Recording::read(Path::new("fuzz"), bytes) else {
            return;
        };
        let mut line = 0;
        for record in recording.map_while(Result::ok) {
            if let RecordKind::Received(frame) = &record.kind {
                assert!(record.line > line, "messages come in the order of their lines");
                line = record.line;
                let _ = Wire::of(frame);
            }
        }
    });
});
