"""Statistics beside libraries of others: statsmodels, hmmlearn, orderflow-metrics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import orderflow_metrics as of
import polars as pl
import py_rt_core
import pytest
from hmmlearn.hmm import GaussianHMM  # type: ignore[import-untyped]
from statsmodels.regression.rolling import RollingOLS  # type: ignore[import-untyped]
from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression  # type: ignore[import-untyped]

from py_rt.data.bar_files import units
from py_rt.ml.features.catalogue import Feature
from py_rt.ml.features.expressions import Expressions, chosen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

ROWS = 600
WINDOW = 20
BAR_NS = 60_000_000_000
UNIT = 1e8


@pytest.fixture(scope="module")
def prices() -> dict[str, NDArray[np.float64]]:
    random = np.random.default_rng(5)
    close = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.01, ROWS))), 2)
    opened = np.round(close * (1 + random.normal(0, 0.003, ROWS)), 2)
    high = np.round(np.maximum(opened, close) + random.exponential(0.3, ROWS), 2)
    low = np.round(np.minimum(opened, close) - random.exponential(0.3, ROWS), 2)
    return {
        "open": opened,
        "high": high,
        "low": low,
        "close": close,
        "volume": np.round(random.exponential(9, ROWS), 3),
    }


def computed(expression: str | list[Feature], columns: Mapping[str, NDArray[np.floating]]) -> NDArray[np.float64]:
    features = [Feature("it", expression, "", "", "")] if isinstance(expression, str) else expression
    bars = pl.DataFrame({name: units(values.astype(np.float64)) for name, values in columns.items()})
    bars = bars.with_columns(number=pl.int_range(bars.height, dtype=pl.Int64))
    return Expressions(features).compute(bars)[features[0].name].to_numpy()


def candles(prices: dict[str, NDArray[np.float64]], end: int, count: int) -> list[of.Candle]:
    rows = zip(*(prices[name][end - count : end] for name in ("open", "high", "low", "close")), strict=True)
    return [of.Candle(*(float(value) for value in row)) for row in rows]


RANGES: list[tuple[str, Callable[[Sequence[of.Candle]], float], int]] = [
    ("parkinson_20", of.parkinson_volatility, WINDOW),
    ("garman_klass_20", of.garman_klass_volatility, WINDOW),
    ("rogers_satchell_20", of.rogers_satchell_volatility, WINDOW),
    # Its first bar is only the close before.
    ("yang_zhang_20", of.yang_zhang_volatility, WINDOW + 1),
]


@pytest.mark.parametrize(("name", "theirs", "count"), RANGES)
def test_volatilities_of_ranges(
    prices: dict[str, NDArray[np.float64]], name: str, theirs: Callable[[Sequence[of.Candle]], float], count: int
) -> None:
    made = computed(chosen([name]), prices)
    for end in (WINDOW + 1, 100, ROWS):
        assert made[end - 1] == pytest.approx(theirs(candles(prices, end, count)), rel=1e-11)


def test_order_flow_imbalance_of_a_bar_is_theirs_of_its_quotes() -> None:
    random = np.random.default_rng(6)
    count = 400
    ts = np.sort(random.integers(0, 4 * BAR_NS, count))
    bid = 1_000_000 + np.cumsum(random.integers(-1, 2, count)) * 100
    quotes = pl.DataFrame(
        {
            "ts": ts,
            "bid": bid,
            "bid_quantity": random.integers(1, 50, count),
            "ask": bid + 100 * random.integers(1, 4, count),
            "ask_quantity": random.integers(1, 50, count),
            "bid_depth": np.zeros(count, dtype=np.int64),
            "ask_depth": np.zeros(count, dtype=np.int64),
        }
    )
    trades = pl.DataFrame({"ts": [0], "price": [1], "quantity": [1], "side": [1]})
    numbers, columns = py_rt_core.flow_columns(quotes, trades, BAR_NS)
    ours = dict(columns)["order_flow"]
    theirs = [of.L1Quote(*row[1:5]) for row in quotes.iter_rows()]
    steps = [0.0, *of.ofi_series(theirs)]
    for number, value in zip(numbers, ours, strict=True):
        assert value == sum(step for step, at in zip(steps, ts, strict=True) if at // BAR_NS == number)


def test_impact_of_signed_volume_is_kyle_s_lambda() -> None:
    random = np.random.default_rng(7)
    volume = {name: np.round(random.exponential(3, ROWS), 3) for name in ("buy_volume", "sell_volume")}
    mid = 50 + np.round(
        np.cumsum((volume["buy_volume"] - volume["sell_volume"]) * 0.01 + random.normal(0, 0.02, ROWS)), 2
    )
    columns = {**volume, "bid": mid - 0.01, "ask": mid + 0.01}
    made = computed(chosen(["kyle_lambda_20"]), columns)
    net = volume["buy_volume"] - volume["sell_volume"]
    for end in (WINDOW + 1, 333, ROWS):
        moves = np.diff(mid[end - WINDOW - 1 : end])
        pairs = [of.FlowObservation(float(m), float(n)) for m, n in zip(moves, net[end - WINDOW : end], strict=True)]
        # Prices and quantities are whole numbers of 1e-8: the middle of two prices is exact to one of them.
        assert made[end - 1] == pytest.approx(of.kyle_lambda(pairs), rel=1e-6)


@pytest.mark.parametrize(
    ("rule", "theirs"), [("ticks", of.tick_bars), ("volume", of.volume_bars), ("dollars", of.dollar_bars)]
)
def test_bars_of_events_are_theirs(rule: str, theirs: Callable[..., list[of.Bar]]) -> None:
    random = np.random.default_rng(8)
    count = 3_000
    price, quantity = 10_000 + random.integers(-90, 90, count), random.integers(1, 90, count)
    side = random.choice([1, -1], count)
    trades = pl.DataFrame({"ts": np.arange(count), "price": price, "quantity": quantity, "side": side})
    size = {"ticks": 37.0, "volume": 1_500.0, "dollars": 16_000_000.0}[rule]
    # As people write them: a quantity of 1e-8 for each unit, a value of 1e-16 for each product.
    scale = {"ticks": 1.0, "volume": UNIT, "dollars": UNIT * UNIT}[rule]
    ours = pl.DataFrame(dict(py_rt_core.event_bars(trades, rule, size / scale, 1.0)))
    plain = [
        of.Trade(float(p), float(q), "buy" if s == 1 else "sell") for p, q, s in zip(price, quantity, side, strict=True)
    ]
    expected = theirs(plain, size)
    assert ours.height == len(expected) > 20
    for name in ("open", "high", "low", "close", "volume", "buy_volume"):
        assert ours[name].to_list() == [getattr(bar, name) for bar in expected], name
    assert ours["trades"].to_list() == [bar.ticks for bar in expected]


def test_a_slope_and_its_fit_are_those_of_a_rolling_regression(prices: dict[str, NDArray[np.float64]]) -> None:
    close = prices["close"]
    time = np.column_stack([np.ones(ROWS), np.arange(ROWS, dtype=np.float64)])
    fitted = RollingOLS(close, time, window=WINDOW).fit()
    slope = computed("slope(close, 20)", prices)
    assert np.allclose(slope[WINDOW:], fitted.params[WINDOW:, 1], rtol=1e-7, atol=1e-9)
    fit = computed("rsquare(close, 20)", prices)
    assert np.allclose(fit[WINDOW:], fitted.rsquared[WINDOW:], rtol=1e-6, atol=1e-8)
    market = np.column_stack([np.ones(ROWS), prices["volume"]])
    beta = computed("beta(close, volume, 20)", prices)
    assert np.allclose(beta[WINDOW:], RollingOLS(close, market, window=WINDOW).fit().params[WINDOW:, 1], rtol=1e-8)


STAY = (0.97, 0.9)
MEANS, DEVIATIONS = (0.05, -0.3), (0.6, 1.9)


@pytest.fixture(scope="module")
def chain() -> NDArray[np.float64]:
    """Observations of a hidden chain of two states."""
    random = np.random.default_rng(9)
    state, made = 0, []
    for _ in range(ROWS):
        state = state if random.random() < STAY[state] else 1 - state
        made.append(random.normal(MEANS[state], DEVIATIONS[state]))
    return np.round(np.array(made), 6)


def filtered(observed: NDArray[np.float64]) -> NDArray[np.float64]:
    expression = (
        f"regime(number(close) - 10, {MEANS[0]}, {DEVIATIONS[0]}, {MEANS[1]}, {DEVIATIONS[1]}, {STAY[0]}, {STAY[1]})"
    )
    return computed(expression, {"close": observed + 10})


def test_a_filtered_regime_is_that_of_statsmodels(chain: NDArray[np.float64]) -> None:
    model = MarkovRegression(chain, k_regimes=2, switching_variance=True)
    variances = [deviation**2 for deviation in DEVIATIONS]
    theirs = model.filter([STAY[0], 1 - STAY[1], *MEANS, *variances]).filtered_marginal_probabilities
    assert np.allclose(filtered(chain), theirs[:, 1], rtol=1e-6, atol=1e-9)


def test_the_newest_regime_is_that_of_hmmlearn(chain: NDArray[np.float64]) -> None:
    leave = 1 - STAY[0], 1 - STAY[1]
    model = GaussianHMM(2, covariance_type="diag")
    model.startprob_ = np.array([leave[1], leave[0]]) / sum(leave)
    model.transmat_ = np.array([[STAY[0], leave[0]], [leave[1], STAY[1]]])
    model.means_, model.covars_ = np.array(MEANS)[:, None], np.array(DEVIATIONS)[:, None] ** 2
    ours = filtered(chain)
    for end in (1, 2, 77, ROWS):
        # Of a sequence's last bar nothing later is known: what is smoothed there is what is filtered.
        assert ours[end - 1] == pytest.approx(model.predict_proba(chain[:end, None])[-1, 1], rel=1e-6, abs=1e-9)
    assert math.isfinite(ours.sum())
