"""Upkeep of Delta tables: few large files instead of many small ones, old files removed, earlier versions read again.

A table's rows do not change by any of this but :func:`restore`, which is a further version too. What was removed by
:func:`vacuum` cannot be read at versions that needed it: bundles name the versions they were made from, so the bound of
days is the time for which a training run can be repeated.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from py_rt.data.lake_check import s3_endpoint
from py_rt.data.storage import exists, scan
from py_rt.errors import TableError

if TYPE_CHECKING:
    from py_rt.data.storage import DayWindow

KEEP_DAYS = 30
"""For how long files of earlier versions are kept."""

KEEP_DAYS_MIN = 7
"""Sooner removed, a file may be one that a reader or a writer still holds."""

TABLES_MAX = 10_000
"""Most tables of one lake that are looked at."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What compaction did.

    Attributes:
        files_before: of the newest version.
        files_after: likewise.
        rows: of the table, before and after.
        version: of the table afterwards.
    """

    files_before: int
    files_after: int
    rows: int
    version: int


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a table.

    Attributes:
        version: its number.
        at: when it was written.
        operation: what wrote it: WRITE, OPTIMIZE, RESTORE, ...
        run_id: of the run that wrote it, where it says.
    """

    version: int
    at: datetime
    operation: str
    run_id: str | None


@dataclass(frozen=True, slots=True)
class State:
    """A table as it stands.

    Attributes:
        name: its group and name.
        version: the newest.
        files: of that version.
        rows: likewise.
    """

    name: str
    version: int
    files: int
    rows: int


def state(uri: str, name: str) -> State:
    """What a table holds.

    Raises:
        TableError: there is no table.
    """
    table = _table(uri)
    return State(name, int(table.version()), len(table.file_uris()), _rows(table))


def tables_below(root: str, only: str = "") -> dict[str, str]:
    """Every table of a lake by `<group>/<name>`.

    Args:
        root: a folder, or an `s3://` URL.
        only: the one that is wanted; empty is all.

    Raises:
        TableError: there is no such table, or the place cannot be listed.
        LakeError: the environment says two addresses of the store.
    """
    base = root.rstrip("/")
    if only:
        if only.count("/") != 1 or ".." in only or not exists(f"{base}/{only}"):
            there = ", ".join(tables_below(root)) or "none"
            raise TableError(f"{root} holds no table {only!r}; it holds {there}")
        return {only: f"{base}/{only}"}
    try:
        names = [f"{group}/{name}" for group in _folders(base) for name in _folders(f"{base}/{group}")]
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{root} cannot be listed: {error}") from error
    if len(names) > TABLES_MAX:
        raise TableError(f"{root} holds {len(names)} folders, at most {TABLES_MAX} are looked at; name a table")
    return {name: f"{base}/{name}" for name in names if exists(f"{base}/{name}")}


def _folders(place: str) -> list[str]:
    """Names of the folders in a place; none where it is absent."""
    from pyarrow import fs

    store, path = fs.LocalFileSystem(), place
    if place.startswith("s3://"):
        scheme = "http" if os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"1", "true", "yes", "on"} else "https"
        endpoint = s3_endpoint(os.environ)
        given = {"endpoint_override": endpoint.partition("://")[2].rstrip("/"), "scheme": scheme} if endpoint else {}
        store, path = fs.S3FileSystem(region=os.environ.get("AWS_REGION"), **given), place.removeprefix("s3://")
    found = store.get_file_info(fs.FileSelector(path, allow_not_found=True))
    return sorted(one.base_name for one in found if one.type == fs.FileType.Directory)


def compact(uri: str) -> Compacted:
    """Join the small files of each partition into large ones; rows stay as they are, and others may write meanwhile.

    Raises:
        TableError: there is no table, or the store refuses.
    """
    table = _table(uri)
    seen, before = int(table.version()), len(table.file_uris())
    try:
        table.optimize.compact()
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise TableError(f"{uri}: compaction was refused and nothing changed: {error}") from error
    after = DeltaTable(uri, version=_compacted(uri, seen))
    rows, version = _rows(after), int(after.version())
    # The version that it was made from: between the one that was seen and its own, others may have written.
    whole = _rows(DeltaTable(uri, version=version - 1)) if version > seen else rows
    if rows != whole:
        raise TableError(f"{uri}: compaction left {rows} rows of {whole}; restore version {version - 1}")
    return Compacted(before, len(after.file_uris()), rows, version)


def _compacted(uri: str, seen: int) -> int:
    """The newest version that compaction made after one that was seen; that one where there was nothing to join."""
    later = [one for one in history(uri) if one.version > seen]
    return next((one.version for one in later if one.operation == "OPTIMIZE"), seen)


def vacuum(uri: str, *, keep_days: int = KEEP_DAYS, dry_run: bool = True) -> list[str]:
    """Remove files that only versions older than `keep_days` need.

    Args:
        uri: the table.
        keep_days: at least :data:`KEEP_DAYS_MIN`.
        dry_run: name the files, and remove none.

    Returns:
        Paths of the files, relative to the table, in order.

    Raises:
        TableError: there is no table, too few days are kept, or the store refuses.
    """
    if keep_days < KEEP_DAYS_MIN:
        problem = f"{uri}: files are kept for {KEEP_DAYS_MIN} days at least, asked were {keep_days}"
        raise TableError(f"{problem}: a younger file may still be read or written")
    try:
        return sorted(_table(uri).vacuum(retention_hours=keep_days * 24, dry_run=dry_run))
    except (DeltaError, OSError) as error:
        raise TableError(f"{uri}: removing old files was refused: {error}") from error


def history(uri: str) -> list[Version]:
    """Every version that the table's log still knows, newest first.

    Raises:
        TableError: there is no table.
    """
    return [
        Version(
            int(entry["version"]),
            datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(entry["timestamp"])),
            str(entry.get("operation", "")),
            entry.get("run_id"),
        )
        for entry in _table(uri).history()
    ]


def version_at(uri: str, moment: datetime) -> int:
    """The version that readers saw at a moment.

    Args:
        uri: the table.
        moment: with a time zone.

    Raises:
        TableError: the table was younger, the moment names no zone, or there is no table.
    """
    if moment.tzinfo is None:
        raise TableError(f"{uri}: {moment} names no time zone; give one, such as {moment.isoformat()}+00:00")
    versions = history(uri)
    for version in versions:
        if version.at <= moment:
            return version.version
    first = versions[-1]
    raise TableError(f"{uri}: at {moment} there was no version yet; the first known, {first.version}, is of {first.at}")


def scan_at(uri: str, moment: datetime, window: DayWindow | None = None) -> pl.LazyFrame:
    """Read a table as it was at a moment.

    Raises:
        TableError: as :func:`version_at` and `storage.scan`.
    """
    return scan(uri, window, version=version_at(uri, moment))


def restore(uri: str, version: int) -> int:
    """Make the rows of an earlier version the newest ones; what was between stays in the history.

    Returns:
        The new version.

    Raises:
        TableError: there is no such version, or a file of it is gone.
    """
    table = _table(uri)
    try:
        table.restore(version)
    except (DeltaError, OSError) as error:
        raise TableError(f"{uri}: version {version} cannot be restored and nothing changed: {error}") from error
    return int(_table(uri).version())


def _table(uri: str) -> DeltaTable:
    if not exists(uri):
        raise TableError(f"{uri} holds no table yet: materialise the asset that writes it")
    return DeltaTable(uri)


def _rows(table: DeltaTable) -> int:
    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    return int(actions["num_records"].sum()) if actions.height else 0
