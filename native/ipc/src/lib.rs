//! The only crate with unsafe (beside py_rt_core's Arrow file): rings, parameter slots, descriptor passing.
