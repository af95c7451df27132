"""Kraken and Coinbase, end to end: a bundle trades over their wires, through a restart and a `kill -9`."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import py_rt_core
import pytest

from py_rt.bridge.commands import CommandFailedError, Scope
from py_rt.bridge.market_data import MarketDataCache
from py_rt.bridge.vocabulary import OrderStatus, ServiceState, Side
from py_rt.bundle.keys import TRUSTED_KEYS
from tests.contract.live_service import (
    COINBASE,
    FIRST_OPEN_NS,
    KRAKEN,
    SLOT,
    SPAN_NS,
    LiveService,
    Wire,
    find_command,
    until,
)
from tests.e2e.trading import BAR_MS, HISTORY, Behavior, swinging_bars

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

VENUE_REFUSED = 4
FAR = "99.00"
"""A limit that the market never reaches."""


class Trading(LiveService):
    """A service whose strategy trades every few bars, over any wire.

    Attributes:
        bar_ms: wall time of a bar.
    """

    bar_ms = BAR_MS

    def _venue(self) -> tuple[subprocess.Popen[str], dict[str, str]]:
        bars = self.home / "bars.csv"
        bars.write_text(swinging_bars(), encoding="utf-8")
        first = FIRST_OPEN_NS + HISTORY * SPAN_NS
        command = [str(find_command("py_rt_venue_server")), "--bars", str(bars), "--seed", "7"]
        command += ["--bar-ms", str(self.bar_ms), "--from", str(first), "--warmup-bars", str(HISTORY)]
        command += ["--venue", self.wire.name, "--symbol", self.wire.symbol]
        environment = {**os.environ, **self.wire.venue_keys()}
        venue = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert venue.stdout is not None
        ready: dict[str, str] = json.loads(venue.stdout.readline())
        return venue, ready

    @property
    def account(self) -> dict[str, Any]:
        """The account as the venue has it."""
        accounts: list[dict[str, Any]] = self.venue_state()["accounts"]
        return accounts[0]

    def base(self) -> Decimal:
        """All of the base asset, locked included."""
        (held,) = (one for one in self.account["balances"] if one["asset"] == "BTC")
        return Decimal(held["free"]) + Decimal(held["locked"])

    def until_state(self, *states: ServiceState) -> None:
        """Waits until the service is in one of these states."""
        with self.client("viewer") as viewer:
            until(lambda: viewer.status().state in states, f"a service that is {' or '.join(states)}")

    def until_fills(self, at_least: int) -> None:
        """Waits for fills of this life."""
        until(lambda: self.metrics()["py_rt_fills_total"] >= at_least, f"{at_least} fills")

    def rest_by_hand(self) -> str:
        """A resting buy far below; its id."""
        with self.client() as operator:

            def is_sent() -> bool:
                # Without a book, or before it is reconciled, it is denied.
                with suppress(CommandFailedError):
                    operator.manual_order(SLOT, self.wire.instrument, Side.BUY, "1.5", price=FAR)
                    return True
                return False

            until(is_sent, "an order that leaves")

            def resting() -> list[str]:
                orders = operator.orders(SLOT).orders
                accepted = (Decimal(FAR), OrderStatus.ACCEPTED)
                return [one.client_order_id for one in orders if (one.price, one.status) == accepted]

            until(lambda: bool(resting()), "a resting order")
            return resting()[0]

    def position(self) -> Decimal:
        """What the slot holds."""
        with self.client("viewer") as viewer:
            (position,) = (one for one in viewer.positions() if one.slot == SLOT)
        return position.quantity

    def trade_numbers(self) -> set[int]:
        """The venue's numbers of this life's fills, each booked once."""
        with self.client("viewer") as viewer:
            fills = viewer.fills(SLOT, limit=1_000)
        found = {fill.trade_id for fill in fills.fills}
        assert len(found) == len(fills.fills), "a trade was booked twice"
        return found


@pytest.mark.parametrize(
    ("wire", "way"),
    [(KRAKEN, "rest"), (KRAKEN, "websocket"), (COINBASE, "rest")],
    ids=["kraken", "kraken_socket", "coinbase"],
)
def test_a_bundle_trades_through_a_kill_and_a_restart(tmp_path: Path, wire: Wire, way: str) -> None:
    with Trading(tmp_path, f'order_entry = "{way}"', wire) as service:
        opening = service.base()
        service.start()
        service.until_state(ServiceState.WAITING)
        digest = service.approved_bundle(Behavior().text)
        with service.client("deployer") as deployer:
            deployer.deploy(SLOT, digest)
        service.until_state(ServiceState.TRADING)
        service.until_fills(4)
        resting = service.rest_by_hand()
        first = service.trade_numbers()
        service.kill()
        assert service.account["open_orders"], "what rested when it died"

        service.start()
        service.until_state(ServiceState.TRADING)
        service.until_fills(2)
        assert not first & service.trade_numbers(), "what the first life booked is not booked again"
        with service.client("viewer") as viewer:
            orders = {one.client_order_id: one.status for one in viewer.orders(SLOT).orders}
        rests = {OrderStatus.ACCEPTED, OrderStatus.CANCELED}
        assert orders.get(resting, OrderStatus.CANCELED) in rests, "it rested, far from the market"
        assert service.stop() == 0
        assert service.account["open_orders"] == []

        service.start()
        service.until_state(ServiceState.TRADING)
        service.rest_by_hand()
        with service.client() as operator:
            operator.cancel(Scope.instrument(wire.instrument))
        until(lambda: service.account["open_orders"] == [], "a cancel of what the instrument has")
        with MarketDataCache(service.run / "segments.sock") as cache:
            assert [str(one) for one in cache.instruments()] == [wire.instrument]
            until(lambda: cache.book(wire.symbol).state == "valid", "a book in shared memory")
        service.rest_by_hand()
        assert service.stop() == 0
        assert service.account["open_orders"] == [], "an orderly end cancels what rests"
        assert_all_agree(service, opening, lives=3)


def assert_all_agree(service: Trading, opening: Decimal, *, lives: int) -> None:
    """Record, venue and replay tell one story, and nothing needed a person."""
    keys = (service.home / "keys" / TRUSTED_KEYS).read_text(encoding="utf-8")
    verdict = py_rt_core.replay_journal(service.run / "journal", service.home / "bundles", keys)
    assert verdict["identical"], verdict
    assert verdict["lives"] == lives
    assert [line for line in service.log.splitlines() if "a person must look" in line] == []
    service.start()
    service.until_state(ServiceState.TRADING)
    with service.client() as operator:
        operator.pause(Scope.parse("all"))
    until(lambda: service.position() == service.base() - opening, "a position that is the venue's")
    assert service.stop() == 0


@pytest.mark.parametrize("wire", [KRAKEN, COINBASE], ids=["kraken", "coinbase"])
def test_keys_that_the_venue_refuses_end_the_start(tmp_path: Path, wire: Wire) -> None:
    with LiveService(tmp_path, wire=wire) as service:
        for asked in ({"secret": wire.strange_secret}, {"api_key": "organizations/0f/apiKeys/none"}):
            assert service.refused_start(**asked) == VENUE_REFUSED
            last = service.log.splitlines()[-1]
            assert "the venue refused the keys" in last
            assert f"PY_RT_{wire.name.upper()}_API_SECRET" in last
            for word in (wire.secret, wire.strange_secret):
                assert word not in service.log
