"""From a fill on the account's socket to its row in another process: the built service, a venue, a reader in Python.

Orders at the market, given by hand, fill one after the other. The reader spins on the ring `account` in a process of
its own; when it holds the row of a fill, the service's clock, which it reads from shared memory, says how long ago the
frame was read from the socket. Parsing, the record, the engine's books and the ring are in it; before a fill's row the
position has been updated.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import py_rt_core

from benches.figures import Figures, Line
from benches.programs import BenchError, target_folder

PATIENCE_S = 120.0
# The venue's time runs as fast as ours: nothing is rounded by a clock that is compressed.
BAR_MS = 900_000
WARM = 5


def read(socket: str, count: int) -> list[int]:
    """Nanoseconds from the socket to here of the next `count` fills; says `ready` first."""
    ring = py_rt_core.RingReader(socket, "account", "newest")
    clock = py_rt_core.MarketCacheReader(socket, "market_cache")
    while clock.now() is None:
        pass
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    found: list[int] = []
    while len(found) < count:
        arrays, _ = ring.poll(64, 0)
        now = clock.now()
        if now is not None and "fill" in arrays:
            found += [now - int(received) for received in arrays["fill"]["ts_received"]]
    return found


def run(samples: int) -> Line:
    """`samples` fills.

    Raises:
        BenchError: the service did not start, or an order was not filled.
    """
    from py_rt.bridge.vocabulary import Side
    from tests.contract import live_service

    release = target_folder() / "release"
    for name in ("py_rt_live", "py_rt_venue_server"):
        os.environ[f"{name.upper()}_BINARY"] = str(release / name)
    live_service.BAR_MS = BAR_MS
    with tempfile.TemporaryDirectory() as home, live_service.LiveService(Path(home)) as service:
        service.start()
        command = [
            sys.executable,
            "-m",
            "benches.fill_to_python",
            str(service.run / "segments.sock"),
            str(samples + WARM),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader, service.client() as client:
            try:
                assert reader.stdout is not None
                if reader.stdout.readline() != "ready\n":
                    raise BenchError("the reader did not start")
                for number in range(samples + WARM):
                    side = Side.BUY if number % 2 == 0 else Side.SELL
                    client.manual_order(live_service.SLOT, "binance/BTCUSDT", side, "0.5")
                    live_service.until(lambda: not client.orders(open_only=True).orders, "the end of an order")
                nanos = json.loads(reader.communicate(timeout=PATIENCE_S)[0])
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
    sys.stdout.write(json.dumps(read(sys.argv[1], int(sys.argv[2]))) + "\n")
