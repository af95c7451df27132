//! Position: what we hold, what it cost, and whether the venue agrees.

mod outside;
pub mod pnl;
mod reconciliation;
mod tracker;

pub(crate) use outside::Outside;
pub(crate) use reconciliation::Reconciliation;
pub(crate) use tracker::{Booked, ForeignFee, Ledger, PositionTracker};
