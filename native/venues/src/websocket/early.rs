//! What comes before a handshake is done and is passed on after it.

use bytes::Bytes;
use domain::Timestamp;

use crate::backlog::WAITING_BYTES_MAX;

/// Most messages that come before a handshake is done and are passed on after it.
const EARLY_MESSAGES_MAX: usize = 4_096;

/// Messages with the times at which they came, bounded by their number and by [`WAITING_BYTES_MAX`].
#[derive(Debug, Default)]
pub(super) struct Early {
    messages: Vec<(Timestamp, Bytes)>,
    bytes: usize,
}

impl Early {
    /// Keeps a message; `false`, with nothing kept, where there is no room.
    pub(super) fn push(&mut self, at: Timestamp, message: Bytes) -> bool {
        let bytes = self.bytes.saturating_add(message.len());
        let has_room = self.messages.len() < EARLY_MESSAGES_MAX && bytes <= WAITING_BYTES_MAX;
        if has_room {
            self.bytes = bytes;
            self.messages.push((at, message));
        }
        has_room
    }
}

impl IntoIterator for Early {
    type Item = (Timestamp, Bytes);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.messages.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::MESSAGE_BYTES_MAX;

    #[test]
    fn is_bounded_by_number() {
        let mut early = Early::default();
        for _ in 0..EARLY_MESSAGES_MAX {
            assert!(early.push(Timestamp::EPOCH, Bytes::from_static(b"{}")));
        }
        assert!(!early.push(Timestamp::EPOCH, Bytes::from_static(b"{}")));
        assert_eq!(early.into_iter().count(), EARLY_MESSAGES_MAX);
    }

    #[test]
    fn is_bounded_by_bytes() {
        let largest = Bytes::from(vec![b' '; MESSAGE_BYTES_MAX]);
        let most = WAITING_BYTES_MAX / MESSAGE_BYTES_MAX;
        let mut early = Early::default();
        for _ in 0..most {
            assert!(early.push(Timestamp::EPOCH, largest.clone()));
        }
        assert!(!early.push(Timestamp::EPOCH, Bytes::from_static(b" ")));
        assert_eq!(early.into_iter().count(), most);
    }
}
