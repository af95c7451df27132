"""Signed commands from Python to the service itself, beside a simulated venue: obeyed, refused, and repeated."""

from __future__ import annotations

import json
import stat
import time
import urllib.request
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import zmq

from py_rt.bridge.commands import CommandClient, CommandFailedError, CommandRefusedError, Scope
from py_rt.bridge.records import CommandEvent, Control, Fill, Order, Pnl, Position, SlotStatus
from py_rt.bridge.subscriber import Gap, Resync, Silence, TelemetrySubscriber, Update
from py_rt.bridge.vocabulary import (
    BundleState,
    ControlLevel,
    OrderStatus,
    Outcome,
    RefusalReason,
    ServiceState,
    Side,
)
from py_rt.bridge.wire.v1 import commands_pb2
from py_rt.bundle.keys import TRUSTED_KEYS
from tests.contract.live_service import API_KEY, INSTANCE, PATIENCE_S, SLOT, LiveService, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from py_rt.bridge.subscriber import News

pytestmark = pytest.mark.e2e

MINUTE_NS = 60 * 10**9
FLOOD = 2_000
READY = (ServiceState.WAITING, ServiceState.TRADING)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("s")) as service:
        service.start()
        with service.client() as client:
            until(lambda: client.status().state in READY, "a service that waits for a bundle")
        yield service


@pytest.fixture
def client(service: LiveService) -> Iterator[CommandClient]:
    with service.client() as client:
        yield client


def slot_of(client: CommandClient) -> SlotStatus:
    (slot,) = client.status().slots
    return slot


def news_until(telemetry: TelemetrySubscriber, last: Callable[[News], bool]) -> list[News]:
    """News up to the one that is meant."""
    seen: list[News] = []
    ends = time.monotonic() + PATIENCE_S
    while not (seen and last(seen[-1])):
        assert time.monotonic() < ends, f"it was not told; before: {seen[-5:]}"
        news = telemetry.poll(PATIENCE_S)
        assert news is not None
        assert not isinstance(news, Silence | Gap), news
        seen.append(news)
    return seen


def signed(
    service: LiveService, role: str, *, counter: int | None = None, expires: int | None = None, instance: str = INSTANCE
) -> bytes:
    """A kill of one slot, signed by the key of a role."""
    scope = commands_pb2.Scope(slot=SLOT)
    command = commands_pb2.Command(command_id=f"test-{time.time_ns()}", kill=commands_pb2.Kill(scope=scope))
    now = time.time_ns()
    return service.signer(role).sign(
        command.SerializeToString(),
        counter=now if counter is None else counter,
        expires=now + MINUTE_NS if expires is None else expires,
        instance=instance,
    )


class Raw:
    """A client that sends whatever it is given."""

    def __init__(self, service: LiveService) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(service.endpoint("command"))

    def ask(self, message: bytes) -> commands_pb2.Ack:
        """Sends and waits for one acknowledgement."""
        self.socket.send(message)
        return self.answer()

    def answer(self) -> commands_pb2.Ack:
        """The next acknowledgement."""
        assert self.socket.poll(int(PATIENCE_S * 1_000)), "no answer in time"
        return commands_pb2.Ack.FromString(self.socket.recv())

    def close(self) -> None:
        """Lets go of the connection."""
        self.socket.close(linger=0)
        self.context.term()


@pytest.fixture
def raw(service: LiveService) -> Iterator[Raw]:
    raw = Raw(service)
    yield raw
    raw.close()


def refusal(ack: commands_pb2.Ack) -> str:
    assert ack.outcome == commands_pb2.OUTCOME_REFUSED
    return commands_pb2.RefusalReason.Name(ack.refusal).removeprefix("REFUSAL_REASON_").lower()


def test_the_status_says_who_it_is_and_the_sockets_are_ours_alone(service: LiveService, client: CommandClient) -> None:
    status = client.status()
    live = service.live
    assert (status.instance, status.run_id, status.epoch) == (INSTANCE, live["run_id"], live["epoch"])
    assert status.state in READY
    assert [(venue.venue, venue.state.value) for venue in status.venues] == [("binance", "online")]
    assert status.journal is not None
    assert status.journal.records > 0
    assert [slot.slot for slot in status.slots] == [SLOT]
    assert stat.S_IMODE(service.run.stat().st_mode) == 0o700


