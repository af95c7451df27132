//! Features as expressions: read once into a bounded program, run over columns of bars or one bar at a time by the same
//! code.
//!
//! ```
//! use engine::signals::program::{Input, Program, Runner};
//! let program = Program::new(&["close / lag(close, 1) - 1"], &|_| None)?;
//! let mut runner = Runner::new(&program, 64);
//! // Prices and volumes are whole numbers of 1e-8.
//! let closes = [100e8, 150e8, 75e8];
//! runner.run(0, 3, &[&closes[..]; Input::ALL.len()]);
//! assert_eq!(runner.output(0)[1..], [0.5, -0.5]);
//! assert_eq!((program.lookback(0), program.warmup(0)), (2, 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![expect(
    clippy::inline_always,
    reason = "a caller that is compiled for wider registers runs on them what is compiled in its place"
)]

mod averages;
mod calls;
mod compile;
mod elements;
mod extremes;
mod floats;
mod functions;
mod op;
mod order;
mod recursions;
mod saved;
mod sums;
mod syntax;
#[cfg(test)]
mod tests;
mod unit;

use std::ops::Range;
use std::slice;

use thiserror::Error;

use compile::Compiler;
use elements::{Several, Single};
use floats::finite;
pub use functions::{ALL as FUNCTIONS, Function};
use op::{Op, State};
pub use saved::SavedError;
pub use syntax::{DEPTH_MAX, TEXT_BYTES_MAX};
use unit::Scale;
pub use unit::Unit;

/// Most operations of a program.
pub const NODES_MAX: usize = 8_192;
/// Most that a program remembers between bars, in values of eight bytes.
pub const REMEMBERED_MAX: usize = 8 << 20;
/// Most values that the operations which look through their whole window at every bar look at, all together.
pub const SEARCHED_MAX: usize = 65_536;
/// Longest window, bars.
pub const WINDOW_MAX: u32 = 4_096;
/// Longest restart window, bars.
pub const RESTART_MAX: u32 = 16_384;

/// The whole number of a float that is one; below zero and beyond the type the nearest.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest"
)]
const fn to_u32(number: f64) -> u32 {
    number as u32
}

/// Why an expression is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("at {}: {what}", at + 1)]
pub struct ExpressionError {
    /// The byte of the text, from 0.
    pub at: usize,
    /// What was found, and what is allowed.
    pub what: String,
}

/// A column that a program reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Input {
    /// First price of the bar.
    Open,
    /// Highest.
    High,
    /// Lowest.
    Low,
    /// Last.
    Close,
    /// Quantity traded.
    Volume,
    /// How much of its day (UTC) had gone at the bar's close: 0 to 1.
    DayFraction,
    /// How much of its week (from Monday, UTC) had gone at the bar's close: 0 to 1.
    WeekFraction,
    /// Best bid at the bar's close.
    Bid,
    /// Best ask at the bar's close.
    Ask,
    /// Quantity at the best bid then.
    BidQuantity,
    /// Quantity at the best ask then.
    AskQuantity,
    /// Quantity of the nearest bids then, as deep as is looked.
    BidDepth,
    /// Quantity of the nearest asks then, as deep as is looked.
    AskDepth,
    /// Mean spread of the bar, over the time in which there was one.
    Spread,
    /// Order flow of the best queues (Cont, Kukanov and Stoikov), a sum over the bar.
    OrderFlow,
    /// What came to the best bid in the bar.
    BidAdded,
    /// What left the best bid in the bar.
    BidRemoved,
    /// What came to the best ask in the bar.
    AskAdded,
    /// What left the best ask in the bar.
    AskRemoved,
    /// Sum of squared changes of the middle price in the bar.
    MidVariation,
    /// Sum of the sizes of changes of the middle price in the bar.
    MidPath,
    /// Changes of the best prices and quantities in the bar.
    QuoteUpdates,
    /// Quantity bought by those who took liquidity.
    BuyVolume,
    /// Quantity sold by those who took liquidity.
    SellVolume,
    /// Trades of the bar.
    Trades,
    /// The largest trade of the bar.
    LargestTrade,
    /// Sum of squared changes of trade prices in the bar.
    TradeVariation,
    /// Buys up to the bar's close, each fading to 1/e in 10 s; unknown until 300 to 600 s have been seen.
    BuyIntensity,
    /// Sells up to the bar's close, each fading to 1/e in 10 s; unknown until 300 to 600 s have been seen.
    SellIntensity,
    /// First price of the reference instrument's bar.
    ReferenceOpen,
    /// Its highest.
    ReferenceHigh,
    /// Its lowest.
    ReferenceLow,
    /// Its last.
    ReferenceClose,
    /// Its quantity.
    ReferenceVolume,
}

