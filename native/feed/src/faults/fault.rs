//! What can happen to one message on its way.

use bytes::Bytes;
use fastrand::Rng;

/// A fault of the network, the venue or a wire between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The message never comes.
    Lost,
    /// It comes twice.
    Twice,
    /// It comes behind the next message of the same book.
    Late,
    /// One digit of one of its numbers is another.
    Digit,
    /// Bids are called asks, or asks bids.
    Side,
    /// It ends before its end.
    Cut,
    /// One byte is another.
    Byte,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Lost,
        Self::Twice,
        Self::Late,
        Self::Digit,
        Self::Side,
        Self::Cut,
        Self::Byte,
    ];

    /// The name used in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Twice => "twice",
            Self::Late => "late",
            Self::Digit => "digit",
            Self::Side => "side",
            Self::Cut => "cut",
            Self::Byte => "byte",
        }
    }

    /// Whether it changes which messages come, not what they say.
    #[must_use]
    pub const fn is_of_sequence(self) -> bool {
        matches!(self, Self::Lost | Self::Twice | Self::Late)
    }

    /// The message as it arrives; `None` where this fault cannot happen to it.
    pub(super) fn damage(self, message: &[u8], rng: &mut Rng) -> Option<Bytes> {
        match self {
            Self::Lost | Self::Twice | Self::Late => None,
            Self::Digit => other_digit(message, rng),
            Self::Side => other_side(message, rng),
            Self::Cut => {
                (message.len() > 1).then(|| Bytes::copy_from_slice(&message[..rng.usize(1..message.len())]))
            }
            Self::Byte => {
                let mut damaged = message.to_vec();
                let at = rng.usize(..damaged.len().max(1));
                *damaged.get_mut(at)? ^= rng.u8(1..);
                Some(damaged.into())
            }
        }
    }
}

fn other_digit(message: &[u8], rng: &mut Rng) -> Option<Bytes> {
    let digits: Vec<usize> = (0..message.len())
        .filter(|&at| message[at].is_ascii_digit())
        .collect();
    let at = *digits.get(rng.usize(..digits.len().max(1)))?;
    let mut damaged = message.to_vec();
    damaged[at] = b'0' + (message[at] - b'0' + rng.u8(1..10)) % 10;
    Some(damaged.into())
}

/// Words by which the wires name a side, each with its opposite.
const SIDES: [(&[u8], &[u8]); 6] = [
    (b"\"b\":", b"\"a\":"),
    (b"\"bids\":", b"\"asks\":"),
    (b"\"bid\"", b"\"offer\""),
    (b"\"buy\"", b"\"sell\""),
    (b"\"LimitBid\"", b"\"LimitOffer\""),
    (b"\"bs\":", b"\"as\":"),
];

/// One word of a side becomes its opposite; where both stand once, they change places.
fn other_side(message: &[u8], rng: &mut Rng) -> Option<Bytes> {
    let mut places: Vec<(usize, &[u8], &[u8])> = Vec::new();
    for (one, other) in SIDES {
        for (word, opposite) in [(one, other), (other, one)] {
            let found = message
                .windows(word.len())
                .enumerate()
                .filter(|(_, part)| *part == word);
            places.extend(found.map(|(at, _)| (at, word, opposite)));
        }
    }
    places.sort_unstable_by_key(|(at, ..)| *at);
    // A word that names a whole side is no word twice: both must change.
    let keys = places.iter().filter(|(_, word, _)| word.ends_with(b":")).count();
    let chosen: Vec<_> = if keys > 0 {
        places
            .into_iter()
            .filter(|(_, word, _)| word.ends_with(b":"))
            .collect()
    } else {
        let at = rng.usize(..places.len().max(1));
        places.get(at).into_iter().copied().collect()
    };
    if chosen.is_empty() {
        return None;
    }
    let mut damaged = Vec::with_capacity(message.len() + 8);
    let mut copied = 0;
    for (at, word, opposite) in chosen {
        damaged.extend_from_slice(&message[copied..at]);
        damaged.extend_from_slice(opposite);
        copied = at + word.len();
    }
    damaged.extend_from_slice(&message[copied..]);
    Some(damaged.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damaged(fault: Fault, message: &str) -> Option<String> {
        let bytes = fault.damage(message.as_bytes(), &mut Rng::with_seed(7))?;
        Some(String::from_utf8(bytes.to_vec()).expect("text"))
    }

    #[test]
    fn one_digit_is_another() {
        let message = r#"{"p":"12.50"}"#;
        let other = damaged(Fault::Digit, message).unwrap();
        let differing = message.bytes().zip(other.bytes()).filter(|(one, two)| one != two);
        assert_eq!((differing.count(), other.len()), (1, message.len()));
        assert_eq!(damaged(Fault::Digit, "[]"), None);
    }

    #[test]
    fn sides_change_places() {
        assert_eq!(
            damaged(Fault::Side, r#"{"b":[1],"a":[2]}"#).unwrap(),
            r#"{"a":[1],"b":[2]}"#
        );
        assert_eq!(
            damaged(Fault::Side, r#"{"side":"offer"}"#).unwrap(),
            r#"{"side":"bid"}"#
        );
        assert_eq!(damaged(Fault::Side, r#"{"heartbeat":1}"#), None);
    }

    #[test]
    fn a_cut_is_shorter_and_a_byte_is_one() {
        let message = "{\"u\":157}";
        assert!(damaged(Fault::Cut, message).unwrap().len() < message.len());
        let byte = Fault::Byte
            .damage(message.as_bytes(), &mut Rng::with_seed(3))
            .unwrap();
        assert_eq!(
            message.bytes().zip(byte).filter(|(one, two)| one != two).count(),
            1
        );
    }
}
