//! Verdicts on configuration files: the service's own validator.

use std::path::Path;

use config::{FileKind, Presence};
use pyo3::prelude::*;

use crate::error::refused;

/// One key of a kind of file: (path, type and range, presence, default, unit, meaning).
type KeyRow = (
    &'static str,
    String,
    &'static str,
    Option<&'static str>,
    &'static str,
    &'static str,
);

/// Names of the kinds of files: what `check_config` and `config_keys` take.
#[pyfunction]
pub(crate) fn config_kinds() -> Vec<&'static str> {
    FileKind::ALL.into_iter().map(FileKind::as_str).collect()
}

/// Checks a configuration file; a service file together with the file that it extends.
///
/// Raises `CoreError` with every fault, one a line: file:line:column, key, what was found, what is allowed.
#[pyfunction]
pub(crate) fn check_config(kind: &str, path: &str) -> PyResult<()> {
    let kind = kind_of(kind)?;
    if kind == FileKind::Service {
        return config::load_service(Path::new(path)).map(drop).map_err(refused);
    }
    let source = config::read_file(Path::new(path)).map_err(refused)?;
    config::check(kind, path, &source.text).map_err(refused)
}

/// Every key that a kind of file may have, in order.
#[pyfunction]
pub(crate) fn config_keys(kind: &str) -> PyResult<Vec<KeyRow>> {
    let rows = config::schema(kind_of(kind)?).iter().map(|key| {
        let (presence, default) = match key.presence {
            Presence::Required => ("required", None),
            Presence::Optional => ("optional", None),
            Presence::Default(text) => ("default", Some(text)),
        };
        (
            key.path,
            key.kind.to_string(),
            presence,
            default,
            key.unit,
            key.doc,
        )
    });
    Ok(rows.collect())
}

fn kind_of(name: &str) -> PyResult<FileKind> {
    FileKind::from_name(name).ok_or_else(|| {
        let known = FileKind::ALL.map(FileKind::as_str).join(", ");
        refused(format!("no kind of file is called {name}; there are {known}"))
    })
}
