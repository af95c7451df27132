"""Moments of return series and resampled confidence intervals.

Every function takes one-dimensional float64 arrays of *per-period* simple returns (0.01 is one percent) and refuses
values that are not finite: a NaN that slips into a Sharpe ratio is a wrong decision later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Callable

Float64Array = NDArray[np.float64]

BOOTSTRAP_MAX_SAMPLES = 100_000


class StatisticsError(PyRtError):
    """A series that is too short, not one-dimensional, or not finite."""


@dataclass(frozen=True)
class Moments:
    """Sample moments of per-period returns.

    ``std`` divides by n - 1; ``skew`` and ``kurtosis`` are the biased (population) moments, and the kurtosis is
    NOT excess: 3 for a normal sample.
    """

    count: int
    mean: float
    std: float
    skew: float
    kurtosis: float


def as_series(values: ArrayLike, *, name: str, minimum: int) -> Float64Array:
    """The values as a finite float64 array of one dimension and at least ``minimum`` elements.

    Raises:
        StatisticsError: with the name of the series and the first offending position.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise StatisticsError(f"{name} has {series.ndim} dimensions; expected 1")
    if series.size < minimum:
        raise StatisticsError(f"{name} has {series.size} values; at least {minimum} are needed")
    bad = np.flatnonzero(~np.isfinite(series))
    if bad.size:
        raise StatisticsError(f"{name} is not finite at position {int(bad[0])} ({bad.size} such values)")
    return series


def simple_returns(equity: ArrayLike) -> Float64Array:
    """Per-period simple returns of an equity curve: ``equity[i+1] / equity[i] - 1``, one element fewer.

    Raises:
        StatisticsError: fewer than two points, or a point that is not above zero.

    >>> simple_returns([100.0, 110.0, 99.0]).round(6).tolist()
    [0.1, -0.1]
    """
    curve = as_series(equity, name="equity", minimum=2)
    if (curve <= 0).any():
        position = int(np.flatnonzero(curve <= 0)[0])
        raise StatisticsError(f"equity is {curve[position]} at position {position}; returns need values above 0")
    result: Float64Array = curve[1:] / curve[:-1] - 1.0
    return result


def sample_moments(returns: ArrayLike) -> Moments:
    """Mean, standard deviation, skew and (non-excess) kurtosis of at least two returns.

    A constant series has standard deviation 0, skew 0 and kurtosis 3, so that formulas built on them stay defined.

    >>> m = sample_moments([1.0, 2.0, 3.0, 4.0])
    >>> (m.count, m.mean, round(m.std, 6), m.skew, round(m.kurtosis, 6))
    (4, 2.5, 1.290994, 0.0, 1.64)
    """
    series = as_series(returns, name="returns", minimum=2)
    mean = float(series.mean())
    centered = series - mean
    variance = float((centered**2).mean())
    if variance == 0.0 or np.ptp(series) == 0.0:
        return Moments(series.size, mean, 0.0, 0.0, 3.0)
    skew = float((centered**3).mean()) / variance**1.5
    kurtosis = float((centered**4).mean()) / variance**2
    return Moments(series.size, mean, float(series.std(ddof=1)), skew, kurtosis)


def autocorrelation(returns: ArrayLike, lag: int) -> float:
    """Sample autocorrelation at ``lag`` periods (Box and Jenkins: covariance over the full-sample variance).

    Raises:
        StatisticsError: a lag outside 1..n-1.

    >>> round(autocorrelation([1.0, -1.0, 1.0, -1.0], 1), 6)
    -0.75
    """
    series = as_series(returns, name="returns", minimum=2)
    if not 1 <= lag < series.size:
        raise StatisticsError(f"lag is {lag}; allowed are 1..{series.size - 1}")
    centered = series - series.mean()
    total = float(centered @ centered)
    return float(centered[lag:] @ centered[:-lag]) / total if total > 0 else 0.0


def bootstrap_interval(
    returns: ArrayLike,
    statistic: Callable[[Float64Array], float],
    *,
    mean_block: int,
    samples: int,
    seed: int,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of a statistic under the stationary bootstrap (Politis and Romano, 1994).

    Blocks have geometric length with mean ``mean_block`` periods and wrap around, which keeps the short-range
    dependence of returns. Deterministic for a seed.

    Raises:
        StatisticsError: a block length, sample count or confidence outside its range.

    >>> low, high = bootstrap_interval([0.01] * 50, lambda r: float(r.mean()), mean_block=5, samples=20, seed=1)
    >>> (round(low, 6), round(high, 6))
    (0.01, 0.01)
    """
    series = as_series(returns, name="returns", minimum=2)
    if not 1 <= mean_block <= series.size:
        raise StatisticsError(f"mean_block is {mean_block}; allowed are 1..{series.size}")
    if not 1 <= samples <= BOOTSTRAP_MAX_SAMPLES:
        raise StatisticsError(f"samples is {samples}; allowed are 1..{BOOTSTRAP_MAX_SAMPLES}")
    if not 0.0 < confidence < 1.0:
        raise StatisticsError(f"confidence is {confidence}; allowed is inside (0, 1)")
    rng = np.random.default_rng(seed)
    values = np.empty(samples)
    positions = np.arange(series.size)
    for sample in range(samples):
        restart = rng.random(series.size) < 1.0 / mean_block
        restart[0] = True
        block_start = np.maximum.accumulate(np.where(restart, positions, 0))
        origin = rng.integers(0, series.size, size=series.size)
        index = (origin[block_start] + positions - block_start) % series.size
        values[sample] = statistic(series[index])
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)
