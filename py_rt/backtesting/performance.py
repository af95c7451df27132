"""How good a strategy was, and how much of that is luck.

Conventions, because published formulas disagree about them:

* Returns are per-period *simple* returns. A Sharpe ratio is *per period* unless the name says ``annual``; the
  risk-free rate is 0. Standard deviations divide by n - 1.
* Kurtosis is never excess (normal = 3). Skew and kurtosis are those of
  :func:`py_rt.analysis.statistics.sample_moments`.
* Annualisation is explicit: :func:`periods_per_year` counts bars of a market that never closes
  (15-minute bars: 35,040 a year), and an annual Sharpe ratio is the per-period one times its square root. That
  assumes returns that do not depend on each other; it is a unit, not a promise.
* A series that does not vary (a strategy that never traded) has Sharpe ratio 0.
* Drawdowns are positive fractions of the running peak.

Sources: Bailey and Lopez de Prado, "The Sharpe Ratio Efficient Frontier" (2012, PSR and MinTRL), "The Deflated Sharpe
Ratio" (2014), Bailey et al., "Pseudo-Mathematics and Financial Charlatanism" (2014, MinBTL) and "The Probability of
Backtest Overfitting" (2017, CSCV).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from py_rt.analysis.statistics import Moments, as_series, sample_moments, simple_returns
from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Sequence

Float64Array = NDArray[np.float64]

NORMAL = NormalDist()
EULER_GAMMA = 0.5772156649015329
NS_PER_YEAR = 365 * 86_400 * 10**9
CSCV_MAX_BLOCKS = 16


class PerformanceError(PyRtError):
    """A measure asked for with numbers it is not defined for."""


def periods_per_year(bar_ns: int) -> float:
    """Bars of ``bar_ns`` nanoseconds in 365 days of round-the-clock trading.

    >>> periods_per_year(15 * 60 * 10**9)
    35040.0
    """
    if bar_ns <= 0:
        raise PerformanceError(f"bar_ns is {bar_ns}; allowed is above 0")
    return NS_PER_YEAR / bar_ns


def sharpe_ratio(returns: ArrayLike) -> float:
    """Mean over standard deviation of per-period returns; 0 for a series that does not vary.

    >>> round(sharpe_ratio([0.01, 0.03, -0.01, 0.01]), 6)
    0.612372
    """
    moments = sample_moments(returns)
    return moments.mean / moments.std if moments.std > 0 else 0.0


def annual_sharpe_ratio(returns: ArrayLike, *, bar_ns: int) -> float:
    """Per-period Sharpe ratio times the square root of the bars in a year.

    >>> round(annual_sharpe_ratio([0.01, 0.03, -0.01, 0.01], bar_ns=86_400 * 10**9), 4)
    11.6994
    """
    return sharpe_ratio(returns) * math.sqrt(periods_per_year(bar_ns))


def sortino_ratio(returns: ArrayLike, *, target: float = 0.0) -> float:
    """Mean excess over ``target`` divided by the downside deviation, per period (Sortino and Price, 1994).

    The downside deviation is the root of the mean squared shortfall over *all* periods. 0 where nothing fell short
    and nothing was gained; infinite where gains met no shortfall.

    >>> round(sortino_ratio([0.02, -0.01, 0.02, -0.01]), 6)
    0.707107
    """
    series = as_series(returns, name="returns", minimum=2)
    excess = float(series.mean()) - target
    downside = math.sqrt(float((np.minimum(series - target, 0.0) ** 2).mean()))
    if downside == 0.0:
        return math.inf if excess > 0 else 0.0
    return excess / downside


def drawdowns(equity: ArrayLike) -> Float64Array:
    """Distance below the running peak at every point, as a positive fraction.

    >>> drawdowns([100.0, 120.0, 90.0, 130.0]).tolist()
    [0.0, 0.0, 0.25, 0.0]
    """
    curve = as_series(equity, name="equity", minimum=1)
    peak = np.maximum.accumulate(curve)
    if not peak[0] > 0:
        raise PerformanceError(f"equity starts at {curve[0]}; drawdowns need a start above 0")
    result: Float64Array = 1.0 - curve / peak
    return result


def max_drawdown(equity: ArrayLike) -> float:
    """Deepest drawdown, as a positive fraction.

    >>> max_drawdown([100.0, 120.0, 90.0, 130.0])
    0.25
    """
    return float(drawdowns(equity).max())


def annual_return(equity: ArrayLike, *, bar_ns: int) -> float:
    """Compound growth per year of an equity curve with one point per bar; -1 once everything is lost.

    >>> round(annual_return([100.0, 101.0], bar_ns=86_400 * 10**9), 4)
    36.7834
    """
    curve = as_series(equity, name="equity", minimum=2)
    if not curve[0] > 0:
        raise PerformanceError(f"equity starts at {curve[0]}; growth needs a start above 0")
    growth = float(curve[-1] / curve[0])
    if growth <= 0:
        return -1.0
    exponent = periods_per_year(bar_ns) / (curve.size - 1) * math.log(growth)
    return math.expm1(exponent) if exponent < 700 else math.inf


def calmar_ratio(equity: ArrayLike, *, bar_ns: int) -> float:
    """Annual compound return over the maximum drawdown; 0 without gain and drawdown, infinite with gain alone.

    >>> round(calmar_ratio([100.0, 90.0, 99.0], bar_ns=365 * 86_400 * 10**9), 6)
    -0.050126
    """
    growth = annual_return(equity, bar_ns=bar_ns)
    depth = max_drawdown(equity)
    if depth == 0.0:
        return math.inf if growth > 0 else 0.0
    return growth / depth


def win_rate(trade_pnls: ArrayLike) -> float | None:
    """Share of closed trades with profit above 0 after costs; None without trades.

    >>> win_rate([5.0, -2.0, 0.0, 1.0])
    0.5
    """
    trades = as_series(trade_pnls, name="trade_pnls", minimum=0)
    return float((trades > 0).mean()) if trades.size else None


def profit_factor(trade_pnls: ArrayLike) -> float | None:
    """Sum of profits over sum of losses, after costs; None without a losing trade (nothing to divide by).

    >>> profit_factor([5.0, -2.0, 1.0])
    3.0
    """
    trades = as_series(trade_pnls, name="trade_pnls", minimum=0)
    losses = -float(trades[trades < 0].sum())
    return float(trades[trades > 0].sum()) / losses if losses > 0 else None


def turnover(traded_notional: float, equity: ArrayLike) -> float:
    """Notional bought plus sold over the whole run, in multiples of the mean equity.

    >>> turnover(3_000.0, [1_000.0, 1_000.0])
    3.0
    """
    curve = as_series(equity, name="equity", minimum=1)
    if traded_notional < 0 or not curve.mean() > 0:
        raise PerformanceError(
            f"traded notional is {traded_notional}, mean equity {curve.mean()}; expected >= 0 and > 0"
        )
    return traded_notional / float(curve.mean())


def _estimator_variance(sharpe: float, skew: float, kurtosis: float) -> float:
    """(n - 1) times the variance of the Sharpe ratio's estimator (Mertens, 2002)."""
    value = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if not value > 0:
        raise PerformanceError(f"moments are impossible: skew {skew}, kurtosis {kurtosis} at Sharpe ratio {sharpe}")
    return value


