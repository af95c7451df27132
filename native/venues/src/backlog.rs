//! How many bytes of messages wait in a queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most bytes of messages that wait in one queue: eight of the largest.
pub const WAITING_BYTES_MAX: usize = 128 << 20;

/// The bytes that wait in one queue, whose number of messages has a bound of its own. Copies count the same queue.
///
/// ```
/// use venues::backlog::{Backlog, WAITING_BYTES_MAX};
/// let backlog = Backlog::default();
/// assert!(backlog.take_room(WAITING_BYTES_MAX));
/// assert!(!backlog.take_room(1));
/// backlog.give_back(WAITING_BYTES_MAX);
/// assert!(backlog.take_room(1));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Backlog(Arc<AtomicUsize>);

impl Backlog {
    /// Takes room for a message of so many bytes; `false`, with nothing taken, when there is none. What has no bytes
    /// always finds room, and any message does where nothing waits.
    #[must_use]
    pub fn take_room(&self, bytes: usize) -> bool {
        let taken = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
                let after = waiting.saturating_add(bytes);
                (bytes == 0 || waiting == 0 || after <= WAITING_BYTES_MAX).then_some(after)
            });
        taken.is_ok()
    }

    /// A message of so many bytes waits no more.
    pub fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// The bytes that wait now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_single_message_passes_and_what_has_no_bytes_always_does() {
        let backlog = Backlog::default();
        assert!(backlog.take_room(WAITING_BYTES_MAX + 1), "it is alone");
        assert!(!backlog.take_room(1));
        assert!(backlog.take_room(0));
        assert_eq!(backlog.bytes(), WAITING_BYTES_MAX + 1);
        backlog.give_back(WAITING_BYTES_MAX + 1);
        assert_eq!(backlog.bytes(), 0);
    }

    #[test]
    fn the_bound_is_one_for_all_copies() {
        let (one, other) = (Backlog::default(), Backlog::default());
        let copy = one.clone();
        assert!(one.take_room(WAITING_BYTES_MAX - 1));
        assert!(!copy.take_room(2));
        assert!(copy.take_room(1));
        assert!(other.take_room(2), "another queue");
    }
}
