"""Delta tables in the lake: written by whole days, read by whole days, never by accident.

A table lies at `<root>/<group>/<name>`, one whose columns a feature specification says at `<name>-<hash>`
(:func:`spec_table`); the root is a folder or an object-store URL (`s3://bucket/lake`, with credentials from the
environment as delta-rs reads them). Rules that keep a table right:

* the partition column is a `pl.Date`; any other type is refused, because Delta compares strings as strings;
* a write names its days as a half-open window `[start, end)`; rows outside of it, or without a day, are refused,
  and exactly those days are replaced, also when a run covers many of them or is repeated;
* a write of the very rows that are there commits nothing, so that a table's version says when it changed;
* a read filters by the same half-open window, never by equality with its first day;
* raw tables are append-once: a day that has rows is never written again.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

import numpy as np
import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from py_rt.data.schemas import table_named
from py_rt.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from datetime import date

    from py_rt.data.schemas import Table

DEFAULT_PARTITION_COLUMN = "date"

SPEC_DIGITS = 16
"""Digits of a specification's hash in the name of its table; 64 bits tell any number of them apart."""

BATCH_ROWS = 1 << 17
"""Most rows in memory at a time of a table that comes in batches; a row of `raw_book` takes about 150 bytes."""

MAX_COMMIT_ATTEMPTS = 50
"""How often a write looks again when other writers come first."""


class _Table(DeltaTable):
    """A table whose files Polars finds also where the path of a local folder has a space or a letter like `é`.

    The library names local files as parts of a URL, with `%20`; Polars opens them as plain paths.
    """

    def file_uris(self, *filters: Any, **named: Any) -> list[str]:  # noqa: ANN401  # passed on as they are
        """Where its data files are."""
        root = self.table_uri.removeprefix("file://")
        uris = super().file_uris(*filters, **named)
        return [uri if "://" in uri else unquote(root) + uri.removeprefix(root) for uri in uris]


_COLOR = re.compile(r"\x1b\[[0-9;]*m")
"""Colors that the library puts into its messages."""

_DIGEST_SEEDS = (0x5EED, 0xD16E57)


@dataclass(frozen=True, slots=True)
class DayWindow:
    """Whole UTC days, `end` excluded.

    Raises:
        TableError: `end` is not after `start`.
    """

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise TableError(
                f"day window [{self.start}, {self.end}) is empty: the end is excluded, so give the day after"
            )

    def holds(self, column: str) -> pl.Expr:
        """True for rows whose `column` lies inside."""
        return (pl.col(column) >= self.start) & (pl.col(column) < self.end)

    def sql(self, column: str) -> str:
        """The same test as Delta predicate."""
        return f"{column} >= '{self.start.isoformat()}' AND {column} < '{self.end.isoformat()}'"


@dataclass(frozen=True, slots=True)
class Written:
    """What a write left behind.

    Attributes:
        rows: rows given.
        version: of the table afterwards.
        uri: where it lies.
        changed: whether there was anything to commit; the same rows again leave the version as it is.
    """

    rows: int
    version: int
    uri: str
    changed: bool = True


@dataclass(frozen=True, slots=True)
class RowBatches:
    """Rows that come in batches, as often as they are asked for: what is too much to be one frame in memory.

    Attributes:
        schema: of every batch.
        frames: makes them anew, from the first; each is cut to at most :data:`BATCH_ROWS` rows.
    """

    schema: pl.Schema
    frames: Callable[[], Iterable[pl.DataFrame]]

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """The batches in order."""
        for frame in self.frames():
            yield from frame.iter_slices(BATCH_ROWS) if frame.height > BATCH_ROWS else (frame,)

    def collect(self) -> pl.DataFrame:
        """All rows in one frame, for tables that are known to be small."""
        frames: list[pl.DataFrame] = [pl.DataFrame(schema=self.schema), *self]
        return pl.concat(frames)

    def rows_by(self, column: str) -> dict[Any, int]:
        """How many rows each value of a column has."""
        rows: dict[Any, int] = {}
        for frame in self:
            for value, count in frame.group_by(column).len().iter_rows():
                rows[value] = rows.get(value, 0) + int(count)
        return rows


