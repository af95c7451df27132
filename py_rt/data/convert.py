"""One file as another: CSV, Parquet, HDF5, and event files of hftbacktest; fixed-point columns keep every digit.

Parquet and HDF5 say the decimal digits of such columns; a CSV has them written out, as people write numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.bar_files import write_table
from py_rt.data.formats import DEFAULT_GROUP, HDF5_ENDINGS, PARQUET_ENDING, read_file, scales_of, write_file
from py_rt.data.schemas import SCALE_DIGITS
from py_rt.errors import DataError, SourceError, TableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SOURCE = "file"
CSV_ENDINGS = (".csv", ".csv.gz")
EVENT_ENDINGS = (".npz", ".npy")
TABLE_ENDINGS = (PARQUET_ENDING, *HDF5_ENDINGS)

_LIKE_A_CODE = r"^[+-]?0[0-9]"
"""007 is a name, and no number."""

_WHOLE, _WHOLE_MAX = r"^[+-]?[0-9]+$", 2**53
"""Whole numbers, and below which each of them is a float of its own."""


def convert(source: Path, target: Path, *, group: str = DEFAULT_GROUP) -> pl.DataFrame:
    """Write the rows of a file as another kind of file, whole or not at all.

    Args:
        source: CSV (plain or gzipped), Parquet, HDF5, or events of hftbacktest (`.npz`, `.npy`).
        target: CSV, Parquet or HDF5; of an HDF5 file other tables are kept.
        group: name of the table in an HDF5 file.

    Returns:
        The rows that were written.

    Raises:
        SourceError, TableError: the source cannot be read, a name ends otherwise, or a column cannot be kept.
        DataError: the target cannot be written.
    """
    if source.resolve() == target.resolve():
        raise SourceError(SOURCE, target.name, None, "is read here, and would be lost; give another name")
    check_ending(target)
    frame, scales = read_any(source, group)
    write_any(frame, target, scales, group)
    return frame


def check_ending(target: Path) -> None:
    """Refuse a name that says no kind of file.

    Raises:
        SourceError: it ends otherwise.
    """
    if not target.name.endswith((*TABLE_ENDINGS, *CSV_ENDINGS)):
        raise SourceError(SOURCE, target.name, None, f"must end with {', '.join((*CSV_ENDINGS, *TABLE_ENDINGS))}")


def write_any(frame: pl.DataFrame, target: Path, scales: Mapping[str, int], group: str = DEFAULT_GROUP) -> None:
    """Write rows as the kind of file that the name says.

    Raises:
        TableError: a column cannot be kept.
        DataError: the target cannot be written.
    """
    if target.name.endswith(CSV_ENDINGS):
        try:
            write_table(frame.with_columns(_decimals(name, digits) for name, digits in scales.items()), target)
        except pl.exceptions.PolarsError as error:
            raise TableError(f"{target}: a column cannot be written as text: {error}") from error
        return
    try:
        write_file(frame, target, scales=scales, group=group)
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror}; choose another place") from error


def read_any(path: Path, group: str = DEFAULT_GROUP) -> tuple[pl.DataFrame, Mapping[str, int]]:
    """Rows of a file, and the decimal digits of its fixed-point columns.

    Of a CSV a column is of whole numbers, of numbers, or of text: what 007 stands in is text, and so are whole numbers
    that are too long for either.

    Raises:
        SourceError, TableError: the file cannot be read, or is of another kind.
    """
    from py_rt.data.ingestion.hftbacktest import read_events
    from py_rt.data.ingestion.raw_files import read_raw_file

    if path.name.endswith(EVENT_ENDINGS):
        return read_events(path), dict.fromkeys(("price", "quantity"), SCALE_DIGITS)
    if path.name.endswith(TABLE_ENDINGS):
        return read_file(path, group=group), scales_of(path, group=group)
    if path.name.endswith(CSV_ENDINGS):
        return pl.DataFrame([_typed(column) for column in read_raw_file(SOURCE, path, path.name).columns]), {}
    allowed = ", ".join((*CSV_ENDINGS, *TABLE_ENDINGS, *EVENT_ENDINGS))
    raise SourceError(SOURCE, path.name, None, f"is of no kind that is read; allowed are {allowed}")


def _typed(column: pl.Series) -> pl.Series:
    text = column.str.strip_chars()
    text = text.set(text == "", None)
    if text.null_count() == text.len() or text.str.contains(_LIKE_A_CODE).any():
        return column
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == text.null_count():
        return whole
    number = text.cast(pl.Float64, strict=False)
    # NAN and INF alone are names; a long whole number, such as an id, would become another one.
    is_lost = text.str.contains(_WHOLE) & (number.abs() >= _WHOLE_MAX)
    if number.null_count() > text.null_count() or not number.is_finite().any() or is_lost.any():
        return column
    return number


def _decimals(name: str, digits: int) -> pl.Expr:
    """Fixed point as people write it, without zeros behind the last digit."""
    value = pl.col(name).cast(pl.Int128)
    size = value * pl.when(value < 0).then(-1).otherwise(1).cast(pl.Int128)
    one = 10**digits
    tail = (size % one).cast(pl.String).str.zfill(digits).str.strip_chars_end("0")
    sign = pl.when(value < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    below = pl.when(tail == "").then(pl.lit("")).otherwise(pl.lit(".") + tail)
    return pl.concat_str(sign, (size // one).cast(pl.String), below).alias(name)
