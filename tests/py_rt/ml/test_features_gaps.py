"""Where a file begins and ends changes no bit of a warm value, on a full grid as well as over nights and weekends."""

from __future__ import annotations

import gzip
import os
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_rt.cli.main import main
from py_rt.data.bar_files import read_bar_file
from py_rt.ml.features.expressions import Expressions, chosen, readable
from py_rt.ml.features.gaps import OverGaps, roundest, runs
from py_rt.ml.features.sets import FeatureFrame

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
SERIES = [
    "indices_macro/nasdaq.csv.gz",
    "bars_fx_oanda_2007_2018/forex__oanda__daily__eurusd.zip",
    "bars_us_equity_minute_lean/equity__usa__minute__spy__20131007_trade.zip",
    "bars_crypto_hourly_daily/BTCUSDT_daily_20170816_20210112.csv.gz",
]
DROPPED = 331
"""Oldest bars that are left out: no multiple of a power of two."""


def lines_of(path: Path) -> list[str]:
    content = path.read_bytes()
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            (name,) = archive.namelist()
            return archive.read(name).decode().splitlines(keepends=True)
    return gzip.decompress(content).decode().splitlines(keepends=True)


def compute(source: Path, out: Path, *more: str) -> pl.DataFrame:
    assert main(["features", "compute", "all", "--in", str(source), "--out", str(out), *more]) == 0
    return pl.read_parquet(out)


def differing(ours: pl.Series, theirs: pl.Series) -> int:
    one, other = ours.to_numpy(), theirs.to_numpy()
    return int(((one.view(np.uint64) != other.view(np.uint64)) & ~(np.isnan(one) & np.isnan(other))).sum())


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no bars at {SHARED}: set PY_RT_SHARED_DATA")
@pytest.mark.parametrize("name", SERIES, ids=lambda name: name.rpartition("/")[2])
def test_a_file_without_its_oldest_bars_has_the_same_bits(name: str, tmp_path: Path) -> None:
    path = SHARED / name
    lines = lines_of(path)
    header = 1 if path.suffix == ".gz" else 0
    cut = tmp_path / f"{path.name.partition('.')[0]}_20131007.csv"
    cut.write_text("".join([*lines[:header], *lines[header + DROPPED :]]))
    whole, part = compute(path, tmp_path / "whole.parquet"), compute(cut, tmp_path / "part.parquet")
    assert part.height == whole.height - DROPPED
    features = readable(read_bar_file(path).bars.columns)
    needs = zip(features, Expressions(features).needs, strict=True)
    warm = {feature.name: need.warmup - 1 for feature, need in needs if need.warmup <= part.height}
    wrong = [one for one, at in warm.items() if differing(whole[one][DROPPED + at :], part[one][at:])]
    assert len(warm) > 200
    assert not wrong


@pytest.fixture(scope="module")
def sleeping() -> pl.DataFrame:
    """Fourty days of bars of five minutes, six and a half hours a day and not at weekends, some missing."""
    random = np.random.default_rng(5)
    day_ns, bar_ns = 86_400 * 10**9, 300 * 10**9
    days = [day for day in range(19_000, 19_056) if day % 7 not in {2, 3}]
    ts_open = np.concatenate([day * day_ns + 34_200 * 10**9 + bar_ns * np.arange(78) for day in days])
    ts_open = ts_open[random.random(ts_open.size) > 0.01]
    close = np.round(100e8 * np.exp(np.cumsum(random.normal(0, 0.001, ts_open.size))))
    spread = np.round(random.exponential(2e6, (2, ts_open.size)))
    return pl.DataFrame(
        {
            "ts_open": ts_open,
            "number": ts_open // bar_ns,
            "open": np.r_[close[:1], close[:-1]],
            "high": np.maximum(close, np.r_[close[:1], close[:-1]]) + spread[0],
            "low": np.minimum(close, np.r_[close[:1], close[:-1]]) - spread[1],
            "close": close,
            "volume": np.round(random.exponential(5e8, ts_open.size)),
        }
    )


NAMES = ["sma_20", "rsi_14", "kama_10", "parabolic_sar", "macd_signal", "bollinger_width_20", "rsi_2", "williams_r_14"]


def test_neither_the_oldest_nor_the_newest_bars_change_a_bit(sleeping: pl.DataFrame) -> None:
    frame = OverGaps(chosen(NAMES))
    warmups = {name: need.warmup for name, need in zip(NAMES, Expressions(chosen(NAMES)).needs, strict=True)}
    whole = frame.compute(sleeping)
    for begin, end in ((1, 0), (333, 0), (0, 1), (0, 500), (1_001, 77)):
        part = frame.compute(sleeping[begin : sleeping.height - end])
        for name, warmup in warmups.items():
            at = warmup - 1 if begin else 0
            assert differing(whole[name][begin + at : sleeping.height - end], part[name][at:]) == 0, (name, begin, end)


