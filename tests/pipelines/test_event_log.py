"""Events that are stored together are stored as one by one."""

# No `from __future__ import annotations`: Dagster reads the annotations of assets.

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events.log import EventLogEntry

from pipelines import event_log
from pipelines.event_log import BATCH_VARIABLE, PooledEventLogStorage, batches
from pipelines.instance import open_instance

DAYS = dg.DailyPartitionsDefinition("2021-10-01", end_date="2021-10-06")
INDEX = "dagster/history/runs/index.db"


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def days(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    for key in context.partition_keys:
        context.add_asset_metadata({"day": key}, asset_key=context.asset_key, partition_key=key)
    return dg.MaterializeResult(data_version=dg.DataVersion("v"), tags={"t": "1"})


@dg.asset_check(asset=days, blocking=True)
def fine() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def stored(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What the index holds after one run over all days, without what differs between any two runs."""
    with open_instance(home) as instance:
        done = dg.materialize(
            [days, fine],
            instance=instance,
            tags={
                "dagster/asset_partition_range_start": "2021-10-01",
                "dagster/asset_partition_range_end": "2021-10-05",
            },
        )
        assert done.success
        events = [entry.dagster_event_type for entry in instance.all_logs(done.run_id)]
        latest = instance.get_latest_materialization_event(days.key)
    assert latest is not None
    assert latest.asset_materialization is not None
    with sqlite3.connect(home / INDEX) as index:
        mirrored = index.execute("SELECT id, dagster_event_type, asset_key, partition FROM event_logs ORDER BY id")
        tags = "SELECT event_id, asset_key, key, value FROM asset_event_tags ORDER BY 1, 3"
        checks = "SELECT check_name, partition, execution_status FROM asset_check_executions ORDER BY id"
        return {
            "run": [(str(kind),) for kind in events],
            "mirrored": mirrored.fetchall(),
            "tags": index.execute(tags).fetchall(),
            "checks": index.execute(checks).fetchall(),
            "latest": [(latest.asset_materialization.partition,)],
        }


def test_a_batch_leaves_the_rows_of_single_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    stock = PooledEventLogStorage.store_event_batch

    def counted(self: PooledEventLogStorage, events: Sequence[EventLogEntry]) -> None:
        sizes.append(len(events))
        stock(self, events)

    monkeypatch.setattr(PooledEventLogStorage, "store_event_batch", counted)
    together = stored(tmp_path / "together")
    assert max(sizes) >= 5
    sizes.clear()
    monkeypatch.setattr(event_log, "MAX_BATCH", 0)
    alone = stored(tmp_path / "alone")
    assert sizes == []
    assert together == alone
    assert [row[3] for row in together["mirrored"] if row[1] == "ASSET_MATERIALIZATION"] == DAYS.get_partition_keys()
    assert len({row[0] for row in together["tags"]}) == 5
    assert together["latest"] == [("2021-10-05",)]


def test_the_environment_is_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BATCH_VARIABLE, raising=False)
    with batches():
        assert int(os.environ[BATCH_VARIABLE]) > 0
    assert BATCH_VARIABLE not in os.environ
    monkeypatch.setenv(BATCH_VARIABLE, "7")
    with batches():
        pass
    assert os.environ[BATCH_VARIABLE] == "7"