def test_a_pause_and_a_start_take_effect_and_are_told(service: LiveService, client: CommandClient) -> None:
    with (
        service.client("viewer") as viewer,
        TelemetrySubscriber(
            service.endpoint("telemetry"), ["command", "control"], snapshot=viewer.snapshot
        ) as telemetry,
    ):
        news_until(telemetry, lambda news: isinstance(news, Resync))
        paused = client.pause(Scope.slot(SLOT))
        assert paused.outcome is Outcome.APPLIED
        assert slot_of(client).level is ControlLevel.PAUSED
        assert client.start(Scope.slot(SLOT)).outcome is Outcome.APPLIED
        assert slot_of(client).level is ControlLevel.RUNNING

        def is_end(news: News) -> bool:
            done = isinstance(news, Update) and isinstance(news.body, CommandEvent)
            return done and (news.body.command, news.body.ack.outcome) == ("start", Outcome.APPLIED)  # type: ignore[union-attr]

        seen = [news.body for news in news_until(telemetry, is_end) if isinstance(news, Update)]
    outcomes = [(body.command, body.ack.outcome) for body in seen if isinstance(body, CommandEvent)]
    assert outcomes == [
        (name, outcome) for name in ("pause", "start") for outcome in (Outcome.ACCEPTED, Outcome.APPLIED)
    ]
    levels = [(body.scope, body.level) for body in seen if isinstance(body, Control)]
    assert (Scope.slot(SLOT), ControlLevel.PAUSED) in levels


def test_a_parameter_of_nothing_is_refused_and_one_that_no_strategy_has_too(client: CommandClient) -> None:
    if slot_of(client).active is not None:
        pytest.fail("this test comes before the deployment")
    with pytest.raises(CommandFailedError, match="runs no bundle yet"):
        client.set_parameter(SLOT, "entry_threshold", "0.7")
    with pytest.raises(CommandRefusedError, match="allowed: entry_threshold") as refused:
        client.set_parameter(SLOT, "entry_treshold", "0.7")
    assert refused.value.ack.refusal is RefusalReason.UNKNOWN_PARAMETER


def test_what_the_service_does_not_have_is_named(client: CommandClient) -> None:
    for reason, send in {
        RefusalReason.UNKNOWN_SLOT: lambda: client.pause(Scope.slot(9)),
        RefusalReason.UNKNOWN_INSTRUMENT: lambda: client.manual_order(SLOT, "binance/ETHUSDT", Side.BUY, 1),
    }.items():
        with pytest.raises(CommandRefusedError) as refused:
            send()  # type: ignore[no-untyped-call]
        assert refused.value.ack.refusal is reason


def test_a_bundle_that_nobody_approved_is_refused_with_the_reason(service: LiveService) -> None:
    with service.client("deployer") as deployer:
        with pytest.raises(CommandFailedError, match="refused"):
            deployer.deploy(SLOT, "ab" * 32)
        assert slot_of(deployer).active is None


def test_an_order_by_hand_is_filled_and_shows_everywhere(service: LiveService, client: CommandClient) -> None:
    digest = service.approved_bundle()
    topics = ["bundle", "order", "fill", "position", "pnl"]
    with TelemetrySubscriber(service.endpoint("telemetry"), topics, snapshot=client.snapshot) as telemetry:
        news_until(telemetry, lambda news: isinstance(news, Resync))
        with service.client("deployer") as deployer:
            assert deployer.deploy(SLOT, digest).outcome is Outcome.APPLIED
        active = slot_of(client).active
        assert active is not None
        assert (active.digest, active.state, active.serial) == (digest, BundleState.ACTIVE, 1)
        client.manual_order(SLOT, "binance/BTCUSDT", Side.BUY, "0.5")
        seen = news_until(telemetry, lambda news: isinstance(news, Update) and isinstance(news.body, Fill))
        until(lambda: client.orders(SLOT).orders[0].status is OrderStatus.FILLED, "a filled order")
    (fill, *_), (order, *_) = client.fills(SLOT).fills, client.orders(SLOT).orders
    assert fill.client_order_id == order.client_order_id
    assert (order.side, order.quantity, order.filled_quantity) == (Side.BUY, Decimal("0.5"), Decimal("0.5"))
    assert order.bundle_digest is None, "a person's order"
    assert order.average_price is not None
    told = {type(news.body) for news in seen if isinstance(news, Update)}
    assert {Order, Fill} <= told
    positions = {position.slot: position for position in client.positions()}
    # The venue takes its fee in what was bought.
    assert Decimal("0.49") < positions[SLOT].quantity <= Decimal("0.5")
    assert positions[None].quantity == positions[SLOT].quantity
    pnl = {entry.slot: entry for entry in client.pnl()}
    assert pnl[None].equity.currency == "USDT"
    snapshot = client.snapshot()
    assert order.client_order_id in {one.client_order_id for one in snapshot.orders}
    assert fill.trade_id in {one.trade_id for one in snapshot.recent_fills}
    assert snapshot.as_of["fill"] >= 1
    assert {type(one) for one in (*snapshot.positions, *snapshot.pnl)} == {Position, Pnl}
    client.manual_order(SLOT, "binance/BTCUSDT", Side.SELL, "0.4")
    until(lambda: client.fills(SLOT).fills[0].side is Side.SELL, "the way back")


