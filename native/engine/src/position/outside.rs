//! What moved on the account and belongs to no slot: sums by asset, and up to when the account is accounted for.

use domain::{Currency, Money, Timestamp, Venue};

use crate::account::{CarriedAccount, Compared, Moved};
use crate::limits::CURRENCIES_MAX;

/// The account beside its slots.
#[derive(Debug)]
pub(crate) struct Outside {
    moved: Vec<Moved>,
    compared: Vec<Compared>,
}

impl Outside {
    pub(crate) fn new() -> Self {
        Self {
            moved: Vec::with_capacity(CURRENCIES_MAX),
            compared: Vec::with_capacity(Venue::ALL.len()),
        }
    }

    /// Takes over what an earlier life left.
    pub(crate) fn restore(&mut self, carried: &CarriedAccount) {
        self.moved.extend(carried.moved.iter().take(CURRENCIES_MAX));
        let compared = carried.compared.iter();
        compared.for_each(|one| self.compare(one.venue, one.through));
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
}
