//! The book as the recorded stream has it.

use std::collections::{BTreeMap, VecDeque};

use domain::{Price, Quantity};
use serde::Deserialize;
use std::borrow::Cow;

use crate::decimal::fixed8;

/// Changes kept until the recording holds a snapshot; the oldest go first.
const CHANGES_KEPT_MAX: usize = 4_096;

/// A change of the book on the wire.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Change<'a> {
    #[serde(borrow)]
    pub(super) s: Cow<'a, str>,
    #[serde(rename = "u")]
    last: u64,
    #[serde(borrow)]
    b: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    #[serde(borrow)]
    a: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// An answer to a request for a snapshot.
#[derive(Debug, Deserialize)]
pub(super) struct Snapshot<'a> {
    #[serde(rename = "lastUpdateId")]
    pub(super) last: u64,
    #[serde(borrow)]
    bids: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    #[serde(borrow)]
    asks: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Price and quantity of a level, units of 1e-8.
type Level = (i64, i64);

#[derive(Debug, Clone)]
struct Kept {
    last: u64,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

/// One symbol's.
#[derive(Debug, Default)]
pub(super) struct RecordedBook {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    /// Number of the last update that was played.
    last: u64,
    /// Whether a snapshot was played since the connection was made.
    stands: bool,
    kept: VecDeque<Kept>,
}

impl RecordedBook {
    /// A change was played.
    pub(super) fn change(&mut self, change: &Change<'_>) {
        let kept = Kept {
            last: change.last,
            bids: levels(&change.b),
            asks: levels(&change.a),
        };
        if self.stands {
            self.apply(&kept);
            return;
        }
        self.last = change.last;
        self.kept.push_back(kept);
        if self.kept.len() > CHANGES_KEPT_MAX {
            self.kept.pop_front();
        }
    }

    /// A snapshot was played: what came before it and is newer is in the stream already.
    pub(super) fn snapshot(&mut self, snapshot: &Snapshot<'_>) {
        if self.stands {
            return;
        }
        self.stands = true;
        self.bids = levels(&snapshot.bids).into_iter().collect();
        self.asks = levels(&snapshot.asks).into_iter().collect();
        self.last = snapshot.last;
        for kept in std::mem::take(&mut self.kept) {
            self.apply(&kept);
        }
    }

    /// The connection was lost: nothing is known any more.
    pub(super) fn lose(&mut self) {
        *self = Self::default();
    }

    pub(super) const fn stands(&self) -> bool {
        self.stands
    }

    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// What REST answers now, with so many levels a side.
    pub(super) fn answer(&self, limit: usize) -> String {
        let side = |levels: &mut dyn Iterator<Item = (&i64, &i64)>| {
            let texts = levels
                .take(limit)
                .map(|(&price, &quantity)| format!("[\"{}\",\"{}\"]", fixed8(price), fixed8(quantity)));
            texts.collect::<Vec<_>>().join(",")
        };
        let bids = side(&mut self.bids.iter().rev());
        let asks = side(&mut self.asks.iter());
        format!(
            "{{\"lastUpdateId\":{},\"bids\":[{bids}],\"asks\":[{asks}]}}",
            self.last
        )
    }

    fn apply(&mut self, change: &Kept) {
        if change.last <= self.last {
            return;
        }
        self.last = change.last;
        for (side, levels) in [(&mut self.bids, &change.bids), (&mut self.asks, &change.asks)] {
            for &(price, quantity) in levels {
                if quantity == 0 {
                    side.remove(&price);
                } else {
                    side.insert(price, quantity);
                }
            }
        }
    }
}

/// Those that can be read; the wire has no others.
fn levels(texts: &[(Cow<'_, str>, Cow<'_, str>)]) -> Vec<Level> {
    let units = |(price, quantity): &(Cow<'_, str>, Cow<'_, str>)| {
        let price = Price::parse(price.as_bytes()).ok()?.units();
        Some((price, Quantity::parse(quantity.as_bytes()).ok()?.units()))
    };
    texts.iter().filter_map(units).collect()
}

/// The largest power of ten, in units of 1e-8, that all prices of these levels are multiples of.
pub(super) fn coarser(tick: i64, snapshot: &Snapshot<'_>) -> i64 {
    let prices = levels(&snapshot.bids).into_iter().chain(levels(&snapshot.asks));
    prices.fold(tick, |mut tick, (price, _)| {
        while tick > 1 && price % tick != 0 {
            tick /= 10;
        }
        tick
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str) -> Change<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_answer_is_as_of_the_stream() {
        let mut book = RecordedBook::default();
        // Older than the snapshot, and newer: both were played before it.
        book.change(&change(r#"{"s":"X","u":9,"b":[["1.0","9"]],"a":[]}"#));
        book.change(&change(
            r#"{"s":"X","u":12,"b":[["2.0","0.5"]],"a":[["4.0","0"]]}"#,
        ));
        assert!(!book.stands());
        let snapshot =
            r#"{"lastUpdateId":10,"bids":[["1.0","1"],["0.5","7"]],"asks":[["3.0","1"],["4.0","2"]]}"#;
        let snapshot: Snapshot<'_> = serde_json::from_str(snapshot).unwrap();
        book.snapshot(&snapshot);
        assert_eq!(
            book.answer(2),
            r#"{"lastUpdateId":12,"bids":[["2.00000000","0.50000000"],["1.00000000","1.00000000"]],"asks":[["3.00000000","1.00000000"]]}"#
        );
        book.change(&change(r#"{"s":"X","u":13,"b":[["2.0","0"]],"a":[]}"#));
        assert_eq!(
            book.answer(1),
            r#"{"lastUpdateId":13,"bids":[["1.00000000","1.00000000"]],"asks":[["3.00000000","1.00000000"]]}"#
        );
        // A later snapshot tells nothing new.
        book.snapshot(&snapshot);
        assert_eq!(book.last(), 13);
        assert_eq!(coarser(1_000_000_000_000, &snapshot), 10_000_000);
        book.lose();
        assert!(!book.stands());
    }
}
