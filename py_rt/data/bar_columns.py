"""Which column of a file of bars is what: bars come under many names.

A name is compared without case, spaces and punctuation, so that `Adj Close`, `adj_close` and `<AdjClose>` are one. What
a file does not say itself, or says in two ways, is given as :class:`Given`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Literal

from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOURCE = "bars"
"""What messages call a file that a user hands over."""

PRICES = ("open", "high", "low", "close")
"""Roles of the four prices, in their usual order."""

NUMBERS = (*PRICES, "adj_close", "volume", "quote_volume", "dividend", "split", "capital_gain")
"""Roles whose cells are numbers."""

NAMES: dict[str, tuple[str, ...]] = {
    "time": (
        *("tsopen", "opentime", "timestamp", "datetime", "unix", "unixtime", "date", "dateutc", "time", "ts"),
        *("gmttime", "utctime", "localtime", "tsevent", "day", "week", "month", "bartime", "begin", "starttime"),
        *("start", "tradedate", "tradingday", "dt", "windowstart", "t", "datum", "fecha"),
    ),
    "open": (
        *("open", "openprice", "o", "opening", "priceopen", "pxopen", "bidopen", "openprc", "erster", "erffnung"),
        *("erffnungskurs", "apertura"),
    ),
    "high": ("high", "highprice", "h", "max", "pricehigh", "pxhigh", "bidhigh", "askhi", "hoch", "maximo", "mximo"),
    "low": ("low", "lowprice", "l", "min", "pricelow", "pxlow", "bidlow", "bidlo", "tief", "minimo", "mnimo"),
    "close": (
        *("close", "closeprice", "c", "closing", "last", "price", "priceclose", "closelast", "pxlast", "bidclose"),
        *("prc", "schluss", "schlusskurs", "cierre"),
    ),
    "adj_close": ("adjclose", "adjustedclose", "adjcloseprice", "closeadj", "closeadjusted", "adjustedcloseprice"),
    "volume": (
        *("volume", "vol", "v", "basevolume", "volumebase", "volumebtc", "totalvolume", "tradedvolume", "tickvol"),
        *("tickvolume", "volumefrom", "pxvolume", "stck", "stuecke", "volumen"),
    ),
    "quote_volume": (
        *(
            "quotevolume",
            "volumeusd",
            "volumeusdt",
            "quoteassetvolume",
            "volumequote",
            "turnover",
            "volumeto",
            "volumecurrency",
        ),
    ),
    "dividend": ("dividends", "dividend", "divcash", "dividendamount", "cashdividend", "div"),
    "split": ("stocksplits", "stocksplit", "splits", "split", "splitratio", "splitfactor", "splitcoefficient"),
    "capital_gain": ("capitalgains", "capitalgain"),
    "symbol": ("symbol", "ticker", "instrument", "pair", "sym", "name", "asset"),
}
"""Usual names of each role, the likelier first: instants before local times, one column of times before two."""

INDEX_NAMES = ("index", "unnamed0", "")
"""Names of a first column that is the time when no other is."""

LAST_NAMES = ("t", "indexlevel0")
"""Names of a column anywhere that is the time when no other is: Polygon's, and an index that pandas stored unnamed."""

CHANGES = frozenset({"return", "returns", "ret", "logreturn", "change", "changepct", "pctchange", "diff"})
"""Names of columns that hold changes of a price, no prices."""

CLOCK = "clock"
"""Role of a time of the day beside a date of its own."""

SAMPLE_ROWS = 200
"""Rows that are looked at to tell a date from a time of the day."""

_CLOCK = re.compile(r"^[0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?( ?[APap][Mm])?$")
_DIGITS = re.compile(r"^(0|[1-5]?[0-9]|[0-2]?[0-9][0-5][0-9]([0-5][0-9])?)$")
"""A time of the day as 930 or 153000; leading zeros may be lost."""
_TIME_WORDS = re.compile(r"(^|[^a-z])(date|time|datetime|timestamp|day|month)([^a-z]|$)")
_WIDE = re.compile(r"^(?P<who>.+)[:/_. ](?P<what>[A-Za-z]+)$")