@dataclass(frozen=True, slots=True)
class Lake:
    """The root of all tables.

    >>> Lake("/data/lake").uri("cleaned", "clean_bars")
    '/data/lake/cleaned/clean_bars'
    >>> Lake("s3://bucket/lake/").uri("raw", "raw_bars")
    's3://bucket/lake/raw/raw_bars'
    """

    root: str

    def uri(self, group: str, name: str) -> str:
        """Where a table lies."""
        return "/".join((self.root.rstrip("/"), group, name))

    def table_uri(self, name: str) -> str:
        """Where a declared table lies.

        Raises:
            SchemaError: no table is declared under that name.
        """
        return self.uri(table_named(name).group, name)


def spec_table(name: str, spec_sha256: str) -> str:
    """Name the table of one feature specification: each has its own, so that no table mixes what two of them mean.

    Args:
        name: of the asset that fills it.
        spec_sha256: identity of the specification, 64 hexadecimal digits.

    >>> spec_table("features_bar", "0123456789abcdef" * 4)
    'features_bar-0123456789abcdef'
    """
    return f"{name}-{spec_sha256[:SPEC_DIGITS]}"


def exists(uri: str) -> bool:
    """Whether a Delta table lies there."""
    if "://" not in uri and not Path(uri).is_dir():
        return False
    return DeltaTable.is_deltatable(uri)


def write_window(
    uri: str,
    frame: pl.DataFrame,
    window: DayWindow,
    *,
    column: str = DEFAULT_PARTITION_COLUMN,
    scales: Mapping[str, int] | None = None,
    commit: Mapping[str, str] | None = None,
) -> Written:
    """Replace exactly the days of `window` by the rows of `frame`.

    Args:
        uri: the table; it is made when absent.
        frame: every row has its day inside the window; a day without rows becomes empty.
        window: the days to replace.
        column: the partition column.
        scales: decimal digits of fixed-point columns, kept as field metadata `scale`.
        commit: stored with the commit (`run_id`, `asset`, ...).

    Raises:
        TableError: the column is not a `pl.Date`, has nulls or days outside of the window, or the table on disk has
            other columns or another partition column, or it cannot be written. Nothing is written then.
    """
    _check_days(uri, frame, column, window)
    return _write(_Write(uri, frame, column, dict(scales or {}), dict(commit or {}), window=window))


def replace_table(
    uri: str,
    batches: RowBatches,
    *,
    column: str = DEFAULT_PARTITION_COLUMN,
    scales: Mapping[str, int] | None = None,
    commit: Mapping[str, str] | None = None,
) -> Written:
    """Replace all rows of a table in one commit, and its columns where they are others now; earlier versions stay.

    Raises:
        TableError: as :func:`write_window`, but for other columns. Nothing is written then.
    """
    for frame in (pl.DataFrame(schema=batches.schema), *batches):
        _check_days(uri, frame, column, None)
    return _write(_Write(uri, batches, column, dict(scales or {}), dict(commit or {}), is_anew=True))


def write_window_in_batches(
    uri: str,
    batches: RowBatches,
    window: DayWindow,
    *,
    column: str = DEFAULT_PARTITION_COLUMN,
    scales: Mapping[str, int] | None = None,
    commit: Mapping[str, str] | None = None,
) -> Written:
    """Replace exactly the days of `window`, as :func:`write_window`, by rows that are never in memory all together.

    Raises:
        TableError: as :func:`write_window`. Nothing is written then.
    """
    _check_days(uri, pl.DataFrame(schema=batches.schema), column, window)
    for frame in batches:
        _check_days(uri, frame, column, window)
    return _write(_Write(uri, batches, column, dict(scales or {}), dict(commit or {}), window=window))


