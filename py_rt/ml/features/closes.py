"""When a bar had closed: from then on its decision could be made, and what became known later was not known to it.

A bar of minutes or hours closes when its span is over, or when the next one opens. A bar of a day or longer says less:
one stamped with midnight holds a session that closed at some hour of the day, and what was told that evening came after
it. Without a word on the venue's hours such a bar is given only what was known when it opened: late, and never early.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from py_rt.data.calendars import Calendar, CalendarError
from py_rt.data.timestamps import NS_PER_DAY, NS_PER_SECOND
from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALWAYS = "24/7"
"""The venue never closes: a bar ends where its span does, or where the next one opens."""

_DAILY = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9]) +(\S+)")


class CloseError(PyRtError):
    """Hours of a venue that cannot be read, or that do not fit the bars."""


def closed_at(ts_open: pl.Series, span_ns: int, close: str = "") -> pl.Series:
    """When each bar had closed, UTC ns: never later than it did, as far as is said.

    Args:
        ts_open: of the bars, UTC ns, rising.
        span_ns: length of a bar.
        close: a calendar such as `XNYS`, whose half days and holidays are known; a time of day and a zone, such as
            `16:00 America/New_York`; `24/7`; or nothing. A bar closes with the last session that ends within it.

    Raises:
        CloseError: the text is none of these, or a time of day for bars longer than a day; the calendar does not reach
            as far as the bars.

    >>> friday = pl.Series([1_704_412_800_000_000_000])  # 2024-01-05, a day's bar stamped with midnight
    >>> for close in ("", "16:00 America/New_York", "XNYS", "24/7"):
    ...     print(pl.from_epoch(closed_at(friday, NS_PER_DAY, close), time_unit="ns").to_list())
    [datetime.datetime(2024, 1, 5, 0, 0)]
    [datetime.datetime(2024, 1, 5, 21, 0)]
    [datetime.datetime(2024, 1, 5, 21, 0)]
    [datetime.datetime(2024, 1, 6, 0, 0)]
    """
    opened = ts_open.to_numpy()
    ends = opened + span_ns
    if opened.size:
        ends[:-1] = np.minimum(ends[:-1], opened[1:])
    if close == ALWAYS:
        return pl.Series(ts_open.name, ends)
    # Where no session ends within a bar: a long one may have closed at any time.
    otherwise = ends if span_ns < NS_PER_DAY else opened
    if not close or not opened.size:
        return pl.Series(ts_open.name, otherwise)
    daily = _DAILY.fullmatch(close.strip())
    if daily is None:
        closes = _of_calendar(close.strip(), ends)
    elif span_ns > NS_PER_DAY:
        raise CloseError(
            f"close {close!r}: bars of {span_ns / NS_PER_DAY:g} days end with a session that a time of day does not "
            f"tell; give a calendar such as XNYS, or {ALWAYS}"
        )
    else:
        closes = _of_day(ends, int(daily[1]), int(daily[2]), daily[3])
    return pl.Series(ts_open.name, np.where((closes > opened) & (closes <= ends), closes, otherwise))


def _check_zone(zone: str) -> None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise CloseError(f"there is no time zone {zone!r}; allowed are IANA names, such as America/New_York") from error


def _of_calendar(name: str, ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """The last closing of a session up to each time; 0 where there is none."""
    days = pl.select(pl.from_epoch(pl.Series(ends[[0, -1]]), time_unit="ns").dt.date()).to_series()
    week = timedelta(days=7)
    try:
        closings = Calendar.load(name, days[0] - week, days[1]).sessions["ts_close"].to_numpy()
    except CalendarError as error:
        allowed = f"allowed are a calendar such as XNYS, a time of day such as '16:00 America/New_York', and {ALWAYS}"
        raise CloseError(f"close {name!r}: {error}; {allowed}") from error
    at = np.searchsorted(closings, ends, side="right")
    return np.where(at > 0, closings[np.maximum(at - 1, 0)], 0) if closings.size else np.zeros_like(ends)


def _of_day(ends: NDArray[np.int64], hour: int, minute: int, zone: str) -> NDArray[np.int64]:
    """The last such time of day up to each time; 0 where the zone skips it."""
    _check_zone(zone)
    after_midnight = (hour * 60 + minute) * 60 * NS_PER_SECOND
    local = pl.from_epoch(pl.Series(ends), time_unit="ns").dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    today = local.dt.replace_time_zone(None).dt.truncate("1d").dt.epoch("ns") + after_midnight

    def in_utc(wall: pl.Series) -> NDArray[np.int64]:
        there = pl.from_epoch(wall, time_unit="ns").dt.replace_time_zone(
            zone, ambiguous="earliest", non_existent="null"
        )
        return there.dt.convert_time_zone("UTC").dt.epoch("ns").fill_null(0).to_numpy()

    latest = in_utc(today)
    return np.where(latest <= ends, latest, in_utc(today - NS_PER_DAY))
