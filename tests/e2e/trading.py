"""A service whose strategy trades every few bars beside a venue that keeps its own record of what happened."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import time
import urllib.parse
import urllib.request
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import py_rt_core

from py_rt.bridge.commands import CommandFailedError
from py_rt.bridge.records import Bar
from py_rt.bridge.vocabulary import InstrumentName, OrderStatus, RefusalReason, ServiceState, Side
from py_rt.bundle.keys import TRUSTED_KEYS
from tests.contract.live_service import (
    API_KEY,
    DAY_NS,
    FIRST_OPEN_NS,
    SECRET,
    SLOT,
    SPAN_NS,
    LiveService,
    find_command,
    until,
)
from tests.golden_bundle import approved, built

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from py_rt.bridge.records import Position, ServiceStatus, Snapshot
    from tests.e2e.proxy import CutProxy

SYMBOL = "BTCUSDT"
INSTRUMENT = f"binance/{SYMBOL}"
HISTORY = 300
BARS = 1_500
BAR_MS = 500
"""Wall time of a quarter of an hour: 1,800 times as fast as it was."""

PRICE = 100.0
SWING = 0.4
"""Two bars up and two bars down, by so much each: the golden model changes its mind at every turn."""

VENUE_GRACE_S = 10.0
UNDER_WAY = (OrderStatus.SUBMITTED, OrderStatus.PENDING_CANCEL, OrderStatus.UNKNOWN)


@dataclass(frozen=True)
class Behavior:
    """What of the golden strategy is changed.

    Attributes:
        order_type: `market` or `limit`.
        offset_bps: of a limit order from the mid.
        timeout_seconds: life of an unfilled order, venue time.
        size: share of the slot's equity.
        threshold: of both entry and exit; at `0.0` it always wants to hold a position.
    """

    order_type: str = "market"
    offset_bps: int = 5
    timeout_seconds: int = 1_800
    size: str = "0.05"
    threshold: str = "0.50"

    def text(self, golden: str) -> str:
        """The strategy file."""
        changes = {
            "lookback_period": "0",
            "entry_threshold": self.threshold,
            "exit_threshold": self.threshold,
            "position_size_pct": self.size,
            "order_type": f'"{self.order_type}"',
            "limit_offset_bps": str(self.offset_bps),
            "timeout_seconds": str(self.timeout_seconds),
        }
        lines = []
        for line in golden.splitlines():
            key = line.split("=")[0].strip()
            lines.append(f"{key} = {changes[key]}" if key in changes else line)
        return "\n".join(lines) + "\n"


def swinging_bars() -> str:
    """A market that turns every second bar."""
    lines = ["ts_open,open,high,low,close,volume"]
    levels = [PRICE + SWING * step for step in (0, 1, 2, 1)]
    for number in range(BARS):
        open_, close = levels[number % 4], levels[(number + 1) % 4]
        high, low = max(open_, close) + 0.07, min(open_, close) - 0.07
        lines.append(f"{FIRST_OPEN_NS + number * SPAN_NS},{open_:.2f},{high:.2f},{low:.2f},{close:.2f},4000")
    return "\n".join(lines) + "\n"


class Venue:
    """What the venue itself says, asked on its own port."""

    def __init__(self, rest: str) -> None:
        self.rest = rest

    def signed(self, path: str, **params: object) -> Any:  # noqa: ANN401 - a value of JSON
        """An answer about the account."""
        params = {**params, "timestamp": self.state()["server_time_ms"], "recvWindow": 60_000}
        query = urllib.parse.urlencode(params)
        signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        request = urllib.request.Request(f"{self.rest}{path}?{query}&signature={signature}")
        request.add_header("X-MBX-APIKEY", API_KEY)
        with urllib.request.urlopen(request, timeout=VENUE_GRACE_S) as answer:
            return json.loads(answer.read())

    def state(self) -> dict[str, Any]:
        """The venue from inside."""
        with urllib.request.urlopen(f"{self.rest}/admin/state", timeout=VENUE_GRACE_S) as answer:
            read: dict[str, Any] = json.loads(answer.read())
        return read

    def admin(self, path: str, **body: object) -> None:
        """Does something to the venue."""
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.rest}/admin/{path}", data=data, method="POST")
        with urllib.request.urlopen(request, timeout=VENUE_GRACE_S) as answer:
            answer.read()

    def fault(self, kind: str, **fields: object) -> None:
        """Makes it fail."""
        self.admin("faults", kind=kind, **fields)

    def orders(self) -> list[dict[str, Any]]:
        """Every order that ever came, oldest first."""
        return self._pages("/api/v3/allOrders", "orderId")

    def trades(self) -> list[dict[str, Any]]:
        """Every trade of the account, oldest first."""
        return self._pages("/api/v3/myTrades", "id", "fromId")

    def _pages(self, path: str, key: str, start: str | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        at = 0
        while page := self.signed(path, symbol=SYMBOL, limit=1_000, **{start or key: at}):
            found += page
            at = page[-1][key] + 1
        return found

    def open_orders(self) -> list[dict[str, Any]]:
        """What rests."""
        found: list[dict[str, Any]] = self.signed("/api/v3/openOrders", symbol=SYMBOL)
        return found

    def base(self) -> Decimal:
        """All of the base asset, locked included."""
        balances = {one["asset"]: one for one in self.signed("/api/v3/account")["balances"]}
        held = balances.get("BTC", {"free": "0", "locked": "0"})
        return Decimal(held["free"]) + Decimal(held["locked"])


class Trading(LiveService):
    """A `LiveService` with a livelier market, bundles of every kind, and questions to the venue."""

    def __init__(
        self,
        home: Path,
        *,
        bar_ms: int = BAR_MS,
        venue_options: Sequence[str] = (),
        config: str = "",
        proxy: CutProxy | None = None,
    ) -> None:
        self.bar_ms = bar_ms
        self.venue_options = venue_options
        self.proxy = proxy
        super().__init__(home)
        with (home / "service.toml").open("a", encoding="utf-8") as file:
            file.write(config)
        self.opening_base = self.market.base()

    def _venue(self) -> tuple[subprocess.Popen[str], dict[str, str]]:
        bars = self.home / "bars.csv"
        bars.write_text(swinging_bars(), encoding="utf-8")
        first = FIRST_OPEN_NS + HISTORY * SPAN_NS
        command = [str(find_command("py_rt_venue_server")), "--bars", str(bars), "--seed", "7"]
        command += ["--bar-ms", str(self.bar_ms), "--from", str(first), "--warmup-bars", str(HISTORY)]
        environment = {**os.environ, "PY_RT_VENUE_KEYS": f"{API_KEY}:{SECRET}"}
        venue = subprocess.Popen([*command, *self.venue_options], stdout=subprocess.PIPE, text=True, env=environment)
        assert venue.stdout is not None
        ready: dict[str, str] = json.loads(venue.stdout.readline())
        self.market = Venue(ready["rest"])
        if self.proxy is not None:
            port = urllib.parse.urlsplit(ready["rest"]).port
            assert port is not None
            self.proxy.begin(port)
            ready = {name: url.replace(f":{port}", f":{self.proxy.port}") for name, url in ready.items()}
        return venue, ready

    def start(self) -> None:
        """A new life; returns when its doors are open."""
        service = self.spawn()

        def is_open() -> bool:
            assert service.poll() is None, f"the service has ended:\n{self.log[-4_000:]}"
            file = self.run / "live.json"
            return file.exists() and self.live["pid"] == service.pid

        until(is_open, "an open service")

    def recorded_bars(self) -> list[Bar]:
        """What the venue plays."""
        rows = [line.split(",") for line in (self.home / "bars.csv").read_text(encoding="utf-8").splitlines()[1:]]
        name = InstrumentName.parse(INSTRUMENT)
        return [Bar(name, int(row[0]), SPAN_NS, *(Decimal(text) for text in row[1:])) for row in rows]

    def spawn(self) -> subprocess.Popen[bytes]:
        """A new life, not waited for."""
        command = [str(find_command("py_rt_live")), "--config", str(self.home / "service.toml")]
        keys = {"PY_RT_BINANCE_API_KEY": API_KEY, "PY_RT_BINANCE_API_SECRET": SECRET}
        environment = {**os.environ, **keys, "NO_COLOR": "1"}
        with (self.home / "service.log").open("ab") as log:
            self.service = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        return self.service

    def bundle(self, behavior: Behavior = Behavior(), *, valid_ns: int = DAY_NS, **asked: Any) -> str:  # noqa: ANN401
        """The digest of the golden bundle with another strategy, built, signed and approved for this slot."""
        digest = built(self.home, behavior.text)
        approved(self.home, digest, ends_ns=time.time_ns() + valid_ns, **asked)
        return digest

    def deploy(self, digest: str) -> None:
        """Lets a bundle take the slot over."""
        with self.client("deployer") as deployer:
            deployer.deploy(SLOT, digest)

    def buy_by_hand(self, quantity: str, *, price: str | None = None) -> None:
        """A buy that leaves. Risk may deny it for a moment, beside an order of the strategy for one: then again."""
        denied = ""

        def is_sent() -> bool:
            nonlocal denied
            try:
                operator.manual_order(SLOT, INSTRUMENT, Side.BUY, quantity, price=price)
            except CommandFailedError as error:
                if error.ack.refusal is not RefusalReason.RISK_DENIED:
                    raise
                denied = str(error)
            else:
                denied = ""
            return not denied

        with self.client() as operator:
            try:
                until(is_sent, "an order that leaves")
            except AssertionError as error:
                error.add_note(denied)
                raise

    def status(self) -> ServiceStatus:
        """What the service says."""
        with self.client("viewer") as viewer:
            return viewer.status()

    def until_state(self, *states: ServiceState) -> None:
        """Waits until the service is in one of these states."""
        with self.client("viewer") as viewer:
            until(lambda: viewer.status().state in states, f"a service that is {' or '.join(states)}")

    def position(self) -> Position:
        """What the slot holds."""
        with self.client("viewer") as viewer:
            (position,) = (one for one in viewer.positions() if one.slot == SLOT)
        return position

    def held_at_venue(self) -> Decimal:
        """What the venue says that we have gained since the beginning."""
        return self.market.base() - self.opening_base

    def until_metric(self, name: str, at_least: float) -> None:
        """Waits for a counter."""
        until(lambda: self.metrics()[name] >= at_least, f"{name} of at least {at_least:g}")

    def halt(self) -> Snapshot:
        """Stops the venue's time; everything as it stands when all that was under way has come."""
        self.market.admin("pause")
        with self.client("viewer") as viewer:

            def is_still() -> bool:
                snapshot = viewer.snapshot()
                waiting = [one for one in snapshot.orders if one.status in UNDER_WAY]
                return slot_position(snapshot).quantity == self.held_at_venue() and not waiting

            until(is_still, "a service that holds what the venue says")
            return viewer.snapshot()

    def parity(self) -> dict[str, Any]:
        """The record of all lives, replayed in this process."""
        keys = (self.home / "keys" / TRUSTED_KEYS).read_text(encoding="utf-8")
        verdict: dict[str, Any] = py_rt_core.replay_journal(self.run / "journal", self.home / "bundles", keys)
        return verdict


