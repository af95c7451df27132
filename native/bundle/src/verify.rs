//! Whose word stands for a bundle, and whether it holds here and now.

use std::path::Path;

use domain::{BundleDigest, SlotId, Timestamp};

use crate::content::{Content, OpenBundle};
use crate::dsse::Envelope;
use crate::error::BundleError;
use crate::folder::Folder;
use crate::keys::{ApprovalStage, KeyId, KeyRole, TrustedKey, TrustedKeys};
use crate::limits::ENVELOPE_BYTES_MAX;
use crate::statement::{APPROVAL_TYPE, Approval, BUILDER_TYPE, read_builder};

/// Why the bundle may take the slot over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission<'a> {
    /// A step forward.
    Deploy {
        /// The highest serial that the slot has run, 0 at first: the approval's is above it.
        serial_floor: u64,
    },
    /// A step back, or the taking up again after a restart.
    Rollback {
        /// What the slot has run, by this instance's journal: the bundle is among them.
        previously_active: &'a [BundleDigest],
    },
}

/// What the service at hand asks of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectation<'a> {
    /// The slot to be taken over.
    pub slot: SlotId,
    /// The stage at which it runs.
    pub stage: ApprovalStage,
    /// Now, by a clock that people approve by: the host's, not a compressed venue's.
    pub now: Timestamp,
    /// Forward or back.
    pub admission: Admission<'a>,
}

/// A bundle that stands up to everything here, except that its model has not been loaded.
#[derive(Debug)]
pub struct VerifiedBundle {
    content: Content,
    approval: Approval,
    builder: KeyId,
    approver: KeyId,
}

impl VerifiedBundle {
    /// Its files.
    #[must_use]
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// What was agreed to.
    #[must_use]
    pub const fn approval(&self) -> &Approval {
        &self.approval
    }

    /// The key that built it.
    #[must_use]
    pub const fn builder(&self) -> KeyId {
        self.builder
    }

    /// The key that approved it.
    #[must_use]
    pub const fn approver(&self) -> KeyId {
        self.approver
    }

    pub(crate) fn into_parts(self) -> (Content, Approval) {
        (self.content, self.approval)
    }
}

/// Reads and judges a bundle: integrity, both signatures and roles, approval. Blocks on file I/O of at most
/// [`crate::limits::BUNDLE_BYTES_MAX`] bytes.
///
/// # Errors
/// [`BundleError`]: the first thing that is wrong.
pub fn verify(
    store: &Path,
    digest: BundleDigest,
    keys: &TrustedKeys,
    expectation: &Expectation<'_>,
) -> Result<VerifiedBundle, BundleError> {
    let root = Folder::root(store)?;
    let bundle = OpenBundle::open(&root, digest)?;
    let signatures = Signatures::open(&root, digest)?;
    let built = signatures.read(KeyRole::Builder, BUILDER_TYPE)?;
    let approved = signatures.read(KeyRole::Approver, APPROVAL_TYPE)?;
    let signed = Signed::judge(&built, &approved, digest, keys)?;
    check_here_and_now(&signed.approval, expectation)?;
    for key in [signed.builder, signed.approver] {
        check_stage(key, signed.approval.stage)?;
    }
    signed.with(&bundle)
}

/// Reads and judges a bundle as far as the builder vouches for it: what an approver needs before signing.
///
/// # Errors
/// [`BundleError`]: the first thing that is wrong.
pub fn verify_built(
    store: &Path,
    digest: BundleDigest,
    keys: &TrustedKeys,
) -> Result<(Content, KeyId), BundleError> {
    let root = Folder::root(store)?;
    let bundle = OpenBundle::open(&root, digest)?;
    let built = Signatures::open(&root, digest)?.read(KeyRole::Builder, BUILDER_TYPE)?;
    let builder = check_builder(&built, digest, keys)?;
    Ok((bundle.read()?, builder.id()))
}

/// Reads a bundle as a record shows that it ran, for a replay: both signatures and roles count, but not whether the
/// approval still holds.
///
/// # Errors
/// [`BundleError`]: the first thing that is wrong, [`BundleError::Unsigned`] when no approval of that slot and serial is
/// kept any more.
pub fn verify_recorded(
    store: &Path,
    digest: BundleDigest,
    keys: &TrustedKeys,
    slot: SlotId,
    serial: u64,
) -> Result<VerifiedBundle, BundleError> {
    let root = Folder::root(store)?;
    let bundle = OpenBundle::open(&root, digest)?;
    let signatures = Signatures::open(&root, digest)?;
    let built = signatures.read(KeyRole::Builder, BUILDER_TYPE)?;
    let approved = signatures.kept(slot, serial)?;
    let signed = Signed::judge(&built, &approved, digest, keys)?;
    if signed.approval.slot != slot || signed.approval.serial != serial {
        return Err(BundleError::Unsigned {
            role: KeyRole::Approver,
            name: signatures.kept_name(slot, serial),
        });
    }
    signed.with(&bundle)
}

/// Two statements about one bundle, by two trusted keys.
struct Signed<'k> {
    approval: Approval,
    builder: &'k TrustedKey,
    approver: &'k TrustedKey,
}

impl<'k> Signed<'k> {
    fn judge(
        built: &Envelope,
        approved: &Envelope,
        digest: BundleDigest,
        keys: &'k TrustedKeys,
    ) -> Result<Self, BundleError> {
        if built.key() == approved.key() {
            return Err(BundleError::OneKey { key: built.key() });
        }
        let builder = check_builder(built, digest, keys)?;
        let (payload, approver) = approved.verified(keys)?;
        let approval = Approval::read(approved.name(), payload)?;
        if approval.digest != digest {
            return Err(BundleError::OtherDigest {
                role: KeyRole::Approver,
                wanted: digest,
                found: approval.digest,
            });
        }
        Ok(Self {
            approval,
            builder,
            approver,
        })
    }

