//! The engine: one event in, actions out; nothing else.

use domain::{Currency, Epoch, Instrument, Nanos};

use crate::risk::RiskLimits;
use crate::slot::SlotConfig;

/// Everything the engine is built from. Recorded as the first record of a journal, so that a replay
/// builds the same engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// This life of the service.
    pub epoch: Epoch,
    /// Currency in which portfolio limits are counted.
    pub portfolio_currency: Currency,
    /// Instruments, in the order of their ids from 0.
    pub instruments: Vec<Instrument>,
    /// Slots.
    pub slots: Vec<SlotConfig>,
    /// The service's own limits: a bundle's may only be tighter.
    pub limits: RiskLimits,
    /// Length of a bar.
    pub bar_span: Nanos,
    /// How long after a bar's end a book update or quote (not a trade) may close it: trades of the
    /// interval may still be on their way on another stream.
    pub bar_close_grace: Nanos,
    /// How long an order may stay without an answer before its outcome is unknown.
    pub order_ack_timeout: Nanos,
    /// Whether trading waits for [`crate::EventBody::Reconciled`]: true live, false in a backtest.
    pub require_reconciliation: bool,
}
