"""`py_rt deploy`, `rollback`, `set` and `order`: what a service runs, by which numbers, and orders by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from py_rt.cli.service_door import Answer, AskedWronglyError, Connection, Reach, add_command, asked
from py_rt.cli.service_queries import NOT_ANSWERED, SLOT_MAX, if_answered, order_facts
from py_rt.cli.service_stops import OPERATORS, done, instrument_name, scope_of
from py_rt.cli.service_text import bundle_text, currencies, exact, moment, reason_text, slot_of
from py_rt.cli.service_verdict import EndedError, acknowledged, verdict_of
from py_rt.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt.bridge.commands import CommandFailedError
    from py_rt.bridge.records import Acknowledgement, BundleStatus, Order
    from py_rt.bundle.store import BundleStore

DEPLOYERS = ("deployer",)
ROLLERS = ("deployer", "operator")
LATEST = "latest"
SLOT = 1

SlotOption = Annotated[int, typer.Option(min=0, max=SLOT_MAX, help="Which slot.")]

order_app = typer.Typer(
    help="Send and cancel single orders by hand.\n\nExample: py_rt order cancel e1-s1-42", no_args_is_help=True
)


def add_to(app: typer.Typer) -> None:
    """Add the changes."""
    add_command(app, "deploy", deploy)
    add_command(app, "rollback", rollback)
    add_command(app, "set", set_parameter)
    add_command(order_app, "new", order_new, path="order")
    add_command(order_app, "cancel", order_cancel, path="order")
    app.add_typer(order_app, name="order")


def deploy(
    reach: Reach,
    bundle: Annotated[
        str, typer.Argument(help="Digest, its first digits, or latest: the slot's newest approval.", metavar="DIGEST")
    ],
    slot: SlotOption = SLOT,
) -> Answer:
    """Let an approved bundle take a slot over, and wait until it runs there.

    Signed by a deployer.

    Example: py_rt deploy latest --slot 1
    """
    from py_rt.bridge.commands import NoAnswerError
    from py_rt.bundle.store import BundleStore

    store = BundleStore(reach.home / "bundles")
    digest = None if bundle == LATEST else store.resolve(bundle)
    with reach.opened(DEPLOYERS) as service:
        digest = digest or _latest(store, reach.home / "keys", service, slot)
        before = active(service, slot)
        try:
            ack = service.client.deploy(slot, digest)
        except NoAnswerError as unheard:
            # Verifying takes its time; the same message again is answered, and done at most once.
            ack = service.client.repeat(unheard.pending)
        return _swapped(service, "deploy", slot, ack, before, store)


def rollback(reach: Reach, slot: SlotOption = SLOT) -> Answer:
    """Let the bundle that ran before take its slot over again, if its approval still holds.

    Signed by a deployer or operator.

    Example: py_rt rollback --slot 1
    """
    from py_rt.bundle.store import BundleStore

    with reach.opened(ROLLERS) as service:
        before = active(service, slot)
        ack = service.client.rollback(slot)
        return _swapped(service, "rollback", slot, ack, before, BundleStore(reach.home / "bundles"))


def set_parameter(
    reach: Reach,
    name: Annotated[str, typer.Argument(help="Its key in the strategy file, such as entry_threshold.")],
    value: Annotated[str, typer.Argument(help="A decimal, exact to 1e-8.")],
    slot: SlotOption = SLOT,
) -> Answer:
    """Change a parameter of a running strategy, until its bundle is swapped or the service starts again.

    Signed by an operator.

    Example: py_rt set entry_threshold 0.62 --slot 1
    """
    from py_rt.bridge.vocabulary import to_units

    asked(to_units, value, name)
    with reach.opened(OPERATORS) as service:
        ack = service.client.set_parameter(slot, name, value)
        answer = done(service, "set", scope_of(slot), ack, f"{name} = {value}")
    return Answer({**answer.facts, "slot": slot, "name": name, "value": value}, answer.text)


def order_new(
    reach: Reach,
    side: Annotated[Literal["buy", "sell"], typer.Argument(help="buy or sell.")],
    quantity: Annotated[str, typer.Argument(help="Of the base asset, a decimal.")],
    instrument: Annotated[str, typer.Option(help="Such as binance:BTCUSDT.")],
    price: Annotated[str, typer.Option(help="Limit in the quote currency; without one it is a market order.")] = "",
    slot: SlotOption = SLOT,
) -> Answer:
    """Send an order by hand, booked in a slot; risk judges it like any other. Without a price it takes what is there.

    Signed by an operator.

    Example: py_rt order new buy 0.5 --instrument binance:BTCUSDT --price 43000.5
    """
    from py_rt.bridge.commands import CommandFailedError
    from py_rt.bridge.vocabulary import InstrumentName, Side, to_units

    name = asked(InstrumentName.parse, instrument_name(instrument))
    asked(to_units, quantity, "quantity")
    if price:
        asked(to_units, price, "price")
    with reach.opened(OPERATORS) as service:
        known = {one.client_order_id for one in service.client.snapshot().orders}
        try:
            ack = service.client.manual_order(slot, name, Side(side), quantity, price=price or None)
        except CommandFailedError as failed:
            raise _explained(service, failed, _made(service, known, slot)) from failed
        return _sent(service, ack, slot, _made(service, known, slot))


def order_cancel(
    reach: Reach, order: Annotated[str, typer.Argument(help="Its client order id, such as e1-s1-42.", metavar="ORDER")]
) -> Answer:
    """Cancel one order by hand.

    Signed by an operator.

    Example: py_rt order cancel e1-s1-42
    """
    with reach.opened(OPERATORS) as service:
        ack = service.client.manual_cancel(order)
        return done(service, "order cancel", scope_of(order=order), ack, "the cancel is on its way to the venue")


def _latest(store: BundleStore, keys: Path, service: Connection, slot: int) -> str:
    """The bundle of the slot's newest approval that a service of this stage runs."""
    from py_rt.bundle.deploy import newest_begun, stages_of

    stage = service.service.stage
    newest = newest_begun(store, keys, stages=stages_of(stage)).get(slot)
    if newest is None:
        todo = f"`py_rt bundle approve DIGEST --slot {slot}`"
        raise AskedWronglyError(
            f"{store.root} has no trusted approval for slot {slot} and a service of stage {stage}: {todo}"
        )
    return newest.digest


