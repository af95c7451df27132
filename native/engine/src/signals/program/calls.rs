//! Calls of functions: their arguments read, and the operation that each of them is.

use super::compile::{Compiler, Found, RESTART_DEFAULT, Value, bounded, fault, restart_window};
use super::extremes::{Extreme, Tie};
use super::functions;
use super::op::{Op, PairKind, Real, WindowKind};
use super::recursions::Regime;
use super::syntax::{Part, What};
use super::unit::Unit;
use super::{RESTART_MAX, WINDOW_MAX, to_u32};

impl Compiler<'_> {
    pub(super) fn call(&mut self, at: usize, name: &str, parts: &[Part]) -> Found<Value> {
        let Some(function) = functions::find(name) else {
            return unknown(at, name);
        };
        let given = parts.len();
        if !(function.least..=function.most).contains(&given) {
            return fault(
                at,
                format!(
                    "{name} with {given} arguments; allowed is {name}({})",
                    function.arguments
                ),
            );
        }
        let args = Arguments { at, name, parts };
        match name {
            "min" | "max" => {
                let op = if name == "min" { Op::Minimum } else { Op::Maximum };
                let (a, b) = (self.value(&parts[0])?, self.value(&parts[1])?);
                self.alike(at, name, op, a, b)
            }
            "if" => self.choice(at, parts),
            "known" => {
                let (a, b) = (self.value(&parts[0])?, self.value(&parts[1])?);
                let (ids, unit) = self.both(at, name, a, b)?;
                self.plain(Op::Known, &ids, unit)
            }
            "abs" | "sign" | "floor" | "log" | "exp" | "sqrt" | "sin" | "cos" | "tanh" | "atan" => {
                let value = self.value(&parts[0])?;
                self.elementary(at, name, value)
            }
            "number" => {
                let value = self.value(&parts[0])?;
                let id = self.outside(at, value)?;
                let (unit, is_truth) = (Unit::NONE, false);
                Ok(Value::Node { id, unit, is_truth })
            }
            "count" => {
                let value = self.value(&parts[0])?;
                let id = Self::truth(at, value)?;
                let length = args.length(1, 1)?;
                self.plain(Op::Window(WindowKind::Sum, length), &[id], Unit::NONE)
            }
            "cov" | "corr" | "beta" => self.pair(&args),
            "sar" => self.parabolic_stop(&args),
            "cusum" | "cusum_sum" => {
                let (a, b) = (self.value(&parts[0])?, self.value(&parts[1])?);
                let (ids, unit) = self.both(at, name, a, b)?;
                let window = args.window(2, 1, RESTART_DEFAULT)?;
                let says_sum = name == "cusum_sum";
                let unit = if says_sum { unit } else { Unit::NONE };
                self.plain(Op::Cusum { says_sum, window }, &ids, unit)
            }
            "regime" => self.regime(&args),
            "adaptive" => {
                let (a, b) = (self.value(&parts[0])?, self.value(&parts[1])?);
                let (id, unit) = self.number(at, a, Unit::NONE)?;
                let weight = self.without_unit(at, "adaptive's weight", b)?;
                let window = args.window(2, 1, RESTART_DEFAULT)?;
                self.plain(Op::Adaptive { window }, &[id, weight], unit)
            }
            _ => {
                let value = self.value(&parts[0])?;
                let (id, unit) = self.number(at, value, Unit::NONE)?;
                self.windowed(id, unit, &args)
            }
        }
    }

    fn choice(&mut self, at: usize, parts: &[Part]) -> Found<Value> {
        let condition = self.value(&parts[0])?;
        let condition = Self::truth(parts[0].at, condition)?;
        let (a, b) = (self.value(&parts[1])?, self.value(&parts[2])?);
        let ([yes, no], unit) = self.both(at, "if", a, b)?;
        self.plain(Op::If, &[condition, yes, no], unit)
    }

    fn elementary(&mut self, at: usize, name: &str, value: Value) -> Found<Value> {
        let op = match name {
            "abs" => return self.unary(at, Op::Absolute, value),
            "sign" => {
                let (id, _) = self.number(at, value, Unit::NONE)?;
                return self.plain(Op::Sign, &[id], Unit::NONE);
            }
            "sqrt" => {
                let (id, unit) = self.number(at, value, Unit::NONE)?;
                let unit = bounded(at, unit.root())?;
                return self.plain(Op::Root, &[id], unit);
            }
            "log" => {
                let id = self.outside(at, value)?;
                return self.plain(Op::Logarithm, &[id], Unit::NONE);
            }
            "floor" => Op::Floor,
            "exp" => Op::Exponential,
            "sin" => Op::Sine,
            "cos" => Op::Cosine,
            "atan" => Op::ArcTangent,
            _ => Op::HyperbolicTangent,
        };
        let id = self.without_unit(at, name, value)?;
        self.plain(op, &[id], Unit::NONE)
    }

    fn pair(&mut self, args: &Arguments<'_>) -> Found<Value> {
        let (a, b) = (self.value(&args.parts[0])?, self.value(&args.parts[1])?);
        let (x, x_unit) = self.number(args.at, a, Unit::NONE)?;
        let (y, y_unit) = self.number(args.at, b, Unit::NONE)?;
        let length = args.length(2, 2)?;
        let (kind, unit) = match args.name {
            "cov" => (PairKind::Covariance, x_unit.times(y_unit)),
            "corr" => (PairKind::Correlation, Some(Unit::NONE)),
            _ => (PairKind::Beta, x_unit.over(y_unit)),
        };
        let unit = bounded(args.at, unit)?;
        self.plain(Op::Pair(kind, length), &[x, y], unit)
    }

    fn parabolic_stop(&mut self, args: &Arguments<'_>) -> Found<Value> {
        let (a, b) = (self.value(&args.parts[0])?, self.value(&args.parts[1])?);
        let (ids, unit) = self.both(args.at, "sar", a, b)?;
        let step = Real::new(args.real(2, 0.0, 1.0)?);
        let most = Real::new(args.real(3, 0.0, 1.0)?);
        let window = args.window(4, 2, RESTART_DEFAULT)?;
        self.plain(Op::ParabolicStop { step, most, window }, &ids, unit)
    }

    fn regime(&mut self, args: &Arguments<'_>) -> Found<Value> {
        const WIDE: f64 = 1e9;
        const NARROW: f64 = 1e-9;
        let value = self.value(&args.parts[0])?;
        let id = self.without_unit(args.at, "regime", value)?;
        let (mean, deviation) = (-WIDE..=WIDE, NARROW..=WIDE);
        let lasts = 1e-6..=1.0 - 1e-6;
        let mut chain = [Real::new(0.0); 6];
        let ranges = [&mean, &deviation, &mean, &deviation, &lasts, &lasts];
        for (at, (number, range)) in chain.iter_mut().zip(ranges).enumerate() {
            *number = Real::new(args.real(at + 1, *range.start(), *range.end())?);
        }
        let kept = Regime::kept(chain[4].get(), chain[5].get());
        let window = args.window(7, 1, restart_window(1, 1.0 - kept))?;
        self.plain(Op::Regime { chain, window }, &[id], Unit::NONE)
    }

    /// A function of one series and its past.
    fn windowed(&mut self, id: u16, unit: Unit, args: &Arguments<'_>) -> Found<Value> {
        let (op, unit) = match args.name {
            "lag" => (Op::Lag(args.length(1, 1)?), unit),
            "delta" => {
                let before = self.node(Op::Lag(args.length(1, 1)?), &[id], unit)?;
                return self.plain(Op::Subtract, &[id, before], unit);
            }
            "smooth" => {
                let weight = args.real(1, 0.0, 1.0)?;
                let window = args.window(2, 1, restart_window(1, weight))?;
                let weight = Real::new(weight);
                (Op::Smooth { weight, window }, unit)
            }
            "ema" => {
                let length = args.length(1, 1)?;
                let window =
                    args.window(2, length, restart_window(length, 2.0 / (f64::from(length) + 1.0)))?;
                (Op::Ema { length, window }, unit)
            }
            "wilder" => {
                let length = args.length(1, 1)?;
                let window = args.window(2, length, restart_window(length, 1.0 / f64::from(length)))?;
                (Op::Wilder { length, window }, unit)
            }
            "wilder_sum" => {
                let length = args.length(1, 2)?;
                let window = args.window(2, length, restart_window(length, 1.0 / f64::from(length)))?;
                (Op::WilderSum { length, window }, unit)
            }
            "mad" => (Op::Distance(args.length(1, 1)?), unit),
            "frac_diff" => {
                let order = Real::new(args.real(1, -2.0, 2.0)?);
                let width = args.length(2, 1)?;
                (Op::Fractional { order, width }, unit)
            }
            "quantile" => {
                let length = args.length(1, 1)?;
                (Op::Quantile(length, Real::new(args.real(2, 0.0, 1.0)?)), unit)
            }
            "median" => (Op::Quantile(args.length(1, 1)?, Real::new(0.5)), unit),
            "rank" => (Op::Rank(args.length(1, 1)?), Unit::NONE),
            _ => Self::statistic(unit, args)?,
        };
        self.plain(op, &[id], unit)
    }

    fn statistic(unit: Unit, args: &Arguments<'_>) -> Found<(Op, Unit)> {
        let extreme = |extreme, tie, is_age, length| {
            let unit = if is_age { Unit::NONE } else { unit };
            (Op::Extreme(extreme, tie, is_age, length), unit)
        };
        let (kind, least, unit) = match args.name {
            "sum" => (WindowKind::Sum, 1, unit),
            "mean" => (WindowKind::Mean, 1, unit),
            "wma" => (WindowKind::Weighted, 1, unit),
            "var" => (
                WindowKind::Variance(args.degrees(2)?),
                2,
                bounded(args.at, unit.power(2))?,
            ),
            "std" => (WindowKind::Deviation(args.degrees(2)?), 2, unit),
            "skew" => (WindowKind::Skewness, 3, Unit::NONE),
            "kurt" => (WindowKind::Kurtosis, 4, Unit::NONE),
            "slope" => (WindowKind::Slope, 2, unit),
            "rsquare" => (WindowKind::RSquare, 2, Unit::NONE),
            "residual" => (WindowKind::Residual, 2, unit),
            "highest" => return Ok(extreme(Extreme::Highest, Tie::Newest, false, args.length(1, 1)?)),
            "lowest" => return Ok(extreme(Extreme::Lowest, Tie::Newest, false, args.length(1, 1)?)),
            "since_highest" => return Ok(extreme(Extreme::Highest, Tie::Newest, true, args.length(1, 1)?)),
            "since_lowest" => return Ok(extreme(Extreme::Lowest, Tie::Newest, true, args.length(1, 1)?)),
            "since_first_highest" => {
                return Ok(extreme(Extreme::Highest, Tie::Oldest, true, args.length(1, 1)?));
            }
            "since_first_lowest" => {
                return Ok(extreme(Extreme::Lowest, Tie::Oldest, true, args.length(1, 1)?));
            }
            // `functions::ALL` has been asked: what it lists is told apart here.
            name => return fault(args.at, format!("there is no function {name:?}")),
        };
        Ok((Op::Window(kind, args.length(1, least)?), unit))
    }
}

