from __future__ import annotations

import resource
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from deltalake import DeltaTable

from py_rt.data import storage
from py_rt.data.schemas import CLEAN_BARS
from py_rt.data.storage import DayWindow, Lake
from py_rt.errors import SchemaError, TableError

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = date(2024, 1, 1)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def window(first: int, last: int) -> DayWindow:
    return DayWindow(day(first), day(last + 1))


def rows(first: int, last: int, value: int = 1, per_day: int = 3) -> pl.DataFrame:
    days = [day(number) for number in range(first, last + 1) for _ in range(per_day)]
    return pl.DataFrame({"x": [value] * len(days), "date": days}, schema={"x": pl.Int64, "date": pl.Date})


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return str(tmp_path / "lake" / "group" / "table")


def values(uri: str, first: int, last: int) -> list[int]:
    return storage.scan(uri, window(first, last)).collect()["x"].to_list()


def test_a_write_replaces_its_days_and_no_other(uri: str) -> None:
    storage.write_window(uri, rows(0, 9), window(0, 9))
    written = storage.write_window(uri, rows(3, 4, value=2), window(3, 4))
    assert (written.rows, written.version, written.uri) == (6, 2, uri)
    assert sorted(values(uri, 0, 9)) == [1] * 24 + [2] * 6
    assert values(uri, 3, 4) == [2] * 6
    assert values(uri, 2, 2) == [1] * 3


@pytest.mark.parametrize("folder", ["a folder", "für uns", "10% of it", "what? #1 (it's *this*)"])
def test_a_table_lies_in_any_folder(tmp_path: Path, folder: str) -> None:
    uri = str(tmp_path / folder / "table")
    storage.write_window(uri, rows(0, 4), window(0, 4))
    storage.write_window(uri, rows(3, 4, value=2), window(3, 4))
    assert sorted(values(uri, 0, 4)) == [1] * 9 + [2] * 6
    assert storage.scan(uri, version=1).collect().height == 15
    with pytest.raises(TableError, match="append-once"):
        storage.append_days(uri, rows(4, 5))


def test_a_rerun_leaves_the_same_rows(uri: str) -> None:
    for _ in range(3):
        storage.write_window(uri, rows(0, 4), window(0, 4))
    assert len(values(uri, 0, 4)) == 15


def numbered(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("n"))


def test_the_same_rows_again_leave_the_version(uri: str) -> None:
    first = storage.write_window(uri, numbered(rows(0, 4)), window(0, 4))
    again = storage.write_window(uri, numbered(rows(0, 4)).reverse(), window(0, 4))
    part = storage.write_window(uri, numbered(rows(0, 4)).slice(3, 6), window(1, 2))
    assert (first.changed, again.changed, part.changed) == (True, False, False)
    assert first.version == again.version == part.version
    other = storage.write_window(uri, numbered(rows(0, 4, value=2)), window(0, 4))
    assert (other.changed, other.version) == (True, first.version + 1)
    doubled = storage.write_window(uri, pl.concat([numbered(rows(0, 0, value=2)).head(1)] * 3), window(0, 0))
    assert doubled.changed


def test_a_whole_table_with_the_same_rows_leaves_the_version(uri: str) -> None:
    assert storage.write_whole(uri, rows(0, 1)).changed
    assert not storage.write_whole(uri, rows(0, 1)).changed
    assert storage.write_whole(uri, rows(0, 2)).changed


def test_a_day_without_rows_becomes_empty(uri: str) -> None:
    storage.write_window(uri, rows(0, 2), window(0, 2))
    storage.write_window(uri, rows(0, 0).clear(), window(1, 1))
    assert [len(values(uri, number, number)) for number in range(3)] == [3, 0, 3]


def test_the_window_is_half_open(uri: str) -> None:
    storage.write_window(uri, rows(0, 5), window(0, 5))
    found = storage.scan(uri, DayWindow(day(1), day(3))).collect()["date"].unique().sort().to_list()
    assert found == [day(1), day(2)]


def test_a_count_of_a_lazy_read_is_right(uri: str) -> None:
    storage.write_window(uri, rows(0, 5), window(0, 5))
    assert storage.scan(uri, window(1, 2)).select(pl.len()).collect().item() == 6
    assert storage.scan(uri).select(pl.len()).collect().item() == 18


@pytest.mark.parametrize("column", [pl.col("date").cast(pl.String), pl.col("date").cast(pl.Datetime("us"))])
def test_a_partition_column_that_is_no_date_is_refused(uri: str, column: pl.Expr) -> None:
    storage.write_window(uri, rows(0, 2), window(0, 2))
    with pytest.raises(TableError, match="only Date is allowed"):
        storage.write_window(uri, rows(0, 0).with_columns(column), window(0, 0))
    assert len(values(uri, 0, 2)) == 9


