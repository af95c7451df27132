//! Tables that Python is given, in Arrow memory.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::DataType;
use numpy::{IntoPyArray, PyArray1};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::arrow;
use crate::error::refused;

/// A table in Arrow memory: `polars.DataFrame(table)` takes it without a copy, `table["ts"]` is a numpy array.
#[pyclass(frozen, module = "py_rt_core")]
pub(crate) struct Table(RecordBatch);

impl Table {
    pub(crate) fn new(columns: Vec<(&str, ArrayRef)>) -> PyResult<Self> {
        RecordBatch::try_from_iter(columns).map(Self).map_err(refused)
    }
}

#[pymethods]
impl Table {
    /// Names of the columns, in order.
    #[getter]
    fn columns(&self) -> Vec<String> {
        let schema = self.0.schema_ref();
        schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn __len__(&self) -> usize {
        self.0.num_rows()
    }

    /// A column: numbers and truths as a numpy array, texts as a list, money as a list of whole numbers of 1e-16.
    fn __getitem__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let column = self.0.column_by_name(name).ok_or_else(|| {
            PyKeyError::new_err(format!("no column {name}; there are {:?}", self.columns()))
        })?;
        match column.data_type() {
            DataType::Int64 => {
                Ok(PyArray1::from_slice(py, column.as_primitive::<Int64Type>().values()).into_any())
            }
            DataType::Float32 => {
                Ok(PyArray1::from_slice(py, column.as_primitive::<Float32Type>().values()).into_any())
            }
            DataType::Boolean => {
                let truths: Vec<_> = column.as_boolean().values().iter().collect();
                Ok(truths.into_pyarray(py).into_any())
            }
            DataType::Utf8 => column
                .as_string::<i32>()
                .iter()
                .collect::<Vec<_>>()
                .into_bound_py_any(py),
            _ => {
                let money = column.as_primitive::<arrow_array::types::Decimal128Type>();
                money.iter().collect::<Vec<_>>().into_bound_py_any(py)
            }
        }
    }

    /// The Arrow PyCapsule interface.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // The interface lets a producer answer with its own types.
        let _ = requested_schema;
        arrow::stream(py, self.0.clone())
    }
}
