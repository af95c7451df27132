//! The only server of venue wires.
