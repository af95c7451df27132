"""A way to the venue that can be cut: every connection passes through here, and none while it is cut."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

BACKLOG = 64
CHUNK_BYTES = 1 << 16
CONNECT_TIMEOUT_S = 5.0
TEXT_FRAME = 0x81
SHORTEST_HEAD, LONGEST_HEAD = 2, 10


class CutProxy:
    """Forwards bytes between the service and the venue on loopback, until it is cut and after it is mended."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.port = int(self._listener.getsockname()[1])
        self._venue_port = 0
        self._whole = threading.Event()
        self._whole.set()
        self._deaf = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._alter: Callable[[bytes], bytes | None] | None = None
        self._ended = False
        self.refused = 0

    def begin(self, venue_port: int) -> None:
        """Begins to forward to the venue's port."""
        self._venue_port = venue_port
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Ends every connection, and every new one at once."""
        self._whole.clear()
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            _end(connection)

    def mend(self) -> None:
        """Lets connections through again."""
        self._deaf.clear()
        self._whole.set()

    def hush(self) -> None:
        """Loses whatever the venue says on the connections that are open; cut them afterwards."""
        self._deaf.set()

    def alter_next(self, alter: Callable[[bytes], bytes | None]) -> None:
        """Shows chunks from the venue to `alter` until it answers with what shall be passed on in its place."""
        with self._lock:
            self._alter = alter

    @property
    def is_altered(self) -> bool:
        """Whether the chunk was found and altered."""
        with self._lock:
            return self._alter is None

    def _accept(self) -> None:
        while not self._ended:
            try:
                inbound, _ = self._listener.accept()
            except OSError:
                return
            if not self._whole.is_set():
                self.refused += 1
                _end(inbound)
                continue
            try:
                outbound = socket.create_connection(("127.0.0.1", self._venue_port), CONNECT_TIMEOUT_S)
            except OSError:
                _end(inbound)
                continue
            outbound.settimeout(None)
            with self._lock:
                self._open |= {inbound, outbound}
            for source, target, from_venue in ((inbound, outbound, False), (outbound, inbound, True)):
                threading.Thread(target=self._forward, args=(source, target, from_venue), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, from_venue: bool) -> None:
        try:
            while chunk := source.recv(CHUNK_BYTES):
                if not (from_venue and self._deaf.is_set()):
                    target.sendall(self._altered(chunk) if from_venue else chunk)
        except OSError:
            pass
        finally:
            with self._lock:
                self._open -= {source, target}
            _end(source)
            _end(target)

    def _altered(self, chunk: bytes) -> bytes:
        with self._lock:
            changed = self._alter(chunk) if self._alter else None
            if changed is None:
                return chunk
            self._alter = None
            return changed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        _end(self._listener)
        self.cut()


def _end(connection: socket.socket) -> None:
    # It may have ended already, or was never connected.
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def frames(chunk: bytes) -> list[tuple[int, int, int]]:
    """Whole WebSocket text frames as servers send them, not masked: first byte, first byte of the text, end.

    Empty for a chunk that is anything else, or ends within a frame.

    >>> frames(b"\\x81\\x02{}\\x81\\x01x")
    [(0, 2, 4), (4, 6, 7)]
    >>> frames(b"HTTP/1.1 200 OK")
    []
    """
    found: list[tuple[int, int, int]] = []
    at = 0
    while at < len(chunk):
        head = chunk[at : at + LONGEST_HEAD]
        if len(head) < SHORTEST_HEAD or head[0] != TEXT_FRAME:
            return []
        more = {126: 2, 127: 8}.get(head[1], 0)
        text = at + SHORTEST_HEAD + more
        size = int.from_bytes(head[SHORTEST_HEAD : SHORTEST_HEAD + more]) if more else head[1]
        found.append((at, text, text + size))
        at = text + size
    return found if at == len(chunk) else []


def without_frame(chunk: bytes, mark: bytes) -> bytes | None:
    """The chunk without its first frame that holds the mark; `None` where there is none."""
    for begin, text, end in frames(chunk):
        if mark in chunk[text:end]:
            return chunk[:begin] + chunk[end:]
    return None


def with_broken_frame(chunk: bytes, mark: bytes) -> bytes | None:
    """The chunk with one byte changed in its first frame that holds the mark; `None` where there is none."""
    for _, text, end in frames(chunk):
        if mark in chunk[text:end]:
            return chunk[:text] + b"?" + chunk[text + 1 :]
    return None
