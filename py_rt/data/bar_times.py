"""Times of bars as people and programs write them, as UTC nanoseconds.

Beside what `py_rt.data.timestamps` reads: `2023/3/24`, `20230324 09:30`, `24-Mar-23`, `Mar 24, 2023 4:00 PM`, months
(`192607`), milliseconds since midnight where the file's name has the day, Unix times of fewer digits or below 0 (those
of before 2001) among others of their unit, and `03/24/2023`, whose order of day and month the column must prove: by a
part above 12, or by the steps between the rows; where neither does, `09.03.2023` begins with the day, as everybody
writes who writes dots. Years of two digits are 1969 to 2068.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from py_rt.data.bar_columns import NOTHING_GIVEN, SOURCE
from py_rt.data.timestamps import NS_PER_DAY, NS_PER_SECOND, SECONDS_MAX, UNIX_DIGITS, read_utc_ns
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from py_rt.data.bar_columns import Given

ALLOWED = "allowed are ISO 8601, YYYYMMDD, days as 24-Mar-23 or 03/24/2023, and Unix times"
"""What is read, for a message."""

EVEN, UNEVEN = 2.0, 5.0
"""Greatest over least step up to which rows stand evenly, and from which they do not."""

WEEK, MONTH = 7, 28
"""Days: up to the one days lie near each other, from the other on a month apart."""

UNIX_GAP_NS = 400 * NS_PER_DAY
"""Longest gap between a Unix time and the next one of its column: with a digit less it is a number of 1975."""

_MONTHS = {name: at for at, name in enumerate(re.findall("...", "janfebmaraprmayjunjulaugsepoctnovdec"), 1)}
_REST = r"(?:(?:[T ]|, ?)\s*(.+))?$"
_YEAR_FIRST = re.compile(r"^([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})" + _REST)
_YEAR_LAST = re.compile(r"^([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4}|[0-9]{2})" + _REST)
_DAY_NAMED = re.compile(r"^([0-9]{1,2})[- ]([A-Za-z]{3,9})\.?[-, ]+([0-9]{4}|[0-9]{2})" + _REST)
_MONTH_NAMED = re.compile(r"^([A-Za-z]{3,9})\.?[- ]([0-9]{1,2}),?[- ]([0-9]{4})" + _REST)
_COMPACT = re.compile(
    r"^([0-9]{4})([0-9]{2})([0-9]{2})(?:T| {0,2})([0-9]{2}):?([0-9]{2})(:?[0-9]{2}(?:\.[0-9]+)?)?"
    r"( ?(?:[Zz]|UTC|[+-][0-9]{2}(?::?[0-9]{2})?))?$"
)
_DOTTED = re.compile(r"^[0-9]{1,2}\.[0-9]{1,2}\.")
_MONTH = re.compile(r"^(1[6-9][0-9]{2}|2[01][0-9]{2})-?(0[1-9]|1[0-2])$")
_CLOCK = re.compile(r"^([0-9]{1,2}):([0-9]{2})(:[0-9]{2}(?:\.[0-9]{1,9})?)?\s*([AaPp])?\.?(?:[Mm]\.?)?\s*(.*)$")
_WEEKDAY = re.compile(r"^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? +", re.IGNORECASE)
_DAY_IN_NAME = re.compile(r"(?<![0-9])((?:19|20)[0-9]{2}[01][0-9][0-3][0-9])(?![0-9])")
_EXPONENT = re.compile(r"^[0-9](?:\.[0-9]+)?[eE]\+?[0-9]{1,2}$")
_UNIX = r"^(-?(?:0|[1-9][0-9]{0,18}))(?:\.0*)?$"
_SPLIT_ZERO = re.compile(r"^[0-9]{5,}\.0+$")


def read_times(
    texts: Sequence[str] | pl.Series, given: Given = NOTHING_GIVEN, name: str = "", row: int = 1
) -> pl.Series:
    """Times as UTC nanoseconds; null where unreadable.

    Args:
        texts: the column, in the order of the file.
        given: the zone of times that say none, and the order of day and month. A local time that the zone skips is
            null; of one that it has twice the order of the rows says which is meant.
        name: of the file: for messages, and for the day of milliseconds since midnight.
        row: line to blame in a message.

    Raises:
        SourceError: days like 03/04/2023, and nothing shows which part is the month.

    >>> read_times(["2013-10-07 00:00:00-04:00", "20131007 09:30", "10/7/13", "10/31/13", "soon"]).to_list()
    [1381118400000000000, 1381138200000000000, 1381104000000000000, 1383177600000000000, None]
    >>> read_times(["60000"], name="20131004_spy.csv").to_list()
    [1380844860000000000]
    """
    series = pl.Series("time", texts, dtype=pl.String).str.strip_chars()
    read = _read(series, given)
    if not read.is_null().any():
        return read
    unix = _unix(series)
    read = unix.fill_null(read)
    left = np.flatnonzero(read.is_null().to_numpy())
    if not left.size:
        return read
    rest = series.gather(left)
    if read.len() == left.size and (since := _since_midnight(rest, name, given)) is not None:
        return since
    slashed = [bool(_YEAR_LAST.match(text)) for text in rest.fill_null("").to_list()]
    first = _first(rest.filter(pl.Series(slashed, dtype=pl.Boolean)), given, name, row) if any(slashed) else ""
    normal = {text: _normal(text, first) for text in rest.drop_nulls().unique().to_list()}
    at = {int(place): normal.get(text) for place, text in zip(left, rest.to_list(), strict=True)}
    made = [at.get(place, text) for place, text in enumerate(series.to_list())]
    return unix.fill_null(_read(pl.Series("time", made, dtype=pl.String), given))


def _read(series: pl.Series, given: Given) -> pl.Series:
    early = read_utc_ns(series, given.time_zone)
    if given.time_zone == "UTC":
        return early
    late = read_utc_ns(series, given.time_zone, ambiguous="latest")
    twice = (early != late).fill_null(value=False).arg_true().to_list()
    if not twice:
        return early
    falling = (early.drop_nulls().diff().drop_nulls().sign().sum() or 0) < 0
    ns, other = early.to_list(), late.to_list()
    for at in twice:
        beside = ns[at - 1] if at else None
        if falling:
            ns[at] = ns[at] if beside is not None and other[at] >= beside else other[at]
        elif beside is not None and ns[at] <= beside:
            ns[at] = other[at]
    return pl.Series("time", ns, dtype=pl.Int64)


def _unix(series: pl.Series) -> pl.Series:
    """Unix times of a column of whole ones, those too that have not the usual number of digits; else null.

    Most rows must have that number, or one less, which says the unit. Times of fewer digits, or below 0, must reach
    those by steps of at most `UNIX_GAP_NS`: a stray 0 does not.
    """
    nothing = pl.Series("time", [None] * series.len(), dtype=pl.Int64)
    numbers = series.str.extract(_UNIX, 1).cast(pl.Int64, strict=False)
    lengths = numbers.abs().cast(pl.String).str.len_chars()
    counts = {length: int(lengths.is_between(length - 1, length).sum()) for length in UNIX_DIGITS}
    usual = max(counts, key=lambda length: counts[length])
    factor = UNIX_DIGITS[usual]
    within = numbers.abs() <= SECONDS_MAX * NS_PER_SECOND // factor
    rows = np.flatnonzero(within.fill_null(value=False).to_numpy())
    if 2 * counts[usual] < series.len() or not rows.size:
        return nothing
    ns = numbers.gather(rows).to_numpy() * factor
    order = np.argsort(ns, kind="stable")
    group = np.empty(len(ns), dtype=np.int64)
    group[order] = np.cumsum(np.diff(ns[order], prepend=ns[order[:1]]) > UNIX_GAP_NS)
    is_known = group == np.bincount(group).argmax()
    return nothing.scatter(rows[is_known], ns[is_known])


def _since_midnight(texts: pl.Series, name: str, given: Given) -> pl.Series | None:
    """Milliseconds since a midnight that the file's name has."""
    day = _DAY_IN_NAME.search(name)
    ms = texts.cast(pl.Int64, strict=False)
    if day is None or ms.is_null().any() or not ms.is_between(0, 86_400_000 - 1).all():
        return None
    clock = pl.select(pl.from_epoch(ms, time_unit="ms").dt.strftime("%H:%M:%S%.3f")).to_series()
    return _read(pl.Series("time", [f"{day[1][:4]}-{day[1][4:6]}-{day[1][6:]} {one}" for one in clock]), given)