impl Input {
    /// All, in the order in which a runner takes them.
    pub const ALL: [Self; 34] = [
        Self::Open,
        Self::High,
        Self::Low,
        Self::Close,
        Self::Volume,
        Self::DayFraction,
        Self::WeekFraction,
        Self::Bid,
        Self::Ask,
        Self::BidQuantity,
        Self::AskQuantity,
        Self::BidDepth,
        Self::AskDepth,
        Self::Spread,
        Self::OrderFlow,
        Self::BidAdded,
        Self::BidRemoved,
        Self::AskAdded,
        Self::AskRemoved,
        Self::MidVariation,
        Self::MidPath,
        Self::QuoteUpdates,
        Self::BuyVolume,
        Self::SellVolume,
        Self::Trades,
        Self::LargestTrade,
        Self::TradeVariation,
        Self::BuyIntensity,
        Self::SellIntensity,
        Self::ReferenceOpen,
        Self::ReferenceHigh,
        Self::ReferenceLow,
        Self::ReferenceClose,
        Self::ReferenceVolume,
    ];

    /// Those that a bar itself has.
    pub const OF_BARS: [Self; 7] = [
        Self::Open,
        Self::High,
        Self::Low,
        Self::Close,
        Self::Volume,
        Self::DayFraction,
        Self::WeekFraction,
    ];

    /// Whether a bar itself has a column of this name.
    #[must_use]
    pub fn is_of_bars(name: &str) -> bool {
        Self::OF_BARS.iter().any(|input| input.name() == name)
    }

    /// As expressions name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::High => "high",
            Self::Low => "low",
            Self::Close => "close",
            Self::Volume => "volume",
            Self::DayFraction => "day_fraction",
            Self::WeekFraction => "week_fraction",
            Self::Bid => "bid",
            Self::Ask => "ask",
            Self::BidQuantity => "bid_quantity",
            Self::AskQuantity => "ask_quantity",
            Self::BidDepth => "bid_depth",
            Self::AskDepth => "ask_depth",
            Self::Spread => "spread",
            Self::OrderFlow => "order_flow",
            Self::BidAdded => "bid_added",
            Self::BidRemoved => "bid_removed",
            Self::AskAdded => "ask_added",
            Self::AskRemoved => "ask_removed",
            Self::MidVariation => "mid_variation",
            Self::MidPath => "mid_path",
            Self::QuoteUpdates => "quote_updates",
            Self::BuyVolume => "buy_volume",
            Self::SellVolume => "sell_volume",
            Self::Trades => "trades",
            Self::LargestTrade => "largest_trade",
            Self::TradeVariation => "trade_variation",
            Self::BuyIntensity => "buy_intensity",
            Self::SellIntensity => "sell_intensity",
            Self::ReferenceOpen => "reference_open",
            Self::ReferenceHigh => "reference_high",
            Self::ReferenceLow => "reference_low",
            Self::ReferenceClose => "reference_close",
            Self::ReferenceVolume => "reference_volume",
        }
    }

    const fn unit(self) -> Unit {
        match self {
            Self::ReferenceOpen
            | Self::ReferenceHigh
            | Self::ReferenceLow
            | Self::ReferenceClose
            | Self::Open
            | Self::High
            | Self::Low
            | Self::Close
            | Self::Bid
            | Self::Ask
            | Self::Spread
            | Self::MidPath => Unit::PRICE,
            Self::ReferenceVolume
            | Self::Volume
            | Self::BidQuantity
            | Self::AskQuantity
            | Self::BidDepth
            | Self::AskDepth
            | Self::OrderFlow
            | Self::BidAdded
            | Self::BidRemoved
            | Self::AskAdded
            | Self::AskRemoved
            | Self::BuyVolume
            | Self::SellVolume
            | Self::LargestTrade => Unit::QUANTITY,
            Self::MidVariation | Self::TradeVariation => Unit::PRICE_SQUARED,
            Self::DayFraction
            | Self::WeekFraction
            | Self::QuoteUpdates
            | Self::Trades
            | Self::BuyIntensity
            | Self::SellIntensity => Unit::NONE,
        }
    }
}

