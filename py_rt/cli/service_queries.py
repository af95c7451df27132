"""`py_rt status`, `orders`, `positions`, `fills` and `pnl`: what a service does and did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from py_rt.cli import service_local
from py_rt.cli.service_door import Answer, Connection, Reach, add_command
from py_rt.cli.service_text import (
    control_text,
    currencies,
    fills_text,
    orders_text,
    pnl_text,
    positions_text,
    slot_of,
    slot_text,
    status_text,
)
from py_rt.errors import BridgeError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

EVERYBODY = ("viewer", "operator", "deployer", "killer")
LOOKERS = ("viewer", "operator")
NOT_ANSWERED = "  what is in force since then was not answered: ask `py_rt status`"
LIMIT = 100
LIMIT_MAX = 1_000
SLOT_MAX = 65_535

OnlySlot = Annotated[int | None, typer.Option(min=0, max=SLOT_MAX, help="Of one slot; default: of all.")]
LimitOption = Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="At most so many, newest first.")]
LocalOption = Annotated[
    bool, typer.Option("--local", help="By the local control socket: no ZeroMQ, no key, less said.")
]


def add_to(app: typer.Typer) -> None:
    """Add the questions."""
    add_command(app, "status", status)
    add_command(app, "orders", orders)
    add_command(app, "positions", positions)
    add_command(app, "fills", fills)
    add_command(app, "pnl", pnl)


def status(reach: Reach, local: LocalOption = False) -> Answer:
    """Show what a service is doing: state, slots and their bundles, venues, stops, record, latencies.

    Signed by any key.

    Example: py_rt status --json
    """
    if local:
        heard = service_local.ask(reach, "status")
        stopped = "stopped: no order leaves" if heard.said.get("stopped") else "not stopped"
        venue = "online" if heard.said.get("venue_online") else "offline"
        orders_open = heard.said.get("orders_open")
        text = f"{heard.instance or heard.path}: {stopped}, venue {venue}, {orders_open} open orders"
        return Answer({"instance": heard.instance, "path": "local", "status": heard.said}, text)
    with reach.opened(EVERYBODY) as service:
        found = service.client.status()
    return Answer({**service.facts, "status": _plain(found)}, status_text(found))


def orders(
    reach: Reach,
    slot: OnlySlot = None,
    open_only: Annotated[bool, typer.Option("--open", help="Leave out orders that can never trade again.")] = False,
    limit: LimitOption = LIMIT,
) -> Answer:
    """Show orders as they stand, newest first.

    Signed by a viewer or operator.

    Example: py_rt orders --open
    """
    with reach.opened(LOOKERS) as service:
        found = service.client.orders(slot, open_only=open_only, limit=limit)
        prices = currencies(service.client.positions())
    rows = [order_facts(order, prices) for order in found.orders]
    return Answer({**service.facts, "orders": rows, "more": found.more}, orders_text(found, prices))


def order_facts(order: Any, prices: dict[str, str]) -> dict[str, Any]:  # noqa: ANN401  # imported where it is used
    """An order for programs: its slot and the currency of its prices beside what the service says."""
    added = {"slot": slot_of(order.client_order_id), "price_currency": prices.get(str(order.instrument))}
    return {**added, **_plain(order)}


def fills(reach: Reach, slot: OnlySlot = None, limit: LimitOption = LIMIT) -> Answer:
    """Show fills, newest first.

    Signed by a viewer or operator.

    Example: py_rt fills --slot 1 --limit 20
    """
    with reach.opened(LOOKERS) as service:
        found = service.client.fills(slot, limit=limit)
    return Answer({**service.facts, "fills": _plain(found.fills), "more": found.more}, fills_text(found))


def positions(reach: Reach) -> Answer:
    """Show positions of slots and account, with marks in the quote currency.

    Signed by a viewer or operator.

    Example: py_rt positions
    """
    with reach.opened(LOOKERS) as service:
        found = service.client.positions()
    return Answer({**service.facts, "positions": _plain(found)}, positions_text(found))


def pnl(reach: Reach) -> Answer:
    """Show profit and loss of slots and account.

    Signed by a viewer or operator.

    Example: py_rt pnl --json
    """
    with reach.opened(LOOKERS) as service:
        found = service.client.pnl()
    return Answer({**service.facts, "pnl": _plain(found)}, pnl_text(found))


def after(service: Connection) -> tuple[dict[str, Any], list[str]]:
    """What is in force after a command, for programs and for people."""
    found = if_answered(service.client.status)
    if found is None:
        return {"after": None}, [NOT_ANSWERED]
    lines = [f"  {slot_text(slot)}" for slot in found.slots]
    lines += [f"  stop in force: {control_text(control)}" for control in found.controls] or ["  no stop in force"]
    facts = {"state": found.state.value, "slots": _plain(found.slots), "controls": _plain(found.controls)}
    return {"after": facts}, lines


def if_answered(question: Callable[[], T]) -> T | None:
    """The answer to a question that follows a command; its silence makes the command no less done."""
    try:
        return question()
    except BridgeError:
        return None


def _plain(found: object) -> Any:  # noqa: ANN401  # JSON
    from py_rt.bridge.records import plain

    return plain(found)
