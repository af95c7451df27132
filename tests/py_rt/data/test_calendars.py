"""Sessions, numbers of bars over nights and holidays, and what is a hole."""

from __future__ import annotations

import io
import os
import zipfile
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_rt.data import calendars
from py_rt.data.calendars import EPOCH, Calendar, CalendarError

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
DAILY = SHARED / "bars_us_equity_daily_1998_2021"
HOURLY = SHARED / "bars_us_equity_hourly_1998_2021"
needs_data = pytest.mark.skipif(not (DAILY.is_dir() and HOURLY.is_dir()), reason=f"no {DAILY} or {HOURLY}")

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
NEW_YORK = ZoneInfo("America/New_York")


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


def new_york(*parts: int) -> int:
    return ns(datetime(*parts, tzinfo=NEW_YORK))  # type: ignore[misc,arg-type]


def lean_times(path: Path) -> pl.Series:
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0])
    frame = pl.read_csv(io.BytesIO(text), has_header=False, infer_schema=False)
    return frame.to_series(0).str.to_datetime("%Y%m%d %H:%M", time_unit="ns")


@pytest.fixture(scope="module")
def xnys() -> Calendar:
    return Calendar.load("XNYS", date(1997, 1, 1), date(2025, 12, 31))


def test_a_year_has_its_sessions_and_numbers_do_not_depend_on_what_is_loaded(xnys: Calendar) -> None:
    of_2025 = xnys.sessions.filter(pl.col("session").dt.year() == 2025)
    assert of_2025.height == 250
    assert xnys.session_number(EPOCH) == 0
    assert xnys.session_number(date(1999, 12, 31)) == -1
    alone = Calendar.load("XNYS", date(2025, 1, 1), date(2025, 12, 31))
    assert alone.sessions.equals(of_2025)


def test_a_weekend_and_a_holiday_are_one_step(xnys: Calendar) -> None:
    days = pl.DataFrame({"date": [date(2020, 12, 24), date(2020, 12, 25), date(2020, 12, 28), date(2020, 12, 29)]})
    numbers = xnys.number_days(days)["session_number"].to_list()
    assert numbers[1] is None
    first = numbers[0]
    assert first is not None
    assert numbers[2:] == [first + 1, first + 2]


@needs_data
@pytest.mark.parametrize("ticker", ["spy", "ibm", "aapl"])
def test_twenty_three_years_of_daily_bars_have_every_session_and_no_other(xnys: Calendar, ticker: str) -> None:
    days = lean_times(DAILY / f"equity__usa__daily__{ticker}.zip").dt.date().to_list()
    assert xnys.missing_days(days) == []
    assert xnys.number_days(pl.DataFrame({"date": days}))["session_number"].null_count() == 0


@needs_data
def test_a_ticker_that_lived_under_another_name_has_a_hole(xnys: Calendar) -> None:
    days = lean_times(DAILY / "equity__usa__daily__qqq.zip").dt.date().to_list()
    missing = xnys.missing_days(days)
    assert (missing[0], missing[-1]) == (date(2004, 12, 1), date(2011, 3, 22))
    assert len(missing) == len(xnys.missing_days([], date(2004, 12, 1), date(2011, 3, 22)))


@needs_data
def test_hourly_bars_are_numbered_over_nights_half_days_and_changes_of_the_clock(xnys: Calendar) -> None:
    local = lean_times(HOURLY / "equity__usa__hour__spy.zip")
    utc = local.dt.replace_time_zone("America/New_York").dt.convert_time_zone("UTC").dt.epoch("ns")
    bars = xnys.number_bars(pl.DataFrame({"ts_open": utc}), bar_ns=HOUR, anchor="clock")
    placed = bars.drop_nulls()
    # Before the opening and after the closing nobody trades in this file, but for what the venue did on odd days.
    assert placed.height / bars.height > 0.998
    assert (placed["bar_number"].diff().drop_nulls() > 0).all()
    assert placed["bar_in_session"].max() == 6
    half = placed.filter(pl.col("session") == date(2015, 12, 24))
    assert half["bar_in_session"].to_list() == [0, 1, 2, 3]
    first_after = placed.filter(pl.col("session") > date(2015, 12, 24)).head(1)
    assert first_after["session_number"][0] == half["session_number"][0] + 1
    holes = xnys.holes(placed, bar_ns=HOUR, anchor="clock")
    assert holes.height < placed.height * 0.002


