"""What the figures are held against. A missed mark is printed; it fails nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benches.figures import Row


class Verdict(Enum):
    """How a row stands to a mark."""

    MET = "met"
    MISSED = "missed"
    UNKNOWN = "not measured"


@dataclass(frozen=True)
class Mark:
    """A bound for one figure of one row.

    `figure` is `p50`, `p99`, `ratio`, `tail` (p99 over p50), `millions per second` (of a figure in nanoseconds), or the
    name of a fact. Medians of the rounds are compared, of facts the largest.
    """

    row: str
    figure: str
    bound: float
    unit: str
    at_least: bool = False

    def value(self, row: Row) -> float | None:
        """The figure, if the row has it."""
        if self.figure == "p50":
            return row.p50.middle
        if self.figure == "p99":
            return row.p99.middle
        if self.figure == "ratio":
            return None if row.ratio is None else row.ratio.middle
        if self.figure == "tail":
            return row.p99.middle / row.p50.middle
        if self.figure == "millions per second":
            return 1_000.0 / row.p50.middle
        fact = row.fact(self.figure)
        return fact if isinstance(fact, float) else None

    def verdict(self, row: Row | None) -> Verdict:
        """Whether the row is within the bound."""
        value = None if row is None else self.value(row)
        if value is None:
            return Verdict.UNKNOWN
        within = value >= self.bound if self.at_least else value <= self.bound
        return Verdict.MET if within else Verdict.MISSED

    def sentence(self, row: Row | None) -> str:
        """The mark, the figure and the verdict in one line.

        >>> Mark("decision", "p50", 10_000, "ns").sentence(None)
        'decision: p50 at most 10,000 ns: not measured'
        """
        value = None if row is None else self.value(row)
        measured = "" if value is None else f"{number(value)} {self.unit}".rstrip() + ", "
        words = "at least" if self.at_least else "at most"
        figure = self.figure.replace("_", " ")
        wanted = f"{words} {number(self.bound)} {self.unit}".rstrip()
        return f"{self.row}: {figure} {wanted}: {measured}{self.verdict(row).value}"


def number(value: float) -> str:
    """Three or four digits that matter, thousands grouped.

    >>> [number(value) for value in (0.0, 0.0712, 1.5, 13.04, 213.0, 9_900.4)]
    ['0', '0.071', '1.50', '13.0', '213', '9,900']
    """
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"


# Times in nanoseconds; a ratio has no unit.
MARKS: tuple[Mark, ...] = (
    Mark("decision", "p50", 10_000, "ns"),
    Mark("decision", "allocations", 0, ""),
    Mark("decision_without_journal", "tail", 1.3, ""),
    Mark("backtest", "millions per second", 3, "M quotes per CPU second", at_least=True),
    Mark("backtest", "peak_memory_mb", 300, "MB"),
    Mark("inference", "ratio", 1, ""),
    Mark("inference", "ratio_without_the_call", 1, ""),
    Mark("book_update", "ratio", 0.12, ""),
    Mark("best_price", "p50", 2, "ns"),
    *(
        Mark(f"message_to_book_{venue}", figure, bound, "ns")
        for venue in ("binance", "coinbase", "kraken")
        for figure, bound in (("p50", 1_000), ("p99", 3_000))
    ),
    Mark("three_venues", "millions per second", 0.3, "M messages per second", at_least=True),
    Mark("three_venues", "allocations", 0, ""),
    Mark("sockets", "messages_a_second", 100_000, "messages", at_least=True),
    Mark("sockets", "memory_growth_mb", 8, "MB"),
    Mark("consolidated_update", "ratio", 0.5, ""),
    Mark("parse_depth", "ratio", 3, ""),
    Mark("parse_coinbase", "ratio", 5, ""),
    Mark("parse_kraken", "ratio", 5, ""),
    Mark("orders_add_cancel", "ratio", 1, ""),
    *(Mark(f"round_trip_{way}blocking", "ratio", 1.1, "") for way in ("", "tls_")),
    *(Mark(f"round_trip_{way}spinning", "ratio", 1.25, "") for way in ("", "tls_")),
    Mark("gateway_orders", "orders_a_second", 990, "orders", at_least=True),
    Mark("gateway_orders", "not_accepted", 0, "orders"),
    Mark("fill_to_python", "p99", 100_000, "ns"),
    *(
        Mark(f"columns_{name}", "ratio", 1, "")
        for name in ("sma", "ema", "rsi", "macd", "atr", "bbands", "adx", "five")
    ),
    Mark("columns_shared_set", "ratio", 0.2, ""),
    Mark("expressions_per_bar", "p50", 1_000, "ns"),
    Mark("ring_publish", "ratio", 1, ""),
    Mark("ring_one_way", "ratio", 1.3, ""),
)


def marks_of(row: str) -> Sequence[Mark]:
    """The marks that a row has."""
    return [mark for mark in MARKS if mark.row == row]
