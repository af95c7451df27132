"""Moments and resampling."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from py_rt.analysis import statistics as s


def test_moments_agree_with_scipy() -> None:
    returns = np.random.default_rng(2).standard_t(5, size=5_000) * 0.01
    moments = s.sample_moments(returns)
    assert moments.mean == pytest.approx(returns.mean())
    assert moments.std == pytest.approx(returns.std(ddof=1))
    assert moments.skew == pytest.approx(stats.skew(returns))
    assert moments.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False))


def test_a_constant_series_has_the_moments_of_nothing_happening() -> None:
    moments = s.sample_moments([0.1] * 7)
    assert (moments.std, moments.skew, moments.kurtosis) == (0.0, 0.0, 3.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [([1.0], "at least 2"), ([[1.0, 2.0]], "2 dimensions"), ([1.0, math.nan], "not finite at position 1")],
)
def test_unfit_series_are_refused(values: list[float], message: str) -> None:
    with pytest.raises(s.StatisticsError, match=message):
        s.sample_moments(values)


def test_returns_need_an_equity_above_zero() -> None:
    with pytest.raises(s.StatisticsError, match="at position 2"):
        s.simple_returns([10.0, 5.0, 0.0])


def test_autocorrelation_of_an_alternating_and_of_a_constant_series() -> None:
    assert s.autocorrelation([1.0, -1.0] * 100, 2) == pytest.approx(0.99)
    assert s.autocorrelation([1.0] * 10, 1) == 0.0
    with pytest.raises(s.StatisticsError, match=r"1\.\.9"):
        s.autocorrelation([1.0] * 10, 10)


def test_the_bootstrap_covers_the_mean_and_repeats_itself() -> None:
    returns = np.random.default_rng(4).normal(0.001, 0.01, size=400)

    def mean(sample: s.Float64Array) -> float:
        return float(sample.mean())

    first = s.bootstrap_interval(returns, mean, mean_block=10, samples=500, seed=9)
    assert first == s.bootstrap_interval(returns, mean, mean_block=10, samples=500, seed=9)
    assert first != s.bootstrap_interval(returns, mean, mean_block=10, samples=500, seed=10)
    low, high = first
    assert low < returns.mean() < high
    # Independent returns: the interval is about four standard errors wide.
    assert high - low == pytest.approx(4 * 0.01 / 20, rel=0.25)


def test_blocks_keep_dependence_and_widen_the_interval() -> None:
    rng = np.random.default_rng(6)
    sticky = np.repeat(rng.normal(0, 0.01, size=50), 20)

    def mean(sample: s.Float64Array) -> float:
        return float(sample.mean())

    narrow = s.bootstrap_interval(sticky, mean, mean_block=1, samples=400, seed=1)
    wide = s.bootstrap_interval(sticky, mean, mean_block=40, samples=400, seed=1)
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


@pytest.mark.parametrize("setting", [{"mean_block": 0}, {"samples": 0}, {"confidence": 1.0}])
def test_bootstrap_settings_outside_their_range_are_refused(setting: dict[str, float]) -> None:
    settings = {"mean_block": 2, "samples": 10, "seed": 1, "confidence": 0.9} | setting
    with pytest.raises(s.StatisticsError, match=next(iter(setting))):
        s.bootstrap_interval([0.1, 0.2, 0.3], lambda r: float(r.mean()), **settings)  # type: ignore[arg-type]
