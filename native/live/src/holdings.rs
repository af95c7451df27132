//! What the account holds beside our positions.
//!
//! A venue shows one balance for each asset; which part of it is ours follows from the first comparison of a run's
//! first life, when our ledgers are empty: all of it is somebody else's. That part is kept in the run folder and
//! taken off every later balance. What comes and goes later stands in the record: see [`crate::account_watch`].

use std::collections::BTreeMap;
use std::path::Path;

use domain::{Balance, Currency, Quantity};
use serde_json::{Map, Value};

use crate::error::LiveError;
use crate::run_folder::write_durably;

/// The file in the run folder.
pub(crate) const FILE: &str = "foreign_holdings.json";

/// Quantities that are not ours, by asset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ForeignHoldings(BTreeMap<Currency, Quantity>);

impl ForeignHoldings {
    /// What an earlier comparison left; `None` when there was none.
    pub(crate) fn load(folder: &Path) -> Result<Option<Self>, LiveError> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(LiveError::File {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        parse(&text).map(Some).ok_or_else(|| LiveError::Content {
            path,
            problem: "does not hold an object of assets and decimal quantities: restore it from a copy"
                .to_owned(),
        })
    }

    /// Whether an earlier comparison has learned of the asset.
    pub(crate) fn knows(&self, asset: Currency) -> bool {
        self.0.contains_key(&asset)
    }

    /// Of this asset, everything beyond what is `accounted` for, base units.
    pub(crate) fn learn(&mut self, asset: Currency, balances: &[Balance], accounted: i128) {
        let units = i128::from(total(balances, asset).units()) - accounted;
        self.0.insert(asset, Quantity::from_units(saturate(units)));
    }

    /// What of the asset is not ours, base units.
    pub(crate) fn of(&self, asset: Currency) -> i128 {
        self.0
            .get(&asset)
            .map_or(0, |foreign| i128::from(foreign.units()))
    }

    /// Writes it to the run folder.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), LiveError> {
        let map: Map<String, Value> = self
            .0
            .iter()
            .map(|(asset, quantity)| (asset.to_string(), Value::String(quantity.to_string())))
            .collect();
        write_durably(folder, FILE, format!("{}\n", Value::Object(map)).as_bytes())
    }

    /// How much of a balance is ours, base units.
    pub(crate) fn ours(&self, asset: Currency, balances: &[Balance]) -> i128 {
        i128::from(total(balances, asset).units()) - self.of(asset)
    }
}

/// What the account has of an asset, working orders included.
fn total(balances: &[Balance], asset: Currency) -> Quantity {
    let balance = balances.iter().find(|balance| balance.currency == asset);
    balance.map_or(Quantity::ZERO, |balance| {
        balance.free.checked_add(balance.locked).unwrap_or(Quantity::MAX)
    })
}

/// The nearest quantity.
pub(crate) fn saturate(units: i128) -> i64 {
    i64::try_from(units).unwrap_or(if units < 0 { i64::MIN } else { i64::MAX })
}

fn parse(text: &str) -> Option<ForeignHoldings> {
    let Ok(Value::Object(map)) = serde_json::from_str(text) else {
        return None;
    };
    let read = map.iter().map(|(asset, quantity)| {
        let quantity = Quantity::parse(quantity.as_str()?.as_bytes()).ok()?;
        Some((Currency::new(asset)?, quantity))
    });
    read.collect::<Option<_>>().map(ForeignHoldings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balance(code: &str, free: &str, locked: &str) -> Balance {
        Balance {
            currency: Currency::new(code).unwrap(),
            free: Quantity::parse(free.as_bytes()).unwrap(),
            locked: Quantity::parse(locked.as_bytes()).unwrap(),
        }
    }

    #[test]
    fn what_was_there_before_stays_foreign_in_every_life() {
        let folder = tempfile::tempdir().unwrap();
        let btc = Currency::new("BTC").unwrap();
        assert_eq!(ForeignHoldings::load(folder.path()).unwrap(), None);
        let mut first = ForeignHoldings::default();
        assert!(!first.knows(btc));
        first.learn(btc, &[balance("BTC", "10", "0.5")], 0);
        first.save(folder.path()).unwrap();
        let again = ForeignHoldings::load(folder.path()).unwrap().unwrap();
        assert_eq!(again, first);
        assert_eq!(again.ours(btc, &[balance("BTC", "10.25", "0.5")]), 25_000_000);
        assert_eq!(again.ours(btc, &[]), -1_050_000_000, "an absent balance is zero");
    }

    #[test]
    fn a_file_that_says_something_else_is_not_guessed() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "[]", r#"{"BTC": 1}"#, r#"{"BTC": "ten"}"#, r#"{"B-C": "1"}"#] {
            std::fs::write(folder.path().join(FILE), text).unwrap();
            let error = ForeignHoldings::load(folder.path()).unwrap_err();
            assert!(matches!(error, LiveError::Content { .. }), "{text}: {error}");
        }
    }
}
