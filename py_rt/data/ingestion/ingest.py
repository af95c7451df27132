"""Ingestion: land partitions as received, then publish their rows to the lake; any number of times, from anywhere.

A partition that is landed is not fetched again. With `again` it is: the same bytes change nothing, other bytes are kept
as a further version beside the first, and both are in the table, each with the time it arrived. What is landed is
readable: a partition whose bytes cannot be read as the source says is refused whole, and the next run asks anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Literal

import polars as pl

from py_rt.data.ingestion.received import Received, Record
from py_rt.data.ingestion.source import (
    PAYLOAD_BYTES_MAX,
    PAYLOADS_MAX,
    AbsentPartitionError,
    KeyedSource,
    PartitionedSource,
    Payload,
    check_partition,
    day_of,
)
from py_rt.data.storage import DayWindow, Lake, rows_by_partition, write_window
from py_rt.data.timestamps import NS_PER_DAY
from py_rt.errors import SchemaError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from py_rt.data.ingestion.received import Kept
    from py_rt.data.ingestion.source import SourceTable

Outcome = Literal["landed", "unchanged", "restated", "nothing_new", "absent", "failed"]

FAILURES_MAX = 3
"""After so many partitions in a row that failed, the rest is not tried: the other side is gone."""

NEXT_MAX = 1_000
"""Most `next` partitions of one run; another run goes on."""

DAYS_MAX = 40_000
"""Most days of one run."""

LANDING = "landing"
"""Folder below the home in which :class:`Received` keeps its sources."""


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one partition.

    Attributes:
        partition: its name.
        outcome: in one word.
        rows: that it holds.
        bytes: received, of the newest version.
        problem: why it failed.
    """

    partition: str
    outcome: Outcome
    rows: int = 0
    bytes: int = 0
    problem: str = ""


@dataclass(slots=True)
class Ingestion:
    """What became of a run.

    Attributes:
        steps: of each partition, in order.
        skipped: partitions that were not tried any more.
        days: of the table that hold rows of these partitions.
    """

    steps: list[Step] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    days: set[date] = field(default_factory=set)

    @property
    def failed(self) -> list[Step]:
        """Those that failed."""
        return [step for step in self.steps if step.outcome == "failed"]

    @property
    def rows(self) -> int:
        """Rows of everything that did not fail."""
        return sum(step.rows for step in self.steps)


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


def land(
    source: PartitionedSource,
    partition: str,
    received: Received,
    now_ns: Callable[[], int],
    *,
    again: bool = False,
    after: str | None = None,
) -> Step:
    """Receive one partition and keep it; one that is landed is not asked for.

    Args:
        source: which.
        partition: of it.
        received: where it is kept; the caller holds :meth:`Received.alone`.
        now_ns: the clock, UTC ns.
        again: ask for a landed partition too, and keep what is new in it.
        after: cursor of the last partition, of a `next` source.

    Raises:
        AbsentPartitionError: the other side does not have it.
        SourceError: it cannot be received whole, or read. What came is kept and noted as refused.
    """
    check_partition(source.table, partition)
    landed = received.versions(partition)
    if landed and not again:
        newest = landed[-1]
        return Step(partition, "unchanged", newest.rows, sum(kept.bytes for kept in newest.payloads))
    kept: list[Kept] = []
    rows = 0
    try:
        for payload in _payloads(source, partition, after):
            kept.append(received.keep(payload, now_ns()))
            rows += _conformed(source, payload, partition).height
    except AbsentPartitionError:
        raise
    except SourceError as error:
        received.refuse(partition, str(error), kept)
        raise
    if source.table.partitioning == "next" and not rows:
        return Step(partition, "nothing_new")
    record = Record(partition, len(landed) + 1, rows, source.table.definition_sha256, tuple(kept))
    size = sum(one.bytes for one in kept)
    if landed and landed[-1].content == record.content:
        return Step(partition, "unchanged", rows, size)
    received.publish(record)
    return Step(partition, "restated" if landed else "landed", rows, size)


