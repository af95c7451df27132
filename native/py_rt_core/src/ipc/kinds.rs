//! Rows as numpy sees them: the types come from the description of the records and from nowhere else.

use ::ipc::record::{KINDS, ROW_BYTES, Record, RecordError};
use numpy::{IntoPyArray, PyArrayDescr};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::fields_dtype;
use crate::error::refused;

/// A field: name, byte offset in the row, numpy type, unit.
type FieldOf = (&'static str, usize, &'static str, &'static str);

static DTYPES: PyOnceLock<Vec<Py<PyArrayDescr>>> = PyOnceLock::new();

/// The kinds of records: name, code, and the fields of a row of 128 bytes, each with its name, byte offset, numpy type
/// and unit.
#[pyfunction]
pub(crate) fn record_kinds() -> Vec<(&'static str, u16, Vec<FieldOf>)> {
    let kinds = KINDS.iter();
    kinds
        .map(|kind| {
            let fields = kind.fields.iter();
            let fields = fields.map(|field| (field.name, field.offset, field.numpy, field.unit));
            (kind.name, kind.code, fields.collect())
        })
        .collect()
}

/// The structured numpy type of a kind's rows, 128 bytes each. Raises `CoreError` for a kind that does not exist.
#[pyfunction]
pub(crate) fn record_dtype<'py>(py: Python<'py>, kind: &str) -> PyResult<Bound<'py, PyArrayDescr>> {
    let at = KINDS.iter().position(|description| description.name == kind);
    let at = at.ok_or_else(|| {
        let names = KINDS.map(|description| description.name).join(", ");
        refused(format!("kind {kind:?} does not exist: the kinds are {names}"))
    })?;
    Ok(dtypes(py)?[at].bind(py).clone())
}

fn dtypes(py: Python<'_>) -> PyResult<&Vec<Py<PyArrayDescr>>> {
    DTYPES.get_or_try_init(py, || {
        KINDS
            .iter()
            .map(|kind| Ok(fields_dtype(py, kind.fields, ROW_BYTES)?.unbind()))
            .collect()
    })
}

/// Rows sorted into their kinds, in the order they came in.
#[derive(Debug, Default)]
pub(super) struct Sorted([Vec<u8>; KINDS.len()]);

impl Sorted {
    /// Judges a row and takes a copy of it; gives the place of its kind among [`KINDS`].
    pub(super) fn push(&mut self, row: &[u8; ROW_BYTES]) -> Result<usize, RecordError> {
        let at = place(row)?;
        self.0[at].extend_from_slice(row);
        Ok(at)
    }

    /// One structured array per kind that has rows, with the kind's place among [`KINDS`].
    pub(super) fn arrays(self, py: Python<'_>) -> PyResult<Vec<(usize, Bound<'_, PyAny>)>> {
        let filled = self
            .0
            .into_iter()
            .enumerate()
            .filter(|(_, rows)| !rows.is_empty());
        filled
            .map(|(at, rows)| {
                let dtype = dtypes(py)?[at].bind(py);
                Ok((at, rows.into_pyarray(py).call_method1("view", (dtype,))?))
            })
            .collect()
    }
}

/// Judges a row; gives the place of its kind among [`KINDS`], which stand in order of their codes from 1 on.
pub(super) fn place(row: &[u8; ROW_BYTES]) -> Result<usize, RecordError> {
    let (_, record) = Record::decode_row(row)?;
    Ok(usize::from(record.kind().code()) - 1)
}

/// A kind's name by its place among [`KINDS`].
pub(super) const fn name(at: usize) -> &'static str {
    KINDS[at].name
}
