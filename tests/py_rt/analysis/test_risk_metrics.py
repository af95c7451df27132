"""Value at Risk, its conditional form, volatility and beta."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from py_rt.analysis import risk_metrics as r
from py_rt.analysis.statistics import StatisticsError

QUARTER_HOUR_NS = 900 * 10**9


def test_parametric_forms_agree_with_the_normal_distribution() -> None:
    assert r.parametric_var(volatility=0.04, mean=0.001) == pytest.approx(-norm.ppf(0.05, loc=0.001, scale=0.04))
    tail = norm.expect(lambda x: -x, loc=0.001, scale=0.04, ub=norm.ppf(0.05, 0.001, 0.04), conditional=True)
    assert r.parametric_cvar(volatility=0.04, mean=0.001) == pytest.approx(tail, rel=1e-6)


def test_daily_volatility_scales_96_quarter_hours() -> None:
    returns = np.random.default_rng(3).normal(0, 0.003, size=4_000)
    assert r.daily_volatility(returns, bar_ns=QUARTER_HOUR_NS) == pytest.approx(
        returns.std(ddof=1) * math.sqrt(96), rel=1e-12
    )


def test_historical_var_of_a_hundred_returns_is_the_fifth_worst() -> None:
    returns = -np.arange(1, 101) / 1_000
    assert r.historical_var(returns) == pytest.approx(0.096)
    assert r.historical_cvar(returns) == pytest.approx(np.mean([0.100, 0.099, 0.098, 0.097, 0.096]))


def test_historical_and_parametric_agree_on_many_normal_returns() -> None:
    returns = np.random.default_rng(1).normal(0, 0.01, size=200_000)
    assert r.historical_var(returns) == pytest.approx(r.parametric_var(volatility=0.01), rel=0.02)
    assert r.historical_cvar(returns) == pytest.approx(r.parametric_cvar(volatility=0.01), rel=0.02)


def test_a_series_without_losses_has_no_var() -> None:
    assert r.historical_var([0.01, 0.02]) == 0.0
    assert r.historical_cvar([0.01, 0.02]) == 0.0
    assert r.parametric_var(volatility=0.0, mean=0.1) == 0.0


def test_cvar_is_never_below_var() -> None:
    rng = np.random.default_rng(8)
    for size in (1, 2, 19, 20, 21, 500):
        returns = rng.normal(0, 0.02, size=size)
        assert r.historical_cvar(returns) >= r.historical_var(returns)


@pytest.mark.parametrize("confidence", [0.05, 1.0, math.nan])
def test_confidence_is_written_as_0_95(confidence: float) -> None:
    with pytest.raises(StatisticsError, match=r"0\.95 for 95 % VaR"):
        r.parametric_var(volatility=0.01, confidence=confidence)


def test_beta_refuses_a_market_that_does_not_move() -> None:
    with pytest.raises(StatisticsError, match="constant"):
        r.beta([0.1, 0.2], [0.0, 0.0])
    with pytest.raises(StatisticsError, match="equal lengths"):
        r.beta([0.1, 0.2], [0.0, 0.1, 0.2])
