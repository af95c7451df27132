"""Rows that are none, rows that stand twice, and rows out of order.

=======================  ============================================================================================
`second_header`          the header again in mid-file: quarantined
`torn_row`               more or fewer cells than the header has: quarantined
`unreadable_time`        no time in a known form: quarantined
`duplicate`              the same row again: the first stands, the others are quarantined
`restated`               the same time with other values: the last stands, the others are quarantined
`non_monotonic_time`     a row out of the file's order: moved to its place, cells unchanged
=======================  ============================================================================================
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from py_rt.data.timestamps import read_utc_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from py_rt.data.repair.sheet import Sheet

ORDER = "non_monotonic_time"

_SLASHED = r"^([0-9]{4})[/.]([0-9]{2})[/.]([0-9]{2})"
_COMPACT = r"^([0-9]{4})([0-9]{2})([0-9]{2}) ([0-9]{2}:[0-9]{2})"


def read_times(texts: Sequence[str]) -> pl.Series:
    """Times as UTC nanoseconds; null where unreadable. A time that says no zone is taken as UTC.

    >>> read_times(["2013-10-07 00:00:00-04:00", "20131007 09:30", "2013/10/07", "soon"]).to_list()
    [1381118400000000000, 1381138200000000000, 1381104000000000000, None]
    """
    series = pl.Series("time", list(texts), dtype=pl.String).str.strip_chars()
    series = series.str.replace(_SLASHED, "$1-$2-$3").str.replace(_COMPACT, "$1-$2-$3 $4")
    return read_utc_ns(series)


def sift(sheet: Sheet) -> None:
    """Quarantine what is no row, and read the times of the others."""
    bars = sheet.bars
    for row, torn in bars.torn.items():
        cells = len(bars.cells[row])
        sheet.quarantine(
            torn.reason, row, (), {"cells": cells, "columns": len(bars.header), "text": bars.cells[row][:12]}
        )
    sheet.drop_quarantined()
    times = read_times([bars.text(int(row), "time") for row in sheet.rows])
    for place in times.is_null().arg_true().to_list():
        sheet.quarantine("unreadable_time", place, ("time",), {"time": bars.text(int(sheet.rows[place]), "time")})
    sheet.ns = times.fill_null(0).to_numpy().astype(np.int64)


def arrange(sheet: Sheet) -> None:
    """Find rows that stand twice and rows out of order, and bring the places into the order of time."""
    _find_repeated(sheet)
    sheet.drop_quarantined()
    ns = sheet.ns
    falling = sheet.height > 1 and int(np.sign(np.diff(ns)).sum()) < 0
    key = -ns if falling else ns
    if sheet.height > 1 and (np.diff(key) < 0).any():
        _move(sheet, key)
    order = np.argsort(ns, kind="stable")
    sheet.rows, sheet.ns = sheet.rows[order], sheet.ns[order]
    sheet.load()


def _find_repeated(sheet: Sheet) -> None:
    bars = sheet.bars
    by_time: dict[int, list[int]] = {}
    for place, ns in enumerate(sheet.ns.tolist()):
        by_time.setdefault(ns, []).append(place)
    for places in by_time.values():
        if len(places) == 1:
            continue
        rows = [int(sheet.rows[place]) for place in places]
        contents = [tuple(bars.cells[row]) for row in rows]
        last = contents[-1]
        stands = contents.index(last)  # of equal rows the first
        for place, content in zip(places, contents, strict=True):
            if place == places[stands]:
                continue
            rule = "duplicate" if content == last or content in contents[: places.index(place)] else "restated"
            evidence = {"stands_in_row": rows[stands], "rows_of_this_time": rows}
            sheet.quarantine(rule, place, ("time", "close"), evidence)


def _move(sheet: Sheet, key: NDArray[np.int64]) -> None:
    """Note which rows are out of order: those outside a longest run of rows that are in order."""
    kept = _longest_in_order(key.tolist())
    order = np.argsort(key, kind="stable")
    rank = np.empty(len(key), dtype=np.int64)
    rank[order] = np.arange(len(key))
    for place in range(len(key)):
        if place not in kept:
            sheet.flag(ORDER, place, ("time",), {"done": "moved", "stood_at": place, "belongs_at": int(rank[place])})
    sheet.moved_to = _with_others(sheet, [int(row) for row in sheet.rows[order]])


def _with_others(sheet: Sheet, ordered: list[int]) -> list[int]:
    """The rows in their new order, and after them the quarantined ones, which are not written."""
    return [*ordered, *sorted(sheet.quarantined - set(ordered))]


def _longest_in_order(keys: list[int]) -> set[int]:
    """Indices of a longest subsequence that does not fall.

    >>> sorted(_longest_in_order([1, 5, 2, 3]))
    [0, 2, 3]
    """
    tails: list[int] = []
    ends: list[int] = []
    previous: list[int] = []
    for i, key in enumerate(keys):
        at = bisect_right(tails, key)
        previous.append(ends[at - 1] if at else -1)
        if at == len(tails):
            tails.append(key)
            ends.append(i)
        else:
            tails[at], ends[at] = key, i
    found: set[int] = set()
    i = ends[-1] if ends else -1
    while i >= 0:
        found.add(i)
        i = previous[i]
    return found
