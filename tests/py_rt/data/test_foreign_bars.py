from __future__ import annotations

import gzip
import json
import os
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from py_rt.data.ingestion import bundled, lean
from py_rt.data.ingestion.catalog import open_source as open_partitioned
from py_rt.data.ingestion.definition import DefinitionError
from py_rt.data.ingestion.hftbacktest import AT_US, AT_VENUE, BUY, SELL, read_events
from py_rt.data.ingestion.ingest import ingest
from py_rt.data.ingestion.market_data import OFFERED_SCHEMA, coverage, open_source
from py_rt.data.ingestion.received import Received
from py_rt.data.storage import Lake, scan
from py_rt.errors import SourceError

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
DAILY = SHARED / "bars_us_equity_daily_1998_2021"
MINUTE = SHARED / "bars_us_equity_minute_lean"
TICKS = SHARED / "ticks_us_equity_201310"
CRYPTO = SHARED / "bars_crypto_coinbase_minute_lean"
needs_lean = pytest.mark.skipif(not MINUTE.is_dir(), reason=f"recorded market data not found at {SHARED}")


def zipped(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.csv", text)
    return path


@needs_lean
def test_minutes_of_a_us_stock_are_new_york_times_and_true_prices() -> None:
    bars = open_source("lean", {"folder": str(MINUTE), "symbol": "SPY"}).bars()
    assert bars.schema == OFFERED_SCHEMA
    first = bars.row(0, named=True)
    with zipfile.ZipFile(MINUTE / "equity__usa__minute__spy__20131004_trade.zip") as archive:
        line = archive.read(archive.namelist()[0]).decode().split("\r\n")[0].split("\n")[0]
    ms, opened, *_, volume = line.split(",")
    assert first["datetime"] == f"2013-10-04 {int(ms) // 3_600_000:02}:{int(ms) // 60_000 % 60:02}:00.000"
    assert float(first["open"]) == int(opened) / 10_000
    assert (first["volume"], first["time_zone"], first["symbol"]) == (volume, "America/New_York", "SPY")
    days = lean.days_of(MINUTE, "spy")
    assert days[0] == date(2013, 10, 4)
    assert coverage(bars) == (days[0], days[-1])
    assert bars["file_sha256"].n_unique() == len(days)


@needs_lean
def test_every_bar_file_of_the_folders_is_read_and_is_a_bar() -> None:
    count = 0
    for folder in (DAILY, MINUTE, CRYPTO):
        for file in lean.find(folder):
            rows = lean.read(file)
            sides = ("bid_", "ask_") if file.of == "quote" else ("",)
            for side in sides:
                prices = rows.select(
                    pl.col(f"{side}{name}").cast(pl.Float64) for name in ("open", "high", "low", "close")
                )
                odd = prices.filter(
                    (pl.col(f"{side}high") < pl.max_horizontal(prices.columns) * 0.999)
                    | (pl.col(f"{side}low") > pl.min_horizontal(prices.columns) * 1.001)
                )
                assert odd.is_empty(), file.name
            assert rows["time"].is_sorted(), file.name
            count += 1
    zips = sum(1 for folder in (DAILY, MINUTE, CRYPTO) for _ in folder.glob("*.zip"))
    assert count == zips


@needs_lean
def test_a_ticker_that_two_companies_had_is_read_whole() -> None:
    bars = open_source("lean", {"folder": str(DAILY), "symbol": "WM", "resolution": "daily"}).bars()
    days = bars["date"]
    assert (days.min(), days.max()) < (date(2000, 1, 1), date(2021, 4, 1))
    assert bars.filter(pl.col("date") == date(2008, 9, 25))["close"].cast(pl.Float64).to_list() == [
        pytest.approx(1.77, abs=0.2)
    ]


@needs_lean
def test_crypto_is_in_utc_and_not_scaled() -> None:
    bars = open_source("lean", {"folder": str(CRYPTO), "symbol": "ETHUSD"}).bars()
    assert bars["time_zone"].unique().to_list() == ["UTC"]
    price = bars.filter(pl.col("date") == date(2018, 4, 4))["close"].cast(pl.Float64)
    assert 300 < float(price.mean()) < 500  # type: ignore[arg-type]
    daily = open_source("lean", {"folder": str(CRYPTO), "symbol": "BTCUSD"}).daily_bars()
    assert daily.height > 1_000


def test_a_real_lean_tree_is_read_like_a_flat_one(tmp_path: Path) -> None:
    zipped(tmp_path / "equity/usa/minute/spy/20131004_trade.zip", "34200000,1676500,1676600,5,1676500,200\n")
    zipped(tmp_path / "equity/usa/minute/spy/20131004_quote.zip", "34200000,1,1,1,1,5,,,,,\n")
    zipped(tmp_path / "equity/usa/map_files/spy.zip", "x\n")
    bars = open_source("lean", {"folder": str(tmp_path), "symbol": "spy"}).bars()
    assert bars.select("datetime", "open", "high", "low", "close").row(0) == (
        "2013-10-04 09:30:00.000",
        "167.6500",
        "167.6600",
        "0.0005",
        "167.6500",
    )
    assert str(bars["date"][0]) == "2013-10-04"
    quote = lean.bars(tmp_path, "SPY", "minute", of="quote").row(0, named=True)
    assert (quote["bid_open"], quote["bid_size"], quote["ask_open"]) == ("0.0001", "5", None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("34200000,1,1,1,1\n", "row 1: has 5 fields, the header has 6"),
        ("34200000,1,1,1,1,1\n99999999,1,1,1,1,1\n", "row 2: '99999999' is no time"),
        ("34200000,1,1,1,1.5,1\n", "row 1: '1.5' is no close in ten-thousandths"),
    ],
)
def test_a_row_that_is_not_leans_is_named(tmp_path: Path, text: str, words: str) -> None:
    zipped(tmp_path / "equity/usa/minute/spy/20131004_trade.zip", text)
    with pytest.raises(SourceError) as caught:
        open_source("lean", {"folder": str(tmp_path), "symbol": "spy"}).bars()
    assert "equity/usa/minute/spy/20131004_trade.zip: " in str(caught.value)
    assert words in str(caught.value)


