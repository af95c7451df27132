//! Which of our orders the venue knows by which name: it cancels and finds orders by its own names only.

use std::collections::{BTreeMap, VecDeque};

use domain::{ClientOrderId, VenueOrderId};

/// Most orders remembered; the oldest are forgotten first, and looked up again when they are asked for.
const ORDERS_REMEMBERED_MAX: usize = 65_536;

/// Both names of our orders.
#[derive(Debug, Default)]
pub(super) struct KnownOrders {
    by_ours: BTreeMap<ClientOrderId, VenueOrderId>,
    by_theirs: BTreeMap<VenueOrderId, ClientOrderId>,
    oldest_first: VecDeque<ClientOrderId>,
}

impl KnownOrders {
    /// The venue's name of an order.
    pub(super) fn theirs(&self, id: ClientOrderId) -> Option<VenueOrderId> {
        self.by_ours.get(&id).copied()
    }

    /// Our name of an order; `None` where it is not known to be ours.
    pub(super) fn ours(&self, id: VenueOrderId) -> Option<ClientOrderId> {
        self.by_theirs.get(&id).copied()
    }

    /// Remembers both names. The first pair stays: the venue may have two orders by one id of ours, if it was sent twice
    /// by whatever means, and the second must not hide the first.
    pub(super) fn remember(&mut self, ours: ClientOrderId, theirs: VenueOrderId) {
        if self.by_ours.contains_key(&ours) {
            return;
        }
        if self.oldest_first.len() >= ORDERS_REMEMBERED_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
            && let Some(forgotten) = self.by_ours.remove(&oldest)
        {
            self.by_theirs.remove(&forgotten);
        }
        self.by_ours.insert(ours, theirs);
        self.by_theirs.insert(theirs, ours);
        self.oldest_first.push_back(ours);
    }
}

#[cfg(test)]
mod tests {
    use domain::{Epoch, SlotId, Text};

    use super::*;

    fn ours(counter: u32) -> ClientOrderId {
        ClientOrderId {
            epoch: Epoch(1),
            slot: SlotId(0),
            counter,
        }
    }

    fn theirs(number: u32) -> VenueOrderId {
        VenueOrderId(Text::new(&number.to_string()).unwrap())
    }

    #[test]
    fn the_oldest_are_forgotten_and_the_first_name_stays() {
        let mut known = KnownOrders::default();
        let most = u32::try_from(ORDERS_REMEMBERED_MAX).unwrap();
        for counter in 0..=most {
            known.remember(ours(counter), theirs(counter));
        }
        assert_eq!((known.theirs(ours(0)), known.ours(theirs(0))), (None, None));
        assert_eq!(known.theirs(ours(most)), Some(theirs(most)));
        known.remember(ours(1), theirs(999_999));
        assert_eq!(known.theirs(ours(1)), Some(theirs(1)));
        assert_eq!(known.by_ours.len(), ORDERS_REMEMBERED_MAX);
        assert_eq!(known.by_theirs.len(), ORDERS_REMEMBERED_MAX);
    }
}
