//! Position: what we hold, what it cost, and whether the venue agrees.

pub mod pnl;
mod reconciliation;
mod tracker;

pub(crate) use reconciliation::Reconciliation;
pub(crate) use tracker::{Booked, ForeignFee, Ledger, PositionTracker};
