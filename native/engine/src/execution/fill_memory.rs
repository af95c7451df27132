//! Remembers which fills were booked, so that a repeated report is booked once.
//!
//! A ring of keys in the order they came, and a hash table of their places with linear probing. The hash
//! is fixed, so equal histories give equal tables.

use domain::Side;

use crate::engine::FillKey;
use crate::limits::FILLS_REMEMBERED;

/// Places in the table: twice the keys, a power of two.
const TABLE_SIZE: usize = (2 * FILLS_REMEMBERED).next_power_of_two();

/// Marks a free place in the table.
const FREE: u16 = u16::MAX;

// A place is stored in 16 bits beside the mark.
const _: () = assert!(FILLS_REMEMBERED < FREE as usize);

/// The last [`FILLS_REMEMBERED`] fills.
#[derive(Debug)]
pub(crate) struct FillMemory {
    /// Ring of keys; `next` is the oldest once it is full.
    keys: Vec<FillKey>,
    next: usize,
    table: Box<[u16]>,
}

impl FillMemory {
    pub(crate) fn new() -> Self {
        Self {
            keys: Vec::with_capacity(FILLS_REMEMBERED),
            next: 0,
            table: vec![FREE; TABLE_SIZE].into_boxed_slice(),
        }
    }

    pub(crate) fn contains(&self, key: &FillKey) -> bool {
        self.table[self.place_of(key)] != FREE
    }

    /// Remembers a fill, forgetting the oldest when full; a fill that is known stays as it is.
    pub(crate) fn insert(&mut self, key: FillKey) {
        if self.contains(&key) {
            return;
        }
        let at = self.next;
        if self.keys.len() < FILLS_REMEMBERED {
            self.keys.push(key);
        } else {
            self.forget(at);
            self.keys[at] = key;
        }
        self.next = (at + 1) % FILLS_REMEMBERED;
        let place = self.place_of(&key);
        // In range: FILLS_REMEMBERED fits in 16 bits (checked above).
        self.table[place] = u16::try_from(at).unwrap_or(FREE);
    }

    /// The fills, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &FillKey> {
        let oldest = if self.keys.len() < FILLS_REMEMBERED {
            0
        } else {
            self.next
        };
        self.keys[oldest..].iter().chain(&self.keys[..oldest])
    }

    /// The fills, newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &FillKey> {
        let (newer, older) = self.keys.split_at(self.next.min(self.keys.len()));
        newer.iter().rev().chain(older.iter().rev())
    }

    /// Where the key is, or the free place where it would go.
    fn place_of(&self, key: &FillKey) -> usize {
        let mut place = home(key);
        loop {
            let at = self.table[place];
            if at == FREE || self.keys[usize::from(at)] == *key {
                return place;
            }
            place = (place + 1) % TABLE_SIZE;
        }
    }

    /// Takes the key at ring position `at` out of the table, closing the gap in its probe chain.
    fn forget(&mut self, at: usize) {
        let mut gap = self.place_of(&self.keys[at]);
        let mut place = gap;
        loop {
            place = (place + 1) % TABLE_SIZE;
            let there = self.table[place];
            if there == FREE {
                break;
            }
            let wanted = home(&self.keys[usize::from(there)]);
            // It may move into the gap unless its home lies between the gap and its place.
            let from_home = (place + TABLE_SIZE - wanted) % TABLE_SIZE;
            let from_gap = (place + TABLE_SIZE - gap) % TABLE_SIZE;
            if from_home >= from_gap {
                self.table[gap] = there;
                gap = place;
            }
        }
        self.table[gap] = FREE;
    }
}

/// The place where the search for a key begins: SplitMix64's finaliser over its parts.
fn home(key: &FillKey) -> usize {
    let side = match key.side {
        Side::Buy => 0,
        Side::Sell => 1,
    };
    let mixed = key.trade_id.0 ^ (u64::from(key.instrument.0) << 48) ^ (side << 63);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let masked = (mixed ^ (mixed >> 31)) & (TABLE_SIZE as u64 - 1);
    usize::try_from(masked).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};

    use domain::{InstrumentId, TradeId};
    use proptest::prelude::*;

    use super::*;

    fn key(number: u64) -> FillKey {
        let side = if number.is_multiple_of(2) {
            Side::Buy
        } else {
            Side::Sell
        };
        FillKey {
            instrument: InstrumentId(0),
            trade_id: TradeId(number / 2),
            side,
        }
    }

    #[test]
    fn a_self_trade_has_two_fills_of_one_number() {
        let mut memory = FillMemory::new();
        memory.insert(key(10));
        assert!(memory.contains(&key(10)));
        assert!(!memory.contains(&key(11)), "the other side of trade 5");
    }

    #[test]
    fn forgets_the_oldest_and_nothing_else() {
        let mut memory = FillMemory::new();
        let last = 3 * FILLS_REMEMBERED as u64 + 5;
        for number in 0..last {
            memory.insert(key(number));
        }
        let kept: Vec<_> = memory.iter().copied().collect();
        let expected: Vec<_> = (last - FILLS_REMEMBERED as u64..last).map(key).collect();
        assert_eq!(kept, expected);
        assert!(expected.iter().all(|one| memory.contains(one)));
        assert!(!memory.contains(&key(last - FILLS_REMEMBERED as u64 - 1)));
        let used = memory.table.iter().filter(|&&at| at != FREE).count();
        assert_eq!(used, FILLS_REMEMBERED);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn equals_a_set_with_a_queue(numbers in prop::collection::vec(0u64..20_000, 0..30_000)) {
            let mut memory = FillMemory::new();
            let (mut set, mut queue) = (BTreeSet::new(), VecDeque::new());
            for number in numbers {
                prop_assert_eq!(memory.contains(&key(number)), set.contains(&number));
                memory.insert(key(number));
                if set.insert(number) {
                    queue.push_back(number);
                    if queue.len() > FILLS_REMEMBERED {
                        set.remove(&queue.pop_front().unwrap());
                    }
                }
            }
        }
    }
}
