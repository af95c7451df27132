"""A new file of a recording asks for its snapshots one behind the other, counted by whoever is asked."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import signal
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

from tests.contract.live_service import until
from tests.contract.test_record import files, recorder, stopped

if TYPE_CHECKING:
    from pathlib import Path

SYMBOLS = [f"{letter}{digit}USDT" for letter in "ABCDEFGHIJ" for digit in "ABC"]
# As native/feed/src/record/due.rs has them.
AT_ONCE, EVERY_NS = 10, 2 * 10**9
NS = 10**9
ANSWERED_S = 9


class CountingVenue:
    """Binance's wire as far as a recorder goes: changes of books that fill a file, and snapshots that are counted."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []
        self.numbers = dict.fromkeys(SYMBOLS, 1)
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self.is_over.set()
        self.door.close()

    def _serve(self) -> None:
        while not self.is_over.is_set():
            try:
                connection, _ = self.door.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                part = connection.recv(65_536)
                if not part:
                    return
                head += part
            text = head.decode()
            if key := re.search(r"(?i)sec-websocket-key: (\S+)", text):
                self._stream(connection, key[1])
            elif depth := re.search(r"/api/v3/depth\?symbol=(\w+)", text):
                self._say(connection, "200 OK", self._snapshot(depth[1]))
            else:
                self._say(connection, "503 Service Unavailable", "{}")

    def _snapshot(self, symbol: str) -> str:
        with self.lock:
            self.asked.append((time.time_ns(), symbol))
            number = self.numbers[symbol]
        return json.dumps({"lastUpdateId": number, "bids": [["1.00", "1"]], "asks": [["2.00", "1"]]})

    @staticmethod
    def _say(connection: socket.socket, status: str, body: str) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall((head + body).encode())

    def _stream(self, connection: socket.socket, key: str) -> None:
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode(), usedforsecurity=False).digest()
        head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        connection.sendall(f"{head}Sec-WebSocket-Accept: {base64.b64encode(accept).decode()}\r\n\r\n".encode())
        levels = [[f"0.{price:04d}", "1"] for price in range(1, 200)]
        # What is asked for in the beginning is nothing of a new file's.
        while len(self.asked) < len(SYMBOLS) and not self.is_over.wait(0.02):
            pass
        while not self.is_over.wait(0.02):
            for symbol in SYMBOLS:
                with self.lock:
                    self.numbers[symbol] += 1
                    number = self.numbers[symbol]
                data = {"e": "depthUpdate", "E": 1, "s": symbol, "U": number, "u": number, "b": levels, "a": []}
                message = json.dumps({"stream": f"{symbol.lower()}@depth@100ms", "data": data}).encode()
                try:
                    connection.sendall(struct.pack("!BBH", 0x81, 126, len(message)) + message)
                except OSError:
                    return


def begun_ns(file: Path) -> int:
    return int(json.loads(file.read_bytes().split(b"\n", 1)[0])["began_ns"])


def test_snapshots_of_a_new_file_leave_the_venue_s_weight_to_others(tmp_path: Path) -> None:
    venue = CountingVenue()
    out = tmp_path / "recordings"
    others = [word for symbol in SYMBOLS[1:] for word in ("--symbol", symbol)]
    try:
        with recorder(venue.url, out, "--plain", "--rotate-mb", "20", *others, symbol=SYMBOLS[0]) as it:
            until(lambda: len(files(out)) > 1, "a second file")
            begun = begun_ns(files(out)[1])
            until(lambda: time.time_ns() > begun + ANSWERED_S * NS, "some seconds of it")
            it.send_signal(signal.SIGTERM)
            summary, _ = stopped(it)
    finally:
        venue.close()
    assert (summary["gaps"], summary["errors"]) == (0, 0)
    asked = [at for at, _ in venue.asked if at >= begun]
    # Each of the later files asks likewise, and all of them share the pace.
    for at, first in enumerate(asked):
        within = sum(first <= later < first + 4 * NS for later in asked[at:])
        assert within <= AT_ONCE + 4 * NS // EVERY_NS, f"{within} within four seconds"
    assert len(asked) >= AT_ONCE
