//! What one node of a program does with its arguments, a run of bars at a time.

use super::averages::{Averages, Weights};
use super::extremes::{Extreme, ExtremeWindow, HighestWindow, Tie};
use super::floats::{choose, finite};
use super::order::OrderWindow;
use super::recursions::{Adaptive, Copies, Cusum, ParabolicStop, Regime};
use super::sums::{SumWindow, Sums};

/// A real parameter: its bits, so that equal nodes can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Real(u64);

impl Real {
    pub(super) const fn new(value: f64) -> Self {
        Self(value.to_bits())
    }

    pub(super) const fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// One operation, its parameters with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Op {
    /// A column of the bars: its place.
    Input(u16),
    Constant(Real),
    /// The argument times a constant; for changes of units, too.
    Times(Real),
    Over(Real),
    Add,
    Subtract,
    Multiply,
    Divide,
    Power(Real),
    Minimum,
    Maximum,
    Negative,
    Absolute,
    Sign,
    Logarithm,
    Exponential,
    Root,
    Sine,
    Cosine,
    HyperbolicTangent,
    ArcTangent,
    Floor,
    Less,
    LessOrEqual,
    Equal,
    Unequal,
    And,
    Or,
    Not,
    If,
    Known,
    Lag(u32),
    Window(WindowKind, u32),
    Pair(PairKind, u32),
    Extreme(Extreme, Tie, bool, u32),
    Quantile(u32, Real),
    Rank(u32),
    /// Mean distance from the mean.
    Distance(u32),
    Ema {
        length: u32,
        window: u32,
    },
    Wilder {
        length: u32,
        window: u32,
    },
    WilderSum {
        length: u32,
        window: u32,
    },
    Smooth {
        weight: Real,
        window: u32,
    },
    Adaptive {
        window: u32,
    },
    ParabolicStop {
        step: Real,
        most: Real,
        window: u32,
    },
    Fractional {
        order: Real,
        width: u32,
    },
    Cusum {
        says_sum: bool,
        window: u32,
    },
    Regime {
        /// Means and deviations of both states, and how likely they last.
        chain: [Real; 6],
        window: u32,
    },
}

/// A statistic of one series over a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WindowKind {
    Sum,
    Mean,
    /// Variance and deviation, degrees of freedom taken away with them.
    Variance(u8),
    Deviation(u8),
    Skewness,
    Kurtosis,
    Slope,
    RSquare,
    Residual,
    Weighted,
}

/// A statistic of two series over a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PairKind {
    Covariance,
    Correlation,
    Beta,
}

/// What a node remembers between bars.
#[derive(Debug, Clone)]
pub(super) enum State {
    None,
    Lag {
        ring: Vec<f64>,
        at: usize,
    },
    Sums1(SumWindow<1, 1>),
    Sums2(SumWindow<2, 1>),
    Trend(SumWindow<3, 1>),
    Sums4(SumWindow<4, 1>),
    Pair(SumWindow<5, 2>),
    Highest(HighestWindow),
    Extreme(ExtremeWindow),
    Order(OrderWindow),
    Average(Averages),
    Distance {
        ring: Vec<f64>,
        at: usize,
    },
    Adaptive(Copies<Adaptive>),
    /// Large, and rare.
    ParabolicStop(Box<Copies<ParabolicStop>>),
    Cusum(Box<Copies<Cusum>>),
    Regime(Box<Copies<Regime>>),
    Fractional {
        ring: Vec<f64>,
        at: usize,
        weights: Vec<f64>,
    },
}

