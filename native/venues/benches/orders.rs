//! A book of single orders in which a hundred thousand rest: one comes and one goes. Beside the least that any such book
//! needs, a std `HashMap` of the orders by id: a removal and an insertion.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads a clock, and compares with what anybody would use"
)]

#[path = "../../../benches/rows.rs"]
mod rows;

use std::collections::HashMap;
use std::hint::black_box;

use domain::{Price, PublicOrder, PublicOrderId, Quantity, Side};
use rows::{Row, Wanted, interleaved, nanos_each};
use venues::order_book::OrderBook;

/// Orders that rest.
const LIVE: usize = 100_000;
/// Orders that come and go in one sample.
const CHANGES: usize = 20_000;
/// Prices of a side.
const PRICES: u64 = 2_000;

/// Numbers that look random: the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// An order near the middle more often than far from it, its id without any order.
    fn order(&mut self) -> PublicOrder {
        let far = self.below(PRICES).min(self.below(PRICES)).cast_signed();
        let (side, price) = match self.below(2) {
            0 => (Side::Buy, 6_000_000 - far),
            _ => (Side::Sell, 6_000_001 + far),
        };
        let id = u128::from(self.below(1 << 31)) << 62 | u128::from(self.below(1 << 31)) << 31;
        PublicOrder {
            id: PublicOrderId(id | u128::from(self.below(1 << 31))),
            side,
            price: Price::from_units(price * 1_000_000),
            quantity: Quantity::from_units(1 + self.below(1 << 30).cast_signed()),
        }
    }
}

/// What rests at first, and what comes for what goes.
struct Flow {
    resting: Vec<PublicOrder>,
    changes: Vec<(PublicOrderId, PublicOrder)>,
}

fn flow(live: usize, changes: usize) -> Flow {
    let mut chance = Chance(7);
    let resting: Vec<_> = (0..live).map(|_| chance.order()).collect();
    let mut ids: Vec<_> = resting.iter().map(|order| order.id).collect();
    let change = |_| {
        let at = usize::try_from(chance.below(live as u64)).expect("a place");
        let order = chance.order();
        (std::mem::replace(&mut ids[at], order.id), order)
    };
    Flow {
        changes: (0..changes).map(change).collect(),
        resting,
    }
}

fn run_book(full: &OrderBook, flow: &Flow) -> f64 {
    let mut book = full.clone();
    nanos_each(flow.changes.len(), || {
        for (gone, order) in &flow.changes {
            black_box(book.cancel(*gone).expect("an order that rests"));
            black_box(book.add(order).expect("a new order"));
        }
    })
}

fn run_map(full: &HashMap<PublicOrderId, PublicOrder>, flow: &Flow) -> f64 {
    let mut map = full.clone();
    nanos_each(flow.changes.len(), || {
        for (gone, order) in &flow.changes {
            black_box(map.remove(gone).expect("an order that rests"));
            black_box(map.insert(order.id, *order));
        }
    })
}

fn main() {
    let Some(wanted) = Wanted::read() else { return };
    let (live, changes) = if wanted.measured {
        (LIVE, CHANGES)
    } else {
        (LIVE / 100, CHANGES / 100)
    };
    let flow = flow(live, changes);
    let mut book = OrderBook::new();
    book.replace(&flow.resting).expect("orders of different ids");
    let map: HashMap<_, _> = flow.resting.iter().map(|order| (order.id, *order)).collect();
    let [books, maps] = interleaved(
        wanted.rounds,
        &mut [&mut || run_book(&book, &flow), &mut || run_map(&map, &flow)],
    );
    Row {
        name: "orders_add_cancel",
        unit: "ns per cancel and add",
        subject: ("order_book::OrderBook, level totals and queues kept", &books),
        anchor: Some(("std HashMap by id, remove and insert", &maps)),
        facts: &[
            ("live_orders", live.into()),
            ("prices_a_side", (PRICES as f64).into()),
        ],
    }
    .print(wanted);
}
