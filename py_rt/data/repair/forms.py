"""Cleaned rows as a file of another kind than the one they came in.

Between kinds of text only the packing and, where the suffix asks for it, the separator change: every cell keeps its
text. Into Parquet a column becomes one of whole numbers or of numbers where all of its cells are written as such, else
it is text; rows that were set aside stay text throughout, since they are what was received. Out of Parquet every value
is written so that it reads back as the same one.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.bar_columns import NUMBERS
from py_rt.data.bar_numbers import bare_number, is_empty, with_decimal_point
from py_rt.data.repair.bars_file import as_text, form_of
from py_rt.data.repair.written import cells_of, lines_of, packed, table_of, written
from py_rt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from py_rt.data.repair.bars_file import BarsFile

SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""What the cells of a kind are separated by; the other kinds keep what the file has."""

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def form_like(path: Path, form: str) -> str:
    """The kind of a file that is to be written: by its suffix; of one without, the kind of what it is made from.

    Raises:
        SourceError: the suffix is of no kind that is written.

    >>> form_like(Path("clean.parquet"), ".csv"), form_like(Path("clean"), ".csv")
    ('.parquet', '.csv')
    """
    return form_of(path) if path.suffix else form


def written_as(
    path: Path, bars: BarsFile, order: Sequence[int], changes: Mapping[int, Mapping[int, str]], *, typed: bool
) -> bytes:
    """The bytes of a file of `path`'s kind with some of the rows of another, with some cells replaced.

    Args:
        path: where they are to lie; only its name is looked at.
        bars: the file as read.
        order: rows to write.
        changes: row to (column to new text).
        typed: whether numbers are to be numbers where the kind can tell.

    Raises:
        SourceError: the suffix is of no kind that is written.
        DataError: a column cannot be text.
    """
    form = form_like(path, bars.form)
    if form == bars.form:
        return written(bars, order, changes)
    if form == ".parquet":
        return _as_parquet(bars, order, changes, typed=typed)
    member = _member(bars.member or bars.name)
    if bars.frame is not None:
        return packed(form, member, _frame_as_text(table_of(bars, bars.frame, order, changes), form, bars.name))
    separator = _separator(bars, form)
    if separator == bars.delimiter:
        return packed(form, member, lines_of(bars, order, changes))
    head = [bars.header] if bars.head else []
    return packed(form, member, _text([*head, *(cells_of(bars, row, changes) for row in order)], separator))


def _member(name: str) -> str:
    """The name inside an archive: days may stand in the name of a file whose times are times of the day."""
    bare = re.sub(r"\.(zip|gz|parquet)$", "", name, flags=re.IGNORECASE)
    return bare if Path(bare).suffix.lower() in {".csv", ".tsv", ".txt"} else f"{bare}.csv"


def _separator(bars: BarsFile, form: str) -> str:
    base = form.removesuffix(".gz")
    if base == Path(_member(bars.member or bars.name)).suffix.lower():
        return bars.delimiter
    # Behind commas a decimal comma could not be told from one for thousands.
    return ";" if bars.has_decimal_comma and base == ".csv" else SEPARATORS.get(base, bars.delimiter)


def _text(rows: Iterable[Sequence[str]], separator: str) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _frame_as_text(frame: pl.DataFrame, form: str, name: str) -> str:
    for column, dtype in frame.schema.items():
        if dtype.is_nested() or isinstance(dtype, pl.Binary | pl.Duration | pl.Object):
            problem = f"{name}: column {column!r} is of type {dtype}, which text cannot hold; write a .parquet file"
            raise DataError(problem)
    texts = frame.select(as_text(column, dtype) for column, dtype in frame.schema.items())
    rows = (["" if cell is None else cell for cell in row] for row in texts.iter_rows())
    return _text([frame.columns, *rows], SEPARATORS.get(form.removesuffix(".gz"), ","))


def _as_parquet(
    bars: BarsFile, order: Sequence[int], changes: Mapping[int, Mapping[int, str]], *, typed: bool
) -> bytes:
    width = len(bars.header)
    rows = [cells_of(bars, row, changes) for row in order]
    # A torn record may have more cells than there are columns: the last one holds them all.
    whole = [[*row[: width - 1], bars.delimiter.join(row[width - 1 :])] if len(row) > width else row for row in rows]
    padded = [[*row, *[""] * (width - len(row))] for row in whole]
    numbers = {bars.roles[role] for role in NUMBERS if role in bars.roles}
    dressed = {bars.roles[role] for role in bars.dressed}
    columns = []
    for place, name in enumerate(_unlike(bars.header)):
        texts = [row[place].strip() if typed else row[place] for row in padded]
        if typed and bars.has_decimal_comma and place in numbers:
            texts = [with_decimal_point(text) for text in texts]
        if typed and place in dressed:
            texts = [bare_number(text) for text in texts]
        columns.append(_column(name, texts, number=place in numbers) if typed else pl.Series(name, texts, pl.String))
    out = io.BytesIO()
    pl.DataFrame(columns).write_parquet(out)
    return out.getvalue()


def _unlike(header: Sequence[str]) -> list[str]:
    """Names of which no two are the same and none is empty, as a table of typed columns needs them."""
    names: list[str] = []
    for place, name in enumerate(header):
        bare = name.strip() or f"column_{place + 1}"
        while bare in names:
            bare += "_"
        names.append(bare)
    return names


def _column(name: str, texts: list[str], *, number: bool) -> pl.Series:
    """Texts in the narrowest of the three types that all of them are written as."""
    told = [text for text in texts if not is_empty(text)]
    values: list[str | None] = [None if is_empty(text) else text for text in texts]
    if (told or number) and all(_NUMBER.fullmatch(text) for text in told):
        if told and all(_WHOLE.fullmatch(text) for text in told):
            return pl.Series(name, [None if one is None else int(one) for one in values], pl.Int64)
        if number or not any(re.fullmatch(r"[+-]?0[0-9]+", text) for text in told):  # 007 is a name
            return pl.Series(name, [None if one is None else float(one) for one in values], pl.Float64)
    return pl.Series(name, texts, pl.String)
