//! Verdicts on deployment bundles: the service's own reader, its model and its golden rows included.

use std::path::PathBuf;

use bundle::{
    Admission, ApprovalStage, BundleError, Content, Expectation, KeyId, KeyRole, ModelFacts, TrustedKeys,
    VerifiedBundle,
};
use domain::{BundleDigest, SlotId, Timestamp};
use engine::risk::RiskLimits;
use inference::{GoldenReport, GoldenRows, TreeModel, verify_golden};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::refused;

/// Why a bundle is refused: a stable word, and the reason for people.
struct Refusal {
    code: &'static str,
    reason: String,
}

impl From<BundleError> for Refusal {
    fn from(error: BundleError) -> Self {
        Self {
            code: error.code(),
            reason: error.to_string(),
        }
    }
}

/// What the model showed.
struct Proof {
    golden: GoldenReport,
    trees: usize,
}

/// Judges a bundle without any signature: what a builder asks before signing.
///
/// Returns {"ok": True, ...facts} or {"ok": False, "refusal": word, "reason": text}. Raises `CoreError` where the
/// question itself is wrong: a digest that is none, a policy that cannot be read.
#[pyfunction]
#[pyo3(signature = (store, digest, *, risk_policy=None))]
#[expect(
    clippy::needless_pass_by_value,
    reason = "extracted from any path-like object"
)]
pub(crate) fn inspect_bundle<'py>(
    py: Python<'py>,
    store: PathBuf,
    digest: &str,
    risk_policy: Option<&str>,
) -> PyResult<Bound<'py, PyDict>> {
    let digest = digest_of(digest)?;
    let policy = policy_of(risk_policy)?;
    let judged = py.detach(|| {
        let content = bundle::read_content(&store, digest)?;
        let proof = prove(&content, policy.as_ref())?;
        Ok((content, proof))
    });
    answer(py, judged, |verdict, (content, proof)| {
        describe(verdict, &content, &proof)
    })
}

/// Judges a bundle as far as its builder vouches for it: what an approver asks before signing.
///
/// Returns and raises as `inspect_bundle`; also raises `CoreError` for trusted keys that cannot be read.
#[pyfunction]
#[pyo3(signature = (store, digest, trusted_keys_toml, *, risk_policy=None))]
#[expect(
    clippy::needless_pass_by_value,
    reason = "extracted from any path-like object"
)]
pub(crate) fn verify_built_bundle<'py>(
    py: Python<'py>,
    store: PathBuf,
    digest: &str,
    trusted_keys_toml: &str,
    risk_policy: Option<&str>,
) -> PyResult<Bound<'py, PyDict>> {
    let digest = digest_of(digest)?;
    let policy = policy_of(risk_policy)?;
    let keys = keys_of(trusted_keys_toml)?;
    let judged = py.detach(|| {
        let (content, builder) = bundle::verify_built(&store, digest, &keys)?;
        let proof = prove(&content, policy.as_ref())?;
        Ok((content, builder, proof))
    });
    answer(py, judged, |verdict, (content, builder, proof)| {
        verdict.set_item("builder", builder.to_string())?;
        describe(verdict, &content, &proof)
    })
}

/// Judges a bundle as the service does before it takes a slot over.
///
/// `previously_active`: digests that the slot has run; given, the bundle goes back instead of forward and
/// `serial_floor` counts for nothing. Returns and raises as `verify_built_bundle`.
#[pyfunction]
#[pyo3(signature = (
    store, digest, trusted_keys_toml, slot, stage, now_ns, serial_floor, *, risk_policy=None, previously_active=None
))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of one Python call")]
#[expect(
    clippy::needless_pass_by_value,
    reason = "extracted from any path-like object"
)]
pub(crate) fn verify_bundle<'py>(
    py: Python<'py>,
    store: PathBuf,
    digest: &str,
    trusted_keys_toml: &str,
    slot: u16,
    stage: &str,
    now_ns: i64,
    serial_floor: u64,
    risk_policy: Option<&str>,
    previously_active: Option<Vec<String>>,
) -> PyResult<Bound<'py, PyDict>> {
    let digest = digest_of(digest)?;
    let policy = policy_of(risk_policy)?;
    let keys = keys_of(trusted_keys_toml)?;
    let before = previously_active
        .map(|digests| {
            digests
                .iter()
                .map(|text| digest_of(text))
                .collect::<PyResult<Vec<_>>>()
        })
        .transpose()?;
    let expectation = Expectation {
        slot: SlotId(slot),
        stage: stage_of(stage)?,
        now: Timestamp::from_nanos(now_ns),
        admission: match &before {
            None => Admission::Deploy { serial_floor },
            Some(previously_active) => Admission::Rollback { previously_active },
        },
    };
    let judged = py.detach(|| {
        let verified = bundle::verify(&store, digest, &keys, &expectation)?;
        let proof = prove(verified.content(), policy.as_ref())?;
        Ok((verified, proof))
    });
    answer(py, judged, |verdict, (verified, proof)| {
        describe_approval(verdict, &verified)?;
        describe(verdict, verified.content(), &proof)
    })
}

/// The keys of a `trusted_keys.toml`, as a list of dictionaries; raises `CoreError` for one that cannot be used.
#[pyfunction]
#[pyo3(signature = (text, file_name="trusted_keys.toml"))]
pub(crate) fn trusted_keys<'py>(
    py: Python<'py>,
    text: &str,
    file_name: &str,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let keys = TrustedKeys::parse(file_name, text).map_err(refused)?;
    keys.iter()
        .map(|key| {
            let row = PyDict::new(py);
            row.set_item("id", key.id().to_string())?;
            row.set_item("role", key.role().as_str())?;
            row.set_item("highest_stage", key.highest_stage().as_str())?;
            row.set_item("public_key_pem", key.public_key_pem())?;
            Ok(row)
        })
        .collect()
}

