"""A clean file may be of another kind than the file it was made from: nothing is lost on the way."""

from __future__ import annotations

import gzip
import json
import zipfile
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from py_rt.cli.main import main
from py_rt.data.bar_files import read_bar_file
from py_rt.data.repair.bars_file import read_bars_file

if TYPE_CHECKING:
    from pathlib import Path

TEXT_FORMS = (".csv", ".csv.gz", ".tsv", ".txt.gz", ".zip")


def lines() -> list[str]:
    """Bars of days: one row is torn, one 100 times too high, one is there twice."""
    rows = []
    for day in range(1, 29):
        close = 100 + day * 7 % 13 / 4
        rows.append(
            f"2024-01-{day:02d},{close - 0.1:.2f},{close + 0.5:.2f},{close - 0.5:.2f},{close:.2f},{1000 + day},0{day}"
        )
    cells = rows[9].split(",")
    rows[9] = ",".join([cells[0], *(f"{100 * float(one):.1f}" for one in cells[1:5]), *cells[5:]])
    rows[12:12] = ["2024-01-13,1,2,3,4,5,6,seven,eight", rows[14]]
    return ["Date,Open,High,Low,Close,Volume,code", *rows]


def write(source: Path, text: list[str]) -> None:
    if source.suffix == ".zip":
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr("bars.csv", "\n".join(text) + "\n")
        return
    whole = ("\n".join(text) + "\n").replace(",", "\t" if ".tsv" in source.name else ",").encode()
    source.write_bytes(gzip.compress(whole) if source.suffix == ".gz" else whole)


def cleaned(source: Path, out: Path, *options: str) -> dict[str, Any]:
    report = out.with_name(f"{out.name}.json")
    assert main(["data", "clean", str(source), "--out", str(out), "--report", str(report), *options]) == 0
    facts = json.loads(report.read_text())
    assert isinstance(facts, dict)
    return facts


@pytest.mark.parametrize("out_form", [*TEXT_FORMS, ".parquet", ""])
@pytest.mark.parametrize("form", TEXT_FORMS)
def test_every_kind_of_text_becomes_every_kind(form: str, out_form: str, tmp_path: Path) -> None:
    source, same = tmp_path / f"bars{form}", tmp_path / f"same{form}"
    write(source, lines())
    wanted = cleaned(source, same)
    out = tmp_path / f"clean{out_form}"
    facts = cleaned(source, out)
    assert facts["rows"] == wanted["rows"] == {"in": 30, "out": 28, "quarantined": 2, "repaired": 1}
    if not out_form:
        assert out.read_bytes() == same.read_bytes()
        return
    got, right = read_bars_file(out), read_bars_file(same)
    assert got.header == right.header
    if out_form == ".parquet":
        assert pl.read_parquet(out).dtypes == [pl.String, *[pl.Float64] * 4, pl.Int64, pl.String]
        assert [[row[0], float(row[4]), row[5], row[6]] for row in got.cells] == [
            [row[0], float(row[4]), row[5], row[6]] for row in right.cells
        ]
    else:
        assert got.cells == right.cells
        assert got.delimiter == (
            "\t" if out_form == ".tsv" or (form == ".tsv" and out_form in {".txt.gz", ".zip"}) else ","
        )
    assert read_bar_file(out).bars["close"][9] == 10_125_000_000


def test_rows_that_are_set_aside_stay_as_received(tmp_path: Path) -> None:
    source, out = tmp_path / "bars.csv", tmp_path / "clean.parquet"
    write(source, lines())
    assert cleaned(source, out)["quarantine"]["name"] == "clean.quarantine.parquet"
    aside = pl.read_parquet(tmp_path / "clean.quarantine.parquet")
    assert aside.row(0) == ("2024-01-13", "1", "2", "3", "4", "5", "6,seven,eight")
    assert ",".join(aside.row(1)) in lines()
    cleaned(source, out, "--quarantine", str(tmp_path / "aside.csv"))
    assert (tmp_path / "aside.csv").read_text().splitlines()[1] == "2024-01-13,1,2,3,4,5,6,seven,eight"


@pytest.mark.parametrize("out_form", TEXT_FORMS)
def test_a_table_of_typed_columns_becomes_text_that_reads_back(out_form: str, tmp_path: Path) -> None:
    source, out, back = tmp_path / "bars.parquet", tmp_path / f"clean{out_form}", tmp_path / "back.parquet"
    close = [1 / 3 + day * 7 % 13 / 400 for day in range(60)]
    frame = pl.DataFrame({"Close": close, "Volume": [None, *range(59)], "note": ["a,b", None, *["x\ty"] * 58]})
    times = pl.datetime_range(
        pl.datetime(2024, 1, 1), pl.datetime(2024, 2, 29), "1d", time_zone="Europe/Paris", eager=True
    )
    frame.insert_column(0, times.alias("Date")).write_parquet(source)
    assert cleaned(source, out)["rows"]["out"] == 60
    assert read_bar_file(out).bars["ts_open"].equals(read_bar_file(source).bars["ts_open"])
    cleaned(out, back)
    again = pl.read_parquet(back)
    assert again["Close"].to_list() == close
    assert again["Volume"].to_list() == frame["Volume"].to_list()


def test_what_text_cannot_hold_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "bars.parquet"
    frame = pl.DataFrame({"Date": [f"2024-01-{day:02d}" for day in range(1, 29)], "Close": [1.0] * 28})
    frame.with_columns(levels=pl.Series([[1, 2]] * 28)).write_parquet(source)
    arguments = [
        "data",
        "clean",
        str(source),
        "--out",
        str(tmp_path / "clean.csv"),
        "--report",
        str(tmp_path / "r.json"),
    ]
    assert main(arguments) == 2
    assert "column 'levels' is of type List(Int64)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [source]


def test_decimal_commas_do_not_become_thousands(tmp_path: Path) -> None:
    source = tmp_path / "bars.txt"
    rows = [f"{day:02d}.01.2023;{100 + day % 3},{day:02d};{day}" for day in range(1, 29)]
    source.write_text("\n".join(["Date;Close;Volume", *rows]) + "\n")
    for name in ("clean.csv", "clean.parquet", "clean.tsv"):
        cleaned(source, tmp_path / name)
        assert read_bar_file(tmp_path / name).bars["close"].to_list() == pytest.approx(
            [1e8 * (100 + day % 3 + day / 100) for day in range(1, 29)]
        )
