"""How the graph is cut: UTC days for data, months for models, and how a day looks back.

The first day is `PY_RT_FIRST_DAY` (ISO date), by default the first day of the bundled bars. Months begin with the
first one that has a whole month of days before it.
"""

import os
from datetime import date

import dagster as dg

from py_rt.data.cleaning import LOOKBACK_DAYS
from py_rt.data.storage import DayWindow

FIRST_DAY = date.fromisoformat(os.environ.get("PY_RT_FIRST_DAY", "2021-09-27"))


def first_month(first_day: date) -> date:
    """Return the first month with at least one whole month of days before it.

    >>> first_month(date(2021, 9, 27)), first_month(date(2021, 9, 1))
    (datetime.date(2021, 11, 1), datetime.date(2021, 10, 1))
    """
    months = first_day.year * 12 + first_day.month - 1 + (1 if first_day.day == 1 else 2)
    return date(months // 12, months % 12 + 1, 1)


daily = dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat())
monthly = dg.MonthlyPartitionsDefinition(start_date=first_month(FIRST_DAY).isoformat(), end_offset=1)
"""Month M is for use *in* M and made from what was known before it, so the current month exists already."""

single_run = dg.BackfillPolicy.single_run()
"""Every daily asset: one run makes any number of days."""

with_lookback = dg.TimeWindowPartitionMapping(start_offset=-LOOKBACK_DAYS, allow_nonexistent_upstream_partitions=True)
"""A day reads the days before it too, as far as cleaning looks back."""

MOST_MONTHS = 240
"""How far back a month's inputs may lie; twenty years are more than any of our markets has."""

before_month = dg.TimeWindowPartitionMapping(
    start_offset=-MOST_MONTHS, end_offset=-1, allow_nonexistent_upstream_partitions=True
)
"""A month learns from every day before it."""

until_month_end = dg.TimeWindowPartitionMapping(start_offset=-MOST_MONTHS, allow_nonexistent_upstream_partitions=True)
"""What is said about a month needs its own days too; what comes later changes nothing any more."""


def days_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> DayWindow:
    """Return the days that a run makes."""
    window = context.partition_time_window
    return DayWindow(window.start.date(), window.end.date())
