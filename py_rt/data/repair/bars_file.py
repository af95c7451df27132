"""Bars in a file, row by row, and the way back: what no rule repaired is written as it was read.

Of a CSV every record keeps its own text, line end included; a repaired record is written anew with the other cells'
texts unchanged. Of a Parquet file the frame is kept, and only repaired cells are replaced, in the column's own type.
A file in which nothing was found is written byte for byte as it came.

The rows are not trusted: records with too few or too many fields and second headers are kept as rows with a mark, so
that they can be quarantined. What cannot be a table at all is refused.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import re
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from py_rt.data.repair.columns import find_roles
from py_rt.errors import DataError, SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNPACKED_BYTES_MAX = 1 << 30
"""Largest content of a compressed file, bytes."""

ROWS_MAX = 20_000_000
"""Most rows of a file that are taken."""

FORMS = (".csv", ".csv.gz", ".parquet")
"""Kinds of file, by suffix."""

_DELIMITERS = (",", ";", "\t", "|")
_SOURCE = "bars"


@dataclass(frozen=True, slots=True)
class Torn:
    """A record that is no row of the table: why."""

    reason: str


@dataclass(slots=True)
class BarsFile:
    """A file's rows.

    Attributes:
        name: of the file, for messages.
        form: one of `FORMS`.
        content: the file's bytes as they lie on disk.
        header: names of the columns.
        roles: role to index of its column.
        cells: text of each row's cells; of a torn record what there is.
        torn: row to why it is no row.
        lines: of a CSV, the text of each record with its line end.
        head: of a CSV, what stands before the first row.
        frame: of a Parquet file, the table.
    """

    name: str
    form: str
    content: bytes
    header: list[str]
    roles: dict[str, int]
    cells: list[list[str]]
    torn: dict[int, Torn] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    head: str = ""
    delimiter: str = ","
    frame: pl.DataFrame | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of the file's bytes."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def height(self) -> int:
        """Number of rows, torn records included."""
        return len(self.cells)

    def text(self, row: int, role: str) -> str:
        """The cell of a role in a row as text; empty where there is none."""
        place = self.roles.get(role)
        cells = self.cells[row]
        return cells[place].strip() if place is not None and place < len(cells) else ""


def form_of(path: Path) -> str:
    """The kind of a file, by its suffix.

    Raises:
        SourceError: it is of no kind that is read.

    >>> form_of(Path("spy.csv.gz"))
    '.csv.gz'
    """
    for form in sorted(FORMS, key=len, reverse=True):
        if path.name.lower().endswith(form):
            return form
    raise SourceError(_SOURCE, path.name, None, f"is of no kind that is read; allowed are {', '.join(FORMS)}")


def read_bars_file(path: Path) -> BarsFile:
    """Read bars from a CSV, gzipped CSV or Parquet file.

    Raises:
        SourceError: the file is absent, empty, cut off, damaged, no table, too large, without rows, or without a
            column of times or closes.
    """
    form = form_of(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(_SOURCE, path.name, None, f"cannot be read: {error.strerror}") from error
    if not content:
        raise SourceError(_SOURCE, path.name, None, "is empty (0 bytes); fetch it again")
    bars = _from_parquet(path.name, content) if form == ".parquet" else parse_bars(path.name, form, content)
    if not bars.cells:
        raise SourceError(_SOURCE, path.name, 1, "has a header and no rows; fetch it again")
    if bars.height > ROWS_MAX:
        raise SourceError(_SOURCE, path.name, None, f"has {bars.height} rows, {ROWS_MAX} are the most; split it")
    return bars


def unpacked(name: str, content: bytes, source: str = _SOURCE) -> bytes:
    """The content of a gzip file.

    Raises:
        SourceError: it is cut off, damaged or too large.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            text = stream.read(UNPACKED_BYTES_MAX + 1)
    except EOFError as error:
        raise SourceError(source, name, None, "is cut off: the compressed stream ends early; fetch it again") from error
    except (OSError, zlib.error) as error:
        raise SourceError(source, name, None, f"is damaged: {error}; fetch it again") from error
    if len(text) > UNPACKED_BYTES_MAX:
        raise SourceError(source, name, None, f"unpacks to more than {UNPACKED_BYTES_MAX} bytes; split it")
    return text


def _from_parquet(name: str, content: bytes) -> BarsFile:
    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except pl.exceptions.PolarsError as error:
        raise SourceError(_SOURCE, name, None, f"is cut off or damaged, no Parquet file: {error}") from error
    texts = frame.select(_as_text(column, dtype) for column, dtype in frame.schema.items())
    cells = [["" if cell is None else cell for cell in row] for row in texts.iter_rows()]
    return BarsFile(name, ".parquet", content, frame.columns, find_roles(frame.columns, name), cells, frame=frame)


def _as_text(column: str, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Datetime):
        pattern = "%Y-%m-%d %H:%M:%S%.f%:z" if dtype.time_zone else "%Y-%m-%d %H:%M:%S%.f"
        return pl.col(column).dt.strftime(pattern)
    return pl.col(column).cast(pl.String, strict=False)


