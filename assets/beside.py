"""What features read beside bars: which tables it comes from, for the lineage, and the bars with it.

Which tables these are stands in the feature file (what it reads) and in `config/known.toml` (where that stands), so
that the graph is another one where these files are. A file that cannot be read leaves its part of the lineage out here,
and is told: what reads it fails in its own run, and nothing else does.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from functools import cache

import dagster as dg
import polars as pl

from py_rt.data.schemas import FLOW_BARS
from py_rt.data.storage import Lake
from py_rt.data.timestamps import NS_PER_DAY
from py_rt.defaults import config_file
from py_rt.errors import PyRtError
from py_rt.ml.features.flow_tables import flow_columns
from py_rt.ml.features.known import MAX_AGE_DAYS
from py_rt.ml.features.known_tables import BarsBeside, KnownColumn, read_known_columns, with_beside
from py_rt.ml.features.technical import FeatureSet

_LOG = logging.getLogger(__name__)
FEATURE_FILE = config_file("features/btc_15m.toml")
KNOWN_FILE = config_file("known.toml")
"""Where slow parameters stand in the lake."""

OUTSIDE_GROUP = "outside"
"""Group of the tables that are read and that no asset makes."""

MADE_OF_RECORDINGS = {"py_rt/reads": "recording"}
"""Tag of what is made again when a day's recordings have landed."""

FLOW_BAR_SECONDS = 60.0
"""Length of a bar of `flow_bars` where no feature reads it."""

_DAYS_A_MONTH = 28


def bars_beside(
    bars: pl.DataFrame, features: FeatureSet, lake: Lake, recorded: pl.DataFrame | None = None
) -> BarsBeside:
    """Rows of `clean_bars` in order of time, with what features read beside them; a warning of what nothing tells.

    Args:
        bars: with `BAR_COLUMNS` and `instrument`.
        features: what reads them.
        lake: of the tables.
        recorded: rows of `flow_bars`, where they are not to be read from the lake.
    """
    beside = with_beside(bars.sort("ts_open"), features, lake, read_known_columns(KNOWN_FILE), recorded)
    if beside.words:
        _LOG.warning("where a column is unknown no bar is warm: %s", beside.words)
    return beside


@cache
def _feature_file() -> FeatureSet | None:
    try:
        return FeatureSet.from_toml(FEATURE_FILE)
    except PyRtError as error:
        _LOG.warning("the lineage leaves out what features read beside bars: %s", error)
        return None


@cache
def _known_columns() -> dict[str, KnownColumn]:
    try:
        return read_known_columns(KNOWN_FILE)
    except PyRtError as error:
        _LOG.warning("the lineage leaves out where slow parameters stand: %s", error)
        return {}


def reads_flow() -> bool:
    """Whether the feature file reads what happened within bars."""
    features = _feature_file()
    return features is not None and bool(flow_columns(features))


def flow_bar_seconds() -> float:
    """Length of a bar of `flow_bars`: that of the feature file, where it reads them."""
    features = _feature_file()
    return features.bar_ns / 1e9 if features is not None and reads_flow() else FLOW_BAR_SECONDS


def reads_of_features() -> dict[str, int]:
    """The tables of facts that the feature file reads, each with the days for which a fact may count."""
    features = _feature_file()
    found: dict[str, int] = {}
    for column in features.slow if features is not None else ():
        if place := _known_columns().get(column.name):
            days = -(-column.max_age_ns // NS_PER_DAY)
            found[place.table] = max(found.get(place.table, 0), days)
    return found


def reads_of_any() -> dict[str, int]:
    """The tables of facts that any bundle of this home may read, each with the days for which a fact may count."""
    return {place.table: MAX_AGE_DAYS for place in _known_columns().values()} | reads_of_features()


def deps_on(  # what a mapping is made of
    tables: dict[str, int], *, flow: bool, before: int, inputs: Collection[str], monthly: bool = False, until: int = 0
) -> list[dg.AssetDep]:
    """Upstreams of an asset that reads columns beside bars from the lake.

    Args:
        tables: from :func:`reads_of_features` or :func:`reads_of_any`.
        flow: `flow_bars` is read, too.
        before: days (months of a monthly asset) before its own whose bars it reads.
        inputs: what it reads as inputs already.
        monthly: it is cut by months.
        until: -1 where it reads none of its own days (months).
    """
    unit = _DAYS_A_MONTH if monthly else 1
    reach = {table: before + -(-days // unit) for table, days in tables.items()}
    if flow:
        reach[FLOW_BARS.name] = before
    return [
        dg.AssetDep(
            table,
            partition_mapping=dg.TimeWindowPartitionMapping(
                start_offset=-count, end_offset=until, allow_nonexistent_upstream_partitions=True
            ),
        )
        for table, count in sorted(reach.items())
        if table not in inputs
    ]


def tables_outside(keys: Collection[str], read: Sequence[str]) -> Iterator[dg.AssetSpec]:
    """Tables that are read and that no asset makes: they stand in the graph all the same.

    Args:
        keys: names of the assets that there are.
        read: names of the tables.
    """
    for table in sorted(set(read) - set(keys)):
        yield dg.AssetSpec(
            table,
            group_name=OUTSIDE_GROUP,
            description=f"A table of the lake that nothing here makes; {KNOWN_FILE.name} names it.",
        )
