"""Ingestion: land partitions as received, then publish their rows to the lake; any number of times, from anywhere.

A partition that is landed is not fetched again. With `again` it is: the same bytes change nothing, other bytes are kept
as a further version beside the first, and both are in the table, each with the time it arrived. What is landed is
readable: a partition whose bytes cannot be read as the source says is refused whole, and the next run asks anew.
"""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Literal

from py_rt.data.ingestion.expected import due_ns, row_count_problem
from py_rt.data.ingestion.publishing import Publisher, conformed, joined
from py_rt.data.ingestion.received import Received, Record
from py_rt.data.ingestion.source import (
    PARTITION,
    PAYLOAD_BYTES_MAX,
    PAYLOADS_MAX,
    AbsentPartitionError,
    KeyedSource,
    PartitionedSource,
    Payload,
    blotted,
    check_partition,
    day_of,
    shown,
    told,
)
from py_rt.errors import PyRtError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import date

    import polars as pl

    from py_rt.data.ingestion.received import Kept
    from py_rt.data.ingestion.source import SourceTable
    from py_rt.data.storage import Lake

Outcome = Literal["landed", "unchanged", "restated", "nothing_new", "absent", "failed"]

_LOG = logging.getLogger(__name__)

FAILURES_MAX = 3
"""After so many partitions in a row that failed, the rest is not tried: the other side is gone."""

NEXT_MAX = 1_000
"""Most `next` partitions of one run; another run goes on."""

PARTITION_BYTES_MAX = 2 << 30
"""Most bytes of one partition, over all of its payloads."""

