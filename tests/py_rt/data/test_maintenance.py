from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from py_rt.data.maintenance import compact, history, restore, scan_at, vacuum, version_at
from py_rt.data.storage import DayWindow, Lake, content_hash, scan, write_window
from py_rt.errors import TableError

DAY = date(2024, 1, 1)


def rows(value: int, day: int = 0) -> pl.DataFrame:
    return pl.DataFrame({"value": [value], "date": [DAY + timedelta(days=day)]})


def window(day: int = 0) -> DayWindow:
    return DayWindow(DAY + timedelta(days=day), DAY + timedelta(days=day + 1))


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A table of one day that was written anew five times, and of four more days."""
    uri = Lake(str(tmp_path)).uri("raw", "values")
    for value in range(5):
        write_window(uri, rows(value), window(), commit={"run_id": f"run-{value}"})
    for day in range(1, 5):
        write_window(uri, rows(day, day), window(day))
    return uri


def test_versions_are_told_and_read(uri: str) -> None:
    told = history(uri)
    assert [one.version for one in told] == list(range(len(told) - 1, -1, -1))
    by_run = {one.run_id: one for one in told if one.run_id}
    assert sorted(by_run) == [f"run-{value}" for value in range(5)]
    for value in range(5):
        one = by_run[f"run-{value}"]
        assert scan(uri, version=one.version).collect()["value"].to_list() == [value]
    newest = told[0]
    assert version_at(uri, newest.at + timedelta(hours=1)) == newest.version
    assert scan_at(uri, newest.at).collect().height == 5
    with pytest.raises(TableError, match="there was no version yet; the first known, 0, is of"):
        version_at(uri, told[-1].at - timedelta(seconds=1))
    with pytest.raises(TableError, match="names no time zone"):
        version_at(uri, datetime(2024, 1, 1))  # noqa: DTZ001  # that is the fault


def test_compaction_leaves_fewer_files_and_the_same_rows(tmp_path: Path) -> None:
    from deltalake import write_deltalake

    uri = str(tmp_path / "small")
    for value in range(20):
        write_deltalake(uri, rows(value).to_arrow(), mode="append", partition_by=["date"])
    before = content_hash(scan(uri).sort("value").collect())
    done = compact(uri)
    assert (done.files_before, done.files_after, done.rows) == (20, 1, 20)
    assert content_hash(scan(uri).sort("value").collect()) == before
    assert scan(uri, version=9).collect().height == 10
    again = compact(uri)
    assert (again.files_after, again.version) == (1, done.version)


def test_what_others_write_beside_a_compaction_is_no_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deltalake import DeltaTable, write_deltalake
    from deltalake.table import TableOptimizer

    uri = str(tmp_path / "busy")

    def write(value: int) -> None:
        write_deltalake(uri, rows(value, value).to_arrow(), mode="append", partition_by=["date"])

    for value in range(4):
        write(value % 2)
    joined = TableOptimizer.compact

    def beside(_: TableOptimizer) -> object:
        write(5)
        done = joined(TableOptimizer(DeltaTable(uri)))
        write(6)
        return done

    monkeypatch.setattr(TableOptimizer, "compact", beside)
    done = compact(uri)
    assert (done.rows, done.version) == (5, 5)
    assert scan(uri).collect().height == 6


def test_vacuum_keeps_young_files_and_names_old_ones(uri: str) -> None:
    with pytest.raises(TableError, match="kept for 7 days at least, asked were 1"):
        vacuum(uri, keep_days=1)
    assert vacuum(uri, dry_run=False) == []
    files = set(Path(uri).rglob("*.parquet"))
    old = datetime.now(UTC) - timedelta(days=60)
    log = Path(uri) / "_delta_log"
    for path in (*files, *log.iterdir()):
        os.utime(path, (old.timestamp(), old.timestamp()))
    # The log says when a file was removed from the table; as if it were long ago:
    past = int(old.timestamp() * 1_000)
    for path in log.glob("*.json"):
        path.write_text(re.sub(r'"deletionTimestamp":\d+', f'"deletionTimestamp":{past}', path.read_text()))
    named = vacuum(uri)
    assert len(named) == 4
    assert set(Path(uri).rglob("*.parquet")) == files
    assert vacuum(uri, dry_run=False) == named
    assert len(set(Path(uri).rglob("*.parquet"))) == len(files) - 4
    assert scan(uri).collect().height == 5
    with pytest.raises(FileNotFoundError):
        scan(uri, version=1).collect()


def test_an_earlier_version_is_restored_as_a_further_one(uri: str) -> None:
    now = history(uri)[0].version
    first = min(one.version for one in history(uri) if one.run_id == "run-0")
    assert restore(uri, first) > now
    assert scan(uri).collect()["value"].to_list() == [0]
    assert scan(uri, version=now).collect().height == 5
    with pytest.raises(TableError, match="version 99 cannot be restored"):
        restore(uri, 99)


def test_without_a_table_there_is_nothing_to_do(tmp_path: Path) -> None:
    for job in (compact, vacuum, history):
        with pytest.raises(TableError, match="holds no table yet"):
            job(str(tmp_path / "none"))
