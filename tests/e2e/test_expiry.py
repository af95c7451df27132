"""An approval that ends while a position is open: the slot only reduces, in this life and in the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from py_rt.bridge.commands import CommandFailedError
from py_rt.bridge.vocabulary import BundleState, OrderStatus, ServiceState, Side, decimal, to_units
from tests.contract.live_service import SLOT, until
from tests.e2e.trading import INSTRUMENT, Behavior, Trading, assert_all_agree

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import Path

    from py_rt.bridge.records import Order

pytestmark = pytest.mark.e2e

VALID_NS = 3 * 10**9
DUST = 0

HOLDER = Behavior(threshold="0.0", size="0.02")
"""Always wants a position."""


def orders(service: Trading) -> tuple[Order, ...]:
    with service.client("viewer") as viewer:
        return viewer.orders(SLOT, limit=20).orders


def order(service: Trading, side: Side, quantity: Decimal | str) -> None:
    with service.client() as operator:
        operator.manual_order(SLOT, INSTRUMENT, side, quantity)


def close(service: Trading) -> None:
    """Sells by hand what is held; a thin market takes several orders."""

    def is_flat() -> bool:
        # Orders first: a fill between the two questions would let the older answer sell more than is held.
        with service.client("viewer") as viewer:
            working = viewer.orders(SLOT, open_only=True).orders
        held = service.position().quantity
        if held > DUST and not working:
            try:
                order(service, Side.SELL, held)
            except CommandFailedError:
                # The sale before may have taken one side of the book whole: the next order waits for another bid.
                assert orders(service)[0].reason == "NoBook"
        return held == DUST

    until(is_flat, "a closed position")


def hold_until_expired(service: Trading) -> str:
    """Lets a bundle take a position and its approval end; the bundle's digest."""
    service.start()
    service.until_state(ServiceState.WAITING)
    digest = service.bundle(HOLDER, valid_ns=VALID_NS)
    service.deploy(digest)
    until(lambda: service.position().quantity > DUST, "a position")

    def is_expired() -> bool:
        active = service.status().slots[0].active
        assert active is not None
        return active.state is BundleState.EXPIRED

    until(is_expired, "the end of the approval")
    return digest


def test_an_approval_that_ends_leaves_a_slot_that_only_reduces(tmp_path: Path) -> None:
    with Trading(tmp_path) as service:
        hold_until_expired(service)
        assert service.position().quantity > DUST, "nothing is abandoned, nothing thrown on the market"
        with pytest.raises(CommandFailedError):
            order(service, Side.BUY, "0.5")
        assert (orders(service)[0].status, orders(service)[0].reason) == (OrderStatus.DENIED, "ReduceOnly")
        order(service, Side.SELL, decimal(to_units(service.position().quantity, "quantity") // 2))
        until(lambda: orders(service)[0].status is not OrderStatus.SUBMITTED, "an order that reduces")
        assert orders(service)[0].filled_quantity > 0

        service.kill()
        service.start()
        until(lambda: "not running again" in service.log, "a bundle that does not run again")
        service.until_state(ServiceState.WAITING)
        assert service.status().slots[0].active is None
        assert service.position().quantity > DUST
        with pytest.raises(CommandFailedError):
            order(service, Side.BUY, "0.5")
        close(service)

        service.deploy(service.bundle(HOLDER))
        until(lambda: service.position().quantity > DUST, "a position under a new approval")
        service.halt()
        service.market.admin("resume")
        assert service.stop() == 0
        assert assert_all_agree(service) == 2


def test_the_strategys_own_entries_are_denied_after_the_end(tmp_path: Path) -> None:
    with Trading(tmp_path) as service:
        digest = hold_until_expired(service)
        close(service)
        denied = service.metrics()["py_rt_orders_denied_total"]
        service.until_metric("py_rt_orders_denied_total", denied + 1)
        newest = orders(service)[0]
        assert (newest.bundle_digest, newest.side) == (digest, Side.BUY)
        assert (newest.status, newest.reason) == (OrderStatus.DENIED, "ReduceOnly")
        with pytest.raises(CommandFailedError, match="refused"):
            service.deploy(digest)
