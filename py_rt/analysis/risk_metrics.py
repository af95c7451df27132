"""Value at Risk, Conditional Value at Risk, volatility and beta.

Returns are per-period simple returns; VaR and CVaR come back as *losses*, positive fractions of the position
(0.03: three percent can be lost), never below zero. Confidence is written as in "95 % VaR": 0.95.
The parametric forms are the ones the engine's pre-trade limit uses online, with the volatility the bundle carries.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from py_rt.analysis.statistics import StatisticsError, as_series

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

NORMAL = NormalDist()


def volatility(returns: ArrayLike, *, periods: float = 1.0) -> float:
    """Standard deviation (n - 1) of per-period returns, scaled to ``periods`` periods by the square root of time.

    Raises:
        StatisticsError: fewer than two returns, or ``periods`` not above zero.

    >>> round(volatility([0.01, -0.01, 0.01, -0.01], periods=4), 6)
    0.023094
    """
    series = as_series(returns, name="returns", minimum=2)
    if not periods > 0:
        raise StatisticsError(f"periods is {periods}; allowed is above 0")
    return float(series.std(ddof=1)) * math.sqrt(periods)


def daily_volatility(returns: ArrayLike, *, bar_ns: int) -> float:
    """One-day volatility of a market that never closes, from returns over bars of ``bar_ns`` nanoseconds.

    This is the number the bundle carries for the engine's one-day 95 % parametric VaR limit.

    >>> quarter_hour_ns = 900 * 10**9
    >>> round(daily_volatility([0.001, -0.001] * 48, bar_ns=quarter_hour_ns), 6)
    0.009849
    """
    if bar_ns <= 0:
        raise StatisticsError(f"bar_ns is {bar_ns}; allowed is above 0")
    return volatility(returns, periods=86_400 * 10**9 / bar_ns)


def parametric_var(*, volatility: float, mean: float = 0.0, confidence: float = 0.95) -> float:
    """Normal VaR ``z * volatility - mean`` as a fraction (Jorion, "Value at Risk", ch. 5); at least 0.

    >>> round(parametric_var(volatility=0.04), 6)
    0.065794
    """
    _check(volatility, confidence)
    return max(0.0, NORMAL.inv_cdf(confidence) * volatility - mean)


def parametric_cvar(*, volatility: float, mean: float = 0.0, confidence: float = 0.95) -> float:
    """Normal expected shortfall ``volatility * pdf(z) / (1 - confidence) - mean`` as a fraction; at least 0.

    >>> round(parametric_cvar(volatility=0.04), 6)
    0.082509
    """
    _check(volatility, confidence)
    z = NORMAL.inv_cdf(confidence)
    return max(0.0, volatility * NORMAL.pdf(z) / (1.0 - confidence) - mean)


def historical_var(returns: ArrayLike, *, confidence: float = 0.95) -> float:
    """The loss at rank ceil(n (1 - confidence)) of the sorted losses, largest first; at least 0.

    No interpolation, so the number is a loss that happened.

    >>> historical_var([-0.05, -0.02, 0.01, 0.03], confidence=0.75)
    0.05
    """
    losses = _sorted_losses(returns, confidence)
    return max(0.0, float(losses[_tail_count(losses.size, confidence) - 1]))


def historical_cvar(returns: ArrayLike, *, confidence: float = 0.95) -> float:
    """Mean of the losses at or beyond :func:`historical_var`; at least 0, and never below the VaR.

    >>> round(historical_cvar([-0.05, -0.03, 0.01, 0.03], confidence=0.5), 6)
    0.04
    """
    losses = _sorted_losses(returns, confidence)
    return max(0.0, float(losses[: _tail_count(losses.size, confidence)].mean()))


def beta(returns: ArrayLike, market_returns: ArrayLike) -> float:
    """Slope of the returns on the market's: covariance over the market's variance.

    Raises:
        StatisticsError: lengths differ, or the market did not move.

    >>> round(beta([0.02, -0.02, 0.04], [0.01, -0.01, 0.02]), 6)
    2.0
    """
    own = as_series(returns, name="returns", minimum=2)
    market = as_series(market_returns, name="market_returns", minimum=2)
    if own.size != market.size:
        raise StatisticsError(f"returns has {own.size} values, market_returns {market.size}; expected equal lengths")
    centered = market - market.mean()
    variance = float(centered @ centered)
    if variance == 0.0:
        raise StatisticsError("market_returns are constant; beta is undefined")
    return float((own - own.mean()) @ centered) / variance


def _check(value: float, confidence: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise StatisticsError(f"volatility is {value}; allowed is finite and at least 0")
    if not 0.5 <= confidence < 1.0:
        raise StatisticsError(f"confidence is {confidence}; allowed is 0.5 up to below 1 (0.95 for 95 % VaR)")


def _sorted_losses(returns: ArrayLike, confidence: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    _check(0.0, confidence)
    series = as_series(returns, name="returns", minimum=1)
    return np.sort(-series)[::-1]


def _tail_count(size: int, confidence: float) -> int:
    # The subtraction leaves dust (1 - 0.95 is above 0.05): without rounding, 100 returns would give rank 6.
    return max(1, math.ceil(round(size * (1.0 - confidence), 9)))
