//! Windows of the last `n` values with exact integer sums.

/// The last `n` values, oldest first out. Memory is taken once.
#[derive(Debug, Clone)]
pub(crate) struct RollingWindow<T> {
    values: Vec<T>,
    /// Where the oldest value is, once the window is full.
    oldest: usize,
    length: usize,
}

impl<T: Copy> RollingWindow<T> {
    /// An empty window of `length` values; a length of zero counts as one.
    pub(crate) fn new(length: usize) -> Self {
        let length = length.max(1);
        Self {
            values: Vec::with_capacity(length),
            oldest: 0,
            length,
        }
    }

    /// Adds a value; gives the one that left, if the window was full.
    pub(crate) fn push(&mut self, value: T) -> Option<T> {
        if self.values.len() < self.length {
            self.values.push(value);
            return None;
        }
        let left = std::mem::replace(&mut self.values[self.oldest], value);
        self.oldest = if self.oldest + 1 == self.length {
            0
        } else {
            self.oldest + 1
        };
        Some(left)
    }

    /// Whether the window holds all its values.
    pub(crate) const fn is_full(&self) -> bool {
        self.values.len() == self.length
    }

    /// The values, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        let (newer, older) = self.values.split_at(self.oldest);
        older.iter().chain(newer).copied()
    }
}

/// The value of `lag` pushes ago.
#[derive(Debug, Clone)]
pub(crate) struct Lagged {
    window: RollingWindow<i64>,
}

impl Lagged {
    /// Looks back `lag` pushes.
    pub(crate) fn new(lag: usize) -> Self {
        Self {
            window: RollingWindow::new(lag),
        }
    }

    /// Adds a value; gives the one `lag` pushes before it.
    pub(crate) fn push(&mut self, value: i64) -> Option<i64> {
        self.window.push(value)
    }
}

/// Exact sum of the last `n` integers.
#[derive(Debug, Clone)]
pub(crate) struct RollingSum {
    window: RollingWindow<i64>,
    sum: i128,
}

impl RollingSum {
    /// A sum over `length` values.
    pub(crate) fn new(length: usize) -> Self {
        Self {
            window: RollingWindow::new(length),
            sum: 0,
        }
    }

    /// Adds a value; gives the sum once the window is full.
    pub(crate) fn push(&mut self, value: i64) -> Option<i128> {
        let left = self.window.push(value).unwrap_or(0);
        self.sum += i128::from(value) - i128::from(left);
        self.window.is_full().then_some(self.sum)
    }
}

/// Exact sum and sum of squares of the last `n` integers.
#[derive(Debug, Clone)]
pub(crate) struct RollingMoments {
    window: RollingWindow<i64>,
    length: i128,
    sum: i128,
    squares: i128,
}

impl RollingMoments {
    /// Moments over `length` values.
    pub(crate) fn new(length: usize) -> Self {
        let window = RollingWindow::new(length);
        Self {
            length: window.length as i128,
            window,
            sum: 0,
            squares: 0,
        }
    }

    /// Adds a value; gives `(n * value - sum, n * squares - sum^2)` once the window is full: the
    /// value's deviation from the mean times `n`, and the population variance times `n^2`. Both exact:
    /// with |value| below 2^63 and n at most 1,024 nothing exceeds 2^127 for any price that trades.
    pub(crate) fn push(&mut self, value: i64) -> Option<(i128, i128)> {
        let left = i128::from(self.window.push(value).unwrap_or(0));
        let value = i128::from(value);
        self.sum += value - left;
        self.squares += value * value - left * left;
        let scaled_deviation = self.length * value - self.sum;
        let scaled_variance = self.length * self.squares - self.sum * self.sum;
        self.window
            .is_full()
            .then_some((scaled_deviation, scaled_variance))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sums_equal_those_of_the_last_values(
            values in prop::collection::vec(-1_000_000_000_000i64..1_000_000_000_000, 1..60),
            length in 1usize..20,
        ) {
            let (mut sum, mut moments) = (RollingSum::new(length), RollingMoments::new(length));
            for (at, &value) in values.iter().enumerate() {
                let (sum, moments) = (sum.push(value), moments.push(value));
                if at + 1 < length {
                    prop_assert_eq!((sum, moments), (None, None));
                    continue;
                }
                let last: Vec<i128> = values[at + 1 - length..=at].iter().map(|&v| i128::from(v)).collect();
                let n = length as i128;
                let total: i128 = last.iter().sum();
                let squares: i128 = last.iter().map(|v| v * v).sum();
                prop_assert_eq!(sum, Some(total));
                prop_assert_eq!(moments, Some((n * i128::from(value) - total, n * squares - total * total)));
            }
        }
    }
}