def slot_position(snapshot: Snapshot) -> Position:
    """The slot's own, of a snapshot."""
    (position,) = (one for one in snapshot.positions if one.slot == SLOT)
    return position


def booked(service: Trading) -> dict[int, tuple[str | None, Decimal]]:
    """Fills of this life by the venue's trade number."""
    with service.client("viewer") as viewer:
        fills = viewer.fills(SLOT, limit=1_000)
    assert not fills.more
    found = {fill.trade_id: (fill.client_order_id, fill.quantity) for fill in fills.fills}
    assert len(found) == len(fills.fills), "a trade was booked twice"
    return found


def assert_sent_once(service: Trading) -> None:
    """The venue got no order twice, and none that the record does not know."""
    orders = service.market.orders()
    counts = Counter(order["clientOrderId"] for order in orders)
    assert max(counts.values()) == 1
    unknown = [one for one in counts if py_rt_core.trace_order(service.run / "journal", one) is None]
    assert unknown == []


def assert_all_agree(service: Trading, *, expected: tuple[str, ...] = ()) -> int:
    """Record, venue and replay tell one story, and only alerts of these kinds; the lives that are in it."""
    assert_sent_once(service)
    verdict = service.parity()
    assert verdict["identical"], verdict
    told = [line for line in service.log.splitlines() if "a person must look" in line]
    assert [line for line in told if not any(kind in line for kind in ("BundleExpired", *expected))] == []
    return int(verdict["lives"])
