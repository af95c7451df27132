//! How a venue numbers the changes of a book.

use super::Diff;

/// Which numbers must follow which. The rules of one venue's spot and futures markets differ in one comparison, and each
/// applied to the other's wire either never synchronizes or tears a whole book apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceRule {
    /// Binance spot. Its documentation's steps, in our words (spot API, "How to manage a local order book correctly",
    /// 2026-07):
    /// - S1: open the stream of changes.
    /// - S2: keep the changes that arrive; note the first number (`U`) of the first.
    /// - S3: ask for a snapshot over REST.
    /// - S4: a snapshot whose number lies before that first number is too old: ask again.
    /// - S5: drop kept changes that end (`u`) at or before the snapshot's number; the snapshot's number must then lie
    ///   within the first change that remains.
    /// - S6: the book is the snapshot; its number is the book's number.
    /// - S7: apply each change: one that ends at or before the book's number is ignored; one that begins after the
    ///   book's number plus one shows a hole, start again at S2; otherwise set each level's quantity, remove it at zero
    ///   (also when it was not there), and take over the change's last number.
    ///
    /// The wire follows S5 in the form `U <= number + 1 <= u`: a change may begin right after the snapshot.
    BinanceSpot,
    /// Binance futures. Its documentation's steps, in our words (USD-M futures API, "How to manage a local order book
    /// correctly", 2026-07):
    /// - F1: open the stream of changes.
    /// - F2: keep the changes that arrive.
    /// - F3: ask for a snapshot over REST.
    /// - F4: drop changes that end (`u`) *before* the snapshot's number. One that ends exactly there stays: the next one
    ///   begins beyond the snapshot's number, and only this one fits F5.
    /// - F5: the first change applied has `U <= number <= u`.
    /// - F6: each further change names the end of the one before (`pu`); where it does not, start again at F3.
    /// - F7: quantities are absolute.
    /// - F8: a quantity of zero removes the level.
    /// - F9: removing a level that is not there can happen and is normal.
    ///
    /// Two readings of ours. A snapshot can be as new as the last change, and then no change with F5 ever comes: a first
    /// change that names the snapshot's own number (F6 with the snapshot as the one before) continues it. And a change
    /// that ends at or before the book's number is a repetition, which is ignored.
    ///
    /// One more of ours, for both markets. A change that ends within the last one applied and is not that one shows that
    /// one of the two names false numbers; a false high number would freeze the book, as everything behind it is old news.
    BinanceFutures,
}

/// Where a book stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) number: u64,
    /// Where the last change applied began; `None` while there is none since the snapshot.
    began: Option<u64>,
}

impl Position {
    pub(super) const fn snapshot(number: u64) -> Self {
        Self { number, began: None }
    }

    pub(super) const fn change(first: u64, last: u64) -> Self {
        Self {
            number: last,
            began: Some(first),
        }
    }

    /// Whether a change that ends here or before cannot be true if the last one applied was.
    fn contradicts(self, diff: &Diff<'_>) -> bool {
        self.began.is_some_and(|began| {
            let is_within = diff.last_update_id >= began;
            is_within && (diff.first_update_id, diff.last_update_id) != (began, self.number)
        })
    }
}

/// Where a change stands to a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The book holds it already.
    Stale,
    /// It is the next one.
    Next,
    /// Something between the book and it is missing, or the numbers contradict each other.
    BehindGap,
}

impl SequenceRule {
    pub(super) fn place(self, diff: &Diff<'_>, book: Position) -> Place {
        let (is_stale, is_next) = match self {
            // S5, S7.
            Self::BinanceSpot => (
                diff.last_update_id <= book.number,
                diff.first_update_id <= book.number.saturating_add(1),
            ),
            // F4, F5.
            Self::BinanceFutures if book.began.is_none() => (
                diff.last_update_id < book.number,
                diff.first_update_id <= book.number || diff.previous_update_id == Some(book.number),
            ),
            // F6.
            Self::BinanceFutures => (
                diff.last_update_id <= book.number,
                diff.previous_update_id == Some(book.number),
            ),
        };
        match (is_stale, is_next) {
            (true, _) if book.contradicts(diff) => Place::BehindGap,
            (true, _) => Place::Stale,
            (false, true) => Place::Next,
            (false, false) => Place::BehindGap,
        }
    }
}
