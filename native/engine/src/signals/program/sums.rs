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

/// Bars whose sums are taken, each of which waits for the one before, until something is made of them, several at a time.
const PIECE: usize = 128;

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

/// The same of several bars.
struct Piece<const K: usize, const I: usize> {
    sums: [[f64; PIECE]; K],
    reference: [[f64; PIECE]; I],
    place: [f64; PIECE],
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
        let mut piece = Piece {
            sums: [[0.0; PIECE]; K],
            reference: [[0.0; PIECE]; I],
            place: [0.0; PIECE],
        };
        let mut done = 0;
        while done < out.len() {
            let length = (out.len() - done).min(PIECE);
            let mut summed = 0;
            while summed < length {
                self.turn(done + summed, series, &terms);
                let more = (length - summed).min(self.block() - self.at);
                let values = series.map(|of| &of[done + summed..][..more]);
                self.run_in_block(values, &mut piece, summed, &terms);
                summed += more;
            }
            let values = series.map(|of| &of[done..done + length]);
            // Slices of one length: no look at a place can miss.
            let sums = piece.sums.each_ref().map(|of| &of[..length]);
            let references = piece.reference.each_ref().map(|of| &of[..length]);
            let places = &piece.place[..length];
            for (at, out) in out[done..done + length].iter_mut().enumerate() {
                let found = Sums {
                    sums: std::array::from_fn(|of| sums[of][at]),
                    reference: std::array::from_fn(|of| references[of][at]),
                    place: places[at],
                };
                *out = finish(&found, std::array::from_fn(|of| values[of][at]));
            }
            done += length;
        }
        self.keep(self.at, series);
    }

    /// Begins a block, where one ends, before the `done`th value of a run.
    #[inline(always)]
    fn turn(&mut self, done: usize, series: [&[f64]; I], terms: &impl Fn([f64; I], f64) -> [f64; K]) {
        let block = self.block();
        if self.at == block {
            self.at = 0;
        }
        if self.at == 0 && done >= block {
            // The block before lies in this run: it is read where it is.
            self.begin_block(series.map(|of| &of[done - block..done]), terms);
        } else if self.at == 0 {
            self.keep(block, series.map(|of| &of[..done]));
            self.begin_kept_block(terms);
        }
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

    /// The sums of values within a block. Slices of one length: no look at a place can miss.
    #[inline(always)]
    fn run_in_block(
        &mut self,
        series: [&[f64]; I],
        piece: &mut Piece<K, I>,
        from: usize,
        terms: &impl Fn([f64; I], f64) -> [f64; K],
    ) {
        let (length, reference, first) = (series[0].len(), self.reference, self.at as f64 + 1.0);
        let sums = piece.sums.each_mut().map(|of| &mut of[from..][..length]);
        let tails = self.tails.each_ref().map(|of| &of[self.at..][..length]);
        let mut head = self.head;
        for at in 0..length {
            let value = std::array::from_fn(|of| series[of][at]);
            let added = terms(difference(value, reference), first + at as f64);
            for of in 0..K {
                head[of] += added[of];
                sums[of][at] = tails[of][at] + head[of];
            }
        }
        for (of, reference) in piece.reference.iter_mut().zip(reference) {
            of[from..][..length].fill(reference);
        }
        // A single sum is of values, wherever they lie.
        if K > 1 {
            for (at, place) in piece.place[from..][..length].iter_mut().enumerate() {
                *place = first + at as f64;
            }
        }
        self.head = head;
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
        let tails = self.tails.each_mut().map(|of| &mut of[..length]);
        for at in (0..length).rev() {
            let place = at as f64 - last as f64;
            let added = terms(difference(value(at), reference), place);
            for of in 0..K {
                sums[of] += added[of];
                tails[of][at] = sums[of];
            }
        }
        self.head = [0.0; K];
    }
}

#[inline(always)]
fn difference<const I: usize>(value: [f64; I], reference: [f64; I]) -> [f64; I] {
    std::array::from_fn(|of| value[of] - reference[of])
}
