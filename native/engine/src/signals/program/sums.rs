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

/// Bars whose sums are taken before anything is made of them.
const PIECE: usize = 64;

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
    pub(super) tails: [Vec<f64>; K],
    /// Of this block, as far as it goes.
    pub(super) values: [Vec<f64>; I],
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
            tails: std::array::from_fn(|_| vec![f64::NAN; block]),
            values: std::array::from_fn(|_| vec![f64::NAN; block]),
            head: [f64::NAN; K],
            reference: [f64::NAN; I],
            at: 0,
        }
    }

    /// Nothing is known before bar `number`.
    pub(super) fn restart(&mut self, number: i64) {
        self.tails.iter_mut().for_each(|of| of.fill(f64::NAN));
        self.values.iter_mut().for_each(|of| of.fill(f64::NAN));
        self.head = [f64::NAN; K];
        self.reference = [f64::NAN; I];
        let block = i64::try_from(self.block()).unwrap_or(1);
        self.at = usize::try_from(number.rem_euclid(block)).unwrap_or(0);
    }

    /// Adds the values of a run of bars. `terms` makes what is summed up, of differences to the reference and of the place;
    /// `finish` makes the result, of the sums and the newest value.
    ///
    /// While a value of the window is unknown, so is every sum.
    #[inline(always)]
    pub(super) fn run(
        &mut self,
        out: &mut [f64],
        series: [&[f64]; I],
        terms: impl Fn([f64; I], f64) -> [f64; K],
        finish: impl Fn(&Sums<K, I>, [f64; I]) -> f64,
    ) {
        if let [out] = out {
            *out = self.one(series.map(|of| of[0]), &terms, &finish);
            return;
        }
        let (mut done, mut heads) = (0, [[0.0; PIECE]; K]);
        while done < out.len() {
            let block = self.block();
            if self.at == block {
                self.at = 0;
            }
            if self.at == 0 && done >= block {
                // The block before lies in this run: it is read where it is.
                self.begin_block(series.map(|of| &of[done - block..done]), &terms);
            } else if self.at == 0 {
                self.keep(block, series.map(|of| &of[..done]));
                self.begin_kept_block(&terms);
            }
            let length = (out.len() - done).min(block - self.at).min(PIECE);
            let piece = series.map(|of| &of[done..done + length]);
            self.run_in_block(
                &mut out[done..done + length],
                piece,
                &mut heads,
                (&terms, &finish),
            );
            done += length;
        }
        self.keep(self.at, series);
    }

    /// Keeps the newest values of this block, which end at a place of it: as many of them as are given.
    #[inline(always)]
    fn keep(&mut self, at: usize, series: [&[f64]; I]) {
        for (kept, values) in self.values.iter_mut().zip(series) {
            let count = at.min(values.len());
            kept[at - count..at].copy_from_slice(&values[values.len() - count..]);
        }
    }

    /// One bar: the same sums in the same order.
    #[inline(always)]
    fn one(
        &mut self,
        value: [f64; I],
        terms: &impl Fn([f64; I], f64) -> [f64; K],
        finish: &impl Fn(&Sums<K, I>, [f64; I]) -> f64,
    ) -> f64 {
        if self.at == self.block() {
            self.at = 0;
        }
        if self.at == 0 {
            self.begin_kept_block(terms);
        }
        let (at, reference) = (self.at, self.reference);
        for (kept, value) in self.values.iter_mut().zip(value) {
            kept[at] = value;
        }
        let place = at as f64 + 1.0;
        for (sum, term) in self
            .head
            .iter_mut()
            .zip(terms(difference(value, reference), place))
        {
            *sum += term;
        }
        self.at += 1;
        let found = Sums {
            sums: std::array::from_fn(|of| self.tails[of][at] + self.head[of]),
            reference,
            place,
        };
        finish(&found, value)
    }

    /// Values of a block.
    fn block(&self) -> usize {
        self.values[0].len()
    }

    /// As [`Self::run`], within a block. First the sums, each of which waits for the one before, and then what is made of
    /// them, several at a time. Slices of one length: no look at a place can miss.
    #[inline(always)]
    fn run_in_block(
        &mut self,
        out: &mut [f64],
        series: [&[f64]; I],
        heads: &mut [[f64; PIECE]; K],
        (terms, finish): (
            &impl Fn([f64; I], f64) -> [f64; K],
            &impl Fn(&Sums<K, I>, [f64; I]) -> f64,
        ),
    ) {
        let length = out.len();
        assert!(
            length <= PIECE && series.iter().all(|of| of.len() == length),
            "series of one length"
        );
        let (reference, first) = (self.reference, self.at as f64 + 1.0);
        let mut head = self.head;
        for at in 0..length {
            let value = std::array::from_fn(|of| series[of][at]);
            let added = terms(difference(value, reference), first + at as f64);
            for ((sum, term), heads) in head.iter_mut().zip(added).zip(&mut *heads) {
                *sum += term;
                heads[at] = *sum;
            }
        }
        self.head = head;
        let tails: [&[f64]; K] = std::array::from_fn(|of| &self.tails[of][self.at..self.at + length]);
        for (at, out) in out.iter_mut().enumerate() {
            let found = Sums {
                sums: std::array::from_fn(|of| tails[of][at] + heads[of][at]),
                reference,
                place: first + at as f64,
            };
            *out = finish(&found, std::array::from_fn(|of| series[of][at]));
        }
        self.at += length;
    }

    #[inline(never)]
    fn begin_kept_block(&mut self, terms: &impl Fn([f64; I], f64) -> [f64; K]) {
        let values = std::mem::replace(&mut self.values, std::array::from_fn(|_| Vec::new()));
        self.begin_block(values.each_ref().map(Vec::as_slice), terms);
        self.values = values;
    }

    /// Sums from each place of the block before to its end.
    #[inline(always)]
    fn begin_block(&mut self, before: [&[f64]; I], terms: &impl Fn([f64; I], f64) -> [f64; K]) {
        let length = before[0].len();
        let before = before.map(|of| &of[..length]);
        let value = |at: usize| std::array::from_fn(|of| before[of][at]);
        let last = length - 1;
        self.reference = value(last);
        let (reference, mut sums) = (self.reference, [0.0; K]);
        for tails in &mut self.tails {
            assert!(tails.len() == length, "blocks of one length");
        }
        for at in (0..length).rev() {
            let place = at as f64 - last as f64;
            let added = terms(difference(value(at), reference), place);
            for ((sum, term), tails) in sums.iter_mut().zip(added).zip(&mut self.tails) {
                *sum += term;
                tails[at] = *sum;
            }
        }
        self.head = [0.0; K];
    }
}

#[inline(always)]
fn difference<const I: usize>(value: [f64; I], reference: [f64; I]) -> [f64; I] {
    std::array::from_fn(|of| value[of] - reference[of])
}
