from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from py_rt.data.ingestion.market_data import BundledSource

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def bundled_rows() -> pl.DataFrame:
    """The bundled 15-minute bars as they land."""
    return BundledSource().bars().with_columns(ts_arrival=pl.lit(1, dtype=pl.Int64))


@pytest.fixture
def raw_rows() -> Callable[..., pl.DataFrame]:
    return make


@pytest.fixture(scope="session")
def raw_rows_of() -> Callable[..., pl.DataFrame]:
    """The same for property tests, which may not take a fixture that is made anew for each test."""
    return make


def make(
    *rows: tuple[str, ...], source_end: str | None = None, volume_unit: str = "base", sha256: str = "ab"
) -> pl.DataFrame:
    """Make raw rows from `(time, open, high, low, close, volume)` texts."""
    end = source_end or next(row[0] for row in reversed(rows) if row[0][:1].isdigit())
    columns = ("datetime", "open", "high", "low", "close", "volume")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
    return frame.with_columns(
        pl.lit(None, dtype=pl.String).alias("extra"),
        pl.lit("BTC-USD").alias("symbol"),
        pl.lit(volume_unit).alias("volume_unit"),
        pl.lit("UTC").alias("time_zone"),
        pl.lit("test").alias("source"),
        pl.lit("bars.csv").alias("file"),
        pl.lit(sha256).alias("file_sha256"),
        pl.int_range(2, len(rows) + 2, dtype=pl.Int64).alias("row_number"),
        pl.lit(epoch_ns(end), dtype=pl.Int64).alias("source_end"),
        pl.lit(1, dtype=pl.Int64).alias("ts_arrival"),
        pl.Series("date", [_day(row[0], rows) for row in rows], dtype=pl.Date),
    )


def epoch_ns(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1_000


def _day(text: str, rows: tuple[tuple[str, ...], ...]) -> date:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return date.fromisoformat(rows[0][0][:10])
