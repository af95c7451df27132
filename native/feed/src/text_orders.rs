//! A book of single orders kept as the venue's own text, each price a queue in order of arrival.

use std::collections::{BTreeMap, HashMap};

use crate::exact::Exact;
use crate::reading::{Action, OrderFact, OrdersFact, Queued, Resting};
use crate::text_book::Shown;

/// What stands between the quantities of a price's orders where they are shown.
const BETWEEN: &str = "+";

#[derive(Debug)]
struct Waiting {
    id: Box<str>,
    quantity: Exact,
    price_text: Box<str>,
    quantity_text: Box<str>,
}

/// The queues of one side.
type Queues = BTreeMap<Exact, Vec<Waiting>>;

/// A book of orders.
#[derive(Debug, Default)]
pub(crate) struct TextOrders {
    bids: Queues,
    asks: Queues,
    /// Side (whether a bid) and price of each order.
    places: HashMap<Box<str>, (bool, Exact)>,
}

impl TextOrders {
    /// The whole book; `None` when a number cannot be read.
    pub(crate) fn of(fact: &OrdersFact<'_>) -> Option<Self> {
        let mut book = Self::default();
        for order in &fact.orders {
            book.add(order)?;
        }
        Some(book)
    }

    /// Takes over what happened to an order, whose price counts in `currency`: an order that is there already, or whose
    /// price is zero in that currency, is not added; one that is not there is neither changed nor removed; what is left of
    /// one never becomes more. `None` when a number cannot be read.
    pub(crate) fn apply(&mut self, fact: &OrderFact<'_>, currency: &str) -> Option<()> {
        match &fact.action {
            Action::New {
                is_bid,
                prices,
                quantity,
            } => {
                let (_, price) = prices.iter().find(|(name, _)| name == currency)?;
                self.add(&Resting {
                    id: fact.id.clone(),
                    is_bid: *is_bid,
                    price: price.clone(),
                    quantity: quantity.clone(),
                })
            }
            Action::Changed(quantity) => self.change(&fact.id, quantity),
            Action::Canceled => {
                self.remove(&fact.id);
                Some(())
            }
        }
    }

    /// Takes over what happened to an order in its queue: one that is modified keeps its place unless it has more than
    /// before or another price; one that is not there cannot be deleted. `None` when a number cannot be read.
    pub(crate) fn queue(&mut self, what: Queued, order: &Resting<'_>) -> Option<()> {
        match what {
            Queued::Added => self.add(order),
            Queued::Deleted => {
                self.remove(&order.id);
                Some(())
            }
            Queued::Modified => {
                let (price, quantity) = (Exact::parse(&order.price)?, Exact::parse(&order.quantity)?);
                let before = self.resting(&order.id).map(|waiting| waiting.quantity);
                let stays = self.places.get(order.id.as_ref()) == Some(&(order.is_bid, price));
                if stays && before.is_some_and(|before| quantity <= before) {
                    let waiting = self.resting(&order.id)?;
                    (waiting.quantity, waiting.quantity_text) = (quantity, order.quantity.as_ref().into());
                    waiting.price_text = order.price.as_ref().into();
                    if quantity.is_zero() {
                        self.remove(&order.id);
                    }
                    return Some(());
                }
                self.remove(&order.id);
                self.add(order)
            }
        }
    }

    fn resting(&mut self, id: &str) -> Option<&mut Waiting> {
        let &(is_bid, price) = self.places.get(id)?;
        let side = if is_bid { &mut self.bids } else { &mut self.asks };
        side.get_mut(&price)?.iter_mut().find(|order| *order.id == *id)
    }

    /// Keeps so many prices a side.
    pub(crate) fn cut(&mut self, depth: usize) {
        while self.bids.len() > depth {
            self.forget(true);
        }
        while self.asks.len() > depth {
            self.forget(false);
        }
    }

    /// The farthest price of a side goes.
    fn forget(&mut self, is_bid: bool) {
        let gone = if is_bid {
            self.bids.pop_first()
        } else {
            self.asks.pop_last()
        };
        for order in gone.into_iter().flat_map(|(_, queue)| queue) {
            self.places.remove(&order.id);
        }
    }

    fn add(&mut self, order: &Resting<'_>) -> Option<()> {
        let (price, quantity) = (Exact::parse(&order.price)?, Exact::parse(&order.quantity)?);
        if price.is_zero() || self.places.contains_key(order.id.as_ref()) {
            return Some(());
        }
        self.places
            .insert(order.id.as_ref().into(), (order.is_bid, price));
        let side = if order.is_bid {
            &mut self.bids
        } else {
            &mut self.asks
        };
        side.entry(price).or_default().push(Waiting {
            id: order.id.as_ref().into(),
            quantity,
            price_text: order.price.as_ref().into(),
            quantity_text: order.quantity.as_ref().into(),
        });
        Some(())
    }