def test_bars_follow_each_other_over_gaps_as_they_do_on_a_grid(sleeping: pl.DataFrame) -> None:
    over, alone = FeatureFrame(chosen(NAMES)).compute(sleeping), Expressions(chosen(NAMES))
    rows = alone.compute(sleeping.with_columns(number=pl.int_range(pl.len(), dtype=pl.Int64)))
    assert over["is_warm"].equals(rows["is_warm"])
    for name in set(NAMES) - {"kama_10", "parabolic_sar"}:
        warm = over["is_warm"]
        np.testing.assert_allclose(over[name].filter(warm), rows[name].filter(warm), rtol=1e-9, atol=1e-9)


def test_before_the_first_bars_there_are_none() -> None:
    # Thursday, Friday, Monday: the bars of Thursday and Friday end where Monday's would begin, by their numbers.
    days = np.array([16_583, 16_584, *range(16_587, 16_592), *range(16_594, 16_599)])
    close = np.arange(1.0, days.size + 1) ** 2 * 1e8
    bars = pl.DataFrame({"ts_open": days * 86_400 * 10**9, "number": days, "close": close})
    features = chosen(["kama_10", "sma_5", "rsi_2"])
    over, alone = OverGaps(features).compute(bars), Expressions(features)
    rows = alone.compute(bars.with_columns(number=pl.int_range(days.size, dtype=pl.Int64)))
    for name in over.columns:
        assert over[name].to_list() == pytest.approx(rows[name].to_list(), nan_ok=True), name


def test_behind_a_gap_the_number_is_the_time_again() -> None:
    random = np.random.default_rng(8)
    place = np.arange(500_000, 506_000)
    close = np.round(100e8 * np.exp(np.cumsum(random.normal(0, 0.001, place.size))))
    columns = dict.fromkeys(("open", "high", "low", "close"), close)
    bars = pl.DataFrame({"ts_open": place * 3_600 * 10**9, "number": place, **columns, "volume": close})
    frame, needs = FeatureFrame(chosen(NAMES)), Expressions(chosen(NAMES)).needs
    lacking, without = frame.compute(bars.filter(pl.int_range(pl.len()) != 100)), frame.compute(bars[101:])
    for name, need in zip(NAMES, needs, strict=True):
        assert need.warmup < without.height, name
        assert differing(lacking[name][100 + need.warmup - 1 :], without[name][need.warmup - 1 :]) == 0, name


def test_bar_by_bar_gives_the_same_bits_over_gaps(sleeping: pl.DataFrame) -> None:
    frame = FeatureFrame(chosen(NAMES))
    bars = sleeping.head(1_200)
    assert frame.compute(bars).equals(frame.compute(bars, one_by_one=True))


@given(
    steps=st.lists(st.integers(1, 40), min_size=1, max_size=120),
    begin=st.integers(-(2**40), 2**62),
    warmup=st.integers(1, 130),
)
def test_every_row_stands_once_behind_its_warm_up(steps: list[int], begin: int, warmup: int) -> None:
    ts_open = begin + np.cumsum(np.array(steps, dtype=np.int64))
    rows, numbers, last = runs(ts_open, ts_open // 7, warmup)
    assert rows[last].tolist() == list(range(len(steps)))
    for row, at in enumerate(last.tolist()):
        remembered = min(warmup, row + 1)
        assert rows[at - remembered + 1 : at + 1].tolist() == list(range(row - remembered + 1, row + 1))
        assert set(np.diff(numbers[at - remembered + 1 : at + 1]).tolist()) <= {1}
        if remembered == row + 1 and at > row:
            # The oldest bar has none before it.
            assert numbers[at - row] != numbers[at - row - 1] + 1
    assert rows.size <= 4 * len(steps) + 64 * warmup


@given(low=st.integers(-(2**62), 2**62), size=st.integers(1, 10_000))
def test_the_roundest_integer_is_divisible_by_most_twos(low: int, size: int) -> None:
    found = int(roundest(np.array([low]), np.array([low + size]))[0])
    assert low < found <= low + size
    zeros = (found & -found).bit_length() or 65
    assert all(((one & -one).bit_length() or 65) < zeros for one in range(low + 1, low + size + 1) if one != found)
