//! Parameters: what a user's process asks of a running slot, and the service's answer.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ::ipc::parameters::{
    MAX_PARAMETER_BYTES, ParameterAnswer as Answer, ParameterChange, ParameterStatus,
    ParameterWriter as Writer,
};
use domain::{Decimal, SlotId, Text, Timestamp};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::attached;
use super::waiting::until;
use crate::error::refused;

/// The service's latest answer to a request for parameters.
#[pyclass(frozen, get_all, module = "py_rt_core")]
#[derive(Debug)]
pub(crate) struct ParameterAnswer {
    /// The request this answers.
    answered_version: u64,
    /// The last request that took effect, 0 when none did.
    applied_version: u64,
    /// "applied", "refused" (not allowed) or "malformed".
    status: &'static str,
    /// Why it was not applied; empty when it was.
    reason: String,
    /// When it was answered, CLOCK_MONOTONIC.
    answered_ns: u64,
}

#[pymethods]
impl ParameterAnswer {
    fn __repr__(&self) -> String {
        let Self {
            answered_version,
            applied_version,
            status,
            reason,
            ..
        } = self;
        format!(
            "ParameterAnswer(answered_version={answered_version}, applied_version={applied_version}, \
             status='{status}', reason={reason:?})"
        )
    }
}

impl From<Answer> for ParameterAnswer {
    fn from(answer: Answer) -> Self {
        Self {
            answered_version: answer.answered_version,
            applied_version: answer.applied_version,
            status: match answer.status {
                ParameterStatus::Applied => "applied",
                ParameterStatus::Refused => "refused",
                ParameterStatus::Malformed => "malformed",
            },
            reason: answer.reason.to_string(),
            answered_ns: answer.answered_ns,
        }
    }
}

/// Changes parameters of a running service; one process at a time.
///
/// `socket_path`: the service's socket. `name`: the parameters'. Raises `CoreError` when another process holds them
/// ("being written by another process"), and as `RingReader` does. Close it, or leave its `with`, to let others write.
#[pyclass(frozen, module = "py_rt_core")]
pub(crate) struct ParameterWriter {
    name: String,
    open: Mutex<Option<Writer>>,
}

impl ParameterWriter {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut Writer) -> PyResult<T> + Send,
    ) -> PyResult<T> {
        py.detach(|| self.locked(act))
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Writer) -> PyResult<T>) -> PyResult<T> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.as_mut() {
            Some(writer) => act(writer),
            None => Err(refused(format!(
                "the writer of parameters {} is closed",
                self.name
            ))),
        }
    }
}

#[pymethods]
impl ParameterWriter {
    #[new]
    fn new(py: Python<'_>, socket_path: PathBuf, name: String) -> PyResult<Self> {
        let writer = attached(py, socket_path, &name, Writer::attach)?;
        Ok(Self {
            name,
            open: Mutex::new(Some(writer)),
        })
    }

    /// Asks for changes of a slot's parameters, which take effect together or not at all; gives the request's version.
    ///
    /// `changes`: 1 to 8 names with their values as decimal text, exact to 1e-8 ("0.61"). `ts_requested`: ns UTC, for
    /// the record; now, unless given. It replaces a request that the service has not taken yet, so wait for the answer
    /// of one before the next. Raises `CoreError` for a form that is not valid: then nothing was written.
    #[pyo3(signature = (slot, changes, ts_requested = None))]
    fn request(
        &self,
        py: Python<'_>,
        slot: u16,
        changes: &Bound<'_, PyDict>,
        ts_requested: Option<i64>,
    ) -> PyResult<u64> {
        let changes: Vec<ParameterChange> = changes
            .iter()
            .map(|(name, value)| change(name.extract()?, value.extract()?))
            .collect::<PyResult<_>>()?;
        let asked = ts_requested.map_or_else(now, Timestamp::from_nanos);
        self.with(py, |writer| {
            writer.request(SlotId(slot), &changes, asked).map_err(refused)
        })
    }

    /// The service's latest answer; `None` before its first. Compare its `answered_version` with the request's.
    fn answer(&self, py: Python<'_>) -> PyResult<Option<ParameterAnswer>> {
        self.with(py, |writer| writer.answer().map_err(refused))
            .map(|answer| answer.map(Into::into))
    }

    /// Waits at most `timeout_ms` for the answer to a request; `None` when there is none by then, or when the service
    /// ended before it gave one.
    fn wait(&self, py: Python<'_>, version: u64, timeout_ms: u64) -> PyResult<Option<ParameterAnswer>> {
        let answer = until(py, timeout_ms, || {
            self.locked(|writer| {
                // Asked first: what the service answered before it ended is then seen below.
                let alive = writer.service_alive();
                let answer = writer.answer().map_err(refused)?;
                let answer = answer.filter(|answer| answer.answered_version >= version);
                Ok(if answer.is_some() || !alive {
                    ControlFlow::Break(answer)
                } else {
                    ControlFlow::Continue(answer)
                })
            })
        })?;
        Ok(answer.map(Into::into))
    }

    /// Whether the service is at work. When it is not, make a new writer.
    #[getter]
    fn service_alive(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |writer| Ok(writer.service_alive()))
    }

    /// The service's life.
    #[getter]
    fn epoch(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |writer| Ok(writer.epoch()))
    }

    /// The parameters' name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Lets others write; a second time does nothing.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.open.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, py: Python<'_>, _raised: &Bound<'_, PyAny>) {
        self.close(py);
    }
}

fn change(name: &str, value: &str) -> PyResult<ParameterChange> {
    let text = Text::new(name).ok_or_else(|| {
        refused(format!(
            "parameter {name:?} cannot exist: a name has 1 to {MAX_PARAMETER_BYTES} characters of a-z, 0-9 and '_'"
        ))
    })?;
    let value = Decimal::parse(value.as_bytes())
        .map_err(|fault| refused(format!("parameter {name}: value {value:?}: {fault}")))?;
    Ok(ParameterChange { name: text, value })
}

/// The host's clock; a request states it for the record, and nothing is decided by it.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
