//! Changes kept until a snapshot arrives, in flat storage that is reused.

use domain::{Level, Timestamp};

use super::Diff;

/// Most changes kept: more than a hundred seconds of a stream with ten a second.
pub const BUFFERED_DIFFS_MAX: usize = 1_024;

/// Most levels kept over all of them.
pub const BUFFERED_LEVELS_MAX: usize = 262_144;

#[derive(Debug, Clone, Copy)]
struct Entry {
    ts_event: Timestamp,
    first_update_id: u64,
    last_update_id: u64,
    previous_update_id: Option<u64>,
    // Where its levels lie: bids from `start`, asks from `middle` to `end`.
    start: usize,
    middle: usize,
    end: usize,
}

/// A bounded list of changes in the order they came.
#[derive(Debug, Clone, Default)]
pub(super) struct DiffBuffer {
    entries: Vec<Entry>,
    // Entries before this one were dropped.
    dropped: usize,
    levels: Vec<Level>,
}

impl DiffBuffer {
    /// Keeps a copy; `false` when a bound is reached and nothing was kept.
    pub(super) fn push(&mut self, diff: &Diff<'_>) -> bool {
        let start = self.levels.len();
        let more = diff.bids.len() + diff.asks.len();
        if self.entries.len() == BUFFERED_DIFFS_MAX || start + more > BUFFERED_LEVELS_MAX {
            return false;
        }
        self.levels.extend_from_slice(diff.bids);
        self.levels.extend_from_slice(diff.asks);
        self.entries.push(Entry {
            ts_event: diff.ts_event,
            first_update_id: diff.first_update_id,
            last_update_id: diff.last_update_id,
            previous_update_id: diff.previous_update_id,
            start,
            middle: start + diff.bids.len(),
            end: start + more,
        });
        true
    }

    /// Drops the changes at the front for which `is_stale` holds; how many.
    pub(super) fn drop_while(&mut self, is_stale: impl Fn(&Diff<'_>) -> bool) -> u64 {
        let stale = self.iter().take_while(is_stale).count();
        self.dropped += stale;
        stale as u64
    }

    /// The first and the last number of the change that came last.
    pub(super) fn last_numbers(&self) -> Option<(u64, u64)> {
        let last = self.entries[self.dropped..].last();
        last.map(|entry| (entry.first_update_id, entry.last_update_id))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.len() == self.dropped
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.levels.clear();
        self.dropped = 0;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Diff<'_>> {
        self.entries[self.dropped..].iter().map(|entry| Diff {
            ts_event: entry.ts_event,
            first_update_id: entry.first_update_id,
            last_update_id: entry.last_update_id,
            previous_update_id: entry.previous_update_id,
            bids: &self.levels[entry.start..entry.middle],
            asks: &self.levels[entry.middle..entry.end],
        })
    }
}
