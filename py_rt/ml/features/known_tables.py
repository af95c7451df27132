"""What became known beside the market, from tables of the lake; `config/known.toml` says where.

The pipeline's features, the comparison with captured trades and backtests read the same rows, so that one bar is given
the same facts in all of them, and those that the service is told (`py_rt tell`).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.bar_files import UNITS
from py_rt.data.point_in_time import AGE, KNOWN, as_of
from py_rt.data.storage import exists, scales_of_table, scan
from py_rt.ml.features.technical import BAR_COLUMNS, FeatureError, FeatureSet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from py_rt.data.storage import Lake
    from py_rt.ml.features.technical import SlowColumn

GROUPS = ("raw", "cleaned")
"""Where tables of sources lie; an imputed one is cleaned."""

_KEYS = ("table", "column", "where", "period")
_AT, _WHO, _PERIOD, _VALUE = "_at", "_who", "_period", "_value"


@dataclass(frozen=True, slots=True)
class KnownColumn:
    """Where a slow parameter stands.

    Attributes:
        table: of a source, in the lake.
        column: numbers as people write them.
        where: rows that count, by the values of other columns.
        period: column of the period that a row speaks of; empty where rows have none.
    """

    table: str
    column: str
    where: tuple[tuple[str, str], ...] = ()
    period: str = ""


def read_known_columns(path: Path) -> dict[str, KnownColumn]:
    """Read the file, by the names of slow parameters.

    Raises:
        FeatureError: it cannot be read, or says something else; the key is named.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FeatureError(f"{path} cannot be read: {error}") from error
    return {name: _known_column(path, name, facts) for name, facts in document.items()}


def _known_column(path: Path, name: str, facts: object) -> KnownColumn:
    said = facts if isinstance(facts, dict) else {}
    where = said.get("where", {})
    table, column, period = (said.get("table", ""), said.get("column", name), said.get("period", ""))
    texts = [table, column, period, *(where.values() if isinstance(where, dict) else [None])]
    if not table or set(said) - set(_KEYS) or not all(isinstance(text, str) for text in texts):
        raise FeatureError(
            f"{path}: [{name}] says {facts!r}; allowed are {', '.join(_KEYS)}: texts, of which table is needed, and "
            "where a table of columns and texts"
        )
    return KnownColumn(table, column, tuple(sorted(where.items())), period)


@dataclass(frozen=True)
class BarsBeside:
    """Bars with the columns that features read beside theirs.

    Attributes:
        bars: with each of them, Float64, NaN where it is unknown.
        untold: those of which nothing says anything, and why.
    """

    bars: pl.DataFrame
    untold: Mapping[str, str]


def with_beside(bars: pl.DataFrame, features: FeatureSet, lake: Lake, known: Mapping[str, KnownColumn]) -> BarsBeside:
    """Give bars what was known when each had closed.

    Args:
        bars: at least `BAR_COLUMNS`, in any order; columns that are there already stay.
        features: what reads them.
        lake: of the tables.
        known: from :func:`read_known_columns`.

    Raises:
        FeatureError: a column that is not there or holds no numbers, or rows that became known at one time and no
            period to order them by.
        TableError: a table cannot be read.
    """
    slow = {column.name: column for column in features.slow}
    made, untold = bars, dict[str, str]()
    for name in features.columns[len(BAR_COLUMNS) :]:
        if name in bars.columns:
            continue
        column, place = slow.get(name), known.get(name)
        values = pl.Series([float("nan")] * bars.height, dtype=pl.Float64)
        if column is None:
            untold[name] = "what happens within bars comes from recordings of quotes and trades"
        elif place is None:
            untold[name] = f"no [{name}] in config/known.toml"
        elif (uri := _uri(lake, place.table)) is None:
            untold[name] = f"table {place.table} is not in the lake yet"
        else:
            facts = _facts(column, place, uri, bars["ts_open"] + features.bar_ns)
            values = _joined(bars, column, facts, features.bar_ns)
        made = made.with_columns(values.alias(name))
    return BarsBeside(made, untold)


def tables_read(features: FeatureSet, lake: Lake, known: Mapping[str, KnownColumn]) -> dict[str, str]:
    """The tables that tell the slow parameters of some features, with their groups."""
    names = {known[column.name].table for column in features.slow if column.name in known}
    return {name: group for name in sorted(names) for group in GROUPS if exists(lake.uri(group, name))}


def told(untold: Mapping[str, str]) -> str:
    """What is not told, in a sentence; empty where there is nothing."""
    return f"unknown: {'; '.join(f'{name} ({why})' for name, why in untold.items())}" if untold else ""


def _uri(lake: Lake, table: str) -> str | None:
    return next((uri for group in GROUPS if exists(uri := lake.uri(group, table))), None)


def _joined(bars: pl.DataFrame, column: SlowColumn, facts: pl.DataFrame, bar_ns: int) -> pl.Series:
    at = bars["ts_open"] + bar_ns
    unit = 1.0 if column.unit == "number" else UNITS
    period = _PERIOD if _PERIOD in facts.columns else None
    decisions = pl.DataFrame({_AT: at, _WHO: 0}, schema={_AT: pl.Int64, _WHO: pl.Int32})
    joined = as_of(decisions, facts, at=_AT, by=[_WHO], period=period)
    # The newest fact counts or none does: an older one is not in force because the newest is too old.
    young = pl.col(AGE) <= column.max_age_ns
    value = pl.when(young).then(pl.col(_VALUE).fill_null(float("nan")) * unit).otherwise(float("nan"))
    return joined.select(value.alias(column.name)).to_series()


def _facts(column: SlowColumn, place: KnownColumn, uri: str, at: pl.Series) -> pl.DataFrame:
    """Rows that became known in time for one of the bars."""
    rows = scan(uri)
    there = rows.collect_schema()
    wanted = [KNOWN, place.column, *(name for name, _ in place.where), *([place.period] if place.period else [])]
    if absent := [name for name in wanted if name not in there]:
        raise FeatureError(
            f"[{column.name}]: {place.table} has no column {', '.join(absent)}; it has {', '.join(there)}"
        )
    if not there[place.column].is_numeric():
        raise FeatureError(
            f"[{column.name}]: {place.table}.{place.column} is {there[place.column]}; numbers are needed"
        )
    ours = [pl.col(name).cast(pl.String) == value for name, value in place.where]
    seen = pl.col(KNOWN) <= at.max()
    period = [pl.col(place.period).alias(_PERIOD)] if place.period else []
    scale = scales_of_table(uri).get(place.column, 0)
    value = (pl.col(place.column).cast(pl.Float64) / 10**scale).alias(_VALUE)
    made = rows.filter(seen, *ours).select(KNOWN, value, *period, pl.lit(0).alias(_WHO)).collect()
    if not place.period and (twice := made.filter(made[KNOWN].is_duplicated())).height:
        raise FeatureError(
            f"[{column.name}]: {place.table} has {twice.height} rows that became known together ({KNOWN} "
            f"{twice[KNOWN][0]}): say which rows are the instrument's (where), or the column of their period"
        )
    return made
