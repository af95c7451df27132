"""What became known of an instrument beside its market, carried to its bars: reports, texts, the world.

A bar is given what was known when it had closed (`py_rt.ml.features.closes`), and nothing that was known for too long.
What is known of a day, without a time, is known when that day is over.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.bar_columns import NAMES
from py_rt.data.bar_files import LARGEST, UNITS
from py_rt.data.ingestion.raw_files import read_raw_file
from py_rt.data.point_in_time import AGE, KNOWN, as_of
from py_rt.data.timestamps import NS_PER_DAY, read_utc_ns
from py_rt.errors import SourceError
from py_rt.ml.features.closes import closed_at
from py_rt.ml.features.expressions import meanings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from py_rt.data.bar_files import BarFile
    from py_rt.data.ingestion.raw_files import RawFile
    from py_rt.ml.features.technical import SlowColumn

MAX_AGE_DAYS = 400
"""A yearly report is in force until the next one is due, and a little longer."""

MISSING = ("", "nan", "NaN", "null", "None")
"""How a number that is not there is written."""

_NAMED_MAX = 5
_WHO, _AT = "_who", "_at"
_NAME = re.compile("[a-z0-9_]{1,64}$")


def known_columns() -> dict[str, str]:
    """Names and units of the columns that features of the catalogue read beside those of bars."""
    return dict(meanings([])[1])


def read_facts(
    path: Path, time_zone: str = "UTC", units: Mapping[str, str] | None = None, symbol: str = ""
) -> pl.DataFrame:
    """Facts as a file has them, in order of the times at which they became known.

    Args:
        path: CSV, gzipped CSV or Parquet with the column `ts_known`.
        time_zone: IANA name, for times that say none.
        units: the columns that are read, where the file has them; without it every column whose name is a parameter's.
        symbol: whose facts are meant, in a file that has a column of symbols.

    Returns:
        `ts_known` (Int64, UTC ns) and the columns (Float64, as people write them), NaN where nothing is written.

    Raises:
        SourceError: a column is missing, facts of several symbols and none chosen, or a row has no readable time or
            number, or the time of another.
    """
    raw = _of_symbol(read_raw_file("known", path, path.name), symbol)
    names = [name for name in raw.columns.columns if name != KNOWN and _is_read(name, units)]
    if KNOWN not in raw.columns.columns or not names:
        wanted = ", ".join(units) if units else "columns of slow parameters, named a to z, 0 to 9 and _"
        problem = f"needs {KNOWN} and {'one of ' if units else ''}{wanted}; it has {', '.join(raw.columns.columns)}"
        raise SourceError("known", path.name, 1, problem)
    ts_known = _times(raw, time_zone)
    return pl.DataFrame([ts_known.alias(KNOWN), *(_numbers(raw, name) for name in names)]).sort(KNOWN)


def _is_read(name: str, units: Mapping[str, str] | None) -> bool:
    if units is not None:
        return name in units
    return _NAME.match(name) is not None and name not in NAMES["symbol"]


def with_known(
    file: BarFile,
    path: Path,
    max_age_days: int | None = None,
    time_zone: str = "UTC",
    *,
    symbol: str = "",
    close: str = "",
    declared: Sequence[SlowColumn] = (),
) -> BarFile:
    """The bars with the newest facts of a file that were known when each had closed; unknown (NaN) where there is none.

    Args:
        file: the bars.
        path: as for :func:`read_facts`, with any of :func:`known_columns` and of those declared.
        max_age_days: a fact known longer ago than this is too old, and none is given; without it `MAX_AGE_DAYS`, or the
            declared age.
        time_zone: IANA name, for times that say none.
        symbol: whose facts are meant, in a file that has a column of symbols.
        close: when the venue closes, as for :func:`closed_at`.
        declared: the slow parameters of a model's feature file; the shorter age counts.

    Raises:
        SourceError: as for :func:`read_facts`.
        CloseError: as for :func:`closed_at`.
    """
    units = known_columns() | {column.name: column.unit for column in declared}
    facts = read_facts(path, time_zone, units, symbol).with_columns(pl.lit(0).alias(_WHO))
    closed = closed_at(file.ts_open, file.span_ns, close)
    decisions = file.bars.with_columns(closed.alias(_AT), pl.lit(0).alias(_WHO))
    joined = as_of(decisions, facts, at=_AT, by=[_WHO])
    longest = None if max_age_days is None else max_age_days * NS_PER_DAY
    unknown = pl.lit(float("nan"))
    ages = {column.name: column.max_age_ns for column in declared}
    values = []
    for name in (name for name in facts.columns if name in units):
        value = pl.col(name).cast(pl.Float64).fill_null(float("nan")) * (1.0 if units[name] == "number" else UNITS)
        own = ages.get(name, longest or MAX_AGE_DAYS * NS_PER_DAY)
        young = pl.col(AGE) <= min(own, longest or own)
        values.append(pl.when(young).then(value).otherwise(unknown).alias(name))
    return replace(file, bars=joined.select(*file.bars.columns, *values))


def _of_symbol(raw: RawFile, symbol: str) -> RawFile:
    """The rows of one symbol; all of them in a file that names one or none."""
    column = next((name for name in raw.columns.columns if name.strip().casefold() in NAMES["symbol"]), None)
    if column is None:
        if symbol:
            problem = (
                f"has no column of symbols (spelled {', '.join(NAMES['symbol'])}): leave --known-symbol {symbol} out"
            )
            raise SourceError("known", raw.name, 1, problem)
        return raw
    symbols = raw.columns[column].fill_null("").str.strip_chars()
    there = symbols.unique(maintain_order=True).to_list()
    some = ", ".join(map(repr, there[:_NAMED_MAX])) + (" and more" if len(there) > _NAMED_MAX else "")
    if not symbol and len(there) > 1:
        problem = (
            f"{column} has {len(there)} values ({some}), and bars are one instrument's: say whose with --known-symbol"
        )
        raise SourceError("known", raw.name, None, problem)
    if symbol and symbol not in there:
        raise SourceError("known", raw.name, None, f"has no rows with {column} {symbol!r}; there are {some}")
    kept = symbols == (symbol or there[0])
    rows = [number for number, is_kept in zip(raw.row_numbers, kept, strict=True) if is_kept]
    return replace(raw, columns=raw.columns.filter(kept), row_numbers=rows)


def _times(raw: RawFile, time_zone: str) -> pl.Series:
    text = raw.columns[KNOWN].str.strip_chars()
    ts_known = read_utc_ns(text, time_zone)
    _refuse(raw, KNOWN, ts_known.is_null(), "cannot be read as a time", "allowed are ISO 8601, YYYYMMDD and Unix times")
    # Of a day: its end, which is where the next one begins in that zone.
    day = pl.coalesce(pl.col(KNOWN).str.to_date(form, strict=False) for form in ("%Y-%m-%d", "%Y%m%d"))
    next_day = text.to_frame(KNOWN).select(day.dt.offset_by("1d").dt.to_string("%Y-%m-%d")).to_series()
    over = read_utc_ns(next_day, time_zone).fill_null(ts_known + NS_PER_DAY)
    known = ts_known.zip_with(next_day.is_null(), over)
    once = "give what became known at once one row"
    _refuse(raw, KNOWN, ~known.is_first_distinct(), "stands in a row above, too", once)
    return known


def _numbers(raw: RawFile, name: str) -> pl.Series:
    text = raw.columns[name].str.strip_chars()
    read = text.cast(pl.Float64, strict=False)
    is_empty = text.is_null() | text.is_in(MISSING)
    # Infinities are larger, and NaN compares as the largest of all.
    wrong = (read.is_null() | (read.fill_null(0.0).abs() > LARGEST)) & ~is_empty
    allowed = f"allowed are numbers up to {LARGEST:g}, and nothing where one is missing"
    _refuse(raw, name, wrong, "is no finite number", allowed)
    return read.fill_null(float("nan")).alias(name)


def _refuse(raw: RawFile, column: str, wrong: pl.Series, problem: str, then: str) -> None:
    if wrong.any():
        at = int(wrong.arg_max() or 0)
        cell = raw.columns[column][at]
        raise SourceError("known", raw.name, raw.row_numbers[at], f"{column} {problem}: {cell!r}; {then}")
