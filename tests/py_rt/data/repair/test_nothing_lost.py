"""No row, file or number is lost on the way: not by a full disk, not by a wrong place, not by the kind of a column."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from py_rt.cli.main import main
from py_rt.data.bar_columns import Given
from py_rt.data.bar_files import read_bar_file
from py_rt.data.repair.bars_file import parse_bars, read_bars_file
from py_rt.data.repair.written import written
from py_rt.errors import DataError, SourceError

ROOT = Path(__file__).parents[4]
HEADER = "Date,Open,High,Low,Close,Volume"


def rows(count: int = 500) -> list[str]:
    made = []
    for at in range(count):
        close = 100.0 + (at * 7 % 13) / 4
        day = f"{2000 + at // 336}-{at // 28 % 12 + 1:02d}-{at % 28 + 1:02d}"
        made.append(f"{day},{close - 0.1:.2f},{close + 0.5:.2f},{close - 0.5:.2f},{close:.2f},{1_000 + at}")
    return made


def write(source: Path, lines: list[str], header: str = HEADER) -> None:
    source.write_text("\n".join([header, *lines]) + "\n")


def arguments(source: Path, out: Path, report: Path, *options: str) -> list[str]:
    return ["data", "clean", str(source), "--out", str(out), "--report", str(report), *options]


def run(source: Path, *options: str, out: str = "out.csv") -> tuple[int, dict[str, Any]]:
    report = source.with_name("report.json")
    status = main(arguments(source, source.with_name(out), report, *options))
    return status, json.loads(report.read_text()) if report.is_file() else {}


def limited(limit: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    """A run of the command in a process of its own that may take so much and no more."""
    code = "import sys; from py_rt.cli.main import main; sys.exit(main(sys.argv[1:]))"
    line = f"{limit}; exec {shlex.join([sys.executable, '-c', code, *words])}"
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=ROOT)


def contents(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Bars of which one is set aside."""
    lines = rows()
    lines[70] = lines[70].replace("2000-03-15", "2000-03-15?")
    write(tmp_path / "in.csv", lines)
    return tmp_path / "in.csv"


def test_a_full_disk_leaves_every_file_as_it_was(source: Path) -> None:
    assert run(source)[1]["rows"] == {"in": 500, "out": 499, "quarantined": 1, "repaired": 0}
    write(source, rows())
    before = contents(source.parent)
    assert set(before) == {"in.csv", "out.csv", "out.quarantine.csv", "report.json"}
    made = limited("ulimit -f 8", arguments(source, source.with_name("out.csv"), source.with_name("report.json")))
    assert (made.returncode, "out.csv cannot be written: File too large" in made.stderr) == (2, True), made.stderr
    assert contents(source.parent) == before
    assert run(source)[1]["unchanged"]
    assert set(contents(source.parent)) == {"in.csv", "out.csv", "report.json"}


