"""Feature files with `[bars]`: features over bars that trades close, to the bits of the service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import py_rt_core
import pytest

from assets import features as asset
from py_rt.backtesting.engine import BacktestConfig, PythonStrategy, control
from py_rt.backtesting.historical_replay import BAR_COLUMNS, bars_replay, quotes_replay
from py_rt.cli.main import main
from py_rt.data.event_bars import read_trades
from py_rt.data.normalization import Normalization
from py_rt.ml.features.normalized import normalized
from py_rt.ml.features.technical import WARM, FeatureError, FeatureSet

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt_core import BarView, SlotView

START_NS = 1_704_067_200 * 10**9
UNITS = 10**8
SIZE = 2.5
MODEL = f"""
bar_seconds = 60

[bars]
rule = "volume"
size = {SIZE}

[[feature]]
name = "change"
kind = "return"
params = {{ lag = 1 }}
unit = "fraction"

[[feature]]
name = "strength"
kind = "rsi"
params = {{ period = 3 }}
unit = "index_0_100"
restart_window = 8

[[feature]]
name = "hour"
kind = "hour_cos"
unit = "cycle"

[[feature]]
name = "bought"
kind = "expression"
expression = "mean((buy_volume - sell_volume) / volume, 4) + day_fraction + trades"
unit = "number"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trades as a venue publishes them, of which several share a millisecond; their bars; and a model's features."""
    folder = tmp_path_factory.mktemp("events")
    random = np.random.default_rng(5)
    at = START_NS + np.sort(random.integers(0, 400_000, 3_000)) // 40 * 40 * 10**6
    trades = pl.DataFrame(
        {
            "timestamp": at,
            "price": (40_000_00 + np.cumsum(random.integers(-9, 10, at.size))) / 100,
            "qty": random.integers(1, 300_000, at.size) / 100_000,
            "side": random.choice(["buy", "sell"], at.size),
        }
    )
    trades.write_csv(folder / "trades.csv")
    (folder / "model.toml").write_text(MODEL)
    assert main(bars_of(folder, "bars.parquet", "volume", SIZE)) == 0
    assert main(bars_of(folder, "minutes.csv", "time", 60)) == 0
    return folder


def bars_of(folder: Path, out: str, rule: str, size: float) -> list[str]:
    words = ["--rule", rule, "--size", str(size), "--out", str(folder / out)]
    return ["data", "bars", str(folder / "trades.csv"), *words]


def researched(trades: pl.DataFrame) -> pl.DataFrame:
    """Bars as `FeatureSet.compute` takes them."""
    made = pl.DataFrame(dict(py_rt_core.event_bars(trades, "volume", SIZE, 20)))
    sold = (pl.col("volume") - pl.col("buy_volume")).alias("sell_volume")
    return made.with_columns(sold).with_columns(pl.col("buy_volume", "sell_volume", "trades").cast(pl.Float64))


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    status = main(["features", *map(str, words)])
    told = capsys.readouterr()
    return status, told.out, told.err


def compute(folder: Path, bars: str, out: Path, *words: str, model: Path | None = None) -> list[str | Path]:
    return ["compute", "--set", model or folder / "model.toml", "--in", folder / bars, "--out", out, *words]


@pytest.mark.parametrize("bars", ["bars.parquet", "bars.csv.gz"])
def test_the_rows_are_those_of_the_service(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], bars: str
) -> None:
    assert main(bars_of(folder, bars, "volume", SIZE)) == 0
    whole, stream = tmp_path / "whole.parquet", tmp_path / "stream.parquet"
    assert run(capsys, *compute(folder, bars, whole))[0] == 0
    assert run(capsys, *compute(folder, bars, stream, "--incremental"))[0] == 0
    assert whole.read_bytes() == stream.read_bytes()
    features = FeatureSet.from_toml(folder / "model.toml")
    made = researched(read_trades(folder / "trades.csv"))
    expected = features.compute(made)
    got = pl.read_parquet(whole)
    assert got.select(features.names).to_numpy().tobytes() == expected.select(features.names).to_numpy().tobytes()
    assert got[WARM].sum() > 500
    hours = np.cos(2 * np.pi * (made["ts_close"].to_numpy() % (86_400 * 10**9)) / (86_400 * 10**9))
    np.testing.assert_array_equal(got.filter(WARM)["hour"], hours[got[WARM]].astype(np.float32))


