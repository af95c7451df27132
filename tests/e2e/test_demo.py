"""`py_rt demo` as a newcomer types it: a fresh home, a folder that is not ours, and every claim looked at anew."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import py_rt_core
import pytest
from dagster import DagsterEventType
from deltalake import DeltaTable

from pipelines.instance import open_instance
from py_rt.bundle.keys import TRUSTED_KEYS, read_trusted_keys
from py_rt.bundle.statement import PAPER
from tests.e2e import sample_output
from tests.processes import session

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

BESIDE = Path(sys.executable).parent
NEEDED = ("py_rt", "py_rt_live", "py_rt_venue_server")
PATIENCE_S = 600.0
DENIED_MAX = 30
"""A demo takes less than a minute; a machine that builds and tests at the same time takes several."""

TIMEOUTS_NS = (30 * 10**9, 120 * 10**9)
"""Life of an unfilled order under the first bundle, and after the swap."""

ROOT = Path(__file__).resolve().parents[2]
SCORES = {"auc": 4, "log_loss": 5, "base_log_loss": 5}
"""Digits that the summary shows of each."""

OPEN_AT_THE_END = 2
"""Orders of a slot that an operator may find working, at most."""

PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

STATE = re.compile(r" is \w+: ([\d.]+) of ([\d.]+) filled$")
FILL = re.compile(r"^fill \d+ of (\S+), .* realized (-?[\d.]+) USDT$")


def environ(**given: str) -> dict[str, str]:
    """Of a shell in which nobody has set anything of ours."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PY_RT_", "DAGSTER_", "UV_"))}
    return clean | given


def processes_of(home: Path) -> list[int]:
    """Processes that were started to work in a home, but for this one."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal() or int(folder.name) == os.getpid():
            continue
        try:
            told = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(home) in told:
            found.append(int(folder.name))
    return found


def until_gone(home: Path) -> None:
    """Wait for the last process that was started to work in a home."""
    ends = time.monotonic() + PATIENCE_S
    while left := processes_of(home):
        assert time.monotonic() < ends, f"still running: {left}"
        time.sleep(0.1)


@dataclass(frozen=True)
class Ended:
    """A demo that has ended.

    Attributes:
        home: where it made everything.
        folder: it worked in.
        status: its exit status.
        out: what it wrote to standard output.
        err: what it wrote to standard error.
        seconds: it took.
    """

    home: Path
    folder: Path
    status: int
    out: str
    err: str
    seconds: float

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Its summary."""
        (line,) = self.out.splitlines()
        read: dict[str, Any] = json.loads(line)
        return read

    @cached_property
    def journal(self) -> Path:
        """The record of its run."""
        return Path(self.facts["run"]) / "journal"

    @cached_property
    def orders(self) -> list[dict[str, Any]]:
        """Every order in the record, oldest first, with what became of it; one that risk denies spends its number."""
        numbers = range(1, self.facts["trading"]["orders"] + DENIED_MAX + 1)
        life = (self.journal.parent / "epoch").read_text(encoding="utf-8").strip()
        traced = (py_rt_core.trace_order(self.journal, f"e{life}-s1-{number}") for number in numbers)
        return [order for order in traced if order is not None]

    @cached_property
    def fills(self) -> list[tuple[str, Decimal]]:
        """Every fill in the record: of which order, and what it realized."""
        steps = (text for order in self.orders for _, text in order["steps"])
        return [(found[1], Decimal(found[2])) for text in steps if (found := FILL.match(text))]

    def says(self, command: str, *arguments: str) -> dict[str, Any]:
        """What a command of ours says about its home."""
        line = [str(BESIDE / "py_rt"), *command.split(), *arguments, "--json"]
        done = subprocess.run(
            line, capture_output=True, text=True, check=True, env=environ(PY_RT_HOME=str(self.home)), cwd=self.folder
        )
        read: dict[str, Any] = json.loads(done.stdout)
        return read


def run(home: Path, folder: Path, *arguments: str, **given: str) -> Ended:
    """Run it to its end."""
    began = time.monotonic()
    with session([str(BESIDE / "py_rt"), "demo", *arguments], cwd=folder, env=environ(**given), **PIPES) as demo:
        out, err = demo.communicate(timeout=PATIENCE_S)
    return Ended(home, folder, demo.returncode, out, err, time.monotonic() - began)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    missing = [name for name in NEEDED if not (BESIDE / name).is_file()]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed beside {sys.executable}: run `make build`")
    made = tmp_path_factory.mktemp("a folder")
    yield made
    left = processes_of(made)
    shutil.rmtree(made)
    assert not left, f"still running: {left}"


