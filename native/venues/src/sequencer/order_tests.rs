use std::collections::BTreeMap;

use domain::{Price, PublicOrderId, Quantity};
use proptest::prelude::*;

use super::*;

/// A message that changes no order.
const NOTHING: Option<OrderBookEvent> = None;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_nanos(seconds * 1_000_000_000)
}

fn order(id: u128, side: Side, price: i64, quantity: i64) -> PublicOrder {
    PublicOrder {
        id: PublicOrderId(id),
        side,
        price: Price::from_units(price),
        quantity: Quantity::from_units(quantity),
    }
}

fn add(id: u128, side: Side, price: i64, quantity: i64) -> OrderBookEvent {
    OrderBookEvent::Add(order(id, side, price, quantity))
}

fn cancel(id: u128) -> OrderBookEvent {
    let id = PublicOrderId(id);
    OrderBookEvent::Cancel { id }
}

fn changed(id: u128, quantity: i64) -> OrderBookEvent {
    OrderBookEvent::Change {
        id: PublicOrderId(id),
        quantity: Quantity::from_units(quantity),
    }
}

fn execute(id: u128, quantity: i64) -> OrderBookEvent {
    OrderBookEvent::Execute {
        id: PublicOrderId(id),
        quantity: Quantity::from_units(quantity),
    }
}

/// The book of prices as a consumer sees it.
#[derive(Default)]
struct Consumer {
    sides: [BTreeMap<i64, i64>; 2],
    is_valid: bool,
    update_ids: Vec<u64>,
    invalid: Vec<BookInvalidReason>,
}

impl Consumer {
    fn take(&mut self, event: &MarketEvent<'_>) {
        match event {
            MarketEvent::Book(update) => {
                if update.kind == BookUpdateKind::Snapshot {
                    self.sides = Default::default();
                    self.is_valid = true;
                }
                assert!(self.is_valid, "a change of a book that is not valid");
                for (side, levels) in self.sides.iter_mut().zip([update.bids, update.asks]) {
                    for level in levels {
                        side.insert(level.price.units(), level.quantity.units());
                        side.retain(|_, quantity| *quantity != 0);
                    }
                }
                self.update_ids.push(update.update_id);
            }
            MarketEvent::BookInvalid(invalid) => {
                assert!(self.is_valid, "told twice");
                self.is_valid = false;
                self.invalid.push(invalid.reason);
            }
            other => panic!("not from a sequencer: {other:?}"),
        }
    }
}

struct Case {
    sequencer: OrderSequencer,
    seen: Consumer,
}

impl Case {
    fn new(mut sequencer: OrderSequencer) -> Self {
        sequencer.on_connected();
        let is_numbered = sequencer.place == PlaceKind::Number;
        assert_eq!(sequencer.take_snapshot_request(), is_numbered);
        Self {
            sequencer,
            seen: Consumer::default(),
        }
    }

    /// A bid (1) and an ask (2) at number 10 and second 10.
    fn synchronized(sequencer: OrderSequencer, place: SnapshotPlace) -> Self {
        let mut case = Self::new(sequencer);
        case.event(10, NOTHING);
        case.snapshot(place, &[order(1, Side::Buy, 99, 5), order(2, Side::Sell, 101, 5)]);
        assert!(case.sequencer.is_synchronized() && case.seen.is_valid);
        case
    }

    fn numbered() -> Self {
        Self::synchronized(
            OrderSequencer::numbered(InstrumentId(0)),
            SnapshotPlace::Number(10),
        )
    }

    fn timed() -> Self {
        Self::synchronized(
            OrderSequencer::timed(InstrumentId(0)),
            SnapshotPlace::Time(at(10)),
        )
    }

    /// Messages come a second apart.
    fn event(&mut self, number: u64, event: impl Into<Option<OrderBookEvent>>) {
        let numbered = NumberedEvent {
            number,
            ts_event: at(i64::try_from(number).unwrap()),
            event: event.into(),
        };
        let seen = &mut self.seen;
        self.sequencer.on_event(&numbered, &mut |event| seen.take(&event));
    }

