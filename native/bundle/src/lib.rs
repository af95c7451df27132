//! The only reader of a deployment bundle; refuses what it does not know.
//!
//! A bundle is a folder `sha256-<digest>` of a store. The digest is the SHA-256 of its canonical `manifest.json`, which
//! lists every other file with size and SHA-256; beside the folder stand two signed statements (DSSE envelopes, ECDSA
//! P-256): the builder's about the digest, the approver's about digest, slot, stage, size, time and serial.
//!
//! ```text
//! <store>/sha256-<digest>/{manifest.json, model.onnx, features.json, strategy.toml, risk_limits.toml, golden.bin,
//!                          provenance.json, reports/{backtest.json, gates.json, model_card.md, parity.json}}
//! <store>/signatures/<digest>/{builder.dsse.json, approver.dsse.json, approvals/<slot>-<serial>.dsse.json}
//! ```
//!
//! [`verify()`] reads each file once, through descriptors that follow no link, and judges the bytes it read, so that
//! nothing can change between the check and the use. [`VerifiedBundle::into_program_parts`] turns the content into the
//! engine's types. The model itself is loaded by the caller; this crate only compares what the model says of itself
//! ([`ModelFacts`]) with the features of the bundle.

mod canonical;
mod content;
mod dsse;
mod error;
mod folder;
mod keys;
pub mod limits;
mod manifest;
mod program;
mod provenance;
mod statement;
mod verify;

pub use content::{Content, read_content};
pub use error::BundleError;
pub use keys::{ApprovalStage, KeyId, KeyRole, TrustedKey, TrustedKeys};
pub use manifest::{FileEntry, Manifest};
pub use program::{ModelFacts, ProgramParts};
pub use provenance::Provenance;
pub use statement::Approval;
pub use verify::{Admission, Expectation, VerifiedBundle, verify, verify_built, verify_recorded};
