"""What counts as partly filled, timed out, swapped: at the boundaries."""

from __future__ import annotations

from decimal import Decimal

import pytest

from py_rt.bridge.vocabulary import OrderStatus
from py_rt.demo.trading import Goals, partly_filled, timed_out
from tests.py_rt.demo.outcomes import NEW, OLD, TIMEOUT_NS, fill, order, session, status, timed_out_order

TIMEOUTS = {OLD: TIMEOUT_NS, NEW: 4 * TIMEOUT_NS}


@pytest.mark.parametrize(
    ("lived_ns", "digest", "expected"),
    [
        (TIMEOUT_NS - 1, OLD, False),
        (TIMEOUT_NS, OLD, True),
        (4 * TIMEOUT_NS - 1, NEW, False),
        (4 * TIMEOUT_NS, NEW, True),
        (TIMEOUT_NS, "f" * 64, False),
        (TIMEOUT_NS, None, False),
    ],
)
def test_an_order_timed_out_when_it_lived_as_long_as_its_own_bundle_lets_it(
    lived_ns: int, digest: str | None, expected: bool
) -> None:
    cancelled = order(status=OrderStatus.CANCELED, ts_created=7, ts_updated=7 + lived_ns, bundle_digest=digest)
    assert timed_out(cancelled, TIMEOUTS) is expected


@pytest.mark.parametrize("state", [state for state in OrderStatus if state is not OrderStatus.CANCELED])
def test_only_a_cancelled_order_timed_out(state: OrderStatus) -> None:
    assert not timed_out(timed_out_order(status=state), TIMEOUTS)


def test_what_an_operator_cancelled_did_not_time_out() -> None:
    by_itself, by_hand = timed_out_order(1), timed_out_order(2)
    ended = session(orders=(by_hand, by_itself), ended_otherwise=frozenset({by_hand.client_order_id}))
    assert ended.counts().timeouts == 1


def test_partly_filled_by_several_fills_or_by_less_than_the_whole() -> None:
    whole = Decimal("0.1")
    nothing = order(1)
    in_one = order(2, filled_quantity=whole, status=OrderStatus.FILLED)
    in_two = order(3, filled_quantity=whole, status=OrderStatus.FILLED)
    a_unit = order(4, filled_quantity=Decimal("0.00000001"), status=OrderStatus.CANCELED)
    all_but_a_unit = order(5, filled_quantity=whole - Decimal("0.00000001"))
    fills = (fill(1, "e1-s1-2"), fill(2, "e1-s1-3"), fill(3, "e1-s1-3"), fill(4, None), fill(5, None))
    assert partly_filled((nothing, in_one), fills) == 0
    assert partly_filled((nothing, in_one, in_two, a_unit, all_but_a_unit), fills) == 3


@pytest.mark.parametrize(("digests", "swaps"), [([], 0), ([OLD], 0), ([OLD, NEW], 1), ([OLD, NEW, OLD], 2)])
def test_the_first_bundle_is_no_swap(digests: list[str], swaps: int) -> None:
    assert session(digests=digests).counts().swaps == swaps


def test_what_is_missing_is_named_with_what_is_there() -> None:
    short = session(status=status(orders_sent=49, fills=20), digests=[OLD])
    assert short.missing(Goals()) == {"orders": "49 of 50", "swaps": "0 of 1"}
    assert session().missing(Goals()) == {}


def test_the_share_of_goals_never_counts_more_than_was_wanted() -> None:
    wanted = Goals()
    assert Goals(0, 0, 0, 0, 0).share_of(wanted) == 0.0
    assert Goals(5_000, 0, 0, 0, 0).share_of(wanted) == pytest.approx(0.2)
    assert wanted.share_of(wanted) == 1.0
    assert Goals(0, 0, 0, 0, 0).share_of(Goals(0, 0, 0, 0, 0)) == 1.0
