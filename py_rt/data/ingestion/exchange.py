"""Candles and trades of any exchange that ccxt knows (`kind = "ccxt"`), day by day.

==================== ===============================================================================================
`exchange`           ccxt's name of it, such as `binance`
`symbol`             ccxt's name of the instrument, such as `BTC/USDT`
`data`               `candles` (default) or `trades`
`timeframe`          of candles, such as `15m`
`limit`              rows of one page; 500
`settings`           a table given to ccxt as it stands (`options`, `urls`, ...); nothing secret
`attempts`, `wait_max_s`, `timeout_s`, `requests_per_second`: see `http_client.HttpLimits`
==================== ===============================================================================================

Without `[[column]]` the columns are :data:`CANDLES` or :data:`TRADES`. What is kept of a page is what ccxt makes of it,
every number as the text that the exchange wrote; `side` is that of the order that took, at Coinbase too, where ccxt
gives the maker's. A day's candles are those that open in it, a day's trades those that happened in it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from py_rt.data.ingestion.columns import Mapped, read_columns
from py_rt.data.ingestion.definition import Definition, Option, fault_of, read_options
from py_rt.data.ingestion.http_client import PACE
from py_rt.data.ingestion.rest import LIMIT_OPTIONS
from py_rt.data.ingestion.retries import tries
from py_rt.data.ingestion.source import PAYLOADS_MAX, Payload, SourceTable, day_of
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    import polars as pl

OPTIONS = {
    "exchange": Option(str),
    "symbol": Option(str),
    "data": Option(str, "candles", ("candles", "trades")),
    "timeframe": Option(str, "15m"),
    "limit": Option(int, 500, bounds=(1, 1_000_000)),
    "settings": Option(dict, {}),
    "attempts": LIMIT_OPTIONS["attempts"],
    "wait_max_s": replace(LIMIT_OPTIONS["wait_max_s"], default=30.0),
    "timeout_s": LIMIT_OPTIONS["timeout_s"],
    "requests_per_second": replace(LIMIT_OPTIONS["requests_per_second"], default=5.0),
}

CANDLES = (
    Mapped("ts_open", "0", "time", "start of the bar, UTC ns"),
    *(Mapped(name, f"{at}", "decimal", f"{name} price") for at, name in enumerate(("open", "high", "low", "close"), 1)),
    Mapped("volume", "5", "decimal", "traded base quantity", nullable=True),
)
TRADES = (
    Mapped("trade_id", "id", "text", "the exchange's number of the trade"),
    Mapped("ts_event", "timestamp", "time", "the exchange's time of the trade, UTC ns"),
    Mapped("side", "side", "text", "whose order took: buy or sell", nullable=True),
    Mapped("price", "price", "decimal", "price"),
    Mapped("quantity", "amount", "decimal", "traded base quantity"),
)

EMPTY_STEP_BARS = 100
WINDOW_ROWS_MAX = 1_000
"""Most rows of a page where an exchange is asked for a time with an end; Coinbase gives no more at once."""

MS_PER_SECOND = 1_000
END_OF_TIME = 2**63 - 1

_TRADE_MEMBERS = ("id", "timestamp", "side", "price", "amount")


@dataclass(frozen=True)
class CcxtSource:
    """One instrument of one exchange."""

    table: SourceTable
    mapped: tuple[Mapped, ...]
    values: dict[str, Any] = field(repr=False)
    _open: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def make(cls, definition: Definition) -> CcxtSource:
        """Make the source that a file defines.

        Raises:
            DefinitionError: an option is missing, unknown or not allowed, or ccxt does not know the exchange.
        """
        import ccxt

        values = read_options(definition, OPTIONS)
        if values["exchange"] not in ccxt.exchanges:
            raise fault_of(definition, "exchange", f"ccxt knows no {values['exchange']!r}")
        if definition.table.partitioning != "day":
            raise fault_of(definition, "partition", 'is by days: say partition = "day"')
        secret = sorted({"apiKey", "secret", "password", "token", "privateKey"} & set(values["settings"]))
        if secret:
            raise fault_of(definition, "settings", f"holds {', '.join(secret)}: public data needs no key")
        return cls(definition.table, definition.mapped, values)

    def fetch(self, partition: str, after: str | None = None) -> Iterator[Payload]:  # noqa: ARG002  # cut by days
        """Ask for a day, page by page, from the last row of the page before on.

        Raises:
            SourceError: the exchange refuses or cannot be reached, or paging does not go on.
        """
        day = datetime.combine(day_of(self.table.name, partition), time.min, UTC)
        begin, end = _ms(day), _ms(day + timedelta(days=1))
        seen = set[str]()
        for number, page in enumerate(self._pages(begin, end, partition, seen), 1):
            within = {_name(row): row for row in page if begin <= _at(row) < end and _name(row) not in seen}
            seen |= {_name(row) for row in page}
            if within:
                rows = sorted(within.values(), key=_at)  # the newest come first at some
                content = json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode()
                yield Payload(f"page-{number:05}", content, f"ccxt:{self.values['exchange']}", "application/json")

    def _pages(self, begin: int, end: int, partition: str, seen: AbstractSet[str]) -> Iterator[list[Any]]:
        """Pages until the day is over; what is new of them is told by `seen`, which the caller fills in between."""
        import ccxt

        since = begin
        for number in range(1, PAYLOADS_MAX + 1):
            try:
                page = self._page(since, f"{partition}/page-{number:05}")
            except ccxt.ArgumentsRequired:
                if number > 1:
                    raise
                yield from self._windows(begin, end, partition)
                return
            is_new = any(_name(row) not in seen for row in page)
            yield page
            if page and max(map(_at, page)) >= end:
                return
            since = self._following(since, page, partition, is_new=is_new)
            if since >= end:
                return
        raise self._too_many(partition)

    def _windows(self, begin: int, end: int, partition: str) -> Iterator[list[Any]]:
        """Pages of an exchange that wants to be told an end: of so short a time each that a page holds all of it.

        Such an exchange gives the newest of a time, or the oldest: a full page does not say where the rest is.
        """
        since, span = begin, end - begin
        for number in range(1, PAYLOADS_MAX + 1):
            until = min(since + span, end)
            page = self._page(since, f"{partition}/page-{number:05}", until)
            if len(page) < self._window_rows:
                yield page
                since, span = until, 2 * span
                if since >= end:
                    return
            elif span <= MS_PER_SECOND:
                problem = f"has {len(page)} trades or more within one second; raise limit, up to {WINDOW_ROWS_MAX}"
                raise SourceError(self.table.name, partition, None, problem)
            else:  # some exchanges count whole seconds
                span = max(span // 2 // MS_PER_SECOND, 1) * MS_PER_SECOND
        raise self._too_many(partition)

    @property
    def _window_rows(self) -> int:
        return min(int(self.values["limit"]), WINDOW_ROWS_MAX)

    def _too_many(self, partition: str) -> SourceError:
        return SourceError(self.table.name, partition, None, f"has more than {PAYLOADS_MAX} pages; raise limit")

    def _following(self, since: int, page: list[Any], partition: str, *, is_new: bool) -> int:
        """Where the next page begins. An exchange may give fewer rows than asked for: only what is new goes on."""
        if is_new:
            return max(map(_at, page))
        if self.values["data"] == "candles":
            # A hole longer than a page: step over it, by fewer bars than any exchange gives at once.
            return since + EMPTY_STEP_BARS * int(self._exchange().parse_timeframe(self.values["timeframe"])) * 1_000
        if len(page) >= self.values["limit"]:
            problem = f"has {len(page)} trades or more within one millisecond; raise limit"
            raise SourceError(self.table.name, partition, None, problem)
        return END_OF_TIME

    def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
        """The rows of a page.

        Raises:
            SourceError: a value is not of its type.
        """
        records = json.loads(payload.content)
        return read_columns(self.table.name, f"{partition}/{payload.name}", records, self.mapped)

    def _page(self, since: int, place: str, until: int | None = None) -> list[Any]:
        """A page from a time on, in ms.

        Raises:
            SourceError: the exchange refuses or cannot be reached.
            ccxt.ArgumentsRequired: it wants to be told an end.
        """
        import ccxt

        exchange, values = self._exchange(), self.values
        try:
            for attempt in tries(_may_pass, values["attempts"], float(values["wait_max_s"])):
                with attempt:
                    PACE.wait(f"ccxt:{values['exchange']}", float(values["requests_per_second"]))
                    if values["data"] == "candles":
                        found = exchange.fetch_ohlcv(values["symbol"], values["timeframe"], since, values["limit"])
                    else:
                        # From 1 ms before: some exchanges (Kraken) give what is behind the time.
                        asked = (values["limit"], {}) if until is None else (self._window_rows, {"until": until})
                        trades = exchange.fetch_trades(values["symbol"], since - 1, *asked)
                        found = [_trade(values["exchange"], trade) for trade in trades]
        except ccxt.BaseError as error:
            if until is None and isinstance(error, ccxt.ArgumentsRequired) and "until" in str(error):
                raise
            words = " ".join(str(error).split())[:500]
            problem = f"{values['exchange']} cannot give it ({type(error).__name__}): {words}"
            raise SourceError(self.table.name, place, None, problem) from error
        return list(found)

    def _exchange(self) -> Any:  # noqa: ANN401  # ccxt is untyped
        """One for all requests: it reads the exchange's markets first."""
        import ccxt

        if "exchange" not in self._open:
            settings = {"enableRateLimit": False, "timeout": int(self.values["timeout_s"] * 1_000)}
            exchange = getattr(ccxt, self.values["exchange"])({**settings, **self.values["settings"]})
            exchange.number = str  # no price passes through a float
            self._open["exchange"] = exchange
        return self._open["exchange"]


_TAKERS = {"buy": "sell", "sell": "buy"}
_NAMES_THE_MAKER = frozenset({"coinbase", "coinbaseadvanced"})
"""Exchanges whose side of a trade is that of the order that rested, and that ccxt gives as it stands."""


def _trade(exchange: str, trade: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a trade; its side is that of the order that took."""
    kept = {name: trade.get(name) for name in _TRADE_MEMBERS}
    if exchange in _NAMES_THE_MAKER:
        kept["side"] = _TAKERS.get(str(kept["side"]))
    return kept


def _may_pass(error: Exception) -> bool:
    import ccxt

    return isinstance(error, ccxt.NetworkError)


def _at(row: Any) -> int:  # noqa: ANN401  # a list or a mapping
    return int(row[0] if isinstance(row, list) else row["timestamp"])


def _name(row: Any) -> str:  # noqa: ANN401  # a list or a mapping
    return str(row[0] if isinstance(row, list) else row["id"])


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000
