//! Why a bundle is refused.

use config::{ConfigErrors, LooserLimit};
use domain::{BundleDigest, SlotId};
use thiserror::Error;

use crate::keys::{ApprovalStage, KeyId, KeyRole};

/// A bundle that is refused, or a list of trusted keys that cannot be used. Fatal for that bundle, never for the
/// service: what runs goes on. Files are named relative to the bundle's folder, signatures relative to the store.
#[derive(Debug, Error)]
pub enum BundleError {
    /// A folder or file that must be there is not.
    #[error("{name} is not there: {hint}")]
    Missing {
        /// Which.
        name: String,
        /// What to do.
        hint: &'static str,
    },
    /// The system does not let us read it.
    #[error("{name} cannot be read: {source}")]
    Unreadable {
        /// Which.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A link to elsewhere.
    #[error("{name} is a symbolic link; a bundle holds plain files only")]
    Symlink {
        /// Which.
        name: String,
    },
    /// A file with a second name, under which it can be changed.
    #[error(
        "{name} has {links} names in the file system; a file of a bundle has one (copy it, do not link it)"
    )]
    HardLink {
        /// Which.
        name: String,
        /// Its names.
        links: u64,
    },
    /// Neither a plain file nor the one folder that is known.
    #[error("{name} is no plain file")]
    NotAFile {
        /// Which.
        name: String,
    },
    /// Beyond a bound of [`crate::limits`].
    #[error("{name} has {bytes} bytes; at most {limit} are allowed")]
    TooLarge {
        /// Which.
        name: String,
        /// Its size.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
    /// The manifest is not the one that the digest names.
    #[error("manifest.json has SHA-256 {found}, the bundle is called {wanted}: it was changed or misnamed")]
    ManifestChanged {
        /// The digest asked for.
        wanted: BundleDigest,
        /// That of the bytes.
        found: BundleDigest,
    },
    /// Not JSON, an unknown or repeated field, a missing one, another type.
    #[error("{name}: {fault}")]
    Malformed {
        /// Which.
        name: String,
        /// What the reader said.
        fault: String,
    },
    /// JSON that says the right thing in other bytes than the canonical ones.
    #[error("{name} is not canonical JSON: sorted keys, no spaces, no line break at the end")]
    NotCanonical {
        /// Which.
        name: String,
    },
    /// A value that is not allowed.
    #[error("{name}: {key} is {found}; allowed: {allowed}")]
    NotAllowed {
        /// Which file.
        name: String,
        /// Which field.
        key: &'static str,
        /// What stands there.
        found: String,
        /// What may stand there.
        allowed: String,
    },
    /// The bundle needs a newer build.
    #[error("the bundle needs engine {needed} or newer, this is {own}: update the service first")]
    EngineTooOld {
        /// The bundle's `min_engine_version`.
        needed: semver::Version,
        /// This build's.
        own: semver::Version,
    },
    /// A path that leads out of the bundle.
    #[error("manifest.json lists {path:?}, which leads out of the bundle")]
    PathTraversal {
        /// As it stands.
        path: String,
    },
    /// The manifest's list is not that of the layout.
    #[error("manifest.json: {fault}")]
    FileList {
        /// What is wrong.
        fault: String,
    },
    /// A file that the manifest does not list.
    #[error("{name} is not in the manifest: nothing may be added to a bundle")]
    ExtraFile {
        /// Which.
        name: String,
    },
    /// A file that the manifest lists and the folder lacks.
    #[error("{name} is in the manifest and not in the folder")]
    MissingFile {
        /// Which.
        name: String,
    },
    /// Another size than the manifest says.
    #[error("{name} has {found} bytes, the manifest says {wanted}")]
    WrongSize {
        /// Which.
        name: String,
        /// The manifest's.
        wanted: u64,
        /// The file's.
        found: u64,
    },
    /// Another content than the manifest says.
    #[error("{name} was changed: SHA-256 {found}, the manifest says {wanted}")]
    FileChanged {
        /// Which.
        name: String,
        /// The manifest's, hex.
        wanted: String,
        /// The file's, hex.
        found: String,
    },
    /// `trusted_keys.toml` cannot be used.
    #[error("{name}: {fault}")]
    TrustedKeys {
        /// Which file.
        name: String,
        /// What is wrong, and what is allowed.
        fault: String,
    },
    /// There is no statement of that role.
    #[error("the {role} has not signed: {name} is not there")]
    Unsigned {
        /// Whose.
        role: KeyRole,
        /// Where it would be.
        name: String,
    },
    /// An envelope that is none of ours.
    #[error("{name}: {fault}")]
    Envelope {
        /// Which.
        name: String,
        /// What is wrong, and what is allowed.
        fault: String,
    },
    /// The key is not in `trusted_keys.toml`.
    #[error("the {role}'s statement is signed by key {key}, which is not trusted here")]
    UnknownKey {
        /// Whose statement.
        role: KeyRole,
        /// The key.
        key: KeyId,
    },
    /// The key is trusted for something else.
    #[error("the {role}'s statement is signed by key {key}, which is trusted as {found} only")]
    WrongRole {
        /// Whose statement.
        role: KeyRole,
        /// The key.
        key: KeyId,
        /// What the key may do.
        found: KeyRole,
    },
    /// Builder and approver are one.
    #[error("key {key} signed as builder and as approver: two persons must agree, with two keys")]
    OneKey {
        /// The key.
        key: KeyId,
    },
    /// The signature does not belong to statement and key.
    #[error("the {role}'s statement is not what key {key} signed")]
    BadSignature {
        /// Whose statement.
        role: KeyRole,
        /// The key.
        key: KeyId,
    },
    /// A statement about another bundle.
    #[error("the {role}'s statement is about bundle {found}, not about {wanted}")]
    OtherDigest {
        /// Whose statement.
        role: KeyRole,
        /// The bundle at hand.
        wanted: BundleDigest,
        /// The statement's.
        found: BundleDigest,
    },
    /// Approved for another slot.
    #[error("approved for slot {}, not for slot {}", found.0, wanted.0)]
    OtherSlot {
        /// The slot at hand.
        wanted: SlotId,
        /// The approval's.
        found: SlotId,
    },
    /// Approved for another stage.
    #[error("approved for stage {found}; this slot runs at {wanted}")]
    OtherStage {
        /// The stage at hand.
        wanted: ApprovalStage,
        /// The approval's.
        found: ApprovalStage,
    },
    /// The key's highest stage is lower.
    #[error("the {role}'s key {key} is trusted up to stage {highest}, the approval is for {stage}")]
    StageAboveKey {
        /// Whose key.
        role: KeyRole,
        /// The key.
        key: KeyId,
        /// How far it is trusted.
        highest: ApprovalStage,
        /// The approval's.
        stage: ApprovalStage,
    },
    /// The approval begins later.
    #[error("the approval begins at {not_before_ns} ns UTC, it is {now_ns}")]
    NotYetValid {
        /// When it begins.
        not_before_ns: i64,
        /// Now.
        now_ns: i64,
    },
    /// The approval has ended.
    #[error("the approval expired at {expires_ns} ns UTC, it is {now_ns}: approve the bundle again")]
    Expired {
        /// When it ended.
        expires_ns: i64,
        /// Now.
        now_ns: i64,
    },
    /// The serial is not above what was there before.
    #[error(
        "serial {serial} is not above {floor}, the highest that this slot has run: an older approval was replayed"
    )]
    SerialTooLow {
        /// The approval's.
        serial: u64,
        /// The highest before.
        floor: u64,
    },
    /// A rollback to something that never ran here.
    #[error("bundle {digest} was never active in slot {} here: a rollback only goes back", slot.0)]
    NeverActive {
        /// The bundle.
        digest: BundleDigest,
        /// The slot.
        slot: SlotId,
    },
    /// The approver saw other gate results.
    #[error("reports/gates.json has SHA-256 {found}, the approver saw {approved}")]
    OtherGates {
        /// The approval's, hex.
        approved: String,
        /// The file's, hex.
        found: String,
    },
    /// A file of the bundle is not valid by the service's own validator.
    #[error("{0}")]
    Config(ConfigErrors),
    /// The features are not those that the strategy, or the model, was made for.
    #[error("{whose} takes the features {found:?}; features.json has {wanted:?}, and the order counts")]
    FeatureOrder {
        /// The strategy's file or the model.
        whose: &'static str,
        /// The names of features.json.
        wanted: Vec<String>,
        /// The others.
        found: Vec<String>,
    },
    /// Made for another feature specification.
    #[error("{whose} was made for feature specification {found}; features.json is {wanted}")]
    ForeignSpec {
        /// The model or the provenance.
        whose: &'static str,
        /// SHA-256 of features.json, hex.
        wanted: String,
        /// The other, hex.
        found: String,
    },
    /// Limits beyond the policy.
    #[error("risk_limits.toml: {}", listed(.0))]
    LooserLimits(Vec<LooserLimit>),
}

