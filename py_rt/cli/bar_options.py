"""Options of commands that read a file of bars: what the file does not say itself."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import typer

from py_rt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from py_rt.data.bar_columns import Given

ZONE = typer.Option("--time-zone", help="IANA time zone of times that say none.", metavar="ZONE")
SYMBOL = typer.Option("--symbol", help="The instrument, of a file that holds several.", metavar="NAME")
COLUMN = typer.Option(
    "--column",
    help="Which column is what, where its name is no usual one: close=Settle. Roles are time, clock (time of the day), "
    "open, high, low, close, adj_close, volume, symbol, what features read (bid, ask, buy_volume, ...) and others. May "
    "be given several times.",
    metavar="ROLE=NAME",
)
DAY_FIRST = typer.Option(
    "--day-first/--month-first", help="Order in days like 03/04/2023, where the column does not prove it."
)


def given(time_zone: str, symbol: str, columns: Sequence[str] | None, *, day_first: bool | None) -> Given:
    """The options as the readers take them.

    Raises:
        DataError: there is no such zone, or a column is not given as ROLE=NAME.
    """
    from py_rt.data.bar_columns import Given

    try:
        ZoneInfo(time_zone)
    except (KeyError, OSError, ValueError) as error:
        raise DataError(f"--time-zone {time_zone!r} is none; give an IANA name such as America/New_York") from error
    pairs = [one.partition("=") for one in columns or ()]
    if wrong := [role for role, equals, name in pairs if not (role and equals and name)]:
        raise DataError(f"--column {wrong[0]}: write ROLE=NAME, such as close=Settle")
    first = "" if day_first is None else "day" if day_first else "month"
    return Given(time_zone, first, symbol, {role: name for role, _, name in pairs})  # type: ignore[arg-type]
