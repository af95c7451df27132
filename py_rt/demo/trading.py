"""Paper trading until everything that the demo promises has happened."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from py_rt.bridge.commands import CommandClient, Signer
from py_rt.bridge.vocabulary import OrderStatus, Scope, ServiceState
from py_rt.bundle.keys import key_path
from py_rt.demo.children import DemoError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from py_rt.bridge.records import Fill, Order, Pnl, Position, ServiceStatus

LOOK_S = 0.1
"""Pause between two looks at the service."""

SETTLE_PATIENCE_S = 15.0
QUERY_LIMIT = 1_000
SLOT = 1
SYMBOL = "BTCUSDT"
NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class Goals:
    """What the run must contain.

    Attributes:
        orders: sent.
        fills: booked.
        partial: orders that were filled in part at some moment.
        timeouts: orders that the strategy gave up after their time.
        swaps: bundles that took over from another.

    >>> print(Goals(orders=3, fills=2, partial=0, timeouts=1, swaps=1))
    3 orders, 2 fills, 0 partly filled, 1 timed out, 1 bundle swap
    """

    orders: int = 50
    fills: int = 20
    partial: int = 1
    timeouts: int = 1
    swaps: int = 1

    def __str__(self) -> str:
        """In words."""
        filled = f"{self.fills} fill{'' if self.fills == 1 else 's'}, {self.partial} partly filled"
        swaps = f"{self.swaps} bundle swap{'s' if self.swaps != 1 else ''}"
        return f"{self.orders} orders, {filled}, {self.timeouts} timed out, {swaps}"

    def share_of(self, goals: Goals) -> float:
        """How much of the goals is reached, 0 to 1: the mean over them.

        >>> Goals(orders=60, fills=10, partial=1, timeouts=0, swaps=0).share_of(Goals())
        0.5
        """
        have, wanted = vars(self), vars(goals)
        shares = [min(1.0, have[name] / wanted[name]) if wanted[name] else 1.0 for name in wanted]
        return sum(shares) / len(shares)


@dataclass
class Session:
    """What happened until now, as the service tells it.

    Attributes:
        status: the service at a glance.
        timeouts_ns: by the digest of each bundle that may have run, the longest life of an order that it sends, ns of
            venue time.
        digests: bundles that ran, in order.
        orders: newest first.
        fills: newest first.
        positions: of slots and account.
        pnl: of slots and account.
        ended_otherwise: orders that look as if they had timed out, and did not: an operator cancelled them, or the
            record shows that their strategy did, before their time.
    """

    status: ServiceStatus
    timeouts_ns: Mapping[str, int]
    digests: list[str] = field(default_factory=list)
    orders: tuple[Order, ...] = ()
    fills: tuple[Fill, ...] = ()
    positions: tuple[Position, ...] = ()
    pnl: tuple[Pnl, ...] = ()
    ended_otherwise: frozenset[str] = frozenset()

    def counts(self) -> Goals:
        """How much of the goals is there."""
        return Goals(
            orders=sum(slot.orders_sent for slot in self.status.slots),
            fills=sum(slot.fills for slot in self.status.slots),
            partial=partly_filled(self.orders, self.fills),
            timeouts=len(self.timed_out()),
            swaps=max(0, len(self.digests) - 1),
        )

    def timed_out(self) -> dict[str, int]:
        """Orders that were given up after their time, and what that time was, ns."""
        return {
            order.client_order_id: self.timeouts_ns[order.bundle_digest]
            for order in self.orders
            if order.client_order_id not in self.ended_otherwise
            and order.bundle_digest is not None
            and timed_out(order, self.timeouts_ns)
        }

    def missing(self, goals: Goals) -> dict[str, str]:
        """What is not there yet, as `have of wanted`."""
        have, wanted = vars(self.counts()), vars(goals)
        return {name: f"{have[name]} of {wanted[name]}" for name in wanted if have[name] < wanted[name]}


def partly_filled(orders: tuple[Order, ...], fills: tuple[Fill, ...]) -> int:
    """Orders that stood partly filled: by several fills, or ended with less than the whole."""
    several = Counter(fill.client_order_id for fill in fills)
    return sum(
        several[order.client_order_id] > 1 or 0 < order.filled_quantity < order.quantity
        for order in orders
        if order.filled_quantity
    )


def timed_out(order: Order, timeouts_ns: Mapping[str, int]) -> bool:
    """Whether a strategy gave an order up: the order was its own, lived its time, and was cancelled."""
    if order.bundle_digest is None or order.status is not OrderStatus.CANCELED:
        return False
    timeout_ns = timeouts_ns.get(order.bundle_digest)
    return timeout_ns is not None and order.ts_updated - order.ts_created >= timeout_ns


class Desk:
    """A person at the service, who looks at it and sets parameters."""

    def __init__(self, endpoint: str, keys: Path, instance: str) -> None:
        """Connect.

        Args:
            endpoint: of the service's commands.
            keys: folder with the operator's key.
            instance: name of the service.
        """
        self.client = CommandClient(endpoint, Signer.load(key_path(keys, "operator")), instance)

    def wait_until_ready(self, patience_s: float) -> None:
        """Wait until the service has reconciled and waits for a bundle.

        Raises:
            DemoError: it takes too long.
        """
        ends = time.monotonic() + patience_s
        while (state := self.client.status().state) not in {ServiceState.WAITING, ServiceState.TRADING}:
            if time.monotonic() > ends:
                raise DemoError(f"the service is still {state.value} after {patience_s:g} s")
            time.sleep(LOOK_S)

    def look(self, before: Session | None, timeouts_ns: Mapping[str, int]) -> Session:
        """Everything as it stands.

        Args:
            before: what the last look found.
            timeouts_ns: see :class:`Session`.
        """
        status = self.client.status()
        digests = list(before.digests) if before else []
        active = status.slots[0].active
        if active is not None and (not digests or digests[-1] != active.digest):
            digests.append(active.digest)
        return Session(
            status=status,
            timeouts_ns=timeouts_ns,
            digests=digests,
            orders=self.client.orders(limit=QUERY_LIMIT).orders,
            fills=self.client.fills(limit=QUERY_LIMIT).fills,
            positions=self.client.positions(),
            pnl=self.client.pnl(),
        )

    def settle(self, before: Session) -> Session:
        """Let no strategy send more, cancel what works, and look when nothing can change any more.

        Args:
            before: what the last look found.

        Raises:
            DemoError: an order does not end.
        """
        self.client.pause(Scope.everything())
        working = frozenset(order.client_order_id for order in self.client.orders(open_only=True).orders)
        self.client.cancel(Scope.everything())
        ends = time.monotonic() + SETTLE_PATIENCE_S
        while left := self.client.orders(open_only=True).orders:
            if time.monotonic() > ends:
                names = ", ".join(f"{order.client_order_id} ({order.status})" for order in left)
                raise DemoError(f"cancelled {SETTLE_PATIENCE_S:g} s ago, and still working: {names}")
            time.sleep(LOOK_S)
        settled = self.look(before, before.timeouts_ns)
        settled.ended_otherwise = working
        return settled

    def close(self) -> None:
        """Leave."""
        self.client.close()
