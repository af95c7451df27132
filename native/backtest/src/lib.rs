//! Drives the engine over the simulation or over recorded events (an iterator).
