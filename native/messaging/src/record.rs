//! The latest answer to each recent command, so that a repeated request is answered and not obeyed twice.

use std::collections::{BTreeMap, VecDeque};

use crate::keys::KeyId;
use crate::router::Identity;

/// A key's counter names a command for ever.
pub(crate) type CommandKey = (KeyId, u64);

/// What is kept of one command.
#[derive(Debug)]
pub(crate) struct Entry {
    /// SHA-256 of what was signed.
    pub(crate) content: [u8; 32],
    /// Who asked last: answers go there too.
    pub(crate) asker: Identity,
    /// The latest acknowledgement's bytes; `None` before the first.
    pub(crate) ack: Option<Vec<u8>>,
}

/// The most recent commands, at most so many; the oldest goes first.
#[derive(Debug)]
pub(crate) struct Record {
    bound: usize,
    entries: BTreeMap<CommandKey, Entry>,
    order: VecDeque<CommandKey>,
}

impl Record {
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            bound,
            entries: BTreeMap::new(),
            order: VecDeque::with_capacity(bound),
        }
    }

    /// Keeps a command that has just been admitted: its counter was never used before.
    pub(crate) fn admit(&mut self, key: CommandKey, content: [u8; 32], asker: Identity) {
        if self.order.len() == self.bound
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
        let entry = Entry {
            content,
            asker,
            ack: None,
        };
        if self.entries.insert(key, entry).is_none() {
            self.order.push_back(key);
        }
    }

    /// The command of this key, if it had this very content.
    pub(crate) fn repeated(&mut self, key: CommandKey, content: &[u8; 32]) -> Option<&mut Entry> {
        self.entries
            .get_mut(&key)
            .filter(|entry| entry.content == *content)
    }

    pub(crate) fn get_mut(&mut self, key: CommandKey) -> Option<&mut Entry> {
        self.entries.get_mut(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(counter: u64) -> CommandKey {
        (KeyId([7; 32]), counter)
    }

    #[test]
    fn at_its_bound_the_oldest_goes() {
        let mut record = Record::new(3);
        for counter in 1..=5 {
            record.admit(
                key(counter),
                [u8::try_from(counter).expect("small"); 32],
                Identity::default(),
            );
        }
        for (counter, kept) in [(1, false), (2, false), (3, true), (4, true), (5, true)] {
            assert_eq!(record.get_mut(key(counter)).is_some(), kept, "{counter}");
        }
        assert_eq!(record.entries.len(), record.order.len());
    }

    #[test]
    fn other_content_under_the_same_counter_is_no_repeat() {
        let mut record = Record::new(3);
        record.admit(key(1), [1; 32], Identity::default());
        assert!(record.repeated(key(1), &[1; 32]).is_some());
        assert!(record.repeated(key(1), &[2; 32]).is_none());
        assert!(record.repeated(key(2), &[1; 32]).is_none());
    }
}
