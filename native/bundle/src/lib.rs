//! The only reader of a deployment bundle; refuses what it does not know.
