"""Commands to a service, without one: finding it, choosing a key, wrong wishes, statuses, and what people read."""

from __future__ import annotations

import json
import os
import socket
import threading
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from py_rt.bridge import commands
from py_rt.bridge.records import (
    Acknowledgement,
    Alert,
    BundleStatus,
    CommandEvent,
    Control,
    Fill,
    Fills,
    JournalStatus,
    Order,
    Orders,
    Pnl,
    Position,
    ServiceStatus,
    SlotStatus,
    Snapshot,
    StageLatency,
    VenueStatus,
)
from py_rt.bridge.services import ServiceSearchError
from py_rt.bridge.subscriber import Gap, Restart, Resync, Silence, Unreadable, Update
from py_rt.bridge.vocabulary import (
    BundleState,
    ControlLevel,
    InstrumentName,
    Liquidity,
    MessageError,
    Money,
    OrderStatus,
    OrderType,
    Outcome,
    RefusalReason,
    Scope,
    ServiceState,
    Side,
    Stage,
    TimeInForce,
    VenueState,
)
from py_rt.bundle.keys import create_key
from py_rt.cli import service_text as text
from py_rt.cli.main import main
from py_rt.cli.service_door import AskedWronglyError, NoServiceError, Reach
from py_rt.cli.service_stops import scope_of
from py_rt.cli.service_verdict import NEXT_STEPS, verdict_of
from py_rt.cli.service_watch import body_text, news_facts, news_text
from py_rt.errors import BridgeError, BundleError, PyRtError

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt.bridge.subscriber import News

COMMANDS = [
    *(["status"], ["orders"], ["positions"], ["fills"], ["pnl"], ["deploy"], ["rollback"], ["start"], ["pause"]),
    *(
        ["cancel"],
        ["reduce-only"],
        ["flatten"],
        ["kill"],
        ["rearm"],
        ["set"],
        ["watch"],
        ["book"],
        ["order", "new"],
        ["order", "cancel"],
    ),
]
BTC = InstrumentName("binance", "BTCUSDT")
DIGEST = "ab" * 32
NOON = 1_633_089_600_000_000_000


def usdt(amount: str) -> Money:
    return Money(Decimal(amount), "USDT")


def put_service(home: Path, name: str, *, pid: int | None = None, instance: str = "paper") -> Path:
    folder = home / "runs" / name
    folder.mkdir(parents=True, mode=0o700)
    facts = {
        "pid": os.getpid() if pid is None else pid,
        "instance": instance,
        "stage": "paper",
        "run_id": name,
        "epoch": 1,
        "version": "0.1.0",
        "started_ns": NOON,
        "endpoints": {
            "command": f"ipc://{folder}/command.sock",
            "telemetry": f"ipc://{folder}/telemetry.sock",
            "control": str(folder / "control.sock"),
        },
    }
    (folder / "live.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def dead_pid() -> int:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"Example: py_rt {' '.join(command)}" in said
    assert "Signed by" in said
    for option in ("--home", "--service", "--instance", "--key", "--timeout-s", "--json"):
        assert option in said


def test_the_help_says_how_long_a_parameter_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["set", "--help"]) == 0
    assert "until its bundle is swapped or the service starts again" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "wrong",
    [
        ["rearm"],
        ["rearm", "--reason", "two\nlines"],
        ["rearm", "--reason", "x" * 121],
        ["pause", "--slot", "70000"],
        ["pause", "--slot", "1", "--venue", "binance"],
        ["pause", "--instrument", "BTCUSDT"],
        ["flatten", "--max-slippage-bps", "10001"],
        ["orders", "--limit", "0"],
        ["set", "entry_threshold", "much"],
        ["set", "entry_threshold", "0.123456789"],
        ["order", "new", "hold", "1", "--instrument", "binance:BTCUSDT"],
        ["order", "new", "buy", "1e-9", "--instrument", "binance:BTCUSDT"],
        ["order", "new", "buy", "1", "--instrument", "binance:BTCUSDT", "--price", "cheap"],
        ["kill", "--local", "--slot", "1"],
        ["deploy", "abc"],
        ["status", "--timeout-s", "0"],
    ],
    ids=" ".join,
)
def test_a_wrong_wish_is_status_2(wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_service(tmp_path, "paper")
    assert main([*wrong, "--home", str(tmp_path)]) == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "pause", "deploy latest", "rollback"])
def test_without_a_service_it_says_how_to_start_one(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), "--home", str(tmp_path), "--json"]) == 5
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["command"], said["outcome"]) == (False, command.split(maxsplit=1)[0], "no_service")
    assert "py_rt_live --config" in said["error"]


