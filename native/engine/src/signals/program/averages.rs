//! `y = (1 - k) y + k x` and Wilder's sums `y = (1 - 1/n) y + x`, without waiting for every `y` before.
//!
//! A recursion's next value waits for a product and a sum of the one before, whatever else a processor could do meanwhile.
//! Here the bars of a restart window are cut into groups of eight. Within a group what its own inputs add up to, `s`, knows
//! nothing of `y`; the recursion then is `y[j] = (1 - k)^(j + 1) y + s[j]` with the `y` at the end of the group before, and
//! only one product and one sum in eight bars wait for each other. Bar by bar the same is computed in the same order, so the
//! bits are the same.
//!
//! Like every recursion (see [`super::recursions::Copies`]) it runs in copies that begin one restart window apart; `s` is
//! theirs together.

use super::floats::finite;
use super::recursions::Copies;

/// Bars of a group.
const GROUP: usize = GROUP_BARS as usize;
const GROUP_BARS: u32 = 8;
/// Bars whose groups are summed up before anything is made of them.
const PIECE: usize = 16 * GROUP;

/// How an average weighs, and how it begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights {
    /// Of a new value.
    new: f64,
    /// Of what there was.
    kept: f64,
    /// Values of the seed, and what their sum is divided by.
    seed: u32,
    divisor: f64,
}

impl Weights {
    const fn new(length: u32, weight: f64) -> Self {
        Self {
            new: weight,
            kept: 1.0 - weight,
            seed: length,
            divisor: length as f64,
        }
    }

    /// 2 / (n + 1), seeded by a mean.
    pub(super) fn exponential(length: u32) -> Self {
        Self::new(length, 2.0 / (f64::from(length) + 1.0))
    }

    /// 1 / n, seeded by a mean (J. W. Wilder, New Concepts in Technical Trading Systems, 1978).
    pub(super) fn wilder(length: u32) -> Self {
        Self::new(length, 1.0 / f64::from(length))
    }

    /// A weight of any size, seeded by the first value.
    pub(super) const fn smooth(weight: f64) -> Self {
        Self::new(1, weight)
    }

    /// `y += x - y / n`, seeded by the sum of `n - 1` values (Wilder's running sums).
    pub(super) fn wilder_sum(length: u32) -> Self {
        Self {
            new: 1.0,
            kept: 1.0 - 1.0 / f64::from(length),
            seed: length.max(2) - 1,
            divisor: 1.0,
        }
    }
}

/// `(1 - k)^(j + 1)`.
type Powers = [f64; GROUP];

/// One bar of a group.
struct Bar {
    input: f64,
    /// What the group's inputs add up to.
    sum: f64,
    /// Of what is kept of the end of the group before.
    power: f64,
    is_end: bool,
}

/// One recursion.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Copy {
    /// Values of the seed that there are; an unknown input begins it anew.
    pub(super) seen: u32,
    /// The newest: while seeding, their sum.
    pub(super) value: f64,
    /// At the end of the group before, where it was seeded then.
    pub(super) base: f64,
    pub(super) is_grouped: bool,
}

impl Copy {
    /// One bar.
    #[inline(always)]
    fn push(&mut self, weights: &Weights, bar: &Bar) -> f64 {
        let said = if self.is_grouped & bar.input.is_finite() {
            // What has left the numbers may come back within the group: its end decides.
            self.value = bar.power * self.base + bar.sum;
            finite(self.value)
        } else {
            self.seed(weights, bar.input)
        };
        if bar.is_end {
            self.end_group(weights);
        }
        said
    }

    /// One bar as long as the group before has no end to go on from.
    #[inline(never)]
    fn seed(&mut self, weights: &Weights, input: f64) -> f64 {
        if !input.is_finite() {
            *self = Self::default();
            return f64::NAN;
        }
        if self.seen < weights.seed {
            self.seen += 1;
            self.value += input;
            if self.seen < weights.seed {
                return f64::NAN;
            }
            self.value /= weights.divisor;
        } else {
            self.value = weights.kept * self.value + weights.new * input;
        }
        if !self.value.is_finite() {
            *self = Self::default();
            return f64::NAN;
        }
        self.value
    }

