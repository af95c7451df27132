//! What a request says: its parameters, and whether its sender may say it.

use domain::{Nanos, Price, Quantity, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::binance::api_error::{AHEAD_MAX, ApiError, RECV_WINDOW_DEFAULT_MS, RECV_WINDOW_MAX_MS};

/// Most parameters of one request.
const PARAMETERS_MAX: usize = 64;

/// The parameters of a request, in the order in which they were sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// From the query string and a form body; both may hold parameters.
    pub(crate) fn from_text(query: &str, body: &str) -> Result<Self, ApiError> {
        let mut params = Self::default();
        let pairs = [query, body]
            .into_iter()
            .flat_map(|text| url::form_urlencoded::parse(text.as_bytes()));
        for (name, value) in pairs {
            params.insert(name.into_owned(), value.into_owned())?;
        }
        Ok(params)
    }

    /// From the `params` object of the WebSocket API; numbers and booleans count as their text.
    pub(crate) fn from_json(object: Option<&serde_json::Map<String, Value>>) -> Result<Self, ApiError> {
        let mut params = Self::default();
        for (name, value) in object.into_iter().flatten() {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                _ => return Err(ApiError::illegal(name)),
            };
            params.insert(name.clone(), text)?;
        }
        Ok(params)
    }

    fn insert(&mut self, name: String, value: String) -> Result<(), ApiError> {
        if self.0.iter().any(|(known, _)| *known == name) || self.0.len() >= PARAMETERS_MAX {
            return Err(ApiError::duplicate(&name));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// The text that a WebSocket API request signs: all parameters but the signature, by name.
    pub(crate) fn sorted_payload(&self) -> String {
        let mut pairs: Vec<&(String, String)> =
            self.0.iter().filter(|(name, _)| name != "signature").collect();
        pairs.sort();
        let joined: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        joined.join("&")
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).ok_or_else(|| ApiError::missing(name))
    }

    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.get(name)
            .map(|text| text.parse().map_err(|_| ApiError::illegal(name)))
            .transpose()
    }

    pub(crate) fn price(&self, name: &str) -> Result<Option<Price>, ApiError> {
        self.get(name)
            .map(|text| number(name, text).map(Price::from_units))
            .transpose()
    }

    pub(crate) fn quantity(&self, name: &str) -> Result<Option<Quantity>, ApiError> {
        self.get(name)
            .map(|text| number(name, text).map(Quantity::from_units))
            .transpose()
    }
}

fn number(name: &str, text: &str) -> Result<i64, ApiError> {
    match Price::parse(text.as_bytes()) {
        Ok(price) if price > Price::ZERO => Ok(price.units()),
        Err(domain::FixedPointError::TooPrecise) => Err(ApiError::precision()),
        Ok(_) | Err(_) => Err(ApiError::illegal(name)),
    }
}

/// The signed text of a REST request: query and body as they were sent, joined without a separator, without the
/// signature itself.
pub(crate) fn rest_payload(query: &str, body: &str) -> String {
    [query, body].map(without_signature).concat()
}

fn without_signature(text: &str) -> String {
    let kept: Vec<&str> = text
        .split('&')
        .filter(|pair| !pair.starts_with("signature="))
        .collect();
    kept.join("&")
}

/// Checks the HMAC-SHA256 of `payload`, sent in hexadecimal.
pub(crate) fn check_signature(secret: &str, payload: &str, signature: &str) -> Result<(), ApiError> {
    let expected = hex::decode(signature).map_err(|_| ApiError::signature())?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| ApiError::signature())?;
    mac.update(payload.as_bytes());
    // Compares in constant time.
    mac.verify_slice(&expected).map_err(|_| ApiError::signature())
}

