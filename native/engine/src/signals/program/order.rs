//! The values of a window in order: quantiles and ranks, by a binary search and one move of memory.

/// A window of the last `length` values, sorted.
#[derive(Debug, Clone)]
pub(super) struct OrderWindow {
    /// As they came; `at` is the oldest.
    pub(super) ring: Vec<f64>,
    pub(super) at: usize,
    /// The known ones, rising.
    sorted: Vec<f64>,
}

impl OrderWindow {
    pub(super) fn new(length: usize) -> Self {
        let length = length.max(1);
        Self {
            ring: vec![f64::NAN; length],
            at: 0,
            sorted: Vec::with_capacity(length),
        }
    }

    pub(super) fn restart(&mut self) {
        self.ring.fill(f64::NAN);
        self.at = 0;
        self.sorted.clear();
    }

    /// Puts the ring's known values in order.
    pub(super) fn sort(&mut self) {
        self.sorted.clear();
        let known = self.ring.iter().copied().filter(|value| !value.is_nan());
        self.sorted.extend(known);
        self.sorted.sort_unstable_by(f64::total_cmp);
    }

    /// Adds a value.
    pub(super) fn push(&mut self, value: f64) {
        let left = std::mem::replace(&mut self.ring[self.at], value);
        self.at = if self.at + 1 == self.ring.len() {
            0
        } else {
            self.at + 1
        };
        let place = |sorted: &[f64], value: f64| sorted.partition_point(|other| *other < value);
        let (leaves, enters) = (!left.is_nan(), !value.is_nan());
        if leaves && enters {
            let (from, to) = (place(&self.sorted, left), place(&self.sorted, value));
            if from < to {
                self.sorted[from..to].rotate_left(1);
                self.sorted[to - 1] = value;
            } else {
                self.sorted[to..=from].rotate_right(1);
                self.sorted[to] = value;
            }
        } else if leaves {
            let from = place(&self.sorted, left);
            self.sorted.remove(from);
        } else if enters {
            let to = place(&self.sorted, value);
            self.sorted.insert(to, value);
        }
    }

    /// The quantile, linear between the two values beside it; unknown while a value of the window is.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        if self.sorted.len() < self.ring.len() {
            return f64::NAN;
        }
        let last = self.sorted.len() - 1;
        let place = share * last as f64;
        let below = (super::to_u32(place.floor()) as usize).min(last);
        let (low, high) = (self.sorted[below], self.sorted[(below + 1).min(last)]);
        low + (high - low) * (place - below as f64)
    }

    /// The share of the window's values that are at most `value`, equal ones counted as their mean rank: 1 for the
    /// highest. Unknown while a value of the window is.
    pub(super) fn rank(&self, value: f64) -> f64 {
        if self.sorted.len() < self.ring.len() {
            return f64::NAN;
        }
        let below = self.sorted.partition_point(|other| *other < value);
        let up_to = self.sorted.partition_point(|other| *other <= value);
        (below as f64 + (up_to - below + 1) as f64 / 2.0) / self.sorted.len() as f64
    }
}
