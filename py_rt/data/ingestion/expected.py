"""What a day of a source should look like, held against what came: row counts, freshness, and the usual volume."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from statistics import median
from typing import TYPE_CHECKING

from py_rt.data.timestamps import NS_PER_DAY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from py_rt.data.ingestion.source import Expected

HISTORY_DAYS = 28
"""Days before that say what is usual."""

_EPOCH = date(1970, 1, 1).toordinal()

HISTORY_MIN = 5
"""Fewer days with rows say nothing about what is usual."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A day's number of rows beside what is usual.

    Attributes:
        rows: of the day.
        usual: median of the same weekdays before, where there are enough, else of all days with rows; `None` when
            there are too few.
        low: fewest that are usual.
        high: most that are usual.
        problem: in words, or `None`.
    """

    rows: int
    usual: float | None
    low: float
    high: float
    problem: str | None


def due_ns(day: date, hours: float = 0.0) -> int:
    """How long after a day's end is when, UTC ns.

    >>> due_ns(date(1970, 1, 1), 1) // 10**9
    90000
    """
    return (day.toordinal() - _EPOCH + 1) * NS_PER_DAY + round(hours * 3_600 * 10**9)


def row_count_problem(expected: Expected, rows: int) -> str | None:
    """Whether a day has too few or too many rows, in words.

    >>> from py_rt.data.ingestion.source import Expected
    >>> row_count_problem(Expected(rows_min=24), 23), row_count_problem(Expected(rows_min=24, rows_max=25), 24)
    ('23 rows, wanted are at least 24', None)
    """
    if rows < expected.rows_min:
        return f"{rows} rows, wanted are at least {expected.rows_min}"
    if expected.rows_max is not None and rows > expected.rows_max:
        return f"{rows} rows, wanted are at most {expected.rows_max:g}"
    return None


def freshness_problem(expected: Expected, newest: date | None, now_ns: int) -> str | None:
    """Whether rows are overdue, in words.

    Args:
        expected: how long after a day's end its rows may be absent.
        newest: last day with rows.
        now_ns: UTC ns.

    >>> from py_rt.data.ingestion.source import Expected
    >>> at = int(datetime(2024, 1, 3, 3, tzinfo=UTC).timestamp()) * 10**9
    >>> freshness_problem(Expected(fresh_within_hours=2), date(2024, 1, 1), at)
    'the newest rows are of 2024-01-01; those of 2024-01-02 were due by 2024-01-03 02:00 UTC'
    >>> freshness_problem(Expected(fresh_within_hours=4), date(2024, 1, 1), at)
    """
    now = datetime.fromtimestamp(now_ns // 10**9, UTC)
    allowed = timedelta(hours=expected.fresh_within_hours)
    due = (now - allowed).date() - timedelta(days=1)
    if newest is not None and newest >= due:
        return None
    missing = due if newest is None else newest + timedelta(days=1)
    by = datetime.combine(missing, time.min, UTC) + timedelta(days=1) + allowed
    there = f"the newest rows are of {newest}" if newest else "there are no rows"
    return f"{there}; those of {missing} were due by {by:%Y-%m-%d %H:%M} UTC"


def volume(expected: Expected, history: Mapping[date, int], day: date) -> Volume:
    """Hold a day's number of rows against the days before; weekends against weekends where there are enough.

    Args:
        expected: how much it may change.
        history: rows of each day, this one included.
        day: which.

    >>> from py_rt.data.ingestion.source import Expected
    >>> days = {date(2024, 1, number): 100 for number in range(1, 20)} | {date(2024, 1, 20): 20}
    >>> volume(Expected(), days, date(2024, 1, 20)).problem
    '20 rows; usual are 100, allowed from 50 to 150'
    """
    before = {past: history.get(past, 0) for past in (day - timedelta(days=n) for n in range(1, HISTORY_DAYS + 1))}
    alike = [rows for past, rows in before.items() if rows and (past.weekday() < 5) == (day.weekday() < 5)]
    counted = alike if len(alike) >= HISTORY_MIN else [rows for rows in before.values() if rows]
    rows = history.get(day, 0)
    if len(counted) < HISTORY_MIN:
        return Volume(rows, None, 0.0, float("inf"), None)
    usual = float(median(counted))
    low, high = usual * (1 - min(1.0, expected.volume_change_max)), usual * (1 + expected.volume_change_max)
    problem = None
    if not low <= rows <= high:
        problem = f"{rows} rows; usual are {usual:g}, allowed from {low:g} to {high:g}"
    return Volume(rows, usual, low, high, problem)