def test_rows_outside_of_the_window_are_refused(uri: str) -> None:
    with pytest.raises(TableError, match=r"3 of 9 rows lie outside .*first on 2024-01-03"):
        storage.write_window(uri, rows(0, 2), window(0, 1))
    assert not storage.exists(uri)


def test_rows_without_a_day_are_refused(uri: str) -> None:
    with pytest.raises(TableError, match="1 of 4 rows have no 'date'"):
        storage.write_window(uri, pl.concat([rows(0, 0), rows(0, 0, per_day=1).with_columns(date=None)]), window(0, 0))


def test_a_missing_partition_column_is_refused(uri: str) -> None:
    with pytest.raises(TableError, match="no partition column 'day'"):
        storage.write_window(uri, rows(0, 0), window(0, 0), column="day")


def test_other_columns_are_refused_and_nothing_changes(uri: str) -> None:
    storage.write_window(uri, rows(0, 2), window(0, 2))
    with pytest.raises(TableError, match=r"x: table Int64, rows String.*nothing changed"):
        storage.write_window(uri, rows(0, 0).with_columns(pl.col("x").cast(pl.String)), window(0, 0))
    with pytest.raises(TableError, match=r"y: table None, rows Int32.*nothing changed"):
        storage.write_window(uri, rows(0, 0).with_columns(y=1), window(0, 0))
    assert len(values(uri, 0, 2)) == 9


def test_a_table_with_other_partitions_is_refused(uri: str) -> None:
    storage.write_whole(uri, rows(0, 2))
    with pytest.raises(TableError, match=r"partitioned by nothing, this write by \['date'\]"):
        storage.write_window(uri, rows(0, 2), window(0, 2))


def test_writers_of_different_days_do_not_lose_each_others_rows(uri: str) -> None:
    def write(number: int) -> int:
        return storage.write_window(uri, rows(number, number), window(number, number)).rows

    with ThreadPoolExecutor(4) as pool:  # the first of them also make the table
        assert list(pool.map(write, range(12))) == [3] * 12
    assert len(values(uri, 0, 12)) == 36


def test_of_two_writers_of_one_day_one_remains(uri: str) -> None:
    def write(value: int) -> int:
        return storage.write_window(uri, rows(0, 0, value=value), window(0, 0)).rows

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(write, range(6))) == [3] * 6
    assert len(values(uri, 0, 0)) == 3
    assert len(set(values(uri, 0, 0))) == 1


def test_days_are_appended_once(uri: str) -> None:
    assert storage.append_days(uri, rows(0, 1)).version == 1  # version 0 is the table without rows
    assert storage.append_days(uri, rows(2, 4)).version == 2
    with pytest.raises(TableError, match="already holds date 2024-01-04"):
        storage.append_days(uri, rows(3, 6, value=9))
    assert values(uri, 0, 9) == [1] * 15


def test_appending_nothing_is_no_commit(uri: str) -> None:
    storage.append_days(uri, rows(0, 0).clear())
    assert storage.append_days(uri, rows(0, 0).clear()).version == 0
    assert values(uri, 0, 9) == []


def test_two_appends_of_one_day_never_both_succeed(uri: str) -> None:
    def append(value: int) -> bool:
        try:
            storage.append_days(uri, rows(1, 1, value=value))
        except TableError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(append, range(4))) == 1
    assert len(values(uri, 1, 1)) == 3


def test_a_table_that_was_not_made_says_so(uri: str) -> None:
    with pytest.raises(TableError, match="holds no table yet: materialise"):
        storage.scan(uri)
    with pytest.raises(TableError, match="holds no table yet"):
        storage.table_version(uri)


def test_days_cannot_be_picked_from_a_text_column(uri: str) -> None:
    storage.write_whole(uri, rows(0, 2).with_columns(pl.col("date").cast(pl.String)))
    with pytest.raises(TableError, match="only be picked from a Date column"):
        storage.scan(uri, window(0, 0))


def test_an_earlier_version_can_be_read(uri: str) -> None:
    storage.write_window(uri, rows(0, 0), window(0, 0))
    storage.write_window(uri, rows(0, 0, value=2), window(0, 0))
    assert storage.scan(uri, version=1).collect()["x"].to_list() == [1] * 3
    for version in (7, -1, 2**63 - 1, 2**63, 2**64):
        with pytest.raises(TableError, match=f"version {version}:"):
            storage.scan(uri, version=version)


