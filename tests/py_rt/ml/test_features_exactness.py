"""Against a reference of fifty digits, over a long and quiet market: nothing drifts, nothing cancels away."""

from __future__ import annotations

from decimal import Decimal, getcontext
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from py_rt.ml.features.catalogue import Feature
from py_rt.ml.features.expressions import Expressions

STEPS = 400_000
TOLERANCE = Decimal("1e-9")
LENGTH = 20
ROWS = [STEPS - 1, STEPS - 2, *range(5_000, STEPS, 19_937)]
"""Rows that are looked at: the last ones, and some before."""

EXPRESSIONS = {
    "mean": f"mean(close, {LENGTH})",
    "wma": f"wma(close, {LENGTH})",
    "var": f"var(close, {LENGTH})",
    "std": f"std(close, {LENGTH})",
    "std_of_five": "std(close, 5)",
    "skew": f"skew(close, {LENGTH})",
    "kurt": f"kurt(close, {LENGTH})",
    "slope": f"slope(close, {LENGTH})",
    "rsquare": f"rsquare(close, {LENGTH})",
    "residual": f"residual(close, {LENGTH})",
    "cov": f"cov(close, volume, {LENGTH})",
    "corr": f"corr(close, volume, {LENGTH})",
    "beta": f"beta(close, volume, {LENGTH})",
    "mad": f"mad(close, {LENGTH})",
    "ema": f"ema(close, {LENGTH})",
    "average_change": "wilder(abs(delta(close, 1)), 14)",
}
RECURSIONS = {"ema": 1_500, "average_change": 1_500}
"""Bars after which what came before is less than 1e-50 of the value."""


@pytest.fixture(scope="module")
def market() -> tuple[np.ndarray, np.ndarray]:
    """Closes around 60,000 that move by a cent or two, and volumes; whole numbers of 1e-8."""
    random = np.random.default_rng(7)
    close = 6_000_000_000_000 + np.cumsum(random.integers(-1, 2, STEPS)) % 7 * 1_000_000
    return close, random.integers(1, 10**9, STEPS)


@pytest.fixture(scope="module")
def made(market: tuple[np.ndarray, np.ndarray]) -> pl.DataFrame:
    close, volume = market
    columns = dict.fromkeys(("open", "high", "low", "close"), close.astype(float))
    still = dict.fromkeys(("day_fraction", "week_fraction"), np.zeros(STEPS))
    bars = pl.DataFrame({**columns, "volume": volume.astype(float), **still, "number": np.arange(STEPS)})
    return Expressions([Feature(name, text, "", "", "") for name, text in EXPRESSIONS.items()]).compute(bars)


def total(x: list[Decimal]) -> Decimal:
    return sum(x, Decimal(0))


def moments(x: list[Decimal], n: Decimal) -> dict[str, Decimal]:
    mean = total(x) / n
    second, third, fourth = (total([(one - mean) ** power for one in x]) / n for power in (2, 3, 4))
    skew = third / (second * second.sqrt()) * (n * (n - 1)).sqrt() / (n - 2)
    kurt = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * fourth / second**2 - 3 * (n - 1))
    return {
        "mean": mean,
        "wma": total([(at + 1) * one for at, one in enumerate(x)]) / (n * (n + 1) / 2),
        "var": second * n / (n - 1),
        "std": (second * n / (n - 1)).sqrt(),
        "std_of_five": std_of(x[-5:]),
        "skew": skew,
        "kurt": kurt,
        "mad": total([abs(one - mean) for one in x]) / n,
    }


def std_of(x: list[Decimal]) -> Decimal:
    mean = total(x) / len(x)
    return (total([(one - mean) ** 2 for one in x]) / (len(x) - 1)).sqrt()


def lines(x: list[Decimal], y: list[Decimal], n: Decimal) -> dict[str, Decimal]:
    def common(a: list[Decimal], b: list[Decimal]) -> Decimal:
        left, right = total(a) / n, total(b) / n
        return total([(one - left) * (other - right) for one, other in zip(a, b, strict=True)])

    time = [Decimal(at) for at in range(len(x))]
    slope = common(time, x) / common(time, time)
    return {
        "slope": slope,
        "rsquare": common(time, x) ** 2 / (common(time, time) * common(x, x)),
        "residual": x[-1] - (total(x) / n + slope * (n - 1) / 2),
        "cov": common(x, y) / (n - 1),
        "corr": common(x, y) / (common(x, x) * common(y, y)).sqrt(),
        "beta": common(x, y) / common(y, y),
    }


def averaged(x: list[Decimal], weight: Decimal) -> Decimal:
    value = x[0]
    for one in x[1:]:
        value += weight * (one - value)
    return value


@pytest.mark.parametrize("row", ROWS)
def test_a_quiet_market_is_right_to_nine_digits(
    market: tuple[np.ndarray, np.ndarray], made: pl.DataFrame, row: int
) -> None:
    getcontext().prec = 50
    close, volume = ([Decimal(int(one)) / 10**8 for one in column[row - 1_600 : row + 1]] for column in market)
    x, y = close[-LENGTH:], volume[-LENGTH:]
    exact = moments(x, Decimal(LENGTH)) | lines(x, y, Decimal(LENGTH))
    changes = [abs(one - before) for before, one in pairwise(close)]
    exact["ema"] = averaged(close[-RECURSIONS["ema"] :], Decimal(2) / (LENGTH + 1))
    exact["average_change"] = averaged(changes[-RECURSIONS["average_change"] :], Decimal(1) / 14)
    assert exact.keys() == EXPRESSIONS.keys()
    wrong = {}
    for name, right in exact.items():
        ours = Decimal(made[name][row])
        # Of what is a difference of parts, the parts' size counts.
        size = max(abs(right), exact["std"] * Decimal("0.01") if name == "residual" else Decimal(0))
        if abs(ours - right) > TOLERANCE * size:
            wrong[name] = (ours, right)
    assert not wrong
