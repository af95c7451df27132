"""Paper trading until everything that the demo promises has happened."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from py_rt.bridge.commands import CommandClient, Signer
from py_rt.bridge.vocabulary import OrderStatus, ServiceState
from py_rt.bundle.keys import key_path
from py_rt.demo.children import DemoError

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt.bridge.records import Fill, Order, Pnl, Position, ServiceStatus

LOOK_S = 0.1
"""Pause between two looks at the service."""

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
    """

    orders: int = 50
    fills: int = 20
    partial: int = 1
    timeouts: int = 1
    swaps: int = 1


@dataclass
class Session:
    """What happened until now, as the service tells it.

    Attributes:
        status: the service at a glance.
        orders: newest first.
        fills: newest first.
        positions: of slots and account.
        pnl: of slots and account.
        digests: bundles that ran, in order.
        timeout_ns: life of an unfilled order, ns of venue time.
    """

    status: ServiceStatus
    timeout_ns: int
    digests: list[str] = field(default_factory=list)
    orders: tuple[Order, ...] = ()
    fills: tuple[Fill, ...] = ()
    positions: tuple[Position, ...] = ()
    pnl: tuple[Pnl, ...] = ()

    def counts(self) -> Goals:
        """How much of the goals is there."""
        return Goals(
            orders=sum(slot.orders_sent for slot in self.status.slots),
            fills=sum(slot.fills for slot in self.status.slots),
            partial=partly_filled(self.orders, self.fills),
            timeouts=sum(timed_out(order, self.timeout_ns) for order in self.orders),
            swaps=max(0, len(self.digests) - 1),
        )

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


def timed_out(order: Order, timeout_ns: int) -> bool:
    """Whether the strategy gave an order up: it was its own, lived its time, and was cancelled."""
    is_ours = order.bundle_digest is not None and order.status is OrderStatus.CANCELED
    return is_ours and order.ts_updated - order.ts_created >= timeout_ns


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

    def look(self, session: Session | None, timeout_ns: int) -> Session:
        """Everything as it stands."""
        status = self.client.status()
        digests = list(session.digests) if session else []
        active = status.slots[0].active
        if active is not None and (not digests or digests[-1] != active.digest):
            digests.append(active.digest)
        return Session(
            status=status,
            timeout_ns=timeout_ns,
            digests=digests,
            orders=self.client.orders(limit=QUERY_LIMIT).orders,
            fills=self.client.fills(limit=QUERY_LIMIT).fills,
            positions=self.client.positions(),
            pnl=self.client.pnl(),
        )

    def close(self) -> None:
        """Leave."""
        self.client.close()
