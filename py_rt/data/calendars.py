"""When a venue is open, and bars numbered as if it never slept.

A series of a stock exchange has holes every night, every weekend and every holiday. They are no missing data, and a
distance in time over them is no distance in trading. So sessions and bars get numbers: neighbors differ by one whether
a night or a holiday lies between them, and what the calendar expects and the data lack is a hole.

Sessions come from the library `exchange_calendars`, which knows holidays, half days and lunch breaks; `24/7` is a
venue that never closes. A number counts from an epoch and not from the first day of the data, so it never changes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from py_rt.data.timestamps import NS_PER_DAY
from py_rt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

EPOCH = date(2000, 1, 3)
"""Session 0 is the first session on or after this day; earlier ones have negative numbers."""

MAX_EXPECTED_BARS = 50_000_000
"""Most bars that one question for holes may expect; a century of minutes of one exchange fits."""

Anchor = Literal["open", "clock"]
"""Where a session's first bar starts: at the opening (09:30, 10:30, ...), or at the whole unit of time before it in UTC
(09:00, 10:00, ...)."""

_SCHEMA = {
    "session": pl.Date,
    "session_number": pl.Int64,
    "ts_open": pl.Int64,
    "ts_close": pl.Int64,
    "ts_break_start": pl.Int64,
    "ts_break_end": pl.Int64,
}


class CalendarError(DataError):
    """A calendar that is not known, or a time that it does not cover."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The sessions of one venue.

    Attributes:
        name: of the calendar, as `exchange_calendars` knows it (a market identifier code, or `24/7`).
        first_day: first day that is covered.
        last_day: last day that is covered.
        sessions: by day: `session` (Date), `session_number` (Int64), `ts_open`, `ts_close` (Int64, UTC ns; a bar may
            start at the opening and must end at the closing), `ts_break_start`, `ts_break_end` (null without a break).

    >>> xnys = Calendar.load("XNYS", date(2020, 12, 23), date(2020, 12, 28))
    >>> xnys.sessions["session"].dt.to_string().to_list()
    ['2020-12-23', '2020-12-24', '2020-12-28']
    """

    name: str
    first_day: date
    last_day: date
    sessions: pl.DataFrame

    @classmethod
    def load(cls, name: str, first_day: date, last_day: date, *, epoch: date = EPOCH) -> Calendar:
        """Read the sessions between two days, both included; no clock is asked.

        Raises:
            CalendarError: the calendar is unknown or does not reach that far.
        """
        if first_day > last_day:
            raise CalendarError(f"calendar {name}: the first day {first_day} is after the last day {last_day}")
        every = _sessions(name, min(first_day, epoch), max(last_day, epoch))
        number = pl.int_range(pl.len(), dtype=pl.Int64) - (pl.col("session") < epoch).sum().cast(pl.Int64)
        numbered = every.with_columns(number.alias("session_number")).select(list(_SCHEMA))
        covered = numbered.filter(pl.col("session").is_between(first_day, last_day))
        return cls(name, first_day, last_day, covered)

    def session_number(self, day: date) -> int | None:
        """The number of a day's session; `None` when the venue is closed on that day.

        Raises:
            CalendarError: the day is not covered.
        """
        self._check(day, day)
        found = self.sessions.filter(pl.col("session") == day)["session_number"]
        return int(found[0]) if found.len() else None

    def number_days(self, days: pl.DataFrame, column: str = "date") -> pl.DataFrame:
        """Add `session_number` to rows with a day; null where the venue was closed.

        Raises:
            CalendarError: a day is not covered.
        """
        if days.height:
            self._check(days[column].min(), days[column].max())
        numbers = self.sessions.select(pl.col("session").alias(column), "session_number")
        return days.join(numbers, on=column, how="left", maintain_order="left")

    def number_bars(self, bars: pl.DataFrame, *, bar_ns: int, anchor: Anchor = "open") -> pl.DataFrame:
        """Add each bar's place in its session, and a number over all sessions.

        Args:
            bars: with `ts_open` (Int64, UTC ns: the start of the bar), in any order.
            bar_ns: length of a bar in ns.
            anchor: where a session's first bar starts.

        Returns:
            The bars with `session` (Date), `session_number`, `bar_in_session` (Int64, from 0) and `bar_number` (Int64:
            grows with time, by one from bar to bar inside a session; it does not depend on what is covered). All four
            are null where the venue is closed at the start of the bar or the bar is off the session's grid.

        Raises:
            CalendarError: a bar length out of range, or a bar that is not covered.
        """
        slots = _slots(bar_ns)
        starts, ends = self._spans(bar_ns, anchor)
        self._check_time(bars["ts_open"], starts, ends)
        ts = bars["ts_open"].to_numpy()
        at = np.searchsorted(starts, ts, side="right") - 1
        inside = (at >= 0) & (ts < ends[np.maximum(at, 0)]) if starts.size else np.zeros(ts.size, dtype=bool)
        place = ts - starts[np.maximum(at, 0)] if starts.size else np.zeros_like(ts)
        inside &= place % bar_ns == 0
        found = (
            self.sessions.select("session", "session_number", "ts_break_start", "ts_break_end")[np.where(inside, at, 0)]
            if starts.size
            else self.sessions.clear(bars.height)
        )
        in_break = (
            (pl.col("ts_break_start") <= pl.Series(ts)) & (pl.Series(ts) + bar_ns <= pl.col("ts_break_end"))
        ).fill_null(value=False)
        keep = pl.Series(inside) & ~found.select(in_break).to_series()
        bar = pl.Series(place // bar_ns, dtype=pl.Int64)
        columns = {
            "session": found["session"],
            "session_number": found["session_number"],
            "bar_in_session": bar,
            "bar_number": found["session_number"] * slots + bar,
        }
        return bars.with_columns(
            pl.when(keep).then(column).otherwise(None).alias(name) for name, column in columns.items()
        )

    def missing_days(
        self, days: Iterable[date], first_day: date | None = None, last_day: date | None = None
    ) -> list[date]:
        """Sessions without data; holidays are none.

        Args:
            days: of the data, in any order.
            first_day: from when data are expected; `None` is the first of them.
            last_day: until when; `None` is the last of them.

        Raises:
            CalendarError: a day is not covered.
        """
        present = set(days)
        if not present and (first_day is None or last_day is None):
            return []
        first, last = first_day or min(present), last_day or max(present)
        self._check(min(first, *present) if present else first, max(last, *present) if present else last)
        expected = self.sessions.filter(pl.col("session").is_between(first, last))["session"].to_list()
        return [day for day in expected if day not in present]

    def expected_bars(
        self, *, bar_ns: int, anchor: Anchor = "open", first_day: date | None = None, last_day: date | None = None
    ) -> pl.DataFrame:
        """Every bar that a session has: rows of `session`, `ts_open`, by time; breaks have none.

        Raises:
            CalendarError: a bar length out of range, days that are not covered, or too many bars.
        """
        _slots(bar_ns)
        first, last = first_day or self.first_day, last_day or self.last_day
        self._check(first, last)
        chosen = self.sessions["session"].is_between(first, last)
        starts, ends = self._spans(bar_ns, anchor)
        rows = self.sessions.with_columns(pl.Series("start", starts), pl.Series("end", ends)).filter(chosen)
        count = rows.select(((pl.col("end") - pl.col("start") + bar_ns - 1) // bar_ns).sum()).item()
        if count > MAX_EXPECTED_BARS:
            raise CalendarError(f"{count} bars are expected from {first} to {last}, at most {MAX_EXPECTED_BARS} fit")
        grid = rows.with_columns(pl.int_ranges("start", "end", bar_ns).alias("ts_open")).explode("ts_open")
        resting = (pl.col("ts_break_start") <= pl.col("ts_open")) & (
            pl.col("ts_open") + bar_ns <= pl.col("ts_break_end")
        )
        return grid.filter(~resting.fill_null(value=False)).select("session", "ts_open")

    def holes(
        self,
        bars: pl.DataFrame,
        *,
        bar_ns: int,
        anchor: Anchor = "open",
        first_day: date | None = None,
        last_day: date | None = None,
    ) -> pl.DataFrame:
        """Bars that sessions have and the data lack.

        Args:
            bars: with `ts_open` (Int64, UTC ns), in any order.
            bar_ns: length of a bar in ns.
            anchor: where a session's first bar starts.
            first_day: from when bars are expected; `None` is the first session of the data.
            last_day: until when; `None` is the last session of the data.

        Returns:
            Rows of `session`, `ts_open`, by time. Nights, weekends, holidays and breaks are no holes.

        Raises:
            CalendarError: as for :meth:`expected_bars` and :meth:`number_bars`.
        """
        placed = self.number_bars(bars.select("ts_open"), bar_ns=bar_ns, anchor=anchor).drop_nulls()
        if placed.is_empty() and (first_day is None or last_day is None):
            return pl.DataFrame(schema={"session": pl.Date, "ts_open": pl.Int64})
        span = placed.select(pl.col("session").min().alias("first"), pl.col("session").max().alias("last")).row(0)
        first, last = first_day or span[0], last_day or span[1]
        expected = self.expected_bars(bar_ns=bar_ns, anchor=anchor, first_day=first, last_day=last)
        return expected.join(placed.select("ts_open"), on="ts_open", how="anti", maintain_order="left")

    def _spans(self, bar_ns: int, anchor: Anchor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        starts, ends = self.sessions["ts_open"].to_numpy(), self.sessions["ts_close"].to_numpy()
        return (starts // bar_ns * bar_ns if anchor == "clock" else starts), ends

    def _check_time(self, ts: pl.Series, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
        if ts.null_count():
            raise CalendarError(f"calendar {self.name}: bars have nulls in ts_open")
        # A session over night, or of the other side of the world, reaches into the UTC day before or after its own.
        covered_from = min([_midnight(self.first_day), *starts[:1].tolist()])
        covered_to = max([_midnight(self.last_day) + NS_PER_DAY, *ends[-1:].tolist()])
        outside = ts.filter((ts < covered_from) | (ts >= covered_to))
        if outside.len():
            moment = pl.select(pl.from_epoch(outside.head(1), time_unit="ns").dt.to_string("%Y-%m-%d %H:%M:%S")).item()
            raise CalendarError(
                f"calendar {self.name} was loaded from {self.first_day} to {self.last_day}, {outside.len()} bars are "
                f"outside, the first of them of {moment} UTC; load it for more days"
            )

    def _check(self, first: object, last: object) -> None:
        if not isinstance(first, date) or not isinstance(last, date):
            raise CalendarError(f"calendar {self.name}: {first} to {last} are no days")
        if first < self.first_day or last > self.last_day:
            raise CalendarError(
                f"calendar {self.name} was loaded from {self.first_day} to {self.last_day}, asked were {first} to "
                f"{last}; load it for more days"
            )


def _midnight(day: date) -> int:
    return (day - date(1970, 1, 1)).days * NS_PER_DAY


def _slots(bar_ns: int) -> int:
    """Numbers that a session takes up: as many bars as a whole day has, so that no calendar's change moves them."""
    if not 0 < bar_ns <= NS_PER_DAY:
        raise CalendarError(f"a bar of {bar_ns} ns; allowed is above 0 and at most a day")
    return -(-NS_PER_DAY // bar_ns)


@lru_cache(maxsize=32)
def _sessions(name: str, first_day: date, last_day: date) -> pl.DataFrame:
    import exchange_calendars  # type: ignore[import-untyped]
    from exchange_calendars.errors import CalendarError as LibraryError  # type: ignore[import-untyped]

    try:
        with warnings.catch_warnings():
            # The library asks pandas for values in a way that a later pandas will answer otherwise.
            warnings.filterwarnings("ignore", message="Series.values returning")
            found = exchange_calendars.get_calendar(name, start=first_day.isoformat(), end=last_day.isoformat())
    except (LibraryError, ValueError) as error:
        raise CalendarError(f"calendar {name} from {first_day} to {last_day}: {error}") from error
    schedule = found.schedule
    days = pl.Series("session", schedule.index.to_numpy()).cast(pl.Date)
    columns = {"ts_open": "open", "ts_close": "close", "ts_break_start": "break_start", "ts_break_end": "break_end"}
    moments = {
        ours: pl.Series(ours, schedule[theirs].dt.tz_convert(None).to_numpy().astype("datetime64[ns]")).dt.epoch("ns")
        for ours, theirs in columns.items()
    }
    return pl.DataFrame({"session": days, **moments})