def test_the_service_that_runs_is_found_and_dead_ones_are_not(tmp_path: Path) -> None:
    put_service(tmp_path, "old", pid=dead_pid())
    put_service(tmp_path, "new")
    (tmp_path / "runs" / "empty").mkdir()
    assert Reach(tmp_path).found().run_id == "new"


def test_several_services_need_a_name(tmp_path: Path) -> None:
    put_service(tmp_path, "one", instance="blue")
    other = put_service(tmp_path, "two", instance="green")
    with pytest.raises(AskedWronglyError, match=r"2 services run: blue in .*--instance"):
        Reach(tmp_path).found()
    assert Reach(tmp_path, instance="green").found().run_id == "two"
    assert Reach(tmp_path, instance="one").found().instance == "blue"
    for place in (other, other / "live.json"):
        assert Reach(tmp_path / "elsewhere", service=place).found().instance == "green"
    with pytest.raises(NoServiceError, match="called red"):
        Reach(tmp_path, instance="red").found()


def test_a_damaged_file_hides_no_other_service(tmp_path: Path) -> None:
    folder = put_service(tmp_path, "a")
    (folder / "live.json").write_text("{", encoding="utf-8")
    with pytest.raises(ServiceSearchError, match=r"a/live\.json"):
        Reach(tmp_path).found()
    put_service(tmp_path, "b")
    assert Reach(tmp_path).found().run_id == "b"


def test_the_key_is_that_of_the_first_role_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(AskedWronglyError, match="py_rt keys create --role killer"):
        Reach(tmp_path).signer(("killer", "operator"))
    operator = create_key(tmp_path / "keys", "operator")
    assert Reach(tmp_path).signer(("killer", "operator")).key_id == operator.key_id
    killer = create_key(tmp_path / "keys", "killer")
    assert Reach(tmp_path).signer(("killer", "operator")).key_id == killer.key_id
    named = Reach(tmp_path, key=tmp_path / "keys" / "operator.pem")
    assert named.signer(("killer",)).key_id == operator.key_id


