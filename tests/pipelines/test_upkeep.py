"""The weekly upkeep: every table, and a refusal of one stops no other."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipelines import definitions
from pipelines.resources import make_resources
from pipelines.upkeep import LAKE_UPKEEP
from py_rt.data.maintenance import state
from py_rt.data.storage import DayWindow, scan, write_window

if TYPE_CHECKING:
    from pathlib import Path

    import dagster as dg

pytestmark = pytest.mark.usefixtures("home", "instant_runner")


def kept() -> dg.ExecuteInProcessResult:
    job = definitions.build(make_resources()).resolve_job_def(LAKE_UPKEEP)
    return job.execute_in_process(
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}, raise_on_error=False
    )


@pytest.fixture
def table(home: Path) -> str:
    """A day written in many small pieces."""
    uri = str(home / "lake" / "raw" / "many")
    day = date(2024, 1, 1)
    for count in range(3):
        rows = pl.DataFrame({"date": [day + timedelta(count)] * 4, "x": range(4)})
        write_window(uri, rows, DayWindow(day + timedelta(count), day + timedelta(count + 1)))
    return uri


def test_every_table_is_kept_and_its_rows_stay(home: Path, table: str) -> None:
    write_window(
        str(home / "lake" / "cleaned" / "other"),
        pl.DataFrame({"date": [date(2024, 1, 1)], "x": [1]}),
        DayWindow(date(2024, 1, 1), date(2024, 1, 2)),
    )
    before = scan(table).collect().sort("date", "x")
    assert kept().success
    assert scan(table).collect().sort("date", "x").equals(before)
    assert state(table, "raw/many").rows == 12


def test_a_table_that_refuses_is_told_and_the_others_are_kept(home: Path, table: str) -> None:
    other = home / "lake" / "cleaned" / "other"
    write_window(
        str(other),
        pl.DataFrame({"date": [date(2024, 1, 1)], "x": [1]}),
        DayWindow(date(2024, 1, 1), date(2024, 1, 2)),
    )
    # Two files for compaction to read, of which one is gone.
    extra = pl.DataFrame({"date": [date(2024, 1, 1)], "x": [2]})
    import deltalake

    deltalake.write_deltalake(str(other), extra.to_arrow(), mode="append")
    for file in list(other.rglob("*.parquet"))[:1]:
        file.unlink()
    result = kept()
    assert not result.success
    failure = result.failure_data_for_node("keep_lake")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert "1 of 2 tables were refused" in str(failure.user_failure_data.description)
    assert scan(table).collect().height == 12
