//! Operations that remember nothing: what they make of one bar, for one bar or for several at a time.

use super::Step;
use super::floats::{choose, finite};
use super::op::{Op, WindowKind};

/// Where a function of arguments is applied.
pub(super) trait Apply: Sized {
    fn one(self, of: impl Fn(f64) -> f64);

    fn two(self, of: impl Fn(f64, f64) -> f64);

    fn three(self, of: impl Fn(f64, f64, f64) -> f64);
}

/// To one bar: only what the function takes is read.
pub(super) struct Single<'a> {
    pub(super) step: &'a Step,
    pub(super) registers: &'a mut [f64],
}

impl Single<'_> {
    #[inline(always)]
    fn argument(&self, which: usize) -> f64 {
        self.registers[self.step.args[which].at()]
    }

    #[inline(always)]
    fn say(self, value: f64) {
        self.registers[self.step.begin.at()] = value;
    }
}

impl Apply for Single<'_> {
    #[inline(always)]
    fn one(self, of: impl Fn(f64) -> f64) {
        let value = of(self.argument(0));
        self.say(value);
    }

    #[inline(always)]
    fn two(self, of: impl Fn(f64, f64) -> f64) {
        let value = of(self.argument(0), self.argument(1));
        self.say(value);
    }

    #[inline(always)]
    fn three(self, of: impl Fn(f64, f64, f64) -> f64) {
        let value = of(self.argument(0), self.argument(1), self.argument(2));
        self.say(value);
    }
}

/// To a run of bars: `out[i]` of the arguments at `i`, each as long as it.
pub(super) struct Several<'a> {
    pub(super) args: [&'a [f64]; 3],
    pub(super) out: &'a mut [f64],
}

impl Apply for Several<'_> {
    #[inline(always)]
    fn one(self, of: impl Fn(f64) -> f64) {
        for (out, a) in self.out.iter_mut().zip(self.args[0]) {
            *out = of(*a);
        }
    }

    #[inline(always)]
    fn two(self, of: impl Fn(f64, f64) -> f64) {
        let [a, b, _] = self.args;
        for ((out, a), b) in self.out.iter_mut().zip(a).zip(b) {
            *out = of(*a, *b);
        }
    }

    #[inline(always)]
    fn three(self, of: impl Fn(f64, f64, f64) -> f64) {
        let [a, b, c] = self.args;
        for (((out, a), b), c) in self.out.iter_mut().zip(a).zip(b).zip(c) {
            *out = of(*a, *b, *c);
        }
    }
}

/// Whether it is one of these.
pub(super) const fn is_element(op: &Op) -> bool {
    !matches!(
        op,
        Op::Input(_)
            | Op::Constant(_)
            | Op::Lag(_)
            | Op::Window(_, 2..)
            | Op::Pair(..)
            | Op::Extreme(..)
            | Op::Quantile(..)
            | Op::Rank(_)
            | Op::Distance(_)
            | Op::Ema { .. }
            | Op::Wilder { .. }
            | Op::WilderSum { .. }
            | Op::Smooth { .. }
            | Op::Adaptive { .. }
            | Op::ParabolicStop { .. }
            | Op::Fractional { .. }
            | Op::Cusum { .. }
            | Op::Regime { .. }
    )
}

/// Applies it; others change nothing.
#[inline(always)]
pub(super) fn run(op: &Op, to: impl Apply) {
    match op {
        Op::Times(factor) => to.one(|a| a * factor.get()),
        Op::Over(divisor) => to.one(|a| a / divisor.get()),
        Op::Add => to.two(|a, b| a + b),
        Op::Subtract => to.two(|a, b| a - b),
        Op::Multiply => to.two(|a, b| a * b),
        Op::Divide => to.two(|a, b| finite(a / b)),
        Op::Power(exponent) => to.one(|a| finite(power(a, exponent.get()))),
        Op::Minimum => to.two(|a, b| choose((a < b) | a.is_nan(), a, b)),
        Op::Maximum => to.two(|a, b| choose((a > b) | a.is_nan(), a, b)),
        Op::Negative => to.one(|a| -a),
        Op::Absolute => to.one(f64::abs),
        Op::Sign => to.one(|a| choose((a == 0.0) | a.is_nan(), a, 1.0_f64.copysign(a))),
        Op::Logarithm => to.one(|a| finite(libm::log(a))),
        Op::Exponential => to.one(|a| finite(libm::exp(a))),
        Op::Root => to.one(f64::sqrt),
        Op::Sine => to.one(libm::sin),
        Op::Cosine => to.one(libm::cos),
        Op::HyperbolicTangent => to.one(libm::tanh),
        Op::ArcTangent => to.one(libm::atan),
        Op::Floor => to.one(f64::floor),
        Op::Less => to.two(|a, b| truth(a < b, a, b)),
        Op::LessOrEqual => to.two(|a, b| truth(a <= b, a, b)),
        Op::Equal => to.two(|a, b| truth(a - b == 0.0, a, b)),
        Op::Unequal => to.two(|a, b| truth(a - b != 0.0, a, b)),
        Op::And => to.two(|a, b| truth(a * b > 0.0, a, b)),
        Op::Or => to.two(|a, b| truth(a + b > 0.0, a, b)),
        Op::Not => to.one(|a| 1.0 - a),
        Op::If => to.three(|condition, yes, no| {
            let chosen = choose(condition > 0.0, yes, no);
            choose(condition.is_nan(), f64::NAN, chosen)
        }),
        Op::Known => to.two(|a, b| choose(a.is_nan(), b, a)),
        // Windows of one bar.
        Op::Window(WindowKind::Sum | WindowKind::Mean | WindowKind::Weighted, _) => to.one(|a| a),
        Op::Window(..) => to.one(|_| f64::NAN),
        _ => {}
    }
}

/// 1 for true and 0 for false; unknown where a side is.
#[inline(always)]
const fn truth(is_true: bool, a: f64, b: f64) -> f64 {
    choose(a.is_nan() | b.is_nan(), f64::NAN, choose(is_true, 1.0, 0.0))
}

/// Whole exponents by products, in one order.
fn power(base: f64, exponent: f64) -> f64 {
    let times = exponent.abs();
    if times.fract() == 0.0 && times <= 16.0 {
        let product = (0..super::to_u32(times)).fold(1.0, |product, _| product * base);
        return if exponent < 0.0 { 1.0 / product } else { product };
    }
    libm::pow(base, exponent)
}
