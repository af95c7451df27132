"""The failure sensor, without a daemon: what it writes down of a run that failed."""

from __future__ import annotations

import json
import multiprocessing
import stat
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipelines.failures import ERROR_CHARS_MAX, Failure, write_down
from pipelines.sensors import report_failed_run
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

days = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-03")


@dg.asset(partitions_def=days)
def torn_bars() -> None:
    raise SourceError("local", "bars.csv", 12, "has 5 fields, the header has 6" + "!" * ERROR_CHARS_MAX)


@dg.asset
def refused_bundle() -> None:
    raise dg.Failure("service paper: deploy failed: refused: its approval has expired") from OSError(2, "no such file")


@dg.asset
def library_failure() -> None:
    raise KeyError("close")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield instance


def failed(asset: dg.AssetsDefinition, instance: dg.DagsterInstance, job: str, day: str | None = None) -> str:
    """Execute a job of one asset; the run's id."""
    partitioned = asset.partitions_def
    made = dg.define_asset_job(job, selection=[asset], partitions_def=partitioned)
    result = (
        dg.Definitions(assets=[asset], jobs=[made])
        .resolve_job_def(job)
        .execute_in_process(instance=instance, partition_key=day, raise_on_error=False)
    )
    assert not result.success
    return result.run_id


def reported(instance: dg.DagsterInstance, run_id: str, file: Path) -> list[dict[str, str | None]]:
    """Call the real sensor function for a run; the lines of the file."""
    run = instance.get_run_by_id(run_id)
    (record,) = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    event = record.event_log_entry.dagster_event
    assert run is not None
    assert event is not None
    with dg.build_run_status_sensor_context(
        "report_failed_run", event, instance, run, resources={"failure_file": file}
    ) as context:
        report_failed_run(context.for_run_failure())
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_failed_step_is_told_with_partition_reason_and_what_to_do(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    file = tmp_path / "home" / "failures.jsonl"
    run_id = failed(torn_bars, instance, "ingest", "2024-01-02")
    (line,) = reported(instance, run_id, file)
    assert (line["job"], line["run_id"], line["step"], line["partition"]) == (
        "ingest",
        run_id,
        "torn_bars",
        "2024-01-02",
    )
    error, what_to_do = str(line["error"]), str(line["what_to_do"])
    assert error.startswith("source local: bars.csv: row 12: has 5 fields, the header has 6")
    assert len(error) == ERROR_CHARS_MAX
    assert "`py_rt run --select torn_bars --partition 2024-01-02`" in what_to_do
    assert f"http://127.0.0.1:3000/runs/{run_id}" in what_to_do
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_refused_deployment_is_told_in_the_services_words(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    (line,) = reported(instance, failed(refused_bundle, instance, "deploy"), tmp_path / "failures.jsonl")
    assert line["error"] == "service paper: deploy failed: refused: its approval has expired"
    assert "`py_rt bundle approve`" in str(line["what_to_do"])


def test_a_later_failure_is_a_later_line(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    file = tmp_path / "failures.jsonl"
    reported(instance, failed(refused_bundle, instance, "deploy"), file)
    lines = reported(instance, failed(library_failure, instance, "other"), file)
    assert [line["job"] for line in lines] == ["deploy", "other"]
    assert lines[1]["error"] == "'close'"


def test_processes_that_write_together_leave_whole_lines(tmp_path: Path) -> None:
    file = tmp_path / "failures.jsonl"
    line = Failure("2026-01-01T00:00:00+00:00", "job", "run", None, None, "e" * ERROR_CHARS_MAX, "Look.")
    writers = [multiprocessing.get_context("fork").Process(target=many, args=(file, line)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = [json.loads(text) for text in file.read_text().splitlines()]
    assert len(lines) == 300
    assert {each["run_id"] for each in lines} == {"run"}


def many(file: Path, line: Failure) -> None:
    for _ in range(100):
        write_down(file, line)