    fn snapshot(&mut self, place: SnapshotPlace, orders: &[PublicOrder]) {
        let seen = &mut self.seen;
        self.sequencer
            .on_snapshot(place, at(0), orders, &mut |event| seen.take(&event));
    }

    fn expect_invalid(&mut self, reason: BookInvalidReason) {
        assert_eq!(self.seen.invalid, [reason]);
        assert!(!self.sequencer.is_synchronized() && self.sequencer.book().is_empty());
        let next = self.sequencer.last.map_or(1_000_000, |last| last + 1);
        self.event(next, NOTHING);
        assert!(self.sequencer.take_snapshot_request(), "a resync is asked for");
    }
}

#[test]
fn orders_become_levels() {
    for mut case in [Case::numbered(), Case::timed()] {
        case.event(11, add(3, Side::Buy, 99, 2));
        case.event(12, NOTHING);
        case.event(13, add(4, Side::Sell, 100, 7));
        case.event(14, execute(4, 3));
        case.event(15, cancel(2));
        assert_eq!(case.seen.update_ids, [10, 11, 13, 14, 15]);
        assert_eq!(
            case.seen.sides,
            [BTreeMap::from([(99, 7)]), BTreeMap::from([(100, 4)])]
        );
        let ahead = case.sequencer.book().queue_ahead(PublicOrderId(3)).unwrap();
        assert_eq!((ahead.orders, ahead.quantity.units()), (1, 5));
    }
}

#[test]
fn a_numbered_snapshot_is_joined_with_the_events_behind_it() {
    let mut case = Case::new(OrderSequencer::numbered(InstrumentId(0)));
    case.event(5, add(3, Side::Buy, 97, 1));
    case.event(6, add(4, Side::Buy, 98, 1));
    case.event(7, cancel(1));
    case.snapshot(SnapshotPlace::Number(3), &[]);
    assert!(!case.sequencer.is_synchronized(), "event 4 is in neither");
    assert!(case.sequencer.take_snapshot_request());
    case.snapshot(
        SnapshotPlace::Number(5),
        &[order(1, Side::Buy, 99, 5), order(3, Side::Buy, 97, 1)],
    );
    assert_eq!(case.seen.update_ids, [7]);
    assert_eq!(case.seen.sides[0], BTreeMap::from([(97, 1), (98, 1)]));
    let statistics = case.sequencer.statistics();
    assert_eq!(
        (
            statistics.diffs_stale,
            statistics.diffs_applied,
            statistics.snapshots_refused
        ),
        (1, 2, 1)
    );
    case.event(8, cancel(4));
    assert_eq!(case.seen.sides[0], BTreeMap::from([(97, 1)]));
}

#[test]
fn a_numbered_snapshot_may_be_ahead_of_the_stream() {
    let mut case = Case::new(OrderSequencer::numbered(InstrumentId(0)));
    case.event(5, NOTHING);
    case.snapshot(SnapshotPlace::Number(7), &[order(1, Side::Buy, 99, 5)]);
    for number in [6, 7] {
        case.event(number, add(1, Side::Buy, 99, 5));
    }
    case.event(8, cancel(1));
    assert!(case.sequencer.is_synchronized());
    assert_eq!(case.seen.update_ids, [7, 8]);
}