def test_a_bar_taken_out_is_the_only_hole_and_nights_are_none(xnys: Calendar) -> None:
    bars = xnys.expected_bars(bar_ns=15 * MINUTE, first_day=date(2015, 11, 20), last_day=date(2015, 12, 4))
    assert bars.height == 9 * 26 + 14  # the day after Thanksgiving closes at 13:00
    assert xnys.holes(bars, bar_ns=15 * MINUTE).is_empty()
    gone = new_york(2015, 11, 27, 12, 45)
    holes = xnys.holes(bars.filter(pl.col("ts_open") != gone).reverse(), bar_ns=15 * MINUTE)
    assert holes.rows() == [(date(2015, 11, 27), gone)]
    wider = xnys.holes(bars, bar_ns=15 * MINUTE, last_day=date(2015, 12, 8))
    assert wider["session"].unique().sort().to_list() == [date(2015, 12, 7), date(2015, 12, 8)]


def test_bars_outside_the_session_or_off_its_grid_have_no_number(xnys: Calendar) -> None:
    times = [
        new_york(2015, 11, 25, 9, 30),
        new_york(2015, 11, 25, 9, 15),
        new_york(2015, 11, 25, 9, 40),
        new_york(2015, 11, 25, 16, 0),
        new_york(2015, 11, 26, 10, 30),
        new_york(2015, 11, 27, 9, 45),
    ]
    placed = xnys.number_bars(pl.DataFrame({"ts_open": times}), bar_ns=15 * MINUTE)
    assert placed["bar_in_session"].to_list() == [0, None, None, None, None, 1]
    numbers = placed["bar_number"].drop_nulls().to_list()
    assert numbers[1] - numbers[0] == 96 + 1


def test_a_lunch_break_is_no_hole() -> None:
    tokyo = Calendar.load("XTKS", date(2020, 3, 1), date(2020, 3, 31))
    bars = tokyo.expected_bars(bar_ns=30 * MINUTE, first_day=date(2020, 3, 2), last_day=date(2020, 3, 2))
    assert bars.height == 5 + 5
    assert tokyo.holes(bars, bar_ns=30 * MINUTE).is_empty()
    places = tokyo.number_bars(bars, bar_ns=30 * MINUTE)["bar_in_session"].to_list()
    assert places == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]
    resting = pl.DataFrame({"ts_open": [ns(datetime(2020, 3, 2, 12, 0, tzinfo=ZoneInfo("Asia/Tokyo")))]})
    assert tokyo.number_bars(resting, bar_ns=30 * MINUTE)["bar_number"].to_list() == [None]


def test_a_venue_that_never_sleeps_has_every_bar() -> None:
    always = Calendar.load("24/7", date(2021, 1, 1), date(2021, 1, 31))
    bars = always.expected_bars(bar_ns=HOUR)
    assert bars.height == 31 * 24
    assert (always.number_bars(bars, bar_ns=HOUR)["bar_number"].diff().drop_nulls() == 1).all()


@settings(deadline=None)
@given(st.sets(st.integers(0, 26 * 20 - 1), min_size=1), st.sampled_from([15, 30, 65]))
def test_holes_and_bars_together_are_the_expected_bars(taken: set[int], minutes: int) -> None:
    calendar = Calendar.load("XNYS", date(2021, 10, 25), date(2021, 11, 30))
    expected = calendar.expected_bars(bar_ns=minutes * MINUTE)
    here = sorted(at % expected.height for at in taken)
    bars = expected[here].unique(maintain_order=True)
    holes = calendar.holes(bars, bar_ns=minutes * MINUTE)
    span = expected.filter(pl.col("session").is_between(bars["session"].min(), bars["session"].max()))
    assert sorted(holes["ts_open"].to_list() + bars["ts_open"].to_list()) == span["ts_open"].to_list()
    numbers = calendar.number_bars(span, bar_ns=minutes * MINUTE)["bar_number"]
    assert numbers.null_count() == 0
    assert (numbers.diff().drop_nulls() > 0).all()


