//! Counters that share a name and differ in a label.

use super::counters::Counter;

/// Counters of one name, told apart by a label whose values are known beforehand.
#[derive(Debug)]
pub struct Family {
    /// Its name in `/metrics`.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// The label.
    pub label: &'static str,
    counts: Vec<(&'static str, Counter)>,
}

impl Family {
    /// Of values that are known beforehand.
    pub(super) fn new(
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: &[&[&'static str]],
    ) -> Self {
        let values = values.iter().copied().flatten();
        Self {
            name,
            help,
            label,
            counts: values.map(|value| (*value, Counter::default())).collect(),
        }
    }

    fn find(&self, value: &str) -> Option<&Counter> {
        let found = self.counts.iter().find(|(known, _)| *known == value);
        found.map(|(_, counter)| counter)
    }

    /// One more of this value.
    pub fn add_one(&self, value: &'static str) {
        debug_assert!(self.find(value).is_some(), "{}: {value}", self.name);
        if let Some(counter) = self.find(value) {
            counter.add_one();
        }
    }

    /// So many of this value in all.
    pub(super) fn set(&self, value: &'static str, total: u64) {
        debug_assert!(self.find(value).is_some(), "{}: {value}", self.name);
        if let Some(counter) = self.find(value) {
            counter.set(total);
        }
    }

    /// Every value and its number, those never counted included.
    pub fn read(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.counts.iter().map(|(value, counter)| (*value, counter.get()))
    }
}
