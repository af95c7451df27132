//! The parameters of a request, from a form or from JSON, every value as its text.

use std::collections::BTreeMap;

use domain::{FixedPointError, Price, Quantity};
use serde_json::value::RawValue;

use super::error::Failure;

/// Most parameters of one request.
const FIELDS_MAX: usize = 64;

/// Names with their values' texts; a list's values each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(BTreeMap<String, Vec<String>>);

impl Fields {
    /// From a form body.
    pub(crate) fn from_form(text: &str) -> Result<Self, Failure> {
        let mut fields = Self::default();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            fields.insert(name.into_owned(), vec![value.into_owned()])?;
        }
        Ok(fields)
    }

    /// From a JSON object; numbers keep the text in which they were sent.
    pub(crate) fn from_json(text: &str) -> Result<Self, Failure> {
        let object: BTreeMap<String, &RawValue> =
            serde_json::from_str(text).map_err(|_| Failure::arguments("malformed JSON"))?;
        let mut fields = Self::default();
        for (name, value) in object {
            let values = match serde_json::from_str::<Vec<&RawValue>>(value.get()) {
                Ok(list) => list.into_iter().map(plain).collect(),
                Err(_) => vec![plain(value)],
            };
            fields.insert(name, values)?;
        }
        Ok(fields)
    }

    fn insert(&mut self, name: String, values: Vec<String>) -> Result<(), Failure> {
        if self.0.len() >= FIELDS_MAX || self.0.contains_key(&name) {
            return Err(Failure::arguments(&name));
        }
        self.0.insert(name, values);
        Ok(())
    }

    /// The value of a name; `None` where it is empty or absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let first = self.0.get(name)?.first()?;
        Some(first.as_str()).filter(|value| !value.is_empty() && *value != "null")
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Failure> {
        self.get(name).ok_or_else(|| Failure::arguments(name))
    }

    /// All values of a list, which may also be one text with commas.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let values = self.0.get(name).into_iter().flatten();
        values
            .flat_map(|value| value.split(','))
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .collect()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }

    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Failure> {
        let parse = |text: &str| text.parse().map_err(|_| Failure::arguments(name));
        self.get(name).map(parse).transpose()
    }

    pub(crate) fn price(&self, name: &str) -> Result<Option<Price>, Failure> {
        self.get(name)
            .map(|text| positive(name, text).map(Price::from_units))
            .transpose()
    }

    pub(crate) fn quantity(&self, name: &str) -> Result<Option<Quantity>, Failure> {
        self.get(name)
            .map(|text| positive(name, text).map(Quantity::from_units))
            .transpose()
    }
}

/// The text of a scalar; of anything else its JSON.
fn plain(value: &RawValue) -> String {
    serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned())
}

fn positive(name: &str, text: &str) -> Result<i64, Failure> {
    match Price::parse(text.as_bytes()) {
        Ok(value) if value > Price::ZERO => Ok(value.units()),
        Err(FixedPointError::TooPrecise) if name.contains("price") => {
            Err(Failure::text("EOrder:Tick size check failed"))
        }
        Ok(_) | Err(_) => Err(Failure::arguments(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_texts_whatever_they_came_in() {
        let form = Fields::from_form("pair=XBTUSD&volume=1.25&cl_ord_id=&txid=O1,O2").unwrap();
        assert_eq!((form.get("pair"), form.get("cl_ord_id")), (Some("XBTUSD"), None));
        assert_eq!(form.list("txid"), ["O1", "O2"]);
        let json =
            Fields::from_json(r#"{"limit_price":62808.10,"post_only":true,"symbol":["BTC/USD"],"x":null}"#)
                .unwrap();
        assert_eq!(json.get("limit_price"), Some("62808.10"));
        assert_eq!(
            json.price("limit_price").unwrap(),
            Some(Price::from_units(6_280_810_000_000))
        );
        assert_eq!(
            (json.flag("post_only"), json.list("symbol"), json.get("x")),
            (true, vec!["BTC/USD".to_owned()], None)
        );
        assert_eq!(Fields::from_form("a=1&a=2").unwrap_err(), Failure::arguments("a"));
        assert_eq!(form.price("pair").unwrap_err(), Failure::arguments("pair"));
    }
}
