"""Losses: every one is noticed, whatever is lost, and a snapshot repairs it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from py_rt.bridge.commands import CommandError, UnreachableError
from py_rt.bridge.records import Alert, Snapshot
from py_rt.bridge.subscriber import (
    TOPICS,
    Gap,
    Restart,
    Resync,
    SequenceTracker,
    Silence,
    TelemetrySubscriber,
    Unreadable,
    Update,
)
from py_rt.bridge.vocabulary import MessageError
from py_rt.bridge.wire.v1 import commands_pb2, telemetry_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from py_rt.bridge.subscriber import News

PATIENCE_S = 20.0
SHORT_S = 0.2


def alert(sequence: int, epoch: int = 1) -> telemetry_pb2.Envelope:
    return telemetry_pb2.Envelope(epoch=epoch, sequence=sequence, ts=5, alert=telemetry_pb2.Alert(text=str(sequence)))


def heartbeat(epoch: int = 1, **sequences: int) -> telemetry_pb2.Envelope:
    told = [commands_pb2.TopicSequence(topic=topic, sequence=sequence) for topic, sequence in sequences.items()]
    return telemetry_pb2.Envelope(epoch=epoch, sequence=1, heartbeat=telemetry_pb2.Heartbeat(sequences=told))


def snapshot(epoch: int = 1, **as_of: int) -> Snapshot:
    message = commands_pb2.Snapshot(epoch=epoch)
    message.status.state = commands_pb2.SERVICE_STATE_TRADING
    message.as_of.extend(commands_pb2.TopicSequence(topic=topic, sequence=last) for topic, last in as_of.items())
    return Snapshot.from_wire(message)


def numbers(news: list[News]) -> list[int]:
    return [item.sequence for item in news if isinstance(item, Update)]


def missing(news: list[News]) -> list[int]:
    gaps = [item for item in news if isinstance(item, Gap)]
    return [number for gap in gaps for number in range(gap.first, gap.first + gap.missed)]


@given(st.integers(1, 50), st.sets(st.integers(1, 60)), st.integers(60, 70))
def test_what_came_and_what_is_missing_is_all_there_was(first: int, lost: set[int], last: int) -> None:
    """Some of `first..last` are lost; then a heartbeat says how far it went."""
    tracker = SequenceTracker(["alert"])
    news = tracker.take("heartbeat", heartbeat(alert=first - 1))
    came = [number for number in range(first, last + 1) if number not in lost]
    for number in came:
        news += tracker.take("alert", alert(number))
    news += tracker.take("heartbeat", heartbeat(alert=last))
    assert numbers(news) == came
    assert missing(news) == [number for number in range(first, last + 1) if number in lost]


def test_coming_late_is_not_a_loss() -> None:
    tracker = SequenceTracker(["alert"])
    assert missing(tracker.take("alert", alert(17))) == []
    assert missing(tracker.take("alert", alert(18))) == []
    assert not tracker.joined


def test_a_loss_at_the_end_of_a_topic_shows_at_the_next_heartbeat() -> None:
    tracker = SequenceTracker(["alert"])
    tracker.take("heartbeat", heartbeat(alert=3))
    assert tracker.take("heartbeat", heartbeat(alert=5)) == [Gap("alert", 1, 4, 2)]
    assert tracker.take("heartbeat", heartbeat(alert=5)) == []
    assert tracker.take("alert", alert(5)) == [], "what was called missing does not come late"


def test_topics_that_are_not_subscribed_are_not_missed() -> None:
    tracker = SequenceTracker(["alert"])
    tracker.take("heartbeat", heartbeat(alert=0, trade=3))
    assert tracker.take("heartbeat", heartbeat(alert=0, trade=9)) == []


def test_a_new_life_starts_every_number_again() -> None:
    tracker = SequenceTracker(["alert"])
    tracker.take("alert", alert(90))
    news = tracker.take("alert", alert(3, epoch=2))
    assert news[:2] == [Restart(1, 2), Gap("alert", 2, 1, 2)]
    assert numbers(news) == [3]
    assert tracker.take("alert", alert(91, epoch=1)) == [], "the old life's last words are late"


@given(st.integers(0, 30), st.integers(1, 60))
def test_what_is_in_the_snapshot_does_not_come_again(as_of: int, last: int) -> None:
    tracker = SequenceTracker(["alert"])
    tracker.take("heartbeat", heartbeat(alert=0))
    (resync,) = tracker.restart_from(snapshot(alert=as_of))
    assert isinstance(resync, Resync)
    news = [item for number in range(1, last + 1) for item in tracker.take("alert", alert(number))]
    assert numbers(news) == list(range(as_of + 1, last + 1))
    assert missing(news) == []


def test_a_loss_behind_the_snapshot_is_noticed() -> None:
    tracker = SequenceTracker(["alert"])
    tracker.restart_from(snapshot(alert=4))
    assert missing(tracker.take("alert", alert(7))) == [5, 6]


def test_a_snapshot_may_announce_a_new_life_but_not_an_old_one() -> None:
    tracker = SequenceTracker(["alert"])
    tracker.take("alert", alert(1))
    assert tracker.restart_from(snapshot(epoch=2, alert=0))[0] == Restart(1, 2)
    with pytest.raises(MessageError, match="of life 1 of the service; life 2 publishes already"):
        tracker.restart_from(snapshot(epoch=1))


def test_a_body_of_a_newer_service_is_told_and_leaves_no_gap() -> None:
    tracker = SequenceTracker(["alert"])
    tracker.take("alert", alert(1))
    unknown = telemetry_pb2.Envelope(epoch=1, sequence=2)
    (told,) = tracker.take("alert", unknown)
    assert isinstance(told, Unreadable)
    assert numbers(tracker.take("alert", alert(3))) == [3]


class Station:
    """A publisher in our hands."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o700)
        self.endpoint = f"ipc://{folder}/telemetry.sock"
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.XPUB)
        self.socket.linger = 0
        self.socket.bind(self.endpoint)

    def await_subscriptions(self, count: int) -> None:
        """Until so many topics have been asked for."""
        for _ in range(count):
            assert self.socket.poll(int(PATIENCE_S * 1000)), "nobody subscribed in time"
            self.socket.recv()

    def publish(self, topic: str, envelope: telemetry_pb2.Envelope) -> None:
        self.socket.send_multipart([topic.encode(), envelope.SerializeToString()])

    def close(self) -> None:
        self.socket.close(linger=0)
        self.context.term()


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    station = Station(tmp_path)
    yield station
    station.close()


