//! The venue as a model in simulated time; no I/O.