    /// Zero goes.
    fn change(&mut self, id: &str, text: &str) -> Option<()> {
        let quantity = Exact::parse(text)?;
        if quantity.is_zero() {
            self.remove(id);
            return Some(());
        }
        let Some(&(is_bid, price)) = self.places.get(id) else {
            return Some(());
        };
        let side = if is_bid { &mut self.bids } else { &mut self.asks };
        let order = side.get_mut(&price)?.iter_mut().find(|order| *order.id == *id)?;
        if quantity < order.quantity {
            (order.quantity, order.quantity_text) = (quantity, text.into());
        }
        Some(())
    }

    fn remove(&mut self, id: &str) {
        let Some((is_bid, price)) = self.places.remove(id) else {
            return;
        };
        let side = if is_bid { &mut self.bids } else { &mut self.asks };
        if let Some(queue) = side.get_mut(&price) {
            queue.retain(|order| *order.id != *id);
            if queue.is_empty() {
                side.remove(&price);
            }
        }
    }

    pub(crate) fn best(&self) -> [Option<(Exact, Exact)>; 2] {
        let level = |(price, queue): (&Exact, &Vec<Waiting>)| (*price, total(queue));
        [
            self.bids.last_key_value().map(level),
            self.asks.first_key_value().map(level),
        ]
    }

    pub(crate) fn depth(&self) -> (usize, usize) {
        (self.bids.len(), self.asks.len())
    }

    /// Orders that rest: bids, asks.
    pub(crate) fn orders(&self) -> (usize, usize) {
        let count = |side: &Queues| side.values().map(Vec::len).sum();
        (count(&self.bids), count(&self.asks))
    }

    pub(crate) fn top(&self, count: usize) -> [Vec<Shown>; 2] {
        [
            self.bids
                .values()
                .rev()
                .take(count)
                .map(|queue| shown(queue))
                .collect(),
            self.asks.values().take(count).map(|queue| shown(queue)).collect(),
        ]
    }

    /// The levels that follow from the orders: bids, asks.
    pub(crate) fn levels(&self) -> [Vec<(Exact, Exact)>; 2] {
        let levels = |side: &Queues| side.iter().map(|(price, queue)| (*price, total(queue))).collect();
        [levels(&self.bids), levels(&self.asks)]
    }
}

fn total(queue: &[Waiting]) -> Exact {
    queue
        .iter()
        .fold(Exact::default(), |sum, order| sum.plus(order.quantity))
}

fn shown(queue: &[Waiting]) -> Shown {
    let price = queue.first().map(|order| order.price_text.to_string());
    let quantities: Vec<&str> = queue.iter().map(|order| order.quantity_text.as_ref()).collect();
    (price.unwrap_or_default(), quantities.join(BETWEEN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(
        id: &'static str,
        is_bid: bool,
        price: &'static str,
        quantity: &'static str,
    ) -> Resting<'static> {
        Resting {
            id: id.into(),
            is_bid,
            price: price.into(),
            quantity: quantity.into(),
        }
    }

    fn event(id: &'static str, action: Action<'static>) -> OrderFact<'static> {
        OrderFact {
            traded: "eth".to_owned(),
            number: 1,
            id: id.into(),
            action,
        }
    }

    #[test]
    fn queues_are_in_order_of_arrival() {
        let fact = OrdersFact {
            symbol: "eth-aud".to_owned(),
            orders: vec![
                order("a", true, "10.0", "1.5"),
                order("b", true, "10", "2.0"),
                order("c", false, "11", "3"),
            ],
        };
        let mut book = TextOrders::of(&fact).unwrap();
        assert_eq!(book.top(10)[0], [("10.0".to_owned(), "1.5+2.0".to_owned())]);
        assert_eq!((book.depth(), book.orders()), ((1, 1), (2, 1)));
        let mut apply = |id, action| book.apply(&event(id, action), "aud").unwrap();
        apply("a", Action::Changed("0.5".into()));
        // News from before.
        apply("a", Action::Changed("4.0".into()));
        apply("x", Action::Canceled);
        let prices = vec![("aud".to_owned(), "10".into()), ("usd".to_owned(), "7".into())];
        let new = |quantity: &'static str| Action::New {
            is_bid: true,
            prices: prices.clone(),
            quantity: quantity.into(),
        };
        apply("d", new("9"));
        apply("d", new("8"));
        assert_eq!(book.top(10)[0], [("10.0".to_owned(), "0.5+2.0+9".to_owned())]);
        let mut apply = |id, action| book.apply(&event(id, action), "aud").unwrap();
        apply("b", Action::Changed("0.0".into()));
        apply("c", Action::Canceled);
        assert_eq!(
            book.top(10),
            [vec![("10.0".to_owned(), "0.5+9".to_owned())], vec![]]
        );
        assert_eq!(book.apply(&event("e", new("1")), "nzd"), None);
        let nothing = vec![("aud".to_owned(), "0.0".into())];
        let small = Action::New {
            is_bid: true,
            prices: nothing,
            quantity: "1".into(),
        };
        book.apply(&event("f", small), "aud").unwrap();
        assert_eq!(
            book.depth(),
            (1, 0),
            "what is worth nothing in it stands in no book of it"
        );
    }
}