def test_with_a_snapshot_the_first_news_is_the_state(station: Station) -> None:
    states = iter([snapshot(alert=2)])
    with TelemetrySubscriber(station.endpoint, ["alert"], snapshot=lambda: next(states)) as telemetry:
        station.await_subscriptions(2)
        station.publish("alert", alert(1))
        station.publish("heartbeat", heartbeat(alert=1))
        station.publish("alert", alert(2))
        station.publish("alert", alert(3))
        first, second = telemetry.poll(PATIENCE_S), telemetry.poll(PATIENCE_S)
        assert isinstance(first, Resync)
        assert isinstance(second, Update)
        assert (second.sequence, second.ts, second.body) == (3, 5, Alert("", None, None, None, "3"))
        assert telemetry.poll(0) is None


def test_after_a_loss_comes_the_gap_then_the_state_then_what_is_new(station: Station) -> None:
    states = iter([snapshot(alert=0), snapshot(alert=6)])
    with TelemetrySubscriber(station.endpoint, ["alert"], snapshot=lambda: next(states)) as telemetry:
        station.await_subscriptions(2)
        station.publish("heartbeat", heartbeat(alert=0))
        for number in (1, 4, 5, 6, 7):
            station.publish("alert", alert(number))
        news = [telemetry.poll(PATIENCE_S) for _ in range(5)]
        assert [type(item).__name__ for item in news] == ["Resync", "Update", "Gap", "Resync", "Update"]
        assert news[2] == Gap("alert", 1, 2, 2)
        assert numbers([item for item in news if item is not None]) == [1, 7]


def test_a_snapshot_that_fails_is_asked_for_again(station: Station) -> None:
    answers: list[Snapshot | CommandError] = [CommandError("busy"), snapshot(alert=0)]

    def ask() -> Snapshot:
        answer = answers.pop(0)
        if isinstance(answer, CommandError):
            raise answer
        return answer

    with TelemetrySubscriber(station.endpoint, ["alert"], snapshot=ask) as telemetry:
        station.await_subscriptions(2)
        station.publish("heartbeat", heartbeat(alert=0))
        with pytest.raises(CommandError, match="busy"):
            telemetry.poll(PATIENCE_S)
        assert isinstance(telemetry.poll(PATIENCE_S), Resync)


def test_silence_is_told_once_and_ends_with_the_next_word(station: Station) -> None:
    with TelemetrySubscriber(station.endpoint, ["alert"], silence_s=SHORT_S) as telemetry:
        station.await_subscriptions(2)
        started = time.monotonic()
        news = telemetry.poll(PATIENCE_S)
        assert isinstance(news, Silence)
        assert SHORT_S <= news.silent_s <= time.monotonic() - started + SHORT_S
        assert telemetry.poll(2 * SHORT_S) is None
        station.publish("alert", alert(1))
        assert isinstance(telemetry.poll(PATIENCE_S), Update)
        assert isinstance(telemetry.poll(PATIENCE_S), Silence)


def test_nonsense_is_told_and_does_not_end_it(station: Station) -> None:
    with TelemetrySubscriber(station.endpoint, ["alert"], silence_s=PATIENCE_S) as telemetry:
        station.await_subscriptions(2)
        station.socket.send_multipart([b"alert", b"\xff\xff"])
        station.socket.send_multipart([b"alert"])
        station.socket.send_multipart([b"alert", b"", b""])
        station.publish("alert", alert(1))
        news = [telemetry.poll(PATIENCE_S) for _ in range(4)]
        assert [type(item).__name__ for item in news] == ["Unreadable", "Unreadable", "Unreadable", "Update"]


def test_all_news_can_be_iterated(station: Station) -> None:
    with TelemetrySubscriber(station.endpoint, ["alert"]) as telemetry:
        station.await_subscriptions(2)
        for number in (1, 2, 3):
            station.publish("alert", alert(number))
        seen = []
        for news in telemetry:
            seen.append(news)
            if len(seen) == 3:
                break
        assert numbers(seen) == [1, 2, 3]


def test_a_topic_or_endpoint_that_cannot_be_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(MessageError, match=f"no topic is called 'fills'; there are {', '.join(TOPICS)}"):
        TelemetrySubscriber(f"ipc://{tmp_path}/x.sock", ["fills"])
    with pytest.raises(UnreachableError):
        TelemetrySubscriber("tcp://127.0.0.1:5556")
