//! What moved on the account and belongs to no slot: sums by asset, the names of what was booked, and up to when the
//! account is accounted for.

use std::collections::VecDeque;

use domain::{Currency, Money, Timestamp, Venue};

use crate::account::{CarriedAccount, Compared, Moved, MovementId};
use crate::limits::{CURRENCIES_MAX, MOVEMENTS_REMEMBERED};

/// The account beside its slots.
#[derive(Debug)]
pub(crate) struct Outside {
    moved: Vec<Moved>,
    compared: Vec<Compared>,
    /// The movements that were booked last, oldest first.
    named: VecDeque<MovementId>,
}

impl Outside {
    pub(crate) fn new() -> Self {
        Self {
            moved: Vec::with_capacity(CURRENCIES_MAX),
            compared: Vec::with_capacity(Venue::ALL.len()),
            named: VecDeque::with_capacity(MOVEMENTS_REMEMBERED),
        }
    }

    /// Takes over what an earlier life left.
    pub(crate) fn restore(&mut self, carried: &CarriedAccount, movements: &[MovementId]) {
        self.moved.extend(carried.moved.iter().take(CURRENCIES_MAX));
        let compared = carried.compared.iter();
        compared.for_each(|one| self.compare(one.venue, one.through));
        for id in movements {
            self.remember(*id);
        }
    }

    /// Remembers a movement, forgetting the oldest when there are [`MOVEMENTS_REMEMBERED`]; `false` when it was booked
    /// already.
    pub(crate) fn remember(&mut self, id: MovementId) -> bool {
        if self.named.contains(&id) {
            return false;
        }
        if self.named.len() == MOVEMENTS_REMEMBERED {
            self.named.pop_front();
        }
        self.named.push_back(id);
        true
    }

    /// Adds a movement; `false`, with nothing changed, when the table is full or the sum does not fit.
    pub(crate) fn add(&mut self, venue: Venue, amount: Money) -> bool {
        if amount.units() == 0 {
            return true;
        }
        let has_room = self.moved.len() < CURRENCIES_MAX;
        let known = self
            .moved
            .iter_mut()
            .find(|sum| (sum.venue, sum.amount.currency()) == (venue, amount.currency()));
        match known {
            Some(sum) => match sum.amount.checked_add(amount) {
                Ok(added) => {
                    sum.amount = added;
                    true
                }
                Err(_) => false,
            },
            None if has_room => {
                self.moved.push(Moved { venue, amount });
                true
            }
            None => false,
        }
    }

    /// Sum of an asset's movements, units of 1e-16.
    pub(crate) fn sum(&self, venue: Venue, currency: Currency) -> i128 {
        let known = self
            .moved
            .iter()
            .find(|sum| (sum.venue, sum.amount.currency()) == (venue, currency));
        known.map_or(0, |sum| sum.amount.units())
    }

    /// The account is accounted for up to `through`; never goes back.
    pub(crate) fn compare(&mut self, venue: Venue, through: Timestamp) {
        // Never more than there are venues, for which there is room.
        match self.compared.iter_mut().find(|one| one.venue == venue) {
            Some(one) => one.through = one.through.max(through),
            None => self.compared.push(Compared { venue, through }),
        }
    }

    pub(crate) fn compared(&self, venue: Venue) -> Option<Timestamp> {
        let known = self.compared.iter().find(|one| one.venue == venue);
        known.map(|one| one.through)
    }

    pub(crate) fn carried(&self) -> (Vec<Moved>, Vec<Compared>) {
        (self.moved.clone(), self.compared.clone())
    }

    /// The movements that were booked last, oldest first.
    pub(crate) fn named(&self) -> impl Iterator<Item = MovementId> + '_ {
        self.named.iter().copied()
    }
}
