"""Dagster's own daemon beside the service: what is approved is deployed by itself, and what failed is written down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg
import pytest

from assets.deployments import OUTCOME_TAG, REFUSED
from pipelines.deployment import recorded
from pipelines.instance import prepare_dagster_home
from tests.contract.live_service import INSTANCE, SLOT, LiveService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.e2e

Found = TypeVar("Found")

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0
"""The daemon loads the definitions, looks every 30 s, and starts a process for each run."""

INTERVAL_S = 0.5
STOP_S = 30.0


@contextmanager
def daemon(home: Path, run_folder: Path) -> Iterator[Path]:
    """Dagster's daemon with the project loaded, as `py_rt ui` starts it beside the webserver; its log."""
    tool = Path(sys.executable).with_name("dagster-daemon")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PY_RT_", "DAGSTER_"))}
    environ |= {
        "PY_RT_HOME": str(home),
        "PY_RT_RUN_FOLDER": str(run_folder),
        "DAGSTER_HOME": str(prepare_dagster_home(home)),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    log = home / "daemon.log"
    with log.open("wb") as out:
        command = [str(tool), "run", "--workspace", str(ROOT / "workspace.yaml")]
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=out, stderr=out, start_new_session=True)
    try:
        yield log
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_S)


def came(condition: Callable[[], Found], what: str, log: Path) -> Found:
    """Asks again until there is an answer."""
    ends = time.monotonic() + PATIENCE_S
    while not (answer := condition()):
        assert time.monotonic() < ends, f"{what} did not come in {PATIENCE_S:g} s:\n{log.read_text()[-8_000:]}"
        time.sleep(INTERVAL_S)
    return answer


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in file.read_text().splitlines()] if file.exists() else []


def test_the_daemon_deploys_what_is_approved_and_writes_down_what_failed(tmp_path: Path) -> None:
    with LiveService(tmp_path) as service:
        # The first run is to fail: the service's own policy is stricter than what the bundle was approved under.
        service.write_policy(is_stricter=True)
        service.start()
        digest = service.approved_bundle()
        with daemon(tmp_path, service.run) as log, stock_instance(tmp_path) as instance:
            refused = came(lambda: ended(instance), "a run", log)
            assert refused is not None
            assert (refused.status, refused.tags[OUTCOME_TAG]) == (dg.DagsterRunStatus.FAILURE, REFUSED)
            service.stop()
            service.write_policy()
            service.start()  # it reads its policy; nothing is approved or typed meanwhile
            (done,) = came(lambda: recorded(instance), "a deployment", log)
            assert (done.digest, done.slot, done.serial) == (digest, SLOT, 1)
            assert (done.instance, done.epoch) == (INSTANCE, service.live["epoch"])
            with service.client("viewer") as viewer:
                active = viewer.status().slots[0].active
            assert active is not None
            assert active.digest == digest
            (line,) = came(lambda: lines(tmp_path / "failures.jsonl"), "a line about the failed run", log)
            assert (line["job"], line["run_id"], line["step"]) == ("deploy", refused.run_id, "deployed_bundle")
            assert f"service {INSTANCE}: deploy failed: refused: " in line["error"]
            runs = instance.get_runs()
            assert [run.tags["dagster/sensor_name"] for run in runs] == ["deploy_approved_bundle"] * 2
            assert {run.tags["dagster/run_key"].split("/")[0] for run in runs} == {digest}


@contextmanager
def stock_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        yield instance


def ended(instance: dg.DagsterInstance) -> dg.DagsterRun | None:
    return next((run for run in instance.get_runs() if run.is_finished), None)