def _first(slashed: pl.Series, given: Given, name: str, row: int) -> str:
    """Which part of days like 03/04/2023 comes first."""
    if given.first:
        return given.first
    parts = [match.groups()[:2] for text in slashed.to_list() if (match := _YEAR_LAST.match(text))]
    day_first = any(int(one) > 12 for one, _ in parts)
    month_first = any(int(other) > 12 for _, other in parts)
    if day_first != month_first:
        return "day" if day_first else "month"
    found = _first_by_steps(slashed) if not day_first else ""
    if found:
        return found
    if not day_first and all(_DOTTED.match(text) for text in slashed.to_list()):
        return "day"
    why = "both orders occur" if day_first else "no part above 12 and no even steps show it"
    problem = (
        f"the days are written as {slashed[0]!r}, and which part is the month cannot be told ({why}); "
        "say --day-first or --month-first"
    )
    raise SourceError(SOURCE, name, row, problem)


def _first_by_steps(slashed: pl.Series) -> str:
    """The order in which the rows rise or fall, and evenly, where the other does not.

    Of bars within days it is the one in which the days lie near each other: nobody has those of one day a month only.
    """
    roughness, steps = {}, {}
    for first in ("day", "month"):
        ns = read_utc_ns(pl.Series([_normal(text, first) for text in slashed.to_list()], dtype=pl.String))
        days = np.unique(ns.drop_nulls().to_numpy() // NS_PER_DAY)
        steps[first] = np.diff(days)
        roughness[first] = _roughness(ns.to_numpy(), steps[first])
    best, other = sorted(roughness, key=lambda first: roughness[first])
    if roughness[best] <= EVEN and roughness[other] >= UNEVEN:
        return best
    near, far = sorted(steps, key=lambda first: float(steps[first].max(initial=0)))
    is_within_days = slashed.len() > steps[near].size + 1
    apart = steps[near].size and steps[near].max() <= WEEK and steps[far].min(initial=MONTH) >= MONTH
    return near if is_within_days and apart and np.isfinite(roughness[near]) else ""


def _roughness(days: NDArray[np.float64], steps: NDArray[np.int64]) -> float:
    signs = set(np.sign(np.diff(days)).tolist()) - {0.0}
    if len(signs) > 1 or not steps.size:
        return float("inf")
    return float(steps.max() / steps.min())


def _normal(text: str, first: str) -> str | None:
    """A time in ISO 8601, zones and all; `None` where it is none.

    >>> _normal("3-June-10 4:05 pm", ""), _normal("1/31/99", "month"), _normal("Jan 5, 2023", "")
    ('2010-06-03 16:05', '1999-01-31', '2023-01-05')
    """
    text = _WEEKDAY.sub("", text)
    if _SPLIT_ZERO.match(text):
        text = text.partition(".")[0]
    if _EXPONENT.match(text) and float(text).is_integer():
        return str(int(float(text)))
    if match := _COMPACT.match(text):
        second = match[6] or ":00"
        second = second if second.startswith(":") else f":{second}"
        return f"{match[1]}-{match[2]}-{match[3]} {match[4]}:{match[5]}{second}{match[7] or ''}"
    if match := _MONTH.match(text):
        return f"{match[1]}-{match[2]}-01"
    parts = _parts(text, first)
    if parts is None:
        return None
    (year, month, day), rest = parts
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    clock = _clock(rest) if rest else ""
    return None if clock is None else f"{year:04d}-{month:02d}-{day:02d}{clock}"


def _parts(text: str, first: str) -> tuple[tuple[int, int, int], str | None] | None:
    """Year, month and day, and what stands behind them."""
    if match := _YEAR_FIRST.match(text):
        return (int(match[1]), int(match[2]), int(match[3])), match[4]
    if match := _YEAR_LAST.match(text):
        day, month = (match[1], match[2]) if first == "day" else (match[2], match[1])
        return (_year(match[3]), int(month), int(day)), match[4]
    if match := _DAY_NAMED.match(text):
        return (_year(match[3]), _month(match[2]), int(match[1])), match[4]
    if match := _MONTH_NAMED.match(text):
        return (_year(match[3]), _month(match[1]), int(match[2])), match[4]
    return None


def _year(text: str) -> int:
    number = int(text)
    return number if len(text) == 4 else number + (1900 if number >= 69 else 2000)


def _month(name: str) -> int:
    return _MONTHS.get(name[:3].lower(), 0)


def _clock(text: str) -> str | None:
    match = _CLOCK.match(text)
    if match is None:
        return None
    hour, half = int(match[1]), (match[4] or "").lower()
    if half and not 1 <= hour <= 12:
        return None
    hour = hour % 12 + (12 if half == "p" else 0) if half else hour
    return f" {hour:02d}:{match[2]}{match[3] or ''}{match[5].removeprefix('GMT')}"
