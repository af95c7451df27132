"""The other process: a service that fills shared memory at command (native/ipc/examples/ring_feed.rs)."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = "ring_feed"
BAR_SPAN = 900_000_000_000


@cache
def built() -> Path:
    """The example, built by cargo."""
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not installed: the other process of this test is a Rust example")
    command = ["cargo", "build", "--quiet", "--locked", "-p", "ipc", "--example", EXAMPLE, "--message-format=json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stderr}"
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    places = [said["executable"] for said in messages if said.get("target", {}).get("name") == EXAMPLE]
    return Path(places[0])


class Feed:
    """One life of the service."""

    def __init__(self, socket: Path, *, capacity: int = 64, epoch: int = 1) -> None:
        command = [str(built()), str(socket), str(capacity), str(epoch)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.answer() == "ready"

    def send(self, command: str) -> None:
        """Gives a command without waiting for it to be done."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """The next line it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def ask(self, command: str) -> str:
        """Gives a command and waits until it is done."""
        self.send(command)
        return self.answer()

    def publish(self, count: int) -> None:
        """Waits until `count` more records are in the ring."""
        assert self.ask(f"publish {count}").startswith("published ")

    def kill(self) -> None:
        """SIGKILL: nothing in it runs any more."""
        self.process.kill()
        self.process.wait()

    def finish(self) -> None:
        """Lets it end as a service does that was told to."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait() == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None and not stream.closed:
                stream.close()


def sample(number: int) -> tuple[str, dict[str, Any]]:
    """Record `number` as the other process makes it: its kind, and every field."""
    ts_event = 1_632_700_000_000_000_000 + number * 1_000_000
    shared = {"index": number, "instrument": number % 7, "ts_event": ts_event, "ts_received": ts_event + 250}
    make = (_quote, _trade, _bar, _signal, _fill, _position)[number % 6]
    kind = ("top_of_book", "trade", "bar", "signal", "fill", "position")[number % 6]
    of_slot = kind in {"signal", "fill", "position"}
    price, turn = 4_000_000_000_000 + number * 1_000, number // 6 % 2
    return kind, shared | {"slot": 1 + number % 3 if of_slot else 0} | make(number, price, turn)


def _quote(number: int, price: int, _turn: int) -> dict[str, Any]:
    quantities = {"bid_quantity": number + 1, "ask_quantity": number + 2}
    return {"update_id": 2**64 - 1 - number, "bid": price, "ask": price + 100, **quantities}


def _trade(number: int, price: int, turn: int) -> dict[str, Any]:
    return {"trade_id": 2**63 + number, "price": price, "quantity": number + 1, "aggressor": 1 + turn}


def _bar(number: int, price: int, turn: int) -> dict[str, Any]:
    ts_open = 1_632_700_000_000_000_000 + number * 1_000_000 - BAR_SPAN
    prices = {"open": price, "high": price + 50, "low": price - 50, "close": price + 1}
    return {"ts_open": ts_open, **prices, "volume": number, "is_empty": bool(turn)}


def _signal(number: int, _price: int, _turn: int) -> dict[str, Any]:
    count = number % 17
    features = [(number % 1_000 + at) * 0.5 if at < count else 0.0 for at in range(16)]
    scores = {"score": number % 1_000 * -0.125, "probability": number % 9 * 0.125}
    return {**scores, "bundle_prefix": 0x0123_4567_89AB_CDEF ^ number, "feature_count": count, "features": features}


def _fill(number: int, price: int, turn: int) -> dict[str, Any]:
    order = {"order_epoch": 9, "order_counter": number}
    fee = {"fee": -(1 << 70) + number, "fee_currency": "BNB" if turn else "USDT"}
    execution = {"price": price, "quantity": number + 1, "leaves_quantity": number, "side": 1 + turn}
    return {"trade_id": number, **execution, **fee, **order, "liquidity": 1 + turn}


def _position(number: int, price: int, _turn: int) -> dict[str, Any]:
    prices = {"average_entry_price": price, "mark_price": price + 3}
    amounts = {"realized_pnl": number - (1 << 80), "unrealized_pnl": (1 << 81) - number, "fees": number}
    return {"quantity": -number, **prices, **amounts, "equity": number - 2**127, "open_orders": number % 5}


def cached_book(instrument: int, number: int) -> dict[str, Any]:
    """Cached book `number` of an instrument as the other process makes it, at most ten levels of each side."""
    ts_event, middle = 1_632_700_000_000_000_000 + number * 1_000_000, 4_000_000_000_000 + number * 1_000
    middle += 250 * instrument
    sides = {
        side: [[middle + sign * far * 700, number + far] for far in range(1, 1 + min(10, number % 12))]
        for side, sign in (("bids", -1), ("asks", 1))
    }
    return {"ts_event": ts_event, "ts_received": ts_event + 250, "update_id": number, **sides}
