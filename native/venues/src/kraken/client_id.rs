//! Our order ids in the venue's form: a UUID.
//!
//! The venue takes a UUID or free text of at most 18 characters; ours may have 28. A UUID of version 8 (RFC 9562, for
//! one's own use) carries all three parts, so the mapping is one to one and needs no memory:
//! `EEEEEEEE-SSSS-8707-9727-4000CCCCCCCC`, with epoch, slot and counter in hexadecimal. The rest is fixed, and marks
//! what is ours.

use std::fmt;

use domain::{ClientOrderId, Epoch, SlotId};

/// Bytes of the text.
pub(super) const UUID_BYTES: usize = 36;

/// The fixed part between slot and counter.
const MARK: &str = "-8707-9727-4000";

/// A client order id as the venue is told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WireId(pub(super) ClientOrderId);

impl fmt::Display for WireId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClientOrderId { epoch, slot, counter } = self.0;
        write!(out, "{:08x}-{:04x}{MARK}{counter:08x}", epoch.0, slot.0)
    }
}

impl WireId {
    /// Reads what [`fmt::Display`] writes, digits in either case; `None` for an order that is not ours.
    pub(super) fn parse(text: &str) -> Option<ClientOrderId> {
        if text.len() != UUID_BYTES || !text.is_ascii() {
            return None;
        }
        let (epoch, rest) = text.split_at(8);
        let (slot, rest) = rest.strip_prefix('-')?.split_at(4);
        let counter = rest.strip_prefix(MARK)?;
        let hex = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            u32::from_str_radix(digits, 16).ok().filter(|_| plain)
        };
        Some(ClientOrderId {
            epoch: Epoch(hex(epoch)?),
            slot: SlotId(u16::try_from(hex(slot)?).ok()?),
            counter: hex(counter)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::PublicOrderId;
    use proptest::prelude::*;

    use super::*;

    fn id(epoch: u32, slot: u16, counter: u32) -> ClientOrderId {
        ClientOrderId {
            epoch: Epoch(epoch),
            slot: SlotId(slot),
            counter,
        }
    }

    #[test]
    fn is_a_uuid_of_version_eight() {
        let text = WireId(id(3, 1, 42)).to_string();
        assert_eq!(text, "00000003-0001-8707-9727-40000000002a");
        let value = PublicOrderId::from_uuid(text.as_bytes()).unwrap().0;
        assert_eq!(value >> 76 & 0xf, 8, "version");
        assert_eq!(value >> 62 & 0b11, 0b10, "variant");
    }

    #[test]
    fn what_is_not_ours_is_foreign() {
        for text in [
            "",
            "e3-s1-42",
            "6d1b345e-2821-40e2-ad83-4ecb18a06876",
            "00000003-0001-8707-9727-40010000002a",
            "00000003-0001-8707-9727-40000000002",
            "+0000003-0001-8707-9727-40000000002a",
            "0000000g-0001-8707-9727-40000000002a",
            "00000003-0001-8707-9727-4000000000é",
        ] {
            assert_eq!(WireId::parse(text), None, "{text}");
        }
        assert_eq!(
            WireId::parse("0000000A-0001-8707-9727-40000000002A"),
            Some(id(10, 1, 42))
        );
    }

    proptest! {
        #[test]
        fn goes_there_and_back(epoch: u32, slot: u16, counter: u32) {
            let text = WireId(id(epoch, slot, counter)).to_string();
            prop_assert_eq!(text.len(), UUID_BYTES);
            prop_assert_eq!(WireId::parse(&text), Some(id(epoch, slot, counter)));
        }

        #[test]
        fn no_two_ids_share_a_text(a: (u32, u16, u32), b: (u32, u16, u32)) {
            let text = |(epoch, slot, counter)| WireId(id(epoch, slot, counter)).to_string();
            prop_assert_eq!(a == b, text(a) == text(b));
        }

        #[test]
        fn a_foreign_uuid_is_foreign(value: u128) {
            let hex = format!("{value:032x}");
            let text = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
            let ours = WireId::parse(&text);
            prop_assert_eq!(ours.is_some(), &text[13..28] == "-8707-9727-4000");
        }

        #[test]
        fn any_text_is_ours_or_foreign(text in ".{0,40}") {
            if let Some(id) = WireId::parse(&text) {
                prop_assert_eq!(WireId(id).to_string(), text.to_ascii_lowercase());
            }
        }
    }
}