/// Every limit of one `risk_limits.toml` that is looser than another's, a sentence each; raises `CoreError` for a text
/// that is not valid.
#[pyfunction]
pub(crate) fn looser_limits(limits: &str, policy: &str) -> PyResult<Vec<String>> {
    let limits = config::parse_risk_limits("risk_limits.toml", limits).map_err(refused)?;
    let policy = config::parse_risk_limits("the risk policy", policy).map_err(refused)?;
    let looser = config::not_looser_than(&limits, &policy);
    Ok(looser.iter().map(ToString::to_string).collect())
}

/// Names of the stages, ascending, and of the roles of keys.
#[pyfunction]
pub(crate) fn bundle_words() -> (Vec<&'static str>, Vec<&'static str>) {
    (
        ApprovalStage::ALL
            .into_iter()
            .map(ApprovalStage::as_str)
            .collect(),
        KeyRole::ALL.into_iter().map(KeyRole::as_str).collect(),
    )
}

/// Loads the model and lets it show that it is the one of the golden rows and of this bundle.
fn prove(content: &Content, policy: Option<&RiskLimits>) -> Result<Proof, Refusal> {
    let refusal = |code, reason| Refusal { code, reason };
    let mut model = TreeModel::load(content.model_bytes())
        .map_err(|error| refusal("model", format!("model.onnx: {error}")))?;
    let metadata = model.metadata();
    content.check_model(&ModelFacts {
        name: metadata.name(),
        feature_names: metadata.feature_names(),
        feature_spec_sha256: metadata.feature_spec_sha256(),
    })?;
    let rows =
        GoldenRows::read(content.golden_bytes()).map_err(|error| refusal("golden", error.to_string()))?;
    let golden = verify_golden(&mut model, &rows)
        .map_err(|error| refusal("golden", format!("golden.bin: {error}")))?;
    if let Some(policy) = policy {
        content.check_limits(policy)?;
    }
    Ok(Proof {
        golden,
        trees: model.tree_count(),
    })
}

fn answer<'py, T>(
    py: Python<'py>,
    judged: Result<T, Refusal>,
    fill: impl FnOnce(&Bound<'py, PyDict>, T) -> PyResult<()>,
) -> PyResult<Bound<'py, PyDict>> {
    let verdict = PyDict::new(py);
    verdict.set_item("ok", judged.is_ok())?;
    match judged {
        Ok(facts) => fill(&verdict, facts)?,
        Err(refusal) => {
            verdict.set_item("refusal", refusal.code)?;
            verdict.set_item("reason", refusal.reason)?;
        }
    }
    Ok(verdict)
}

fn describe(verdict: &Bound<'_, PyDict>, content: &Content, proof: &Proof) -> PyResult<()> {
    let manifest = content.manifest();
    verdict.set_item("digest", content.digest().to_string())?;
    verdict.set_item("name", &manifest.name)?;
    verdict.set_item("version", manifest.version.to_string())?;
    verdict.set_item("instrument", &manifest.instrument)?;
    verdict.set_item("feature_spec_sha256", content.feature_spec_sha256())?;
    verdict.set_item("gates_sha256", content.gates_sha256())?;
    verdict.set_item("files", manifest.files.len())?;
    verdict.set_item("bytes", manifest.files.iter().map(|file| file.size).sum::<u64>())?;
    verdict.set_item("trees", proof.trees)?;
    verdict.set_item("golden_rows", proof.golden.rows)?;
    verdict.set_item("max_probability_ulps", proof.golden.max_probability_ulps)
}

fn describe_approval(verdict: &Bound<'_, PyDict>, verified: &VerifiedBundle) -> PyResult<()> {
    let approval = verified.approval();
    let id = |key: KeyId| key.to_string();
    verdict.set_item("builder", id(verified.builder()))?;
    verdict.set_item("approver", id(verified.approver()))?;
    verdict.set_item("slot", approval.slot.0)?;
    verdict.set_item("stage", approval.stage.as_str())?;
    verdict.set_item("size_scale", approval.size_scale.to_string())?;
    verdict.set_item("not_before_ns", approval.not_before.nanos())?;
    verdict.set_item("expires_ns", approval.expires.nanos())?;
    verdict.set_item("serial", approval.serial)
}

fn digest_of(text: &str) -> PyResult<BundleDigest> {
    BundleDigest::from_hex(text).ok_or_else(|| {
        refused(format!(
            "{text:?} is no bundle digest: 64 lower-case hexadecimal digits are allowed"
        ))
    })
}

fn policy_of(text: Option<&str>) -> PyResult<Option<RiskLimits>> {
    text.map(|text| config::parse_risk_limits("the risk policy", text).map_err(refused))
        .transpose()
}

fn keys_of(text: &str) -> PyResult<TrustedKeys> {
    TrustedKeys::parse("trusted_keys.toml", text).map_err(refused)
}

fn stage_of(name: &str) -> PyResult<ApprovalStage> {
    ApprovalStage::from_name(name).ok_or_else(|| {
        let known = ApprovalStage::ALL.map(ApprovalStage::as_str).join(", ");
        refused(format!("no stage is called {name:?}; there are {known}"))
    })
}
