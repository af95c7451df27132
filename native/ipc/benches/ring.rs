//! Timing of the ring.

fn main() {}
