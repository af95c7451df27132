"""A recording as the wire: in the copy that our recorder takes of it, a check finds what it finds in the original."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.live_service import find_command, until
from tests.contract.test_record import checked, files, recorder, stopped
from tests.processes import session

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
SPOT = SHARED / "ws_binance_spot_btcusdt_20240808"
NAMES = ("btcusdt_20240808.gz", "btcusdt_20240809.gz")

SAME_OF_CONNECTION = ("wire", "messages", "bytes", "snapshots", "kinds", "scanned", "fallbacks", "errors", "trade_gaps")
SAME_OF_BOOK = (
    "symbol", "synchronized", "updates", "snapshots", "gaps", "resyncs", "crossed", "unknown_deletes", "last_update_id",
    "levels", "top", "trades",
)  # fmt: skip


@contextmanager
def venue(speed: str) -> Iterator[str]:
    """Where the recorded two days are served."""
    recordings = [SPOT / name for name in NAMES]
    if not SPOT.is_dir():
        pytest.skip(f"no recorded data at {SPOT}: set PY_RT_SHARED_DATA")
    command = [find_command("py_rt_venue_server"), "--recording", *recordings, "--speed", speed]
    with session(list(map(str, command)), stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["rest"]


def state(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/admin/state", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def recorded_whole(url: str, out: Path, *options: str) -> dict[str, Any]:
    """The summary of a recorder that had everything that was served."""
    with recorder(url, out, "--plain", "--rotate-minutes", "0", *options) as process:
        until(lambda: bool(state(url)["is_done"]), "the end of the recording")
        played = state(url)["played"]
        until(lambda: len(frames(files(out))) == played, "the end of the copy")
        until(lambda: all(b'"answer":' in path.read_bytes() for path in files(out)), "a snapshot in each file")
        process.send_signal(signal.SIGTERM)
        summary, _ = stopped(process)
    assert (summary["books_standing"], summary["gaps"], summary["errors"]) == (1, 0, 0)
    return summary


@pytest.mark.parametrize("speed", ["100", "max"])
def test_a_copy_taken_from_the_wire_is_the_original(speed: str, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    with venue(speed) as url:
        recorded_whole(url, out)
    original = checked([SPOT / name for name in NAMES])
    copy = checked(files(out))
    (was,), (now,) = original["connections"], copy["connections"]
    assert {name: now[name] for name in SAME_OF_CONNECTION} == {name: was[name] for name in SAME_OF_CONNECTION}
    (book_was,), (book_now,) = was["books"], now["books"]
    assert {name: book_now[name] for name in SAME_OF_BOOK} == {name: book_was[name] for name in SAME_OF_BOOK}
    assert book_now["best"]["compared"] == book_now["best"]["equal"] > 0
    # Message for message, the bytes are the venue's own.
    assert frames(files(out)) == messages(SPOT)


def test_each_file_of_a_recording_stands_by_itself(tmp_path: Path) -> None:
    out = tmp_path / "copy"
    with venue("100") as url:
        summary = recorded_whole(url, out, "--rotate-mb", "12")
    parts = files(out)
    assert len(parts) >= 3
    assert summary["snapshots"] == len(parts)
    for part in parts:
        (connection,) = checked([part])["connections"]
        assert connection["books"][0]["synchronized"]
    (connection,) = checked(parts)["connections"]
    assert connection["connects"] == 1
    # What was not needed in between was asked for all the same, and changed nothing.
    book = connection["books"][0]
    assert (book["snapshots"], book["snapshots_refused"]) == (1, len(parts) - 1)
    assert (book["updates"], book["trades"]["count"]) == (6_493, 19_904)


def frames(paths: list[Path]) -> list[bytes]:
    lines = (line.partition(b'"frame":') for path in paths for line in path.read_bytes().splitlines())
    return [frame.removesuffix(b"}") for _, mark, frame in lines if mark]


def messages(folder: Path) -> list[bytes]:
    unpacked = subprocess.run(["gzip", "-dc", *(folder / name for name in NAMES)], capture_output=True, check=True)
    lines = (line.split(b" ", 1)[1] for line in unpacked.stdout.splitlines())
    return [message for message in lines if not message.startswith(b'{"lastUpdateId"')]
