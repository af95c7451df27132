"""From what is landed to the table: many days in one commit, and none for what the table's log shows to be there."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.ingestion.source import PartitionedSource, Payload, day_of, told
from py_rt.data.storage import DayWindow, Lake, RowBatches, replace_table, rows_by_partition, write_window
from py_rt.data.timestamps import NS_PER_DAY
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from py_rt.data.ingestion.received import Kept, Received, Record
    from py_rt.data.ingestion.source import SourceTable
    from py_rt.data.storage import Written

DAYS_AT_ONCE = 64
"""Most days that wait to be written together."""

ROWS_AT_ONCE = 2_000_000
"""Most rows that wait to be written together, but for a single day with more."""

DAYS_MAX = 40_000
"""Most days of one run."""


def days(window: DayWindow) -> list[str]:
    """Partitions of a `day` source.

    Raises:
        SourceError: there are more than :data:`DAYS_MAX`.

    >>> days(DayWindow(date(2024, 2, 28), date(2024, 3, 1)))
    ['2024-02-28', '2024-02-29']
    """
    count = (window.end - window.start).days
    if count > DAYS_MAX:
        raise SourceError("ingestion", f"[{window.start}, {window.end})", None, f"are {count} days, at most {DAYS_MAX}")
    return [(window.start + timedelta(days=number)).isoformat() for number in range(count)]


def conformed(source: PartitionedSource, payload: Payload, partition: str) -> pl.DataFrame:
    """The rows of a payload, held to the columns that the source declares.

    Raises:
        SourceError: the payload cannot be read, its columns are others, or a row breaks a rule; the row is named.
    """
    table = source.table
    place = f"{partition}/{payload.name}"
    try:
        frame = source.rows(payload, partition)
    except SourceError as error:
        raise told(source, error) from None
    wanted = pl.Schema({column.name: column.dtype for column in table.columns})
    if frame.schema != wanted:
        differing = sorted(name for name in {*wanted, *frame.schema} if wanted.get(name) != frame.schema.get(name))
        shown = "; ".join(f"{name}: declared {wanted.get(name)}, got {frame.schema.get(name)}" for name in differing)
        raise SourceError(table.name, place, None, f"its columns are not as declared: {shown or 'another order'}")
    for column in table.columns:
        for rule, broken in column.violations():
            rows = frame.select(pl.arg_where(broken.fill_null(value=False))).to_series()
            if len(rows):
                raise SourceError(table.name, place, int(rows[0]) + 1, f"breaks the rule {rule!r}; {len(rows)} rows do")
    return frame


def joined(source: SourceTable, record: Record, frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The rows of a version out of those of its payloads, with where they came from and when they could be known."""
    table = source.table()
    parts = [table.empty()]
    for kept, frame in zip(record.payloads, frames, strict=True):
        parts.append(table.conform(_with_lineage(frame, source, record, kept)))
    rows: pl.DataFrame = pl.concat(parts)
    return rows


def rows_of(source: PartitionedSource, record: Record, received: Received) -> pl.DataFrame:
    """The rows of a landed version.

    Raises:
        DamagedLandingError: what was kept is not what was received.
        SourceError: the source cannot read any more what it once landed.
    """
    payloads = (received.payload(kept) for kept in record.payloads)
    return joined(source.table, record, (conformed(source, payload, record.partition) for payload in payloads))


def _with_lineage(frame: pl.DataFrame, table: SourceTable, record: Record, kept: Kept) -> pl.DataFrame:
    lineage = {
        "ts_arrival": pl.lit(kept.ts_arrival, pl.Int64),
        "source_partition": pl.lit(record.partition),
        "source_version": pl.lit(record.version, pl.Int64),
        "payload": pl.lit(kept.name),
        "payload_sha256": pl.lit(kept.sha256),
        "row_number": pl.int_range(1, frame.height + 1, dtype=pl.Int64),
        "date": pl.lit(stored_under(table, record), pl.Date),
    }
    return frame.with_columns(**lineage).with_columns(ts_known=_known(frame.schema, table, record, kept))


def _known(schema: pl.Schema, table: SourceTable, record: Record, kept: Kept) -> pl.Expr:
    """The first version became known when its source says; a restatement not before it arrived either."""
    column, arrival = table.known.column, pl.lit(kept.ts_arrival, pl.Int64)
    if column is None:
        return arrival
    stamp = pl.col(column)
    if schema[column] == pl.Date:
        stamp = (stamp.cast(pl.Int32).cast(pl.Int64) + 1) * NS_PER_DAY  # nothing says when on that day
    said = stamp.cast(pl.Int64) + table.known.lag_ns
    return pl.max_horizontal(said, arrival) if record.version > 1 else pl.coalesce(said, arrival)


