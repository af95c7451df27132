from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import polars as pl
import pytest

from py_rt.data.ingestion.landing import land
from py_rt.data.schemas import RAW_BARS
from py_rt.errors import ChangedSourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    Maker = Callable[..., pl.DataFrame]

ONE = ("2021-09-27 13:45:00", "1", "2", "1", "2", "10")
TWO = ("2021-09-27 14:00:00", "2", "3", "2", "3", "11")
NEXT_DAY = ("2021-09-28 00:00:00", "3", "3", "3", "3", "12")


def offer(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.drop("ts_arrival")


def test_everything_is_new_at_first(raw_rows: Maker) -> None:
    landing = land(offer(raw_rows(ONE, TWO, NEXT_DAY)), RAW_BARS.empty(), 42)
    assert landing.new_days == [date(2021, 9, 27), date(2021, 9, 28)]
    assert landing.new_rows["ts_arrival"].to_list() == [42] * 3
    assert RAW_BARS.faults(landing.new_rows) == []


def test_the_same_rows_again_add_nothing(raw_rows: Maker) -> None:
    landed = raw_rows(ONE, TWO)
    landing = land(offer(landed), landed, 43)
    assert landing.new_rows.is_empty()
    assert landing.unchanged_days == [date(2021, 9, 27)]
    assert landing.moved_files == []


def test_a_file_that_grew_by_a_day_adds_that_day(raw_rows: Maker) -> None:
    landing = land(offer(raw_rows(ONE, TWO, NEXT_DAY, sha256="cd")), raw_rows(ONE, TWO), 43)
    assert landing.new_days == [date(2021, 9, 28)]
    assert landing.unchanged_days == [date(2021, 9, 27)]
    assert landing.moved_files == [("ab", "cd")]


def test_a_day_that_is_no_longer_offered_stays(raw_rows: Maker) -> None:
    landing = land(offer(raw_rows(NEXT_DAY)), raw_rows(ONE), 43)
    assert landing.absent_days == [date(2021, 9, 27)]


@pytest.mark.parametrize(
    ("rows", "row"),
    [
        (((*ONE[:4], "2.5", "10"), TWO), 2),
        ((ONE, (*TWO[:5], "12")), 3),
        ((ONE, TWO, ("2021-09-27 14:15:00", *TWO[1:])), 4),
        ((ONE,), 3),
    ],
)
def test_a_landed_day_with_other_rows_is_refused_naming_both_hashes(
    raw_rows: Maker, rows: tuple[tuple[str, ...], ...], row: int
) -> None:
    with pytest.raises(ChangedSourceError, match="2021-09-27 was landed with 2 rows") as caught:
        land(offer(raw_rows(*rows, sha256="cdcd")), raw_rows(ONE, TWO, sha256="abab"), 43)
    message = str(caught.value)
    assert "SHA-256 abab" in message
    assert "SHA-256 cdcd" in message
    assert (caught.value.file, caught.value.row) == ("bars.csv", row)


def test_other_columns_and_units_count_as_content(raw_rows: Maker) -> None:
    landed = raw_rows(ONE)
    for changed in (
        offer(landed).with_columns(extra=pl.lit('{"Adj Close": "1"}')),
        offer(landed).with_columns(volume_unit=pl.lit("quote")),
        offer(landed).with_columns(symbol=pl.lit("ETH-USD")),
    ):
        with pytest.raises(ChangedSourceError):
            land(changed, landed, 43)
