"""`py_rt lake`: what it says of real tables, and what it does to them."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from py_rt.cli.main import main
from py_rt.data.formats import read_file, scales_of
from py_rt.data.storage import DayWindow, scan, write_whole, write_window

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two tables; the first has three versions."""
    root = tmp_path / "lake"
    monkeypatch.setenv("PY_RT_LAKE", str(root))
    for count in (1, 2, 3):
        write_whole(str(root / "raw" / "one"), pl.DataFrame({"x": range(count)}))
    write_whole(str(root / "cleaned" / "two"), pl.DataFrame({"x": [1.0]}))
    (root / "raw" / "no_table").mkdir()
    return root


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = main(["lake", *arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_tables_and_versions_are_listed(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, "tables")[1]["tables"]
    assert [(one["name"], one["rows"]) for one in told] == [("cleaned/two", 1), ("raw/one", 3)]
    versions = said(capsys, "history", "raw/one")[1]["versions"]
    assert [one["version"] for one in versions][:3] == sorted((one["version"] for one in versions), reverse=True)[:3]
    assert main(["lake", "tables"]) == 0
    assert "raw/one" in capsys.readouterr().out
    assert lake.is_dir()


def test_an_earlier_version_is_brought_back(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = str(lake / "raw" / "one")
    first = min(
        one["version"] for one in said(capsys, "history", "raw/one")[1]["versions"] if one["operation"] == "WRITE"
    )
    rows = scan(uri, version=first).collect()
    status, told = said(capsys, "restore", "raw/one", "--version", str(first))
    assert (status, told["restored"]) == (0, first)
    assert scan(uri).collect().equals(rows)
    assert scan(uri, version=told["version"] - 1).collect().height == 3


def test_compaction_keeps_rows_and_vacuum_only_names_until_it_is_told(
    lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = scan(str(lake / "raw" / "one")).collect()
    told = said(capsys, "compact")[1]["tables"]
    assert {one["name"]: one["rows"] for one in told} == {"cleaned/two": 1, "raw/one": 3}
    assert scan(str(lake / "raw" / "one")).collect().equals(before)
    assert said(capsys, "vacuum")[1] == {"ok": True, "applied": False, "files": {"cleaned/two": [], "raw/one": []}}
    status, refused = said(capsys, "vacuum", "--keep-days", "1", "--apply")
    assert (status, refused["ok"]) == (1, False)
    assert "7 days at least" in refused["error"]


def test_a_table_that_is_not_there_is_refused_with_those_that_are(
    lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("raw/none", "raw/no_table", "../lake/raw/one", "one"):
        status, told = said(capsys, "history", name)
        assert (status, told["ok"]) == (1, False)
        assert "it holds cleaned/two, raw/one" in told["error"]
    assert lake.is_dir()


def test_a_table_is_written_as_a_file_with_its_digits(lake: Path, tmp_path: Path) -> None:
    days = [date(2024, 1, 2), date(2024, 1, 3)]
    rows = pl.DataFrame({"date": days, "price": [150_000_000, -1]})
    window = DayWindow(days[0], date(2024, 1, 4))
    write_window(str(lake / "raw" / "priced"), rows, window, scales={"price": 8})
    for name in ("a.csv", "b.parquet", "c.h5"):
        assert main(["lake", "export", "raw/priced", str(tmp_path / name)]) == 0
    text = pl.read_csv(tmp_path / "a.csv", infer_schema=False).sort("date")
    assert text.rows() == [("2024-01-02", "1.5"), ("2024-01-03", "-0.00000001")]
    assert scales_of(tmp_path / "b.parquet") == scales_of(tmp_path / "c.h5") == {"price": 8}
    assert read_file(tmp_path / "c.h5").sort("date").equals(rows)
    for option in ("--from", "--to"):
        day = days[1] if option == "--from" else days[0]
        assert main(["lake", "export", "raw/priced", str(tmp_path / "d.csv"), option, day.isoformat()]) == 0
        assert pl.read_csv(tmp_path / "d.csv", infer_schema=False)["date"].to_list() == [day.isoformat()]
    assert main(["lake", "export", "raw/priced", str(tmp_path / "e.xlsx")]) == 1
    assert main(["lake", "export", "raw/priced", str(tmp_path / "e.csv"), "--from", "monday"]) == 1
    assert main(["lake", "export", "raw/priced", str(tmp_path / "e.csv"), "--to", "9999-12-31"]) == 1
    assert main(["lake", "export", "raw/absent", str(tmp_path / "e.csv")]) == 1
    assert not (tmp_path / "e.csv").exists()
