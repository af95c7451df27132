"""Services on this machine, found by the `live.json` that each keeps in its run folder while it runs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from py_rt.errors import BridgeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LIVE_FILE = "live.json"


class ServiceSearchError(BridgeError):
    """A `live.json` that cannot be read."""


class NotOneServiceError(ServiceSearchError):
    """No service runs, or several do and nobody said which one counts."""


@dataclass(frozen=True, slots=True)
class VenueRead:
    """A venue whose market a service reads.

    Attributes:
        venue: its name.
        traded: whether the service trades there; the others are only watched.
        taker_bps: what it takes of an order that takes, in ten-thousandths, as the service's file says; None where it
            does not.
    """

    venue: str
    traded: bool
    taker_bps: str | None


@dataclass(frozen=True, slots=True)
class Service:
    """A service that runs.

    Attributes:
        folder: its run folder.
        pid: its process.
        instance: its name, which every command carries.
        stage: `dev`, `paper` or `prod`.
        run_id: its name in the record.
        epoch: number of this life; rises with every start in the same folder.
        started_ns: when this life began, ns UTC.
        command: endpoint for commands.
        telemetry: endpoint of what it tells.
        venues: whose markets it reads, the one that it trades at first; empty where an older one does not say.
    """

    folder: Path
    pid: int
    instance: str
    stage: str
    run_id: str
    epoch: int
    started_ns: int
    command: str
    telemetry: str
    venues: tuple[VenueRead, ...] = ()


@dataclass(frozen=True, slots=True)
class RunFolders:
    """Where services may run.

    Attributes:
        runs: folder of run folders.
        only: the one run folder that counts; `None` is every folder in `runs`.
    """

    runs: Path
    only: Path | None = None

    def __str__(self) -> str:
        """Where is looked, for messages."""
        return str((self.only or self.runs / "*") / LIVE_FILE)

    def running(self) -> list[Service]:
        """Every service that runs, by folder.

        Raises:
            ServiceSearchError: a `live.json` is there and cannot be read.
        """
        folders = (
            [self.only] if self.only is not None else sorted(file.parent for file in self.runs.glob("*/live.json"))
        )
        return [service for folder in folders if (service := running_in(folder)) is not None]

    def one(self) -> Service:
        """The service that runs.

        Raises:
            NotOneServiceError: none runs, or several do and nobody said which one counts.
            ServiceSearchError: a `live.json` is there and cannot be read.
        """
        found = self.running()
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotOneServiceError(f"no service runs by {self}: start one, `py_rt_live --config config/paper.toml`")
        names = ", ".join(f"{service.instance} in {service.folder}" for service in found)
        raise NotOneServiceError(f"{len(found)} services run ({names}): set PY_RT_RUN_FOLDER to the folder of one")


def running_in(folder: Path) -> Service | None:
    """The service that runs in a folder; `None` when none does, also when one was killed and left its file.

    Raises:
        ServiceSearchError: the file cannot be read.
    """
    path = folder / LIVE_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ServiceSearchError(f"{path}: {error}") from error
    try:
        facts = json.loads(text)
        doors = facts["endpoints"]
        service = Service(
            folder=folder,
            pid=int(facts["pid"]),
            instance=str(facts["instance"]),
            stage=str(facts["stage"]),
            run_id=str(facts["run_id"]),
            epoch=int(facts["epoch"]),
            started_ns=int(facts["started_ns"]),
            command=str(doors["command"]),
            telemetry=str(doors["telemetry"]),
            venues=tuple(_venue(told) for told in facts.get("venues", [])),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ServiceSearchError(
            f"{path} does not say where the service is: {error!r}; start the service anew"
        ) from error
    return service if _is_alive(service.pid) else None


def _venue(told: Mapping[str, object]) -> VenueRead:
    taker_bps = told["taker_bps"]
    return VenueRead(str(told["venue"]), bool(told["traded"]), None if taker_bps is None else str(taker_bps))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is there, and another user's: its door will refuse us with the reason
        return True
    return True