    /// Reads the content: only now, because what nobody vouches for is not interpreted.
    fn with(self, bundle: &OpenBundle) -> Result<VerifiedBundle, BundleError> {
        let content = bundle.read()?;
        check_gates(&self.approval, &content)?;
        Ok(VerifiedBundle {
            content,
            approval: self.approval,
            builder: self.builder.id(),
            approver: self.approver.id(),
        })
    }
}

/// The folder of a bundle's signed statements.
struct Signatures {
    place: String,
    folder: Option<Folder>,
}

impl Signatures {
    fn open(store: &Folder, digest: BundleDigest) -> Result<Self, BundleError> {
        let place = format!("signatures/{digest}/");
        let folder = match store.folder("signatures", "signatures/")? {
            Some(all) => all.folder(&digest.to_string(), &place)?,
            None => None,
        };
        Ok(Self { place, folder })
    }

    fn read(&self, role: KeyRole, payload_type: &'static str) -> Result<Envelope, BundleError> {
        let file = format!("{role}.dsse.json");
        let name = format!("{}{file}", self.place);
        let bytes = match &self.folder {
            Some(folder) => folder.read(&file, ENVELOPE_BYTES_MAX)?,
            None => None,
        };
        match bytes {
            Some(bytes) => Envelope::read(&name, &bytes, role, payload_type),
            None => Err(BundleError::Unsigned { role, name }),
        }
    }

    /// An approval that a later one may have replaced.
    fn kept(&self, slot: SlotId, serial: u64) -> Result<Envelope, BundleError> {
        let name = self.kept_name(slot, serial);
        let role = KeyRole::Approver;
        let place = format!("{}{KEPT}/", self.place);
        let kept = match &self.folder {
            Some(folder) => folder.folder(KEPT, &place)?,
            None => None,
        };
        let bytes = match kept {
            Some(folder) => folder.read(&kept_file(slot, serial), ENVELOPE_BYTES_MAX)?,
            None => None,
        };
        match bytes {
            Some(bytes) => Envelope::read(&name, &bytes, role, APPROVAL_TYPE),
            None => Err(BundleError::Unsigned { role, name }),
        }
    }

    fn kept_name(&self, slot: SlotId, serial: u64) -> String {
        format!("{}{KEPT}/{}", self.place, kept_file(slot, serial))
    }
}

/// The folder of all approvals, the newest included.
const KEPT: &str = "approvals";

fn kept_file(slot: SlotId, serial: u64) -> String {
    format!("{}-{serial}.dsse.json", slot.0)
}

fn check_builder<'k>(
    built: &Envelope,
    digest: BundleDigest,
    keys: &'k TrustedKeys,
) -> Result<&'k TrustedKey, BundleError> {
    let (payload, builder) = built.verified(keys)?;
    let found = read_builder(built.name(), payload)?;
    if found != digest {
        return Err(BundleError::OtherDigest {
            role: KeyRole::Builder,
            wanted: digest,
            found,
        });
    }
    Ok(builder)
}

fn check_here_and_now(approval: &Approval, expectation: &Expectation<'_>) -> Result<(), BundleError> {
    if approval.slot != expectation.slot {
        return Err(BundleError::OtherSlot {
            wanted: expectation.slot,
            found: approval.slot,
        });
    }
    if approval.stage != expectation.stage {
        return Err(BundleError::OtherStage {
            wanted: expectation.stage,
            found: approval.stage,
        });
    }
    check_time(approval, expectation.now)?;
    check_admission(approval, expectation)
}

/// The gate results that the approver saw are those in the bundle.
fn check_gates(approval: &Approval, content: &Content) -> Result<(), BundleError> {
    let approved = BundleDigest(approval.gates_sha256).to_string();
    let found = content.gates_sha256();
    if approved == found {
        Ok(())
    } else {
        Err(BundleError::OtherGates { approved, found })
    }
}

fn check_time(approval: &Approval, now: Timestamp) -> Result<(), BundleError> {
    if now < approval.not_before {
        return Err(BundleError::NotYetValid {
            not_before_ns: approval.not_before.nanos(),
            now_ns: now.nanos(),
        });
    }
    if now >= approval.expires {
        return Err(BundleError::Expired {
            expires_ns: approval.expires.nanos(),
            now_ns: now.nanos(),
        });
    }
    Ok(())
}

fn check_admission(approval: &Approval, expectation: &Expectation<'_>) -> Result<(), BundleError> {
    match expectation.admission {
        Admission::Deploy { serial_floor } if approval.serial <= serial_floor => {
            Err(BundleError::SerialTooLow {
                serial: approval.serial,
                floor: serial_floor,
            })
        }
        Admission::Rollback { previously_active } if !previously_active.contains(&approval.digest) => {
            Err(BundleError::NeverActive {
                digest: approval.digest,
                slot: expectation.slot,
            })
        }
        Admission::Deploy { .. } | Admission::Rollback { .. } => Ok(()),
    }
}

fn check_stage(key: &TrustedKey, stage: ApprovalStage) -> Result<(), BundleError> {
    if stage <= key.highest_stage() {
        return Ok(());
    }
    Err(BundleError::StageAboveKey {
        role: key.role(),
        key: key.id(),
        highest: key.highest_stage(),
        stage,
    })
}
