"""`py_rt start`, `pause`, `cancel`, `reduce-only`, `flatten`, `kill` and `rearm`: the ladder of stops, and back up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from py_rt.cli import service_local
from py_rt.cli.service_door import Answer, AskedWronglyError, Connection, Reach, add_command, asked
from py_rt.cli.service_queries import SLOT_MAX, after
from py_rt.cli.service_text import moment
from py_rt.cli.service_verdict import FAILED, acknowledged

if TYPE_CHECKING:
    from py_rt.bridge.records import Acknowledgement
    from py_rt.bridge.vocabulary import Scope

OPERATORS = ("operator",)
STOPPERS = ("operator", "killer")
KILLERS = ("killer", "operator")
KILL_TIMEOUT_S = 1.0
"""Wait for the answer to a signed kill, per attempt, before the local way is taken."""

SLIPPAGE_BPS = 50
SLIPPAGE_BPS_MAX = 10_000
REASON_CHARS = 120

SlotScope = Annotated[int | None, typer.Option(min=0, max=SLOT_MAX, help="Only this slot; default: everything.")]
InstrumentScope = Annotated[str, typer.Option(help="Only this instrument, such as binance:BTCUSDT.")]
VenueScope = Annotated[str, typer.Option(help="Only this venue, such as binance.")]


def add_to(app: typer.Typer) -> None:
    """Add the ladder."""
    add_command(app, "start", start)
    add_command(app, "pause", pause)
    add_command(app, "cancel", cancel)
    add_command(app, "reduce-only", reduce_only)
    add_command(app, "flatten", flatten)
    add_command(app, "kill", kill, timeout_s=KILL_TIMEOUT_S)
    add_command(app, "rearm", rearm)


def instrument_name(text: str) -> str:
    """An instrument as messages write it.

    >>> instrument_name("binance:BTCUSDT"), instrument_name("binance/BTCUSDT"), instrument_name("kraken:BTC/USD")
    ('binance/BTCUSDT', 'binance/BTCUSDT', 'kraken/BTC/USD')
    """
    venue, colon, symbol = text.partition(":")
    return f"{venue}/{symbol}" if colon and "/" not in venue else text


def scope_of(slot: int | None = None, instrument: str = "", venue: str = "", order: str = "") -> Scope:
    """What a command reaches.

    >>> str(scope_of()), str(scope_of(slot=1)), str(scope_of(instrument="binance:BTCUSDT"))
    ('all', 'slot:1', 'instrument:binance/BTCUSDT')

    Raises:
        AskedWronglyError: more than one was given, or one cannot be.
    """
    from py_rt.bridge.vocabulary import Scope

    named = {"instrument": instrument_name(instrument) if instrument else "", "venue": venue, "order": order}
    texts = [f"{kind}:{name}" for kind, name in named.items() if name]
    texts += [f"slot:{slot}"] if slot is not None else []
    if len(texts) > 1:
        raise AskedWronglyError(f"{' and '.join(texts)}: a command reaches one of them, or everything; say one")
    return asked(Scope.parse, texts[0] if texts else "all")


def done(service: Connection, command: str, scope: Scope, ack: Acknowledgement, what: str) -> Answer:
    """What was done, and what is in force since."""
    facts, lines = after(service)
    head = f"{command} {scope}: {ack.outcome} by {service.service.instance} at {moment(ack.ts)} UTC; {what}"
    said = {**service.facts, "scope": str(scope), "path": "signed", **acknowledged(ack), **facts}
    return Answer(said, "\n".join([head, *lines]))


def start(reach: Reach, slot: SlotScope = None, instrument: InstrumentScope = "", venue: VenueScope = "") -> Answer:
    """Let strategies trade again after a pause. A latched stop needs rearm.

    Signed by an operator.

    Example: py_rt start --slot 1
    """
    scope = scope_of(slot, instrument, venue)
    with reach.opened(OPERATORS) as service:
        return done(service, "start", scope, service.client.start(scope), "strategies may send orders")


def pause(reach: Reach, slot: SlotScope = None, instrument: InstrumentScope = "", venue: VenueScope = "") -> Answer:
    """Let strategies send no new orders; working orders stay.

    Signed by an operator or killer.

    Example: py_rt pause
    """
    scope = scope_of(slot, instrument, venue)
    with reach.opened(STOPPERS) as service:
        return done(service, "pause", scope, service.client.pause(scope), "no new orders; working orders stay")


def cancel(
    reach: Reach,
    slot: SlotScope = None,
    instrument: InstrumentScope = "",
    venue: VenueScope = "",
    order: Annotated[str, typer.Option(help="Only this order, such as e1-s1-42.")] = "",
) -> Answer:
    """Cancel working orders; strategies go on.

    Signed by an operator or killer.

    Example: py_rt cancel --instrument binance:BTCUSDT
    """
    scope = scope_of(slot, instrument, venue, order)
    with reach.opened(STOPPERS) as service:
        return done(service, "cancel", scope, service.client.cancel(scope), "cancels are on their way to the venue")


def reduce_only(
    reach: Reach, slot: SlotScope = None, instrument: InstrumentScope = "", venue: VenueScope = ""
) -> Answer:
    """From now on only orders that bring a position closer to zero; latched until rearm.

    Signed by an operator or killer.

    Example: py_rt reduce-only --slot 1
    """
    scope = scope_of(slot, instrument, venue)
    with reach.opened(STOPPERS) as service:
        ack = service.client.reduce_only(scope)
        return done(service, "reduce-only", scope, ack, "only orders that bring a position closer to zero")


def flatten(
    reach: Reach,
    slot: SlotScope = None,
    instrument: InstrumentScope = "",
    venue: VenueScope = "",
    max_slippage_bps: Annotated[
        int, typer.Option(min=0, max=SLIPPAGE_BPS_MAX, help="Ten-thousandths of the mid price that closing may cost.")
    ] = SLIPPAGE_BPS,
) -> Answer:
    """Cancel working orders, then close positions; reduce-only is latched from then on, until rearm.

    Signed by an operator or killer.

    Example: py_rt flatten --slot 1 --max-slippage-bps 30
    """
    scope = scope_of(slot, instrument, venue)
    with reach.opened(STOPPERS) as service:
        ack = service.client.flatten(scope, max_slippage_bps=max_slippage_bps)
        what = f"positions are being closed, at most {max_slippage_bps} bps from the mid price; see py_rt positions"
        return done(service, "flatten", scope, ack, what)


def kill(
    reach: Reach,
    slot: SlotScope = None,
    instrument: InstrumentScope = "",
    venue: VenueScope = "",
    local: Annotated[
        bool, typer.Option("--local", help="At once by the local control socket: no ZeroMQ, no key; stops everything.")
    ] = False,
) -> Answer:
    """Cancel everything and let nothing leave but cancels; latched across restarts, until rearm.

    Signed by a killer or operator.

    Example: py_rt kill

    When everything is to be killed and the signed command cannot be sent or gets no answer, the service's local
    control socket is used at once, and standard error says so.
    """
    is_all = slot is None and not instrument and not venue
    if local:
        if not is_all:
            raise AskedWronglyError("--local stops everything: leave out --slot, --instrument and --venue")
        return _killed_locally(reach)
    if not is_all:
        return _killed(reach, scope_of(slot, instrument, venue))
    try:
        return _killed(reach, scope_of())
    except Exception as error:
        # Whatever is broken on the way, an import included, must not stand between a person and the stop.
        if hasattr(error, "ack"):  # the service itself said no
            raise
        typer.echo(f"the signed kill did not come through: {error}", err=True)
        typer.echo("taking the local control socket instead", err=True)
        return _killed_locally(reach)


def rearm(
    reach: Reach,
    reason: Annotated[str, typer.Option(help="Why it is safe, 1 to 120 printable ASCII characters; recorded.")],
    slot: SlotScope = None,
    instrument: InstrumentScope = "",
    venue: VenueScope = "",
) -> Answer:
    """Lift a latched stop of exactly this scope. A person says why; it is recorded.

    Signed by an operator.

    Example: py_rt rearm --reason "venue is back, positions compared"
    """
    if not (0 < len(reason) <= REASON_CHARS and reason.isascii() and reason.isprintable()):
        raise AskedWronglyError(f"--reason {reason!r}: 1 to {REASON_CHARS} printable ASCII characters are allowed")
    scope = scope_of(slot, instrument, venue)
    with reach.opened(OPERATORS) as service:
        return done(service, "rearm", scope, service.client.rearm(scope, reason=reason), f"reason: {reason}")


def _killed(reach: Reach, scope: Scope) -> Answer:
    with reach.opened(KILLERS) as service:
        ack = service.client.kill(scope)
        return done(service, "kill", scope, ack, "nothing leaves but cancels, until `py_rt rearm --reason TEXT`")


def _killed_locally(reach: Reach) -> Answer:
    heard = service_local.ask(reach, "kill")
    latched = heard.said.get("latched") is True
    name = heard.instance or str(heard.path.parent)
    text = f"kill all: applied by {name} over {heard.path}"
    if latched:
        text += "; nothing leaves but cancels, until `py_rt rearm --reason TEXT`"
    else:
        text += f"; no order leaves any more, BUT it is not latched: {heard.said.get('error')}"
        text += "\nnext: kill again, and look at the venue for orders that rest"
    outcome = "applied" if latched else "failed"
    facts = {"instance": heard.instance, "scope": "all", "path": "local", "outcome": outcome, **_local_facts(heard)}
    return Answer(facts, text, 0 if latched else FAILED)


def _local_facts(heard: service_local.Heard) -> dict[str, object]:
    return {"socket": str(heard.path), **{key: heard.said.get(key) for key in ("stopped", "latched", "error")}}