def append_days(
    uri: str,
    frame: pl.DataFrame,
    *,
    column: str = DEFAULT_PARTITION_COLUMN,
    partitioned: bool = True,
    scales: Mapping[str, int] | None = None,
    commit: Mapping[str, str] | None = None,
) -> Written:
    """Add the rows of days that the table does not hold yet; no row at all is no commit.

    Raises:
        TableError: as :func:`write_window`, or the table already holds one of the days.
    """
    _check_days(uri, frame, column, None)
    by = column if partitioned else None
    return _write(_Write(uri, frame, by, dict(scales or {}), dict(commit or {}), absent_days_of=column))


def write_whole(
    uri: str,
    frame: pl.DataFrame,
    *,
    scales: Mapping[str, int] | None = None,
    commit: Mapping[str, str] | None = None,
) -> Written:
    """Replace a table that has no partitions.

    Raises:
        TableError: the table on disk has other columns or is partitioned.
    """
    return _write(_Write(uri, frame, None, dict(scales or {}), dict(commit or {})))


def _check_days(uri: str, frame: pl.DataFrame, column: str, window: DayWindow | None) -> None:
    if column not in frame.columns:
        raise TableError(f"{uri}: the rows have no partition column {column!r}; columns are {', '.join(frame.columns)}")
    if frame.schema[column] != pl.Date:
        raise TableError(
            f"{uri}: partition column {column!r} is {frame.schema[column]}; only Date is allowed, "
            f"cast it with pl.col({column!r}).cast(pl.Date) or .str.to_date()"
        )
    if nulls := frame[column].null_count():
        raise TableError(f"{uri}: {nulls} of {frame.height} rows have no {column!r}, so they belong to no partition")
    if window is None:
        return
    outside = frame.filter(~window.holds(column))
    if outside.height:
        raise TableError(
            f"{uri}: {outside.height} of {frame.height} rows lie outside of the partitions "
            f"[{window.start}, {window.end}) being written, the first on {outside[column][0]}"
        )


@dataclass(frozen=True, slots=True)
class _Write:
    """A write to be done: an append when `absent_days_of` names a column, else an overwrite of `window`, or of all.

    `is_anew` lets it have other columns than the table has.
    """

    uri: str
    frame: pl.DataFrame | RowBatches
    partitioned_by: str | None
    scales: dict[str, int]
    commit: dict[str, str]
    window: DayWindow | None = None
    absent_days_of: str | None = None
    is_anew: bool = False

    @property
    def empty(self) -> pl.DataFrame:
        """Its columns without rows."""
        return pl.DataFrame(schema=self.frame.schema)

    @property
    def rows(self) -> int:
        """How many there are."""
        if isinstance(self.frame, pl.DataFrame):
            return self.frame.height
        return sum(frame.height for frame in self.frame)

    def arrow(self) -> pa.Table | pa.RecordBatchReader:
        """The rows for the library: batches one behind the other where they are batches."""
        if isinstance(self.frame, pl.DataFrame):
            return _with_scales(self.frame.to_arrow(), self.scales)
        schema = _with_scales(self.empty.to_arrow(), self.scales).schema
        tables = (_with_scales(frame.to_arrow(), self.scales) for frame in self.frame)
        return pa.RecordBatchReader.from_batches(schema, (batch for table in tables for batch in table.to_batches()))


def _write(write: _Write) -> Written:
    """Commit the rows, or say what stands in their way: also a full disk, or a store that is gone."""
    try:
        return _write_on_what_is_there(write)
    except OSError as error:
        words = " ".join(_COLOR.sub("", str(error)).split())
        problem = f"cannot be written ({words}): make room, give rights or reach the store, and run it again"
        raise TableError(f"{write.uri}: {problem}; what was there before is whole") from error