def _payloads(source: PartitionedSource, partition: str, after: str | None) -> Iterator[Payload]:
    names: set[str] = set()
    name = source.table.name
    for payload in islice(source.fetch(partition, after), PAYLOADS_MAX + 1):
        if payload.name in names:
            raise SourceError(name, partition, None, f"gives payload {payload.name} twice")
        if len(names) == PAYLOADS_MAX:
            raise SourceError(name, partition, None, f"has more than {PAYLOADS_MAX} payloads; cut it finer")
        if len(payload.content) > PAYLOAD_BYTES_MAX:
            problem = f"has {len(payload.content)} bytes, at most {PAYLOAD_BYTES_MAX}; cut it finer"
            raise SourceError(name, f"{partition}/{payload.name}", None, problem)
        names.add(payload.name)
        yield payload


def _conformed(source: PartitionedSource, payload: Payload, partition: str) -> pl.DataFrame:
    """The rows of a payload, held to the columns that the source declares."""
    table = source.table
    frame = source.rows(payload, partition)
    place = f"{partition}/{payload.name}"
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


def rows_of(source: PartitionedSource, record: Record, received: Received) -> pl.DataFrame:
    """The rows of a landed version, with where they came from and when they could be known.

    Raises:
        DamagedLandingError: what was kept is not what was received.
        SourceError: the source cannot read any more what it once landed.
    """
    table = source.table.table()
    parts = [table.empty()]
    for kept in record.payloads:
        frame = _conformed(source, received.payload(kept), record.partition)
        parts.append(table.conform(_with_lineage(frame, source.table, record, kept)))
    rows: pl.DataFrame = pl.concat(parts)
    return rows


def _with_lineage(frame: pl.DataFrame, table: SourceTable, record: Record, kept: Kept) -> pl.DataFrame:
    lineage = {
        "ts_arrival": pl.lit(kept.ts_arrival, pl.Int64),
        "source_partition": pl.lit(record.partition),
        "source_version": pl.lit(record.version, pl.Int64),
        "payload": pl.lit(kept.name),
        "payload_sha256": pl.lit(kept.sha256),
        "row_number": pl.int_range(1, frame.height + 1, dtype=pl.Int64),
        "date": pl.lit(_stored_under(table, record), pl.Date),
    }
    return frame.with_columns(**lineage).with_columns(ts_known=_known(frame.schema, table, record, kept))


def _known(schema: pl.Schema, table: SourceTable, record: Record, kept: Kept) -> pl.Expr:
    """A restatement became known when it arrived; the first version when its source says."""
    column = table.known.column
    if column is None or record.version > 1:
        return pl.lit(kept.ts_arrival, pl.Int64)
    stamp = pl.col(column)
    if schema[column] == pl.Date:
        stamp = (stamp.cast(pl.Int32).cast(pl.Int64) + 1) * NS_PER_DAY  # nothing says when on that day
    return pl.coalesce(stamp.cast(pl.Int64) + table.known.lag_ns, pl.lit(kept.ts_arrival, pl.Int64))


def _stored_under(table: SourceTable, record: Record) -> date:
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
    records = [record for partition in partitions for record in received.versions(partition)]
    records = [record for record in records if window.start <= _stored_under(table, record) < window.end]
    rows: pl.DataFrame = pl.concat([table.table().empty(), *(rows_of(source, record, received) for record in records)])
    return rows


def publish(source: PartitionedSource, received: Received, lake: Lake, day: date) -> bool:
    """Write the rows stored under a day into the source's table; whether that changed anything.

    Raises:
        TableError: the table on disk has other columns.
        SchemaError: the rows break a rule of the table, such as its key.
    """
    table = source.table.table()
    window = DayWindow(day, day + timedelta(days=1))
    frame = rows_of_days(source, received, window)
    if faults := table.faults(frame):
        shown = "; ".join(f"{fault.rule}: {fault.rows} rows, the first: {fault.example}" for fault in faults)
        raise SchemaError(f"source {table.name}: day {day} is not published: {shown}")
    uri = lake.uri(table.group, table.name)
    return write_window(uri, frame, window, scales=table.scales, commit={"asset": table.name}).changed