@pytest.fixture(scope="module")
def first(folder: Path) -> Ended:
    """In a fresh home, which nobody has named: `.py_rt` in the working folder."""
    return run(folder / ".py_rt", folder, "--json")


def test_everything_held(first: Ended) -> None:
    assert first.status == 0, first.out + first.err
    assert first.facts["ok"] is True
    assert first.facts["failures"] == []
    assert first.facts["home"] == str(first.home)
    assert not processes_of(first.home)


def test_progress_is_told_as_it_happens_beside_the_json(first: Ended) -> None:
    steps = ["keys", "assets", "venue", "deploy", "trading", "stop", "replay", "features"]
    told = [line.split()[0] for line in first.err.splitlines() if not line.startswith(" ")]
    assert told == [name for step in steps for name in (step, step)]
    assert "Traceback" not in first.err


def was_partly_filled(order: dict[str, Any]) -> bool:
    """Whether the record shows a state of it with more than nothing and less than everything filled."""
    states = [found for _, text in order["steps"] if (found := STATE.search(text))]
    return any(0 < Decimal(found[1]) < Decimal(found[2]) for found in states)


def test_the_counts_are_those_of_the_record(first: Ended) -> None:
    told = first.facts["trading"]
    fills_of = [order for order, _ in first.fills]
    assert told["orders"] == len(first.orders) >= 50
    assert told["fills"] == len(first.fills) >= 20
    partly = [order["order"] for order in first.orders if was_partly_filled(order)]
    assert told["partial"] == len(partly) >= 1
    assert set(partly) <= set(fills_of)
    assert all(order["signal"] for order in first.orders), "every order comes from a signal"


def test_timeouts_are_cancels_after_the_time_that_the_bundle_gives(first: Ended) -> None:
    older, _ = (one["digest"] for one in first.facts["bundles"])
    cancelled = []
    for order in first.orders:
        asked = [ts for ts, text in order["steps"] if text.startswith("cancel ")]
        lived = TIMEOUTS_NS[order["bundle"] != older]
        if asked and asked[0] - order["ts_ns"] >= lived and " is Canceled: " in str(order["steps"]):
            cancelled.append(order["order"])
    told = first.facts["trading"]["timeouts"]
    assert 1 <= told <= len(cancelled) <= told + OPEN_AT_THE_END


def test_one_bundle_took_over_from_another_between_two_orders(first: Ended) -> None:
    older, newer = (one["digest"] for one in first.facts["bundles"])
    ran = [order["bundle"] for order in first.orders]
    assert sorted(set(ran)) == sorted({older, newer})
    assert ran == sorted(ran, key=[older, newer].index), "no order of the older one after the swap"
    assert first.facts["trading"]["swaps"] == 1


def test_profit_is_what_the_fills_of_the_record_realized(first: Ended) -> None:
    told = first.facts["pnl"]
    assert told["currency"] == "USDT"
    assert Decimal(told["realized"]) == pytest.approx(sum(realized for _, realized in first.fills), abs=Decimal("1e-6"))
    assert isinstance(told["equity"], str)


def test_both_signatures_are_verified_by_the_service_s_reader_for_paper_only(first: Ended) -> None:
    signed = first.facts["signatures"]
    for one in first.facts["bundles"]:
        found = first.says("bundle verify", one["digest"], "--slot", "1")
        assert found["ok"] is True
        assert (found["builder"], found["approver"]) == (signed["builder"], signed["approver"])
        assert (found["serial"], found["stage"]) == (one["serial"], one["stage"])
    _, keys = read_trusted_keys(first.home / "keys" / TRUSTED_KEYS)
    assert {key.highest_stage for key in keys} == {PAPER}
    roles = {key.key_id: key.role for key in keys}
    assert (roles[signed["builder"]], roles[signed["approver"]]) == ("builder", "approver")