def parse_bars(name: str, form: str, content: bytes) -> BarsFile:
    """Bars from the bytes of a CSV file.

    Args:
        name: of the file, for messages.
        form: `.csv` or `.csv.gz`.
        content: the bytes.

    Raises:
        SourceError: as `read_bars_file`.
    """
    plain_bytes = unpacked(name, content) if form.endswith(".gz") else content
    try:
        text = plain_bytes.decode("utf-8")
    except UnicodeDecodeError as error:
        at = plain_bytes[: error.start].count(b"\n") + 1
        raise SourceError(_SOURCE, name, at, f"is not UTF-8 text: byte {error.object[error.start]:#04x}") from error
    if text.lstrip("\ufeff \t\r\n")[:1] == "<":
        raise SourceError(_SOURCE, name, 1, "is a page (HTML or XML), not a table: the source answered with an error")
    records = _records(name, text)
    if not records:
        raise SourceError(_SOURCE, name, None, "is empty (blank lines only); fetch it again")
    delimiter = _delimiter(records[0][1])
    header = _fields(records[0][1].lstrip("\ufeff"), delimiter)
    if repeated := sorted({one for one in header if one and header.count(one) > 1}):
        raise SourceError(_SOURCE, name, 1, f"the header names {', '.join(map(repr, repeated))} twice")
    roles = find_roles(header, name)
    bars = BarsFile(name, form, content, header, roles, [], head=records[0][0], delimiter=delimiter)
    for row, (line, body) in enumerate(records[1:]):
        cells = _fields(body, delimiter)
        bars.cells.append(cells)
        bars.lines.append(line)
        if cells == header:
            bars.torn[row] = Torn("second_header")
        elif len(cells) != len(header):
            bars.torn[row] = Torn("torn_row")
    return bars


def _records(name: str, text: str) -> list[tuple[str, str]]:
    """Each record that is not blank: its whole text with the line end (and blank lines before it), and bare."""
    records: list[tuple[str, str]] = []
    pending = ""
    for line in _lines(text):
        pending += line
        if pending.count('"') % 2 == 0:
            if pending.strip():
                records.append((pending, pending.rstrip("\r\n")))
            pending = ""
    if pending.strip():
        raise SourceError(_SOURCE, name, len(records) + 1, "a quoted cell is never closed: the file is cut off")
    return records


def _lines(text: str) -> list[str]:
    """The lines with their ends; the last one may have none. Only newlines and carriage returns end a line."""
    if "\r" in text:
        return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)
    lines = text.split("\n")
    last = lines.pop()
    ended = [f"{line}\n" for line in lines]
    return [*ended, last] if last else ended


def _delimiter(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


def _fields(bare: str, delimiter: str) -> list[str]:
    if '"' not in bare:
        return bare.strip("\r\n").split(delimiter)
    return next(csv.reader([bare], delimiter=delimiter))


def written(bars: BarsFile, order: Sequence[int], changes: Mapping[int, Mapping[int, str]]) -> bytes:
    """The bytes of a file with some of the rows, in some order, with some cells replaced.

    Args:
        bars: the file as read.
        order: rows to write.
        changes: row to (column to new text).
    """
    if not changes and list(order) == list(range(bars.height)):
        return bars.content
    if bars.frame is not None:
        return _parquet(bars.frame, order, changes)
    lines = [bars.head, *(_line(bars, row, changes.get(row)) for row in order)]
    text = "".join([*(_ended(line, bars.head) for line in lines[:-1]), lines[-1]]).encode()
    if bars.form == ".csv":
        return text
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream:
        stream.write(text)
    return packed.getvalue()


def _ended(line: str, head: str) -> str:
    """A line that another may follow: the file's last one may have no end of its own."""
    if line.endswith(("\n", "\r")):
        return line
    return line + (head[len(head.rstrip("\r\n")) :] or "\n")


def _line(bars: BarsFile, row: int, change: Mapping[int, str] | None) -> str:
    line = bars.lines[row]
    if not change:
        return line
    cells = [change.get(place, cell) for place, cell in enumerate(bars.cells[row])]
    out = io.StringIO(newline="")
    ending = line[len(line.rstrip("\r\n")) :]
    csv.writer(out, delimiter=bars.delimiter, lineterminator=ending).writerow(cells)
    return out.getvalue()


def _parquet(frame: pl.DataFrame, order: Sequence[int], changes: Mapping[int, Mapping[int, str]]) -> bytes:
    by_column: dict[int, dict[int, str]] = {}
    for row, cells in changes.items():
        for place, text in cells.items():
            by_column.setdefault(place, {})[row] = text
    columns = [_replaced(frame.to_series(place), by_column.get(place, {})) for place in range(frame.width)]
    out = io.BytesIO()
    pl.DataFrame(columns)[list(order)].write_parquet(out)
    return out.getvalue()


def _replaced(column: pl.Series, texts: Mapping[int, str]) -> pl.Series:
    if not texts:
        return column
    rows = sorted(texts)
    values = [typed(texts[row], column.dtype) for row in rows]
    return column.scatter(rows, pl.Series(values, dtype=column.dtype))


def typed(text: str, dtype: pl.DataType) -> Any:  # noqa: ANN401  # a cell of any column
    """A cell's text as a value of its column's type."""
    if text == "":
        return None
    if dtype.is_integer():
        return round(float(text))
    if dtype.is_float() or dtype.is_decimal():
        return float(text)
    if isinstance(dtype, pl.Datetime):
        zone = dtype.time_zone
        stamp = pl.Series([text]).str.to_datetime(time_zone="UTC" if zone else None, strict=True)
        return stamp.dt.convert_time_zone(zone)[0] if zone else stamp[0]
    return text


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it stands whole or not at all.

    Raises:
        DataError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}; choose another place") from error
