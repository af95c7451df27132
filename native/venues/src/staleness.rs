//! How long a book is believed that nothing contradicts.
//!
//! Numbers and checksums prove what came, and say nothing of what did not come. A stream of changes that stops while its
//! socket stays open leaves a book that looks right and is old. It shows in what goes on beside it: the market moved, and
//! its book did not; heartbeats go on, and the book says nothing; a book was asked for, and does not come. Time here is
//! that at which messages were received, and only a message makes it pass. A socket on which nothing comes at all is given
//! up by its own task ([`crate::websocket`]), and what it told of is as old: [`DisconnectReason::of_books`].

use domain::{BookInvalidReason, Nanos, Timestamp};

use crate::clock::Clock;
use crate::websocket::DisconnectReason;

/// How long what is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StalenessBounds {
    /// From a sign that the market moved to the change of its book. Changes are told every 20 to 100 ms.
    pub behind_max: Nanos,
    /// How long before such a sign the change may have come that it speaks of: streams of one connection are not in step.
    pub leads_max: Nanos,
    /// Between two changes of a book, where the venue tells beside them that it lives. Quiet pairs change every half minute.
    pub quiet_max: Nanos,
    /// From the wish for a book to its snapshot ...
    pub snapshot_max: Nanos,
    /// ... and as much longer for each book of the connection: they are asked for one after the other.
    pub snapshot_each: Nanos,
}

impl StalenessBounds {
    /// In wall time.
    pub const WALL: Self = Self {
        behind_max: Nanos::from_secs(5),
        leads_max: Nanos::from_secs(2),
        quiet_max: Nanos::from_secs(120),
        snapshot_max: Nanos::from_secs(15),
        snapshot_each: Nanos::from_secs(1),
    };

    /// In the time of a clock, which may be faster than the wall's.
    #[must_use]
    pub fn on(clock: &dyn Clock) -> Self {
        Self::WALL.map(|span| clock.service_span(span))
    }

    fn map(self, scale: impl Fn(Nanos) -> Nanos) -> Self {
        Self {
            behind_max: scale(self.behind_max),
            leads_max: scale(self.leads_max),
            quiet_max: scale(self.quiet_max),
            snapshot_max: scale(self.snapshot_max),
            snapshot_each: scale(self.snapshot_each),
        }
    }
}

impl DisconnectReason {
    /// Why the books that a connection told are not believed after its end: it was heard to end, or was not heard.
    #[must_use]
    pub const fn of_books(self) -> BookInvalidReason {
        match self {
            Self::Idle | Self::Stalled => BookInvalidReason::Stale,
            Self::Closed | Self::Failed | Self::Overrun | Self::Ended | Self::Stopped => {
                BookInvalidReason::Disconnected
            }
        }
    }
}

/// Whether silence about a book is a fault by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// A quiet market says nothing for any time.
    Normal,
    /// Beyond [`StalenessBounds::quiet_max`].
    Fault,
}

/// What became of a book by time alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// Its changes have stopped.
    Changes,
    /// Its snapshot has not come.
    Snapshot,
}

/// What is waited for of one book.
#[derive(Debug, Clone, Copy, Default)]
struct Watch {
    /// When it last told anything.
    told: Option<Timestamp>,
    /// The first sign, since then, that the market moved.
    moved: Option<Timestamp>,
    /// Since when its snapshot is wanted.
    awaited: Option<Timestamp>,
}

/// Watches the books of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Staleness {
    bounds: StalenessBounds,
    silence: Silence,
    watches: Vec<Watch>,
    /// Before this time none is overdue.
    next: Timestamp,
}

const NEVER: Timestamp = Timestamp::from_nanos(i64::MAX);

impl Staleness {
    pub(crate) fn new(books: usize, silence: Silence) -> Self {
        Self {
            bounds: StalenessBounds::WALL,
            silence,
            watches: vec![Watch::default(); books],
            next: NEVER,
        }
    }

    pub(crate) fn set_bounds(&mut self, bounds: StalenessBounds) {
        self.bounds = bounds;
        self.next = Timestamp::EPOCH;
    }

    /// A connection began or ended: nothing is waited for.
    pub(crate) fn begin(&mut self) {
        self.watches.fill(Watch::default());
        self.next = NEVER;
    }

    /// A snapshot of a book is wanted; one that is waited for already is waited for no longer.
    pub(crate) fn want_snapshot(&mut self, book: usize, at: Timestamp) {
        self.change(book, |watch| {
            *watch = Watch {
                awaited: watch.awaited.or(Some(at)),
                ..Watch::default()
            };
        });
    }

