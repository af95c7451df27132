"""SIGTERM: what rests is canceled, the record is closed, and the end comes within its bound whatever the venue does."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from py_rt.bridge.vocabulary import OrderStatus, ServiceState
from tests.contract.live_service import PATIENCE_S, SLOT, until
from tests.e2e.proxy import CutProxy
from tests.e2e.trading import Trading, assert_all_agree

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

FAR = "99.00"
RESTING = 3
ANSWER_MS = 1_000
"""How late the venue answers while the service drains."""

ORDERS_LEFT_EXIT = 6
"""Stopped, but orders may be left at the venue: see `py_rt_live --help`."""

DRAIN_MAX_S = 25.0
"""Ten seconds for cancels, five for the last comparison, and the last requests' own ends."""


def begin(service: Trading) -> None:
    """A service that trades and has orders at the venue."""
    service.start()
    service.until_state(ServiceState.WAITING)
    service.deploy(service.bundle())
    until(lambda: service.position().quantity > 0, "a position")
    for number in range(RESTING):
        service.buy_by_hand(f"0.{number + 5}", price=FAR)
    with service.client("viewer") as viewer:

        def rest() -> int:
            return sum(one.status is OrderStatus.ACCEPTED for one in viewer.orders(SLOT, open_only=True).orders)

        until(lambda: rest() == RESTING, "resting orders")
    assert len(service.market.open_orders()) == RESTING


def test_a_stop_cancels_what_rests_and_a_second_one_changes_nothing(tmp_path: Path) -> None:
    with Trading(tmp_path) as service:
        begin(service)
        service.market.fault("delay", request="query", ms=ANSWER_MS, count=2)
        process = service.service
        assert process is not None
        process.terminate()
        with service.client("viewer") as viewer:
            until(lambda: viewer.status().state is ServiceState.DRAINING, "a service that drains")
        for again in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            process.send_signal(again)
        assert process.wait(PATIENCE_S) == 0
        assert service.market.open_orders() == []
        canceled = [one for one in service.market.orders() if one["status"] == "CANCELED"]
        assert len(canceled) == RESTING
        assert not (service.run / "live.json").exists()
        assert assert_all_agree(service) == 1
        assert service.parity()["unrecorded"] == 0


def test_a_stop_without_a_venue_ends_in_time_and_says_that_orders_may_be_left(tmp_path: Path) -> None:
    with CutProxy() as proxy, Trading(tmp_path, proxy=proxy) as service:
        begin(service)
        process = service.service
        assert process is not None
        proxy.cut()
        begun = time.monotonic()
        process.terminate()
        assert process.wait(PATIENCE_S) == ORDERS_LEFT_EXIT
        assert time.monotonic() - begun < DRAIN_MAX_S
        assert len(service.market.open_orders()) == RESTING
        assert "look at the venue" in service.log

        proxy.mend()
        service.start()
        service.until_state(ServiceState.TRADING)
        until(lambda: service.market.open_orders() == [], "the orders of the life before canceled")
        service.halt()
        service.market.admin("resume")
        assert service.stop() == 0
        assert assert_all_agree(service) == 2
