//! Recursions that restart on a fixed grid, so that they do not depend on where a stream began.

/// A recursive state: what it says after one more input.
pub(super) trait Recursion: Copy {
    type Input: Copy;
    fn push(&mut self, input: Self::Input) -> f64;
}

/// Pushes a run of inputs to two copies; `out` is what `says` says.
fn both<R: Recursion>(says: &mut R, other: &mut R, inputs: &[R::Input], out: &mut [f64]) {
    for (out, input) in out.iter_mut().zip(inputs) {
        other.push(*input);
        *out = says.push(*input);
    }
}

/// Copies of a recursion, started one restart window apart.
///
/// At bar number `i` the one speaks that was started at `(i / w - 1) * w`: between `w` and `2w - 1` bars ago, on a grid
/// counted from bar zero. Until there is one, the one speaks that began with the stream: its values are right, but their
/// last bits depend on that beginning.
#[derive(Debug, Clone)]
pub(super) struct Copies<C> {
    pub(super) window: usize,
    /// Bars until the next restart.
    pub(super) left: usize,
    pub(super) fresh: C,
    pub(super) first: Option<C>,
    pub(super) older: Option<C>,
    pub(super) younger: Option<C>,
}

impl<C: Copy> Copies<C> {
    pub(super) fn new(window: u32, fresh: C) -> Self {
        Self {
            window: window.max(1) as usize,
            left: 0,
            fresh,
            first: Some(fresh),
            older: None,
            younger: None,
        }
    }

    /// The stream begins with bar `number`.
    pub(super) fn restart(&mut self, number: i64) {
        let window = i64::try_from(self.window).unwrap_or(i64::MAX);
        let into = usize::try_from(number.rem_euclid(window)).unwrap_or(0);
        self.left = if into == 0 { 0 } else { self.window - into };
        self.first = Some(self.fresh);
        (self.older, self.younger) = (None, None);
    }

    /// A point of the grid: the younger copy speaks from now on, and another begins.
    pub(super) fn turn(&mut self) {
        self.left = self.window;
        self.older = self.younger.take();
        self.younger = Some(self.fresh);
        if self.older.is_some() {
            self.first = None;
        }
    }
}

impl<R: Recursion> Copies<R> {
    /// Takes a run of inputs.
    pub(super) fn run(&mut self, inputs: &[R::Input], out: &mut [f64]) {
        let mut done = 0;
        while done < out.len() {
            if self.left == 0 {
                self.turn();
            }
            let length = (out.len() - done).min(self.left);
            let (piece, result) = (&inputs[done..done + length], &mut out[done..done + length]);
            match (&mut self.first, &mut self.older, &mut self.younger) {
                (None, Some(older), Some(younger)) => both(older, younger, piece, result),
                (Some(first), _, Some(younger)) => both(first, younger, piece, result),
                (Some(first), ..) => {
                    for (out, input) in result.iter_mut().zip(piece) {
                        *out = first.push(*input);
                    }
                }
                _ => result.fill(f64::NAN),
            }
            self.left -= length;
            done += length;
        }
    }
}

/// An average whose weight is its own input: Kaufman's, after `y` has begun with the value before the first weight.
/// P. J. Kaufman, Smarter Trading, 1995.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adaptive {
    pub(super) value: f64,
    pub(super) before: f64,
}

impl Adaptive {
    pub(super) const fn new() -> Self {
        Self {
            value: f64::NAN,
            before: f64::NAN,
        }
    }
}

impl Recursion for Adaptive {
    /// What is averaged, and the weight of it.
    type Input = [f64; 2];

    #[inline]
    fn push(&mut self, [input, weight]: [f64; 2]) -> f64 {
        if self.value.is_nan() {
            self.value = self.before;
        }
        // A weight beyond its range is the nearest in it: an average never leaves what it averages.
        self.value += weight.clamp(0.0, 1.0) * (input - self.value);
        self.before = input;
        self.value
    }
}

/// Symmetric CUSUM filter. M. López de Prado, Advances in Financial Machine Learning, 2018, snippet 2.4.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cusum {
    says_sum: bool,
    pub(super) up: f64,
    pub(super) down: f64,
}

impl Cusum {
    pub(super) const fn new(says_sum: bool) -> Self {
        let (up, down) = (0.0, 0.0);
        Self { says_sum, up, down }
    }
}

impl Recursion for Cusum {
    /// What is summed up, and the threshold of it.
    type Input = [f64; 2];

    fn push(&mut self, [input, threshold]: [f64; 2]) -> f64 {
        if input.is_nan() || threshold.is_nan() {
            *self = Self::new(self.says_sum);
            return f64::NAN;
        }
        self.up = (self.up + input).max(0.0);
        self.down = (self.down + input).min(0.0);
        let event = if self.down < -threshold {
            self.down = 0.0;
            -1.0
        } else if self.up > threshold {
            self.up = 0.0;
            1.0
        } else {
            0.0
        };
        if self.says_sum { self.up + self.down } else { event }
    }
}

