"""What is known beside bars, from tables of the lake: the same in the pipeline's features and in a backtest."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from py_rt.backtesting.engine import BacktestConfig, PythonStrategy, control
from py_rt.backtesting.historical_replay import BAR_COLUMNS, bars_replay
from py_rt.bundle.candidate import look_ahead
from py_rt.data.normalization import fit
from py_rt.data.storage import DayWindow, Lake, write_window
from py_rt.ml.features.known_tables import KnownColumn, read_known_columns, tables_read, told, with_beside
from py_rt.ml.features.normalized import normalized
from py_rt.ml.features.technical import WARM, FeatureError, FeatureSet

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt_core import BarView, SlotView

BAR_NS = 900 * 10**9
DAY = date(2021, 10, 1)
START_NS = int(datetime(2021, 10, 1, tzinfo=UTC).timestamp()) * 10**9
ROWS = 90
MODEL = """
bar_seconds = 900
[[slow]]
name = "funding_rate"
unit = "number"
max_age_seconds = 7200
[[slow]]
name = "fair_price"
unit = "price"
max_age_seconds = 864000
[[feature]]
name = "funding_change"
kind = "expression"
expression = "delta(funding_rate, 2)"
unit = "number"
[[feature]]
name = "fair_gap"
kind = "expression"
expression = "close / fair_price - 1"
unit = "number"
"""
KNOWN = {
    "funding_rate": KnownColumn("funding", "rate", where=(("symbol", "BTCUSDT"),)),
    "fair_price": KnownColumn("fair", "fair_price", period="day"),
}


@pytest.fixture
def features(tmp_path: Path) -> FeatureSet:
    (tmp_path / "model.toml").write_text(MODEL)
    return FeatureSet.from_toml(tmp_path / "model.toml")


@pytest.fixture
def bars() -> pl.DataFrame:
    random = np.random.default_rng(5)
    close = 4_300_000_000_000 + np.cumsum(random.integers(-900, 901, ROWS)) * 1_000_000
    opened = np.r_[close[:1], close[:-1]]
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    columns = [START_NS + np.arange(ROWS) * BAR_NS, opened, high, low, close, random.integers(10**8, 10**10, ROWS)]
    return pl.DataFrame(dict(zip(BAR_COLUMNS, columns, strict=True)))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Funding every hour until bar 60, another symbol's rows between; a fair price, restated for an older day."""
    made = Lake(str(tmp_path / "lake"))
    hours = pl.DataFrame({"ts_known": [START_NS + hour * 4 * BAR_NS for hour in range(15)]}).with_columns(
        symbol=pl.lit("BTCUSDT"), rate=pl.int_range(pl.len()) ** 2 / 7, date=pl.lit(DAY)
    )
    others = hours.with_columns(symbol=pl.lit("ETHUSDT"), rate=pl.lit(99.0))
    fair = pl.DataFrame(
        {
            "ts_known": [START_NS, START_NS + 20 * BAR_NS, START_NS + 30 * BAR_NS],
            "day": [date(2021, 9, 29), date(2021, 9, 30), date(2021, 9, 29)],
            "fair_price": [4_200_012_345_678, 4_300_000_000_001, 1],
            "date": [DAY] * 3,
        }
    )
    window = DayWindow(DAY, date(2021, 10, 2))
    write_window(made.uri("raw", "funding"), pl.concat([hours, others]), window)
    write_window(made.uri("cleaned", "fair"), fair, window, scales={"fair_price": 8})
    return made


class Watcher:
    """Decides nothing."""

    def on_bar(self, view: SlotView, bar: BarView) -> None:
        """Look at it."""


