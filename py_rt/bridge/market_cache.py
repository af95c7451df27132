"""What a running service knows now of each instrument: its book, its last trade, its venue; and venues as one market.

The service replaces an entry whenever something changes and waits for nobody; what is read here is whole and of one
moment. A book that must not be believed shows no levels. Ages are in service time, which runs faster than the wall's
where it is compressed, and go on when the service is gone. Prices and quantities stay the integers that they are, in
units of 1e-8.

    with MarketDataCache(run / "segments.sock") as cache:
        book = cache.book("BTCUSDT")
        if book.is_fresh(max_age_ms=50):
            print(book.bids[0], book.asks[0])
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import polars as pl
import py_rt_core

from py_rt.bridge.vocabulary import to_units
from py_rt.errors import BridgeError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from decimal import Decimal
    from os import PathLike
    from types import TracebackType

    import numpy as np
    import numpy.typing as npt

    Levels = npt.NDArray[np.int64]
    Row = np.void

MARKET_CACHE = "market_cache"
"""The segment's name."""

SEGMENTS_SOCKET = "segments.sock"
"""Where a service hands its shared memory out, in its run folder."""

UNTOLD = "UNTOLD"
"""What stands as base and quote of an instrument of which its venue has told nothing yet."""

FOLLOW_EVERY_MS = 250
"""Least time between two questions whether a service that is gone has come back."""

NS_PER_MS = 1_000_000

_CODES: Mapping[str, tuple[str, ...]] = {field: tuple(names) for field, names in py_rt_core.market_cache_codes()}


class MarketCacheError(BridgeError):
    """A market cache that cannot be attached or read, or that holds what no service leaves in it."""


class UnknownInstrumentError(MarketCacheError):
    """An instrument that the service does not have, or that several venues have; the message names all."""


@dataclass(frozen=True)
class CachedInstrument:
    """What an instrument is.

    Attributes:
        index: in this service.
        venue: where it trades.
        symbol: the venue's own.
        base: what is bought; `UNTOLD` while the venue of a watched instrument has told nothing.
        quote: what is paid, alike.
        status: `trading`, `cancel_only`, `halted`, or `unknown`, which is not tradable.
        tick_size: smallest price step, units of 1e-8; 0 where the venue has none.
        lot_size: smallest quantity step, alike.
    """

    index: int
    venue: str
    symbol: str
    base: str
    quote: str
    status: str
    tick_size: int
    lot_size: int

    @property
    def is_untold(self) -> bool:
        """Whether its venue has told nothing of it yet: what it buys and pays is not known then."""
        return (self.base, self.quote) == (UNTOLD, UNTOLD)

    def __str__(self) -> str:
        """Venue and symbol, such as `binance/BTCUSDT`."""
        return f"{self.venue}/{self.symbol}"


@dataclass(frozen=True, eq=False)
class CachedBook:
    """The best levels of a book at one moment.

    Attributes:
        instrument: whose.
        state: `absent` (nothing heard yet), `valid`, `top_only` (a quote, where no book has come), `invalid`.
        reason: why it is invalid: `gap`, `disconnected`, `crossed`, `best_level_mismatch`, `stale`, `malformed`,
            `checksum`; else None.
        bids: shape (n, 2): price and quantity, best first, at most ten; none unless the book is to be believed.
        asks: alike.
        ts_event: venue time of the data that were taken last, of an invalid book too; ns UTC.
        ts_received: when the service received them.
        update_id: the venue's number of the book, 0 where it sends none.
        age_ns: service time since the data were received, or made where that is longer; None where none came.
        version: grows with every change of the entry.
        epoch: the service's life.
        writer_alive: whether the service was at work.
    """

    instrument: CachedInstrument
    state: str
    reason: str | None
    bids: Levels
    asks: Levels
    ts_event: int
    ts_received: int
    update_id: int
    age_ns: int | None
    version: int
    epoch: int
    writer_alive: bool

    @property
    def is_valid(self) -> bool:
        """Whether the levels may be believed, as far as the service knew."""
        return self.state in {"valid", "top_only"}

    def is_fresh(self, max_age_ms: int) -> bool:
        """Whether the levels may be believed and are no older than `max_age_ms`, service time."""
        return self.is_valid and self.age_ns is not None and self.age_ns <= max_age_ms * NS_PER_MS

    def frame(self) -> pl.DataFrame:
        """The levels as rows: `side`, `level` (0 is the best), `price`, `quantity`."""
        sides = {"bid": self.bids, "ask": self.asks}
        return pl.DataFrame(
            [(side, at, *map(int, level)) for side, levels in sides.items() for at, level in enumerate(levels)],
            schema={"side": pl.String, "level": pl.Int64, "price": pl.Int64, "quantity": pl.Int64},
            orient="row",
        )


