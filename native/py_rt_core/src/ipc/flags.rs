//! Flags: the stopping ladder as others see it.

use std::path::PathBuf;

use ::ipc::atomic_flags::FlagsReader as Flags;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::attached;
use crate::error::refused;

/// Watches the stopping ladder of a running service.
///
/// `socket_path`: the service's socket. `name`: the flags'. Entry 0 stands for the whole service, the others for its
/// slots. When `writer_alive` is false the flags are those of its last moment; make a new reader. Raises `CoreError` as
/// `RingReader` does.
#[pyclass(frozen, module = "py_rt_core")]
pub(crate) struct FlagsReader {
    name: String,
    flags: Flags,
}

#[pymethods]
impl FlagsReader {
    #[new]
    fn new(py: Python<'_>, socket_path: PathBuf, name: String) -> PyResult<Self> {
        let flags = attached(py, socket_path, &name, Flags::attach)?;
        Ok(Self { name, flags })
    }

    /// The rungs that are raised, lowest first, of "paused", "canceling", "reduce-only", "flattening", "killed". Raises
    /// `CoreError` for an entry that does not exist, and for bits without a meaning: then take the scope for killed.
    fn get<'py>(&self, py: Python<'py>, entry: usize) -> PyResult<Bound<'py, PyTuple>> {
        let raised = self.flags.get(entry).map_err(refused)?;
        PyTuple::new(py, raised.names().collect::<Vec<_>>())
    }

    /// Number of entries.
    #[getter]
    fn entries(&self) -> usize {
        self.flags.entries()
    }

    /// The writer's life.
    #[getter]
    fn epoch(&self) -> u64 {
        self.flags.epoch()
    }

    /// Whether the writer is at work.
    #[getter]
    fn writer_alive(&self) -> bool {
        self.flags.writer_alive()
    }

    /// The flags' name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }
}