    /// Whole groups of a copy that has the end of a group to go on from; `sums` are what their inputs add up to.
    #[inline(always)]
    fn say(&mut self, weights: &Weights, powers: &Powers, inputs: &[f64], sums: &mut [f64], out: &mut [f64]) {
        let (inputs, _) = inputs.as_chunks::<GROUP>();
        let (groups, _) = out.as_chunks_mut::<GROUP>();
        let mut base = self.base;
        for ((inputs, said), whole) in inputs.iter().zip(groups).zip(sums) {
            // The first of a group has nothing before it: 0 times what is kept changes no bit of it.
            let (mut sum, mut sums) = (0.0, [0.0; GROUP]);
            for at in 0..GROUP {
                sum = weights.kept * sum + weights.new * inputs[at];
                sums[at] = sum;
            }
            let end = powers[GROUP - 1] * base + sum;
            for at in 0..GROUP - 1 {
                said[at] = powers[at] * base + sums[at];
            }
            (said[GROUP - 1], base, *whole) = (end, end, sum);
        }
        (self.base, self.value) = (base, base);
        if !are_finite(out) {
            for said in out {
                *said = finite(*said);
            }
        }
    }

    /// The same of a copy that will speak later.
    #[inline(always)]
    fn follow(&mut self, weights: &Weights, powers: &Powers, inputs: &[f64], sums: &[f64]) {
        let (groups, _) = inputs.as_chunks::<GROUP>();
        let mut groups = groups.iter().zip(sums);
        while !self.is_grouped {
            let Some((inputs, _)) = groups.next() else { return };
            if self.seen + GROUP_BARS < weights.seed {
                // All of them are known and none is the last of the seed.
                self.value = inputs.iter().fold(self.value, |sum, input| sum + input);
                self.seen += GROUP_BARS;
            } else {
                for input in inputs {
                    self.seed(weights, *input);
                }
            }
            self.end_group(weights);
        }
        let mut base = self.base;
        for (_, sum) in groups {
            base = powers[GROUP - 1] * base + sum;
        }
        (self.base, self.value) = (base, base);
    }

    fn end_group(&mut self, weights: &Weights) {
        if !self.value.is_finite() {
            *self = Self::default();
        }
        self.base = self.value;
        self.is_grouped = self.seen == weights.seed;
    }
}

/// Whether all are numbers: all are looked at, several at a time, which takes less than to stop at the first. Nothing times
/// what is infinite or unknown is unknown.
#[inline(always)]
fn are_finite(inputs: &[f64]) -> bool {
    !inputs
        .iter()
        .fold(false, |wrong, input| wrong | (input * 0.0).is_nan())
}

/// Copies of an average, as [`super::recursions::Copies`] has them.
#[derive(Debug, Clone)]
pub(super) struct Averages {
    weights: Weights,
    powers: Powers,
    pub(super) copies: Copies<Copy>,
    /// What this group's inputs add up to.
    pub(super) sum: f64,
}

impl Averages {
    pub(super) fn new(window: u32, weights: Weights) -> Self {
        let mut power = 1.0;
        Self {
            weights,
            powers: std::array::from_fn(|_| {
                power *= weights.kept;
                power
            }),
            copies: Copies::new(window, Copy::default()),
            sum: 0.0,
        }
    }

    /// The stream begins with bar `number`.
    pub(super) fn restart(&mut self, number: i64) {
        self.copies.restart(number);
        self.sum = 0.0;
    }