@dataclass(frozen=True, slots=True)
class Given:
    """What a file of bars does not say itself.

    Attributes:
        time_zone: IANA name, for times that say none.
        first: whether days like 03/04/2023 begin with the day or with the month; empty where the column must prove it.
        symbol: the instrument, of a file that holds several.
        columns: role to name of its column, where the name is no usual one.
    """

    time_zone: str = "UTC"
    first: Literal["", "day", "month"] = ""
    symbol: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


NOTHING_GIVEN = Given()


_OF_UNIT = {"number": 1.0, "price": 1e8, "quantity": 1e8, "price^2": 1e16}


@cache
def flow_inputs() -> Mapping[str, float]:
    """What features read of a bar beside its prices, volume and time (`bid`, `trades`, ...), and the units of one.

    >>> flow_inputs()["bid"], flow_inputs()["trades"]
    (100000000.0, 1.0)
    """
    import py_rt_core

    others = (*PRICES, "volume", "day_fraction", "week_fraction")
    names = [name for name in py_rt_core.feature_inputs() if name not in others and not name.startswith("reference_")]
    needs = py_rt_core.FeatureProgram(names, {}, []).describe()
    return {name: _OF_UNIT[unit] for name, (unit, *_) in zip(names, needs, strict=True)}


def plain(name: str) -> str:
    """A column's name as it is compared.

    >>> plain("Adj Close"), plain("<OPEN>"), plain("5. volume")
    ('adjclose', 'open', 'volume')
    """
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^\s*[0-9]+\.\s+", "", name.lower()))


def usual_roles(header: Sequence[str], roles: Sequence[str] = tuple(NAMES)) -> dict[str, int]:
    """The place of each role's column, by its usual names alone; a role without one is absent.

    >>> usual_roles(["Date", "Open", "Close", "Adj Close"])
    {'time': 0, 'open': 1, 'close': 2, 'adj_close': 3}
    """
    names = [plain(name) for name in header]
    found: dict[str, int] = {}
    for role in roles:
        for name in NAMES[role]:
            if name in names and names.index(name) not in found.values():
                found[role] = names.index(name)
                break
    return found


def find_roles(
    header: Sequence[str], source: str, rows: Sequence[Sequence[str]] = (), given: Given = NOTHING_GIVEN
) -> dict[str, int]:
    """The place of each role's column.

    Args:
        header: names of the columns.
        source: name of the file, for messages.
        rows: the first rows, which tell a date from a time of the day.
        given: what the file does not say itself.

    Returns:
        Role to index in `header`; a role without a column is absent. Beside the roles of :data:`NAMES`, :data:`CLOCK`.

    Raises:
        SourceError: there is no column of times; a given column is not there; a column that is read stands twice; or
            the columns are those of several instruments and none is given.

    >>> find_roles(["Date", "Time", "Close"], "bars.csv", [["2024-01-02", "09:30", "7"]])
    {'close': 2, 'time': 0, 'clock': 1}
    >>> find_roles(["Microsoft Date", "BTC:close", "ETH:close"], "bars.csv", given=Given(symbol="ETH"))
    {'close': 2, 'time': 0}
    """
    named = _of_instrument(header, given.symbol)
    roles = usual_roles(named, [role for role in NAMES if role != "time"])
    named_so = [at for at, name in enumerate(named) if plain(name).startswith("volume") and at not in roles.values()]
    if "volume" not in roles and named_so:
        roles["volume"] = named_so[0]  # `Volume ETH`, beside `Volume USDT`
    roles |= _of_time(header, rows[:SAMPLE_ROWS], taken=set(roles.values()))
    asked = _given(header, source, given)
    roles = {role: place for role, place in roles.items() if place not in asked.values()} | asked
    if "time" not in roles:
        raise SourceError(SOURCE, source, 1, f"has no column for {wanted('time')}{_there(header)}")
    if not set(roles) & set(NUMBERS):
        if there := instruments_of(header):
            raise several(source, None, there)
        _take_only_column(header, roles)
    for role, place in roles.items():
        if header[place] and header.count(header[place]) > 1:
            raise SourceError(SOURCE, source, 1, f"the header names {header[place]!r}, its {role}, twice")
    return roles


def need_close(header: Sequence[str], roles: Mapping[str, int], source: str) -> None:
    """Refuse columns without closes, and say which instruments they may be of.

    Raises:
        SourceError: there is none.
    """
    if "close" in roles:
        return
    if there := instruments_of(header):
        raise several(source, None, there)
    raise SourceError(SOURCE, source, 1, f"has no column for {wanted('close')}{_there(header)}")


