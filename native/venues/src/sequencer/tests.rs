use std::collections::BTreeMap;

use domain::{Price, Quantity};
use proptest::prelude::*;

use super::*;

const TS: Timestamp = Timestamp::EPOCH;

/// What a consumer builds from the events alone.
#[derive(Debug, Default)]
struct Seen {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    update_ids: Vec<u64>,
    invalid: Vec<BookInvalidReason>,
    valid: bool,
}

impl Seen {
    fn take(&mut self, event: &MarketEvent<'_>) {
        match event {
            MarketEvent::Book(update) => {
                if update.kind == BookUpdateKind::Snapshot {
                    self.bids.clear();
                    self.asks.clear();
                    self.valid = true;
                }
                assert!(self.valid, "a delta reached a consumer whose book is invalid");
                set(&mut self.bids, update.bids);
                set(&mut self.asks, update.asks);
                self.update_ids.push(update.update_id);
            }
            MarketEvent::BookInvalid(invalid) => {
                assert!(self.valid, "told twice that the book is invalid");
                self.valid = false;
                self.invalid.push(invalid.reason);
            }
            other => panic!("a sequencer does not emit {other:?}"),
        }
    }
}

fn set(side: &mut BTreeMap<i64, i64>, levels: &[Level]) {
    for level in levels {
        if level.quantity.is_zero() {
            side.remove(&level.price.units());
        } else {
            side.insert(level.price.units(), level.quantity.units());
        }
    }
}

fn level(price: i64, quantity: i64) -> Level {
    Level {
        price: Price::from_units(price),
        quantity: Quantity::from_units(quantity),
    }
}

struct Case {
    sequencer: Sequencer,
    seen: Seen,
}

impl Case {
    fn connected() -> Self {
        Self::connected_by(SequenceRule::BinanceSpot)
    }

    fn connected_by(rule: SequenceRule) -> Self {
        let mut sequencer = Sequencer::new(InstrumentId(0), rule);
        sequencer.on_connected();
        Self {
            sequencer,
            seen: Seen::default(),
        }
    }

    /// A book of 100 at 10 and 101 at 10, number 10.
    fn synchronized() -> Self {
        let mut case = Self::connected();
        assert!(case.sequencer.take_snapshot_request());
        case.snapshot(10, &[level(100, 10)], &[level(101, 10)]);
        assert!(case.sequencer.is_synchronized());
        case
    }

    fn diff(&mut self, first: u64, last: u64, bids: &[Level], asks: &[Level]) {
        self.change((None, first, last), bids, asks);
    }

    /// A change by the numbers `(pu, U, u)`.
    fn change(
        &mut self,
        (previous_update_id, first_update_id, last_update_id): (Option<u64>, u64, u64),
        bids: &[Level],
        asks: &[Level],
    ) {
        let diff = Diff {
            ts_event: TS,
            first_update_id,
            last_update_id,
            previous_update_id,
            bids,
            asks,
        };
        self.sequencer.on_diff(&diff, &mut |event| self.seen.take(&event));
    }

    fn snapshot(&mut self, last: u64, bids: &[Level], asks: &[Level]) {
        self.sequencer
            .on_snapshot(TS, last, bids, asks, &mut |event| self.seen.take(&event));
    }

    fn best(&mut self, update_id: u64, bid: Level, ask: Level) {
        let best = BestLevels {
            update_id,
            bid: Some(bid),
            ask: Some(ask),
        };
        self.sequencer.on_best(best, &mut |event| self.seen.take(&event));
    }

    fn expect_invalid(&mut self, reason: BookInvalidReason) {
        assert_eq!(self.seen.invalid, [reason]);
        assert!(!self.sequencer.is_synchronized());
        assert!(self.sequencer.take_snapshot_request(), "a resync is asked for");
        assert_eq!(self.sequencer.best(), (None, None));
    }
}

