"""`py_rt data clean`: files in, files out, exit statuses."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import polars as pl
import pytest

from py_rt.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 120


def bars() -> pl.DataFrame:
    """Hourly bars that rise and fall a little, each another volume."""
    close = [100.0 + (i * 7 % 13) / 4 for i in range(ROWS)]
    hours = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 5, 23), "1h", eager=True)
    return pl.DataFrame(
        {
            "timestamp": hours,
            "open": [one - 0.1 for one in close],
            "high": [one + 0.5 for one in close],
            "low": [one - 0.5 for one in close],
            "close": close,
            "volume": [1_000 + i for i in range(ROWS)],
        }
    )


def broken() -> pl.DataFrame:
    """A close 100 times too high in row 20, an open of 0 in row 50."""
    row = pl.int_range(pl.len())
    return bars().with_columns(
        pl.when(row == 20).then(pl.col("close") * 100).otherwise("close").alias("close"),
        pl.when(row == 50).then(0.0).otherwise("open").alias("open"),
    )


def write(frame: pl.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        text = frame.write_csv().encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def read(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, try_parse_dates=True)


@pytest.mark.parametrize("name", ["bars.csv", "bars.csv.gz", "bars.parquet"])
def test_a_broken_file_comes_out_clean_in_its_own_form(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out, report = tmp_path / name, tmp_path / "clean" / name, tmp_path / "report.json"
    write(broken(), source)
    assert main(["data", "clean", str(source), "--out", str(out), "--report", str(report), "--json"]) == 0
    totals = json.loads(capsys.readouterr().out)
    facts = json.loads(report.read_text())
    assert totals["rows"] == facts["rows"] == {"in": ROWS, "out": ROWS - 1, "quarantined": 1, "repaired": 1}
    assert facts["rules"] == {"unit_error": {"repaired": 1}, "zero_price": {"quarantined": 1}}
    repaired, aside = facts["findings"]
    assert (repaired["row"], repaired["columns"], repaired["action"]) == (20, ["close"], "repaired")
    assert repaired["after"]["close"] == pytest.approx(bars()["close"][20])
    assert (aside["row"], aside["columns"], aside["action"]) == (50, ["open"], "quarantined")
    clean = read(out)
    assert clean.columns == bars().columns
    wanted = bars().filter(pl.int_range(pl.len()) != 50)
    assert clean.drop("close").equals(wanted.drop("close"))
    assert (clean["close"] - wanted["close"]).abs().max() == pytest.approx(0.0, abs=1e-9)
    quarantine = out.with_name(name.replace("bars.", "bars.quarantine."))
    assert read(quarantine).height == 1


@pytest.mark.parametrize("name", ["bars.csv", "bars.csv.gz", "bars.parquet"])
def test_a_good_file_comes_back_byte_for_byte(name: str, tmp_path: Path) -> None:
    source, out = tmp_path / name, tmp_path / f"clean-{name}"
    write(bars(), source)
    assert main(["data", "clean", str(source), "--out", str(out), "--report", str(tmp_path / "r.json")]) == 0
    assert out.read_bytes() == source.read_bytes()
    assert json.loads((tmp_path / "r.json").read_text())["unchanged"] is True
    assert not list(tmp_path.glob("*quarantine*"))


def test_a_quarantine_of_an_earlier_run_does_not_stay(tmp_path: Path) -> None:
    source, out, aside = tmp_path / "bars.csv", tmp_path / "clean.csv", tmp_path / "aside.csv"
    arguments = ["data", "clean", str(source), "--out", str(out), "--report", str(tmp_path / "r.json")]
    write(broken(), source)
    assert main([*arguments, "--quarantine", str(aside)]) == 0
    assert aside.exists()
    write(bars(), source)
    assert main([*arguments, "--quarantine", str(aside)]) == 0
    assert len(aside.read_text().splitlines()) == 1
    write(broken(), source)
    assert main(arguments) == 0
    assert (tmp_path / "clean.quarantine.csv").exists()
    write(bars(), source)
    assert main(arguments) == 0
    assert not (tmp_path / "clean.quarantine.csv").exists()


TEXTS = {
    "empty": (b"", "is empty"),
    "blank": (b"\n\n", "is empty"),
    "header only": (b"Date,Close\n", "no rows"),
    "a page": (b"<!DOCTYPE html><html><body>busy</body></html>", "HTML"),
    "no closes": (b"Date,Price paid,Fee\n2024-01-01,3,1\n", "no column for close"),
    "no times": (b"Open,Close\n1,3\n", "no column for time"),
    "a column twice": (b"Date,Close,Close\n2024-01-01,3,3\n", "twice"),
    "no text": (b"Date,Close\n2024-01-01,\xff\n", "UTF-8"),
    "an open quote": (b'Date,Close\n2024-01-01,"3\n', "never closed"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_what_is_no_table_is_refused_and_nothing_is_written(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, words = TEXTS[case]
    source = tmp_path / "bars.csv"
    source.write_bytes(content)
    out, report = tmp_path / "out.csv", tmp_path / "r.json"
    assert main(["data", "clean", str(source), "--out", str(out), "--report", str(report)]) == 2
    message = capsys.readouterr().err
    assert "bars.csv" in message
    assert words in message
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("name", ["bars.csv.gz", "bars.parquet"])
def test_a_truncated_archive_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / name
    write(bars(), source)
    source.write_bytes(source.read_bytes()[:-100])
    out = tmp_path / f"out{name.removeprefix('bars')}"
    assert main(["data", "clean", str(source), "--out", str(out), "--report", str(tmp_path / "r"), "--json"]) == 2
    assert "cut off" in json.loads(capsys.readouterr().out)["error"]
    assert list(tmp_path.iterdir()) == [source]


def test_files_are_not_mixed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "bars.csv"
    write(bars(), source)
    for out in (source, tmp_path / "out.xlsx", tmp_path / "r.json"):
        assert main(["data", "clean", str(source), "--out", str(out), "--report", str(tmp_path / "r.json")]) == 2
        assert capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [source]


def test_when_no_row_can_be_kept_the_status_says_so(tmp_path: Path) -> None:
    source, out = tmp_path / "bars.csv", tmp_path / "out.csv"
    source.write_text("Date,Close\nsoon,1\nlater,2\n")
    assert main(["data", "clean", str(source), "--out", str(out), "--report", str(tmp_path / "r.json")]) == 3
    assert (tmp_path / "out.quarantine.csv").read_bytes() == source.read_bytes()
    assert out.read_text() == "Date,Close\n"


def test_the_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "clean", "--help"]) == 0
    assert "Example: py_rt data clean" in capsys.readouterr().out
