//! The functions of expressions: their names, arguments and meaning, for errors and documentation.

/// One function.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// As it is written.
    pub name: &'static str,
    /// Its arguments; `n` is a length in bars, `w` a restart window in bars.
    pub arguments: &'static str,
    pub(super) least: usize,
    pub(super) most: usize,
    /// What it gives.
    pub what: &'static str,
}

const fn function(
    name: &'static str,
    arguments: &'static str,
    (least, most): (usize, usize),
    what: &'static str,
) -> Function {
    Function {
        name,
        arguments,
        least,
        most,
        what,
    }
}

/// All of them.
pub static ALL: &[Function] = &[
    function("abs", "x", (1, 1), "x without its sign"),
    function("sign", "x", (1, 1), "-1, 0 or 1"),
    function("floor", "x", (1, 1), "the whole number below"),
    function(
        "log",
        "x",
        (1, 1),
        "natural logarithm; of a price or quantity as it is written",
    ),
    function("exp", "x", (1, 1), "e to the power x"),
    function("sqrt", "x", (1, 1), "square root"),
    function("sin", "x", (1, 1), "sine, radians"),
    function("cos", "x", (1, 1), "cosine, radians"),
    function("tanh", "x", (1, 1), "hyperbolic tangent"),
    function("min", "a, b", (2, 2), "the lower of two"),
    function("max", "a, b", (2, 2), "the higher of two"),
    function(
        "if",
        "condition, a, b",
        (3, 3),
        "a where the condition holds, else b; unknown where it is",
    ),
    function(
        "known",
        "x, otherwise",
        (2, 2),
        "x, or the other where x is unknown (a division by zero)",
    ),
    function("lag", "x, n", (2, 2), "x of n bars before"),
    function("delta", "x, n", (2, 2), "x - lag(x, n)"),
    function("sum", "x, n", (2, 2), "sum of the last n"),
    function("mean", "x, n", (2, 2), "mean of the last n"),
    function(
        "wma",
        "x, n",
        (2, 2),
        "mean of the last n, the oldest weighing 1, the newest n",
    ),
    function(
        "var",
        "x, n [, degrees]",
        (2, 3),
        "variance of the last n; degrees of freedom taken away: 1 or 0",
    ),
    function(
        "std",
        "x, n [, degrees]",
        (2, 3),
        "standard deviation of the last n; degrees as for var",
    ),
    function("skew", "x, n", (2, 2), "skewness of the last n, without bias"),
    function(
        "kurt",
        "x, n",
        (2, 2),
        "excess kurtosis of the last n, without bias",
    ),
    function(
        "slope",
        "x, n",
        (2, 2),
        "slope of the least-squares line through the last n, for a bar",
    ),
    function(
        "rsquare",
        "x, n",
        (2, 2),
        "share of the variance that the line explains",
    ),
    function(
        "residual",
        "x, n",
        (2, 2),
        "x less the line's value at the newest bar",
    ),
    function("cov", "x, y, n", (3, 3), "covariance of the last n"),
    function(
        "corr",
        "x, y, n",
        (3, 3),
        "correlation of the last n; unknown where one does not move",
    ),
    function("beta", "x, y, n", (3, 3), "slope of x on y over the last n"),
    function("highest", "x, n", (2, 2), "highest of the last n"),
    function("lowest", "x, n", (2, 2), "lowest of the last n"),
    function(
        "since_highest",
        "x, n",
        (2, 2),
        "bars since the highest of the last n, the newest of equal ones",
    ),
    function(
        "since_lowest",
        "x, n",
        (2, 2),
        "bars since the lowest of the last n, the newest of equal ones",
    ),
    function(
        "since_first_highest",
        "x, n",
        (2, 2),
        "bars since the highest of the last n, the oldest of equal ones",
    ),
    function(
        "since_first_lowest",
        "x, n",
        (2, 2),
        "bars since the lowest of the last n, the oldest of equal ones",
    ),
    function(
        "quantile",
        "x, n, q",
        (3, 3),
        "quantile of the last n, linear between two values",
    ),
    function("median", "x, n", (2, 2), "quantile 0.5"),
    function(
        "rank",
        "x, n",
        (2, 2),
        "share of the last n that are at most x, equal ones by their mean rank",
    ),
    function(
        "count",
        "condition, n",
        (2, 2),
        "in how many of the last n bars it held",
    ),
    function(
        "ema",
        "x, n [, w]",
        (2, 3),
        "exponential average of weight 2/(n+1), seeded by the mean of the first n",
    ),
    function(
        "wilder",
        "x, n [, w]",
        (2, 3),
        "exponential average of weight 1/n, seeded by the mean of the first n",
    ),
    function(
        "smooth",
        "x, weight [, w]",
        (2, 3),
        "exponential average of a weight, seeded by the first value",
    ),
    function(
        "adaptive",
        "x, weight [, w]",
        (2, 3),
        "exponential average whose weight is a series (Kaufman)",
    ),
    function(
        "sar",
        "high, low, step, most [, w]",
        (4, 5),
        "parabolic stop and reverse (Wilder)",
    ),
    function(
        "frac_diff",
        "x, d, n",
        (3, 3),
        "fractional difference of order d over n bars",
    ),
    function(
        "cusum",
        "x, threshold [, w]",
        (2, 3),
        "1 where the rises of x have summed up to more than the threshold, -1 where its falls have, else 0",
    ),
    function(
        "cusum_sum",
        "x, threshold [, w]",
        (2, 3),
        "what cusum has summed up since: rises and falls together",
    ),
    function(
        "regime",
        "x, mean_a, std_a, mean_b, std_b, stay_a, stay_b [, w]",
        (7, 8),
        "probability of state b of a hidden Markov chain, given x so far; stay: that a state lasts another bar",
    ),
    function("atan", "x", (1, 1), "arc tangent, radians"),
    function(
        "number",
        "x",
        (1, 1),
        "x without its unit: a price as it is written, in floating point",
    ),
    function(
        "mad",
        "x, n",
        (2, 2),
        "mean distance of the last n from their mean",
    ),
    function(
        "wilder_sum",
        "x, n [, w]",
        (2, 3),
        "y + x - y/n, seeded by the sum of the first n - 1",
    ),
];

/// The function of a name.
#[must_use]
pub(super) fn find(name: &str) -> Option<&'static Function> {
    ALL.iter().find(|function| function.name == name)
}
