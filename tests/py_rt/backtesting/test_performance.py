"""Performance measures against published and hand-computed numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_rt.analysis.statistics import StatisticsError
from py_rt.backtesting import performance as p

QUARTER_HOUR_NS = 900 * 10**9
DAY_NS = 86_400 * 10**9


def test_a_year_has_35040_quarter_hours_and_365_days() -> None:
    assert p.periods_per_year(QUARTER_HOUR_NS) == 35_040
    assert p.periods_per_year(DAY_NS) == 365


def test_annual_sharpe_is_the_per_bar_ratio_times_the_root_of_bars_per_year() -> None:
    returns = np.random.default_rng(1).normal(0.0001, 0.002, size=2_000)
    wanted = returns.mean() / returns.std(ddof=1) * math.sqrt(35_040)
    assert p.annual_sharpe_ratio(returns, bar_ns=QUARTER_HOUR_NS) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(
    ("trials", "wanted"), [(1, 0.0), (2, 0.519755), (5, 1.192594), (10, 1.574598), (100, 2.530603), (1000, 3.255122)]
)
def test_expected_best_of_worthless_trials(trials: int, wanted: float) -> None:
    assert p.expected_max_sharpe(trials) == pytest.approx(wanted, abs=1e-6)


def test_expected_best_is_near_what_a_simulation_gives() -> None:
    draws = np.random.default_rng(5).normal(size=(40_000, 10)).max(axis=1).mean()
    assert draws == pytest.approx(1.538, abs=0.01)
    assert p.expected_max_sharpe(10) == pytest.approx(draws, abs=0.05)


@pytest.mark.parametrize(
    ("trials", "skew", "kurtosis", "benchmark", "deflated"),
    [
        (100, -3.0, 10.0, 0.113172, 0.900397),
        (46, -3.0, 10.0, 0.100362, 0.950502),
        (88, 0.0, 3.0, 0.111146, 0.950491),
    ],
)
def test_deflated_sharpe_of_the_paper(
    trials: int, skew: float, kurtosis: float, benchmark: float, deflated: float
) -> None:
    variance = 0.5 / 250
    assert p.expected_max_sharpe(trials, variance=variance) == pytest.approx(benchmark, abs=1e-6)
    result = p.deflated_sharpe_ratio(
        2.5 / math.sqrt(250), trials=trials, variance=variance, count=1_250, skew=skew, kurtosis=kurtosis
    )
    assert result == pytest.approx(deflated, abs=1e-6)


def test_kurtosis_is_not_excess() -> None:
    # Reading the paper's 10 as excess kurtosis (13) is the common mistake; it must not give the paper's number.
    wrong = p.deflated_sharpe_ratio(
        2.5 / math.sqrt(250), trials=100, variance=0.5 / 250, count=1_250, skew=-3, kurtosis=13
    )
    assert abs(wrong - 0.900397) > 1e-3


@pytest.mark.parametrize(("trials", "years"), [(45, 4.998), (10, 2.479)])
def test_minimum_backtest_length(trials: int, years: float) -> None:
    assert p.min_backtest_length_years(trials) == pytest.approx(years, abs=1e-3)
    assert p.min_backtest_length_years(trials, target_annual_sharpe=2.0) == pytest.approx(years / 4, abs=1e-3)


def test_minimum_track_record_length_and_its_consistency_with_psr() -> None:
    length = p.min_track_record_length(0.1, skew=-0.72, kurtosis=5.78)
    assert length == pytest.approx(294.27, abs=0.005)
    at_length = p.probabilistic_sharpe_ratio(0.1, benchmark=0.0, count=round(length), skew=-0.72, kurtosis=5.78)
    assert at_length == pytest.approx(0.95, abs=1e-3)
    assert p.min_track_record_length(0.0) == math.inf


def test_overfitting_probability_of_known_tables() -> None:
    noise = np.random.default_rng(42).normal(size=(1_000, 20)) * 0.01
    assert p.backtest_overfitting_probability(noise, blocks=10) == pytest.approx(0.6786, abs=5e-5)
    skilled = noise.copy()
    skilled[:, 7] += 0.0015
    assert p.backtest_overfitting_probability(skilled, blocks=10) == pytest.approx(0.2183, abs=5e-5)
    ranked = np.random.default_rng(3).normal(size=(200, 1)) * 0.01 + np.arange(6) * 0.01
    assert p.backtest_overfitting_probability(ranked, blocks=4) == 0.0


def test_overfitting_probability_of_noise_is_about_one_half() -> None:
    values = [
        p.backtest_overfitting_probability(np.random.default_rng(seed).normal(size=(400, 10)), blocks=8)
        for seed in range(40)
    ]
    assert np.mean(values) == pytest.approx(0.53, abs=0.01)


def test_sixteen_blocks_are_the_most() -> None:
    with pytest.raises(p.PerformanceError, match="even numbers from 2 to 16"):
        p.backtest_overfitting_probability(np.zeros((200, 3)), blocks=18)


def test_ratios_by_hand() -> None:
    returns = [0.02, -0.01, 0.03, -0.02]
    assert p.sharpe_ratio(returns) == pytest.approx(0.005 / np.std(returns, ddof=1))
    assert p.sortino_ratio(returns) == pytest.approx(0.005 / math.sqrt((0.01**2 + 0.02**2) / 4))
    equity = [100.0, 120.0, 60.0, 150.0]
    assert p.max_drawdown(equity) == 0.5
    assert p.annual_return(equity, bar_ns=3 * p.NS_PER_YEAR // 9) == pytest.approx(0.5)
    assert p.calmar_ratio(equity, bar_ns=3 * p.NS_PER_YEAR // 9) == pytest.approx(1.0)
    assert p.win_rate([3.0, -1.0, 2.0, 0.0]) == 0.5
    assert p.profit_factor([3.0, -1.0, 2.0, 0.0]) == 5.0
    assert p.turnover(2_500.0, [1_000.0, 1_500.0]) == 2.0


def test_what_is_undefined_is_absent_not_zero() -> None:
    assert p.win_rate([]) is None
    assert p.profit_factor([]) is None
    assert p.profit_factor([1.0]) is None


def test_a_flat_curve_has_no_ratio_and_no_drawdown() -> None:
    flat = [100.0] * 10
    assert p.sharpe_ratio([0.0] * 9) == 0.0
    assert p.sortino_ratio([0.0] * 9) == 0.0
    assert p.calmar_ratio(flat, bar_ns=DAY_NS) == 0.0


@given(st.lists(st.floats(1.0, 1e6), min_size=2, max_size=60))
def test_drawdown_stays_inside_zero_and_one_and_is_zero_for_rising_curves(points: list[float]) -> None:
    assert 0.0 <= p.max_drawdown(points) < 1.0
    assert p.max_drawdown(sorted(points)) == 0.0


@given(st.integers(2, 500), st.floats(0.0001, 4.0))
def test_more_trials_never_raise_the_deflated_ratio(trials: int, variance: float) -> None:
    few = p.deflated_sharpe_ratio(0.1, trials=trials, variance=variance, count=500)
    many = p.deflated_sharpe_ratio(0.1, trials=trials + 1, variance=variance, count=500)
    assert many <= few


def test_summary_agrees_with_its_parts_and_holds_plain_numbers() -> None:
    returns = np.random.default_rng(8).normal(0.0002, 0.003, size=500)
    equity = 10_000 * np.cumprod(np.concatenate([[1.0], 1 + returns]))
    result = p.summarize(
        equity,
        bar_ns=QUARTER_HOUR_NS,
        trade_pnls=[10.0, -5.0],
        traded_notional=40_000.0,
        trial_sharpes=[0.01, 0.03, -0.02],
    )
    assert result.sharpe == pytest.approx(p.sharpe_ratio(returns), rel=1e-9)
    assert result.trials == 3
    assert result.deflated_sharpe < result.probabilistic_sharpe
    assert result.periods == 500
    values = result.to_dict()
    assert all(value is None or math.isfinite(value) for value in values.values())


def test_summary_of_a_run_without_trades_is_defined() -> None:
    result = p.summarize(
        [1_000.0] * 20, bar_ns=QUARTER_HOUR_NS, trade_pnls=[], traded_notional=0.0, trial_sharpes=[0.0]
    )
    assert (result.sharpe, result.trades, result.win_rate, result.turnover) == (0.0, 0, None, 0.0)
    assert result.deflated_sharpe == 0.5


def test_summary_refuses_to_forget_the_trial_itself() -> None:
    with pytest.raises(p.PerformanceError, match="at least one trial"):
        p.summarize([1.0, 2.0, 3.0], bar_ns=1, trade_pnls=[], traded_notional=0.0, trial_sharpes=[])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused_with_their_place(bad: float) -> None:
    with pytest.raises(StatisticsError, match="position 1"):
        p.sharpe_ratio([0.01, bad, 0.02])


def test_impossible_moments_and_counts_are_refused() -> None:
    with pytest.raises(p.PerformanceError, match="moments are impossible"):
        p.probabilistic_sharpe_ratio(1.0, benchmark=0.0, count=10, skew=5.0, kurtosis=1.0)
    with pytest.raises(p.PerformanceError, match="at least 2 periods"):
        p.probabilistic_sharpe_ratio(1.0, benchmark=0.0, count=1)
    with pytest.raises(p.PerformanceError, match="trials is 0"):
        p.expected_max_sharpe(0)
