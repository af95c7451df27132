"""One raw file, read as text: every field as it stands, every row with its line, or a clear refusal.

Refused are files that are empty, cut off, damaged, doubled or, unpacked, too large. A plain text file that does not
end with a newline looks cut off; it is taken when its SHA-256 was recorded when it was made (an installed package's
record, or a file `NAME.sha256` beside it) and still fits.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.ingestion.archives import file_of
from py_rt.data.ingestion.records import csv_rows, text_of
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUFFIXES = (".csv", ".csv.gz", ".parquet")
"""Kinds of file that are read."""

_FIRST_ROW = 2  # line 1 is the header


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file's content as text.

    Attributes:
        name: relative to its source.
        sha256: of its bytes as they lie on disk.
        columns: one String column per column of the file, in its order.
        row_numbers: line of each row in a text file (the header is line 1), row in a columnar one (from 1).
    """

    name: str
    sha256: str
    columns: pl.DataFrame
    row_numbers: list[int]


def read_raw_file(source: str, path: Path, name: str, expected_sha256: str | None = None) -> RawFile:
    """Read a CSV, gzipped CSV or Parquet file as text.

    Args:
        source: name of the source, for messages.
        path: where the file lies.
        name: what to call it, relative to the source.
        expected_sha256: recorded when the file was made; `None` looks for `NAME.sha256` beside it.

    Raises:
        SourceError: the file is absent, empty, cut off, damaged, doubled, does not have the recorded SHA-256, or
            unpacks to more than :mod:`archives` allows.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(source, name, None, f"cannot be read: {error.strerror}") from error
    if not content:
        raise SourceError(source, name, None, "is empty (0 bytes); fetch it again or remove it from the source")
    sha256 = hashlib.sha256(content).hexdigest()
    recorded = expected_sha256 or _recorded_sha256(source, path, name)
    if recorded is not None and recorded != sha256:
        problem = (
            f"has SHA-256 {sha256}, recorded was {recorded}: cut off or changed ({len(content)} bytes); fetch it again"
        )
        raise SourceError(source, name, None, problem)
    if path.name.endswith(".parquet"):
        columns = _read_parquet(source, name, content)
        return RawFile(name, sha256, columns, list(range(1, columns.height + 1)))
    if path.name.endswith(".gz"):
        content = file_of(source, name, content, "gzip")
    header, rows, lines = _read_csv(source, name, content, complete=recorded is not None or path.name.endswith(".gz"))
    columns = pl.DataFrame(rows, schema=dict.fromkeys(header, pl.String), orient="row")
    return RawFile(name, sha256, columns, lines)


def _recorded_sha256(source: str, path: Path, name: str) -> str | None:
    record = path.with_name(f"{path.name}.sha256")
    if not record.is_file():
        return None
    words = record.read_text(encoding="utf-8").split()
    if not words or len(words[0]) != hashlib.sha256().digest_size * 2:
        raise SourceError(
            source, f"{name}.sha256", 1, "must begin with the 64 hexadecimal digits of the file's SHA-256"
        )
    return words[0].lower()


def _read_parquet(source: str, name: str, content: bytes) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except pl.exceptions.PolarsError as error:
        raise SourceError(source, name, None, f"is cut off or damaged, no Parquet file: {error}") from error
    if frame.is_empty():
        raise SourceError(source, name, None, "has columns and no rows; fetch it again or remove it from the source")
    half, odd = divmod(frame.height, 2)
    if half and not odd and frame.head(half).equals(frame.tail(half)):
        raise SourceError(
            source, name, half + 1, f"repeats the rows from row 1 on: the file is doubled; keep the first {half}"
        )
    return frame.select(_as_text(column, dtype) for column, dtype in frame.schema.items())


def _as_text(column: str, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Datetime):
        stamp = pl.col(column) if dtype.time_zone else pl.col(column).dt.replace_time_zone("UTC")
        text = stamp.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%d %H:%M:%S.%9f")
        return text + "+00:00" if dtype.time_zone else text
    if dtype == pl.Binary:
        return pl.col(column).bin.encode("hex")
    if dtype.is_nested():
        return pl.struct(column).struct.json_encode().alias(column)
    if dtype == pl.Duration:
        return pl.col(column).dt.to_string("iso")
    return pl.col(column).cast(pl.String)


def _read_csv(
    source: str, name: str, content: bytes, *, complete: bool
) -> tuple[list[str], list[list[str]], list[int]]:
    text = text_of(source, name, content)
    found = list(csv_rows(source, name, text))
    lines, rows = [line for line, _ in found], [fields for _, fields in found]
    while rows and not rows[-1]:  # blank lines at the end
        del rows[-1], lines[-1]
    if not rows:
        raise SourceError(
            source, name, None, "is empty (blank lines only); fetch it again or remove it from the source"
        )
    header, rows, lines = rows[0], rows[1:], lines[1:]
    _check_rows(source, name, header, rows, lines)
    if not complete and not text.endswith(("\n", "\r")):
        problem = (
            "the last line does not end with a newline, so the file looks cut off; if it is complete, end it with a "
            f"newline or record its SHA-256 in {name}.sha256"
        )
        raise SourceError(source, name, lines[-1], problem)
    return header, rows, lines


def _check_rows(source: str, name: str, header: list[str], rows: Sequence[list[str]], lines: Sequence[int]) -> None:
    if not rows:
        raise SourceError(source, name, 1, "has a header and no rows; fetch it again or remove it from the source")
    if repeated := sorted({field for field in header if header.count(field) > 1}):
        raise SourceError(source, name, 1, f"the header names {', '.join(map(repr, repeated))} twice")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(header):
            cut = " and is the last: the file is cut off, fetch it again" if line == lines[-1] else ""
            raise SourceError(source, name, line, f"has {len(row)} fields, the header has {len(header)}{cut}")
        if row == header:
            raise SourceError(source, name, line, "is the header again: the file is doubled or joined; keep one part")
    half, odd = divmod(len(rows), 2)
    if not odd and rows[:half] == rows[half:]:
        problem = f"repeats the rows from row {_FIRST_ROW} on: the file is doubled; keep the first {half} rows"
        raise SourceError(source, name, lines[half], problem)
