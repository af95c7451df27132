"""What features read beside bars, from tables of the lake: facts (`config/known.toml` says where) and recorded flow.

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
from py_rt.data.schemas import FLOW_BARS
from py_rt.data.storage import exists, scales_of_table, scan
from py_rt.ml.features.flow_tables import flow_columns, flow_of_bars, stored_flow
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
        columns: their names.
    """

    bars: pl.DataFrame
    untold: Mapping[str, str]
    columns: tuple[str, ...] = ()

    @property
    def unknown(self) -> Mapping[str, int]:
        """On how many of the bars a column is unknown, for those where there is one."""
        counts = {name: int(self.bars[name].is_nan().sum()) for name in self.columns}
        return {name: count for name, count in counts.items() if count}

    @property
    def words(self) -> str:
        """What is unknown, in a sentence; empty where everything is known."""
        partly = {
            name: f"on {count} of {self.bars.height} bars"
            for name, count in self.unknown.items()
            if name not in self.untold
        }
        return told({**self.untold, **partly})


def with_beside(
    bars: pl.DataFrame,
    features: FeatureSet,
    lake: Lake,
    known: Mapping[str, KnownColumn],
    recorded: pl.DataFrame | None = None,
) -> BarsBeside:
    """Give bars what was known when each had closed, and what happened within it.

    Args:
        bars: at least `BAR_COLUMNS`, in any order, of one `instrument`; columns that are there already stay.
        features: what reads them.
        lake: of the tables.
        known: from :func:`read_known_columns`.
        recorded: rows of `flow_bars`; without them those of the lake.

    Raises:
        FeatureError: a column that is not there or holds no numbers, or rows that became known at one time and no
            period to order them by.
        TableError: a table cannot be read.
    """
    names = tuple(features.columns[len(BAR_COLUMNS) :])
    made, untold = bars, dict[str, str]()
    for column in features.slow:
        if column.name not in bars.columns:
            values, why = slow_column(bars, column, known.get(column.name), lake, features.bar_ns)
            made = made.with_columns(values.alias(column.name))
            untold |= {column.name: why} if why else {}
    if flow := [name for name in flow_columns(features) if name not in bars.columns]:
        columns, why = _flow(bars, flow, lake, features.bar_ns, recorded)
        made = made.with_columns(columns)
        untold |= dict.fromkeys(flow, why) if why else {}
    return BarsBeside(made, untold, names)


def _flow(
    bars: pl.DataFrame, names: list[str], lake: Lake, bar_ns: int, recorded: pl.DataFrame | None
) -> tuple[pl.DataFrame, str]:
    rows = stored_flow(lake, bars) if recorded is None else recorded
    if rows is None:
        unknown = pl.repeat(float("nan"), bars.height, dtype=pl.Float64, eager=True)
        return pl.DataFrame(
            dict.fromkeys(names, unknown)
        ), "table flow_bars is not in the lake yet: it is made of recordings"
    return flow_of_bars(bars, rows, names, bar_ns)


def slow_column(
    bars: pl.DataFrame, column: SlowColumn, place: KnownColumn | None, lake: Lake, bar_ns: int
) -> tuple[pl.Series, str]:
    """What was known of a slow parameter when each bar had closed (NaN where nothing was), and why nothing ever was.

    Args:
        bars: with `ts_open`.
        column: the parameter.
        place: where it stands, if anything says so.
        lake: of the tables.
        bar_ns: length of a bar.

    Raises:
        FeatureError, TableError: as for :func:`with_beside`.
    """
    unknown = pl.repeat(float("nan"), bars.height, dtype=pl.Float64, eager=True)
    if place is None:
        return unknown, f"no [{column.name}] in config/known.toml"
    if (uri := _uri(lake, place.table)) is None:
        return unknown, f"table {place.table} is not in the lake yet"
    values = _joined(bars, column, _facts(column, place, uri, bars["ts_open"] + bar_ns), bar_ns)
    is_told = bars.is_empty() or not values.is_nan().all()
    return values, "" if is_told else f"table {place.table} tells nothing of these bars that is young enough"


def tables_read(features: FeatureSet, lake: Lake, known: Mapping[str, KnownColumn]) -> dict[str, str]:
    """The tables that tell what some features read beside bars, with their groups."""
    names = {known[column.name].table for column in features.slow if column.name in known}
    found = {name: group for name in sorted(names) for group in GROUPS if exists(lake.uri(group, name))}
    if flow_columns(features) and exists(lake.table_uri(FLOW_BARS.name)):
        found[FLOW_BARS.name] = FLOW_BARS.group
    return found


def told(untold: Mapping[str, str]) -> str:
    """What is not told, in a sentence; empty where there is nothing. Columns of one reason are named together."""
    reasons: dict[str, list[str]] = {}
    for name, why in untold.items():
        reasons.setdefault(why, []).append(name)
    listed = [f"{', '.join(names)} ({why})" for why, names in reasons.items()]
    return f"unknown: {'; '.join(listed)}" if listed else ""


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
