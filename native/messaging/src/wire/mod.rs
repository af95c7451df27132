//! Generated messages. Private: other crates speak in this crate's own types.

include!("py_rt.wire.v1.rs");