def tick_definition(folder: Path, data: Path, symbol: str, of: str) -> Path:
    path = folder / "some_ticks.toml"
    options = f'folder = "{data}"\nsymbol = "{symbol}"\ndata = "{of}"\n'
    path.write_text(f'kind = "lean_ticks"\n[options]\n{options}[known]\ncolumn = "ts_event"\n')
    return path


@needs_lean
@pytest.mark.parametrize("of", ["trades", "quotes"])
def test_ticks_of_a_us_stock_are_a_source_like_any_other(tmp_path: Path, of: str) -> None:
    source = open_partitioned(str(tick_definition(tmp_path, TICKS, "IBM", of)))
    received, lake = Received(tmp_path / "landing", "some_ticks"), Lake(str(tmp_path / "lake"))
    done = ingest(source, ["2013-10-11", "2013-10-12"], received, lake, lambda: 1_750_000_000 * 10**9)
    assert [step.outcome for step in done.steps] == ["landed", "absent"], done.failed
    rows = scan(lake.uri("raw", "some_ticks")).sort("row_number").collect()
    with zipfile.ZipFile(TICKS / f"equity__usa__tick__ibm__20131011_{of[:-1]}.zip") as archive:
        lines = [line.split(",") for line in archive.read(archive.namelist()[0]).decode().splitlines()]
    assert rows.height == len(lines)
    midnight = 1_381_464_000 * 10**9  # of 2013-10-11 in New York, four hours behind UTC
    assert rows["ts_event"].to_list() == [midnight + int(line[0]) * 10**6 for line in lines]
    names = ("price", "quantity") if of == "trades" else ("bid", "bid_size", "ask", "ask_size")
    for at, name in enumerate(names, 1):
        unit = 10**4 if name in {"price", "bid", "ask"} else 10**8
        has_side = [of == "trades" or line[at - (at + 1) % 2] != "0" for line in lines]
        wanted = [int(line[at]) * unit if there else None for line, there in zip(lines, has_side, strict=True)]
        assert rows[name].to_list() == wanted, name
    assert rows["exchange"].to_list() == [line[-3] for line in lines]
    assert rows["is_suspicious"].to_list() == [line[-1] == "1" for line in lines]
    assert (rows["ts_known"] == rows["ts_event"]).all()


