use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn order(id: u128, side: Side, price: i64, quantity: i64) -> PublicOrder {
    PublicOrder {
        id: PublicOrderId(id),
        side,
        price: Price::from_units(price),
        quantity: Quantity::from_units(quantity),
    }
}

fn level(price: i64, quantity: i64) -> Level {
    Level {
        price: Price::from_units(price),
        quantity: Quantity::from_units(quantity),
    }
}

/// Orders in the order in which they came to their places: right, and slow.
#[derive(Debug, Default, Clone)]
struct Model(Vec<PublicOrder>);

impl Model {
    fn place(&self, id: PublicOrderId) -> Result<usize, OrderFault> {
        self.0
            .iter()
            .position(|order| order.id == id)
            .ok_or(OrderFault::Unknown)
    }

    fn apply(&mut self, event: &OrderBookEvent) -> Result<(Side, Price), OrderFault> {
        match *event {
            OrderBookEvent::Move(order) => {
                let at = self.place(order.id)?;
                if order.price <= Price::ZERO || order.quantity <= Quantity::ZERO {
                    return Err(OrderFault::NotPositive);
                }
                self.0.remove(at);
                self.0.push(order);
                Ok((order.side, order.price))
            }
            OrderBookEvent::Add(order) => {
                if order.price <= Price::ZERO || order.quantity <= Quantity::ZERO {
                    return Err(OrderFault::NotPositive);
                }
                if self.place(order.id).is_ok() {
                    return Err(OrderFault::Known);
                }
                self.0.push(order);
                Ok((order.side, order.price))
            }
            OrderBookEvent::Change { id, quantity } => {
                let at = self.place(id)?;
                if quantity < Quantity::ZERO {
                    return Err(OrderFault::NotPositive);
                }
                let order = self.0[at];
                if quantity.is_zero() || quantity > order.quantity {
                    self.0.remove(at);
                }
                if quantity > order.quantity {
                    self.0.push(PublicOrder { quantity, ..order });
                } else if !quantity.is_zero() {
                    self.0[at].quantity = quantity;
                }
                Ok((order.side, order.price))
            }
            OrderBookEvent::Execute { id, quantity } => {
                if quantity <= Quantity::ZERO {
                    return Err(OrderFault::NotPositive);
                }
                let left = self.0[self.place(id)?].quantity.checked_sub(quantity).unwrap();
                if left < Quantity::ZERO {
                    return Err(OrderFault::TooMuch);
                }
                self.apply(&OrderBookEvent::Change { id, quantity: left })
            }
            OrderBookEvent::Cancel { id } => {
                let order = self.0.remove(self.place(id)?);
                Ok((order.side, order.price))
            }
        }
    }

    fn at(&self, side: Side, price: Price) -> Vec<PublicOrder> {
        let here = |order: &&PublicOrder| (order.side, order.price) == (side, price);
        self.0.iter().filter(here).copied().collect()
    }

    fn level(&self, side: Side, price: Price) -> Level {
        let total = self
            .at(side, price)
            .iter()
            .map(|order| order.quantity.units())
            .sum();
        Level {
            price,
            quantity: Quantity::from_units(total),
        }
    }

    fn all_levels(&self) -> BTreeMap<(Side, Price), Quantity> {
        let level = |order: &PublicOrder| {
            let Level { price, quantity } = self.level(order.side, order.price);
            ((order.side, price), quantity)
        };
        self.0.iter().map(level).collect()
    }

    /// The farthest first.
    fn levels(&self, side: Side) -> Vec<Level> {
        let mut prices: Vec<_> = self
            .0
            .iter()
            .filter(|order| order.side == side)
            .map(|order| order.price)
            .collect();
        prices.sort_unstable();
        prices.dedup();
        if side == Side::Sell {
            prices.reverse();
        }
        prices.into_iter().map(|price| self.level(side, price)).collect()
    }

