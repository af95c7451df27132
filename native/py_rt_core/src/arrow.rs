//! Columns by the Arrow C interface: read where they lie, without a copy.

use arrow_array::cast::AsArray;
use arrow_array::ffi_stream::{ArrowArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::types::Int64Type;
use arrow_array::{Array, Int64Array, RecordBatch, RecordBatchIterator};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::error::refused;

/// Name that the Arrow PyCapsule interface gives its streams.
const STREAM_NAME: &std::ffi::CStr = c"arrow_array_stream";

/// The batches of a frame: anything with `__arrow_c_stream__` (Polars, pyarrow, pandas 3).
pub(crate) fn batches(frame: &Bound<'_, PyAny>) -> PyResult<Vec<RecordBatch>> {
    let capsule = frame.call_method0("__arrow_c_stream__").map_err(|_| {
        refused("expected a frame with __arrow_c_stream__: a Polars, pyarrow or pandas (3 or later) frame")
    })?;
    let capsule = capsule.cast::<PyCapsule>()?;
    let pointer = capsule
        .pointer_checked(Some(STREAM_NAME))?
        .cast::<FFI_ArrowArrayStream>();
    #[expect(
        unsafe_code,
        reason = "the Arrow C interface is a C structure behind a pointer"
    )]
    // SAFETY: the capsule has the name by which the interface promises a valid stream structure, and it is alive
    // for this call. `from_raw` moves the stream out and leaves a released one, which the capsule's destructor
    // recognises, so that it is released exactly once.
    let reader = unsafe { ArrowArrayStreamReader::from_raw(pointer.as_ptr()) }.map_err(refused)?;
    reader.collect::<Result<_, _>>().map_err(refused)
}

/// A batch as a stream of the same interface: its buffers are shared, not copied.
pub(crate) fn stream(py: Python<'_>, batch: RecordBatch) -> PyResult<Bound<'_, PyCapsule>> {
    let schema = batch.schema();
    let reader = RecordBatchIterator::new([Ok(batch)], schema);
    let stream = FFI_ArrowArrayStream::new(Box::new(reader));
    // A consumer moves the structure out and leaves a released one; the capsule drops what nobody took.
    PyCapsule::new_with_value(py, stream, STREAM_NAME)
}

/// A column of 64-bit integers without nulls.
pub(crate) fn int64<'a>(batch: &'a RecordBatch, name: &str) -> PyResult<&'a Int64Array> {
    let column = batch.column_by_name(name).ok_or_else(|| {
        let found: Vec<_> = batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
        refused(format!(
            "column {name} is missing among {}; bars have ts_open, open, high, low, close, volume, and quotes \
             ts_event, bid, bid_quantity, ask, ask_quantity",
            found.join(", ")
        ))
    })?;
    let values = column.as_primitive_opt::<Int64Type>().ok_or_else(|| {
        refused(format!(
            "column {name} is {}; expected Int64 (units of 1e-8, or ns)",
            column.data_type()
        ))
    })?;
    if values.null_count() > 0 {
        return Err(refused(format!(
            "column {name} has {} nulls; bars have none",
            values.null_count()
        )));
    }
    Ok(values)
}
