//! What one connection subscribed to.

use std::collections::BTreeMap;

use domain::Currency;

use super::book::ShownBook;

/// A connection of either socket.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// The older socket.
    pub(super) is_v1: bool,
    pub(super) book: Option<ShownBook>,
    /// The book as single orders: one at each price.
    pub(super) level3: Option<ShownBook>,
    pub(super) trade: bool,
    pub(super) ticker: Option<Trigger>,
    /// Bars of the record's span are told.
    pub(super) ohlc: bool,
    pub(super) instrument: bool,
    /// The account whose orders are told.
    pub(super) executions: Option<usize>,
    /// The account whose balances are told, with what was told last.
    pub(super) balances: Option<(usize, BTreeMap<Currency, i128>)>,
    /// Number of the last message about an account.
    pub(super) sequence: u64,
}

/// What makes a ticker be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    Trades,
    BestPrices,
}

impl Session {
    pub(super) fn v1() -> Self {
        Self {
            is_v1: true,
            ..Self::default()
        }
    }

    /// Whether it carries an account's data.
    pub(crate) fn is_account(&self) -> bool {
        self.executions.is_some() || self.balances.is_some()
    }

    /// Whether it subscribed to anything: heartbeats come only then.
    pub(super) fn listens(&self) -> bool {
        self.book.is_some()
            || self.level3.is_some()
            || self.trade
            || self.ticker.is_some()
            || self.ohlc
            || self.instrument
            || self.is_account()
    }

    /// The number of the next message about an account.
    pub(super) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}
