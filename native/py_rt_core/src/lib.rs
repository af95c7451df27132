//! The only crate that knows Python; a few lines per function.