    /// A whole book came.
    pub(crate) fn on_snapshot(&mut self, book: usize, at: Timestamp) {
        self.change(book, |watch| {
            *watch = Watch {
                told: Some(at),
                ..Watch::default()
            };
        });
    }

    /// A change of a book came.
    pub(crate) fn on_change(&mut self, book: usize, at: Timestamp) {
        self.change(book, |watch| {
            watch.told = Some(at);
            watch.moved = None;
        });
    }

    /// The market moved, as another stream says; its change of the book may have come before.
    pub(crate) fn on_move(&mut self, book: usize, at: Timestamp) {
        let leads_max = self.bounds.leads_max;
        self.change(book, |watch| {
            if watch.told.is_none_or(|told| at.since(told) > leads_max) {
                watch.moved.get_or_insert(at);
            }
        });
    }

    /// The market moved, and the book has not: another stream is ahead of it by its own number.
    pub(crate) fn on_lead(&mut self, book: usize, at: Timestamp) {
        self.change(book, |watch| {
            watch.moved.get_or_insert(at);
        });
    }

    /// The next book that is overdue at this time; ask until `None`. What is overdue is said once: changes are waited for
    /// again from the next one on, and a snapshot from now on.
    pub(crate) fn overdue(&mut self, at: Timestamp) -> Option<(usize, Overdue)> {
        if at <= self.next {
            return None;
        }
        let mut next = NEVER;
        for book in 0..self.watches.len() {
            let Some((deadline, what)) = self.deadline(&self.watches[book]) else {
                continue;
            };
            if at > deadline {
                self.watches[book] = Watch {
                    awaited: (what == Overdue::Snapshot).then_some(at),
                    ..Watch::default()
                };
                return Some((book, what));
            }
            next = next.min(deadline);
        }
        self.next = next;
        None
    }

    fn change(&mut self, book: usize, change: impl FnOnce(&mut Watch)) {
        let Some(watch) = self.watches.get_mut(book) else {
            return;
        };
        change(watch);
        let watch = *watch;
        if let Some((deadline, _)) = self.deadline(&watch) {
            self.next = self.next.min(deadline);
        }
    }