#[test]
fn a_timed_snapshot_holds_some_of_what_was_kept() {
    let mut case = Case::new(OrderSequencer::timed(InstrumentId(0)));
    case.snapshot(SnapshotPlace::Time(at(4)), &[]);
    assert!(
        !case.sequencer.is_synchronized(),
        "nothing proves that events come"
    );
    assert!(!case.sequencer.take_snapshot_request());
    // Of these the snapshot holds 3 already, and has seen 4 come and go.
    case.event(6, add(3, Side::Buy, 98, 1));
    assert!(case.sequencer.take_snapshot_request(), "with the first event");
    case.snapshot(SnapshotPlace::Time(at(5)), &[]);
    assert!(
        !case.sequencer.is_synchronized(),
        "it is from before the first event"
    );
    assert!(case.sequencer.take_snapshot_request());
    case.event(7, add(4, Side::Buy, 97, 1));
    case.event(8, cancel(4));
    case.event(9, add(5, Side::Sell, 102, 1));
    case.snapshot(
        SnapshotPlace::Time(at(8)),
        &[order(1, Side::Buy, 99, 5), order(3, Side::Buy, 98, 1)],
    );
    assert_eq!(case.seen.update_ids, [9]);
    assert_eq!(
        case.seen.sides,
        [BTreeMap::from([(98, 1), (99, 5)]), BTreeMap::from([(102, 1)])]
    );
    // Late news of what the snapshot knew.
    case.event(10, changed(1, 7));
    let book = case.sequencer.book();
    assert_eq!(book.get(PublicOrderId(1)), Some(order(1, Side::Buy, 99, 5)));
    case.event(11, add(1, Side::Buy, 99, 5));
    case.event(12, cancel(77));
    assert!(case.sequencer.is_synchronized());
    assert_eq!(case.seen.update_ids, [9]);
    assert_eq!(case.sequencer.statistics().unknown_deletes, 1);
}

#[test]
fn a_hole_invalidates_at_once_and_the_event_behind_it_is_kept() {
    for mut case in [Case::numbered(), Case::timed()] {
        case.event(12, add(3, Side::Buy, 98, 1));
        case.expect_invalid(BookInvalidReason::Gap);
        assert_eq!(case.seen.update_ids, [10]);
        assert_eq!(case.sequencer.statistics().gaps, 1);
    }
    let mut case = Case::numbered();
    case.event(12, add(3, Side::Buy, 98, 1));
    case.snapshot(SnapshotPlace::Number(11), &[order(1, Side::Buy, 99, 5)]);
    assert_eq!(case.seen.sides[0], BTreeMap::from([(98, 1), (99, 5)]));
    let mut case = Case::timed();
    case.event(12, add(3, Side::Buy, 98, 1));
    case.snapshot(SnapshotPlace::Time(at(11)), &[order(1, Side::Buy, 99, 5)]);
    assert!(
        !case.sequencer.is_synchronized(),
        "what is missing may be younger"
    );
    case.snapshot(SnapshotPlace::Time(at(12)), &[order(1, Side::Buy, 99, 5)]);
    assert_eq!(case.seen.sides[0], BTreeMap::from([(98, 1), (99, 5)]));
}

#[test]
fn what_comes_again_is_nothing_new_where_numbers_prove_it_and_a_fault_where_a_channel_may_start_anew() {
    for number in [10, 9] {
        let mut case = Case::numbered();
        case.event(number, cancel(1));
        assert!(case.sequencer.is_synchronized());
        assert_eq!(case.seen.sides[0], BTreeMap::from([(99, 5)]));
        let mut case = Case::timed();
        case.event(number, cancel(1));
        case.expect_invalid(BookInvalidReason::Gap);
    }
}

#[test]
fn a_count_that_starts_anew_is_seen() {
    let mut case = Case::numbered();
    for number in 11..COUNT_LAG_MAX + 20 {
        case.event(number, NOTHING);
    }
    let seen = &mut case.seen;
    for told in [COUNT_LAG_MAX + 30, 19] {
        case.sequencer.check_count(told, &mut |event| seen.take(&event));
        assert!(
            case.sequencer.is_synchronized(),
            "it may be ahead of us, and lag a little"
        );
    }
    case.sequencer.check_count(3, &mut |event| seen.take(&event));
    case.expect_invalid(BookInvalidReason::Gap);
}

#[test]
fn an_event_that_cannot_be_right_shows_a_wrong_book() {
    let numbered = [
        (execute(77, 1), "an order that is not here trades"),
        (execute(1, 6), "more than it had"),
        (add(1, Side::Buy, 99, 5), "an order comes twice"),
    ];
    for (event, problem) in numbered {
        let mut case = Case::numbered();
        case.event(11, event);
        assert_eq!(case.seen.invalid, [BookInvalidReason::Gap], "{problem}");
        assert_eq!(case.seen.update_ids, [10]);
    }
    let mut case = Case::numbered();
    case.event(11, cancel(77));
    assert!(
        case.sequencer.is_synchronized(),
        "orders that never rested are canceled too"
    );
}

