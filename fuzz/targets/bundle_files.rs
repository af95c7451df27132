//! What a bundle brings: trusted keys, golden rows, models.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use bundle::TrustedKeys;
use inference::{GoldenRows, TreeModel};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    py_rt_fuzz::bounded(|| {
        if let Ok(text) = std::str::from_utf8(data) {
            let _ = TrustedKeys::parse("fuzz.toml", text);
        }
        let _ = GoldenRows::read(data);
        let _ = TreeModel::load(data);
    });
});
