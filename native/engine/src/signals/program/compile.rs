//! From the parts of an expression to nodes: names resolved, units and warm-up inferred, equal nodes found.

use std::collections::BTreeMap;

use super::op::{Op, Real};
use super::syntax::{self, Part, What};
use super::unit::Unit;
use super::{ExpressionError, NODES_MAX, Node, REMEMBERED_MAX, RESTART_MAX, SEARCHED_MAX, to_u32};

/// Least that a restarting recursion must have forgotten of what came before: 1e-12 of it.
const FORGOTTEN_LN: f64 = 27.631;
/// Restart windows are whole multiples.
const RESTART_STEP: u32 = 16;
/// Restart window where what came before is not forgotten at a known pace.
pub(super) const RESTART_DEFAULT: u32 = 512;
/// Deepest nesting of operations, chains and names taken together: what a thread's stack has room for.
const DEEP_MAX: u32 = 512;
/// Deepest nesting of names that stand for expressions.
const NAMES_DEEP_MAX: usize = 32;

/// What a part gives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    /// A number as written: it takes the unit of what it meets.
    Constant(f64),
    Node {
        id: u16,
        unit: Unit,
        is_truth: bool,
    },
}

/// Names of other expressions.
pub(super) type Definitions<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(super) struct Compiler<'a> {
    pub(super) nodes: Vec<Node>,
    known: BTreeMap<(Op, [u16; 3]), u16>,
    definitions: Definitions<'a>,
    /// Names and units of the columns that may be read.
    columns: &'a [(String, Unit)],
    /// Names whose expressions are being read.
    open: Vec<String>,
    /// How deep the reading is.
    depth: u32,
    /// What the operations so far remember, values.
    remembered: usize,
    /// What they look at anew at every bar, values.
    searched: usize,
    /// Names whose expressions have been read.
    named: BTreeMap<String, (u16, Unit, bool)>,
}

pub(super) type Found<T> = Result<T, ExpressionError>;

pub(super) fn fault<T>(at: usize, what: impl Into<String>) -> Found<T> {
    let what = what.into();
    Err(ExpressionError { at, what })
}

impl<'a> Compiler<'a> {
    pub(super) fn new(definitions: Definitions<'a>, columns: &'a [(String, Unit)]) -> Self {
        Self {
            nodes: Vec::new(),
            known: BTreeMap::new(),
            definitions,
            columns,
            open: Vec::new(),
            depth: 0,
            remembered: 0,
            searched: 0,
            named: BTreeMap::new(),
        }
    }

    /// Adds an expression; its last node, and its unit.
    pub(super) fn add(&mut self, text: &str) -> Found<(u16, Unit)> {
        let part = syntax::parse(text)?;
        let value = self.value(&part)?;
        let (id, unit, _) = self.settle(value, Unit::NONE)?;
        Ok((id, unit))
    }

    pub(super) fn node(&mut self, op: Op, args: &[u16], unit: Unit) -> Found<u16> {
        let mut places = [u16::MAX; 3];
        places[..args.len()].copy_from_slice(args);
        if let Some(id) = self.known.get(&(op, places)) {
            return Ok(*id);
        }
        if self.nodes.len() >= NODES_MAX {
            return fault(0, format!("more than {NODES_MAX} operations"));
        }
        self.remembered += remembered(op);
        if self.remembered > REMEMBERED_MAX {
            return fault(
                0,
                format!("its windows remember more than {REMEMBERED_MAX} values"),
            );
        }
        self.searched += searched(op);
        if self.searched > SEARCHED_MAX {
            let what = format!(
                "mad, frac_diff, quantile and rank look at more than {SEARCHED_MAX} values at every bar"
            );
            return fault(0, what);
        }
        let most = |of: fn(&Node) -> u32| args.iter().map(|id| of(&self.nodes[usize::from(*id)])).max();
        let (lookback, warmup) = (most(|node| node.lookback), most(|node| node.warmup));
        let (more_lookback, more_warmup) = spans(op);
        let node = Node {
            op,
            args: places,
            unit,
            lookback: lookback.unwrap_or(0) + more_lookback,
            warmup: warmup.unwrap_or(0) + more_warmup,
        };
        let id = u16::try_from(self.nodes.len()).unwrap_or(u16::MAX);
        self.nodes.push(node);
        self.known.insert((op, places), id);
        Ok(id)
    }

    /// A value as a node; a number takes the unit it meets.
    fn settle(&mut self, value: Value, meets: Unit) -> Found<(u16, Unit, bool)> {
        match value {
            Value::Node { id, unit, is_truth } => Ok((id, unit, is_truth)),
            Value::Constant(number) => {
                let inside = Real::new(meets.inside(number));
                let id = self.node(Op::Constant(inside), &[], meets)?;
                Ok((id, meets, false))
            }
        }
    }

