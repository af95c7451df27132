//! Sums over a window, exact to the last bits that matter, in the same time for any length, and equal wherever the
//! stream began.
//!
//! A running sum that takes what comes and gives back what leaves drifts; a sum taken anew each time takes as long as the
//! window. Here the numbers of bars are cut into blocks one shorter than the window. A window then is the end of the block
//! before and the beginning of this one: sums from each place to the end of a block are taken once when it is full, sums
//! from the beginning of this one grow by one value at a time. Nothing is ever taken away, so nothing is lost.
//!
//! Values are taken relative to the last one of the block before, which every window has in it: differences of prices are
//! small and exact (prices are whole numbers here), and a deviation that comes from sums of squares loses at most as many
//! units of the last place as the window has values.

/// Sums of a window: of `K` terms made of each of its values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sums<const K: usize, const I: usize> {
    /// The terms' sums; each value's terms are made of its difference to `reference` and of its place.
    pub(super) sums: [f64; K],
    /// What values are relative to.
    pub(super) reference: [f64; I],
    /// The newest value's place: the reference's is zero.
    pub(super) place: f64,
}

/// A window of the last `length` (two at least) values of `I` series, summed up in `K` terms.
#[derive(Debug, Clone)]
pub(super) struct SumWindow<const K: usize, const I: usize> {
    /// Of the block before: sums from each place to its end. Beside the end there is nothing.
    pub(super) tails: Vec<[f64; K]>,
    /// Of this block, as far as it goes.
    pub(super) values: Vec<[f64; I]>,
    /// Of this block, up to the newest value.
    pub(super) head: [f64; K],
    pub(super) reference: [f64; I],
    /// Place of the next value in this block.
    pub(super) at: usize,
}

impl<const K: usize, const I: usize> SumWindow<K, I> {
    pub(super) fn new(length: usize) -> Self {
        let block = length.max(2) - 1;
        Self {
            tails: vec![[f64::NAN; K]; block],
            values: vec![[f64::NAN; I]; block],
            head: [f64::NAN; K],
            reference: [f64::NAN; I],
            at: 0,
        }
    }

    /// Nothing is known before bar `number`.
    pub(super) fn restart(&mut self, number: i64) {
        self.tails.fill([f64::NAN; K]);
        self.values.fill([f64::NAN; I]);
        self.head = [f64::NAN; K];
        self.reference = [f64::NAN; I];
        let block = i64::try_from(self.values.len()).unwrap_or(1);
        self.at = usize::try_from(number.rem_euclid(block)).unwrap_or(0);
    }

    /// Adds the values of a run of bars. `terms` makes what is summed up, of differences to the reference and of the place;
    /// `finish` makes the result, of the sums and the newest value.
    ///
    /// While a value of the window is unknown, so is every sum.
    #[inline]
    pub(super) fn run(
        &mut self,
        out: &mut [f64],
        series: [&[f64]; I],
        terms: impl Fn([f64; I], f64) -> [f64; K],
        finish: impl Fn(&Sums<K, I>, [f64; I]) -> f64,
    ) {
        let mut done = 0;
        while done < out.len() {
            if self.at == self.values.len() {
                self.at = 0;
            }
            if self.at == 0 {
                self.begin_block(&terms);
            }
            let length = (out.len() - done).min(self.values.len() - self.at);
            let piece = series.map(|of| &of[done..done + length]);
            self.run_in_block(&mut out[done..done + length], piece, &terms, &finish);
            done += length;
        }
    }

    /// As [`Self::run`], within a block. Slices of one length: no look at a place can miss.
    #[inline]
    fn run_in_block(
        &mut self,
        out: &mut [f64],
        series: [&[f64]; I],
        terms: &impl Fn([f64; I], f64) -> [f64; K],
        finish: &impl Fn(&Sums<K, I>, [f64; I]) -> f64,
    ) {
        let length = out.len();
        let values = &mut self.values[self.at..self.at + length];
        let tails = &self.tails[self.at..self.at + length];
        assert!(series.iter().all(|of| of.len() == length), "series of one length");
        let reference = self.reference;
        let (mut head, mut place) = (self.head, self.at as f64);
        for at in 0..length {
            let value: [f64; I] = std::array::from_fn(|of| series[of][at]);
            values[at] = value;
            place += 1.0;
            let added = terms(difference(value, reference), place);
            for (sum, term) in head.iter_mut().zip(added) {
                *sum += term;
            }
            let sums = std::array::from_fn(|of| tails[at][of] + head[of]);
            let found = Sums {
                sums,
                reference,
                place,
            };
            out[at] = finish(&found, value);
        }
        self.head = head;
        self.at += length;
    }

    #[inline(never)]
    fn begin_block(&mut self, terms: &impl Fn([f64; I], f64) -> [f64; K]) {
        let last = self.values.len() - 1;
        self.reference = self.values[last];
        let mut sums = [0.0; K];
        for at in (0..=last).rev() {
            let place = at as f64 - last as f64;
            let added = terms(difference(self.values[at], self.reference), place);
            for (sum, term) in sums.iter_mut().zip(added) {
                *sum += term;
            }
            self.tails[at] = sums;
        }
        self.head = [0.0; K];
    }
}

#[inline]
fn difference<const I: usize>(value: [f64; I], reference: [f64; I]) -> [f64; I] {
    std::array::from_fn(|of| value[of] - reference[of])
}
