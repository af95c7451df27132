"""`py_rt lake`: what it says of real tables, and what it does to them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from py_rt.cli.main import main
from py_rt.data.storage import scan, write_whole

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