def test_a_check_finds_nothing_to_blame(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, told, _ = run(capsys, "check", "--set", folder / "model.toml", "--in", folder / "bars.parquet", "--json")
    facts = json.loads(told)
    assert (status, facts["findings"]) == (0, [])
    assert facts["rows_cut"] > 10
    assert facts["rows_begun"] == 3


def test_bars_of_another_kind_are_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, told = run(capsys, *compute(folder, "minutes.csv", tmp_path / "out.csv"))
    assert status == 2
    assert "model.toml is for bars that events close (volume 2.5)" in told
    assert "py_rt data bars TRADES --set FILE" in told
    assert main(bars_of(folder, "small.csv", "volume", SIZE / 5)) == 0
    status, _, told = run(capsys, *compute(folder, "small.csv", tmp_path / "out.csv"))
    assert status == 2
    assert "model.toml is for bars of volume 2.5; bar 0 of these has volume" in told
    by_ticks = tmp_path / "ticks.toml"
    by_ticks.write_text(MODEL.replace('"volume"\nsize = 2.5', '"ticks"\nsize = 3'))
    assert main(bars_of(folder, "ticks.csv", "ticks", 4)) == 0
    status, _, told = run(capsys, *compute(folder, "ticks.csv", tmp_path / "out.csv", model=by_ticks))
    assert status == 2
    assert "ticks.toml is for bars of ticks 3; bar 0 of these has trades 4" in told
    by_the_clock = tmp_path / "clock.toml"
    by_the_clock.write_text(MODEL.replace(f'[bars]\nrule = "volume"\nsize = {SIZE}\n', ""))
    status, _, told = run(capsys, *compute(folder, "bars.parquet", tmp_path / "out.csv", model=by_the_clock))
    assert status == 2
    assert "clock.toml is for bars of 60 s; events close these" in told
    assert not (tmp_path / "out.csv").exists()


def test_a_feature_file_says_what_bars_are_made(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, model = tmp_path / "made.parquet", str(folder / "model.toml")
    words = ["data", "bars", str(folder / "trades.csv"), "--set", model, "--out", str(made)]
    assert main(words) == 0
    assert made.read_bytes() == (folder / "bars.parquet").read_bytes()
    assert main([*words[:-1], str(tmp_path / "twice.csv"), "--rule", "ticks"]) == 2
    assert "says rule and size" in capsys.readouterr().err
    assert main([*words[:3], "--rule", "ticks", "--out", str(tmp_path / "half.csv")]) == 2
    assert "by --rule and --size, or by a model's feature file with --set" in capsys.readouterr().err
    assert main([*words[:3], "--rule", "ticks", "--size", "0.5", "--out", str(tmp_path / "half.csv")]) == 2
    assert "ticks allows 1 or more trades" in capsys.readouterr().err


def test_a_close_that_is_no_time_is_told_with_its_row(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = pl.read_parquet(folder / "bars.parquet").with_columns(pl.col("ts_close").cast(pl.String))
    wrong = pl.when(pl.int_range(pl.len()) == 6).then(pl.lit("soon")).otherwise("ts_close").alias("ts_close")
    bars.with_columns(wrong).write_csv(folder / "wrong.csv")
    status, _, told = run(capsys, *compute(folder, "wrong.csv", tmp_path / "out.csv"))
    assert status == 2
    assert "wrong.csv" in told
    assert "row 8" in told
    assert "'soon' cannot be read as a time" in told


def test_the_rule_belongs_to_the_identity_of_the_features(folder: Path, tmp_path: Path) -> None:
    features = FeatureSet.from_toml(folder / "model.toml")
    assert features.events == "volume 2.5"
    other = tmp_path / "other.toml"
    other.write_text(MODEL.replace('"volume"', '"volume_run"').replace("size = 2.5", "size = 2.5\naveraged = 7"))
    run_bars = FeatureSet.from_toml(other)
    assert run_bars.events == "volume_run 2.5 averaged over 7 bars"
    assert '"bars":{"averaged":7,"rule":"volume_run","size":"2.5"}' in run_bars.canonical
    assert len({features.sha256, run_bars.sha256}) == 2
    fits = {"change": Normalization("z_score")}
    assert normalized(run_bars, fits).events == run_bars.events


@pytest.mark.parametrize(
    "bars",
    [
        '{"rule":"time","size":"60"}',
        '{"rule":"volume","size":"0"}',
        '{"rule":"volume","size":"2.50"}',
        '{"averaged":20,"rule":"volume","size":"2.5"}',
        '{"rule":"volume_run","size":"2.5"}',
        '{"averaged":20000,"rule":"volume_run","size":"2.5"}',
        '{"averaged":20,"rule":"volume_run","size":"0.5"}',
        '{"rule":"ticks","size":"0.5"}',
    ],
)
def test_what_is_no_rule_is_refused(folder: Path, bars: str) -> None:
    canonical = FeatureSet.from_toml(folder / "model.toml").canonical
    wrong = canonical.replace('{"rule":"volume","size":"2.5"}', bars)
    assert wrong != canonical
    with pytest.raises(py_rt_core.CoreError, match=r"features\.json"):
        py_rt_core.warmup_bars(wrong)


def test_the_pipeline_over_bars_of_the_clock_refuses_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asset, "FEATURE_FILE", folder / "model.toml")
    with pytest.raises(FeatureError, match=r"trades close the bars \(volume 2\.5\)"):
        asset.feature_spec()


class Watching:
    """A strategy that wants nothing, and keeps the features that it is shown."""

    def __init__(self) -> None:
        self.rows: list[list[float]] = []

    def on_bar(self, view: SlotView, bar: BarView) -> None:
        """See :class:`py_rt.backtesting.event_processor.BarStrategy`."""
        assert view.position == 0
        self.rows.append(list(bar.features))


def test_a_backtest_over_quotes_and_trades_shows_the_rows_of_research(folder: Path) -> None:
    trades = read_trades(folder / "trades.csv")
    quote = {"bid": 39_000 * UNITS, "bid_quantity": UNITS, "ask": 41_000 * UNITS, "ask_quantity": UNITS}
    quotes = pl.DataFrame([{"ts_event": START_NS + at * 10**9, **quote} for at in range(0, 400, 7)])
    features = FeatureSet.from_toml(folder / "model.toml")
    seen = Watching()
    strategy = PythonStrategy(seen, "watching", features=features.canonical.encode())
    config = BacktestConfig(bar_seconds=60)
    control(quotes_replay(quotes, trades), strategy, config)
    made = FeatureSet.compute(features, researched(trades)).select(*features.names, WARM)
    shown = np.array([row for row in seen.rows if row], dtype=np.float32)
    assert len(seen.rows) == made.height
    assert shown.tobytes() == made.filter(WARM).select(features.names).to_numpy().tobytes()
    assert len(shown) > 500
    with pytest.raises(py_rt_core.CoreError, match="give the trades beside the quotes"):
        control(quotes_replay(quotes), strategy, config)
    bars = pl.DataFrame({"ts_open": [60 * 10**9 * at for at in range(9)]}, schema={"ts_open": pl.Int64})
    bars = bars.with_columns(pl.lit(UNITS, pl.Int64).alias(name) for name in BAR_COLUMNS[1:])
    with pytest.raises(py_rt_core.CoreError, match="give quotes and trades, or run the bundle over a recording"):
        control(bars_replay(bars), strategy, config)
    with pytest.raises(py_rt_core.CoreError, match="trades are given beside quotes"):
        py_rt_core.backtest_strategy(bars, {"kind": "sma_cross"}, None, trades)