/// One operation on results of earlier ones.
#[derive(Debug, Clone, Copy)]
struct Node {
    op: Op,
    args: [u16; 3],
    unit: Unit,
    lookback: u32,
    warmup: u32,
}

/// Several expressions as one program: what they have in common is computed once.
#[derive(Debug, Clone)]
pub struct Program {
    /// Names and units: [`Input::ALL`], and others.
    columns: Vec<(String, Unit)>,
    nodes: Vec<Node>,
    outputs: Vec<u16>,
}

impl Program {
    /// Reads expressions over [`Input::ALL`]; `definitions` gives the text of a name that is no input.
    ///
    /// # Errors
    /// The first expression that is refused: its number, and why.
    pub fn new(texts: &[&str], definitions: &dyn Fn(&str) -> Option<String>) -> Result<Self, ProgramError> {
        Self::with_columns(texts, definitions, &[])
    }

    /// The same, over more columns: what is known of an instrument beside its market, such as an age or a score.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_columns(
        texts: &[&str],
        definitions: &dyn Fn(&str) -> Option<String>,
        more: &[(String, Unit)],
    ) -> Result<Self, ProgramError> {
        let of_input = |input: &Input| (input.name().to_owned(), input.unit());
        let columns: Vec<_> = Input::ALL
            .iter()
            .map(of_input)
            .chain(more.iter().cloned())
            .collect();
        let mut compiler = Compiler::new(definitions, &columns);
        let mut outputs = Vec::with_capacity(texts.len());
        for (number, text) in texts.iter().enumerate() {
            let (id, _) = compiler
                .add(text)
                .map_err(|error| ProgramError { number, error })?;
            outputs.push(id);
        }
        let nodes = compiler.nodes;
        Ok(Self {
            columns,
            nodes,
            outputs,
        })
    }

    /// Expressions.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.outputs.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    /// Operations, after equal ones were found.
    #[must_use]
    pub const fn operations(&self) -> usize {
        self.nodes.len()
    }

    /// Unit of an expression's values.
    #[must_use]
    pub fn unit(&self, output: usize) -> Unit {
        self.node(output).unit
    }

    /// Bars until an expression has a value.
    #[must_use]
    pub fn lookback(&self, output: usize) -> u32 {
        self.node(output).lookback.max(1)
    }

    /// Bars until an expression's value is the same, to the last bit, wherever the stream began.
    #[must_use]
    pub fn warmup(&self, output: usize) -> u32 {
        self.node(output).warmup.max(1)
    }

    /// Names of the columns that it may read, in the order in which a runner takes them.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// Names of the columns that an expression reads.
    #[must_use]
    pub fn inputs(&self, output: usize) -> Vec<&str> {
        let mut open = vec![self.outputs[output]];
        let mut is_read = vec![false; self.columns.len()];
        let mut seen = vec![false; self.nodes.len()];
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut seen[usize::from(id)], true) {
                continue;
            }
            let node = &self.nodes[usize::from(id)];
            if let Op::Input(place) = node.op {
                is_read[usize::from(place)] = true;
            }
            open.extend(node.args.iter().filter(|arg| **arg != u16::MAX));
        }
        let read = self.columns().zip(is_read).filter(|(_, is_read)| *is_read);
        read.map(|(name, _)| name).collect()
    }

    fn node(&self, output: usize) -> &Node {
        &self.nodes[usize::from(self.outputs[output])]
    }
}

/// Which expression is refused, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expression {number}: {error}")]
pub struct ProgramError {
    /// Its number, from 0.
    pub number: usize,
    /// Why.
    pub error: ExpressionError,
}

/// Values between the registers of runs. Without them registers of 512 bars would lie a page of memory apart, where a processor
/// takes reading one for reading another that it has just written, and keeps but few of them near.
const GAP: usize = 40;

/// Where a node's register begins: behind the one that nobody reads.
const fn register(node: usize, capacity: usize) -> usize {
    (node + 1) * (capacity + if capacity == 1 { 0 } else { GAP })
}

/// A place in a runner's memory: half as long as a pointer, because all steps are read for each bar.
#[derive(Debug, Clone, Copy)]
struct Place(u32);

