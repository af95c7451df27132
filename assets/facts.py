"""Facts out of sources that a user added: raw rows, each judged; then what reports told, and what texts said.

`config/facts.toml` names the sources. The tables are those of any source to whoever reads them: `config/known.toml` may
name the last one as the place of a slow parameter.
"""

from collections.abc import Iterable
from datetime import date

import dagster as dg
import polars as pl

from assets.checks import fits_schema
from assets.outputs import declared, published
from assets.partitions import days_of, single_run
from assets.versions import code_version
from py_rt.data.ingestion.source import SourceTable
from py_rt.data.schemas import Table
from py_rt.ml.features import fact_tables, sentiment
from py_rt.ml.features.fact_tables import (
    REPEAT_DAYS,
    FactRule,
    check_columns,
    cleaned,
    cleaned_table,
    facts_of_day,
    facts_table,
)

_CODE = code_version(__name__, fact_tables, sentiment)


def fact_assets(
    rule: FactRule, source: SourceTable, partitions: dg.DailyPartitionsDefinition
) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    """Make the assets of a source's facts, with their checks.

    Args:
        rule: what the source becomes.
        source: whose asset is read.
        partitions: of that asset.

    Raises:
        FactError: the source lacks what the rule reads.
    """
    check_columns(rule, source)
    tables = (cleaned_table(rule, source), facts_table(rule, source))
    return [
        _cleaned_asset(rule, source, partitions),
        _facts_asset(rule, source, partitions),
        *(fits_schema(table, partitions) for table in tables),
        _rows_conserved(tables[0], source, partitions),
    ]


def _reach(days: int) -> dg.TimeWindowPartitionMapping:
    return dg.TimeWindowPartitionMapping(start_offset=-days, allow_nonexistent_upstream_partitions=True)


def _of_days(context: dg.AssetExecutionContext) -> Iterable[date]:
    return map(date.fromisoformat, context.partition_keys)


def _cleaned_asset(
    rule: FactRule, source: SourceTable, partitions: dg.DailyPartitionsDefinition
) -> dg.AssetsDefinition:
    table = cleaned_table(rule, source)

    @dg.asset(
        name=table.name,
        group_name=table.group,
        partitions_def=partitions,
        backfill_policy=single_run,
        ins={"rows": dg.AssetIn(key=source.name, partition_mapping=_reach(REPEAT_DAYS))},
        code_version=f"{_CODE}-{source.definition_sha256[:16]}-{rule.fingerprint()}",
        kinds={"polars", "deltalake"},
        metadata=declared(table),
        tags={"py_rt/waits_for": "source"},
        description=table.doc,
    )
    def judged(context: dg.AssetExecutionContext, rows: pl.DataFrame) -> dg.Output[pl.DataFrame]:
        """Judge each row of the run's days; none is dropped."""
        made = pl.concat([table.empty(), *(cleaned(rule, source, rows, day) for day in _of_days(context))])
        reasons = dict(made["reason"].drop_nulls().value_counts(sort=True).iter_rows())
        return published(context, made, table, metadata={"kept_out": reasons})

    return judged


def _facts_asset(rule: FactRule, source: SourceTable, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    table, read = facts_table(rule, source), cleaned_table(rule, source)

    @dg.asset(
        name=table.name,
        group_name=table.group,
        partitions_def=partitions,
        backfill_policy=single_run,
        ins={"rows": dg.AssetIn(key=read.name, partition_mapping=_reach(rule.days_before))},
        code_version=f"{_CODE}-{rule.fingerprint()}",
        kinds={"polars", "deltalake"},
        metadata=declared(table),
        tags={"py_rt/waits_for": "source"},
        description=table.doc,
    )
    def facts(context: dg.AssetExecutionContext, rows: pl.DataFrame) -> dg.Output[pl.DataFrame]:
        """Make each of the run's days by itself, so that no other day of the run changes it."""
        days = [facts_of_day(rule, source, rows, day) for day in _of_days(context)]
        late = sum(day.late for day in days)
        if late:
            context.log.warning("%s: %d rows came when the facts they belong to stood already", table.name, late)
        made = pl.concat([table.empty(), *(day.rows for day in days)])
        return published(context, made, table, metadata={"late_rows": late})

    return facts


def _rows_conserved(
    table: Table, source: SourceTable, partitions: dg.DailyPartitionsDefinition
) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=table.name,
        name="rows_conserved",
        blocking=True,
        partitions_def=partitions,
        additional_ins={"raw": dg.AssetIn(key=source.name)},
        description="As many rows as the source has, each usable or with its reason.",
    )
    def check(context: dg.AssetCheckExecutionContext, rows: pl.DataFrame, raw: pl.DataFrame) -> dg.AssetCheckResult:
        ours = days_of(context).holds("date")
        counts = (rows.filter(ours).height, raw.filter(ours).height)
        return dg.AssetCheckResult(
            passed=counts[0] == counts[1],
            metadata={"rows": counts[0], "raw": counts[1], "kept_out": rows["reason"].count()},
        )

    return check
