//! Snapshots that a new file needs so that it can be read without the one before it, where books are told over REST.
//!
//! All books at once would use up the venue's weight for a minute, and a book that is lost meanwhile would wait for it: so
//! they are asked for one behind the other.

use std::collections::VecDeque;

use domain::{InstrumentId, Nanos};
use venues::rate_limit::TokenBucket;

use super::stream::Stream;

/// Most snapshots that a new file asks for at once.
pub const SNAPSHOTS_AT_ONCE: u32 = 10;

/// Time between those that follow: at 50 a snapshot, a quarter of Binance's 6,000 of weight a minute.
pub const SNAPSHOT_EVERY: Nanos = Nanos::from_secs(2);

/// What is still to be asked for.
#[derive(Debug)]
pub(crate) struct Due {
    waiting: VecDeque<(usize, InstrumentId)>,
    pace: TokenBucket,
}

impl Due {
    pub(crate) const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            pace: TokenBucket::new(SNAPSHOT_EVERY, SNAPSHOTS_AT_ONCE),
        }
    }

    /// A file was begun: it lacks the snapshot of every book that is told over REST. What the file before it still lacked
    /// comes first.
    pub(crate) fn begin(&mut self, streams: &[Stream]) {
        let numbered = streams.iter().enumerate();
        let numbered = numbered.filter(|(_, stream)| stream.wire.numbers_updates());
        self.add(numbered.flat_map(|(at, stream)| {
            let instruments = stream.instruments.iter();
            instruments.map(move |instrument| (at, instrument.id))
        }));
    }

    fn add(&mut self, books: impl Iterator<Item = (usize, InstrumentId)>) {
        for book in books {
            if !self.waiting.contains(&book) {
                self.waiting.push_back(book);
            }
        }
    }

    /// The next one, if its time has come; `now` is monotonic.
    pub(crate) fn next(&mut self, now: Nanos) -> Option<(usize, InstrumentId)> {
        if self.waiting.is_empty() || self.pace.try_take(now).is_err() {
            return None;
        }
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_asks_for_its_snapshots_one_behind_the_other() {
        let mut due = Due::new();
        let books = || (0..25).map(|id| (0, InstrumentId(id)));
        due.add(books());
        let mut asked = Vec::new();
        let mut now = Nanos(0);
        while asked.len() < 25 {
            while let Some((_, id)) = due.next(now) {
                asked.push((now, id));
            }
            now = Nanos(now.0 + SNAPSHOT_EVERY.0 / 4);
        }
        let order: Vec<u16> = asked.iter().map(|(_, id)| id.0).collect();
        assert_eq!(order, (0..25).collect::<Vec<_>>());
        let minute = |from: usize| {
            let begun = asked[from].0.0;
            asked
                .iter()
                .filter(|(at, _)| (begun..begun + 10_000_000_000).contains(&at.0))
                .count()
        };
        assert_eq!(minute(0), 10 + 4);
        assert!((10..25).all(|from| minute(from) <= 5));
        // Files that follow too soon leave nothing out, and ask for nothing twice.
        due.add(books());
        due.add(books());
        assert_eq!(due.waiting.len(), 25);
        assert_eq!(due.next(Nanos(i64::MAX / 2)).map(|(_, id)| id.0), Some(0));
    }
}
