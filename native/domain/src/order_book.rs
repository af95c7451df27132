//! What happens to single orders in a venue's public book (L3).

use std::fmt;

use crate::order::Side;
use crate::price::{Price, Quantity};

/// Characters of [`PublicOrderId::from_text`] and its value of "none".
const TEXT_BASE: u128 = 38;

/// Longest text of [`PublicOrderId::from_text`]: 38 to the power of 24 fits into 128 bits.
const TEXT_CHARACTERS_MAX: usize = 24;

/// The venue's public name of an order: the 128 bits of a UUID, or a short text packed into as many.
///
/// Whose order it is, nobody says. Within one book no two orders share a name; across venues the number means nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicOrderId(pub u128);

impl PublicOrderId {
    /// From a UUID in its canonical form, such as `be3c69b7-1c5e-446f-b80d-8398aae065c5`, digits in either case; `None`
    /// for anything else.
    ///
    /// ```
    /// use domain::PublicOrderId;
    /// let id = PublicOrderId::from_uuid(b"00000000-0000-0000-0000-0000000000ff").unwrap();
    /// assert_eq!(id, PublicOrderId(255));
    /// assert_eq!(PublicOrderId::from_uuid(b"OQCLML-BW3P3-BUCMWZ"), None);
    /// ```
    #[must_use]
    pub fn from_uuid(text: &[u8]) -> Option<Self> {
        let text: &[u8; 36] = text.try_into().ok()?;
        let mut value = 0;
        for (at, &byte) in text.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return None;
                }
                continue;
            }
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                b'A'..=b'F' => byte - b'A' + 10,
                _ => return None,
            };
            value = value << 4 | u128::from(digit);
        }
        Some(Self(value))
    }

    /// From one to 24 upper-case letters, digits and hyphens, such as `OQCLML-BW3P3-BUCMWZ`: no two texts give one id.
    /// `None` for anything else.
    ///
    /// ```
    /// use domain::PublicOrderId;
    /// let id = PublicOrderId::from_text(b"OQCLML-BW3P3-BUCMWZ");
    /// assert!(id.is_some() && id != PublicOrderId::from_text(b"OQCLML-BW3P3-BUCMW"));
    /// assert_eq!(PublicOrderId::from_text(b""), None);
    /// ```
    #[must_use]
    pub fn from_text(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() > TEXT_CHARACTERS_MAX {
            return None;
        }
        let value = text.iter().try_fold(0, |value, &byte| {
            let character = match byte {
                b'0'..=b'9' => byte - b'0' + 1,
                b'A'..=b'Z' => byte - b'A' + 11,
                b'-' => 37,
                _ => return None,
            };
            Some(value * TEXT_BASE + u128::from(character))
        });
        value.map(Self)
    }
}

impl fmt::Debug for PublicOrderId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PublicOrderId({:032x})", self.0)
    }
}

/// An order that rests in a public book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicOrder {
    /// Its name.
    pub id: PublicOrderId,
    /// Its side.
    pub side: Side,
    /// Its price, positive.
    pub price: Price,
    /// What is left of it, positive.
    pub quantity: Quantity,
}

/// What happened to one order of a public book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderBookEvent {
    /// It came to rest, behind all others of its price.
    Add(PublicOrder),
    /// This is left of it now; zero removes it. With less than before it keeps its place, with more it goes to the end.
    Change {
        /// Which order.
        id: PublicOrderId,
        /// What is left.
        quantity: Quantity,
    },
    /// So much of it traded.
    Execute {
        /// Which order.
        id: PublicOrderId,
        /// How much, positive.
        quantity: Quantity,
    },
    /// It rests somewhere else now, at another price or with another quantity, behind all others there.
    Move(PublicOrder),
    /// It is gone.
    Cancel {
        /// Which order.
        id: PublicOrderId,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_canonical_form_of_a_uuid_is_one() {
        let id = PublicOrderId::from_uuid(b"be3c69b7-1c5e-446f-b80d-8398aae065c5").unwrap();
        assert_eq!(id, PublicOrderId(0xbe3c_69b7_1c5e_446f_b80d_8398_aae0_65c5));
        assert_eq!(
            Some(id),
            PublicOrderId::from_uuid(b"BE3C69B7-1C5E-446F-B80D-8398AAE065C5")
        );
        for text in [
            "be3c69b71c5e446fb80d8398aae065c5",
            "be3c69b7-1c5e-446f-b80d-8398aae065c",
            "be3c69b7-1c5e-446f-b80d-8398aae065c5 ",
            "be3c69b7-1c5e-446f-b80d08398aae065c5",
            "ge3c69b7-1c5e-446f-b80d-8398aae065c5",
        ] {
            assert_eq!(PublicOrderId::from_uuid(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_longest_text_fits() {
        assert!(PublicOrderId::from_text(&[b'-'; 24]).is_some());
        assert_eq!(PublicOrderId::from_text(&[b'-'; 25]), None);
        assert_eq!(PublicOrderId::from_text(b"lower"), None);
    }

    proptest! {
        #[test]
        fn no_two_texts_give_one_id(a in "[A-Z0-9-]{1,24}", b in "[A-Z0-9-]{1,24}") {
            let id = |text: &str| PublicOrderId::from_text(text.as_bytes()).unwrap();
            prop_assert_eq!(a == b, id(&a) == id(&b));
        }
    }
}