def test_ticks_of_other_classes_are_read_as_lean_writes_them(tmp_path: Path) -> None:
    files = {
        "crypto/coinbase/tick/btcusd/20180404_trade.zip": "1000.5,6800.01,0.25,0\n2000,6800.02,1,1\n",
        "crypto/bitfinex/tick/ethusd/20180404_trade.zip": "1000,400.5,2\n",
        "forex/oanda/tick/eurusd/20140507_quote.zip": "1,1.38,1.39\n",
        "option/usa/tick/goog/20151224_trade_american.zip": "1,1,1,C,0,0\n",
    }
    read = {name: lean.parse_path(zipped(tmp_path / name, text), name) for name, text in files.items()}
    frames = {
        name: lean.ticks(file, file.path.read_bytes()) for name, file in read.items() if file and "option" not in name
    }
    coin, eth, euro = frames.values()
    assert coin.select("time", "price", "size", "suspicious").rows() == [
        ("2018-04-04 00:00:01.000500000", "6800.01", "0.25", "0"),
        ("2018-04-04 00:00:02.000000000", "6800.02", "1", "1"),
    ]
    assert eth.select("price", "suspicious", "exchange").row(0) == ("400.5", None, None)
    assert euro.select("bid", "ask", "bid_size").row(0) == ("1.38", "1.39", None)
    option = read["option/usa/tick/goog/20151224_trade_american.zip"]
    assert option is not None
    with pytest.raises(SourceError, match="is trades of option; ticks that are read are trades of equity"):
        lean.ticks(option, option.path.read_bytes())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("34200000,1,1,P,0\n", "row 1: has 5 fields, the header has 6"),
        ("34200000,1,1,P,0,0\n86400000,1,1,P,0,0\n", "row 2: '86400000' is no time of a LEAN file"),
        ("34200000,1.5,1,P,0,0\n", "row 1: '1.5' is no price in ten-thousandths"),
        ("34200000,1,many,P,0,0\n", "row 1: column quantity: 'many' is no decimal"),
        ("34200000,1,1,P,0,perhaps\n", "row 1: column is_suspicious: 'perhaps' is no boolean"),
    ],
)
def test_a_tick_that_is_not_leans_is_named_and_not_landed(tmp_path: Path, text: str, words: str) -> None:
    zipped(tmp_path / "data/equity/usa/tick/spy/20131004_trade.zip", text)
    source = open_partitioned(str(tick_definition(tmp_path, tmp_path / "data", "spy", "trades")))
    received = Received(tmp_path / "landing", "some_ticks")
    done = ingest(source, ["2013-10-04"], received, None, lambda: 1_750_000_000 * 10**9)
    assert words in done.failed[0].problem
    assert received.partitions() == []


def test_a_truncated_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "equity/usa/minute/spy/20131004_trade.zip", "34200000,1,1,1,1,1\n" * 500)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SourceError, match="is cut off or damaged zip"):
        open_source("lean", {"folder": str(tmp_path), "symbol": "spy"}).bars()


def test_what_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    zipped(tmp_path / "equity/usa/daily/ibm.zip", "20131004 00:00,1,1,1,1,1\n")
    with pytest.raises(SourceError, match=r"holds no minute trade bars of spy; it holds ibm \(daily trade\)"):
        open_source("lean", {"folder": str(tmp_path), "symbol": "spy"}).bars()
    with pytest.raises(SourceError, match="is 'week'; allowed are daily, hour, minute, second"):
        open_source("lean", {"folder": str(tmp_path), "symbol": "spy", "resolution": "week"})
    zipped(tmp_path / "crypto/gdax/daily/ibm_trade.zip", "20131004 00:00,1,1,1,1,1\n")
    with pytest.raises(SourceError, match="has ibm in crypto/gdax, equity/usa"):
        open_source("lean", {"folder": str(tmp_path), "symbol": "ibm"}).daily_bars()


CANDLES = [[1_704_153_600_000 + 900_000 * n, 42_000.1 + n, 42_010, 41_990.5, 42_005, 12.25] for n in range(4)]


def write_freqtrade(folder: Path, form: str) -> None:
    names = ("date", "open", "high", "low", "close", "volume")
    frame = pl.DataFrame(CANDLES, schema=dict.fromkeys(names, pl.Float64), orient="row").with_columns(
        pl.from_epoch(pl.col("date").cast(pl.Int64), "ms").dt.replace_time_zone("UTC")
    )
    if form == "feather":
        frame.write_ipc(folder / "BTC_USDT-15m.feather", compression="lz4")
    elif form == "parquet":
        frame.write_parquet(folder / "BTC_USDT-15m.parquet")
    elif form == "json.gz":
        (folder / "BTC_USDT-15m.json.gz").write_bytes(gzip.compress(json.dumps(CANDLES).encode()))
    else:
        (folder / "BTC_USDT-15m.json").write_text(json.dumps(CANDLES))


@pytest.mark.parametrize("form", ["json", "json.gz", "feather", "parquet"])
def test_a_freqtrade_folder_is_read_in_each_of_its_forms(tmp_path: Path, form: str) -> None:
    write_freqtrade(tmp_path, form)
    source = open_source("freqtrade", {"folder": str(tmp_path), "symbol": "BTC/USDT"})
    bars = source.bars()
    assert bars["open"].cast(pl.Float64).to_list() == [row[1] for row in CANDLES]
    assert coverage(bars) == (date(2024, 1, 2), date(2024, 1, 2))
    assert bars["source_end"][0] == (1_704_153_600 + 2_700) * 10**9
    assert source.daily_bars().is_empty()