@pytest.mark.parametrize("place", ["--out", "--report", "--quarantine"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "round"])
def test_a_place_that_no_file_can_take_is_refused_before_anything_is_written(
    place: str, kind: str, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = source.with_name(f"{kind}.csv")
    if kind == "pipe":
        os.mkfifo(there)
    elif kind == "folder":
        there.mkdir()
    else:
        there.symlink_to(there)
    assert run(source, place, str(there))[0] == 2
    assert f"{there} cannot be written" in capsys.readouterr().err
    assert set(source.parent.iterdir()) == {source, there}


def test_an_input_that_links_to_itself_or_that_the_output_links_to_is_refused(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    around, link = source.with_name("around.csv"), source.with_name("link.csv")
    around.symlink_to(around)
    link.symlink_to(source)
    before = contents(source.parent)
    assert run(around)[0] == 2
    assert "around.csv: cannot be read: Too many levels" in capsys.readouterr().err
    assert run(source, "--out", str(link))[0] == 2
    assert "must be four different files" in capsys.readouterr().err
    assert contents(source.parent) == before


def test_a_quarantine_file_that_is_named_is_written_even_without_rows(source: Path) -> None:
    aside = source.with_name("mine.csv")
    assert run(source, "--quarantine", str(aside))[1]["quarantine"]["rows"] == 1
    assert len(aside.read_text().splitlines()) == 2
    write(source, rows())
    facts = run(source, "--quarantine", str(aside))[1]
    assert aside.read_text() == f"{HEADER}\n"
    assert (facts["quarantine"]["name"], facts["quarantine"]["rows"], facts["unchanged"]) == ("mine.csv", 0, True)


def table(count: int = 500) -> pl.DataFrame:
    """Bars of whole numbers."""
    bars = pl.DataFrame([line.split(",") for line in rows(count)], HEADER.split(","), orient="row")
    prices = [(pl.col(name).cast(pl.Float64) * 100).round().cast(pl.Int64) for name in ("Open", "High", "Low", "Close")]
    return bars.with_columns(pl.col("Date").str.to_date(), *prices, pl.col("Volume").cast(pl.Int64))


def times_100(bars: pl.DataFrame, more: float = 0) -> pl.DataFrame:
    """Bars with prices of one row 100 times too high."""
    is_wrong = pl.int_range(pl.len()) == 200
    return bars.with_columns(
        pl.when(is_wrong).then(pl.col(name) * 100 + more).otherwise(pl.col(name)).cast(bars[name].dtype).alias(name)
        for name in ("Open", "High", "Low", "Close")
    )


INTEGER_KINDS = [pl.Int64, pl.Int32, pl.UInt32]


@pytest.mark.parametrize("kind", [*INTEGER_KINDS, pl.Decimal(12, 1), pl.Float64])
@pytest.mark.parametrize("more", [0, 37])
def test_a_repaired_number_stands_in_the_file_as_in_the_report(kind: pl.DataType, more: int, tmp_path: Path) -> None:
    source, prices = tmp_path / "in.parquet", ["Open", "High", "Low", "Close"]
    bars = table().cast(dict.fromkeys(prices, kind))
    times_100(bars, more).write_parquet(source)
    facts = run(source, out="out.parquet")[1]
    assert facts["rules"] == {"unit_error": {"repaired": 1}}
    made = pl.read_parquet(tmp_path / "out.parquet")
    (finding,) = facts["findings"]
    assert finding["after"] == {name: float(made[name][200]) for name in prices}
    assert finding["after"]["Close"] == float(bars["Close"][200]) + more / 100
    wide = {pl.Float64} if kind in INTEGER_KINDS else {pl.Decimal(38, 2), pl.Float64}
    assert set(made.select(prices).dtypes) <= ({kind} if not more else wide)
    assert made[:200].cast(bars.schema).equals(bars[:200])


def test_what_no_type_holds_beside_the_others_is_refused(tmp_path: Path) -> None:
    frame = table(3).with_columns(Volume=pl.Series([2**53 + 1, 2, 3]))
    source = tmp_path / "in.parquet"
    frame.write_parquet(source)
    bars = read_bars_file(source)
    with pytest.raises(DataError, match=r"in\.parquet: column 'Volume' is of type Int64.*2\.5"):
        written(bars, [0, 1, 2], {1: {5: "2.5"}})
    out = tmp_path / "out.parquet"
    out.write_bytes(written(bars, [0, 1, 2], {1: {5: "7"}}))
    assert pl.read_parquet(out)["Volume"].to_list() == [2**53 + 1, 7, 3]
    narrow = frame.with_columns(Volume=pl.Series([1, 2, 3], dtype=pl.UInt8))
    narrow.write_parquet(source)
    out.write_bytes(written(read_bars_file(source), [0, 1, 2], {1: {5: "300"}}))
    assert pl.read_parquet(out)["Volume"].to_list() == [1, 300, 3]


@pytest.mark.parametrize("index", [["Date"], ["Symbol", "Date"], []])
def test_an_index_of_pandas_comes_back_as_one(index: list[str], tmp_path: Path) -> None:
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    frame = times_100(table(), 37).with_columns(Symbol=pl.lit("X"), note=pl.Series([None, *["a"] * 499]))
    whole = pd.DataFrame(frame.to_dict(as_series=False))
    (whole.set_index(index) if index else whole).to_parquet(source)
    assert run(source, out="out.parquet")[1]["rules"] == {"unit_error": {"repaired": 1}}
    made, wanted = pd.read_parquet(out), pd.read_parquet(source)
    assert made.index.equals(wanted.index)
    assert list(made.columns) == list(wanted.columns)
    others = [name for name in ("Volume", "note", "Date", "Symbol") if name in made.columns]
    assert made[others].equals(wanted[others])
    assert made["Close"].dtype == "float64"


BIG = 21_000_000
"""Rows, more than are taken."""


@pytest.mark.parametrize("row", [b"1,2\n", b"1,2\r", b'1,"2"\n', b"1,2\n \n\n"])
def test_rows_are_counted_while_they_are_read(row: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("py_rt.data.repair.bars_file.ROWS_MAX", 100)
    header = b"Date,Close\n"
    assert parse_bars("in.csv", ".csv", header + row * 100).height == 100
    with pytest.raises(SourceError, match=r"in\.csv: has more than 100 rows.*split it"):
        parse_bars("in.csv", ".csv", header + row * 101)


def test_a_file_with_too_many_rows_is_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    source = tmp_path / "in.csv.gz"
    with gzip.open(source, "wb", compresslevel=1) as file:
        file.write(b"Date,Close\n")
        for _ in range(21):
            file.write(b"1,2\n" * (BIG // 21))
    words = arguments(source, tmp_path / "out.csv", tmp_path / "r.json")
    made = limited("ulimit -v 2000000", words)
    assert (made.returncode, "in.csv.gz: has more than 2000000" in made.stderr) == (2, True), made.stderr
    pl.DataFrame({"Date": pl.repeat(1, BIG, eager=True), "Close": pl.repeat(2, BIG, eager=True)}).write_parquet(
        tmp_path / "in.parquet"
    )
    made = limited("ulimit -v 2000000", [*words[:2], str(tmp_path / "in.parquet"), *words[3:]])
    assert (made.returncode, "in.parquet: has more than 20000000 rows" in made.stderr) == (2, True), made.stderr
    assert sorted(one.name for one in tmp_path.iterdir()) == ["in.csv.gz", "in.parquet"]


def test_a_file_that_the_memory_does_not_hold_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(b"Date,Close\n" + b"2024-01-01,2\n" * 3_000_000)
    made = limited("ulimit -v 1500000", arguments(source, tmp_path / "out.csv", tmp_path / "r.json"))
    assert (made.returncode, "in.csv: needs more memory than there is" in made.stderr) == (2, True), made.stderr
    assert list(tmp_path.iterdir()) == [source]


def named(lines: list[str], *names: str) -> list[str]:
    """Rows with an instrument each, in turn."""
    return [f"{line},{names[at % len(names)]}" for at, line in enumerate(lines)]


@pytest.mark.parametrize("form", [".csv", ".parquet"])
def test_rows_of_no_instrument_are_set_aside_and_those_of_others_counted(form: str, tmp_path: Path) -> None:
    text, source = tmp_path / "all.csv", tmp_path / f"in{form}"
    lines = named(rows(), "AAA", "BBB")
    for at in range(0, 100, 10):
        lines[at] = lines[at].removesuffix("AAA") + " "
    lines[200] = lines[200].replace("AAA", "aaa")
    write(text, lines, f"{HEADER},Symbol")
    if form == ".csv":
        source = text
    else:
        pl.read_csv(text).with_columns(pl.col("Symbol").replace(" ", None)).write_parquet(source)
    status, facts = run(source, "--symbol", "AAA", out=f"out{form}")
    assert status == 0
    told = {name: facts["input"][name] for name in ("symbol", "rows", "rows_of_file", "left_out")}
    assert told == {"symbol": "AAA", "rows": 250, "rows_of_file": 500, "left_out": 250}
    assert facts["rows"] == {"in": 250, "out": 239, "quarantined": 11, "repaired": 0}
    assert facts["rules"] == {"unclear_symbol": {"quarantined": 11}}
    assert [one["row"] for one in facts["findings"]] == [*range(0, 100, 10), 200]
    aside = tmp_path / f"out.quarantine{form}"
    assert read_bars_file(aside).height == 11
    other = run(source, "--symbol", "BBB", out=f"out{form}")[1]
    assert (other["rows"]["out"], other["rows"]["quarantined"], other["input"]["left_out"]) == (250, 10, 240)
    with pytest.raises(SourceError, match=r"row [12]: names no instrument.*py_rt data clean"):
        read_bar_file(source, Given(symbol="AAA"))


def test_torn_rows_are_set_aside_but_those_of_another_instrument(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    lines = [f"{name},{line}" for line, name in zip(rows(), ["AAA", "BBB"] * 250, strict=True)]
    torn = {4: "AAA,2000-01-05,1", 5: "BBB,2000-01-06,1", 10: "2000-01-11,1", 20: "", 30: f"Symbol,{HEADER}"}
    for at, line in torn.items():
        lines[at] = line or "x"
    write(source, lines, f"Symbol,{HEADER}")
    facts = run(source, "--symbol", "AAA")[1]
    assert facts["rules"] == {"second_header": {"quarantined": 1}, "torn_row": {"quarantined": 3}}
    assert [one["row"] for one in facts["findings"]] == [4, 10, 20, 30]
    assert (facts["input"]["rows_of_file"], facts["input"]["left_out"], facts["rows"]["out"]) == (500, 250, 246)
    assert run(source, "--symbol", "BBB")[1]["rules"]["torn_row"] == {"quarantined": 3}


def test_names_that_differ_in_case_are_two_instruments_where_both_have_many_rows(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    write(source, named(rows(), "BRKA", "BRKa"), f"{HEADER},Symbol")
    facts = run(source, "--symbol", "BRKA")[1]
    assert (facts["rows"]["in"], facts["input"]["left_out"], facts["rules"]) == (250, 250, {})
    write(source, named(rows(), *["BRKA"] * 2, "BRKa", *["BRKA"] * 2), f"{HEADER},Symbol")
    facts = run(source, "--symbol", "BRKA")[1]
    assert (facts["rows"]["in"], facts["input"]["left_out"]) == (500, 0)
    assert facts["rules"]["unclear_symbol"] == {"quarantined": 100}
    assert run(source, "--symbol", "BRKa")[1]["rows"] == {"in": 100, "out": 100, "quarantined": 0, "repaired": 0}


def test_without_a_symbol_every_row_counts(source: Path) -> None:
    facts = run(source)[1]["input"]
    assert (facts["rows"], facts["rows_of_file"], facts["left_out"]) == (500, 500, 0)
