"""The second way into a service: the local control socket in its run folder, which needs neither ZeroMQ nor a key.

The service hears one line from the user that it runs as, and answers with one line of JSON: see
`native/live/src/control.rs`. Nothing here imports what could be missing or broken when it is needed.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from py_rt.bridge.services import LIVE_FILE
from py_rt.cli.service_verdict import FAILED, NO_SERVICE, UNKNOWN, WRONG, EndedError, Verdict

if TYPE_CHECKING:
    from py_rt.cli.service_door import Reach

SOCKET = "control.sock"
PATIENCE_S = 5.0
"""Longest wait for the answer: the service gives its engine a second."""

ANSWER_BYTES_MAX = 4_096


@dataclass(frozen=True)
class Heard:
    """What a service said by its local control socket.

    Attributes:
        path: the socket.
        instance: the service's name, where its `live.json` can be read.
        said: its answer.
    """

    path: Path
    instance: str | None
    said: dict[str, Any]


def ask(reach: Reach, line: str) -> Heard:
    """Send a line to the one service that listens.

    Args:
        reach: which service is meant; its key is of no matter.
        line: `kill` or `status`.

    Raises:
        EndedError: none listens, several do, or it did not answer.
    """
    doors = [
        (door, instance)
        for folder in reach.folders()
        if (door := _door(folder)) is not None
        for instance in [_live(folder).get("instance")]
        if reach.instance in {"", instance, folder.name}
    ]
    listening = [(path, instance, connection) for path, instance in doors if (connection := _connected(path))]
    try:
        if len(listening) == 1:
            path, instance, connection = listening[0]
            return Heard(path, instance, _exchanged(connection, path, line))
    finally:
        for _, _, connection in listening:
            connection.close()
    if listening:
        names = ", ".join(str(path) for path, _, _ in listening)
        todo = "say which with --instance NAME or --service FOLDER"
        raise EndedError(f"{len(listening)} services listen: {names}", Verdict(WRONG, "wrong", todo))
    where = reach.service or reach.home / "runs" / "*"
    todo = "end its process (SIGTERM cancels its orders), and look at the venue for orders that rest"
    raise EndedError(f"no service listens at {where}/{SOCKET}", Verdict(NO_SERVICE, "no_service", todo))


def _live(folder: Path) -> dict[str, Any]:
    """What the service says of itself; nothing when that cannot be read."""
    try:
        found = json.loads((folder / LIVE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _door(folder: Path) -> Path | None:
    """Where the socket is: as `live.json` says, else where it always is."""
    endpoints = _live(folder).get("endpoints")
    named = endpoints.get("control") if isinstance(endpoints, dict) else None
    places = [Path(named)] if isinstance(named, str) else []
    return next((place for place in [*places, folder / SOCKET] if place.is_socket()), None)


def _connected(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(PATIENCE_S)
    try:
        connection.connect(str(path))
        pid, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    except OSError:  # a socket that a dead service left behind
        connection.close()
        return None
    if user != os.geteuid():
        connection.close()
        message = f"{path}: process {pid} of user {user} listens there, not one of yours: it is not asked"
        raise EndedError(message, Verdict(WRONG, "wrong", "run this as the user that the service runs as"))
    return connection


def _exchanged(connection: socket.socket, path: Path, line: str) -> dict[str, Any]:
    unknown = Verdict(UNKNOWN, "unknown", f"ask again; `py_rt status --local` shows whether {path.parent} is stopped")
    try:
        connection.sendall(f"{line}\n".encode())
        answer = b""
        while not answer.endswith(b"\n") and len(answer) < ANSWER_BYTES_MAX:
            part = connection.recv(ANSWER_BYTES_MAX)
            if not part:
                break
            answer += part
        said = json.loads(answer)
    except (OSError, ValueError) as error:
        raise EndedError(f"{path}: no answer to {line}: {error}", unknown) from error
    if not isinstance(said, dict) or said.get("ok") is not True:
        raise EndedError(f"{path}: {line} failed: {answer.decode(errors='replace')}", Verdict(FAILED, "failed"))
    return said