def test_a_kill_is_latched_and_a_person_with_a_reason_lifts_it(service: LiveService, client: CommandClient) -> None:
    with service.client("killer") as killer:
        assert killer.kill(Scope.slot(SLOT)).outcome is Outcome.APPLIED
        with pytest.raises(CommandRefusedError) as refused:
            killer.rearm(Scope.slot(SLOT), reason="I can")
        assert refused.value.ack.refusal is RefusalReason.ROLE_NOT_ALLOWED
    assert slot_of(client).level is ControlLevel.KILLED
    assert [(stop.scope, stop.reason) for stop in client.status().controls] == [(Scope.slot(SLOT), "by a command")]
    with pytest.raises(CommandFailedError, match="re-arm first"):
        client.start(Scope.slot(SLOT))
    assert client.rearm(Scope.slot(SLOT), reason="looked at it").outcome is Outcome.APPLIED
    assert client.start(Scope.slot(SLOT)).outcome is Outcome.APPLIED
    assert slot_of(client).level is ControlLevel.RUNNING


def test_a_key_counts_as_long_as_it_stands_in_the_list(service: LiveService, client: CommandClient) -> None:
    keys = service.home / "keys" / TRUSTED_KEYS
    everyone = keys.read_text(encoding="utf-8")
    others = "[[key]]".join(entry for entry in everyone.split("[[key]]") if '"viewer"' not in entry)

    def is_obeyed(viewer: CommandClient) -> bool:
        try:
            return bool(viewer.status())
        except CommandRefusedError as refused:
            return refused.ack.refusal is not RefusalReason.UNKNOWN_KEY

    with service.client("viewer") as viewer:
        assert is_obeyed(viewer)
        replace(keys, others)
        until(lambda: not is_obeyed(viewer), "a key that lost its trust")
        assert client.status().instance == INSTANCE, "the others are obeyed as before"
        replace(keys, everyone)
        until(lambda: is_obeyed(viewer), "a key that is trusted again")


def replace(path: Path, text: str) -> None:
    """Writes a file so that nobody reads half of it."""
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def test_what_is_not_genuine_changes_nothing_and_is_counted_by_reason(service: LiveService, raw: Raw) -> None:
    now = time.time_ns()
    flipped = bytearray(signed(service, "killer"))
    flipped[-1] ^= 1
    wrong = {
        "malformed": b"kill",
        "too_large": bytes(64 * 1024 + 1),
        "unknown_key": signed(service, "stranger"),
        "bad_signature": bytes(flipped),
        "role_not_allowed": signed(service, "viewer"),
        "wrong_instance": signed(service, "killer", instance="prod"),
        "expired": signed(service, "killer", expires=now),
        "counter_replayed": signed(service, "killer", counter=1),
    }
    before = service.metrics()
    assert {reason: refusal(raw.ask(message)) for reason, message in wrong.items()} == {name: name for name in wrong}
    after = service.metrics()
    for reason in wrong:
        name = f'py_rt_commands_refused_total{{reason="{reason}"}}'
        assert after[name] - before[name] == 1, reason
    with service.client() as client:
        assert slot_of(client).level is not ControlLevel.KILLED


