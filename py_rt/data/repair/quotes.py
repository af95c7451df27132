"""Quotes of both sides in one row: a bid above its ask.

`crossed_quotes`: nobody offers to pay more than is asked for, so that one of the two is wrong, or the sides were
swapped. Which, the row does not prove: it is quarantined. Of a bar of quotes that holds where every bid is above its
ask; where one is, a market of several venues may have crossed for a moment, and the row is flagged. A side of zero or
without a number is no quote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from py_rt.data.bar_columns import plain
from py_rt.data.bar_numbers import with_decimal_point
from py_rt.data.repair.sheet import as_number

if TYPE_CHECKING:
    from py_rt.data.repair.sheet import Numbers, Sheet

RULE = "crossed_quotes"

PRICE_ROUNDING = 1e-6
"""Relative size by which a bid may lie above its ask in a file that rounds binary fractions."""

_ENDS = ("", "open", "high", "low", "close", "price", "px")
_ASKS = ("ask", "offer")


def pairs_of(header: list[str]) -> list[tuple[int, int]]:
    """Places of the columns of a bid and of its ask.

    >>> pairs_of(["time", "bid_close", "ask_close", "Bid", "bid size", "ask size", "Ask"])
    [(3, 6), (1, 2)]
    """
    names = {plain(name): place for place, name in reversed(list(enumerate(header)))}
    sides = [(f"bid{end}", f"{ask}{end}") for end in _ENDS for ask in _ASKS]
    return [(names[bid], names[ask]) for bid, ask in sides if bid in names and ask in names]


def find_crossed(sheet: Sheet) -> None:
    """Set aside, or point at, rows in which a bid is above its ask."""
    pairs = pairs_of(sheet.bars.header)
    crossed: dict[int, dict[str, float]] = {}
    quoted, above = np.zeros(sheet.height, dtype=int), np.zeros(sheet.height, dtype=int)
    for bid_at, ask_at in pairs:
        bid, ask = _numbers(sheet, bid_at), _numbers(sheet, ask_at)
        is_above = (ask > 0) & np.isfinite(bid) & (bid > ask * (1 + PRICE_ROUNDING))
        quoted += (ask > 0) & (bid > 0)
        above += is_above
        for place in np.flatnonzero(is_above):
            seen = crossed.setdefault(int(place), {})
            for column, side in ((bid_at, bid), (ask_at, ask)):
                seen[sheet.bars.header[column]] = float(side[place])
    roles = {place: role for role, place in sheet.bars.roles.items() if role in sheet.values}
    wrong = tuple(roles[place] for pair in pairs for place in pair if place in roles)
    for at, seen in sorted(crossed.items()):
        act = sheet.quarantine if above[at] == quoted[at] else sheet.flag
        act(RULE, at, wrong, seen)


def _numbers(sheet: Sheet, at: int) -> Numbers:
    """A column that may have no role, as numbers; NaN where the cell is none."""
    texts = [sheet.bars.cells[int(row)][at].strip() for row in sheet.rows]
    if sheet.bars.has_decimal_comma:
        texts = [with_decimal_point(text) for text in texts]
    role = next((role for role, place in sheet.bars.roles.items() if place == at and role in sheet.values), None)
    return sheet.values[role] if role else np.array([as_number(text) for text in texts])