#[test]
fn joins_a_snapshot_with_the_changes_kept_before_it() {
    let mut case = Case::connected();
    case.diff(5, 7, &[level(90, 1)], &[]);
    case.diff(8, 10, &[level(91, 1)], &[]);
    case.diff(11, 14, &[level(100, 3)], &[level(102, 4)]);
    assert!(case.seen.update_ids.is_empty());
    case.snapshot(12, &[level(100, 2)], &[level(101, 2)]);
    assert_eq!(case.seen.update_ids, [12, 14]);
    assert_eq!(case.sequencer.statistics().diffs_stale, 2);
    assert_eq!(case.seen.bids, BTreeMap::from([(100, 3)]));
    assert_eq!(case.seen.asks, BTreeMap::from([(101, 2), (102, 4)]));
}

#[test]
fn a_change_may_begin_right_after_the_snapshot() {
    let mut case = Case::connected();
    case.diff(13, 14, &[level(99, 1)], &[]);
    case.snapshot(12, &[level(100, 2)], &[]);
    assert_eq!(case.seen.update_ids, [12, 14]);
}

#[test]
fn a_snapshot_older_than_the_first_change_is_asked_for_again() {
    let mut case = Case::connected();
    assert!(case.sequencer.take_snapshot_request());
    case.diff(14, 15, &[], &[]);
    case.snapshot(12, &[level(100, 2)], &[]);
    assert!(!case.sequencer.is_synchronized() && case.seen.update_ids.is_empty());
    assert!(case.sequencer.take_snapshot_request());
    assert_eq!(case.sequencer.statistics().snapshots_refused, 1);
    case.snapshot(13, &[level(100, 2)], &[]);
    assert_eq!(case.seen.update_ids, [13, 15]);
}

#[test]
fn a_gap_invalidates_at_once_and_the_change_after_it_is_kept() {
    let mut case = Case::synchronized();
    case.diff(12, 13, &[level(99, 1)], &[]);
    case.expect_invalid(BookInvalidReason::Gap);
    case.snapshot(12, &[level(100, 9)], &[level(101, 9)]);
    assert_eq!(case.seen.update_ids, [10, 12, 13]);
}

#[test]
fn duplicates_and_reordered_changes_do_nothing() {
    let mut case = Case::synchronized();
    case.diff(11, 12, &[level(99, 1)], &[]);
    case.diff(11, 12, &[level(99, 7)], &[]);
    case.diff(9, 10, &[level(98, 7)], &[]);
    assert_eq!(case.seen.update_ids, [10, 12]);
    assert_eq!(case.sequencer.statistics().diffs_stale, 2);
    assert_eq!(case.seen.bids, BTreeMap::from([(99, 1), (100, 10)]));
}

/// A change whose last number is too high would freeze the book: all that follows would be old news.
#[test]
fn a_number_that_what_follows_contradicts_is_no_number() {
    let mut case = Case::synchronized();
    case.diff(11, 5_012, &[level(99, 1)], &[]);
    case.diff(13, 14, &[level(98, 7)], &[]);
    case.expect_invalid(BookInvalidReason::Gap);

    let mut futures = futures(&[]);
    futures.change((Some(9), 9, 12), &[], &[]);
    assert!(futures_snapshot(&mut futures, 12));
    futures.change((Some(12), 13, 9_000), &[level(99, 1)], &[]);
    futures.change((Some(20), 21, 30), &[level(98, 7)], &[]);
    futures.expect_invalid(BookInvalidReason::Gap);
}

/// A futures sequencer with these changes `(pu, U, u)` kept.
fn futures(kept: &[(u64, u64, u64)]) -> Case {
    let mut case = Case::connected_by(SequenceRule::BinanceFutures);
    for &(previous, first, last) in kept {
        case.change((Some(previous), first, last), &[level(90, 1)], &[]);
    }
    case
}

fn futures_snapshot(case: &mut Case, number: u64) -> bool {
    case.snapshot(number, &[level(100, 2)], &[level(101, 2)]);
    case.sequencer.is_synchronized()
}