def stored_under(table: SourceTable, record: Record) -> date:
    """The day of the table that holds a version's rows."""
    if table.partitioning == "day":
        return day_of(table.name, record.partition)
    return datetime.fromtimestamp(record.ts_arrival // 10**9, UTC).date()


def rows_of_days(source: PartitionedSource, received: Received, window: DayWindow) -> pl.DataFrame:
    """Everything landed that is stored under some days, in a fixed order.

    Raises:
        SourceError, DamagedLandingError: as :func:`rows_of`.
    """
    table = source.table
    partitions = days(window) if table.partitioning == "day" else received.partitions()
    parts = [table.table().empty()]
    for partition in partitions:
        parts += _rows_of_versions(source, received, partition, window)
    # In one piece: several are written by the library in any order.
    rows: pl.DataFrame = pl.concat(parts, rechunk=True)
    return rows


def _rows_of_versions(
    source: PartitionedSource, received: Received, partition: str, window: DayWindow
) -> Iterator[pl.DataFrame]:
    """The rows of a partition's versions that are stored under some days, oldest first.

    A restatement is never known before what it restates (a clock may step back, a source may be out late): it would be
    seen early, and then hidden by the older version for ever.
    """
    records = received.versions(partition)
    within = [window.start <= stored_under(source.table, record) < window.end for record in records]
    key = list(source.table.key)
    before: pl.DataFrame | None = None
    while any(within):
        rows = rows_of(source, records.pop(0), received)
        if before is not None:
            rows = rows.with_columns(ts_known=pl.max_horizontal("ts_known", _floor(rows, before, key)))
        if within.pop(0):
            yield rows
        known = rows.select(*key, "ts_known")
        before = known if before is None else pl.concat([before, known])
        if key:
            before = before.group_by(key, maintain_order=True).max()


def _floor(rows: pl.DataFrame, before: pl.DataFrame, key: list[str]) -> pl.Series:
    """When each row of a version was known in those before, absent where it was not; without a key, when all was."""
    if not key:
        return pl.Series([before["ts_known"].max()] * rows.height, dtype=pl.Int64)
    floor = before.rename({"ts_known": "__floor"})
    return rows.join(floor, on=key, how="left", nulls_equal=True, maintain_order="left")["__floor"]


def rebuild(source: PartitionedSource, received: Received, lake: Lake) -> Written:
    """Make a source's whole table again from what was landed, in one commit: also where its columns are others now.

    The caller holds :meth:`Received.alone`. Earlier versions of the table stay readable.

    Raises:
        SourceError: nothing is landed, or the source cannot read any more what it once landed.
        DamagedLandingError: what was kept is not what was received.
    """
    table = source.table.table()
    landed = sorted({stored_under(source.table, record) for record in received.records()})
    if not landed:
        raise SourceError(table.name, "landing", None, "holds nothing: fetch it first")
    batches = RowBatches(table.schema, lambda: (rows_of_days(source, received, run) for run in _runs(landed)))
    return replace_table(lake.uri(table.group, table.name), batches, scales=table.scales, commit={"asset": table.name})


class Publisher:
    """Writes the days of landed partitions, many at once.

    Args:
        source: whose table it is.
        received: what is landed.
        lake: where the table lies.
    """

    def __init__(self, source: PartitionedSource, received: Received, lake: Lake) -> None:
        self._source, self._received = source, received
        self._table = source.table.table()
        self._uri = lake.uri(self._table.group, self._table.name)
        self._there: dict[date | None, int] | None = None
        self._waiting: set[date] = set()
        self._rows = 0

    def catch_up(self) -> None:
        """Note every day that the table does not hold as it was landed: a run may have died between the two.

        Raises:
            DamagedLandingError: a record cannot be read.
        """
        landed: Counter[date] = Counter()
        for record in self._received.records():
            landed[stored_under(self._source.table, record)] += record.rows
        there = rows_by_partition(self._uri)
        self._waiting |= {day for day, rows in landed.items() if there.get(day, 0) != rows}

    def add(self, partition: str, *, is_new: bool) -> set[date]:
        """Note that a partition is landed, and write what waits when it is much.

        Args:
            partition: which.
            is_new: it changed in this run; else the table's log is asked whether it is there.

        Returns:
            The days that hold its rows.

        Raises:
            TableError: the table on disk has other columns.
            SourceError: the source cannot read any more what it once landed.
        """
        records = self._received.versions(partition)
        touched = {stored_under(self._source.table, record) for record in records}
        rows = sum(record.rows for record in records)
        if not is_new and self._is_there(records, touched, rows):
            return touched
        self._waiting |= touched
        self._rows += rows
        if len(self._waiting) >= DAYS_AT_ONCE or self._rows >= ROWS_AT_ONCE:
            self.flush()
        return touched

    def flush(self) -> None:
        """Write every day that waits; days in a row are one commit.

        Raises:
            TableError, SourceError: as :meth:`add`.
        """
        for window in _runs(sorted(self._waiting)):
            frame = rows_of_days(self._source, self._received, window)
            write_window(self._uri, frame, window, scales=self._table.scales, commit={"asset": self._table.name})
        self._waiting, self._rows = set(), 0

    def _is_there(self, records: list[Record], touched: set[date], rows: int) -> bool:
        table = self._source.table
        if table.partitioning != "day" or any(one.definition_sha256 != table.definition_sha256 for one in records):
            return False
        if self._there is None:
            self._there = rows_by_partition(self._uri)
        return all(self._there.get(day, 0) == rows for day in touched)


def _runs(ordered: list[date]) -> Iterator[DayWindow]:
    """Days as windows without a gap.

    >>> [str(window.end) for window in _runs([date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 5)])]
    ['2024-01-03', '2024-01-06']
    """
    one = timedelta(days=1)
    while ordered:
        count = next((at for at in range(1, len(ordered)) if ordered[at] - ordered[at - 1] != one), len(ordered))
        yield DayWindow(ordered[0], ordered[count - 1] + one)
        ordered = ordered[count:]
