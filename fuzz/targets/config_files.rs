//! Configuration files of every kind.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use config::{FileKind, check};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    py_rt_fuzz::bounded(|| {
        for kind in [
            FileKind::RiskLimits,
            FileKind::Strategy,
            FileKind::Features,
            FileKind::Service,
        ] {
            if let Err(errors) = check(kind, "fuzz.toml", text) {
                assert!(!errors.to_string().is_empty(), "every refusal has words");
            }
        }
    });
});
