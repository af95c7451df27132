"""Times in another zone than the file's.

=======================  ============================================================================================
`mixed_time_zones`       a time without an offset among times that have one: given the offset of the rows beside it
                         where both agree, else quarantined; an offset that no summer time explains: rewritten with
                         the offset of the rows beside it, at the same instant
`wrong_time_zone`        a day whose times are the file's usual times of the day, all shifted by one whole number of
                         hours that no summer time explains: shifted back
=======================  ============================================================================================
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime, timedelta, timezone
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from py_rt.data.bar_columns import CLOCK
from py_rt.data.timestamps import NS_PER_DAY, NS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from py_rt.data.repair.sheet import Sheet

MIXED = "mixed_time_zones"
WRONG = "wrong_time_zone"

SUMMER_SECONDS = 3_600
HOUR = 3_600
SEASON_DAYS = 5
"""Days in a row up to which two hours are no difference of summer times, which last for months."""
USUAL_DAYS = 0.6
"""Share of days whose times of the day must be the same for them to be usual."""
USUAL_ROWS = 0.8
"""Share of rows of a file of days that must have one time of the day for it to be usual."""

_OFFSET = re.compile(r"([Zz]|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)$")
_CLOCK = re.compile(r"[Tt ][0-9]{2}:[0-9]{2}|^[0-9]{8}[Tt][0-9]{4}")


def offset_seconds(text: str) -> int | None:
    """Offset from UTC that a time says; `None` where it says none.

    >>> offset_seconds("2022-01-04 00:00:00+01:00"), offset_seconds("2022-01-04"), offset_seconds("2022-01-04T00:00Z")
    (3600, None, 0)
    """
    if not _CLOCK.search(text):
        return None
    found = _OFFSET.search(text.strip())
    if found is None:
        return None
    word = found.group()
    if word in {"Z", "z", "UTC"}:
        return 0
    digits = word[1:].replace(":", "")
    seconds = int(digits[:2]) * HOUR + int(digits[2:] or 0) * 60
    return -seconds if word[0] == "-" else seconds


def says_offset(times: pl.Series) -> pl.Series:
    """Whether each time says an offset from UTC."""
    return times.str.contains(_CLOCK.pattern) & times.str.strip_chars().str.contains(_OFFSET.pattern)


def align(sheet: Sheet) -> None:
    """Bring times that speak of another zone to the file's own."""
    if not sheet.height or CLOCK in sheet.bars.roles:  # times in two columns speak of no zone
        return
    texts = [sheet.bars.text(int(row), "time") for row in sheet.rows]
    offsets = [offset_seconds(text) for text in texts]
    known = Counter(one for one in offsets if one is not None)
    if known:
        _align_offsets(sheet, texts, offsets, known)
        sheet.drop_quarantined()
    _align_clocks(sheet)


def _align_offsets(sheet: Sheet, texts: list[str], offsets: list[int | None], known: Counter[int]) -> None:
    usual = known.most_common(1)[0][0]
    own = {one for one in known if abs(one - usual) <= SUMMER_SECONDS}
    if len(own) > 2:  # one zone has two offsets; the file's are the two that most rows have
        own = {one for one, _ in known.most_common(2) if one in own}
    strange = [place for place, one in enumerate(offsets) if one is None or one not in own]
    if 2 * len(strange) > len(offsets):
        _flag_mixed(sheet, offsets)
        return
    for place in strange:
        beside = _beside(offsets, own, place)
        if beside is None:
            sheet.quarantine(MIXED, place, ("time",), {"offset_seconds": offsets[place], "usual": sorted(own)})
            continue
        if offsets[place] is None:
            ns = int(sheet.ns[place]) - beside * NS_PER_SECOND
            text = texts[place] if _CLOCK.search(texts[place]) else f"{texts[place]} 00:00:00"
            text += _offset_text(beside)
        else:
            ns = int(sheet.ns[place])
            text = _at(ns, beside)
        sheet.retime(MIXED, place, text, ns, {"offset_seconds": offsets[place], "offset_beside": beside})


def _flag_mixed(sheet: Sheet, offsets: list[int | None]) -> None:
    """Point at times with an offset where most have none, or, of many offsets, at the first: no zone is proven."""
    places = [place for place, one in enumerate(offsets) if one is not None]
    if 2 * len(places) > len(offsets):
        places = places[:1]
    why = "the times of the file speak of no one zone; which the others are in is not proven"
    for place in places:
        sheet.flag(MIXED, place, ("time",), {"why": why, "offset_seconds": offsets[place]})


def _beside(offsets: list[int | None], own: set[int], place: int) -> int | None:
    """The offset of the nearest rows before and after, where they agree or only one is there."""
    before = next((offsets[i] for i in range(place - 1, -1, -1) if offsets[i] in own), None)
    after = next((offsets[i] for i in range(place + 1, len(offsets)) if offsets[i] in own), None)
    if before is None or after is None:
        return before if after is None else after
    return before if before == after else None