#[test]
fn a_futures_snapshot_that_ends_exactly_where_a_change_does_synchronizes() {
    // Numbers of futures skip: what follows 20 begins at 25, and by the spot rule nothing ever continues 20.
    let changes = [(5, 8, 10), (10, 14, 20), (20, 25, 30)];
    let mut case = futures(&changes);
    assert!(futures_snapshot(&mut case, 20));
    assert_eq!(case.seen.update_ids, [20, 20, 30]);
    assert_eq!(case.sequencer.statistics().diffs_stale, 1);

    let mut spot = Case::connected();
    spot.change((None, 25, 30), &[], &[]);
    spot.snapshot(20, &[level(100, 2)], &[level(101, 2)]);
    assert!(!spot.sequencer.is_synchronized(), "the other rule tells it apart");
}

#[test]
fn a_futures_snapshot_within_a_change_synchronizes_and_one_before_is_refused() {
    let mut case = futures(&[(5, 8, 10), (10, 14, 20)]);
    assert!(futures_snapshot(&mut case, 16));
    assert_eq!(case.seen.update_ids, [16, 20]);

    let mut early = futures(&[(10, 14, 20)]);
    assert!(!futures_snapshot(&mut early, 12), "12 lies in no change");
    assert_eq!(early.sequencer.statistics().snapshots_refused, 1);
    assert!(early.sequencer.take_snapshot_request());
    assert!(futures_snapshot(&mut early, 14));
}

#[test]
fn a_first_futures_change_may_name_the_snapshot_itself() {
    let mut case = futures(&[]);
    assert!(futures_snapshot(&mut case, 20));
    case.change((Some(20), 25, 30), &[level(99, 1)], &[]);
    assert_eq!(case.seen.update_ids, [20, 30]);

    let mut hole = futures(&[]);
    assert!(futures_snapshot(&mut hole, 20));
    hole.change((Some(22), 25, 30), &[], &[]);
    hole.expect_invalid(BookInvalidReason::Gap);
}

#[test]
fn a_futures_change_must_name_the_end_of_the_one_before() {
    let mut case = futures(&[(10, 14, 20)]);
    assert!(futures_snapshot(&mut case, 16));
    case.change((Some(20), 27, 30), &[level(99, 1)], &[]);
    case.change((Some(20), 27, 30), &[level(98, 1)], &[]);
    assert_eq!(case.seen.update_ids, [16, 20, 30], "a repetition is ignored");
    // By the spot rule this one would do: it begins right after 30.
    case.change((Some(29), 31, 40), &[], &[]);
    case.expect_invalid(BookInvalidReason::Gap);
    assert_eq!(case.sequencer.statistics().gaps, 1);
}

#[test]
fn a_hole_among_kept_futures_changes_keeps_only_what_follows() {
    let mut case = futures(&[(5, 8, 10), (12, 14, 20)]);
    assert_eq!(case.sequencer.statistics().gaps, 1);
    assert!(futures_snapshot(&mut case, 15));
    assert_eq!(case.seen.update_ids, [15, 20]);
}

#[test]
fn a_removal_of_what_is_not_there_is_counted_and_tolerated() {
    let mut case = Case::synchronized();
    case.diff(
        11,
        11,
        &[level(97, 0), level(100, 0)],
        &[level(105, 0), level(101, 3)],
    );
    assert!(case.sequencer.is_synchronized());
    assert_eq!(case.sequencer.statistics().unknown_deletes, 2);
}

#[test]
fn a_crossed_book_is_never_passed_on() {
    for (bid, ask) in [(101, 101), (102, 101)] {
        let mut case = Case::synchronized();
        case.diff(11, 11, &[level(bid, 1)], &[level(ask, 1)]);
        case.expect_invalid(BookInvalidReason::Crossed);
        assert_eq!(case.seen.update_ids, [10]);
    }
}

#[test]
fn a_crossed_snapshot_is_refused() {
    let mut case = Case::connected();
    case.snapshot(10, &[level(102, 1)], &[level(101, 1)]);
    assert!(!case.sequencer.is_synchronized() && case.seen.update_ids.is_empty());
    assert!(case.sequencer.take_snapshot_request());
}

