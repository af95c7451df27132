"""The venue gone, frozen, or saying nonsense: nothing leaves meanwhile, nothing twice, and it trades on after."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from py_rt.bridge.commands import CommandFailedError
from py_rt.bridge.records import Bar, BookInvalid
from py_rt.bridge.subscriber import Resync, TelemetrySubscriber, Update
from py_rt.bridge.vocabulary import BookInvalidReason, OrderStatus, ServiceState, Side, VenueState
from tests.contract.live_service import SLOT, SPAN_NS, until
from tests.e2e.proxy import CutProxy, with_broken_frame, without_frame
from tests.e2e.trading import INSTRUMENT, Trading, assert_all_agree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from py_rt.bridge.records import Order

pytestmark = pytest.mark.e2e

GONE_S = 5.0
QUIET_S = 0.2
"""After so long without news, all that happened has been told."""
DEPTH, TRADE = b'"depthUpdate"', b'"e":"trade"'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trading]:
    """A service that trades, with everything between it and the venue passing through our hands."""
    with CutProxy() as proxy, Trading(tmp_path_factory.mktemp("o"), proxy=proxy) as service:
        service.start()
        service.until_state(ServiceState.WAITING)
        service.deploy(service.bundle())
        service.until_metric("py_rt_fills_total", 5)
        yield service
        assert service.stop() == 0
        assert service.market.open_orders() == []
        # What a strategy wants while nothing may leave is denied, now and then three times in a row.
        assert assert_all_agree(service, expected=("OrdersDenied",)) == 1


def order_of(service: Trading, client_order_id: str) -> Order:
    """An order by its id."""
    with service.client("viewer") as viewer:
        return next(one for one in viewer.orders(SLOT).orders if one.client_order_id == client_order_id)


def ids(service: Trading) -> list[str]:
    """Every order that the venue has."""
    return [order["clientOrderId"] for order in service.market.orders()]


def by_hand(service: Trading) -> str:
    """A small order whose answer is still under way; its id."""
    service.buy_by_hand("0.25")
    orders = [one for one in service_orders(service) if one.bundle_digest is None]
    return orders[0].client_order_id


def assert_as_the_venue_has_it(service: Trading, client_order_id: str) -> None:
    """An order of unknown outcome has become what it is at the venue, or is known never to have come there."""
    ours = order_of(service, client_order_id)
    found = {one["clientOrderId"]: one for one in service.market.orders()}
    there = found.get(client_order_id, {"status": "REJECTED", "executedQty": "0"})
    assert (ours.status.name, ours.filled_quantity) == (there["status"], Decimal(there["executedQty"]))


def nothing_leaves(service: Trading) -> bool:
    """An order by hand is denied now."""
    with service.client() as operator, pytest.raises(CommandFailedError):
        operator.manual_order(SLOT, INSTRUMENT, Side.BUY, "0.25")
    return True


def service_orders(service: Trading) -> tuple[Order, ...]:
    """Its orders, newest first."""
    with service.client("viewer") as viewer:
        return viewer.orders(SLOT).orders


def trades_on(service: Trading) -> None:
    """It trades again, and holds what the venue says."""
    service.until_state(ServiceState.TRADING)
    service.until_metric("py_rt_orders_sent_total", service.metrics()["py_rt_orders_sent_total"] + 2)
    service.halt()
    service.market.admin("resume")


@contextmanager
def cut(proxy: CutProxy) -> Iterator[float]:
    """A line on which nothing comes back, then none at all; when it has been gone for long enough."""
    proxy.hush()
    try:
        yield time.monotonic() + GONE_S
    finally:
        proxy.mend()


@contextmanager
def book_told(service: Trading) -> Iterator[list[BookInvalidReason]]:
    """Why the book was given up meanwhile."""
    reasons: list[BookInvalidReason] = []
    with (
        service.client("viewer") as viewer,
        TelemetrySubscriber(service.endpoint("telemetry"), ["book.invalid"], snapshot=viewer.snapshot) as telemetry,
    ):
        until(lambda: isinstance(telemetry.poll(GONE_S), Resync), "the snapshot that telemetry begins with")
        yield reasons
        bodies = (news.body for news in iter(lambda: telemetry.poll(QUIET_S), None) if isinstance(news, Update))
        reasons += [body.reason for body in bodies if isinstance(body, BookInvalid)]


def test_a_venue_that_is_gone_for_five_seconds(service: Trading) -> None:
    proxy = service.proxy
    assert proxy is not None
    with book_told(service) as reasons:
        with cut(proxy) as ends:
            order = by_hand(service)
            until(lambda: order in ids(service), "an order that the venue has taken")
            proxy.cut()
            service.until_state(ServiceState.STARTING)
            until(lambda: order_of(service, order).status is OrderStatus.UNKNOWN, "an order of unknown outcome")
            sent, there = service.metrics()["py_rt_orders_sent_total"], ids(service)
            until(lambda: nothing_leaves(service) and time.monotonic() > ends, "five seconds without a venue")
            assert (service.metrics()["py_rt_orders_sent_total"], ids(service)) == (sent, there)
            assert [venue.state for venue in service.status().venues] == [VenueState.OFFLINE]
        trades_on(service)
    assert_as_the_venue_has_it(service, order)
    assert BookInvalidReason.DISCONNECTED in reasons
    assert proxy.refused > 0


def test_a_venue_that_is_frozen_for_five_seconds(service: Trading) -> None:
    service.venue.send_signal(signal.SIGSTOP)
    try:
        ends = time.monotonic() + GONE_S
        order = by_hand(service)
        until(lambda: order_of(service, order).status is OrderStatus.UNKNOWN, "an order of unknown outcome")
        sent = service.metrics()["py_rt_orders_sent_total"]
        until(lambda: nothing_leaves(service) and time.monotonic() > ends, "five seconds of a frozen venue")
        assert service.metrics()["py_rt_orders_sent_total"] == sent
    finally:
        service.venue.send_signal(signal.SIGCONT)
    until(lambda: order_of(service, order).status is not OrderStatus.UNKNOWN, "an order whose outcome is known")
    trades_on(service)
    assert_as_the_venue_has_it(service, order)


def test_a_lost_frame_is_noticed_and_the_book_synchronized_again(service: Trading) -> None:
    proxy = service.proxy
    assert proxy is not None
    before = service.metrics()
    with book_told(service) as reasons:
        proxy.alter_next(lambda chunk: without_frame(chunk, DEPTH))
        until(lambda: proxy.is_altered, "a depth frame that is lost")
        service.until_metric("py_rt_books_given_up_total", before["py_rt_books_given_up_total"] + 1)
        trades_on(service)
    assert BookInvalidReason.GAP in reasons
    assert service.metrics()["py_rt_market_malformed_total"] == before["py_rt_market_malformed_total"]


def test_a_malformed_frame_is_counted_and_the_book_synchronized_again(service: Trading) -> None:
    proxy = service.proxy
    assert proxy is not None
    before = service.metrics()
    with book_told(service) as reasons:
        proxy.alter_next(lambda chunk: with_broken_frame(chunk, DEPTH))
        service.until_metric("py_rt_market_malformed_total", before["py_rt_market_malformed_total"] + 1)
        service.until_metric("py_rt_books_given_up_total", before["py_rt_books_given_up_total"] + 1)
        trades_on(service)
    assert BookInvalidReason.MALFORMED in reasons


def test_a_lost_trade_makes_no_wrong_bar(service: Trading) -> None:
    proxy = service.proxy
    assert proxy is not None
    recorded = {bar.ts_open: bar for bar in service.recorded_bars()}
    with (
        service.client("viewer") as viewer,
        TelemetrySubscriber(service.endpoint("telemetry"), ["bar"], snapshot=viewer.snapshot) as telemetry,
    ):
        bars: list[Bar] = []

        def closes(count: int) -> None:
            wanted = len(bars) + count

            def has_closed() -> bool:
                news = telemetry.poll(GONE_S)
                if isinstance(news, Update) and isinstance(news.body, Bar):
                    bars.append(news.body)
                return len(bars) >= wanted

            until(has_closed, f"{count} more bars")

        closes(2)
        proxy.alter_next(lambda chunk: without_frame(chunk, TRADE))
        until(lambda: proxy.is_altered, "a trade that is lost")
        closes(3)
    wrong = [bar for bar in bars if as_recorded(bar) != as_recorded(recorded[bar.ts_open])]
    assert wrong == []
    assert service.metrics()["py_rt_trade_holes_total"] >= 1
    assert any(later.ts_open - bar.ts_open > SPAN_NS for bar, later in pairwise(bars)), "one was not watched whole"


def as_recorded(bar: Bar) -> tuple[Decimal, ...]:
    return bar.open, bar.high, bar.low, bar.close, bar.volume
