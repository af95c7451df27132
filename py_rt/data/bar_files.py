"""A file of bars for computing on: columns by their usual names, times read, numbers in the engine's units.

Prices are whole numbers of 1e-8 where they are written so; a price with more digits keeps them. Nothing is repaired:
`py_rt data clean` does that.
"""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from py_rt.data.ingestion.market_data import SPELLINGS
from py_rt.data.ingestion.raw_files import RawFile, read_raw_file
from py_rt.data.timestamps import NS_PER_DAY, NS_PER_SECOND, read_utc_ns
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

UNITS = 1e8
"""Units of a price or quantity of one."""

PRICES = ("open", "high", "low", "close")
_WEEK_NS = 7 * NS_PER_DAY
_MONDAY_NS = 4 * NS_PER_DAY
"""The epoch was a Thursday: the first Monday after it."""

_ROUNDED = 4.0
"""Units of the last place within which a number of units is taken for the whole number beside it."""


@dataclass(frozen=True, slots=True)
class BarFile:
    """Bars of one instrument.

    Attributes:
        time: the column of times as it stands in the file, with its name there.
        bars: what `Expressions.compute` takes: inputs (Float64, units of 1e-8) and `number`, the row.
        ts_open: UTC ns.
        span_ns: the most frequent distance of two bars.
        is_newest_first: whether the file's rows stand so; `bars` and `ts_open` rise in time.
    """

    time: pl.Series
    bars: pl.DataFrame
    ts_open: pl.Series
    span_ns: int
    is_newest_first: bool

    def in_file_order(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows that stand as `bars` do, as the file's stand."""
        return frame.reverse() if self.is_newest_first else frame


def read_bar_file(path: Path, time_zone: str = "UTC") -> BarFile:
    """Read bars from CSV, gzipped CSV or Parquet.

    Args:
        path: of the file.
        time_zone: IANA name, for times that say none.

    Raises:
        SourceError: a column is missing, or a row has no readable time or number, or stands before the one above it.
    """
    file = read_raw_file("file", path, path.name)
    columns = _columns(file)
    ts_open = read_utc_ns(file.columns[columns["datetime"]], time_zone)
    is_newest_first = ts_open.len() > 1 and bool((ts_open.diff().drop_nulls() < 0).all())
    if is_newest_first:
        turned = file.columns.reverse()
        file = RawFile(file.name, file.sha256, turned, file.row_numbers[::-1])
        ts_open = ts_open.reverse()
    _check_times(file, columns["datetime"], ts_open)
    numbers = {name: _numbers(file, columns[name]) for name in PRICES}
    rows = file.columns.height
    volume = _numbers(file, columns["volume"]) if "volume" in columns else np.full(rows, np.nan)
    span = _span(ts_open)
    ts_close = ts_open + span
    bars = pl.DataFrame(
        {
            "number": pl.Series(range(rows), dtype=pl.Int64),
            **{name: units(values) for name, values in numbers.items()},
            "volume": units(volume),
            # NumPy divides as the engine does; Polars multiplies by the reciprocal, which has other last bits.
            "day_fraction": (ts_close % NS_PER_DAY).to_numpy() / NS_PER_DAY,
            "week_fraction": ((ts_close - _MONDAY_NS) % _WEEK_NS).to_numpy() / _WEEK_NS,
        }
    )
    time = file.columns[columns["datetime"]]
    return BarFile(time.reverse() if is_newest_first else time, bars, ts_open, span, is_newest_first)


def with_reference(file: BarFile, reference: BarFile) -> BarFile:
    """The bars with those of a reference instrument beside them: `reference_open` and so on, of the same opening time.

    Where the reference has no bar, its columns are unknown (NaN): nothing is carried over from another time.

    Raises:
        SourceError: the reference's bars have another length: a longer one closes later, and would tell the future.
    """
    if reference.span_ns != file.span_ns:
        spans = f"{reference.span_ns / NS_PER_SECOND:g} s apart, the others {file.span_ns / NS_PER_SECOND:g} s"
        raise SourceError("reference", "bars", None, f"its bars stand {spans}; allowed are bars of one length")
    columns = (*PRICES, "volume")
    other = reference.bars.select(pl.col(name).alias(f"reference_{name}") for name in columns)
    other = other.with_columns(reference.ts_open.alias("ts_open"))
    joined = file.bars.with_columns(file.ts_open.alias("ts_open")).join(
        other, on="ts_open", how="left", maintain_order="left"
    )
    filled = joined.drop("ts_open").with_columns(pl.col("^reference_.*$").fill_null(float("nan")))
    return replace(file, bars=filled)


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a table as CSV, gzipped CSV or Parquet, by its suffix: whole or not at all. NaN is an empty field of a CSV.

    Raises:
        SourceError: another suffix, or a folder that cannot be written to.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.name.endswith(".parquet"):
            frame.write_parquet(aside)
        elif path.name.endswith((".csv", ".csv.gz")):
            text = frame.with_columns(pl.col(pl.Float64).fill_nan(None)).write_csv().encode()
            # Without a time in the header the same table has the same bytes.
            aside.write_bytes(gzip.compress(text, mtime=0) if path.name.endswith(".gz") else text)
        else:
            raise SourceError("file", path.name, None, "must end with .csv, .csv.gz or .parquet")
        aside.replace(path)
    except OSError as error:
        raise SourceError("file", str(path), None, f"cannot be written: {error.strerror}") from error
    finally:
        aside.unlink(missing_ok=True)


def units(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers in units of 1e-8: whole where they are written with at most eight decimal places.

    >>> units(np.array([0.1, 35.43986129760742])).tolist()
    [10000000.0, 3543986129.760742]
    """
    scaled = values * UNITS
    whole = np.rint(scaled)
    is_whole = np.abs(scaled - whole) <= _ROUNDED * np.spacing(np.abs(scaled))
    return np.where(is_whole, whole, scaled)


def _columns(file: RawFile) -> dict[str, str]:
    by_spelling: dict[str, str] = {}
    for column in file.columns.columns:
        by_spelling.setdefault(_normal(column), column)
    found = {}
    for ours, spellings in SPELLINGS.items():
        theirs = next((by_spelling[word] for word in spellings if word in by_spelling), None)
        if theirs is not None:
            found[ours] = theirs
    if missing := [name for name in ("datetime", *PRICES) if name not in found]:
        wanted = "; ".join(f"{name} (spelled {', '.join(SPELLINGS[name])})" for name in missing)
        raise SourceError("file", file.name, 1, f"has no column for {wanted}; it has {', '.join(file.columns.columns)}")
    return found


def _normal(name: str) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in name.casefold()).split())


def _check_times(file: RawFile, column: str, ts_open: pl.Series) -> None:
    unread = ts_open.is_null()
    if unread.any():
        at = int(unread.arg_max() or 0)
        problem = f"the time {file.columns[column][at]!r} cannot be read; allowed are ISO 8601, YYYYMMDD and Unix times"
        raise SourceError("file", file.name, file.row_numbers[at], problem)
    behind = ts_open.diff() <= 0
    if behind.any():
        at = int(behind.fill_null(value=False).arg_max() or 0)
        problem = (
            f"the time {file.columns[column][at]!r} is not after {file.columns[column][at - 1]!r} above it; "
            "sort the rows, or let `py_rt data clean` find what is double"
        )
        raise SourceError("file", file.name, file.row_numbers[at], problem)


def _numbers(file: RawFile, column: str) -> NDArray[np.float64]:
    text = file.columns[column].str.strip_chars()
    read = text.cast(pl.Float64, strict=False)
    is_empty = text.is_null() | text.is_in(["", "nan", "NaN", "null", "None"])
    wrong = (read.is_null() | ~read.fill_null(0.0).is_finite()) & ~is_empty
    if wrong.any():
        at = int(wrong.arg_max() or 0)
        problem = f"{column} is {text[at]!r}; allowed are finite numbers, and nothing where one is missing"
        raise SourceError("file", file.name, file.row_numbers[at], problem)
    return np.asarray(read.fill_null(float("nan")).to_numpy(), dtype=np.float64)


def _span(ts_open: pl.Series) -> int:
    steps = ts_open.diff().drop_nulls()
    return int(steps.mode().min()) if steps.len() else NS_PER_DAY  # type: ignore[arg-type]