def probabilistic_sharpe_ratio(
    sharpe: float, *, benchmark: float, count: int, skew: float = 0.0, kurtosis: float = 3.0
) -> float:
    """Probability that the true Sharpe ratio exceeds ``benchmark``; both per period, over ``count`` periods.

    ``Phi((SR - SR0) sqrt(n - 1) / sqrt(1 - skew SR + (kurtosis - 1) / 4 SR^2))``.

    >>> round(probabilistic_sharpe_ratio(0.1, benchmark=0.0, count=252), 4)
    0.943
    """
    if count < 2:
        raise PerformanceError(f"count is {count}; at least 2 periods are needed")
    z = (sharpe - benchmark) * math.sqrt(count - 1) / math.sqrt(_estimator_variance(sharpe, skew, kurtosis))
    return NORMAL.cdf(z)


def expected_max_sharpe(trials: int, *, variance: float = 1.0) -> float:
    """Expected best Sharpe ratio of ``trials`` independent worthless strategies whose ratios have ``variance``.

    ``sqrt(V) ((1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e)))`` with Euler's g; 0 for a single trial.

    >>> round(expected_max_sharpe(10), 6)
    1.574598
    """
    if trials < 1 or not variance >= 0:
        raise PerformanceError(f"trials is {trials}, variance {variance}; allowed are at least 1 and at least 0")
    if trials == 1:
        return 0.0
    first = NORMAL.inv_cdf(1.0 - 1.0 / trials)
    second = NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * ((1.0 - EULER_GAMMA) * first + EULER_GAMMA * second)


