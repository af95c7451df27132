//! Names of orders and executions.

use domain::{Text, TradeId, VenueOrderId};
use sha2::{Digest, Sha256};

use crate::error::ParseError;

/// The venue's name of an order: a UUID.
pub(super) fn venue_order_id(text: &str) -> Result<VenueOrderId, ParseError> {
    let fits = Text::new(text).filter(|_| !text.is_empty() && text.bytes().all(is_plain));
    fits.map(VenueOrderId).ok_or(ParseError::Value {
        field: "order_id",
        problem: "an order's name is 1 to 40 letters, digits and hyphens",
    })
}

/// The number of an execution: the venue's own where it is one, else the first eight bytes of the SHA-256 of its name,
/// the same by whatever way the execution is learned of.
pub(super) fn trade_id(text: &str) -> Result<TradeId, ParseError> {
    if text.is_empty() {
        return Err(ParseError::Value {
            field: "trade_id",
            problem: "an execution has a name",
        });
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if let Some(number) = text.parse().ok().filter(|_| is_number) {
        return Ok(TradeId(number));
    }
    let digest = Sha256::digest(text.as_bytes());
    let first = digest.first_chunk().copied().unwrap_or_default();
    Ok(TradeId(u64::from_be_bytes(first)))
}

/// A byte that may stand in a path, a query and a JSON text as it is.
pub(super) const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_have_one_number_each() {
        assert_eq!(trade_id("10092327").unwrap(), TradeId(10_092_327));
        // `printf %s cdc39e45-bbd3-44ec-bf02-61742dfb16a1 | sha256sum`
        let named = trade_id("cdc39e45-bbd3-44ec-bf02-61742dfb16a1").unwrap();
        assert_eq!(named, TradeId(0xb48c_a451_3d4b_a244));
        assert_ne!(trade_id("007").unwrap(), trade_id("7").unwrap());
        assert!(trade_id("").is_err());
    }

    #[test]
    fn a_name_that_could_change_a_path_is_no_name() {
        assert!(venue_order_id("52cfe5e2-0b29-4c19-a245-a6a773de5030").is_ok());
        for text in ["", "a/b", "a?b", "a\"b", "é", &"a".repeat(41)] {
            assert!(venue_order_id(text).is_err(), "{text}");
        }
    }
}