@dataclass(frozen=True)
class CachedTrade:
    """The last public trade of an instrument.

    Attributes:
        instrument: whose.
        trade_id: the venue's number of it.
        price: units of 1e-8.
        quantity: units of 1e-8 base.
        aggressor: `buy` or `sell`, the side that took.
        ts_event: venue time, ns UTC.
        ts_received: when the service received it.
        age_ns: service time since then, or since it was made where that is longer.
    """

    instrument: CachedInstrument
    trade_id: int
    price: int
    quantity: int
    aggressor: str
    ts_event: int
    ts_received: int
    age_ns: int


@dataclass(frozen=True)
class CacheState:
    """How an instrument, its venue and the service stand.

    Attributes:
        instrument: with its status.
        venue_state: `online`, `offline`, or `unheard` before the first word of it.
        ts_venue: when that was learned, service time; 0 before.
        book_state: as in `CachedBook.state`.
        book_reason: as in `CachedBook.reason`.
        book_age_ns: as in `CachedBook.age_ns`.
        epoch: the service's life.
        writer_alive: whether the service is at work.
        silent_ns: wall time since its last sign of life.
    """

    instrument: CachedInstrument
    venue_state: str
    ts_venue: int
    book_state: str
    book_reason: str | None
    book_age_ns: int | None
    epoch: int
    writer_alive: bool
    silent_ns: int


@dataclass(frozen=True)
class Offer:
    """One level of one venue in a consolidated market: prices and quantity in units of 1e-8.

    `net_price` is what a taker pays or gets with the venue's fee in it, rounded against us; without fees, the price.
    """

    instrument: CachedInstrument
    price: int
    net_price: int
    quantity: int


@dataclass(frozen=True)
class Standing:
    """Whether a venue's book counts: `taken`, `invalid` or `stale`, and its age in service time where it has one."""

    instrument: CachedInstrument
    standing: Literal["taken", "invalid", "stale"]
    age_ns: int | None


@dataclass(frozen=True)
class Consolidated:
    """One pair at several venues at one moment.

    Attributes:
        now: that moment, service time, ns UTC.
        bids: what may be sold to, highest first.
        asks: what may be bought, lowest first. The best bid of one venue may stand above the best ask of another.
        standings: every member, whether its book counts or not.
    """

    now: int
    bids: tuple[Offer, ...]
    asks: tuple[Offer, ...]
    standings: tuple[Standing, ...]

    @property
    def best_bid(self) -> Offer | None:
        """The highest bid; None where nobody bids."""
        return next(iter(self.bids), None)

    @property
    def best_ask(self) -> Offer | None:
        """The lowest ask; None where nobody asks."""
        return next(iter(self.asks), None)

    def frame(self) -> pl.DataFrame:
        """Depth by venue: `side`, `venue`, `symbol`, `price`, `net_price`, `quantity`, in the order of the market."""
        sides = {"bid": self.bids, "ask": self.asks}
        whole = pl.Int64
        return pl.DataFrame(
            [
                (side, offer.instrument.venue, offer.instrument.symbol, offer.price, offer.net_price, offer.quantity)
                for side, offers in sides.items()
                for offer in offers
            ],
            schema={
                "side": pl.String,
                "venue": pl.String,
                "symbol": pl.String,
                "price": whole,
                "net_price": whole,
                "quantity": whole,
            },
            orient="row",
        )