impl State {
    pub(super) fn new(op: Op) -> Self {
        let lag = |length: u32| vec![f64::NAN; length as usize];
        match op {
            Op::Lag(length) => Self::Lag {
                ring: lag(length),
                at: 0,
            },
            Op::Window(_, 1) => Self::None,
            Op::Window(kind, length) => {
                let length = length as usize;
                match kind {
                    WindowKind::Sum | WindowKind::Mean => Self::Sums1(SumWindow::new(length)),
                    WindowKind::Variance(_) | WindowKind::Deviation(_) | WindowKind::Weighted => {
                        Self::Sums2(SumWindow::new(length))
                    }
                    WindowKind::Slope | WindowKind::RSquare | WindowKind::Residual => {
                        Self::Trend(SumWindow::new(length))
                    }
                    WindowKind::Skewness | WindowKind::Kurtosis => Self::Sums4(SumWindow::new(length)),
                }
            }
            Op::Pair(_, length) => Self::Pair(SumWindow::new(length as usize)),
            Op::Extreme(extreme, _, false, length) => {
                Self::Highest(HighestWindow::new(extreme, length as usize))
            }
            Op::Extreme(extreme, tie, true, length) => {
                Self::Extreme(ExtremeWindow::new(extreme, tie, length as usize))
            }
            Op::Quantile(length, _) | Op::Rank(length) => Self::Order(OrderWindow::new(length as usize)),
            Op::Ema { length, window } => Self::Average(Averages::new(window, Weights::exponential(length))),
            Op::Wilder { length, window } => Self::Average(Averages::new(window, Weights::wilder(length))),
            Op::WilderSum { length, window } => {
                Self::Average(Averages::new(window, Weights::wilder_sum(length)))
            }
            Op::Distance(length) => Self::Distance {
                ring: lag(length),
                at: 0,
            },
            Op::Smooth { weight, window } => {
                Self::Average(Averages::new(window, Weights::smooth(weight.get())))
            }
            Op::Adaptive { window } => Self::Adaptive(Copies::new(window, Adaptive::new())),
            Op::ParabolicStop { step, most, window } => {
                let fresh = ParabolicStop::new(step.get(), most.get());
                Self::ParabolicStop(Box::new(Copies::new(window, fresh)))
            }
            Op::Cusum { says_sum, window } => {
                Self::Cusum(Box::new(Copies::new(window, Cusum::new(says_sum))))
            }
            Op::Regime { chain, window } => {
                let fresh = Regime::new(chain.map(Real::get));
                Self::Regime(Box::new(Copies::new(window, fresh)))
            }
            Op::Fractional { order, width } => Self::Fractional {
                ring: lag(width),
                at: 0,
                weights: fractional_weights(order.get(), width as usize),
            },
            _ => Self::None,
        }
    }

    /// Nothing is known before bar `number`.
    pub(super) fn restart(&mut self, number: i64) {
        match self {
            Self::None => {}
            Self::Lag { ring, at } | Self::Distance { ring, at } | Self::Fractional { ring, at, .. } => {
                ring.fill(f64::NAN);
                *at = 0;
            }
            Self::Sums1(window) => window.restart(number),
            Self::Sums2(window) => window.restart(number),
            Self::Trend(window) => window.restart(number),
            Self::Sums4(window) => window.restart(number),
            Self::Pair(window) => window.restart(number),
            Self::Highest(window) => window.restart(number),
            Self::Extreme(window) => window.restart(number),
            Self::Order(window) => window.restart(),
            Self::Average(copies) => copies.restart(number),
            Self::Adaptive(copies) => copies.restart(number),
            Self::ParabolicStop(copies) => copies.restart(number),
            Self::Cusum(copies) => copies.restart(number),
            Self::Regime(copies) => copies.restart(number),
        }
    }
}

/// Weights of (1 - B)^d, the newest value's first. M. López de Prado, Advances in Financial Machine Learning, 2018, 5.4.
fn fractional_weights(order: f64, width: usize) -> Vec<f64> {
    let mut weight = 1.0;
    let later = (1..width).map(|k| {
        weight *= -(order - k as f64 + 1.0) / k as f64;
        weight
    });
    std::iter::once(1.0).chain(later).collect()
}