def _offset_text(seconds: int) -> str:
    sign = "-" if seconds < 0 else "+"
    return f"{sign}{abs(seconds) // HOUR:02d}:{abs(seconds) % HOUR // 60:02d}"


def _at(ns: int, offset: int) -> str:
    """An instant as text in an offset."""
    seconds, below = divmod(ns, NS_PER_SECOND)
    stamp = datetime.fromtimestamp(seconds, tz=timezone(timedelta(seconds=offset)))
    fraction = f".{below:09d}".rstrip("0") if below else ""
    return stamp.strftime("%Y-%m-%d %H:%M:%S") + fraction + _offset_text(offset)


def _align_clocks(sheet: Sheet) -> None:
    """Shift back days whose times of the day are the usual ones, shifted."""
    texts = [
        sheet.retimed.get(int(row), {}).get(sheet.bars.roles["time"]) or sheet.bars.text(int(row), "time")
        for row in sheet.rows
    ]
    if sheet.height < 10 or not all(_CLOCK.search(text) for text in texts):
        return
    offset = np.array([offset_seconds(text) or 0 for text in texts], dtype=np.int64)
    wall = sheet.ns + offset * NS_PER_SECOND
    day = wall // NS_PER_DAY
    clock = (wall % NS_PER_DAY) // NS_PER_SECOND
    places: dict[int, list[int]] = {}
    for place, one in enumerate(day.tolist()):
        places.setdefault(one, []).append(place)
    if len(places) == sheet.height:
        _align_days(sheet, clock, places)
    else:
        _align_sessions(sheet, clock, places)


def _align_days(sheet: Sheet, clock: np.ndarray, places: dict[int, list[int]]) -> None:
    """In a file of one row a day, point at rows at another time of the day: which day they mean is not certain."""
    usual, count = Counter(clock.tolist()).most_common(1)[0]
    if count < USUAL_ROWS * len(places):
        return
    shifts = {day: int(clock[place]) - usual for day, (place,) in sorted(places.items())}
    for day, shift in _unexplained({day: one - 86_400 * round(one / 86_400) for day, one in shifts.items()}).items():
        (place,) = places[day]
        target = day + (shifts[day] - shift) // 86_400
        evidence = {"time_of_day_seconds": int(clock[place]), "usual_seconds": usual, "shifted_hours": shift / HOUR}
        if target != day and target in places:
            sheet.flag(WRONG, place, ("time",), evidence | {"why": "the day it would belong to has a row"})
        else:
            _shift(sheet, place, shift, evidence)


def _align_sessions(sheet: Sheet, clock: np.ndarray, places: dict[int, list[int]]) -> None:
    """In a file of several rows a day, shift back days that are the usual session at other hours."""
    sessions = {day: tuple(sorted(int(clock[place]) for place in at)) for day, at in sorted(places.items())}
    usual, count = Counter(sessions.values()).most_common(1)[0]
    if count < USUAL_DAYS * len(sessions) or len(usual) < 4:
        return
    for day, shift in _unexplained({day: _shift_of(one, usual) for day, one in sessions.items()}).items():
        evidence = {"session_starts": sessions[day][0], "usual_start": usual[0], "shifted_hours": shift / HOUR}
        for place in places[day]:
            _shift(sheet, place, shift, evidence)


def _shift_of(session: tuple[int, ...], usual: tuple[int, ...]) -> int | None:
    """Seconds by which a session is later than the usual one; `None` where it is another."""
    shifts = {one - other for one, other in zip(session, usual, strict=False)}
    return shifts.pop() if len(session) == len(usual) and len(shifts) == 1 else None


def _unexplained(shifts: Mapping[int, int | None]) -> dict[int, int]:
    """The days whose shift is one of whole hours that no summer time explains.

    Summer time moves the sessions of a zone by an hour against the times of a file that are written in another; where
    both zones have one, in the north and the south, by two hours and for months. An hour may be a late opening too.

    Args:
        shifts: by day, in order: seconds; 0 on usual days, `None` on days that cannot be compared.
    """
    found: dict[int, int] = {}
    runs = [(shift, [day for day, _ in days]) for shift, days in groupby(shifts.items(), key=itemgetter(1))]
    for at, (shift, days) in enumerate(runs):
        if not shift or shift % HOUR or abs(shift) == SUMMER_SECONDS:
            continue
        is_between_usual = 0 < at < len(runs) - 1 and runs[at - 1][0] == 0 == runs[at + 1][0]
        if abs(shift) == 2 * SUMMER_SECONDS and not (is_between_usual and len(days) <= SEASON_DAYS):
            continue
        found |= dict.fromkeys(days, shift)
    return found


def _shift(sheet: Sheet, place: int, shift: int, evidence: Mapping[str, object]) -> None:
    text = sheet.bars.text(int(sheet.rows[place]), "time")
    ns = int(sheet.ns[place]) - shift * NS_PER_SECOND
    offset = offset_seconds(text)
    new = _at(ns, offset or 0)
    new = new if offset is not None else new.removesuffix("+00:00")
    sheet.retime(WRONG, place, new, ns, evidence)