def deflated_sharpe_ratio(
    sharpe: float, *, trials: int, variance: float, count: int, skew: float = 0.0, kurtosis: float = 3.0
) -> float:
    """PSR against the best ratio that ``trials`` worthless strategies would have shown.

    Args:
        sharpe: per period, of the strategy that was chosen.
        trials: how many were tried, from the ledger.
        variance: of the trials' per-period Sharpe ratios, at the same period length.
        count: periods in the chosen strategy's record.

    >>> round(
    ...     deflated_sharpe_ratio(2.5 / 250**0.5, trials=100, variance=0.5 / 250, count=1250, skew=-3, kurtosis=10), 4
    ... )
    0.9004
    """
    benchmark = expected_max_sharpe(trials, variance=variance)
    return probabilistic_sharpe_ratio(sharpe, benchmark=benchmark, count=count, skew=skew, kurtosis=kurtosis)


def min_track_record_length(
    sharpe: float, *, benchmark: float = 0.0, skew: float = 0.0, kurtosis: float = 3.0, confidence: float = 0.95
) -> float:
    """Periods needed before ``sharpe`` exceeds ``benchmark`` with ``confidence``; infinite when it does not exceed it.

    ``1 + (1 - skew SR + (kurtosis - 1) / 4 SR^2) (Z(confidence) / (SR - SR0))^2``.

    >>> round(min_track_record_length(0.1, skew=-0.72, kurtosis=5.78), 2)
    294.27
    """
    if not 0.5 <= confidence < 1.0:
        raise PerformanceError(f"confidence is {confidence}; allowed is 0.5 up to below 1")
    if sharpe <= benchmark:
        return math.inf
    ratio = NORMAL.inv_cdf(confidence) / (sharpe - benchmark)
    return 1.0 + _estimator_variance(sharpe, skew, kurtosis) * ratio**2


def min_backtest_length_years(trials: int, *, target_annual_sharpe: float = 1.0) -> float:
    """Years of data below which ``trials`` worthless strategies are expected to show ``target_annual_sharpe``.

    >>> round(min_backtest_length_years(45), 3)
    4.998
    """
    if not target_annual_sharpe > 0:
        raise PerformanceError(f"target_annual_sharpe is {target_annual_sharpe}; allowed is above 0")
    return (expected_max_sharpe(trials) / target_annual_sharpe) ** 2


