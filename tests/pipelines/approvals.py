"""A home with keys, bundles that a person has approved, and services that seem to run in it."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import dagster as dg

from pipelines.deployment import DEPLOYED_KEY
from py_rt.bridge.services import RunFolders
from py_rt.bundle.deploy import Deployed
from py_rt.bundle.keys import create_key
from py_rt.bundle.statement import PAPER
from py_rt.bundle.store import BundleStore
from tests.golden_bundle import DAY_NS, SLOT, approved, built, of_version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NOBODY = 2**22 + 1
"""Above every process number that Linux gives."""


class Approvals:
    """What `py_rt keys`, `py_rt bundle` and a service leave behind in a home."""

    def __init__(self, home: Path, roles: tuple[str, ...] = ("builder", "approver", "deployer")) -> None:
        self.home = home
        self.keys = home / "keys"
        self.store = BundleStore(home / "bundles")
        self.run_folders = RunFolders(home / "runs")
        for role in roles:
            create_key(self.keys, role)

    @property
    def resources(self) -> Mapping[str, object]:
        """What the sensor asks for."""
        return {"bundle_store": self.store, "key_folder": self.keys, "run_folders": self.run_folders}

    def built(self, version: str = "1.0.0", *, signed: bool = True) -> str:
        """A bundle of the golden files, named by its version; its digest."""
        return built(self.home, of_version(version), signed=signed)

    def approved(
        self, digest: str, *, slot: int = SLOT, begins_in_days: float = -1, days: float = 2, serial: int | None = None
    ) -> None:
        """Approve it, as a person would."""
        begins = time.time_ns() + int(begins_in_days * DAY_NS)
        approved(self.home, digest, slot=slot, begins_ns=begins, ends_ns=begins + int(days * DAY_NS), serial=serial)

    def seems_to_run(self, instance: str = "paper", *, stage: str = "paper", life: int = 1, pid: int = 0) -> int:
        """Leave a `live.json` as a service does, by default of a process that is there; when that life began."""
        folder = self.home / "runs" / instance
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        started = time.time_ns()
        doors = {name: f"ipc://{folder}/{name}.sock" for name in ("command", "telemetry")}
        facts = {"pid": pid or os.getpid(), "instance": instance, "stage": stage, "run_id": instance, "epoch": life}
        (folder / "live.json").write_text(json.dumps({**facts, "started_ns": started, "endpoints": doors}))
        return started


def recorded_as_deployed(instance: dg.DagsterInstance, digest: str, serial: int, acknowledged_ns: int) -> None:
    """The deploy job's record in slot 1 of the service `paper`."""
    done = Deployed(
        digest=digest,
        name="golden",
        version="1.0.0",
        slot=SLOT,
        stage=PAPER,
        serial=serial,
        expires_ns=acknowledged_ns + DAY_NS,
        instance="paper",
        run_id="paper",
        epoch=1,
        command_id="c",
        acknowledged_ns=acknowledged_ns,
    )
    instance.report_runless_asset_event(dg.AssetMaterialization(DEPLOYED_KEY, metadata=asdict(done)))