impl Place {
    /// Beyond everything.
    const NOWHERE: Self = Self(u32::MAX);

    fn new(at: usize) -> Self {
        u32::try_from(at).map_or(Self::NOWHERE, Self)
    }

    const fn at(self) -> usize {
        self.0 as usize
    }
}

/// An operation of a runner.
#[derive(Debug, Clone, Copy)]
struct Step {
    op: Op,
    /// Where its own register begins.
    begin: Place,
    /// Where those of its arguments do; of what it does not take, the register that nobody reads.
    args: [Place; 3],
    /// Its place among what is remembered; beyond it where it remembers nothing.
    state: Place,
}

/// The columns that arguments of a step are, which a run reads in their place.
type ColumnsOfStep = [Option<u16>; 3];

/// An expression of a runner.
#[derive(Debug, Clone, Copy)]
struct Output {
    /// Where its register begins.
    begin: usize,
    scale: Scale,
    /// Bars until it has a value.
    lookback: u64,
}

/// A program at work.
///
/// It remembers what its windows hold: consecutive bars may come in any number of runs, of any lengths, and give the same
/// bits.
#[derive(Debug, Clone)]
pub struct Runner {
    outputs: Vec<Output>,
    states: Vec<State>,
    /// What is to be done, in order.
    steps: Vec<Step>,
    /// Of each step.
    columns: Vec<ColumnsOfStep>,
    /// Columns that are an expression by themselves: their registers and places.
    copied: Vec<(usize, usize)>,
    /// The same of all columns that are read.
    inputs: Vec<(usize, usize)>,
    /// A register that nobody reads, and one for each node; `capacity` values each.
    registers: Vec<f64>,
    capacity: usize,
    /// Bars of the last run.
    length: usize,
    /// The number of the bar that must come next; what does not follow starts over.
    next: Option<i64>,
    /// Bars since the stream began.
    seen: u64,
    /// Of the program: what it saves is no other's.
    fingerprint: u64,
}

impl Runner {
    /// A cold runner that takes at most `capacity` bars in a run.
    #[must_use]
    pub fn new(program: &Program, capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let mut registers = vec![0.0; register(program.nodes.len(), capacity)];
        let (mut steps, mut columns, mut states) = (Vec::new(), Vec::new(), Vec::new());
        let (mut copied, mut inputs) = (Vec::new(), Vec::new());
        let argument = |arg: u16| program.nodes.get(usize::from(arg));
        let place = |arg: u16| Place::new(argument(arg).map_or(0, |_| register(arg.into(), capacity)));
        let column = |arg: u16| match argument(arg)?.op {
            Op::Input(place) => Some(place),
            _ => None,
        };
        let output = |id: &u16| {
            let node = &program.nodes[usize::from(*id)];
            Output {
                begin: register((*id).into(), capacity),
                scale: node.unit.scale(),
                lookback: node.lookback.max(1).into(),
            }
        };
        for (at, node) in program.nodes.iter().enumerate() {
            let begin = register(at, capacity);
            match node.op {
                Op::Constant(value) => registers[begin..begin + capacity].fill(value.get()),
                Op::Input(place) => {
                    inputs.push((begin, place.into()));
                    if program.outputs.iter().any(|output| usize::from(*output) == at) {
                        copied.push((begin, place.into()));
                    }
                }
                op => {
                    let is_element = elements::is_element(&op);
                    let state = if is_element {
                        Place::NOWHERE
                    } else {
                        Place::new(states.len())
                    };
                    steps.push(Step {
                        op,
                        begin: Place::new(begin),
                        args: node.args.map(place),
                        state,
                    });
                    columns.push(node.args.map(column));
                    if !is_element {
                        states.push(State::new(op));
                    }
                }
            }
        }
        Self {
            outputs: program.outputs.iter().map(output).collect(),
            states,
            steps,
            columns,
            copied,
            inputs,
            registers,
            capacity,
            length: 0,
            next: None,
            seen: 0,
            fingerprint: saved::fingerprint(program),
        }
    }

    /// Most bars of a run.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bars since the stream began: a hole begins it anew.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// Forgets everything: the next bar begins a stream.
    pub const fn restart(&mut self) {
        self.next = None;
    }