#[test]
fn a_crossed_book_is_never_passed_on() {
    for mut case in [Case::numbered(), Case::timed()] {
        case.event(11, add(3, Side::Buy, 101, 1));
        case.expect_invalid(BookInvalidReason::Crossed);
        assert_eq!(case.seen.update_ids, [10]);
        let crossed = [order(1, Side::Buy, 99, 5), order(2, Side::Sell, 99, 5)];
        let last = case.sequencer.last.unwrap();
        let place = match case.sequencer.place {
            PlaceKind::Number => SnapshotPlace::Number(last),
            PlaceKind::Time => SnapshotPlace::Time(at(i64::try_from(last).unwrap())),
        };
        case.snapshot(place, &crossed);
        assert!(!case.sequencer.is_synchronized() && case.sequencer.book().is_empty());
        assert!(case.sequencer.take_snapshot_request());
        assert_eq!(case.sequencer.statistics().crossed, 2);
    }
}

#[test]
fn a_lost_connection_invalidates_and_asks_only_when_it_is_back() {
    let mut case = Case::timed();
    let Case { sequencer, seen } = &mut case;
    sequencer.on_disconnected(BookInvalidReason::Disconnected, &mut |event| seen.take(&event));
    assert_eq!(case.seen.invalid, [BookInvalidReason::Disconnected]);
    assert!(!case.sequencer.take_snapshot_request());
    case.sequencer.on_connected();
    case.snapshot(SnapshotPlace::Time(at(99)), &[]);
    assert!(
        !case.sequencer.is_synchronized(),
        "no event has come over the new one"
    );
    case.event(100, NOTHING);
    assert!(case.sequencer.take_snapshot_request());
    let mut case = Case::numbered();
    let Case { sequencer, seen } = &mut case;
    sequencer.on_disconnected(BookInvalidReason::Disconnected, &mut |event| seen.take(&event));
    assert!(!case.sequencer.take_snapshot_request());
    case.sequencer.on_connected();
    assert!(case.sequencer.take_snapshot_request());
}

#[test]
fn an_answer_that_is_no_snapshot_is_asked_for_again() {
    for mut case in [
        Case::new(OrderSequencer::numbered(InstrumentId(0))),
        Case::new(OrderSequencer::timed(InstrumentId(0))),
    ] {
        case.event(10, add(3, Side::Buy, 98, 1));
        let _asked = case.sequencer.take_snapshot_request();
        case.sequencer.on_unreadable_snapshot();
        assert!(case.sequencer.take_snapshot_request());
        assert_eq!(case.sequencer.kept.len(), 1, "the events stay");
    }
    let mut case = Case::numbered();
    case.sequencer.on_unreadable_snapshot();
    assert!(case.sequencer.is_synchronized() && !case.sequencer.take_snapshot_request());
}

#[test]
fn events_kept_are_bounded() {
    let mut case = Case::new(OrderSequencer::numbered(InstrumentId(0)));
    let count = u64::try_from(EVENTS_KEPT_MAX).unwrap();
    for number in 1..=count {
        case.event(number, cancel(1));
    }
    assert_eq!(case.sequencer.statistics().buffer_overflows, 0);
    case.event(count + 1, cancel(1));
    assert_eq!(
        (case.sequencer.kept.len(), case.sequencer.kept_from),
        (1, Some(count + 1))
    );
    assert!(case.sequencer.take_snapshot_request());
    case.snapshot(SnapshotPlace::Number(count - 1), &[]);
    assert!(!case.sequencer.is_synchronized());
    case.snapshot(SnapshotPlace::Number(count), &[]);
    assert!(case.sequencer.is_synchronized());
}

/// What the network does to one message.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Arrives,
    IsLost,
    ArrivesTwice,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![12 => Just(Fate::Arrives), 1 => Just(Fate::IsLost), 1 => Just(Fate::ArrivesTwice)];
    prop::collection::vec(fate, 120)
}

