"""Which column is what: bars come under many names.

A name is compared without case, spaces, dots, dashes and underscores, so that `Adj Close`, `adj_close` and
`AdjClose` are one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

PRICES = ("open", "high", "low", "close")
"""Roles of the four prices, in their usual order."""

NUMBERS = (*PRICES, "adj_close", "volume", "quote_volume", "dividend", "split", "capital_gain")
"""Roles whose cells are numbers."""

NAMES: dict[str, tuple[str, ...]] = {
    "time": (
        *("datetime", "date", "timestamp", "time", "tsopen", "opentime", "tsevent", "ts", "day", "week", "bartime"),
        *("begin", "starttime", "start", "unixtime", "gmttime", "utctime", "localtime", "index", "unnamed0", ""),
    ),
    "open": ("open", "openprice", "o", "opening", "priceopen"),
    "high": ("high", "highprice", "h", "max", "pricehigh"),
    "low": ("low", "lowprice", "l", "min", "pricelow"),
    "close": ("close", "closeprice", "c", "closing", "last", "price", "priceclose", "closelast"),
    "adj_close": ("adjclose", "adjustedclose", "adjcloseprice", "closeadj", "closeadjusted", "adjustedcloseprice"),
    "volume": ("volume", "vol", "v", "volumebase", "basevolume", "totalvolume", "tradedvolume"),
    "quote_volume": ("quotevolume", "volumequote", "volumeusd", "volumeusdt", "quoteassetvolume", "turnover"),
    "dividend": ("dividends", "dividend", "divcash", "dividendamount", "cashdividend", "div"),
    "split": ("stocksplits", "stocksplit", "splits", "split", "splitratio", "splitfactor", "splitcoefficient"),
    "capital_gain": ("capitalgains", "capitalgain"),
}
"""Usual names of each role, the likelier first."""

REQUIRED = ("time", "close")


def plain(name: str) -> str:
    """A column's name as it is compared.

    >>> plain("Adj Close"), plain("adj_close"), plain("Capital Gains")
    ('adjclose', 'adjclose', 'capitalgains')
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())


def find_roles(header: Sequence[str], source: str) -> dict[str, int]:
    """The place of each role's column.

    Args:
        header: names of the columns.
        source: name of the file, for messages.

    Returns:
        Role to index in `header`; a role without a column is absent.

    Raises:
        SourceError: there is no column of times or none of closes.

    >>> find_roles(["Date", "Open", "Close", "Adj Close"], "bars.csv")
    {'time': 0, 'open': 1, 'close': 2, 'adj_close': 3}
    """
    names = [plain(name) for name in header]
    roles: dict[str, int] = {}
    for role, usual in NAMES.items():
        for name in usual:
            if name in names and names.index(name) not in roles.values():
                roles[role] = names.index(name)
                break
    missing = [role for role in REQUIRED if role not in roles]
    if missing:
        allowed = "; ".join(f"{role}: {', '.join(NAMES[role][:6])}" for role in missing)
        problem = (
            f"has no column for {' and '.join(missing)} among {', '.join(map(repr, header))}; usual names are "
            f"{allowed} (case, spaces and underscores do not matter): rename the column"
        )
        raise SourceError("bars", source, 1, problem)
    return roles