def test_a_freqtrade_folder_that_does_not_fit_is_told(tmp_path: Path) -> None:
    write_freqtrade(tmp_path, "json")
    options = {"folder": str(tmp_path), "symbol": "ETH/USDT"}
    with pytest.raises(SourceError, match=r"one file of ETH/USDT at 15m, found none of BTC_USDT-15m\.json"):
        open_source("freqtrade", options).bars()
    write_freqtrade(tmp_path, "feather")
    with pytest.raises(SourceError, match=r"found BTC_USDT-15m\.json, BTC_USDT-15m\.feather"):
        open_source("freqtrade", {**options, "symbol": "BTC/USDT"}).bars()
    (tmp_path / "BTC_USDT-15m.json").unlink()
    cut = (tmp_path / "BTC_USDT-15m.feather").read_bytes()
    (tmp_path / "BTC_USDT-15m.feather").write_bytes(cut[: len(cut) // 2])
    with pytest.raises(SourceError, match="cut off"):
        open_source("freqtrade", {**options, "symbol": "BTC/USDT"}).bars()


DTYPE = np.dtype(
    [
        ("ev", "u8"),
        ("exch_ts", "i8"),
        ("local_ts", "i8"),
        ("px", "f8"),
        ("qty", "f8"),
        ("order_id", "u8"),
        ("ival", "i8"),
        ("fval", "f8"),
    ],
    align=True,
)


def events(*rows: tuple[int, float, float]) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    full = [(ev, 100 + n, 200 + n, px, qty, 0, 0, 0.0) for n, (ev, px, qty) in enumerate(rows)]
    return np.array(full, dtype=DTYPE)


def test_events_of_hftbacktest_become_integers(tmp_path: Path) -> None:
    both = AT_VENUE | AT_US
    data = events((4 | both | BUY, 0.1, 3), (2 | AT_VENUE | SELL, 60_000.01, 0.001), (3 | both | SELL, float("nan"), 0))
    np.savez_compressed(tmp_path / "day.npz", data=data)
    found = read_events(tmp_path / "day.npz")
    assert found["kind"].to_list() == ["depth_snapshot", "trade", "depth_clear"]
    assert found["side"].to_list() == ["buy", "sell", "sell"]
    assert found["price"].to_list() == [10_000_000, 6_000_001_000_000, None]
    assert found["quantity"].to_list() == [300_000_000, 100_000, 0]
    assert found["ts_event"].to_list() == [100, 101, 102]
    assert found["at_us"].to_list() == [True, False, True]
    np.save(tmp_path / "day.npy", data)
    assert read_events(tmp_path / "day.npy").equals(found)


def test_event_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "unknown.npz", data=events((2 | BUY, 1, 1), (99, 1, 1)))
    with pytest.raises(SourceError, match=r"unknown\.npz: row 2: is an event of the unknown kind 99"):
        read_events(tmp_path / "unknown.npz")
    np.savez(tmp_path / "infinite.npz", data=events((2 | BUY, float("inf"), 1)))
    with pytest.raises(SourceError, match="row 1: px is"):
        read_events(tmp_path / "infinite.npz")
    np.savez(tmp_path / "other.npz", rows=events((2, 1, 1)))
    with pytest.raises(SourceError, match="holds no array called data"):
        read_events(tmp_path / "other.npz")
    np.savez(tmp_path / "bare.npz", data=np.zeros(3))
    with pytest.raises(SourceError, match="has no ev, exch_ts"):
        read_events(tmp_path / "bare.npz")
    content = (tmp_path / "unknown.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(SourceError, match="is cut off, damaged or no NumPy file"):
        read_events(tmp_path / "cut.npz")


def test_bundled_stocks_have_late_listings_and_their_own_days(tmp_path: Path) -> None:
    source = open_partitioned("bundled_stocks")
    received, lake = Received(tmp_path / "landing", "bundled_stocks"), Lake(str(tmp_path / "lake"))
    done = ingest(source, None, received, lake, lambda: 1_750_000_000 * 10**9)
    assert {step.partition: step.rows for step in done.steps} == {
        "AAPL": 3_270,
        "FB": 196,
        "GOOG": 2_148,
        "IBM": 3_270,
        "MSFT": 3_270,
    }
    rows = scan(lake.uri("raw", "bundled_stocks")).collect()
    first = dict(rows.group_by("symbol").agg(pl.col("day").min()).iter_rows())
    assert first["FB"] == bundled.listed_on("FB") == date(2012, 5, 18)
    apple = rows.filter((pl.col("symbol") == "AAPL") & (pl.col("day") == date(2000, 3, 1))).row(0, named=True)
    assert (apple["open"], apple["volume"]) == (118_56 * 10**6, 9_616_100)
    assert apple["ts_known"] == 951_955_200 * 10**9  # 2000-03-02 00:00 UTC
    # All five come in one file, which is kept once.
    assert rows["payload_sha256"].n_unique() == 1
    assert (
        len([path for path in (tmp_path / "landing" / "bundled_stocks" / "content").rglob("*") if path.is_file()]) == 1
    )


def test_bundled_indices_keep_their_missing_values(tmp_path: Path) -> None:
    source = open_partitioned("bundled_indices")
    received, lake = Received(tmp_path / "landing", "bundled_indices"), Lake(str(tmp_path / "lake"))
    ingest(source, None, received, lake, lambda: 1)
    rows = scan(lake.uri("raw", "bundled_indices")).collect()
    assert dict(rows.group_by("symbol").len().iter_rows()) == {"SP500": 5_031, "NASDAQ": 5_031, "VIX": 1_305}
    vix = rows.filter(pl.col("symbol") == "VIX")
    assert vix["close"].null_count() == 46
    assert vix["open"].null_count() == vix.height
    assert rows.filter(pl.col("symbol") == "SP500")["close"].null_count() == 0


@pytest.mark.parametrize("symbol", ["AAPL", "GOOG", "SP500"])
def test_bundled_series_are_market_bars_too(symbol: str) -> None:
    bars = open_source("bundled_daily", {"symbol": symbol}).bars()
    assert bars.schema == OFFERED_SCHEMA
    assert bars["symbol"].unique().to_list() == [symbol]
    assert bars["date"].is_sorted()
    with pytest.raises(SourceError, match="has no column for open"):
        open_source("bundled_daily", {"symbol": "VIX"}).bars()
    with pytest.raises(SourceError, match="is not bundled; there are SP500"):
        open_source("bundled_daily", {"symbol": "TSLA"}).bars()


def bars_definition(folder: Path, source: str, settings: str) -> Path:
    path = folder / "some_bars.toml"
    text = f'kind = "bars"\nkey = ["symbol", "ts_open"]\n[options]\nsource = "{source}"\nsettings = {settings}\n'
    path.write_text(text + '[known]\ncolumn = "ts_open"\nlag_seconds = 60\n')
    return path


@needs_lean
def test_bars_of_another_system_are_a_source_like_any_other(tmp_path: Path) -> None:
    path = bars_definition(tmp_path, "lean", f'{{ folder = "{MINUTE}", symbol = "IBM" }}')
    source = open_partitioned(str(path))
    received, lake = Received(tmp_path / "landing", "some_bars"), Lake(str(tmp_path / "lake"))
    days = [f"2013-10-{day:02}" for day in range(4, 10)]
    done = ingest(source, days, received, lake, lambda: 1_750_000_000 * 10**9)
    # A weekend lies between.
    assert [step.outcome for step in done.steps] == ["landed", "absent", "absent", "landed", "landed", "landed"]
    rows = scan(lake.uri("raw", "some_bars")).sort("ts_open").collect()
    offered = (
        open_source("lean", {"folder": str(MINUTE), "symbol": "IBM"}).bars().filter(pl.col("date") < date(2013, 10, 10))
    )
    assert rows["close"].to_list() == [round(float(close) * 10**8) for close in offered["close"]]
    assert (rows["ts_known"] - rows["ts_open"]).unique().to_list() == [60 * 10**9]
    first = pl.from_epoch(rows["ts_open"], "ns").dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    assert first.dt.strftime("%Y-%m-%d %H:%M:%S.000").to_list() == offered["datetime"].to_list()
    again = ingest(source, days, received, lake, lambda: 1_750_000_001 * 10**9)
    assert {step.outcome for step in again.steps} == {"unchanged", "absent"}


def test_bars_that_cannot_be_opened_are_a_fault_of_the_definition(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"some_bars\.toml:4: options\.source: .* is no known source; known are"):
        open_partitioned(str(bars_definition(tmp_path, "laen", "{}")))
    with pytest.raises(DefinitionError, match="option folder: is missing"):
        open_partitioned(str(bars_definition(tmp_path, "local", "{}")))
