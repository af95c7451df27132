//! Replay of a run: the recorded inputs through a fresh engine, every output compared byte for byte.

use std::path::{Path, PathBuf};

use backtest::{Divergence, Recorded, Replay, ReplayError, ReplayReport};
use bundle::{ModelFacts, TrustedKeys};
use engine::{BundleActivated, EngineConfig, SlotProgram};
use inference::TreeModel;
use journal::codec::{describe, encode_action};
use journal::frame::Kind;
use journal::{Reader, RecordBody, Scale, TornTail};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::refused;

/// How a replay ended.
struct Verdict {
    report: ReplayReport,
    difference: Option<Divergence>,
    /// The chain over all records, in hexadecimal digits, and what a death tore off behind them; where the record was
    /// read to its end.
    chain: Option<String>,
    torn: Option<TornTail>,
    /// The binary that made the last life.
    binary_version: String,
    run_id: String,
}

/// Replays the journal of a run from record 0 and compares every action byte for byte.
///
/// `store` is the bundle store and `trusted_keys` the text of trusted_keys.toml: bundles that ran are read from there,
/// with both signatures checked. Returns {"identical", "lives", "events", "actions", "unrecorded", "torn", "chain",
/// "difference", "run_id", "binary_version"}: unrecorded counts the actions of inputs that were a life's last; torn is
/// None or {"segment", "offset", "bytes"} of what a death left behind the last whole record; chain is the hash over all
/// records, None when a difference ended the replay; difference is None or {"event", "action", "recorded", "replayed"}
/// in words. Raises `CoreError` where the record cannot be read (damage is named with segment, offset and record) or a
/// bundle is lost.
#[pyfunction]
#[expect(
    clippy::needless_pass_by_value,
    reason = "extracted from any path-like object"
)]
pub(crate) fn replay_journal<'py>(
    py: Python<'py>,
    journal: PathBuf,
    store: PathBuf,
    trusted_keys: &str,
) -> PyResult<Bound<'py, PyDict>> {
    let keys = TrustedKeys::parse("trusted_keys.toml", trusted_keys).map_err(refused)?;
    let verdict = py.detach(|| replay(&journal, &store, &keys)).map_err(refused)?;
    let answer = PyDict::new(py);
    answer.set_item("identical", verdict.difference.is_none())?;
    answer.set_item("lives", verdict.report.lives)?;
    answer.set_item("events", verdict.report.events)?;
    answer.set_item("actions", verdict.report.actions)?;
    answer.set_item("unrecorded", verdict.report.unrecorded)?;
    answer.set_item("torn", verdict.torn.map(|found| torn(py, found)).transpose()?)?;
    answer.set_item("chain", verdict.chain)?;
    answer.set_item(
        "difference",
        verdict
            .difference
            .map(|found| difference(py, &found))
            .transpose()?,
    )?;
    answer.set_item("run_id", verdict.run_id)?;
    answer.set_item("binary_version", verdict.binary_version)?;
    Ok(answer)
}

fn torn(py: Python<'_>, found: TornTail) -> PyResult<Bound<'_, PyDict>> {
    let answer = PyDict::new(py);
    answer.set_item("segment", found.segment)?;
    answer.set_item("offset", found.offset)?;
    answer.set_item("bytes", found.bytes)?;
    Ok(answer)
}

fn difference<'py>(py: Python<'py>, found: &Divergence) -> PyResult<Bound<'py, PyDict>> {
    let words = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| describe(Kind::Action, bytes));
    let answer = PyDict::new(py);
    answer.set_item("event", found.event)?;
    answer.set_item("action", found.action)?;
    answer.set_item("recorded", words(&found.recorded))?;
    answer.set_item("replayed", words(&found.replayed))?;
    Ok(answer)
}

fn replay(dir: &Path, store: &Path, keys: &TrustedKeys) -> Result<Verdict, String> {
    let mut reader = Reader::open(dir).map_err(|error| error.to_string())?;
    let mut replay = Replay::new(encode_action);
    let mut life: Option<Life> = None;
    let (mut binary_version, mut run_id) = (String::new(), String::new());
    while let Some(record) = reader.next_record().map_err(|error| error.to_string())? {
        let recorded = match record.body {
            RecordBody::Header(header) => {
                life = Some(Life {
                    scale: Scale::from_texts(&header.texts),
                    config: header.config.clone(),
                });
                (binary_version, run_id) = (header.binary_version, header.run_id);
                Recorded::Life(Box::new(header.config))
            }
            RecordBody::Event(event) => Recorded::Event(event),
            RecordBody::Action => Recorded::Action(record.payload),
        };
        let mut load = |activation: &BundleActivated| program(store, keys, life.as_ref(), activation);
        match replay.take(recorded, &mut load) {
            Ok(()) => {}
            Err(ReplayError::Diverged(found)) => {
                let report = replay.finish();
                return Ok(Verdict {
                    report,
                    difference: Some(*found),
                    chain: None,
                    torn: None,
                    binary_version,
                    run_id,
                });
            }
            Err(other) => return Err(other.to_string()),
        }
    }
    Ok(Verdict {
        report: replay.finish(),
        difference: None,
        chain: Some(format!("{:032x}", u128::from_be_bytes(reader.chain()))),
        torn: reader.torn(),
        binary_version,
        run_id,
    })
}

/// What the header of a life says of it.
struct Life {
    config: EngineConfig,
    scale: Scale,
}

/// The program of a bundle that the record says ran.
fn program(
    store: &Path,
    keys: &TrustedKeys,
    life: Option<&Life>,
    activation: &BundleActivated,
) -> Result<SlotProgram, String> {
    let Life { config, scale } = life.ok_or("the record has no header before it")?;
    let words = |error: bundle::BundleError| error.to_string();
    let slot = config
        .slots
        .iter()
        .find(|slot| slot.slot == activation.slot)
        .ok_or("the record has no such slot")?;
    let instrument = config.instruments.get(usize::from(slot.instrument.0));
    let instrument = instrument.ok_or("the record has no such instrument")?;
    let found = bundle::verify_recorded(store, activation.digest, keys, activation.slot, activation.serial);
    let found = found.map_err(words)?;
    let model = TreeModel::load(found.content().model_bytes()).map_err(|error| error.to_string())?;
    let metadata = model.metadata();
    let facts = ModelFacts {
        name: metadata.name(),
        feature_names: metadata.feature_names(),
        feature_spec_sha256: metadata.feature_spec_sha256(),
    };
    let parts = found
        .into_program_parts(&config.limits, instrument, &facts)
        .map_err(words)?;
    let program = parts.into_program(Box::new(model)).map_err(words)?;
    Ok(SlotProgram {
        limits: scale.limits(program.limits),
        ..program
    })
}
