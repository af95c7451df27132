"""`py_rt watch`: what a service tells, line by line, with every loss said."""

from __future__ import annotations

import json as json_text
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from py_rt.bridge.services import running_in
from py_rt.cli.service_door import Answer, Connection, NoServiceError, Reach, add_command, asked
from py_rt.cli.service_queries import LOOKERS
from py_rt.cli.service_text import DIGEST_DIGITS, amount, bundle_text, control_text, exact, moment, reason_text

if TYPE_CHECKING:
    from py_rt.bridge.records import Order
    from py_rt.bridge.subscriber import News, TelemetrySubscriber

TOPICS = ("order", "fill", "bundle", "venue", "control", "command", "alert")
"""What is told unless other topics are named: what happened, without the market and without regular pictures."""

POLL_S = 1.0
WORDS_MAX = 160
"""Characters of a body that has no words of its own."""


def add_to(app: typer.Typer) -> None:
    """Add it."""
    add_command(app, "watch", watch)


def watch(
    reach: Reach,
    topics: Annotated[
        list[str] | None,
        typer.Argument(help="Such as order, fill, pnl, bar; default: what happens.", metavar="TOPIC"),
    ] = None,
    count: Annotated[int, typer.Option(min=0, help="End after so many lines; 0: when interrupted.")] = 0,
) -> Answer:
    """Print what a service tells as it happens, from its state on; every loss is said and repaired.

    Signed by a viewer or operator.

    Example: py_rt watch order fill

    With --json, one JSON object per line, and at last one that counts them.
    """
    from py_rt.bridge.subscriber import TelemetrySubscriber

    with (
        reach.opened(LOOKERS) as service,
        asked(
            TelemetrySubscriber, service.service.telemetry, topics or TOPICS, snapshot=service.client.snapshot
        ) as telemetry,
    ):
        told = 0
        try:
            while not count or told < count:
                told += _next(reach, service, telemetry)
        except BrokenPipeError:
            # Whoever read has gone, `head` for one; what Python flushes on its way out has nowhere to go either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt:
            return Answer({**service.facts, "lines": told}, f"interrupted after {told} lines")
    return Answer({**service.facts, "lines": told}, f"ended after {told} lines")


def _next(reach: Reach, service: Connection, telemetry: TelemetrySubscriber) -> int:
    """Print the next news, if there is one in time; how many were printed."""
    from py_rt.bridge.subscriber import Silence

    news = telemetry.poll(POLL_S)
    if news is None:
        return 0
    if isinstance(news, Silence) and running_in(service.service.folder) is None:
        raise NoServiceError(f"{service.service.instance} in {service.service.folder} has ended")
    typer.echo(json_text.dumps(news_facts(news)) if reach.json else news_text(news))
    return 1


def news_facts(news: News) -> dict[str, Any]:
    """News for programs."""
    from py_rt.bridge.records import plain

    facts = plain(news)
    assert isinstance(facts, dict)
    return {"news": type(news).__name__.lower(), **facts}


def news_text(news: News) -> str:
    """News for people, in one line."""
    from py_rt.bridge import subscriber as told

    match news:
        case told.Update():
            return f"{moment(news.ts)}  {news.topic}: {body_text(news.body)}"
        case told.Resync(snapshot=state):
            sent = sum(slot.orders_sent for slot in state.status.slots)
            counts = f"{sent} orders sent, {sum(slot.fills for slot in state.status.slots)} fills"
            return f"{moment(state.ts)}  state: {state.status.state.value}, {counts} so far"
        case told.Gap():
            return f"LOST: {news.missed} messages of {news.topic} from number {news.first} on; the state follows"
        case told.Restart():
            return f"life {news.new_epoch} of the service begins, after life {news.old_epoch}; the state follows"
        case told.Unreadable():
            return f"NOT READABLE: {news.topic}: {news.reason}"
        case told.Silence():
            return f"silent for {news.silent_s:.0f} s: the service hangs, or is gone"


def body_text(body: object) -> str:
    """What a message says, in words."""
    from py_rt.bridge import records as kinds

    match body:
        case kinds.Order():
            text = _order_text(body)
        case kinds.Fill():
            what = f"{body.client_order_id or 'not ours'} {body.side.value} {exact(body.quantity)} {body.instrument}"
            text = f"{what} at {exact(body.price)}, fee {amount(body.fee)}, {body.liquidity.value}"
        case kinds.BundleStatus():
            text = f"slot {body.slot}: {body.state.value}: {bundle_text(body)}{_because(body.reason)}"
        case kinds.Control():
            text = control_text(body)
        case kinds.CommandEvent(ack=ack):
            key = (ack.key_id or "not read")[:DIGEST_DIGITS]
            text = f"{body.command or 'not read'} {ack.outcome.value}, key {key}{_because(ack.text)}"
        case kinds.Alert():
            text = f"{body.kind}: {body.text}"
        case _:
            text = _other_text(body)
    return text


def _order_text(order: Order) -> str:
    price = "at the market" if order.price is None else f"at {exact(order.price)}"
    what = f"{order.client_order_id} {order.side.value} {exact(order.quantity)} {order.instrument} {price}"
    return f"{what}: {order.status.value}, {exact(order.filled_quantity)} filled{_because(reason_text(order.reason))}"


def _because(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _other_text(body: object) -> str:
    facts = _flat(body)
    words = ", ".join(f"{key} {value}" for key, value in facts.items() if not isinstance(value, list | dict))
    return words if len(words) <= WORDS_MAX else f"{words[:WORDS_MAX]}…"


def _flat(body: object) -> dict[str, Any]:
    """A body by its fields, amounts as text."""
    from py_rt.bridge.records import plain

    facts = plain(body)
    assert isinstance(facts, dict)
    flat = {key: f"{value['amount']} {value['currency']}" for key, value in facts.items() if _is_amount(value)}
    return {**facts, **flat}


def _is_amount(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {"amount", "currency"}
