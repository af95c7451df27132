"""When things happen by themselves: ingestion every day, the lake's upkeep every week, retraining every month.

Times are UTC.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import dagster as dg

from assets.sources import DUE_HOURS
from pipelines.jobs import ADDED, ingest_daily, land_recordings, train_monthly
from pipelines.upkeep import lake_upkeep
from py_rt.data.ingestion.received import Received

DAILY_AT = "15 0 * * *"
"""A quarter past midnight: a day is read when it is over and its last bar has closed."""

MONTHLY_AT = "0 3 2 * *"
"""The second day of a month, after the first day's ingestion had a day to be repeated."""

RECORDED_AT = "45 0 * * *"
"""After the ingestion, whose bars the deployed model's decisions on the recorded trades are compared with."""

WEEKLY_AT = "30 4 * * 0"
"""Sunday, after the day's ingestion."""


@dg.schedule(job=ingest_daily, cron_schedule=DAILY_AT, execution_timezone="UTC")
def daily_ingestion(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Make yesterday: raw and cleaned bars, features, labels."""
    day = (context.scheduled_execution_time - timedelta(days=1)).date().isoformat()
    return dg.RunRequest(run_key=f"day-{day}", partition_key=day)


@dg.schedule(job=train_monthly, cron_schedule=MONTHLY_AT, execution_timezone="UTC")
def monthly_retraining(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Make this month's model, from what was known before the month began."""
    month = context.scheduled_execution_time.date().replace(day=1).isoformat()
    return dg.RunRequest(run_key=f"month-{month}", partition_key=month)


@dg.schedule(job=land_recordings, cron_schedule=RECORDED_AT, execution_timezone="UTC")
def daily_recordings(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Land what was recorded yesterday, and hold the deployed model on it against its training source."""
    day = (context.scheduled_execution_time - timedelta(days=1)).date().isoformat()
    return dg.RunRequest(run_key=f"recorded-{day}", partition_key=day)


@dg.schedule(job=lake_upkeep, cron_schedule=WEEKLY_AT, execution_timezone="UTC")
def weekly_upkeep(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Keep the lake's tables in few files."""
    day = context.scheduled_execution_time.date().isoformat()
    return dg.RunRequest(run_key=f"upkeep-{day}")


SCHEDULES = (daily_ingestion, daily_recordings, weekly_upkeep, monthly_retraining)

HEALED_DAYS = 7
"""A day that could not be landed is asked for again as long as it is among so many."""


def source_schedules(assets: Iterable[object]) -> list[dg.ScheduleDefinition]:
    """A schedule for each source that a user added: every day, at the hour at which a day is due.

    Of a source cut by days the run goes from the first day that is not landed yet to yesterday: what is landed is not
    asked for again. Of any other it is what is new today.
    """
    return [
        _source_schedule(asset)
        for asset in assets
        if isinstance(asset, dg.AssetsDefinition)
        and not isinstance(asset, dg.AssetChecksDefinition)
        and DUE_HOURS in asset.metadata_by_key[asset.key]
    ]


def _source_schedule(asset: dg.AssetsDefinition) -> dg.ScheduleDefinition:
    name = asset.key.path[-1]
    due_hours = float(asset.metadata_by_key[asset.key][DUE_HOURS])
    days = asset.partitions_def
    assert isinstance(days, dg.DailyPartitionsDefinition)
    job = dg.define_asset_job(
        f"source_{name}",
        selection=dg.AssetSelection.assets(asset.key).downstream() & ADDED,
        description=f"What is new of the source {name}.",
    )

    # A day that is due more than a day after its end is asked for as soon as it is over.
    @dg.schedule(
        name=f"source_{name}_daily",
        job=job,
        cron_schedule=f"15 {int(due_hours) if due_hours < 24 else 0} * * *",
        execution_timezone="UTC",
        description=f"What is new of the source {name}, and days of the last {HEALED_DAYS} that are not landed yet.",
    )
    def daily(context: dg.ScheduleEvaluationContext, landing: dg.ResourceParam[Path]) -> dg.RunRequest | dg.SkipReason:
        today = context.scheduled_execution_time.date()
        last = today if days.end_offset else today - timedelta(days=1)
        if last < days.start.date():
            return dg.SkipReason(f"the first day of {name} is {days.start.date()}")
        first = last if days.end_offset else _first_missing(Received(landing, name), days.start.date(), last)
        tags = {"dagster/asset_partition_range_start": f"{first}", "dagster/asset_partition_range_end": f"{last}"}
        return dg.RunRequest(run_key=f"{name}-{last}", tags=tags)

    return daily


def _first_missing(received: Received, start: date, last: date) -> date:
    """The first of the last days that is not landed; the last one where all are."""
    days = [last - timedelta(days=number) for number in range(HEALED_DAYS - 1, -1, -1)]
    return next((day for day in days if day >= start and not received.versions(day.isoformat())), last)