    pub(super) fn value(&mut self, part: &Part) -> Found<Value> {
        if self.depth >= DEEP_MAX {
            return fault(
                part.at,
                format!("operations nested or in a chain deeper than {DEEP_MAX}"),
            );
        }
        self.depth += 1;
        let value = self.value_here(part);
        self.depth -= 1;
        value
    }

    fn value_here(&mut self, part: &Part) -> Found<Value> {
        let located = |error: ExpressionError| {
            if error.at == 0 {
                ExpressionError { at: part.at, ..error }
            } else {
                error
            }
        };
        match &part.what {
            What::Number(number) => Ok(Value::Constant(*number)),
            What::Name(name) => self.name(part.at, name),
            What::Sign(sign, parts) => self.sign(part.at, sign, parts).map_err(located),
            What::Call(name, parts) => self.call(part.at, name, parts).map_err(located),
        }
    }

    fn name(&mut self, at: usize, name: &str) -> Found<Value> {
        let column = self.columns.iter().position(|(column, _)| column == name);
        if let Some(place) = column.and_then(|place| u16::try_from(place).ok()) {
            let unit = self.columns[usize::from(place)].1;
            let id = self.node(Op::Input(place), &[], unit)?;
            let is_truth = false;
            return Ok(Value::Node { id, unit, is_truth });
        }
        if let Some(&(id, unit, is_truth)) = self.named.get(name) {
            return Ok(Value::Node { id, unit, is_truth });
        }
        let Some(text) = (self.definitions)(name) else {
            let inputs: Vec<_> = self.columns.iter().map(|(column, _)| column.as_str()).collect();
            let what = format!(
                "{name:?} is no input and no feature; inputs are {}",
                inputs.join(", ")
            );
            return fault(at, what);
        };
        if self.open.iter().any(|open| open == name) {
            return fault(
                at,
                format!("{name:?} is made of itself: {} -> {name}", self.open.join(" -> ")),
            );
        }
        if self.open.len() >= NAMES_DEEP_MAX {
            return fault(
                at,
                format!("names stand for names more than {NAMES_DEEP_MAX} deep"),
            );
        }
        self.open.push(name.to_owned());
        let read = syntax::parse(&text).and_then(|part| self.value(&part));
        self.open.pop();
        let within = |error: ExpressionError| ExpressionError {
            at,
            what: format!("in {name:?}: at {}: {}", error.at + 1, error.what),
        };
        let value = read.map_err(within)?;
        let (id, unit, is_truth) = self.settle(value, Unit::NONE)?;
        self.named.insert(name.to_owned(), (id, unit, is_truth));
        Ok(Value::Node { id, unit, is_truth })
    }

    fn sign(&mut self, at: usize, sign: &str, parts: &[Part]) -> Found<Value> {
        let mut values = Vec::with_capacity(parts.len());
        for part in parts {
            values.push(self.value(part)?);
        }
        match (sign, values.as_slice()) {
            ("and" | "or", [a, b]) => {
                let op = if sign == "and" { Op::And } else { Op::Or };
                let args = [Self::truth(at, *a)?, Self::truth(at, *b)?];
                self.truth_node(op, &args)
            }
            ("not", [a]) => {
                let arg = Self::truth(at, *a)?;
                self.truth_node(Op::Not, &[arg])
            }
            ("<" | "<=" | ">" | ">=" | "==" | "!=", [a, b]) => self.compare(at, sign, *a, *b),
            ("+", [a, b]) => self.alike(at, "+", Op::Add, *a, *b),
            ("-", [a, b]) => self.alike(at, "-", Op::Subtract, *a, *b),
            ("*", [a, b]) => self.product(at, *a, *b),
            ("/", [a, b]) => self.quotient(at, *a, *b),
            ("**", [a, Value::Constant(exponent)]) => self.power(at, *a, *exponent),
            ("**", _) => fault(at, "an exponent is a number as written"),
            (_, [Value::Constant(number)]) => Ok(Value::Constant(-number)),
            (_, [a]) => self.unary(at, Op::Negative, *a),
            _ => fault(at, format!("{sign:?} has no meaning here")),
        }
    }

    pub(super) fn number(&mut self, at: usize, value: Value, meets: Unit) -> Found<(u16, Unit)> {
        match self.settle(value, meets)? {
            (_, _, true) => fault(
                at,
                "found true or false; allowed is a number: write if(condition, 1, 0)",
            ),
            (id, unit, false) => Ok((id, unit)),
        }
    }