/// No function of this name.
fn unknown<T>(at: usize, name: &str) -> Found<T> {
    if matches!(name, "shift" | "lead" | "future" | "ref" | "Ref" | "delay") {
        let what = "the past is lag(x, n), and the future is not to be had";
        return fault(at, format!("there is no function {name:?}; {what}"));
    }
    let names: Vec<_> = functions::ALL.iter().map(|known| known.name).collect();
    let names = names.join(", ");
    fault(at, format!("there is no function {name:?}; there are {names}"))
}

/// The arguments of a call that are numbers as written.
struct Arguments<'a> {
    at: usize,
    name: &'a str,
    parts: &'a [Part],
}

impl Arguments<'_> {
    fn literal(&self, place: usize, allowed: &str) -> Found<f64> {
        match &self.parts[place].what {
            What::Number(number) => Ok(*number),
            _ => fault(
                self.parts[place].at,
                format!("{}: allowed here is {allowed}, as written", self.name),
            ),
        }
    }

    fn whole(&self, place: usize, least: u32, most: u32) -> Found<u32> {
        let allowed = format!("a whole number from {least} to {most}");
        let number = self.literal(place, &allowed)?;
        if number.fract() != 0.0 || number < f64::from(least) || number > f64::from(most) {
            return fault(
                self.parts[place].at,
                format!("{} of {number}; allowed is {allowed}", self.name),
            );
        }
        Ok(to_u32(number))
    }

    fn length(&self, place: usize, least: u32) -> Found<u32> {
        self.whole(place, least, WINDOW_MAX)
    }

    /// Degrees of freedom that a deviation takes away: 1 unless given.
    fn degrees(&self, place: usize) -> Found<u8> {
        if self.parts.len() <= place {
            return Ok(1);
        }
        self.whole(place, 0, 1).map(|degrees| u8::from(degrees == 1))
    }

    /// The restart window of a recursion that begins with `length` values: as given, or the one after which it has forgotten.
    fn window(&self, place: usize, length: u32, default: u32) -> Found<u32> {
        if self.parts.len() > place {
            return self.whole(place, (length + 1).max(2), RESTART_MAX);
        }
        if default > RESTART_MAX {
            let what = format!(
                "{} forgets what came before after {default} bars; allowed are {RESTART_MAX}, or a restart window as written",
                self.name
            );
            return fault(self.at, what);
        }
        Ok(default)
    }

    fn real(&self, place: usize, least: f64, most: f64) -> Found<f64> {
        let allowed = format!("a number from {least} to {most}");
        let number = self.literal(place, &allowed)?;
        if (least..=most).contains(&number) {
            Ok(number)
        } else {
            fault(
                self.parts[place].at,
                format!("{} of {number}; allowed is {allowed}", self.name),
            )
        }
    }
}