def test_bars_are_given_what_was_known_at_their_close(bars: pl.DataFrame, features: FeatureSet, lake: Lake) -> None:
    beside = with_beside(bars, features, lake, KNOWN)
    assert beside.untold == {}
    close = (bars["ts_open"] + BAR_NS - START_NS) // BAR_NS
    age = pl.Series([at - min(at // 4, 14) * 4 for at in close])
    expected = [(min(at // 4, 14)) ** 2 / 7 if old <= 8 else float("nan") for at, old in zip(close, age, strict=True)]
    np.testing.assert_allclose(beside.bars["funding_rate"].to_numpy(), expected, rtol=1e-15)
    assert np.isnan(expected[-1])
    prices = [4_200_012_345_678.0 if at < 20 else 4_300_000_000_001.0 for at in close]
    np.testing.assert_allclose(beside.bars["fair_price"].to_numpy(), prices, rtol=1e-15)


def test_a_backtest_sees_the_bits_of_the_table(bars: pl.DataFrame, features: FeatureSet, lake: Lake) -> None:
    known = with_beside(bars, features, lake, KNOWN).bars
    table = known.select(ts_close=pl.col("ts_open") + BAR_NS).hstack(features.compute(known)).filter(WARM)
    start = datetime.fromtimestamp((START_NS + 10 * BAR_NS) / 1e9, UTC)
    replay = bars_replay(known, start=start, beside=features.columns[len(BAR_COLUMNS) :])
    strategy = PythonStrategy(Watcher(), "watcher", features=features.canonical.encode())
    seen = control(replay, strategy, BacktestConfig()).signals.filter(pl.col(features.names[0]).is_not_nan())
    wanted = table.filter(pl.col("ts_close").is_in(seen["ts_close"].implode()))
    assert seen.height > 50
    for name in features.names:
        assert seen[name].equals(wanted[name], check_names=False)
    # What is known beside the bars is not what is traded on: looks at the same bars count together.
    assert replay.dataset_id == bars_replay(bars, start=start).dataset_id
    with pytest.raises(ValueError, match="column funding_rate is missing"):
        control(bars_replay(bars, start=start), strategy, BacktestConfig())


def test_the_gate_looks_ahead_in_what_is_known_too(bars: pl.DataFrame, features: FeatureSet, lake: Lake) -> None:
    known = with_beside(bars, features, lake, KNOWN).bars
    gate = look_ahead(features.canonical.encode(), known)
    assert gate.passed
    assert tables_read(features, lake, KNOWN) == {"fair": "cleaned", "funding": "raw"}


def test_normalized_features_still_read_what_they_read(bars: pl.DataFrame, features: FeatureSet, lake: Lake) -> None:
    known = with_beside(bars, features, lake, KNOWN).bars
    warm = features.compute(known).filter(WARM)
    fitted = fit(warm["funding_change"].to_numpy().astype(np.float64), "z_score", 0.0)
    made = normalized(features, {"funding_change": fitted})
    assert made.slow == features.slow
    values = made.compute(known).filter(WARM)["funding_change"]
    assert abs(float(values.mean())) < 1e-6  # type: ignore[arg-type]


def test_what_nobody_tells_is_unknown_and_said(
    bars: pl.DataFrame, features: FeatureSet, lake: Lake, tmp_path: Path
) -> None:
    beside = with_beside(bars, features, lake, {"fair_price": KnownColumn("elsewhere", "fair_price")})
    assert not features.compute(beside.bars)[WARM].any()
    said = told(beside.untold)
    assert "no [funding_rate] in config/known.toml" in said
    assert "table elsewhere is not in the lake yet" in said
    (tmp_path / "flow.toml").write_text(MODEL.replace("delta(funding_rate, 2)", "trades"))
    flow = FeatureSet.from_toml(tmp_path / "flow.toml")
    assert "recordings" in with_beside(bars, flow, lake, KNOWN).untold["trades"]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (KnownColumn("funding", "rates"), "has no column rates; it has"),
        (KnownColumn("funding", "symbol"), "numbers are needed"),
        (KnownColumn("funding", "rate"), "30 rows that became known together"),
    ],
)
def test_a_place_that_cannot_be_read_is_refused(
    bars: pl.DataFrame, features: FeatureSet, lake: Lake, place: KnownColumn, words: str
) -> None:
    with pytest.raises(FeatureError, match=words):
        with_beside(bars, features, lake, {"funding_rate": place})


def test_the_file_says_where_parameters_stand(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    path.write_text(
        '[rate]\ntable = "funding"\nwhere = { symbol = "BTCUSDT" }\n[eps]\ntable = "facts"\nperiod = "year"\n'
    )
    assert read_known_columns(path) == {
        "rate": KnownColumn("funding", "rate", (("symbol", "BTCUSDT"),)),
        "eps": KnownColumn("facts", "eps", (), "year"),
    }
    for text in ("rate = 1", "[rate]", '[rate]\ntable = "a"\ntabel = "b"', '[rate]\ntable = "a"\nwhere = "b"', "[rate"):
        path.write_text(text)
        with pytest.raises(FeatureError, match=r"known\.toml"):
            read_known_columns(path)
