//! Recursions that restart on a fixed grid.

/// Two copies of a recursive state, started one restart window apart.
///
/// At bar number `i` the value is that of the copy started at `(i / w - 1) * w`: between `w` and `2w - 1`
/// bars ago, on a grid counted from the epoch. So a stream that began anywhere before gives the same bits.
#[derive(Debug, Clone)]
pub(crate) struct Anchored<S> {
    window: i64,
    fresh: S,
    /// Started at the grid point before the last one: speaks.
    older: Option<S>,
    /// Started at the last grid point: will speak next.
    younger: Option<S>,
}

impl<S: Copy> Anchored<S> {
    /// Restarts from `fresh` every `window` bars (at least one).
    pub(crate) fn new(window: u16, fresh: S) -> Self {
        Self {
            window: i64::from(window.max(1)),
            fresh,
            older: None,
            younger: None,
        }
    }

    /// Passes bar `number` to both copies through `step`; gives the speaking copy's value.
    pub(crate) fn step(&mut self, number: i64, mut step: impl FnMut(&mut S) -> Option<f64>) -> Option<f64> {
        if number.rem_euclid(self.window) == 0 {
            self.older = self.younger.take();
            self.younger = Some(self.fresh);
        }
        if let Some(younger) = &mut self.younger {
            step(younger);
        }
        self.older.as_mut().and_then(step)
    }
}
