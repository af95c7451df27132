//! The durable record of a run: replayed, traced, and read as columns.

mod parity;
mod signals;
mod trace;

pub(crate) use parity::replay_journal;
pub(crate) use signals::journal_signals;
pub(crate) use trace::trace_order;
