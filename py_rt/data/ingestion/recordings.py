"""Recorded wires: the folder that `py_rt record` writes into, read as tables of integers by UTC days of receipt.

The reading is Rust's (`py_rt_feed export`): the parsers, sequencers and books that trade play the recordings, and a
report says what they are worth. Nothing here looks into a recording.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from py_rt.data.schemas import RAW_BOOK, RAW_TRADES
from py_rt.data.storage import BATCH_ROWS, RowBatches
from py_rt.defaults import installed_command
from py_rt.errors import ChangedSourceError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from py_rt.data.schemas import Table
    from py_rt.data.storage import DayWindow

COMMAND = "py_rt_feed"
SOURCE = "recordings"

CONTEXT_NS = 2 * 3_600 * 10**9
"""A file that was last written this long before a day is played too, so that the day's books stand from its beginning.
The recorder ends files each hour unless it is told otherwise."""

BEGUN_LATE_NS = 5 * 10**9
"""A file is begun with a message, and one that came before it on another connection may follow: files begun this
soon after a day are played too."""

ENDINGS = (".jsonl", ".ndjson", ".zst", ".gz")
"""How names of recordings end; other files are passed over."""

READ_BYTES = 1 << 20

_BEGUN = re.compile(r"_(\d{8}T\d{6})\.(\d{9})Z_\d+\.")
"""Where the recorder's names say when a file was begun, UTC."""

_BOOK_CSV = {
    "session": pl.Int64(),
    "venue": pl.String(),
    "symbol": pl.String(),
    "ts_received": pl.Int64(),
    "ts_event": pl.Int64(),
    "kind": pl.String(),
    "reason": pl.String(),
    "update": pl.Int64(),
    "update_id": pl.Int64(),
    "side": pl.String(),
    "price": pl.Int64(),
    "quantity": pl.Int64(),
    "best_bid": pl.Int64(),
    "best_ask": pl.Int64(),
}
_TRADES_CSV = {
    "session": pl.Int64(),
    "venue": pl.String(),
    "symbol": pl.String(),
    "ts_received": pl.Int64(),
    "ts_event": pl.Int64(),
    "trade_id": pl.Int64(),
    "price": pl.Int64(),
    "quantity": pl.Int64(),
    "aggressor": pl.String(),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What an export of recordings says of itself.

    Attributes:
        book_rows: rows of the book table.
        book_updates: updates of books in them, snapshots included.
        trade_rows: rows of the trades table.
        played_updates: updates that the report counts over all that was played, the window's context included.
        played_trades: likewise trades.
        skipped_updates: those of them before the window.
        skipped_trades: likewise.
        problems: what is wrong with the recordings, in words.
    """

    book_rows: int
    book_updates: int
    trade_rows: int
    played_updates: int
    played_trades: int
    skipped_updates: int
    skipped_trades: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exported:
    """The tables of some days, as `RAW_BOOK` and `RAW_TRADES` declare them, in batches: a day is much."""

    book: RowBatches
    trades: RowBatches
    facts: Facts


@dataclass(frozen=True)
class Recordings:
    """A folder of recordings.

    Attributes:
        folder: where they are, without folders of their own; it may be absent.
        command: that exports them; `None` is the installed one.
    """

    folder: Path
    command: Path | None = None
    _facts: dict[tuple[DayWindow, str], Facts] = field(default_factory=dict, repr=False, compare=False)

    def files(self, window: DayWindow) -> list[Path]:
        """Every file that may hold something of the days or of their context.

        Those not last written before it nor, as far as their names say, begun after it.
        """
        since, until = _ns(window.start) - CONTEXT_NS, _ns(window.end) + BEGUN_LATE_NS
        found = sorted(path for path in self.folder.glob("*") if path.name.endswith(ENDINGS) and path.is_file())
        return [path for path in found if path.stat().st_mtime_ns >= since and _begun_ns(path.name, since) < until]

    def fingerprint(self, window: DayWindow) -> str:
        """A hash that changes when a file of the days does, without reading it."""
        stats = ((path.name, path.stat()) for path in self.files(window))
        lines = [f"{name} {stat.st_size} {stat.st_mtime_ns}\n" for name, stat in stats]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def lineage(self, window: DayWindow) -> dict[str, str]:
        """SHA-256 of each file that is played for the days, by name."""
        return {path.name: _sha256(path) for path in self.files(window)}

    def export(self, window: DayWindow) -> Exported:
        """Play the recordings and read what was received within the days.

        Raises:
            SourceError: a recording cannot be read, or the command is not installed.
        """
        files = self.files(window)
        if files:
            # It is gone with the last of the tables that read from it.
            folder = tempfile.TemporaryDirectory(prefix="py_rt-export-")
            out = Path(folder.name) / "tables"
            self._run(["export", *map(str, files), "--out", str(out), *_bounds(window)])
            facts = _facts(json.loads((out / "report.json").read_bytes()))
            book = _ExportedTable(folder, out / "book.csv", _BOOK_CSV, RAW_BOOK).daily()
            trades = _ExportedTable(folder, out / "trades.csv", _TRADES_CSV, RAW_TRADES).daily()
            exported = Exported(book, trades, facts)
        else:
            book, trades = (RowBatches(table.schema, tuple) for table in (RAW_BOOK, RAW_TRADES))
            exported = Exported(book, trades, Facts(0, 0, 0, 0, 0, 0, 0, ()))
        self._facts[window, self.fingerprint(window)] = exported.facts
        return exported

    def facts(self, window: DayWindow) -> Facts:
        """What an export of the days says of itself; the last one's where no file has changed since."""
        known = self._facts.get((window, self.fingerprint(window)))
        return known if known is not None else self.export(window).facts

    def _run(self, arguments: list[str]) -> None:
        command = str(self.command) if self.command is not None else installed_command(COMMAND)
        if command is None:
            raise SourceError(
                SOURCE, str(self.folder), None, f"{COMMAND} is not installed: install py_rt (`make setup`)"
            )
        done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
        # 1: something is wrong with what was recorded; the tables stand, and the report says what.
        if done.returncode not in {0, 1}:
            raise SourceError(SOURCE, str(self.folder), None, done.stderr.strip() or f"{COMMAND}: {done.returncode}")


def keep_what_landed(landed: Mapping[date | None, int], offered: Mapping[Any, int], window: DayWindow) -> None:
    """Refuse an offer in which a landed day has fewer rows: recordings grow, and what is gone stays in the lake.

    Args:
        landed: rows of each day of the table.
        offered: rows of each day that would replace the window's.
        window: those days.

    Raises:
        ChangedSourceError: a day would lose rows.
    """
    for day, rows in landed.items():
        if day is not None and window.start <= day < window.end and offered.get(day, 0) < rows:
            problem = (
                f"day {day} was landed with {rows} rows and its recordings now give {offered.get(day, 0)}: "
                "put the files back. Landed data stays as it is"
            )
            raise ChangedSourceError(SOURCE, "recordings", None, problem)


@dataclass(frozen=True, slots=True)
class _ExportedTable:
    """A table as the command wrote it, read a block at a time."""

    folder: tempfile.TemporaryDirectory[str]
    path: Path
    columns: Mapping[str, pl.DataType]
    table: Table

    def daily(self) -> RowBatches:
        """Its rows with their day and their place in it.

        Sessions and updates are counted anew each day, so that a day is the same however it is made.
        """
        names = [name for name in _BOOK_OF if name in self.columns]
        counted = [name for name in ("update",) if name in self.columns]
        seen = [frame.group_by("date", *names).agg(pl.col(name).min() for name in counted) for frame in self._frames()]
        if not seen:
            return RowBatches(self.table.schema, tuple)
        books = pl.concat(seen).group_by("date", *names).agg(pl.col(name).min() for name in counted)
        books = books.with_columns(
            (pl.col("session").rank("dense").over("date") - 1).cast(pl.Int64).alias("session_of_day")
        ).rename({name: f"first_{name}" for name in counted})

        def frames() -> Iterator[pl.DataFrame]:
            rows: dict[date, int] = {}
            for frame in self._frames():
                placed = frame.join(books, on=["date", *names], how="left", maintain_order="left").with_columns(
                    pl.col("session_of_day").alias("session"),
                    *((pl.col(name) - pl.col(f"first_{name}")).alias(name) for name in counted),
                    (pl.int_range(pl.len(), dtype=pl.Int64).over("date") + _begun(rows)).alias("row"),
                )
                for day, count in frame.group_by("date").len().iter_rows():
                    rows[day] = rows.get(day, 0) + int(count)
                yield self.table.conform(placed.drop("session_of_day", *(f"first_{name}" for name in counted)))

        return RowBatches(self.table.schema, frames)

    def _frames(self) -> Iterator[pl.DataFrame]:
        day = pl.from_epoch("ts_received", time_unit="ns").dt.date().alias("date")
        rows = pl.scan_csv(self.path, schema=dict(self.columns)).with_columns(day)
        yield from (frame for frame in rows.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True) if frame.height)