def wanted(role: str) -> str:
    """A role and its usual names, for a message."""
    return f"{role}: usual names are {', '.join(name for name in NAMES[role][:8] if name)}"


def _there(header: Sequence[str]) -> str:
    columns = ", ".join(map(repr, header[:30]))
    return f" (case, spaces and punctuation do not matter); it has {columns}. Rename one, or say --column ROLE=NAME"


def several(source: str, row: int | None, there: Sequence[str]) -> SourceError:
    """The refusal of a file of several instruments."""
    more = f" and {len(there) - 10} more" if len(there) > 10 else ""
    names = ", ".join(map(repr, there[:10])) + more
    problem = f"holds {len(there)} instruments ({names}); choose one with --symbol NAME, or split the file"
    return SourceError(SOURCE, source, row, problem)


def instruments_of(header: Sequence[str]) -> list[str]:
    """Instruments that have a close of their own among the columns, as in `BTC:close`, when there are several."""
    found = [match["who"] for name in header if (match := _WIDE.match(name)) and plain(match["what"]) == "close"]
    return sorted(found) if len(found) > 1 else []


def _of_instrument(header: Sequence[str], symbol: str) -> list[str]:
    """The names with those of one instrument's columns (`BTC:close`) as if it were alone, others without one."""
    if symbol not in instruments_of(header):
        return list(header)
    matches = [_WIDE.match(name) for name in header]
    return [match["what"] if match and match["who"] == symbol else "?" for match in matches]


def _of_time(header: Sequence[str], rows: Sequence[Sequence[str]], taken: set[int]) -> dict[str, int]:
    names = [plain(name) for name in header]
    usual = [names.index(name) for name in NAMES["time"] if name in names]
    usual += [at for at, name in enumerate(header) if _TIME_WORDS.search(name.lower())]
    usual += [names.index(name) for name in INDEX_NAMES if name in names[:1]]
    usual += [names.index(name) for name in LAST_NAMES if name in names]
    usual = [at for at in dict.fromkeys(usual) if at not in taken]
    clocks = [at for at in usual if _is_clock(rows, at, _CLOCK)]
    # Without colons it is one only beside a date.
    clocks += [at for at in usual[1:] if names[at] == "time" and _is_clock(rows, at, _DIGITS)]
    dates = [at for at in usual if at not in clocks]
    roles = {"time": dates[0]} if dates else {}
    if roles and clocks and not any(":" in row[roles["time"]] for row in rows if roles["time"] < len(row)):
        roles[CLOCK] = clocks[0]
    return roles


def clock_text(text: str) -> str:
    """A time of the day with the zeros that it lost as a number.

    >>> clock_text("930"), clock_text("93000"), clock_text("0"), clock_text("9:30")
    ('0930', '093000', '0000', '9:30')
    """
    return text.zfill(4 if len(text) <= 4 else 6) if text.isdigit() else text


def _is_clock(rows: Sequence[Sequence[str]], place: int, form: re.Pattern[str]) -> bool:
    cells = [row[place].strip() for row in rows if place < len(row)]
    return any(cells) and sum(bool(form.match(cell)) for cell in cells) > len(cells) / 2


def _given(header: Sequence[str], source: str, given: Given) -> dict[str, int]:
    roles = {}
    for role, name in given.columns.items():
        if role not in NAMES and role != CLOCK and role not in flow_inputs():
            there = ", ".join([*NAMES, *flow_inputs()])
            raise SourceError(SOURCE, source, None, f"--column {role}: no such role; there are {there}")
        same = [at for at, one in enumerate(header) if one == name] or [
            at for at, one in enumerate(header) if plain(one) == plain(name)
        ]
        if not same:
            raise SourceError(SOURCE, source, 1, f"has no column {name!r}; it has {', '.join(map(repr, header))}")
        roles[role] = same[0]
    return roles


def _take_only_column(header: Sequence[str], roles: dict[str, int]) -> None:
    """A single column of values beside the time is the close, whatever it is called (`VIX`), but for changes of one."""
    others = [at for at, name in enumerate(header) if name and at not in roles.values()]
    if len(others) == 1 and plain(header[others[0]]) not in CHANGES:
        roles["close"] = others[0]
