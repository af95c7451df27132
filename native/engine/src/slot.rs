//! A slot's program: what a bundle turns into before it may run.

use domain::{BundleDigest, Decimal, InstrumentId, SlotId, Timestamp};

use crate::risk::RiskLimits;
use crate::signals::{FeatureSpec, Model};
use crate::strategy::Strategy;

/// What happens to the position and the working orders of a slot when a new bundle takes it over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSwap {
    /// The new bundle manages the position; working orders are canceled.
    Adopt,
    /// Position is closed first; working orders are canceled.
    Flatten,
    /// Working orders run off; the position is only reduced until it is flat.
    RunOff,
}

/// A verified bundle in the engine's terms, ready to run in a slot.
pub struct SlotProgram {
    /// For which slot.
    pub slot: SlotId,
    /// The bundle's identity.
    pub digest: BundleDigest,
    /// What it trades.
    pub instrument: InstrumentId,
    /// Its features; `None` for a strategy without a model.
    pub features: Option<FeatureSpec>,
    /// Its model.
    pub model: Option<Box<dyn Model>>,
    /// Its strategy.
    pub strategy: Box<dyn Strategy>,
    /// Its limits: never looser than the service's own.
    pub limits: RiskLimits,
    /// Standard deviation of daily returns, for the value at risk; from the training data.
    pub daily_volatility: Decimal,
    /// Share of the full size that its approval allows, 0 to 1.
    pub size_scale: Decimal,
    /// When its approval ends.
    pub expires: Timestamp,
    /// What becomes of position and orders at the swap.
    pub on_swap: OnSwap,
}

impl std::fmt::Debug for SlotProgram {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("SlotProgram")
            .field("slot", &self.slot)
            .field("digest", &self.digest)
            .field("instrument", &self.instrument)
            .finish_non_exhaustive()
    }
}

/// A slot before any bundle runs in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotConfig {
    /// Its identity, in order ids, records and messages.
    pub slot: SlotId,
    /// What it trades.
    pub instrument: InstrumentId,
    /// Quote currency it may use.
    pub capital: domain::Money,
}