    /// Takes a run of inputs.
    #[inline(always)]
    pub(super) fn run(&mut self, inputs: &[f64], out: &mut [f64]) {
        if let [out] = out {
            if self.copies.left == 0 {
                self.copies.turn();
            }
            *out = self.push(inputs[0]);
            return;
        }
        let mut done = 0;
        while done < out.len() {
            if self.copies.left == 0 {
                self.copies.turn();
            }
            let length = (out.len() - done).min(self.copies.left);
            self.run_in_window(&inputs[done..done + length], &mut out[done..done + length]);
            done += length;
        }
    }

    #[inline(always)]
    fn run_in_window(&mut self, inputs: &[f64], out: &mut [f64]) {
        // The last group of a window may be a short one; a group that is begun is ended one by one.
        let place = (self.copies.window - self.copies.left) % GROUP;
        let slow = if place == 0 {
            0
        } else {
            (GROUP - place).min(out.len())
        };
        self.one_by_one(&inputs[..slow], &mut out[..slow]);
        let whole = (out.len() - slow) / GROUP * GROUP;
        let (piece, result) = (&inputs[slow..slow + whole], &mut out[slow..slow + whole]);
        for (piece, result) in piece.chunks(PIECE).zip(result.chunks_mut(PIECE)) {
            if !self.in_groups(piece, result) {
                self.one_by_one(piece, result);
            }
        }
        self.one_by_one(&inputs[slow + whole..], &mut out[slow + whole..]);
    }

    /// Whole groups, [`PIECE`] bars at most; nothing changes and it says false where an input or the end of a group is not
    /// finite, or the one that speaks has only begun: that is for one bar at a time.
    #[inline(always)]
    fn in_groups(&mut self, inputs: &[f64], out: &mut [f64]) -> bool {
        let (weights, powers, copies) = (&self.weights, &self.powers, &self.copies);
        let (mut first, mut older, mut younger) = (copies.first, copies.older, copies.younger);
        let mut sums = [0.0; PIECE / GROUP];
        let sums = &mut sums[..inputs.len() / GROUP];
        match first.as_mut().or(older.as_mut()) {
            Some(says) if says.is_grouped => says.say(weights, powers, inputs, sums, out),
            _ => return false,
        }
        // What is not finite stays so up to the end of its group.
        if !are_finite(sums) {
            return false;
        }
        if let Some(younger) = &mut younger {
            younger.follow(weights, powers, inputs, sums);
        }
        // Beside the first there may be an older one, which will speak.
        if let (true, Some(older)) = (first.is_some(), &mut older) {
            older.follow(weights, powers, inputs, sums);
        }
        // From a group whose end has left the numbers nothing comes back: to look at the last one is enough.
        let is_finite = |copy: &Option<Copy>| copy.is_none_or(|copy| copy.value.is_finite());
        if ![first, older, younger].iter().all(is_finite) {
            return false;
        }
        self.sum = sums.last().copied().unwrap_or(self.sum);
        let copies = &mut self.copies;
        (copies.first, copies.older, copies.younger) = (first, older, younger);
        copies.left -= inputs.len();
        true
    }

    #[inline(never)]
    fn one_by_one(&mut self, inputs: &[f64], out: &mut [f64]) {
        for (out, input) in out.iter_mut().zip(inputs) {
            *out = self.push(*input);
        }
    }

    /// One bar within a window.
    #[inline(always)]
    fn push(&mut self, input: f64) -> f64 {
        let place = (self.copies.window - self.copies.left) % GROUP;
        let before = if place == 0 { 0.0 } else { self.sum };
        self.sum = self.weights.kept * before + self.weights.new * input;
        let bar = Bar {
            input,
            sum: self.sum,
            power: self.powers[place],
            is_end: place == GROUP - 1 || self.copies.left == 1,
        };
        self.copies.left -= 1;
        let (weights, copies) = (&self.weights, &mut self.copies);
        if let Some(younger) = &mut copies.younger {
            younger.push(weights, &bar);
        }
        let older = copies.older.as_mut().map(|older| older.push(weights, &bar));
        match &mut copies.first {
            Some(first) => first.push(weights, &bar),
            None => older.unwrap_or(f64::NAN),
        }
    }
}