def test_every_command_and_question_is_counted(service: LiveService, client: CommandClient) -> None:
    def counted(act: Callable[[], object]) -> float:
        before = service.metrics()["py_rt_commands_total"]
        act()
        return service.metrics()["py_rt_commands_total"] - before

    def refused(act: Callable[[], object]) -> None:
        with pytest.raises((CommandFailedError, CommandRefusedError)):
            act()

    with service.client("deployer") as deployer:
        assert counted(lambda: refused(lambda: deployer.deploy(SLOT, "ab" * 32))) == 1
        assert counted(lambda: refused(lambda: deployer.pause(Scope.everything()))) == 0, "refused by its reason"
    for act in (client.status, client.positions, client.orders, client.fills, client.pnl, client.snapshot):
        assert counted(act) == 1
    assert counted(lambda: client.pause(Scope.slot(SLOT))) == 1
    assert counted(lambda: client.start(Scope.slot(SLOT))) == 1


def test_a_flood_of_garbage_leaves_it_answering(service: LiveService, client: CommandClient) -> None:
    before, floods = service.metrics(), [Raw(service) for _ in range(4)]
    for number in range(FLOOD):
        floods[number % 4].socket.send(number.to_bytes(4) * (1 + number % 50))
    assert client.status().instance == INSTANCE
    name = 'py_rt_commands_refused_total{reason="malformed"}'
    until(lambda: service.metrics()[name] - before[name] >= FLOOD, "the end of the flood")
    assert client.pause(Scope.slot(SLOT)).outcome is Outcome.APPLIED
    assert client.start(Scope.slot(SLOT)).outcome is Outcome.APPLIED
    assert service.log.count("command refused") < FLOOD, "a flood does not fill the disk with words"
    for flood in floods:
        flood.close()


def transfer(service: LiveService, amount: str) -> None:
    """A deposit, or a withdrawal, that nobody asked the service about."""
    data = json.dumps({"api_key": API_KEY, "asset": "BTC", "amount": amount}).encode()
    with urllib.request.urlopen(f"{service.venue_url}/admin/transfer", data=data, timeout=10) as answer:
        assert answer.status == 200


def test_a_slot_that_only_reduces_says_why(tmp_path_factory: pytest.TempPathFactory) -> None:
    with LiveService(tmp_path_factory.mktemp("m")) as service:
        service.start()
        with service.client("deployer") as deployer:
            deployer.deploy(SLOT, service.approved_bundle())
        with service.client() as client:
            until(lambda: client.status().state in READY, "a service that knows what is not its own")
            client.manual_order(SLOT, "binance/BTCUSDT", Side.BUY, "0.5")
            until(lambda: client.orders(SLOT).orders[0].status is OrderStatus.FILLED, "a filled order")
            # Out of what the slot holds.
            transfer(service, "-0.2")

            def reasons() -> list[str]:
                return [stop.reason or "" for stop in client.status().controls if stop.scope == Scope.slot(SLOT)]

            differs = "the venue holds -0.2 more than the slots: only reducing orders pass until it agrees"
            until(lambda: reasons() == [differs], "a difference that is told")
            assert slot_of(client).level is ControlLevel.REDUCE_ONLY


def test_no_command_acts_twice_not_even_after_a_sudden_death(tmp_path_factory: pytest.TempPathFactory) -> None:
    with LiveService(tmp_path_factory.mktemp("d")) as service:
        service.start()
        message = signed(service, "killer")
        raw = Raw(service)
        assert raw.ask(message).outcome == commands_pb2.OUTCOME_ACCEPTED
        assert raw.answer().outcome == commands_pb2.OUTCOME_APPLIED
        # The same again is answered, not obeyed.
        assert raw.ask(message).outcome == commands_pb2.OUTCOME_APPLIED
        raw.close()
        service.kill()
        service.start()
        raw = Raw(service)
        assert refusal(raw.ask(message)) == "counter_replayed"
        raw.close()
        with service.client() as client:
            assert slot_of(client).level is ControlLevel.KILLED
            client.rearm(Scope.slot(SLOT), reason="a new day")
            assert slot_of(client).level is not ControlLevel.KILLED
        assert service.stop() == 0
        assert not (service.run / "live.json").exists()
        assert_no_secrets(service)


def assert_no_secrets(service: LiveService) -> None:
    """Neither log nor run folder holds a private key or a secret of the venue's."""
    keys: list[Path] = list((service.home / "keys").glob("*.pem"))
    secrets = ["secret_of_the_contract_test", *(key.read_text().splitlines()[1] for key in keys)]
    assert len(secrets) > 1
    texts = [path.read_bytes() for path in service.run.rglob("*") if path.is_file()]
    for text in (*texts, service.log.encode()):
        assert not [secret for secret in secrets if secret.encode() in text]
