"""The one interface of everything that is ingested in partitions, and the table that a source says it fills.

A source fetches the bytes of one partition as they are received, and reads bytes that were received into rows. The two
are apart because the bytes are kept (`py_rt.data.ingestion.received`): rows can be made again from them at any time,
without asking anybody twice. Partitions are of one of three kinds:

=========  =========================================================================================================
`day`      a UTC day, `2024-01-31`; its rows are stored under that day
`key`      a name from a list that the source gives, such as a symbol or a file; stored under the day of arrival
`next`     what came after the last partition, by a column that only grows; stored under the day of arrival
=========  =========================================================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import polars as pl

from py_rt.data.schemas import Column, Table
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Partitioning = Literal["day", "key", "next"]

PAYLOADS_MAX = 10_000
"""Most payloads (pages, files) of one partition."""

PAYLOAD_BYTES_MAX = 256 << 20
"""Largest payload, bytes."""

NAME = re.compile(r"^[a-z][a-z0-9_]{0,63}$")
"""What a source may be called: the name becomes an asset, a table and a folder."""

PARTITION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+:@=-]{0,127}$")
"""What a partition may be called: the name becomes a folder."""

LINEAGE = (
    Column("ts_known", pl.Int64(), "when the row could first be known, UTC ns: what a point-in-time join uses"),
    Column("ts_arrival", pl.Int64(), "when its bytes arrived, UTC ns", minimum=0),
    Column("source_partition", pl.String(), "partition of the source that it came in"),
    Column("source_version", pl.Int64(), "1, or higher where the partition was restated", minimum=1),
    Column("payload", pl.String(), "name of the payload it came in"),
    Column("payload_sha256", pl.String(), "SHA-256 of that payload as received"),
    Column("row_number", pl.Int64(), "row in the payload, from 1", minimum=1),
    Column("date", pl.Date(), "the partition's day, or the day of arrival"),
)
"""Columns that every ingested table has behind its own."""


PROBLEM_HEAD, PROBLEM_TAIL = 400, 200
"""Characters at both ends that are told of a problem with more: it may repeat a value of any length."""


class AbsentPartitionError(SourceError):
    """The other side has no such partition, or not yet: nothing is landed, and the next run asks again."""


@dataclass(frozen=True, slots=True)
class Payload:
    """Bytes as they were received.

    Attributes:
        name: what they are called, unique in their partition.
        content: the bytes.
        origin: where they came from, for people; it never holds a secret.
        media_type: as the other side called them, or empty.
        cursor: of a `next` partition, the highest value of the growing column in them.
    """

    name: str
    content: bytes = field(repr=False)
    origin: str = ""
    media_type: str = ""
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """When a row of a source could first be known.

    Attributes:
        column: a column of UTC ns or a `pl.Date` in the row; `None` is the time of arrival. Of a day its end is meant:
            nothing says when on that day.
        lag_ns: added to it, 0 or more: how long after that time the row was out.
    """

    column: str | None = None
    lag_ns: int = 0


@dataclass(frozen=True, slots=True)
class Expected:
    """What a partition is expected to look like; checks are made from it.

    Attributes:
        rows_min: fewest rows.
        rows_max: most rows.
        fresh_within_hours: how long after a day's end its rows may be absent.
        volume_change_max: largest change of the number of rows against the median of the days before, as a ratio:
            0.5 allows from half to one and a half times as many.
    """

    rows_min: int = 0
    rows_max: int | None = None
    fresh_within_hours: float = 26.0
    volume_change_max: float = 0.5


@dataclass(frozen=True, slots=True)
class SourceTable:
    """What a source says of itself.

    Attributes:
        name: of the source and of the asset and table that it fills.
        doc: one line.
        columns: of its rows, without the lineage.
        key: columns that name a row within a payload's version; empty is the row's place.
        partitioning: how it is cut.
        first_day: the first day it has, of a `day` source.
        known: when a row could first be known.
        expected: what a partition looks like.
        definition_sha256: of the file that defines it, or of its code: rows are made anew when it changes.
    """

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    partitioning: Partitioning = "day"
    first_day: date = date(2000, 1, 1)
    known: Known = Known()
    expected: Expected = Expected()
    definition_sha256: str = ""

    def __post_init__(self) -> None:
        """Refuse a table that cannot be stored.

        Raises:
            SourceError: a name is not allowed, is taken by the lineage or stands twice, or a key is no column.
        """
        if not NAME.match(self.name):
            problem = "must be lower-case letters, digits and underscores, beginning with a letter, at most 64"
            raise SourceError(self.name, "name", None, problem)
        names = [column.name for column in self.columns]
        taken = {column.name for column in LINEAGE} & set(names)
        problems = [f"column {name} belongs to the lineage; call it otherwise" for name in sorted(taken)]
        problems += [f"column {name} stands twice" for name in sorted({n for n in names if names.count(n) > 1})]
        problems += [f"key {name} is no column" for name in self.key if name not in names]
        if self.known.column is not None and self.known.column not in names:
            problems.append(f"known.column {self.known.column} is no column")
        if self.known.lag_ns < 0:
            problems.append("known: the lag is negative, so that rows would be known before they were out")
        if problems:
            raise SourceError(self.name, "columns", None, "; ".join(problems))

    def table(self) -> Table:
        """The table in the lake: its own columns, then the lineage."""
        identity = (*self.key, "source_version") if self.key else ("payload_sha256", "row_number")
        key = ("date", "source_partition", *identity)
        return Table(self.name, "raw", self.doc, (*self.columns, *LINEAGE), key=key)


@runtime_checkable
class PartitionedSource(Protocol):
    """What ingestion asks of a source; a class of your own with these three is one."""

    @property
    def table(self) -> SourceTable:
        """What it is called and what its rows are."""
        ...

    def fetch(self, partition: str, after: str | None = None) -> Iterable[Payload]:
        """Receive a partition, payload by payload, in an order that does not change.

        Args:
            partition: a day (`2024-01-31`), a key, or the name of the next partition.
            after: of a `next` partition, the cursor of the last one; `None` for the first.

        Raises:
            SourceError: it cannot be received whole.
        """
        ...

    def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
        """Read a payload: the source's columns, a row for each that it holds, in its order.

        Raises:
            SourceError: the payload is not what the source says.
        """
        ...


@runtime_checkable
class KeyedSource(PartitionedSource, Protocol):
    """A source cut by keys says which there are."""

    def partitions(self) -> Sequence[str]:
        """Every partition there is now."""
        ...


@runtime_checkable
class SecretSource(PartitionedSource, Protocol):
    """A source that has a secret knows how to keep it: the other side may repeat it in what is received."""

    def blotted(self, text: str) -> str:
        """A text without the secret, however it is spelled in it."""
        ...


def blotted(source: PartitionedSource, text: str) -> str:
    """A text without the source's secret, where it has one."""
    return source.blotted(text) if isinstance(source, SecretSource) else text


