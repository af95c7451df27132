"""Ticks out of a folder of LEAN (`kind = "lean_ticks"`): trades or quotes of one instrument, a file a day.

==================== ===============================================================================================
`folder`             of the data; `~` and `$NAME` of the environment are taken
`symbol`             the ticker; case does not matter
`data`               `trades` (default) or `quotes`
`time_zone`          of the times; empty is the market's own
==================== ===============================================================================================

A day is the market's: what was traded in New York after 19:00 of a winter day stays with that day. Without
`[[column]]` the columns are :data:`TRADES` or :data:`QUOTES`. What is kept of a day is its zip.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

from py_rt.data.ingestion import lean
from py_rt.data.ingestion.columns import Mapped, read_columns
from py_rt.data.ingestion.definition import Definition, Option, fault_of, read_options
from py_rt.data.ingestion.source import AbsentPartitionError, Payload, SourceTable, day_of
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

OPTIONS = {
    "folder": Option(str),
    "symbol": Option(str),
    "data": Option(str, "trades", ("trades", "quotes")),
    "time_zone": Option(str, ""),
}

_TIME = Mapped("ts_event", "time", "time", "the market's time of it, UTC ns")
_WHERE = (
    Mapped("exchange", "exchange", "text", "where, as LEAN writes it", nullable=True),
    Mapped("condition", "condition", "text", "condition of the sale or quote, as LEAN writes it", nullable=True),
    Mapped("is_suspicious", "suspicious", "boolean", "whether the vendor doubts it", nullable=True),
)
TRADES = (
    _TIME,
    Mapped("price", "price", "decimal", "price"),
    Mapped("quantity", "size", "decimal", "traded quantity"),
    *_WHERE,
)
QUOTES = (
    _TIME,
    Mapped("bid", "bid", "decimal", "best bid; absent where it did not change", nullable=True),
    Mapped("bid_size", "bid_size", "decimal", "what is bid for", nullable=True),
    Mapped("ask", "ask", "decimal", "best ask; absent where it did not change", nullable=True),
    Mapped("ask_size", "ask_size", "decimal", "what is offered", nullable=True),
    *_WHERE,
)


@dataclass(frozen=True, slots=True)
class LeanTickSource:
    """Ticks of one instrument."""

    table: SourceTable
    mapped: tuple[Mapped, ...]
    folder: Path
    symbol: str
    of: str
    time_zone: str

    @classmethod
    def make(cls, definition: Definition) -> LeanTickSource:
        """Make the source that a file defines.

        Raises:
            DefinitionError: an option is missing, unknown or not allowed.
        """
        values = read_options(definition, OPTIONS)
        if definition.table.partitioning != "day":
            raise fault_of(definition, "partition", 'ticks are cut by days: say partition = "day"')
        if values["time_zone"] and values["time_zone"] not in available_timezones():
            raise fault_of(definition, "time_zone", f"is {values['time_zone']!r}; give an IANA zone")
        folder = Path(os.path.expandvars(values["folder"])).expanduser()
        of = values["data"].removesuffix("s")
        return cls(definition.table, definition.mapped, folder, values["symbol"], of, values["time_zone"])

    def fetch(self, partition: str, after: str | None = None) -> Iterator[Payload]:  # noqa: ARG002  # cut by days
        """The day's zip.

        Raises:
            AbsentPartitionError: there is none.
            SourceError: there is no such instrument, it lies in several markets, or the file cannot be read.
        """
        day, name = day_of(self.table.name, partition), self.table.name
        found = [file for file in lean.chosen(self.folder, self.symbol, "tick", name, self.of) if file.day == day]
        if not found:
            raise AbsentPartitionError(name, partition, None, f"the folder has no {self.of}s of {self.symbol} of it")
        if len(found) > 1:
            problem = f"is in {', '.join(file.name for file in found)}: which one counts? Keep one of them"
            raise SourceError(name, partition, None, problem)
        try:
            content = found[0].path.read_bytes()
        except OSError as error:
            raise SourceError(
                name, f"{partition}/{found[0].name}", None, f"cannot be read: {error.strerror}"
            ) from error
        yield Payload(found[0].name, content, origin=found[0].name, media_type="application/zip")

    def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
        """The ticks of a day.

        Raises:
            SourceError: the archive is cut off or damaged, or a value is not of its type.
        """
        place = f"{partition}/{payload.name}"
        file = lean.parse_path(Path(payload.name), payload.name)
        if file is None:
            raise SourceError(self.table.name, place, None, "is no path of LEAN")
        zone = self.time_zone or file.time_zone
        mapped = [replace(one, time_zone=zone) if one.type == "time" else one for one in self.mapped]
        records = lean.ticks(file, payload.content, self.table.name).rows(named=True)
        return read_columns(self.table.name, place, records, mapped)
