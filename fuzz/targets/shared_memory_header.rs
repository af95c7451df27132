//! The header of a segment of shared memory.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use ipc::layout::{HEADER_BYTES, Header, SegmentKind};
use libfuzzer_sys::fuzz_target;

const KINDS: [SegmentKind; 6] = [
    SegmentKind::Ring,
    SegmentKind::Table,
    SegmentKind::ParameterRequest,
    SegmentKind::ParameterAnswer,
    SegmentKind::Flags,
    SegmentKind::MarketCache,
];

fuzz_target!(|input: (u64, Vec<u8>)| {
    py_rt_fuzz::bounded(|| {
        let (size, given) = &input;
        let mut bytes = [0; HEADER_BYTES];
        let length = given.len().min(HEADER_BYTES);
        bytes[..length].copy_from_slice(&given[..length]);
        for kind in KINDS {
            if let Ok(header) = Header::decode(&bytes, *size, kind) {
                assert_eq!(header.encode(), bytes, "one header has one form");
            }
        }
    });
});
