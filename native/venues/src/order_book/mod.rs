//! A book of single orders (L3): each order in its queue, whatever the venue.
//!
//! Orders lie in one list whose places are reused. Each is linked with those before and behind it at its price, so that
//! coming, going and trading take the same time however long the queue. An index finds an order by its id, another the
//! queue of a price; a sorted list of prices has the best last. Once these have grown to the size of the market, nothing
//! allocates.
//!
//! The book judges nothing but itself: a crossed book, or an order that nobody knows, is for its keeper to refuse.

mod index;
mod levels;

use domain::{Level, OrderBookEvent, Price, PublicOrder, PublicOrderId, Quantity, Side};
use thiserror::Error;

use index::Index;
use levels::{Levels, Queue};

/// Most orders of one book. The deepest book of prices ever recorded has 46,000 levels.
pub const ORDERS_MAX: usize = 262_144;

/// No order.
const NONE: u32 = u32::MAX;

/// Why an event does not fit the book. The book is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OrderFault {
    /// No order has this id.
    #[error("no order of this id rests in the book")]
    Unknown,
    /// An order has this id already.
    #[error("an order of this id rests in the book already")]
    Known,
    /// Price or quantity is not positive.
    #[error("an order has a positive price and quantity")]
    NotPositive,
    /// More was executed than the order had left.
    #[error("more was executed than the order had left")]
    TooMuch,
    /// The bound is reached.
    #[error("the book holds {ORDERS_MAX} orders, or a price more than a number can say")]
    Full,
}

/// A price whose queue changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelChange {
    /// Whose price.
    pub side: Side,
    /// The price and what rests there now; zero where nothing is left.
    pub level: Level,
}

/// What stands before an order at its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuePosition {
    /// How many orders.
    pub orders: usize,
    /// Their quantity.
    pub quantity: Quantity,
}

/// An order in the list, on one line of the cache: whoever comes for one order comes for no other.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Node {
    id: u128,
    quantity: Quantity,
    /// Its queue's place; in a free node the next free one.
    queue: u32,
    before: u32,
    behind: u32,
}

/// One instrument's orders.
#[derive(Debug, Clone)]
pub struct OrderBook {
    nodes: Vec<Node>,
    free: u32,
    len: usize,
    index: Index,
    levels: Levels,
    orders_max: usize,
    /// Reused by [`Self::replace`].
    sorting: Vec<(Side, Price, u32)>,
}

impl Default for OrderBook {
    fn default() -> Self {
        Self::new()
    }
}

impl OrderBook {
    /// An empty book of at most [`ORDERS_MAX`] orders.
    #[must_use]
    pub fn new() -> Self {
        Self::with_bound(ORDERS_MAX)
    }

    /// An empty book of at most `orders_max` orders, and never more than [`ORDERS_MAX`].
    #[must_use]
    pub fn with_bound(orders_max: usize) -> Self {
        Self {
            nodes: Vec::new(),
            free: NONE,
            len: 0,
            index: Index::new(),
            levels: Levels::default(),
            orders_max: orders_max.min(ORDERS_MAX),
            sorting: Vec::new(),
        }
    }

