"""Fitted numbers in the specification: the engine computes what the offline transform says, to the last bit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import py_rt_core
import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_rt.data.normalization import METHODS, FitError, Method, Normalization, fit
from py_rt.defaults import default_root
from py_rt.ml.features.normalized import Wish, expression_of, fitted_on, knots_of, normalized, written_out
from py_rt.ml.features.technical import WARM, FeatureSet, rows_that_differ_online

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL = default_root() / "config" / "features" / "btc_15m.toml"
TRAIN_ROWS = 700
BAR_NS = 900 * 10**9


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    """A walk with flat stretches, so that values repeat and deviations vanish."""
    walk = np.random.default_rng(5)
    steps = walk.integers(-400_000, 400_001, 1_400) * (walk.random(1_400) > 0.2)
    close = 5_000_000_000 + np.cumsum(steps) * 100
    opened = np.r_[close[0], close[:-1]]
    volume = walk.integers(0, 9, close.size) * 100_000_000
    return pl.DataFrame(
        {
            "ts_open": np.arange(close.size) * BAR_NS,
            "open": opened,
            "high": np.maximum(opened, close) + walk.integers(0, 50, close.size) * 10_000,
            "low": np.minimum(opened, close) - walk.integers(0, 50, close.size) * 10_000,
            "close": close,
            "volume": volume,
        }
    )


@pytest.fixture(scope="module")
def features() -> FeatureSet:
    return FeatureSet.from_toml(MODEL)


def exact(expressions: list[str], bars: pl.DataFrame) -> np.ndarray:
    """Values of expressions by themselves, 64-bit."""
    program = py_rt_core.FeatureProgram(expressions, {})
    number = bars["ts_open"] // BAR_NS
    day = (bars["ts_open"] + BAR_NS).to_numpy()
    frame = bars.select(pl.col("open", "high", "low", "close", "volume").cast(pl.Float64)).with_columns(
        number=number, day_fraction=(day % 86_400_000_000_000) / 86_400_000_000_000
    )
    made = np.empty((len(expressions), bars.height))
    program.compute(frame, made)
    return made


@pytest.mark.parametrize("method", METHODS)
def test_the_engine_gives_the_bits_of_the_offline_transform(
    features: FeatureSet, bars: pl.DataFrame, method: Method
) -> None:
    items = json.loads(features.canonical)["features"]
    expressions = [expression_of(item) for item in items]
    values = exact(expressions, bars)
    fits = fitted_on(features, features.compute(bars.head(TRAIN_ROWS)), {n: Wish(method, 0.05) for n in features.names})
    spec = normalized(features, fits)
    assert spec.names == features.names
    table = spec.compute(bars)
    warm = table[WARM].to_numpy()
    assert warm.sum() > 1_000
    for name, column in zip(spec.names, values, strict=True):
        offline = fits[name].apply(column).astype(np.float32)
        assert table[name].to_numpy()[warm].tobytes() == offline[warm].tobytes(), name
    # The service's path, from the first bar and from a later one.
    assert rows_that_differ_online(spec, bars, 0) == rows_that_differ_online(spec, bars, 333) == []


def test_an_expression_says_what_the_kind_says(features: FeatureSet, bars: pl.DataFrame) -> None:
    items = json.loads(features.canonical)["features"]
    values, kinds = exact([expression_of(item) for item in items], bars), features.compute(bars)
    for item, column in zip(items, values, strict=True):
        name, both = item["name"], kinds[WARM].to_numpy() & np.isfinite(column)
        # The index restarts a bar later as an expression, and forgets it within the window.
        tolerance = {"rsi_14": 0.01}.get(name, 1e-6)
        assert np.abs(kinds[name].to_numpy()[both] - column[both]).max() < tolerance, name


def test_only_training_rows_count_and_the_rest_of_the_set_stays(features: FeatureSet, bars: pl.DataFrame) -> None:
    wishes = {"ret_1": Wish("z_score", 0.01)}
    rows = features.compute(bars)
    fits = fitted_on(features, rows.head(TRAIN_ROWS), wishes)
    train = rows.head(TRAIN_ROWS).filter(WARM)["ret_1"].to_numpy()
    assert fits["ret_1"].rows == train.size
    assert fits["ret_1"].center == pytest.approx(float(train.mean()), abs=1e-9)
    items = {item["name"]: item for item in json.loads(normalized(features, fits).canonical)["features"]}
    before = {item["name"]: item for item in json.loads(features.canonical)["features"]}
    assert {name for name in items if items[name] != before[name]} == {"ret_1"}
    assert normalized(features, {}) is features


def test_what_cannot_be_is_refused_by_name(features: FeatureSet, bars: pl.DataFrame) -> None:
    rows = features.compute(bars)
    with pytest.raises(FitError, match="no feature is called ret_2; there are rsi_14"):
        fitted_on(features, rows, {"ret_2": Wish("z_score", 0.01)})
    with pytest.raises(FitError, match="feature ret_1: 0 finite training values"):
        fitted_on(features, rows.head(3), {"ret_1": Wish("z_score", 0.01)})
    with pytest.raises(FitError, match="allowed are 4096"):
        written_out("close / lag(close, 1)" + " + 0" * 1_100, Normalization("z_score"))
    with pytest.raises(FitError, match="has room for"):
        knots_of("close / lag(close, 1)" + " + 0" * 200)


RATIO = "close / lag(close, 1) - 1"
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(
    st.lists(numbers, min_size=2, max_size=40),
    st.sampled_from(METHODS),
    st.lists(st.integers(1, 10**15), min_size=2, max_size=30),
)
def test_any_fit_is_an_expression_with_the_same_bits(train: list[float], method: Method, closes: list[int]) -> None:
    fitted = fit(np.array(train), method, 0.1)
    frame = bars_of(closes)
    raw, made = exact([RATIO, written_out(RATIO, fitted)], frame)
    assert fitted.apply(raw).tobytes() == np.where(np.isnan(made), np.nan, made).tobytes()


def test_what_is_unknown_stays_so_under_any_fit() -> None:
    expression = "exp(number(close) * 1e3)"  # beyond numbers from the second bar on
    frame = bars_of([100_000, 10**9, 10**10])
    fits = [fit(np.array([1.0, 2.0, 3.0]), method) for method in METHODS]
    for fitted in (*fits, Normalization("z_score", center=1.0, scale=0.0)):
        raw, made = exact([expression, written_out(expression, fitted)], frame)
        assert np.isnan(raw).tolist() == np.isnan(made).tolist() == [False, True, True]
        assert fitted.apply(raw)[:1].tobytes() == made[:1].tobytes()


@given(st.lists(st.integers(1, 10**6), min_size=8, max_size=60))
def test_a_rank_is_a_step_at_each_of_its_knots(closes: list[int]) -> None:
    frame = bars_of(closes)
    (raw,) = exact([RATIO], frame)
    seen = raw[np.isfinite(raw)]
    fitted = fit(seen, "rank", knots=knots_of(RATIO))
    (made,) = exact([written_out(RATIO, fitted)], frame)
    assert fitted.apply(raw)[1:].tobytes() == made[1:].tobytes()  # at the very values of the knots


def bars_of(closes: list[int]) -> pl.DataFrame:
    column: Mapping[str, list[int]] = dict.fromkeys(("open", "high", "low", "close", "volume"), closes)
    return pl.DataFrame({"ts_open": [at * BAR_NS for at in range(len(closes))], **column})
