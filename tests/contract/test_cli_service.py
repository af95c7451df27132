"""The command `py_rt` as a process against the service itself: what it prints, and its exit statuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import py_rt_core
import pytest
import zmq

from py_rt.bundle.keys import key_path
from py_rt.bundle.store import BundleStore
from tests.contract.live_service import INSTANCE, ROLES, SLOT, LiveService, find_command, until
from tests.golden_bundle import approved, built, of_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

FAILED, WRONG, REFUSED, UNKNOWN, NO_SERVICE = 1, 2, 3, 4, 5
SYMBOL = "binance:BTCUSDT"
DECLARED_AGE_S = 32_400
HEAD_BYTES, FRAME_BYTES = 52, 44
"""What stands before the first record of a segment, and around the payload of each."""


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    status: int
    out: str
    err: str

    @property
    def facts(self) -> dict[str, Any]:
        """The one JSON object."""
        (line,) = self.out.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found


class Shell:
    """A shell whose home holds keys, bundles, and one run that runs."""

    def __init__(self, service: LiveService) -> None:
        self.service = service
        self.everything: list[str] = []
        (service.home / "runs").mkdir()
        (service.home / "runs" / "run").symlink_to(service.run)

    def __call__(self, *line: str, home: Path | None = None, **environment: str) -> Said:
        return self._run([*line, "--home", str(home or self.service.home)], environment)

    def json(self, *line: str, status: int = 0, home: Path | None = None, **environment: str) -> dict[str, Any]:
        """Its facts, when it ended as it should."""
        said = self(*line, "--json", home=home, **environment)
        assert said.status == status, said
        assert said.facts["ok"] is (status == 0)
        assert not floats(said.facts)
        return said.facts

    def _run(self, line: list[str], environment: dict[str, str]) -> Said:
        command = [str(find_command("py_rt")), *line]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=120
        )
        self.everything += [done.stdout, done.stderr]
        return Said(done.returncode, done.stdout, done.stderr)


def whole_records(segment: bytes) -> int:
    """Where a record ends, about in the middle of a segment."""
    end = HEAD_BYTES
    while end < len(segment) // 2:
        end += FRAME_BYTES + int.from_bytes(segment[end : end + 4], "little")
    return end


def floats(value: object) -> list[float]:
    """Every float in a JSON document."""
    if isinstance(value, dict):
        return [found for item in value.values() for found in floats(item)]
    if isinstance(value, list):
        return [found for item in value for found in floats(item)]
    return [value] if isinstance(value, float) else []


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("c")) as service:
        service.start()
        yield service


@pytest.fixture(scope="module")
def shell(service: LiveService) -> Shell:
    shell = Shell(service)
    until(lambda: shell.json("status")["status"]["state"] in {"waiting", "trading"}, "a service that is ready")
    return shell


def with_funding(features: str) -> str:
    """Features that also declare a slow parameter."""
    slow = f'"slow":[{{"max_age_ns":{DECLARED_AGE_S * 10**9},"name":"funding_rate","unit":"number"}}]'
    return f"{features[:-1]},{slow}}}"


def bundle(service: LiveService, version: str) -> str:
    """The digest of another version of the golden bundle, approved with the next serial."""
    digest = built(service.home, of_version(version))
    approved(service.home, digest)
    return digest


@pytest.fixture(scope="module")
def digest(service: LiveService, shell: Shell) -> str:
    """A bundle that runs in the slot, and sends nothing of its own."""
    digest = built(service.home, features=with_funding)
    approved(service.home, digest)
    shell.json("pause", "--slot", str(SLOT))
    shell.json("deploy", "latest", "--slot", str(SLOT))
    return digest


def deaf_folder(service: LiveService, place: Path, command: str) -> Path:
    """A run folder whose `live.json` names another door for commands."""
    place.mkdir(parents=True, mode=0o700)
    facts = service.live
    facts["endpoints"]["command"] = command
    (place / "live.json").write_text(json.dumps(facts), encoding="utf-8")
    return place


def level(shell: Shell) -> str:
    (slot,) = shell.json("status")["status"]["slots"]
    return str(slot["level"])


def test_before_anything_runs_every_question_is_answered(shell: Shell) -> None:
    facts = shell.json("status")
    life = shell.service.live["epoch"]
    assert (facts["command"], facts["instance"], facts["epoch"]) == ("status", INSTANCE, life)
    assert facts["status"]["slots"][0]["active"] is None
    assert shell.json("orders")["orders"] == shell.json("fills")["fills"] == []
    assert {row["instrument"] for row in shell.json("positions")["positions"]} <= {"binance/BTCUSDT"}
    assert shell.json("pnl")["pnl"]
    assert f"{INSTANCE}: waiting" in shell("status").out
    local = shell.json("status", "--local")
    assert (local["path"], local["status"]["stopped"]) == ("local", False)


def test_the_market_is_shown_without_a_key(shell: Shell, tmp_path: Path) -> None:
    def seen() -> dict[str, Any]:
        return shell.json("book", "BTCUSDT", "--service", str(shell.service.run), home=tmp_path)

    until(lambda: seen()["last_trade"] is not None and seen()["book"]["state"] == "valid", "a book and a trade")
    facts = seen()
    assert (facts["book"]["instrument"], facts["venue_state"]) == ("binance/BTCUSDT", "online")
    assert facts["epoch"] == shell.service.live["epoch"]
    bid, ask = (Decimal(facts["book"][side][0][0]) for side in ("bids", "asks"))
    assert bid < ask
    assert len(facts["book"]["bids"]) == 10
    (top,) = shell.json("book")["books"]
    assert (top["instrument"], len(top["asks"])) == ("binance/BTCUSDT", 1)
    said = shell("book", SYMBOL).out.splitlines()
    assert said[0].startswith("binance/BTCUSDT (BTC/USDT): trading, venue online, book valid, ")
    assert said[1].startswith("last trade: ")
    assert (said[2].split(), len(said)) == (["bid", "BTC", "bid", "USDT", "ask", "USDT", "ask", "BTC"], 13)
    assert "binance/BTCUSDT" in shell("book").out
    wrong = shell.json("book", "ETHUSDT", status=WRONG)
    assert wrong["error"] == "ETHUSDT is not here: there are binance/BTCUSDT"


def test_what_the_service_says_no_to_comes_with_its_reason_and_the_next_step(shell: Shell) -> None:
    failed = shell.json("deploy", "ab" * 32, status=FAILED)
    assert (failed["outcome"], failed["refusal"]) == ("failed", "bundle_refused")
    assert "py_rt bundle verify" in failed["next"]
    nothing = shell.json("rollback", status=FAILED)
    assert (nothing["refusal"], "no bundle before" in nothing["error"]) == ("nothing_to_roll_back", True)
    early = shell("order", "new", "buy", "1", "--instrument", SYMBOL)
    assert (early.status, early.out) == (FAILED, "")
    assert "py_rt deploy latest" in early.err
    refused = shell.json("pause", "--slot", "9", status=REFUSED)
    assert (refused["outcome"], refused["refusal"]) == ("refused", "unknown_slot")
    unknown = shell.json("set", "entry_treshold", "0.7", status=REFUSED)
    assert "allowed: entry_threshold" in unknown["error"]
    assert shell.json("order", "cancel", "e9-s1-1", status=FAILED)["refusal"] == "unknown_order"


def test_a_key_that_may_not_is_refused_and_a_missing_one_is_named(
    service: LiveService, shell: Shell, tmp_path: Path
) -> None:
    may_not = shell.json("pause", "--key", str(key_path(service.home / "keys", "viewer")), status=REFUSED)
    assert may_not["refusal"] == "role_not_allowed"
    stranger = shell.json("fills", "--key", str(key_path(service.home / "stranger", "operator")), status=REFUSED)
    assert stranger["refusal"] == "unknown_key"
    missing = shell("pause", "--service", str(service.run), home=tmp_path)
    assert missing.status == WRONG
    assert "py_rt keys create --role operator" in missing.err


def test_a_deployment_shows_before_and_after_and_a_rollback_goes_back(
    service: LiveService, shell: Shell, digest: str
) -> None:
    store = BundleStore(service.home / "bundles")
    assert store.alias(SLOT, "champion") == digest
    newer = bundle(service, "1.0.1")
    facts = shell.json("deploy", newer[:12], "--slot", str(SLOT))
    assert (facts["outcome"], facts["digest_before"], facts["digest"]) == ("applied", digest, newer)
    assert (facts["now"]["name"], facts["now"]["version"], facts["now"]["serial"]) == ("golden", "1.0.1", 2)
    assert (store.alias(SLOT, "champion"), store.alias(SLOT, "previous")) == (newer, digest)
    again = shell.json("deploy", digest, status=FAILED)
    assert "serial 1 is not above 2" in again["error"]
    assert "py_rt bundle approve" in again["next"]
    back = shell("rollback")
    assert back.status == 0
    assert f"before: golden 1.0.1, serial 2, sha256-{newer}" in back.out
    assert f"now:    golden 1.0.0, serial 1, sha256-{digest}" in back.out
    assert store.alias(SLOT, "champion") == digest
    further = shell.json("rollback", status=FAILED)
    assert "no bundle before" in further["error"]
    assert shell.json("status")["status"]["slots"][0]["previous"] is None


def test_an_order_by_hand_is_named_filled_and_listed(service: LiveService, shell: Shell, digest: str) -> None:
    sent = shell.json("order", "new", "buy", "0.5", "--instrument", SYMBOL)
    name = sent["client_order_id"]
    assert sent["orders"][0]["price_currency"] == "USDT"
    assert sent["orders"][0]["bundle_digest"] is None, f"a person's order, not {digest[:12]}'s"
    until(lambda: name in {fill["client_order_id"] for fill in shell.json("fills")["fills"]}, "a fill")
    row = next(one for one in shell.json("orders", "--slot", str(SLOT))["orders"] if one["client_order_id"] == name)
    assert (row["slot"], row["quantity"], row["price"]) == (SLOT, "0.5", None)
    assert name in shell("orders").out
    assert "price USDT" in shell("fills").out
    held = {row["slot"]: row["quantity"] for row in shell.json("positions")["positions"]}
    assert held[SLOT] == held[None] != "0"
    traced = py_rt_core.trace_order(service.run / "journal", name)
    assert traced is not None
    assert (traced["bundle"], traced["signal"]) == (None, None), "no bundle sent it, though one runs"


def test_watching_begins_with_the_state_and_tells_what_happens(service: LiveService, shell: Shell, digest: str) -> None:
    assert digest
    command = [str(find_command("py_rt")), "watch", "command", "--json", "--count", "3", "--home", str(service.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        lines = [json.loads(watching.stdout.readline())]
        shell.json("cancel")
        lines += [json.loads(line) for line in watching.stdout]
    assert watching.returncode == 0
    assert [line.get("news") for line in lines] == ["resync", "update", "update", None]
    assert lines[0]["snapshot"]["status"]["instance"] == INSTANCE
    assert [(line["body"]["command"], line["body"]["ack"]["outcome"]) for line in lines[1:3]] == [
        ("cancel", "accepted"),
        ("cancel", "applied"),
    ]
    assert (lines[3]["ok"], lines[3]["lines"]) == (True, 3)
    assert shell("watch", "weather").status == WRONG
    with subprocess.Popen([*command[:2], "service", *command[3:4], *command[6:]], stdout=subprocess.PIPE) as unread:
        assert unread.stdout is not None
        unread.stdout.readline()
        unread.stdout.close()
    assert unread.returncode == 0, "a reader that has gone is no fault"


def test_an_order_that_risk_denies_says_why(shell: Shell, digest: str) -> None:
    assert digest
    denied = shell.json("order", "new", "buy", "400", "--instrument", SYMBOL, "--price", "50", status=FAILED)
    assert [(row["status"], row["reason"]) for row in denied["orders"]] == [("denied", "PriceCollar")]
    assert denied["refusal"] == "risk_denied"
    assert "price collar" in denied["error"]


def test_a_resting_order_is_cancelled_by_its_name(shell: Shell, digest: str) -> None:
    assert digest

    def is_open(name: str) -> bool:
        return name in {row["client_order_id"] for row in shell.json("orders", "--open")["orders"]}

    def is_low() -> bool:
        return Decimal(shell.json("positions")["positions"][0]["mark_price"]) <= Decimal("100.5")

    def is_placed() -> bool:
        """Whether the order rests: the market may have gone on since it was low."""
        said = shell("order", "new", "buy", "0.5", "--instrument", SYMBOL, "--price", "98.6", "--json")
        assert said.status == 0 or "PriceCollar" in said.out, said
        names.extend([said.facts["client_order_id"]] if said.status == 0 else [])
        return said.status == 0

    # Else the strategy would cancel the slot's buys itself, whenever its model says exit.
    shell.json("set", "exit_threshold", "0.01")
    names: list[str] = []
    for line in (["cancel", "--order"], ["order", "cancel"]):
        # The market swings between 100 and 101.2, and no price may be farther than 2 % from it.
        until(lambda: is_low() and is_placed(), "a market from which a price that it never reaches is near enough")
        name = names[-1]
        assert is_open(name)
        assert shell.json(*line, name)["scope"] == f"order:{name}"
        until(lambda name=name: not is_open(name), "a cancelled order")  # type: ignore[misc]


def test_a_parameter_is_set_and_one_out_of_range_is_not(shell: Shell, digest: str) -> None:
    assert digest
    assert shell.json("set", "entry_threshold", "0.7")["value"] == "0.7"
    too_much = shell.json("set", "entry_threshold", "1.7", status=FAILED)
    assert (too_much["refusal"], "py_rt config show" in too_much["next"]) == ("parameter_out_of_range", True)
    crossed = shell.json("set", "exit_threshold", "0.9", status=FAILED)
    assert "at most entry_threshold" in crossed["text"]


def test_what_became_known_is_told_and_what_cannot_be_is_not(
    service: LiveService, shell: Shell, digest: str, tmp_path: Path
) -> None:
    assert digest
    facts = tmp_path / "funding.csv"
    facts.write_text("ts_known,funding_rate,note_1\n2021-09-01,0.0003,7\n2021-09-27,0.0001,8\n2021-09-28,,9\n")
    line = ("tell", str(facts), "--instrument", SYMBOL, "--names", "funding_rate")
    told = shell.json(*line, "--last", "3", "--max-age-days", "30")
    assert [one["value"] for one in told["told"]] == ["0.0003", "0.0001", None]
    assert (told["instrument"], told["max_age_seconds"], told["outcome"]) == ("binance/BTCUSDT", 2_592_000, "applied")
    (again,) = shell.json("tell", str(facts), "--instrument", SYMBOL)["told"]
    assert (again["name"], again["value"]) == ("funding_rate", None)
    (slot,) = shell.json("status")["status"]["slots"]
    (known,) = slot["slow"]
    assert (known["name"], known["value"], known["known"]) == ("funding_rate", None, False)
    assert known["max_age_seconds"] == DECLARED_AGE_S  # told without an age, so that the declared one decides
    assert "funding_rate: told unknown" in shell("status").out
    until(lambda: service.metrics()["py_rt_slow_parameters_unknown"] == 1, "a metric of what nobody knows")
    assert service.metrics()["py_rt_late_quotes"] == slot["late_quotes"]  # none: its bars are closed by trades
    undeclared = shell.json("tell", str(facts), "--instrument", SYMBOL, "--names", "note_1", status=FAILED)
    assert (undeclared["refusal"], "declares a slow parameter" in undeclared["text"]) == ("unknown_parameter", True)
    stranger = ("tell", str(facts), "--instrument", "binance:ETHUSDT")
    assert shell.json(*stranger, status=REFUSED)["refusal"] == "unknown_instrument"
    facts.write_text("ts_known,funding_rate\n2021-09-01,much\n")
    assert "is no finite number" in shell(*line).err
    # What was told stands in the record, and a replay of it decides the same.
    until(lambda: b"funding_rate" in (service.run / "journal" / "00000000.segment").read_bytes(), "a written record")


def test_a_stop_that_is_not_there_is_not_lifted(shell: Shell, digest: str) -> None:
    assert digest
    shell.json("kill", "--slot", str(SLOT))
    nothing = shell.json("rearm", "--reason", "another scope", status=FAILED)
    assert (nothing["refusal"], "no stop is latched" in nothing["text"]) == ("wrong_state", True)
    assert shell.json("rearm", "--slot", str(SLOT), "--reason", "this one")["outcome"] == "applied"


def test_the_ladder_down_and_up_again(shell: Shell, digest: str) -> None:
    assert digest
    shell.json("start")
    paused = shell.json("pause", "--slot", str(SLOT))
    assert (paused["scope"], paused["path"], paused["after"]["slots"][0]["level"]) == ("slot:1", "signed", "paused")
    assert shell.json("start", "--slot", str(SLOT))["after"]["slots"][0]["level"] == "running"
    assert shell.json("reduce-only", "--instrument", SYMBOL)["scope"] == "instrument:binance/BTCUSDT"
    assert shell.json("rearm", "--instrument", SYMBOL, "--reason", "tried it")["after"]["controls"] == []
    assert shell.json("cancel")["scope"] == "all"
    assert shell.json("flatten", "--max-slippage-bps", "100")["after"]["slots"][0]["level"] == "reduce_only"
    until(lambda: {row["quantity"] for row in shell.json("positions")["positions"]} == {"0"}, "a closed position")
    killed = shell("kill")
    assert (killed.status, killed.err) == (0, "")
    assert "kill all: applied by contract" in killed.out
    assert "stop in force: all: killed" in killed.out
    latched = shell.json("start", status=FAILED)
    assert latched["refusal"] == "stopped"
    assert "py_rt rearm --reason" in latched["next"]
    assert shell.json("rearm", "--reason", "looked at it")["outcome"] == "applied"
    assert level(shell) == "running"


def test_parity_names_what_the_record_lacks(service: LiveService, shell: Shell, digest: str) -> None:
    """A record that was cut: what is left is identical, and what is missing is said."""
    assert digest
    place = service.home / "runs" / "cut" / "journal"
    shutil.copytree(service.run / "journal", place)
    segment = place / "00000000.segment"
    record = segment.read_bytes()

    def parity(content: bytes, *line: str) -> Said:
        segment.write_bytes(content)
        return shell._run(["parity", "cut", *line], {"PY_RT_HOME": str(service.home)})

    middle = whole_records(record)
    facts = parity(record[:middle], "--json").facts
    assert (facts["identical"], facts["lives"], facts["torn"]) == (True, 1, None)
    cut = parity(record[: middle + 9])
    assert cut.status == 0
    assert " actions: identical" in cut.out
    assert f"torn: 9 bytes at byte {middle} of segment 0" in cut.out
    assert f"chain over all records: {facts['chain']}" in cut.out
    nothing = parity(record[:HEAD_BYTES])
    assert (nothing.status, nothing.out) == (FAILED, "")
    assert "a run header must stand here" in nothing.err


def test_a_kill_gets_through_when_the_command_socket_is_gone(
    service: LiveService, shell: Shell, tmp_path: Path
) -> None:
    folder = deaf_folder(service, tmp_path / "deaf", f"ipc://{tmp_path}/deaf/nothing.sock")
    impatient = ("--service", str(folder), "--timeout-s", "0.2")
    assert shell.json("pause", *impatient, status=NO_SERVICE)["outcome"] == "no_service"
    assert shell("kill", "--slot", "1", *impatient).status == NO_SERVICE, "less than everything is not made more"
    assert level(shell) == "running"
    killed = shell("kill", *impatient, "--json")
    assert (killed.status, killed.facts["path"], killed.facts["latched"]) == (0, "local", True)
    assert "taking the local control socket instead" in killed.err
    assert level(shell) == "killed"
    shell.json("rearm", "--reason", "tried it")


def test_a_kill_gets_through_when_nobody_answers_and_other_commands_say_that_it_is_unknown(
    service: LiveService, shell: Shell, tmp_path: Path
) -> None:
    folder = tmp_path / "mute"
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    deaf_folder(service, folder, f"ipc://{folder}/mute.sock")
    with context, context.socket(zmq.ROUTER) as mute:
        mute.bind(f"ipc://{folder}/mute.sock")
        impatient = ("--service", str(folder), "--timeout-s", "0.2")
        unknown = shell.json("pause", *impatient, status=UNKNOWN)
        assert unknown["outcome"] == "unknown"
        assert unknown["command_id"] in unknown["error"]
        assert "it may have been carried out" in unknown["error"]
        assert "py_rt status" in unknown["next"]
        killed = shell("kill", *impatient)
        mute.close(linger=0)
    assert (killed.status, "kill all: applied" in killed.out) == (0, True)
    assert level(shell) == "killed"
    shell.json("rearm", "--reason", "tried it")


def test_a_kill_gets_through_without_zeromq_on_this_machine(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "zmq").mkdir()
    (tmp_path / "zmq" / "__init__.py").write_text('raise ImportError("no ZeroMQ here")', encoding="utf-8")
    killed = shell("kill", PYTHONPATH=str(tmp_path))
    assert (killed.status, "kill all: applied" in killed.out) == (0, True)
    assert "no ZeroMQ here" in killed.err
    assert shell.json("status", "--local", PYTHONPATH=str(tmp_path))["status"]["stopped"] is True
    shell.json("rearm", "--reason", "tried it")


def test_a_local_kill_asks_nobody_else(service: LiveService, shell: Shell, tmp_path: Path) -> None:
    killed = shell.json("kill", "--local", "--service", str(service.run), home=tmp_path)
    assert (killed["path"], killed["scope"], killed["latched"]) == ("local", "all", True)
    assert level(shell) == "killed"
    shell.json("rearm", "--reason", "tried it")


def test_two_services_must_be_told_apart(service: LiveService, shell: Shell) -> None:
    other = deaf_folder(service, service.home / "runs" / "other", service.endpoint("command"))
    try:
        both = shell("status")
        assert (both.status, "--instance NAME or --service FOLDER" in both.err) == (WRONG, True)
        assert shell("status", "--service", str(other / "live.json")).status == 0
    finally:
        shutil.rmtree(other)


def test_nothing_secret_was_said_and_a_service_that_ended_is_gone(service: LiveService, shell: Shell) -> None:
    assert service.stop() == 0
    gone = shell("status")
    assert (gone.status, "py_rt_live --config" in gone.err) == (NO_SERVICE, True)
    assert shell("kill").status == NO_SERVICE
    keys = [key_path(service.home / "keys", role).read_text(encoding="utf-8") for role in ROLES]
    secrets = [line for key in keys for line in key.splitlines() if not line.startswith("-----")]
    assert len(secrets) >= len(ROLES)
    assert not [secret for secret in secrets for said in shell.everything if secret in said]
