//! Every decision; deterministic; no I/O, clock, thread, unsafe, HashMap, platform maths or allocation per event.