def _write_on_what_is_there(write: _Write) -> Written:
    """Commit on the very version that was looked at; when another writer came first, look again.

    Left to itself the library rebases such a commit, and two writers of one day would both be kept.
    """
    uri = write.uri
    if not exists(uri):
        _create(write)
    for _ in range(MAX_COMMIT_ATTEMPTS):
        table = _Table(uri)
        has_other_columns = write.is_anew and dict(pl.scan_delta(table).collect_schema()) != dict(write.empty.schema)
        if not has_other_columns:
            _check_form(uri, table, write.empty, write.partitioned_by)
        if write.absent_days_of is not None and isinstance(write.frame, pl.DataFrame):
            if write.frame.is_empty():
                return Written(0, int(table.version()), uri, changed=False)
            _check_absent(uri, table, write.frame, write.absent_days_of)
        elif not has_other_columns and _holds_already(table, write):
            return Written(write.rows, int(table.version()), uri, changed=False)
        try:
            _commit(table, write)
        except CommitFailedError:
            continue
        except (DeltaError, pa.ArrowException) as error:
            raise TableError(f"{uri}: the write was refused and nothing changed: {error}") from error
        return Written(write.rows, int(table.version()), uri)
    raise TableError(f"{uri}: {MAX_COMMIT_ATTEMPTS} times another writer came first; run it again")


def _create(write: _Write) -> None:
    """Make the table without rows; that another writer makes the same one at the same time does no harm."""
    if "://" not in write.uri:
        Path(write.uri).mkdir(parents=True, exist_ok=True)
    by = [write.partitioned_by] if write.partitioned_by is not None else None
    try:
        write_deltalake(write.uri, _with_scales(write.empty.to_arrow(), write.scales), mode="ignore", partition_by=by)
    except (DeltaError, pa.ArrowException) as error:
        if not exists(write.uri):
            raise TableError(f"{write.uri}: no table could be made: {error}") from error


def _commit(table: DeltaTable, write: _Write) -> None:
    rows = write.arrow()
    properties = CommitProperties(custom_metadata=write.commit, max_commit_retries=0)
    if write.absent_days_of is not None:
        write_deltalake(table, rows, mode="append", commit_properties=properties)
    else:
        by, window = write.partitioned_by, write.window
        predicate = window.sql(by) if window is not None and by is not None else None
        schema: Literal["overwrite"] | None = "overwrite" if write.is_anew else None
        write_deltalake(
            table, rows, mode="overwrite", predicate=predicate, schema_mode=schema, commit_properties=properties
        )


def _holds_already(table: DeltaTable, write: _Write) -> bool:
    """Whether the rows to write are the rows that are there, in any order."""
    held = pl.scan_delta(table)
    if write.window is not None and write.partitioned_by is not None:
        held = held.filter(write.window.holds(write.partitioned_by))
    held = held.select(write.empty.columns)
    try:
        if isinstance(write.frame, RowBatches):
            return _digest(held.collect_batches(chunk_size=BATCH_ROWS)) == _digest(write.frame)
        there = held.collect()
    except FileNotFoundError:
        return False  # a file was deleted beside the log: what it held is replaced
    if there.height != write.frame.height:
        return False
    return _in_any_order(there).equals(_in_any_order(write.frame))


def _digest(frames: Iterable[pl.DataFrame]) -> tuple[int, ...]:
    """How many rows there are, and sums over hashes of each: equal for the same rows in any order and any batches."""
    rows, sums = 0, [0] * len(_DIGEST_SEEDS)
    for frame in frames:
        rows += frame.height
        for at, seed in enumerate(_DIGEST_SEEDS):
            hashes = frame.hash_rows(seed).to_numpy()
            sums[at] = (sums[at] + int(np.add.reduce(hashes, dtype=np.uint64))) % (1 << 64)
    return (rows, *sums)


