"""Any source of market bars, cut into days like every other source (`kind = "bars"`).

==================== ===============================================================================================
`source`             name of a source of market bars: `local`, `lean`, `freqtrade`, `bundled_daily`, or one of an
                     installed package (`py_rt.data.ingestion.market_data`)
`settings`           a table of its options, such as `{ folder = "bars", symbol = "SPY" }`
`which`              `bars` (default) or `daily_bars`
==================== ===============================================================================================

Without `[[column]]` the columns are :data:`COLUMNS`. What is kept of a day are its rows as the source offers them, each
with the file, its hash and the row that it came from. A day without rows is not landed, and asked for again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from py_rt.data.ingestion.columns import Mapped, read_columns
from py_rt.data.ingestion.definition import Definition, Option, fault_of, read_options
from py_rt.data.ingestion.market_data import Source, open_source
from py_rt.data.ingestion.records import json_lines
from py_rt.data.ingestion.source import AbsentPartitionError, Payload, SourceTable, day_of
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

OPTIONS = {
    "source": Option(str),
    "settings": Option(dict, {}),
    "which": Option(str, "bars", ("bars", "daily_bars")),
}

COLUMNS = (
    Mapped("symbol", "symbol", "text", "the source's name of the instrument"),
    Mapped("ts_open", "datetime", "time", "start of the bar, UTC ns"),
    *(Mapped(name, name, "decimal", f"{name} price") for name in ("open", "high", "low", "close")),
    Mapped("volume", "volume", "number", "traded quantity, in the unit beside it", nullable=True),
    Mapped("volume_unit", "volume_unit", "text", "what volume counts: base or quote"),
    Mapped("file", "file", "text", "file that the bar came from"),
    Mapped("file_sha256", "file_sha256", "text", "SHA-256 of that file"),
    Mapped("file_row", "row_number", "integer", "row in that file"),
)

_NOT_KEPT = ("date", "source_end")


@dataclass(frozen=True)
class BarSource:
    """Market bars by days."""

    table: SourceTable
    mapped: tuple[Mapped, ...]
    source: Source
    which: str
    _held: list[pl.DataFrame] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def make(cls, definition: Definition) -> BarSource:
        """Make the source that a file defines.

        Raises:
            DefinitionError: an option is missing, unknown or not allowed, or the source of bars refuses its settings.
        """
        values = read_options(definition, OPTIONS)
        if definition.table.partitioning != "day":
            raise fault_of(definition, "partition", 'bars are cut by days: say partition = "day"')
        try:
            source = open_source(values["source"], {name: str(value) for name, value in values["settings"].items()})
        except (SourceError, TypeError) as error:
            raise fault_of(definition, "source", str(error)) from error
        return cls(definition.table, definition.mapped, source, values["which"])

    def fetch(self, partition: str, after: str | None = None) -> Iterator[Payload]:  # noqa: ARG002  # cut by days
        """The day's rows as they are offered.

        Raises:
            AbsentPartitionError: it has none.
            SourceError: a file cannot be taken as it is.
        """
        import polars as pl

        if not self._held:  # a source of bars reads all of its files at once
            self._held.append(self.source.bars() if self.which == "bars" else self.source.daily_bars())
        rows = self._held[0].filter(pl.col("date") == day_of(self.table.name, partition)).drop(_NOT_KEPT)
        if rows.is_empty():
            raise AbsentPartitionError(self.table.name, partition, None, f"source {self.source.name} has no bars of it")
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows.iter_rows(named=True))
        yield Payload("bars.jsonl", "".join(lines).encode(), origin=f"{self.source.name}: {self.which}")

    def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
        """The typed bars of a day.

        Raises:
            SourceError: a value is not of its type.
        """
        records: list[dict[str, Any]] = json_lines(payload.content)
        zone = str(records[0]["time_zone"]) if records else "UTC"
        mapped = [replace(one, time_zone=zone) if one.type == "time" else one for one in self.mapped]
        return read_columns(self.table.name, f"{partition}/{payload.name}", records, mapped)
