//! Levels beyond the window: a sorted list in which a removed level keeps its place for a while.
//!
//! Far from the best price the same prices come and go. A level that is removed leaves a gap, a quantity of zero; one that
//! comes back at its price, or next to a gap, moves nothing.

/// Places on either side of a new level among which a gap is looked for.
const GAP_REACH: usize = 16;

/// Gaps are closed when they are more than this and a quarter of the list.
const GAPS_KEPT: usize = 64;

/// Room that is kept at least, levels: a market wanders and its book grows, and that is no moment to ask for memory. What is
/// not written to takes none.
const ROOM_MIN: usize = 4_096;

/// Room for a list that has so many levels now: twice as many, gaps included.
pub(super) fn room(levels: usize) -> usize {
    (2 * levels).max(ROOM_MIN)
}

/// Coordinates, rising, and quantities.
#[derive(Debug, Clone, Default)]
pub(super) struct Far {
    levels: Vec<(i64, i64)>,
    /// Levels with a quantity of zero. The last level is none of them.
    gaps: usize,
}

impl Far {
    pub(super) const fn len(&self) -> usize {
        self.levels.len() - self.gaps
    }

    pub(super) fn clear(&mut self) {
        self.levels.clear();
        self.gaps = 0;
    }

    /// The nearest.
    pub(super) fn best(&self) -> Option<(i64, i64)> {
        self.levels.last().copied()
    }

    /// The nearest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.levels
            .iter()
            .rev()
            .copied()
            .filter(|(_, quantity)| *quantity != 0)
    }

    /// Takes over levels in rising order, into an empty list with room for as many more.
    pub(super) fn fill(&mut self, levels: impl ExactSizeIterator<Item = (i64, i64)>) {
        self.levels.reserve(room(levels.len()));
        self.levels.extend(levels);
    }

    /// Sets a level; what was there.
    pub(super) fn set(&mut self, coordinate: i64, quantity: i64) -> i64 {
        let at = self.levels.partition_point(|(there, _)| *there < coordinate);
        match self.levels.get_mut(at) {
            Some(found) if found.0 == coordinate => {
                let before = std::mem::replace(&mut found.1, quantity);
                match (before == 0, quantity == 0) {
                    (true, false) => self.gaps -= 1,
                    (false, true) => self.leave_gap(),
                    _ => {}
                }
                before
            }
            _ if quantity == 0 => 0,
            _ => {
                self.insert(at, (coordinate, quantity));
                0
            }
        }
    }

    /// Removes the farthest level; its coordinate.
    pub(super) fn take_farthest(&mut self) -> Option<i64> {
        let at = self.levels.iter().position(|(_, quantity)| *quantity != 0)?;
        let (coordinate, _) = self.levels[at];
        self.levels.drain(..=at);
        self.gaps -= at;
        Some(coordinate)
    }

    fn insert(&mut self, at: usize, level: (i64, i64)) {
        if self.gaps > 0 {
            let is_gap = |place: &usize| self.levels[*place].1 == 0;
            if let Some(gap) = (at..self.levels.len().min(at + GAP_REACH)).find(is_gap) {
                self.levels.copy_within(at..gap, at + 1);
                self.levels[at] = level;
                self.gaps -= 1;
                return;
            }
            if let Some(gap) = (at.saturating_sub(GAP_REACH)..at).rev().find(is_gap) {
                self.levels.copy_within(gap + 1..at, gap);
                self.levels[at - 1] = level;
                self.gaps -= 1;
                return;
            }
        }
        self.levels.insert(at, level);
    }

    fn leave_gap(&mut self) {
        self.gaps += 1;
        while self.levels.pop_if(|(_, quantity)| *quantity == 0).is_some() {
            self.gaps -= 1;
        }
        if self.gaps > GAPS_KEPT && self.gaps > self.levels.len() / 4 {
            self.levels.retain(|(_, quantity)| *quantity != 0);
            self.gaps = 0;
        }
    }
}
