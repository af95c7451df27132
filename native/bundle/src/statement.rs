//! What builder and approver sign.

use domain::{BundleDigest, Decimal, SlotId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::error::BundleError;
use crate::keys::{ApprovalStage, KeyRole};
use crate::limits::APPROVAL_NS_MAX;

/// The type of the builder's statement.
pub(crate) const BUILDER_TYPE: &str = "application/vnd.py_rt.builder+json";

/// The type of the approver's statement.
pub(crate) const APPROVAL_TYPE: &str = "application/vnd.py_rt.approval+json";

/// Fields in the order of their names.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BuilderText {
    digest: String,
    role: String,
}

/// Fields in the order of their names.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApprovalText {
    digest: String,
    expires_ns: i64,
    gates_sha256: String,
    not_before_ns: i64,
    serial: u64,
    size_scale: String,
    slot: u16,
    stage: String,
}

/// Reads the builder's statement: which bundle it is about.
pub(crate) fn read_builder(name: &str, payload: &[u8]) -> Result<BundleDigest, BundleError> {
    let text: BuilderText = canonical::read(name, payload)?;
    if text.role != KeyRole::Builder.as_str() {
        return Err(BundleError::not_allowed(
            name,
            "role",
            format!("{:?}", text.role),
            "builder",
        ));
    }
    digest(name, "digest", &text.digest)
}

/// What the approver agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approval {
    /// The bundle.
    pub digest: BundleDigest,
    /// In which slot it may run.
    pub slot: SlotId,
    /// At which stage.
    pub stage: ApprovalStage,
    /// Share of the full size, above 0 to what the stage allows.
    pub size_scale: Decimal,
    /// From when.
    pub not_before: Timestamp,
    /// Until when: after it begins, by at most [`APPROVAL_NS_MAX`].
    pub expires: Timestamp,
    /// Counts up with every approval of a slot.
    pub serial: u64,
    /// SHA-256 of the gate results that the approver saw.
    pub gates_sha256: [u8; 32],
}

impl Approval {
    /// Reads the approver's statement.
    pub(crate) fn read(name: &str, payload: &[u8]) -> Result<Self, BundleError> {
        let text: ApprovalText = canonical::read(name, payload)?;
        let refused =
            |key, found: String, allowed: String| BundleError::not_allowed(name, key, found, allowed);
        let stage = ApprovalStage::from_name(&text.stage).ok_or_else(|| {
            let known = ApprovalStage::ALL.map(ApprovalStage::as_str).join(", ");
            refused("stage", format!("{:?}", text.stage), known)
        })?;
        if text.serial == 0 || i64::try_from(text.serial).is_err() {
            let allowed = format!("1 to {}", i64::MAX);
            return Err(refused("serial", text.serial.to_string(), allowed));
        }
        if text.expires_ns <= text.not_before_ns {
            let allowed = format!("after not_before_ns, which is {}", text.not_before_ns);
            return Err(refused("expires_ns", text.expires_ns.to_string(), allowed));
        }
        if text.expires_ns.saturating_sub(text.not_before_ns) > APPROVAL_NS_MAX {
            let allowed = format!(
                "at most {APPROVAL_NS_MAX} ns after not_before_ns, which is {}",
                text.not_before_ns
            );
            return Err(refused("expires_ns", text.expires_ns.to_string(), allowed));
        }
        Ok(Self {
            digest: digest(name, "digest", &text.digest)?,
            slot: SlotId(text.slot),
            stage,
            size_scale: size_scale(name, &text.size_scale, stage)?,
            not_before: Timestamp::from_nanos(text.not_before_ns),
            expires: Timestamp::from_nanos(text.expires_ns),
            serial: text.serial,
            gates_sha256: digest(name, "gates_sha256", &text.gates_sha256)?.0,
        })
    }
}

/// A share that is written in one way only, within what the stage allows.
fn size_scale(name: &str, text: &str, stage: ApprovalStage) -> Result<Decimal, BundleError> {
    let most = Decimal::from_units(Decimal::ONE.units() / 100 * stage.percent_max());
    Decimal::parse(text.as_bytes())
        .ok()
        .filter(|scale| *scale > Decimal::ZERO && *scale <= most && scale.to_string() == text)
        .ok_or_else(|| {
            let allowed =
                format!("a decimal above 0, at most {most} at stage {stage}, without needless digits");
            BundleError::not_allowed(name, "size_scale", format!("{text:?}"), allowed)
        })
}

fn digest(name: &str, key: &'static str, text: &str) -> Result<BundleDigest, BundleError> {
    BundleDigest::from_hex(text).ok_or_else(|| {
        BundleError::not_allowed(name, key, format!("{text:?}"), "64 lower-case hexadecimal digits")
    })
}
