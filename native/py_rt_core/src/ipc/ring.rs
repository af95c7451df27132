//! Rings: what the service sends to everybody.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use ::ipc::layout::RING_CAPACITY;
use ::ipc::record::ROW_BYTES;
use ::ipc::ring_buffer::{PollResult, Reattached, RingReader as Ring, Start};
use numpy::{PyArrayDyn, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::kinds::{self, Sorted};
use super::waiting::until;
use super::{attached, reattached};
use crate::error::refused;

/// Most records of one poll: as many as the largest ring holds.
const POLL_RECORDS_MAX: u64 = *RING_CAPACITY.end();

/// What one poll found.
#[pyclass(frozen, get_all, module = "py_rt_core")]
#[derive(Debug)]
pub(crate) struct RingPoll {
    /// Records delivered.
    records: usize,
    /// Records lost since the last poll because the writer overtook this reader; exact.
    missed: u64,
    /// Whether the writer was at work when the poll began. When it was not and `records` is 0, nothing more will come.
    writer_alive: bool,
    /// The writer's life.
    epoch: u64,
}

#[pymethods]
impl RingPoll {
    fn __repr__(&self) -> String {
        let alive = if self.writer_alive { "True" } else { "False" };
        let Self {
            records,
            missed,
            epoch,
            ..
        } = self;
        format!("RingPoll(records={records}, missed={missed}, writer_alive={alive}, epoch={epoch})")
    }
}

impl From<PollResult> for RingPoll {
    fn from(result: PollResult) -> Self {
        let PollResult {
            records,
            missed,
            writer_alive,
            epoch,
        } = result;
        Self {
            records,
            missed,
            writer_alive,
            epoch,
        }
    }
}

/// An attached ring and what this reader knows of it.
struct Open {
    ring: Ring,
    /// Where rows land before they are sorted; grows to the largest poll and stays.
    rows: Vec<u8>,
    /// What was wrong with a record. Nothing more is read from a ring that held one.
    fault: Option<String>,
    /// All records lost so far, in every life of the writer.
    missed: u64,
}

impl Open {
    /// Fills `rows`, and hands every good row to `take`. What came before a bad row is delivered; the next poll says
    /// what was wrong with it, and so does every poll after that one.
    fn poll(
        ring: &mut Ring,
        (fault, missed): (&mut Option<String>, &mut u64),
        rows: &mut [u8],
        mut take: impl FnMut(&[u8; ROW_BYTES]) -> Result<usize, ::ipc::record::RecordError>,
    ) -> PyResult<PollResult> {
        if let Some(fault) = fault {
            return Err(refused(fault));
        }
        let mut result = ring.poll_into(rows).map_err(refused)?;
        *missed += result.missed;
        for (at, row) in rows
            .as_chunks::<ROW_BYTES>()
            .0
            .iter()
            .take(result.records)
            .enumerate()
        {
            if let Err(wrong) = take(row) {
                let index = u64::from_le_bytes(*row.first_chunk().expect("a row is longer than a word"));
                let text = format!(
                    "ring {} is corrupt: record {index}: {wrong}; nothing more is read from this writer",
                    ring.name()
                );
                result.records = at;
                *fault = Some(text.clone());
                if at == 0 {
                    return Err(refused(text));
                }
                break;
            }
        }
        Ok(result)
    }
}

/// Whether a poll's caller has something to act on.
fn settled(result: PollResult) -> ControlFlow<PollResult, PollResult> {
    if result.records > 0 || result.missed > 0 || !result.writer_alive {
        ControlFlow::Break(result)
    } else {
        ControlFlow::Continue(result)
    }
}

/// Reads a ring of a running service.
///
/// `socket_path`: the service's socket. `name`: the ring's. `start`: "oldest" begins with what is still safely in the
/// ring, "newest" with the next record, "first" with the writer's very first (what was overwritten counts as missed).
/// Raises `CoreError` when the service is not there, has no such ring, or offers memory that is not a ring of this
/// build's layout. May be used by several threads; each record goes to one of them.
#[pyclass(frozen, module = "py_rt_core")]
pub(crate) struct RingReader {
    name: String,
    open: Mutex<Option<Open>>,
}

impl RingReader {
    /// Runs `act` on the attached ring, without the interpreter's lock: another thread may be in a long call.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut Open) -> PyResult<T> + Send,
    ) -> PyResult<T> {
        py.detach(|| self.locked(act))
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Open) -> PyResult<T>) -> PyResult<T> {
        // A panic leaves the ring's own state whole, so another thread's does not spoil it.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.as_mut() {
            Some(open) => act(open),
            None => Err(refused(format!("the reader of ring {} is closed", self.name))),
        }
    }
}