class MarketDataCache:
    """Reads the market data cache of a running service, and goes on reading when the service is started again.

    Reading looks after a restart by itself, at most every `FOLLOW_EVERY_MS`; while the service is gone, what it left
    is given, with `writer_alive=False` and its age. A service that hangs may hold such a look up for a second.
    Instruments are named by index, by symbol, or by venue and symbol (`binance/BTCUSDT`, `binance:BTCUSDT`).

    Args:
        socket_path: the socket in the run's folder.
        name: the cache's name.

    Raises:
        MarketCacheError: nobody serves the socket, the cache is not offered, or it has another layout than this
            package.
    """

    def __init__(self, socket_path: str | PathLike[str], name: str = MARKET_CACHE) -> None:
        self._restarts = 0
        self._look_at = 0.0
        with _refusals():
            self._cache = py_rt_core.MarketCacheReader(socket_path, name)
            self._known = self._described()

    def instruments(self) -> list[CachedInstrument]:
        """What the service trades or watches, by index.

        Raises:
            MarketCacheError: as `book`.
        """
        with _refusals():
            self._follow()
            return self._described()

    def book(self, instrument: int | str) -> CachedBook:
        """The best levels of an instrument's book.

        Raises:
            UnknownInstrumentError: there is no such instrument.
            MarketCacheError: there is no whole copy of its entry: its writer died in it.
        """
        described, row, now = self._entry(instrument)
        return CachedBook(
            instrument=described,
            state=_word("state", row),
            reason=_reason(row),
            bids=row["bids"][: row["bid_count"]].copy(),
            asks=row["asks"][: row["ask_count"]].copy(),
            ts_event=int(row["ts_event"]),
            ts_received=int(row["ts_received"]),
            update_id=int(row["update_id"]),
            age_ns=_age(row, now),
            version=int(row["version"]),
            epoch=self._cache.epoch,
            writer_alive=self._cache.writer_alive,
        )

    def last_trade(self, instrument: int | str) -> CachedTrade | None:
        """The last public trade of an instrument; None before the first of this life.

        Raises:
            MarketCacheError: as `book`.
        """
        described, row, now = self._entry(instrument)
        if _word("aggressor", row) == "none":
            return None
        return CachedTrade(
            instrument=described,
            trade_id=int(row["trade_id"]),
            price=int(row["price"]),
            quantity=int(row["quantity"]),
            aggressor=_word("aggressor", row),
            ts_event=int(row["ts_trade"]),
            ts_received=int(row["ts_trade_received"]),
            age_ns=_age(row, now, "ts_trade", "ts_trade_received") or 0,
        )

    def state(self, instrument: int | str) -> CacheState:
        """How an instrument, its venue and the service stand.

        Raises:
            MarketCacheError: as `book`.
        """
        described, row, now = self._entry(instrument)
        return CacheState(
            instrument=described,
            venue_state=_word("venue_state", row),
            ts_venue=int(row["ts_venue"]),
            book_state=_word("state", row),
            book_reason=_reason(row),
            book_age_ns=_age(row, now),
            epoch=self._cache.epoch,
            writer_alive=self._cache.writer_alive,
            silent_ns=self._cache.silent_for_ns or 0,
        )

    def consolidated(
        self,
        base: str,
        quote: str,
        *,
        max_age_ms: int,
        taker_bps: Mapping[str, Decimal | int | str] | None = None,
        venues: Collection[str] | None = None,
        now: int | None = None,
    ) -> Consolidated:
        """One pair at several venues, as `engine::market::Consolidated` sees it: that code does the work.

        Args:
            base: what is bought.
            quote: what is paid.
            max_age_ms: a book older than this, service time, does not count.
            taker_bps: what each venue takes of an order that takes, in ten-thousandths, exact to 1e-8 of them; every
                member must be named. Without it the venues' own prices count.
            venues: which; default: every one that has the pair. An asset and a contract on it make no market.
            now: service time, ns UTC; default: this moment.

        Raises:
            MarketCacheError: nothing here is of that pair, a venue's fee is missing, or what is named makes no market.
            MessageError: a fee is not a number of at most eight decimals.
        """
        with _refusals():
            self._follow()
            if any(known.is_untold for known in self._known):
                self._known = self._described()
            members = [
                _instrument(known.index, self._cache.read(known.index)[0])
                for known in self._known
                if (known.base, known.quote) == (base, quote) and (venues is None or known.venue in venues)
            ]
        if not members:
            at = "" if venues is None else f" at {', '.join(sorted(venues))}"
            raise MarketCacheError(f"no instrument here is {base}/{quote}{at}: see instruments()")
        fees = [(member.index, 0 if taker_bps is None else _fee(taker_bps, member.venue)) for member in members]
        with _refusals():
            found = self._cache.consolidated(fees, max_age_ms * NS_PER_MS, taker_bps is not None, now)
        moment, standings, bids, asks = found
        by_index = {member.index: member for member in members}
        return Consolidated(
            now=moment,
            bids=tuple(_offers(by_index, bids)),
            asks=tuple(_offers(by_index, asks)),
            standings=tuple(Standing(by_index[index], word, age) for index, word, age in standings),
        )

    @property
    def epoch(self) -> int:
        """The life of the service whose cache is attached."""
        return self._cache.epoch

    @property
    def writer_alive(self) -> bool:
        """Whether the service is at work."""
        return self._cache.writer_alive

    @property
    def restarts(self) -> int:
        """How often the service came back under this reader."""
        return self._restarts

    def close(self) -> None:
        """Let the cache go; a second time does nothing."""
        self._cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _entry(self, instrument: int | str) -> tuple[CachedInstrument, Row, int]:
        """An instrument, its row, and service time."""
        with _refusals():
            self._follow()
            index = instrument if isinstance(instrument, int) else _index(instrument, self._known)
            if not 0 <= index < len(self._known):
                raise UnknownInstrumentError(
                    f"instrument {index} does not exist: there are 0 to {len(self._known) - 1}"
                )
            row = self._cache.read(index)[0]
            now = self._cache.now()
        # Before the service's first sign of life nothing in it is older than itself.
        return _instrument(index, row), row, int(row["ts_received"]) if now is None else now

    def _described(self) -> list[CachedInstrument]:
        return [_instrument(index, row) for index, row in enumerate(self._cache.snapshot())]

    def _follow(self) -> None:
        """Take a successor's cache, where the service is gone and has come back."""
        if self._cache.writer_alive or time.monotonic() < self._look_at:
            return
        if self._cache.reattach() == "newer":
            self._restarts += 1
            self._known = self._described()
        self._look_at = time.monotonic() + FOLLOW_EVERY_MS / 1000


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the compiled module refuses into this module's error."""
    try:
        yield
    except py_rt_core.CoreError as error:
        raise MarketCacheError(str(error)) from error