PARTITION_ROWS_MAX = 20_000_000
"""Most rows of one partition."""

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
        problem: why it failed, or that it is not there.
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
        AbsentPartitionError: the other side does not have it, the day is not over, or not due yet and without rows.
        SourceError: it cannot be received whole or read, or has fewer or more rows than the source says. What came is
            kept and noted as refused.
    """
    check_partition(source.table, partition)
    landed = received.versions(partition)
    if landed and not again:
        newest = landed[-1]
        return Step(partition, "unchanged", newest.rows, sum(kept.bytes for kept in newest.payloads))
    _check_over(source.table, partition, now_ns())
    kept: list[Kept] = []
    frames: list[pl.DataFrame] = []
    rows = 0
    try:
        for payload in _payloads(source, partition, after):
            kept.append(received.keep(payload, now_ns()))
            frame = conformed(source, payload, partition)
            rows += frame.height
            _check_bounds(source.table, partition, rows)
            if source.table.key:
                frames.append(frame)
        record = Record(partition, len(landed) + 1, rows, source.table.definition_sha256, tuple(kept))
        _check_rows(source.table, record, frames)
        _check_count(source.table, partition, rows, now_ns())
    except SourceError as error:
        refusal = told(source, error)
        if not isinstance(refusal, AbsentPartitionError):
            received.refuse(partition, str(refusal), kept)
        raise refusal from None
    if source.table.partitioning == "next" and not rows:
        return Step(partition, "nothing_new")
    size = sum(one.bytes for one in kept)
    if landed and landed[-1].content == record.content:
        return Step(partition, "unchanged", rows, size)
    received.publish(record)
    return Step(partition, "restated" if landed else "landed", rows, size)


def _check_over(table: SourceTable, partition: str, now_ns: int) -> None:
    """A day that goes on would be landed unfinished, and not be asked for again."""
    if table.partitioning == "day" and now_ns < due_ns(day_of(table.name, partition)):
        raise AbsentPartitionError(table.name, partition, None, "is not over yet: it would be landed unfinished")


def _check_bounds(table: SourceTable, partition: str, rows: int) -> None:
    """End as soon as there are too many rows: the other side may page for ever."""
    rows_max = table.expected.rows_max if table.partitioning == "day" else None
    if rows_max is not None and rows > rows_max:
        problem = f"has {rows} rows or more, wanted are at most {rows_max:g}; it is asked for again"
        raise SourceError(table.name, partition, None, problem)
    if rows > PARTITION_ROWS_MAX:
        raise SourceError(table.name, partition, None, f"has more than {PARTITION_ROWS_MAX} rows; cut it finer")


def _check_count(table: SourceTable, partition: str, rows: int, now_ns: int) -> None:
    """A day with too few rows is not landed, so that it is asked for again; while it is young, that is no failure."""
    if table.partitioning != "day":
        return
    day, expected = day_of(table.name, partition), table.expected
    if rows < max(expected.rows_min, 1) and now_ns < due_ns(day, expected.fresh_within_hours):
        problem = f"has {rows} rows so far, which is due {expected.fresh_within_hours:g} hours after its end"
        raise AbsentPartitionError(table.name, partition, None, problem)
    wrong = row_count_problem(expected, rows)
    if wrong is not None:
        raise SourceError(table.name, partition, None, f"has {wrong}; it is asked for again")


def _payloads(source: PartitionedSource, partition: str, after: str | None) -> Iterator[Payload]:
    names: set[str] = set()
    name, size = source.table.name, 0
    for payload in islice(source.fetch(partition, after), PAYLOADS_MAX + 1):
        if payload.name in names:
            raise SourceError(name, partition, None, f"gives payload {payload.name} twice")
        if len(names) == PAYLOADS_MAX:
            raise SourceError(name, partition, None, f"has more than {PAYLOADS_MAX} payloads; cut it finer")
        if len(payload.content) > PAYLOAD_BYTES_MAX:
            problem = f"has {len(payload.content)} bytes, at most {PAYLOAD_BYTES_MAX}; cut it finer"
            raise SourceError(name, f"{partition}/{payload.name}", None, problem)
        size += len(payload.content)
        if size > PARTITION_BYTES_MAX:
            raise SourceError(name, partition, None, f"has more than {PARTITION_BYTES_MAX} bytes; cut it finer")
        names.add(payload.name)
        yield payload


def _check_rows(table: SourceTable, record: Record, frames: Sequence[pl.DataFrame]) -> None:
    """Hold what the columns alone do not show, such as the key, against the rows of all payloads."""
    if table.key and (faults := table.table().faults(joined(table, record, frames))):
        first = faults[0]
        at = f"{first.rule}: {first.rows} rows, the first: {first.example}"
        raise SourceError(table.name, record.partition, None, f"breaks the rule {at}")


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
    """Land partitions and publish them, many days at once. Whatever it dies of, the next run goes on where it was.

    Args:
        source: which.
        partitions: of it; `None` is what is new: every key of a `key` source, everything after the last of a `next`.
        received: where they are kept.
        lake: where rows are published; `None` lands only.
        now_ns: the clock, UTC ns.
        again: ask for landed partitions too.
        next_max: most partitions of a `next` source; another run goes on.
        on_step: told of each partition as it is landed.

    Raises:
        SourceError: another process ingests the source, or it does not know its partitions.
        TableError: the table on disk has other columns.
    """
    done = Ingestion()
    with received.alone():
        publisher = Publisher(source, received, lake) if lake is not None else None
        if publisher is not None and source.table.partitioning == "next":
            publisher.catch_up()  # nothing names these partitions again
        in_a_row = 0
        waiting = iter(_wanted(source, partitions, received, next_max))
        for partition, after in waiting:
            step = _tried(source, partition, received, now_ns, again=again, after=after)
            if publisher is not None and step.outcome in {"landed", "restated", "unchanged"}:
                done.days |= publisher.add(partition, is_new=step.outcome != "unchanged")
            done.steps.append(step)
            on_step(step)
            # A name that no partition has says nothing of the other side.
            in_a_row = in_a_row + 1 if step.outcome == "failed" and PARTITION.match(partition) else 0
            if step.outcome == "nothing_new" or in_a_row == FAILURES_MAX or _stuck(source, step):
                break
        if source.table.partitioning != "next":
            done.skipped = [partition for partition, _ in waiting]
        if publisher is not None:
            publisher.flush()
    return done


def _tried(
    source: PartitionedSource,
    partition: str,
    received: Received,
    now_ns: Callable[[], int],
    *,
    again: bool,
    after: str | None,
) -> Step:
    try:
        return land(source, partition, received, now_ns, again=again, after=after)
    except AbsentPartitionError as error:
        return Step(partition, "absent", problem=str(error))
    except SourceError as error:
        return Step(partition, "failed", problem=str(error))
    except PyRtError:
        raise  # what is kept is damaged, or nothing can be kept: no other partition would fare better
    except Exception as error:  # noqa: BLE001  # told in full in the log
        # A source may be anybody's code: a slip in it ends this partition, not the run.
        trace = "".join(traceback.format_exception(error))
        _LOG.error("source %s: partition %s\n%s", source.table.name, partition, blotted(source, trace))
        problem = shown(source, f"the source's own code failed: {type(error).__name__}: {error}")
        return Step(partition, "failed", problem=str(SourceError(source.table.name, partition, None, problem)))


def _stuck(source: PartitionedSource, step: Step) -> bool:
    """What comes next cannot be asked for while this is not landed."""
    return source.table.partitioning == "next" and step.outcome in {"failed", "absent"}


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