def _in_any_order(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(frame.hash_rows().alias("__row")).sort("__row", *frame.columns) if frame.width else frame


def _check_absent(uri: str, table: DeltaTable, frame: pl.DataFrame, column: str) -> None:
    held = pl.scan_delta(table).filter(pl.col(column).is_in(frame[column].unique().to_list()))
    found = held.select(pl.col(column).min().alias("first"), pl.len()).collect().row(0, named=True)
    if found["len"]:
        raise TableError(f"{uri} is append-once and already holds {column} {found['first']}: nothing was written")


def _check_form(uri: str, table: DeltaTable, frame: pl.DataFrame, column: str | None) -> None:
    """Refuse other columns, other types and other partitions than the table has."""
    wanted = [column] if column is not None else []
    if table.metadata().partition_columns != wanted:
        there = table.metadata().partition_columns or "nothing"
        raise TableError(f"{uri} is partitioned by {there}, this write by {wanted or 'nothing'}; nothing changed")
    held, given = pl.scan_delta(table).collect_schema(), frame.schema
    if dict(held) != dict(given):
        differing = sorted(name for name in {*held, *given} if held.get(name) != given.get(name))
        shown = "; ".join(f"{name}: table {held.get(name)}, rows {given.get(name)}" for name in differing)
        raise TableError(
            f"{uri}: other columns than the table has ({shown}); nothing changed. If the columns changed on purpose, "
            "remove the table's folder and materialise all of its partitions again"
        )


def _with_scales(table: pa.Table, scales: Mapping[str, int]) -> pa.Table:
    fields = [
        field.with_metadata({"scale": str(scales[field.name])}) if field.name in scales else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def scan(
    uri: str,
    window: DayWindow | None = None,
    *,
    column: str = DEFAULT_PARTITION_COLUMN,
    version: int | None = None,
) -> pl.LazyFrame:
    """Read a table lazily: all of it, or whole days of it.

    Args:
        uri: the table.
        window: the days wanted; `None` is everything.
        column: the partition column that `window` speaks of.
        version: an earlier version of the table; `None` is the newest.

    Raises:
        TableError: there is no table yet, it has no such version, or the window speaks of a column that is no Date.
    """
    if not exists(uri):
        raise TableError(f"{uri} holds no table yet: materialise the asset that writes it")
    try:
        # Asked for a version below 0 the library overflows, for one far above the newest it does not come back.
        newest = int(DeltaTable(uri).version()) if version is not None else 0
        if version is not None and not 0 <= version <= newest:
            problem = f"cannot be read at version {version}: allowed are 0 to {newest}"
            raise TableError(f"{uri} {problem}; see them with `py_rt lake history`, or leave it out for the newest")
        table = pl.scan_delta(_Table(uri, version=version))
        schema = table.collect_schema()
    except (DeltaError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{uri} cannot be read at version {version}: {error}") from error
    if window is None:
        return table
    if schema.get(column) != pl.Date:
        raise TableError(
            f"{uri}: column {column!r} is {schema.get(column)}; days can only be picked from a Date column"
        )
    return table.filter(window.holds(column))


def table_scales(uri: str) -> dict[str, int]:
    """Decimal digits of the fixed-point columns of a table, as it says itself.

    Raises:
        TableError: there is no table.
    """
    if not exists(uri):
        raise TableError(f"{uri} holds no table yet: materialise the asset that writes it")
    found = {field.name: field.metadata.get("scale") for field in _Table(uri).schema().fields}
    return {name: int(scale) for name, scale in found.items() if scale is not None}


def read_or_empty(lake: Lake, table: Table, window: DayWindow | None = None) -> pl.DataFrame:
    """Read a declared table, or a frame without rows when it has not been made yet.

    Raises:
        TableError: the table cannot be read.
    """
    uri = lake.uri(table.group, table.name)
    return table.conform(scan(uri, window).collect()) if exists(uri) else table.empty()


def scales_of_table(uri: str) -> dict[str, int]:
    """Decimal digits of a table's fixed-point columns, by name."""
    fields = DeltaTable(uri).schema().fields
    return {field.name: int(field.metadata["scale"]) for field in fields if "scale" in field.metadata}


def rows_by_partition(uri: str) -> dict[date | None, int]:
    """Rows of each partition by the table's log, `None` for a table without partitions; empty without a table.

    A partition of which a file has vanished from a local disk counts as absent.

    Raises:
        TableError: the log cannot be read, or does not say how many rows its files hold.
    """
    if not exists(uri):
        return {}
    try:
        table = DeltaTable(uri)
        files = pl.DataFrame(table.get_add_actions(flatten=True))
        columns = table.metadata().partition_columns
    except (DeltaError, pa.ArrowException) as error:
        raise TableError(f"{uri} cannot be read: {error}") from error
    if files["num_records"].null_count():
        raise TableError(f"{uri}: its log does not count rows; materialise the table again")
    days = files[f"partition.{columns[0]}"].to_list() if columns else [None] * files.height
    rows: dict[date | None, int] = {}
    vanished: set[date | None] = set()
    for day, path, count in zip(days, files["path"].to_list(), files["num_records"].to_list(), strict=True):
        rows[day] = rows.get(day, 0) + int(count)
        if "://" not in uri and not (Path(uri) / unquote(path)).is_file():
            vanished.add(day)
    return {day: count for day, count in rows.items() if day not in vanished}


def table_version(uri: str) -> int:
    """The newest version of a table.

    Raises:
        TableError: there is no table yet.
    """
    if not exists(uri):
        raise TableError(f"{uri} holds no table yet: materialise the asset that writes it")
    return int(DeltaTable(uri).version())


def read_table(
    name: str,
    *,
    root: str | Path,
    start: date | None = None,
    end: date | None = None,
    version: int | None = None,
) -> pl.DataFrame:
    """Read a declared table, sorted in its declared order.

    Args:
        name: as declared in `py_rt.data.schemas`, for example `clean_bars`.
        root: the lake's root folder or URL.
        start: first day wanted; `None` is from the beginning.
        end: day after the last one wanted; `None` is to the end.
        version: an earlier version of the table; `None` is the newest.

    Raises:
        SchemaError: no such table is declared.
        TableError: it has not been made yet, or not at that version.
    """
    table = table_named(name)
    rows = scan(Lake(str(root)).table_uri(name), version=version)
    column = table.partition_column or DEFAULT_PARTITION_COLUMN
    if start is not None:
        rows = rows.filter(pl.col(column) >= start)
    if end is not None:
        rows = rows.filter(pl.col(column) < end)
    return rows.sort(table.order or table.key, maintain_order=True).collect()


def table_versions(names: Iterable[str], *, root: str | Path) -> dict[str, int]:
    """The newest version of each named table: what a bundle's provenance records.

    Raises:
        SchemaError: a name is not declared.
        TableError: a table has not been made yet.
    """
    lake = Lake(str(root))
    return {name: table_version(lake.table_uri(name)) for name in names}


def content_hash(frame: pl.DataFrame, exclude: Collection[str] = ()) -> str:
    """SHA-256 of a frame's names, types and values in their order; equal content gives an equal hash anywhere.

    Args:
        frame: columns of numbers, text, booleans and dates; the caller fixes the order of rows.
        exclude: columns that are not content, such as the time of arrival.

    >>> one = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    >>> content_hash(one) == content_hash(one.with_columns(t=pl.lit(7)), exclude={"t"})
    True
    >>> content_hash(one) == content_hash(one.with_columns(pl.col("b").fill_null("")))
    False
    """
    content = ContentHash(frame.schema, exclude)
    content.add(frame)
    return content.hexdigest()


class ContentHash:
    """:func:`content_hash` of rows that come in batches: how they are cut makes no difference.

    Args:
        schema: of every batch.
        exclude: columns that are not content.
    """

    def __init__(self, schema: pl.Schema, exclude: Collection[str] = ()) -> None:
        self._kept = [name for name in schema if name not in exclude]
        named = "".join(f"{name}:{schema[name]}\n" for name in self._kept)
        self._digest = hashlib.sha256(named.encode())
        self._update(pl.DataFrame(schema=schema), is_head=True)

    def add(self, frame: pl.DataFrame) -> None:
        """Take in the next rows."""
        self._update(frame, is_head=False)

    def hexdigest(self) -> str:
        """Of all rows so far."""
        return self._digest.hexdigest()

    def _update(self, frame: pl.DataFrame, *, is_head: bool) -> None:
        # Text is always quoted, so that an absent value (\\N, unquoted) differs from any text.
        text = frame.select(self._kept).write_csv(include_header=is_head, null_value="\\N", quote_style="non_numeric")
        self._digest.update(text.encode())