/// Filter of a hidden Markov chain of two states with Gaussian observations: the probability of the second. J. D. Hamilton,
/// A New Approach to the Economic Analysis of Nonstationary Time Series and the Business Cycle, 1989.
#[derive(Debug, Clone, Copy)]
pub(super) struct Regime {
    means: [f64; 2],
    deviations: [f64; 2],
    stays: [f64; 2],
    /// Logarithm of the first state's deviation over the second's.
    narrower: f64,
    pub(super) second: f64,
}

impl Regime {
    /// Begins with the chain's stationary distribution.
    pub(super) fn new([mean_a, std_a, mean_b, std_b, stay_a, stay_b]: [f64; 6]) -> Self {
        Self {
            means: [mean_a, mean_b],
            deviations: [std_a, std_b],
            stays: [stay_a, stay_b],
            narrower: libm::log(std_a) - libm::log(std_b),
            second: (1.0 - stay_a) / ((1.0 - stay_a) + (1.0 - stay_b)),
        }
    }

    /// What is left, after one bar at worst, of the difference between two beginnings: the contraction of the logarithm of
    /// the states' odds. R. Atar and O. Zeitouni, Exponential Stability for Nonlinear Filtering, 1997.
    pub(super) fn kept(stay_a: f64, stay_b: f64) -> f64 {
        let (stay, leave) = ((stay_a * stay_b).sqrt(), ((1.0 - stay_a) * (1.0 - stay_b)).sqrt());
        (stay - leave).abs() / (stay + leave)
    }
}

impl Recursion for Regime {
    type Input = f64;

    /// An unknown observation tells nothing: the chain goes on without it.
    fn push(&mut self, input: f64) -> f64 {
        // Beyond, exp has no value; the odds are certain long before.
        const CERTAIN: f64 = 600.0;
        let second = self.second * self.stays[1] + (1.0 - self.second) * (1.0 - self.stays[0]);
        if input.is_nan() {
            self.second = second;
            return f64::NAN;
        }
        let [a, b] = std::array::from_fn(|state| {
            let distance = (input - self.means[state]) / self.deviations[state];
            distance * distance
        });
        let odds = libm::exp((self.narrower + (a - b) / 2.0).clamp(-CERTAIN, CERTAIN));
        self.second = second * odds / (second * odds + (1.0 - second));
        self.second
    }
}

/// Parabolic stop and reverse. J. W. Wilder, 1978; the first direction is that of the larger directional movement of the
/// first two bars, as in TA-Lib.
#[derive(Debug, Clone, Copy)]
pub(super) struct ParabolicStop {
    step: f64,
    most: f64,
    /// High and low of the bar before, and of the one before that.
    pub(super) before: [f64; 2],
    pub(super) is_long: bool,
    pub(super) stop: f64,
    pub(super) extreme: f64,
    pub(super) acceleration: f64,
    pub(super) seen: u32,
}

impl ParabolicStop {
    pub(super) const fn new(step: f64, most: f64) -> Self {
        Self {
            step,
            most,
            before: [f64::NAN; 2],
            is_long: true,
            stop: f64::NAN,
            extreme: f64::NAN,
            acceleration: step,
            seen: 0,
        }
    }

    fn begin(&mut self, high: f64, low: f64) {
        let [high_before, low_before] = self.before;
        let (up, down) = (high - high_before, low_before - low);
        self.is_long = !(down > 0.0 && down > up);
        self.acceleration = self.step;
        (self.extreme, self.stop) = if self.is_long {
            (high, low_before)
        } else {
            (low, high_before)
        };
        // The first bar is taken as if it were the one before, too.
        self.before = [high, low];
    }

    /// The trend has ended: the stop of the other side.
    fn reverse(&mut self, high: f64, low: f64) -> f64 {
        let [high_before, low_before] = self.before;
        self.is_long = !self.is_long;
        let bounded = |stop: f64| {
            if self.is_long {
                stop.min(low_before).min(low)
            } else {
                stop.max(high_before).max(high)
            }
        };
        let said = bounded(self.extreme);
        self.acceleration = self.step;
        self.extreme = if self.is_long { high } else { low };
        self.stop = bounded(said + self.acceleration * (self.extreme - said));
        said
    }
}

impl Recursion for ParabolicStop {
    /// High and low.
    type Input = [f64; 2];

    fn push(&mut self, [high, low]: [f64; 2]) -> f64 {
        if high.is_nan() || low.is_nan() {
            *self = Self::new(self.step, self.most);
            return f64::NAN;
        }
        self.seen = (self.seen + 1).min(3);
        if self.seen == 1 {
            self.before = [high, low];
            return f64::NAN;
        }
        if self.seen == 2 {
            self.begin(high, low);
        }
        let is_over = if self.is_long {
            low <= self.stop
        } else {
            high >= self.stop
        };
        let said = if is_over {
            self.reverse(high, low)
        } else {
            let said = self.stop;
            let (reached, farther) = if self.is_long {
                (high, high > self.extreme)
            } else {
                (low, low < self.extreme)
            };
            if farther {
                self.extreme = reached;
                self.acceleration = (self.acceleration + self.step).min(self.most);
            }
            let next = said + self.acceleration * (self.extreme - said);
            let [high_before, low_before] = self.before;
            self.stop = if self.is_long {
                next.min(low_before).min(low)
            } else {
                next.max(high_before).max(high)
            };
            said
        };
        self.before = [high, low];
        said
    }
}
