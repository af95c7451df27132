"""The way back to a file: what no rule repaired is written as it was read.

Of a text every record keeps its own text, line end included; in a repaired record the cells that were not repaired keep
theirs, quotes and all. Of a Parquet file only repaired cells are replaced, in the column's own type or in a wider one
where that cannot hold them; what the file says of itself, such as the index of pandas, stays.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from py_rt.data.csv_records import quoted, raw_fields
from py_rt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from py_rt.data.repair.bars_file import BarsFile


def written(bars: BarsFile, order: Sequence[int], changes: Mapping[int, Mapping[int, str]]) -> bytes:
    """The bytes of a file with some of the rows, in some order, with some cells replaced.

    Args:
        bars: the file as read.
        order: rows to write.
        changes: row to (column to new text).

    Raises:
        DataError: a column of numbers holds some beside which no type holds a new one.
    """
    if not changes and bars.chosen is None and list(order) == list(range(bars.height)):
        return bars.content
    if bars.frame is not None:
        return _parquet(bars.content, table_of(bars, bars.frame, order, changes))
    return packed(bars.form, bars.member, lines_of(bars, order, changes))


def lines_of(bars: BarsFile, order: Sequence[int], changes: Mapping[int, Mapping[int, str]]) -> str:
    """The text of a file of text with some of the rows, in some order, with some cells replaced."""
    lines = [bars.head] if bars.head else []
    lines += [_line(bars, row, changes.get(row)) for row in order]
    return "".join([*(_ended(line, bars.head) for line in lines[:-1]), *lines[-1:]])


def packed(form: str, member: str, text: str) -> bytes:
    """A text as the bytes of a file of some kind; the same text has the same bytes.

    Args:
        form: one of `FORMS` but `.parquet`.
        member: of a zip archive, the name of the file in it.
        text: what the file says.
    """
    out = io.BytesIO()
    if form == ".zip":  # without a time of its own
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(member), text.encode(), zipfile.ZIP_DEFLATED)
    elif form.endswith(".gz"):
        with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as stream:
            stream.write(text.encode())
    else:
        return text.encode()
    return out.getvalue()


def _ended(line: str, head: str) -> str:
    """A line that another may follow: the file's last one may have no end of its own."""
    if line.endswith(("\n", "\r")):
        return line
    return line + (head[len(head.rstrip("\r\n")) :] or "\n")


def _line(bars: BarsFile, row: int, change: Mapping[int, str] | None) -> str:
    line = bars.lines[row]
    if not change:
        return line
    bare = line.strip("\r\n")
    before, after = line.split(bare, 1)
    raw = raw_fields(bare, bars.delimiter)
    cells = [
        quoted(change[place], bars.delimiter, like=cell) if place in change else cell for place, cell in enumerate(raw)
    ]
    return before + bars.delimiter.join(cells) + after


def cells_of(bars: BarsFile, row: int, changes: Mapping[int, Mapping[int, str]]) -> list[str]:
    """The texts of a row's cells, with some replaced."""
    change = changes.get(row, {})
    return [change.get(place, cell) for place, cell in enumerate(bars.cells[row])]


def table_of(
    bars: BarsFile, frame: pl.DataFrame, order: Sequence[int], changes: Mapping[int, Mapping[int, str]]
) -> pl.DataFrame:
    """The table of a Parquet file with some of the rows, in some order, with some cells replaced.

    Raises:
        DataError: as :func:`written`.
    """
    by_column: dict[int, dict[int, str]] = {}
    for row, cells in changes.items():
        for place, text in cells.items():
            by_column.setdefault(place, {})[row] = text
    columns = [_replaced(frame.to_series(place), by_column.get(place, {}), bars.name) for place in range(frame.width)]
    return pl.DataFrame(columns)[list(order)]


def _parquet(content: bytes, made: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    said = pyarrow.parquet.read_schema(pa.BufferReader(content)).metadata
    if said:  # readers look for it where Polars does not write it
        pyarrow.parquet.write_table(made.to_arrow().replace_schema_metadata(said), out, compression="zstd")
    else:
        made.write_parquet(out)
    return out.getvalue()


def _replaced(column: pl.Series, texts: Mapping[int, str], name: str) -> pl.Series:
    if not texts:
        return column
    rows = sorted(texts)
    dtype = _wide_enough(column, [texts[row] for row in rows], name)
    values = [typed(texts[row], dtype) for row in rows]
    return column.cast(dtype).scatter(rows, pl.Series(values, dtype=dtype))


def _wide_enough(column: pl.Series, texts: Sequence[str], name: str) -> pl.DataType:
    """The column's type, or the next one that holds its numbers and the new ones as they are."""
    kinds: list[pl.DataType] = [column.dtype, pl.Int64(), pl.Float64()]
    if isinstance(column.dtype, pl.Decimal):
        decimals = max((-int(Decimal(text).as_tuple().exponent) for text in texts if text), default=0)
        kinds[1] = pl.Decimal(38, max(decimals, column.dtype.scale))
    elif not column.dtype.is_integer():
        return column.dtype
    new = pl.Series([float(text) for text in texts if text], dtype=pl.Float64)
    for kind in kinds:
        if all(
            one.cast(kind, strict=False).cast(one.dtype, strict=False).eq_missing(one).all() for one in (new, column)
        ):
            return kind
    problem = (
        f"{name}: column {column.name!r} is of type {column.dtype}, and no type holds its numbers and the repaired"
    )
    raise DataError(f"{problem} {', '.join(texts[:3])}; write that column of IN as Float64, or as text")


def typed(text: str, dtype: pl.DataType) -> Any:  # noqa: ANN401  # a cell of any column
    """A cell's text as a value of its column's type."""
    if text == "":
        return None
    if dtype.is_integer():
        return round(float(text))
    if dtype.is_decimal():
        return Decimal(text)
    if dtype.is_float():
        return float(text)
    if isinstance(dtype, pl.Datetime):
        zone = dtype.time_zone
        stamp = pl.Series([text]).str.to_datetime(time_zone="UTC" if zone else None, strict=True)
        return stamp.dt.convert_time_zone(zone)[0] if zone else stamp[0]
    return text
