"""Good bars from the shared data, in the form in which sources hand out bars: the ground that defects are planted in.

Of the US stocks the raw prices and the factor files become split-adjusted prices, an adjusted close, dividends and
splits, so that every kind of column is there.
"""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", "../shared/data"))

STOCKS = ("aapl", "aig", "bac", "ibm", "spy", "iwm", "googl", "uso", "bno")
"""Tickers whose file is one company, all of its splits in the factor file."""

NEW_YORK = "America/New_York"

RESTAMPED = "hourly spy in"
"""How the names of a series that is there again, in other zones, begin: nothing is planted in it twice."""

PLANTED_ROWS = 1_500
"""Rows of each series that defects are planted in; the newest ones."""


def stock(ticker: str) -> pl.DataFrame:
    """Daily bars of a US stock with every column."""
    folder = SHARED / "bars_us_equity_daily_1998_2021"
    with zipfile.ZipFile(folder / f"equity__usa__daily__{ticker}.zip") as archive:
        text = archive.read(archive.namelist()[0])
    names = ["Date", "Open", "High", "Low", "Close", "Volume"]
    raw = pl.read_csv(io.BytesIO(text), has_header=False, new_columns=names, schema_overrides={"Date": pl.String})
    days = raw["Date"].str.slice(0, 8).str.to_date("%Y%m%d")
    factors = _factors(folder / f"equity__usa__factor_files__{ticker}.csv", days)
    price, split = factors["price"].to_numpy(), factors["split"].to_numpy()
    prices = {name: raw[name].to_numpy() / 10_000 * split for name in names[1:5]}
    close = prices["Close"]
    share = np.r_[0.0, 1 - price[:-1] / price[1:]]
    ratio = np.r_[1.0, split[1:] / split[:-1]]
    return pl.DataFrame(
        {
            "Date": days.dt.strftime("%Y-%m-%d"),
            **prices,
            "Adj Close": close * price,
            "Volume": (raw["Volume"].to_numpy() / split).round().astype(np.int64),
            "Dividends": np.where(np.abs(share) > 1e-9, share * np.r_[close[0], close[:-1]], 0.0).round(12),
            "Stock Splits": np.where(np.abs(ratio - 1) > 1e-6, ratio, 0.0).round(6),
        }
    )


def _factors(path: Path, days: pl.Series) -> pl.DataFrame:
    text = pl.read_csv(path, has_header=False, infer_schema_length=0)
    rows = text.select(
        pl.nth(0).str.to_date("%Y%m%d").alias("date"),
        pl.nth(1).cast(pl.Float64).alias("price"),
        pl.nth(2).cast(pl.Float64).alias("split"),
    ).sort("date")
    frame = pl.DataFrame({"date": days})
    return frame.join_asof(rows, on="date", strategy="forward").fill_null(1.0)


def hourly(ticker: str, zone: str = NEW_YORK, form: str = "%Y-%m-%d %H:%M:%S") -> pl.DataFrame:
    """Hourly bars of a US stock, in times of a zone, prices as traded."""
    with zipfile.ZipFile(SHARED / "bars_us_equity_hourly_1998_2021" / f"equity__usa__hour__{ticker}.zip") as archive:
        text = archive.read(archive.namelist()[0])
    names = ["timestamp", "open", "high", "low", "close", "volume"]
    raw = pl.read_csv(io.BytesIO(text), has_header=False, new_columns=names)
    local = pl.col("timestamp").str.to_datetime("%Y%m%d %H:%M").dt.replace_time_zone(NEW_YORK)
    stamp = local.dt.convert_time_zone(zone).dt.strftime(form)
    return raw.with_columns(stamp, *(pl.col(name) / 10_000 for name in names[1:5]))


def stocknet() -> Iterator[tuple[str, pl.DataFrame]]:
    """Daily bars of 60 large stocks with an adjusted close and no dividends."""
    table = pl.read_parquet(SHARED / "stocknet_prices_tweets" / "prices.parquet")
    names = {"date": "Date", "open": "Open", "high": "High", "low": "Low", "close": "Close", "adj_close": "Adj Close"}
    for (symbol,), bars in sorted(table.group_by("symbol"), key=lambda one: str(one[0][0])):
        frame = bars.sort("date").drop("symbol").rename({**names, "volume": "Volume"})
        yield f"stocknet {symbol}", frame.with_columns(pl.col("Date").cast(pl.String))


def weekly(ticker: str) -> pl.DataFrame:
    """Weekly bars, made from daily ones."""
    bars = stock(ticker).with_columns(pl.col("Date").str.to_date())
    weeks = bars.group_by_dynamic("Date", every="1w").agg(
        pl.col("Open").first(),
        pl.col("High").max(),
        pl.col("Low").min(),
        pl.col("Close").last(),
        pl.col("Volume").sum(),
    )
    return weeks.with_columns(pl.col("Date").cast(pl.String))


def good() -> Iterator[tuple[str, pl.DataFrame]]:
    """Every good series by name."""
    for ticker in STOCKS:
        yield f"daily {ticker}", stock(ticker)
    for ticker in ("spy", "ibm"):
        yield f"hourly {ticker}", hourly(ticker).tail(6_000)
        yield f"weekly {ticker}", weekly(ticker)
    for zone, form in (("UTC", "%Y-%m-%dT%H:%M:%SZ"), ("Europe/Berlin", "%Y-%m-%d %H:%M:%S")):
        yield f"{RESTAMPED} {zone}", hourly("spy", zone, form)
    yield from stocknet()
    crypto = SHARED / "bars_crypto_hourly_daily"
    yield "minutes BTC-PERP", pl.read_csv(crypto / "BTC-PERP_1min_20211231_20220201.csv.gz")
    yield "daily BTCUSDT", pl.read_csv(crypto / "BTCUSDT_daily_20170816_20210112.csv.gz")
