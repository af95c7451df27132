"""What a service tells, as aligned text for people: exact decimals, times UTC, amounts with their currency."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal

    from py_rt.bridge.records import (
        BundleStatus,
        Control,
        Fills,
        Orders,
        Pnl,
        Position,
        ServiceStatus,
        SlotStatus,
        SlowStatus,
        StageLatency,
    )
    from py_rt.bridge.vocabulary import Money

ABSENT = "-"
DIGEST_DIGITS = 12
NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_US = 1_000


def moment(ts_ns: int) -> str:
    """Nanoseconds as a time of day, UTC, cut to milliseconds.

    >>> moment(1_633_046_400_123_456_789)
    '2021-10-01 00:00:00.123'
    """
    return f"{datetime.fromtimestamp(ts_ns // NS_PER_S, UTC):%Y-%m-%d %H:%M:%S}.{ts_ns % NS_PER_S // NS_PER_MS:03d}"


def exact(value: Decimal | None) -> str:
    """A decimal as it is, with its zeros where they carry size.

    >>> from decimal import Decimal
    >>> exact(Decimal("1E+2")), exact(None)
    ('100', '-')
    """
    return ABSENT if value is None else f"{value:f}"


def amount(value: Money | None) -> str:
    """An amount of money with its currency."""
    return ABSENT if value is None else str(value)


def reason_text(reason: str | None) -> str:
    """Why an order ended, a name of the engine's in words; what a venue or a person wrote as it is.

    >>> (
    ...     reason_text("OrderSize"),
    ...     reason_text("Rule(LotSize)"),
    ...     reason_text("Filter failure: LOT_SIZE"),
    ...     reason_text(None),
    ... )
    ('order size', 'rule: lot size', 'Filter failure: LOT_SIZE', '')
    """
    found = re.fullmatch(r"([A-Z][A-Za-z]*)(?:\(([A-Z][A-Za-z]*)\b.*\))?", reason or "")
    return ": ".join(_words(name) for name in found.groups() if name) if found else reason or ""


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def record_text(text: str) -> str:
    """A line of the record with its names in words.

    >>> record_text("order e1-s1-7 of instrument 0 is PartiallyFilled: 0.1 of 0.5 filled")
    'order e1-s1-7 of instrument 0 is partially filled: 0.1 of 0.5 filled'
    """
    return re.sub(r"\b(?:[A-Z][a-z]+){2,}\b", lambda name: _words(name[0]), text)


def span(ns: int) -> str:
    """A latency in microseconds.

    >>> span(1_234_567)
    '1,234.6'
    """
    return f"{ns / NS_PER_US:,.1f}"


def ms(ns: int) -> str:
    """An age in milliseconds.

    >>> ms(1_234_567_890)
    '1,234.6 ms'
    """
    return f"{ns / NS_PER_MS:,.1f} ms"


def owner(slot: int | None) -> str:
    """Whose it is: a slot's, or the account's."""
    return "account" if slot is None else f"slot {slot}"


def slot_of(client_order_id: str | None) -> int | None:
    """The slot that a client order id names; `None` when it is not one of ours.

    >>> slot_of("e3-s1-42"), slot_of("web_77"), slot_of(None)
    (1, None, None)
    """
    parts = (client_order_id or "").split("-")
    is_ours = len(parts) == 3 and parts[1][:1] == "s" and parts[1][1:].isdecimal()
    return int(parts[1][1:]) if is_ours else None


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Align columns; one whose head begins with `>` to the right.

    >>> print(table(["side", ">price USDT"], [["buy", "99.5"], ["sell", "100.25"]]))
    side  price USDT
    buy         99.5
    sell      100.25
    """
    names = [head.removeprefix(">") for head in heads]
    body = [names, *rows]
    widths = [max(len(row[at]) for row in body) for at in range(len(heads))]
    lines = [
        "  ".join(
            cell.rjust(width) if head.startswith(">") else cell.ljust(width)
            for head, cell, width in zip(heads, row, widths, strict=True)
        ).rstrip()
        for row in body
    ]
    return "\n".join(lines)


def currencies(positions: Iterable[Position]) -> dict[str, str]:
    """The currency that each instrument is priced in."""
    return {str(position.instrument): position.cost.currency for position in positions}


def priced(prices: Mapping[str, str], instruments: Iterable[str]) -> str:
    """The unit of a column of prices, when all of it has one.

    >>> priced({"binance/BTCUSDT": "USDT"}, ["binance/BTCUSDT"]), priced({}, ["binance/BTCUSDT"])
    (' USDT', '')
    """
    found = {prices.get(instrument) for instrument in instruments}
    return f" {found.pop()}" if len(found) == 1 and None not in found else ""


def orders_text(found: Orders, prices: Mapping[str, str]) -> str:
    """Orders, newest first."""
    if not found.orders:
        return "no orders"
    unit = priced(prices, (str(order.instrument) for order in found.orders))
    heads = ["order", "instrument", "side", "type", ">quantity", f">price{unit}", "status", ">filled"]
    heads += [f">average{unit}", "created UTC", "sent by", "reason"]
    rows = [
        [
            order.client_order_id,
            str(order.instrument),
            order.side.value,
            order.order_type.value,
            exact(order.quantity),
            exact(order.price),
            order.status.value,
            exact(order.filled_quantity),
            exact(order.average_price),
            moment(order.ts_created),
            order.bundle_digest[:DIGEST_DIGITS] if order.bundle_digest else "hand",
            reason_text(order.reason),
        ]
        for order in found.orders
    ]
    return _with_more(table(heads, rows), more=found.more)


