//! Every answer and message of a venue, compared with what this build knows of its wire.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::Venue;
use serde_json::Value;
use venues::Overhear;

use crate::certificate::Difference;
use crate::shape::{Catalogue, kind};
use crate::streams::Odd;
use crate::words::Redaction;

/// What this build knows of each wire.
const CATALOGUES: [(Venue, &str); 3] = [
    (Venue::Binance, include_str!("../wire/binance.txt")),
    (Venue::Kraken, include_str!("../wire/kraken.txt")),
    (Venue::Coinbase, include_str!("../wire/coinbase.txt")),
];

/// Where a venue's refusals stand in a catalogue, whatever was asked.
const REFUSAL: &str = "refusal";

/// The question for the open orders, and where its answer lists those of the whole account, pair by pair.
const OPEN_ORDERS: (&str, &str) = ("open orders", "/result/open");

/// Hears, compares and keeps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wire {
    catalogue: Arc<Catalogue>,
    redaction: Redaction,
    /// How many orders the last list of the whole account's open ones had.
    open: Arc<Mutex<Option<usize>>>,
    pub(crate) odd: Odd,
}

impl Wire {
    /// Of a venue; an error names the catalogue's line.
    pub(crate) fn of(venue: Venue, redaction: Redaction) -> Result<Self, String> {
        let text = CATALOGUES.iter().find(|(of, _)| *of == venue);
        let text = text.ok_or_else(|| format!("{venue}: nothing is known of its wire"))?;
        Ok(Self {
            catalogue: Arc::new(Catalogue::parse(text.1)?),
            redaction,
            open: Arc::default(),
            odd: Odd::default(),
        })
    }

    /// How many orders the last list of open ones had, of whatever pair, since this was asked last. `None`: no list of the
    /// whole account came.
    pub(crate) fn take_open_of_account(&self) -> Option<usize> {
        self.open().take()
    }

    fn open(&self) -> MutexGuard<'_, Option<usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message of a stream. What is no JSON the stream's own reader tells of.
    pub(crate) fn message(&self, stream: &str, bytes: &[u8]) {
        if let Ok(message) = serde_json::from_slice::<Value>(bytes) {
            self.compare(&format!("{stream}: {}", kind(&message)), &message);
        }
    }

    fn compare(&self, place: &str, message: &Value) {
        for finding in self.catalogue.findings(place, message) {
            let text = self.redaction.text(&finding.text);
            self.odd.add_once(Difference {
                is_addition: finding.is_addition,
                ..Difference::new(place, finding.what, &text)
            });
        }
    }
}

impl Overhear for Wire {
    fn answer(&self, request: &'static str, status: u16, body: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Value>(body) else {
            // Doors before the venue word their refusals in HTML.
            if status < 400 {
                self.odd.add_once(Difference::new(request, "not JSON", ""));
            }
            return;
        };
        let errors = message.get("error").and_then(Value::as_array);
        let is_refusal = status >= 400 || errors.is_some_and(|errors| !errors.is_empty());
        let place = if is_refusal { REFUSAL } else { request };
        if place == OPEN_ORDERS.0 {
            let listed = message.pointer(OPEN_ORDERS.1).and_then(Value::as_object);
            *self.open() = listed.map(serde_json::Map::len);
        }
        if self.catalogue.knows(place) {
            self.compare(place, &message);
        } else {
            // Nobody knows whether a secret stands in it.
            self.odd.add_once(Difference::new(
                place,
                "an answer that this build does not know",
                "",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_each_venue_can_be_read() {
        for (venue, _) in CATALOGUES {
            let wire = Wire::of(venue, Redaction::default()).unwrap();
            for place in [REFUSAL, "order socket"] {
                let has_socket = venue != Venue::Coinbase || place == REFUSAL;
                assert_eq!(wire.catalogue.knows(place), has_socket, "{venue} {place}");
            }
        }
        assert!(Wire::of(Venue::BinanceUsdm, Redaction::default()).is_err());
    }

    #[test]
    fn open_orders_are_counted_over_all_pairs_once_for_each_answer() {
        let wire = Wire::of(Venue::Kraken, Redaction::default()).unwrap();
        assert_eq!(wire.take_open_of_account(), None);
        wire.answer(
            "open orders",
            200,
            br#"{"error":[],"result":{"open":{"A":{},"B":{}}}}"#,
        );
        assert_eq!(wire.take_open_of_account(), Some(2));
        assert_eq!(wire.take_open_of_account(), None);
        wire.answer(
            "open orders",
            200,
            br#"{"error":["EGeneral:Internal error"],"result":{"open":{}}}"#,
        );
        wire.answer("open orders", 200, b"[]");
        assert_eq!(wire.take_open_of_account(), None);
    }

    #[test]
    fn a_finding_is_kept_once_and_bodies_that_are_no_json_are_told() {
        let wire = Wire::of(Venue::Kraken, Redaction::of(["the-secret"])).unwrap();
        for _ in 0..2 {
            wire.answer(
                "socket token",
                200,
                br#"{"error":[],"result":{"token":7,"expires":900}}"#,
            );
            wire.answer("balances", 502, b"<html>");
            wire.answer("balances", 200, b"<html>");
            wire.answer("news", 200, br#"{"error":[],"token":"s3cret"}"#);
        }
        let kept = wire.odd.all();
        assert_eq!(kept.len(), 3, "{kept:?}");
        assert_eq!(kept[0].what, "result.token: integer, not text");
        assert_eq!(kept[0].text, "[not written down]");
        assert_eq!(
            (kept[1].place.as_str(), kept[1].what.as_str()),
            ("balances", "not JSON")
        );
        assert_eq!((kept[2].place.as_str(), kept[2].text.as_str()), ("news", ""));
    }
}
