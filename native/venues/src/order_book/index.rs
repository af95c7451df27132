//! From an order's id to its place, or from a price to its queue, in an open table that a removal leaves without traces.
//!
//! Linear probing over entries of eight bytes, at most half full. The hash is fixed, and nothing ever walks the table in
//! its own order, so that what happens does not depend on it.

/// Entries of an empty table.
const ENTRIES_AT_START: usize = 1_024;

/// A place and 32 bits of the hash that led to it; the free entry is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry(u64);

impl Entry {
    const FREE: Self = Self(0);

    fn new(tag: u32, place: u32) -> Self {
        Self((u64::from(tag) << 32) | (u64::from(place) + 1))
    }

    const fn is_free(self) -> bool {
        self.0 == 0
    }

    const fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    const fn place(self) -> u32 {
        (self.0 as u32) - 1
    }
}

/// The table.
#[derive(Debug, Clone)]
pub(super) struct Index {
    entries: Vec<Entry>,
    len: usize,
}

/// Where an id is, or where it would be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    at: usize,
    tag: u32,
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            entries: vec![Entry::FREE; ENTRIES_AT_START],
            len: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.fill(Entry::FREE);
        self.len = 0;
    }

    /// The entry of `id` and its place, or the free entry for it. `is_it` tells whether what is at a place has this id.
    pub(super) fn find(&self, id: u128, is_it: impl Fn(u32) -> bool) -> (Slot, Option<u32>) {
        let tag = hash(id);
        let mut at = self.home(tag);
        loop {
            let entry = self.entries[at];
            let slot = Slot { at, tag };
            if entry.is_free() {
                return (slot, None);
            }
            if entry.tag() == tag && is_it(entry.place()) {
                return (slot, Some(entry.place()));
            }
            at = self.after(at);
        }
    }

    /// Takes in what [`Self::find`] did not find, with nothing in between.
    pub(super) fn insert(&mut self, slot: Slot, place: u32) {
        self.entries[slot.at] = Entry::new(slot.tag, place);
        self.len += 1;
        if self.len * 2 > self.entries.len() {
            self.grow();
        }
    }

    /// Removes what [`Self::find`] found: those behind it that it had pushed on move up.
    pub(super) fn remove(&mut self, slot: Slot) {
        let mut hole = slot.at;
        let mut at = self.after(hole);
        loop {
            let entry = self.entries[at];
            if entry.is_free() {
                break;
            }
            let mask = self.entries.len() - 1;
            // From its home this entry may not move past the hole.
            let from_home = at.wrapping_sub(self.home(entry.tag())) & mask;
            let from_hole = at.wrapping_sub(hole) & mask;
            if from_home >= from_hole {
                self.entries[hole] = entry;
                hole = at;
            }
            at = self.after(at);
        }
        self.entries[hole] = Entry::FREE;
        self.len -= 1;
    }

    fn grow(&mut self) {
        let doubled = vec![Entry::FREE; self.entries.len() * 2];
        for entry in std::mem::replace(&mut self.entries, doubled) {
            if entry.is_free() {
                continue;
            }
            let mut at = self.home(entry.tag());
            while !self.entries[at].is_free() {
                at = self.after(at);
            }
            self.entries[at] = entry;
        }
    }

    /// The upper bits of the hash: a table has at most 2^32 entries.
    fn home(&self, tag: u32) -> usize {
        let bits = self.entries.len().trailing_zeros();
        (tag >> (u32::BITS - bits)) as usize
    }

    const fn after(&self, at: usize) -> usize {
        (at + 1) & (self.entries.len() - 1)
    }
}

/// 32 well-mixed bits of an id: UUIDs are random, packed text is not.
#[expect(clippy::cast_possible_truncation, reason = "both halves are taken in")]
const fn hash(id: u128) -> u32 {
    let folded = (id as u64) ^ ((id >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (folded ^ (folded >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    ((mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Few homes, so that entries push each other on and wrap around.
        #[test]
        fn equals_a_map(
            steps in prop::collection::vec((0u128..40, any::<bool>()), 0..300),
            spread in prop::sample::select(vec![1u128, 1 << 64, 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835]),
        ) {
            let mut index = Index { entries: vec![Entry::FREE; 4], len: 0 };
            let mut ids: Vec<u128> = Vec::new();
            let mut map = BTreeMap::new();
            for (number, add) in steps {
                let id = number.wrapping_mul(spread);
                let (slot, found) = index.find(id, |place| ids[place as usize] == id);
                prop_assert_eq!(found, map.get(&id).copied());
                match (found, add) {
                    (None, true) => {
                        let place = u32::try_from(ids.len()).unwrap();
                        ids.push(id);
                        index.insert(slot, place);
                        map.insert(id, place);
                    }
                    (Some(_), false) => {
                        index.remove(slot);
                        map.remove(&id);
                    }
                    _ => {}
                }
                prop_assert_eq!(index.len, map.len());
                prop_assert!(index.len * 2 <= index.entries.len());
                let taken = index.entries.iter().filter(|entry| !entry.is_free()).count();
                prop_assert_eq!(taken, map.len());
            }
            for (&id, &place) in &map {
                prop_assert_eq!(index.find(id, |at| ids[at as usize] == id).1, Some(place));
            }
        }
    }
}
