"""What a file of bars does not say itself, said on the command line: the same options of both commands."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from py_rt.cli.main import main

MODEL = Path(__file__).parents[3] / "config" / "features" / "btc_15m.toml"
ROWS = "".join(
    f"{month:02d}/{day:02d}/2024 09:30;{name};{price + day}\n"
    for month in (5, 6)
    for day in range(1, 11)
    for name, price in (("A", 10.0), ("B", 500.0))
)
SAID = ("--symbol", "B", "--column", "close=Settle", "--column", "symbol=who", "--month-first")


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    path = tmp_path / "bars.csv"
    path.write_text("when time;who;Settle\n" + ROWS)
    return path


def features(bars: Path, out: Path, *options: str) -> int:
    return main(["features", "compute", "sma_5", "--in", str(bars), "--out", str(out), *options])


def test_both_commands_take_the_same_options(bars: Path, tmp_path: Path) -> None:
    clean, out = tmp_path / "clean.csv", tmp_path / "out.csv"
    assert main(["data", "clean", str(bars), "--out", str(clean), "--report", str(tmp_path / "r.json"), *SAID]) == 0
    assert pl.read_csv(clean, separator=";")["who"].unique().to_list() == ["B"]
    assert features(bars, out, *SAID, "--time-zone", "America/New_York") == 0
    made = pl.read_csv(out)
    assert made["when time"][0] == "05/01/2024 09:30"
    assert made["sma_5"].to_list()[3:6] == [None, 503.0, 504.0]
    assert features(clean, tmp_path / "again.csv", *SAID) == 0
    assert pl.read_csv(tmp_path / "again.csv").equals(made)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (SAID[:-1], "--day-first or --month-first"),
        (SAID[2:], "holds 2 instruments ('A', 'B')"),
        ((*SAID, "--column", "close"), "write ROLE=NAME"),
        ((*SAID, "--column", "closing=Settle"), "no such role"),
        ((*SAID, "--column", "low=Bottom"), "has no column 'Bottom'"),
        ((*SAID, "--time-zone", "Mars/Olympus"), "IANA"),
        (("--symbol", "B", "--column", "symbol=who", "--month-first"), ""),
    ],
)
def test_what_is_said_wrongly_is_told(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], why: str
) -> None:
    # Beside time and instrument there is one column of values: it is the close without a word.
    assert features(bars, tmp_path / "out.csv", *options) == (2 if why else 0)
    assert why in capsys.readouterr().err
    assert (tmp_path / "out.csv").exists() is not bool(why)


def test_a_feature_says_what_it_misses_and_how_to_name_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "yields.csv"
    path.write_text("Date,AAA,BAA\n2024-01-02,5,6\n2024-01-03,5,6\n")
    assert features(path, tmp_path / "out.csv") == 2
    told = capsys.readouterr().err
    assert "sma_5: reads close, which these bars do not have" in told
    assert "--column ROLE=NAME" in told
    assert features(path, tmp_path / "out.csv", "--column", "close=BAA") == 0


def test_a_model_s_features_need_whole_bars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "closes.csv"
    path.write_text("Date,Close\n" + "".join(f"2024-01-02 00:{minute:02d},5\n" for minute in (0, 15, 30)))
    out = tmp_path / "out.csv"
    assert main(["features", "compute", "--set", str(MODEL), "--in", str(path), "--out", str(out)]) == 2
    assert "these have no open, high, low, volume" in capsys.readouterr().err
