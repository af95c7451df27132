//! Numbered orders and snapshots in any order: a book that stands is never crossed, and is what was told of it, price by price.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Result, Unstructured};
use domain::{
    BookInvalidReason, BookUpdateKind, InstrumentId, Level, MarketEvent, OrderBookEvent, Price, PublicOrder,
    PublicOrderId, Quantity, Side, Timestamp,
};
use libfuzzer_sys::fuzz_target;
use venues::sequencer::{NumberedEvent, OrderSequencer, SnapshotPlace};

#[derive(Debug, Arbitrary)]
enum Step {
    Connected,
    Disconnected,
    Unreadable,
    Count(u8),
    Event(u8, u8, Option<What>),
    Snapshot(u8, Orders),
}

#[derive(Debug, Arbitrary)]
enum What {
    Add(Order),
    Cancel(u8),
    Change(u8, u8),
    Execute(u8, u8),
    Move(Order),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
struct Order {
    id: u8,
    is_bid: bool,
    price: u8,
    quantity: u8,
}

#[derive(Debug)]
struct Orders(Vec<PublicOrder>);

impl<'a> Arbitrary<'a> for Orders {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let orders = bytes.arbitrary_iter::<Order>()?.take(8);
        let orders: Result<Vec<_>> = orders.map(|order| order.map(this)).collect();
        orders.map(Self)
    }
}

fn id(number: u8) -> PublicOrderId {
    PublicOrderId(u128::from(number % 16))
}

fn this(order: Order) -> PublicOrder {
    PublicOrder {
        id: id(order.id),
        side: if order.is_bid { Side::Buy } else { Side::Sell },
        price: Price::from_units(i64::from(order.price % 32) + 1),
        quantity: Quantity::from_units(i64::from(order.quantity)),
    }
}

/// The book as it was told, a side each; `None` while none stands.
type Told = Option<[BTreeMap<Price, Quantity>; 2]>;

/// A sequencer, and how its venue's snapshots say where they stand.
struct Case {
    sequencer: OrderSequencer,
    place: fn(u8) -> SnapshotPlace,
    told: Told,
}

fuzz_target!(|steps: Vec<Step>| {
    py_rt_fuzz::bounded(|| {
        let (numbered, timed) = (InstrumentId(0), InstrumentId(1));
        let cases = [
            Case {
                sequencer: OrderSequencer::numbered(numbered),
                place: |number| SnapshotPlace::Number(u64::from(number)),
                told: None,
            },
            Case {
                sequencer: OrderSequencer::timed(timed),
                place: |time| SnapshotPlace::Time(at(time)),
                told: None,
            },
        ];
        for mut case in cases {
            for step in &steps {
                case.take(step);
                case.check();
            }
        }
    });
});

const fn at(time: u8) -> Timestamp {
    Timestamp::from_nanos(time as i64)
}

impl Case {
    fn take(&mut self, step: &Step) {
        let Self {
            sequencer,
            place,
            told,
        } = self;
        let emit = &mut |event: MarketEvent<'_>| hear(&event, told);
        match step {
            Step::Connected => {
                // The end of the connection before it was told.
                sequencer.on_disconnected(BookInvalidReason::Disconnected, emit);
                sequencer.on_connected();
            }
            Step::Disconnected => sequencer.on_disconnected(BookInvalidReason::Disconnected, emit),
            Step::Unreadable => sequencer.invalidate(BookInvalidReason::Malformed, emit),
            Step::Count(number) => sequencer.check_count(u64::from(*number), emit),
            Step::Event(number, time, what) => {
                let event = NumberedEvent {
                    number: u64::from(*number),
                    ts_event: at(*time),
                    event: what.as_ref().map(event),
                };
                sequencer.on_event(&event, emit);
            }
            Step::Snapshot(number, orders) => {
                sequencer.on_snapshot(place(*number), at(*number), &orders.0, emit)
            }
        }
    }

    fn check(&self) {
        let Self { sequencer, told, .. } = self;
        assert_eq!(sequencer.is_synchronized(), told.is_some());
        let book = sequencer.book();
        if let (Some(bid), Some(ask)) = book.best() {
            assert!(
                !sequencer.is_synchronized() || bid.price < ask.price,
                "a crossed book"
            );
        }
        let Some(told) = told else { return };
        for (told, side) in told.iter().zip([Side::Buy, Side::Sell]) {
            let levels = book.levels(side).map(|level| (level.price, level.quantity));
            assert_eq!(*told, levels.collect(), "what was told is what stands");
        }
    }
}

fn event(what: &What) -> OrderBookEvent {
    let left = |quantity: u8| Quantity::from_units(i64::from(quantity));
    match *what {
        What::Add(order) => OrderBookEvent::Add(this(order)),
        What::Cancel(number) => OrderBookEvent::Cancel { id: id(number) },
        What::Change(number, quantity) => OrderBookEvent::Change {
            id: id(number),
            quantity: left(quantity),
        },
        What::Execute(number, quantity) => OrderBookEvent::Execute {
            id: id(number),
            quantity: left(quantity),
        },
        What::Move(order) => OrderBookEvent::Move(this(order)),
    }
}

/// Keeps the book as strategies do.
fn hear(event: &MarketEvent<'_>, told: &mut Told) {
    match event {
        MarketEvent::BookInvalid(_) => *told = None,
        MarketEvent::Book(update) => {
            if update.kind == BookUpdateKind::Snapshot {
                *told = Some(Default::default());
            }
            let sides = told.as_mut().expect("a change of a book that stands");
            for (side, levels) in sides.iter_mut().zip([update.bids, update.asks]) {
                levels.iter().for_each(|level| set(side, level));
            }
        }
        _ => {}
    }
}

fn set(side: &mut BTreeMap<Price, Quantity>, level: &Level) {
    if level.quantity == Quantity::ZERO {
        side.remove(&level.price);
    } else {
        side.insert(level.price, level.quantity);
    }
}
