"""Commands from Python to the Rust receiver, over the real socket, right and wrong in every way."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import zmq

from py_rt.bridge.commands import (
    CommandClient,
    CommandFailedError,
    CommandRefusedError,
    NoAnswerError,
    Scope,
    Signer,
    UnreachableError,
)
from py_rt.bridge.records import plain
from py_rt.bridge.vocabulary import (
    ControlLevel,
    InstrumentName,
    Liquidity,
    MessageError,
    OrderStatus,
    OrderType,
    Outcome,
    RefusalReason,
    ServiceState,
    Side,
    Stage,
)
from py_rt.bridge.wire.v1 import commands_pb2
from tests.contract.echo import INSTANCE, EchoService, Keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# The first test may have to build the other side.
pytestmark = pytest.mark.timeout(1200)

MINUTE_NS = 60 * 10**9
DIGEST = "ab" * 32
PATIENCE_MS = 20_000

COMMANDS: dict[str, tuple[str, Callable[[CommandClient], object]]] = {
    "deploy": ("deployer", lambda client: client.deploy(1, f"sha256-{DIGEST}")),
    "start": ("operator", lambda client: client.start(Scope.everything())),
    "pause": ("operator", lambda client: client.pause(Scope.venue("binance"))),
    "cancel": ("operator", lambda client: client.cancel(Scope.order("e1-s0-1"))),
    "reduce_only": ("operator", lambda client: client.reduce_only(Scope.slot(0))),
    "flatten": ("killer", lambda client: client.flatten(Scope.everything(), max_slippage_bps=0)),
    "kill": ("killer", lambda client: client.kill(Scope.instrument("binance/BTCUSDT"))),
    "rearm": ("operator", lambda client: client.rearm(Scope.everything(), reason="books agree again")),
    "set_parameter": ("operator", lambda client: client.set_parameter(0, "entry_threshold", Decimal("-1E-8"))),
    "manual_order": ("operator", lambda client: client.manual_order(0, "binance/BTCUSDT", Side.SELL, "0.5", price=1)),
    "manual_cancel": ("operator", lambda client: client.manual_cancel("e1-s0-1")),
    "query_status": ("killer", lambda client: client.status()),
    "query_orders": ("viewer", lambda client: client.orders(0, open_only=True, limit=1)),
    "query_positions": ("viewer", lambda client: client.positions()),
    "query_fills": ("viewer", lambda client: client.fills()),
    "query_pnl": ("viewer", lambda client: client.pnl()),
    "snapshot": ("viewer", lambda client: client.snapshot()),
    "tell_slow": (
        "operator",
        lambda client: client.tell_slow("binance/BTCUSDT", "sentiment", -0.0, valid_from=1, max_age_s=1),
    ),
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def service(tmp_path: Path, keys: Keys) -> Iterator[EchoService]:
    with EchoService(tmp_path / "s", keys) as service:
        yield service


class Raw:
    """A client that sends whatever it is given."""

    def __init__(self, endpoint: str) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(endpoint)

    def ask(self, message: bytes) -> commands_pb2.Ack:
        """Sends and waits for one acknowledgement."""
        self.socket.send(message)
        assert self.socket.poll(PATIENCE_MS), "no answer in time"
        return commands_pb2.Ack.FromString(self.socket.recv())

    def close(self) -> None:
        """Lets go of the connection."""
        self.socket.close(linger=0)
        self.context.term()


@pytest.fixture
def raw(service: EchoService) -> Iterator[Raw]:
    raw = Raw(service.endpoint)
    yield raw
    raw.close()


def refusal(ack: commands_pb2.Ack) -> str:
    assert ack.outcome == commands_pb2.OUTCOME_REFUSED
    return commands_pb2.RefusalReason.Name(ack.refusal).removeprefix("REFUSAL_REASON_").lower()


def signed(signer: Signer, body: bytes, **changes: int | str) -> bytes:
    facts: dict[str, Any] = {
        "counter": time.time_ns(),
        "expires": time.time_ns() + MINUTE_NS,
        "instance": INSTANCE,
        **changes,
    }
    return signer.sign(body, **facts)


def kill_body() -> bytes:
    scope = commands_pb2.Scope(all=commands_pb2.Everything())
    return commands_pb2.Command(command_id="c-1", kill=commands_pb2.Kill(scope=scope)).SerializeToString()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_obeyed_once(service: EchoService, name: str) -> None:
    role, send = COMMANDS[name]
    with service.client(role) as client:
        send(client)
    said = service.report()
    assert (said["obeyed"], said["role"], said["key_id"]) == (name, role, service.keys.signer(role).key_id)


def test_the_acknowledgement_names_command_key_and_counter(service: EchoService) -> None:
    with service.client() as client:
        ack = client.pause(Scope.everything())
    assert ack.outcome is Outcome.APPLIED
    assert ack.key_id == service.keys.signer("operator").key_id
    assert ack.counter == service.report()["counter"]
    assert ack.refusal is None
    assert abs(ack.ts - time.time_ns()) < MINUTE_NS


def test_answers_are_exact_records(service: EchoService) -> None:
    with service.client() as client:
        client.manual_order(3, InstrumentName("binance", "BTCUSDT"), Side.BUY, "0.00000001")
        client.manual_order(3, "binance/BTCUSDT", Side.SELL, Decimal("2.5"), price="61837.63")
        client.kill(Scope.slot(3))
        resting, filled = client.orders(3).orders
        assert (resting.status, resting.price, resting.quantity) == (
            OrderStatus.ACCEPTED,
            Decimal("61837.63"),
            Decimal("2.5"),
        )
        assert (filled.order_type, filled.price, filled.filled_quantity) == (OrderType.MARKET, None, Decimal("1E-8"))
        assert client.orders(9).orders == ()
        assert client.orders(3, limit=1).more
        (fill,) = client.fills().fills
        assert (fill.client_order_id, fill.liquidity, fill.fee.amount) == (
            "e1-s3-1",
            Liquidity.TAKER,
            Decimal("1E-8"),
        )
        account = client.positions()[-1]
        assert (account.slot, account.quantity, str(account.cost)) == (None, Decimal("1E-8"), "0.0004 USDT")
        (pnl,) = client.pnl()
        assert (pnl.unrealized, pnl.equity.amount) == (None, Decimal(100_000))
        status = client.status()
        assert (status.instance, status.epoch, status.state) == (INSTANCE, 1, ServiceState.TRADING)
        assert [(control.scope, control.level) for control in status.controls] == [(Scope.slot(3), ControlLevel.KILLED)]
        snapshot = client.snapshot()
    assert snapshot.orders == (resting, filled)
    assert (snapshot.as_of["order"], snapshot.as_of["fill"], snapshot.as_of["trade"]) == (2, 1, 0)
    assert plain(fill.fee) == {"amount": "0.00000001", "currency": "USDT"}


def test_a_deployed_bundle_shows_in_the_status(service: EchoService) -> None:
    with service.client("deployer") as client:
        client.deploy(0, DIGEST)
        active = client.status().slots[0].active
    assert active is not None
    assert (active.digest, active.stage, active.serial) == (DIGEST, Stage.PAPER, 1)


def test_a_refusal_of_the_service_and_a_failure_are_told_apart(service: EchoService) -> None:
    with service.client() as client:
        with pytest.raises(CommandRefusedError, match=r"refused \(unknown_parameter\): exit: there is") as refused:
            client.set_parameter(0, "exit", 1)
        assert refused.value.ack.refusal is RefusalReason.UNKNOWN_PARAMETER
        with pytest.raises(CommandFailedError, match="previous bundle could not be read") as failed:
            client.rollback(0)
        assert (failed.value.ack.outcome, failed.value.ack.refusal) == (Outcome.FAILED, RefusalReason.BUNDLE_REFUSED)


def test_a_role_may_do_what_the_table_says_and_no_more(service: EchoService) -> None:
    with (
        service.client("viewer") as viewer,
        pytest.raises(CommandRefusedError, match="which may not send kill"),
    ):
        viewer.kill(Scope.everything())
    with service.client("killer") as killer:
        killer.kill(Scope.everything())
        with pytest.raises(CommandRefusedError) as refused:
            killer.rearm(Scope.everything(), reason="I can")
    assert refused.value.ack.refusal is RefusalReason.ROLE_NOT_ALLOWED


def test_a_stranger_and_another_instance_are_refused(service: EchoService) -> None:
    with service.client("stranger") as stranger, pytest.raises(CommandRefusedError) as refused:
        stranger.status()
    assert refused.value.ack.refusal is RefusalReason.UNKNOWN_KEY
    with service.client(instance="prod") as lost, pytest.raises(CommandRefusedError, match='this is "echo-1"'):
        lost.kill(Scope.everything())


@pytest.mark.parametrize(
    ("message", "reason"),
    [(b"", "malformed"), (b"kill", "malformed"), (b"\xff" * 500, "malformed"), (bytes(64 * 1024 + 1), "too_large")],
    ids=["empty", "text", "ones", "oversize"],
)
def test_garbage_is_refused_and_the_service_goes_on(
    service: EchoService, raw: Raw, message: bytes, reason: str
) -> None:
    assert refusal(raw.ask(message)) == reason
    with service.client() as client:
        assert client.status().instance == INSTANCE


def test_every_kind_of_wrong_command_has_its_own_reason(service: EchoService, raw: Raw) -> None:
    killer = service.keys.signer("killer")
    now = time.time_ns()
    flipped = bytearray(signed(killer, kill_body()))
    flipped[-1] ^= 1
    unknown_field = commands_pb2.Command.FromString(kill_body()).SerializeToString() + b"\xf8\x07\x01"
    far_slot = commands_pb2.Command(command_id="c", kill=commands_pb2.Kill(scope=commands_pb2.Scope(slot=70_000)))
    no_scope = commands_pb2.Command(command_id="c", kill=commands_pb2.Kill())
    wrong = {
        "bad_signature": bytes(flipped),
        "malformed_body": signed(killer, unknown_field),
        "invalid_value": signed(killer, far_slot.SerializeToString()),
        "expired": signed(killer, kill_body(), expires=now),
        "expiry_too_far": signed(killer, kill_body(), expires=now + 3601 * 10**9),
        "wrong_instance": signed(killer, kill_body(), instance="echo-10"),
        "counter_replayed": signed(killer, kill_body(), counter=0),
    }
    assert {reason: refusal(raw.ask(message)) for reason, message in wrong.items()} == {
        reason: reason for reason in wrong
    }
    truncated = raw.ask(signed(killer, no_scope.SerializeToString()))
    assert (refusal(truncated), truncated.text) == ("invalid_value", "scope is missing")
    assert [service.report()["refused"] for _ in range(len(wrong) + 1)]


def test_a_recorded_message_cannot_be_played_again(tmp_path: Path, keys: Keys) -> None:
    message = signed(keys.signer("killer"), kill_body())
    with EchoService(tmp_path / "s", keys) as service:
        raw = Raw(service.endpoint)
        assert raw.ask(message).outcome == commands_pb2.OUTCOME_ACCEPTED
        said = service.report()
        assert said["obeyed"] == "kill"
        raw.close()
        # The same bytes from another connection: the outcome is told again, and nothing is obeyed.
        thief = Raw(service.endpoint)
        assert thief.ask(message).outcome == commands_pb2.OUTCOME_APPLIED
        thief.close()
        with service.client() as client:
            client.status()
        assert service.report()["obeyed"] == "query_status"
    # After a restart the durable floor refuses it.
    with EchoService(tmp_path / "s", keys, epoch=2, floors={said["key_id"]: said["counter"]}) as service:
        raw = Raw(service.endpoint)
        assert refusal(raw.ask(message)) == "counter_replayed"
        raw.close()


def test_a_slow_service_is_asked_again_and_obeys_once(service: EchoService) -> None:
    service.tell("hold")
    with service.client(timeout_s=0.5) as client:
        with pytest.raises(NoAnswerError, match=r"no answer within 3 times 0\.5 s; it may have been") as lost:
            client.kill(Scope.everything())
        assert service.report()["obeyed"] == "kill"
        service.tell("release")
        client_again = service.client(timeout_s=20)
    with client_again:
        assert client_again.repeat(lost.value.pending).outcome is Outcome.APPLIED
        client_again.status()
    assert service.report()["obeyed"] == "query_status", "the kill was obeyed once"


def overtaken(service: EchoService, behind_ns: list[int]) -> CommandClient:
    """A client whose key was used with a higher counter by another program, and whose clock reads so then."""
    with service.client() as ahead:
        ahead.status()
    counter = service.report()["counter"]
    readings = iter([counter + step for step in behind_ns])
    signer = service.keys.signer("operator")
    return CommandClient(service.endpoint, signer, INSTANCE, timeout_s=20, now_ns=lambda: next(readings))


def test_who_was_overtaken_by_another_program_with_the_key_signs_anew(service: EchoService) -> None:
    with overtaken(service, [-(10**9), 10**9]) as behind:
        assert behind.kill(Scope.everything()).outcome is Outcome.APPLIED
    assert service.report() == {"refused": "CounterReplayed"}
    assert service.report()["obeyed"] == "kill"


def test_signing_anew_has_an_end(service: EchoService) -> None:
    with (
        overtaken(service, [-(10**9), -(10**9), -(10**9)]) as behind,
        pytest.raises(CommandRefusedError, match="is not above") as refused,
    ):
        behind.kill(Scope.everything())
    assert refused.value.ack.refusal is RefusalReason.COUNTER_REPLAYED


def test_nobody_there_is_said_at_once_and_nothing_is_queued(tmp_path: Path, keys: Keys) -> None:
    directory = tmp_path / "s"
    directory.mkdir(mode=0o700)
    endpoint = f"ipc://{directory}/command.sock"
    with CommandClient(endpoint, keys.signer("killer"), INSTANCE, timeout_s=0.2) as client:
        with pytest.raises(UnreachableError, match=r"kill: no service listens at ipc://.*Nothing was sent"):
            client.kill(Scope.everything())
        with EchoService(directory, keys) as service, service.client("killer") as other:
            other.status()
            assert service.report()["obeyed"] == "query_status", "the kill of before does not come late"


def test_values_that_no_message_can_hold_are_refused_here(service: EchoService) -> None:
    with service.client() as client:
        wrong: list[Callable[[], object]] = [
            lambda: client.pause(Scope.slot(70_000)),
            lambda: client.pause(Scope("planet", "mars")),
            lambda: client.set_parameter(0, "entry_threshold", 0.6),  # type: ignore[arg-type]
            lambda: client.set_parameter(0, "entry_threshold", "0.123456789"),
            lambda: client.manual_order(0, "BTCUSDT", Side.BUY, 1),
            lambda: client.manual_order(0, "binance/BTCUSDT", Side.BUY, "NaN"),
            lambda: client.deploy(0, "ab"),
            lambda: client.deploy(-1, DIGEST),
            lambda: client.orders(limit=0),
            lambda: client.fills(limit=1001),
            lambda: client.flatten(Scope.everything(), max_slippage_bps=10_001),
        ]
        for send in wrong:
            with pytest.raises(MessageError):
                send()
        client.status()
    assert service.report()["obeyed"] == "query_status", "nothing else was sent"