def test_what_is_not_covered_or_not_known_is_refused(xnys: Calendar) -> None:
    with pytest.raises(CalendarError, match="ZZZZ"):
        Calendar.load("ZZZZ", date(2020, 1, 1), date(2020, 1, 2))
    with pytest.raises(CalendarError, match="earliest date"):
        Calendar.load("XTKS", date(1970, 1, 1), date(2020, 1, 2))
    with pytest.raises(CalendarError, match="is after the last day"):
        Calendar.load("XNYS", date(2020, 1, 2), date(2020, 1, 1))
    with pytest.raises(CalendarError, match="load it for more days"):
        xnys.session_number(date(2026, 1, 2))
    with pytest.raises(CalendarError, match="load it for more days"):
        xnys.number_bars(pl.DataFrame({"ts_open": [new_york(2026, 2, 2, 10, 0)]}), bar_ns=HOUR)
    with pytest.raises(CalendarError, match="nulls in ts_open"):
        xnys.number_bars(pl.DataFrame({"ts_open": [None, new_york(2020, 2, 3, 10, 0)]}), bar_ns=HOUR)
    for bar_ns in (0, -5, 25 * HOUR):
        with pytest.raises(CalendarError, match="allowed is above 0"):
            xnys.expected_bars(bar_ns=bar_ns)


def test_a_question_for_too_many_bars_is_refused(xnys: Calendar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendars, "MAX_EXPECTED_BARS", 100)
    with pytest.raises(CalendarError, match="at most 100 fit"):
        xnys.expected_bars(bar_ns=MINUTE, first_day=date(2020, 1, 2), last_day=date(2020, 1, 2) + timedelta(days=1))


def test_without_bars_there_is_nothing_to_number_and_no_hole(xnys: Calendar) -> None:
    none = pl.DataFrame(schema={"ts_open": pl.Int64})
    assert xnys.number_bars(none, bar_ns=HOUR).height == 0
    assert xnys.holes(none, bar_ns=HOUR).height == 0
    assert xnys.missing_days([]) == []
    closed = Calendar.load("XNYS", date(2020, 12, 25), date(2020, 12, 27))
    placed = closed.number_bars(pl.DataFrame({"ts_open": [new_york(2020, 12, 26, 10, 0)]}), bar_ns=HOUR)
    assert placed["session"].to_list() == [None]


@pytest.mark.parametrize(("name", "minute_before"), [("XNYS", False), ("XASX", True), ("CMES", True), ("24/7", False)])
def test_a_bar_outside_of_the_loaded_days_is_refused_unless_its_session_is_loaded(
    name: str, *, minute_before: bool
) -> None:
    calendar = Calendar.load(name, date(2020, 12, 22), date(2020, 12, 23))
    midnight = ns(datetime(2020, 12, 22, tzinfo=ZoneInfo("UTC")))
    first = calendar.sessions["ts_open"][0]
    assert (first < midnight) == minute_before
    bars = calendar.expected_bars(bar_ns=MINUTE)
    assert calendar.number_bars(bars, bar_ns=MINUTE)["bar_number"].null_count() == 0
    calendar.number_bars(pl.DataFrame({"ts_open": [midnight, midnight + 48 * HOUR - MINUTE]}), bar_ns=MINUTE)
    for ts in (min(first, midnight) - MINUTE, midnight + 48 * HOUR, new_york(2020, 12, 21, 10, 30)):
        with pytest.raises(CalendarError, match=r"from 2020-12-22 to 2020-12-23, 1 bars .* UTC; load it for more days"):
            calendar.number_bars(pl.DataFrame({"ts_open": [midnight, ts]}), bar_ns=MINUTE)
