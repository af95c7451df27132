"""`py_rt book PAIR --consolidated`: all venues of a pair as one market, out of a service's shared memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from py_rt.cli.service_door import Answer, AskedWronglyError
from py_rt.cli.service_text import ABSENT, exact, moment, ms, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from py_rt.bridge.market_cache import CachedInstrument, Consolidated, MarketDataCache, Offer, Standing
    from py_rt.bridge.services import Service

MAX_AGE_MS = 5_000
"""How old a book may be unless it is said: as the shipped policy has it for what is traded on (`max_data_age_ms`)."""


def consolidated_answer(service: Service, pair: str, *, with_fees: bool, max_age_ms: int) -> Answer:
    """What all venues of a pair offer now.

    Raises:
        AskedWronglyError: it is no pair, nothing here is of it, or a venue's fee is asked for and not known.
    """
    from py_rt.bridge.market_cache import SEGMENTS_SOCKET, MarketDataCache

    base, quote = _sides(pair)
    facts = {"instance": service.instance, "run_id": service.run_id, "epoch": service.epoch}
    with MarketDataCache(service.folder / SEGMENTS_SOCKET) as cache:
        known = cache.instruments()
        members = [one for one in known if (one.base, one.quote) == (base, quote)]
        if not members:
            raise AskedWronglyError(_nothing(pair, known))
        fees = _fees(service, members) if with_fees else None
        market = cache.consolidated(base, quote, max_age_ms=max_age_ms, taker_bps=fees)
        reasons = {standing.instrument.index: _reason(cache, standing) for standing in market.standings}
    untold = [str(one) for one in known if one.is_untold]
    told = [_standing_facts(standing, reasons, fees) for standing in market.standings]
    return Answer(
        {
            **facts,
            "pair": pair,
            "now": market.now,
            "after_fees": with_fees,
            "max_age_ms": max_age_ms,
            "best_bid": _offer_facts(market.best_bid),
            "best_ask": _offer_facts(market.best_ask),
            "bids": [_offer_facts(offer) for offer in market.bids],
            "asks": [_offer_facts(offer) for offer in market.asks],
            "venues": told,
            "untold": untold,
        },
        _text(pair, market, told, untold, with_fees=with_fees),
    )


def _sides(pair: str) -> tuple[str, str]:
    base, _, quote = pair.partition("/")
    if not base or not quote or "/" in quote:
        raise AskedWronglyError(f"{pair or 'nothing'} is no pair: --consolidated wants BASE/QUOTE, such as BTC/USD")
    return base, quote


def _nothing(pair: str, known: Sequence[CachedInstrument]) -> str:
    pairs = sorted({f"{one.base}/{one.quote}" for one in known if not one.is_untold})
    untold = [str(one) for one in known if one.is_untold]
    more = f"; not heard of yet: {', '.join(untold)}" if untold else ""
    return f"nothing here is {pair}: there are {', '.join(pairs) or 'no pairs'}{more}"


def _fees(service: Service, members: Sequence[CachedInstrument]) -> dict[str, str]:
    known = {venue.venue: venue.taker_bps for venue in service.venues if venue.taker_bps is not None}
    missing = sorted({member.venue for member in members} - known.keys())
    if missing:
        raise AskedWronglyError(
            f"what {' and '.join(missing)} takes is not known: set taker_bps in [venue] and in each [[watch]] of the "
            "service's file and start it again, or ask without --fees"
        )
    return known


def _reason(cache: MarketDataCache, standing: Standing) -> str | None:
    """Why a book does not stand, as far as the service knows."""
    if standing.standing != "invalid":
        return None
    state = cache.state(standing.instrument.index)
    return state.book_reason or state.book_state


def _offer_facts(offer: Offer | None) -> dict[str, Any] | None:
    if offer is None:
        return None
    return {
        "venue": offer.instrument.venue,
        "instrument": str(offer.instrument),
        "price": _decimal(offer.price),
        "net_price": _decimal(offer.net_price),
        "quantity": _decimal(offer.quantity),
    }


def _standing_facts(
    standing: Standing, reasons: Mapping[int, str | None], fees: Mapping[str, str] | None
) -> dict[str, Any]:
    instrument = standing.instrument
    return {
        "venue": instrument.venue,
        "instrument": str(instrument),
        "standing": standing.standing,
        "reason": reasons[instrument.index],
        "age_ns": standing.age_ns,
        "taker_bps": None if fees is None else fees[instrument.venue],
    }


def _text(
    pair: str, market: Consolidated, told: Sequence[Mapping[str, Any]], untold: Sequence[str], *, with_fees: bool
) -> str:
    taken = sum(standing.standing == "taken" for standing in market.standings)
    prices = "after fees" if with_fees else "the venues' own"
    lines = [
        f"{pair} at {taken} of {len(told)} venues, prices {prices}, {moment(market.now)} UTC",
        *map(_standing_text, told),
        *(f"{name}: its venue has told nothing of it yet" for name in untold),
        f"best bid {_best_text(market.best_bid)}, best ask {_best_text(market.best_ask)}",
    ]
    if market.bids or market.asks:
        base, quote = pair.split("/")
        heads = ["bid at", f">{base}", f">{quote}", f">{quote}", f">{base}", "ask at"]
        depth = max(len(market.bids), len(market.asks))
        rows = [[*reversed(_row(market.bids, at)), *_row(market.asks, at)] for at in range(depth)]
        lines.append(table(heads, rows))
    return "\n".join(lines)


def _standing_text(told: Mapping[str, Any]) -> str:
    age = "" if told["age_ns"] is None else f", {ms(told['age_ns'])} old"
    fee = "" if told["taker_bps"] is None else f", takes {told['taker_bps']} bps"
    if told["standing"] == "taken":
        return f"{told['instrument']}: taken{age}{fee}"
    why = f" ({told['reason'].replace('_', ' ')})" if told["reason"] else ""
    return f"{told['instrument']}: dropped, {told['standing']}{why}{age}{fee}"


def _best_text(offer: Offer | None) -> str:
    return "nobody's" if offer is None else f"{_decimal(offer.net_price)} at {offer.instrument.venue}"


def _row(offers: Sequence[Offer], at: int) -> list[str]:
    """Price, quantity, venue."""
    if at >= len(offers):
        return [ABSENT] * 3
    offer = offers[at]
    return [_decimal(offer.net_price), _decimal(offer.quantity), offer.instrument.venue]


def _decimal(units: int) -> str:
    from py_rt.bridge.vocabulary import decimal

    return exact(decimal(units))
