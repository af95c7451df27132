//! Where programs come from. The crate `bundle` reads them; tests bring their own.

use domain::{BundleDigest, Decimal, SlotId};
use engine::{ParameterId, SlotProgram};
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
    /// The approval's serial number.
    pub serial: u64,
    /// The strategy's parameters as its file has them, those that may be changed while running.
    pub parameters: Vec<(ParameterId, Decimal)>,
    /// Name and version, for people.
    pub name: String,
}

/// Reads bundles and their approvals.
pub trait Programs: std::fmt::Debug + Send + Sync {
    /// Verifies everything that must hold before a bundle may run now.
    ///
    /// # Errors
    /// [`ProgramRefused`], with the reason for people.
    fn approved(&self, slot: SlotId, digest: BundleDigest) -> Result<Approved, ProgramRefused>;

    /// The program of a bundle that the record shows active, as it was then: for a replay, which judges nothing anew.
    ///
    /// # Errors
    /// [`ProgramRefused`] when it cannot be read any more.
    fn recorded(
        &self,
        slot: SlotId,
        digest: BundleDigest,
        serial: u64,
    ) -> Result<SlotProgram, ProgramRefused>;
}