#[pymethods]
impl RingReader {
    #[new]
    #[pyo3(signature = (socket_path, name, start = "oldest"))]
    fn new(py: Python<'_>, socket_path: PathBuf, name: String, start: &str) -> PyResult<Self> {
        let start = match start {
            "oldest" => Start::Oldest,
            "newest" => Start::Newest,
            "first" => Start::First,
            _ => {
                return Err(refused(format!(
                    "start is {start:?}: allowed are oldest, newest, first"
                )));
            }
        };
        let ring = attached(py, socket_path, &name, |path, name| {
            Ring::attach_at(path, name, start)
        })?;
        let open = Open {
            ring,
            rows: Vec::new(),
            fault: None,
            missed: 0,
        };
        Ok(Self {
            name,
            open: Mutex::new(Some(open)),
        })
    }

    /// Takes up to `max_records` records: one structured array per kind among them (see `record_dtype`), rows in the
    /// ring's order, and what the poll found. Waits at most `timeout_ms` for the first record; a loss, or the writer's
    /// end, ends the wait too. Raises `CoreError` when the memory holds what no writer leaves.
    #[pyo3(signature = (max_records = 4096, timeout_ms = 0))]
    fn poll<'py>(
        &self,
        py: Python<'py>,
        max_records: usize,
        timeout_ms: u64,
    ) -> PyResult<(Bound<'py, PyDict>, RingPoll)> {
        if !(1..=POLL_RECORDS_MAX).contains(&(max_records as u64)) {
            return Err(refused(format!(
                "max_records is {max_records}: allowed are 1 to {POLL_RECORDS_MAX}"
            )));
        }
        let bytes = max_records * ROW_BYTES;
        let mut sorted = Sorted::default();
        let result = until(py, timeout_ms, || {
            self.locked(
                |Open {
                     ring,
                     rows,
                     fault,
                     missed,
                 }| {
                    if rows.len() < bytes {
                        rows.resize(bytes, 0);
                    }
                    Open::poll(ring, (fault, missed), &mut rows[..bytes], |row| sorted.push(row)).map(settled)
                },
            )
        })?;
        let arrays = PyDict::new(py);
        for (at, array) in sorted.arrays(py)? {
            arrays.set_item(kinds::name(at), array)?;
        }
        Ok((arrays, result.into()))
    }

    /// `poll` into memory of the caller's, without an allocation: `rows` is a writable, contiguous uint8 array of whole
    /// rows, such as `numpy.empty((4096, 128), numpy.uint8)`, or a structured array's `.view(numpy.uint8)`. Nobody else
    /// may touch it meanwhile. After `CoreError` its content means nothing.
    #[pyo3(signature = (rows, timeout_ms = 0))]
    fn poll_into(&self, py: Python<'_>, rows: &Bound<'_, PyAny>, timeout_ms: u64) -> PyResult<RingPoll> {
        let wanted = || {
            refused(
                "rows must be a writable, contiguous uint8 array of rows of 128 bytes that nobody else is filling",
            )
        };
        let rows: &Bound<'_, PyArrayDyn<u8>> = rows.cast().map_err(|_| wanted())?;
        let mut rows = rows.try_readwrite().map_err(|_| wanted())?;
        let rows = rows.as_slice_mut().map_err(|_| wanted())?;
        let result = until(py, timeout_ms, || {
            self.locked(
                |Open {
                     ring, fault, missed, ..
                 }| { Open::poll(ring, (fault, missed), rows, kinds::place).map(settled) },
            )
        })?;
        Ok(result.into())
    }

    /// Asks the service again. "newer": it was restarted, and this reader now stands at the first record of its new
    /// ring, where what is lost is counted. "same": nothing changed. "absent": nobody serves the ring now; ask later.
    /// Drain the ring first: what is left in it is given up. Raises `CoreError` for a ring that is not newer, or none.
    fn reattach(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.with(py, |open| {
            let found = open.ring.reattach();
            if matches!(found, Ok(Reattached::Newer { .. })) {
                open.fault = None;
            }
            reattached(found)
        })
    }

    /// The writer's life; grows with every restart of the service.
    #[getter]
    fn epoch(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |open| Ok(open.ring.epoch()))
    }

    /// Whether the writer is at work.
    #[getter]
    fn writer_alive(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |open| Ok(open.ring.writer_alive()))
    }

    /// The writer's process id as it sees it; for messages.
    #[getter]
    fn writer_pid(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |open| Ok(open.ring.writer_pid()))
    }

    /// Index of the next record this reader wants.
    #[getter]
    fn position(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |open| Ok(open.ring.position()))
    }

    /// Records that wait, by the writer's own count; more than the capacity means that some are lost.
    #[getter]
    fn backlog(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |open| Ok(open.ring.backlog()))
    }

    /// All records lost so far, in every life of the writer.
    #[getter]
    fn missed(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |open| Ok(open.missed))
    }

    /// Slots of the ring.
    #[getter]
    fn capacity(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |open| Ok(open.ring.capacity()))
    }

    /// The ring's name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Lets the ring go; a second time does nothing.
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
