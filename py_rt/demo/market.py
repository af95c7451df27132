"""The published bars as the venue server takes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.storage import Lake, scan

if TYPE_CHECKING:
    from pathlib import Path

UNITS = 100_000_000
DECIMALS = 8
NS_PER_S = 1_000_000_000


def lake_of(home: Path) -> Lake:
    """The tables below a home."""
    return Lake(str(home / "lake"))


def write_bars(home: Path, path: Path) -> pl.DataFrame:
    """Write `clean_bars` as CSV with decimal text, to the last unit.

    Args:
        home: the folder of everything that is made.
        path: of the CSV.

    Returns:
        The bars, `ts_open` ascending.
    """
    bars = scan(lake_of(home).uri("cleaned", "clean_bars")).collect().sort("ts_open")
    columns = [decimal_text(name) for name in ("open", "high", "low", "close", "volume")]
    bars.select("ts_open", *columns).write_csv(path)
    return bars


def decimal_text(name: str) -> pl.Expr:
    """A column of units of 1e-8 as decimal text.

    >>> pl.DataFrame({"open": [4_344_306_250_000, 5]}).select(decimal_text("open"))["open"].to_list()
    ['43443.06250000', '0.00000005']
    """
    whole, part = pl.col(name) // UNITS, (pl.col(name) % UNITS).cast(pl.String).str.zfill(DECIMALS)
    return pl.concat_str(whole, pl.lit("."), part).alias(name)


def day_ns(day: str) -> int:
    """Midnight of a day, ns UTC.

    >>> day_ns("2021-12-01")
    1638316800000000000
    """
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * NS_PER_S
