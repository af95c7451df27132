from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg

from pipelines.event_log import PooledEventLogStorage
from pipelines.instance import open_instance, prepare_dagster_home

ROOT = Path(__file__).resolve().parents[2]
daily = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-21")


@dg.asset(partitions_def=daily, backfill_policy=dg.BackfillPolicy.single_run())
def numbers() -> None:
    return None


def run(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = dg.Definitions(assets=[numbers]).resolve_implicit_global_asset_job_def()
    tags = {"dagster/asset_partition_range_start": "2024-01-01", "dagster/asset_partition_range_end": "2024-01-20"}
    return job.execute_in_process(
        instance=instance, tags=tags, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    )


def test_a_new_home_gets_the_shipped_configuration_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    folder = prepare_dagster_home(tmp_path)
    config = folder / "dagster.yaml"
    shipped = config.read_text()
    for setting in ("telemetry:\n  enabled: false\n", "nux:\n  enabled: false\n", "freshness:\n"):
        assert setting in shipped
    config.write_text("telemetry: {enabled: false}\n")
    prepare_dagster_home(tmp_path)
    assert config.read_text() == "telemetry: {enabled: false}\n"


def test_what_is_recorded_here_is_read_by_the_stock_instance(tmp_path: Path) -> None:
    with open_instance(tmp_path) as instance:
        assert isinstance(instance.event_log_storage, PooledEventLogStorage)
        result = run(instance)
        here = len(instance.all_logs(result.run_id))
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as stock:
        assert not isinstance(stock.event_log_storage, PooledEventLogStorage)
        assert stock.get_materialized_partitions(numbers.key) == set(daily.get_partition_keys())
        assert len(stock.all_logs(result.run_id)) == here
        assert [record.status for record in stock.get_runs()] == [dg.DagsterRunStatus.SUCCESS]


def test_runs_are_recorded_beside_what_the_stock_instance_recorded(tmp_path: Path) -> None:
    prepare_dagster_home(tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as stock:
        run(stock)
    with open_instance(tmp_path) as instance:
        run(instance)
        assert instance.get_runs_count() == 2


def test_closing_leaves_no_open_write_ahead_log(tmp_path: Path) -> None:
    with open_instance(tmp_path) as instance:
        run(instance)
    assert list((tmp_path / "dagster" / "history").rglob("*-wal")) == []


def test_processes_that_start_together_do_not_trip_over_each_other(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from pipelines.instance import open_instance\n"
        f"with open_instance(Path({str(tmp_path)!r})) as instance: print(instance.get_runs_count())"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    answers = [child.communicate(timeout=120) for child in children]
    assert [(child.returncode, answer[0]) for child, answer in zip(children, answers, strict=True)] == [
        (0, "0\n")
    ] * 3, answers
