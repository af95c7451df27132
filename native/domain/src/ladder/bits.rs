//! A set of slots in which the highest, and the next one below another, are found in three looks.

/// Bits of one word.
const WORD: usize = 64;

/// Words of the middle floor. All floors have their whole size: where a slot lies is a matter of shifts alone.
const GROUPS: usize = 16;

/// Most slots.
pub(super) const SLOTS_MAX: usize = GROUPS * WORD * WORD;

/// A set of numbers below [`SLOTS_MAX`].
#[derive(Debug, Clone)]
pub(super) struct Bits {
    floors: Box<Floors>,
    /// One bit for each word of the middle that is not empty.
    top: u64,
}

#[derive(Debug, Clone)]
struct Floors {
    /// One bit for each slot.
    ground: [u64; GROUPS * WORD],
    /// One bit for each word of the ground that is not empty.
    middle: [u64; GROUPS],
}

impl Default for Bits {
    fn default() -> Self {
        Self {
            floors: Box::new(Floors {
                ground: [0; GROUPS * WORD],
                middle: [0; GROUPS],
            }),
            top: 0,
        }
    }
}

impl Bits {
    /// Takes all out.
    pub(super) fn clear(&mut self) {
        self.floors.ground.fill(0);
        self.floors.middle = [0; GROUPS];
        self.top = 0;
    }

    /// Takes a slot in, or out; whether it was in. Without a branch: which of both comes next, and whether a word empties, no
    /// processor can tell.
    #[inline]
    pub(super) fn assign(&mut self, slot: usize, is_in: bool) -> bool {
        debug_assert!(slot < SLOTS_MAX);
        let word = slot / WORD % (GROUPS * WORD);
        let group = word / WORD;
        let before = self.floors.ground[word];
        let ground = with_bit(before, slot % WORD, is_in);
        self.floors.ground[word] = ground;
        let middle = with_bit(self.floors.middle[group], word % WORD, ground != 0);
        self.floors.middle[group] = middle;
        self.top = with_bit(self.top, group, middle != 0);
        before >> (slot % WORD) & 1 != 0
    }

    /// The highest slot of the set below `bound`.
    pub(super) fn below(&self, bound: usize) -> Option<usize> {
        let (word, bit) = (bound / WORD, bound % WORD);
        if let Some(ground) = self.floors.ground.get(word)
            && let Some(found) = highest(ground & low(bit))
        {
            return Some(word * WORD + found);
        }
        let (group, bit) = (word / WORD, word % WORD);
        if let Some(middle) = self.floors.middle.get(group)
            && let Some(found) = highest(middle & low(bit))
        {
            return self.last_of(group * WORD + found);
        }
        let found = highest(self.top & low(group.min(WORD)))?;
        let word = found * WORD + highest(self.floors.middle[found])?;
        self.last_of(word)
    }

    /// One more than the highest slot below `bound`; zero where there is none.
    #[inline(never)]
    pub(super) fn top_below(&self, bound: usize) -> usize {
        self.below(bound).map_or(0, |slot| slot + 1)
    }

    /// The lowest slot of the set.
    pub(super) fn first(&self) -> Option<usize> {
        let group = lowest(self.top)?;
        let word = group * WORD + lowest(self.floors.middle[group])?;
        Some(word * WORD + lowest(self.floors.ground[word])?)
    }

    fn last_of(&self, word: usize) -> Option<usize> {
        Some(word * WORD + highest(self.floors.ground[word])?)
    }
}

/// The word with one bit set or not.
#[inline]
const fn with_bit(word: u64, bit: usize, is_set: bool) -> u64 {
    (word & !(1 << bit)) | ((is_set as u64) << bit)
}

/// The lowest `count` bits.
const fn low(count: usize) -> u64 {
    if count >= WORD { u64::MAX } else { (1 << count) - 1 }
}

const fn highest(word: u64) -> Option<usize> {
    if word == 0 {
        None
    } else {
        Some(WORD - 1 - word.leading_zeros() as usize)
    }
}

const fn lowest(word: u64) -> Option<usize> {
    if word == 0 {
        None
    } else {
        Some(word.trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equals_an_ordered_set(
            slots in 1usize..20_000,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..200),
            asked in any::<prop::sample::Index>(),
        ) {
            let (mut bits, mut set) = (Bits::default(), BTreeSet::new());
            for (slot, is_in) in changes {
                let slot = slot.index(slots);
                let was_in = if is_in { !set.insert(slot) } else { set.remove(&slot) };
                prop_assert_eq!(bits.assign(slot, is_in), was_in);
                let bound = asked.index(slots + 1);
                prop_assert_eq!(bits.below(bound), set.range(..bound).next_back().copied());
                prop_assert_eq!(bits.below(slots), set.last().copied());
                prop_assert_eq!(bits.first(), set.first().copied());
            }
        }
    }

    #[test]
    fn holds_as_many_as_its_floors_can() {
        let mut bits = Bits::default();
        bits.assign(0, true);
        bits.assign(SLOTS_MAX - 1, true);
        assert_eq!(bits.below(SLOTS_MAX), Some(SLOTS_MAX - 1));
        assert_eq!(bits.below(SLOTS_MAX - 1), Some(0));
        assert_eq!(bits.below(0), None);
    }
}
