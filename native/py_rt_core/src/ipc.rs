//! Shared memory of a running service: rings, tables and the market cache to read, flags to watch, parameters to write.
//!
//! Whatever waits here waits without the interpreter's lock and for a bounded time. A row reaches Python only after it
//! was judged: what the service's memory holds is foreign input until then.

mod cache;
mod flags;
mod kinds;
mod parameters;
mod ring;
mod table;
mod waiting;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ::ipc::IpcError;
use ::ipc::record::Field;
use ::ipc::shared_memory::Reattached;
use numpy::PyArrayDescr;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::refused;

pub(crate) use cache::{MarketCacheReader, market_cache_codes, market_cache_dtype};
pub(crate) use flags::FlagsReader;
pub(crate) use kinds::{record_dtype, record_kinds};
pub(crate) use parameters::{ParameterAnswer, ParameterWriter};
pub(crate) use ring::{RingPoll, RingReader};
pub(crate) use table::TableReader;

/// Asks the service for a segment, without the interpreter's lock: an exchange may take a second.
fn attached<T: Send>(
    py: Python<'_>,
    socket_path: PathBuf,
    name: &str,
    attach: impl FnOnce(&Path, &str) -> Result<T, IpcError> + Send,
) -> PyResult<T> {
    py.detach(move || attach(&socket_path, name)).map_err(refused)
}

/// The structured numpy type of rows of `bytes` bytes.
fn fields_dtype<'py>(py: Python<'py>, fields: &[Field], bytes: usize) -> PyResult<Bound<'py, PyArrayDescr>> {
    let layout = PyDict::new(py);
    let column = |of: fn(&Field) -> &'static str| fields.iter().map(of).collect::<Vec<_>>();
    layout.set_item("names", column(|field| field.name))?;
    layout.set_item("formats", column(|field| field.numpy))?;
    layout.set_item(
        "offsets",
        fields.iter().map(|field| field.offset).collect::<Vec<_>>(),
    )?;
    layout.set_item("itemsize", bytes)?;
    PyArrayDescr::new(py, layout)
}

/// What asking the service again found, in a word.
fn reattached(found: Result<Reattached, IpcError>) -> PyResult<&'static str> {
    match found {
        Ok(Reattached::Same) => Ok("same"),
        Ok(Reattached::Newer { .. }) => Ok("newer"),
        Err(error) if is_absence(&error) => Ok("absent"),
        Err(error) => Err(refused(error)),
    }
}

/// Whether an error only says that nobody serves the segment now, as during a restart.
fn is_absence(error: &IpcError) -> bool {
    match error {
        IpcError::Timeout { .. } | IpcError::UnknownSegment { .. } => true,
        IpcError::Os { source, .. } => matches!(
            source.kind(),
            ErrorKind::NotFound
                | ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionReset
                | ErrorKind::BrokenPipe
                | ErrorKind::UnexpectedEof
        ),
        _ => false,
    }
}