/// Events that a right book of few orders takes, and the books before and after each. No order comes back under its name.
/// `tells_left`: whether what trades is told by what is left.
fn history(choices: &[(usize, i64, i64)], tells_left: bool) -> (Vec<OrderBookEvent>, Vec<OrderBook>) {
    let (mut events, mut books, mut now) = (Vec::new(), Vec::new(), Vec::<PublicOrder>::new());
    let book_of = |orders: &[PublicOrder]| {
        let mut book = OrderBook::new();
        book.replace(orders).unwrap();
        book
    };
    books.push(book_of(&now));
    for (number, &(which, distance, quantity)) in (1u128..).zip(choices) {
        let event = match now.get(which).copied() {
            Some(PublicOrder {
                id, quantity: had, ..
            }) if quantity < had.units() => {
                let left = Quantity::from_units(had.units() - quantity);
                let quantity = Quantity::from_units(quantity);
                if tells_left {
                    OrderBookEvent::Change { id, quantity: left }
                } else {
                    OrderBookEvent::Execute { id, quantity }
                }
            }
            Some(PublicOrder { id, .. }) => OrderBookEvent::Cancel { id },
            None => {
                let side = if number % 2 == 0 { Side::Buy } else { Side::Sell };
                let price = if side == Side::Buy {
                    100 - distance
                } else {
                    100 + distance
                };
                OrderBookEvent::Add(order(number, side, price, quantity))
            }
        };
        let mut book = book_of(&now);
        book.apply(&event, &mut |_| {}).unwrap();
        now = orders_of(&book);
        events.push(event);
        books.push(book);
    }
    (events, books)
}

fn orders_of(book: &OrderBook) -> Vec<PublicOrder> {
    let mut orders = Vec::new();
    for side in [Side::Buy, Side::Sell] {
        for level in book.levels(side).collect::<Vec<_>>() {
            orders.extend(book.orders(side, level.price));
        }
    }
    orders
}

proptest! {
    /// Whatever is lost, doubled or late: a synchronized book is the venue's book at its number, queues and all.
    #[test]
    fn a_synchronized_book_is_the_true_book(
        choices in prop::collection::vec((0usize..12, 1i64..6, 1i64..5), 120),
        fates in fates(),
        delays in prop::collection::vec(0usize..4, 120),
        is_timed in any::<bool>(),
    ) {
        let (events, books) = history(&choices, is_timed);
        let mut case = Case::new(if is_timed {
            OrderSequencer::timed(InstrumentId(0))
        } else {
            OrderSequencer::numbered(InstrumentId(0))
        });
        let mut pending = (!is_timed).then_some((0, 0));
        let mut newest_taken = 0;
        for (step, event) in events.iter().enumerate() {
            let number = step as u64 + 1;
            let times = match fates[step] {
                Fate::Arrives => 1,
                Fate::IsLost => 0,
                Fate::ArrivesTwice => 2,
            };
            for _ in 0..times {
                case.event(number, *event);
            }
            if pending.is_none() && case.sequencer.take_snapshot_request() {
                pending = Some((step + 1, step + delays[step]));
            }
            if let Some((taken, _)) = pending.filter(|&(_, due)| due <= step) {
                let place = if is_timed {
                    SnapshotPlace::Time(at(i64::try_from(taken).unwrap()))
                } else {
                    SnapshotPlace::Number(taken as u64)
                };
                case.snapshot(place, &orders_of(&books[taken]));
                (pending, newest_taken) = (None, taken);
            }
            prop_assert_eq!(case.sequencer.is_synchronized(), case.seen.is_valid);
            if case.seen.is_valid {
                // A snapshot that names its time alone may know more than the stream has told.
                let last = usize::try_from(case.sequencer.last.unwrap()).unwrap();
                if last >= newest_taken {
                    prop_assert_eq!(orders_of(case.sequencer.book()), orders_of(&books[last]));
                }
            }
        }
    }
}