def test_the_replay_is_identical_here_too(first: Ended) -> None:
    keys = (first.home / "keys" / TRUSTED_KEYS).read_text(encoding="utf-8")
    verdict = py_rt_core.replay_journal(first.journal, first.home / "bundles", keys)
    told = first.facts["parity"]
    assert verdict["identical"] is told["identical"] is True
    assert (verdict["events"], verdict["actions"]) == (told["events"], told["actions"])
    assert told["actions"] > first.facts["trading"]["orders"]


def test_online_features_equal_the_offline_table_bit_for_bit(first: Ended) -> None:
    _, closes, online, *_ = py_rt_core.journal_signals(first.journal)
    (place,) = (first.home / "lake" / "features").glob("features_bar-*")
    table = pl.DataFrame(DeltaTable(place).to_pyarrow_table())
    names = [name for name, kind in table.schema.items() if kind == pl.Float32]
    ours = pl.DataFrame(online, schema=dict.fromkeys(names, pl.Float32)).with_columns(ts_close=pl.Series(closes))
    both = ours.join(table, on="ts_close", suffix="_offline", maintain_order="left")
    left, right = (both.select(f"{name}{side}" for name in names).to_numpy() for side in ("", "_offline"))
    assert np.array_equal(left.view(np.uint32), right.view(np.uint32))
    told = first.facts["features"]
    assert told["rows"] == told["equal"] == both.height == len(closes) > 100
    assert told["absent"] == 0


def test_assets_and_checks_are_those_that_dagster_recorded(first: Ended) -> None:
    told = first.facts["assets"]
    made, passed, failed = 0, 0, 0
    with open_instance(first.home) as instance:
        for run_id in told["runs"]:
            made += len(instance.all_logs(run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION))
            checks = instance.all_logs(run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION)
            outcomes = [entry.get_dagster_event().asset_check_evaluation_data.passed for entry in checks]
            passed, failed = passed + outcomes.count(True), failed + outcomes.count(False)
    assert (told["materializations"], told["checks_passed"]) == (made, passed)
    assert told["checks_warned"] == failed
    assert told["checks_failed"] == []


def test_what_is_named_is_there(first: Ended) -> None:
    assert (
        Path(first.facts["report"])
        .read_text(encoding="utf-8")[:200]
        .lower()
        .lstrip()
        .startswith(("<!doctype", "<html"))
    )
    newest = first.facts["bundles"][-1]["digest"]
    assert Path(first.facts["bundle"]).name == f"sha256-{newest}"
    assert (Path(first.facts["bundle"]) / "manifest.json").is_file()
    assert not (Path(first.facts["run"]) / "live.json").exists(), "the service has ended in order"
    stages = {"parse", "book", "features", "model", "strategy", "risk", "record", "egress", "decision"}
    assert stages <= first.facts["latency_ns"].keys()
    assert all(0 < one["p50"] <= one["p99"] <= one["max"] for one in first.facts["latency_ns"].values())
    model = first.facts["model"]
    assert 0.4 < model["auc"] < 0.6, "out of sample, not on what it was trained on"
    assert model["trials"] >= 2


def test_no_secret_is_left_behind(first: Ended) -> None:
    names = {"venue.log", "service.log", "service.toml", "deploy.log", "assets.log"}
    told = "".join((Path(first.facts["run"]) / name).read_text(encoding="utf-8") for name in names)
    # Who commanded is told by the public name of the key.
    _, keys = read_trusted_keys(first.home / "keys" / TRUSTED_KEYS)
    public = {key.key_id for key in keys}
    shown = re.findall(r"\b[0-9a-f]{64}\b", re.sub(r"sha256[-:=\" ]*[0-9a-f]{64}|digest\S*[0-9a-f]{64}", "", told))
    assert set(shown) <= public


@pytest.fixture(scope="module")
def interrupted(first: Ended) -> Ended:
    """A second demo, on which somebody presses Ctrl-C while it trades, beside what a killed service left behind."""
    dead = first.home / "runs" / "killed"
    dead.mkdir(mode=0o700)
    (dead / "live.json").write_text("{", encoding="utf-8")
    began = time.monotonic()
    with session([str(BESIDE / "py_rt"), "demo"], cwd=first.folder, env=environ(), **PIPES) as child:
        assert child.stdout is not None
        out = ""
        for line in child.stdout:
            out += line
            if line.startswith("trading "):
                os.killpg(child.pid, signal.SIGINT)
                break
        rest, err = child.communicate(timeout=PATIENCE_S)
    return Ended(first.home, first.folder, child.returncode, out + rest, err, time.monotonic() - began)


