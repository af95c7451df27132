"""Rows that are none, rows that stand twice, and rows out of order.

=======================  ============================================================================================
`second_header`          the header again in mid-file: quarantined
`torn_row`               more or fewer cells than the header has: quarantined
`unreadable_time`        no time in a known form: quarantined
`duplicate`              the same row again: the first stands, the others are quarantined
`restated`               the same time with other values: the last stands, the others are quarantined
`repeated_hour`          an hour twice, whole and in order, in the night in which clocks are set back: flagged
`non_monotonic_time`     a row out of the file's order: moved to its place, cells unchanged
=======================  ============================================================================================
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from py_rt.data.bar_columns import SOURCE
from py_rt.data.bar_times import read_times
from py_rt.data.timestamps import NS_PER_DAY, NS_PER_SECOND
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from py_rt.data.repair.sheet import Sheet

ORDER = "non_monotonic_time"
AUTUMN = "repeated_hour"

ROWS_NAMED = 8
"""Rows of one time that a finding names."""

RESTATED_MAX = 0.5
"""Share of rows from which on rows of one time are no restatements: the file is of several instruments, or its times
are cut short."""

_HOUR_NS = 3_600 * NS_PER_SECOND
_EPOCH = date(1970, 1, 1)
_SUNDAY = 3
"""Days from the epoch, a Thursday, to the Sunday after it."""
_LAST_HOUR = 3
"""Clocks are set back at night, from this hour at the latest."""


def sift(sheet: Sheet) -> None:
    """Quarantine what is no row, and read the times of the others."""
    bars = sheet.bars
    for row, torn in bars.torn.items():
        cells = len(bars.cells[row])
        sheet.quarantine(
            torn.reason, row, (), {"cells": cells, "columns": len(bars.header), "text": bars.cells[row][:12]}
        )
    sheet.drop_quarantined()
    inside = bars.member or bars.name
    times = read_times([bars.text(int(row), "time") for row in sheet.rows], bars.given, inside)
    for place in times.is_null().arg_true().to_list():
        sheet.quarantine("unreadable_time", place, ("time",), {"time": bars.text(int(sheet.rows[place]), "time")})
    sheet.ns = times.fill_null(0).to_numpy().astype(np.int64)


def arrange(sheet: Sheet) -> None:
    """Find rows that stand twice and rows out of order, and bring the places into the order of time."""
    _find_repeated(sheet)
    sheet.drop_quarantined()
    ns = sheet.ns
    key = -ns if _is_falling(sheet) else ns
    if sheet.height > 1 and (np.diff(key) < 0).any():
        _move(sheet, key)
    order = np.argsort(ns, kind="stable")
    sheet.rows, sheet.ns = sheet.rows[order], sheet.ns[order]
    sheet.load()


def _find_repeated(sheet: Sheet) -> None:
    by_time: dict[int, list[int]] = {}
    for place, ns in enumerate(sheet.ns.tolist()):
        by_time.setdefault(ns, []).append(place)
    repeated = {ns: places for ns, places in by_time.items() if len(places) > 1}
    autumn = _set_back(sheet, repeated)
    for ns, places in repeated.items():
        if ns not in autumn:
            _keep_one(sheet, places)
    _keep_both(sheet, {ns: places for ns, places in repeated.items() if ns in autumn})
    restated = sum(one.rule == "restated" for one in sheet.findings)
    if restated > RESTATED_MAX * sheet.height:
        problem = (
            f"{restated} of {sheet.height} rows repeat a time with other values, which are no restatements: is it a "
            "file of several instruments, or one whose time of the day stands in a column that is not known as such? "
            "Split it, or say --column symbol=NAME --symbol ONE, or --column clock=NAME"
        )
        raise SourceError(SOURCE, sheet.bars.name, None, problem)


def _keep_both(sheet: Sheet, repeated: dict[int, list[int]]) -> None:
    """Point at rows of an hour that stands twice, and let the later ones follow the earlier ones."""
    later = 0 if _is_falling(sheet) else 1
    for ns in sorted(repeated):
        why = "an hour again, as when clocks are set back: say --time-zone for the instants"
        sheet.flag(AUTUMN, repeated[ns][1], ("time",), {"what": why})
    for at, ns in enumerate(sorted(repeated), 1):
        top = max(one for one in repeated if one // _HOUR_NS == ns // _HOUR_NS)
        sheet.ns[repeated[ns][later]] = top + at


def _is_falling(sheet: Sheet) -> bool:
    return sheet.height > 1 and int(np.sign(np.diff(sheet.ns)).sum()) < 0


def _keep_one(sheet: Sheet, places: list[int]) -> None:
    rows = [int(sheet.rows[place]) for place in places]
    contents = [tuple(sheet.bars.cells[row]) for row in rows]
    last = contents[-1]
    stands = contents.index(last)  # of equal rows the first
    seen: set[tuple[str, ...]] = set()
    named = [sheet.bars.row_of_file(row) for row in rows[:ROWS_NAMED]]
    evidence = {"stands_in_row": sheet.bars.row_of_file(rows[stands]), "rows_of_this_time": named}
    if len(rows) > ROWS_NAMED:
        evidence |= {"number_of_rows": len(rows)}
    for at, (place, content) in enumerate(zip(places, contents, strict=True)):
        if at != stands:
            rule = "duplicate" if content == last or content in seen else "restated"
            sheet.quarantine(rule, place, ("time", "close"), evidence)
        seen.add(content)


def _set_back(sheet: Sheet, repeated: dict[int, list[int]]) -> set[int]:
    """Times of hours that stand twice, whole and in order, in a night in which clocks may be set back.

    Only wall times have such an hour: a Sunday of spring or autumn, early in the morning, whose rows all have other
    values the second time.
    """
    hours: dict[int, list[int]] = {}
    for ns, places in repeated.items():
        contents = {tuple(sheet.bars.cells[int(sheet.rows[place])]) for place in places}
        if len(places) == 2 and len(contents) == 2 and _is_night_of_change(ns):
            hours.setdefault(ns // _HOUR_NS, []).append(ns)
    found: set[int] = set()
    for hour, times in hours.items():
        first, second = ([repeated[ns][at] for ns in times] for at in (0, 1))
        block = np.flatnonzero(sheet.ns // _HOUR_NS == hour)
        if sorted(first) + sorted(second) == block.tolist() and len(block) == block[-1] - block[0] + 1:
            found |= set(times)
    return found if len({ns // NS_PER_DAY for ns in found}) == len({ns // _HOUR_NS for ns in found}) else set()


def _is_night_of_change(ns: int) -> bool:
    day, within = divmod(ns, NS_PER_DAY)
    if within >= _LAST_HOUR * _HOUR_NS or day % 7 != _SUNDAY:
        return False
    return (_EPOCH + timedelta(days=day)).month in {3, 4, 9, 10, 11}


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
