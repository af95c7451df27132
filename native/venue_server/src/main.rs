//! The command that serves a simulated venue on one loopback port.

fn main() {}
