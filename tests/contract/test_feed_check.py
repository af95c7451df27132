"""`py_rt feed check` from a shell: the built binary behind it, its verdicts, its exit statuses, its document."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract.live_service import find_command

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", ROOT.parent / "shared" / "data"))
SPOT = "ws_binance_spot_btcusdt_20240808"
MAIN = "import sys; from py_rt.cli.main import main; sys.exit(main(sys.argv[1:]))"
NS = 1_700_000_000_000_000_000

SNAPSHOT = {"lastUpdateId": 10, "bids": [["99.50", "1.0"]], "asks": [["100.00", "2.000"], ["101.5", "3"]]}


def depth(first: int, last: int, *bids: list[str]) -> dict[str, Any]:
    data = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": first, "u": last, "b": list(bids), "a": []}
    return {"stream": "btcusdt@depth", "data": data}


TRADE = {"e": "trade", "E": 1, "s": "BTCUSDT", "t": 7, "p": "99.50", "q": "0.250", "T": 1, "m": True, "M": True}


def write(path: Path, messages: list[dict[str, Any]]) -> Path:
    lines = [f"{NS + at} {json.dumps(message, separators=(',', ':'))}" for at, message in enumerate(messages)]
    path.write_text("\n".join(lines) + "\n")
    return path


def feed(verb: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    folder = find_command("py_rt_feed").parent
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [sys.executable, "-c", MAIN, "feed", verb, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def feed_check(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return feed("check", *arguments)


def document(*paths: Path, status: int = 0) -> dict[str, Any]:
    done = feed_check("--json", *paths)
    assert done.returncode == status, done.stderr
    assert done.stdout.count("\n") == 1
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_a_right_recording_is_status_0_and_its_levels_are_the_venues_text(tmp_path: Path) -> None:
    path = write(tmp_path / "right", [SNAPSHOT, depth(11, 12, ["99.5", "0.0"], ["99.00", "4.10"]), TRADE])
    report = document(path)
    assert report["schema"] == "py_rt.feed_check/1"
    assert (report["right"], report["problems"]) == (True, [])
    (connection,) = report["connections"]
    assert connection["wire"] == "binance_spot"
    assert connection["kinds"] == {"depthUpdate": 1, "snapshot": 1, "trade": 1}
    (book,) = connection["books"]
    assert book["top"]["bids"] == [["99.00", "4.10"]]
    assert book["top"]["asks"] == SNAPSHOT["asks"]
    text = "bid 99.00 4.10\nask 100.00 2.000\nask 101.5 3\n"
    assert book["top"]["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert book["trades"]["volume"] == "0.250"
    done = feed_check(path)
    assert done.returncode == 0
    assert "right: nothing wrong was found" in done.stdout
    assert not done.stderr


def test_a_hole_is_status_1_and_named(tmp_path: Path) -> None:
    path = write(tmp_path / "hole", [SNAPSHOT, depth(11, 12), depth(14, 15)])
    report = document(path, status=1)
    assert report["totals"]["gaps"] == 1
    assert any("1 holes in the book's numbers" in problem for problem in report["problems"])
    done = feed_check(path)
    assert done.returncode == 1
    assert "wrong: binance_spot BTCUSDT: 1 holes" in done.stdout


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "holds no line"),
        ("nothing\n", "no known recording"),
        (f'{NS} {{"e":"trade","M":true}}\nx\n', ":2: not `<rec"),
    ],
)
def test_what_cannot_be_read_is_status_2_with_its_place(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "file"
    path.write_text(content)
    done = feed_check(path, "--json")
    assert done.returncode == 2
    assert not done.stdout
    assert str(path) in done.stderr
    assert says in done.stderr


def test_a_file_that_is_not_there_and_no_file_at_all_are_status_2(tmp_path: Path) -> None:
    assert feed_check(tmp_path / "none").returncode == 2
    assert feed_check().returncode == 2
    # What looks like an option is a name of a file behind the others.
    odd = write(tmp_path / "--json", [SNAPSHOT, depth(11, 12)])
    done = subprocess.run(
        [str(find_command("py_rt_feed")), "check", "--", odd.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("file 0  --json")


def test_the_recorded_session_of_two_files() -> None:
    paths = [SHARED / SPOT / name for name in ("btcusdt_20240808.gz", "btcusdt_20240809.gz")]
    if not all(path.is_file() for path in paths):
        pytest.skip(f"no recorded data at {SHARED}: set PY_RT_SHARED_DATA")
    report = document(*paths)
    (connection,) = report["connections"]
    (book,) = connection["books"]
    assert connection["messages"] + connection["snapshots"] == 99_574
    assert (book["gaps"], book["best"]["equal"], book["best"]["compared"]) == (0, 1_072, 1_072)
    assert (book["last_update_id"], book["levels"]) == (50_093_696_318, {"bids": 1_971, "asks": 2_962})
    assert book["trades"]["volume"] == "437.91552000"


def test_faults_are_told_by_wire_and_kind_and_the_seed_repeats_them(tmp_path: Path) -> None:
    path = write(tmp_path / "right", [SNAPSHOT, *(depth(at, at, ["99.00", f"{at}.5"]) for at in range(11, 60))])
    options = ("--count", "500", "--seed", "3", "--json")
    done = feed("faults", *options, path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["breaches"] == 0
    assert 0 < report["injected"] <= 500
    lost = report["wires"]["binance_spot"]["lost"]
    assert lost["injected"] > 0
    # Behind the last message nothing shows a hole.
    assert lost["at_once"] + lost["harmless"] + lost["unseen_top"] == lost["injected"]
    assert feed("faults", *options, path).stdout == done.stdout
    assert "| binance_spot | lost |" in feed("faults", path).stdout
    assert feed("faults", "--count", "0", path).returncode == 2
    assert feed("faults", tmp_path / "none").returncode == 2
