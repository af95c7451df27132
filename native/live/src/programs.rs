//! Where programs come from. [`crate::bundles`] reads them from the store; tests bring their own.

use domain::{BundleDigest, Decimal, Instrument, SlotId};
use engine::{BundleActivated, EngineConfig, ParameterId, SlotProgram};
use thiserror::Error;

/// Why a bundle was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ProgramRefused(pub String);

/// A bundle as it is approved for a slot of this service.
#[derive(Debug)]
pub struct Approved {
    /// Ready to be staged.
    pub program: SlotProgram,
    /// What is told about it.
    pub about: About,
    /// The strategy's parameters as its file has them, those that may be changed while running.
    pub parameters: Vec<(ParameterId, Decimal)>,
}

/// What a bundle and its approval say of themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How far it is approved: `paper`, `live_10`, ...
    pub stage: &'static str,
    /// The approval's serial number.
    pub serial: u64,
    /// When the approval ends, by the clocks that people approve by.
    pub expires: domain::Timestamp,
}

/// Reads bundles and their approvals.
pub trait Programs: std::fmt::Debug + Send + Sync {
    /// Verifies everything that must hold before a bundle may run now, except that its serial is a step forward. May
    /// take as long as reading and trying it does.
    ///
    /// # Errors
    /// [`ProgramRefused`], with the reason for people.
    fn approved(
        &self,
        slot: SlotId,
        instrument: &Instrument,
        digest: BundleDigest,
    ) -> Result<Approved, ProgramRefused>;

    /// The program of a bundle that the record shows active in a life with this configuration, as it was then: for a
    /// replay, which judges nothing anew.
    ///
    /// # Errors
    /// [`ProgramRefused`] when it cannot be read any more.
    fn recorded(
        &self,
        activation: &BundleActivated,
        config: &EngineConfig,
    ) -> Result<SlotProgram, ProgramRefused>;
}
