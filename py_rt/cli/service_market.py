"""`py_rt book`: what a service knows now of the market, out of its shared memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from py_rt.cli.service_consolidated import MAX_AGE_MS, consolidated_answer
from py_rt.cli.service_door import Answer, AskedWronglyError, Reach, add_command
from py_rt.cli.service_text import ABSENT, exact, moment, ms, table

if TYPE_CHECKING:
    from py_rt.bridge.market_cache import CachedBook, CachedTrade, CacheState, MarketDataCache


def add_to(app: typer.Typer) -> None:
    """Add it."""
    add_command(app, "book", book)


def book(
    reach: Reach,
    instrument: Annotated[
        str,
        typer.Argument(
            help="Such as BTCUSDT or binance/BTCUSDT; default: the best bid and ask of each. With --consolidated "
            "a pair, such as BTC/USD.",
            metavar="INSTRUMENT",
        ),
    ] = "",
    consolidated: Annotated[
        bool, typer.Option("--consolidated", help="All venues of a pair as one market, the watched ones with it.")
    ] = False,
    fees: Annotated[
        bool,
        typer.Option(
            "--fees",
            help="With --consolidated: prices are what a taker pays or gets, by taker_bps of the service's file.",
        ),
    ] = False,
    max_age_ms: Annotated[
        int,
        typer.Option(min=0, help="With --consolidated: a venue whose book is older, in service time, is dropped."),
    ] = MAX_AGE_MS,
) -> Answer:
    """Show what a service knows now of an instrument: its book, its last trade, its venue.

    Signed by nobody: it is read from shared memory, and the service does nothing for it.

    Example: py_rt book BTCUSDT --json

    All venues of a pair as one market: py_rt book BTC/USD --consolidated --fees
    """
    from py_rt.bridge.market_cache import SEGMENTS_SOCKET, MarketDataCache, UnknownInstrumentError

    service = reach.found()
    if consolidated:
        return consolidated_answer(service, instrument, with_fees=fees, max_age_ms=max_age_ms)
    if fees:
        raise AskedWronglyError("--fees is of --consolidated: one venue's book shows that venue's own prices")
    facts = {"instance": service.instance, "run_id": service.run_id, "epoch": service.epoch}
    with MarketDataCache(service.folder / SEGMENTS_SOCKET) as cache:
        if not instrument:
            names = [str(known) for known in cache.instruments()]
            books = [cache.book(name) for name in names]
            return Answer({**facts, "books": [book_facts(found, depth=1) for found in books]}, tops_text(books))
        try:
            seen = _seen(cache, instrument)
        except UnknownInstrumentError as error:
            raise AskedWronglyError(str(error)) from error
    found, trade, state = seen
    return Answer(
        {**facts, "book": book_facts(found), "last_trade": trade_facts(trade), "venue_state": state.venue_state},
        book_text(found, trade, state),
    )


def _seen(cache: MarketDataCache, instrument: str) -> tuple[CachedBook, CachedTrade | None, CacheState]:
    return cache.book(instrument), cache.last_trade(instrument), cache.state(instrument)


def book_facts(book: CachedBook, depth: int | None = None) -> dict[str, Any]:
    """A book for programs: decimal text, and ages in service time."""
    sides = {"bids": book.bids, "asks": book.asks}
    return {
        "instrument": str(book.instrument),
        "base": book.instrument.base,
        "quote": book.instrument.quote,
        "status": book.instrument.status,
        "state": book.state,
        "reason": book.reason,
        "ts_event": book.ts_event,
        "ts_received": book.ts_received,
        "update_id": book.update_id,
        "age_ns": book.age_ns,
        **{side: [list(map(_text, level)) for level in levels[:depth].tolist()] for side, levels in sides.items()},
    }


def trade_facts(trade: CachedTrade | None) -> dict[str, Any] | None:
    """A trade for programs."""
    if trade is None:
        return None
    return {
        "trade_id": trade.trade_id,
        "price": _text(trade.price),
        "quantity": _text(trade.quantity),
        "aggressor": trade.aggressor,
        "ts_event": trade.ts_event,
        "ts_received": trade.ts_received,
        "age_ns": trade.age_ns,
    }


def book_text(book: CachedBook, trade: CachedTrade | None, state: CacheState) -> str:
    """One market for people."""
    instrument = book.instrument
    pair = f"{instrument} ({instrument.base}/{instrument.quote})"
    lines = [f"{pair}: {_words(instrument.status)}, venue {state.venue_state}, book {_standing(book)}"]
    if trade is not None:
        what = f"{trade.aggressor} {_text(trade.quantity)} at {_text(trade.price)}"
        lines.append(f"last trade: {what}, {moment(trade.ts_event)} UTC, {ms(trade.age_ns)} ago")
    depth = max(len(book.bids), len(book.asks))
    if depth:
        heads = [f">bid {instrument.base}", f">bid {instrument.quote}", f">ask {instrument.quote}"]
        rows = [[*reversed(_level(book.bids, at)), *_level(book.asks, at)] for at in range(depth)]
        lines.append(table([*heads, f">ask {instrument.base}"], rows))
    return "\n".join(lines)


def tops_text(books: list[CachedBook]) -> str:
    """The best bid and ask of every instrument."""
    if not books:
        return "no instruments"
    heads = ["instrument", "book", ">quantity", ">bid", ">ask", ">quantity"]
    rows = [
        [str(book.instrument), _standing(book), *reversed(_level(book.bids, 0)), *_level(book.asks, 0)]
        for book in books
    ]
    return table(heads, rows)


def _standing(book: CachedBook) -> str:
    why = f" ({_words(book.reason)})" if book.reason else ""
    age = f", {ms(book.age_ns)} old" if book.is_valid and book.age_ns is not None else ""
    return f"{_words(book.state)}{why}{age}"


def _level(levels: Any, at: int) -> list[str]:  # noqa: ANN401  # a numpy array of shape (n, 2)
    return list(map(_text, levels[at].tolist())) if at < len(levels) else [ABSENT, ABSENT]


def _text(units: int) -> str:
    from py_rt.bridge.vocabulary import decimal

    return exact(decimal(units))


def _words(name: str) -> str:
    return name.replace("_", " ")
