from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipelines import definitions
from pipelines.jobs import CHAIN_GROUPS, ingest_daily, main_job
from pipelines.resources import make_resources
from py_rt.data.storage import read_table

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


def test_the_daily_job_makes_one_day(home: Path) -> None:
    defs = definitions.build(make_resources())
    job = defs.resolve_job_def(ingest_daily.name)
    assert job.partitions_def is not None
    result = job.execute_in_process(partition_key="2021-10-01", run_config=QUIET)
    assert result.success
    assert read_table("clean_bars", root=home / "lake").height == 96


def test_the_chain_names_every_group() -> None:
    assert CHAIN_GROUPS == ("raw", "cleaned", "features", "models", "backtests", "bundles")