def test_ctrl_c_ends_everything_in_order(interrupted: Ended) -> None:
    assert interrupted.status == 130
    assert not processes_of(interrupted.home)
    assert interrupted.out.splitlines()[-1].startswith("trading     interrupted; ending what runs  [")
    (said,) = interrupted.err.splitlines()
    found = re.fullmatch(r"ended by SIGINT; logs and record: (.*); `py_rt demo` starts anew .*", said)
    assert found
    keys = (interrupted.home / "keys" / TRUSTED_KEYS).read_text(encoding="utf-8")
    assert not (Path(found[1]) / "live.json").exists(), "the service was let end in order"
    verdict = py_rt_core.replay_journal(Path(found[1]) / "journal", interrupted.home / "bundles", keys)
    assert verdict["identical"] is True


@pytest.fixture(scope="module")
def again(first: Ended, interrupted: Ended, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Once more in the same home, named this time, from another folder, told to people."""
    assert interrupted.status
    return run(first.home, tmp_path_factory.mktemp("elsewhere"), PY_RT_HOME=str(first.home))


def test_a_second_run_holds_too_and_makes_no_new_keys(first: Ended, again: Ended) -> None:
    assert again.status == 0, again.out + again.err
    assert again.out.splitlines()[-1].startswith("Everything held, in ")
    assert "keys        those of an earlier run" in again.out
    told = re.findall(r"^trading     (\d+ orders, .* swap)", again.out, re.MULTILINE)
    assert len(told) == len(("when trading ended", "in the summary"))
    assert len(set(told)) == 1, told
    assert re.search(r"^assets      0 materialisations of 0 assets, 582 reused unchanged$", again.out, re.MULTILINE)
    for whole in first.facts["signatures"]["builder"], first.facts["signatures"]["approver"]:
        assert whole in again.out
    assert not again.err


def test_the_readme_shows_what_the_demo_prints(first: Ended, again: Ended) -> None:
    shown = sample_output.numbers((ROOT / "README.md").read_text(encoding="utf-8"))
    assert set(shown) == set(sample_output.NUMBERS)
    for what, found in sample_output.numbers(again.out).items():
        assert shown[what] == found, f"README.md shows another {what}"
    model, told = first.facts["model"], first.facts["assets"]
    assert shown["made"] == (str(told["materializations"]), str(told["assets"]))
    assert shown["checks"] == (str(told["checks_passed"]), str(told["checks_warned"]), "0")
    assert shown["scores"][1:] == tuple(f"{model[key]:.{digits}f}" for key, digits in SCORES.items())


def typed(ended: Ended) -> list[str]:
    """The commands that the summary offers."""
    lines = ended.out.splitlines()
    return [command for said, command in pairwise(lines) if said.startswith("# ")]


def test_what_it_offers_to_type_works_when_it_is_typed(again: Ended) -> None:
    offered = typed(again)
    assert [re.sub(r"^\S*py_rt ", "", command).split()[0] for command in offered] == [
        *("export", "trace", "parity", "bundle", "ui", "--help")
    ]
    (last,) = (command for command in offered if command.endswith(" ui"))
    others = " && ".join(command for command in offered if command != last)
    with session(["/bin/sh", "-c", others], cwd=again.folder, env=environ(), **PIPES) as done:
        out, err = done.communicate(timeout=PATIENCE_S)
    assert done.returncode == 0, err
    for words in ("raw file sha256", "actions: identical", "approved by key", "Usage:"):
        assert words in out
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shell = ["/bin/sh", "-c", f"{offered[0]} && exec {last} --port {port}"]
    log = again.folder / "ui.log"
    with log.open("wb") as sink, session(shell, cwd=again.folder, env=environ(), stdout=sink, stderr=sink) as interface:
        until_served(f"http://127.0.0.1:{port}/server_info", interface, log)
        os.killpg(interface.pid, signal.SIGINT)
        interface.wait(PATIENCE_S)
        until_gone(again.home)


def until_served(url: str, process: subprocess.Popen[str], log: Path) -> None:
    """Ask until a page is there."""
    ends = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
                assert answer.status == 200
                return
        except urllib.error.URLError:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < ends, log.read_text(encoding="utf-8")
            time.sleep(0.2)
