//! The only service: clock, environment, threads, sockets.

fn main() {}
