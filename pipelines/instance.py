"""The Dagster instance of a home folder."""

from __future__ import annotations

import fcntl
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.instance.ref import InstanceRef

from pipelines.event_log import batches
from py_rt.defaults import default_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG_NAME = "dagster.yaml"


def prepare_dagster_home(home: Path) -> Path:
    """Make `<home>/dagster` with its configuration, and return it: the value for `DAGSTER_HOME`.

    An existing configuration is left as it is.
    """
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / CONFIG_NAME
    if not config.exists():
        shutil.copyfile(default_root() / "config" / CONFIG_NAME, config)
    return folder


@contextmanager
def open_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """Open the instance for runs that are executed in this process, and close it afterwards.

    Several processes may do so at once: making its databases is done by one after the other, because two that make
    them together fail with "table already exists".
    """
    folder = prepare_dagster_home(home)
    ref = InstanceRef.from_dir(
        str(folder),
        overrides={
            "event_log_storage": {
                "module": "pipelines.event_log",
                "class": "PooledEventLogStorage",
                "config": {"base_dir": str(folder / "history" / "runs")},
            },
            # Standard output belongs to whoever called us; capturing it would start two processes per run.
            "compute_logs": {
                "module": "dagster._core.storage.noop_compute_log_manager",
                "class": "NoOpComputeLogManager",
            },
        },
    )
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        instance = dg.DagsterInstance.from_ref(ref)
        instance.get_runs_count()  # makes the databases
    with instance, batches():
        yield instance
