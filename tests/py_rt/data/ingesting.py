"""A child process that ingests a source and dies where it is told: at its n-th look at the file system.

`python ingesting.py HOME FIRST LAST KILL_AT`, in the folder of `config/sources/quotes.toml`. With
`KILL_AT` 0 it lives, and prints how often it could have died.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import date, timedelta
from pathlib import Path

from py_rt.data.ingestion.catalog import open_source
from py_rt.data.ingestion.ingest import ingest
from py_rt.data.ingestion.publishing import days
from py_rt.data.ingestion.received import Received
from py_rt.data.storage import DayWindow, Lake

WATCHED = ("open", "os.rename", "os.remove", "os.mkdir", "os.listdir", "os.scandir", "socket.connect", "fcntl.flock")


def main(home: str, first: str, last: str, kill_at: str) -> None:
    source = open_source("quotes")
    seen = 0

    def die(event: str, _arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in WATCHED:
            seen += 1
            if seen == int(kill_at):
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die)
    window = DayWindow(date.fromisoformat(first), date.fromisoformat(last) + timedelta(days=1))
    received, lake = Received(Path(home) / "landing", "quotes"), Lake(str(Path(home) / "lake"))
    wanted = days(window) if source.table.partitioning == "day" else None
    done = ingest(source, wanted, received, lake, lambda: 1_750_000_000 * 10**9)
    assert not done.failed, done.failed
    print(seen)  # noqa: T201  # the answer


if __name__ == "__main__":
    main(*sys.argv[1:])
