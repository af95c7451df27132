"""What a service publishes, with every loss noticed and repaired by a snapshot.

    with TelemetrySubscriber(endpoint, ["order", "fill"], snapshot=client.snapshot) as telemetry:
        for news in telemetry:
            match news:
                case Update(body=Fill() as fill): ...
                case Gap(): ...       # messages were lost; a Resync follows
                case Resync(snapshot=state): ...   # start again from this state

Publishing never waits for a subscriber: one that is too slow, or comes late, misses messages. Each topic is numbered
without gaps within a life of the service, and a heartbeat tells every second how far each topic has come, so that a
loss shows even when the topic has fallen silent since.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeAlias

import zmq
from google.protobuf.message import DecodeError

from py_rt.bridge.commands import check_endpoint
from py_rt.bridge.records import record
from py_rt.bridge.vocabulary import MessageError
from py_rt.bridge.wire.v1 import telemetry_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from py_rt.bridge.records import Record, Snapshot

HEARTBEAT = "heartbeat"
TOPICS = (
    "trade",
    "quote",
    "book.levels",
    "book.invalid",
    "bar",
    "venue",
    "order",
    "fill",
    "position",
    "pnl",
    "balances",
    "signal",
    "bundle",
    "service",
    "command",
    "control",
    "alert",
)
"""What can be subscribed to; the heartbeat always is."""

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
FRAMES = 2
ROOM = 10_000
SILENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Update:
    """A published message.

    Attributes:
        topic: one of `TOPICS`.
        epoch: the service's life.
        sequence: its number within topic and epoch.
        ts: when the service published it, nanoseconds UTC.
        body: what it says.
    """

    topic: str
    epoch: int
    sequence: int
    ts: int
    body: Record


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of a topic that never came.

    Attributes:
        topic: which topic.
        epoch: of which life of the service.
        first: the number of the first that is missing.
        missed: how many.
    """

    topic: str
    epoch: int
    first: int
    missed: int


@dataclass(frozen=True, slots=True)
class Resync:
    """The whole state, to start again from: at the beginning, after a gap, and in a new life of the service.

    Updates that are already in it do not come any more.
    """

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Restart:
    """The service has begun a new life: every number starts again."""

    old_epoch: int
    new_epoch: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that this version cannot read; one whose number could be read leaves no gap."""

    topic: str
    reason: str


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing has been heard for so long, not even a heartbeat: the service is gone, or hangs. Said once."""

    silent_s: float


News: TypeAlias = Update | Gap | Resync | Restart | Unreadable | Silence


class SequenceTracker:
    """Finds what is missing. No I/O: it is given messages in the order in which they came.

    Attributes:
        epoch: the life that messages are of; `None` before the first.
        joined: whether a heartbeat was heard, which proves that every subscription is in place.
    """

    def __init__(self, topics: Iterable[str]) -> None:
        self.epoch: int | None = None
        self.joined = False
        self._topics = tuple(topics)
        self._last: dict[str, int] = {}

    def take(self, topic: str, envelope: telemetry_pb2.Envelope) -> list[News]:
        """What a message tells: itself, and what is missing before it. Late and repeated messages tell nothing."""
        if self.epoch is not None and envelope.epoch < self.epoch:
            return []
        news: list[News] = self._enter(envelope.epoch)
        if envelope.WhichOneof("body") == HEARTBEAT:
            self.joined = True
            for entry in envelope.heartbeat.sequences:
                if entry.topic in self._topics:
                    news += self._reach(entry.topic, entry.sequence)
            return news
        sequence = envelope.sequence
        if sequence <= self._last.get(topic, 0):
            return news
        news += self._reach(topic, sequence - 1)
        self._last[topic] = sequence
        try:
            body = record(envelope)
        except MessageError as error:
            return [*news, Unreadable(topic, str(error))]
        return [*news, Update(topic, envelope.epoch, sequence, envelope.ts, body)]

    def restart_from(self, snapshot: Snapshot) -> list[News]:
        """Go on from a snapshot: what is in it does not come again.

        Raises:
            MessageError: it is of a life that has ended.
        """
        if self.epoch is not None and snapshot.epoch < self.epoch:
            message = f"the snapshot is of life {snapshot.epoch} of the service; life {self.epoch} publishes already"
            raise MessageError(message)
        news: list[News] = self._enter(snapshot.epoch)
        self._last.update({topic: snapshot.as_of.get(topic, 0) for topic in self._topics})
        return [*news, Resync(snapshot)]

    def _enter(self, epoch: int) -> list[News]:
        if self.epoch == epoch:
            return []
        old, self.epoch = self.epoch, epoch
        if old is None:
            return []
        # We were there from its beginning: whatever came before its first message is a loss.
        self._last = dict.fromkeys(self._topics, 0)
        return [Restart(old, epoch)]

    def _reach(self, topic: str, sequence: int) -> list[News]:
        """Everything up to `sequence` has been published: what of it did not come?

        Before the first message of a topic nothing is missing: we came late, that is all.
        """
        last = self._last.get(topic, sequence)
        self._last[topic] = max(last, sequence)
        if sequence <= last:
            return []
        return [Gap(topic, self.epoch or 0, last + 1, sequence - last)]