    /// Until when a book is believed, and what is missing after it.
    fn deadline(&self, watch: &Watch) -> Option<(Timestamp, Overdue)> {
        let bounds = &self.bounds;
        if let Some(awaited) = watch.awaited {
            let books = i64::try_from(self.watches.len()).unwrap_or(i64::MAX);
            let each = bounds.snapshot_each.0.saturating_mul(books);
            let span = Nanos(bounds.snapshot_max.0.saturating_add(each));
            return Some((awaited.plus(span), Overdue::Snapshot));
        }
        let moved = watch.moved.map(|moved| moved.plus(bounds.behind_max));
        let told = watch.told.filter(|_| self.silence == Silence::Fault);
        let told = told.map(|told| told.plus(bounds.quiet_max));
        let first = moved.into_iter().chain(told).min()?;
        Some((first, Overdue::Changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Rate, ServerClock, TimeSample};

    const BOUNDS: StalenessBounds = StalenessBounds {
        behind_max: Nanos(50),
        leads_max: Nanos(20),
        quiet_max: Nanos(1_000),
        snapshot_max: Nanos(100),
        snapshot_each: Nanos(10),
    };

    fn watching(silence: Silence) -> Staleness {
        let mut staleness = Staleness::new(2, silence);
        staleness.set_bounds(BOUNDS);
        staleness
    }

    const fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    #[test]
    fn a_book_that_another_stream_is_ahead_of_is_stale_beyond_the_bound_and_said_once() {
        let mut staleness = watching(Silence::Normal);
        staleness.on_change(0, at(100));
        staleness.on_lead(0, at(110));
        staleness.on_lead(0, at(150));
        assert_eq!(staleness.overdue(at(160)), None, "at the bound");
        assert_eq!(staleness.overdue(at(161)), Some((0, Overdue::Changes)));
        assert_eq!(staleness.overdue(at(161)), None);
        assert_eq!(staleness.overdue(at(9_999_999)), None);
    }

    #[test]
    fn a_change_of_the_book_settles_what_was_ahead_of_it() {
        let mut staleness = watching(Silence::Normal);
        staleness.on_lead(0, at(110));
        staleness.on_change(0, at(159));
        assert_eq!(staleness.overdue(at(1_000_000)), None);
        staleness.on_lead(0, at(1_000_000));
        assert_eq!(staleness.overdue(at(1_000_051)), Some((0, Overdue::Changes)));
    }

    #[test]
    fn a_sign_may_speak_of_a_change_that_came_a_little_before_it() {
        let mut staleness = watching(Silence::Normal);
        staleness.on_change(1, at(100));
        staleness.on_move(1, at(120));
        assert_eq!(staleness.overdue(at(10_000)), None);
        staleness.on_move(1, at(10_000));
        assert_eq!(staleness.overdue(at(10_051)), Some((1, Overdue::Changes)));
    }

    #[test]
    fn silence_is_a_fault_only_where_the_venue_says_that_it_lives() {
        for (silence, expected) in [
            (Silence::Normal, None),
            (Silence::Fault, Some((0, Overdue::Changes))),
        ] {
            let mut staleness = watching(silence);
            staleness.on_snapshot(0, at(0));
            assert_eq!(staleness.overdue(at(1_000)), None);
            assert_eq!(staleness.overdue(at(1_001)), expected, "{silence:?}");
        }
    }

    #[test]
    fn a_snapshot_that_does_not_come_is_missed_again_and_again() {
        let mut staleness = watching(Silence::Fault);
        staleness.want_snapshot(0, at(0));
        staleness.want_snapshot(0, at(90));
        // Changes of an older subscription are no snapshot.
        staleness.on_change(0, at(100));
        assert_eq!(staleness.overdue(at(120)), None, "two books: 100 and twice 10");
        assert_eq!(staleness.overdue(at(121)), Some((0, Overdue::Snapshot)));
        assert_eq!(staleness.overdue(at(241)), None);
        assert_eq!(staleness.overdue(at(242)), Some((0, Overdue::Snapshot)));
        staleness.on_snapshot(0, at(250));
        assert_eq!(staleness.overdue(at(1_250)), None);
    }

    #[test]
    fn a_new_connection_waits_for_nothing_of_the_old_one() {
        let mut staleness = watching(Silence::Fault);
        staleness.want_snapshot(0, at(0));
        staleness.on_lead(1, at(0));
        staleness.begin();
        assert_eq!(staleness.overdue(at(1_000_000)), None);
    }

    #[test]
    fn every_book_that_is_overdue_is_said() {
        let mut staleness = watching(Silence::Normal);
        staleness.on_lead(0, at(0));
        staleness.on_lead(1, at(30));
        staleness.on_lead(2, at(30));
        let mut said: Vec<_> = std::iter::from_fn(|| staleness.overdue(at(81))).collect();
        said.sort_by_key(|(book, _)| *book);
        assert_eq!(said, [(0, Overdue::Changes), (1, Overdue::Changes)]);
    }

    #[test]
    fn time_that_does_not_pass_makes_nothing_stale() {
        let mut staleness = watching(Silence::Fault);
        staleness.on_snapshot(0, at(7));
        staleness.on_lead(0, at(7));
        staleness.want_snapshot(1, at(7));
        assert_eq!(staleness.overdue(at(7)), None);
        assert_eq!(staleness.overdue(at(-1_000_000)), None);
    }

    #[test]
    fn bounds_follow_a_clock_that_is_faster_than_the_wall() {
        let clock = ServerClock::local();
        let sample = |at_ms: i64, server_ms| TimeSample {
            sent: Nanos::from_millis(at_ms),
            received: Nanos::from_millis(at_ms + 2),
            server: Timestamp::from_millis(server_ms),
        };
        assert_eq!(StalenessBounds::on(&clock), StalenessBounds::WALL);
        clock
            .anchor(sample(0, 0), sample(100, 10_000), Rate::Estimated)
            .unwrap();
        assert_eq!(StalenessBounds::on(&clock).behind_max, Nanos::from_secs(500));
    }

    #[test]
    fn what_was_not_heard_is_stale_and_what_was_heard_to_end_is_not() {
        use DisconnectReason as Reason;
        let books = |reason: Reason| reason.of_books();
        assert_eq!(
            [Reason::Idle, Reason::Stalled].map(books),
            [BookInvalidReason::Stale; 2]
        );
        let ends = [
            Reason::Closed,
            Reason::Failed,
            Reason::Overrun,
            Reason::Ended,
            Reason::Stopped,
        ];
        assert_eq!(ends.map(books), [BookInvalidReason::Disconnected; 5]);
    }
}
