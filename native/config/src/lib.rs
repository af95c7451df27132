//! The one validator of files; reports every fault with file:line.
