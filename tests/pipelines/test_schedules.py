"""Schedules, asked at a given time: which partition, which run key, and that the partition exists."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from assets.partitions import daily, monthly
from pipelines.definitions import defs
from pipelines.schedules import daily_ingestion, monthly_retraining


def asked_at(schedule: dg.ScheduleDefinition, when: datetime) -> dg.RunRequest:
    context = dg.build_schedule_context(scheduled_execution_time=when, repository_def=defs.get_repository_def())
    (request,) = schedule.evaluate_tick(context).run_requests or []
    return request


@pytest.mark.parametrize(
    ("when", "day"),
    [
        (datetime(2021, 12, 1, 0, 15, tzinfo=UTC), "2021-11-30"),
        (datetime(2024, 3, 1, 0, 15, tzinfo=UTC), "2024-02-29"),
    ],
)
def test_a_day_is_made_when_it_is_over(when: datetime, day: str) -> None:
    request = asked_at(daily_ingestion, when)
    assert (request.partition_key, request.run_key) == (day, f"day-{day}")
    with dg.partition_loading_context(effective_dt=when):
        assert daily.has_partition_key(day)


@pytest.mark.parametrize(
    ("when", "month"),
    [
        (datetime(2024, 5, 2, 3, 0, tzinfo=UTC), "2024-05-01"),
        (datetime(2025, 1, 2, 3, 0, tzinfo=UTC), "2025-01-01"),
    ],
)
def test_a_model_is_made_for_the_month_that_has_begun(when: datetime, month: str) -> None:
    request = asked_at(monthly_retraining, when)
    assert (request.partition_key, request.run_key) == (month, f"month-{month}")
    with dg.partition_loading_context(effective_dt=when):
        assert monthly.has_partition_key(month)


def test_the_same_tick_twice_has_the_same_run_key() -> None:
    when = datetime(2024, 5, 2, 3, 0, tzinfo=UTC)
    assert asked_at(monthly_retraining, when).run_key == asked_at(monthly_retraining, when).run_key


def test_the_definitions_hold_both() -> None:
    names = {schedule.name for schedule in defs.schedules or []}
    assert names == {"daily_ingestion", "daily_recordings", "weekly_upkeep", "monthly_retraining"}
