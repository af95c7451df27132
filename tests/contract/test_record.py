"""`py_rt record` against a venue: what it writes is what came, whatever ends it; and what `feed replay` makes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.live_service import ROOT, bars_csv, find_command, until
from tests.e2e.test_full_disk import fill_up, small_disk
from tests.processes import session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAIN = "import sys; from py_rt.cli.main import main; sys.exit(main(sys.argv[1:]))"
PATIENCE_S = 60.0
ENOUGH_BYTES = 40_000


def environment() -> dict[str, str]:
    folder = find_command("py_rt_feed").parent
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Where a simulated venue serves its wire, 3,000 times as fast as it was."""
    with served(tmp_path, "binance", "BTCUSDT") as address:
        yield address


@contextmanager
def served(tmp_path: Path, venue: str, symbol: str) -> Iterator[str]:
    bars = tmp_path / "bars.csv"
    bars.write_text(bars_csv())
    command = [find_command("py_rt_venue_server"), "--venue", venue, "--bars", bars, "--symbol", symbol]
    command += ["--bar-ms", "300"]
    with session(list(map(str, command)), stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["rest"]


@contextmanager
def recorder(
    url: str, out: Path, *options: str, symbol: str = "BTCUSDT", venue: str = "binance"
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", MAIN, "record", "--venue", venue, "--symbol", symbol, "--out", str(out)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with session([*command, "--url", url, "--json", *options], cwd=ROOT, env=environment(), **pipes) as process:
        yield process


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*_*"))


def until_written(folder: Path, size: int = ENOUGH_BYTES) -> None:
    until(lambda: sum(file.stat().st_size for file in files(folder)) > size, f"{size} bytes of a recording")


def stopped(process: subprocess.Popen[str], status: int = 0) -> tuple[dict[str, Any], str]:
    """Its summary, and what it said meanwhile."""
    out, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == status, said
    summary = json.loads(out)
    assert summary["schema"] == "py_rt.record/1"
    return summary, said


def feed(*arguments: str | Path, status: int = 0) -> str:
    command = [find_command("py_rt_feed"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr + done.stdout
    return done.stdout


def checked(paths: Sequence[Path]) -> dict[str, Any]:
    """What a check says of recordings of which nothing is missing."""
    report: dict[str, Any] = json.loads(feed("check", "--json", *paths))
    assert report["problems"] == []
    return report


@pytest.mark.parametrize("packing", [["--plain"], []])
def test_what_is_recorded_until_it_is_told_to_stop_is_right_and_complete(
    url: str, tmp_path: Path, packing: list[str]
) -> None:
    out = tmp_path / "recordings"
    with recorder(url, out, *packing) as process:
        until_written(out, ENOUGH_BYTES if packing else ENOUGH_BYTES // 8)
        process.send_signal(signal.SIGTERM)
        summary, said = stopped(process)
    assert summary["files"] == list(map(str, files(out)))
    assert summary["file_bytes"] == sum(file.stat().st_size for file in files(out))
    assert (summary["error"], summary["connects"], summary["disconnects"]) == (None, 1, 0)
    assert (summary["books_standing"], summary["gaps"], summary["errors"], summary["left_out"]) == (1, 0, 0, 0)
    assert f"writing {files(out)[0]}" in said
    assert "connected to ws://" in said

    report = checked(files(out))
    assert report["totals"]["messages"] == summary["messages"] > 0
    assert report["files"][0]["torn"] is False
    assert report["files"][0]["records"] == summary["records"]
    (connection,) = report["connections"]
    assert (connection["snapshots"], connection["bytes"]) == (summary["snapshots"], summary["message_bytes"])
    (book,) = connection["books"]
    assert book["synchronized"]
    assert book["top"]["bids"]

    events = [json.loads(line) for line in feed("replay", *files(out)).splitlines()]
    counted = {name: sum(event["event"] == name for event in events) for name in ("book", "trade")}
    assert counted == {"book": report["totals"]["updates"] + book["snapshots"], "trade": report["totals"]["trades"]}
    assert [event["ts_received"] for event in events] == sorted(event["ts_received"] for event in events)


@pytest.mark.parametrize(
    ("venue", "symbol", "wire"), [("kraken", "BTC/USD", "kraken_v2"), ("coinbase", "BTC-USD", "coinbase_advanced")]
)
def test_every_venue_is_recorded_as_its_wire_is(tmp_path: Path, venue: str, symbol: str, wire: str) -> None:
    out = tmp_path / "recordings"
    with (
        served(tmp_path, venue, symbol) as address,
        recorder(address, out, "--plain", symbol=symbol, venue=venue) as it,
    ):
        until_written(out)
        it.send_signal(signal.SIGTERM)
        summary, _ = stopped(it)
    assert (summary["error"], summary["books_standing"], summary["gaps"], summary["errors"]) == (None, 1, 0, 0)
    report = checked(files(out))
    (connection,) = report["connections"]
    assert (connection["wire"], report["totals"]["messages"]) == (wire, summary["messages"])
    (book,) = connection["books"]
    assert (book["symbol"], book["synchronized"]) == (symbol, True)
    assert book["updates"] > 0
    if venue == "kraken":
        assert report["totals"]["checksums_right"] > 0


@pytest.mark.parametrize("packing", [["--plain"], ["--sync-ms", "10"]])
def test_a_recorder_that_is_killed_leaves_all_but_its_last_moment_and_is_never_written_over(
    url: str, tmp_path: Path, packing: list[str]
) -> None:
    out = tmp_path / "recordings"
    with recorder(url, out, *packing) as process:
        until_written(out, ENOUGH_BYTES if packing == ["--plain"] else ENOUGH_BYTES // 8)
        process.kill()
        process.wait()
    left = [file.read_bytes() for file in files(out)]
    # The book stands at its end, and no error, gap or difference is in it.
    before = checked(files(out))
    assert before["totals"]["messages"] > 0
    if packing == ["--plain"]:
        # All whole lines but the head are there, and nothing else.
        assert before["files"][0]["records"] == left[0].count(b"\n") - 1
        assert before["files"][0]["torn"] is (not left[0].endswith(b"\n"))

    with recorder(url, out, *packing, "--seconds", "1") as process:
        summary, _ = stopped(process)
    assert [file.read_bytes() for file in files(out)][: len(left)] == left
    both = checked(files(out))
    assert both["totals"]["messages"] == before["totals"]["messages"] + summary["messages"]
    assert len(both["connections"]) == 2


def test_a_full_disk_is_said_and_nothing_before_it_is_lost(url: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk):
        out = disk / "recordings"
        with recorder(url, out, "--plain") as process:
            until_written(out)
            sized = {file: file.stat().st_size for file in files(out)}
            before = {file: file.read_bytes()[:size] for file, size in sized.items()}
            fill_up(disk)
            summary, said = stopped(process, status=1)
        assert "No space left on device" in said
        assert f"cannot write {files(out)[0]}" in said
        assert summary["error"] in said
        report = checked(files(out))
        for file, bytes_before in before.items():
            assert file.read_bytes().startswith(bytes_before)
        assert report["totals"]["messages"] >= bytes_before.count(b'"frame":')
        # The next one says so at once, and leaves no empty file.
        with recorder(url, out, "--plain") as process:
            _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 2
        assert "No space left on device" in said
        assert files(out) == list(before)


def test_a_symbol_that_the_venue_does_not_list_begins_no_file(url: str, tmp_path: Path) -> None:
    out = tmp_path / "recordings"
    with recorder(url, out, symbol="NOSUCH") as process:
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert "Invalid symbol" in said
    assert not out.exists()


def test_a_replay_is_the_same_at_any_speed(tmp_path: Path) -> None:
    """What is played does not hang on how fast."""
    trade = '{"e":"trade","E":1,"s":"BTCUSDT","t":%d,"p":"99.50","q":"0.250","T":1,"m":true,"M":true}'
    path = tmp_path / "trades"
    path.write_text("".join(f"{1_700_000_000_000_000_000 + at * 10**9} {trade % at}\n" for at in range(5)))
    command = [sys.executable, "-c", MAIN, "feed", "replay", str(path), "--speed", "1000"]
    paced = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True).stdout
    assert paced == feed("replay", path, "--speed", "max")
    assert [json.loads(line)["trade_id"] for line in paced.splitlines() if '"trade"' in line] == list(range(5))
    done = subprocess.run(
        [find_command("py_rt_feed"), "replay", path, "--speed", "0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "a positive number, or max" in done.stderr