_BOOK_OF = ("session", "symbol")
"""What names a book within a day."""


def _begun(rows: Mapping[date, int]) -> pl.Expr:
    """How many rows of its day came before, by day."""
    if not rows:
        return pl.lit(0, dtype=pl.Int64)
    return pl.col("date").replace_strict(dict(rows), default=0, return_dtype=pl.Int64)


def _facts(exported: dict[str, Any]) -> Facts:
    report = exported["report"]
    books = [book for connection in report["connections"] for book in connection["books"]]
    totals = report["totals"]
    return Facts(
        book_rows=exported["book_rows"],
        book_updates=exported["book_updates"],
        trade_rows=exported["trade_rows"],
        played_updates=totals["updates"] + sum(book["snapshots"] for book in books),
        played_trades=totals["trades"],
        skipped_updates=exported["skipped_updates"],
        skipped_trades=exported["skipped_trades"],
        problems=tuple(report["problems"]),
    )


def _bounds(window: DayWindow) -> list[str]:
    return [f"--from-ns={_ns(window.start)}", f"--to-ns={_ns(window.end)}"]


def _begun_ns(name: str, otherwise: int) -> int:
    """When a file of this name was begun; of other names nothing is known."""
    found = _BEGUN.search(name)
    if found is None:
        return otherwise
    begun = datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return int(begun.timestamp()) * 10**9 + int(found[2])


def _ns(day: date) -> int:
    return int(datetime.combine(day, time.min, UTC).timestamp()) * 10**9


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
