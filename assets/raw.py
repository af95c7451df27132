"""Raw: rows as received, landed once and never rewritten."""

import time
from collections.abc import Mapping
from datetime import date, timedelta

import dagster as dg
import polars as pl

from assets.outputs import APPEND_DAYS, WRITE_MODE, declared, published, published_in_batches
from assets.outside import Made, Outside, Question
from assets.partitions import daily, days_of, single_run
from assets.versions import code_version
from py_rt.data import schemas
from py_rt.data.ingestion import landing, market_data, raw_files, recordings
from py_rt.data.schemas import RAW_BARS, RAW_BOOK, RAW_DAILY_BARS, RAW_TRADES, Table
from py_rt.data.storage import DayWindow, Lake, RowBatches, read_or_empty, rows_by_partition

_CODE = code_version(__name__, "assets.checks", landing, market_data, raw_files, schemas)
_RECORDED_CODE = code_version(__name__, "assets.checks", recordings, schemas)
_NOT_CONTENT = ("ts_arrival", "source_end")
_OFFERED = "offered_sha256"

FRESH_FOR = timedelta(hours=26)
"""A day's bars are expected within the next day's first two hours."""


@dg.asset(
    group_name="raw",
    partitions_def=daily,
    backfill_policy=single_run,
    code_version=_CODE,
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=FRESH_FOR),
    kinds={"polars", "deltalake"},
    metadata=declared(RAW_BARS, **{WRITE_MODE: APPEND_DAYS}),
    description=RAW_BARS.doc,
)
def raw_bars(
    context: dg.AssetExecutionContext,
    market_source: dg.ResourceParam[market_data.Source],
    lake: dg.ResourceParam[Lake],
) -> dg.Output[pl.DataFrame]:
    """15-minute bars of the run's days, as received."""
    window = days_of(context)
    offered = market_data.rows_of_days(market_source, window)
    landed = read_or_empty(lake, RAW_BARS, window)
    hashes = landing.day_hashes(offered)
    for day in context.partition_keys:
        seen = {_OFFERED: hashes.get(day, "")}
        context.add_asset_metadata(seen, asset_key=context.asset_key, partition_key=day)
    return _landed(context, offered, landed, RAW_BARS)


@dg.asset(
    group_name="raw",
    code_version=_CODE,
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=FRESH_FOR),
    kinds={"polars", "deltalake"},
    metadata=declared(RAW_DAILY_BARS, **{WRITE_MODE: APPEND_DAYS}),
    description=RAW_DAILY_BARS.doc,
)
def raw_daily_bars(
    context: dg.AssetExecutionContext,
    market_source: dg.ResourceParam[market_data.Source],
    lake: dg.ResourceParam[Lake],
) -> dg.Output[pl.DataFrame]:
    """Daily bars, as received."""
    offered = market_source.daily_bars()
    context.add_asset_metadata({_OFFERED: landing.offer_hash(offered)}, asset_key=context.asset_key)
    return _landed(context, offered, read_or_empty(lake, RAW_DAILY_BARS), RAW_DAILY_BARS)


_WAITS_FOR_RECORDING = {"py_rt/waits_for": "recording"}
"""Made by hand or by a job of its own: where nothing is recorded there is nothing to land."""


@dg.asset(
    group_name="raw",
    partitions_def=daily,
    backfill_policy=single_run,
    code_version=_RECORDED_CODE,
    kinds={"rust", "polars", "deltalake"},
    metadata=declared(RAW_BOOK),
    tags=_WAITS_FOR_RECORDING,
    description=RAW_BOOK.doc,
)
def raw_book(
    context: dg.AssetExecutionContext,
    recorded_wires: dg.ResourceParam[recordings.Recordings],
    lake: dg.ResourceParam[Lake],
) -> dg.Output[RowBatches]:
    """The books that were recorded on the run's days."""
    window = days_of(context)
    return _recorded(context, recorded_wires, lake, recorded_wires.export(window).book, RAW_BOOK)


@dg.asset(
    group_name="raw",
    partitions_def=daily,
    backfill_policy=single_run,
    code_version=_RECORDED_CODE,
    kinds={"rust", "polars", "deltalake"},
    metadata=declared(RAW_TRADES),
    tags=_WAITS_FOR_RECORDING,
    description=RAW_TRADES.doc,
)
def raw_trades(
    context: dg.AssetExecutionContext,
    recorded_wires: dg.ResourceParam[recordings.Recordings],
    lake: dg.ResourceParam[Lake],
) -> dg.Output[RowBatches]:
    """The public trades that were recorded on the run's days."""
    window = days_of(context)
    return _recorded(context, recorded_wires, lake, recorded_wires.export(window).trades, RAW_TRADES)


def _recorded(
    context: dg.AssetExecutionContext, found: recordings.Recordings, lake: Lake, rows: RowBatches, table: Table
) -> dg.Output[RowBatches]:
    window = days_of(context)
    landed = rows_by_partition(lake.uri(table.group, table.name))
    recordings.keep_what_landed(landed, rows.rows_by("date"), window)
    for day in context.partition_keys:
        seen = {_OFFERED: found.fingerprint(_day(day))}
        context.add_asset_metadata(seen, asset_key=context.asset_key, partition_key=day)
    problems = list(found.facts(window).problems)
    for problem in problems:
        context.log.warning("%s: %s", table.name, problem)
    metadata = {"file_sha256": found.lineage(window), "problems": problems}
    return published_in_batches(context, rows, table, metadata=metadata)


def _day(key: str) -> DayWindow:
    day = date.fromisoformat(key)
    return DayWindow(day, day + timedelta(days=1))


def _landed(
    context: dg.AssetExecutionContext, offered: pl.DataFrame, landed: pl.DataFrame, table: schemas.Table
) -> dg.Output[pl.DataFrame]:
    found = landing.land(offered, landed, time.time_ns())
    context.log.info(
        "%s: %d new rows of %d days; %d days were landed before and are unchanged",
        table.name,
        found.new_rows.height,
        len(found.new_days),
        len(found.unchanged_days),
    )
    for before, now in found.moved_files:
        context.log.warning("%s: file %s is now %s, but no landed day in it changed", table.name, before, now)
    if found.absent_days:
        context.log.warning("%s: landed before and no longer offered: %s", table.name, found.absent_days)
    new = table.conform(found.new_rows)
    content = pl.concat([landed, new]).sort("date", "file", "row_number")
    hashes = sorted(content["file_sha256"].unique().to_list())
    metadata = {"rows_added": new.height, "days_added": len(found.new_days), "file_sha256": hashes}
    return published(context, new, table, content=content, not_content=_NOT_CONTENT, metadata=metadata)


def _days_changed(outside: Outside, made: Made) -> str | None:
    now = outside.offered_days.get(made.partition or "")
    # A day that is no longer offered stays as it was landed.
    return "the source offers other rows" if now not in {None, made.metadata.get(_OFFERED)} else None


def _daily_changed(outside: Outside, made: Made) -> str | None:
    return "the source offers other rows" if outside.offered_daily_bars != made.metadata.get(_OFFERED) else None


def _recordings_changed(outside: Outside, made: Made) -> str | None:
    now = outside.recorded_wires.fingerprint(_day(str(made.partition)))
    return "the recordings changed" if now != made.metadata.get(_OFFERED) else None


OUTSIDE: Mapping[str, Question] = {
    "raw_bars": _days_changed,
    "raw_daily_bars": _daily_changed,
    "raw_book": _recordings_changed,
    "raw_trades": _recordings_changed,
}
