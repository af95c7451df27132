"""`py_rt data universe`, `calendar` and `adjust`."""

from __future__ import annotations

import json
import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from py_rt.cli.main import main

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
MEMBERS = "ticker,start_date,end_date\nGONE,2000-01-03,2008-09-30\nCAME,2010-01-04,\nNEWER,2000-01-03,\n"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = main(["data", *arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "reference"
    (place / "members").mkdir(parents=True)
    (place / "equity" / "map_files").mkdir(parents=True)
    (place / "members" / "index.csv").write_text(MEMBERS)
    (place / "equity" / "map_files" / "newer.csv").write_text("19980102,older\n20050630,older\n20501231,newer\n")
    monkeypatch.setenv("PY_RT_REFERENCE", str(place))
    return place


def test_a_past_universe_holds_who_failed_later_and_not_who_came_later(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = said(capsys, "universe", "--on", "2004-09-01")
    assert (status, told["list"]) == (0, str(folder / "members" / "index.csv"))
    found = {row["listed_as"]: (row["security_id"], row["ticker"]) for row in told["members"]}
    assert found == {"GONE": (None, None), "NEWER": ("OLDER.19980102", "OLDER")}
    assert main(["data", "universe", "--on", "2009-09-01"]) == 0
    assert "NEWER" in (text := capsys.readouterr().out)
    assert "GONE" not in text


def test_a_day_or_a_list_that_is_not_known_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, told = said(capsys, "universe", "--on", "1999-01-04")
    assert (status, told["ok"]) == (2, False)
    assert "an unknown universe is no empty one" in told["error"]
    assert said(capsys, "universe", "--on", "2004-01-05", "--index", "other")[1]["error"].endswith("it has index")
    (folder / "members" / "index.csv").unlink()
    assert "give a list with --members" in said(capsys, "universe", "--on", "2004-01-05")[1]["error"]
    assert main(["data", "universe", "--on", "yesterday"]) == 2


def test_the_sp500_of_2008_holds_the_names_that_failed(capsys: pytest.CaptureFixture[str]) -> None:
    place = SHARED / "universe_sp500_pit" / "sp500_ticker_start_end.csv"
    if not place.is_file():
        pytest.skip(f"no shared data at {place}: set PY_RT_SHARED_DATA")
    maps = SHARED / "bars_us_equity_daily_1998_2021"
    told = said(capsys, "universe", "--on", "2008-09-02", "--members", str(place), "--reference", str(maps))[1]
    names = {row["listed_as"]: row["security_id"] for row in told["members"]}
    assert {"LEHMQ", "WAMUQ"} <= names.keys()
    assert "META" not in names
    assert names["WM"] == "UW.19980102"  # Waste Management, not the bank that carried the ticker then


def test_what_traded_on_a_day_is_told_with_the_tickers_that_name_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["UW R735QTJ8XC9X,WM,41.5,1000,41500,True,0.9,1", "AAPL R735QTJ8XC9X,AAPL,540,10,5400,True,0.9,0.14"]
    (tmp_path / "20140325.csv").write_text("\n".join(rows) + "\n")
    status, told = said(
        capsys, "universe", "--on", "2014-03-25", "--traded", str(tmp_path), "--min-dollar-volume", "1e4"
    )
    assert status == 0
    assert [(row["security_id"], row["ticker"]) for row in told["traded"]] == [("UW.19980102", "WM")]
    assert "price_factor" not in told["traded"][0]  # computed later: no knowledge of that day
    status, told = said(capsys, "universe", "--on", "2014-03-26", "--traded", str(tmp_path))
    assert (status, told["error"]) == (2, "no cross-section of 2014-03-26; known are 2014-03-25")
    assert main(["data", "universe", "--on", "2014-03-25", "--traded", str(tmp_path), "--index", "x"]) == 2


def test_sessions_and_what_a_file_lacks_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("calendar", "XNYS", "--from", "2015-11-23", "--to", "2015-11-30")
    told = said(capsys, *asked)[1]
    days = [row["session"] for row in told["sessions"]]
    assert days == ["2015-11-23", "2015-11-24", "2015-11-25", "2015-11-27", "2015-11-30"]  # Thanksgiving is none
    assert told["sessions"][3]["ts_close"] == "2015-11-27T18:00:00Z"
    path = tmp_path / "bars.csv"
    path.write_text("date,open,high,low,close\n" + "".join(f"{day},1,1,1,1\n" for day in (days[0], days[1], days[4])))
    assert said(capsys, *asked, "--bars", str(path))[1]["holes"] == [{"session": days[2]}, {"session": days[3]}]
    rows = ["14:30", "14:45", "15:15"]
    path.write_text("time,open,high,low,close\n" + "".join(f"2015-11-23 {at}:00,1,1,1,1\n" for at in rows))
    (hole,) = said(capsys, *asked, "--bars", str(path))[1]["holes"][:1]
    assert hole["ts_open"] == "2015-11-23T15:00:00Z"
    assert said(capsys, "calendar", "XXXX", "--from", "2015-11-23", "--to", "2015-11-30")[0] == 2


@pytest.mark.parametrize("bars", ["daily", "hourly"])
@pytest.mark.parametrize(
    ("first", "last", "lacking"),
    [
        ("2015-11-20", "2015-12-01", ["2015-11-20", "2015-11-25", "2015-11-30", "2015-12-01"]),
        ("2015-11-24", "2015-11-27", ["2015-11-25"]),
        ("2015-11-25", "2015-11-26", ["2015-11-25"]),
        ("2015-12-01", "2015-12-02", ["2015-12-01", "2015-12-02"]),
        ("2015-11-28", "2015-11-29", []),  # a weekend
    ],
)
def test_what_a_file_lacks_is_told_of_the_days_that_were_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bars: str, first: str, last: str, lacking: list[str]
) -> None:
    path = tmp_path / "bars.csv"
    times = [""] if bars == "daily" else [f" {hour}:30:00" for hour in range(14, 21)]
    half = times[:4]  # the day after Thanksgiving
    days = {"2015-11-23": times, "2015-11-24": times, "2015-11-27": half}
    rows = [f"{day}{at},1,1,1,1\n" for day, of_day in days.items() for at in of_day]
    path.write_text("time,open,high,low,close\n" + "".join(rows))
    status, told = said(capsys, "calendar", "XNYS", "--from", first, "--to", last, "--bars", str(path))
    assert status == 0, told
    assert [row["session"] for row in told["holes"]] == [day for day in lacking for _ in times]


def test_prices_are_put_in_the_terms_of_a_day_and_the_raw_ones_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bars, factors, out = (tmp_path / name for name in ("bars.csv", "factors.csv", "out.csv"))
    first = date(2014, 6, 5)
    closes = [647.35, 645.57, 93.70, 94.25]
    days = [first, first + timedelta(1), first + timedelta(4), first + timedelta(5)]
    rows = [f"{day},{c},{c},{c},{c},700" for day, c in zip(days, closes, strict=True)]
    bars.write_text("date,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    factors.write_text("20140606,1,0.142857,645.57\n20501231,1,1,0\n")
    asked = ("adjust", "--in", str(bars), "--actions", str(factors), "--out", str(out))
    assert said(capsys, *asked, "--as-of", "2014-06-10")[1]["actions"] == 1
    made = pl.read_csv(out)
    assert made["close"].to_list() == closes
    assert made["adj_close"].round(2).to_list() == [92.48, 92.22, 93.7, 94.25]
    assert made["adj_volume"].round(0).to_list() == [4900, 4900, 700, 700]
    # As of the day before the split nothing of it is known, and later bars are not there.
    assert said(capsys, *asked, "--as-of", "2014-06-06")[1]["actions"] == 0
    assert pl.read_csv(out)["adj_close"].to_list() == closes[:2]
    before = bars.read_bytes()
    assert (
        said(
            capsys, "adjust", "--in", str(bars), "--actions", str(factors), "--out", str(bars), "--as-of", "2014-06-06"
        )[0]
        == 2
    )
    assert bars.read_bytes() == before
    assert said(capsys, *asked, "--as-of", "2013-06-06")[0] == 2
