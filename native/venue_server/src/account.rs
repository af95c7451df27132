//! Balances of one account, exact: units of 1e-16 in every asset.

use std::collections::BTreeMap;

use domain::{Currency, SCALE};

use crate::keys::ApiKey;
use crate::orders::FillRecord;

/// Executions kept for each account; the oldest go first.
pub(crate) const FILLS_KEPT: usize = 100_000;

/// Free and locked, in units of 1e-16.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) free: i128,
    pub(crate) locked: i128,
}

/// One account: its keys, what it holds, what it traded.
#[derive(Debug)]
pub(crate) struct Account {
    /// The key that opened it.
    pub(crate) key: ApiKey,
    /// More keys of it.
    pub(crate) others: Vec<ApiKey>,
    holdings: BTreeMap<Currency, Holding>,
    pub(crate) fills: Vec<FillRecord>,
    pub(crate) updated_ms: i64,
}

impl Account {
    /// Opening balances are in units of 1e-8.
    pub(crate) fn new(key: ApiKey, opening: &[(Currency, i64)], opened_ms: i64) -> Self {
        let holdings = opening.iter().map(|&(currency, units)| {
            let free = i128::from(units) * i128::from(SCALE);
            (currency, Holding { free, locked: 0 })
        });
        Self {
            key,
            others: Vec::new(),
            holdings: holdings.collect(),
            fills: Vec::new(),
            updated_ms: opened_ms,
        }
    }

    /// The account of each key, in the order of the keys that open one.
    pub(crate) fn open(keys: Vec<ApiKey>, opening: &[(Currency, i64)], opened_ms: i64) -> Vec<Self> {
        let (sharing, opens): (Vec<ApiKey>, Vec<ApiKey>) =
            keys.into_iter().partition(|key| key.shares.is_some());
        let mut accounts: Vec<Self> = opens
            .into_iter()
            .map(|key| Self::new(key, opening, opened_ms))
            .collect();
        for key in sharing {
            let first = accounts
                .iter_mut()
                .find(|account| key.shares.as_ref() == Some(&account.key.key));
            if let Some(account) = first {
                account.others.push(key);
            }
        }
        accounts
    }

    /// Its key of this name.
    pub(crate) fn key_named(&self, name: &str) -> Option<&ApiKey> {
        std::iter::once(&self.key)
            .chain(&self.others)
            .find(|key| key.key == name)
    }

    /// The account that has a key of this name, and the key.
    pub(crate) fn find<'a>(accounts: &'a [Self], name: &str) -> Option<(usize, &'a ApiKey)> {
        let mut found = accounts.iter().enumerate();
        found.find_map(|(index, account)| Some((index, account.key_named(name)?)))
    }

    pub(crate) fn holding(&self, currency: Currency) -> Holding {
        self.holdings.get(&currency).copied().unwrap_or_default()
    }

    /// Moves `amount` from free to locked.
    pub(crate) fn lock(&mut self, currency: Currency, amount: i128) {
        let holding = self.holdings.entry(currency).or_default();
        holding.free -= amount;
        holding.locked += amount;
    }

    /// Moves `amount` from locked to free.
    pub(crate) fn release(&mut self, currency: Currency, amount: i128) {
        self.lock(currency, -amount);
    }

    /// Pays `amount` out of what is locked.
    pub(crate) fn spend(&mut self, currency: Currency, amount: i128) {
        self.holdings.entry(currency).or_default().locked -= amount;
    }

    /// Adds `amount` (negative: a fee) to what is free.
    pub(crate) fn receive(&mut self, currency: Currency, amount: i128) {
        self.holdings.entry(currency).or_default().free += amount;
    }

    pub(crate) fn keep_fill(&mut self, fill: FillRecord) {
        if self.fills.len() >= FILLS_KEPT {
            self.fills.remove(0);
        }
        self.fills.push(fill);
    }

    /// Every asset it holds or held.
    pub(crate) fn holdings(&self) -> impl Iterator<Item = (Currency, Holding)> {
        self.holdings
            .iter()
            .map(|(&currency, &holding)| (currency, holding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_locked_is_paid_or_released() {
        let usdt = Currency::new("USDT").unwrap();
        let mut account = Account::new(ApiKey::new("key_alpha", "secret_a"), &[(usdt, 10 * SCALE)], 0);
        let one = i128::from(SCALE) * i128::from(SCALE);
        account.lock(usdt, 4 * one);
        account.spend(usdt, one);
        account.release(usdt, 3 * one);
        account.receive(usdt, -one / 2);
        let holding = account.holding(usdt);
        assert_eq!((holding.free, holding.locked), (8 * one + one / 2, 0));
    }
}
