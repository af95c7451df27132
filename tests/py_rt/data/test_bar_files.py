"""Files of bars as people have them: what is read of them, and what is asked when they do not say it."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from py_rt.data.bar_columns import Given
from py_rt.data.bar_files import BarFile, read_bar_file
from py_rt.data.bar_times import read_times
from py_rt.errors import SourceError

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
FOLDERS = ("indicator_sheets_stockcharts", "indices_macro")
SHEETS = sorted(path for folder in FOLDERS for path in (SHARED / folder).glob("*.csv*"))
DAY_NS = 86_400 * 10**9


def read(folder: Path, text: str, name: str = "bars.csv", **given: str) -> BarFile:
    path = folder / name
    path.write_text(text)
    columns = {role: column for role, column in given.items() if role in {"close", "time", "clock"}}
    others = {key: value for key, value in given.items() if key not in columns}
    return read_bar_file(path, Given(columns=columns, **others))  # type: ignore[arg-type]


def days_of(file: BarFile) -> list[str]:
    return [str(datetime.fromtimestamp(ns / 10**9, UTC))[:16] for ns in file.ts_open.to_list()]


@pytest.mark.skipif(not SHEETS, reason=f"no sheets and indices at {SHARED}: set PY_RT_SHARED_DATA")
@pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.name)
def test_sheets_and_indices_are_read_with_the_columns_that_they_have(path: Path) -> None:
    file = read_bar_file(path)
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = content.decode().splitlines()
    assert file.bars.height == file.time.len() == len(lines) - 1
    assert bool((file.ts_open.diff().drop_nulls() > 0).all())
    header = [name.strip().lower() for name in lines[0].split(",")]
    for role in ("open", "high", "low", "close", "volume"):
        if role in header:
            cells = [line.split(",")[header.index(role)] for line in lines[1:]]
            written = np.array([float(cell) if cell else np.nan for cell in cells])
            np.testing.assert_allclose(file.bars[role].to_numpy() / 1e8, written, rtol=1e-15)
        elif role != "close":
            assert role not in file.bars.columns


FORMS = {
    "day first, proven by a part above 12": ("Date,Close\n01/02/2023,1\n13/02/2023,2\n", "2023-02-01 00:00"),
    "month first, proven by a part above 12": ("Date,Close\n01/02/2023,1\n02/13/2023,2\n", "2023-01-02 00:00"),
    "months, proven by their steps": (
        "Date,Close\n" + "".join(f"{month}/1/2023,1\n" for month in range(1, 13)) + "1/1/2024,1\n",
        "2023-01-01 00:00",
    ),
    "days of minutes, proven by how near they are": (
        "Date,Close\n" + "".join(f"04/{day:02}/2024 09:3{at},1\n" for day in range(1, 6) for at in range(2)),
        "2024-04-01 09:30",
    ),
    "dots, which nobody writes behind a month": ("Date,Close\n09.03.2024 12:00:00.000,1\n", "2024-03-09 12:00"),
    "two spaces before the time of the day": (
        "date,close\n20240308  09:30:00,1\n20240308  09:31:00,2\n",
        "2024-03-08 09:30",
    ),
    "one letter": ("v,o,c,h,l,t,n\n5,1,1,1,1,1710000000000,3\n", "2024-03-09 16:00"),
    "two digits of the year": ("Date,Close\n8/24/10,1\n8/25/10,2\n", "2010-08-24 00:00"),
    "a month's name": ("Date,Close\n3-June-10,1\n04-Jul-10,2\n", "2010-06-03 00:00"),
    "a month's name first": ('Date,Close\n"Jan 05, 2023",1\n"Feb 05, 2023",2\n', "2023-01-05 00:00"),
    "a month": ("Date,Close\n192607,1\n192608,2\n", "1926-07-01 00:00"),
    "slashes": ("Date,Close\n2023/3/24,1\n2023/3/25,2\n", "2023-03-24 00:00"),
    "an offset of hours alone": (
        "Date,Close\n2023-03-24 00:00:00-05,1\n2023-03-25 00:00:00-04,2\n",
        "2023-03-24 05:00",
    ),
    "ISO 8601 without separators": ("Date,Close\n20230324T093000Z,1\n20230325T093000Z,2\n", "2023-03-24 09:30"),
    "a compact time with an offset": ("Date,Close\n20230324 0930 +0100,1\n20230325 0930 +0100,2\n", "2023-03-24 08:30"),
    "small letters": ("Date,Close\n2023-03-24t09:30:00z,1\n2023-03-25t09:30:00z,2\n", "2023-03-24 09:30"),
    "parts of a Unix second": ("Date,Close\n1679650200.5,1\n1679650201.5,2\n", "2023-03-24 09:30"),
    "half days": ("Date,Close\n3/24/2023 4:00 PM,1\n3/24/2023 5:00 PM,1\n", "2023-03-24 16:00"),
    "compact": ("Date,Close\n20230324 0930,1\n20230324 0931,1\n", "2023-03-24 09:30"),
    "a column of its own": ("Date,Time,Close\n2023-03-24,09:30,1\n2023-03-24,09:31,2\n", "2023-03-24 09:30"),
    "MetaTrader": (
        "<DATE>\t<TIME>\t<CLOSE>\t<TICKVOL>\n2023.03.24\t09:30:00\t1\t5\n2023.03.24\t09:31:00\t1\t5\n",
        "2023-03-24 09:30",
    ),
    "another word": ("Microsoft Date,Close,,\n24-Mar-23,1,,\n25-Mar-23,1,,\n", "2023-03-24 00:00"),
    "no name": (",Close\n2023-03-24,1\n2023-03-25,2\n", "2023-03-24 00:00"),
    "a number of the row beside": (",Date,Close\n0,2023-03-24,1\n1,2023-03-25,2\n", "2023-03-24 00:00"),
    "no header": ("20230324 00:00,1,2,1,1,7\n20230325 00:00,1,2,1,1,7\n", "2023-03-24 00:00"),
    "a line above the header": ("https://example.org\nDate,Close\n2023-03-24,1\n2023-03-25,2\n", "2023-03-24 00:00"),
    "comments above the header": (
        "# made by x, y\n#at z\n\nDate,Open,Close\n2023-03-24,1,1\n2023-03-25,2,2\n",
        "2023-03-24 00:00",
    ),
    "four lines above the header": ("a\nb\nc\nd\nDate,Close\n2023-03-24,1\n2023-03-25,2\n", "2023-03-24 00:00"),
    "a separator for Excel": ("sep=;\r\nDate;Close\r\n2023-03-24;1\r\n2023-03-25;2\r\n", "2023-03-24 00:00"),
    "a header that looks like a comment": ("#Date,Close\n2023-03-24,1,\n2023-03-25,2,\n", "2023-03-24 00:00"),
    "another that does": ("# The Date,Close\n2023-03-24,1\n2023-03-25,2\n", "2023-03-24 00:00"),
    "names above each other below a comment": (
        "# prices, of x\nPrice,Close,Volume\nTicker,SPY,SPY\nDate,,\n2023-03-24,1,7\n2023-03-25,2,7\n",
        "2023-03-24 00:00",
    ),
    "no newline at the end": ("Date,Close\n2023-03-24,1\n2023-03-25,2", "2023-03-24 00:00"),
    "an unused column twice": ("Date,Close,EMA,EMA\n2023-03-24,1,1,1\n2023-03-25,2,2,2\n", "2023-03-24 00:00"),
    "digits of a clock": (
        "<TICKER>,<PER>,<DATE>,<TIME>,<CLOSE>\nA,5,20230324,093000,1\nA,5,20230324,093500,2\n",
        "2023-03-24 09:30",
    ),
    "no header, and a time of the day": (
        "2023.03.24,09:30,1,2,1,1,7\n2023.03.24,09:31,1,2,1,1,7\n",
        "2023-03-24 09:30",
    ),
    "numbered names": (",1. open,4. close,5. volume\n2023-03-24,1,1,7\n2023-03-25,1,2,7\n", "2023-03-24 00:00"),
    "names above each other": (
        "Price,Close,Volume\nTicker,SPY,SPY\nDate,,\n2023-03-24,1,7\n2023-03-25,2,7\n",
        "2023-03-24 00:00",
    ),
    "GMT and an offset": (
        "Local time,Close\n24.03.2023 00:00:00.000 GMT+0100,1\n25.03.2023 00:00:00.000 GMT+0100,2\n",
        "2023-03-23 23:00",
    ),
    "semicolons": ("Date;Open;Close\n2023-03-24;1;1\n2023-03-25;2;2\n", "2023-03-24 00:00"),
}


@pytest.mark.parametrize("form", FORMS)
def test_times_are_read_as_people_write_them(form: str, tmp_path: Path) -> None:
    text, first = FORMS[form]
    file = read(tmp_path, text)
    assert days_of(file)[0] == first
    assert file.bars["close"][0] == 1e8


@pytest.mark.parametrize(
    ("first", "last", "unit"),
    [
        ("1998-01-01", "2003-12-31", 1),  # 9 digits, then 10
        ("1965-01-01", "2003-12-31", 1),  # below 0, and 1 to 10 digits
        ("1965-01-01", "1999-12-31", 1_000),
        ("1999-01-01", "2003-12-31", 1_000_000),
        ("1985-01-01", "2001-08-31", 1),
    ],
)
@pytest.mark.parametrize("end", ["", ".0"])
def test_unix_times_of_before_2001_are_read_beside_those_of_their_unit(
    first: str, last: str, unit: int, end: str, tmp_path: Path
) -> None:
    days = pl.date_range(date.fromisoformat(first), date.fromisoformat(last), eager=True)
    texts = [f"{int(day) * 86_400 * unit}{end}" for day in days.to_physical().to_list()]
    file = read(tmp_path, "".join(["Date,Close\n", *(f"{text},1\n" for text in texts)]))
    assert file.ts_open.to_list() == [int(day) * DAY_NS for day in days.to_physical().to_list()]


@pytest.mark.parametrize("stray", ["0", "7", "-1", "164116800", "016411680", "16411680", "99999999"])
def test_a_stray_number_among_unix_times_is_no_time(stray: str) -> None:
    times = [883_612_800 + 86_400 * day for day in range(1_800)]
    assert len({len(str(time)) for time in times}) == 2
    texts = [str(time) for time in times]
    texts[200] = stray
    read = read_times([*texts, "10/31/02"]).to_list()
    assert read[:-1] == [None if at == 200 else time * 10**9 for at, time in enumerate(times)]
    assert read[-1] == 1_036_022_400 * 10**9


def test_numbers_that_no_unix_time_is_stay_unread() -> None:
    assert read_times(["9999999999", "9999999998", "x"]).to_list() == [None, None, None]


def test_compact_days_stay_days() -> None:
    days = ["20220103", "20220104", "19700824"]
    assert read_times(days).to_list() == [18_995 * DAY_NS, 18_996 * DAY_NS, 235 * DAY_NS]
    beside = read_times([*(str(1_641_168_000 + 86_400 * day) for day in range(2, 9)), "20220103"])
    assert beside[-1] == 18_995 * DAY_NS


@pytest.mark.parametrize(("order", "first"), [("day", "2023-04-03"), ("month", "2023-03-04")])
def test_an_order_that_nothing_proves_is_asked_for(order: str, first: str, tmp_path: Path) -> None:
    text = "Date,Close\n03/04/2023,1\n04/05/2023,2\n"
    with pytest.raises(SourceError, match=r"bars\.csv: row 2: .*'03/04/2023'.*--day-first or --month-first"):
        read(tmp_path, text)
    assert days_of(read(tmp_path, text, first=order))[0].startswith(first)


def test_an_order_that_changes_within_a_file_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="both orders occur"):
        read(tmp_path, "Date,Close\n13/01/2023,1\n01/14/2023,2\n")


def test_numbers_are_read_as_people_write_them(tmp_path: Path) -> None:
    text = 'Date,Close,Volume\n2023-01-02,"$1,234.50",1.2M\n2023-01-03,7,N/A\n2023-01-04,-,3\n'
    bars = read(tmp_path, text).bars
    np.testing.assert_array_equal(bars["close"].to_numpy(), [1234.5e8, 7e8, np.nan])
    np.testing.assert_array_equal(bars["volume"].to_numpy(), [1.2e14, np.nan, 3e8])


def test_commas_are_decimal_where_one_shows_it(tmp_path: Path) -> None:
    bars = read(tmp_path, "Date;Close;Volume\n02.01.2023;12,5;1.500\n13.01.2023;1.012,250;2,000\n").bars
    assert bars["close"].to_list() == [12.5e8, 1012.25e8]
    assert bars["volume"].to_list() == [1.5e8, 2e8]


def test_a_volume_may_say_what_it_counts(tmp_path: Path) -> None:
    text = "unix,date,close,Volume ETH,Volume USDT\n1679616000,2023-03-24,1,7,9\n1679702400,2023-03-25,1,8,9\n"
    assert read(tmp_path, text).bars["volume"].to_list() == [7e8, 8e8]


def test_absent_columns_are_absent(tmp_path: Path) -> None:
    assert "volume" not in read(tmp_path, "Date,Close\n2023-01-02,1\n2023-01-03,2\n").bars.columns
    assert "close" not in read(tmp_path, "Date,Volume,Trades\n2023-01-02,1,1\n2023-01-03,2,1\n").bars.columns


def test_a_lone_column_of_values_is_the_close_and_another_can_be_named(tmp_path: Path) -> None:
    assert read(tmp_path, "Date,vix\n2023-01-02,13.5\n2023-01-03,2\n").bars["close"][0] == 13.5e8
    two = "Date,AAA,BAA\n2023-01-02,5,7\n2023-01-03,6,8\n"
    assert "close" not in read(tmp_path, two).bars.columns
    assert read(tmp_path, two, close="BAA").bars["close"].to_list() == [7e8, 8e8]
    with pytest.raises(SourceError, match="has no column 'CAA'; it has 'Date', 'AAA', 'BAA'"):
        read(tmp_path, two, close="CAA")


LONG = "date,symbol,close\n2023-01-02,A,1\n2023-01-02,B,10\n2023-01-03,A,2\n2023-01-03,B,20\n"
WIDE = ",A:close,B:close\n2023-01-02,1,10\n2023-01-03,2,20\n"


ABOVE = "Price,close,close\nTicker,A,B\nDate,,\n2023-01-02,1,10\n2023-01-03,2,20\n"


@pytest.mark.parametrize("text", [LONG, WIDE, ABOVE])
def test_of_several_instruments_one_is_asked_for(text: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds 2 instruments \('A', 'B'\); choose one with --symbol NAME"):
        read(tmp_path, text)
    assert read(tmp_path, text, symbol="B").bars["close"].to_list() == [10e8, 20e8]
    with pytest.raises(SourceError, match=r"'A', 'B'|there is no 'C'"):
        read(tmp_path, text, symbol="C")


def test_a_zip_with_one_member_is_read_and_a_day_in_its_name_is_that_of_its_milliseconds(tmp_path: Path) -> None:
    path = tmp_path / "spy.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("20131004_spy_minute_trade.csv", "34200000,1,2,1,1,7\n34260000,1,2,1,1,7\n")
    file = read_bar_file(path, Given(time_zone="America/New_York"))
    assert days_of(file) == ["2013-10-04 13:30", "2013-10-04 13:31"]
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.csv", "1")
    with pytest.raises(SourceError, match=r"holds 2 files \(20131004_spy_minute_trade\.csv, more\.csv\)"):
        read_bar_file(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SourceError, match="no zip archive"):
        read_bar_file(path)


def test_a_zip_under_another_name_is_told(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bars.csv", "Date,Close\n2023-01-02,1\n" * 99)
    (tmp_path / "bars.csv").write_bytes(packed.getvalue())
    with pytest.raises(SourceError, match="zip archive: name it"):
        read_bar_file(tmp_path / "bars.csv")


def test_a_header_of_numbers_is_one(tmp_path: Path) -> None:
    text = "0,1,2,3,4\n2023-03-24,1,2,1,1\n2023-03-25,1,2,1,1\n"
    with pytest.raises(SourceError, match=r"row 1: has no column for time.*it has '0', '1', '2', '3', '4'"):
        read(tmp_path, text)
    assert read(tmp_path, text, time="0", close="4").bars["close"].to_list() == [1e8, 1e8]


def test_a_file_without_a_readable_time_is_told_by_its_first_row(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"bars\.csv: row 2: the time 'soon' cannot be read.*--column time=NAME"):
        read(tmp_path, "Date,Close\nsoon,1\nlater,2\nnever,3\n")


def test_of_rows_that_fall_the_one_that_does_not_is_told(tmp_path: Path) -> None:
    days = [f"2024-01-{day:02},1" for day in (9, 8, 7, 7, 5, 4)]
    with pytest.raises(SourceError, match="row 5: the time '2024-01-07' is not before '2024-01-07' above it, as"):
        read(tmp_path, "\n".join(["Date,Close", *days]) + "\n")


def test_the_hour_that_clocks_repeat_is_read_in_the_order_of_the_rows(tmp_path: Path) -> None:
    hours = ["2023-11-05 00:00", "2023-11-05 01:00", "2023-11-05 01:00", "2023-11-05 02:00"]
    rows = [f"{hour},{at}\n" for at, hour in enumerate(hours, 1)]
    wanted = ["2023-11-05 04:00", "2023-11-05 05:00", "2023-11-05 06:00", "2023-11-05 07:00"]
    for one in (rows, rows[::-1]):
        file = read(tmp_path, "Date,Close\n" + "".join(one), time_zone="America/New_York")
        assert days_of(file) == wanted
        assert file.bars["close"].to_list() == [1e8, 2e8, 3e8, 4e8]
    with pytest.raises(SourceError, match="say the zone with --time-zone"):
        read(tmp_path, "Date,Close\n" + "".join(rows))


def test_numbers_are_those_of_the_time_on_a_grid_and_rows_else(tmp_path: Path) -> None:
    daily = [f"2023-01-{day:02d},1\n" for day in range(2, 9)]
    first = read(tmp_path, "Date,Close\n" + "".join(daily)).bars["number"].to_list()
    assert first == list(range(first[0], first[0] + 7))
    assert read(tmp_path, "Date,Close\n" + "".join(daily[3:])).bars["number"].to_list() == first[3:]
    assert read(tmp_path, "Date,Close\n" + "".join(daily[::-1])).bars["number"].to_list() == first


def test_an_index_that_pandas_stored_without_a_name_is_the_time(tmp_path: Path) -> None:
    times = pl.Series("__index_level_0__", [datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC)])
    pl.DataFrame([pl.Series("t1", [5, 6]), pl.Series("close", [1.0, 2.0]), times]).write_parquet(tmp_path / "x.parquet")
    assert days_of(read_bar_file(tmp_path / "x.parquet")) == ["2024-01-02 00:00", "2024-01-03 00:00"]


@pytest.mark.parametrize("close", [[[1.0], [2.0]], [b"1", b"2"], [timedelta(1), timedelta(2)]])
def test_a_column_of_prices_that_holds_no_numbers_is_refused_by_its_type(close: list[object], tmp_path: Path) -> None:
    pl.DataFrame({"date": ["2024-01-02", "2024-01-03"], "close": close}).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(SourceError, match=r"x\.parquet: its close, column 'close', is of type (List|Binary|Duration)"):
        read_bar_file(tmp_path / "x.parquet")


@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
def test_a_column_that_is_not_read_may_hold_anything(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    days = pl.date_range(pl.date(2023, 1, 2), pl.date(2023, 1, 3), eager=True)
    if path.suffix == ".parquet":
        odd = {"levels": [[1, 2], [3]], "raw": [b"\xff", b""], "took": pl.Series([1, 2], dtype=pl.Duration("ms"))}
        pl.DataFrame({"date": days, "close": [1.0, 2.0], **odd}).write_parquet(path)
    else:
        path.write_text('date,close,said\n2023-01-02,1,"5"" rise, or\nmore"\n2023-01-03,2,5" rise\n')
    assert read_bar_file(path).bars["close"].to_list() == [1e8, 2e8]


def test_the_time_of_the_day_has_the_bits_of_the_services(tmp_path: Path) -> None:
    first = datetime(2024, 3, 4, tzinfo=UTC)
    times = [first + timedelta(minutes=15 * at) for at in range(700)]
    path = tmp_path / "bars.csv"
    path.write_text(
        "time,open,high,low,close,volume\n" + "".join(f"{at:%Y-%m-%d %H:%M:%S},1,1,1,1,1\n" for at in times)
    )
    bars = read_bar_file(path).bars
    day, week = 86_400 * 10**9, 7 * 86_400 * 10**9
    closes = [(at - first) // timedelta(seconds=1) * 10**9 + 900 * 10**9 for at in times]  # the first is a Monday
    # Whole numbers below 2^53, so that Python's quotient is the one that IEEE 754 rounds.
    assert bars["day_fraction"].to_list() == [close % day / day for close in closes]
    assert bars["week_fraction"].to_list() == [close % week / week for close in closes]