fn listed(limits: &[LooserLimit]) -> String {
    let lines: Vec<_> = limits.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

impl BundleError {
    /// A stable word for the reason, for programs; the text is for people.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Unreadable { .. } => "unreadable",
            Self::Symlink { .. } => "symlink",
            Self::HardLink { .. } => "hardlink",
            Self::NotAFile { .. } => "not_a_file",
            Self::TooLarge { .. } => "too_large",
            Self::ManifestChanged { .. } => "manifest_changed",
            Self::Malformed { .. } => "malformed",
            Self::NotCanonical { .. } => "not_canonical",
            Self::NotAllowed { .. } => "not_allowed",
            Self::EngineTooOld { .. } => "engine_too_old",
            Self::PathTraversal { .. } => "path_traversal",
            Self::FileList { .. } => "file_list",
            Self::ExtraFile { .. } => "extra_file",
            Self::MissingFile { .. } => "missing_file",
            Self::WrongSize { .. } => "wrong_size",
            Self::FileChanged { .. } => "changed_file",
            Self::TrustedKeys { .. } => "trusted_keys",
            Self::Unsigned { .. } => "unsigned",
            Self::Envelope { .. } => "envelope",
            Self::UnknownKey { .. } => "unknown_key",
            Self::WrongRole { .. } => "wrong_role",
            Self::OneKey { .. } => "one_key",
            Self::BadSignature { .. } => "bad_signature",
            Self::OtherDigest { .. } => "other_digest",
            Self::OtherSlot { .. } => "other_slot",
            Self::OtherStage { .. } => "other_stage",
            Self::StageAboveKey { .. } => "stage_above_key",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Expired { .. } => "expired",
            Self::SerialTooLow { .. } => "serial",
            Self::NeverActive { .. } => "never_active",
            Self::OtherGates { .. } => "other_gates",
            Self::Config(_) => "content",
            Self::FeatureOrder { .. } => "feature_order",
            Self::ForeignSpec { .. } => "foreign_spec",
            Self::LooserLimits(_) => "looser_limits",
        }
    }

    pub(crate) fn not_allowed(
        name: &str,
        key: &'static str,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Self {
        Self::NotAllowed {
            name: name.to_owned(),
            key,
            found: found.into(),
            allowed: allowed.into(),
        }
    }
}