    fn check(&self, book: &OrderBook) {
        assert_eq!(book.len(), self.0.len());
        let (mut best, mut depth) = (Vec::new(), Vec::new());
        for side in [Side::Buy, Side::Sell] {
            let levels = self.levels(side);
            assert_eq!(book.levels(side).collect::<Vec<_>>(), levels);
            for level in &levels {
                assert_eq!(
                    book.orders(side, level.price).collect::<Vec<_>>(),
                    self.at(side, level.price)
                );
                assert_eq!(book.level(side, level.price), *level);
            }
            best.push(levels.last().copied());
            depth.push(levels.len());
        }
        assert_eq!(book.best(), (best[0], best[1]));
        assert_eq!(book.depth(), (depth[0], depth[1]));
        for order in &self.0 {
            assert_eq!(book.get(order.id), Some(*order));
            let queue = self.at(order.side, order.price);
            let ahead: Vec<_> = queue.iter().take_while(|other| other.id != order.id).collect();
            let position = QueuePosition {
                orders: ahead.len(),
                quantity: Quantity::from_units(ahead.iter().map(|order| order.quantity.units()).sum()),
            };
            assert_eq!(book.queue_ahead(order.id), Some(position));
        }
    }
}

fn events() -> impl Strategy<Value = Vec<OrderBookEvent>> {
    let id = || (0u128..24).prop_map(PublicOrderId);
    let quantity = || (-1i64..6).prop_map(Quantity::from_units);
    let add = (
        0u128..24,
        prop_oneof![Just(Side::Buy), Just(Side::Sell)],
        0i64..7,
        0i64..6,
    )
        .prop_map(|(id, side, price, quantity)| OrderBookEvent::Add(order(id, side, price, quantity)));
    let event = prop_oneof![
        4 => add,
        1 => (id(), quantity()).prop_map(|(id, quantity)| OrderBookEvent::Change { id, quantity }),
        1 => (id(), quantity()).prop_map(|(id, quantity)| OrderBookEvent::Execute { id, quantity }),
        1 => id().prop_map(|id| OrderBookEvent::Cancel { id }),
    ];
    prop::collection::vec(event, 0..200)
}

proptest! {
    #[test]
    fn equals_a_plain_list(events in events()) {
        let (mut book, mut model) = (OrderBook::new(), Model::default());
        for event in &events {
            let before = model.clone();
            let mut changes = Vec::new();
            let applied = book.apply(event, &mut |change| changes.push(change));
            let expected = model.apply(event);
            prop_assert_eq!(applied, expected.map(|_| ()));
            // Whoever applies the changes to the levels before has the levels after.
            let mut levels = before.all_levels();
            for LevelChange { side, level } in changes {
                levels.insert((side, level.price), level.quantity);
            }
            levels.retain(|_, quantity| !quantity.is_zero());
            prop_assert_eq!(levels, model.all_levels());
            model.check(&book);
        }
    }

    #[test]
    fn taking_over_equals_adding_one_by_one(events in events()) {
        let orders: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                OrderBookEvent::Add(order) => Some(*order),
                _ => None,
            })
            .collect();
        let mut model = Model::default();
        let fits = orders.iter().all(|order| model.apply(&OrderBookEvent::Add(*order)).is_ok());
        let mut book = OrderBook::new();
        book.add(&order(99, Side::Buy, 1, 1)).unwrap();
        prop_assert_eq!(book.replace(&orders).is_ok(), fits);
        if fits {
            model.check(&book);
        } else {
            Model::default().check(&book);
        }
    }
}