#[test]
fn a_best_level_that_disagrees_invalidates_whichever_comes_first() {
    let mut early = Case::synchronized();
    early.best(12, level(100, 10), level(101, 99));
    assert!(early.sequencer.is_synchronized(), "nothing to compare yet");
    early.diff(11, 12, &[level(99, 1)], &[]);
    early.expect_invalid(BookInvalidReason::BestLevelMismatch);
    assert_eq!(early.seen.update_ids, [10], "the wrong book was not passed on");

    let mut late = Case::synchronized();
    late.diff(11, 12, &[level(99, 1)], &[]);
    late.best(12, level(100, 10), level(101, 11));
    late.expect_invalid(BookInvalidReason::BestLevelMismatch);
}

#[test]
fn a_best_level_that_agrees_or_is_not_comparable_changes_nothing() {
    let mut case = Case::synchronized();
    case.best(9, level(1, 1), level(2, 2));
    case.best(10, level(100, 10), level(101, 10));
    case.best(11, level(1, 1), level(2, 2));
    case.best(12, level(100, 10), level(101, 10));
    case.diff(11, 12, &[level(99, 1)], &[]);
    assert!(case.sequencer.is_synchronized());
    assert_eq!(case.sequencer.statistics().best_compared, 2);
}

#[test]
fn a_lost_connection_invalidates_and_asks_only_when_it_is_back() {
    let mut case = Case::synchronized();
    let Case { sequencer, seen } = &mut case;
    sequencer.on_disconnected(BookInvalidReason::Disconnected, &mut |event| seen.take(&event));
    assert_eq!(case.seen.invalid, [BookInvalidReason::Disconnected]);
    assert!(!case.sequencer.take_snapshot_request());
    case.sequencer.on_connected();
    assert!(case.sequencer.take_snapshot_request());
    // A snapshot from before the interruption does not fit what the stream says now.
    case.snapshot(10, &[level(100, 10)], &[level(101, 10)]);
    case.diff(20, 21, &[], &[]);
    assert_eq!(case.seen.invalid.last(), Some(&BookInvalidReason::Gap));
}

#[test]
fn a_hole_among_kept_changes_keeps_only_what_follows() {
    let mut case = Case::connected();
    case.diff(5, 7, &[level(90, 1)], &[]);
    case.diff(9, 10, &[level(91, 1)], &[]);
    case.snapshot(8, &[level(100, 2)], &[]);
    assert_eq!(case.seen.update_ids, [8, 10]);
}

#[test]
fn kept_changes_are_bounded() {
    let mut case = Case::connected();
    let count = u64::try_from(BUFFERED_DIFFS_MAX).unwrap();
    for number in 1..=count {
        case.diff(number, number, &[level(100, 1)], &[]);
    }
    assert!(case.sequencer.take_snapshot_request());
    case.diff(count + 1, count + 1, &[], &[]);
    assert_eq!(case.sequencer.statistics().buffer_overflows, 1);
    assert!(case.sequencer.take_snapshot_request());

    let mut wide = Case::connected();
    let levels = vec![level(100, 1); BUFFERED_LEVELS_MAX];
    wide.diff(1, 1, &levels, &[]);
    wide.diff(2, 2, &[level(1, 1)], &[]);
    assert_eq!(wide.sequencer.statistics().buffer_overflows, 1);
}

/// A side from the best level on, away from it.
fn side(best: i64, away: i64, count: i64) -> Vec<Level> {
    (0..count).map(|at| level(best + away * at, 1)).collect()
}

/// A book of four levels a side that goes on behind them, number 10.
fn bounded() -> Case {
    let mut case = Case::connected();
    case.sequencer.set_snapshot_levels(4);
    assert!(case.sequencer.take_snapshot_request());
    case.snapshot(10, &side(100, -1, 4), &side(101, 1, 4));
    case
}

fn horizon(case: &Case) -> [Option<i64>; 2] {
    let of = |side| case.sequencer.side(side).horizon().map(Price::units);
    [of(domain::Side::Buy), of(domain::Side::Sell)]
}

#[test]
fn a_snapshot_as_long_as_was_asked_for_ends_where_more_may_follow() {
    let mut case = bounded();
    assert_eq!(horizon(&case), [Some(96), Some(105)]);
    case.diff(11, 11, &[level(90, 7)], &[]);
    assert_eq!(
        horizon(&case),
        [Some(96), Some(105)],
        "a level there is one of many"
    );
    assert!(!case.sequencer.take_snapshot_request());

    let mut whole = Case::connected();
    whole.sequencer.set_snapshot_levels(4);
    whole.snapshot(10, &side(100, -1, 3), &side(101, 1, 4));
    assert_eq!(horizon(&whole), [None, Some(105)]);
}

