//! What the model saw and said in a run, as columns.

use std::path::PathBuf;

use engine::{Action, Decision};
use journal::codec::{RecordedAction, decode_action};
use journal::{Reader, RecordBody};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2};
use pyo3::prelude::*;

use crate::error::refused;

/// (slot, ts_close, features, raw score, probability, decision).
type Columns<'py> = (
    Bound<'py, PyArray1<u16>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray2<f32>>,
    Bound<'py, PyArray1<f32>>,
    Bound<'py, PyArray1<f32>>,
    Vec<&'static str>,
);

/// Every signal of a run whose features were warm, in order.
///
/// Returns (slot uint16, ts_close int64 ns, features float32 of shape (n, number of features), raw float32,
/// probability float32, decision list of "hold", "enter", "exit"). Raises `CoreError` where the record cannot be read,
/// or where its models have different numbers of features.
#[pyfunction]
#[expect(
    clippy::needless_pass_by_value,
    reason = "extracted from any path-like object"
)]
pub(crate) fn journal_signals(py: Python<'_>, journal: PathBuf) -> PyResult<Columns<'_>> {
    let mut reader = Reader::open(&journal).map_err(refused)?;
    let (mut slots, mut times, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    let (mut raws, mut probabilities, mut decisions) = (Vec::new(), Vec::new(), Vec::new());
    let mut width = None;
    loop {
        let format = reader.format();
        let Some(record) = reader.next_record().map_err(refused)? else {
            break;
        };
        let RecordBody::Action = record.body else { continue };
        let action = decode_action(format, record.payload).map_err(refused)?;
        let RecordedAction::Other(Action::Signal(signal)) = action else {
            continue;
        };
        let Some(decision) = word(signal.decision) else {
            continue;
        };
        let features = signal.features.as_slice();
        if *width.get_or_insert(features.len()) != features.len() {
            return Err(refused(format!(
                "record {}: a signal with another number of features",
                record.seq
            )));
        }
        slots.push(signal.slot.0);
        times.push(signal.ts_close.nanos());
        rows.extend_from_slice(features);
        raws.push(signal.raw_score);
        probabilities.push(signal.probability);
        decisions.push(decision);
    }
    let shape = (times.len(), width.unwrap_or(0));
    let features = Array2::from_shape_vec(shape, rows).map_err(refused)?;
    Ok((
        slots.into_pyarray(py),
        times.into_pyarray(py),
        features.into_pyarray(py),
        raws.into_pyarray(py),
        probabilities.into_pyarray(py),
        decisions,
    ))
}

const fn word(decision: Decision) -> Option<&'static str> {
    match decision {
        Decision::NoSignal => None,
        Decision::Hold => Some("hold"),
        Decision::Enter => Some("enter"),
        Decision::Exit => Some("exit"),
    }
}
