"""The venue's own doors, for a client's script: its commands, and what it says without a library in between.

Runs in the environment of the clients: the standard library only.
"""

from __future__ import annotations

import json
import ssl
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# How often a book may be asked for before it must be the venue's.
ATTEMPTS_MAX = 400
# Levels that are compared on each side.
LEVELS = 10


class Desk:
    """A running server, as the test that started this script describes it on standard input."""

    def __init__(self) -> None:
        given = json.load(sys.stdin)
        self.rest: str = given["rest"]
        self.ws: str = given["ws"]
        self.key: str = given["key"]
        self.secret: str = given["secret"]
        self.cert: str | None = given.get("cert")
        self.context = ssl.create_default_context(cafile=self.cert) if self.cert else None
        self.report: dict[str, Any] = {"errors": {}}

    def command(self, path: str, **body: object) -> dict[str, Any]:
        """Sends a command to the server itself."""
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.rest}/admin/{path}", data, method="POST")
        with urllib.request.urlopen(request, timeout=10, context=self.context) as answer:
            read: dict[str, Any] = json.load(answer)
        return read

    def advance(self, ms: int) -> None:
        """Moves venue time and plays what that makes due."""
        self.command("advance", ms=ms)

    def get(self, path: str) -> Any:  # noqa: ANN401 - a value of JSON
        """Reads what the server says."""
        with urllib.request.urlopen(f"{self.rest}{path}", timeout=10, context=self.context) as answer:
            return json.load(answer)

    def refused(self, name: str, call: Callable[[], object], kind: type[Exception] = Exception) -> None:
        """Notes which error a call ends with."""
        try:
            call()
        except kind as error:
            self.report["errors"][name] = [type(error).__name__, str(error)]
        else:
            self.report["errors"][name] = None

    def finish(self) -> None:
        """Tells the test what came out."""
        json.dump(self.report, sys.stdout)


def levels(side: Any) -> list[list[float]]:  # noqa: ANN401 - lists of the wire or of a client
    """The best levels as numbers."""
    return [[float(level[0]), float(level[1])] for level in side[:LEVELS]]
