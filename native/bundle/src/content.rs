//! A bundle's files, each read once and held against the manifest, and what they say.

use std::collections::BTreeMap;
use std::path::Path;

use config::StrategyConfig;
use domain::{BundleDigest, Decimal};
use engine::risk::RiskLimits;
use engine::signals::FeatureSpec;
use sha2::{Digest, Sha256};

use crate::error::BundleError;
use crate::folder::Folder;
use crate::limits::MANIFEST_BYTES_MAX;
use crate::manifest::{
    FEATURES, GATES, GOLDEN, LAYOUT, MANIFEST, MODEL, Manifest, PROVENANCE, RISK_LIMITS, STRATEGY,
};
use crate::program::ModelFacts;
use crate::provenance::Provenance;

const REPORTS: &str = "reports";

/// A bundle whose files are the manifest's and whose texts are valid. Nobody's word for it is checked yet.
#[derive(Debug)]
pub struct Content {
    digest: BundleDigest,
    manifest: Manifest,
    files: BTreeMap<&'static str, Vec<u8>>,
    strategy: StrategyConfig,
    daily_volatility: Decimal,
    features: FeatureSpec,
    feature_spec_sha256: String,
    limits: RiskLimits,
    provenance: Provenance,
}

/// Reads a bundle without looking at any signature: what a builder does before signing.
///
/// # Errors
/// [`BundleError`] for anything but exactly the files of the manifest that the digest names, with valid content.
pub fn read_content(store: &Path, digest: BundleDigest) -> Result<Content, BundleError> {
    OpenBundle::open(&Folder::root(store)?, digest)?.read()
}

/// A bundle whose manifest has the digest; nothing of it has been interpreted yet.
pub(crate) struct OpenBundle {
    digest: BundleDigest,
    folder: Folder,
    manifest: Vec<u8>,
}

impl OpenBundle {
    pub(crate) fn open(store: &Folder, digest: BundleDigest) -> Result<Self, BundleError> {
        let name = format!("sha256-{digest}");
        let folder = store.folder(&name, "")?.ok_or(BundleError::Missing {
            name,
            hint: "build the bundle, or copy it into this store",
        })?;
        let manifest = folder
            .read(MANIFEST, MANIFEST_BYTES_MAX)?
            .ok_or_else(|| BundleError::Missing {
                name: MANIFEST.to_owned(),
                hint: "the folder is not a bundle; build it again",
            })?;
        let found = BundleDigest(Sha256::digest(&manifest).into());
        if found != digest {
            let wanted = digest;
            return Err(BundleError::ManifestChanged { wanted, found });
        }
        Ok(Self {
            digest,
            folder,
            manifest,
        })
    }

    /// Reads everything else.
    pub(crate) fn read(&self) -> Result<Content, BundleError> {
        let manifest = Manifest::read(&self.manifest)?;
        let files = read_files(&self.folder, &manifest)?;
        Content::judge(self.digest, manifest, files)
    }
}

/// Every file of the manifest, and none beside them.
fn read_files(folder: &Folder, manifest: &Manifest) -> Result<BTreeMap<&'static str, Vec<u8>>, BundleError> {
    let reports = folder.folder(REPORTS, "reports/")?;
    refuse_foreign(folder, |name| {
        name == MANIFEST || (name == REPORTS && reports.is_some()) || LAYOUT.contains(&name)
    })?;
    if let Some(reports) = &reports {
        refuse_foreign(reports, |name| LAYOUT.contains(&reports.shown(name).as_str()))?;
    }
    let mut files = BTreeMap::new();
    for entry in &manifest.files {
        let bytes = match (entry.path.strip_prefix("reports/"), &reports) {
            (Some(name), Some(reports)) => reports.read(name, crate::limits::FILE_BYTES_MAX)?,
            (Some(_), None) => None,
            (None, _) => folder.read(entry.path, crate::limits::FILE_BYTES_MAX)?,
        };
        let bytes = bytes.ok_or_else(|| BundleError::MissingFile {
            name: entry.path.to_owned(),
        })?;
        let name = entry.path.to_owned();
        let (wanted, found) = (entry.size, bytes.len() as u64);
        if wanted != found {
            return Err(BundleError::WrongSize { name, wanted, found });
        }
        let (wanted, found) = (entry.sha256.clone(), sha256_hex(&bytes));
        if wanted != found {
            return Err(BundleError::FileChanged { name, wanted, found });
        }
        files.insert(entry.path, bytes);
    }
    Ok(files)
}

fn refuse_foreign(folder: &Folder, known: impl Fn(&str) -> bool) -> Result<(), BundleError> {
    match folder.names()?.into_iter().find(|name| !known(name)) {
        Some(name) => Err(BundleError::ExtraFile {
            name: folder.shown(&name),
        }),
        None => Ok(()),
    }
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    BundleDigest(Sha256::digest(bytes).into()).to_string()
}