class TelemetrySubscriber:
    """One connection to one service's telemetry. Not for use by several threads at once."""

    def __init__(
        self,
        endpoint: str,
        topics: Iterable[str] = TOPICS,
        *,
        snapshot: Callable[[], Snapshot] | None = None,
        room: int = ROOM,
        silence_s: float = SILENCE_S,
    ) -> None:
        """Connect and subscribe.

        Args:
            endpoint: `ipc://` and the absolute path of the service's telemetry socket.
            topics: some of `TOPICS`.
            snapshot: how to get the whole state, as `CommandClient.snapshot`. With it the first news is a `Resync`,
                and every loss is followed by one. Without it losses are told, and not repaired.
            room: messages that may wait here; what comes when they are so many is lost.
            silence_s: after how long without a message silence is told.

        Raises:
            UnreachableError: the endpoint is not `ipc://`, or its directory is not yours alone.
            MessageError: no such topic.
        """
        chosen = tuple(dict.fromkeys(topics))
        for topic in chosen:
            if topic not in TOPICS:
                raise MessageError(f"no topic is called {topic!r}; there are {', '.join(TOPICS)}")
        check_endpoint(endpoint)
        self._snapshot = snapshot
        self._silence_s = silence_s
        self._tracker = SequenceTracker(chosen)
        self._waiting: deque[News] = deque()
        self._resync_due = snapshot is not None
        self._heard = time.monotonic()
        self._silence_told = False
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.linger = 0
        self._socket.rcvhwm = room
        self._socket.maxmsgsize = MESSAGE_BYTES_MAX
        # The heartbeat last: the first one proves that the others are in place.
        for topic in (*chosen, HEARTBEAT):
            self._socket.subscribe(topic)
        self._socket.connect(endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[News]:
        """All news, for ever."""
        while True:
            if (news := self.poll(self._silence_s)) is not None:
                yield news

    @property
    def joined(self) -> bool:
        """Whether a heartbeat was heard: from then on whatever is published comes, or is told as missing."""
        return self._tracker.joined

    def close(self) -> None:
        """Disconnect."""
        self._socket.close(linger=0)
        self._context.term()

    def poll(self, timeout_s: float) -> News | None:
        """The next news, or `None` when there is none in time.

        Args:
            timeout_s: how long to wait; a snapshot that is due takes the time that it takes.

        Raises:
            CommandError: the snapshot that is due could not be had; the next call tries again.
        """
        ends = time.monotonic() + timeout_s
        while not self._waiting:
            if self._resync_due and self._tracker.joined:
                self._resync()
                continue
            now = time.monotonic()
            silent_s = now - self._heard
            if not self._silence_told and silent_s >= self._silence_s:
                self._silence_told = True
                return Silence(silent_s)
            until = ends if self._silence_told else min(ends, self._heard + self._silence_s)
            # Rounded up, so that the last part of a millisecond is no busy loop.
            if self._socket.poll(max(0, int((until - now) * 1000) + 1)):
                self._receive()
            elif time.monotonic() >= ends:
                return None
        return self._waiting.popleft()

    def _receive(self) -> None:
        frames = self._socket.recv_multipart()
        self._heard, self._silence_told = time.monotonic(), False
        topic = frames[0].decode("ascii", "replace")
        if len(frames) != FRAMES:
            self._waiting.append(Unreadable(topic, f"{len(frames)} frames instead of {FRAMES}"))
            return
        try:
            envelope = telemetry_pb2.Envelope.FromString(frames[1])
        except DecodeError as error:
            self._waiting.append(Unreadable(topic, f"{len(frames[1])} bytes that are no message: {error}"))
            return
        news = self._tracker.take(topic, envelope)
        if self._snapshot is not None:
            self._resync_due |= any(isinstance(item, Gap | Restart) for item in news)
        if self._resync_due:
            # The snapshot will hold it: it is asked for after this message was published.
            news = [item for item in news if not isinstance(item, Update)]
        self._waiting.extend(news)

    def _resync(self) -> None:
        assert self._snapshot is not None
        self._waiting.extend(self._tracker.restart_from(self._snapshot()))
        self._resync_due = False
