"""The feature layer as the graph runs it: bodies, checks that pass, and checks that find what is planted."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets import beside, features, models
from py_rt.ml.features.known_tables import BarsBeside
from py_rt.ml.features.technical import FeatureSet

BAR_NS = 900 * 10**9
BARS_A_DAY = 96
FIRST_DAY = date(2021, 10, 1)


@pytest.fixture(scope="module")
def spec() -> dict[str, bytes]:
    made = features.feature_spec()
    assert isinstance(made, dg.Output)
    value: dict[str, bytes] = made.value
    return value


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    random = np.random.default_rng(5)
    rows = 6 * BARS_A_DAY
    close = 4_300_000_000_000 + np.cumsum(random.integers(-900, 901, rows)) * 1_000_000
    opened = np.concatenate([close[:1], close[:-1]])
    first = (FIRST_DAY.toordinal() - date(1970, 1, 1).toordinal()) * BARS_A_DAY * BAR_NS
    frame = pl.DataFrame(
        {
            "ts_open": first + np.arange(rows) * BAR_NS,
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": random.integers(4, 10**10, rows),
        }
    )
    return frame.with_columns(
        pl.lit("BTCUSDT").alias("instrument"),
        (pl.col("ts_open") + BAR_NS).alias("ts_close"),
        pl.from_epoch("ts_open", time_unit="ns").dt.date().alias("date"),
    )


def outcome(result: object) -> dg.AssetCheckResult:
    assert isinstance(result, dg.AssetCheckResult)
    return result


def table(spec: dict[str, bytes], bars: pl.DataFrame) -> pl.DataFrame:
    made = FeatureSet.from_canonical(spec["features.json"].decode()).compute(bars)
    return bars.select("instrument", "ts_close", "date").hstack(made)


def test_the_specification_is_the_shipped_file(spec: dict[str, bytes]) -> None:
    assert list(spec) == ["features.json"]
    assert spec["features.json"].startswith(b'{"bar_ns":900000000000,"features":[')


def given(bars: pl.DataFrame) -> BarsBeside:
    return BarsBeside(bars, {})


def missing(rows: pl.DataFrame) -> dg.AssetCheckResult:
    return outcome(features.missing_rate(rows, rows.select(excused=pl.lit(value=False))))


def test_honest_bars_pass_every_check(spec: dict[str, bytes], bars: pl.DataFrame) -> None:
    made = FeatureSet.from_canonical(spec["features.json"].decode())
    assert outcome(features.no_look_ahead(made, given(bars))).passed
    assert outcome(features.batch_equals_incremental(made, given(bars))).passed
    assert missing(table(spec, bars)).passed
    assert not features.excused(made, given(bars)).any()


def test_checks_that_had_no_warm_row_to_look_at_fail_and_say_so(spec: dict[str, bytes], bars: pl.DataFrame) -> None:
    made = FeatureSet.from_canonical(spec["features.json"].decode())
    cold = bars.head(table(spec, bars)["is_warm"].arg_max() or 0)
    results = (
        features.no_look_ahead(made, given(cold)),
        features.batch_equals_incremental(made, given(cold)),
        missing(table(spec, cold)),
        missing(table(spec, bars).clear()),
    )
    for result in map(outcome, results):
        assert not result.passed
        assert result.severity == dg.AssetCheckSeverity.ERROR
        assert str(result.description).startswith("no row is warm")


def test_a_hole_in_the_bars_is_missing_features(spec: dict[str, bytes], bars: pl.DataFrame) -> None:
    holed = bars.filter(pl.int_range(pl.len()) != 400)
    result = missing(table(spec, holed))
    assert not result.passed
    assert result.metadata["missing_share"].value != 0.0


def test_a_single_null_is_missing(spec: dict[str, bytes], bars: pl.DataFrame) -> None:
    rows = table(spec, bars)
    last = rows["ts_close"].max()
    nulled = rows.with_columns(pl.when(pl.col("ts_close") != last).then(pl.col("rsi_14")).alias("rsi_14"))
    assert not missing(nulled).passed


def test_the_lookback_covers_the_warm_up(spec: dict[str, bytes]) -> None:
    warmup = FeatureSet.from_canonical(spec["features.json"].decode()).warmup_bars
    assert warmup <= features.LOOKBACK_DAYS * BARS_A_DAY


def test_the_files_of_the_working_folder_count(tmp_path: Path) -> None:
    places = {"features": beside.FEATURE_FILE, "strategies": models.STRATEGY_FILE}
    for name, shipped in places.items():
        own = tmp_path / "config" / name / shipped.name
        own.parent.mkdir(parents=True)
        own.write_bytes(shipped.read_bytes())
    script = "from assets import beside, models; print(beside.FEATURE_FILE, models.STRATEGY_FILE)"
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))}
    said = subprocess.check_output([sys.executable, "-c", script], cwd=tmp_path, env=environ, text=True)
    assert said.split() == [str(tmp_path / "config" / name / shipped.name) for name, shipped in places.items()]