def active(service: Connection, slot: int) -> BundleStatus | None:
    """What runs in a slot."""
    return next((each.active for each in service.client.status().slots if each.slot == slot), None)


def _swapped(
    service: Connection, command: str, slot: int, ack: Acknowledgement, before: BundleStatus | None, store: BundleStore
) -> Answer:
    """Bundle before and after; the slot's alias follows what runs."""
    from py_rt.bridge.records import plain

    now = if_answered(lambda: active(service, slot))
    digests = {"digest_before": before.digest if before else None, "digest": now.digest if now else None}
    facts = {**service.facts, "slot": slot, **digests, **acknowledged(ack)}
    head = f"{command} slot {slot}: {ack.outcome} by {service.service.instance} at {moment(ack.ts)} UTC"
    lines = [head, f"  before: {_whole(before)}", f"  now:    {_whole(now)}" if now else NOT_ANSWERED]
    lines += _promoted(store, slot, now.digest) if now else []
    return Answer({**facts, "before": plain(before), "now": plain(now)}, "\n".join(lines))


def _promoted(store: BundleStore, slot: int, digest: str) -> list[str]:
    """Let the slot's aliases follow what runs; a store that cannot be written makes the swap no less done."""
    if not store.folder(digest).is_dir():
        return [f"  {store.root} does not hold it: the slot's aliases stay as they are"]
    try:
        store.promote(slot, digest)
    except (OSError, BundleError) as error:
        return [f"  the slot's aliases in {store.root} stay as they are: {error}"]
    return []


def _whole(bundle: BundleStatus | None) -> str:
    """A bundle with all digits of its digest."""
    return (
        bundle_text(bundle)
        if bundle is None
        else f"{bundle_text(bundle).rpartition('sha256-')[0]}sha256-{bundle.digest}"
    )


def _made(service: Connection, known: set[str], slot: int) -> list[Order]:
    """Orders by hand that were not there before.

    A snapshot stands behind everything that was decided before it, so that what a command made is in it.
    """
    found = if_answered(service.client.snapshot)
    fresh = [one for one in found.orders if one.client_order_id not in known] if found else []
    return [one for one in fresh if one.bundle_digest is None and slot_of(one.client_order_id) == slot]


def _explained(service: Connection, failed: CommandFailedError, made: list[Order]) -> EndedError:
    """The failure with what the service says of the orders that risk denied."""
    rows, lines = _order_rows(service, made)
    verdict = verdict_of(failed)
    facts = {**verdict.facts, "orders": rows}
    return EndedError("\n".join([str(failed), *lines]), replace(verdict, facts=facts))


def _order_rows(service: Connection, made: list[Order]) -> tuple[list[dict[str, Any]], list[str]]:
    prices = currencies(if_answered(service.client.positions) or ())
    lines = []
    for one in made:
        unit = prices.get(str(one.instrument), "")
        at = f"at {exact(one.price)} {unit}".rstrip() if one.price is not None else "at the market"
        what = f"{one.side} {exact(one.quantity)} {one.instrument} {at}"
        lines.append(
            f"  {one.client_order_id}: {what}: {one.status}{f' ({reason_text(one.reason)})' if one.reason else ''}"
        )
    return [order_facts(one, prices) for one in made], lines


def _sent(service: Connection, ack: Acknowledgement, slot: int, made: list[Order]) -> Answer:
    rows, lines = _order_rows(service, made)
    head = f"order new: {ack.outcome} by {service.service.instance} at {moment(ack.ts)} UTC, booked in slot {slot}"
    name = made[0].client_order_id if len(made) == 1 else None
    lines = lines or ["  its id was not answered: `py_rt orders` shows it"]
    facts = {**service.facts, "slot": slot, "client_order_id": name, "orders": rows, **acknowledged(ack)}
    return Answer(facts, "\n".join([head, *lines]))