#[test]
fn an_order_waits_behind_those_that_came_before_it() {
    let mut book = OrderBook::new();
    for id in 1..=3 {
        book.add(&order(id, Side::Buy, 100, 10)).unwrap();
    }
    let ahead = |book: &OrderBook, id| {
        let position = book.queue_ahead(PublicOrderId(id)).unwrap();
        (position.orders, position.quantity.units())
    };
    assert_eq!(ahead(&book, 3), (2, 20));
    book.execute(PublicOrderId(1), Quantity::from_units(4)).unwrap();
    assert_eq!(ahead(&book, 3), (2, 16), "what trades brings everybody on");
    book.change(PublicOrderId(2), Quantity::from_units(3)).unwrap();
    assert_eq!(ahead(&book, 3), (2, 9), "less keeps its place");
    let change = book.change(PublicOrderId(2), Quantity::from_units(5)).unwrap();
    assert_eq!(ahead(&book, 2), (2, 16), "more goes to the end");
    assert_eq!(change.level, level(100, 21));
    book.cancel(PublicOrderId(1)).unwrap();
    assert_eq!(ahead(&book, 3), (0, 0));
    assert_eq!(book.queue_ahead(PublicOrderId(1)), None);
}

#[test]
fn a_price_is_gone_with_its_last_order() {
    let mut book = OrderBook::new();
    book.add(&order(1, Side::Sell, 100, 10)).unwrap();
    book.add(&order(2, Side::Sell, 101, 10)).unwrap();
    let change = book.execute(PublicOrderId(1), Quantity::from_units(10)).unwrap();
    assert_eq!((change.side, change.level), (Side::Sell, level(100, 0)));
    assert_eq!(book.best(), (None, Some(level(101, 10))));
    assert_eq!(book.level(Side::Sell, Price::from_units(100)), level(100, 0));
    assert_eq!(book.orders(Side::Sell, Price::from_units(100)).count(), 0);
}

#[test]
fn orders_are_bounded_and_so_is_what_a_price_holds() {
    let mut book = OrderBook::with_bound(2);
    book.add(&order(1, Side::Buy, 100, i64::MAX)).unwrap();
    assert_eq!(book.add(&order(2, Side::Buy, 100, 1)), Err(OrderFault::Full));
    assert_eq!(
        book.change(PublicOrderId(1), Quantity::MAX),
        Ok(LevelChange {
            side: Side::Buy,
            level: level(100, i64::MAX),
        })
    );
    book.add(&order(2, Side::Buy, 99, 1)).unwrap();
    assert_eq!(book.add(&order(3, Side::Buy, 98, 1)), Err(OrderFault::Full));
    assert_eq!(book.depth(), (2, 0), "what was refused left nothing behind");
    let three = [1, 2, 3].map(|id| order(id, Side::Sell, 100, 1));
    assert_eq!(book.replace(&three), Err(OrderFault::Full));
    assert!(book.is_empty());
    assert_eq!(OrderBook::with_bound(usize::MAX).orders_max, ORDERS_MAX);
}

#[test]
fn the_room_of_those_gone_serves_those_to_come() {
    let mut book = OrderBook::new();
    let round = |book: &mut OrderBook, round: u128| {
        for id in 0..5_000 {
            let price = i64::try_from(id % 700).unwrap() + 1;
            book.add(&order(round * 10_000 + id, Side::Buy, price, 1))
                .unwrap();
        }
        for id in (0..5_000).rev() {
            book.cancel(PublicOrderId(round * 10_000 + id)).unwrap();
        }
    };
    round(&mut book, 0);
    let room = |book: &OrderBook| (book.nodes.len(), book.nodes.capacity());
    let warm = room(&book);
    for number in 1..20 {
        round(&mut book, number);
    }
    assert!(book.is_empty());
    assert_eq!(room(&book), warm);
    assert_eq!(warm.0, 5_000);
}

#[test]
fn the_deepest_book_is_taken_over_in_any_order() {
    let count = u128::try_from(ORDERS_MAX).unwrap();
    let mut orders: Vec<_> = (0..count)
        .map(|id| {
            let price = i64::try_from(id / 2).unwrap() + 1;
            order(id, if id % 2 == 0 { Side::Buy } else { Side::Sell }, price, 1)
        })
        .collect();
    let mut book = OrderBook::new();
    for _ in 0..2 {
        book.replace(&orders).unwrap();
        assert_eq!(book.depth(), (ORDERS_MAX / 2, ORDERS_MAX / 2));
        orders.reverse();
    }
}