#[test]
fn a_book_is_taken_anew_before_its_market_comes_to_where_it_ends() {
    let mut case = bounded();
    case.diff(11, 11, &[level(100, 0)], &[]);
    assert!(!case.sequencer.take_snapshot_request());
    case.diff(12, 12, &[level(99, 0)], &[]);
    assert!(case.sequencer.take_snapshot_request(), "one in four is left");
    case.diff(13, 13, &[level(98, 5)], &[]);
    case.diff(14, 14, &[level(90, 7)], &[]);
    assert!(!case.sequencer.take_snapshot_request(), "it is on its way");
    assert_eq!(
        case.seen.update_ids,
        [10, 11, 12, 13, 14],
        "the book stands meanwhile"
    );

    // One from before it was asked for is of no use.
    case.snapshot(11, &side(99, -1, 4), &side(101, 1, 4));
    assert!(case.sequencer.take_snapshot_request());
    assert_eq!(case.seen.update_ids.len(), 5);

    case.snapshot(
        13,
        &[level(98, 5), level(97, 1), level(96, 2), level(95, 3)],
        &side(101, 1, 4),
    );
    assert_eq!(case.seen.update_ids, [10, 11, 12, 13, 14, 14]);
    let bids = [(98, 5), (97, 1), (96, 2), (95, 3), (90, 7)];
    assert_eq!(case.seen.bids, BTreeMap::from(bids));
    assert_eq!(horizon(&case), [Some(94), Some(105)]);
    assert!(case.seen.invalid.is_empty());
    case.diff(15, 15, &[level(98, 6)], &[]);
    assert_eq!(case.seen.update_ids.last(), Some(&15));
    case.snapshot(15, &[], &[]);
    assert_eq!(case.sequencer.statistics().snapshots_refused, 2, "nobody asked");
}

#[test]
fn a_snapshot_ahead_of_the_stream_takes_a_book_anew_too() {
    let mut case = bounded();
    case.diff(11, 11, &[level(100, 0), level(99, 0)], &[]);
    assert!(case.sequencer.take_snapshot_request());
    case.snapshot(13, &side(98, -1, 4), &side(101, 1, 4));
    case.diff(12, 13, &[level(98, 1)], &[]);
    case.diff(14, 14, &[level(98, 2)], &[]);
    assert_eq!(case.seen.update_ids, [10, 11, 13, 14]);
    assert!(case.seen.invalid.is_empty());
}

#[test]
fn a_book_that_is_lost_while_it_is_taken_anew_begins_as_ever() {
    let mut case = bounded();
    case.diff(11, 11, &[level(100, 0), level(99, 0)], &[]);
    assert!(case.sequencer.take_snapshot_request());
    case.diff(13, 13, &[level(98, 2)], &[]);
    case.expect_invalid(BookInvalidReason::Gap);
    case.snapshot(12, &side(98, -1, 4), &side(101, 1, 4));
    assert_eq!(case.seen.update_ids, [10, 11, 12, 13]);
    assert_eq!(horizon(&case), [Some(94), Some(105)]);
}

#[test]
fn best_levels_kept_are_bounded() {
    let mut case = Case::connected();
    let count = u64::try_from(BEST_LEVELS_KEPT_MAX).unwrap();
    for number in 1..=count + 10 {
        case.best(number, level(100, 1), level(101, 1));
    }
    assert_eq!(case.sequencer.best.len(), BEST_LEVELS_KEPT_MAX);
    assert_eq!(case.sequencer.best.front().map(|best| best.update_id), Some(11));
}

/// One update of the venue's true book.
#[derive(Debug, Clone)]
struct Update {
    is_bid: bool,
    level: Level,
}

fn updates() -> impl Strategy<Value = Vec<Update>> {
    let update = (any::<bool>(), 0i64..20, 0i64..4).prop_map(|(is_bid, distance, quantity)| Update {
        is_bid,
        // Bids below 100 and asks above, so that the true book is never crossed.
        level: level(if is_bid { 99 - distance } else { 101 + distance }, quantity),
    });
    prop::collection::vec(update, 1..120)
}

