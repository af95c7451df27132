"""`kill -9`: the next life recovers from its record, agrees with the venue, and only then trades."""

from __future__ import annotations

import random
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from py_rt.bridge.commands import CommandFailedError, Scope
from py_rt.bridge.vocabulary import ControlLevel, OrderStatus, ServiceState, Side
from tests.contract.live_service import SLOT, until
from tests.e2e.trading import INSTRUMENT, Behavior, Trading, assert_all_agree, booked, slot_position

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt.bridge.records import Snapshot

pytestmark = pytest.mark.e2e

SECOND_SLOT = """
[[slot]]
id = 2
symbol = "BTCUSDT"
capital = 1000.0
"""
ANSWER_MS = 700
"""How long the venue takes to answer about the account after the restart, more than a bar."""

NEAR, FAR = "100.10", "99.00"
"""A limit that the next turn of the market reaches, and one that it never does."""

ROUNDING = Decimal("1e-8")

LIVES = 8
SEED = 11
EARLY = 0.25
RECORDS_MAX = 400

ON_ITS_WAY: tuple[dict[str, Any], ...] = (
    {},
    {"kind": "delay", "request": "place", "ms": 500},
    {"kind": "unknown_outcome", "request": "place", "executed": True, "answer": "http503"},
    {"kind": "unknown_outcome", "request": "place", "executed": False, "answer": "timeout1007"},
)
"""What becomes of an order that leaves just before the end."""


def ids_of(orders: list[dict[str, Any]], epoch: int) -> set[str]:
    return {order["clientOrderId"] for order in orders if order["clientOrderId"].startswith(f"e{epoch}-")}


def rest_by_hand(service: Trading, price: str) -> str:
    """A resting buy; its id."""
    service.buy_by_hand("1.5", price=price)
    with service.client("viewer") as viewer:

        def resting() -> list[str]:
            orders = viewer.orders(SLOT).orders
            return [one.client_order_id for one in orders if (one.price, one.status) == (Decimal(price), accepted)]

        accepted = OrderStatus.ACCEPTED
        until(lambda: bool(resting()), f"a resting order at {price}")
        return resting()[0]


def rise_high(service: Trading) -> None:
    """Waits for a market well above the near limit, so that an order there rests."""
    with service.client("viewer") as viewer:
        until(lambda: (viewer.positions()[0].mark_price or Decimal(0)) > Decimal("100.6"), "a high market")


def test_after_a_sudden_death_it_recovers_reconciles_and_only_then_trades(tmp_path: Path) -> None:
    with Trading(tmp_path, config=SECOND_SLOT) as service:
        service.start()
        service.until_state(ServiceState.WAITING)
        digest = service.bundle()
        service.deploy(digest)
        with service.client("killer") as killer:
            killer.kill(Scope.slot(2))
        service.until_metric("py_rt_fills_total", 10)
        until(lambda: service.position().quantity > 1, "a position")
        rise_high(service)
        far, near = rest_by_hand(service, FAR), rest_by_hand(service, NEAR)
        before = service.halt()
        assert {one["clientOrderId"] for one in service.market.open_orders()} >= {far}
        service.kill()

        known = {trade["id"] for trade in service.market.trades()}
        service.market.admin("resume")
        until(lambda: near not in {one["clientOrderId"] for one in service.market.open_orders()}, "a fill while dead")
        missed = {trade["id"] for trade in service.market.trades()} - known
        assert missed
        life = service.live["epoch"]
        ordered = ids_of(service.market.orders(), life)
        assert ordered

        service.market.fault("delay", request="query", ms=ANSWER_MS, count=8)
        service.start()
        service.until_state(ServiceState.RECONCILING)
        (status,) = (slot for slot in service.status().slots if slot.slot == SLOT)
        assert status.orders_sent == 0
        assert ids_of(service.market.orders(), life + 1) == set()
        service.until_state(ServiceState.TRADING)
        service.until_metric("py_rt_orders_sent_total", 2)
        with service.client("viewer") as viewer:
            after = viewer.snapshot()

        assert_the_same_goes_on(before, after, digest)
        assert ids_of(service.market.orders(), life) == ordered, "nothing of the first life was sent again"
        of_far = next(one for one in service.market.orders() if one["clientOrderId"] == far)
        assert of_far["status"] == "CANCELED", "the bundle that runs again begins with a clean table"
        assert missed <= set(booked(service)), "what was missed is booked"
        service.halt()
        service.market.admin("resume")
        assert service.stop() == 0
        assert assert_all_agree(service) == 2


def assert_the_same_goes_on(before: Snapshot, after: Snapshot, digest: str) -> None:
    """Position, result, latch and bundle of the first life, with what the second has done since."""
    assert after.epoch == before.epoch + 1
    one, other = slot_position(before), slot_position(after)
    fills = after.recent_fills
    assert len({fill.trade_id for fill in fills}) == len(fills)
    assert not {fill.trade_id for fill in fills} & {fill.trade_id for fill in before.recent_fills}
    signs = {Side.BUY: 1, Side.SELL: -1}
    fees = sum((fill.fee.amount for fill in fills if fill.fee.currency == "BTC"), Decimal(0))
    gained = sum((signs[fill.side] * fill.quantity for fill in fills), Decimal(0)) - fees
    assert other.quantity == one.quantity + gained
    results = sum((fill.realized_pnl.amount for fill in fills), Decimal(0))
    # Every amount was rounded for the wire.
    rounding = ROUNDING * (len(fills) + 2)
    assert abs(other.realized_pnl.amount - one.realized_pnl.amount - results) <= rounding
    levels = {slot.slot: slot.level for slot in after.status.slots}
    assert levels == {SLOT: ControlLevel.RUNNING, 2: ControlLevel.KILLED}
    active = {slot.slot: slot.active.digest for slot in after.status.slots if slot.active}
    assert active == {SLOT: digest}


def test_lives_that_end_at_any_moment_leave_no_trace_but_their_record(tmp_path: Path) -> None:
    moments = random.Random(SEED)
    with Trading(tmp_path, bar_ms=200) as service:
        service.start()
        service.until_state(ServiceState.WAITING)
        service.deploy(service.bundle(Behavior("limit", offset_bps=3, timeout_seconds=400)))
        service.until_metric("py_rt_fills_total", 10)
        for _ in range(LIVES):
            service.kill()
            die_at(service, moments)
        service.kill()
        service.start()
        service.until_state(ServiceState.TRADING)
        service.until_metric("py_rt_fills_total", 5)
        service.halt()
        service.market.admin("resume")
        assert service.stop() == 0
        assert service.market.open_orders() == []
        # A life that ends before its first record is not in the record.
        assert 3 <= assert_all_agree(service) <= LIVES + 2


def die_at(service: Trading, moments: random.Random) -> None:
    """Begins a life and returns at a moment of it: while it starts, while it trades, or with an order on its way."""
    if moments.random() < EARLY:
        epoch = int((service.run / "epoch").read_text())
        service.spawn()
        until(lambda: int((service.run / "epoch").read_text()) > epoch, "a life that has just begun")
        return
    service.start()
    records = "py_rt_record_records"
    service.until_metric(records, service.metrics()[records] + moments.randrange(RECORDS_MAX))
    if fault := moments.choice(ON_ITS_WAY):
        service.market.fault(**fault)
        with service.client() as operator, suppress(CommandFailedError):
            # Before it is reconciled, or beside an order of unknown outcome, it is denied.
            operator.manual_order(SLOT, INSTRUMENT, Side.BUY, "0.3")
