//! What the account holds: opening balances, and what its fills made of them.

use std::collections::BTreeMap;

use domain::{Balance, Currency, Fill, Instrument, OrderRequest, OrderType, Quantity, SCALE, Side};

use super::book::Reach;
use crate::desk::DeskOrder;

/// Totals by asset, units of 1e-8.
#[derive(Debug, Clone, Default)]
pub(super) struct Account(BTreeMap<Currency, i128>);

/// What open orders of one instrument reserve: base and quote.
fn reserved(order: &DeskOrder) -> (i128, i128) {
    let DeskOrder {
        request, snapshot, ..
    } = order;
    let left = request.quantity.units() - snapshot.filled.units();
    match (request.side, request.price) {
        (Side::Sell, _) => (i128::from(left), 0),
        (Side::Buy, Some(price)) => (0, in_units_up(i128::from(price.units()) * i128::from(left))),
        // A market order rests nowhere.
        (Side::Buy, None) => (0, 0),
    }
}

/// Units of 1e-16 in units of 1e-8, rounded up.
const fn in_units_up(exact: i128) -> i128 {
    let scale = SCALE as i128;
    exact.div_euclid(scale) + (exact.rem_euclid(scale) != 0) as i128
}

/// What orders reserve, by asset.
#[derive(Debug, Default)]
pub(super) struct Reserved(BTreeMap<Currency, i128>);

impl Reserved {
    pub(super) fn of_orders<'a>(
        instruments: &[Instrument],
        orders: impl Iterator<Item = &'a DeskOrder>,
    ) -> Self {
        let mut all = Self::default();
        for order in orders {
            if let Some(instrument) = instruments.get(usize::from(order.request.instrument.0)) {
                all.add(instrument, order);
            }
        }
        all
    }

    pub(super) fn add(&mut self, instrument: &Instrument, order: &DeskOrder) {
        let (base, quote) = reserved(order);
        *self.0.entry(instrument.base).or_default() += base;
        *self.0.entry(instrument.quote).or_default() += quote;
    }

    fn of(&self, currency: Currency) -> i128 {
        self.0.get(&currency).copied().unwrap_or(0)
    }
}

impl Account {
    pub(super) fn new(opening: &[(Currency, i128)]) -> Self {
        let mut account = Self::default();
        for &(currency, units) in opening {
            account.add(currency, units);
        }
        account
    }

    /// Whether an order is covered by what is not reserved. Fees are not asked for: they are taken of what trades.
    pub(super) fn covers(
        &self,
        instrument: &Instrument,
        request: &OrderRequest,
        reach: &Reach,
        reserved: &Reserved,
    ) -> bool {
        let quantity = i128::from(request.quantity.units());
        let (currency, wanted) = match (request.side, request.order_type, request.price) {
            (Side::Sell, ..) => (instrument.base, quantity),
            (Side::Buy, OrderType::Limit, Some(price)) => (
                instrument.quote,
                in_units_up(i128::from(price.units()) * quantity),
            ),
            (Side::Buy, ..) => (instrument.quote, in_units_up(reach.cost)),
        };
        wanted <= self.total(currency) - reserved.of(currency)
    }

    /// Books a fill and its fee, each rounded against us.
    pub(super) fn book(&mut self, instrument: &Instrument, fill: &Fill) {
        let quantity = i128::from(fill.quantity.units());
        let value = i128::from(fill.price.units()) * quantity;
        let (base, quote) = match fill.side {
            Side::Buy => (quantity, -in_units_up(value)),
            Side::Sell => (-quantity, value.div_euclid(i128::from(SCALE))),
        };
        self.add(instrument.base, base);
        self.add(instrument.quote, quote);
        self.add(fill.fee.currency(), -in_units_up(fill.fee.units()));
    }

    /// Changes what is held of an asset.
    pub(super) fn add(&mut self, currency: Currency, units: i128) {
        *self.0.entry(currency).or_default() += units;
    }

    fn total(&self, currency: Currency) -> i128 {
        self.0.get(&currency).copied().unwrap_or(0)
    }

    /// One balance. What is reserved beyond the total stands as reserved: fees took the rest.
    pub(super) fn balance(&self, currency: Currency, reserved: &Reserved) -> Balance {
        let locked = reserved.of(currency);
        Balance {
            currency,
            free: saturate(self.total(currency) - locked),
            locked: saturate(locked),
        }
    }

    /// Every balance that is not zero.
    pub(super) fn balances(&self, reserved: &Reserved) -> Vec<Balance> {
        let held = self.0.iter().filter(|(_, units)| **units != 0);
        held.map(|(&currency, _)| self.balance(currency, reserved))
            .collect()
    }
}

fn saturate(units: i128) -> Quantity {
    Quantity::from_units(i64::try_from(units).unwrap_or(if units < 0 { i64::MIN } else { i64::MAX }))
}
