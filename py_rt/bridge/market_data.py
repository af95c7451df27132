"""What a running service shows in shared memory, as numpy arrays and Polars frames.

A ring carries records of six kinds (quotes, trades, bars, signals, fills, positions). The service writes it without
waiting for anybody; a reader that falls behind by more than the ring holds is told exactly how many records it missed.
Prices, quantities and amounts stay the integers that they are: see each field's unit in `KINDS`.

    with MarketDataReader(run / "segments.sock") as reader:
        for batch in reader:
            print(batch.frame("trade"))

Where only the present counts, `MarketDataCache` holds what is known now of each instrument: see
`py_rt.bridge.market_cache`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import polars as pl
import py_rt_core

from py_rt.bridge.market_cache import MarketCacheError, MarketDataCache
from py_rt.errors import BridgeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from os import PathLike
    from types import TracebackType

    import numpy.typing as npt

    Rows = npt.NDArray[np.void]

__all__ = [
    "KINDS",
    "Batch",
    "Field",
    "Kind",
    "MarketCacheError",
    "MarketDataCache",
    "MarketDataReader",
    "RingError",
    "read_table",
]

ATTACH_EVERY_MS = 20
"""Time between two questions whether a service that is gone has come back."""

_POLARS: dict[str, pl.DataType | type[pl.DataType]] = {
    "<u8": pl.UInt64,
    "<i8": pl.Int64,
    "<u4": pl.UInt32,
    "<u2": pl.UInt16,
    "|u1": pl.UInt8,
    "<f4": pl.Float32,
    "|b1": pl.Boolean,
    "|S16": pl.String,
    "(16,)<f4": pl.Array(pl.Float32, 16),
}
_LOW, _HIGH = "_low", "_high"
_WIDE_BASE = 1 << 64


class RingError(BridgeError):
    """A ring or table that cannot be attached, or that holds what no service leaves in it."""


@dataclass(frozen=True)
class Field:
    """One field of a record: its name, byte offset in the row of 128, numpy type, and unit."""

    name: str
    offset: int
    numpy: str
    unit: str


@dataclass(frozen=True)
class Kind:
    """One kind of record.

    Attributes:
        name: as in `Batch.arrays`.
        code: as in a row's field `kind`.
        fields: in order of their offsets.
        dtype: the structured numpy type of its rows.
    """

    name: str
    code: int
    fields: tuple[Field, ...]
    dtype: np.dtype[np.void]

    def frame(self, rows: Rows | None = None) -> pl.DataFrame:
        """Rows as columns; the halves of 128-bit amounts become one Int128 column.

        The field `kind` is left out: it says the same in every row. Without rows the frame is empty and has its types.

        >>> KINDS["trade"].frame().schema["price"]
        Int64
        >>> KINDS["fill"].frame().schema["fee"]
        Int128
        """
        rows = np.empty(0, self.dtype) if rows is None else rows
        shown = [field for field in self.fields if field.name != "kind"]
        columns = [_column(field, rows) for field in shown]
        wide = [field.name.removesuffix(_LOW) for field in shown if field.name.endswith(_LOW)]
        frame = pl.DataFrame(columns).with_columns(_joined(name).alias(name + _LOW) for name in wide)
        return frame.drop(name + _HIGH for name in wide).rename({name + _LOW: name for name in wide})


def _column(field: Field, rows: Rows) -> pl.Series:
    values = rows[field.name]
    if field.numpy == "|S16":
        return pl.Series(field.name, values.astype(str).tolist(), dtype=pl.String)
    return pl.Series(field.name, np.ascontiguousarray(values), dtype=_POLARS[field.numpy])


def _joined(name: str) -> pl.Expr:
    """The signed 128-bit integer of two halves."""
    high = pl.col(name + _HIGH).cast(pl.Int128) * pl.lit(_WIDE_BASE, dtype=pl.Int128)
    return high + pl.col(name + _LOW).cast(pl.Int128)


def _kinds() -> dict[str, Kind]:
    return {
        name: Kind(name, code, tuple(Field(*field) for field in fields), py_rt_core.record_dtype(name))
        for name, code, fields in py_rt_core.record_kinds()
    }


KINDS: Mapping[str, Kind] = _kinds()
"""The kinds of records by name, as the compiled module describes them."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Records that came together, all of one life of the service.

    Attributes:
        arrays: one structured array per kind that came, rows in the ring's order; `index` is a record's number in the
            ring, by which kinds can be put back in order.
        records: how many came.
        missed: how many were lost before them because the reader was too slow; exact.
        epoch: the service's life. A life that began and ended unseen shows as a gap here, and in nothing else.
        writer_alive: whether the service was at work.
    """

    arrays: Mapping[str, Rows]
    records: int
    missed: int
    epoch: int
    writer_alive: bool

    def frame(self, kind: str) -> pl.DataFrame:
        """Records of a kind as columns of integers; an empty frame where none came.

        Raises:
            RingError: there is no such kind.
        """
        if kind not in KINDS:
            raise RingError(f"kind {kind!r} does not exist: the kinds are {', '.join(KINDS)}")
        return KINDS[kind].frame(self.arrays.get(kind))


class MarketDataReader:
    """Reads a ring of a running service, and goes on reading when the service is started again.

    Iterating gives batches with something in them, until nothing has come for `idle_ms`; iterate again to go on.

    Args:
        socket_path: the socket in the run's folder.
        name: the ring's name.
        start: "oldest" begins with what is still safely in the ring, "newest" with the next record, "first" with the
            service's very first; what was overwritten since counts as missed.
        max_records: most records of a batch.
        idle_ms: when iterating ends.

    Raises:
        RingError: nobody serves the socket, the ring is not offered, or it has another layout than this package.
    """

    def __init__(
        self,
        socket_path: str | PathLike[str],
        name: str = "market",
        *,
        start: Literal["oldest", "newest", "first"] = "oldest",
        max_records: int = 4096,
        idle_ms: int = 1000,
    ) -> None:
        self._max_records = max_records
        self._idle_ms = idle_ms
        self._restarts = 0
        try:
            self._ring = py_rt_core.RingReader(socket_path, name, start)
        except py_rt_core.CoreError as error:
            raise RingError(str(error)) from error

    def read(self, timeout_ms: int = 0) -> Batch:
        """Give what has come, waiting at most `timeout_ms` for the first record; the batch may be empty.

        When the service is gone, its ring is read to the end first; then its successor is looked for until the time is
        up. A batch that is empty and says `writer_alive=False` means that there was none. A service that hangs may hold
        the last question up for a second beyond the time.

        Raises:
            RingError: the ring holds what no service leaves, or the successor's is not newer than the one before.
        """
        deadline = time.monotonic() + timeout_ms / 1000
        try:
            while True:
                left_ms = max(0, round((deadline - time.monotonic()) * 1000))
                arrays, found = self._ring.poll(self._max_records, left_ms)
                if found.records or found.missed or found.writer_alive:
                    break
                if self._ring.reattach() == "newer":
                    self._restarts += 1
                    continue
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                time.sleep(min(left, ATTACH_EVERY_MS / 1000))
        except py_rt_core.CoreError as error:
            raise RingError(str(error)) from error
        return Batch(arrays, found.records, found.missed, found.epoch, found.writer_alive)

    def __iter__(self) -> Iterator[Batch]:
        """Batches with records or losses in them, until nothing has come for `idle_ms`."""
        while True:
            batch = self.read(self._idle_ms)
            if not batch.records and not batch.missed:
                return
            yield batch

    @property
    def epoch(self) -> int:
        """The life of the service whose ring is attached."""
        return self._ring.epoch

    @property
    def missed(self) -> int:
        """All records lost so far because this reader was too slow, in every life of the service."""
        return self._ring.missed

    @property
    def restarts(self) -> int:
        """How often the service came back under this reader."""
        return self._restarts

    @property
    def backlog(self) -> int:
        """Records that wait; when this nears the ring's capacity, the reader is too slow."""
        return self._ring.backlog

    def close(self) -> None:
        """Let the ring go; a second time does nothing."""
        self._ring.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_table(socket_path: str | PathLike[str], name: str) -> dict[str, pl.DataFrame]:
    """Read the latest record of each entry of a running service's table, such as the positions of its slots.

    Args:
        socket_path: the socket in the run's folder.
        name: the table's name.

    Returns:
        A frame per kind of record; `entry` is the entry's number, `index` its version, which grows with every change.
        Each row is whole; rows may be of different moments.

    Raises:
        RingError: nobody serves the socket, the table is not offered, or it holds what no service leaves in it.
    """
    try:
        found = py_rt_core.TableReader(socket_path, name).snapshot()
    except py_rt_core.CoreError as error:
        raise RingError(str(error)) from error
    return {
        kind: KINDS[kind].frame(rows).insert_column(0, pl.Series("entry", entries))
        for kind, (entries, rows) in found.items()
    }
