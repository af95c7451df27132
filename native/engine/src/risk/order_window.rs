//! The orders of the last minute: for the rate limit and the duplicate check.

use std::collections::VecDeque;

use domain::{Nanos, OrderRequest, SlotId, Timestamp};

use crate::engine::SentOrder;
use crate::limits::ORDERS_IN_WINDOW_MAX;

/// The window of `max_order_rate_per_min`.
pub(crate) const RATE_WINDOW: Nanos = Nanos::from_secs(60);

/// The last [`ORDERS_IN_WINDOW_MAX`] orders that left, oldest first.
#[derive(Debug)]
pub(crate) struct OrderWindow {
    sent: VecDeque<SentOrder>,
    /// How many at the front are out of the rate window.
    outside: usize,
}

impl OrderWindow {
    pub(crate) fn new() -> Self {
        Self {
            sent: VecDeque::with_capacity(ORDERS_IN_WINDOW_MAX),
            outside: 0,
        }
    }

    /// An order leaves.
    pub(crate) fn record(&mut self, request: &OrderRequest, at: Timestamp) {
        self.restore(SentOrder {
            at,
            slot: request.client_order_id.slot,
            instrument: request.instrument,
            side: request.side,
            price: request.price,
            quantity: request.quantity,
        });
    }

    /// Takes over an order that left in an earlier life; oldest first.
    pub(crate) fn restore(&mut self, sent: SentOrder) {
        if self.sent.len() == ORDERS_IN_WINDOW_MAX {
            self.sent.pop_front();
            self.outside = self.outside.saturating_sub(1);
        }
        self.sent.push_back(sent);
    }

    /// Orders that left less than `window` before `now`, oldest first.
    pub(crate) fn since(&self, now: Timestamp, window: Nanos) -> impl Iterator<Item = SentOrder> + '_ {
        let is_inside = move |sent: &&SentOrder| now.since(sent.at) < window;
        self.sent.iter().filter(is_inside).copied()
    }

    /// Orders that left less than a minute before `now`: of all slots, and of one.
    pub(crate) fn count(&mut self, now: Timestamp, slot: SlotId) -> [u32; 2] {
        while self
            .sent
            .get(self.outside)
            .is_some_and(|sent| now.since(sent.at) >= RATE_WINDOW)
        {
            self.outside += 1;
        }
        let inside = self.sent.range(self.outside..);
        let of_slot = inside.filter(|sent| sent.slot == slot).count();
        [self.sent.len() - self.outside, of_slot].map(|count| u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// How long ago the same slot sent the same order, when that is less than `window`.
    pub(crate) fn since_equal(&self, request: &OrderRequest, now: Timestamp, window: Nanos) -> Option<Nanos> {
        let recent = self
            .sent
            .iter()
            .rev()
            .take_while(|sent| now.since(sent.at) < window);
        let equal = |sent: &&SentOrder| {
            sent.slot == request.client_order_id.slot
                && sent.instrument == request.instrument
                && sent.side == request.side
                && sent.price == request.price
                && sent.quantity == request.quantity
        };
        recent.into_iter().find(equal).map(|sent| now.since(sent.at))
    }
}

#[cfg(test)]
mod tests {
    use domain::{ClientOrderId, Epoch, InstrumentId, OrderType, Quantity, Side, TimeInForce};

    use super::*;

    fn request(slot: u16, quantity: i64) -> OrderRequest {
        OrderRequest {
            client_order_id: ClientOrderId {
                epoch: Epoch(1),
                slot: SlotId(slot),
                counter: 1,
            },
            instrument: InstrumentId(0),
            side: Side::Buy,
            order_type: OrderType::Market,
            price: None,
            quantity: Quantity::from_units(quantity),
            time_in_force: TimeInForce::Ioc,
            post_only: false,
            reduce_only: false,
        }
    }

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    #[test]
    fn an_order_leaves_the_window_after_exactly_a_minute() {
        let mut window = OrderWindow::new();
        window.record(&request(0, 1), at(0));
        window.record(&request(1, 1), at(10));
        assert_eq!(window.count(at(RATE_WINDOW.0 - 1), SlotId(0)), [2, 1]);
        assert_eq!(window.count(at(RATE_WINDOW.0), SlotId(0)), [1, 0]);
        assert_eq!(window.count(at(RATE_WINDOW.0 + 10), SlotId(1)), [0, 0]);
    }

    #[test]
    fn a_full_window_keeps_counting() {
        let mut window = OrderWindow::new();
        for number in 0..3 * ORDERS_IN_WINDOW_MAX {
            window.record(&request(0, 1), at(i64::try_from(number).unwrap()));
        }
        let full = u32::try_from(ORDERS_IN_WINDOW_MAX).unwrap();
        assert_eq!(window.count(at(20_000), SlotId(0)), [full, full]);
        assert_eq!(window.count(at(2 * RATE_WINDOW.0), SlotId(0)), [0, 0]);
        window.record(&request(0, 1), at(2 * RATE_WINDOW.0));
        assert_eq!(window.count(at(2 * RATE_WINDOW.0), SlotId(0)), [1, 1]);
    }

    #[test]
    fn an_equal_order_is_found_until_its_window_ends() {
        let mut window = OrderWindow::new();
        window.record(&request(0, 5), at(100));
        let span = Nanos(50);
        assert_eq!(window.since_equal(&request(0, 5), at(149), span), Some(Nanos(49)));
        assert_eq!(window.since_equal(&request(0, 5), at(150), span), None);
        assert_eq!(window.since_equal(&request(0, 6), at(149), span), None);
        assert_eq!(window.since_equal(&request(1, 5), at(149), span), None);
    }
}