/// Runs an operation that remembers over a run of consecutive bars: `out[i]` of the arguments at `i`. Arguments that it does
/// not take are empty.
#[inline(always)]
pub(super) fn run(op: &Op, state: &mut State, [a, b, _]: [&[f64]; 3], out: &mut [f64]) {
    match state {
        State::None => {}
        State::Lag { ring, at } => lag(ring, at, a, out),
        State::Fractional { ring, at, weights } => {
            for (out, value) in out.iter_mut().zip(a) {
                ring[*at] = *value;
                let (newer, older) = ring.split_at(*at + 1);
                let values = newer.iter().rev().chain(older.iter().rev());
                *out = weights
                    .iter()
                    .zip(values)
                    .map(|(weight, value)| weight * value)
                    .sum();
                *at = if *at + 1 == ring.len() { 0 } else { *at + 1 };
            }
        }
        State::Highest(window) => each(out, a, |a| window.push(a)),
        State::Extreme(window) => each(out, a, |a| window.push(a)),
        State::Order(window) => match op {
            Op::Quantile(_, share) => each(out, a, |a| {
                window.push(a);
                window.quantile(share.get())
            }),
            _ => each(out, a, |a| {
                window.push(a);
                if a.is_nan() { a } else { window.rank(a) }
            }),
        },
        State::Average(copies) => copies.run(a, out),
        State::Distance { ring, at } => each(out, a, |a| {
            ring[*at] = a;
            *at = if *at + 1 == ring.len() { 0 } else { *at + 1 };
            distance(ring, *at)
        }),
        State::Adaptive(copies) => in_pairs(a, b, out, |pairs, out| copies.run(pairs, out)),
        State::ParabolicStop(copies) => in_pairs(a, b, out, |pairs, out| copies.run(pairs, out)),
        State::Cusum(copies) => in_pairs(a, b, out, |pairs, out| copies.run(pairs, out)),
        State::Regime(copies) => copies.run(a, out),
        _ => run_sums(op, state, a, b, out),
    }
}

#[inline(always)]
fn run_sums(op: &Op, state: &mut State, a: &[f64], b: &[f64], out: &mut [f64]) {
    let &(Op::Window(_, length) | Op::Pair(_, length)) = op else {
        return;
    };
    let n = f64::from(length);
    match (*op, state) {
        (Op::Window(WindowKind::Mean, _), State::Sums1(window)) => {
            window.run(
                out,
                [a],
                |[d], _| [d],
                |found, _| found.reference[0] + found.sums[0] / n,
            );
        }
        (Op::Window(..), State::Sums1(window)) => {
            window.run(
                out,
                [a],
                |[d], _| [d],
                |found, _| found.reference[0] * n + found.sums[0],
            );
        }
        (Op::Window(WindowKind::Weighted, _), State::Sums2(window)) => {
            let (weights, terms) = (n * (n + 1.0) / 2.0, |[d]: [f64; 1], place| [d, d * place]);
            window.run(out, [a], terms, |found, _| {
                let [sum, timed] = found.sums;
                // The oldest value weighs 1, the newest n.
                found.reference[0] + (timed - (found.place - n) * sum) / weights
            });
        }
        (Op::Window(WindowKind::Variance(degrees), _), State::Sums2(window)) => {
            let divisor = n * (n - f64::from(degrees));
            let finish = |found: &Sums<2, 1>, _| variance(&found.sums, n, divisor);
            window.run(out, [a], |[d], _| [d, d * d], finish);
        }
        (Op::Window(WindowKind::Deviation(degrees), _), State::Sums2(window)) => {
            let divisor = n * (n - f64::from(degrees));
            let finish = |found: &Sums<2, 1>, _| variance(&found.sums, n, divisor).sqrt();
            window.run(out, [a], |[d], _| [d, d * d], finish);
        }
        (Op::Window(kind, _), State::Trend(window)) => run_trend(kind, window, a, n, out),
        (Op::Window(kind, _), State::Sums4(window)) => {
            let terms = |[d]: [f64; 1], _| [d, d * d, d * d * d, d * d * d * d];
            window.run(out, [a], terms, |found, _| shape(kind, found.sums, n));
        }
        (Op::Pair(kind, _), State::Pair(window)) => {
            let terms = |[x, y]: [f64; 2], _| [x, y, x * x, y * y, x * y];
            window.run(out, [a, b], terms, |found, _| pair(kind, found.sums, n));
        }
        _ => {}
    }
}

/// Of a window of `n`, whose squared distances from the mean are divided by `divisor / n`: one division, which is what it
/// takes longest for.
#[inline(always)]
fn variance(&[sum, squares]: &[f64; 2], n: f64, divisor: f64) -> f64 {
    above_zero(n * squares - sum * sum) / divisor
}

/// Sum of squared distances from the mean.
#[inline(always)]
fn squares_left(&[sum, squares]: &[f64; 2], n: f64) -> f64 {
    above_zero(squares - sum * sum / n)
}

