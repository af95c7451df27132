"""What became known of an instrument beside its market, carried to its bars: reports, texts, the world.

A bar is given what was known at its close, and nothing that was known for too long.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.bar_files import UNITS
from py_rt.data.ingestion.raw_files import read_raw_file
from py_rt.data.point_in_time import AGE, KNOWN, as_of
from py_rt.data.timestamps import NS_PER_DAY, read_utc_ns
from py_rt.errors import SourceError
from py_rt.ml.features.catalogue import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from py_rt.data.bar_files import BarFile
    from py_rt.ml.features.technical import SlowColumn

MAX_AGE_DAYS = 400
"""A yearly report is in force until the next one is due, and a little longer."""

_WHO, _AT = "_who", "_at"
_NAME = re.compile("[a-z0-9_]{1,64}$")


def known_columns() -> dict[str, str]:
    """Names and units of the columns that features of the catalogue read beside those of bars."""
    return dict(column for feature in catalogue().values() for column in feature.columns)


def read_facts(path: Path, time_zone: str = "UTC", units: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Facts as a file has them, in order of the times at which they became known; of one time the last row counts.

    Args:
        path: CSV, gzipped CSV or Parquet with the column `ts_known`.
        time_zone: IANA name, for times that say none.
        units: the columns that are read, where the file has them; without it every column whose name is a parameter's.

    Returns:
        `ts_known` (Int64, UTC ns) and the columns (Float64, as people write them), NaN where nothing is written.

    Raises:
        SourceError: a column is missing, or a row has no readable time or number.
    """
    raw = read_raw_file("known", path, path.name)
    names = [name for name in raw.columns.columns if name != KNOWN and (name in units if units else _NAME.match(name))]
    if KNOWN not in raw.columns.columns or not names:
        wanted = ", ".join(units) if units else "columns of slow parameters, named a to z, 0 to 9 and _"
        problem = f"needs {KNOWN} and {'one of ' if units else ''}{wanted}; it has {', '.join(raw.columns.columns)}"
        raise SourceError("known", path.name, 1, problem)
    ts_known = read_utc_ns(raw.columns[KNOWN], time_zone)
    _refuse(raw.row_numbers, path, ts_known.is_null(), f"{KNOWN} cannot be read as a time")
    values = []
    for name in names:
        text = raw.columns[name].str.strip_chars()
        read = text.cast(pl.Float64, strict=False)
        is_written = text.is_not_null() & (text != "")
        _refuse(raw.row_numbers, path, read.is_null() & is_written, f"{name} is no number")
        _refuse(raw.row_numbers, path, read.is_infinite().fill_null(value=False), f"{name} is infinite")
        values.append(read.fill_null(float("nan")).alias(name))
    facts = pl.DataFrame([ts_known.alias(KNOWN), *values])
    return facts.unique(subset=[KNOWN], keep="last", maintain_order=True).sort(KNOWN)


def with_known(
    file: BarFile,
    path: Path,
    max_age_days: int = MAX_AGE_DAYS,
    time_zone: str = "UTC",
    declared: Sequence[SlowColumn] = (),
) -> BarFile:
    """The bars with the newest facts of a file that were known at each one's close; unknown (NaN) where there is none.

    Args:
        file: the bars.
        path: as for :func:`read_facts`, with any of :func:`known_columns` and of those declared.
        max_age_days: a fact known longer ago than this is too old, and none is given.
        time_zone: IANA name, for times that say none.
        declared: the slow parameters of a model's feature file: theirs is a shorter age.

    Raises:
        SourceError: a column is missing, or a row has no readable time or number.
    """
    units = known_columns() | {column.name: column.unit for column in declared}
    facts = read_facts(path, time_zone, units).with_columns(pl.lit(0).alias(_WHO))
    names = [name for name in facts.columns if name in units]
    decisions = file.bars.with_columns((file.ts_open + file.span_ns).alias(_AT), pl.lit(0).alias(_WHO))
    joined = as_of(decisions, facts, at=_AT, by=[_WHO], max_age_ns=max_age_days * NS_PER_DAY)
    unknown = pl.lit(float("nan"))
    ages = {column.name: column.max_age_ns for column in declared}
    values = []
    for name in names:
        value = pl.col(name).cast(pl.Float64).fill_null(float("nan")) * (1.0 if units[name] == "number" else UNITS)
        young = pl.col(AGE) <= ages.get(name, max_age_days * NS_PER_DAY)
        values.append(pl.when(young).then(value).otherwise(unknown).alias(name))
    return replace(file, bars=joined.select(*file.bars.columns, *values))


def _refuse(rows: list[int], path: Path, wrong: pl.Series, problem: str) -> None:
    if wrong.any():
        raise SourceError("known", path.name, rows[int(wrong.arg_max() or 0)], problem)