/// Checks `timestamp` and `recvWindow` against venue time.
///
/// Both bounds limit the time a request spends on the network, which runs in wall time: `to_venue` says how much
/// venue time passes meanwhile. Without compression this is the venue's own rule.
pub(crate) fn check_timestamp(
    params: &Params,
    now: Timestamp,
    to_venue: impl Fn(Nanos) -> Nanos,
) -> Result<(), ApiError> {
    let sent = params
        .integer("timestamp")?
        .ok_or_else(|| ApiError::missing("timestamp"))?;
    let window = match params.get("recvWindow") {
        // Up to three decimals of a millisecond are allowed.
        Some(text) => number("recvWindow", text)? / 100,
        None => RECV_WINDOW_DEFAULT_MS * 1_000_000,
    };
    if window > RECV_WINDOW_MAX_MS * 1_000_000 {
        return Err(ApiError::window_too_large());
    }
    // The venue's clock shows whole milliseconds, as the sender's does.
    let sent = Timestamp::from_millis(sent);
    let now = Timestamp::from_millis(now.millis());
    if sent > now.plus(to_venue(AHEAD_MAX)) {
        return Err(ApiError::ahead_of_server());
    }
    if now > sent.plus(to_venue(Nanos(window))) {
        return Err(ApiError::outside_window());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the venue's documentation for signed requests.
    const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";

    #[test]
    fn the_documented_example_is_accepted() {
        let query = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC";
        let body = "quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559";
        let whole = format!("{query}&{body}");
        let signature = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71";
        assert_eq!(
            check_signature(
                SECRET,
                &rest_payload("", &format!("{whole}&signature={signature}")),
                signature
            ),
            Ok(())
        );
        // Mixed: the documentation joins query and body without `&`.
        let mixed = "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77";
        assert_eq!(check_signature(SECRET, &rest_payload(query, body), mixed), Ok(()));
        assert_eq!(check_signature(SECRET, &whole, mixed), Err(ApiError::signature()));
        assert_eq!(
            check_signature(SECRET, &whole, "not hexadecimal"),
            Err(ApiError::signature())
        );
    }

    fn stamped(text: &str, now_ms: i64) -> Result<(), ApiError> {
        let params = Params::from_text(text, "").unwrap();
        check_timestamp(&params, Timestamp::from_millis(now_ms), |wall| wall)
    }

    #[test]
    fn the_window_is_kept_at_its_edges() {
        assert_eq!(stamped("timestamp=1000&recvWindow=500", 1_500), Ok(()));
        assert_eq!(
            stamped("timestamp=1000&recvWindow=500", 1_501),
            Err(ApiError::outside_window())
        );
        assert_eq!(stamped("timestamp=1000&recvWindow=500.125", 1_500), Ok(()));
        assert_eq!(stamped("timestamp=2500", 1_500), Ok(()));
        assert_eq!(stamped("timestamp=2501", 1_500), Err(ApiError::ahead_of_server()));
        assert_eq!(
            stamped("timestamp=1&recvWindow=60001", 1),
            Err(ApiError::window_too_large())
        );
        assert_eq!(stamped("recvWindow=5", 1), Err(ApiError::missing("timestamp")));
        assert_eq!(stamped("timestamp=abc", 1), Err(ApiError::illegal("timestamp")));
    }

    #[test]
    fn parameters_come_from_query_and_body_once() {
        let params = Params::from_text("a=1&b=x%20y", "c=3&empty=").unwrap();
        assert_eq!(
            (params.get("b"), params.get("c"), params.get("empty")),
            (Some("x y"), Some("3"), None)
        );
        assert_eq!(
            Params::from_text("a=1", "a=2").unwrap_err(),
            ApiError::duplicate("a")
        );
    }

    #[test]
    fn a_socket_request_signs_its_parameters_by_name() {
        let value: Value =
            serde_json::from_str(r#"{"timestamp":12,"apiKey":"k","signature":"s","price":"0.1"}"#).unwrap();
        let params = Params::from_json(value.as_object()).unwrap();
        assert_eq!(params.sorted_payload(), "apiKey=k&price=0.1&timestamp=12");
    }
}
