//! The parameters of a request's query; a name may stand several times.

use super::error::Failure;

/// Most parameters of one request.
const PARAMETERS_MAX: usize = 256;

/// Names and values as they came.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(text: &str) -> Self {
        let pairs = url::form_urlencoded::parse(text.as_bytes()).take(PARAMETERS_MAX);
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(known, _)| known == name);
        named
            .flat_map(|(_, value)| value.split(','))
            .filter(|value| !value.is_empty())
            .collect()
    }

    /// Whether a list's filter of this name keeps `value`.
    pub(super) fn keeps(&self, name: &str, value: &str) -> bool {
        let asked = self.all(name);
        asked.is_empty() || asked.contains(&value)
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, Failure> {
        let read = |text: &str| text.parse().map_err(|_| Failure::invalid(name));
        self.get(name).map(read).transpose()
    }
}
