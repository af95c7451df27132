//! The command that checks recorded sessions.
fn main() {}