def shown(source: PartitionedSource, problem: str) -> str:
    """A problem for people and logs: without the source's secret, and of a length that can be read.

    It is blotted before it is cut, so that no half of a secret is left.
    """
    text = blotted(source, problem)
    cut = len(text) - PROBLEM_HEAD - PROBLEM_TAIL
    return f"{text[:PROBLEM_HEAD]}[... {cut} characters ...]{text[-PROBLEM_TAIL:]}" if cut > 0 else text


def told(source: PartitionedSource, error: SourceError) -> SourceError:
    """An error as :func:`shown`; to be raised `from None`, because what it came from may repeat the secret too."""
    kind = AbsentPartitionError if isinstance(error, AbsentPartitionError) else SourceError
    return kind(error.source, shown(source, error.file), error.row, shown(source, error.problem))


def check_partition(source: SourceTable, partition: str) -> None:
    """Refuse what cannot be a partition of a source.

    Raises:
        SourceError: the name is not allowed, or is no day where days are wanted.
    """
    if not PARTITION.match(partition):
        problem = "a partition's name has letters, digits and . _ + : @ = - only, at most 128"
        raise SourceError(source.name, partition, None, problem)
    if source.partitioning == "day":
        day_of(source.name, partition)


def day_of(source: str, partition: str) -> date:
    """The day that a partition is.

    Raises:
        SourceError: it is none.

    >>> day_of("closes", "2024-02-29")
    datetime.date(2024, 2, 29)
    """
    try:
        return date.fromisoformat(partition)
    except ValueError as error:
        raise SourceError(source, partition, None, "is no day; give one such as 2024-01-31") from error
