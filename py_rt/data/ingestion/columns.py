"""Records of text to typed columns: what a definition says of each column, held against every row.

===========  ==================================================================================================
`text`       as it stands
`integer`    64 bits
`number`     a float; infinities and NaN are refused
`decimal`    fixed point of 1e-8, exact, without passing through a float
`time`       UTC ns (`py_rt.data.timestamps`); a time that names no zone is in the column's `time_zone`
`date`       a day, ISO or compact
`boolean`    true/false, 1/0, yes/no
===========  ==================================================================================================

An absent value is `null` in JSON, a missing member, or an empty field of a CSV; it is refused unless the column is
`nullable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from py_rt.data.fixed_point import read_units
from py_rt.data.schemas import SCALE_DIGITS, Column
from py_rt.data.timestamps import read_utc_ns
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ColumnType = Literal["text", "integer", "number", "decimal", "time", "date", "boolean"]

DTYPES: Mapping[str, pl.DataType] = {
    "text": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "decimal": pl.Int64(),
    "time": pl.Int64(),
    "date": pl.Date(),
    "boolean": pl.Boolean(),
}
"""How each type is stored."""

_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


@dataclass(frozen=True, slots=True)
class Mapped:
    """One column of a definition.

    Attributes:
        name: as stored.
        taken_from: the record's member: a name, a dotted path, or a place (`0`) in a record that is a list.
        type: how it is read.
        doc: one line, with the unit.
        nullable: whether it may be absent.
        time_zone: of times that name none.
        constant: the value of every row; nothing is taken from the record then.
    """

    name: str
    taken_from: str
    type: ColumnType
    doc: str = ""
    nullable: bool = False
    time_zone: str = "UTC"
    constant: str | None = None

    def column(self) -> Column:
        """As the table declares it."""
        scale = SCALE_DIGITS if self.type == "decimal" else None
        return Column(self.name, DTYPES[self.type], self.doc or self.name, nullable=self.nullable, scale=scale)


def read_columns(
    source: str, place: str, records: Sequence[Any], mapped: Sequence[Mapped], rows: Sequence[int] | None = None
) -> pl.DataFrame:
    """Read records as typed columns.

    Args:
        source: name of the source, for messages.
        place: partition and payload, for messages.
        records: mappings, or lists; numbers as the text that they are written in.
        mapped: the columns.
        rows: number of each record, for messages; `None` counts from 1.

    Raises:
        SourceError: a record has no such member, or a value is not of its type; the row is named.
    """
    series: dict[str, pl.Series] = {}
    for column in mapped:
        texts = [_text(column, record) for record in records]
        text = pl.Series(column.name, texts, dtype=pl.String)
        values = _typed(text, column)
        wrong = (values.is_null() & text.is_not_null()) if column.nullable else values.is_null()
        if wrong.any():
            at = int(wrong.arg_true()[0])
            row = rows[at] if rows is not None else at + 1
            raise SourceError(source, place, row, _complaint(column, texts[at], records[at]))
        series[column.name] = values
    return pl.DataFrame(series, schema={column.name: DTYPES[column.type] for column in mapped})


def _text(column: Mapped, record: Any) -> str | None:  # noqa: ANN401  # whatever JSON holds
    if column.constant is not None:
        return column.constant
    value = member(record, column.taken_from)
    if value is None or (value == "" and column.type != "text"):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        import json

        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return str(value)


def member(record: Any, path: str, absent: Any = None) -> Any:  # noqa: ANN401  # whatever JSON holds
    """What stands at a path of a record, or `absent`.

    >>> member({"a": {"b": [1, 2]}}, "a.b.1"), member({"a.b": 3}, "a.b"), member([7], "1"), member({}, "")
    (2, 3, None, {})
    """
    if not path:
        return record
    if isinstance(record, dict) and path in record:
        return record[path]
    head, _, rest = path.partition(".")
    if isinstance(record, dict):
        return member(record[head], rest, absent) if head in record else absent
    if isinstance(record, list) and head.isdecimal() and int(head) < len(record):
        return member(record[int(head)], rest, absent)
    return absent


def check_names(source: str, place: str, where: str, names: Sequence[str], mapped: Sequence[Mapped]) -> None:
    """Refuse a table that lacks a column, nullable or not: without rows nothing else would show it.

    Args:
        source: name of the source, for messages.
        place: partition and payload, for messages.
        where: what has the names, for messages.
        names: of the columns that are there.
        mapped: the columns that are wanted.

    Raises:
        SourceError: one is not there.
    """
    if lacking := [path for path in _taken(mapped) if path not in names]:
        problem = (
            f"{where} has no column {', '.join(map(repr, lacking))}; it has {', '.join(map(repr, names))}: is it "
            "another answer, or has the column another name now? Then mend its from"
        )
        raise SourceError(source, place, None, problem)


def check_members(
    source: str, place: str, records: Sequence[Any], rows: Sequence[int], mapped: Sequence[Mapped]
) -> None:
    """Refuse a record that has the member of no column, as one that tells an error; a `null` is there.

    Raises:
        SourceError: with its row.
    """
    taken, absent = _taken(mapped), object()
    for row, record in zip(rows, records, strict=True):
        if taken and all(member(record, path, absent) is absent for path in taken):
            problem = f"the record has none of {', '.join(map(repr, taken))}; it is {record!r}"
            raise SourceError(source, place, row, problem)


def _taken(mapped: Sequence[Mapped]) -> list[str]:
    return [column.taken_from for column in mapped if column.constant is None and column.taken_from]


def _typed(text: pl.Series, column: Mapped) -> pl.Series:
    if column.type == "text":
        return text
    stripped = text.str.strip_chars()
    if column.type == "time":
        return read_utc_ns(stripped, column.time_zone)
    return _READERS[column.type](stripped)


def _numbers(text: pl.Series) -> pl.Series:
    number = text.cast(pl.Float64, strict=False)
    return number.set(~number.is_finite().fill_null(value=True), None)


def _days(text: pl.Series) -> pl.Series:
    iso = text.str.to_date("%Y-%m-%d", strict=False)
    return iso.zip_with(iso.is_not_null(), text.str.to_date("%Y%m%d", strict=False))


def _truths(text: pl.Series) -> pl.Series:
    lower = text.str.to_lowercase()
    known = lower.is_in([*_TRUE, *_FALSE])
    return lower.is_in(list(_TRUE)).set(~known.fill_null(value=False), None)


_READERS: Mapping[str, Callable[[pl.Series], pl.Series]] = {
    "integer": lambda text: text.cast(pl.Int64, strict=False),
    "number": _numbers,
    "decimal": lambda text: read_units(text).cast(pl.Int64, strict=False),
    "date": _days,
    "boolean": _truths,
}
"""How each type but text and time is read; what is none of it becomes null."""


def _complaint(column: Mapped, text: str | None, record: Any) -> str:  # noqa: ANN401  # whatever JSON holds
    if text is None:
        there = ", ".join(map(repr, record)) if isinstance(record, dict) else f"a {type(record).__name__}"
        return (
            f"column {column.name}: there is no {column.taken_from!r} in the record (it has {there}); "
            "if it may be absent, say nullable = true"
        )
    zone = f" in the zone {column.time_zone}" if column.type == "time" else ""
    return f"column {column.name}: {text!r} is no {column.type}{zone}"
