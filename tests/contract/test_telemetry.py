"""Telemetry of the Rust publisher, received in Python: late, too slow, and across a restart."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from py_rt.bridge.commands import CommandRefusedError, Scope
from py_rt.bridge.records import Alert, BundleStatus, CommandEvent, Control, Fill, Order, Position, Trade, plain
from py_rt.bridge.subscriber import TOPICS, Gap, Restart, Resync, Silence, TelemetrySubscriber, Update
from py_rt.bridge.vocabulary import ControlLevel, OrderStatus, Outcome, RefusalReason, Side
from tests.contract.echo import EchoService, Keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from py_rt.bridge.subscriber import News

# The first test may have to build the other side.
pytestmark = pytest.mark.timeout(1200)

PATIENCE_S = 60.0
# More than both ends hold, whatever the operating system keeps in between.
BURST = 60_000
ROOM = 100


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def service(tmp_path: Path, keys: Keys) -> Iterator[EchoService]:
    with EchoService(tmp_path / "s", keys) as service:
        yield service


def until(telemetry: TelemetrySubscriber, last: Callable[[News], bool]) -> list[News]:
    """News up to the one that is meant."""
    seen: list[News] = []
    while not (seen and last(seen[-1])):
        news = telemetry.poll(PATIENCE_S)
        assert news is not None, f"nothing came; before: {seen[-3:]}"
        assert not isinstance(news, Silence), "the service is silent"
        seen.append(news)
    return seen


def is_resync(news: News) -> bool:
    return isinstance(news, Resync)


def test_what_happens_is_told_on_its_topic(service: EchoService) -> None:
    with service.client() as client, TelemetrySubscriber(service.telemetry, snapshot=client.snapshot) as telemetry:
        until(telemetry, is_resync)
        client.manual_order(1, "binance/BTCUSDT", Side.BUY, "0.5")
        client.kill(Scope.slot(1))
        client.cancel(Scope.everything())
        with pytest.raises(CommandRefusedError):
            client.set_parameter(0, "exit", 1)
        with service.client("deployer") as deployer:
            deployer.deploy(0, "cd" * 32)
        updates = [
            news
            for news in until(telemetry, lambda news: isinstance(news, Update) and is_deployed(news))
            if isinstance(news, Update)
        ]
    bodies = {kind: [news.body for news in updates if isinstance(news.body, kind)] for kind in KINDS}
    (order,) = bodies[Order]
    assert isinstance(order, Order)
    assert (order.status, order.client_order_id) == (OrderStatus.FILLED, "e1-s1-1")
    (fill,) = bodies[Fill]
    assert isinstance(fill, Fill)
    assert (fill.client_order_id, plain(fill.quantity)) == ("e1-s1-1", "0.5")
    assert [plain(position.quantity) for position in bodies[Position] if isinstance(position, Position)] == ["0.5"] * 2
    (control,) = bodies[Control]
    assert isinstance(control, Control)
    assert (control.scope, control.level) == (Scope.slot(1), ControlLevel.KILLED)
    assert len(bodies[Alert]) == 1
    assert len(bodies[BundleStatus]) == 1
    events = [event for event in bodies[CommandEvent] if isinstance(event, CommandEvent)]
    refused = [event.ack.refusal for event in events if event.ack.outcome is Outcome.REFUSED]
    assert refused == [RefusalReason.UNKNOWN_PARAMETER]
    assert Counter(event.command for event in events)["manual_order"] == 1


KINDS = (Order, Fill, Position, Control, Alert, BundleStatus, CommandEvent)


def is_deployed(news: Update) -> bool:
    return isinstance(news.body, CommandEvent) and news.body.command == "deploy"


def test_who_comes_late_starts_from_the_state_and_misses_nothing_after(service: EchoService) -> None:
    service.tell("trades 500")
    with service.client() as client:
        client.manual_order(0, "binance/BTCUSDT", Side.BUY, 1)
        with TelemetrySubscriber(service.telemetry, snapshot=client.snapshot) as telemetry:
            (resync,) = until(telemetry, is_resync)
            assert isinstance(resync, Resync)
            assert resync.snapshot.as_of["trade"] == 500
            assert len(resync.snapshot.orders) == 1
            service.tell("trades 5")
            news = until(
                telemetry, lambda news: isinstance(news, Update) and news.topic == "trade" and news.sequence == 505
            )
    assert not [item for item in news if isinstance(item, Gap)]
    trades = [item for item in news if isinstance(item, Update) and item.topic == "trade"]
    assert [item.sequence for item in trades] == [501, 502, 503, 504, 505]
    assert [item.body.trade_id for item in trades if isinstance(item.body, Trade)] == [501, 502, 503, 504, 505]


def test_who_is_too_slow_is_told_exactly_what_it_missed_and_is_put_right(service: EchoService) -> None:
    with (
        service.client() as client,
        TelemetrySubscriber(service.telemetry, ["trade"], snapshot=client.snapshot, room=ROOM) as telemetry,
    ):
        until(telemetry, is_resync)
        # The service publishes at its own pace, and answers, while this side does not read.
        service.tell(f"trades {BURST}")
        assert client.status().epoch == 1
        news = until(telemetry, is_resync)
        received = [item.sequence for item in news if isinstance(item, Update)]
        gaps = [item for item in news if isinstance(item, Gap)]
        resync = news[-1]
        assert isinstance(resync, Resync)
        assert received == list(range(1, len(received) + 1))
        assert len(gaps) == 1
        assert gaps[0].first == len(received) + 1
        assert resync.snapshot.as_of["trade"] == BURST
        service.tell("trades 1")
        following = until(telemetry, lambda news: isinstance(news, Update))
        assert [item.sequence for item in following if isinstance(item, Update)] == [BURST + 1]


def test_without_a_snapshot_what_came_and_what_is_missing_add_up(service: EchoService) -> None:
    with TelemetrySubscriber(service.telemetry, ["trade"], room=ROOM) as telemetry:
        while not telemetry.joined:
            telemetry.poll(0.05)
        service.tell(f"trades {BURST}")
        came = missed = 0
        while came + missed < BURST:
            news = telemetry.poll(PATIENCE_S)
            came += isinstance(news, Update)
            missed += news.missed if isinstance(news, Gap) else 0
    assert came + missed == BURST
    assert missed > 0
    assert came >= ROOM


def test_a_restart_of_the_service_is_a_new_life_with_a_new_state(tmp_path: Path, keys: Keys) -> None:
    with EchoService(tmp_path / "s", keys) as first, first.client() as client:
        telemetry = TelemetrySubscriber(first.telemetry, ["trade", "order"], snapshot=client.snapshot)
        until(telemetry, is_resync)
        first.tell("trades 3")
        until(telemetry, lambda news: isinstance(news, Update) and news.sequence == 3)
    with telemetry, EchoService(tmp_path / "s", keys, epoch=2) as second, second.client() as client:
        telemetry._snapshot = client.snapshot
        news = until(telemetry, is_resync)
        assert news[0] == Restart(1, 2)
        resync = news[-1]
        assert isinstance(resync, Resync)
        assert (resync.snapshot.epoch, resync.snapshot.as_of["trade"]) == (2, 0)
        second.tell("trades 1")
        (update,) = until(telemetry, lambda news: isinstance(news, Update))
        assert isinstance(update, Update)
        assert (update.epoch, update.sequence) == (2, 1)


def test_the_topics_are_those_that_rust_publishes(service: EchoService) -> None:
    with service.client() as client:
        assert tuple(client.snapshot().as_of) == TOPICS