    pub(super) fn truth(at: usize, value: Value) -> Found<u16> {
        match value {
            Value::Node {
                id, is_truth: true, ..
            } => Ok(id),
            _ => fault(
                at,
                "found a number; allowed is a comparison, or several with and, or, not",
            ),
        }
    }

    fn truth_node(&mut self, op: Op, args: &[u16]) -> Found<Value> {
        let id = self.node(op, args, Unit::NONE)?;
        Ok(Value::Node {
            id,
            unit: Unit::NONE,
            is_truth: true,
        })
    }

    pub(super) fn plain(&mut self, op: Op, args: &[u16], unit: Unit) -> Found<Value> {
        let id = self.node(op, args, unit)?;
        let is_truth = false;
        Ok(Value::Node { id, unit, is_truth })
    }

    pub(super) fn unary(&mut self, at: usize, op: Op, value: Value) -> Found<Value> {
        let (id, unit) = self.number(at, value, Unit::NONE)?;
        self.plain(op, &[id], unit)
    }

    /// Two numbers of one unit; a number as written takes the other's.
    pub(super) fn both(&mut self, at: usize, sign: &str, a: Value, b: Value) -> Found<([u16; 2], Unit)> {
        let unit_of = |value: Value| match value {
            Value::Node { unit, .. } => Some(unit),
            Value::Constant(_) => None,
        };
        let meets = unit_of(a).or(unit_of(b)).unwrap_or_default();
        let (left, left_unit) = self.number(at, a, meets)?;
        let (right, right_unit) = self.number(at, b, meets)?;
        if left_unit != right_unit {
            let what =
                format!("{sign:?} between {left_unit} and {right_unit}; allowed are two values of one unit");
            return fault(at, what);
        }
        Ok(([left, right], left_unit))
    }

    pub(super) fn alike(&mut self, at: usize, sign: &str, op: Op, a: Value, b: Value) -> Found<Value> {
        if let (Value::Constant(a), Value::Constant(b)) = (a, b) {
            return Self::constant(at, folded(op, a, b));
        }
        let (args, unit) = self.both(at, sign, a, b)?;
        self.plain(op, &args, unit)
    }

    fn constant(at: usize, number: f64) -> Found<Value> {
        if number.is_finite() {
            Ok(Value::Constant(number))
        } else {
            fault(at, "the numbers here make none")
        }
    }

    fn compare(&mut self, at: usize, sign: &str, a: Value, b: Value) -> Found<Value> {
        let ([left, right], _) = self.both(at, sign, a, b)?;
        let (op, args) = match sign {
            "<" => (Op::Less, [left, right]),
            "<=" => (Op::LessOrEqual, [left, right]),
            ">" => (Op::Less, [right, left]),
            ">=" => (Op::LessOrEqual, [right, left]),
            "==" => (Op::Equal, [left, right]),
            _ => (Op::Unequal, [left, right]),
        };
        self.truth_node(op, &args)
    }

    fn product(&mut self, at: usize, a: Value, b: Value) -> Found<Value> {
        match (a, b) {
            (Value::Constant(a), Value::Constant(b)) => Self::constant(at, a * b),
            (Value::Constant(factor), other) | (other, Value::Constant(factor)) => {
                let (id, unit) = self.number(at, other, Unit::NONE)?;
                self.plain(Op::Times(Real::new(factor)), &[id], unit)
            }
            _ => {
                let (left, left_unit) = self.number(at, a, Unit::NONE)?;
                let (right, right_unit) = self.number(at, b, Unit::NONE)?;
                let unit = bounded(at, left_unit.times(right_unit))?;
                self.plain(Op::Multiply, &[left, right], unit)
            }
        }
    }

    fn quotient(&mut self, at: usize, a: Value, b: Value) -> Found<Value> {
        match (a, b) {
            (_, Value::Constant(0.0)) => fault(at, "a division by zero"),
            (Value::Constant(a), Value::Constant(b)) => Self::constant(at, a / b),
            (_, Value::Constant(divisor)) => {
                let (id, unit) = self.number(at, a, Unit::NONE)?;
                self.plain(Op::Over(Real::new(divisor)), &[id], unit)
            }
            _ => {
                let (left, left_unit) = self.number(at, a, Unit::NONE)?;
                let (right, right_unit) = self.number(at, b, Unit::NONE)?;
                let unit = bounded(at, left_unit.over(right_unit))?;
                self.plain(Op::Divide, &[left, right], unit)
            }
        }
    }

