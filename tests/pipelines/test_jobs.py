from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipelines import definitions
from pipelines.jobs import CHAIN_GROUPS, ingest_daily, main_job
from pipelines.resources import make_resources
from pipelines.run import materialize
from py_rt.data.storage import read_table, scan
from tests.pipelines.conftest import features_table

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("home", "instant_runner")

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def test_the_main_job_makes_the_whole_chain_as_runs_of_its_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.planning.CHAIN_GROUPS", ("raw", "cleaned"))
    config = {"ops": {"run_chain": {"config": {"partition_range": "2021-10-01...2021-10-02"}}}} | QUIET
    with dg.DagsterInstance.ephemeral() as instance:
        result = main_job.execute_in_process(instance=instance, run_config=config)
        assert result.success
        tags = [run.tags.get("py_rt/job") for run in instance.get_runs()]
        assert tags.count("main_job") == len(tags) - 1 >= 1
    assert read_table("clean_bars", root=home / "lake").height == 192


def test_the_main_job_fails_when_a_part_fails(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PY_RT_SOURCE", "local")
    monkeypatch.setenv("PY_RT_SOURCE_FOLDER", str(home))
    config = {"ops": {"run_chain": {"config": {"partition_range": "2021-10-01...2021-10-02"}}}} | QUIET
    with dg.DagsterInstance.ephemeral() as instance:
        result = main_job.execute_in_process(instance=instance, run_config=config, raise_on_error=False)
    assert not result.success


def ingested(day: str) -> dg.ExecuteInProcessResult:
    job = definitions.build(make_resources()).resolve_job_def(ingest_daily.name)
    assert job.partitions_def is not None
    return job.execute_in_process(partition_key=day, run_config=QUIET, raise_on_error=False)


def test_the_daily_job_makes_one_day(home: Path) -> None:
    assert materialize("raw_bars,staged_bars,clean_bars", partition_range="2021-09-28...2021-09-30").success
    assert ingested("2021-10-01").success
    assert read_table("clean_bars", root=home / "lake").height == 4 * 96
    features = scan(str(features_table(home))).collect()
    assert features["is_warm"].to_list() == [True] * 96


def test_a_day_without_the_days_before_has_bars_and_no_features_to_look_at(home: Path) -> None:
    result = ingested("2021-10-01")
    assert not result.success
    failed = {item.check_name: item.description for item in result.get_asset_check_evaluations() if not item.passed}
    assert set(failed) == {"no_look_ahead", "batch_equals_incremental", "missing_rate"}
    assert all("no row is warm" in str(said) for said in failed.values())
    assert read_table("clean_bars", root=home / "lake").height == 96


def test_the_chain_names_every_group() -> None:
    assert CHAIN_GROUPS == ("raw", "cleaned", "features", "models", "backtests", "bundles")