impl Content {
    /// Reads what the texts say, and whether they fit each other.
    fn judge(
        digest: BundleDigest,
        manifest: Manifest,
        files: BTreeMap<&'static str, Vec<u8>>,
    ) -> Result<Self, BundleError> {
        let text = |path| utf8(path, &files[path]);
        let strategy = config::parse_strategy(STRATEGY, text(STRATEGY)?).map_err(BundleError::Config)?;
        let features =
            config::parse_feature_spec_json(FEATURES, text(FEATURES)?).map_err(BundleError::Config)?;
        let limits =
            config::parse_risk_limits(RISK_LIMITS, text(RISK_LIMITS)?).map_err(BundleError::Config)?;
        let provenance = Provenance::read(&files[PROVENANCE])?;
        let feature_spec_sha256 = sha256_hex(&files[FEATURES]);
        let daily_volatility = strategy.daily_volatility.ok_or_else(|| {
            let allowed = "a share above 0, written by the build of the bundle";
            BundleError::not_allowed(STRATEGY, "ml_model.daily_volatility", "absent", allowed)
        })?;
        let content = Self {
            digest,
            manifest,
            files,
            strategy,
            daily_volatility,
            features,
            feature_spec_sha256,
            limits,
            provenance,
        };
        content.check_strategy()?;
        content.check_spec("provenance.json", &content.provenance.feature_spec_sha256)?;
        Ok(content)
    }

    fn check_strategy(&self) -> Result<(), BundleError> {
        let refused =
            |key, found: String, allowed: String| BundleError::not_allowed(STRATEGY, key, found, allowed);
        let strategy = &self.strategy;
        if strategy.model_path != MODEL {
            let found = format!("{:?}", strategy.model_path);
            return Err(refused("ml_model.path", found, format!("{MODEL:?}")));
        }
        let version = self.manifest.version.to_string();
        if strategy.version != version {
            let found = format!("{:?}", strategy.version);
            return Err(refused(
                "strategy.version",
                found,
                format!("{version}, the manifest's"),
            ));
        }
        if strategy.bar_span != self.features.bar_span {
            let found = format!("{} ns", strategy.bar_span.0);
            let allowed = format!("{} ns, the bar of {FEATURES}", self.features.bar_span.0);
            return Err(refused("parameters.bar_seconds", found, allowed));
        }
        self.check_order("strategy.toml", &strategy.features)
    }

    /// Whether the model says of itself what this bundle is.
    ///
    /// # Errors
    /// [`BundleError::FeatureOrder`], [`BundleError::ForeignSpec`], or a name that is not the bundle's.
    pub fn check_model(&self, model: &ModelFacts<'_>) -> Result<(), BundleError> {
        self.check_order("the model", model.feature_names)?;
        self.check_spec("the model", model.feature_spec_sha256)?;
        if model.name != self.manifest.name {
            let found = format!("{:?}", model.name);
            let allowed = format!("{:?}, the manifest's", self.manifest.name);
            return Err(BundleError::not_allowed(MODEL, "name", found, allowed));
        }
        Ok(())
    }

    /// Whether no limit is looser than the policy's.
    ///
    /// # Errors
    /// [`BundleError::LooserLimits`] with every one that is.
    pub fn check_limits(&self, policy: &RiskLimits) -> Result<(), BundleError> {
        let looser = config::not_looser_than(&self.limits, policy);
        if looser.is_empty() {
            Ok(())
        } else {
            Err(BundleError::LooserLimits(looser))
        }
    }

    fn check_order(&self, whose: &'static str, names: &[String]) -> Result<(), BundleError> {
        let wanted: Vec<_> = self
            .features
            .features
            .iter()
            .map(|def| def.name.clone())
            .collect();
        if names == wanted {
            return Ok(());
        }
        Err(BundleError::FeatureOrder {
            whose,
            wanted,
            found: names.to_vec(),
        })
    }

    fn check_spec(&self, whose: &'static str, sha256: &str) -> Result<(), BundleError> {
        if sha256 == self.feature_spec_sha256 {
            return Ok(());
        }
        Err(BundleError::ForeignSpec {
            whose,
            wanted: self.feature_spec_sha256.clone(),
            found: sha256.to_owned(),
        })
    }

    /// The bundle's identity.
    #[must_use]
    pub const fn digest(&self) -> BundleDigest {
        self.digest
    }

    /// Name, version, instrument, files.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// `model.onnx`.
    #[must_use]
    pub fn model_bytes(&self) -> &[u8] {
        &self.files[MODEL]
    }

    /// `golden.bin`.
    #[must_use]
    pub fn golden_bytes(&self) -> &[u8] {
        &self.files[GOLDEN]
    }

    /// `strategy.toml`.
    #[must_use]
    pub const fn strategy(&self) -> &StrategyConfig {
        &self.strategy
    }

    /// The strategy file's standard deviation of daily returns.
    #[must_use]
    pub const fn daily_volatility(&self) -> Decimal {
        self.daily_volatility
    }

    /// `features.json`.
    #[must_use]
    pub const fn features(&self) -> &FeatureSpec {
        &self.features
    }

    /// SHA-256 of `features.json`, lower-case hex.
    #[must_use]
    pub fn feature_spec_sha256(&self) -> &str {
        &self.feature_spec_sha256
    }

    /// `risk_limits.toml`.
    #[must_use]
    pub const fn limits(&self) -> &RiskLimits {
        &self.limits
    }

    /// `provenance.json`.
    #[must_use]
    pub const fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// SHA-256 of `reports/gates.json`, lower-case hex.
    #[must_use]
    pub fn gates_sha256(&self) -> String {
        sha256_hex(&self.files[GATES])
    }
}

fn utf8<'b>(path: &str, bytes: &'b [u8]) -> Result<&'b str, BundleError> {
    std::str::from_utf8(bytes).map_err(|error| BundleError::Malformed {
        name: path.to_owned(),
        fault: format!("not UTF-8: {error}"),
    })
}