def test_a_key_that_others_may_read_is_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_service(tmp_path, "paper")
    create_key(tmp_path / "keys", "viewer")
    path = tmp_path / "keys" / "viewer.pem"
    path.chmod(0o644)
    assert main(["pnl", "--home", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "chmod 0400" in said
    assert path.read_text(encoding="utf-8").splitlines()[1] not in said


def test_scopes() -> None:
    assert scope_of() == Scope.everything()
    assert scope_of(slot=0) == Scope.slot(0)
    assert scope_of(instrument="binance:BTCUSDT") == scope_of(instrument="binance/BTCUSDT") == Scope.instrument(BTC)
    assert scope_of(order="e1-s1-2") == Scope.order("e1-s1-2")


def ack(outcome: Outcome, refusal: RefusalReason | None = None, words: str = "") -> Acknowledgement:
    return Acknowledgement("id", "ab", 7, NOON, outcome, refusal, words)


PENDING = commands.Pending("pause", "its-name", 7, b"")


@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [
        (commands.CommandFailedError("x", ack(Outcome.FAILED, words="re-arm first")), 1, "failed"),
        (BridgeError("x"), 1, "failed"),
        (commands.SignerError("x"), 2, "wrong"),
        (BundleError("x"), 2, "wrong"),
        (commands.CommandRefusedError("x", ack(Outcome.REFUSED, RefusalReason.BUSY)), 3, "refused"),
        (commands.NoAnswerError("x", PENDING), 4, "unknown"),
        (MessageError("x"), 4, "unknown"),
        (commands.UnreachableError("x"), 5, "no_service"),
        (ServiceSearchError("x"), 5, "no_service"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, PyRtError) else str(value),
)
def test_each_end_has_its_status(error: PyRtError, status: int, outcome: str) -> None:
    verdict = verdict_of(error)
    assert (verdict.status, verdict.outcome) == (status, outcome)


def test_an_unknown_outcome_names_the_command_and_how_to_find_out() -> None:
    verdict = verdict_of(commands.NoAnswerError("x", PENDING))
    assert verdict.facts == {"command_id": "its-name", "counter": 7}
    assert "py_rt status" in (verdict.next_step or "")


def test_next_steps_are_for_reasons_that_exist() -> None:
    assert set(NEXT_STEPS) <= {str(reason) for reason in RefusalReason}


class Door:
    """A local control socket that answers as it is told."""

    def __init__(self, path: Path, answer: bytes) -> None:
        self.heard = b""
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            self.heard = connection.recv(64)
            connection.sendall(self._answer)

    def close(self) -> None:
        self._thread.join()
        self._listener.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    put_service(tmp_path, "paper")
    return tmp_path


@pytest.mark.parametrize(
    ("answer", "status", "outcome"),
    [
        (b'{"ok":true,"stopped":true,"latched":true}\n', 0, "applied"),
        (b'{"ok":true,"stopped":true,"latched":false,"error":"the engine has not answered"}\n', 1, "failed"),
        (b'{"ok":false,"error":"no"}\n', 1, "failed"),
        (b"", 4, "unknown"),
        (b"nonsense\n", 4, "unknown"),
    ],
)
def test_a_local_kill_says_what_it_did(
    home: Path, capsys: pytest.CaptureFixture[str], answer: bytes, status: int, outcome: str
) -> None:
    door = Door(home / "runs" / "paper" / "control.sock", answer)
    try:
        assert main(["kill", "--local", "--home", str(home), "--json"]) == status
    finally:
        door.close()
    assert door.heard == b"kill\n"
    assert json.loads(capsys.readouterr().out)["outcome"] == outcome


def test_a_kill_without_a_key_or_a_live_file_takes_the_local_way(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for damage in ("no key", "no file"):
        if damage == "no file":
            (home / "runs" / "paper" / "live.json").unlink()
        path = home / "runs" / "paper" / "control.sock"
        door = Door(path, b'{"ok":true,"stopped":true,"latched":true}\n')
        try:
            assert main(["kill", "--home", str(home)]) == 0
        finally:
            door.close()
            path.unlink()
        said = capsys.readouterr()
        assert "kill all: applied" in said.out
        assert "taking the local control socket instead" in said.err


def test_a_kill_that_finds_nobody_is_status_5_and_says_what_is_left(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["kill", "--home", str(home)]) == 5
    assert "look at the venue" in capsys.readouterr().err
    assert main(["kill", "--slot", "1", "--home", str(home)]) == 2, "no key, and less than everything"


def test_an_interrupted_command_is_of_unknown_outcome(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: Reach) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Reach, "found", interrupt)
    assert main(["pause", "--home", str(home), "--json"]) == 4
    said = json.loads(capsys.readouterr().out)
    assert said["outcome"] == "unknown"
    assert "may have been carried out" in said["error"]


def order(**changes: object) -> Order:
    facts: dict[str, object] = {
        "client_order_id": "e1-s1-2",
        "instrument": BTC,
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "price": Decimal("43000.5"),
        "quantity": Decimal("1E+2"),
        "time_in_force": TimeInForce.GTC,
        "post_only": False,
        "reduce_only": False,
        "status": OrderStatus.DENIED,
        "filled_quantity": Decimal(0),
        "average_price": None,
        "venue_order_id": None,
        "ts_created": NOON,
        "ts_updated": NOON,
        "bundle_digest": None,
        "reason": "PriceCollar",
        **changes,
    }
    return Order(**facts)  # type: ignore[arg-type]


def position(slot: int | None) -> Position:
    return Position(slot, BTC, NOON, Decimal("0.5"), usdt("21500"), usdt("1"), usdt("2"), Decimal(43001), None)


def test_orders_are_aligned_with_units_and_reasons() -> None:
    market = order(
        order_type=OrderType.MARKET, price=None, bundle_digest=DIGEST, status=OrderStatus.FILLED, reason=None
    )
    said = text.orders_text(Orders((order(), market), more=True), text.currencies([position(1)])).splitlines()
    assert said[0].split("  ")[0] == "order"
    assert "price USDT" in said[0]
    assert all(
        word in said[1] for word in ("43000.5", "100", "denied", "2021-10-01 12:00:00.000", "hand", "price collar")
    )
    assert "abababababab" in said[2]
    assert said[1].index("limit") == said[2].index("market")
    assert said[3] == "there are more: raise --limit"
    assert text.orders_text(Orders((), more=False), {}) == "no orders"
    assert "price USDT" not in text.orders_text(Orders((order(),), more=False), {})


def test_fills_positions_and_pnl_carry_their_currency() -> None:
    fee = Money(Decimal("0.0005"), "BTC")
    fill = Fill("e1-s1-2", 1, BTC, NOON, 9, Side.SELL, Decimal(43000), Decimal("0.5"), fee, Liquidity.TAKER, usdt("-3"))
    said = text.fills_text(Fills((fill,), more=False))
    assert all(word in said for word in ("price USDT", "0.0005 BTC", "-3 USDT", "taker", "e1-s1-2"))
    said = text.positions_text([position(1), position(None)])
    assert all(word in said for word in ("slot 1", "account", "mark USDT", "43001", "21500 USDT", " - "))
    said = text.pnl_text([Pnl(None, NOON, usdt("1"), None, (usdt("2"), fee), usdt("9"), usdt("10"))])
    assert "2 USDT, 0.0005 BTC" in said
    assert (text.positions_text([]), text.pnl_text([])) == ("no positions", "no profit or loss yet")
    assert text.fills_text(Fills((), more=False)) == "no fills"


def service_status() -> ServiceStatus:
    bundle = BundleStatus(1, DIGEST, BundleState.EXPIRED, NOON, "btc", "1.2.0", Stage.PAPER, 7, NOON, None)
    slots = (
        SlotStatus(1, ControlLevel.KILLED, bundle, None, warm=True, open_orders=2, orders_sent=5, fills=3),
        SlotStatus(2, ControlLevel.RUNNING, None, bundle, warm=False, open_orders=0, orders_sent=0, fills=0),
    )
    return ServiceStatus(
        instance="paper",
        run_id="r1",
        version="0.1.0",
        epoch=3,
        ts=NOON,
        ts_started=NOON,
        state=ServiceState.TRADING,
        slots=slots,
        venues=(VenueStatus("binance", VenueState.ONLINE),),
        controls=(Control(Scope.slot(1), ControlLevel.KILLED, NOON, "looks odd"),),
        journal=JournalStatus(1200, 34_000, 5),
        latencies=(StageLatency("parse", 10, 1500, 20_000, 1_234_567),),
    )


def test_the_status_shows_slots_venues_stops_record_and_latencies() -> None:
    said = text.status_text(service_status())
    for part in (
        "paper: trading, life 3 of run r1",
        "slot 1: killed, btc 1.2.0, serial 7, sha256-abababababab, expired, warm, 2 open orders",
        "5 orders sent, 3 fills",
        "slot 2: running, no bundle, 0 open orders",
        "before it: btc 1.2.0",
        "venues: binance online",
        "stop in force: slot:1: killed since 2021-10-01 12:00:00.000 looks odd",
        "record: 1,200 records, 34,000 bytes, 5 not yet on disk",
        "1,234.6",
    ):
        assert part in said


def test_news_is_told_in_one_line_each() -> None:
    fee = Money(Decimal("0.0005"), "BTC")
    fill = Fill(None, 1, BTC, NOON, 9, Side.SELL, Decimal(43000), Decimal("0.5"), fee, Liquidity.TAKER, usdt("-3"))
    bundle = BundleStatus(1, DIGEST, BundleState.REFUSED, NOON, None, None, None, None, None, "not signed")
    said = {
        "e1-s1-2 buy 100 binance/BTCUSDT at 43000.5: denied, 0 filled (price collar)": order(),
        "not ours sell 0.5 binance/BTCUSDT at 43000, fee 0.0005 BTC, taker": fill,
        "slot 1: refused: sha256-abababababab, refused (not signed)": bundle,
        "slot:1: paused": Control(Scope.slot(1), ControlLevel.PAUSED, 0, None),
        "pause refused, key ab (no)": CommandEvent("pause", ack(Outcome.REFUSED, RefusalReason.BUSY, "no")),
        "stale: no trade for a minute": Alert("stale", None, None, None, "no trade for a minute"),
        "venue binance, state online": VenueStatus("binance", VenueState.ONLINE),
    }
    assert {body_text(body) for body in said.values()} == set(said)
    assert "equity 9 USDT" in body_text(Pnl(None, NOON, usdt("1"), None, (fee,), usdt("9"), usdt("10")))
    online = Update("venue", 1, 5, NOON, VenueStatus("binance", VenueState.ONLINE))
    # One order, which risk denied, is not among those that were sent.
    state = Snapshot(3, NOON, service_status(), (order(),), (), (), (), (), {})
    lines: list[tuple[News, str]] = [
        (online, "2021-10-01 12:00:00.000  venue: venue binance"),
        (Gap("fill", 1, 7, 2), "LOST: 2 messages of fill from number 7 on"),
        (Restart(1, 2), "life 2 of the service begins"),
        (Unreadable("fill", "odd"), "NOT READABLE: fill: odd"),
        (Silence(5.2), "silent for 5 s"),
        (Resync(state), "2021-10-01 12:00:00.000  state: trading, 5 orders sent, 3 fills so far"),
    ]
    for news, words in lines:
        assert news_text(news).startswith(words)
    assert news_facts(Gap("fill", 1, 7, 2)) == {"news": "gap", "topic": "fill", "epoch": 1, "first": 7, "missed": 2}