/// Gives what the ring holds, the oldest first, and then what comes; the ring keeps the newest.
#[inline(always)]
fn lag(ring: &mut [f64], at: &mut usize, a: &[f64], out: &mut [f64]) {
    let held = ring.len();
    if out.len() >= held {
        ring.rotate_left(*at);
        *at = 0;
        let behind = out.len() - held;
        out[..held].copy_from_slice(ring);
        out[held..].copy_from_slice(&a[..behind]);
        ring.copy_from_slice(&a[behind..]);
        return;
    }
    for (out, value) in out.iter_mut().zip(a) {
        *out = std::mem::replace(&mut ring[*at], *value);
        *at = if *at + 1 == held { 0 } else { *at + 1 };
    }
}

/// Mean distance of a window's values from their mean, the oldest at `from`: taken relative to the newest, the oldest first,
/// so that it is the same wherever the ring stands.
fn distance(ring: &[f64], from: usize) -> f64 {
    let (newer, older) = ring.split_at(from);
    let values = || older.iter().chain(newer);
    let count = ring.len() as f64;
    let newest = values().last().copied().unwrap_or(f64::NAN);
    let mean = values().map(|value| value - newest).sum::<f64>() / count;
    values().map(|value| (value - newest - mean).abs()).sum::<f64>() / count
}

/// Least squares of a window against time, one for each bar.
#[inline(always)]
fn run_trend(kind: WindowKind, window: &mut SumWindow<3, 1>, a: &[f64], n: f64, out: &mut [f64]) {
    let of_time = n * (n * n - 1.0) / 12.0;
    let terms = |[d]: [f64; 1], place| [d, d * d, d * place];
    window.run(out, [a], terms, |found, [newest]| {
        let [sum, squares, timed] = found.sums;
        let middle = found.place - (n - 1.0) / 2.0;
        let common = timed - middle * sum;
        let slope = common / of_time;
        match kind {
            WindowKind::Slope => slope,
            WindowKind::RSquare => finite(common * common / (of_time * squares_left(&[sum, squares], n))),
            _ => (newest - found.reference[0]) - (sum / n + slope * (n - 1.0) / 2.0),
        }
    });
}

/// Skewness and excess kurtosis without bias, as pandas has them.
#[inline(always)]
fn shape(kind: WindowKind, sums: [f64; 4], n: f64) -> f64 {
    let [mean, second, third, fourth] = sums.map(|sum| sum / n);
    let square = mean * mean;
    let variance = above_zero(second - square);
    if kind == WindowKind::Skewness {
        let moment = third - 3.0 * mean * second + 2.0 * mean * square;
        let biased = moment / (variance * variance.sqrt());
        return finite(biased * (n * (n - 1.0)).sqrt() / (n - 2.0));
    }
    let moment = fourth - 4.0 * mean * third + 6.0 * square * second - 3.0 * square * square;
    let biased = moment / (variance * variance);
    finite((n - 1.0) / ((n - 2.0) * (n - 3.0)) * ((n + 1.0) * biased - 3.0 * (n - 1.0)))
}

#[inline(always)]
fn pair(kind: PairKind, [x, y, xx, yy, xy]: [f64; 5], n: f64) -> f64 {
    let common = xy - x * y / n;
    let (of_x, of_y) = (squares_left(&[x, xx], n), squares_left(&[y, yy], n));
    match kind {
        PairKind::Covariance => common / (n - 1.0),
        // Rounding may leave a little more than one.
        PairKind::Correlation => finite(common / (of_x * of_y).sqrt()).clamp(-1.0, 1.0),
        PairKind::Beta => finite(common / of_y),
    }
}

/// Two series as one of pairs, in pieces.
fn in_pairs(a: &[f64], b: &[f64], out: &mut [f64], mut run: impl FnMut(&[[f64; 2]], &mut [f64])) {
    const PIECE: usize = 64;
    let mut pairs = [[0.0; 2]; PIECE];
    for ((a, b), out) in a.chunks(PIECE).zip(b.chunks(PIECE)).zip(out.chunks_mut(PIECE)) {
        for ((pair, a), b) in pairs.iter_mut().zip(a).zip(b) {
            *pair = [*a, *b];
        }
        run(&pairs[..out.len()], out);
    }
}

#[inline(always)]
fn each(out: &mut [f64], a: &[f64], mut of: impl FnMut(f64) -> f64) {
    for (out, a) in out.iter_mut().zip(a) {
        *out = of(*a);
    }
}

/// Rounding may leave a little less than nothing; unknown stays unknown.
#[inline(always)]
fn above_zero(value: f64) -> f64 {
    choose(value < 0.0, 0.0, value)
}