    /// How many orders rest.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether none rests.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Prices at which something rests: bids, asks.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        (self.levels.depth(Side::Buy), self.levels.depth(Side::Sell))
    }

    /// Best bid and best ask with all that rests there; `None` for a side without orders.
    #[must_use]
    pub fn best(&self) -> (Option<Level>, Option<Level>) {
        (self.levels.best(Side::Buy), self.levels.best(Side::Sell))
    }

    /// Prices of a side with all that rests there, the farthest first.
    #[must_use]
    pub fn levels(&self, side: Side) -> impl DoubleEndedIterator<Item = Level> + '_ {
        self.levels.of(side)
    }

    /// What rests at a price; a quantity of zero where nothing does.
    #[must_use]
    pub fn level(&self, side: Side, price: Price) -> Level {
        let quantity = self
            .levels
            .find(side, price)
            .map_or(Quantity::ZERO, |queue| self.levels.queue(queue).quantity);
        Level { price, quantity }
    }

    /// The orders at a price, first come first.
    pub fn orders(&self, side: Side, price: Price) -> impl Iterator<Item = PublicOrder> + '_ {
        let first = self
            .levels
            .find(side, price)
            .map_or(NONE, |queue| self.levels.queue(queue).first);
        let next = move |&at: &u32| Some(self.node(at).behind).filter(|&behind| behind != NONE);
        std::iter::successors(Some(first).filter(|&at| at != NONE), next).map(|at| self.order(at))
    }

    /// The order of this id.
    #[must_use]
    pub fn get(&self, id: PublicOrderId) -> Option<PublicOrder> {
        self.find(id).1.map(|at| self.order(at))
    }

    /// What stands before an order at its price: what must trade or go before it can trade. Takes time of the orders
    /// before it.
    #[must_use]
    pub fn queue_ahead(&self, id: PublicOrderId) -> Option<QueuePosition> {
        let mut position = QueuePosition {
            orders: 0,
            quantity: Quantity::ZERO,
        };
        let mut at = self.node(self.find(id).1?).before;
        while at != NONE {
            let node = self.node(at);
            position.orders += 1;
            // Cannot overflow: the whole queue did not.
            position.quantity = position.quantity.checked_add(node.quantity)?;
            at = node.before;
        }
        Some(position)
    }

    /// Forgets all orders, and keeps the room they had.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.free = NONE;
        self.len = 0;
        self.index.clear();
        self.levels.clear();
    }

    /// Takes over a whole book; at one price the orders stand as they come in the list. In n log n of its length.
    ///
    /// # Errors
    /// [`OrderFault::Known`], [`OrderFault::NotPositive`] or [`OrderFault::Full`]: the book is empty then.
    pub fn replace(&mut self, orders: &[PublicOrder]) -> Result<(), OrderFault> {
        self.clear();
        let result = self.fill(orders);
        if result.is_err() {
            self.clear();
        }
        result
    }

    /// What happens to one order; `changed` is told of each price whose queue that changes.
    ///
    /// # Errors
    /// [`OrderFault`] when it does not fit; the book is as it was.
    pub fn apply(
        &mut self,
        event: &OrderBookEvent,
        changed: &mut dyn FnMut(LevelChange),
    ) -> Result<(), OrderFault> {
        let change = match *event {
            OrderBookEvent::Add(order) => self.add(&order)?,
            OrderBookEvent::Change { id, quantity } => self.change(id, quantity)?,
            OrderBookEvent::Execute { id, quantity } => self.execute(id, quantity)?,
            OrderBookEvent::Cancel { id } => self.cancel(id)?,
            OrderBookEvent::Move(order) => {
                let [left, reached] = self.move_to(&order)?;
                changed(left);
                reached
            }
        };
        changed(change);
        Ok(())
    }

    /// An order comes to rest behind all others of its price.
    ///
    /// # Errors
    /// [`OrderFault::Known`], [`OrderFault::NotPositive`], [`OrderFault::Full`].
    pub fn add(&mut self, order: &PublicOrder) -> Result<LevelChange, OrderFault> {
        if order.price <= Price::ZERO || order.quantity <= Quantity::ZERO {
            return Err(OrderFault::NotPositive);
        }
        let (slot, found) = self.find(order.id);
        if found.is_some() {
            return Err(OrderFault::Known);
        }
        if self.len == self.orders_max {
            return Err(OrderFault::Full);
        }
        let queue = self.levels.find_or_insert(order.side, order.price);
        if !self.levels.queue(queue).has_room_for(order.quantity) {
            return Err(OrderFault::Full);
        }
        let at = self.take_node(order, queue);
        self.index.insert(slot, at);
        self.link(at);
        Ok(self.changed(queue))
    }

    /// This is left of an order now; zero removes it. With less than before it keeps its place, with more it goes to the
    /// end of its queue.
    ///
    /// # Errors
    /// [`OrderFault::Unknown`], [`OrderFault::NotPositive`] for less than zero, [`OrderFault::Full`].
    pub fn change(&mut self, id: PublicOrderId, quantity: Quantity) -> Result<LevelChange, OrderFault> {
        if quantity.is_zero() {
            return self.cancel(id);
        }
        let at = self.find(id).1.ok_or(OrderFault::Unknown)?;
        let Node {
            quantity: before,
            queue,
            ..
        } = *self.node(at);
        if quantity < Quantity::ZERO {
            return Err(OrderFault::NotPositive);
        }
        if quantity <= before {
            self.nodes[at as usize].quantity = quantity;
            let total = &mut self.levels.queue_mut(queue).quantity;
            *total = Quantity::from_units(total.units() - (before.units() - quantity.units()));
            return Ok(self.changed(queue));
        }
        let more = Quantity::from_units(quantity.units() - before.units());
        if !self.levels.queue(queue).has_room_for(more) {
            return Err(OrderFault::Full);
        }
        self.unlink(at);
        self.nodes[at as usize].quantity = quantity;
        self.link(at);
        Ok(self.changed(queue))
    }

    /// An order rests somewhere else now, behind all others there; the price it left and the one it reached.
    ///
    /// # Errors
    /// [`OrderFault::Unknown`], [`OrderFault::NotPositive`], [`OrderFault::Full`].
    pub fn move_to(&mut self, order: &PublicOrder) -> Result<[LevelChange; 2], OrderFault> {
        let before = self.get(order.id).ok_or(OrderFault::Unknown)?;
        if order.price <= Price::ZERO || order.quantity <= Quantity::ZERO {
            return Err(OrderFault::NotPositive);
        }
        let is_same_price = (before.side, before.price) == (order.side, order.price);
        let own = if is_same_price { before.quantity.units() } else { 0 };
        let others = Quantity::from_units(self.level(order.side, order.price).quantity.units() - own);
        if others.checked_add(order.quantity).is_none() {
            return Err(OrderFault::Full);
        }
        let left = self.cancel(order.id)?;
        Ok([left, self.add(order)?])
    }

    /// So much of an order traded.
    ///
    /// # Errors
    /// [`OrderFault::Unknown`], [`OrderFault::NotPositive`], [`OrderFault::TooMuch`].
    pub fn execute(&mut self, id: PublicOrderId, quantity: Quantity) -> Result<LevelChange, OrderFault> {
        if quantity <= Quantity::ZERO {
            return Err(OrderFault::NotPositive);
        }
        let order = self.get(id).ok_or(OrderFault::Unknown)?;
        let left = order.quantity.units() - quantity.units();
        if left < 0 {
            return Err(OrderFault::TooMuch);
        }
        self.change(id, Quantity::from_units(left))
    }

    /// An order is gone.
    ///
    /// # Errors
    /// [`OrderFault::Unknown`].
    pub fn cancel(&mut self, id: PublicOrderId) -> Result<LevelChange, OrderFault> {
        let (slot, found) = self.find(id);
        let at = found.ok_or(OrderFault::Unknown)?;
        self.index.remove(slot);
        self.unlink(at);
        let queue = self.node(at).queue;
        let mut change = self.changed(queue);
        if self.levels.queue(queue).first == NONE {
            change.level.quantity = Quantity::ZERO;
            self.levels.remove(queue);
        }
        self.nodes[at as usize].queue = self.free;
        self.free = at;
        self.len -= 1;
        Ok(change)
    }

    fn fill(&mut self, orders: &[PublicOrder]) -> Result<(), OrderFault> {
        if orders.len() > self.orders_max {
            return Err(OrderFault::Full);
        }
        // The farthest price first, so that each new one is added at the end; the place keeps the order of coming.
        let mut sorting = std::mem::take(&mut self.sorting);
        sorting.clear();
        sorting.extend((0..).zip(orders).map(|(at, order)| (order.side, order.price, at)));
        sorting.sort_unstable_by(|a, b| {
            let by_price = match a.0 {
                Side::Buy => a.1.cmp(&b.1),
                Side::Sell => b.1.cmp(&a.1),
            };
            a.0.cmp(&b.0).then(by_price).then(a.2.cmp(&b.2))
        });
        let result = sorting
            .iter()
            .try_for_each(|&(_, _, at)| self.add(&orders[at as usize]).map(|_| ()));
        self.sorting = sorting;
        result
    }

    fn find(&self, id: PublicOrderId) -> (index::Slot, Option<u32>) {
        self.index.find(id.0, |at| self.node(at).id == id.0)
    }

    fn node(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    fn order(&self, at: u32) -> PublicOrder {
        let node = self.node(at);
        let queue = self.levels.queue(node.queue);
        PublicOrder {
            id: PublicOrderId(node.id),
            side: queue.side,
            price: queue.price,
            quantity: node.quantity,
        }
    }

    fn changed(&self, queue: u32) -> LevelChange {
        let Queue {
            side,
            price,
            quantity,
            ..
        } = *self.levels.queue(queue);
        LevelChange {
            side,
            level: Level { price, quantity },
        }
    }

    fn take_node(&mut self, order: &PublicOrder, queue: u32) -> u32 {
        let node = Node {
            id: order.id.0,
            quantity: order.quantity,
            queue,
            before: NONE,
            behind: NONE,
        };
        self.len += 1;
        let at = self.free;
        if at == NONE {
            self.nodes.push(node);
            return u32::try_from(self.nodes.len() - 1).unwrap_or(NONE);
        }
        self.free = self.node(at).queue;
        self.nodes[at as usize] = node;
        at
    }

    /// Puts an order at the end of its queue.
    fn link(&mut self, at: u32) {
        let Node { quantity, queue, .. } = *self.node(at);
        let queue = self.levels.queue_mut(queue);
        queue.quantity = Quantity::from_units(queue.quantity.units() + quantity.units());
        let last = std::mem::replace(&mut queue.last, at);
        if last == NONE {
            queue.first = at;
        } else {
            self.nodes[last as usize].behind = at;
        }
        let node = &mut self.nodes[at as usize];
        (node.before, node.behind) = (last, NONE);
    }

    /// Takes an order out of its queue.
    fn unlink(&mut self, at: u32) {
        let Node {
            quantity,
            queue,
            before,
            behind,
            ..
        } = *self.node(at);
        let queue = self.levels.queue_mut(queue);
        queue.quantity = Quantity::from_units(queue.quantity.units() - quantity.units());
        if before == NONE {
            queue.first = behind;
        }
        if behind == NONE {
            queue.last = before;
        }
        if before != NONE {
            self.nodes[before as usize].behind = behind;
        }
        if behind != NONE {
            self.nodes[behind as usize].before = before;
        }
    }
}

#[cfg(test)]
mod tests;
