//! Errors as Python sees them.

use pyo3::PyErr;
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;

create_exception!(
    py_rt_core,
    CoreError,
    PyValueError,
    "Input that py_rt_core refuses; the message says what is allowed."
);

/// Turns any error into a [`CoreError`] with its text.
#[expect(
    clippy::needless_pass_by_value,
    reason = "written for `map_err`, which gives the error away"
)]
pub(crate) fn refused(error: impl ToString) -> PyErr {
    CoreError::new_err(error.to_string())
}
