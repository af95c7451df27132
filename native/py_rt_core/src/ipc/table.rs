//! Tables: the latest value of each entry.

use std::path::PathBuf;

use ::ipc::IpcError;
use ::ipc::record::ROW_BYTES;
use ::ipc::seqlock::TableReader as Latest;
use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::attached;
use super::kinds::{self, Sorted};
use super::waiting::settled;
use crate::error::refused;

/// Reads a table of a running service: the latest record of each entry, such as a slot's position.
///
/// `socket_path`: the service's socket. `name`: the table's. A row's `index` is the entry's version, which grows with
/// every change. When `writer_alive` is false, make a new reader. Raises `CoreError` as `RingReader` does.
#[pyclass(frozen, module = "py_rt_core")]
pub(crate) struct TableReader {
    name: String,
    latest: Latest,
}

#[pymethods]
impl TableReader {
    #[new]
    fn new(py: Python<'_>, socket_path: PathBuf, name: String) -> PyResult<Self> {
        let latest = attached(py, socket_path, &name, Latest::attach)?;
        Ok(Self { name, latest })
    }

    /// The latest record of an entry as a structured array of shape (1,); `None` when it was never written. Raises
    /// `CoreError` for an entry that does not exist, one that holds no record, and one whose writer died in it.
    fn read<'py>(&self, py: Python<'py>, entry: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        let found = py.detach(|| settled(|| self.latest.read(entry)))?;
        let Some((version, record)) = found else {
            return Ok(None);
        };
        let mut row = [0; ROW_BYTES];
        let (cells, _) = row.as_chunks_mut::<8>();
        cells[0] = version.to_le_bytes();
        for (cell, word) in cells[1..].iter_mut().zip(record.encode()) {
            *cell = word.to_le_bytes();
        }
        let mut sorted = Sorted::default();
        sorted.push(&row).map_err(refused)?;
        Ok(sorted.arrays(py)?.pop().map(|(_, array)| array))
    }

    /// All entries that were written: for each kind among them the entries' numbers (int64) and their rows, in the same
    /// order. Each row is whole; rows of different entries may be of different moments.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (mut entries, sorted) = py.detach(|| self.sorted())?;
        let arrays = PyDict::new(py);
        for (at, rows) in sorted.arrays(py)? {
            let numbers = std::mem::take(&mut entries[at]).into_pyarray(py);
            arrays.set_item(kinds::name(at), (numbers, rows))?;
        }
        Ok(arrays)
    }

    /// Number of entries.
    #[getter]
    fn entries(&self) -> usize {
        self.latest.entries()
    }

    /// The writer's life.
    #[getter]
    fn epoch(&self) -> u64 {
        self.latest.epoch()
    }

    /// Whether the writer is at work.
    #[getter]
    fn writer_alive(&self) -> bool {
        self.latest.writer_alive()
    }

    /// The table's name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }
}

impl TableReader {
    /// The entries by kind: their numbers, and their rows.
    fn sorted(&self) -> PyResult<([Vec<i64>; ::ipc::record::KINDS.len()], Sorted)> {
        let mut rows = vec![0; self.latest.entries() * ROW_BYTES];
        settled(|| self.latest.read_into(&mut rows))?;
        let mut numbers: [Vec<i64>; _] = Default::default();
        let mut sorted = Sorted::default();
        for (entry, row) in (0..).zip(rows.as_chunks::<ROW_BYTES>().0) {
            // Version 0: never written.
            if row[..8] == [0; 8] {
                continue;
            }
            let at = sorted.push(row).map_err(|fault| {
                let (name, index) = (self.name.clone(), usize::try_from(entry).unwrap_or_default());
                refused(IpcError::Record { name, index, fault })
            })?;
            numbers[at].push(entry);
        }
        Ok((numbers, sorted))
    }
}