/// What the network does to one message.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Arrives,
    IsLost,
    ArrivesTwice,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![12 => Just(Fate::Arrives), 1 => Just(Fate::IsLost), 1 => Just(Fate::ArrivesTwice)]
}

type Side = BTreeMap<i64, i64>;

/// The levels of a side that a venue sends: the best, as many as are asked for.
fn levels_of(side: &Side, is_bid: bool, asked: Option<usize>) -> Vec<Level> {
    let mut levels: Vec<_> = side
        .iter()
        .map(|(&price, &quantity)| level(price, quantity))
        .collect();
    if is_bid {
        levels.reverse();
    }
    levels.truncate(asked.unwrap_or(usize::MAX));
    levels
}

/// What of a side is nearer than where its knowledge ends.
fn known(side: &Side, ladder: &Ladder) -> Side {
    let levels = side.iter();
    let levels = levels.filter(|&(&price, _)| ladder.knows(Price::from_units(price)));
    levels.map(|(&price, &quantity)| (price, quantity)).collect()
}

proptest! {
    /// Whatever is lost, doubled or late: a synchronized book is the venue's book at its number, as far as it says that it
    /// is known; all of it, where snapshots are whole.
    #[test]
    fn a_synchronized_book_is_the_true_book(
        updates in updates(),
        sizes in prop::collection::vec(1usize..6, 120),
        fates in prop::collection::vec(fate(), 120),
        snapshot_delays in prop::collection::vec(0usize..4, 120),
        rule in prop::sample::select(vec![SequenceRule::BinanceSpot, SequenceRule::BinanceFutures]),
        asked in prop::option::of(1usize..8),
    ) {
        let mut books: Vec<(Side, Side)> = vec![Default::default()];
        let mut case = Case::connected_by(rule);
        if let Some(asked) = asked {
            case.sequencer.set_snapshot_levels(asked);
        }
        let mut pending: Option<(usize, usize)> = None;
        let mut done = 0;
        for step in 0..120 {
            if done == updates.len() {
                break;
            }
            let batch = &updates[done..(done + sizes[step]).min(updates.len())];
            let first = done as u64 + 1;
            let (mut bids, mut asks) = books[done].clone();
            for update in batch {
                set(if update.is_bid { &mut bids } else { &mut asks }, &[update.level]);
                books.push((bids.clone(), asks.clone()));
            }
            done += batch.len();
            let changed = |is_bid| -> Vec<Level> {
                batch.iter().filter(|u| u.is_bid == is_bid).map(|u| u.level).collect()
            };
            let times = match fates[step] {
                Fate::Arrives => 1,
                Fate::IsLost => 0,
                Fate::ArrivesTwice => 2,
            };
            for _ in 0..times {
                let numbers = (Some(first - 1), first, done as u64);
                case.change(numbers, &changed(true), &changed(false));
            }
            // A snapshot shows the book when it was asked for and arrives some messages later.
            if pending.is_none() && case.sequencer.take_snapshot_request() {
                pending = Some((done, step + snapshot_delays[step]));
            }
            if let Some((number, _)) = pending.filter(|&(_, due)| due <= step) {
                let (bids, asks) = &books[number];
                case.snapshot(number as u64, &levels_of(bids, true, asked), &levels_of(asks, false, asked));
                pending = None;
            }
            prop_assert_eq!(case.sequencer.is_synchronized(), case.seen.valid);
            if case.seen.valid {
                let number = usize::try_from(*case.seen.update_ids.last().unwrap()).unwrap();
                let (bids, asks) = &books[number];
                let [below, above] = [domain::Side::Buy, domain::Side::Sell].map(|side| case.sequencer.side(side));
                prop_assert_eq!(known(&case.seen.bids, below), known(bids, below));
                prop_assert_eq!(known(&case.seen.asks, above), known(asks, above));
                prop_assert!(asked.is_some() || horizon(&case) == [None; 2]);
            }
        }
    }
}