def _word(field: str, row: Row) -> str:
    return _CODES[field][int(row[field])]


def _reason(row: Row) -> str | None:
    reason = _word("reason", row)
    return None if reason == "none" else reason


def _age(row: Row, now: int, made: str = "ts_event", received: str = "ts_received") -> int | None:
    """As the engine counts it; None where nothing was received."""
    if row[received] == 0:
        return None
    return max(0, now - int(row[made]), now - int(row[received]))


def _instrument(index: int, row: Row) -> CachedInstrument:
    return CachedInstrument(
        index=index,
        venue=_word("venue", row),
        symbol=row["symbol"].decode(),
        base=row["base"].decode(),
        quote=row["quote"].decode(),
        status=_word("status", row),
        tick_size=int(row["tick_size"]),
        lot_size=int(row["lot_size"]),
    )


def _index(name: str, known: list[CachedInstrument]) -> int:
    venue, _, symbol = name.partition(":")
    found = [
        instrument.index
        for instrument in known
        if name in {instrument.symbol, str(instrument)} or (venue, symbol) == (instrument.venue, instrument.symbol)
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(map(str, known))
    if found:
        raise UnknownInstrumentError(f"{name} trades at {len(found)} venues: say which, of {names}")
    raise UnknownInstrumentError(f"{name} is not here: there are {names}")


def _fee(taker_bps: Mapping[str, Decimal | int | str], venue: str) -> int:
    if venue not in taker_bps:
        raise MarketCacheError(f"taker_bps names no fee of {venue}: a venue without a known fee cannot be compared")
    return to_units(taker_bps[venue], f"taker_bps of {venue}")


def _offers(by_index: Mapping[int, CachedInstrument], rows: Levels) -> Iterator[Offer]:
    for index, price, net_price, quantity in rows.reshape(-1, 4).tolist():
        yield Offer(by_index[index], price, net_price, quantity)