def test_the_commit_tells_who_wrote_and_fields_tell_their_scale(uri: str) -> None:
    storage.write_window(uri, rows(0, 0), window(0, 0), scales={"x": 8}, commit={"run_id": "r1", "asset": "a"})
    storage.write_window(uri, rows(1, 1), window(1, 1), scales={"x": 8}, commit={"run_id": "r2", "asset": "a"})
    table = DeltaTable(uri)
    assert [entry.get("run_id") for entry in table.history()] == ["r2", "r1", None]
    assert table.schema().fields[0].metadata == {"scale": "8"}


@pytest.mark.parametrize(("start", "end"), [(FIRST, FIRST), (day(1), FIRST)])
def test_an_empty_window_is_refused(start: date, end: date) -> None:
    with pytest.raises(TableError, match="empty"):
        DayWindow(start, end)


def _clean_bar(number: int) -> dict[str, object]:
    opened = int((day(number) - date(1970, 1, 1)).days) * 86_400_000_000_000
    prices = {"open": 10, "high": 10, "low": 10, "close": 10, "volume": 4}
    flags = {"volume_imputed": False, "is_empty": False, "source_row": 2, "source_sha256": "ab"}
    times = {"instrument": "BTCUSDT", "ts_open": opened, "ts_close": opened + 900_000_000_000, "date": day(number)}
    return times | prices | flags


def test_a_declared_table_is_read_by_name_days_and_version(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    bars = CLEAN_BARS.conform(pl.DataFrame([_clean_bar(n) for n in (2, 0, 1)], schema_overrides=CLEAN_BARS.schema))
    storage.write_window(lake.table_uri("clean_bars"), bars, window(0, 2))
    storage.write_window(lake.table_uri("clean_bars"), bars.clear(), window(2, 2))
    assert storage.read_table("clean_bars", root=tmp_path)["date"].to_list() == [day(0), day(1)]
    assert storage.read_table("clean_bars", root=tmp_path, version=1)["date"].to_list() == [day(0), day(1), day(2)]
    assert storage.read_table("clean_bars", root=tmp_path, start=day(1), end=day(2))["date"].to_list() == [day(1)]
    assert storage.table_versions(["clean_bars"], root=tmp_path) == {"clean_bars": 2}
    with pytest.raises(SchemaError, match="no table is called 'bars'"):
        storage.read_table("bars", root=tmp_path)


def test_the_content_hash_sees_values_order_names_and_types_only() -> None:
    frame = pl.DataFrame({"a": [1, 2, 3], "b": ["x", None, '"']})
    base = storage.content_hash(frame)
    assert base == storage.content_hash(pl.concat([frame.head(1), frame.tail(2)]))
    assert base == storage.content_hash(frame.with_columns(t=1), exclude=["t"])
    changed = [
        frame.reverse(),
        frame.rename({"a": "c"}),
        frame.with_columns(pl.col("a").cast(pl.Int32)),
        frame.with_columns(pl.col("b").fill_null("")),
        frame.with_columns(pl.col("b").fill_null("\\N")),
        frame.head(2),
    ]
    hashes = {storage.content_hash(other) for other in changed}
    assert len(hashes) == len(changed)
    assert base not in hashes


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """As on a disk that fills up: the system refuses to write on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("size", [10, 2_000])
def test_a_full_disk_is_told_and_what_was_there_stays(uri: str, size: int, *, is_there: bool) -> None:
    if is_there:
        storage.write_window(uri, rows(0, 1), window(0, 1))
    many = pl.concat([rows(0, 1, value=number) for number in range(2_000)])
    told = r"table: (cannot be written|the write was refused and nothing changed).*File too large"
    with no_file_beyond(size), pytest.raises(TableError, match=told) as raised:
        storage.write_window(uri, many, window(0, 1))
    assert "\x1b" not in str(raised.value)
    if is_there:
        assert values(uri, 0, 1) == [1] * 6
    assert storage.write_window(uri, many, window(0, 1)).rows == 12_000
    assert len(values(uri, 0, 1)) == 12_000


@pytest.mark.parametrize("name", [".", ".."])
def test_a_file_in_the_place_of_a_table_is_told(uri: str, name: str) -> None:
    place = Path(uri, name).resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("in the way")
    with pytest.raises(TableError, match=r"table: cannot be written .*(Not a directory|File exists).*make room"):
        storage.write_window(uri, rows(0, 1), window(0, 1))
    assert place.read_text() == "in the way"