    fn power(&mut self, at: usize, value: Value, exponent: f64) -> Found<Value> {
        let (id, unit) = self.number(at, value, Unit::NONE)?;
        let op = Op::Power(Real::new(exponent));
        if unit == Unit::NONE {
            return self.plain(op, &[id], unit);
        }
        if exponent.fract() != 0.0 || exponent.abs() > 6.0 {
            return fault(
                at,
                format!("{unit} to the power {exponent}; allowed are whole powers, or sqrt"),
            );
        }
        let power = i8::try_from(to_u32(exponent.abs())).unwrap_or(i8::MAX);
        let power = if exponent < 0.0 { -power } else { power };
        let unit = bounded(at, unit.power(power))?;
        self.plain(op, &[id], unit)
    }

    /// A value without a unit; of one that has one, what it is outside.
    pub(super) fn outside(&mut self, at: usize, value: Value) -> Found<u16> {
        let (id, unit) = self.number(at, value, Unit::NONE)?;
        if unit == Unit::NONE {
            return Ok(id);
        }
        let factor = unit.outside(1.0);
        let op = if factor < 1.0 {
            Op::Over(Real::new(unit.inside(1.0)))
        } else {
            Op::Times(Real::new(factor))
        };
        self.node(op, &[id], Unit::NONE)
    }

    pub(super) fn without_unit(&mut self, at: usize, name: &str, value: Value) -> Found<u16> {
        match self.number(at, value, Unit::NONE)? {
            (id, Unit::NONE) => Ok(id),
            (_, unit) => fault(
                at,
                format!("{name} of {unit}; allowed is a number without a unit, as a ratio of two"),
            ),
        }
    }
}

pub(super) fn bounded(at: usize, unit: Option<Unit>) -> Found<Unit> {
    unit.map_or_else(|| fault(at, "a unit of too high a power"), Ok)
}

fn folded(op: Op, a: f64, b: f64) -> f64 {
    match op {
        Op::Add => a + b,
        Op::Subtract => a - b,
        Op::Minimum => a.min(b),
        _ => a.max(b),
    }
}

/// Bars more than its arguments need: until there is a value, and until the value is the same wherever the stream began.
fn spans(op: Op) -> (u32, u32) {
    let restarting = |length: u32, window: u32| (length - 1, 2 * window - 1);
    match op {
        Op::Input(_) => (1, 1),
        Op::Lag(length) => (length, length),
        Op::Window(_, length)
        | Op::Pair(_, length)
        | Op::Extreme(_, _, _, length)
        | Op::Quantile(length, _)
        | Op::Rank(length)
        | Op::Distance(length) => (length - 1, length - 1),
        Op::Fractional { width, .. } => (width - 1, width - 1),
        Op::Ema { length, window } | Op::Wilder { length, window } => restarting(length, window),
        Op::WilderSum { length, window } => restarting((length - 1).max(1), window),
        Op::Smooth { window, .. }
        | Op::Adaptive { window }
        | Op::Cusum { window, .. }
        | Op::Regime { window, .. } => restarting(1, window),
        Op::ParabolicStop { window, .. } => restarting(2, window),
        _ => (0, 0),
    }
}

/// What an operation remembers between bars, values: more or less.
const fn remembered(op: Op) -> usize {
    match op {
        Op::Lag(length) | Op::Distance(length) => length as usize,
        Op::Fractional { width, .. } => 2 * width as usize,
        Op::Quantile(length, _) | Op::Rank(length) => 2 * length as usize,
        Op::Extreme(_, _, _, length) => 3 * length as usize,
        Op::Window(_, length) => 5 * length as usize,
        Op::Pair(_, length) => 7 * length as usize,
        _ => 64,
    }
}

/// What an operation looks at anew at every bar, values, where that is its whole window.
const fn searched(op: Op) -> usize {
    match op {
        Op::Distance(length) => length as usize,
        Op::Fractional { width, .. } => width as usize,
        // To move a value in memory takes about an eighth of looking at it.
        Op::Quantile(length, _) | Op::Rank(length) => length as usize / 8,
        _ => 0,
    }
}

/// Bars after which a recursion of this weight has forgotten what came before, and its seed's length.
pub(super) fn restart_window(length: u32, weight: f64) -> u32 {
    if weight >= 1.0 {
        return RESTART_STEP;
    }
    let bars = FORGOTTEN_LN / -libm::log1p(-weight);
    // One that never forgets is longer than any allowed.
    let bars = to_u32(bars.ceil().clamp(1.0, f64::from(2 * RESTART_MAX))) + length;
    bars.next_multiple_of(RESTART_STEP)
}
