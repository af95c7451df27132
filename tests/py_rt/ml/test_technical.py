"""Features through the compiled module: same bits in every path, textbook values, clear refusals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import py_rt_core
import pytest
import talib

from py_rt.defaults import default_root
from py_rt.ml.features.technical import (
    FeatureError,
    FeatureSet,
    rows_that_differ_online,
    rows_that_look_ahead,
    rows_to_cut,
)

if TYPE_CHECKING:
    from pathlib import Path

BAR_NS = 900 * 10**9
FEATURES = default_root() / "config" / "features" / "btc_15m.toml"


@pytest.fixture(scope="module")
def features() -> FeatureSet:
    return FeatureSet.from_toml(FEATURES)


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    """700 bars of a walk in cents, starting on a restart grid point so that TA-Lib can start there too."""
    random = np.random.default_rng(11)
    rows = 700
    close = 4_300_000_000_000 + np.cumsum(random.integers(-900, 901, rows)) * 1_000_000
    opened = np.concatenate([close[:1], close[:-1]])
    wick = random.integers(0, 500, (2, rows)) * 1_000_000
    first = 1_280 * BAR_NS
    return pl.DataFrame(
        {
            "ts_open": first + np.arange(rows) * BAR_NS,
            "open": opened,
            "high": np.maximum(opened, close) + wick[0],
            "low": np.minimum(opened, close) - wick[1],
            "close": close,
            "volume": random.integers(4, 10**10, rows),
        }
    )


def test_the_shipped_file_has_the_ordered_features_first(features: FeatureSet) -> None:
    assert features.names[:4] == ("rsi_14", "macd", "volume_ratio", "bb_pct")
    assert len(features.names) == 12
    assert features.bar_ns == BAR_NS


def test_identity_does_not_depend_on_the_files_layout(features: FeatureSet, tmp_path: Path) -> None:
    spaced = tmp_path / "spaced.toml"
    spaced.write_text("# another comment\n\n" + FEATURES.read_text())
    assert FeatureSet.from_toml(spaced).sha256 == features.sha256
    assert FeatureSet.from_canonical(features.canonical) == features


def test_columns_are_float32_and_warm_after_the_warm_up(features: FeatureSet, bars: pl.DataFrame) -> None:
    table = features.compute(bars)
    assert table.select(features.names).dtypes == [pl.Float32] * 12
    assert table["is_warm"][features.warmup_bars :].all()
    assert not table["is_warm"][0]
    warm = table.filter("is_warm").select(features.names).to_numpy()
    assert np.isfinite(warm).all()


@pytest.mark.parametrize("start", [0, 1, 77, 200])
def test_incremental_equals_batch(features: FeatureSet, bars: pl.DataFrame, start: int) -> None:
    assert rows_that_differ_online(features, bars, start) == []


def test_no_row_looks_ahead(features: FeatureSet, bars: pl.DataFrame) -> None:
    assert rows_that_look_ahead(features, bars, [0, 300, 301, 512, 699]) == []


def test_rows_to_cut_are_warm_ones_from_the_first_to_the_last(features: FeatureSet, bars: pl.DataFrame) -> None:
    first = int(features.compute(bars)["is_warm"].arg_max() or 0)
    rows = rows_to_cut(features, bars, 24)
    assert (len(rows), rows[0], rows[-1]) == (24, first, bars.height - 1)
    assert rows_to_cut(features, bars.head(first + 1), 24) == [first]
    assert rows_to_cut(features, bars.head(first), 24) == []


def test_a_planted_look_ahead_is_found(features: FeatureSet, bars: pl.DataFrame) -> None:
    @dataclass(frozen=True)
    class Leaking(FeatureSet):
        def compute(self, bars: pl.DataFrame) -> pl.DataFrame:
            honest = super().compute(bars)
            return honest.with_columns(pl.col("ret_1").shift(-1))

    leaking = Leaking(features.canonical, features.names, features.bar_ns)
    assert rows_that_look_ahead(leaking, bars, [300, 400]) == [300, 400]


def test_a_look_ahead_in_a_row_before_the_cut_is_found(features: FeatureSet, bars: pl.DataFrame) -> None:
    @dataclass(frozen=True)
    class Leaking(FeatureSet):
        def compute(self, bars: pl.DataFrame) -> pl.DataFrame:
            honest = super().compute(bars)
            newest = pl.when(pl.int_range(pl.len()) == 290).then(pl.lit(bars["close"][-1], pl.Float32))
            return honest.with_columns(newest.otherwise("ret_1").alias("ret_1"))

    leaking = Leaking(features.canonical, features.names, features.bar_ns)
    assert rows_that_look_ahead(leaking, bars, [280, 300, 400]) == [300, 400]


def test_values_agree_with_ta_lib_from_the_same_restart(features: FeatureSet, bars: pl.DataFrame) -> None:
    # Bar number 1280 is a multiple of the restart window 128; at row 255 the recursions of row 0 still speak.
    row = 255
    close = bars["close"].to_numpy().astype(float)[: row + 1]
    high, low = (bars[name].to_numpy().astype(float)[: row + 1] for name in ("high", "low"))
    ours = features.compute(bars).row(row, named=True)
    upper, _, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    expected = {
        "rsi_14": talib.RSI(close, 14)[-1],
        "bb_pct": (close[-1] - lower[-1]) / (upper[-1] - lower[-1]),
        "ema_gap_20": close[-1] / talib.EMA(close, 20)[-1] - 1,
        "trend_sma_20_50": talib.SMA(close, 20)[-1] / talib.SMA(close, 50)[-1] - 1,
        "atr_pct_14": talib.ATR(high, low, close, 14)[-1] / close[-1],
        "ret_4": close[-1] / close[-5] - 1,
    }
    for name, value in expected.items():
        assert ours[name] == pytest.approx(value, rel=2e-6, abs=1e-9), name


def test_hours_stand_on_the_circle(features: FeatureSet, bars: pl.DataFrame) -> None:
    table = features.compute(bars).filter("is_warm")
    squares = table["hour_sin"].cast(pl.Float64) ** 2 + table["hour_cos"].cast(pl.Float64) ** 2
    assert (squares - 1.0).abs().max() < 1e-6  # type: ignore[operator]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (pl.col("close") * 2, "row 0: needs 0 < low <= open, close <= high"),
        (pl.col("ts_open") + 1, "row 0: ts_open .* is not on the grid"),
        (pl.col("volume").cast(pl.Float64), "column volume is Float64; expected Int64"),
        (pl.lit(None, dtype=pl.Int64).alias("open"), "column open has 700 nulls"),
    ],
)
def test_wrong_bars_are_refused_with_their_row(
    features: FeatureSet, bars: pl.DataFrame, change: pl.Expr, said: str
) -> None:
    with pytest.raises(FeatureError, match=said):
        features.compute(bars.with_columns(change))


def test_a_missing_column_is_named(features: FeatureSet, bars: pl.DataFrame) -> None:
    with pytest.raises(FeatureError, match="bars lack high"):
        features.compute(bars.drop("high"))


def test_a_wrong_feature_file_names_its_line(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(FEATURES.read_text().replace("period", "perod", 1))
    with pytest.raises(FeatureError, match=r"wrong\.toml:\d+.*perod"):
        FeatureSet.from_toml(wrong)


def test_a_moving_average_of_anything_that_holds_numbers() -> None:
    expected = [1.5, 2.5, 3.5]
    values = [1.0, 2.0, 3.0, 4.0]
    for prices in (
        values,
        np.array(values),
        pl.Series(values),
        pl.Series(values).to_pandas(),
        pl.Series(values).to_arrow(),
    ):
        averages = py_rt_core.calculate_sma(prices, window=2)
        assert math.isnan(averages[0])
        assert averages[1:].tolist() == expected
    with pytest.raises(py_rt_core.CoreError, match="window is 0"):
        py_rt_core.calculate_sma(values, window=0)
    with pytest.raises(py_rt_core.CoreError, match="not numbers"):
        py_rt_core.calculate_sma(["a"], window=1)


def test_a_moving_average_does_not_drift() -> None:
    random = np.random.default_rng(3)
    prices = 60_000.0 + random.normal(0.0, 0.01, 400_000)
    averages = py_rt_core.calculate_sma(prices, window=20)
    last = math.fsum(prices[-20:]) / 20
    assert averages[-1] == pytest.approx(last, rel=1e-14)
