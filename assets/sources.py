"""Sources that a user adds: an asset for each, with its checks, made from what the source says of itself.

An asset of a source is one day wide: the rows stored under that day (`py_rt.data.ingestion.source`). Its lineage goes
down to the byte: each row says the payload it came in, by the hash under which the landing folder keeps it, when it
arrived, and when it could first be known (`ts_known`, what point-in-time joins use).
"""

import hashlib
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.facts import fact_assets
from assets.outputs import declared, picture, published
from assets.partitions import days_of, single_run
from assets.versions import code_version
from py_rt.data import imputation
from py_rt.data.imputation import FLAG_SUFFIX, Policy, impute_known, read_policies
from py_rt.data.ingestion import catalog, ingest, publishing
from py_rt.data.ingestion.expected import due_ns, freshness_problem, row_count_problem, volume
from py_rt.data.ingestion.received import Received
from py_rt.data.ingestion.source import PartitionedSource, SourceTable
from py_rt.data.ingestion.volume_chart import volume_png
from py_rt.data.schemas import Column
from py_rt.data.storage import Lake, rows_by_partition
from py_rt.defaults import config_file
from py_rt.errors import SourceError
from py_rt.ml.features.fact_tables import FactError, FactRule, read_fact_rules

_LOG = logging.getLogger(__name__)
_CODE = code_version(__name__, ingest)
_IMPUTED_CODE = code_version(__name__, imputation)
DUE_HOURS = "py_rt/due_hours"
"""Metadata of a source's asset: how many hours after its end a day is due."""
_NOT_CONTENT = ("ts_arrival", "ts_known")


def partitions_of(table: SourceTable) -> dg.DailyPartitionsDefinition:
    """Days from the source's first one on; today is one, because what is next arrives today."""
    return dg.DailyPartitionsDefinition(
        start_date=table.first_day.isoformat(), end_offset=0 if table.partitioning == "day" else 1
    )


def source_asset(source: PartitionedSource) -> dg.AssetsDefinition:
    """Make the asset that lands a source day by day and publishes its rows through the IO manager.

    Args:
        source: its table's name is the asset's.
    """
    table = source.table
    fresh = timedelta(hours=24 + table.expected.fresh_within_hours)
    lineage: dict[str, object] = {
        "py_rt/source": table.name,
        "py_rt/definition_sha256": table.definition_sha256,
        DUE_HOURS: table.expected.fresh_within_hours,
    }

    @dg.asset(
        name=table.name,
        group_name="raw",
        partitions_def=partitions_of(table),
        backfill_policy=single_run,
        code_version=f"{_CODE}-{table.definition_sha256[:16]}",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=fresh),
        kinds={"polars", "deltalake"},
        metadata=declared(table.table(), **lineage),
        tags={"py_rt/waits_for": "source"},  # not along with the chain: it asks the outside
        description=table.doc,
    )
    def landed(context: dg.AssetExecutionContext, landing: dg.ResourceParam[Path]) -> dg.Output[pl.DataFrame]:
        """Land what is new of the run's days, then give everything stored under them."""
        window, received = days_of(context), Received(landing, table.name)
        if table.partitioning == "day" or datetime.now(UTC).date() < window.end:
            wanted = publishing.days(window) if table.partitioning == "day" else None
            done = ingest.ingest(source, wanted, received, None, time.time_ns)
            _refuse(table, done)
            context.log.info("%s: %s", table.name, [f"{step.partition} {step.outcome}" for step in done.steps][:50])
        rows = publishing.rows_of_days(source, received, window)
        payloads = sorted(rows["payload_sha256"].unique().to_list())
        metadata = {"payload_sha256": payloads, "versions": rows["source_version"].max() or 0}
        return published(context, rows, table.table(), not_content=_NOT_CONTENT, metadata=metadata)

    return landed


def _refuse(table: SourceTable, done: ingest.Ingestion) -> None:
    if done.failed:
        rest = f"; {len(done.skipped)} partitions after it were not tried" if done.skipped else ""
        problems = "; ".join(step.problem for step in done.failed)
        raise SourceError(table.name, done.failed[0].partition, None, f"{problems}{rest}. What landed stays landed")