    /// Takes a run of so many consecutive bars, the first of this number: a column for each of [`Program::columns`], prices and
    /// quantities in units of 1e-8; one that the program does not read may be empty. Where the number does not follow the
    /// last one, everything starts over.
    ///
    /// # Panics
    /// Where a column that is read is shorter, or the run is longer than [`Self::capacity`].
    pub fn run(&mut self, number: i64, length: usize, columns: &[&[f64]]) {
        self.run_rows(number, 0..length, columns);
    }

    /// The same, of some rows of longer columns.
    ///
    /// # Panics
    /// As [`Self::run`].
    #[inline(always)]
    pub fn run_rows(&mut self, number: i64, rows: Range<usize>, columns: &[&[f64]]) {
        let length = rows.len();
        assert!(length <= self.capacity, "a run of {length} bars is too long");
        if self.next != Some(number) {
            self.states.iter_mut().for_each(|state| state.restart(number));
            self.seen = 0;
        }
        self.next = Some(number.wrapping_add(i64::try_from(length).unwrap_or(i64::MAX)));
        self.seen += length as u64;
        self.length = length;
        if length == 1 {
            self.run_one(rows.start, columns);
        } else {
            for &(begin, place) in &self.copied {
                self.registers[begin..begin + length].copy_from_slice(&columns[place][rows.clone()]);
            }
            self.run_several(rows, columns);
        }
    }

    #[inline(always)]
    fn run_several(&mut self, rows: Range<usize>, columns: &[&[f64]]) {
        let length = rows.len();
        for (step, read) in self.steps.iter().zip(&self.columns) {
            let (before, rest) = self.registers.split_at_mut(step.begin.at());
            let argument = |which: usize| match read[which] {
                None => &before[step.args[which].at()..][..length],
                Some(place) => &columns[usize::from(place)][rows.clone()],
            };
            let (args, out) = ([argument(0), argument(1), argument(2)], &mut rest[..length]);
            match self.states.get_mut(step.state.at()) {
                Some(state) => op::run(&step.op, state, args, out),
                None => elements::run(&step.op, Several { args, out }),
            }
        }
    }

    /// The same of one bar: the path of a service, where what a run needs beside its bars would take longest.
    #[inline(never)]
    fn run_one(&mut self, row: usize, columns: &[&[f64]]) {
        for &(begin, place) in &self.inputs {
            self.registers[begin] = columns[place][row];
        }
        for step in &self.steps {
            let registers = &mut self.registers[..];
            match self.states.get_mut(step.state.at()) {
                Some(state) => {
                    let args = step.args.map(|from| registers[from.at()]);
                    let args = args.each_ref().map(slice::from_ref);
                    let out = slice::from_mut(&mut registers[step.begin.at()]);
                    op::run(&step.op, state, args, out);
                }
                None => elements::run(&step.op, Single { step, registers }),
            }
        }
    }

    /// An expression's values of the last run's bars, as many as there is room for; NaN where there is none.
    #[inline(always)]
    pub fn write(&self, output: usize, result: &mut [f64]) {
        let Output {
            begin,
            scale,
            lookback,
        } = self.outputs[output];
        scale.all_outside(&self.registers[begin..begin + self.length], result);
        // What stands in for the unknown (`known`) knows nothing either before there is enough.
        let first = self.seen - self.length as u64;
        let blind = usize::try_from((lookback - 1).saturating_sub(first)).unwrap_or(usize::MAX);
        let blind = blind.min(self.length).min(result.len());
        result[..blind].fill(f64::NAN);
    }

    /// An expression's values of the last run's bars; NaN where there is none.
    #[must_use]
    pub fn output(&self, output: usize) -> Vec<f64> {
        let mut made = vec![0.0; self.length];
        self.write(output, &mut made);
        made
    }

    /// An expression's value at the last bar.
    #[must_use]
    pub fn last(&self, output: usize) -> f64 {
        self.last_of(&self.outputs[output])
    }

    /// Each expression's value at the last bar, in their order.
    pub fn last_of_all(&self) -> impl ExactSizeIterator<Item = f64> {
        self.outputs.iter().map(|output| self.last_of(output))
    }

    #[inline]
    fn last_of(&self, output: &Output) -> f64 {
        if self.length == 0 || self.seen < output.lookback {
            return f64::NAN;
        }
        let inside = self.registers[output.begin + self.length - 1];
        finite(output.scale.outside(inside))
    }
}
