"""Recordings as tables of whole days, by the built command."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from py_rt.data import storage
from py_rt.data.ingestion.recordings import Recordings, keep_what_landed
from py_rt.data.schemas import RAW_BOOK, RAW_TRADES, Table
from py_rt.data.storage import ContentHash, DayWindow, RowBatches, content_hash
from py_rt.errors import ChangedSourceError, SourceError, TableError
from tests.contract.live_service import find_command

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
SPOT = SHARED / "ws_binance_spot_btcusdt_20240808"
BOTH = DayWindow(date(2024, 8, 8), date(2024, 8, 10))
FIRST = DayWindow(date(2024, 8, 8), date(2024, 8, 9))
SECOND = DayWindow(date(2024, 8, 9), date(2024, 8, 10))
NS = 1_700_000_000_000_000_000
DAY = DayWindow(date(2023, 11, 14), date(2023, 11, 15))


@pytest.fixture
def command() -> Path:
    return find_command("py_rt_feed")


@pytest.fixture
def spot(command: Path) -> Recordings:
    if not SPOT.is_dir():
        pytest.skip(f"no recorded data at {SPOT}: set PY_RT_SHARED_DATA")
    return Recordings(SPOT, command)


def made_up(folder: Path, *lines: str) -> Path:
    path = folder / "session.jsonl"
    path.write_text("".join(f"{NS + at} {line}\n" for at, line in enumerate(lines)))
    return path


SNAPSHOT = '{"lastUpdateId":10,"bids":[["99.50","1.0"]],"asks":[["100.00","2.000"],["101.5","3"]]}'
EMPTY = '{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":11,"u":11,"b":[],"a":[]}'
CHANGE = '{"e":"depthUpdate","E":2,"s":"BTCUSDT","U":12,"u":13,"b":[["99.50","0"],["99.00","4.10"]],"a":[]}'
HOLE = '{"e":"depthUpdate","E":3,"s":"BTCUSDT","U":20,"u":21,"b":[],"a":[["100.00","1"]]}'
TRADE = '{"e":"trade","E":1,"s":"BTCUSDT","t":7,"p":"99.50","q":"0.250","T":1,"m":true,"M":true}'


def test_every_update_stands_in_the_table_as_integers(tmp_path: Path, command: Path) -> None:
    made_up(tmp_path, SNAPSHOT, EMPTY, CHANGE, TRADE, HOLE)
    found = Recordings(tmp_path, command).export(DAY)
    book = found.book.collect()
    assert RAW_BOOK.faults(book) == []
    shown = book.select("update", "kind", "side", "price", "quantity", "best_bid", "best_ask").rows()
    first, second = (9_950_000_000, 10_000_000_000), (9_900_000_000, 10_000_000_000)
    assert shown == [
        (0, "snapshot", "bid", 9_950_000_000, 100_000_000, *first),
        (0, "snapshot", "ask", 10_000_000_000, 200_000_000, *first),
        (0, "snapshot", "ask", 10_150_000_000, 300_000_000, *first),
        (1, "delta", None, None, None, *first),
        (2, "delta", "bid", 9_950_000_000, 0, *second),
        (2, "delta", "bid", 9_900_000_000, 410_000_000, *second),
        (None, "invalid", None, None, None, None, None),
    ]
    assert book["reason"].to_list()[-1] == "gap"
    assert found.trades.collect().select("trade_id", "price", "quantity", "aggressor").rows() == [
        (7, 9_950_000_000, 25_000_000, "sell")
    ]
    assert (found.facts.book_rows, found.facts.book_updates, found.facts.trade_rows) == (7, 3, 1)
    assert any("does not stand" in problem for problem in found.facts.problems)


def test_a_day_is_the_same_alone_and_among_others(spot: Recordings) -> None:
    both = spot.export(BOTH)
    books, trades = both.book.collect(), both.trades.collect()
    assert RAW_BOOK.faults(books) == RAW_BOOK.faults_of(books.lazy()) == []
    assert RAW_TRADES.faults(trades) == []
    assert both.facts.problems == ()
    assert (both.facts.played_updates, both.facts.played_trades) == (6_494, 19_904)
    assert int(trades["quantity"].sum()) == 43_791_552_000
    for window in (FIRST, SECOND):
        alone = spot.export(window)
        for one, all_days in ((alone.book, books), (alone.trades, trades)):
            assert one.collect().equals(all_days.filter(window.holds("date")))
    # The second day's book stands from its first row: the day before was played.
    assert books.filter(SECOND.holds("date"))["kind"][0] == "delta"


def test_no_more_rows_are_in_memory_than_a_batch_has(
    spot: Recordings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = spot.export(BOTH)
    wanted = whole.book.collect()
    few = 1_000
    monkeypatch.setattr(storage, "BATCH_ROWS", few)
    monkeypatch.setattr("py_rt.data.ingestion.recordings.BATCH_ROWS", few)
    seen: list[int] = []
    conform = Table.conform

    def counted(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
        seen.append(frame.height)
        return conform(table, frame)

    monkeypatch.setattr(Table, "conform", counted)
    cut = spot.export(BOTH).book
    content = ContentHash(cut.schema)
    for frame in cut:
        content.add(frame)
        seen.append(frame.height)
    assert 0 < max(seen) <= few
    assert len(seen) > wanted.height // few
    assert content.hexdigest() == content_hash(wanted)

    uri = str(tmp_path / "raw_book")
    first = storage.write_window_in_batches(uri, cut, BOTH, scales=RAW_BOOK.scales)
    assert (first.rows, first.changed) == (wanted.height, True)
    assert storage.scan(uri).collect().sort("date", "row").equals(wanted.sort("date", "row"))
    # The very rows again are no new version, however they are cut; another row is.
    assert not storage.write_window_in_batches(uri, whole.book, BOTH, scales=RAW_BOOK.scales).changed
    assert not storage.write_window(uri, wanted, BOTH, scales=RAW_BOOK.scales).changed
    less = RowBatches(cut.schema, lambda: (wanted.head(-1),))
    assert storage.write_window_in_batches(uri, less, BOTH, scales=RAW_BOOK.scales).changed
    assert sum(storage.rows_by_partition(uri).values()) == wanted.height - 1


def test_rows_outside_of_the_days_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    frame = pl.DataFrame({"date": [date(2023, 11, 14), date(2023, 11, 15)]})
    late = RowBatches(frame.schema, lambda: frame.iter_slices(1))
    uri = str(tmp_path / "table")
    with pytest.raises(TableError, match="outside of the partitions"):
        storage.write_window_in_batches(uri, late, DAY)
    assert not storage.exists(uri)


def test_broken_rules_are_found_without_all_rows_in_memory(spot: Recordings) -> None:
    rows = spot.export(SECOND).trades.collect().with_columns(quantity=pl.lit(-1, dtype=pl.Int64), row=pl.lit(7))
    rows = rows.with_columns(pl.col("row").cast(pl.Int64))
    lazily = {fault.rule: fault.rows for fault in RAW_TRADES.faults_of(rows.lazy())}
    assert lazily == {fault.rule: fault.rows for fault in RAW_TRADES.faults(rows)} != {}


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    found = Recordings(tmp_path / "absent").export(DAY)
    assert found.book.collect().equals(RAW_BOOK.empty())
    assert found.trades.collect().equals(RAW_TRADES.empty())


def test_what_is_no_recording_is_named(tmp_path: Path, command: Path) -> None:
    (tmp_path / "README.md").write_text("passed over")
    (tmp_path / "damaged.jsonl").write_text("hello\n")
    with pytest.raises(SourceError, match=r"damaged\.jsonl: its first line is of no known recording"):
        Recordings(tmp_path, command).export(DAY)


def test_files_of_long_before_are_not_played_and_a_changed_file_is_seen(tmp_path: Path) -> None:
    path = made_up(tmp_path, SNAPSHOT)
    found = Recordings(tmp_path)
    os.utime(path, ns=(NS, NS))
    assert found.files(DAY) == [path]
    assert found.files(DayWindow(date(2023, 11, 16), date(2023, 11, 17))) == []
    before = found.fingerprint(DAY)
    os.utime(path, ns=(NS, NS + 1))
    assert found.fingerprint(DAY) != before


def test_files_begun_after_the_day_are_not_looked_at(tmp_path: Path, command: Path) -> None:
    name = "binance_{}Z_0000.jsonl"
    day = made_up(tmp_path, SNAPSHOT, CHANGE).rename(tmp_path / name.format("20231114T220000.000000000"))
    found = Recordings(tmp_path, command)
    alone, before = found.export(DAY), found.fingerprint(DAY)
    # Of a later day, and damaged; one begun at midnight may hold what came on another connection just before it.
    (tmp_path / name.format("20231115T010000.000000000")).write_text("no recording\n")
    assert found.files(DAY) == [day]
    assert found.fingerprint(DAY) == before
    assert list(found.lineage(DAY)) == [day.name]
    assert found.export(DAY).book.collect().equals(alone.book.collect())
    midnight = tmp_path / name.format("20231115T000000.100000000")
    midnight.write_text("")
    assert found.files(DAY) == [day, midnight]
    assert midnight in found.files(DayWindow(date(2023, 11, 15), date(2023, 11, 16)))


def test_a_landed_day_never_loses_rows() -> None:
    rows = {DAY.start: 3}
    keep_what_landed({DAY.start: 3, date(2020, 1, 1): 9, None: 4}, rows, DAY)
    keep_what_landed({DAY.start: 2}, rows, DAY)
    with pytest.raises(ChangedSourceError, match="landed with 4 rows and its recordings now give 3"):
        keep_what_landed({DAY.start: 4}, rows, DAY)
    with pytest.raises(ChangedSourceError, match="now give 0"):
        keep_what_landed({DAY.start: 1}, {}, DAY)