IMPUTED_FROM_DAYS = 120
"""Days before a day of which its rows may be imputed: the same for a day alone as for a day among others."""


def imputed_asset(source: PartitionedSource, policies: Mapping[str, Policy]) -> dg.AssetsDefinition:
    """Make the asset `<source>_imputed`: the rows with missing values filled by policy, each with its flag.

    A row is filled by rows of its series that were known before it; text columns of the key tell series apart.

    Args:
        source: whose asset is read.
        policies: by column, from `config/imputation.toml`.
    """
    table = source.table
    columns = {column.name: column for column in table.columns}
    by = [name for name in table.key if columns[name].dtype == pl.String()]
    flags = tuple(Column(f"{name}{FLAG_SUFFIX}", pl.Boolean(), f"{name} was imputed") for name in policies)
    made = replace(table.table(), name=f"{table.name}_imputed", group="cleaned")
    made = replace(made, columns=(*made.columns, *flags))
    before = dg.TimeWindowPartitionMapping(start_offset=-IMPUTED_FROM_DAYS, allow_nonexistent_upstream_partitions=True)

    @dg.asset(
        name=made.name,
        group_name="cleaned",
        partitions_def=partitions_of(table),
        backfill_policy=single_run,
        ins={"rows": dg.AssetIn(key=table.name, partition_mapping=before)},
        code_version=f"{_IMPUTED_CODE}-{hashlib.sha256(repr(sorted(policies.items())).encode()).hexdigest()[:16]}",
        kinds={"polars", "deltalake"},
        metadata=declared(made),
        tags={"py_rt/waits_for": "source"},
        description=f"{table.doc}; missing values filled from the past, and flagged",
    )
    def imputed(context: dg.AssetExecutionContext, rows: pl.DataFrame) -> dg.Output[pl.DataFrame]:
        """Fill each of the run's days by itself, so that no other day of the run changes it."""
        parts = []
        for day in map(date.fromisoformat, context.partition_keys):
            seen = rows.filter(pl.col("date").is_between(day - timedelta(days=IMPUTED_FROM_DAYS), day))
            filled = impute_known(seen, policies, by=by, order=table.key)
            parts.append(filled.filter(pl.col("date") == day))
        whole = made.conform(pl.concat(parts))
        counts = {f"{name}{FLAG_SUFFIX}": int(whole[f"{name}{FLAG_SUFFIX}"].sum()) for name in policies}
        missing = {f"{name}_missing": whole[name].null_count() for name in policies}
        return published(context, whole, made, not_content=_NOT_CONTENT, metadata={**counts, **missing})

    return imputed


def source_checks(source: PartitionedSource) -> list[dg.AssetChecksDefinition]:
    """Make the checks of a source's asset: schema, row count, freshness, and the usual volume with a picture."""
    table = source.table
    return [_fits_schema(table), _row_count(table), _freshness(table), _usual_volume(table)]


def _fits_schema(table: SourceTable) -> dg.AssetChecksDefinition:
    stored = table.table()

    @dg.asset_check(
        asset=table.name,
        name="fits_schema",
        blocking=True,
        partitions_def=partitions_of(table),
        description="Columns, absent values, ranges and the unique key.",
    )
    def check(rows: pl.DataFrame) -> dg.AssetCheckResult:
        faults = stored.faults(rows)
        broken = {fault.rule: f"{fault.rows} rows, the first: {fault.example}" for fault in faults}
        return dg.AssetCheckResult(passed=not faults, metadata={"rows": rows.height, **broken})

    return check


def _row_count(table: SourceTable) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=table.name,
        name="row_count",
        blocking=True,
        partitions_def=partitions_of(table),
        description=f"Each day that is due has {table.expected.rows_min} rows or more, as the source says.",
    )
    def check(context: dg.AssetCheckExecutionContext, rows: pl.DataFrame) -> dg.AssetCheckResult:
        counts = dict(rows.group_by("date").len().iter_rows())
        problems = {
            day: problem
            for day in publishing.days(days_of(context))
            if due_ns(date.fromisoformat(day), table.expected.fresh_within_hours) <= time.time_ns()
            and (problem := row_count_problem(table.expected, counts.get(date.fromisoformat(day), 0)))
        }
        return dg.AssetCheckResult(passed=not problems, metadata={"rows": rows.height, **problems})

    return check


