"""What a service says of itself in its `live.json`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from py_rt.bridge.services import Service, ServiceSearchError, VenueRead, running_in

if TYPE_CHECKING:
    from pathlib import Path


def left(folder: Path, **more: Any) -> Service | None:  # noqa: ANN401  # whatever a file may hold
    facts = {
        "pid": os.getpid(),
        "instance": "paper",
        "stage": "paper",
        "run_id": "run",
        "epoch": 1,
        "started_ns": 0,
        "endpoints": {"command": "ipc://command", "telemetry": "ipc://telemetry"},
    }
    (folder / "live.json").write_text(json.dumps({**facts, **more}), encoding="utf-8")
    return running_in(folder)


def test_the_venues_that_a_service_reads_stand_in_it(tmp_path: Path) -> None:
    venues = [
        {"venue": "kraken", "traded": True, "taker_bps": "40"},
        {"venue": "coinbase", "traded": False, "taker_bps": None},
    ]
    service = left(tmp_path, venues=venues)
    assert service is not None
    assert service.venues == (VenueRead("kraken", True, "40"), VenueRead("coinbase", False, None))


def test_a_service_of_before_says_nothing_of_venues(tmp_path: Path) -> None:
    service = left(tmp_path)
    assert service is not None
    assert service.venues == ()


@pytest.mark.parametrize("venues", [[{}], [7], {"venue": "kraken"}, "kraken"])
def test_damaged_venues_are_named(tmp_path: Path, venues: object) -> None:
    with pytest.raises(ServiceSearchError, match="start the service anew"):
        left(tmp_path, venues=venues)
