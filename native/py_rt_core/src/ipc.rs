//! Shared memory of a running service: rings and tables to read, flags to watch, parameters to write.
//!
//! Whatever waits here waits without the interpreter's lock and for a bounded time. A row reaches Python only after it
//! was judged: what the service's memory holds is foreign input until then.

mod flags;
mod kinds;
mod parameters;
mod ring;
mod table;
mod waiting;

use std::path::{Path, PathBuf};

use ::ipc::IpcError;
use pyo3::prelude::*;

use crate::error::refused;

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
