//! Balances as Binance spot shows them.

use domain::Currency;
use serde_json::{Value, json};

use crate::account::Account;
use crate::decimal::amount8;

impl Account {
    /// The balances as REST lists them.
    pub(crate) fn balances(&self) -> Value {
        let entries = self.holdings().map(|(currency, holding)| {
            json!({
                "asset": currency.as_str(),
                "free": amount8(holding.free),
                "locked": amount8(holding.locked),
            })
        });
        entries.collect()
    }

    /// The balances of some assets as the user stream lists them.
    pub(crate) fn positions(&self, currencies: &[Currency]) -> Value {
        let entries = currencies.iter().map(|&currency| {
            let holding = self.holding(currency);
            json!({
                "a": currency.as_str(),
                "f": amount8(holding.free),
                "l": amount8(holding.locked),
            })
        });
        entries.collect()
    }
}