def fills_text(found: Fills) -> str:
    """Fills, newest first."""
    if not found.fills:
        return "no fills"
    unit = priced(
        {str(fill.instrument): fill.realized_pnl.currency for fill in found.fills},
        (str(fill.instrument) for fill in found.fills),
    )
    heads = ["time UTC", "order", "instrument", "side", ">quantity", f">price{unit}", ">fee", "as", ">realized"]
    rows = [
        [
            moment(fill.ts_event),
            fill.client_order_id or "not ours",
            str(fill.instrument),
            fill.side.value,
            exact(fill.quantity),
            exact(fill.price),
            amount(fill.fee),
            fill.liquidity.value,
            amount(fill.realized_pnl),
        ]
        for fill in found.fills
    ]
    return _with_more(table(heads, rows), more=found.more)


def positions_text(found: Sequence[Position]) -> str:
    """Positions of slots and account."""
    if not found:
        return "no positions"
    prices = currencies(found)
    unit = priced(prices, (str(position.instrument) for position in found))
    heads = ["of", "instrument", ">quantity", ">cost", f">mark{unit}", ">unrealized", ">realized", ">fees"]
    rows = [
        [
            owner(position.slot),
            str(position.instrument),
            exact(position.quantity),
            amount(position.cost),
            exact(position.mark_price),
            amount(position.unrealized_pnl),
            amount(position.realized_pnl),
            amount(position.fees),
        ]
        for position in found
    ]
    return table(heads, rows)


def pnl_text(found: Sequence[Pnl]) -> str:
    """Profit and loss of slots and account."""
    if not found:
        return "no profit or loss yet"
    heads = ["of", ">realized", ">unrealized", ">equity", ">peak equity", "fees"]
    rows = [
        [
            owner(pnl.slot),
            amount(pnl.realized),
            amount(pnl.unrealized),
            amount(pnl.equity),
            amount(pnl.peak_equity),
            ", ".join(map(str, pnl.fees)) or ABSENT,
        ]
        for pnl in found
    ]
    return table(heads, rows)


def bundle_text(bundle: BundleStatus | None) -> str:
    """A bundle of a slot.

    >>> bundle_text(None)
    'no bundle'
    """
    if bundle is None:
        return "no bundle"
    named = f"{bundle.name} {bundle.version}, serial {bundle.serial}, " if bundle.name else ""
    ended = "" if bundle.state.value in {"active", "previous"} else f", {bundle.state.value}"
    return f"{named}sha256-{bundle.digest[:DIGEST_DIGITS]}{ended}"


def slot_text(slot: SlotStatus) -> str:
    """A slot in one line.

    A slot without a bundle warms nothing up, so that it is neither warm nor warming.
    """
    warm = "" if slot.active is None else ", warm" if slot.warm else ", warming up"
    return f"slot {slot.slot}: {slot.level.value}, {bundle_text(slot.active)}{warm}, {slot.open_orders} open orders"


def slow_text(slow: SlowStatus, now: int) -> str:
    """What is known of a slow parameter, and how old it is.

    >>> from py_rt.bridge.records import SlowStatus
    >>> slow_text(SlowStatus("funding_rate", "0.5", 0, 3600, known=False), 7_200 * 10**9)
    'funding_rate: stale: 0.5, 7200 s old of at most 3600 s'
    >>> slow_text(SlowStatus("funding_rate", None, None, 3600, known=False), 0)
    'funding_rate: never told'
    """
    if slow.valid_from is None:
        return f"{slow.name}: never told"
    value = "told unknown" if slow.value is None else slow.value
    stale = "" if slow.known or slow.value is None else "stale: "
    age = (now - slow.valid_from) // 10**9
    return f"{slow.name}: {stale}{value}, {age} s old of at most {slow.max_age_seconds} s"


def control_text(control: Control) -> str:
    """A stop that is in force."""
    since = f"since {moment(control.since)}" if control.since else ""
    return " ".join(filter(None, [f"{control.scope}: {control.level.value}", since, control.reason]))


def status_text(status: ServiceStatus) -> str:
    """The service at a glance."""
    life = f"life {status.epoch} of run {status.run_id}, version {status.version}"
    lines = [
        f"{status.instance}: {status.state.value}, {life}",
        f"  started {moment(status.ts_started)}, now {moment(status.ts)} (its own time, UTC)",
    ]
    for slot in status.slots:
        lines.append(f"  {slot_text(slot)}, {slot.orders_sent} orders sent, {slot.fills} fills")
        lines += [f"    before it: {bundle_text(slot.previous)}"] if slot.previous else []
        lines += [f"    {slow_text(one, status.ts)}" for one in slot.slow]
        lines += [f"    {slot.late_quotes:,} quotes heard after their bar had closed"] if slot.late_quotes else []
    venues = ", ".join(f"{venue.venue} {venue.state.value}" for venue in status.venues)
    lines.append(f"  venues: {venues or 'none heard yet'}")
    lines += [f"  stop in force: {control_text(control)}" for control in status.controls] or ["  no stop in force"]
    if status.journal is not None:
        journal = status.journal
        kept = f"{journal.records:,} records, {journal.bytes:,} bytes, {journal.unsynced_records:,} not yet on disk"
        lines.append(f"  record: {kept}")
    return "\n".join(lines + ([_latency_text(status.latencies)] if status.latencies else []))


def _latency_text(latencies: Sequence[StageLatency]) -> str:
    heads = ["  latency by stage", ">count", ">p50 us", ">p99 us", ">max us"]
    rows = [
        [f"    {one.stage}", f"{one.count:,}", span(one.p50_ns), span(one.p99_ns), span(one.max_ns)]
        for one in latencies
    ]
    return table(heads, rows)


def _with_more(text: str, *, more: bool) -> str:
    return f"{text}\nthere are more: raise --limit" if more else text
