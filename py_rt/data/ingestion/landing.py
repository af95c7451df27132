"""Landing: what a source offers is stored once, day by day, and never rewritten.

A day that was landed before and is offered again with the same rows adds nothing. Offered with other rows it is an
error that names both files by their hashes: a restated history is a decision for a person, not for a schedule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.schemas import RECEIVED_COLUMNS
from py_rt.data.storage import content_hash
from py_rt.errors import ChangedSourceError

if TYPE_CHECKING:
    from datetime import date

CONTENT_COLUMNS = (*RECEIVED_COLUMNS, "extra", "symbol", "volume_unit", "time_zone")
"""What makes two landings of one day the same; where the rows stood in which file is kept, but not compared."""


@dataclass(frozen=True, slots=True)
class Landing:
    """What is new in an offer.

    Attributes:
        new_rows: rows of days that were not landed before, with `ts_arrival`.
        new_days: those days.
        unchanged_days: days that were landed before with the same rows.
        absent_days: days that were landed before and are not offered any more; they stay.
        moved_files: pairs of hashes (landed, offered) where a file changed but the offered days in it did not.
    """

    new_rows: pl.DataFrame
    new_days: list[date]
    unchanged_days: list[date]
    absent_days: list[date]
    moved_files: list[tuple[str, str]]


def land(offered: pl.DataFrame, landed: pl.DataFrame, ts_arrival: int) -> Landing:
    """Compare an offer with what was landed before.

    Args:
        offered: rows from a source.
        landed: rows already stored, of the same days at least.
        ts_arrival: now, UTC ns; stored with the new rows.

    Raises:
        ChangedSourceError: a landed day is offered with other rows.
    """
    before, now = _by_day(landed), _by_day(offered)
    unchanged: list[date] = []
    moved: set[tuple[str, str]] = set()
    for day in sorted(now.keys() & before.keys()):
        _check_same(day, before[day], now[day])
        unchanged.append(day)
        pair = (str(before[day]["file_sha256"][0]), str(now[day]["file_sha256"][0]))
        moved |= {pair} if pair[0] != pair[1] else set()
    new_days = sorted(now.keys() - before.keys())
    new_rows = offered.filter(pl.col("date").is_in(new_days)).with_columns(
        pl.lit(ts_arrival, dtype=pl.Int64).alias("ts_arrival")
    )
    absent = sorted(before.keys() - now.keys())
    return Landing(new_rows, new_days, unchanged, absent, sorted(moved))


def offer_hash(offered: pl.DataFrame) -> str:
    """A hash of what makes two landings of the same rows the same."""
    return content_hash(offered.sort("file", "row_number").select(CONTENT_COLUMNS))


def day_hashes(offered: pl.DataFrame) -> dict[str, str]:
    """:func:`offer_hash` of each day's rows, by ISO date."""
    return {day.isoformat(): offer_hash(rows) for day, rows in _by_day(offered).items()}


def _by_day(rows: pl.DataFrame) -> dict[date, pl.DataFrame]:
    ordered = rows.sort("file", "row_number")
    return {day: part for (day,), part in ordered.partition_by("date", as_dict=True).items()}


def _check_same(day: date, before: pl.DataFrame, now: pl.DataFrame) -> None:
    columns = list(CONTENT_COLUMNS)
    if before.select(columns).equals(now.select(columns)):
        return
    old_rows, new_rows = before.select(columns).rows(), now.select(columns).rows()
    pairs = enumerate(zip(old_rows, new_rows, strict=False))
    at = next((i for i, (old, new) in pairs if old != new), min(len(old_rows), len(new_rows)))
    old = f"{old_rows[at][:6]}" if at < len(old_rows) else "nothing"
    new = f"{new_rows[at][:6]}" if at < len(new_rows) else "nothing"
    place = now if at < now.height else before
    index = min(at, place.height - 1)
    problem = (
        f"day {day} was landed with {before.height} rows from {before['file'][0]}, SHA-256 {before['file_sha256'][0]}, "
        f"and is now offered with {now.height} rows from a file of SHA-256 {now['file_sha256'][0]}; first difference: "
        f"landed {old}, offered {new}. Landed data is never rewritten: restore the file, or land it into a new lake"
    )
    raise ChangedSourceError(str(now["source"][0]), str(place["file"][index]), int(place["row_number"][index]), problem)