def _freshness(table: SourceTable) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=table.name,
        name="fresh",
        description=f"A day's rows are there {table.expected.fresh_within_hours:g} hours after its end.",
    )
    def check(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        held = [day for day in rows_by_partition(lake.uri("raw", table.name)) if day is not None]
        newest = max(held, default=None)
        problem = freshness_problem(table.expected, newest, time.time_ns())
        metadata = {"newest": str(newest), "problem": problem or "none"}
        return dg.AssetCheckResult(passed=problem is None, severity=dg.AssetCheckSeverity.WARN, metadata=metadata)

    return check


def _usual_volume(table: SourceTable) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=table.name,
        name="usual_volume",
        partitions_def=partitions_of(table),
        description=f"Rows of a day are within {table.expected.volume_change_max:.0%} of what is usual.",
    )
    def check(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        history = {day: rows for day, rows in rows_by_partition(lake.uri("raw", table.name)).items() if day is not None}
        days = [date.fromisoformat(day) for day in publishing.days(days_of(context))]
        found = {day: volume(table.expected, history, day) for day in days}
        odd = {day.isoformat(): one.problem for day, one in found.items() if one.problem}
        shown = next((day for day in days if found[day].problem), days[-1])
        metadata: dict[str, Any] = {
            "volume": picture(volume_png(history, shown, found[shown]), "rows"),
            "unusual_days": len(odd),
            **odd,
        }
        return dg.AssetCheckResult(passed=not odd, severity=dg.AssetCheckSeverity.WARN, metadata=metadata)

    return check


_Made = dg.AssetsDefinition | dg.AssetChecksDefinition


def _made_of(source: PartitionedSource, policies: Mapping[str, Policy], rule: FactRule | None) -> list[_Made]:
    table = source.table
    made: list[_Made] = [source_asset(source), *source_checks(source)]
    columns = [column.name for column in table.columns]
    if unknown := sorted(set(policies) - set(columns)):
        problem = f"imputation.toml: {', '.join(unknown)} of {table.name} is no column; there are "
        _LOG.warning("%s%s: %s_imputed is left out", problem, ", ".join(columns), table.name)
    elif policies:
        made.append(imputed_asset(source, policies))
    if rule is not None:
        try:
            made += fact_assets(rule, table, partitions_of(table))
        except FactError as error:
            _LOG.warning("facts.toml: %s: its facts are left out", error)
    return made


def _fact_rules() -> dict[str, FactRule]:
    try:
        return read_fact_rules(config_file("facts.toml"))
    except FactError as error:
        _LOG.warning("no facts are made of any source: %s", error)
        return {}


def discovered(names: Sequence[str] | None = None, taken: Collection[str] = ()) -> list[_Made]:
    """Assets and checks of sources by name.

    Args:
        names: which; `None` is every one that a user added. Of those one that cannot be opened is left out and told in
            the log: a slip in one file stops nothing else.
        taken: names of other assets, which no source may have.

    Raises:
        SourceError, DefinitionError: a named source cannot be opened.
    """
    if names is not None:
        sources = [catalog.open_source(name) for name in names]
        policies, rules = read_policies(config_file("imputation.toml")), _fact_rules()
        named = [(source, source.table.name) for source in sources]
        return [made for source, name in named for made in _made_of(source, policies.get(name, {}), rules.get(name))]
    found: list[_Made] = []
    known = catalog.known_sources()
    if unknown := sorted(set(_fact_rules()) - set(known)):
        _LOG.warning("facts.toml: %s is no source; there are %s", ", ".join(unknown), ", ".join(known) or "none")
    for name in known:
        if name in catalog.BUILT_IN:
            continue
        if name in taken:
            _LOG.warning("source %s is left out: another asset has its name; call it otherwise", name)
            continue
        try:
            found += discovered([name])
        except Exception as error:  # noqa: BLE001  # an installed package is anybody's code
            _LOG.warning("source %s is left out: %s", name, error)
    return found
