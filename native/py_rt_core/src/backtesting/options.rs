//! A mapping from Python whose keys are a closed list.

use std::fmt::Display;
use std::str::FromStr;

use domain::Decimal;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping};

use crate::error::refused;

/// Entries, taken one by one; what is left over at the end is not known.
pub(super) struct Options<'py> {
    name: &'static str,
    left: Bound<'py, PyDict>,
    known: Vec<&'static str>,
}

impl<'py> Options<'py> {
    /// A copy of the mapping `given`, empty for `None`; `name` is what messages call it.
    pub(super) fn new(
        py: Python<'py>,
        name: &'static str,
        given: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        let left = PyDict::new(py);
        if let Some(given) = given {
            let mapping = given.cast::<PyMapping>().map_err(|_| {
                refused(format!(
                    "{name} is {}; expected a mapping",
                    given
                        .get_type()
                        .qualname()
                        .map_or_else(|_| "unknown".into(), |name| name.to_string())
                ))
            })?;
            left.update(mapping)?;
        }
        Ok(Self {
            name,
            left,
            known: Vec::new(),
        })
    }

    /// The value of a key; `None` when it is absent or `None`.
    pub(super) fn take(&mut self, key: &'static str) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.known.push(key);
        let value = self.left.get_item(key)?;
        if value.is_some() {
            self.left.del_item(key)?;
        }
        Ok(value.filter(|value| !value.is_none()))
    }

    /// The value of a key that must be there.
    pub(super) fn required(&mut self, key: &'static str) -> PyResult<Bound<'py, PyAny>> {
        let name = self.name;
        self.take(key)?
            .ok_or_else(|| refused(format!("{name}: {key} is missing")))
    }

    /// A text.
    pub(super) fn text(&mut self, key: &'static str) -> PyResult<Option<String>> {
        let name = self.name;
        self.take(key)?
            .map(|value| {
                value
                    .extract()
                    .map_err(|_| refused(format!("{name}: {key} is no text")))
            })
            .transpose()
    }

    /// A number as it is written: an int, a text or a `Decimal`; a float by the text that Python prints for it.
    pub(super) fn number<T: FromText>(&mut self, key: &'static str) -> PyResult<Option<T>> {
        let name = self.name;
        let Some(value) = self.take(key)? else {
            return Ok(None);
        };
        let text = value.str()?.to_string();
        T::from_text(&text)
            .map(Some)
            .map_err(|fault| refused(format!("{name}: {key} is {text:?}: {fault}")))
    }

    /// As [`Options::number`], with a default.
    pub(super) fn number_or<T: FromText>(&mut self, key: &'static str, default: T) -> PyResult<T> {
        Ok(self.number(key)?.unwrap_or(default))
    }

    /// A truth value.
    pub(super) fn flag_or(&mut self, key: &'static str, default: bool) -> PyResult<bool> {
        let name = self.name;
        self.take(key)?.map_or(Ok(default), |value| {
            value
                .extract()
                .map_err(|_| refused(format!("{name}: {key} is neither True nor False")))
        })
    }

    /// Refuses what was not taken.
    pub(super) fn finish(self) -> PyResult<()> {
        if self.left.is_empty() {
            return Ok(());
        }
        let left: Vec<String> = self.left.keys().iter().map(|key| key.to_string()).collect();
        let (name, known) = (self.name, self.known.join(", "));
        Err(refused(format!(
            "{name}: unknown key {}; known are {known}",
            left.join(", ")
        )))
    }
}

/// A number that is read from its text.
pub(super) trait FromText: Sized {
    /// Reads it; the fault in words otherwise.
    fn from_text(text: &str) -> Result<Self, String>;
}

impl FromText for Decimal {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text.as_bytes()).map_err(|fault| fault.to_string())
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl FromText for $type {
            fn from_text(text: &str) -> Result<Self, String> {
                whole(text)
            }
        }
    )*};
}

integers!(u16, u32, u64, i64);

fn whole<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|fault: T::Err| format!("expected a whole number, {fault}"))
}
