"""What became known beside the market, on bars: never before it was known, never another's, never a wrong number."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from py_rt.data.bar_files import read_bar_file
from py_rt.errors import SourceError
from py_rt.ml.features.closes import CloseError, closed_at
from py_rt.ml.features.expressions import Expressions, chosen
from py_rt.ml.features.known import with_known
from py_rt.ml.features.technical import SlowColumn

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt.data.bar_files import BarFile

HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS


def bars_at(folder: Path, times: list[str]) -> BarFile:
    """Bars at these times, all of price 50."""
    prices = {column: np.full(len(times), 50.0) for column in ("Open", "High", "Low", "Close")}
    pl.DataFrame({"Date": times, **prices, "Volume": np.ones(len(times))}).write_csv(folder / "bars.csv")
    return read_bar_file(folder / "bars.csv")


def january(folder: Path) -> BarFile:
    return bars_at(folder, [f"2024-01-{day:02}" for day in range(1, 32)])


def sessions(folder: Path) -> BarFile:
    """Without the weekends."""
    days = (datetime(2024, 1, day, tzinfo=UTC) for day in range(2, 32))
    return bars_at(folder, [f"{day:%Y-%m-%d}" for day in days if day.weekday() < 5])


def facts(folder: Path, text: str) -> Path:
    path = folder / "known.csv"
    path.write_text(text)
    return path


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def test_a_bar_is_given_what_was_known_at_its_close_and_is_not_too_old(tmp_path: Path) -> None:
    known = facts(
        tmp_path, "ts_known,earnings_per_share,sentiment\n2024-01-05T09:00:00Z,2.5,0.5\n2024-01-20T23:59:59Z,5,\n"
    )
    file = with_known(january(tmp_path), known, max_age_days=12, close="24/7")
    made = Expressions(chosen(["earnings_yield", "sentiment_level"])).compute(file.bars)
    earnings = made["earnings_yield"].to_numpy()
    # The bar of the 5th closes after the first report; twelve days after it the report is too old.
    assert np.isnan(earnings[:4]).all()
    assert (earnings[4:16] == 0.05).all()
    assert np.isnan(earnings[16:19]).all()
    assert (earnings[19:] == 0.1).all()
    assert made["sentiment_level"].to_list()[4] == 0.5


def test_a_declared_age_decides_where_none_is_asked_for(tmp_path: Path) -> None:
    known = facts(tmp_path, "ts_known,sentiment\n2022-11-20T09:00:00Z,0.5\n")
    declared = [SlowColumn("sentiment", "number", 500 * DAY_NS)]
    bars = january(tmp_path)

    def is_known(file: BarFile) -> bool:
        return bool(file.bars["sentiment"].is_not_nan().all())

    assert is_known(with_known(bars, known, close="24/7", declared=declared))
    assert not is_known(with_known(bars, known, 400, close="24/7", declared=declared))
    assert not is_known(with_known(bars, known, close="24/7"))


@pytest.mark.parametrize(
    ("close", "of_noon", "of_the_evening"),
    # Told at 12:00 and at 16:30 in New York on Friday the 5th, whose session ends at 16:00.
    [("", 8, 8), ("16:00 America/New_York", 5, 8), ("XNYS", 5, 8), ("24/7", 5, 5)],
)
def test_what_is_told_after_the_close_of_a_day_s_bar_is_not_known_to_it(
    tmp_path: Path, close: str, of_noon: int, of_the_evening: int
) -> None:
    for told, first in (("2024-01-05T17:00:00Z", of_noon), ("2024-01-05T21:30:00Z", of_the_evening)):
        known = facts(tmp_path, f"ts_known,sentiment\n{told},0.5\n")
        file = with_known(sessions(tmp_path), known, close=close)
        days = file.time.filter(file.bars["sentiment"].is_not_nan())
        assert days[0] == f"2024-01-{first:02}"


def test_a_day_without_a_time_is_known_when_it_is_over(tmp_path: Path) -> None:
    for day in ("2024-01-05", "20240105"):
        file = with_known(january(tmp_path), facts(tmp_path, f"ts_known,sentiment\n{day},0.5\n"), close="24/7")
        # Its bar closes just then; that of an exchange in New York had closed before.
        assert file.bars["sentiment"].is_not_nan().to_list() == [at >= 4 for at in range(31)]
    file = with_known(sessions(tmp_path), facts(tmp_path, "ts_known,sentiment\n2024-01-05,0.5\n"), close="XNYS")
    assert file.time.filter(file.bars["sentiment"].is_not_nan())[0] == "2024-01-08"


def test_a_short_month_does_not_last_into_the_next(tmp_path: Path) -> None:
    months = [f"{year}-{month:02}-01" for year in (2023, 2024) for month in range(1, 13)]
    known = facts(tmp_path, "ts_known,sentiment\n2024-03-02T12:00:00Z,0.5\n")
    for close in ("24/7", "XNYS"):
        file = with_known(bars_at(tmp_path, months), known, close=close)
        assert file.time.filter(file.bars["sentiment"].is_not_nan())[0] == "2024-03-01"
    with pytest.raises(CloseError, match="bars of 31 days end with a session that a time of day does not tell"):
        with_known(bars_at(tmp_path, months), known, close="16:00 America/New_York")


@pytest.mark.parametrize(
    ("opened", "span", "close", "closed"),
    [
        # The last hour of a session that opens at half past is half an hour.
        ("2024-01-05 20:30", HOUR_NS, "16:00 America/New_York", "2024-01-05 21:00"),
        ("2024-01-05 20:30", HOUR_NS, "XNYS", "2024-01-05 21:00"),
        ("2024-01-05 20:30", HOUR_NS, "", "2024-01-05 21:30"),
        ("2024-01-05 15:30", HOUR_NS, "16:00 America/New_York", "2024-01-05 16:30"),
        # What trades after the close ends with its own span.
        ("2024-01-05 21:00", HOUR_NS, "16:00 America/New_York", "2024-01-05 22:00"),
        # Summer time, a half day, a day without a session, a venue whose day begins on the day before.
        ("2024-07-05 00:00", DAY_NS, "16:00 America/New_York", "2024-07-05 20:00"),
        ("2024-07-03 00:00", DAY_NS, "XNYS", "2024-07-03 17:00"),
        ("2024-07-04 00:00", DAY_NS, "XNYS", "2024-07-04 00:00"),
        ("2024-01-05 00:00", DAY_NS, "15:00 Asia/Tokyo", "2024-01-05 06:00"),
        ("2024-01-04 15:00", DAY_NS, "15:00 Asia/Tokyo", "2024-01-05 06:00"),
        ("2024-01-01 00:00", 7 * DAY_NS, "XNYS", "2024-01-05 21:00"),
    ],
)
def test_a_bar_closes_with_the_session_within_it(opened: str, span: int, close: str, closed: str) -> None:
    assert closed_at(pl.Series([utc(opened)]), span, close)[0] == utc(closed)


@pytest.mark.parametrize("close", ["16:00 Mars/Olympus", "25:00 UTC", "16:00", "NOWHERE"])
def test_hours_that_are_none_are_refused(close: str) -> None:
    with pytest.raises(CloseError, match=f"zone|close '{close}'.*allowed are a calendar such as XNYS"):
        closed_at(pl.Series([utc("2024-01-05")]), DAY_NS, close)


def test_facts_of_several_companies_need_the_one_that_is_meant(tmp_path: Path) -> None:
    known = facts(
        tmp_path,
        "ts_known,Ticker,earnings_per_share\n2024-01-05T00:00:00Z,AAA,1\n2024-01-05T00:00:00Z,BBB,500\n"
        "2024-01-09T00:00:00Z,BBB,600\n",
    )
    with pytest.raises(SourceError, match=r"Ticker has 2 values \('AAA', 'BBB'\).*--known-symbol"):
        with_known(january(tmp_path), known)
    with pytest.raises(SourceError, match="no rows with Ticker 'CCC'; there are 'AAA', 'BBB'"):
        with_known(january(tmp_path), known, symbol="CCC")
    file = with_known(january(tmp_path), known, symbol="AAA")
    assert set(file.bars["earnings_per_share"].drop_nans()) == {1e8}
    with pytest.raises(SourceError, match="no column of symbols"):
        with_known(january(tmp_path), facts(tmp_path, "ts_known,sentiment\n2024-01-05,1\n"), symbol="AAA")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ts_known,colour\n2024-01-01,red\n", "needs ts_known and one of"),
        ("ts_known,sentiment\nsoon,1\n", "row 2: ts_known cannot be read as a time: 'soon'; allowed are ISO 8601"),
        ("ts_known,sentiment\n2024-01-01,1\n2024-01-02,high\n", "row 3: sentiment is no finite number: 'high'; "),
        ("ts_known,sentiment\n2024-01-01,1\n2024-01-02,-inf\n", "row 3: sentiment is no finite number"),
        ("ts_known,earnings_per_share\n2024-01-01,1e301\n", "row 2: earnings_per_share is no finite number"),
        ("ts_known,sentiment\n2024-01-01,1\n2024-01-02,2\n2024-01-01,3\n", "row 4: ts_known stands in a row above"),
    ],
)
def test_a_wrong_file_of_facts_is_refused_with_its_row(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(SourceError, match=why):
        with_known(january(tmp_path), facts(tmp_path, text))