def ingest(
    source: PartitionedSource,
    partitions: Sequence[str] | None,
    received: Received,
    lake: Lake | None,
    now_ns: Callable[[], int],
    *,
    again: bool = False,
    next_max: int = NEXT_MAX,
    on_step: Callable[[Step], None] = lambda _step: None,
) -> Ingestion:
    """Land partitions, and publish each as soon as it is landed.

    Args:
        source: which.
        partitions: of it; `None` is what is new: every key of a `key` source, everything after the last of a `next`.
        received: where they are kept.
        lake: where rows are published; `None` lands only.
        now_ns: the clock, UTC ns.
        again: ask for landed partitions too.
        next_max: most partitions of a `next` source; another run goes on.
        on_step: told of each partition as it is done.

    Raises:
        SourceError: another process ingests the source, or it does not know its partitions.
    """
    done = Ingestion()
    with received.alone():
        in_a_row = 0
        waiting = iter(_wanted(source, partitions, received, next_max))
        for partition, after in waiting:
            try:
                step = land(source, partition, received, now_ns, again=again, after=after)
                if lake is not None and step.outcome != "nothing_new":
                    done.days |= _publish_landed(source, partition, received, lake, step)
            except AbsentPartitionError as error:
                step = Step(partition, "absent", problem=str(error))
            except (SourceError, SchemaError) as error:
                step = Step(partition, "failed", problem=str(error))
            done.steps.append(step)
            on_step(step)
            in_a_row = in_a_row + 1 if step.outcome == "failed" else 0
            if step.outcome == "nothing_new" or in_a_row == FAILURES_MAX or _stuck(source, step):
                break
        if source.table.partitioning != "next":
            done.skipped = [partition for partition, _ in waiting]
    return done


def _stuck(source: PartitionedSource, step: Step) -> bool:
    """What comes next cannot be asked for while this is not landed."""
    return source.table.partitioning == "next" and step.outcome == "failed"


def _wanted(
    source: PartitionedSource, partitions: Sequence[str] | None, received: Received, next_max: int
) -> Iterable[tuple[str, str | None]]:
    table = source.table
    if table.partitioning == "next":
        if partitions:
            raise SourceError(table.name, partitions[0], None, "cannot be asked for: this source gives what is next")
        return _nexts(received, next_max)
    if partitions is not None:
        return [(partition, None) for partition in partitions]
    if table.partitioning == "key" and isinstance(source, KeyedSource):
        return [(key, None) for key in source.partitions()]
    raise SourceError(table.name, "partitions", None, "are days: say which, from and to")


def _nexts(received: Received, next_max: int) -> Iterator[tuple[str, str | None]]:
    """Names of what comes next, one after the other as they land: numbered from 1, so that their order is known."""
    for _ in range(next_max):
        landed = received.partitions()
        after = received.versions(landed[-1])[-1].cursor if landed else None
        yield f"{len(landed) + 1:08}", after


def _publish_landed(source: PartitionedSource, partition: str, received: Received, lake: Lake, step: Step) -> set[date]:
    """Publish the days that a partition is stored under, unless the table's log shows that they are there."""
    table = source.table
    records = received.versions(partition)
    touched = {_stored_under(table, record) for record in records}
    if step.outcome == "unchanged" and all(record.definition_sha256 == table.definition_sha256 for record in records):
        there = rows_by_partition(lake.uri("raw", table.name))
        if table.partitioning == "day" and all(
            there.get(day, 0) == sum(record.rows for record in records) for day in touched
        ):
            return touched
    for day in touched:
        publish(source, received, lake, day)
    return touched