def backtest_overfitting_probability(trial_returns: ArrayLike, *, blocks: int) -> float:
    """PBO by combinatorially symmetric cross-validation: how often the in-sample winner is below median outside.

    Args:
        trial_returns: [periods, trials], per-period returns of every trial side by side. Rows beyond the largest
            multiple of ``blocks`` are left out at the start.
        blocks: even, 2 to 16; every half of them is once the in-sample set (16 give 12,870 splits).

    A column that does not vary has ratio 0. Of equal ratios the first column wins and ranks lowest.

    >>> rng = np.random.default_rng(42)
    >>> round(backtest_overfitting_probability(rng.normal(size=(1000, 20)) * 0.01, blocks=10), 4)
    0.6786
    """
    table = np.asarray(trial_returns, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2 or not np.isfinite(table).all():
        raise PerformanceError(f"trial_returns has shape {table.shape}; expected finite [periods, at least 2 trials]")
    if blocks % 2 or not 2 <= blocks <= CSCV_MAX_BLOCKS:
        raise PerformanceError(f"blocks is {blocks}; allowed are even numbers from 2 to {CSCV_MAX_BLOCKS}")
    size = table.shape[0] // blocks
    if size * blocks // 2 < 2:
        raise PerformanceError(f"{table.shape[0]} periods are too few for {blocks} blocks")
    parts = table[table.shape[0] - size * blocks :].reshape(blocks, size, table.shape[1])
    sums, squares = parts.sum(axis=1), (parts**2).sum(axis=1)
    count = size * blocks // 2
    below = 0
    splits = 0
    for chosen in itertools.combinations(range(blocks), blocks // 2):
        mask = np.zeros(blocks, dtype=bool)
        mask[list(chosen)] = True
        inside = _ratios(sums[mask].sum(axis=0), squares[mask].sum(axis=0), count)
        outside = _ratios(sums[~mask].sum(axis=0), squares[~mask].sum(axis=0), count)
        winner = int(inside.argmax())
        rank = 1 + int((outside < outside[winner]).sum())
        # logit(w) <= 0 with w = rank / (trials + 1) says exactly: not above the median.
        below += 2 * rank <= table.shape[1] + 1
        splits += 1
    return below / splits


def _ratios(total: Float64Array, squares: Float64Array, count: int) -> Float64Array:
    mean = total / count
    variance = np.maximum(squares - count * mean**2, 0.0) / (count - 1)
    std = np.sqrt(variance)
    result: Float64Array = np.divide(mean, std, out=np.zeros_like(mean), where=std > 0)
    return result


@dataclass(frozen=True)
class Performance:
    """One run in numbers. Ratios per period where the name does not say ``annual``; None where undefined."""

    periods: int
    bar_ns: int
    total_return: float
    annual_return: float | None
    sharpe: float
    annual_sharpe: float
    sortino: float | None
    calmar: float | None
    max_drawdown: float
    trades: int
    win_rate: float | None
    profit_factor: float | None
    turnover: float
    skew: float
    kurtosis: float
    probabilistic_sharpe: float
    trials: int
    trial_sharpe_variance: float
    expected_max_sharpe: float
    deflated_sharpe: float
    min_track_record_periods: float | None
    min_backtest_years: float

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain values for JSON: no infinities, no NaN."""
        return asdict(self)


def summarize(
    equity: ArrayLike,
    *,
    bar_ns: int,
    trade_pnls: ArrayLike,
    traded_notional: float,
    trial_sharpes: Sequence[float],
) -> Performance:
    """Every measure of one run.

    Args:
        equity: one point per bar, the first before the first bar; any currency, above 0.
        bar_ns: bar length in nanoseconds.
        trade_pnls: profit of every closed trade after costs, same currency.
        traded_notional: notional bought plus sold, same currency.
        trial_sharpes: per-period ratios, at this bar length, of every distinct trial the ledger knows for the data,
            the run itself included. Their number and variance deflate the ratio.

    Raises:
        PerformanceError, StatisticsError: numbers outside their range, or no trial at all.
    """
    if not trial_sharpes:
        raise PerformanceError("trial_sharpes is empty; the run itself is at least one trial")
    curve = as_series(equity, name="equity", minimum=3)
    returns = simple_returns(curve)
    moments = sample_moments(returns)
    sharpe = sharpe_ratio(returns)
    trials = as_series(list(trial_sharpes), name="trial_sharpes", minimum=1)
    variance = float(trials.var(ddof=1)) if trials.size > 1 else 0.0
    return Performance(
        periods=returns.size,
        bar_ns=bar_ns,
        total_return=float(curve[-1] / curve[0]) - 1.0,
        annual_return=_finite(annual_return(curve, bar_ns=bar_ns)),
        sharpe=sharpe,
        annual_sharpe=sharpe * math.sqrt(periods_per_year(bar_ns)),
        sortino=_finite(sortino_ratio(returns)),
        calmar=_finite(calmar_ratio(curve, bar_ns=bar_ns)),
        max_drawdown=max_drawdown(curve),
        trades=int(np.asarray(trade_pnls).size),
        win_rate=win_rate(trade_pnls),
        profit_factor=profit_factor(trade_pnls),
        turnover=turnover(traded_notional, curve),
        skew=moments.skew,
        kurtosis=moments.kurtosis,
        probabilistic_sharpe=_psr(sharpe, 0.0, moments),
        trials=trials.size,
        trial_sharpe_variance=variance,
        expected_max_sharpe=expected_max_sharpe(trials.size, variance=variance),
        deflated_sharpe=_psr(sharpe, expected_max_sharpe(trials.size, variance=variance), moments),
        min_track_record_periods=_finite(min_track_record_length(sharpe, skew=moments.skew, kurtosis=moments.kurtosis)),
        min_backtest_years=min_backtest_length_years(trials.size),
    )


def _psr(sharpe: float, benchmark: float, moments: Moments) -> float:
    return probabilistic_sharpe_ratio(
        sharpe, benchmark=benchmark, count=moments.count, skew=moments.skew, kurtosis=moments.kurtosis
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
