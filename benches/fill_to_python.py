"""From a fill on the account's socket to its row in another process: the built service, a venue, a reader in Python.

Orders at the market, given by hand, fill one after the other. The reader spins on the ring `account` in a process of
its own; when it holds the row of a fill, the service's clock, which it reads from shared memory, says how long ago the
frame was read from the socket. Parsing, the record, the engine's books and the ring are in it; before a fill's row the
position has been updated.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import py_rt_core

from benches.figures import Figures, Line
from benches.programs import ROOT, BenchError, target_folder
from py_rt.bridge.commands import CommandError

# The venue's time runs as fast as ours: nothing is rounded by a clock that is compressed.
BAR_MS = 900_000
WARM = 5
# So many orders a slot's limits let out in a minute.
FILLS_MAX = 55
# The service and the reader have a core each, as where it matters; venue and client take what is left.
SERVICE_CORE, READER_CORE = 0, 1
SERVICE_NICE = -18


def read(socket: str) -> None:
    """Says `ready`, then of each fill the nanoseconds from the socket to here, until nobody listens."""
    os.sched_setaffinity(0, {READER_CORE})
    ring = py_rt_core.RingReader(socket, "account", "newest")
    clock = py_rt_core.MarketCacheReader(socket, "market_cache")
    while clock.now() is None:
        pass
    print("ready", flush=True)
    while True:
        arrays, _ = ring.poll(64, 0)
        now = clock.now()
        if now is not None and "fill" in arrays:
            for received in arrays["fill"]["ts_received"]:
                print(now - int(received), flush=True)


def set_apart(service: int) -> None:
    """Gives every thread of the service its core, and the right of way where we may."""
    for thread in Path(f"/proc/{service}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {SERVICE_CORE})
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, int(thread.name), SERVICE_NICE)


def find_tests() -> None:
    """Makes `tests` mean our folder: it is no package, and an installed one of that name would come first."""
    package = ModuleType("tests")
    package.__path__ = [str(ROOT / "tests")]
    sys.modules["tests"] = package


def run(samples: int) -> Line:
    """`samples` fills, at most `FILLS_MAX`.

    Raises:
        BenchError: the service did not start, or an order was not filled.
    """
    try:
        return measure(min(samples, FILLS_MAX))
    except (AssertionError, CommandError, OSError, subprocess.SubprocessError) as error:
        raise BenchError(f"{type(error).__name__}: {error}") from error


def measure(samples: int) -> Line:
    """The same; what fails in the service's tests fails here alike."""
    find_tests()
    from py_rt.bridge.vocabulary import Side
    from tests.contract import live_service

    release = target_folder() / "release"
    for name in ("py_rt_live", "py_rt_venue_server"):
        os.environ[f"{name.upper()}_BINARY"] = str(release / name)
    live_service.BAR_MS = BAR_MS
    with tempfile.TemporaryDirectory() as home, live_service.LiveService(Path(home)) as service:
        service.start()
        assert service.service is not None
        set_apart(service.service.pid)
        digest = service.approved_bundle()
        with service.client("deployer") as deployer:
            deployer.deploy(live_service.SLOT, digest)
        command = [sys.executable, "-m", "benches.fill_to_python", str(service.run / "segments.sock")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader, service.client() as client:
            try:
                assert reader.stdout is not None
                if reader.stdout.readline() != "ready\n":
                    raise BenchError("the reader did not start")
                nanos = []
                for number in range(samples + WARM):
                    # No two alike in a row are let out, and the venue takes its fee in what was bought.
                    side, least = (Side.BUY, 601) if number % 2 == 0 else (Side.SELL, 599)
                    client.manual_order(live_service.SLOT, "binance/BTCUSDT", side, f"0.0{least + number}")
                    nanos.append(int(reader.stdout.readline()))
                    live_service.until(lambda: not client.orders(open_only=True).orders, "the end of an order")
            finally:
                reader.kill()
    figures = Figures.of([float(each) for each in nanos[WARM:]])
    return Line(
        row="fill_to_python",
        unit="ns from the socket to Python",
        subject="py_rt_live, account's frame to a row of the ring in another process",
        figures=figures,
        anchor=None,
        anchor_figures=None,
        ratio=None,
        facts={"fills": float(len(nanos) - WARM), "least_ns": figures.min},
    )


if __name__ == "__main__":
    read(sys.argv[1])
