"""When things happen by themselves: ingestion every day, the lake's upkeep every week, retraining every month.

Times are UTC.
"""

from datetime import timedelta

import dagster as dg

from pipelines.jobs import ingest_daily, land_recordings, train_monthly
from pipelines.upkeep import lake_upkeep

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
