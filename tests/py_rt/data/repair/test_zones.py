"""Days whose times are those of another zone, and files in which summer times alone move the sessions."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from py_rt.data.bar_times import read_times
from py_rt.data.repair.bars_file import parse_bars
from py_rt.data.repair.cleaner import Cleaned, clean
from py_rt.data.repair.zones import offset_seconds, says_offset

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[5] / "shared" / "data"))
HOURLY = SHARED / "bars_us_equity_hourly_1998_2021" / "equity__usa__hour__spy.zip"


def hours(zone: str, first: str, last: str, seen_in: str, opens: int = 9) -> pl.Series:
    """Seven full hours of each weekday in a zone, as wall times of another."""
    days = pl.date_range(date.fromisoformat(first), date.fromisoformat(last), eager=True)
    weekdays = days.filter(days.dt.weekday() <= 5).cast(pl.Datetime("us"))
    starts = pl.concat([weekdays + timedelta(hours=opens + at) for at in range(7)]).sort()
    return starts.dt.replace_time_zone(zone).dt.convert_time_zone(seen_in).dt.replace_time_zone(None)


def cleaned(times: pl.Series) -> Cleaned:
    texts = times if times.dtype == pl.String else times.dt.strftime("%Y-%m-%d %H:%M:%S")
    rows = [f"{text},{100 + at * 7 % 13 / 4},{1_000 + at}" for at, text in enumerate(texts.to_list())]
    return clean(parse_bars("bars.csv", ".csv", "\n".join(["timestamp,close,volume", *rows, ""]).encode()))


def moved(result: Cleaned) -> Counter[str]:
    """Days of the rows that `wrong_time_zone` spoke of, as received."""
    return Counter(one.time[:10] for one in result.findings if one.rule == "wrong_time_zone")


@pytest.mark.skipif(not HOURLY.exists(), reason=f"no hours of a US stock at {HOURLY}: set PY_RT_SHARED_DATA")
@pytest.mark.parametrize(
    ("zone", "form"),
    [
        ("UTC", "%Y-%m-%dT%H:%M:%SZ"),
        ("UTC", "%Y-%m-%d %H:%M:%S"),
        ("Europe/Berlin", "%Y-%m-%d %H:%M:%S"),
        ("Australia/Lord_Howe", "%Y-%m-%d %H:%M:%S"),
    ],
)
def test_hours_of_a_us_stock_stay_in_whichever_zone_they_are_written(zone: str, form: str) -> None:
    with zipfile.ZipFile(HOURLY) as archive:
        text = archive.read(archive.namelist()[0])
    raw = pl.read_csv(text, has_header=False, infer_schema=False)
    local = raw.to_series(0).str.to_datetime("%Y%m%d %H:%M").dt.replace_time_zone("America/New_York")
    assert not moved(cleaned(local.dt.convert_time_zone(zone).dt.strftime(form)))


@pytest.mark.parametrize(
    ("zone", "opens", "seen_in", "first", "last"),
    [
        # Until 2007 both changed on one day, by two hours against each other; the second file ends in the week after.
        ("Europe/London", 6, "Australia/Sydney", "2005-04-01", "2005-12-10"),
        ("Europe/London", 6, "Australia/Sydney", "2005-04-01", "2005-11-02"),
        ("Europe/London", 6, "Australia/Sydney", "2005-10-27", "2006-10-01"),
        ("Europe/London", 6, "Australia/Sydney", "2004-04-01", "2005-09-30"),
        ("America/Sao_Paulo", 9, "America/New_York", "2014-03-20", "2014-11-28"),
        ("America/New_York", 12, "Australia/Lord_Howe", "2019-03-20", "2019-11-28"),
        ("Africa/Johannesburg", 9, "Antarctica/Troll", "2019-03-01", "2020-01-10"),
        ("Europe/London", 9, "Asia/Kolkata", "2019-03-01", "2019-12-10"),
    ],
)
def test_summer_times_of_two_zones_move_nothing(zone: str, opens: int, seen_in: str, first: str, last: str) -> None:
    assert not moved(cleaned(hours(zone, first, last, seen_in, opens)))


@pytest.mark.parametrize(("first", "last"), [("2005-02-01", "2005-12-10"), ("2005-03-30", "2005-11-02")])
def test_summer_times_move_no_days_of_one_row(first: str, last: str) -> None:
    assert not moved(cleaned(hours("Europe/London", first, last, "Australia/Sydney", 6).gather_every(7)))


def shifted(times: pl.Series, days: list[str], by_hours: int) -> pl.Series:
    is_shifted = times.dt.date().cast(pl.String).is_in(days)
    return (times + timedelta(hours=by_hours)).zip_with(is_shifted, times)


@pytest.mark.parametrize("by_hours", [-2, 2, 5, -6])
def test_a_few_days_at_hours_that_no_summer_time_explains_are_shifted_back(by_hours: int) -> None:
    times = hours("Europe/Berlin", "2021-03-01", "2021-12-10", "Europe/Berlin")
    days = ["2021-05-11", "2021-06-14", "2021-06-15"]
    result = cleaned(shifted(times, days, by_hours))
    assert moved(result) == dict.fromkeys(days, 7)
    assert parse_bars("clean.csv", ".csv", result.clean).cells == cleaned(times).bars.cells


def test_a_day_an_hour_late_may_be_true() -> None:
    times = hours("Asia/Seoul", "2021-03-01", "2021-12-10", "Asia/Seoul")
    assert not moved(cleaned(shifted(times, ["2021-11-18"], 1)))


@pytest.mark.parametrize(
    ("form", "offset", "lacking"),
    [
        ("%Y-%m-%d 00:00:00+01", "+01", "%Y-%m-%d 00:00:00"),
        ("%Y-%m-%dT00:00:00z", "z", "%Y-%m-%dT00:00:00"),
        ("%Y%m%dT000000Z", "Z", "%Y%m%dT000000"),
    ],
)
def test_a_time_without_an_offset_gets_that_of_the_rows_beside(form: str, offset: str, lacking: str) -> None:
    days = pl.date_range(date(2021, 3, 1), date(2021, 6, 30), eager=True)
    texts = days.dt.strftime(form).to_list()
    assert all(text.endswith(offset) for text in texts)
    assert not cleaned(pl.Series(texts)).findings
    good = read_times(texts)
    texts[50] = days.dt.strftime(lacking)[50]
    result = cleaned(pl.Series(texts))
    assert [(one.rule, one.row, one.action.value) for one in result.findings] == [("mixed_time_zones", 50, "repaired")]
    assert read_times([row[0] for row in parse_bars("clean.csv", ".csv", result.clean).cells]).equals(good)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2022-01-03 00:00:00-05", -18_000),
        ("2022-01-03 00:00:00+05:30", 19_800),
        ("20220103T0000+0530", 19_800),
        ("2022-01-03t00:00z", 0),
        ("2022-01-03", None),
        ("20220103", None),
        ("1641168000000", None),
        ("2022-01-03 10:00", None),
    ],
)
def test_an_offset_is_what_stands_behind_a_time_of_the_day(text: str, seconds: int | None) -> None:
    assert offset_seconds(text) == seconds
    assert says_offset(pl.Series([text])).to_list() == [seconds is not None]
