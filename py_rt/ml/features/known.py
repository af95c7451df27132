"""What became known of an instrument beside its market, carried to its bars: reports, texts, the world.

A bar is given what was known at its close, and nothing that was known for too long.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.bar_files import UNITS
from py_rt.data.ingestion.raw_files import read_raw_file
from py_rt.data.point_in_time import KNOWN, as_of
from py_rt.data.timestamps import NS_PER_DAY, read_utc_ns
from py_rt.errors import SourceError
from py_rt.ml.features.expressions import meanings

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt.data.bar_files import BarFile

MAX_AGE_DAYS = 400
"""A yearly report is in force until the next one is due, and a little longer."""

_WHO, _AT = "_who", "_at"


def known_columns() -> dict[str, str]:
    """Names and units of the columns that features of the catalogue read beside those of bars."""
    return dict(meanings([])[1])


def with_known(file: BarFile, path: Path, max_age_days: int = MAX_AGE_DAYS, time_zone: str = "UTC") -> BarFile:
    """The bars with the newest facts of a file that were known at each one's close; unknown (NaN) where there is none.

    Args:
        file: the bars.
        path: CSV, gzipped CSV or Parquet with the column `ts_known` and any of :func:`known_columns`.
        max_age_days: a fact known longer ago than this is too old, and none is given.
        time_zone: IANA name, for times that say none.

    Raises:
        SourceError: a column is missing, or a row has no readable time or number.
    """
    raw = read_raw_file("known", path, path.name)
    allowed = known_columns()
    found = {name: unit for name, unit in allowed.items() if name in raw.columns.columns}
    if KNOWN not in raw.columns.columns or not found:
        problem = f"needs {KNOWN} and one of {', '.join(allowed)}; it has {', '.join(raw.columns.columns)}"
        raise SourceError("known", path.name, 1, problem)
    ts_known = read_utc_ns(raw.columns[KNOWN], time_zone)
    _refuse(raw.row_numbers, path, ts_known.is_null(), f"{KNOWN} cannot be read as a time")
    values = []
    for name, unit in found.items():
        text = raw.columns[name].str.strip_chars()
        read = text.cast(pl.Float64, strict=False)
        _refuse(raw.row_numbers, path, read.is_null() & text.is_not_null() & (text != ""), f"{name} is no number")
        values.append((read * (1.0 if unit == "number" else UNITS)).fill_null(float("nan")).alias(name))
    facts = pl.DataFrame([ts_known.alias(KNOWN), *values]).with_columns(pl.lit(0).alias(_WHO))
    decisions = file.bars.with_columns((file.ts_open + file.span_ns).alias(_AT), pl.lit(0).alias(_WHO))
    joined = as_of(decisions, facts, at=_AT, by=[_WHO], max_age_ns=max_age_days * NS_PER_DAY)
    bars = joined.select(*file.bars.columns, pl.col(*found).cast(pl.Float64).fill_null(float("nan")))
    return replace(file, bars=bars)


def _refuse(rows: list[int], path: Path, wrong: pl.Series, problem: str) -> None:
    if wrong.any():
        raise SourceError("known", path.name, rows[int(wrong.arg_max() or 0)], problem)
