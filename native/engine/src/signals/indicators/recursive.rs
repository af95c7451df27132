//! Exponential and Wilder averages, seeded by the mean of their first values.

/// A recursion `y += k (x - y)` seeded by the mean of the first `period` inputs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recursion {
    period: u32,
    weight: f64,
    seen: u32,
    value: f64,
}

impl Recursion {
    /// Exponential average: weight 2 / (period + 1).
    pub(crate) fn exponential(period: u16) -> Self {
        Self {
            period: u32::from(period),
            weight: 2.0 / (f64::from(period) + 1.0),
            seen: 0,
            value: 0.0,
        }
    }

    /// Wilder's average: weight 1 / period (J. W. Wilder, New Concepts in Technical Trading Systems, 1978).
    pub(crate) fn wilder(period: u16) -> Self {
        Self {
            period: u32::from(period),
            weight: 1.0 / f64::from(period),
            seen: 0,
            value: 0.0,
        }
    }

    /// Takes an input; gives the average once seeded.
    pub(crate) fn push(&mut self, input: f64) -> Option<f64> {
        if self.seen < self.period {
            self.seen += 1;
            self.value += input;
            if self.seen < self.period {
                return None;
            }
            self.value /= f64::from(self.period);
        } else {
            self.value += self.weight * (input - self.value);
        }
        Some(self.value)
    }
}

/// Exponential moving average of closes, units of 1e-8.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExponentialAverage(Recursion);

impl ExponentialAverage {
    pub(crate) fn new(period: u16) -> Self {
        Self(Recursion::exponential(period))
    }

    pub(crate) fn push(&mut self, close: i64) -> Option<f64> {
        self.0.push(close as f64)
    }
}

/// Relative strength index, 0 to 100; 50 where nothing moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WilderRsi {
    previous: Option<i64>,
    gains: Recursion,
    losses: Recursion,
}

impl WilderRsi {
    pub(crate) fn new(period: u16) -> Self {
        Self {
            previous: None,
            gains: Recursion::wilder(period),
            losses: Recursion::wilder(period),
        }
    }

    pub(crate) fn push(&mut self, close: i64) -> Option<f64> {
        let change = close - self.previous.replace(close)?;
        let gain = self.gains.push(change.max(0) as f64);
        let loss = self.losses.push((-change).max(0) as f64);
        let (gain, loss) = (gain?, loss?);
        let moved = gain + loss;
        Some(if moved > 0.0 { 100.0 * gain / moved } else { 50.0 })
    }
}

/// Wilder's average of the true range, units of 1e-8.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrueRangeAverage {
    previous: Option<i64>,
    average: Recursion,
}

impl TrueRangeAverage {
    pub(crate) fn new(period: u16) -> Self {
        Self {
            previous: None,
            average: Recursion::wilder(period),
        }
    }

    pub(crate) fn push(&mut self, high: i64, low: i64, close: i64) -> Option<f64> {
        let previous = self.previous.replace(close)?;
        let range = high.max(previous) - low.min(previous);
        self.average.push(range as f64)
    }
}
