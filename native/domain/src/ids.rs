//! Identifiers. Small, `Copy`, and never interchangeable.

use std::fmt;

use crate::text::Text;

/// Dense index of an instrument in this process (0, 1, 2, ...), for O(1) state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct InstrumentId(pub u16);

/// A running strategy's slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SlotId(pub u16);

/// A start of the service: one more than the last one in its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u32);

/// The venue's number of a public trade or of a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TradeId(pub u64);

/// The venue's name of an order: digits or a UUID, at most 40 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VenueOrderId(pub Text<40>);

/// SHA-256 of a bundle's canonical manifest: the bundle's identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleDigest(pub [u8; 32]);

impl BundleDigest {
    /// From 64 lower-case hexadecimal digits; `None` for anything else.
    #[must_use]
    pub fn from_hex(hex: &str) -> Option<Self> {
        let digits = hex.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(bytes))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for BundleDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for BundleDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sha256-{self}")
    }
}

/// Our own order identifier: who (slot), in which life of the service (epoch), which order (counter).
///
/// Its text form `e{epoch}-s{slot}-{counter}` is at most 28 bytes of letters, digits and hyphens,
/// which every venue accepts as a client order id; each gateway maps it one to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientOrderId {
    /// The life of the service that sent it.
    pub epoch: Epoch,
    /// The slot that owns it.
    pub slot: SlotId,
    /// Counts up from 1 over all slots of one epoch.
    pub counter: u32,
}

impl ClientOrderId {
    /// Parses the text form; `None` for an order that is not ours.
    ///
    /// ```
    /// use domain::{ClientOrderId, Epoch, SlotId};
    /// let id = ClientOrderId { epoch: Epoch(3), slot: SlotId(1), counter: 42 };
    /// assert_eq!(id.to_string(), "e3-s1-42");
    /// assert_eq!(ClientOrderId::parse("e3-s1-42"), Some(id));
    /// assert_eq!(ClientOrderId::parse("e03-s1-42"), None);
    /// assert_eq!(ClientOrderId::parse("web_91ab"), None);
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, rest) = text.strip_prefix('e')?.split_once("-s")?;
        let (slot, counter) = rest.split_once('-')?;
        let id = Self {
            epoch: Epoch(epoch.parse().ok()?),
            slot: SlotId(slot.parse().ok()?),
            counter: counter.parse().ok()?,
        };
        // Only the canonical spelling is ours: `+3` or leading zeros would map two texts to one id.
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for ClientOrderId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "e{}-s{}-{}", self.epoch.0, self.slot.0, self.counter)
    }
}
