//! The highest or lowest value of a window, or its age, in the same time for any length: blocks as in [`super::sums`].

use super::floats::choose;

/// Which of two values wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extreme {
    Highest,
    Lowest,
}

/// Which of two equal values counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tie {
    Oldest,
    Newest,
}

/// A value and its place: places rise with time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) value: f64,
    pub(super) place: f64,
}

pub(super) const UNKNOWN: Found = Found {
    value: f64::NAN,
    place: f64::NAN,
};

/// The highest value of a window of the last `length`; the lowest is the highest with the other sign.
#[derive(Debug, Clone)]
pub(super) struct HighestWindow {
    /// 1, or -1 for the lowest.
    sign: f64,
    pub(super) length: usize,
    /// Of the block before: the highest known one from each place to its end.
    pub(super) tails: Vec<f64>,
    pub(super) values: Vec<f64>,
    /// Of this block up to the newest value.
    pub(super) head: f64,
    pub(super) at: usize,
    /// Known values up to the newest, one after another; no more than the window has.
    pub(super) known: usize,
}

impl HighestWindow {
    pub(super) fn new(extreme: Extreme, length: usize) -> Self {
        let block = length.max(2) - 1;
        let sign = if extreme == Extreme::Highest { 1.0 } else { -1.0 };
        Self {
            sign,
            length,
            tails: vec![f64::NAN; block],
            values: vec![f64::NAN; block],
            head: f64::NEG_INFINITY,
            at: 0,
            known: 0,
        }
    }

    /// Nothing is known before bar `number`.
    pub(super) fn restart(&mut self, number: i64) {
        let block = i64::try_from(self.values.len()).unwrap_or(1);
        self.values.fill(f64::NAN);
        self.tails.fill(f64::NAN);
        self.head = f64::NEG_INFINITY;
        self.known = 0;
        self.at = usize::try_from(number.rem_euclid(block)).unwrap_or(0);
    }

    /// Adds a value; gives the highest. Unknown while a value of the window is.
    #[inline(always)]
    pub(super) fn push(&mut self, value: f64) -> f64 {
        if self.at == self.values.len() {
            self.at = 0;
        }
        if self.at == 0 {
            self.begin_block();
        }
        let value = value * self.sign;
        self.values[self.at] = value;
        self.head = higher(value, self.head);
        self.known = if value.is_nan() {
            0
        } else {
            self.length.min(self.known + 1)
        };
        // A window of one value has nothing of the block before.
        let highest = if self.length == 1 {
            value
        } else {
            higher(self.tails[self.at], self.head)
        };
        self.at += 1;
        if self.known < self.length {
            f64::NAN
        } else {
            highest * self.sign
        }
    }

    #[inline(never)]
    fn begin_block(&mut self) {
        let mut highest = f64::NEG_INFINITY;
        for (tail, value) in self.tails.iter_mut().zip(&self.values).rev() {
            highest = higher(*value, highest);
            *tail = highest;
        }
        self.head = f64::NEG_INFINITY;
    }
}

/// The higher of two; the second where the first is unknown.
#[inline(always)]
fn higher(value: f64, other: f64) -> f64 {
    if value > other { value } else { other }
}

/// How long ago the highest or lowest of the last `length` values was.
#[derive(Debug, Clone)]
pub(super) struct ExtremeWindow {
    extreme: Extreme,
    tie: Tie,
    length: usize,
    /// Of the block before: the extreme from each place to its end.
    pub(super) tails: Vec<Found>,
    pub(super) values: Vec<f64>,
    /// Of this block up to the newest value.
    pub(super) head: Option<Found>,
    pub(super) at: usize,
}

impl ExtremeWindow {
    pub(super) fn new(extreme: Extreme, tie: Tie, length: usize) -> Self {
        let block = length.max(2) - 1;
        Self {
            extreme,
            tie,
            length,
            tails: vec![UNKNOWN; block],
            values: vec![f64::NAN; block],
            head: Some(UNKNOWN),
            at: 0,
        }
    }

    /// Nothing is known before bar `number`.
    pub(super) fn restart(&mut self, number: i64) {
        self.tails.fill(UNKNOWN);
        self.values.fill(f64::NAN);
        self.head = Some(UNKNOWN);
        let block = i64::try_from(self.values.len()).unwrap_or(1);
        self.at = usize::try_from(number.rem_euclid(block)).unwrap_or(0);
    }

    /// Adds a value; gives how many bars ago the extreme was. Unknown while a value of the window is.
    #[inline(always)]
    pub(super) fn push(&mut self, value: f64) -> f64 {
        if self.length < 2 {
            return value * 0.0;
        }
        if self.at == self.values.len() {
            self.at = 0;
        }
        if self.at == 0 {
            self.begin_block();
        }
        self.values[self.at] = value;
        let place = self.at as f64 + 1.0;
        let newest = Found { value, place };
        let head = self.head.map_or(newest, |head| self.of(head, newest));
        self.head = Some(head);
        let found = self.of(self.tails[self.at], head);
        self.at += 1;
        choose(found.value.is_nan(), f64::NAN, place - found.place)
    }

    #[inline(never)]
    fn begin_block(&mut self) {
        let last = self.values.len() - 1;
        let mut after: Option<Found> = None;
        for at in (0..=last).rev() {
            let place = at as f64 - last as f64;
            let value = self.values[at];
            let here = Found { value, place };
            let found = after.map_or(here, |after| self.of(here, after));
            self.tails[at] = found;
            after = Some(found);
        }
        self.head = None;
    }

    /// Of two, the one that counts; unknown where one is.
    #[inline(always)]
    fn of(&self, older: Found, newer: Found) -> Found {
        let (high, low) = match self.extreme {
            Extreme::Highest => (newer.value, older.value),
            Extreme::Lowest => (older.value, newer.value),
        };
        let is_newer = match self.tie {
            Tie::Oldest => high > low,
            Tie::Newest => high >= low,
        };
        let is_newer = (is_newer | newer.value.is_nan()) & !older.value.is_nan();
        Found {
            value: choose(is_newer, newer.value, older.value),
            place: choose(is_newer, newer.place, older.place),
        }
    }
}
