//! The prices of a book: a sorted list for each side, the best last, of the queues that wait there, and an index that
//! finds the queue of a price without a search.

use domain::{Level, Price, Quantity, Side};

use super::NONE;
use super::index::{Index, Slot};

/// Prices compared one by one from the best before the search halves the rest.
const NEAR_LEVELS: usize = 8;

/// The orders at one price.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queue {
    pub(super) side: Side,
    pub(super) price: Price,
    /// What all of them have left.
    pub(super) quantity: Quantity,
    /// The order that came first; in a free queue the next free one.
    pub(super) first: u32,
    /// The order that came last.
    pub(super) last: u32,
}

impl Queue {
    pub(super) fn has_room_for(&self, more: Quantity) -> bool {
        self.quantity.checked_add(more).is_some()
    }
}

/// Where the queue of a price is.
#[derive(Debug, Clone, Copy)]
struct Place {
    price: Price,
    queue: u32,
}

/// Both sides.
#[derive(Debug, Clone)]
pub(super) struct Levels {
    /// Rising.
    bids: Vec<Place>,
    /// Falling.
    asks: Vec<Place>,
    queues: Vec<Queue>,
    by_price: Index,
    free: u32,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            bids: Vec::new(),
            asks: Vec::new(),
            queues: Vec::new(),
            by_price: Index::new(),
            free: NONE,
        }
    }
}

impl Levels {
    pub(super) fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
        self.queues.clear();
        self.by_price.clear();
        self.free = NONE;
    }

    pub(super) fn queue(&self, at: u32) -> &Queue {
        &self.queues[at as usize]
    }

    pub(super) fn queue_mut(&mut self, at: u32) -> &mut Queue {
        &mut self.queues[at as usize]
    }

    pub(super) fn depth(&self, side: Side) -> usize {
        self.places(side).len()
    }

    pub(super) fn best(&self, side: Side) -> Option<Level> {
        self.places(side).last().map(|place| self.level(*place))
    }

    /// All prices of a side, the farthest first.
    pub(super) fn of(&self, side: Side) -> impl DoubleEndedIterator<Item = Level> + '_ {
        self.places(side).iter().map(|place| self.level(*place))
    }

    /// The queue of a price.
    pub(super) fn find(&self, side: Side, price: Price) -> Option<u32> {
        self.look_up(side, price).1
    }

    /// The queue of a price, made where there is none. Whoever asks adds an order to it, or leaves it empty only where it
    /// was not: an empty queue is for [`Self::remove`].
    pub(super) fn find_or_insert(&mut self, side: Side, price: Price) -> u32 {
        let (slot, found) = self.look_up(side, price);
        if let Some(queue) = found {
            return queue;
        }
        let queue = self.take_queue(Queue {
            side,
            price,
            quantity: Quantity::ZERO,
            first: NONE,
            last: NONE,
        });
        self.by_price.insert(slot, queue);
        let places = self.places_mut(side);
        let at = position(places, side, price);
        places.insert(at, Place { price, queue });
        queue
    }

    /// Forgets a queue.
    pub(super) fn remove(&mut self, queue: u32) {
        let Queue { side, price, .. } = *self.queue(queue);
        let (slot, _) = self.look_up(side, price);
        self.by_price.remove(slot);
        let places = self.places_mut(side);
        let at = position(places, side, price);
        places.remove(at);
        let free = std::mem::replace(&mut self.free, queue);
        self.queue_mut(queue).first = free;
    }

    fn look_up(&self, side: Side, price: Price) -> (Slot, Option<u32>) {
        let key = u128::from(price.units().unsigned_abs()) << 1 | u128::from(side == Side::Sell);
        self.by_price.find(key, |at| {
            let queue = self.queue(at);
            queue.price == price && queue.side == side
        })
    }

    fn take_queue(&mut self, queue: Queue) -> u32 {
        let at = self.free;
        if at == NONE {
            self.queues.push(queue);
            return u32::try_from(self.queues.len() - 1).unwrap_or(NONE);
        }
        self.free = self.queue(at).first;
        *self.queue_mut(at) = queue;
        at
    }

    fn level(&self, place: Place) -> Level {
        Level {
            price: place.price,
            quantity: self.queue(place.queue).quantity,
        }
    }

    const fn places(&self, side: Side) -> &Vec<Place> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    const fn places_mut(&mut self, side: Side) -> &mut Vec<Place> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}

/// Where a price is or would be.
fn position(places: &[Place], side: Side, price: Price) -> usize {
    let is_farther = |place: &Place| match side {
        Side::Buy => place.price < price,
        Side::Sell => place.price > price,
    };
    let near = places.len().saturating_sub(NEAR_LEVELS);
    for at in (near..places.len()).rev() {
        if is_farther(&places[at]) {
            return at + 1;
        }
    }
    places[..near].partition_point(is_farther)
}
